//! What is around the spans in a JSON document, and what the document is when it holds no spans.

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::shape::{Found, Hoping, Shape, next_key};
use super::span::{AttributeList, JsonSpan, Pairs, SpanShape, skip, views};
use crate::source::view::Rows;
use crate::spans::ResourceId;

/// What a document was found to hold; several at once where it is a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::source) struct Kinds(u16);

impl Kinds {
    /// OTLP spans, perhaps none of them.
    pub(in crate::source) const TRACES: Self = Self(1);
    /// OTLP logs.
    pub(in crate::source) const LOGS: Self = Self(1 << 1);
    /// OTLP metrics.
    pub(in crate::source) const METRICS: Self = Self(1 << 2);
    /// OTLP profiles.
    pub(in crate::source) const PROFILES: Self = Self(1 << 3);
    /// Jaeger's own JSON.
    pub(in crate::source) const JAEGER: Self = Self(1 << 4);
    /// Zipkin v2 JSON.
    pub(in crate::source) const ZIPKIN: Self = Self(1 << 5);
    /// Tempo's answer to a search: traces without their spans.
    pub(in crate::source) const SUMMARY: Self = Self(1 << 6);
    /// Something else.
    pub(in crate::source) const OTHER: Self = Self(1 << 7);
    /// Zipkin v1 JSON.
    pub(in crate::source) const ZIPKIN_V1: Self = Self(1 << 8);
    /// An answer of Jaeger that says it is not whole.
    pub(in crate::source) const PARTIAL: Self = Self(1 << 9);

    /// Whether anything of `other` is in it.
    pub(in crate::source) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Both together.
    pub(in crate::source) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where spans go, and how far a repeated attempt at a document has to skip.
pub(super) struct Target<'r> {
    pub(super) rows: &'r mut dyn Rows,
    /// Spans met so far.
    pub(super) seen: u64,
    /// Spans already handed over by an earlier attempt.
    pub(super) skip: u64,
    /// The receiver wants no more.
    pub(super) stopped: bool,
}

impl Target<'_> {
    /// Hands over a span as read, unless an earlier attempt did; `false` when the receiver wants no more.
    pub(super) fn hand_over(&mut self, found: &Found<()>, span: &JsonSpan<'_>, resource: ResourceId) -> bool {
        if let Found::Null = found {
            return true;
        }
        self.seen += 1;
        if self.seen <= self.skip {
            return true;
        }
        if let Found::Wrong = found {
            self.rows.reject("span-malformed", "a span was left out: it is not a JSON object");
            return true;
        }
        span.emit(resource, self.rows)
    }
}

/// Wrappers inside wrappers that are looked into: `[{"result": {"resourceSpans": …}}]` has two.
pub(super) const MAX_DEPTH: u8 = 4;

/// A whole document, or what a wrapper holds.
pub(super) struct Envelope<'t, 'r> {
    pub(super) target: &'t mut Target<'r>,
    pub(super) depth: u8,
}

impl<'de> Shape<'de> for Envelope<'_, '_> {
    type Out = Kinds;

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<Kinds>, A::Error> {
        let mut kinds = Kinds::default();
        loop {
            let found = if self.depth >= MAX_DEPTH {
                list.next_element::<IgnoredAny>()?.map(|_| Found::Wrong)
            } else {
                list.next_element_seed(Hoping(Envelope { target: self.target, depth: self.depth + 1 }))?
            };
            match found {
                Some(Found::Value(one)) => kinds = kinds.and(one),
                Some(Found::Null) => {}
                Some(Found::Wrong) => kinds = kinds.and(Kinds::OTHER),
                None => return Ok(Found::Value(kinds)),
            }
        }
    }

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<Kinds>, A::Error> {
        let Self { target, depth } = self;
        let mut kinds = Kinds::default();
        let mut marks = Marks::default();
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                "resourceSpans" | "resource_spans" | "batches" => {
                    match object.next_value_seed(Hoping(Resources(target)))? {
                        Found::Wrong => return Err(A::Error::custom(format!("`{key}` is not a list"))),
                        _ => kinds = kinds.and(Kinds::TRACES),
                    }
                    continue;
                }
                "resourceLogs" | "resource_logs" => kinds = kinds.and(Kinds::LOGS),
                "resourceMetrics" | "resource_metrics" => kinds = kinds.and(Kinds::METRICS),
                "resourceProfiles" | "resource_profiles" => kinds = kinds.and(Kinds::PROFILES),
                "result" | "trace" | "data" | "traces" if depth < MAX_DEPTH => {
                    let inner = Envelope { target, depth: depth + 1 };
                    match object.next_value_seed(Hoping(inner))? {
                        Found::Value(inner) => kinds = kinds.and(inner),
                        Found::Null => {}
                        Found::Wrong => marks.other = true,
                    }
                    continue;
                }
                key => marks.see(key),
            }
            skip(&mut object)?;
        }
        Ok(Found::Value(kinds.and(marks.kinds(kinds))))
    }
}

/// Keys that tell what an object is.
#[derive(Default)]
pub(super) struct Marks {
    jaeger_id: bool,
    jaeger_part: bool,
    summary_part: bool,
    trace_id: bool,
    id: bool,
    other: bool,
}

