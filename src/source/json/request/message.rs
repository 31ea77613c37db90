//! Reading JSON by a [`Schema`] and writing what it says.

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess};

use super::super::shape::{Found, Hoping, Scalar, Shape, next_key};
use super::super::span::{self, STATUSES, skip};
use super::Converted;
use super::schema::{Field, Kind, Nature, Schema};
use super::wire;
use crate::source::wire_id;
use crate::spans::IdError;

/// Values inside values that are written; what is deeper is nothing to anybody here.
const MAX_DEPTH: u8 = 16;
/// Stands for a span that cannot be written: no field begins so, and who reads it counts it as `span-malformed`.
const NO_SPAN: &[u8] = &[7];
/// Stands for an id that is none: no id has this length.
const NO_ID: &[u8] = &[0];

/// What is written, and what became of it.
pub(super) struct State<'o> {
    out: &'o mut Vec<u8>,
    pub(super) converted: Converted,
    /// Values that are being read inside each other.
    depth: u8,
    /// Why the span that is being read cannot be written.
    bad: Option<&'static str>,
}

impl<'o> State<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, converted: Converted::default(), depth: 0, bad: None }
    }

    /// Keeps the place of a span that cannot be written, so that whatever keeps the message keeps the count.
    fn refuse(&mut self, code: &'static str, place: u32) {
        wire::bytes(self.out, place, NO_SPAN);
        let count = self.converted.refused.entry(code).or_default();
        *count = count.saturating_add(1);
    }
}

/// One message.
pub(super) struct Message<'s, 'o> {
    state: &'s mut State<'o>,
    schema: &'static Schema,
    /// The field it is in; none for the whole document.
    place: Option<u32>,
}

impl<'s, 'o> Message<'s, 'o> {
    /// The whole document.
    pub(super) fn whole(state: &'s mut State<'o>, schema: &'static Schema) -> Self {
        Self { state, schema, place: None }
    }

    /// A message that is one scalar: written if `write` knows how.
    fn bare(self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> Found<()> {
        let Some(place) = self.place else { return Found::Wrong };
        let begun = wire::begin(self.state.out, place);
        if write(self.state.out) {
            wire::end(self.state.out, begun);
            Found::Value(())
        } else {
            wire::forget(self.state.out, begun);
            Found::Wrong
        }
    }
}

impl<'de> Shape<'de> for Message<'_, '_> {
    type Out = ();

    fn scalar(self, scalar: Scalar<'de>) -> Found<()> {
        match self.schema.nature {
            _ if scalar == Scalar::Null => Found::Null,
            Nature::Status => match span::number(&scalar, "STATUS_CODE_", &STATUSES) {
                Some(code) => self.bare(|out| {
                    enumeration(out, 3, code);
                    true
                }),
                None => Found::Wrong,
            },
            Nature::Value => {
                let kind = match &scalar {
                    Scalar::Text(_) => Kind::Text,
                    Scalar::Bool(_) => Kind::Bool,
                    Scalar::Float(_) => Kind::Double,
                    _ => Kind::Int,
                };
                let number = match kind {
                    Kind::Text => 1,
                    Kind::Bool => 2,
                    Kind::Double => 4,
                    _ => 3,
                };
                self.bare(|out| matches!(single(out, number, &kind, true, &scalar), Found::Value(())))
            }
            _ => Found::Wrong,
        }
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<()>, A::Error> {
        let Self { state, schema, place } = self;
        let Schema { nature, fields } = schema;
        let value = matches!(nature, Nature::Value | Nature::Element);
        if value {
            if state.depth >= MAX_DEPTH {
                return drain(object);
            }
            state.depth += 1;
        }
        let begun = place.map(|place| wire::begin(state.out, place));
        while let Some(key) = next_key(&mut object)? {
            let Some(field) = fields.iter().find(|field| field.keys.contains(&key.as_ref())) else {
                state.converted.others |= *nature == Nature::Request;
                skip(&mut object)?;
                continue;
            };
            state.converted.spans |= *nature == Nature::Request;
            let found = object.next_value_seed(Hoping(Entry { state: &mut *state, field, always: value }))?;
            if let Found::Wrong = found {
                match (nature, &field.kind) {
                    (Nature::Span, Kind::Fixed64) => state.bad = state.bad.or(Some("span-time-invalid")),
                    // Nobody reads these.
                    (Nature::Span, Kind::Uint32 | Kind::Fixed32) => {}
                    (Nature::Span, _) => state.bad = state.bad.or(Some("span-malformed")),
                    (Nature::Request | Nature::Container, _) if field.list => {
                        return Err(A::Error::custom(format!("`{key}` is not a list")));
                    }
                    _ => {}
                }
            }
        }
        if value {
            state.depth = state.depth.saturating_sub(1);
        }
        if let Some((begun, place)) = begun.zip(place) {
            match state.bad.take_if(|_| *nature == Nature::Span) {
                Some(code) => {
                    wire::forget(state.out, begun);
                    state.refuse(code, place);
                }
                None => wire::end(state.out, begun),
            }
        }
        Ok(Found::Value(()))
    }
}

/// The value of one field.
struct Entry<'s, 'o> {
    state: &'s mut State<'o>,
    field: &'static Field,
    /// Whether it is written even if it is the default.
    always: bool,
}

impl<'de> Shape<'de> for Entry<'_, '_> {
    type Out = ();

