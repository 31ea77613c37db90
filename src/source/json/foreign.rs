//! Trace JSON that is not OTLP: finds the traces of Jaeger and the spans of Zipkin in a document.
//!
//! Input: a document that [`Kinds`] says holds such. Output: its spans in a [`Rows`], by way of [`jaeger`] and [`zipkin`].
//! Each span is read by itself, so that one that fits nothing costs no other.
//! Must not: recurse with the input's depth, or let anything pass without reading or counting it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::envelope::{Kinds, MAX_DEPTH};
use super::shape::Scalar;
use super::span::{Attribute, Pairs, known, quoted};
use super::{jaeger, zipkin};
use crate::source::view::{Rows, SpanView};
use crate::spans::semconv::Slot;
use crate::spans::{ResourceId, SpanId, TraceId};

/// A value that nobody has looked into yet.
pub(super) type Raw<'de> = &'de RawValue;

/// The fields of an object, not looked into; of a repeated one the last.
pub(super) type Fields<'de> = BTreeMap<String, Raw<'de>>;

/// The receiver wants no more.
pub(super) struct Stop;

/// Hands over the spans of all documents of a text that hold some of Jaeger or Zipkin, and adds to their kinds what
/// only a closer look shows.
///
/// # Errors
/// [`Stop`].
pub(super) fn documents(text: &str, kinds: &mut [Kinds], rows: &mut dyn Rows) -> Result<(), Stop> {
    let all = serde_json::Deserializer::from_str(text).into_iter::<Raw<'_>>();
    for (kinds, raw) in kinds.iter_mut().zip(all) {
        // The text was read to its end before: there is no error left to be found.
        let Ok(raw) = raw else { return Ok(()) };
        if kinds.has(Kinds::JAEGER.and(Kinds::ZIPKIN)) {
            let mut found = Kinds::default();
            envelope(raw, 0, &mut found, rows)?;
            *kinds = kinds.and(found);
        }
    }
    Ok(())
}

/// Keys that may be around traces.
const WRAPPERS: [&str; 4] = ["result", "trace", "data", "traces"];

/// A whole document, or what a wrapper holds, no deeper than the first look went.
fn envelope(raw: Raw<'_>, depth: u8, found: &mut Kinds, rows: &mut dyn Rows) -> Result<(), Stop> {
    if depth <= MAX_DEPTH
        && let Some(items) = list(raw)
    {
        for item in items.into_iter().filter(|item| item.get() != "null") {
            envelope(item, depth + 1, found, rows)?;
        }
        return Ok(());
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(raw.get()) else {
        rows.reject("span-malformed", "a trace or span was left out: it is not a JSON object");
        return Ok(());
    };
    let has = |key: &str| fields.contains_key(key);
    if has("traceID") && (has("spans") || has("processes")) {
        return jaeger::trace(&fields, rows);
    }
    if has("traceID") && has("operationName") {
        return jaeger::bare_span(&fields, rows);
    }
    let wrapped = || WRAPPERS.into_iter().filter_map(|key| fields.get(key));
    if has("traceId") || has("id") && wrapped().next().is_none() {
        return zipkin::span(&fields, found, rows);
    }
    if fields.get("errors").and_then(|errors| list(errors)).is_some_and(|errors| !errors.is_empty()) {
        *found = found.and(Kinds::PARTIAL);
    }
    for inner in wrapped().filter(|inner| inner.get().starts_with(['[', '{'])) {
        if depth < MAX_DEPTH {
            envelope(inner, depth + 1, found, rows)?;
        }
    }
    // What is neither around spans nor OTLP, which is read already.
    if depth > 0
        && wrapped().next().is_none()
        && !fields.keys().any(|key| key.starts_with("resource") || key == "batches")
    {
        rows.reject("span-malformed", "a trace or span was left out: it has no id");
    }
    Ok(())
}

/// The elements of a list; `None` where it is none.
pub(super) fn list(raw: Raw<'_>) -> Option<Vec<Raw<'_>>> {
    serde_json::from_str(raw.get()).ok()
}

/// The elements of a list that may be missing or `null`; `None` where it is something else.
pub(super) fn optional_list<'de>(fields: &Fields<'de>, key: &str) -> Option<Vec<Raw<'de>>> {
    match fields.get(key) {
        Some(raw) if raw.get() != "null" => list(raw),
        _ => Some(Vec::new()),
    }
}

/// A field as a scalar; [`Scalar::Null`] where it is missing.
pub(super) fn scalar<'de>(fields: &Fields<'de>, key: &str) -> Scalar<'de> {
    fields.get(key).map_or(Scalar::Null, |raw| serde_json::from_str(raw.get()).unwrap_or(Scalar::Other))
}

/// A text; `None` for anything else.
pub(super) fn text<'a>(scalar: &'a Scalar<'_>) -> Option<&'a str> {
    if let Scalar::Text(text) = scalar { Some(text.trim()) } else { None }
}

