//! The fast path against the reference: whatever the bytes, nothing may tell them apart.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::source::compression;
use crate::source::json::{JsonError, Trouble, documents as read, documents_by_reference};
use crate::source::mapper::Mapper;
use crate::source::view::{Attributes, Rows, SpanView};
use crate::spans::ResourceId;
use crate::spans::semconv::Slot;

/// A mapper that stops the reader after so many spans.
struct Until(Mapper, usize);

impl Rows for Until {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        self.0.resource(attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        self.0.span(resource, span);
        self.0.batch.rows.len() < self.1
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        self.0.reject(code, why);
    }

    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        self.0.classify_raw(key)
    }

    fn known_resource(&mut self, raw: &[u8]) -> Option<ResourceId> {
        self.0.known_resource(raw)
    }

    fn learn_resource(&mut self, raw: &[u8], id: ResourceId) {
        self.0.learn_resource(raw, id);
    }
}

/// All that a reader can tell, with the rows' dictionaries in their order.
fn outcome(limit: usize, read: impl FnOnce(&mut dyn Rows) -> Result<Vec<Kinds>, JsonError>) -> [String; 4] {
    let mut rows = Until(Mapper::new(Some("sample.rate".to_owned())), limit);
    // Where a reader was told to stop is of no interest.
    let result = read(&mut rows).map_err(|e| {
        if e.trouble == Trouble::Stopped {
            (e.trouble, 0, 0, e.message)
        } else {
            (e.trouble, e.line, e.column, e.message)
        }
    });
    let Mapper { batch, rejected, repaired, examples, .. } = rows.0;
    let names = (0..batch.strings.len() as u32).map(|i| batch.strings.get(crate::spans::Sym(i)).to_owned());
    [
        format!("{result:?}"),
        format!("{:#?} {:?}", batch.rows, batch.links),
        format!("{:#?} {:#?} {:#?} {:#?}", names.collect::<Vec<_>>(), batch.resources(), batch.peers(), batch.errors()),
        format!("{rejected:?} {repaired:?} {examples:?}"),
    ]
}

fn same_up_to(limit: usize, bytes: &[u8]) {
    let (fast, slow) =
        (outcome(limit, |rows| read(bytes, rows)), outcome(limit, |rows| documents_by_reference(bytes, rows)));
    assert_eq!(fast, slow, "{}", String::from_utf8_lossy(bytes));
}

fn same(text: &str) {
    same_up_to(usize::MAX, text.as_bytes());
}

/// Whether the reference is not needed, but perhaps for single spans and resources.
fn is_fast(text: &str) -> bool {
    documents(text, &mut Target { rows: &mut Mapper::default(), seen: 0, skip: 0, stopped: false }).is_ok()
}

const SPAN: &str = r#"{"traceId":"0a6f8898263eec68fafd01cee4d45f03","spanId":"eee19b7ec3c1b174","parentSpanId":"","flags":256,"name":"GET /","kind":3,"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","attributes":[{"key":"http.response.status_code","value":{"intValue":"503"}},{"key":"thread.name","value":{"stringValue":"main \"1\""}},{"key":"server.address","value":{"stringValue":"cart"}}],"events":[{"timeUnixNano":"1","name":"exception","attributes":[{"key":"exception.type","value":{"stringValue":"Boom"}}]}],"links":[{"traceId":"0a6f8898263eec68fafd01cee4d45f04","spanId":"eee19b7ec3c1b175"}],"status":{"code":2,"message":"x"}}"#;

fn around(span: &str) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"cart"}}}},{{"key":"process.args","value":{{"arrayValue":{{"values":[{{"stringValue":"a"}}]}}}}}}]}},"scopeSpans":[{{"scope":{{"name":"s"}},"spans":[{span}],"schemaUrl":""}}]}}]}}"#
    )
}

