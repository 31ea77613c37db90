//! One OTLP span in JSON, in every spelling seen in real files.

use std::borrow::Cow;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::shape::{Found, Hoping, Scalar, Shape, next_key};
use crate::source::view::{Known, Rows, SpanView, Value};
use crate::source::wire_id;
use crate::spans::semconv::Slot;
use crate::spans::{IdError, ResourceId, SpanId, TraceId};

/// Attributes as read: the strings borrow from the document unless they hold escapes.
pub(super) type Pairs<'de> = Vec<(Cow<'de, str>, Attribute<'de>)>;

/// An attribute value as read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Attribute<'de> {
    Text(Cow<'de, str>),
    Int(i64),
    Double(f64),
    Bool(bool),
    #[default]
    Other,
}

impl Attribute<'_> {
    fn view(&self) -> Value<'_> {
        match self {
            Self::Text(text) => Value::Str(text),
            Self::Int(n) => Value::Int(*n),
            Self::Double(x) => Value::Double(*x),
            Self::Bool(b) => Value::Bool(*b),
            Self::Other => Value::Other,
        }
    }
}

/// A resource's pairs as the mapper takes them.
pub(super) fn views<'a>(pairs: &'a Pairs<'_>) -> Vec<(&'a str, Value<'a>)> {
    pairs.iter().map(|(key, value)| (key.as_ref(), value.view())).collect()
}

pub(super) fn known<'a>(pairs: &'a [(Cow<'_, str>, Attribute<'_>)], rows: &dyn Rows) -> Known<'a> {
    let mut known = Known::default();
    for (key, value) in pairs {
        if let Some((slot, rank)) = rows.classify(key) {
            known.put(slot, rank, value.view());
        }
    }
    known
}

/// A span as read; reused from span to span.
#[derive(Debug, Default)]
pub(super) struct JsonSpan<'de> {
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: SpanId,
    name: Cow<'de, str>,
    kind: i32,
    start: u64,
    end: u64,
    status: i32,
    trace_state: Cow<'de, str>,
    attributes: Pairs<'de>,
    exception: Option<Pairs<'de>>,
    links: Vec<(TraceId, SpanId)>,
    /// The first thing that makes it unreadable: code and reason.
    bad: Option<(&'static str, &'static str)>,
}

impl JsonSpan<'_> {
    fn reset(&mut self) {
        let (mut attributes, mut links) = (std::mem::take(&mut self.attributes), std::mem::take(&mut self.links));
        attributes.clear();
        links.clear();
        *self = Self { attributes, links, ..Self::default() };
    }

    /// Hands the span over; `false` when the receiver wants no more.
    pub(super) fn emit(&self, resource: ResourceId, rows: &mut dyn Rows) -> bool {
        if let Some((code, why)) = self.bad {
            rows.reject(code, &format!("a span (trace {}, span {}) was left out: {why}", self.trace_id, self.span_id));
            return true;
        }
        let exception_type = self.exception.as_ref().and_then(|pairs| known(pairs, &*rows).get(Slot::ExceptionType));
        let view = SpanView {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            name: &self.name,
            raw_name: &[],
            kind: self.kind,
            start: self.start,
            end: self.end,
            status_code: self.status,
            trace_state: &self.trace_state,
            known: known(&self.attributes, &*rows),
            exception_type,
            links: self.links.clone(),
        };
        rows.span(resource, &view)
    }

    fn bad(&mut self, code: &'static str, why: &'static str) {
        self.bad.get_or_insert((code, why));
    }
}

/// Reads one span into a [`JsonSpan`].
pub(super) struct SpanShape<'a, 'de> {
    pub(super) span: &'a mut JsonSpan<'de>,
    pub(super) wants: &'a dyn Fn(&str) -> bool,
}

