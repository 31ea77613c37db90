//! OTLP protobuf → rows without building the messages: the fast path.
//!
//! Input: `TracesData` or `ExportTraceServiceRequest` messages. Output: their spans in a [`Rows`], the same as by way of
//! [`proto`], which is the reference. Keys are read and classified; values that are good for nothing are stepped over by
//! their length. What is not read is not checked either: a string nobody looks at may be invalid UTF-8.
//! Whatever is not in the plain form that every exporter writes goes to the reference: a span by itself, or the rest of a
//! resource's spans. So merged fields, unknown wire types, groups and damage need no second opinion here.
//! Must not: allocate per span, or decide anything that the reference decides otherwise.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>, <https://github.com/open-telemetry/opentelemetry-proto>.

use super::proto::{self, LIBRARY_SPANS, SCOPE_SPANS};
use super::view::{Attributes, Rows, SpanView, Value};
use super::wire::{self, Broken};
use super::wire_bytes::{self, Bytes, Odd, Payload};
use super::wire_id;
use crate::spans::semconv::Slot;
use crate::spans::{IdError, ResourceId, SpanId, TraceId};

/// Reads messages of one life time; what it needs for a span is used again for the next one.
pub(super) struct Walker<'a> {
    span: SpanView<'a>,
}

impl<'a> Walker<'a> {
    /// A walker that uses the room for links of an earlier one.
    pub(super) fn new(links: Vec<(TraceId, SpanId)>) -> Self {
        Self { span: SpanView { links, ..SpanView::default() } }
    }

    /// Gives the room for links back.
    pub(super) fn into_links(self) -> Vec<(TraceId, SpanId)> {
        self.span.links
    }

    /// Appends the spans of a message; `false` when the receiver wants no more.
    ///
    /// # Errors
    /// [`Broken`] when the framing is cut short or the bytes are no protobuf. What was appended before stays.
    pub(super) fn message<R: Rows>(&mut self, message: &'a [u8], rows: &mut R) -> Result<bool, Broken> {
        let mut rest = Bytes(message);
        while !rest.is_empty() {
            if let Some(bytes) = rest.plain(0x0a) {
                if !self.resource_spans(bytes, rows)? {
                    return Ok(false);
                }
                continue;
            }
            let mut fields = wire::fields(rest.0);
            if let Some(field) = fields.next()
                && let wire::Field { number: 1, bytes: Some(bytes) } = field?
                && !self.resource_spans(bytes, rows)?
            {
                return Ok(false);
            }
            rest = Bytes(fields.rest());
        }
        Ok(true)
    }

    /// Appends the spans of one `ResourceSpans` message, as [`Walker::message`] those of all.
    ///
    /// # Errors
    /// [`Broken`] as there.
    pub(super) fn resource_spans<R: Rows>(&mut self, bytes: &'a [u8], rows: &mut R) -> Result<bool, Broken> {
        let Ok((raw, scopes)) = outline(bytes) else { return proto::one_resource(bytes, rows) };
        let resource = match rows.known_resource(raw) {
            Some(resource) => resource,
            None => {
                let resource = proto::resource(raw, rows);
                rows.learn_resource(raw, resource);
                resource
            }
        };
        let mut done = 0;
        let mut rest = Bytes(bytes);
        while !rest.is_empty() {
            let field = rest.plain(0x12).map_or_else(|| rest.field(), |bytes| Ok((SCOPE_SPANS, Payload::Bytes(bytes))));
            let walked = match field {
                Ok((number, Payload::Bytes(scope))) if number == scopes => self.scope(scope, resource, &mut done, rows),
                Ok(_) => Ok(true),
                Err(Odd) => Err(Odd),
            };
            match walked {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                // The reference takes over behind what was handed on already.
                Err(Odd) => return proto::one_resource(bytes, &mut Behind { rows, left: done }),
            }
        }
        Ok(true)
    }