/// Hex digits up to a length, of either case, as both systems write ids: leading zeros may be missing. 0 for anything else,
/// which the mapper refuses under the id's own code.
fn hex(scalar: &Scalar<'_>, digits: usize) -> u128 {
    let text = text(scalar).filter(|text| text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    text.and_then(|text| u128::from_str_radix(text, 16).ok()).unwrap_or_default()
}

/// A trace id of up to 32 digits.
pub(super) fn trace_id(scalar: &Scalar<'_>) -> TraceId {
    TraceId(hex(scalar, 32))
}

/// A span id of up to 16 digits.
pub(super) fn span_id(scalar: &Scalar<'_>) -> SpanId {
    SpanId(u64::try_from(hex(scalar, 16)).unwrap_or_default())
}

/// Unix microseconds or a number of them, bare or quoted, as nanoseconds; 0 where there is none, `None` where it is no whole
/// number of them.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a whole number below 2^53")]
fn micros(scalar: &Scalar<'_>) -> Option<u64> {
    let number = match scalar {
        Scalar::Null => 0,
        Scalar::Unsigned(n) => *n,
        // JavaScript has only these.
        Scalar::Float(x) if x.fract() == 0.0 && (0.0..9e15).contains(x) => *x as u64,
        Scalar::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.checked_mul(1_000)
}

/// Start and end in nanoseconds. Without a duration there is no end.
pub(super) fn times(start: &Scalar<'_>, duration: &Scalar<'_>) -> Option<(u64, u64)> {
    match (micros(start)?, micros(duration)?) {
        (start, _) if start == 0 || *duration == Scalar::Null => Some((start, 0)),
        (start, duration) => Some((start, start.checked_add(duration)?)),
    }
}

/// A tag's value; `kind` says what a text stands for.
pub(super) fn attribute<'de>(scalar: Scalar<'de>, kind: &str) -> Attribute<'de> {
    match scalar {
        Scalar::Text(text) => match kind {
            "bool" | "int64" | "float64" => quoted(&text),
            "binary" => Attribute::Other,
            _ => Attribute::Text(text),
        },
        Scalar::Bool(b) => Attribute::Bool(b),
        Scalar::Unsigned(n) => i64::try_from(n).map_or(Attribute::Other, Attribute::Int),
        Scalar::Negative(n) => Attribute::Int(n),
        Scalar::Float(x) => Attribute::Double(x),
        Scalar::Null | Scalar::Other => Attribute::Other,
    }
}

/// The first value of a key.
pub(super) fn tag<'a, 'de>(tags: &'a Pairs<'de>, key: &str) -> Option<&'a Attribute<'de>> {
    tags.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// Whether a tag says a word, in any case.
pub(super) fn says(tags: &Pairs<'_>, key: &str, word: &str) -> bool {
    match tag(tags, key) {
        Some(Attribute::Text(text)) => text.trim().eq_ignore_ascii_case(word),
        Some(Attribute::Bool(b)) => word == if *b { "true" } else { "false" },
        _ => false,
    }
}

/// The OTLP number of a span kind by its name in any case; 0 for an unknown one.
pub(super) fn kind(name: &str) -> i32 {
    let names = super::span::KINDS.iter().zip(0..);
    names.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, n)| n).next().unwrap_or_default()
}

/// The OTLP number of the status: an error where the system's own way says so, else what OpenTelemetry noted.
pub(super) fn status(tags: &Pairs<'_>, failed: bool) -> i32 {
    // The long form is that of exporters before 2022.
    let noted = |word: &str| {
        says(tags, "otel.status_code", word) || says(tags, "otel.status_code", &format!("STATUS_CODE_{word}"))
    };
    if failed || noted("ERROR") { 2 } else { i32::from(noted("OK")) }
}

/// A span of either system on its way to the mapper.
#[derive(Default)]
pub(super) struct Ready<'a, 'de> {
    /// The span without what its attributes are good for.
    pub(super) view: SpanView<'a>,
    pub(super) tags: &'a [(std::borrow::Cow<'de, str>, Attribute<'de>)],
    /// The attributes of its first `exception` event.
    pub(super) exception: Option<&'a [(std::borrow::Cow<'de, str>, Attribute<'de>)]>,
}

impl Ready<'_, '_> {
    /// Hands the span over.
    ///
    /// # Errors
    /// [`Stop`].
    pub(super) fn emit(self, resource: ResourceId, rows: &mut dyn Rows) -> Result<(), Stop> {
        let Self { mut view, tags, exception } = self;
        view.known = known(tags, rows);
        view.exception_type = exception.and_then(|pairs| known(pairs, rows).get(Slot::ExceptionType));
        if rows.span(resource, &view) { Ok(()) } else { Err(Stop) }
    }
}
