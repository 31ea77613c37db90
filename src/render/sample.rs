//! Literal documents for the tests of this module. The names and figures are those of the Online Boutique traces.

use crate::diag::Severity;
use crate::runbook::{
    Diagram, DiagramEdge, DiagramNode, EscalationStep, Evidence, EvidenceRow, EvidenceTable, Piece, Runbook,
    RunbookKind, RunbookState, Step, Text, TraceRef, Waterfall, WaterfallSpan,
};
use crate::spans::{UnixNanos, Weight};
use crate::topology::{
    Coverage, Edge, EdgeKind, Exemplars, KnownBy, Node, NodeId, NodeKind, Provenance, SCHEMA, Series, Sketch, Snapshot,
    SnapshotKind, Stats, Window,
};

pub(super) fn id(name: &str) -> NodeId {
    NodeId(name.to_owned())
}

fn window() -> Window {
    Window { start: UnixNanos(1_661_274_005_000_000_000), end: UnixNanos(1_661_274_905_000_000_000) }
}

fn coverage() -> Coverage {
    Coverage { spans: 48_123, traces: 1_204, orphans: 17, duplicates: 3, ..Coverage::default() }
}

fn node(name: &str, kind: NodeKind, focus: bool, alarmed: bool) -> DiagramNode {
    let label = name.rsplit(':').next().unwrap_or(name).to_owned();
    DiagramNode { id: id(name), kind, label, focus, alarmed }
}

fn edge(source: &str, target: &str, kind: EdgeKind, p99: Option<f64>, errors: f64) -> DiagramEdge {
    DiagramEdge { source: id(source), target: id(target), kind, calls: 1_204.0, p99_seconds: p99, error_ratio: errors }
}

pub(super) fn runbook() -> Runbook {
    let name = || Piece::Code("checkoutservice".into());
    Runbook {
        id: "RB-001".into(),
        slug: "checkoutservice-high-latency".into(),
        key: "latency:checkoutservice".into(),
        kind: RunbookKind::Latency,
        title: Text(vec![name(), Piece::Words(" is slow".into())]),
        summary: Text(vec![
            Piece::Words("p99 latency of ".into()),
            name(),
            Piece::Words(" is ".into()),
            Piece::Duration(0.812),
            Piece::Words(", above the objective of 500 ms.".into()),
        ]),
        state: RunbookState::Breached,
        severity: Severity::Error,
        urgency: "page".into(),
        owner: "Shop SRE".into(),
        focus: Some(id("checkoutservice")),
        trigger: Text::words("p99 latency < 500ms is missed"),
        trigger_detail: vec![
            Text(vec![
                Piece::Words("Now ".into()),
                Piece::Duration(0.812),
                Piece::Words(" (95 % interval ".into()),
                Piece::Duration(0.764),
                Piece::Words(" to ".into()),
                Piece::Duration(0.93),
                Piece::Words(", n = ".into()),
                Piece::Count(1_204.0),
                Piece::Words(")".into()),
            ]),
            Text::words("Objective ").code("checkout-latency").and(" over the window of the snapshot"),
        ],
        impact: vec![
            Text(vec![
                Piece::Ratio(0.123),
                Piece::Words(" of the requests that enter at ".into()),
                Piece::Code("frontend".into()),
                Piece::Words(" pass through it.".into()),
            ]),
            Text::words("Called by ").code("frontend").and(" in ").code("Recv.hipstershop.CheckoutService.PlaceOrder"),
        ],
        diagnosis: vec![
            Step {
                title: Text::words("Look at ").code("productcatalogservice").and(", which holds most of the time"),
                detail: Text(vec![
                    Piece::Words("It takes ".into()),
                    Piece::Ratio(0.63),
                    Piece::Words(" of the slowest requests, ".into()),
                    Piece::Ratio(0.21),
                    Piece::Words(" of the normal ones.".into()),
                ]),
                command: "{ resource.service.name = \"productcatalogservice\" && duration > 500ms }".into(),
                language: "traceql".into(),
                expect: Text::words("No trace longer than 500 ms."),
                otherwise: Text::words("Go on with ").piece(Piece::Runbook("RB-002".into())).and("."),
                ..Step::default()
            },
            Step {
                title: Text::words("Compare the pods"),
                command: "kubectl -n hipster-shop get pods -l app=checkoutservice -o wide".into(),
                language: "bash".into(),
                expect: Text::words("All of them ready, none restarted."),
                ..Step::default()
            },
        ],
        remediation: vec![Step {
            title: Text::words("Roll back the last release"),
            command: "kubectl -n hipster-shop rollout undo deployment/checkoutservice".into(),
            language: "bash".into(),
            changes_state: true,
            precondition: Text::words("A release went out within the last day."),
            undo: Text::markdown("Run the **same** command again."),
            expect: Text::words("deployment rolled back"),
            ..Step::default()
        }],
        verification: vec![Step {
            title: Text::words("Run the query of the trigger again"),
            expect: Text::words("p99 below 500 ms for 15 min"),
            ..Step::default()
        }],
        escalation: vec![
            EscalationStep {
                after: String::new(),
                who: "On-call SRE".into(),
                contact: "https://pager.example.com/shop".into(),
            },
            EscalationStep { after: "15m".into(), who: "Engineering lead".into(), contact: "#shop-ops".into() },
        ],
        evidence: evidence(),
        related: vec!["RB-002".into(), "RB-404".into()],
        successor: None,
    }
}

