//! Examples beside aggregates: traces to open and to look at, where a backend counted the rest.
//!
//! Input: a snapshot of aggregates, and one of some whole traces of the same window. Output: the first with the exemplars
//! and the traces in short of the second. Must not: change a number. The traces are chosen to be looked at, slow and failed
//! ones among them: whatever could be counted in them would say nothing of all traffic.

use std::collections::BTreeMap;

use super::snapshot::{Snapshot, SnapshotKind};

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
        node.handled.exemplars = nodes.remove(&node.id).unwrap_or_default();
    }
    for operation in &mut counted.operations {
        let key = (operation.service.clone(), operation.kind, operation.name.clone());
        operation.stats.exemplars = operations.remove(&key).unwrap_or_default();
    }
    for edge in &mut counted.edges {
        let key = (edge.source.clone(), edge.target.clone(), edge.kind);
        edge.exemplars = edges.remove(&key).unwrap_or_default();
    }
    let mut traces = examples.traces;
    traces.retain(|trace| counted.node(&trace.service).is_some());
    counted.traces = traces;
    counted
}
