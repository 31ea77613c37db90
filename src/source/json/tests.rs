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
        (r#"[{"traceId":"a","id":"b","name":"get"}]"#, Kinds::ZIPKIN),
        (r#"[[{"traceId":"a","id":"b","name":"get"}]]"#, Kinds::ZIPKIN),
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
