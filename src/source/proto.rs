//! OTLP protobuf → rows, by way of prost: the reference path.
//!
//! Input: one `TracesData` or `ExportTraceServiceRequest` (the same on the wire), or already decoded `ResourceSpans`.
//! Each resource's spans are decoded apart, so that memory follows the largest of them, not the message. Where prost
//! refuses one (a string that is not UTF-8, a field of another type), its spans are decoded one by one, and only the bad
//! ones are left out.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message as _;

use super::view::{Known, Rows, SpanView, Value};
use super::wire::{self, Broken};
use super::wire_id;
use crate::spans::semconv::Slot;
use crate::spans::{ResourceId, SpanId, TraceId};

/// Decodes a `TracesData` or `ExportTraceServiceRequest`.
///
/// # Errors
/// [`Broken`] when the framing is cut short or the bytes are no protobuf. What was appended before stays.
#[cfg(test)]
pub(super) fn decode(message: &[u8], rows: &mut dyn Rows) -> Result<(), Broken> {
    for field in wire::fields(message) {
        let field = field?;
        let (1, Some(bytes)) = (field.number, field.bytes) else { continue };
        if !one_resource(bytes, rows)? {
            break;
        }
    }
    Ok(())
}

/// Appends the spans of one encoded `ResourceSpans`; `false` when the receiver wants no more.
pub(super) fn one_resource(bytes: &[u8], rows: &mut dyn Rows) -> Result<bool, Broken> {
    match ResourceSpans::decode(bytes) {
        Ok(spans) if !spans.scope_spans.is_empty() || !has_library_spans(bytes) => Ok(resource_spans(&spans, rows)),
        _ => one_by_one(bytes, rows),
    }
}

/// Appends the spans of one resource; `false` when the receiver wants no more.
pub(super) fn resource_spans(resource_spans: &ResourceSpans, rows: &mut dyn Rows) -> bool {
    let attributes = resource_spans.resource.as_ref().map(|r| r.attributes.as_slice()).unwrap_or_default();
    let resource = rows.resource(&views(attributes));
    let mut spans = resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans);
    spans.all(|one| span(resource, one, rows))
}

/// `scope_spans`.
pub(super) const SCOPE_SPANS: u64 = 2;
/// `instrumentation_library_spans` as it was called and numbered in the spring of 2022, between its time as field 2 and its
/// end; the same on the wire as `scope_spans`. By the protocol it counts only where there are no `scope_spans`.
pub(super) const LIBRARY_SPANS: u64 = 1_000;

/// Whether a `ResourceSpans` has that field, which the generated types do not know any more.
fn has_library_spans(message: &[u8]) -> bool {
    wire::fields(message).any(|field| field.is_ok_and(|field| field.number == LIBRARY_SPANS))
}