fn evidence() -> Evidence {
    let cells = |service: &str, calls: f64, p99: f64| EvidenceRow {
        cells: vec![Text::default().code(service), Text(vec![Piece::Count(calls)]), Text(vec![Piece::Duration(p99)])],
    };
    let table = |title: &str| EvidenceTable {
        title: title.into(),
        note: Text::words("Client side, slowest first."),
        columns: vec!["Callee".into(), "Calls".into(), "p99".into()],
        rows: vec![cells("productcatalogservice", 4_210.0, 0.631), cells("cartservice", 2_408.0, 0.012_34)],
    };
    Evidence {
        window: window(),
        coverage: coverage(),
        diagram: Diagram {
            nodes: vec![
                node("cartservice", NodeKind::Service, false, false),
                node("checkoutservice", NodeKind::Service, true, true),
                node("database:mysql:ts", NodeKind::Database, false, false),
                node("entry:user", NodeKind::Entry, false, false),
                node("frontend", NodeKind::Service, false, false),
                node("messaging:kafka:orders", NodeKind::Messaging, false, false),
                node("productcatalogservice", NodeKind::Service, false, true),
            ],
            edges: vec![
                edge("checkoutservice", "cartservice", EdgeKind::Call, Some(0.012_34), 0.0),
                edge("checkoutservice", "messaging:kafka:orders", EdgeKind::Messaging, None, 0.0),
                edge("checkoutservice", "productcatalogservice", EdgeKind::Call, Some(0.631), 0.004),
                edge("entry:user", "frontend", EdgeKind::Entry, None, 0.0),
                edge("frontend", "checkoutservice", EdgeKind::Call, Some(0.812), 0.0),
                edge("productcatalogservice", "database:mysql:ts", EdgeKind::Database, Some(0.6), 0.0),
            ],
            omitted: 2,
        },
        tables: vec![table("Calls it makes"), table("Operations it handles")],
        traces: vec![trace("slow", 1.932)],
        waterfalls: waterfalls(),
        unknowns: vec![Text::words("17 spans have a parent that is not in the traces.")],
        sources: vec!["tempo://tempo:3200".into()],
        filtered: None,
        spans_digest: "00112233445566778899aabbccddeeff".into(),
    }
}

fn trace(class: &str, duration_seconds: f64) -> TraceRef {
    TraceRef {
        class: class.into(),
        trace_id: "0af7651916cd43dd8448eb211c80319c".into(),
        span_id: "b7ad6b7169203331".into(),
        start: UnixNanos(1_661_274_123_456_000_000),
        duration_seconds,
        links: vec![("Grafana".into(), "https://grafana.example.com/explore?left={\"q\":1}".into())],
    }
}