impl<'de> Shape<'de> for SpanShape<'_, 'de> {
    type Out = ();

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<()>, A::Error> {
        const MALFORMED: &str = "span-malformed";
        let Self { span, wants } = self;
        span.reset();
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                // An id that cannot be read stays zero, which the mapper refuses under the id's own code.
                "traceId" | "trace_id" => span.trace_id = trace_id(&object.next_value()?).unwrap_or_default(),
                "spanId" | "span_id" => span.span_id = span_id(&object.next_value()?).unwrap_or_default(),
                "parentSpanId" | "parent_span_id" => match span_id(&object.next_value()?) {
                    Ok(id) => span.parent_id = id,
                    Err(IdError::Empty) => span.parent_id = SpanId::NONE,
                    Err(_) => span.bad("parent-id-invalid", "its parent span id is neither hex nor base64"),
                },
                "name" => match text(object.next_value()?) {
                    Some(name) => span.name = name,
                    None => span.bad(MALFORMED, "its name is not a string"),
                },
                "kind" => match number(&object.next_value()?, "SPAN_KIND_", &KINDS) {
                    Some(kind) => span.kind = kind,
                    None => span.bad(MALFORMED, "its kind is neither a number nor a name"),
                },
                "startTimeUnixNano" | "start_time_unix_nano" => match nanos(&object.next_value()?) {
                    Some(time) => span.start = time,
                    None => span.bad("span-time-invalid", "its start is not a whole number of nanoseconds"),
                },
                "endTimeUnixNano" | "end_time_unix_nano" => match nanos(&object.next_value()?) {
                    Some(time) => span.end = time,
                    None => span.bad("span-time-invalid", "its end is not a whole number of nanoseconds"),
                },
                "status" => match object.next_value_seed(Hoping(Status))? {
                    Found::Value(code) => span.status = code,
                    Found::Null => {}
                    Found::Wrong => span.bad(MALFORMED, "its status cannot be read"),
                },
                "traceState" | "trace_state" => match text(object.next_value()?) {
                    Some(state) => span.trace_state = state,
                    None => span.bad(MALFORMED, "its trace state is not a string"),
                },
                "attributes" => {
                    let pairs = AttributeList { pairs: &mut span.attributes, wants };
                    if let Found::Wrong = object.next_value_seed(Hoping(pairs))? {
                        span.bad(MALFORMED, "its attributes are not a list");
                    }
                }
                "events" => {
                    let events = EventList { exception: &mut span.exception, wants };
                    if let Found::Wrong = object.next_value_seed(Hoping(events))? {
                        span.bad(MALFORMED, "its events are not a list");
                    }
                }
                "links" => {
                    if let Found::Wrong = object.next_value_seed(Hoping(LinkList(&mut span.links)))? {
                        span.bad(MALFORMED, "its links are not a list");
                    }
                }
                _ => skip(&mut object)?,
            }
        }
        Ok(Found::Value(()))
    }
}

/// A list of `{"key": …, "value": …}`.
pub(super) struct AttributeList<'a, 'de> {
    pub(super) pairs: &'a mut Pairs<'de>,
    pub(super) wants: &'a dyn Fn(&str) -> bool,
}

impl<'de> Shape<'de> for AttributeList<'_, 'de> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        while let Some(pair) = list.next_element_seed(Hoping(Pair { wants: self.wants }))? {
            // A pair that is no pair costs only itself.
            if let Found::Value(Some(pair)) = pair {
                self.pairs.push(pair);
            }
        }
        Ok(Found::Value(()))
    }
}

struct Pair<'a> {
    wants: &'a dyn Fn(&str) -> bool,
}

impl<'de> Shape<'de> for Pair<'_> {
    type Out = Option<(Cow<'de, str>, Attribute<'de>)>;

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Self::Out>, A::Error> {
        let (mut key, mut value) = (None, Attribute::Other);
        while let Some(field) = next_key(&mut object)? {
            match field.as_ref() {
                "key" => key = text(object.next_value()?),
                "value" if key.as_ref().is_none_or(|key| (self.wants)(key)) => {
                    if let Found::Value(found) = object.next_value_seed(Hoping(AnyValue))? {
                        value = found;
                    }
                }
                _ => skip(&mut object)?,
            }
        }
        Ok(Found::Value(key.filter(|key| (self.wants)(key)).map(|key| (key, value))))
    }
}

