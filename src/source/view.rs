//! What a decoder hands to the mapper: a resource's attributes, and each span as a borrowed [`SpanView`].
//!
//! A decoder asks [`Rows::classify`] of each key what the value is good for, reads only the values that are good for
//! something, and puts them into [`Known`], which it reuses from span to span.

use std::borrow::Cow;

use crate::spans::semconv::Slot;
use crate::spans::{ResourceId, SpanId, TraceId};

/// An attribute value, borrowed from the wire. Arrays and maps are of no use here and become [`Value::Other`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Str(&'a str),
    /// Text that nobody has checked to be UTF-8 yet. Most of it was met before and never is.
    Raw(&'a [u8]),
    Int(i64),
    Double(f64),
    Bool(bool),
    Other,
}

impl<'a> Value<'a> {
    /// The value as text; `None` for arrays and maps, and for nothing but white space.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Str(_) | Self::Raw(_) => {
                self.as_str().map(str::trim).filter(|text| !text.is_empty()).map(Cow::Borrowed)
            }
            Self::Int(n) => Some(Cow::Owned(n.to_string())),
            Self::Double(x) => Some(Cow::Owned(x.to_string())),
            Self::Bool(b) => Some(Cow::Borrowed(if b { "true" } else { "false" })),
            Self::Other => None,
        }
    }

    /// The value as a number, also where it was sent as a string.
    #[allow(clippy::cast_precision_loss, reason = "rates and status numbers are small")]
    pub(super) fn number(self) -> Option<f64> {
        match self {
            Self::Int(n) => Some(n as f64),
            Self::Double(x) => Some(x),
            Self::Str(_) | Self::Raw(_) => self.as_str()?.trim().parse().ok(),
            Self::Bool(_) | Self::Other => None,
        }
    }

    /// The text as it came; `None` for other values, and for bytes that are no text.
    pub(super) fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Str(text) => Some(text),
            Self::Raw(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Int(_) | Self::Double(_) | Self::Bool(_) | Self::Other => None,
        }
    }

    /// Whether it is what it says: not so for text that is not UTF-8.
    pub(super) fn is_sound(self) -> bool {
        !matches!(self, Self::Raw(_)) || self.as_str().is_some()
    }

    /// Whether it says nothing: arrays and maps, and nothing but white space.
    pub(super) fn is_useless(self) -> bool {
        let blank = |bytes: &[u8]| {
            // The common case without a look at the rest: printable ASCII first.
            !matches!(bytes.first(), Some(0x21..0x7f))
                && std::str::from_utf8(bytes).is_ok_and(|text| text.trim().is_empty())
        };
        match self {
            Self::Str(text) => blank(text.as_bytes()),
            Self::Raw(bytes) => blank(bytes),
            Self::Other => true,
            Self::Int(_) | Self::Double(_) | Self::Bool(_) => false,
        }
    }
}

impl Value<'_> {
    /// Appends a slot and what tells its value from every other one, for keys of caches.
    pub(super) fn push_to(self, key: &mut Vec<u8>, slot: u8) {
        #[allow(clippy::cast_sign_loss, reason = "the bits are kept")]
        let (tag, word, text): (u8, u64, &[u8]) = match self {
            Self::Str(text) => (0, text.len() as u64, text.as_bytes()),
            Self::Raw(bytes) => (0, bytes.len() as u64, bytes),
            Self::Int(n) => (1, n as u64, &[]),
            Self::Double(x) => (2, x.to_bits(), &[]),
            Self::Bool(b) => (3, u64::from(b), &[]),
            Self::Other => (4, 0, &[]),
        };
        let [a, b, c, d, e, f, g, h] = word.to_le_bytes();
        key.extend_from_slice(&[slot, tag, a, b, c, d, e, f, g, h]);
        key.extend_from_slice(text);
    }
}

/// A resource's attributes as they come: repeated keys allowed, the first wins.
pub(super) type Attributes<'a> = [(&'a str, Value<'a>)];

/// The attributes of one span by what they are good for: the value of the best spelling.
#[derive(Debug, Clone)]
pub(super) struct Known<'a> {
    /// One bit a slot.
    set: u32,
    ranks: [u8; Slot::COUNT],
    values: [Value<'a>; Slot::COUNT],
}

impl Default for Known<'_> {
    fn default() -> Self {
        Self { set: 0, ranks: [0; Slot::COUNT], values: [Value::Other; Slot::COUNT] }
    }
}

impl<'a> Known<'a> {
    /// Forgets all, for the next span.
    pub(super) fn clear(&mut self) {
        self.set = 0;
    }

    /// Which bit stands for a slot.
    pub(super) const fn bit(slot: Slot) -> u32 {
        1 << slot as u32
    }

    /// Notes a value unless there is one of the same or a better rank (0 is best), or it says nothing.
    pub(super) fn put(&mut self, slot: Slot, rank: u8, value: Value<'a>) {
        let (bit, at) = (Self::bit(slot), slot as usize);
        if let (Some(best), Some(place)) = (self.ranks.get_mut(at), self.values.get_mut(at))
            && (self.set & bit == 0 || rank < *best)
            && !value.is_useless()
        {
            (*best, *place) = (rank, value);
            self.set |= bit;
        }
    }