/// The slow way through one `ResourceSpans`: message by message, leaving out what cannot be decoded.
fn one_by_one(message: &[u8], rows: &mut dyn Rows) -> Result<bool, Broken> {
    // The resource may come after its spans on the wire.
    let parts = wire::fields(message).collect::<Result<Vec<_>, _>>()?;
    let of = |number| parts.iter().filter(move |f| f.number == number).filter_map(|f| f.bytes);
    let attributes: Vec<_> = of(1).flat_map(resource_attributes).collect();
    let resource = rows.resource(&views(&attributes));
    let scopes = if of(SCOPE_SPANS).next().is_some() { SCOPE_SPANS } else { LIBRARY_SPANS };
    for scope in of(scopes) {
        for field in wire::fields(scope) {
            let field = field?;
            let (2, Some(bytes)) = (field.number, field.bytes) else { continue };
            if !one_span(bytes, resource, rows) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// The attributes of an encoded `Resource`; where it cannot be decoded, those that can.
fn resource_attributes(bytes: &[u8]) -> Vec<KeyValue> {
    let good = |f: Result<wire::Field<'_>, Broken>| {
        KeyValue::decode(f.ok().filter(|f| f.number == RESOURCE_ATTRIBUTES)?.bytes?).ok()
    };
    match Resource::decode(bytes) {
        Ok(resource) => resource.attributes,
        Err(_) => wire::fields(bytes).filter_map(good).collect(),
    }
}

/// Registers an encoded `Resource`.
pub(super) fn resource(bytes: &[u8], rows: &mut dyn Rows) -> ResourceId {
    rows.resource(&views(&resource_attributes(bytes)))
}

/// `Resource.attributes`.
const RESOURCE_ATTRIBUTES: u64 = 1;

/// Appends one encoded span, or counts why not; `false` when the receiver wants no more.
pub(super) fn one_span(bytes: &[u8], resource: ResourceId, rows: &mut dyn Rows) -> bool {
    match Span::decode(bytes) {
        Ok(one) => span(resource, &one, rows),
        Err(error) => {
            rows.reject("span-malformed", &format!("a span was left out: {error}"));
            true
        }
    }
}

fn span(resource: ResourceId, span: &Span, rows: &mut dyn Rows) -> bool {
    let parent_id = match wire_id::span_id_bytes(&span.parent_span_id) {
        Ok(id) => id,
        Err(crate::spans::IdError::Empty) => SpanId::NONE,
        Err(error) => {
            rows.reject("parent-id-invalid", &format!("a span was left out: parent span id: {error}"));
            return true;
        }
    };
    let exception = span.events.iter().find(|event| event.name == "exception");
    let exception_type = exception.and_then(|event| known(&event.attributes, rows).get(Slot::ExceptionType));
    let links = span.links.iter().map(|link| (trace_id(&link.trace_id), span_id(&link.span_id)));
    let view = SpanView {
        trace_id: trace_id(&span.trace_id),
        span_id: span_id(&span.span_id),
        parent_id,
        name: &span.name,
        raw_name: &[],
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status_code: span.status.as_ref().map_or(0, |status| status.code),
        trace_state: &span.trace_state,
        known: known(&span.attributes, rows),
        exception_type,
        links: links.collect(),
    };
    rows.span(resource, &view)
}

fn trace_id(bytes: &[u8]) -> TraceId {
    wire_id::trace_id_bytes(bytes).unwrap_or_default()
}

fn span_id(bytes: &[u8]) -> SpanId {
    wire_id::span_id_bytes(bytes).unwrap_or_default()
}

fn views(attributes: &[KeyValue]) -> Vec<(&str, Value<'_>)> {
    attributes.iter().map(|pair| (pair.key.as_str(), value(pair.value.as_ref()))).collect()
}

fn known<'a>(attributes: &'a [KeyValue], rows: &dyn Rows) -> Known<'a> {
    let mut known = Known::default();
    for pair in attributes {
        if let Some((slot, rank)) = rows.classify(&pair.key) {
            known.put(slot, rank, value(pair.value.as_ref()));
        }
    }
    known
}

