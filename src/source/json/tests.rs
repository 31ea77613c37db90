use proptest::prelude::*;

use super::*;
use crate::source::mapper::Mapper;
use crate::spans::{PeerKind, SpanFlags, SpanId, SpanKind, SpanRow, TraceId, Weight};

/// One document.
fn document(bytes: &[u8], mapper: &mut Mapper) -> Result<Kinds, JsonError> {
    documents(bytes, mapper).map(|all| {
        assert_eq!(all.len(), 1);
        all[0]
    })
}

fn read(text: &str) -> (Result<Kinds, JsonError>, Mapper) {
    let mut mapper = Mapper::default();
    let result = document(text.as_bytes(), &mut mapper);
    (result, mapper)
}

/// A document around one span; the fields given come after (and so win over) the usual ones.
fn around(fields: &str) -> String {
    let usual = r#""traceId":"0a6f8898263eec68fafd01cee4d45f03","spanId":"eee19b7ec3c1b174","name":"GET /","kind":3,
        "startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000""#;
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"cart"}}}}]}},
        "scopeSpans":[{{"scope":{{}},"spans":[{{{usual}{fields}}}]}}]}}]}}"#
    )
}

fn row(fields: &str) -> SpanRow {
    let (result, mapper) = read(&around(fields));
    assert_eq!(result, Ok(Kinds::TRACES), "{fields}");
    assert!(mapper.rejected.is_empty(), "{fields}: {:?}", mapper.rejected);
    mapper.batch.rows[0]
}

fn rejected(fields: &str) -> String {
    let (result, mapper) = read(&around(fields));
    assert_eq!(result, Ok(Kinds::TRACES), "{fields}");
    assert_eq!((mapper.batch.rows.len(), mapper.rejected.len()), (0, 1), "{fields}");
    mapper.rejected.into_keys().next().unwrap()
}