    #[inline]
    pub(super) fn get(&self, slot: Slot) -> Option<Value<'a>> {
        if self.set & Self::bit(slot) == 0 { None } else { self.values.get(slot as usize).copied() }
    }

    pub(super) fn text(&self, slot: Slot) -> Option<Cow<'a, str>> {
        self.get(slot).and_then(Value::text)
    }

    /// Those of these slots (one bit each) that are set.
    pub(super) fn of_these(&self, slots: u32) -> u32 {
        self.set & slots
    }

    /// The values of these slots that are set, by slot.
    #[allow(clippy::cast_possible_truncation, reason = "there are fewer than 32")]
    pub(super) fn each(&self, slots: u32) -> impl Iterator<Item = (u8, Value<'a>)> {
        // Few are set: step from bit to bit.
        let mut left = self.of_these(slots);
        std::iter::from_fn(move || {
            let at = left.trailing_zeros();
            left &= left.checked_sub(1)?;
            Some((at as u8, self.values.get(at as usize).copied()?))
        })
    }
}

/// One span, borrowed from the wire, ids already decoded (`TraceId(0)` and `SpanId::NONE` stand for "invalid").
#[derive(Debug, Clone, Default)]
pub(super) struct SpanView<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) name: &'a str,
    /// The name where nobody has checked it to be UTF-8 yet; `name` is empty then.
    pub(super) raw_name: &'a [u8],
    pub(super) kind: i32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) status_code: i32,
    pub(super) trace_state: &'a str,
    /// What its attributes are good for; the configured sampling rate is [`Slot::Rate`].
    pub(super) known: Known<'a>,
    /// The first useful [`Slot::ExceptionType`] among the attributes of the first event named `exception`; a later
    /// exception never stands in for it.
    pub(super) exception_type: Option<Value<'a>>,
    pub(super) links: Vec<(TraceId, SpanId)>,
}

impl<'a> SpanView<'a> {
    /// The name as it came.
    pub(super) fn name_bytes(&self) -> &'a [u8] {
        if self.raw_name.is_empty() { self.name.as_bytes() } else { self.raw_name }
    }

    /// The name; `None` when it is no text.
    pub(super) fn name_text(&self) -> Option<&'a str> {
        if self.raw_name.is_empty() { Some(self.name) } else { std::str::from_utf8(self.raw_name).ok() }
    }

    /// Forgets all but the room for links, for the next span.
    pub(super) fn clear(&mut self) {
        (self.trace_id, self.span_id, self.parent_id) = (TraceId(0), SpanId::NONE, SpanId::NONE);
        (self.name, self.raw_name, self.trace_state, self.exception_type) = ("", &[], "", None);
        (self.kind, self.start, self.end, self.status_code) = (0, 0, 0, 0);
        self.known.clear();
        self.links.clear();
    }
}

/// Takes resources and their spans from a decoder.
pub(super) trait Rows {
    /// Registers a resource; pass the id to each of its spans.
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId;
    /// Takes one span; `false` asks the decoder to stop.
    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool;
    /// Counts a span that could not be read at all.
    fn reject(&mut self, code: &'static str, why: &str);
    /// What a span or event attribute is good for and the rank of its spelling; the value of any other need not be read.
    fn classify(&self, key: &str) -> Option<(Slot, u8)> {
        self.classify_raw(key.as_bytes())
    }
    /// [`Rows::classify`] of a key that may not be UTF-8.
    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)>;
    /// The resource that the same bytes, whatever their encoding, were [learnt](Rows::learn_resource) to stand for.
    fn known_resource(&mut self, _raw: &[u8]) -> Option<ResourceId> {
        None
    }
    /// Remembers what bytes stand for, right after [`Rows::resource`] gave the id.
    fn learn_resource(&mut self, _raw: &[u8], _id: ResourceId) {}
}

#[cfg(test)]
impl<'a> Known<'a> {
    /// Those of some attributes that the conventions name.
    pub(super) fn of(attributes: &Attributes<'a>) -> Self {
        let mut known = Self::default();
        for &(key, value) in attributes {
            if let Some((slot, rank)) = crate::spans::semconv::slot(key) {
                known.put(slot, rank, value);
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_spelling_wins_then_the_first_and_what_says_nothing_never() {
        let mut known = Known::default();
        for (rank, value) in
            [(2, "old"), (1, " "), (1, "new"), (1, "again"), (2, "old again"), (0, "")].map(|(r, v)| (r, Value::Str(v)))
        {
            known.put(Slot::Address, rank, value);
        }
        known.put(Slot::Url, 0, Value::Other);
        assert_eq!((known.get(Slot::Address), known.get(Slot::Url)), (Some(Value::Str("new")), None));
        for (text, useless) in [("\u{2003}", true), ("é", false), ("", true)] {
            assert_eq!([Value::Str(text), Value::Raw(text.as_bytes())].map(Value::is_useless), [useless; 2]);
        }
        assert!(!Value::Raw(b"\xff").is_useless() && !Value::Raw(b"\xff").is_sound());
        known.clear();
        assert_eq!(known.get(Slot::Address), None);
        known.put(Slot::Address, 5, Value::Bool(false));
        assert_eq!(known.get(Slot::Address), Some(Value::Bool(false)));
    }
}
