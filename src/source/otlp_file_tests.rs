use std::io::Write as _;
use std::sync::Mutex;

use super::*;
use crate::source::NoProgress;
use crate::spans::{SpanBatch, UnixNanos};

const JSON: &[u8] = include_bytes!("../../tests/data/tempo/shop-slice.jsonl");
const FRAMED: &[u8] = include_bytes!("../../tests/data/tempo/shop-slice.otlp.binpb");
const SPANS: usize = 208;

/// Every row in words, sorted: what two readings of the same spans must agree on.
#[derive(Default)]
struct Rows(Mutex<Vec<String>>);

impl SpanSink for Rows {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let word = |i: usize| {
            let row = &batch.rows[i];
            let resource = &batch.resources()[row.resource.0 as usize];
            let (peer, error) = (&batch.peers()[row.peer.0 as usize], &batch.errors()[row.error.0 as usize]);
            let links: Vec<_> =
                batch.links.iter().filter(|l| l.row as usize == i).map(|l| (l.trace_id, l.span_id)).collect();
            let name = batch.strings.get(row.name);
            let (ids, times) = ((row.trace_id, row.span_id, row.parent_id), (row.start, row.end, row.weight));
            format!("{ids:?} {times:?} {name} {resource:?} {peer:?} {error:?} {links:?} {:?} {:?}", row.kind, row.flags)
        };
        assert!(batch.rows.len() <= 8_192);
        self.0.lock().unwrap().extend((0..batch.rows.len()).map(word));
        Ok(())
    }
}

fn options(threads: usize) -> SourceOptions {
    SourceOptions { threads, ..SourceOptions::default() }
}

fn read_with(data: &[u8], options: &SourceOptions) -> Result<(Vec<String>, SourceReport), Diagnostic> {
    let sorted = |result: Result<SourceReport, Diagnostic>, rows: Rows| {
        let mut rows = rows.0.into_inner().unwrap();
        rows.sort();
        result.map(|report| (rows, report))
    };
    let rows = Rows::default();
    let streamed = sorted(OtlpStream::new("x", Box::new(data), options).read(&rows, &NoProgress), rows);
    // Bytes in memory are the same, but for their name.
    let rows = Rows::default();
    let read = reading::bytes(data, "x", options, &rows, &NoProgress);
    let in_memory = sorted(read.and_then(|(tally, bytes)| report(tally, bytes, None, "x")), rows);
    match (&streamed, &in_memory) {
        (Ok((rows, report)), Ok((same_rows, same_report))) => {
            assert!(rows == same_rows);
            assert_eq!((&report.rejected, &report.diagnostics), (&same_report.rejected, &same_report.diagnostics));
        }
        _ => assert_eq!(streamed.as_ref().err(), in_memory.as_ref().err()),
    }
    streamed
}

fn read(data: &[u8]) -> Result<Vec<String>, Diagnostic> {
    read_with(data, &options(2)).map(|(rows, _)| rows)
}

fn code(data: &[u8]) -> &'static str {
    read(data).unwrap_err().code
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// The messages of the framed file.
fn messages() -> Vec<&'static [u8]> {
    let mut rest = FRAMED;
    let mut out = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        out.push(message);
        rest = tail;
    }
    out
}

fn varint_framed() -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages() {
        prost::encoding::encode_varint(message.len() as u64, &mut out);
        out.extend_from_slice(message);
    }
    out
}