#[test]
fn what_exporters_write_needs_no_reference() {
    let usual = around(SPAN);
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&usual).unwrap()).unwrap();
    for text in [
        usual.clone(),
        pretty,
        format!("{usual}\n{usual}\n"),
        format!("[{usual}]"),
        format!(r#"{{"trace":{usual},"metrics":{{}}}}"#),
        usual.replace(":3,", r#":"SPAN_KIND_CLIENT","#).replace("resourceSpans", "batches"),
        usual.replace("0a6f8898263eec68fafd01cee4d45f03", "Cm+ImCY+7Gj6/QHO5NRfAw=="),
        usual.replace(r#""1544712660000000000""#, "1544712660000000000"),
        // One odd span costs itself.
        around(&format!("{SPAN},{},{SPAN}", SPAN.replace("GET /", r"GET \/"))),
        usual.replace(r#""cart""#, r#""\u0063art""#),
        "{}".to_owned(),
        r#"{"resourceLogs":[{"x":[1.5e-3,true,null]}]}"#.to_owned(),
    ] {
        assert!(is_fast(&text), "{text}");
        same(&text);
    }
}

#[test]
fn a_doubt_repeats_no_span_and_loses_none() {
    for odd in [
        r#"{"name":"\ud83d"}"#,
        "NaN",
        r#"{"x":NaN}"#,
        r#"{"name":1e999}"#,
        "{]",
        "",
        r#"{"":"#,
        "5",
        "[]",
        "00",
        "-01",
    ] {
        let text = around(&format!("{SPAN},null,{odd},{SPAN}"));
        same(&format!("{text}\n{text}"));
        same(&format!("{}\n{text}", around(SPAN)));
        same(&format!("{text}\u{1}"));
    }
    let late = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[SPAN]}],"resource":{"attributes":[]},"scopeSpans":[{"spans":[SPAN,5]}]},
        {"scopeSpans":[{"spans":[SPAN]}]}]}"#;
    assert!(is_fast(&late.replace("SPAN", SPAN)));
    same(&late.replace("SPAN", SPAN));
    same(&late.replace("5]", "5}").replace("SPAN", SPAN));
    same(&late.replace("\"resource\"", "\"scopeSpans\":5,\"resource\"").replace("SPAN", SPAN));
}

