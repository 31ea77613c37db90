//! A literal snapshot of a small shop, and a plain-text view of a page, for the tests of this module.

use std::collections::BTreeMap;

use super::document::{Piece, Runbook, Step, Text};
use crate::slo::{Comparison, Objective, ObjectiveState, ObjectiveStatus, Sli};
use crate::spans::{ErrorClass, SpanId, SpanKind, TraceId, UnixNanos, Weight};
use crate::topology::{
    Bucket, Coverage, Edge, EdgeKind, EdgeOperation, ErrorCount, Exemplar, Exemplars, Flow, KnownBy, Node, NodeId,
    NodeKind, Operation, Provenance, SCHEMA, Series, Sketch, Snapshot, SnapshotKind, Spread, Stats, Window,
};

/// 2026-03-02T10:00:00Z, a multiple of 300 s.
const START: u64 = 1_772_445_600;

/// `n` durations of which one in a hundred is ten times as long.
pub(super) fn sketch(n: u64, ms: u64) -> Sketch {
    let mut out = Sketch::default();
    for i in 0..n {
        out.add(ms * 1_000_000 * if i % 50 == 49 { 10 } else { 1 }, Weight::ONE);
    }
    out
}

fn class(http: u16, grpc: &str) -> ErrorClass {
    ErrorClass { http_status: http, grpc_status: grpc.into(), ..ErrorClass::default() }
}

fn errors(n: u64, http: u16, grpc: &str) -> Vec<ErrorCount> {
    if n == 0 { Vec::new() } else { vec![ErrorCount { class: class(http, grpc), calls: Weight::whole(n) }] }
}

fn series(n: u64, until: u64) -> Series {
    let bucket = Bucket { calls: Weight::whole(n / 24), errors: Weight::ZERO };
    Series((START / 300..START / 300 + until).map(|b| (b, bucket)).collect())
}

fn exemplar(trace: u128, ms: u64) -> Exemplar {
    let start = UnixNanos((START + 60) * 1_000_000_000);
    Exemplar { trace_id: TraceId(trace), span_id: SpanId(trace as u64), start, duration_ns: ms * 1_000_000 }
}

pub(super) fn stats(n: u64, failed: u64, ms: u64) -> Stats {
    let failed_ones = if failed > 0 { vec![exemplar(0xf, 5)] } else { Vec::new() };
    Stats {
        n,
        calls: Weight::whole(n),
        errors: Weight::whole(failed),
        error_classes: errors(failed, 503, ""),
        durations: sketch(n, ms),
        series: series(n, 24),
        exemplars: Exemplars {
            slow: vec![exemplar(0x5, ms * 10)],
            failed: failed_ones,
            typical: vec![exemplar(0x7, ms)],
        },
    }
}

pub(super) fn node(id: &str, kind: NodeKind, handled: Stats) -> Node {
    let parts: Vec<&str> = id.splitn(3, ':').collect();
    let (system, rest) = match (kind, parts.as_slice()) {
        (NodeKind::Database | NodeKind::Messaging, [_, system, name]) => (*system, *name),
        (NodeKind::External | NodeKind::Entry, [_, name]) => ("", *name),
        _ => ("", id),
    };
    let (namespace, name) = rest.split_once('/').filter(|_| kind == NodeKind::Service).unwrap_or(("", rest));
    Node {
        id: NodeId(id.into()),
        kind,
        namespace: namespace.into(),
        name: name.into(),
        system: system.into(),
        instrumented: kind == NodeKind::Service,
        attributes: BTreeMap::new(),
        handled,
        entry_traces: Default::default(),
    }
}