struct AnyValue;

impl<'de> Shape<'de> for AnyValue {
    type Out = Attribute<'de>;

    /// A bare scalar instead of `{"stringValue": …}`.
    fn scalar(self, scalar: Scalar<'de>) -> Found<Attribute<'de>> {
        Found::Value(match scalar {
            Scalar::Text(text) => Attribute::Text(text),
            Scalar::Bool(b) => Attribute::Bool(b),
            Scalar::Unsigned(n) => i64::try_from(n).map_or(Attribute::Other, Attribute::Int),
            Scalar::Negative(n) => Attribute::Int(n),
            Scalar::Float(x) => Attribute::Double(x),
            Scalar::Null | Scalar::Other => Attribute::Other,
        })
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Attribute<'de>>, A::Error> {
        let mut value = Attribute::Other;
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                "stringValue" | "string_value" => {
                    value = text(object.next_value()?).map_or(Attribute::Other, Attribute::Text);
                }
                "boolValue" | "bool_value" | "intValue" | "int_value" | "doubleValue" | "double_value" => {
                    // Numbers come bare or quoted; `"NaN"` and `"Infinity"` are numbers to protobuf JSON.
                    value = match object.next_value()? {
                        Scalar::Text(text) => quoted(&text),
                        scalar => match self.scalar(scalar) {
                            Found::Value(value) => value,
                            _ => Attribute::Other,
                        },
                    };
                    return finish(object, value);
                }
                _ => skip(&mut object)?,
            }
        }
        Ok(Found::Value(value))
    }
}

fn finish<'de, A: MapAccess<'de>>(mut object: A, value: Attribute<'de>) -> Result<Found<Attribute<'de>>, A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(Found::Value(value))
}

pub(super) fn quoted<'de>(text: &str) -> Attribute<'de> {
    if let Ok(n) = text.trim().parse() {
        return Attribute::Int(n);
    }
    match text.trim() {
        "true" => Attribute::Bool(true),
        "false" => Attribute::Bool(false),
        other => other.parse().map_or(Attribute::Other, Attribute::Double),
    }
}

/// Keeps the attributes of the first `exception` event; the other events do not matter.
struct EventList<'a, 'de> {
    exception: &'a mut Option<Pairs<'de>>,
    wants: &'a dyn Fn(&str) -> bool,
}

impl<'de> Shape<'de> for EventList<'_, 'de> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        while let Some(found) = list.next_element_seed(Hoping(Event { wants: self.wants }))? {
            if let Found::Value((true, pairs)) = found {
                self.exception.get_or_insert(pairs);
            }
        }
        Ok(Found::Value(()))
    }
}

struct Event<'a> {
    wants: &'a dyn Fn(&str) -> bool,
}

impl<'de> Shape<'de> for Event<'_> {
    /// Whether it is an exception, and its attributes.
    type Out = (bool, Pairs<'de>);

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Self::Out>, A::Error> {
        let (mut is_exception, mut pairs) = (false, Vec::new());
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                "name" => is_exception = text(object.next_value()?).is_some_and(|name| name == "exception"),
                "attributes" => {
                    object.next_value_seed(Hoping(AttributeList { pairs: &mut pairs, wants: self.wants }))?;
                }
                _ => skip(&mut object)?,
            }
        }
        Ok(Found::Value((is_exception, pairs)))
    }
}

struct LinkList<'a>(&'a mut Vec<(TraceId, SpanId)>);

impl<'de> Shape<'de> for LinkList<'_> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        while let Some(link) = list.next_element_seed(Hoping(Link))? {
            match link {
                Found::Value(link) => self.0.push(link),
                // Counted by the mapper as an invalid link.
                Found::Wrong => self.0.push((TraceId(0), SpanId::NONE)),
                Found::Null => {}
            }
        }
        Ok(Found::Value(()))
    }
}

struct Link;