/// As the Collector's file exporter packs: a length, and a zstd frame of its own.
fn packed(messages: &[&[u8]]) -> Vec<u8> {
    let pack = |message: &&[u8]| {
        let packed = zstd::bulk::compress(message, 3).unwrap();
        [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
    };
    messages.iter().flat_map(pack).collect()
}

#[test]
fn json_and_protobuf_in_every_container_give_the_same_rows() {
    let want = read(JSON).unwrap();
    assert_eq!(want.len(), SPANS);
    let text = std::str::from_utf8(JSON).unwrap();
    let pretty: Vec<String> = text
        .lines()
        .map(|line| serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(line).unwrap()).unwrap())
        .collect();
    let containers: Vec<(&str, Vec<u8>)> = vec![
        ("framed protobuf", FRAMED.to_vec()),
        ("one message", messages().concat()),
        ("varint-framed", varint_framed()),
        ("gzip in two members", [gzip(&JSON[..1_000]), gzip(&JSON[1_000..])].concat()),
        ("zstd", zstd::encode_all(FRAMED, 3).unwrap()),
        ("zstd in two frames", [&JSON[..77], &JSON[77..]].map(|part| zstd::encode_all(part, 1).unwrap()).concat()),
        ("protobuf packed one by one", packed(&messages())),
        ("JSON packed one by one", packed(&text.lines().map(str::as_bytes).collect::<Vec<_>>())),
        ("pretty JSON packed one by one", packed(&pretty.iter().map(String::as_bytes).collect::<Vec<_>>())),
        ("packed one by one, and all of it again", gzip(&packed(&[b"", JSON, b" \n", b"{}"]))),
        ("no final line break", JSON[..JSON.len() - 1].to_vec()),
        ("no line break at all", text.replace('\n', "").into_bytes()),
        ("CRLF and BOM", format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes()),
        ("pretty documents", pretty.join("\n").into_bytes()),
        ("pretty, joined without a line break", pretty.concat().into_bytes()),
        ("a JSON text sequence", text.lines().map(|l| format!("\u{1e}{l}\n")).collect::<String>().into_bytes()),
        ("an array of requests", format!("[{}]", text.trim().replace('\n', ",")).into_bytes()),
    ];
    for (what, data) in containers {
        assert_eq!(read(&data).as_ref(), Ok(&want), "{what}");
    }
}

#[test]
fn threads_and_the_size_of_records_change_nothing() {
    let many = JSON.repeat(20);
    let (want, one) = read_with(&many, &options(1)).unwrap();
    assert_eq!(want.len(), 20 * SPANS);
    for (threads, max_record_bytes) in [(2, 64 << 20), (4, 100 << 10)] {
        let (rows, report) = read_with(&many, &SourceOptions { max_record_bytes, ..options(threads) }).unwrap();
        assert!(rows == want && report.rejected == one.rejected);
    }
}

#[test]
fn the_first_trouble_of_the_input_is_the_one_reported() {
    let good = std::str::from_utf8(JSON).unwrap().repeat(4);
    let bad = format!("{good}{{\"resourceSpans\": oops}}\n{}{{\"resourceSpans\":[}}\n", good.repeat(8));
    for threads in [1, 2, 8] {
        let error = read_with(bad.as_bytes(), &options(threads)).unwrap_err();
        assert_eq!((error.code, error.location.line, error.location.column), ("json-malformed", Some(9), Some(19)));
        assert_eq!(error.location.file.as_deref(), Some("x"));
    }
}

#[test]
fn what_is_cut_short_never_passes_for_whole() {
    assert_eq!(code(&JSON[..JSON.len() - 10]), "input-truncated");
    assert_eq!(code(&FRAMED[..FRAMED.len() - 1]), "input-truncated");
    assert_eq!(code(&FRAMED[..FRAMED.len() / 3]), "input-truncated");
    assert_eq!(code(&messages()[0][..900]), "input-truncated");
    let varint = varint_framed();
    assert_eq!(code(&varint[..varint.len() - 1]), "input-truncated");
    for packed in [gzip(JSON), zstd::encode_all(JSON, 1).unwrap()] {
        assert_eq!(code(&packed[..packed.len() - 5]), "input-truncated");
    }
}

