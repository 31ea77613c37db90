//! Examples beside aggregates: traces to open and to look at, where a backend counted the rest.
//!
//! Input: a snapshot of aggregates, and one of some whole traces of the same window. Output: the first with the exemplars
//! and the traces in short of the second. Must not: change a number, or call slow what is merely the slowest of a few. The
//! traces are chosen to be looked at, slow and failed ones among them: whatever could be counted in them would say nothing of
//! all traffic, and which of them are slow only what was counted tells.

use std::collections::BTreeMap;

use super::Sketch;
use super::evidence::{SummaryClass, TraceSummary};
use super::snapshot::{Exemplars, Snapshot, SnapshotKind};

/// Gives operations, edges and nodes of a snapshot of aggregates the exemplars that they have in `examples`, and all the
/// traces in short of services that were counted.
#[must_use]
pub fn with_examples(mut counted: Snapshot, examples: Snapshot) -> Snapshot {
    if counted.provenance.kind != SnapshotKind::Aggregate {
        return counted;
    }
    counted.provenance.example_traces = examples.coverage.traces;
    let nodes = examples.nodes.into_iter().map(|node| (node.id, node.handled.exemplars));
    let mut nodes: BTreeMap<_, _> = nodes.collect();
    let operations = examples.operations.into_iter().map(|o| ((o.service, o.kind, o.name), o.stats.exemplars));
    let mut operations: BTreeMap<_, _> = operations.collect();
    let edges = examples.edges.into_iter().map(|edge| ((edge.source, edge.target, edge.kind), edge.exemplars));
    let mut edges: BTreeMap<_, _> = edges.collect();
    for node in &mut counted.nodes {
        node.handled.exemplars = sorted(nodes.remove(&node.id).unwrap_or_default(), &node.handled.durations);
    }
    for operation in &mut counted.operations {
        let key = (operation.service.clone(), operation.kind, operation.name.clone());
        operation.stats.exemplars = sorted(operations.remove(&key).unwrap_or_default(), &operation.stats.durations);
    }
    for edge in &mut counted.edges {
        let key = (edge.source.clone(), edge.target.clone(), edge.kind);
        let durations = if edge.client.n() > 0 { &edge.client } else { &edge.server };
        edge.exemplars = sorted(edges.remove(&key).unwrap_or_default(), durations);
    }
    let mut traces = examples.traces;
    traces.retain(|trace| counted.node(&trace.service).is_some_and(|node| is_as_said(trace, &node.handled.durations)));
    counted.traces = traces;
    counted
}

/// The 95th percentile as counted, nanoseconds: above it a request is slow.
fn limit(durations: &Sketch) -> Option<u64> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds; saturates")]
    durations.quantile(0.95).map(|ns| ns as u64)
}

/// Without those of the slow that are not slow, and of the typical that are not typical. None is both.
fn sorted(mut exemplars: Exemplars, durations: &Sketch) -> Exemplars {
    let limit = limit(durations);
    exemplars.slow.retain(|one| limit.is_some_and(|limit| one.duration_ns > limit));
    let slow = &exemplars.slow;
    exemplars.typical.retain(|one| {
        limit.is_none_or(|limit| one.duration_ns <= limit) && slow.iter().all(|other| other.trace_id != one.trace_id)
    });
    exemplars
}

fn is_as_said(trace: &TraceSummary, durations: &Sketch) -> bool {
    let (limit, took) = (limit(durations), trace.duration_ns());
    match trace.class {
        SummaryClass::Slow => limit.is_some_and(|limit| took > limit),
        SummaryClass::Failed => true,
        SummaryClass::Typical => limit.is_none_or(|limit| took <= limit),
    }
}
