//! A whole trace by id: OTLP `TracesData` as [`SpanView`]s.
//!
//! Input: the body of `GET /api/v2/traces/{id}` (or v1). Output: views for the mapper. Must not: talk to anyone.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;

use super::wire::{PartialStatus, TraceByIdResponse};
use crate::source::mapper::Mapper;
use crate::source::view::{Known, SpanView, Value};
use crate::spans::semconv::Slot;
use crate::spans::{SpanId, TraceId};

/// A trace as the HTTP side gave it.
#[derive(Debug, Clone, Default)]
pub(super) struct Whole {
    pub(super) data: TracesData,
    /// Tempo itself left spans out (`max_bytes_per_trace`).
    pub(super) partial: bool,
}

impl Whole {
    /// Decodes a v2 body (in an envelope with a status) or a v1 body (bare).
    pub(super) fn decode(body: &[u8], enveloped: bool) -> Result<Self, prost::DecodeError> {
        if !enveloped {
            return Ok(Self { data: TracesData::decode(body)?, partial: false });
        }
        let envelope = TraceByIdResponse::decode(body)?;
        let partial = envelope.status() == PartialStatus::Partial;
        Ok(Self { data: TracesData::decode(envelope.trace.as_slice())?, partial })
    }

    /// Number of spans.
    pub(super) fn spans(&self) -> u64 {
        self.each().count() as u64
    }

    /// Whether every span is of this trace.
    pub(super) fn is_of(&self, id: TraceId) -> bool {
        self.each().all(|span| trace_id(&span.trace_id) == id)
    }

    /// Start of the first span, Unix nanoseconds; `None` for an empty trace.
    pub(super) fn start(&self) -> Option<u64> {
        self.each().map(|span| span.start_time_unix_nano).min()
    }

    /// Whether a span says in its trace state that it was sampled (`ot=…th:`), which no search can tell.
    pub(super) fn sampled(&self) -> bool {
        self.each().any(|span| {
            span.trace_state
                .split(',')
                .filter_map(|member| member.trim().strip_prefix("ot="))
                .any(|ot| ot.split(';').any(|field| field.starts_with("th:") || field.starts_with("p:")))
        })
    }

    fn each(&self) -> impl Iterator<Item = &Span> {
        self.data.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans)
    }

    /// Appends all spans.
    pub(super) fn map(&self, mapper: &mut Mapper) {
        for group in &self.data.resource_spans {
            let attributes = group.resource.as_ref().map(|r| attributes(&r.attributes)).unwrap_or_default();
            let resource = mapper.resource(&attributes);
            for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
                let view = view(span, mapper);
                mapper.span(resource, &view);
            }
        }
    }
}

fn view<'a>(span: &'a Span, mapper: &Mapper) -> SpanView<'a> {
    let exception = span.events.iter().find(|event| event.name == "exception");
    SpanView {
        trace_id: trace_id(&span.trace_id),
        span_id: span_id(&span.span_id),
        parent_id: span_id(&span.parent_span_id),
        name: &span.name,
        raw_name: &[],
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status_code: span.status.as_ref().map_or(0, |status| status.code),
        trace_state: &span.trace_state,
        known: known(&span.attributes, mapper),
        exception_type: exception.and_then(|event| known(&event.attributes, mapper).get(Slot::ExceptionType)),
        links: span.links.iter().map(|l| (trace_id(&l.trace_id), span_id(&l.span_id))).collect(),
    }
}

fn known<'a>(list: &'a [KeyValue], mapper: &Mapper) -> Known<'a> {
    let mut known = Known::default();
    for (key, value) in attributes(list) {
        if let Some((slot, rank)) = mapper.classify(key) {
            known.put(slot, rank, value);
        }
    }
    known
}

fn attributes(list: &[KeyValue]) -> Vec<(&str, Value<'_>)> {
    list.iter()
        .map(|attribute| {
            let value = match attribute.value.as_ref().and_then(|v| v.value.as_ref()) {
                Some(Any::StringValue(text)) => Value::Str(text),
                Some(Any::BoolValue(b)) => Value::Bool(*b),
                Some(Any::IntValue(i)) => Value::Int(*i),
                Some(Any::DoubleValue(d)) => Value::Double(*d),
                _ => Value::Other,
            };
            (attribute.key.as_str(), value)
        })
        .collect()
}

/// Ids may be shorter than 16 bytes; anything longer is none.
fn trace_id(bytes: &[u8]) -> TraceId {
    if bytes.len() > 16 { TraceId(0) } else { TraceId(bytes.iter().fold(0, |id, b| (id << 8) | u128::from(*b))) }
}

fn span_id(bytes: &[u8]) -> SpanId {
    if bytes.len() > 8 { SpanId::NONE } else { SpanId(bytes.iter().fold(0, |id, b| (id << 8) | u64::from(*b))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/data/tempo/traces/{name}.pb", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn decoded(name: &str) -> Whole {
        Whole::decode(&body(name), name.starts_with("v2")).unwrap()
    }

    #[test]
    fn recorded_bodies_of_both_versions_decode_to_the_same_trace() {
        let (v1, v2) = (decoded("v1_home"), decoded("v2_home"));
        assert_eq!((v1.spans(), v2.spans()), (9, 9));
        assert_eq!(v1.data, v2.data);
        assert!(!v2.partial && !v2.sampled());
    }

    #[test]
    fn a_large_trace_comes_whole_and_an_unknown_one_empty() {
        assert_eq!(decoded("v2_big_326_spans").spans(), 326);
        let unknown = decoded("v2_unknown_id");
        assert_eq!((unknown.spans(), unknown.start()), (0, None));
    }

    #[test]
    fn links_events_and_padded_ids_reach_the_view() {
        let links = decoded("v2_fraud_links");
        assert!(
            links
                .each()
                .map(|span| view(span, &Mapper::default()))
                .any(|span| !span.links.is_empty() && span.links.iter().all(|(t, s)| t.0 != 0 && !s.is_none()))
        );
        let error = decoded("v2_checkout_payment_error");
        let mut failed = error.each().filter(|span| span.status.as_ref().is_some_and(|status| status.code == 2));
        assert!(failed.any(|span| view(span, &Mapper::default()).exception_type.is_some()));
        let short = decoded("v2_short_id");
        assert!(
            short
                .each()
                .map(|span| view(span, &Mapper::default()))
                .all(|span| span.trace_id.to_string().starts_with('0'))
        );
    }

    #[test]
    fn a_body_cut_short_is_an_error() {
        let body = body("v2_home");
        assert!(Whole::decode(&body[..body.len() / 2], true).is_err());
    }

    #[test]
    fn a_threshold_in_the_trace_state_is_seen() {
        let mut whole = decoded("v2_home");
        let span = &mut whole.data.resource_spans[0].scope_spans[0].spans[0];
        span.trace_state = "vendor=x,ot=rv:ab;th:8".to_owned();
        assert!(whole.sampled());
    }
}