#[test]
fn messages_packed_one_by_one_are_bounded_and_say_which_is_wrong() {
    let lines: Vec<_> = JSON.split(|b| *b == b'\n').collect();
    let whole = packed(&lines[..2]);
    let last = packed(&lines[..1]).len();
    for length in [9, last - 1, last + 1, last + 4, last + 9, whole.len() - 1] {
        let error = read(&whole[..length]).unwrap_err();
        let at = if length < last { 0 } else { last };
        let message = format!("the input ends in the middle of the packed message at byte {at}");
        assert_eq!((error.code, error.message), ("input-truncated", message), "{length}");
    }
    let failed =
        |data: &[u8], max: usize| read_with(data, &SourceOptions { max_record_bytes: max, ..options(1) }).unwrap_err();
    let error = failed(&packed(&[lines[0], &vec![b' '; 8 << 20]]), 4 << 20);
    assert_eq!(error.code, "record-too-large");
    assert_eq!(error.message, format!("a single packed message (from byte {last}) is larger than 4 MiB"));
    assert!(error.help.contains("send_batch_max_size") && !error.help.contains("jq"));
    let mut corrupt = whole.clone();
    corrupt[last + 4] = 0;
    assert_eq!(failed(&corrupt, 4 << 20).code, "input-corrupt");
    let error = failed(&packed(&[lines[0], b"{}", b"{\n \"a\": oops}"]), 4 << 20);
    assert_eq!((error.code, error.location.line), ("json-malformed", None));
    assert_eq!(error.location.key.as_deref(), Some("message 3, line 2, column 7"));
    let error = failed(&packed(&[lines[0], b"hello"]), 4 << 20);
    assert_eq!((error.code, error.location.key.as_deref()), ("protobuf-malformed", Some("message 2")));
    let error = failed(&packed(&[br#"{"traces":[{"traceID":"1","rootServiceName":"a"}]}"#]), 4 << 20);
    assert_eq!((error.code, error.location.key.as_deref()), ("search-summary", Some("message 1")));
}

#[test]
fn what_is_not_traces_is_refused_by_name() {
    for (text, want) in [
        ("", "empty-input"),
        ("\n \n", "no-spans-in-input"),
        ("{}", "no-spans-in-input"),
        ("[]", "no-spans-in-input"),
        (r#"{"resourceSpans":[]}"#, "no-spans-in-input"),
        (r#"{"resourceLogs":[{}]}"#, "not-traces"),
        (r#"{"resourceMetrics":[{}]}"#, "not-traces"),
        (r#"{"hits":{"total":5}}"#, "not-traces"),
        (r#"{"traces":[{"traceID":"1","rootServiceName":"a"}]}"#, "search-summary"),
        (r#"{"data":[{"traceID":"1","spans":[]}]}"#, "no-spans-in-input"),
        (r#"{"data":[{"traceID":"1","spans":[]}],"errors":[{"code":404}]}"#, "jaeger-partial"),
        (r#"[{"traceId":"1","id":"2"}]"#, "no-spans-in-input"),
        (r#"[{"traceId":"1","id":"2","timestamp":5,"binaryAnnotations":[]}]"#, "zipkin-v1"),
        (r#"{"resourceSpans":{}}"#, "json-not-otlp"),
        ("{resourceSpans: []}", "json-malformed"),
        ("service: cart", "format-unknown"),
        ("<html><body>Sign in</body></html>", "format-unknown"),
    ] {
        let error = read(text.as_bytes()).unwrap_err();
        assert_eq!(error.code, want, "{text}");
        assert!(!error.help.is_empty() && error.location.file.is_some(), "{text}");
    }
    assert_eq!(code(&gzip(b"")), "empty-input");
    let error = read(br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"?"},{}]}]}]}"#).unwrap_err();
    assert_eq!(error.message, "all 2 spans were refused: 2 trace-id-invalid");
}

#[test]
fn a_record_over_the_limit_says_what_to_do() {
    let error = read_with(JSON, &SourceOptions { max_record_bytes: 10_000, ..options(1) }).unwrap_err();
    assert_eq!((error.code, error.location.line), ("record-too-large", Some(1)));
    assert!(error.help.contains("jq -c") && !error.help.contains("raise"));
    let error = read_with(FRAMED, &SourceOptions { max_record_bytes: 10_000, ..options(1) }).unwrap_err();
    assert_eq!(error.code, "record-too-large");
}

#[test]
fn documents_of_another_kind_between_traces_are_warned_about() {
    let mixed = [b"{\"resourceLogs\":[]}\n", JSON, b"{}\n{\"resourceLogs\":[]}\n"].concat();
    let (rows, report) = read_with(&mixed, &options(2)).unwrap();
    assert_eq!((rows.len(), report.diagnostics.len()), (SPANS, 1));
    assert_eq!(report.diagnostics[0].message, "2 documents hold OTLP logs and are left out");
}

#[test]
fn refused_spans_are_counted_with_a_few_examples_whatever_the_threads() {
    let bad = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"?","name":"a"},{"traceId":"1","spanId":"2","name":5}]}]}]}"#;
    let many = [JSON, format!("{bad}\n").repeat(10_000).as_bytes(), JSON].concat();
    let (_, one) = read_with(&many, &options(1)).unwrap();
    let (_, four) = read_with(&many, &options(4)).unwrap();
    assert_eq!(
        one.rejected.iter().map(|(c, n)| (c.as_str(), *n)).collect::<Vec<_>>(),
        [("span-malformed", 10_000), ("trace-id-invalid", 10_000)]
    );
    assert_eq!((one.diagnostics.len(), &one.diagnostics), (6, &four.diagnostics));
}