pub(super) fn edge(
    source: &str,
    target: &str,
    kind: EdgeKind,
    n: u64,
    failed: u64,
    client_ms: u64,
    server_ms: u64,
) -> Edge {
    let side = |ms: u64| if ms == 0 { Sketch::default() } else { sketch(n, ms) };
    let gap = if client_ms > 0 && server_ms > 0 { side(client_ms - server_ms) } else { Sketch::default() };
    Edge {
        source: NodeId(source.into()),
        target: NodeId(target.into()),
        kind,
        known_by: BTreeMap::from([(KnownBy::Paired, Weight::whole(n))]),
        n,
        calls: Weight::whole(n),
        errors: Weight::whole(failed),
        error_classes: errors(failed, 0, "UNAVAILABLE"),
        client: side(client_ms),
        server: side(server_ms),
        gap,
        dwell: Sketch::default(),
        series: series(n, 24),
        operations: vec![EdgeOperation {
            source: "call".into(),
            target: "handle".into(),
            calls: Weight::whole(n),
            errors: Weight::whole(failed),
            sum_ns: n * client_ms * 1_000_000,
            n,
        }],
        dimensions: BTreeMap::new(),
        exemplars: Exemplars::default(),
    }
}

/// Sorted as the topology sorts, so that lookups work.
pub(super) fn snapshot(mut nodes: Vec<Node>, mut edges: Vec<Edge>, mut operations: Vec<Operation>) -> Snapshot {
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    operations.sort_by(|a, b| (&a.service, a.kind, &a.name).cmp(&(&b.service, b.kind, &b.name)));
    Snapshot {
        schema: SCHEMA.into(),
        provenance: Provenance {
            kind: SnapshotKind::Spans,
            sources: vec!["trace file".into()],
            tool_version: "0.1.0".into(),
            spans_digest: "00".repeat(16),
            rules: String::new(),
            quantile_error: None,
            calls_only: false,
            example_traces: 0,
            external: Vec::new(),
            filter: Vec::new(),
        },
        window: Window { start: UnixNanos(START * 1_000_000_000), end: UnixNanos((START + 7_200) * 1_000_000_000) },
        coverage: Coverage { spans: 90_000, traces: 7_200, orphans: 90, ..Coverage::default() },
        nodes,
        operations,
        edges,
        requests: Vec::new(),
        origins: Vec::new(),
        instances: Vec::new(),
        traces: Vec::new(),
        external: Vec::new(),
        shard: None,
    }
}

pub(super) fn operation(service: &str, name: &str, handled: Stats) -> Operation {
    Operation {
        service: NodeId(service.into()),
        kind: SpanKind::Server,
        name: name.into(),
        entry: false,
        stats: handled,
        self_ns: None,
        self_times: Spread::default(),
        flow: Flow::default(),
    }
}

/// user → frontend → checkout → payment → bank; checkout → postgres, → topic orders → fulfilment.
pub(super) fn shop() -> Snapshot {
    use EdgeKind::{Call, Database, Entry, External, Messaging};
    let service = |id: &str, handled| node(id, NodeKind::Service, handled);
    let mut checkout = service("shop/checkout", stats(3_600, 180, 400));
    let seen = |values: &[(&str, u64)]| values.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect::<BTreeMap<_, _>>();
    checkout.attributes.insert("k8s.namespace.name".into(), seen(&[("shop", 3_600)]));
    checkout.attributes.insert(
        "k8s.pod.name".into(),
        seen(&[("checkout-578fcf766-9csqn", 1_800), ("checkout-578fcf766-x2wzd", 1_800)]),
    );
    checkout.attributes.insert("service.version".into(), seen(&[("1.4.0", 900), ("1.5.0", 2_700)]));
    checkout.attributes.insert("cloud.region".into(), seen(&[("eu-west-1", 3_600)]));
    let mut topic = edge("messaging:kafka:orders", "shop/fulfilment", Messaging, 3_400, 0, 0, 50);
    topic.dwell = sketch(3_400, 200);
    snapshot(
        vec![
            node("entry:user", NodeKind::Entry, Stats::default()),
            service("shop/frontend", stats(7_200, 200, 450)),
            checkout,
            service("shop/payment", stats(3_600, 150, 60)),
            service("shop/fulfilment", stats(3_400, 0, 50)),
            node("database:postgresql:orders", NodeKind::Database, stats(7_200, 0, 8)),
            node("external:api.bank.example", NodeKind::External, stats(3_600, 150, 40)),
            node("messaging:kafka:orders", NodeKind::Messaging, stats(3_400, 0, 5)),
        ],
        vec![
            edge("entry:user", "shop/frontend", Entry, 7_200, 200, 0, 450),
            edge("shop/frontend", "shop/checkout", Call, 3_600, 180, 410, 400),
            edge("shop/checkout", "shop/payment", Call, 3_600, 150, 300, 60),
            edge("shop/payment", "external:api.bank.example", External, 3_600, 150, 40, 0),
            edge("shop/checkout", "database:postgresql:orders", Database, 7_200, 0, 8, 0),
            edge("shop/checkout", "messaging:kafka:orders", Messaging, 3_400, 0, 5, 0),
            topic,
        ],
        vec![
            operation("shop/checkout", "POST /checkout", stats(3_000, 170, 460)),
            operation("shop/checkout", "GET /cart/{id}", stats(600, 10, 100)),
        ],
    )
}

