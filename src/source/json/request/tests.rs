use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, EntityRef, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::source::compression;
use crate::source::json::documents;
use crate::source::mapper::Mapper;
use crate::source::otlp_wire::Walker;

fn try_convert(text: &str) -> Result<(Vec<u8>, Converted), JsonError> {
    let mut out = vec![7];
    let converted = convert::<()>(text, &mut out, &mut |_| Ok(())).unwrap();
    assert_eq!(out.remove(0), 7, "what was there stays");
    assert!(converted.is_ok() || out.is_empty(), "{text}");
    assert!(out.len() <= text.len() + text.len() / 2, "{text}: {}", out.len());
    converted.map(|converted| (out, converted))
}

fn message(text: &str) -> (ExportTraceServiceRequest, Converted) {
    let (bytes, converted) = try_convert(text).unwrap();
    (ExportTraceServiceRequest::decode(&bytes[..]).unwrap(), converted)
}

fn around(spans: &str) -> String {
    format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{spans}]}}]}}]}}"#)
}

fn span(fields: &str) -> Span {
    let (mut request, converted) = message(&around(&format!("{{{fields}}}")));
    assert!(converted.refused.is_empty(), "{fields}: {converted:?}");
    request.resource_spans.remove(0).scope_spans.remove(0).spans.remove(0)
}

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: any(value), ..KeyValue::default() }
}