#[test]
fn a_window_keeps_what_starts_in_it() {
    let from = UnixNanos(1_795_178_405_503_000_000);
    let window = |to: u64| SourceOptions { window: Some((from, UnixNanos(to))), ..options(1) };
    let (rows, report) = read_with(JSON, &window(1_795_178_500_000_000_000)).unwrap();
    assert!(!rows.is_empty() && rows.len() < SPANS);
    assert_eq!(report.diagnostics[0].code, "outside-window");
    assert_eq!(read_with(JSON, &window(from.0)).unwrap_err().code, "no-spans-in-window");
}

#[test]
fn a_sink_that_fails_stops_the_reading() {
    struct Full;
    impl SpanSink for Full {
        fn push(&self, _batch: &SpanBatch) -> Result<(), Diagnostic> {
            Err(Diagnostic::error("no-room", "the disk is full"))
        }
    }
    let data = JSON.repeat(100);
    let result = OtlpStream::new("x", Box::new(data.as_slice()), &options(2)).read(&Full, &NoProgress);
    assert_eq!(result.unwrap_err().code, "no-room");
}

#[test]
fn a_directory_is_its_files_and_progress_counts_their_bytes() {
    #[derive(Default)]
    struct Bytes(Mutex<(u64, u64)>);
    impl Progress for Bytes {
        fn total(&self, units: u64) {
            self.0.lock().unwrap().0 = units;
        }
        fn advance(&self, units: u64) {
            self.0.lock().unwrap().1 += units;
        }
        fn note(&self, _text: &str) {}
    }
    let root = tempfile::tempdir().unwrap();
    let write = |name: &str, data: &[u8]| std::fs::write(root.path().join(name), data).unwrap();
    let lines: Vec<&[u8]> = JSON.split_inclusive(|b| *b == b'\n').collect();
    write("a.jsonl.gz", &gzip(lines[0]));
    write("b.json", lines[1]);
    write("c.json", b"");
    write("README.md", b"not traces");
    let mut source = crate::source::open(root.path().to_str().unwrap(), &options(2)).unwrap();
    assert_eq!(source.describe(), "trace file");
    let (rows, bytes) = (Rows::default(), Bytes::default());
    let report = source.read(&rows, &bytes).unwrap();
    let mut rows = rows.0.into_inner().unwrap();
    rows.sort();
    assert_eq!(Ok(rows), read(JSON));
    assert_eq!(report.diagnostics[0].code, "file-passed-over");
    let (total, done) = *bytes.0.lock().unwrap();
    assert!(total > 0 && total == done, "{total} {done}");
}

#[test]
fn a_path_that_is_not_there_and_an_unknown_scheme_are_refused() {
    let refused = |from: &str| crate::source::open(from, &options(1)).err().map(|e| (e.code, e.to_string()));
    assert_eq!(refused("/no/such/file.jsonl").unwrap().0, "source-not-found");
    let (code, text) = refused("ftp://bob:secret@host/x").unwrap();
    assert!(code == "source-unknown" && !text.contains("secret"), "{text}");
}

proptest::proptest! {
    #[test]
    fn no_damage_to_a_file_panics(at in 0usize..4_000, to in proptest::prelude::any::<u8>(), cut in 0usize..9_000) {
        for data in [&JSON[..9_000], &FRAMED[..9_000]] {
            let mut data = data.to_vec();
            data[at] = to;
            data.truncate(9_000 - cut);
            let _ = read(&data);
        }
    }
}