/// An objective on one service with the state given.
pub(super) fn status(
    id: &str,
    service: &str,
    sli: Sli,
    target: f64,
    text: &str,
    value: Option<f64>,
) -> ObjectiveStatus {
    let state = match value {
        None => ObjectiveState::NoData,
        Some(v) if v < target => ObjectiveState::Met,
        Some(_) => ObjectiveState::Breached,
    };
    ObjectiveStatus {
        id: id.into(),
        objective: Objective {
            id: id.into(),
            service: service.into(),
            operation: None,
            sli,
            sli_name: "latency_p99".into(),
            comparison: Comparison::Below,
            target,
            target_text: text.into(),
            window_seconds: Some(30 * 86_400),
            severity: "page".into(),
            query: None,
            description: String::new(),
        },
        service: NodeId(service.into()),
        operation: None,
        state,
        value,
        interval: value.map(|v| (v * 0.9, v * 1.1)),
        n: if value.is_some() { 3_600 } else { 0 },
        certain: true,
        budget_remaining: value.map(|v| 1.0 - v / target),
        note: String::new(),
        burn: Vec::new(),
        reason: if value.is_some() { String::new() } else { "no spans of this service".into() },
    }
}

/// The objectives of the shop.
pub(super) fn objectives() -> Vec<ObjectiveStatus> {
    let p99 = Sli::Latency { percentile: 99.0 };
    vec![
        status("checkout-errors", "shop/checkout", Sli::ErrorRate, 0.01, "< 1 %", Some(0.05)),
        status("checkout-latency", "shop/checkout", p99, 0.5, "< 500ms", Some(4.0)),
        status("fulfilment-lag", "shop/fulfilment", Sli::MessagingLag { percentile: 99.0 }, 5.0, "< 5s", Some(2.0)),
        status("payment-latency", "shop/payment", p99, 0.7, "< 700ms", Some(0.6)),
    ]
}

/// A text as words, roughly as a reader sees it.
pub(super) fn words(text: &Text) -> String {
    let mut out = String::new();
    for piece in &text.0 {
        out.push_str(&match piece {
            Piece::Words(s) | Piece::Markdown(s) => s.clone(),
            Piece::Code(s) => format!("`{s}`"),
            Piece::Duration(s) if *s >= 1.0 => format!("{} s", (s * 100.0).round() / 100.0),
            Piece::Duration(s) => format!("{} ms", (s * 1e5).round() / 100.0),
            Piece::Ratio(r) => format!("{} %", (r * 1e4).round() / 100.0),
            Piece::Count(n) => format!("{n}"),
            Piece::Rate(r) => format!("{}/s", (r * 1000.0).round() / 1000.0),
            Piece::Time(t) => t.to_string(),
            Piece::Runbook(id) => format!("[{id}]"),
            Piece::Link(name, url) => format!("[{name}]({})", url.chars().take(60).collect::<String>()),
        });
    }
    out
}

