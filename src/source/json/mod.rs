//! Trace JSON → rows, leniently: OTLP, and by a second look at the same text Jaeger's own and Zipkin's ([`foreign`]).
//!
//! Input: one or more JSON documents in a row. Output: their spans in a [`Rows`], and what the documents were found to be.
//! Every spelling seen in real files is read: ids in hex or base64, enums as numbers or names, nanoseconds quoted or bare,
//! `resourceSpans` or `batches`, `null` anywhere. A span that cannot be read is counted and left out; only broken JSON, or
//! a container above the spans that is no list, fails the document.
//! Must not: recurse with the input's depth, or build the document in memory.

mod envelope;
mod fast;
mod foreign;
mod jaeger;
mod request;
mod shape;
mod span;
mod zipkin;

use std::borrow::Cow;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::view::Rows;
pub(super) use envelope::Kinds;
use envelope::{Envelope, Target};
use fast::Halt;
pub(super) use request::convert;
use shape::{Found, Hoping};

/// Why a document could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonError {
    /// What kind of trouble.
    pub(super) trouble: Trouble,
    /// 1-based line within the document.
    pub(super) line: usize,
    /// 1-based column in bytes within that line.
    pub(super) column: usize,
    /// What the reader says.
    pub(super) message: String,
}

/// Kinds of trouble with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It ends too early.
    CutShort,
    /// It is no JSON.
    Syntax,
    /// It is JSON, but not in the shape of OTLP.
    Shape,
    /// The receiver of the spans asked to stop.
    Stopped,
}

/// Reads all documents, and says of each what it was found to hold.
///
/// # Errors
/// See [`Trouble`]. Spans handed over before the trouble stay handed over.
pub(super) fn documents(bytes: &[u8], rows: &mut dyn Rows) -> Result<Vec<Kinds>, JsonError> {
    // Invalid UTF-8 costs the characters it hits, not the document.
    let text = match str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let mut target = Target { rows, seen: 0, skip: 0, stopped: false };
    match fast::documents(&text, &mut target) {
        Ok(kinds) => return foreigners(&text, kinds, target.rows),
        Err(Halt::Stopped(at)) => return Err(stopped(&text, at)),
        Err(Halt::Unsure) => target.skip = std::mem::take(&mut target.seen),
    }
    by_reference(text, target)
}

/// [`documents`] without the fast path.
#[cfg(test)]
pub(super) fn documents_by_reference(bytes: &[u8], rows: &mut dyn Rows) -> Result<Vec<Kinds>, JsonError> {
    by_reference(String::from_utf8_lossy(bytes), Target { rows, seen: 0, skip: 0, stopped: false })
}

/// The reference: slower, and complete.
fn by_reference(mut text: Cow<'_, str>, mut target: Target<'_>) -> Result<Vec<Kinds>, JsonError> {
    let mut mender = Mender::default();
    loop {
        let error = match attempt(&text, &mut target) {
            Err(error) if error.trouble == Trouble::Stopped => return Err(error),
            Err(error) => error,
            Ok(kinds) => return foreigners(&text, kinds, target.rows),
        };
        let Some(mended) = mender.mend(&text, &error) else { return Err(error) };
        text = mended.into();
        target.skip = std::mem::take(&mut target.seen);
    }
}

/// Mends a text, once each way, so that reading can go on where it broke. Neither moves anything to another place.
#[derive(Default)]
struct Mender {
    surrogates: bool,
    numbers: bool,
}

impl Mender {
    /// The text set right; `None` where nothing helps.
    fn mend(&mut self, text: &str, error: &JsonError) -> Option<String> {
        let broken = error.message.contains("surrogate") || error.message.contains("hex escape");
        if broken && !std::mem::replace(&mut self.surrogates, true) {
            // Half a surrogate pair, as JavaScript writes it, is no character.
            Some(mend_surrogates(text))
        } else if error.trouble == Trouble::Syntax && !std::mem::replace(&mut self.numbers, true) {
            mend_numbers(text)
        } else {
            None
        }
    }
}