/// A slow request and a normal one: (depth, service, operation, start, duration, on the critical path, failed) in milliseconds.
fn waterfalls() -> Vec<Waterfall> {
    type Row = (usize, &'static str, &'static str, f64, f64, f64, bool);
    let span = |(depth, service, operation, start, duration, critical, failed): Row| WaterfallSpan {
        depth,
        service: service.into(),
        operation: operation.into(),
        start_seconds: start / 1e3,
        duration_seconds: duration / 1e3,
        critical_seconds: critical / 1e3,
        failed,
    };
    let slow: &[Row] = &[
        (0, "checkoutservice", "hipstershop.CheckoutService/PlaceOrder", 0.0, 1_932.0, 120.0, false),
        (1, "checkoutservice", "hipstershop.CartService/GetCart", 10.0, 12.0, 12.0, false),
        (1, "checkoutservice", "hipstershop.ProductCatalogService/GetProduct", 30.0, 1_800.0, 20.0, false),
        (2, "productcatalogservice", "hipstershop.ProductCatalogService/GetProduct", 40.0, 1_780.0, 1_780.0, false),
        (1, "checkoutservice", "hipstershop.EmailService/SendOrderConfirmation", 35.0, 900.0, 0.0, true),
    ];
    let normal: &[Row] = &[
        (0, "checkoutservice", "hipstershop.CheckoutService/PlaceOrder", 0.0, 32.0, 20.0, false),
        (1, "checkoutservice", "hipstershop.CartService/GetCart", 10.0, 12.0, 12.0, false),
    ];
    let all = |rows: &[Row]| rows.iter().copied().map(span).collect();
    vec![
        Waterfall { trace: trace("slow", 1.932), omitted: 16, spans: all(slow) },
        Waterfall { trace: trace("typical", 0.032), omitted: 0, spans: all(normal) },
    ]
}

/// A second runbook, to link to.
pub(super) fn database() -> Runbook {
    Runbook {
        id: "RB-002".into(),
        slug: "mysql-ts-failure".into(),
        key: "dependency:database:mysql:ts".into(),
        title: Text::words("Database ").code("ts").and(" fails"),
        trigger: Text::words("errors of calls to it > 1 %"),
        state: RunbookState::Ok,
        focus: Some(id("database:mysql:ts")),
        owner: String::new(),
        ..runbook()
    }
}

/// A retired one.
pub(super) fn retired() -> Runbook {
    Runbook {
        id: "RB-003".into(),
        slug: "old".into(),
        state: RunbookState::Retired,
        successor: Some("RB-001".into()),
        ..runbook()
    }
}

/// A runbook in which every text that comes from outside is this one.
pub(super) fn hostile(text: &str) -> Runbook {
    let t = || Text::words(text).code(text);
    let step = Step {
        title: t(),
        detail: t(),
        command: text.into(),
        language: text.into(),
        expect: t(),
        otherwise: t(),
        changes_state: true,
        precondition: t(),
        undo: t(),
    };
    let sample = runbook();
    let mut evidence = sample.evidence.clone();
    for node in &mut evidence.diagram.nodes {
        text.clone_into(&mut node.label);
    }
    evidence.tables = vec![
        EvidenceTable {
            title: text.into(),
            note: t(),
            columns: vec![text.into()],
            rows: vec![EvidenceRow { cells: vec![t()] }]
        };
        2
    ];
    evidence.unknowns = vec![t()];
    evidence.sources = vec![text.into()];
    evidence.spans_digest = text.into();
    evidence.coverage.rejected.insert(text.into(), 1);
    let drawn = evidence.waterfalls.iter_mut().map(|w| {
        for span in &mut w.spans {
            (span.service, span.operation) = (text.into(), text.into());
        }
        &mut w.trace
    });
    for trace in evidence.traces.iter_mut().chain(drawn) {
        trace.class = text.into();
        trace.trace_id = text.into();
        trace.span_id = text.into();
        trace.links = vec![(text.into(), text.into())];
    }
    Runbook {
        key: text.into(),
        title: t(),
        summary: t(),
        urgency: text.into(),
        owner: text.into(),
        focus: Some(id(text)),
        trigger: t(),
        trigger_detail: vec![t()],
        impact: vec![t()],
        diagnosis: vec![step.clone()],
        remediation: vec![step.clone()],
        verification: vec![step],
        escalation: vec![EscalationStep { after: text.into(), who: text.into(), contact: text.into() }],
        related: vec![text.into()],
        evidence,
        ..sample
    }
}