/// Run against data that is not in the repository: `TRACEBOOK_DATA=DIR cargo test -- --ignored real_files`.
#[test]
#[ignore = "needs the large data sets"]
fn real_files() {
    let Some(root) = std::env::var_os("TRACEBOOK_DATA").map(PathBuf::from) else { return };
    let load = |path: &str| {
        let rows = Rows::default();
        let path = root.join(path);
        let report =
            crate::source::open(path.to_str().unwrap(), &options(2)).and_then(|mut s| s.read(&rows, &NoProgress));
        let mut rows = rows.0.into_inner().unwrap();
        rows.sort();
        report.map(|report| (rows, report))
    };
    let (rows, report) = load("open/nezha-ob-0823/baseline_2022-08-23_1700.otlp.jsonl.zst").unwrap();
    let of = |kind: &str| rows.iter().filter(|row| row.contains(&format!(" {kind} SpanFlags"))).count();
    assert_eq!((rows.len(), of("Server"), of("Client"), of("Internal")), (22_969, 6_027, 11_397, 5_545));
    assert!(report.rejected.is_empty() && report.diagnostics.is_empty());
    let (json, _) = load("tempo/shop.full.jsonl.gz").unwrap();
    let (protobuf, _) = load("tempo/shop.otlp.binpb").unwrap();
    assert_eq!(json.len(), 30_835);
    assert!(json == protobuf);
    for directory in ["open/jaeger-fixtures/otlp", "open/otel-proto-example", "open/otel-contrib-servicegraph"] {
        for entry in std::fs::read_dir(root.join(directory)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "json") || path.ends_with("expected.json") {
                continue;
            }
            if path.ends_with("apiv3_GetTrace.json") {
                // Its one span has no times.
                let error = load(path.to_str().unwrap()).unwrap_err();
                assert_eq!(error.message, "all 1 spans were refused: 1 span-without-time");
                continue;
            }
            let (rows, report) = load(path.to_str().unwrap()).unwrap();
            let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let all = json.get("result").unwrap_or(&json)["resourceSpans"].as_array().unwrap();
            let scopes = all.iter().filter_map(|r| r["scopeSpans"].as_array()).flatten();
            let spans = scopes.filter_map(|s| s["spans"].as_array()).map(Vec::len).sum::<usize>();
            assert_eq!(rows.len(), spans, "{path:?}");
            assert!(report.rejected.is_empty(), "{path:?} {report:?}");
        }
    }
    // Whole traces in other systems' JSON: spans read, and spans whose ids are made up ("span-1").
    for (path, spans, refused) in [
        ("jaeger-fixtures/jaeger/flamegraph_testTrace.json", 4, 0),
        ("jaeger-fixtures/jaeger/genaiTestTrace.json", 57, 0),
        ("jaeger-fixtures/jaeger/spanAmongEachOtherGroupedAndSpans.json", 17, 0),
        ("jaeger-fixtures/jaeger/spanLongerAsParent.json", 8, 0),
        ("jaeger-fixtures/jaeger/spansAmongEachOther.json", 12, 0),
        ("jaeger-fixtures/jaeger/spansAmongEachOtherGrouped.json", 15, 0),
        ("jaeger-fixtures/jaeger/testTrace.json", 0, 11),
        ("jaeger-fixtures/jaeger/testTraceNormal.json", 5, 0),
        ("jaeger-fixtures/jaeger/traceWithMultipleSpansWithTheSameValueInDifferentTags.json", 4, 0),
        ("jaeger-fixtures/jaeger/traceWithOverlappingChildren.json", 3, 0),
        ("jaeger-fixtures/jaeger/traceWithThreeShortChildren.json", 4, 0),
        ("jaeger-fixtures/jaeger/ui_01.json", 5, 0),
        ("jaeger-fixtures/convert/ui_oltp2jaeger-multi-out.json", 4, 0),
        ("jaeger-fixtures/es/es_01.json", 1, 0),
        ("zipkin-lens/ascend.json", 8, 0),
        ("zipkin-lens/messaging.json", 4, 0),
        ("zipkin-lens/messaging2.json", 11, 0),
        ("zipkin-lens/simple-db-p6.json", 5, 0),
        ("zipkin-lens/yelp.json", 16, 0),
    ] {
        match load(&format!("open/{path}")) {
            Ok((rows, report)) => {
                assert_eq!((rows.len(), report.rejected.values().sum::<u64>()), (spans, refused), "{path}");
            }
            Err(error) => {
                assert_eq!(spans, 0, "{path}: {error:?}");
                assert!(error.message.starts_with(&format!("all {refused} spans were refused: ")), "{path}: {error:?}");
            }
        }
    }
    for (path, code) in [
        // Jaeger's own protobuf as JSON.
        ("open/jaeger-fixtures/jaeger/domain_01.json", "not-traces"),
        ("tempo/grpc/search_links.json", "search-summary"),
    ] {
        assert_eq!(load(path).unwrap_err().code, code, "{path}");
    }
}