#[test]
fn ids_in_every_spelling() {
    let usual = row("");
    assert_eq!(usual.trace_id, TraceId(0x0a6f_8898_263e_ec68_fafd_01ce_e4d4_5f03));
    for fields in [
        r#","traceId":"0A6F8898263EEC68FAFD01CEE4D45F03","spanId":"EEE19B7EC3C1B174""#,
        r#","traceId":"Cm+ImCY+7Gj6/QHO5NRfAw==","spanId":"7uGbfsPBsXQ=""#,
        r#","traceId":"Cm+ImCY+7Gj6\/QHO5NRfAw==""#,
        r#","traceId":"0x0a6f8898263eec68fafd01cee4d45f03""#,
        r#","traceId":"a6f8898263eec68fafd01cee4d45f03""#,
        r#","trace_id":"0a6f8898263eec68fafd01cee4d45f03","span_id":"eee19b7ec3c1b174""#,
        r#","parentSpanId":"","links":null,"parentSpanId":null"#,
        r#","parentSpanId":"0000000000000000""#,
    ] {
        assert_eq!(row(fields), usual, "{fields}");
    }
    assert_eq!(row(r#","traceId":"fafd01cee4d45f03""#).trace_id, TraceId(0xfafd_01ce_e4d4_5f03));
    for (fields, code) in [
        (r#","traceId":"not-an-id""#, "trace-id-invalid"),
        (r#","traceId":"""#, "trace-id-invalid"),
        (r#","traceId":null"#, "trace-id-invalid"),
        (r#","traceId":17"#, "trace-id-invalid"),
        (r#","spanId":"zz""#, "span-id-invalid"),
        (r#","spanId":"0a6f8898263eec68fafd01cee4d45f03""#, "span-id-invalid"),
        (r#","parentSpanId":"zz""#, "parent-id-invalid"),
        (r#","parentSpanId":[]"#, "parent-id-invalid"),
    ] {
        assert_eq!(rejected(fields), code, "{fields}");
    }
}

#[test]
fn enums_as_numbers_names_and_quoted_numbers() {
    for (kind, want) in [
        ("3", SpanKind::Client),
        ("3.0", SpanKind::Client),
        (r#""3""#, SpanKind::Client),
        (r#""SPAN_KIND_CLIENT""#, SpanKind::Client),
        (r#""client""#, SpanKind::Client),
        (r#""SPAN_KIND_PRODUCER""#, SpanKind::Producer),
        ("null", SpanKind::Unspecified),
        ("99", SpanKind::Unspecified),
        ("-1", SpanKind::Unspecified),
        (r#""WHATEVER""#, SpanKind::Unspecified),
    ] {
        assert_eq!(row(&format!(r#","kind":{kind}"#)).kind, want, "{kind}");
    }
    for (status, failed) in [
        ("{}", false),
        ("null", false),
        (r#"{"code":null}"#, false),
        (r#"{"code":2,"message":"x"}"#, true),
        (r#"{"code":"2"}"#, true),
        (r#"{"code":"STATUS_CODE_ERROR"}"#, true),
        (r#"{"code":"Error"}"#, true),
        (r#"{"code":"STATUS_CODE_OK"}"#, false),
        (r#""STATUS_CODE_ERROR""#, true),
    ] {
        assert_eq!(row(&format!(r#","status":{status}"#)).failed(), failed, "{status}");
    }
}

#[test]
fn times_keep_every_nanosecond_or_are_refused() {
    for time in ["1544712660000000001", r#""1544712660000000001""#, r#"" 1544712660000000001 ""#] {
        assert_eq!(row(&format!(r#","startTimeUnixNano":{time}"#)).start, 1_544_712_660_000_000_001, "{time}");
    }
    for time in ["1.544712660000000001e18", r#""1.5e18""#, "-5", "true", r#""soon""#, "{}", "99999999999999999999"] {
        assert_eq!(rejected(&format!(r#","endTimeUnixNano":{time}"#)), "span-time-invalid", "{time}");
    }
    assert!(row(r#","endTimeUnixNano":null"#).flags.has(SpanFlags::NO_DURATION));
    assert!(row(r#","end_time_unix_nano":"5""#).flags.has(SpanFlags::SKEWED));
    assert_eq!(rejected(r#","startTimeUnixNano":0,"endTimeUnixNano":"""#), "span-without-time");
}

#[test]
fn attribute_values_in_every_form() {
    let attributes = |value: &str| {
        let fields = format!(r#","attributes":[{{"key":"http.status_code","value":{value}}}]"#);
        let (_, mapper) = read(&around(&fields));
        assert_eq!(mapper.batch.rows.len(), 1, "{value}");
        mapper.batch.errors().last().map_or(0, |e| e.http_status)
    };
    for value in [
        r#"{"intValue":"503"}"#,
        r#"{"intValue":503}"#,
        r#"{"int_value":503}"#,
        r#"{"stringValue":"503"}"#,
        r#"{"doubleValue":503.0}"#,
        r#"{"doubleValue":"503"}"#,
        "503",
        r#""503""#,
    ] {
        assert_eq!(attributes(value), 503, "{value}");
    }
    for value in [
        "null",
        "{}",
        r#"{"arrayValue":{}}"#,
        r#"{"arrayValue":{"values":[{"intValue":503}]}}"#,
        r#"{"kvlistValue":{}}"#,
        r#"{"bytesValue":"AAA="}"#,
        r#"{"doubleValue":"NaN"}"#,
        r#"{"doubleValue":"-Infinity"}"#,
        r#"{"stringValue":null}"#,
        r#"{"intValue":"99999999999999999999999"}"#,
        "[1]",
    ] {
        assert_eq!(attributes(value), 0, "{value}");
    }
    let value_first = r#","attributes":[null,5,{},{"value":{"stringValue":"redis"},"key":"db.system"},{"key":"x"}]"#;
    let (_, mapper) = read(&around(value_first));
    assert_eq!(mapper.batch.peers()[1].kind, PeerKind::Database);
}

#[test]
fn bare_numbers_of_python_are_no_values_and_cost_nothing_else() {
    for word in ["NaN", "Infinity", "-Infinity"] {
        let fields = format!(
            r#","attributes":[{{"key":"x\\\"NaN","value":{{"doubleValue": {word}}}}},{{"key":"db.system","value":{{"stringValue":"redis"}}}},{{"key":"y","value":{word}}}],"NaN":[{word}]"#
        );
        let (result, mapper) =
            read(&format!("[{}]", [around(""), around(&fields), around(r#","name":"\ud800 Infinity""#)].join(",")));
        assert_eq!((result.map(|k| k == Kinds::TRACES), mapper.batch.rows.len()), (Ok(true), 3), "{word}");
        assert_eq!(mapper.batch.peers()[1].kind, PeerKind::Database);
        assert!(mapper.rejected.is_empty());
        assert_eq!(rejected(&format!(r#","endTimeUnixNano":{word}"#)), "span-time-invalid", "{word}");
        let broken = format!("{}\n{{\"a\": {word}, \"b\": Nan}}", around(""));
        let (error, mapper) = read(&broken);
        let (line, column) = (broken.lines().count(), 6 + word.len() + 8);
        let error = error.unwrap_err();
        assert_eq!((error.trouble, error.line, error.column), (Trouble::Syntax, line, column), "{error:?}");
        assert_eq!(mapper.batch.rows.len(), 1);
    }
}

#[test]
fn nulls_and_unknown_fields_everywhere_change_nothing() {
    let nulls = r#","attributes":null,"events":null,"links":null,"status":null,"traceState":null,"flags":"256",
        "droppedAttributesCount":"0","futureField":{"a":[1,{"b":null}]}"#;
    assert_eq!(row(nulls), row(""));
    for text in [
        r#"{"resourceSpans":null}"#,
        r#"{"resourceSpans":[null]}"#,
        r#"{"resourceSpans":[{"resource":null,"scopeSpans":null}]}"#,
        r#"{"resourceSpans":[{"scopeSpans":[null,{"spans":null},{"spans":[null]}]}]}"#,
    ] {
        let (result, mapper) = read(text);
        assert_eq!((result, mapper.batch.rows.len(), mapper.rejected.len()), (Ok(Kinds::TRACES), 0, 0), "{text}");
    }
}

#[test]
fn envelopes_in_every_spelling() {
    let usual = around("");
    let (_, want) = read(&usual);
    let inner = usual.strip_prefix(r#"{"resourceSpans":"#).unwrap().strip_suffix('}').unwrap();
    for text in [
        format!(r#"{{"batches":{inner}}}"#),
        format!(r#"{{"resource_spans":{inner}}}"#),
        format!(r#"{{"result":{usual}}}"#),
        format!(r#"{{"trace":{usual},"metrics":{{}}}}"#),
        format!("[{usual}]"),
        usual.replace("scopeSpans", "instrumentationLibrarySpans"),
        usual.replace("scopeSpans", "scope_spans").replace("resourceSpans", "resource_spans"),
    ] {
        let (result, mapper) = read(&text);
        assert_eq!((result, &mapper.batch.rows), (Ok(Kinds::TRACES), &want.batch.rows), "{text}");
        assert_eq!(mapper.batch.resources()[1].name, "cart");
    }
}

#[test]
fn a_resource_after_its_spans_is_still_theirs() {
    let text = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"1","spanId":"2","startTimeUnixNano":5}]}],
        "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"late"}}]}}]}"#;
    let (result, mapper) = read(text);
    assert_eq!(result, Ok(Kinds::TRACES));
    assert_eq!(mapper.batch.resources()[mapper.batch.rows[0].resource.0 as usize].name, "late");
}

#[test]
fn duplicate_fields_are_no_error() {
    let (result, mapper) = read(
        r#"{"resourceSpans":[],"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"1","spanId":"2",
        "spanId":"3","startTimeUnixNano":5}]},{"spans":[],"spans":[7]}]}]}"#,
    );
    assert_eq!(result, Ok(Kinds::TRACES));
    assert_eq!(mapper.batch.rows[0].span_id, SpanId(3));
    assert_eq!(mapper.rejected.get("span-malformed"), Some(&1));
}

#[test]
fn one_span_that_fits_nothing_leaves_its_neighbours() {
    let usual = around("");
    let start = usual.find(r#"{"traceId""#).unwrap();
    let good = &usual[start..usual.len() - "]}]}]}".len()];
    for bad in
        [r#"{"name":5}"#, r#"{"attributes":"x"}"#, r#"{"events":{}}"#, r#"{"links":1}"#, r#"{"kind":{}}"#, "[[]]", "5"]
    {
        let (result, mapper) = read(&usual.replace(good, &format!("{good},{bad},{good}")));
        assert_eq!((result, mapper.batch.rows.len()), (Ok(Kinds::TRACES), 2), "{bad}");
        assert_eq!(mapper.rejected.get("span-malformed"), Some(&1), "{bad}");
    }
}

#[test]
fn exceptions_links_and_trace_state_are_read() {
    let fields = r#","status":{"code":2},"traceState":"ot=th:8","events":[{"name":"log"},
        {"attributes":[{"key":"exception.type","value":{"stringValue":"Boom\u0021"}}],"name":"exception"},null],
        "links":[{"traceId":"00000000000000000000000000000007","spanId":"0000000000000008"},{},5,null]"#;
    let (_, mapper) = read(&around(fields));
    let row = mapper.batch.rows[0];
    assert_eq!(mapper.batch.errors()[row.error.0 as usize].exception_type, "Boom!");
    assert_eq!(row.weight, Weight::whole(2));
    assert_eq!((mapper.batch.links.len(), mapper.repaired.get("link-invalid")), (1, Some(&2)));
}

#[test]
fn a_document_without_spans_is_told_apart() {
    for (text, kinds) in [
        ("{}", Kinds::default()),
        ("[]", Kinds::default()),
        (r#"{"result":{}}"#, Kinds::default()),
        (r#"{"foo":1}"#, Kinds::OTHER),
        ("5", Kinds::OTHER),
        (r#"{"resourceLogs":[{}]}"#, Kinds::LOGS),
        (r#"{"resourceMetrics":[{}]}"#, Kinds::METRICS),
        (r#"{"traces":[{"traceID":"a","rootServiceName":"x","durationMs":5}],"metrics":{}}"#, Kinds::SUMMARY),
        (r#"{"data":[{"traceID":"a","spans":[],"processes":{}}],"total":0}"#, Kinds::JAEGER),
        (r#"{"data":{"traceID":"a","spans":[]}}"#, Kinds::JAEGER),
        (r#"{"traceID":"a","spans":[],"processes":{}}"#, Kinds::JAEGER),
        (r#"{"traceID":"a","spanID":"b","operationName":"x"}"#, Kinds::JAEGER),
        (r#"{"data":[{"traceID":"a","spans":[]}],"errors":[{"code":404}]}"#, Kinds::JAEGER.and(Kinds::PARTIAL)),
        (r#"[{"traceId":"a","id":"b","name":"get"}]"#, Kinds::ZIPKIN),
        (r#"[[{"traceId":"a","id":"b","name":"get"}]]"#, Kinds::ZIPKIN),
        (r#"[{"traceId":"a","id":"b","binaryAnnotations":[]}]"#, Kinds::ZIPKIN.and(Kinds::ZIPKIN_V1)),
        (r#"{"status":"success","data":{"resultType":"matrix"}}"#, Kinds::OTHER),
    ] {
        let (result, mapper) = read(text);
        assert_eq!((result, mapper.batch.rows.len()), (Ok(kinds), 0), "{text}");
    }
}

#[test]
fn broken_json_names_its_place() {
    let trouble = |text: &str| {
        let error = read(text).0.unwrap_err();
        (error.trouble, error.line, error.column)
    };
    assert_eq!(trouble("{\"resourceSpans\":[\n{]}"), (Trouble::Syntax, 2, 2));
    assert_eq!(trouble("{\"resourceSpans\":[\n{}"), (Trouble::CutShort, 2, 2));
    assert_eq!(trouble(r#"{"resourceSpans":{}}"#).0, Trouble::Shape);
    assert_eq!(trouble(r#"{"resourceSpans":[{"scopeSpans":5}]}"#).0, Trouble::Shape);
    assert_eq!(trouble("{}\n{}}"), (Trouble::Syntax, 2, 3));
}

#[test]
fn documents_may_follow_each_other() {
    let one = around("");
    let mut mapper = Mapper::default();
    let all = documents(format!("{one}{one}\n{{}}\n\n{one}\n").as_bytes(), &mut mapper);
    assert_eq!(all, Ok(vec![Kinds::TRACES, Kinds::TRACES, Kinds::default(), Kinds::TRACES]));
    assert_eq!(mapper.batch.rows.len(), 3);
    // A second attempt does not repeat what the first one handed over.
    let broken = around(r#","name":"\ud83d""#);
    let mut mapper = Mapper::default();
    assert!(documents(format!("{one}\n{broken}\n{one}").as_bytes(), &mut mapper).is_ok());
    assert_eq!(mapper.batch.rows.len(), 3);
}

#[test]
fn depth_of_nesting_cannot_overflow_the_stack() {
    for (open, close) in [("[", "]"), ("{\"data\":", "}"), ("{\"x\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        assert_eq!(read(&deep).0, Ok(Kinds::OTHER));
        assert_eq!(
            row(&format!(r#","x":{deep},"attributes":[{{"key":"db.name","value":{{"arrayValue":{deep}}}}}]"#)),
            row("")
        );
    }
}

#[test]
fn text_that_is_not_unicode_costs_only_its_characters() {
    let name = |name: &str| {
        let (result, mapper) = read(&around(&format!(r#","name":"{name}""#)));
        assert_eq!((result, mapper.batch.rows.len()), (Ok(Kinds::TRACES), 1), "{name}");
        mapper.batch.strings.get(mapper.batch.rows[0].name).to_owned()
    };
    assert_eq!(name(r"a\ud83d"), "a\u{fffd}");
    assert_eq!(name(r"a\udc00b"), "a\u{fffd}b");
    assert_eq!(name(r"\ud83d\ude00\ud83dx"), "😀\u{fffd}x");
    assert_eq!(name(r"\\ud83d"), r"\ud83d");
    let mut bytes = around("").into_bytes();
    let at = bytes.windows(5).position(|w| w == b"GET /").unwrap();
    bytes[at] = 0xff;
    let mut mapper = Mapper::default();
    assert_eq!(document(&bytes, &mut mapper), Ok(Kinds::TRACES));
    assert_eq!(mapper.batch.rows.len(), 1);
}

/// The span that a document of another system holds.
fn foreign_row(text: &str) -> (SpanRow, Mapper) {
    let (result, mapper) = read(text);
    assert!(result.is_ok() && mapper.rejected.is_empty(), "{text}: {:?}", mapper.rejected);
    assert_eq!(mapper.batch.rows.len(), 1, "{text}");
    (mapper.batch.rows[0], mapper)
}

/// A Jaeger trace around one span; the fields come before the usual ones, which must not repeat them.
fn jaeger(fields: &str) -> String {
    format!(
        r#"{{"traceID":"ab","spans":[{{{fields}"spanID":"c","operationName":"get","startTime":5}}],
        "processes":{{"p1":{{"serviceName":"cart","tags":[{{"key":"k8s.pod.name","type":"string","value":"cart-1"}},7]}}}}}}"#
    )
}

#[test]
fn a_span_of_jaeger_means_what_it_means_in_otlp() {
    let (row, mapper) = foreign_row(&jaeger(
        r#""processID":"p1","duration":7,"tags":[{"key":"span.kind","type":"string","value":"client"},{"key":"error","type":"bool",
        "value":"true"},{"key":"http.status_code","type":"int64","value":"503"},{"key":"peer.service","value":"pay"},
        {"key":"w3c.tracestate","value":"ot=th:8"}],"logs":[{"fields":[{"key":"event","value":"exception"},
        {"key":"exception.type","value":"Boom"}]}],"references":[{"refType":"FOLLOWS_FROM","traceID":"ab","spanID":"d"},
        {"refType":"CHILD_OF","traceID":"cd","spanID":"e"},{"refType":"CHILD_OF","traceID":"ab","spanID":"f"}],"#,
    ));
    assert_eq!((row.trace_id, row.span_id, row.parent_id), (TraceId(0xab), SpanId(0xc), SpanId(0xf)));
    assert_eq!((row.start, row.end, row.kind, row.weight), (5_000, 12_000, SpanKind::Client, Weight::whole(2)));
    let links: Vec<_> = mapper.batch.links.iter().map(|link| (link.trace_id.0, link.span_id.0)).collect();
    assert_eq!(links, [(0xab, 0xd), (0xcd, 0xe)]);
    let (error, peer) = (&mapper.batch.errors()[row.error.0 as usize], &mapper.batch.peers()[row.peer.0 as usize]);
    assert_eq!((error.exception_type.as_str(), peer.kind, peer.name.as_str()), ("Boom", PeerKind::Service, "pay"));
    let resource = &mapper.batch.resources()[row.resource.0 as usize];
    assert_eq!((resource.name.as_str(), resource.attributes.len()), ("cart", 1));
    // Without a duration, by the first FOLLOWS_FROM, by the old field, by itself.
    let (row, _) = foreign_row(&jaeger(r#""references":[{"refType":"FOLLOWS_FROM","traceID":"ab","spanID":"d"}],"#));
    assert!(row.flags.has(SpanFlags::NO_DURATION) && row.parent_id == SpanId(0xd) && !row.flags.has(SpanFlags::ERROR));
    assert_eq!(foreign_row(&jaeger(r#""parentSpanID":"9","#)).0.parent_id, SpanId(9));
    let alone = r#"{"traceID":"1","spanID":"2","operationName":"x","startTime":5,"process":{"serviceName":"es"}}"#;
    let (row, mapper) = foreign_row(alone);
    assert_eq!(mapper.batch.resources()[row.resource.0 as usize].name, "es");
}

#[test]
fn a_span_of_zipkin_means_what_it_means_in_otlp() {
    let around = |fields: &str| format!(r#"[{{"traceId":"ab","id":"c","timestamp":5,{fields}}}]"#);
    let (row, mapper) = foreign_row(&around(
        r#""kind":"CLIENT","duration":7,"parentId":"d","name":"get","localEndpoint":{"serviceName":"web"},
        "remoteEndpoint":{"serviceName":"api","ipv4":"10.0.0.1"},"tags":{"error":"","k8s.pod.name":"web-1","x":{}}"#,
    ));
    assert_eq!((row.trace_id, row.span_id, row.parent_id), (TraceId(0xab), SpanId(0xc), SpanId(0xd)));
    assert_eq!((row.start, row.end, row.kind), (5_000, 12_000, SpanKind::Client));
    let peer = &mapper.batch.peers()[row.peer.0 as usize];
    assert_eq!((peer.name.as_str(), peer.address.as_str(), row.flags.has(SpanFlags::ERROR)), ("api", "10.0.0.1", true));
    let resource = &mapper.batch.resources()[row.resource.0 as usize];
    assert_eq!((resource.name.as_str(), resource.attributes.len()), ("web", 1));
    let (row, _) = foreign_row(&around(r#""tags":{"error":"false"},"duration":null"#));
    assert_eq!(
        (row.flags.has(SpanFlags::ERROR), row.kind, row.flags.has(SpanFlags::NO_DURATION)),
        (false, SpanKind::Internal, true)
    );
    // As a Collector exports what Zipkin has no place for.
    let exported = r#""annotations":[{"timestamp":6,"value":"retry"},
        {"timestamp":7,"value":"exception|{\"exception.message\":\"a|b\",\"exception.type\":\"Boom\"}|0"}],
        "tags":{"otel.status_code":"STATUS_CODE_ERROR","w3c.tracestate":"ot=th:8",
        "otlp.link.0":"000000000000000000000000000000cd|000000000000000e||{\"k\":\"a|b\"}|0","otlp.link.1":"\"ab\"|\"f\"|x=y|{}|0"}"#;
    let (row, mapper) = foreign_row(&around(exported));
    let links: Vec<_> = mapper.batch.links.iter().map(|link| (link.trace_id.0, link.span_id.0)).collect();
    assert_eq!(links, [(0xcd, 0xe), (0xab, 0xf)]);
    assert_eq!(mapper.batch.errors()[row.error.0 as usize].exception_type, "Boom");
    assert_eq!(row.weight, Weight::whole(2));
    // The address of a caller is no peer.
    let (row, _) = foreign_row(&around(r#""kind":"SERVER","remoteEndpoint":{"ipv6":"::1"}"#));
    assert_eq!(row.peer.0, 0);
}

#[test]
fn what_fits_nothing_in_jaeger_and_zipkin_is_counted_and_costs_no_neighbour() {
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let good = r#"{"traceID":"1","spanID":"2","operationName":"x","startTime":5}"#;
    for (bad, code) in [
        ("5", "span-malformed"),
        ("{}", "span-id-invalid"),
        (r#"{"spanID":"span-1"}"#, "span-id-invalid"),
        (r#"{"spanID":"11112222333344445"}"#, "span-id-invalid"),
        (r#"{"spanID":"2","traceID":"trace-1"}"#, "trace-id-invalid"),
        (r#"{"spanID":"2"}"#, "span-without-time"),
        (r#"{"spanID":"2","startTime":-5}"#, "span-time-invalid"),
        (r#"{"spanID":"2","startTime":18446744073709551615}"#, "span-time-invalid"),
        (r#"{"spanID":"2","startTime":5,"duration":1.5}"#, "span-time-invalid"),
        (r#"{"spanID":"2","startTime":5,"operationName":{}}"#, "span-malformed"),
        (r#"{"spanID":"2","startTime":5,"tags":{}}"#, "span-malformed"),
        (r#"{"spanID":"2","startTime":5,"logs":7}"#, "span-malformed"),
        (r#"{"spanID":"2","startTime":5,"processID":"p9"}"#, "span-malformed"),
        (r#"{"spanID":"2","startTime":5,"references":"x"}"#, "span-malformed"),
        (r#"{"spanID":"2","startTime":5,"references":[{"refType":"CHILD_OF","spanID":"?"}]}"#, "parent-id-invalid"),
        (&deep, "span-malformed"),
    ] {
        let (result, mapper) = read(&format!(r#"{{"data":[{{"traceID":"1","spans":[{good},{bad},{good}]}}]}}"#));
        assert_eq!((result, mapper.batch.rows.len()), (Ok(Kinds::JAEGER), 2), "{:.80}", bad);
        assert_eq!(
            mapper.rejected.iter().map(|(code, n)| (code.as_str(), *n)).collect::<Vec<_>>(),
            [(code, 1)],
            "{bad:.80}"
        );
    }
    let good = r#"{"traceId":"1","id":"2","timestamp":5}"#;
    for (bad, code) in [
        ("5", "span-malformed"),
        (r#"{"name":"x"}"#, "span-malformed"),
        (r#"{"traceId":"1"}"#, "span-id-invalid"),
        (r#"{"id":"1"}"#, "trace-id-invalid"),
        (r#"{"traceId":"1","id":"2","parentId":7,"timestamp":5}"#, "parent-id-invalid"),
        (r#"{"traceId":"1","id":"2","timestamp":"soon"}"#, "span-time-invalid"),
        (r#"{"traceId":"1","id":"2","timestamp":5,"kind":3}"#, "span-malformed"),
        (r#"{"traceId":"1","id":"2","timestamp":5,"tags":[]}"#, "span-malformed"),
        (r#"{"traceId":"1","id":"2","timestamp":5,"localEndpoint":"web"}"#, "span-malformed"),
    ] {
        let (result, mapper) = read(&format!("[{good},{bad},{good}]"));
        assert!(result.is_ok_and(|kinds| kinds.has(Kinds::ZIPKIN)), "{bad}");
        assert_eq!(
            mapper.rejected.iter().map(|(code, n)| (code.as_str(), *n)).collect::<Vec<_>>(),
            [(code, 1)],
            "{bad}"
        );
        assert_eq!(mapper.batch.rows.len(), 2, "{bad}");
    }
    // A span that is its own parent, and two that are each other's, are kept; what is deep and unused is stepped over.
    let around = format!(
        r#""references":[{{"refType":"CHILD_OF","spanID":"c"}}],"tags":[{deep},{{"key":"a","value":{deep}}}],"#
    );
    let (row, mapper) = foreign_row(&jaeger(&around));
    assert_eq!((row.parent_id, mapper.repaired.get("self-parent")), (SpanId::NONE, Some(&1)));
}

/// Documents near OTLP: any value under any key that means something.
fn near_otlp() -> impl Strategy<Value = serde_json::Value> {
    const KEYS: [&str; 22] = [
        "resourceSpans",
        "batches",
        "result",
        "data",
        "traces",
        "resource",
        "attributes",
        "scopeSpans",
        "spans",
        "traceId",
        "spanId",
        "parentSpanId",
        "kind",
        "status",
        "code",
        "events",
        "links",
        "key",
        "value",
        "stringValue",
        "name",
        "startTimeUnixNano",
    ];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        ".{0,12}|[0-9a-f]{16}|[0-9a-f]{32}|service\\.name|db\\.system".prop_map(Into::into),
    ];
    leaf.prop_recursive(9, 64, 4, |inner| {
        let key = proptest::sample::select(&KEYS[..]).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::btree_map(key, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_and_no_bytes_panic(value in near_otlp(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = documents(&bytes, &mut Mapper::default());
        let text = value.to_string();
        for wrapped in [
            format!(r#"{{"traceID":"1","spans":[{text}],"processes":{text}}}"#),
            format!(r#"[{{"traceId":"1","id":"1","tags":{text}}},{text}]"#),
        ] {
            match read(&wrapped).0 {
                Ok(kinds) => prop_assert!(kinds.has(Kinds::JAEGER.and(Kinds::ZIPKIN))),
                Err(error) => prop_assert_eq!(error.trouble, Trouble::Shape),
            }
        }
        if let Err(error) = read(&text).0 {
            prop_assert_eq!(error.trouble, Trouble::Shape);
        }
        let wrapped = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{text}]}}]}}]}}"#);
        prop_assert_eq!(read(&wrapped).0, Ok(Kinds::TRACES));
    }

    #[test]
    fn a_changed_byte_never_panics(at in any::<usize>(), to in any::<u8>()) {
        let mut bytes = around(r#","status":{"code":2},"events":[{"name":"exception","attributes":[]}],"x":"\ud83d""#).into_bytes();
        let at = at % bytes.len();
        bytes[at] = to;
        let _ = documents(&bytes, &mut Mapper::default());
    }
}
