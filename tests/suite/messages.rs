//! Batch consumers: 1,000 messages, each sent in a trace of its own, received 100 at a time by two services in traces of
//! theirs, with everything out of order and spread over files.

use tracebook::spans::Weight;
use tracebook::topology::{Edge, Snapshot, codec};

use crate::harness::Case;

const START: u64 = 1_767_225_600_000_000_000;
const MILLISECOND: u64 = 1_000_000;
const MESSAGES: u64 = 1_000;
const BATCH: u64 = 100;
/// Something else is linked once: a message nobody has.
const LOST: &str = r#"{"traceId":"0000000000000000000000000000dead","spanId":"000000000000dead"}"#;

struct Span<'a> {
    trace: String,
    id: u64,
    parent: u64,
    kind: u8,
    name: &'a str,
    from_ms: u64,
    to_ms: u64,
    links: Vec<String>,
    failed: bool,
}

fn sent_in(message: u64) -> String {
    format!("{:032x}", u128::from(message + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

fn line(service: &str, spans: &[Span]) -> String {
    let topic = r#"{"key":"messaging.system","value":{"stringValue":"kafka"}},{"key":"messaging.destination.name","value":{"stringValue":"orders"}}"#;
    let spans: Vec<String> = spans
        .iter()
        .map(|s| {
            let parent = if s.parent == 0 { String::new() } else { format!("{:016x}", s.parent) };
            format!(
                r#"{{"traceId":"{}","spanId":"{:016x}","parentSpanId":"{parent}","name":"{}","kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[{}],"links":[{}],"status":{{"code":{}}}}}"#,
                s.trace,
                s.id,
                s.name,
                s.kind,
                START + s.from_ms * MILLISECOND,
                START + s.to_ms * MILLISECOND,
                if s.kind >= 4 { topic } else { "" },
                s.links.join(","),
                u8::from(s.failed) * 2
            )
        })
        .collect();
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},"scopeSpans":[{{"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
}

/// Message `i` is published from `i` ms to `i + 1` ms, below a request.
fn request(i: u64) -> String {
    let span = |id, parent, kind, name, from_ms, to_ms| {
        let (trace, links) = (sent_in(i), Vec::new());
        Span { trace, id, parent, kind, name, from_ms, to_ms, links, failed: false }
    };
    line("shop", &[span(1, 0, 2, "POST /order", i, i + 3), span(2, 1, 4, "orders publish", i, i + 1)])
}

/// Batch `k` of a service: messages `k`, `k + 10`, `k + 20`… from 5,000 + 10 k ms, for 50 ms. Inside it each message is
/// processed, linked once more.
fn receive(service: &str, number: u128, k: u64) -> String {
    let trace = format!("{:032x}", (number << 64) + u128::from(k) + 1);
    let of: Vec<u64> = (0..BATCH).rev().map(|j| k + 10 * j).collect();
    let link = |i: &u64| format!(r#"{{"traceId":"{}","spanId":"0000000000000002"}}"#, sent_in(*i));
    let mut links: Vec<String> = of.iter().map(link).collect();
    if service == "mail" && k == 7 {
        links.push(LOST.to_owned());
    }
    let start = 5_000 + 10 * k;
    let failed = service == "billing" && k == 3;
    let mut spans = vec![Span {
        trace: trace.clone(),
        id: 1,
        parent: 0,
        kind: 5,
        name: "orders receive",
        from_ms: start,
        to_ms: start + 50,
        links,
        failed,
    }];
    spans.extend(of.iter().zip(2..).map(|(message, id)| Span {
        trace: trace.clone(),
        id,
        parent: 1,
        kind: 5,
        name: "orders process",
        from_ms: start + 1,
        to_ms: start + 2,
        links: vec![link(message)],
        failed: false,
    }));
    line(service, &spans)
}

/// All lines, in an order that has nothing to do with time.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = (0..MESSAGES).map(|i| request(i * 7 % MESSAGES)).collect();
    for k in 0..MESSAGES / BATCH {
        let at = usize::try_from(k * 97).unwrap();
        lines.insert(at, receive("billing", 1, k));
        lines.insert(lines.len() - at, receive("mail", 2, k));
    }
    lines
}

fn captured(case: &Case) -> (Snapshot, String) {
    let bytes = case.text("out.snapshot.json");
    (codec::decode(bytes.as_bytes()).unwrap(), bytes)
}

fn edge<'a>(snapshot: &'a Snapshot, source: &str, target: &str) -> &'a Edge {
    snapshot.edges.iter().find(|e| e.source.0 == source && e.target.0 == target).unwrap()
}

#[test]
fn messages_consumed_by_the_hundred_in_other_traces_and_other_files_are_each_counted_once_with_their_dwell() {
    const TOPIC: &str = "messaging:kafka:orders";
    let lines = lines();
    let part = |n: usize| lines.iter().skip(n).step_by(3).map(|line| format!("{line}\n")).collect::<String>();
    let case = Case::empty()
        .file("a.jsonl", part(0))
        .file("b.jsonl", part(1))
        .file("c.jsonl", part(2))
        .run("capture --from a.jsonl --from b.jsonl --from c.jsonl --output out.snapshot.json")
        .expect_exit(0);
    let (snapshot, bytes) = captured(&case);

    let edges: Vec<String> = snapshot
        .edges
        .iter()
        .map(|e| {
            format!(
                "{} -> {} {} {} n={} calls={} errors={}",
                e.source,
                e.target,
                e.kind.name(),
                e.strongest().name(),
                e.n,
                e.calls,
                e.errors
            )
        })
        .collect();
    let expected = [
        "entry:user -> shop entry inferred n=1000 calls=1000 errors=0",
        "messaging:kafka:orders -> billing messaging link n=1000 calls=1000 errors=100",
        // One more: the message that nobody has was delivered too, by somebody.
        "messaging:kafka:orders -> mail messaging link n=1001 calls=1001 errors=0",
        "shop -> messaging:kafka:orders messaging link n=1000 calls=1000 errors=0",
    ];
    assert_eq!(edges, expected);
    assert_eq!(
        edge(&snapshot, TOPIC, "mail").known_by.values().map(Weight::to_string).collect::<Vec<_>>(),
        ["1000", "1"]
    );

    // Message i = 10 j + k ends at i + 1, its batch starts at 5,000 + 10 k: 4,999 + 9 k - 10 j milliseconds between.
    for service in ["billing", "mail"] {
        let delivery = edge(&snapshot, TOPIC, service);
        let dwell = &delivery.dwell;
        assert_eq!(
            (dwell.n(), dwell.min(), dwell.max()),
            (1_000, Some(4_009 * MILLISECOND), Some(5_080 * MILLISECOND))
        );
        assert_eq!(dwell.mean(), Some(4_544.5 * MILLISECOND as f64));
        let median = dwell.quantile(0.5).unwrap() / MILLISECOND as f64;
        assert!((median - 4_544.0).abs() <= 0.01 * 4_544.0, "{median}");
        // Each delivery takes as long as the span that received the batch.
        assert_eq!((delivery.server.min(), delivery.server.max()), (Some(50 * MILLISECOND), Some(50 * MILLISECOND)));
        assert!(delivery.client.is_empty() && delivery.gap.is_empty());
    }
    let publish = edge(&snapshot, "shop", TOPIC);
    assert_eq!((publish.client.n(), publish.client.mean()), (1_000, Some(MILLISECOND as f64)));
    assert!(publish.server.is_empty() && publish.dwell.is_empty());

    let coverage = &snapshot.coverage;
    assert_eq!((coverage.spans, coverage.traces), (2 * 1_000 + 2 * 10 * 101, 1_000 + 20));
    assert_eq!((coverage.unresolved_links, coverage.orphans, coverage.unpaired, coverage.skewed), (1, 0, 0, 0));
    assert!(coverage.overflow.is_empty() && coverage.rejected.is_empty());
    let handled = |id: &str| snapshot.nodes.iter().find(|n| n.id.0 == id).unwrap().handled.n;
    assert_eq!((handled("billing"), handled("mail"), handled(TOPIC)), (10 * 101, 10 * 101, 1_000));

    let backwards: String = lines.iter().rev().map(|line| format!("{line}\n")).collect();
    for command in [
        "capture --from c.jsonl --from a.jsonl --from b.jsonl --threads 1 --output out.snapshot.json",
        "capture --from all --threads 2 --output out.snapshot.json",
        "capture --from backwards.jsonl --threads 2 --output out.snapshot.json",
    ] {
        let again = Case::empty()
            .file("a.jsonl", part(0))
            .file("b.jsonl", part(1))
            .file("c.jsonl", part(2))
            .file("all/1.jsonl", part(2))
            .file("all/2.jsonl", part(0))
            .file("all/3.jsonl", part(1))
            .file("backwards.jsonl", &backwards)
            .run(command)
            .expect_exit(0);
        assert_eq!(captured(&again).1, bytes, "{command}");
    }
}
