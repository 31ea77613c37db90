//! Literal snapshots for tests of the stages after `topology`.

use crate::spans::{SpanId, TraceId, UnixNanos};
pub(crate) use crate::spans::{SpanKind, Weight};
use crate::topology::{
    Bucket, Coverage, Edge, EdgeKind, Exemplar, Flow, KnownBy, Node, NodeId, NodeKind, Operation, Provenance, SCHEMA,
    Series, Sketch, Snapshot, SnapshotKind, Spread, Stats, Window,
};

/// From second to second.
pub(crate) fn window(start: u64, end: u64) -> Window {
    Window { start: UnixNanos(start * 1_000_000_000), end: UnixNanos(end * 1_000_000_000) }
}

/// (bucket, calls, errors).
pub(crate) fn series(buckets: impl IntoIterator<Item = (u64, u64, u64)>) -> Series {
    let bucket = |calls, errors| Bucket { calls: Weight::whole(calls), errors: Weight::whole(errors) };
    Series(buckets.into_iter().map(|(at, calls, errors)| (at, bucket(calls, errors))).collect())
}

/// Durations in milliseconds.
pub(crate) fn millis(values: impl IntoIterator<Item = f64>) -> Sketch {
    let mut sketch = Sketch::default();
    for value in values {
        sketch.add((value * 1e6) as u64, Weight::ONE);
    }
    sketch
}

/// `n` durations spread evenly from half to one and a half times `mean_ms`.
pub(crate) fn around(n: u64, mean_ms: f64) -> Sketch {
    millis((0..n).map(|i| mean_ms * (0.5 + (i as f64 + 0.5) / n as f64)))
}

/// One exemplar.
pub(crate) fn exemplar(id: u64) -> Exemplar {
    Exemplar { trace_id: TraceId(id.into()), span_id: SpanId(id), start: UnixNanos(0), duration_ns: id }
}

/// Calls, errors and durations around a mean.
pub(crate) fn stats(n: u64, errors: u64, mean_ms: f64) -> Stats {
    let mut stats = Stats {
        n,
        calls: Weight::whole(n),
        errors: Weight::whole(errors),
        durations: around(n, mean_ms),
        ..Stats::default()
    };
    if n > 0 {
        stats.exemplars.slow.push(exemplar(1));
    }
    if errors > 0 {
        stats.exemplars.failed.push(exemplar(2));
    }
    stats
}

/// A service, or another node by the prefix of its id.
pub(crate) fn node(id: &str, handled: Stats) -> Node {
    let kind = match id.split(':').next() {
        Some("database") => NodeKind::Database,
        Some("messaging") => NodeKind::Messaging,
        Some("external") => NodeKind::External,
        Some("entry") => NodeKind::Entry,
        _ => NodeKind::Service,
    };
    let (namespace, name) = id.rsplit_once('/').unwrap_or(("", id));
    Node {
        id: NodeId(id.into()),
        kind,
        namespace: namespace.into(),
        name: name.into(),
        system: String::new(),
        instrumented: kind == NodeKind::Service,
        attributes: Default::default(),
        handled,
        entry_traces: Default::default(),
    }
}

/// A SERVER operation.
pub(crate) fn operation(service: &str, name: &str, stats: Stats) -> Operation {
    Operation {
        service: NodeId(service.into()),
        kind: SpanKind::Server,
        name: name.into(),
        entry: false,
        stats,
        self_ns: None,
        self_times: Spread::default(),
        flow: Flow::default(),
    }
}

/// An edge whose client and server side took these mean milliseconds (0: that side was not seen).
pub(crate) fn edge(source: &str, target: &str, n: u64, errors: u64, client_ms: f64, server_ms: f64) -> Edge {
    let kind = match (source.split(':').next(), target.split(':').next()) {
        (Some("entry"), _) => EdgeKind::Entry,
        (_, Some("database")) => EdgeKind::Database,
        (_, Some("external")) => EdgeKind::External,
        (Some("messaging"), _) | (_, Some("messaging")) => EdgeKind::Messaging,
        _ => EdgeKind::Call,
    };
    let side = |ms: f64| if ms > 0.0 { around(n, ms) } else { Sketch::default() };
    let paired = client_ms > 0.0 && server_ms > 0.0;
    let mut edge = Edge {
        source: NodeId(source.into()),
        target: NodeId(target.into()),
        kind,
        known_by: [(if paired { KnownBy::Paired } else { KnownBy::Inferred }, Weight::whole(n))].into(),
        n,
        calls: Weight::whole(n),
        errors: Weight::whole(errors),
        error_classes: Vec::new(),
        client: side(client_ms),
        server: side(server_ms),
        gap: if paired { side(client_ms - server_ms) } else { Sketch::default() },
        dwell: Sketch::default(),
        series: Series::default(),
        operations: Vec::new(),
        dimensions: std::collections::BTreeMap::new(),
        exemplars: Default::default(),
    };
    edge.exemplars.slow.push(exemplar(3));
    edge
}

/// A snapshot of ten minutes.
pub(crate) fn snapshot(mut nodes: Vec<Node>, mut operations: Vec<Operation>, mut edges: Vec<Edge>) -> Snapshot {
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    operations.sort_by(|a, b| (&a.service, a.kind, &a.name).cmp(&(&b.service, b.kind, &b.name)));
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    let spans = nodes.iter().map(|n| n.handled.n).sum();
    Snapshot {
        schema: SCHEMA.into(),
        provenance: Provenance {
            kind: SnapshotKind::Spans,
            sources: vec!["test".into()],
            tool_version: "0".into(),
            spans_digest: "0".into(),
            rules: String::new(),
            quantile_error: None,
            calls_only: false,
            example_traces: 0,
            external: Vec::new(),
            filter: Vec::new(),
        },
        window: window(0, 600),
        coverage: Coverage { spans, traces: spans / 2, ..Coverage::default() },
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
