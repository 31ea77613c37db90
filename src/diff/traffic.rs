//! One snapshot as the comparison needs it: what was seen of each thing, and how much traffic it was exposed to.

use std::collections::BTreeMap;

use super::Side;
use crate::topology::{Edge, EdgeKind, NodeId, NodeKind, Sketch, Snapshot, Stats};

/// What one snapshot saw of one thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// Spans.
    pub(super) n: u64,
    /// Calls they stand for.
    pub(super) calls: f64,
    /// Failed share.
    pub(super) error_ratio: Option<f64>,
    /// Nanoseconds; `None` where a sum of unlike things has none.
    pub(super) durations: Option<&'a Sketch>,
}

impl<'a> Seen<'a> {
    /// `of` is the snapshot that saw it: where it knows calls alone, nobody knows what failed.
    pub(super) fn stats(stats: &'a Stats, of: &Snapshot) -> Self {
        Self {
            n: stats.n,
            calls: stats.calls.as_f64(),
            error_ratio: of.provenance.failed(stats.error_ratio()),
            durations: Some(&stats.durations),
        }
    }

    /// The same of an edge.
    pub(super) fn edge(edge: &'a Edge, durations: Option<&'a Sketch>, of: &Snapshot) -> Self {
        let error_ratio = of.provenance.failed(edge.error_ratio());
        Self { n: edge.n, calls: edge.calls.as_f64(), error_ratio, durations }
    }

    /// Sample size: spans, or calls in an aggregate that knows no spans.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    pub(super) fn sample(&self) -> f64 {
        if self.n > 0 { self.n as f64 } else { self.calls }
    }

    /// Mean in seconds.
    pub(super) fn mean(&self) -> Option<f64> {
        self.durations.and_then(Sketch::mean).map(|ns| ns / 1e9)
    }

    /// As an answer.
    pub(super) fn side(&self, seconds: f64) -> Side {
        let quantile = |q| self.durations.and_then(|d| d.quantile(q)).map(|ns| ns / 1e9);
        Side {
            n: self.n,
            calls_per_second: if seconds > 0.0 { self.calls / seconds } else { 0.0 },
            error_ratio: self.error_ratio,
            mean_seconds: self.mean(),
            p50_seconds: quantile(0.5),
            p95_seconds: quantile(0.95),
            p99_seconds: quantile(0.99),
        }
    }
}

/// Indices over one snapshot.
#[derive(Debug)]
pub(super) struct Traffic<'a> {
    /// The snapshot.
    pub(super) snapshot: &'a Snapshot,
    /// Length of its window.
    pub(super) seconds: f64,
    /// Calls handled per node; for an entry the calls it makes.
    pub(super) handled: BTreeMap<&'a NodeId, f64>,
    /// Edges by source.
    pub(super) out: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
    /// Calls from entries.
    entries: f64,
    /// Calls of entry operations.
    roots: f64,
    /// Calls handled by all services.
    volume: f64,
}

impl<'a> Traffic<'a> {
    pub(super) fn of(snapshot: &'a Snapshot) -> Self {
        let mut out: BTreeMap<&NodeId, Vec<&Edge>> = BTreeMap::new();
        for edge in &snapshot.edges {
            out.entry(&edge.source).or_default().push(edge);
        }
        let calls = |edges: Option<&Vec<&Edge>>| edges.into_iter().flatten().map(|e| e.calls.as_f64()).sum::<f64>();
        let handled: BTreeMap<&NodeId, f64> = snapshot
            .nodes
            .iter()
            .map(|n| {
                let entry = n.kind == NodeKind::Entry;
                (&n.id, if entry { calls(out.get(&n.id)) } else { n.handled.calls.as_f64() })
            })
            .collect();
        Self {
            seconds: snapshot.window.seconds(),
            entries: snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Entry).map(|e| e.calls.as_f64()).sum(),
            roots: snapshot.operations.iter().filter(|o| o.entry).map(|o| o.stats.calls.as_f64()).sum(),
            volume: snapshot.services().map(|n| n.handled.calls.as_f64()).sum(),
            snapshot,
            handled,
            out,
        }
    }

    pub(super) fn handled(&self, id: &NodeId) -> f64 {
        self.handled.get(id).copied().unwrap_or_default()
    }

    pub(super) fn out_of(&self, id: &NodeId) -> impl Iterator<Item = &'a Edge> {
        self.out.get(id).into_iter().flatten().copied()
    }

    /// The same edge here, found in the logarithm of the number of edges.
    pub(super) fn same_edge(&self, edge: &Edge) -> Option<&'a Edge> {
        let key = (&edge.source, &edge.target, edge.kind);
        let edges = &self.snapshot.edges;
        edges.binary_search_by(|e| (&e.source, &e.target, e.kind).cmp(&key)).ok().and_then(|i| edges.get(i))
    }
}

/// Durations of one edge in both snapshots, seen from the same end: the client's, else the server's. `None` when one
/// snapshot has only the one and the other only the other: they are not the same quantity.
pub(super) fn same_end<'a>(before: &'a Edge, after: &'a Edge) -> Option<(&'a Sketch, &'a Sketch)> {
    let ends = [(&before.client, &after.client), (&before.server, &after.server)];
    ends.into_iter().find(|(b, h)| !b.is_empty() && !h.is_empty())
}

/// Requests that enter the system on both sides, counted the same way on both: by entry edges, else by root operations,
/// else by all that services handled. Zero on a side that saw nothing.
pub(super) fn entry_requests(base: &Traffic<'_>, head: &Traffic<'_>) -> (f64, f64) {
    let ways = [(base.entries, head.entries), (base.roots, head.roots)];
    let both = ways.into_iter().find(|(b, h)| *b > 0.0 && *h > 0.0);
    both.unwrap_or((base.volume, head.volume))
}

/// Mean seconds of an entry request: the scale on which added time is judged. One second when nothing is known.
pub(super) fn entry_mean(traffic: &Traffic<'_>) -> f64 {
    let stats = traffic.snapshot.operations.iter().filter(|o| o.entry).map(|o| &o.stats.durations);
    let edges = traffic.snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Entry).map(Edge::latency);
    let services = traffic.snapshot.services().map(|n| &n.handled.durations);
    let mean = |sketches: &mut dyn Iterator<Item = &Sketch>| {
        let (sum, calls) = sketches.fold((0.0, 0.0), |(s, c), d| (s + d.sum_seconds(), c + d.weight().as_f64()));
        (sum > 0.0 && calls > 0.0).then(|| sum / calls)
    };
    mean(&mut { stats }).or_else(|| mean(&mut { edges })).or_else(|| mean(&mut { services })).unwrap_or(1.0)
}