    fn scalar(self, scalar: Scalar<'de>) -> Found<()> {
        match self.field {
            _ if scalar == Scalar::Null => Found::Null,
            Field { list: true, .. } => Found::Wrong,
            Field { kind: Kind::Message(schema), number, .. } => {
                Message { state: self.state, schema, place: Some(*number) }.scalar(scalar)
            }
            field => single(self.state.out, field.number, &field.kind, self.always, &scalar),
        }
    }

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        let Self { state, field, .. } = self;
        if !field.list {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(Found::Wrong);
        }
        let Kind::Message(schema) = &field.kind else {
            while let Some(scalar) = list.next_element::<Scalar<'de>>()? {
                single(state.out, field.number, &field.kind, true, &scalar);
            }
            return Ok(Found::Value(()));
        };
        let place = Some(field.number);
        while let Some(found) = list.next_element_seed(Hoping(Message { state: &mut *state, schema, place }))? {
            match (found, schema.nature) {
                (Found::Wrong, Nature::Span) => state.refuse("span-malformed", field.number),
                (Found::Wrong, Nature::Link) => {
                    let begun = wire::begin(state.out, field.number);
                    wire::end(state.out, begun);
                }
                (Found::Wrong, Nature::Container) => {
                    let [key, _] = field.keys;
                    return Err(A::Error::custom(format!("an element of `{key}` is not an object")));
                }
                _ => {}
            }
        }
        Ok(Found::Value(()))
    }

    fn object<A: MapAccess<'de>>(self, object: A) -> Result<Found<()>, A::Error> {
        match &self.field.kind {
            Kind::Message(schema) if !self.field.list => {
                Message { state: self.state, schema, place: Some(self.field.number) }.object(object)
            }
            _ => drain(object),
        }
    }
}

fn drain<'de, A: MapAccess<'de>>(mut object: A) -> Result<Found<()>, A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Found::Wrong)
}

/// Writes a scalar.
fn single(out: &mut Vec<u8>, number: u32, kind: &Kind, always: bool, scalar: &Scalar<'_>) -> Found<()> {
    let written = match (kind, scalar) {
        (_, Scalar::Null) => return Found::Null,
        (Kind::Text, Scalar::Text(text)) => {
            if always || !text.is_empty() {
                wire::bytes(out, number, text.as_bytes());
            }
            Some(())
        }
        (Kind::Bytes, Scalar::Text(text)) => wire_id::bytes(text).map(|bytes| wire::bytes(out, number, &bytes)),
        (Kind::TraceId, scalar) => {
            id(out, number, span::trace_id(scalar).map(|id| id.0.to_be_bytes()));
            Some(())
        }
        (Kind::SpanId, scalar) => {
            id(out, number, span::span_id(scalar).map(|id| id.0.to_be_bytes()));
            Some(())
        }
        (Kind::Fixed64, scalar) => span::nanos(scalar).map(|n| {
            if n > 0 {
                wire::fixed64(out, number, n);
            }
        }),
        (Kind::Fixed32, scalar) => small(scalar).map(|n| wire::fixed32(out, number, n)),
        (Kind::Uint32, scalar) => small(scalar).map(|n| wire::varint(out, number, n.into())),
        (Kind::Enum(prefix, names), scalar) => span::number(scalar, prefix, names).map(|n| enumeration(out, number, n)),
        (Kind::Bool | Kind::Int | Kind::Double, scalar) => value(out, kind, scalar),
        _ => None,
    };
    written.map_or(Found::Wrong, Found::Value)
}

fn id<const N: usize>(out: &mut Vec<u8>, number: u32, id: Result<[u8; N], IdError>) {
    match id {
        Ok(id) => wire::bytes(out, number, &id),
        Err(IdError::Empty) => {}
        Err(IdError::Malformed) => wire::bytes(out, number, NO_ID),
    }
}

fn small(scalar: &Scalar<'_>) -> Option<u32> {
    span::nanos(scalar).and_then(|n| u32::try_from(n).ok())
}

#[allow(clippy::cast_sign_loss, reason = "two's complement on the wire")]
fn enumeration(out: &mut Vec<u8>, number: u32, n: i32) {
    if n != 0 {
        wire::varint(out, number, i64::from(n) as u64);
    }
}

/// Writes a number or a boolean of an `AnyValue`. Bare or quoted, and what it is decides: `{"intValue": 1.5}` is no whole
/// number.
#[allow(
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "two's complement; doubles are what is asked for"
)]
fn value(out: &mut Vec<u8>, kind: &Kind, scalar: &Scalar<'_>) -> Option<()> {
    let double = |out: &mut Vec<u8>, x: f64| wire::fixed64(out, 4, x.to_bits());
    let quoted;
    let scalar = match scalar {
        Scalar::Text(text) => {
            let text = text.trim();
            quoted = match (text.parse::<i64>(), text) {
                (Ok(n), _) => u64::try_from(n).map_or(Scalar::Negative(n), Scalar::Unsigned),
                (_, "true") => Scalar::Bool(true),
                (_, "false") => Scalar::Bool(false),
                _ => Scalar::Float(text.parse().ok()?),
            };
            &quoted
        }
        scalar => scalar,
    };
    match (kind, scalar) {
        (_, Scalar::Bool(b)) => wire::varint(out, 2, u64::from(*b)),
        (Kind::Double, Scalar::Unsigned(n)) => double(out, *n as f64),
        (Kind::Double, Scalar::Negative(n)) => double(out, *n as f64),
        (_, Scalar::Float(x)) => double(out, *x),
        (_, Scalar::Unsigned(n)) => wire::varint(out, 3, u64::try_from(i64::try_from(*n).ok()?).ok()?),
        (_, Scalar::Negative(n)) => wire::varint(out, 3, *n as u64),
        (_, Scalar::Null | Scalar::Text(_) | Scalar::Other) => return None,
    }
    Some(())
}