fn stats(calls: u64) -> Stats {
    Stats { n: calls, calls: Weight::whole(calls), durations: sketch(calls), ..Stats::default() }
}

fn sketch(n: u64) -> Sketch {
    let mut sketch = Sketch::default();
    (0..n).for_each(|i| sketch.add(1_000_000 + i, Weight::ONE));
    sketch
}

fn topology_node(id: &str, kind: NodeKind) -> Node {
    Node {
        id: NodeId(id.into()),
        kind,
        namespace: String::new(),
        name: id.splitn(3, ':').last().unwrap_or(id).to_owned(),
        system: String::new(),
        instrumented: kind == NodeKind::Service,
        attributes: std::collections::BTreeMap::new(),
        handled: stats(3),
        entry_traces: Weight::ZERO,
    }
}

fn topology_edge(source: &str, target: &str, kind: EdgeKind, calls: u64) -> Edge {
    Edge {
        source: id(source),
        target: id(target),
        kind,
        known_by: [(KnownBy::Paired, Weight::whole(calls)), (KnownBy::Link, Weight::ONE)].into(),
        n: calls,
        calls: Weight::whole(calls),
        errors: Weight::ZERO,
        error_classes: Vec::new(),
        client: sketch(calls),
        server: Sketch::default(),
        gap: Sketch::default(),
        dwell: Sketch::default(),
        series: Series::default(),
        operations: Vec::new(),
        dimensions: std::collections::BTreeMap::new(),
        exemplars: Exemplars::default(),
    }
}

fn topology(nodes: Vec<Node>, edges: Vec<Edge>) -> Snapshot {
    Snapshot {
        schema: SCHEMA.into(),
        provenance: Provenance {
            kind: SnapshotKind::Spans,
            sources: vec!["trace file".into()],
            tool_version: "0.1.0".into(),
            spans_digest: "00112233445566778899aabbccddeeff".into(),
            rules: String::new(),
            quantile_error: None,
            calls_only: false,
            example_traces: 0,
            external: Vec::new(),
            filter: Vec::new(),
        },
        window: window(),
        coverage: coverage(),
        nodes,
        operations: Vec::new(),
        edges,
        requests: Vec::new(),
        origins: Vec::new(),
        instances: Vec::new(),
        traces: Vec::new(),
        external: Vec::new(),
        shard: None,
    }
}

/// Four nodes, three edges.
pub(super) fn snapshot() -> Snapshot {
    topology(
        vec![
            topology_node("checkoutservice", NodeKind::Service),
            topology_node("database:mysql:ts", NodeKind::Database),
            topology_node("frontend", NodeKind::Service),
            topology_node("messaging:kafka:orders", NodeKind::Messaging),
        ],
        vec![
            topology_edge("checkoutservice", "database:mysql:ts", EdgeKind::Database, 7),
            topology_edge("checkoutservice", "messaging:kafka:orders", EdgeKind::Messaging, 5),
            topology_edge("frontend", "checkoutservice", EdgeKind::Call, 9),
        ],
    )
}

/// A star of `n` services around one, the later the busier, all named by `name`.
pub(super) fn star(n: usize, name: &dyn Fn(usize) -> String) -> Snapshot {
    let mut nodes: Vec<Node> =
        (0..n).map(|i| Node { name: name(i), ..topology_node(&format!("s{i:05}"), NodeKind::Service) }).collect();
    nodes.insert(0, topology_node("a-hub", NodeKind::Service));
    let edge = |i: usize| topology_edge("a-hub", &format!("s{i:05}"), EdgeKind::Call, 1 + i as u64 % 7);
    topology(nodes, (0..n).map(edge).collect())
}
