//! A body of OTLP/JSON → the same request in protobuf, field by field, without building either.
//!
//! Input: one JSON document. Output: the bytes of an `ExportTraceServiceRequest`, hardly ever longer than the text.
//! What the readers of files take is taken here, and means the same. A span that cannot be written in protobuf is written as
//! one that nobody can read, one with an id that is none with an id that is none: both are counted where spans are read.
//! Must not: hold anything of the document but the text, or recurse with the input's depth.

mod message;
mod schema;
mod wire;

use std::collections::BTreeMap;

use serde::de::DeserializeSeed;

use super::shape::{Found, Hoping};
use super::{JsonError, Mender, Trouble, explain};
use message::{Message, State};

/// What became of a body besides its bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::source) struct Converted {
    /// Spans that could not be written, by code.
    pub(in crate::source) refused: BTreeMap<&'static str, u64>,
    /// Whether it says `resourceSpans` at all.
    pub(in crate::source) spans: bool,
    /// Whether it holds something else.
    pub(in crate::source) others: bool,
}

/// Appends the request to `out`. `more` is asked before that many further bytes are taken for a text set right.
///
/// # Errors
/// [`JsonError`] when it is no JSON, no single document, or not in the shape of OTLP above its spans; then `out` is as it was.
/// What `more` says.
pub(in crate::source) fn convert<E>(
    text: &str,
    out: &mut Vec<u8>,
    more: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Result<Converted, JsonError>, E> {
    let begin = out.len();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut error = match attempt(text, out) {
        Ok(converted) => return Ok(Ok(converted)),
        Err(error) => error,
    };
    let mut mender = Mender::default();
    let mut mended: Option<String> = None;
    loop {
        out.truncate(begin);
        more(text.len())?;
        let Some(next) = mender.mend(mended.as_deref().unwrap_or(text), &error) else { return Ok(Err(error)) };
        match attempt(&next, out) {
            Ok(converted) => return Ok(Ok(converted)),
            Err(again) => error = again,
        }
        mended = Some(next);
    }
}

fn attempt(text: &str, out: &mut Vec<u8>) -> Result<Converted, JsonError> {
    let mut state = State::new(out);
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = Hoping(Message::whole(&mut state, &schema::REQUEST)).deserialize(&mut reader);
    let found = found.and_then(|found| reader.end().map(|()| found)).map_err(|error| explain(&error, false))?;
    match found {
        Found::Value(()) => Ok(state.converted),
        Found::Null | Found::Wrong => Err(JsonError {
            trouble: Trouble::Shape,
            line: 1,
            column: 1,
            message: "it is not a JSON object".to_owned(),
        }),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