#[test]
fn a_resource_is_told_by_its_whole_text() {
    let of = |resource: &str| format!(r#"{{"resource":{resource},"scopeSpans":[{{"spans":[{SPAN}]}}]}}"#);
    let named =
        |name: &str| format!(r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{name}"}}}}]}}"#);
    let all = [
        "1".to_owned(),
        "12".to_owned(),
        named("a"),
        named("a"),
        named("ab"),
        "null".to_owned(),
        named("ab"),
        "{}".to_owned(),
    ];
    same(&format!(r#"{{"resourceSpans":[{}]}}"#, all.map(|resource| of(&resource)).join(",")));
}

#[test]
fn a_receiver_that_stops_gets_no_more() {
    let text = around(&[SPAN; 5].join(","));
    for limit in 1..7 {
        same_up_to(limit, text.as_bytes());
        same_up_to(limit, text.replace("GET /", r"GET \/").as_bytes());
    }
    let error = read(text.as_bytes(), &mut Until(Mapper::default(), 2)).unwrap_err();
    assert_eq!((error.trouble, error.line), (Trouble::Stopped, 1));
    assert_eq!(text.get(..error.column).map(|read| read.matches("spanId").count()), Some(4));
}

#[test]
fn no_cut_and_no_changed_byte_tells_the_two_apart() {
    let text = format!("{}\n{}", around(SPAN), around(&SPAN.replace("GET /", "é")));
    for end in (0..text.len()).step_by(3) {
        same_up_to(usize::MAX, &text.as_bytes()[..end]);
    }
    let mut bytes = text.clone().into_bytes();
    for at in (0..bytes.len()).step_by(7) {
        for byte in [b'"', b'\\', b'}', b',', b'0', 0x00, 0x80] {
            let was = std::mem::replace(&mut bytes[at], byte);
            same_up_to(usize::MAX, &bytes);
            bytes[at] = was;
        }
    }
}

/// Run against data that is not in the repository: `TRACEBOOK_DATA=DIR cargo test -- --ignored real_json`.
#[test]
#[ignore = "needs the large data sets"]
fn real_json_reads_the_same_both_ways() {
    let Some(root) = std::env::var_os("TRACEBOOK_DATA").map(std::path::PathBuf::from) else { return };
    let (mut open, mut records, mut fast) = (vec![root], 0, 0);
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if ![".json", ".jsonl", ".jsonl.zst", ".jsonl.gz"].iter().any(|end| name.ends_with(end)) {
            continue;
        }
        let mut text = String::new();
        let (mut reader, _) = compression::unpack(Box::new(std::fs::File::open(&path).unwrap())).unwrap();
        reader.read_to_string(&mut text).unwrap();
        let is_lines = text.lines().all(|line| line.starts_with('{') && line.ends_with('}'));
        for record in if is_lines { text.lines().collect() } else { vec![text.as_str()] } {
            same(record);
            (records, fast) = (records + 1, fast + usize::from(is_fast(record)));
        }
    }
    assert!(records > 1_000 && fast > records * 9 / 10, "{fast} of {records}");
}

/// JSON, or nearly: a leaf is any text.
#[derive(Debug, Clone)]
enum Tree {
    Leaf(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    /// Writes it with white space where `space` says so.
    fn write(&self, out: &mut String, space: &mut dyn Iterator<Item = u8>) {
        const SPACES: [&str; 6] = [" ", "\n", "\t", "\r\n", "   ", "\u{a0}"];
        let mut gap = |out: &mut String| {
            let choice = space.next().unwrap_or(0);
            // The last one is no white space to JSON, and rare.
            out.push_str(match choice {
                250.. => SPACES[5],
                200.. => SPACES[usize::from(choice) % 5],
                _ => "",
            });
        };
        gap(out);
        match self {
            Self::Leaf(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    item.write(out, space);
                }
                gap_end(out, space, ']');
            }
            Self::Object(fields) => {
                out.push('{');
                for (i, (key, value)) in fields.iter().enumerate() {
                    out.push_str(if i > 0 { "," } else { "" });
                    Self::Leaf(format!("\"{key}\"")).write(out, space);
                    gap_end(out, space, ':');
                    value.write(out, space);
                }
                gap_end(out, space, '}');
            }
        }
    }
}

fn gap_end(out: &mut String, space: &mut dyn Iterator<Item = u8>, close: char) {
    Tree::Leaf(String::new()).write(out, space);
    out.push(close);
}

/// Usually the first; sometimes what somebody writes; now and then what nobody should.
fn leaf(usual: BoxedStrategy<String>, seen: &'static [&'static str]) -> BoxedStrategy<Tree> {
    const NOBODY: [&str; 26] = [
        "null",
        "true",
        "false",
        "{}",
        "[]",
        "0",
        "-0",
        "-1",
        "1.5",
        "1e3",
        "1e999",
        "01",
        "1.",
        "-",
        "NaN",
        "-Infinity",
        "18446744073709551615",
        "99999999999999999999",
        "\"\"",
        "\"\\ud83d\"",
        "\"\\ud83d\\ude00\"",
        "\"\\x\"",
        "\"\u{1}\"",
        "{\"a\":[1,{\"b\":\"]\"}]}",
        "nul",
        "\"\\u00e9\\\\\\\"\"",
    ];
    prop_oneof![
        12 => usual,
        3 => select(seen).prop_map(str::to_owned),
        1 => select(&NOBODY[..]).prop_map(str::to_owned),
    ]
    .prop_map(Tree::Leaf)
    .boxed()
}

fn quoted(pattern: &'static str) -> BoxedStrategy<String> {
    pattern.prop_map(|text| format!("\"{text}\"")).boxed()
}

/// An object of some of these fields in any order, some of them twice, with some that mean nothing.
fn object(fields: Vec<(&'static str, BoxedStrategy<Tree>)>) -> BoxedStrategy<Tree> {
    let unknown = leaf(quoted("[a-z]{0,20}"), &["{\"values\":[{}]}", "5"]);
    let some = |(key, value): &(&'static str, BoxedStrategy<Tree>)| {
        let key = *key;
        (prop_oneof![30 => Just(1), 3 => Just(0), 1 => Just(2)], vec(value.clone(), 2))
            .prop_map(move |(n, values)| values.into_iter().take(n).map(|v| (key.to_owned(), v)).collect::<Vec<_>>())
            .boxed()
    };
    let mut all: Vec<_> = fields.iter().map(some).collect();
    let odd = prop_oneof!["[a-z]{1,9}", Just("key".to_owned()), Just("na\\u006de".to_owned())];
    all.push(vec((odd, unknown), 0..2).boxed());
    let in_order = all.prop_map(|fields| fields.concat());
    prop_oneof![3 => in_order.clone().boxed(), 1 => in_order.prop_shuffle().boxed()].prop_map(Tree::Object).boxed()
}

fn list(item: BoxedStrategy<Tree>, most: usize) -> BoxedStrategy<Tree> {
    let odd = prop_oneof![Just("null"), Just("{}"), Just("5"), Just("[]"), Just("1e999")];
    let item = prop_oneof![20 => item, 1 => odd.prop_map(|text| Tree::Leaf(text.to_owned()))];
    prop_oneof![
        15 => vec(item, 0..=most).prop_map(Tree::List),
        1 => select(&["null", "{}", "7", "\"x\""][..]).prop_map(|text| Tree::Leaf(text.to_owned())),
    ]
    .boxed()
}

fn attributes() -> BoxedStrategy<Tree> {
    const KEYS: [&str; 12] = [
        "\"service.name\"",
        "\"db.system\"",
        "\"db.system.name\"",
        "\"server.address\"",
        "\"http.status_code\"",
        "\"sample.rate\"",
        "\"exception.type\"",
        "\"error.type\"",
        "\"messaging.destination\"",
        "\"unknown.key\"",
        "\"http.\\u0072oute\"",
        "null",
    ];
    let value = prop_oneof![
        4 => object(vec![("stringValue", leaf(quoted("[a-z .é]{0,40}"), &["\" \"", "\"a\\/b\"", "\"redis\"", "\"503\""]))]),
        2 => object(vec![("intValue", leaf(quoted("[1-5]?[0-9]{1,3}"), &["503", "\" 5 \"", "\"1.5\"", "\"x\"", "\"true\""]))]),
        1 => object(vec![("doubleValue", leaf("[0-9]\\.[0-9]{1,17}".boxed(), &["\"NaN\"", "5", "\"0.1\""]))]),
        1 => object(vec![("boolValue", leaf(Just("true".to_owned()).boxed(), &["\"false\""])), ("string_value", leaf(quoted("[a-z]{0,4}"), &["null"]))]),
        1 => leaf(quoted("[a-z]{0,9}"), &["5", "true", "{\"arrayValue\":{\"values\":[{\"intValue\":\"5\"}]}}", "{\"kvlistValue\":{}}"]),
    ];
    let key =
        prop_oneof![10 => select(&KEYS[..]).prop_map(|key| Tree::Leaf(key.to_owned())), 1 => leaf(quoted("x"), &["5"])];
    list(object(vec![("key", key.boxed()), ("value", value.boxed())]), 5)
}

fn ids(pattern: &'static str) -> BoxedStrategy<Tree> {
    leaf(
        quoted(pattern),
        &[
            "\"0A6F8898263EEC68FAFD01CEE4D45F03\"",
            "\"EEE19B7EC3C1B174\"",
            "\"0000000000000000\"",
            "\"\"",
            "\"0x12\"",
            "\"00000000000000000000000000000000\"",
            "\"Cm+ImCY+7Gj6/QHO5NRfAw==\"",
            "\"Cm+ImCY+7Gj6\\/QHO5NRfAw==\"",
            "\"7uGbfsPBsXQ=\"",
            "\" 12 \"",
            "\"span-1\"",
            "17",
            "null",
        ],
    )
}

fn span() -> BoxedStrategy<Tree> {
    let time = || {
        leaf(
            quoted("1[0-9]{18}"),
            &["1544712660000000001", "\" 5 \"", "\"\"", "\"05\"", "\"+5\"", "5", "\"1.5e18\"", "null"],
        )
    };
    let text = || leaf(quoted("[a-z /{}:,é]{0,40}"), &["\"GET \\/cart\"", "\"a\\nb\"", "null", "\"ot=th:8\""]);
    let code = || leaf("[0-3]".boxed(), &["\"STATUS_CODE_ERROR\"", "\"2\"", "null", "2.0"]);
    let event = object(vec![
        ("timeUnixNano", time()),
        ("name", leaf(quoted("exception|log"), &["null", "\"exceptio\\u006e\""])),
        ("attributes", attributes()),
    ]);
    let link = object(vec![("traceId", ids("[0-9a-f]{32}")), ("spanId", ids("[0-9a-f]{16}"))]);
    object(vec![
        ("traceId", ids("[0-9a-f]{32}")),
        ("spanId", ids("[0-9a-f]{16}")),
        ("parentSpanId", ids("[0-9a-f]{16}|")),
        ("traceState", text()),
        ("name", text()),
        ("kind", leaf("[0-5]".boxed(), &["\"SPAN_KIND_CLIENT\"", "\"server\"", "\"3\"", "99", "null"])),
        ("startTimeUnixNano", time()),
        ("end_time_unix_nano", time()),
        ("attributes", attributes()),
        ("events", list(event, 2)),
        ("links", list(link, 2)),
        ("status", prop_oneof![8 => object(vec![("code", code()), ("message", text())]), 1 => code()].boxed()),
    ])
}

fn document() -> BoxedStrategy<Tree> {
    let scope = object(vec![
        ("scope", leaf(Just("{\"name\":\"x\"}".to_owned()).boxed(), &["null"])),
        ("spans", list(span(), 4)),
    ]);
    let resource = object(vec![("attributes", attributes())]);
    let resource_spans = object(vec![("resource", resource), ("scopeSpans", list(scope, 2))]);
    let all = select(&["resourceSpans", "resource_spans", "batches"][..]);
    let inner = (all, list(resource_spans, 3)).prop_flat_map(|(key, all)| object(vec![(key, Just(all).boxed())]));
    prop_oneof![
        12 => inner.clone(),
        1 => inner.clone().prop_flat_map(|inner| object(vec![("result", Just(inner).boxed())])),
        1 => list(inner.boxed(), 2),
        1 => leaf("\\{\"(resourceLogs|traceID|spans|data|x)\":(\\[\\]|\\{\\}|5)\\}".boxed(), &["5"]),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_document_reads_the_same_both_ways(
        trees in vec(document(), 1..3),
        space in vec(any::<u8>(), 1..40),
        is_compact in any::<bool>(),
        limit in prop_oneof![9 => Just(usize::MAX), 1 => 1usize..9],
        (at, byte, cut) in (any::<usize>(), any::<u8>(), prop_oneof![6 => Just(0), 1 => Just(1), 1 => Just(2)]),
    ) {
        let mut text = String::new();
        let mut spaces = space.into_iter().map(|byte| if is_compact { 0 } else { byte }).cycle();
        for tree in trees {
            tree.write(&mut text, &mut spaces);
            text.push('\n');
        }
        let mut bytes = text.into_bytes();
        let at = at % bytes.len();
        match cut {
            1 => bytes.truncate(at),
            2 => bytes[at] = byte,
            _ => {}
        }
        same_up_to(limit, &bytes);
    }

    #[test]
    fn any_bytes_read_the_same_both_ways(bytes in vec(any::<u8>(), 0..60), text in "[\\[\\]{}\",:0-9a-e\\\\ \n.-]{0,60}") {
        same_up_to(usize::MAX, &bytes);
        same(&text);
        same(&format!("{{\"resourceSpans\":[{text}]}}"));
        same(&around(&text));
    }
}
