//! A whole trace by id: OTLP `TracesData` as [`SpanView`]s.
//!
//! Input: the body of `GET /api/v2/traces/{id}` (or v1). Output: views for the mapper. Must not: talk to anyone.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::trace::v1::{Span, TracesData};
use prost::Message;

use super::wire::{PartialStatus, TraceByIdResponse};
use crate::source::mapper::{EventView, Mapper, SpanView, Value};
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

    /// Start of the first span, Unix nanoseconds; `None` for an empty trace.
    pub(super) fn start(&self) -> Option<u64> {
        self.each().map(|span| span.start_time_unix_nano).min()
    }

    /// Whether a span says in its trace state that it was sampled (`ot=…th:`), which no search can tell.
    pub(super) fn sampled(&self) -> bool {
        self.each().any(|span| {
            span.trace_state.split(',').filter_map(|member| member.trim().strip_prefix("ot=")).any(|ot| {
                ot.split(';').any(|field| field.starts_with("th:") || field.starts_with("p:"))
            })
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
                mapper.span(resource, &view(span));
            }
        }
    }
}

fn view(span: &Span) -> SpanView<'_> {
    SpanView {
        trace_id: trace_id(&span.trace_id),
        span_id: span_id(&span.span_id),
        parent_id: span_id(&span.parent_span_id),
        name: &span.name,
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status_code: span.status.as_ref().map_or(0, |status| status.code),
        trace_state: &span.trace_state,
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(|e| EventView { name: &e.name, attributes: attributes(&e.attributes) }).collect(),
        links: span.links.iter().map(|l| (trace_id(&l.trace_id), span_id(&l.span_id))).collect(),
    }
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
