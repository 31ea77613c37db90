//! A small shop: its traces as OTLP JSON lines, and a snapshot built without them.

use std::collections::BTreeMap;

use tracebook::spans::{SpanKind, UnixNanos, Weight};
use tracebook::topology::{
    Coverage, Edge, EdgeKind, Exemplars, Flow, KnownBy, Node, NodeId, NodeKind, Operation, Provenance, SCHEMA, Series,
    Sketch, Snapshot, SnapshotKind, Spread, Stats, Window, codec,
};

const START: u64 = 1_767_225_600_000_000_000;

fn stats(n: u64) -> Stats {
    let mut durations = Sketch::default();
    for i in 1..=n {
        durations.add(i * 1_000_000, Weight::ONE);
    }
    Stats { n, calls: Weight::whole(n), durations, ..Stats::default() }
}

/// Through its JSON, so that a field added with a default needs no change here.
fn node(id: &str, kind: NodeKind, n: u64) -> Node {
    let system = if kind == NodeKind::Database { "redis" } else { "" };
    let name = id.rsplit(':').next().unwrap_or(id);
    let json = serde_json::json!({
        "id": id, "kind": kind.name(), "namespace": "", "name": name, "system": system,
        "instrumented": kind == NodeKind::Service, "handled": stats(n),
    });
    serde_json::from_value(json).unwrap()
}

fn edge(source: &str, target: &str, kind: EdgeKind, n: u64) -> Edge {
    Edge {
        source: NodeId(source.into()),
        target: NodeId(target.into()),
        kind,
        known_by: BTreeMap::from([(KnownBy::Paired, Weight::whole(n))]),
        n,
        calls: Weight::whole(n),
        errors: Weight::ZERO,
        error_classes: Vec::new(),
        client: stats(n).durations,
        server: stats(n).durations,
        gap: Sketch::default(),
        dwell: Sketch::default(),
        series: Series::default(),
        operations: Vec::new(),
        dimensions: BTreeMap::new(),
        exemplars: Exemplars::default(),
    }
}

/// A snapshot of `user → frontend → cart → redis`; without `cart` when told so.
pub fn snapshot(with_cart: bool) -> Snapshot {
    let mut nodes = vec![node("entry:user", NodeKind::Entry, 0), node("frontend", NodeKind::Service, 100)];
    let mut edges = vec![edge("entry:user", "frontend", EdgeKind::Entry, 100)];
    let operation = |service: &str| Operation {
        service: NodeId(service.into()),
        kind: SpanKind::Server,
        name: format!("GET /{service}"),
        entry: service == "frontend",
        stats: stats(100),
        self_ns: None,
        self_times: Spread::default(),
        flow: Flow::default(),
    };
    let mut operations = vec![operation("frontend")];
    if with_cart {
        nodes.extend([node("cart", NodeKind::Service, 100), node("database:redis:cart", NodeKind::Database, 100)]);
        edges.extend([
            edge("frontend", "cart", EdgeKind::Call, 100),
            edge("cart", "database:redis:cart", EdgeKind::Database, 100),
        ]);
        operations.push(operation("cart"));
    }
    nodes.sort_by(|a, b| a.id.cmp(&b.id));
    edges.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    operations.sort_by(|a, b| a.service.cmp(&b.service));
    Snapshot {
        schema: SCHEMA.into(),
        provenance: Provenance {
            kind: SnapshotKind::Spans,
            sources: vec!["trace file".into()],
            tool_version: env!("CARGO_PKG_VERSION").into(),
            spans_digest: "0".repeat(32),
            rules: String::new(),
            quantile_error: None,
            calls_only: false,
            example_traces: 0,
            external: Vec::new(),
            filter: Vec::new(),
        },
        window: Window { start: UnixNanos(START), end: UnixNanos(START + 600_000_000_000) },
        coverage: Coverage { spans: 300, traces: 100, ..Coverage::default() },
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

/// The snapshot as a file.
pub fn snapshot_bytes(with_cart: bool) -> Vec<u8> {
    codec::encode(&snapshot(with_cart)).unwrap()
}

/// 40 traces `frontend → cart → redis` as OTLP JSON lines, one request a line, one in ten failing in `cart`.
pub fn traces() -> Vec<String> {
    (1..=40u64).map(|i| line(i, i % 10 == 0)).collect()
}

fn line(i: u64, failed: bool) -> String {
    let trace =
        format!("{:032x}", u128::from(i).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) % (1 << 124) + 1);
    let at = |ms: u64| START + i * 5_000_000_000 + ms * 1_000_000;
    let span = |id: u64, parent: u64, kind: u8, name: &str, from: u64, to: u64, attributes: &str, code: u8| {
        let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
        format!(
            r#"{{"traceId":"{trace}","spanId":"{:016x}","parentSpanId":"{parent}","name":"{name}","kind":{kind},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[{attributes}],"status":{{"code":{code}}}}}"#,
            id,
            at(from),
            at(to)
        )
    };
    let base = i * 16;
    let error = u8::from(failed) * 2;
    let attribute = |k: &str, v: &str| format!(r#"{{"key":"{k}","value":{{"stringValue":"{v}"}}}}"#);
    let redis = [attribute("db.system.name", "redis"), attribute("db.namespace", "cart")].join(",");
    let ms = 10 + i;
    let resource = |service: &str, spans: &[String]| {
        format!(
            r#"{{"resource":{{"attributes":[{}]}},"scopeSpans":[{{"spans":[{}]}}]}}"#,
            attribute("service.name", service),
            spans.join(",")
        )
    };
    let frontend = [
        span(base + 1, 0, 2, "GET /", 0, ms + 8, "", error),
        span(base + 2, base + 1, 3, "GET cart", 1, ms + 6, "", error),
    ];
    let cart = [
        span(base + 3, base + 2, 2, "GET /cart", 2, ms + 5, "", error),
        span(base + 4, base + 3, 3, "HGETALL", 3, ms, &redis, 0),
    ];
    format!(r#"{{"resourceSpans":[{},{}]}}"#, resource("frontend", &frontend), resource("cart", &cart))
}