impl Marks {
    /// Notes a key.
    pub(super) fn see(&mut self, key: &str) {
        match key {
            "traceID" => self.jaeger_id = true,
            "spans" | "processes" | "operationName" => self.jaeger_part = true,
            "rootServiceName" | "rootTraceName" | "spanSet" | "spanSets" | "durationMs" => self.summary_part = true,
            "traceId" => self.trace_id = true,
            "id" => self.id = true,
            _ => self.other = true,
        }
    }

    /// What the keys say, given what else was found.
    pub(super) fn kinds(&self, known: Kinds) -> Kinds {
        if self.jaeger_id && self.jaeger_part {
            Kinds::JAEGER
        } else if self.summary_part && (self.jaeger_id || self.trace_id) {
            Kinds::SUMMARY
        } else if self.trace_id && self.id {
            Kinds::ZIPKIN
        } else if known == Kinds::default()
            && (self.other || self.jaeger_id || self.jaeger_part || self.trace_id || self.id || self.summary_part)
        {
            Kinds::OTHER
        } else {
            Kinds::default()
        }
    }
}

/// The list of `ResourceSpans`.
struct Resources<'t, 'r>(&'t mut Target<'r>);

impl<'de> Shape<'de> for Resources<'_, '_> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        while let Some(found) = list.next_element_seed(Hoping(OneResource(self.0)))? {
            if let Found::Wrong = found {
                return Err(A::Error::custom("an element of `resourceSpans` is not an object"));
            }
        }
        Ok(Found::Value(()))
    }
}

struct OneResource<'t, 'r>(&'t mut Target<'r>);

impl<'de> Shape<'de> for OneResource<'_, '_> {
    type Out = ();

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<()>, A::Error> {
        let target = self.0;
        let mut resource = None;
        let mut waiting: Vec<&'de RawValue> = Vec::new();
        while let Some(key) = next_key(&mut object)? {
            match key.as_ref() {
                "resource" => {
                    let mut pairs = Vec::new();
                    object.next_value_seed(Hoping(Resource(&mut pairs)))?;
                    resource = Some(target.rows.resource(&views(&pairs)));
                }
                "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" | "instrumentation_library_spans" => {
                    let Some(resource) = resource else {
                        // The spans come before who emitted them: read them afterwards.
                        waiting.push(object.next_value()?);
                        continue;
                    };
                    scopes(object.next_value_seed(Hoping(Scopes { target, resource }))?)?;
                }
                _ => skip(&mut object)?,
            }
        }
        for raw in waiting {
            let resource = *resource.get_or_insert_with(|| target.rows.resource(&[]));
            let mut reader = serde_json::Deserializer::from_str(raw.get());
            let found = Hoping(Scopes { target, resource }).deserialize(&mut reader).map_err(A::Error::custom)?;
            scopes(found)?;
        }
        Ok(Found::Value(()))
    }
}

fn scopes<E: Error>(found: Found<()>) -> Result<(), E> {
    match found {
        Found::Wrong => Err(E::custom("`scopeSpans` is not a list")),
        _ => Ok(()),
    }
}

/// Who emitted the spans.
pub(super) struct Resource<'a, 'de>(pub(super) &'a mut Pairs<'de>);

impl<'de> Shape<'de> for Resource<'_, 'de> {
    type Out = ();

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<()>, A::Error> {
        while let Some(key) = next_key(&mut object)? {
            if key == "attributes" {
                object.next_value_seed(Hoping(AttributeList { pairs: self.0, wants: &|_| true }))?;
            } else {
                skip(&mut object)?;
            }
        }
        Ok(Found::Value(()))
    }
}

struct Scopes<'t, 'r> {
    target: &'t mut Target<'r>,
    resource: ResourceId,
}

impl<'de> Shape<'de> for Scopes<'_, '_> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        let Self { target, resource } = self;
        while let Some(found) = list.next_element_seed(Hoping(Scope { target, resource }))? {
            if let Found::Wrong = found {
                return Err(A::Error::custom("an element of `scopeSpans` is not an object"));
            }
        }
        Ok(Found::Value(()))
    }
}

struct Scope<'t, 'r> {
    target: &'t mut Target<'r>,
    resource: ResourceId,
}

impl<'de> Shape<'de> for Scope<'_, '_> {
    type Out = ();

    fn object<A: MapAccess<'de>>(self, mut object: A) -> Result<Found<()>, A::Error> {
        let Self { target, resource } = self;
        while let Some(key) = next_key(&mut object)? {
            if key != "spans" {
                skip(&mut object)?;
            } else if let Found::Wrong = object.next_value_seed(Hoping(Spans { target, resource }))? {
                return Err(A::Error::custom("`spans` is not a list"));
            }
        }
        Ok(Found::Value(()))
    }
}

struct Spans<'t, 'r> {
    target: &'t mut Target<'r>,
    resource: ResourceId,
}

impl<'de> Shape<'de> for Spans<'_, '_> {
    type Out = ();

    fn list<A: SeqAccess<'de>>(self, mut list: A) -> Result<Found<()>, A::Error> {
        let Self { target, resource } = self;
        let mut span = JsonSpan::default();
        loop {
            let rows = &*target.rows;
            let wants = |key: &str| rows.classify(key).is_some();
            let Some(found) = list.next_element_seed(Hoping(SpanShape { span: &mut span, wants: &wants }))? else {
                return Ok(Found::Value(()));
            };
            if !target.hand_over(&found, &span, resource) {
                target.stopped = true;
                return Err(A::Error::custom("the receiver stopped"));
            }
        }
    }
}