#[test]
fn every_field_there_is_arrives() {
    let text = r#"{"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "cart"}}],
                     "droppedAttributesCount": 3,
                     "entityRefs": [{"schemaUrl": "e", "type": "service", "idKeys": ["a", "b"], "descriptionKeys": ["c"]}]},
        "scopeSpans": [{
            "scope": {"name": "s", "version": "1", "attributes": [{"key": "k", "value": {"boolValue": true}}],
                      "droppedAttributesCount": 1},
            "spans": [{
                "traceId": "0a6f8898263eec68fafd01cee4d45f03", "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173",
                "traceState": "ot=th:8", "flags": 257, "name": "GET \u00e9", "kind": 3,
                "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1544712661000000000,
                "attributes": [
                    {"key": "text", "value": {"stringValue": ""}}, {"key": "no", "value": {"boolValue": false}},
                    {"key": "int", "value": {"intValue": "-5"}}, {"key": "bare", "value": {"intValue": 6}},
                    {"key": "double", "value": {"doubleValue": 2}}, {"key": "odd", "value": {"doubleValue": "-Infinity"}},
                    {"key": "bytes", "value": {"bytesValue": "AQID"}}, {"key": "empty", "value": {}}, {"key": "none"},
                    {"key": "array", "value": {"arrayValue": {"values": [{"stringValue": "x"}, {"intValue": "0"}]}}},
                    {"key": "list", "value": {"kvlistValue": {"values": [{"key": "in", "value": {"arrayValue": {}}}]}}}],
                "droppedAttributesCount": 4,
                "events": [{"timeUnixNano": "9", "name": "exception", "droppedAttributesCount": 5,
                            "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
                "droppedEventsCount": 6,
                "links": [{"traceId": "0A6F8898263EEC68FAFD01CEE4D45F04", "spanId": "eee19b7ec3c1b175", "traceState": "a=b",
                           "attributes": [{"key": "l", "value": {"stringValue": "m"}}], "droppedAttributesCount": 7, "flags": 1}],
                "droppedLinksCount": 8, "status": {"message": "no", "code": 2}, "unknown": {"spans": [1]}}],
            "schemaUrl": "u"}],
        "schemaUrl": "r", "future": [[[]]]}], "extra": null}"#;
    let trace = |last: u8| {
        let mut id = 0x0a6f_8898_263e_ec68_fafd_01ce_e4d4_5f00_u128.to_be_bytes();
        id[15] = last;
        id.to_vec()
    };
    let id = |n: u64| (0xeee1_9b7e_c3c1_b100 + n).to_be_bytes().to_vec();
    let strings = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    let values =
        vec![AnyValue { value: Some(Value::StringValue("x".into())) }, AnyValue { value: Some(Value::IntValue(0)) }];
    let span = Span {
        trace_id: trace(3),
        span_id: id(0x74),
        trace_state: "ot=th:8".into(),
        parent_span_id: id(0x73),
        flags: 257,
        name: "GET é".into(),
        kind: 3,
        start_time_unix_nano: 1_544_712_660_000_000_000,
        end_time_unix_nano: 1_544_712_661_000_000_000,
        attributes: vec![
            pair("text", Value::StringValue(String::new())),
            pair("no", Value::BoolValue(false)),
            pair("int", Value::IntValue(-5)),
            pair("bare", Value::IntValue(6)),
            pair("double", Value::DoubleValue(2.0)),
            pair("odd", Value::DoubleValue(f64::NEG_INFINITY)),
            pair("bytes", Value::BytesValue(vec![1, 2, 3])),
            KeyValue { key: "empty".into(), value: Some(AnyValue::default()), ..KeyValue::default() },
            KeyValue { key: "none".into(), ..KeyValue::default() },
            pair("array", Value::ArrayValue(ArrayValue { values })),
            pair(
                "list",
                Value::KvlistValue(KeyValueList { values: vec![pair("in", Value::ArrayValue(ArrayValue::default()))] }),
            ),
        ],
        dropped_attributes_count: 4,
        events: vec![Event {
            time_unix_nano: 9,
            name: "exception".into(),
            attributes: vec![pair("exception.type", Value::StringValue("E".into()))],
            dropped_attributes_count: 5,
        }],
        dropped_events_count: 6,
        links: vec![Link {
            trace_id: trace(4),
            span_id: id(0x75),
            trace_state: "a=b".into(),
            attributes: vec![pair("l", Value::StringValue("m".into()))],
            dropped_attributes_count: 7,
            flags: 1,
        }],
        dropped_links_count: 8,
        status: Some(Status { message: "no".into(), code: 2 }),
    };
    let want = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![pair("service.name", Value::StringValue("cart".into()))],
                dropped_attributes_count: 3,
                entity_refs: vec![EntityRef {
                    schema_url: "e".into(),
                    r#type: "service".into(),
                    id_keys: strings(&["a", "b"]),
                    description_keys: strings(&["c"]),
                }],
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "s".into(),
                    version: "1".into(),
                    attributes: vec![pair("k", Value::BoolValue(true))],
                    dropped_attributes_count: 1,
                }),
                spans: vec![span],
                schema_url: "u".into(),
            }],
            schema_url: "r".into(),
        }],
    };
    let (found, converted) = message(text);
    assert_eq!(found, want);
    assert_eq!(converted, Converted { spans: true, others: true, ..Converted::default() });
}

/// All that can be told of rows, with their dictionaries in their order.
fn told(mapper: &Mapper) -> String {
    let batch = &mapper.batch;
    let names = (0..batch.strings.len() as u32).map(|i| batch.strings.get(crate::spans::Sym(i)));
    let names: Vec<_> = names.collect();
    let (resources, peers, errors) = (batch.resources(), batch.peers(), batch.errors());
    let rows = format!("{:#?} {:?} {names:#?}", batch.rows, batch.links);
    format!("{rows} {resources:#?} {peers:#?} {errors:#?} {:?} {:?}", mapper.rejected, mapper.repaired)
}