    /// Appends the spans of a `ScopeSpans`, counting them; `false` when the receiver wants no more.
    fn scope<R: Rows>(
        &mut self,
        scope: &'a [u8],
        resource: ResourceId,
        done: &mut u64,
        rows: &mut R,
    ) -> Result<bool, Odd> {
        let mut rest = Bytes(scope);
        while !rest.is_empty() {
            let bytes = match rest.plain(0x12) {
                Some(bytes) => bytes,
                // 1 is the scope, 2 the spans, 3 the schema's address.
                None => match rest.known_field(&[1, 2, 3])? {
                    (2, Payload::Bytes(bytes)) => bytes,
                    _ => continue,
                },
            };
            self.span.clear();
            let go_on = match span(bytes, &mut self.span, rows) {
                Ok(()) => rows.span(resource, &self.span),
                Err(Odd) => proto::one_span(bytes, resource, rows),
            };
            *done += 1;
            if !go_on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The bytes of the one resource of a `ResourceSpans`, and the field that its spans are in.
fn outline(bytes: &[u8]) -> Result<(&[u8], u64), Odd> {
    let mut resource = None;
    let (mut scopes, mut library) = (false, false);
    let mut rest = Bytes(bytes);
    while !rest.is_empty() {
        if rest.plain(0x12).is_some() {
            scopes = true;
            continue;
        }
        match rest.known_field(&[1, SCOPE_SPANS, 3])? {
            (1, Payload::Bytes(bytes)) => {
                // Several are merged, which is none of our business.
                let before = resource.replace(bytes);
                if before.is_some() {
                    return Err(Odd);
                }
            }
            (SCOPE_SPANS, _) => scopes = true,
            (LIBRARY_SPANS, _) => library = true,
            _ => {}
        }
    }
    Ok((resource.unwrap_or_default(), if library && !scopes { LIBRARY_SPANS } else { SCOPE_SPANS }))
}

/// Reads one span into a cleared view.
#[inline]
fn span<'a, R: Rows>(bytes: &'a [u8], view: &mut SpanView<'a>, rows: &R) -> Result<(), Odd> {
    let mut rest = Bytes(bytes);
    let mut exception = false;
    while let Some(tag) = rest.peek() {
        match tag {
            0x0a => view.trace_id = trace_id(rest.skip_tag().bytes()?),
            0x12 => view.span_id = span_id(rest.skip_tag().bytes()?),
            0x1a => view.trace_state = std::str::from_utf8(rest.skip_tag().bytes()?).map_err(|_| Odd)?,
            0x22 => view.parent_id = parent_id(rest.skip_tag().bytes()?)?,
            0x2a => view.raw_name = rest.skip_tag().bytes()?,
            0x30 => view.kind = rest.skip_tag().enumeration()?,
            0x39 => view.start = rest.skip_tag().fixed64()?,
            0x41 => view.end = rest.skip_tag().fixed64()?,
            0x4a => attribute(rest.skip_tag().bytes()?, view, rows)?,
            0x5a => {
                let bytes = rest.skip_tag().bytes()?;
                if !exception {
                    exception = event(bytes, view, rows)?;
                }
            }
            0x6a => {
                let link = link(rest.skip_tag().bytes()?)?;
                view.links.push(link);
            }
            0x7a => status(rest.skip_tag().bytes()?, &mut view.status_code)?,
            // Flags, as almost every span has them.
            0x85 if let [_, 1, _, _, _, _, behind @ ..] = rest.0 => rest = Bytes(behind),
            _ => match rest.field()? {
                // Counts of what was dropped; flags.
                (10 | 12 | 14, Payload::Varint(_)) | (16, Payload::Fixed32) | (17.., _) => {}
                _ => return Err(Odd),
            },
        }
    }
    Ok(())
}

/// An attribute of the span.
#[inline(always)]
fn attribute<'a, R: Rows>(bytes: &'a [u8], view: &mut SpanView<'a>, rows: &R) -> Result<(), Odd> {
    let (key, value) = pair(bytes)?;
    if let Some((slot, rank)) = rows.classify_raw(key) {
        view.known.put(slot, rank, any_value(value)?);
    }
    Ok(())
}

/// Whether an event is an exception; its type goes into the view.
fn event<'a, R: Rows>(bytes: &'a [u8], view: &mut SpanView<'a>, rows: &R) -> Result<bool, Odd> {
    let mut name = &[][..];
    let mut rest = Bytes(bytes);
    while !rest.is_empty() {
        match rest.field()? {
            (2, Payload::Bytes(bytes)) => name = bytes,
            (1, Payload::Fixed64) | (3, Payload::Bytes(_)) | (4, Payload::Varint(_)) | (5.., _) => {}
            _ => return Err(Odd),
        }
    }
    if name != b"exception" {
        return Ok(false);
    }
    let mut known = None;
    let mut rest = Bytes(bytes);
    while !rest.is_empty() {
        let (3, Payload::Bytes(bytes)) = rest.field()? else { continue };
        let (key, value) = pair(bytes)?;
        if let Some((Slot::ExceptionType, rank)) = rows.classify_raw(key) {
            let value = any_value(value)?;
            if known.is_none_or(|best| rank < best) && !value.is_useless() {
                (known, view.exception_type) = (Some(rank), Some(value));
            }
        }
    }
    Ok(true)
}