fn steps(out: &mut String, heading: &str, steps: &[Step]) {
    out.push_str(&format!("\n## {heading}\n"));
    for (i, step) in steps.iter().enumerate() {
        let mark = if step.changes_state { " [CHANGES STATE]" } else { "" };
        out.push_str(&format!("{}. {}{mark}\n", i + 1, words(&step.title)));
        for (name, text) in [("before", &step.precondition), ("", &step.detail)] {
            if !text.is_empty() {
                out.push_str(&format!("   {name}{}{}\n", if name.is_empty() { "" } else { ": " }, words(text)));
            }
        }
        if !step.command.is_empty() {
            out.push_str(&format!("   ```{}\n   {}\n   ```\n", step.language, step.command.replace('\n', "\n   ")));
        }
        for (name, text) in [("expect", &step.expect), ("otherwise", &step.otherwise), ("undo", &step.undo)] {
            if !text.is_empty() {
                out.push_str(&format!("   {name}: {}\n", words(text)));
            }
        }
    }
}

/// A whole page as text.
pub(super) fn dump(page: &Runbook) -> String {
    let mut out = format!(
        "# {} {}\nfile {} | {:?} {:?} {} | owner {:?}\n",
        page.id,
        words(&page.title),
        page.file_name(),
        page.state,
        page.severity,
        page.urgency,
        page.owner
    );
    out.push_str(&format!("{}\n\n## Trigger\n{}\n", words(&page.summary), words(&page.trigger)));
    for text in &page.trigger_detail {
        out.push_str(&format!("- {}\n", words(text)));
    }
    out.push_str("\n## Impact\n");
    for text in &page.impact {
        out.push_str(&format!("- {}\n", words(text)));
    }
    steps(&mut out, "Diagnosis", &page.diagnosis);
    steps(&mut out, "Remediation", &page.remediation);
    steps(&mut out, "Verification", &page.verification);
    out.push_str("\n## Escalation\n");
    for e in &page.escalation {
        out.push_str(&format!("- {} {} {}\n", if e.after.is_empty() { "now" } else { &e.after }, e.who, e.contact));
    }
    out.push_str("\n## Evidence\n");
    let nodes: Vec<String> = page
        .evidence
        .diagram
        .nodes
        .iter()
        .map(|n| format!("{}{}{}", n.label, if n.focus { "*" } else { "" }, if n.alarmed { "!" } else { "" }))
        .collect();
    out.push_str(&format!("diagram: {} ({} edges)\n", nodes.join(", "), page.evidence.diagram.edges.len()));
    for table in &page.evidence.tables {
        out.push_str(&format!("{}: {}\n  | {} |\n", table.title, words(&table.note), table.columns.join(" | ")));
        for row in &table.rows {
            let cells: Vec<String> = row.cells.iter().map(words).collect();
            out.push_str(&format!("  | {} |\n", cells.join(" | ")));
        }
    }
    for t in &page.evidence.traces {
        out.push_str(&format!("trace {} {} {}s\n", t.class, t.trace_id, t.duration_seconds));
    }
    for w in &page.evidence.waterfalls {
        out.push_str(&format!("waterfall {} {} omitted {}\n", w.trace.class, w.trace.trace_id, w.omitted));
        for span in &w.spans {
            let indent = "  ".repeat(span.depth + 1);
            out.push_str(&format!("{indent}{span:?}\n"));
        }
    }
    for text in &page.evidence.unknowns {
        out.push_str(&format!("unknown: {}\n", words(text)));
    }
    out.push_str(&format!("related: {:?} successor: {:?}\n", page.related, page.successor));
    out
}

/// A query without what is inside its double quotes.
pub(super) fn outside_literals(query: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    for c in query.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => inside = !inside,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    assert!(!inside, "a literal is not closed: {query}");
    out
}