fn value(value: Option<&AnyValue>) -> Value<'_> {
    use any_value::Value as Wire;
    match value.and_then(|v| v.value.as_ref()) {
        Some(Wire::StringValue(text)) => Value::Str(text),
        Some(Wire::IntValue(n)) => Value::Int(*n),
        Some(Wire::DoubleValue(x)) => Value::Double(*x),
        Some(Wire::BoolValue(b)) => Value::Bool(*b),
        _ => Value::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::mapper::Mapper;
    use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Status, TracesData, span::Event, span::Link};
    use proptest::prelude::*;

    fn text(key: &str, value: &str) -> KeyValue {
        let value = Some(AnyValue { value: Some(any_value::Value::StringValue(value.into())) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    }

    fn sample() -> Span {
        Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "SELECT orders".into(),
            kind: 3,
            start_time_unix_nano: 5,
            end_time_unix_nano: 9,
            attributes: vec![text("db.system", "mysql"), text("db.statement", "SELECT 1")],
            events: vec![Event {
                name: "exception".into(),
                attributes: vec![text("exception.type", "E")],
                ..Event::default()
            }],
            links: vec![Link { trace_id: vec![4; 16], span_id: vec![5; 8], ..Link::default() }],
            status: Some(Status { code: 2, ..Status::default() }),
            ..Span::default()
        }
    }

    fn message(spans: Vec<Span>) -> Vec<u8> {
        let resource = Some(Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() });
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { resource, scope_spans, ..ResourceSpans::default() }];
        TracesData { resource_spans }.encode_to_vec()
    }

    #[test]
    fn a_span_becomes_a_row_with_peer_error_and_link() {
        let mut mapper = Mapper::default();
        decode(&message(vec![sample()]), &mut mapper).unwrap();
        let batch = &mapper.batch;
        let row = batch.rows[0];
        assert_eq!(batch.resources()[row.resource.0 as usize].name, "cart");
        assert_eq!(batch.peers()[row.peer.0 as usize].system, "mysql");
        assert_eq!(batch.errors()[row.error.0 as usize].exception_type, "E");
        assert_eq!(batch.links.len(), 1);
        assert_eq!((row.parent_id, row.duration()), (SpanId(0x0303_0303_0303_0303), 4));
    }

    #[test]
    fn the_library_spans_of_2022_count_where_there_are_no_scope_spans() {
        let spans = |number: u32, name: &str| {
            let mut out = Vec::new();
            let span = Span { name: name.into(), ..sample() };
            let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() }.encode_to_vec();
            prost::encoding::bytes::encode(number, &scope, &mut out);
            out
        };
        let resource = Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() };
        let mut head = Vec::new();
        prost::encoding::message::encode(1, &resource, &mut head);
        for (parts, want) in [
            (vec![head.clone(), spans(1_000, "a"), spans(1_000, "b")], &["a", "b"][..]),
            (vec![spans(1_000, "a"), head.clone()], &["a"]),
            (vec![head.clone(), spans(1_000, "a"), spans(2, "b")], &["b"]),
        ] {
            let mut bytes = Vec::new();
            prost::encoding::bytes::encode(1, &parts.concat(), &mut bytes);
            let mut mapper = Mapper::default();
            decode(&bytes, &mut mapper).unwrap();
            let batch = &mapper.batch;
            let names: Vec<_> = batch.rows.iter().map(|row| batch.strings.get(row.name)).collect();
            assert_eq!(names, want);
            assert!(batch.rows.iter().all(|row| batch.resources()[row.resource.0 as usize].name == "cart"));
        }
    }

    #[test]
    fn one_bad_span_is_left_out_and_its_neighbours_stay() {
        let mut bytes = message(vec![sample(), Span { name: "MARK".into(), ..sample() }, sample()]);
        let at = bytes.windows(4).position(|w| w == b"MARK").unwrap();
        bytes[at] = 0xff;
        let mut mapper = Mapper::default();
        decode(&bytes, &mut mapper).unwrap();
        assert_eq!(mapper.batch.rows.len(), 2);
        assert_eq!(mapper.rejected.get("span-malformed"), Some(&1));
        assert_eq!(mapper.batch.resources()[mapper.batch.rows[0].resource.0 as usize].name, "cart");
    }

    #[test]
    fn a_bad_resource_attribute_costs_only_itself() {
        let mut bytes = message(vec![sample()]);
        let at = bytes.windows(4).position(|w| w == b"cart").unwrap();
        bytes[at] = 0xff;
        let mut mapper = Mapper::default();
        decode(&bytes, &mut mapper).unwrap();
        assert_eq!(mapper.batch.rows.len(), 1);
    }

    #[test]
    fn ids_of_a_wrong_length_are_refused_under_their_code() {
        let bad = [
            Span { trace_id: vec![1; 5], ..sample() },
            Span { span_id: vec![1; 5], ..sample() },
            Span { parent_span_id: vec![1; 5], ..sample() },
            Span { trace_id: vec![1; 8], parent_span_id: vec![0; 8], ..sample() },
        ];
        let mut mapper = Mapper::default();
        decode(&message(bad.to_vec()), &mut mapper).unwrap();
        assert_eq!(mapper.batch.rows.len(), 1);
        let codes: Vec<_> = mapper.rejected.keys().map(String::as_str).collect();
        assert_eq!(codes, ["parent-id-invalid", "span-id-invalid", "trace-id-invalid"]);
    }

    #[test]
    fn a_message_cut_short_is_broken() {
        let bytes = message(vec![sample()]);
        assert_eq!(decode(&bytes[..bytes.len() - 1], &mut Mapper::default()), Err(Broken));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in any::<usize>(), to in any::<u8>()) {
            let _ = decode(&bytes, &mut Mapper::default());
            let mut near = message(vec![sample(), sample()]);
            let at = at % near.len();
            near[at] = to;
            let _ = decode(&near, &mut Mapper::default());
        }
    }
}