fn link(bytes: &[u8]) -> Result<(TraceId, SpanId), Odd> {
    let mut link = (TraceId(0), SpanId::NONE);
    let mut rest = Bytes(bytes);
    while !rest.is_empty() {
        match rest.field()? {
            (1, Payload::Bytes(bytes)) => link.0 = trace_id(bytes),
            (2, Payload::Bytes(bytes)) => link.1 = span_id(bytes),
            (3 | 4, Payload::Bytes(_)) | (5, Payload::Varint(_)) | (6, Payload::Fixed32) | (7.., _) => {}
            _ => return Err(Odd),
        }
    }
    Ok(link)
}

/// Several are merged: a code stays where the next one has none.
fn status(bytes: &[u8], code: &mut i32) -> Result<(), Odd> {
    let mut rest = Bytes(bytes);
    while let Some(tag) = rest.peek() {
        if tag == 0x18 {
            *code = rest.skip_tag().enumeration()?;
            continue;
        }
        match rest.field()? {
            (3, Payload::Varint(n)) => *code = wire_bytes::enumeration(n),
            (2, Payload::Bytes(_)) | (1 | 4.., _) => {}
            _ => return Err(Odd),
        }
    }
    Ok(())
}

/// Key and encoded value of a `KeyValue` in its plain form: a key, then perhaps a value, and nothing else.
#[inline(always)]
fn pair(bytes: &[u8]) -> Result<(&[u8], &[u8]), Odd> {
    // Lengths of one byte, as almost all are.
    if let [0x0a, length @ ..0x80, rest @ ..] = bytes
        && let Some((key, [0x12, length @ ..0x80, value @ ..])) = rest.split_at_checked(usize::from(*length))
        && usize::from(*length) == value.len()
    {
        return Ok((key, value));
    }
    any_pair(bytes)
}

fn any_pair(bytes: &[u8]) -> Result<(&[u8], &[u8]), Odd> {
    let mut rest = Bytes(bytes);
    let mut take = |tag| {
        if rest.peek() == Some(tag) { rest.skip_tag().bytes() } else { Ok(&[][..]) }
    };
    let (key, value) = (take(0x0a)?, take(0x12)?);
    if rest.is_empty() { Ok((key, value)) } else { Err(Odd) }
}

/// An `AnyValue` in its plain form: one field or none.
#[inline(always)]
fn any_value(bytes: &[u8]) -> Result<Value<'_>, Odd> {
    match bytes {
        [0x0a, length @ ..0x80, string @ ..] if usize::from(*length) == string.len() => Ok(Value::Raw(string)),
        [0x18, number @ ..0x80] => Ok(Value::Int(i64::from(*number))),
        _ => other_value(bytes),
    }
}

fn other_value(bytes: &[u8]) -> Result<Value<'_>, Odd> {
    let mut rest = Bytes(bytes);
    let value = match rest.peek() {
        None => Value::Other,
        Some(0x0a) => Value::Raw(rest.skip_tag().bytes()?),
        Some(0x10) => Value::Bool(rest.skip_tag().varint()? != 0),
        #[allow(clippy::cast_possible_wrap, reason = "two's complement on the wire")]
        Some(0x18) => Value::Int(rest.skip_tag().varint()? as i64),
        Some(0x21) => Value::Double(f64::from_bits(rest.skip_tag().fixed64()?)),
        _ => match rest.field()? {
            (5..=7, Payload::Bytes(_)) => Value::Other,
            _ => return Err(Odd),
        },
    };
    if rest.is_empty() { Ok(value) } else { Err(Odd) }
}

#[inline]
fn trace_id(bytes: &[u8]) -> TraceId {
    match <[u8; 16]>::try_from(bytes) {
        Ok(id) => TraceId(u128::from_be_bytes(id)),
        Err(_) => wire_id::trace_id_bytes(bytes).unwrap_or_default(),
    }
}

#[inline]
fn span_id(bytes: &[u8]) -> SpanId {
    wire_id::span_id_bytes(bytes).unwrap_or_default()
}

#[inline]
fn parent_id(bytes: &[u8]) -> Result<SpanId, Odd> {
    match wire_id::span_id_bytes(bytes) {
        Ok(id) => Ok(id),
        Err(IdError::Empty) => Ok(SpanId::NONE),
        Err(IdError::Malformed) => Err(Odd),
    }
}

/// Lets the first few spans pass by: they were handed on already.
struct Behind<'r, R> {
    rows: &'r mut R,
    left: u64,
}

impl<R: Rows> Behind<'_, R> {
    fn is_known(&mut self) -> bool {
        let known = self.left > 0;
        self.left = self.left.saturating_sub(1);
        known
    }
}

impl<R: Rows> Rows for Behind<'_, R> {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        self.rows.resource(attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        self.is_known() || self.rows.span(resource, span)
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        if !self.is_known() {
            self.rows.reject(code, why);
        }
    }

    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        self.rows.classify_raw(key)
    }
}

#[cfg(test)]
#[path = "otlp_wire_tests.rs"]
mod tests;