impl<'de> Shape<'de> for Link {
    type Out = (TraceId, SpanId);

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Self::Out>, A::Error> {
        let mut link = (TraceId(0), SpanId::NONE);
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                "traceId" | "trace_id" => link.0 = trace_id(&object.next_value()?).unwrap_or_default(),
                "spanId" | "span_id" => link.1 = span_id(&object.next_value()?).unwrap_or_default(),
                _ => skip(&mut object)?,
            }
        }
        Ok(Found::Value(link))
    }
}

/// `{"code": …}`, or the bare code.
struct Status;

impl<'de> Shape<'de> for Status {
    type Out = i32;

    fn scalar(self, scalar: Scalar<'de>) -> Found<i32> {
        match scalar {
            Scalar::Null => Found::Null,
            scalar => number(&scalar, "STATUS_CODE_", &STATUSES).map_or(Found::Wrong, Found::Value),
        }
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<i32>, A::Error> {
        let mut code = Some(0);
        while let Some(key) = next_key(&mut object)? {
            if key == "code" {
                code = number(&object.next_value()?, "STATUS_CODE_", &STATUSES);
            } else {
                skip(&mut object)?;
            }
        }
        Ok(code.map_or(Found::Wrong, Found::Value))
    }
}

pub(super) const KINDS: [&str; 6] = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
pub(super) const STATUSES: [&str; 3] = ["UNSET", "OK", "ERROR"];

/// An enum number: bare, quoted, or by name with or without its prefix, in any case. Unknown names are 0.
#[allow(clippy::cast_possible_truncation, reason = "checked to be a small whole number")]
pub(super) fn number(scalar: &Scalar<'_>, prefix: &str, names: &[&str]) -> Option<i32> {
    match scalar {
        Scalar::Null => Some(0),
        Scalar::Unsigned(n) => Some(i32::try_from(*n).unwrap_or(i32::MAX)),
        Scalar::Negative(_) => Some(-1),
        Scalar::Float(x) if x.fract() == 0.0 && x.abs() < 1e6 => Some(*x as i32),
        Scalar::Text(text) => {
            let text = text.trim();
            if let Ok(n) = text.parse() {
                return Some(n);
            }
            let upper = text.to_ascii_uppercase();
            let bare = upper.strip_prefix(prefix).unwrap_or(&upper);
            Some(names.iter().zip(0..).find(|(name, _)| **name == bare).map_or(0, |(_, n)| n))
        }
        Scalar::Bool(_) | Scalar::Float(_) | Scalar::Other => None,
    }
}

/// Unix nanoseconds, quoted or bare. A float cannot hold them, so it is refused rather than rounded.
pub(super) fn nanos(scalar: &Scalar<'_>) -> Option<u64> {
    match scalar {
        Scalar::Null => Some(0),
        Scalar::Unsigned(n) => Some(*n),
        Scalar::Text(text) if text.trim().is_empty() => Some(0),
        Scalar::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A string or nothing; `None` for other things.
fn text(scalar: Scalar<'_>) -> Option<Cow<'_, str>> {
    match scalar {
        Scalar::Text(text) => Some(text),
        Scalar::Null => Some(Cow::Borrowed("")),
        _ => None,
    }
}

pub(super) fn trace_id(scalar: &Scalar<'_>) -> Result<TraceId, IdError> {
    match scalar {
        Scalar::Text(text) => wire_id::trace_id(text),
        Scalar::Null => Err(IdError::Empty),
        _ => Err(IdError::Malformed),
    }
}

pub(super) fn span_id(scalar: &Scalar<'_>) -> Result<SpanId, IdError> {
    match scalar {
        Scalar::Text(text) => wire_id::span_id(text),
        Scalar::Null => Err(IdError::Empty),
        _ => Err(IdError::Malformed),
    }
}

pub(super) fn skip<'de, A: MapAccess<'de>>(object: &mut A) -> Result<(), A::Error> {
    object.next_value::<IgnoredAny>().map(|_| ())
}