/// Reads what the documents hold of other systems.
fn foreigners(text: &str, mut kinds: Vec<Kinds>, rows: &mut dyn Rows) -> Result<Vec<Kinds>, JsonError> {
    if kinds.iter().any(|kinds| kinds.has(Kinds::JAEGER.and(Kinds::ZIPKIN))) {
        foreign::documents(text, &mut kinds, rows).map_err(|foreign::Stop| stopped(text, 0))?;
    }
    Ok(kinds)
}

fn stopped(text: &str, at: usize) -> JsonError {
    let read = text.as_bytes().get(..at).unwrap_or_default();
    let line_start = read.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    JsonError {
        trouble: Trouble::Stopped,
        line: 1 + read.iter().filter(|byte| **byte == b'\n').count(),
        column: at - line_start,
        message: "the receiver stopped".to_owned(),
    }
}

fn attempt(text: &str, target: &mut Target<'_>) -> Result<Vec<Kinds>, JsonError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut all = Vec::new();
    loop {
        match Hoping(Envelope { target, depth: 0 }).deserialize(&mut reader) {
            Ok(Found::Value(kinds)) => all.push(kinds),
            Ok(Found::Null | Found::Wrong) => all.push(Kinds::OTHER),
            Err(error) => return Err(explain(&error, target.stopped)),
        }
        if reader.end().is_ok() {
            return Ok(all);
        }
    }
}

fn explain(error: &serde_json::Error, stopped: bool) -> JsonError {
    let trouble = match error.classify() {
        _ if stopped => Trouble::Stopped,
        Category::Eof => Trouble::CutShort,
        Category::Data => Trouble::Shape,
        Category::Syntax | Category::Io => Trouble::Syntax,
    };
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    JsonError { trouble, line: error.line(), column: error.column(), message }
}

/// The text with every bare `NaN`, `Infinity` and `-Infinity`, as Python writes them, replaced by `{}` of the same length: a
/// value that nothing takes for a number. `None` when there are none.
fn mend_numbers(text: &str) -> Option<String> {
    const WORDS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];
    let mut out = String::with_capacity(text.len());
    let mut in_string = false;
    let mut from = 0;
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => in_string = !in_string,
            // Whatever is escaped: a quote does not end the string.
            b'\\' if in_string => at += 1,
            b'N' | b'-' | b'I' if !in_string => {
                if let Some(word) =
                    WORDS.iter().find(|word| text.get(at..).is_some_and(|rest| rest.starts_with(**word)))
                {
                    out.push_str(text.get(from..at)?);
                    out.push_str("{}");
                    out.extend(std::iter::repeat_n(' ', word.len().saturating_sub(2)));
                    at += word.len();
                    from = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(text.get(from..)?);
    (from > 0).then_some(out)
}

/// The text with every `\uD8xx` or `\uDCxx` escape that is not part of a pair replaced by `\uFFFD`.
fn mend_surrogates(text: &str) -> String {
    let unit = |at: usize| -> Option<u16> {
        let escape = text.get(at..at.checked_add(6)?)?.strip_prefix("\\u")?;
        u16::from_str_radix(escape, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('\\')) {
        let at = from + found;
        out.push_str(text.get(from..at).unwrap_or_default());
        let (keep, length) = match (unit(at), unit(at + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (true, 12),
            (Some(0xd800..=0xdfff), _) => (false, 6),
            // Another escape: step over both of its characters, so that `\\u` is not taken for `\u`.
            _ => (true, 1 + text.get(at + 1..).and_then(|t| t.chars().next()).map_or(0, char::len_utf8)),
        };
        let end = at + length;
        out.push_str(if keep { text.get(at..end).unwrap_or_default() } else { "\\uFFFD" });
        from = end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

#[cfg(test)]
mod tests;