#[test]
fn real_bodies_mean_in_protobuf_what_they_mean_in_json() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for dir in ["tests/data/jaeger/otlp", "tests/data/otel-contrib-servicegraph", "tests/data/tempo"] {
        files.extend(std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.push(root.join("examples/onlineboutique/before.otlp.jsonl.zst"));
    files.push(root.join("examples/aisoc/traces.otlp.jsonl.zst"));
    let (mut bodies, mut spans) = (0, 0);
    for file in files {
        let bytes = std::fs::read(&file).unwrap_or_default();
        let mut text = Vec::new();
        let (mut reader, _) = compression::unpack(Box::new(&bytes[..])).unwrap();
        let _ = std::io::Read::read_to_end(&mut reader, &mut text);
        let Ok(text) = String::from_utf8(text) else { continue };
        let documents_of_it: Vec<&str> =
            if text.trim_start().starts_with("{\n") { vec![&text] } else { text.lines().collect() };
        for body in documents_of_it {
            let Ok((bytes, converted)) = try_convert(body) else { continue };
            if !converted.spans {
                continue;
            }
            let (mut by_json, mut by_protobuf) = (Mapper::default(), Mapper::default());
            documents(body.as_bytes(), &mut by_json).unwrap();
            assert!(Walker::new(Vec::new()).message(&bytes, &mut by_protobuf).unwrap());
            assert_eq!(told(&by_json), told(&by_protobuf), "{}", file.display());
            (bodies, spans) = (bodies + 1, spans + by_json.batch.rows.len());
        }
    }
    assert!(bodies > 30 && spans > 5_000, "{bodies} bodies, {spans} spans");
}

#[test]
fn odd_spellings_are_read_as_files_are() {
    let usual = span(r#""traceId":"0a6f8898263eec68fafd01cee4d45f03","spanId":"0000000000000001","kind":2"#);
    for other in [
        r#""trace_id":"Cm+ImCY+7Gj6/QHO5NRfAw==","span_id":"1","kind":"SPAN_KIND_SERVER""#,
        r#""traceId":"0x0A6F8898263EEC68FAFD01CEE4D45F03","spanId":"AAAAAAAAAAE=","kind":"2","links":null,"parentSpanId":"""#,
    ] {
        assert_eq!(span(other), usual, "{other}");
    }
    assert_eq!(span(r#""status":2"#).status.unwrap().code, 2);
    assert_eq!(span(r#""status":{"code":"STATUS_CODE_ERROR"}"#).status.unwrap().code, 2);
    let bare = span(
        r#""attributes":[{"value":"x","key":"a"},{"key":"b","value":1},{"key":"c","value":1.5},{"key":"d","value":true},7]"#,
    );
    let want = [
        pair("a", Value::StringValue("x".into())),
        pair("b", Value::IntValue(1)),
        pair("c", Value::DoubleValue(1.5)),
        pair("d", Value::BoolValue(true)),
    ];
    assert_eq!(bare.attributes, want);
    assert_eq!(span(r#""links":[5]"#).links, [Link::default()], "counted where spans are read");
    // Half a pair of surrogates, as JavaScript cuts texts, and what Python takes for numbers.
    assert_eq!(span(r#""name":"a\ud83d""#).name, "a\u{fffd}");
    assert_eq!(span(r#""name":"b\udc00","attributes":[{"key":"x","value":{"doubleValue":NaN}}]"#).attributes.len(), 1);
    let scopes =
        r#"{"resourceSpans":[{"instrumentationLibrarySpans":[{"instrumentationLibrary":{"name":"n"},"spans":[{}]}]}]}"#;
    let (request, _) = message(scopes);
    assert_eq!(request.resource_spans[0].scope_spans[0].scope.as_ref().unwrap().name, "n");
}

#[test]
fn a_span_that_cannot_be_written_costs_only_itself() {
    let good = r#"{"name":"good"}"#;
    for (bad, code) in [
        (r#"{"name":5}"#, "span-malformed"),
        (r#"{"kind":[]}"#, "span-malformed"),
        (r#"{"attributes":{}}"#, "span-malformed"),
        (r#"{"events":1}"#, "span-malformed"),
        (r#"{"status":"x","links":{}}"#, "span-malformed"),
        (r#"{"startTimeUnixNano":1.5}"#, "span-time-invalid"),
        (r#"{"endTimeUnixNano":"soon"}"#, "span-time-invalid"),
        ("17", "span-malformed"),
    ] {
        let mut out = Vec::new();
        let converted = convert(&around(&format!("{good},{bad},null,{good}")), &mut out, &mut |_| Ok::<(), ()>(()));
        let converted = converted.unwrap().unwrap();
        // It keeps its place, as one that nobody can read.
        let inside = |bytes: &[u8], number: u64| -> Vec<Vec<u8>> {
            let fields = crate::source::wire::fields(bytes).map(Result::unwrap);
            fields.filter(|f| f.number == number).map(|f| f.bytes.unwrap().to_vec()).collect()
        };
        let spans = inside(&inside(&inside(&out, 1)[0], 2)[0], 2);
        let names: Vec<_> = spans.iter().map(|s| Span::decode(&s[..]).ok().map(|s| s.name)).collect();
        assert_eq!(names, [Some("good".to_owned()), None, Some("good".to_owned())], "{bad}");
        assert_eq!(converted.refused, BTreeMap::from([(code, 1)]), "{bad}");
    }
    // Where the reader of protobuf has a code for it, that reader counts.
    assert_eq!(span(r#""traceId":"xyz","spanId":7,"parentSpanId":"?""#).parent_span_id, [0]);
    assert_eq!(span(r#""flags":"?","droppedLinksCount":-1,"startTimeUnixNano":5"#).start_time_unix_nano, 5);
}

#[test]
fn what_is_no_request_is_told() {
    for (text, trouble) in [
        ("", Trouble::CutShort),
        (r#"{"resourceSpans":["#, Trouble::CutShort),
        ("nonsense", Trouble::Syntax),
        ("{} {}", Trouble::Syntax),
        ("[]", Trouble::Shape),
        ("null", Trouble::Shape),
        (r#"{"resourceSpans":{}}"#, Trouble::Shape),
        (r#"{"resourceSpans":[7]}"#, Trouble::Shape),
        (r#"{"resourceSpans":[{"scopeSpans":1}]}"#, Trouble::Shape),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":{}}]}]}"#, Trouble::Shape),
    ] {
        assert_eq!(try_convert(text).map_err(|e| e.trouble).unwrap_err(), trouble, "{text}");
    }
    for (text, spans, others) in
        [("{}", false, false), (r#"{"resourceSpans":null}"#, true, false), (r#"{"resourceLogs":[]}"#, false, true)]
    {
        let (bytes, converted) = try_convert(text).unwrap();
        assert_eq!((bytes.len(), converted.spans, converted.others), (0, spans, others), "{text}");
    }
    // However many bare scalars there are in a list: they are nothing to anybody.
    let bare =
        format!(r#"{{"attributes":[{{"key":"k","value":{{"arrayValue":{{"values":[{}1]}}}}}}]}}"#, "1e9,".repeat(99));
    assert!(try_convert(&around(&bare)).unwrap().0.len() < 40);
    // However deep it nests.
    let deep = format!("{}1{}", r#"{"arrayValue":{"values":["#.repeat(60), "]}}".repeat(60));
    let _ = try_convert(&around(&format!(r#"{{"attributes":[{{"key":"k","value":{deep}}}]}}"#)));
    let open = "[".repeat(100_000);
    assert!(try_convert(&format!(r#"{{"x":{open}"#)).is_err());
    let mended = convert::<u8>(&around(r#"{"name":"\ud83d"}"#), &mut Vec::new(), &mut |_| Err(9));
    assert_eq!(mended.unwrap_err(), 9, "no room for a text set right");
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}", cut in 0usize..400, fields in "[\\[\\]{}:,\"a-z0-9 ]{0,40}") {
        let _ = try_convert(&text);
        let whole = around(&format!(r#"{{"traceId":"A","attributes":[{{"key":"k","value":{{"intValue":"5"}}}}],{fields}}}"#));
        let _ = try_convert(&whole);
        let _ = try_convert(whole.get(..cut.min(whole.len())).unwrap_or_default());
    }
}
