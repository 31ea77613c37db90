//! Published caps, applied to a sum of snapshots: what is beyond them is counted in `coverage.overflow`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::contents;
use super::dict::OTHER;
use super::identity::MOST_OPERATIONS;
use super::snapshot::{Edge, NodeId, NodeKind, Operation, Snapshot};
use super::unite;

fn overflow(snapshot: &mut Snapshot, what: &str, n: u64) {
    if n > 0 {
        let count = snapshot.coverage.overflow.entry(what.to_owned()).or_default();
        *count = count.saturating_add(n);
    }
}

/// The services with the most spans stay.
pub(super) fn services(snapshot: &mut Snapshot, most: usize) {
    let services = snapshot.nodes.iter().filter(|n| n.kind == NodeKind::Service && n.instrumented);
    let mut spans: BTreeMap<NodeId, u64> = services.map(|n| (n.id.clone(), 0)).collect();
    if spans.len() <= most {
        return;
    }
    for operation in &snapshot.operations {
        if let Some(n) = spans.get_mut(&operation.service) {
            *n = n.saturating_add(operation.stats.n);
        }
    }
    let mut ranked: Vec<(Reverse<u64>, NodeId)> = spans.into_iter().map(|(id, n)| (Reverse(n), id)).collect();
    ranked.sort_unstable();
    let beyond: BTreeMap<NodeId, u64> = ranked.into_iter().skip(most).map(|(n, id)| (id, n.0)).collect();
    snapshot.nodes.retain(|node| !beyond.contains_key(&node.id));
    snapshot.operations.retain(|operation| !beyond.contains_key(&operation.service));
    snapshot.edges.retain(|edge| !beyond.contains_key(&edge.source) && !beyond.contains_key(&edge.target));
    snapshot.requests.retain(|requests| !beyond.contains_key(&requests.service));
    snapshot.origins.retain(|origin| !beyond.contains_key(&origin.service));
    snapshot.instances.retain(|instance| !beyond.contains_key(&instance.service));
    snapshot.traces.retain(|trace| !beyond.contains_key(&trace.service));
    overflow(snapshot, "services", beyond.values().fold(0, |sum, n| sum.saturating_add(*n)));
}

/// The most frequent operations of each service stay; the rest becomes `(other)`.
pub(super) fn operations(snapshot: &mut Snapshot, most: usize) {
    let mut spans: BTreeMap<&NodeId, BTreeMap<&str, u64>> = BTreeMap::new();
    for operation in snapshot.operations.iter().filter(|o| o.name != OTHER) {
        let n = spans.entry(&operation.service).or_default().entry(&operation.name).or_default();
        *n = n.saturating_add(operation.stats.n);
    }
    let ranked = |(service, names): (&NodeId, BTreeMap<&str, u64>)| {
        let mut names: Vec<(Reverse<u64>, &str)> = names.into_iter().map(|(name, n)| (Reverse(n), name)).collect();
        names.sort_unstable();
        let service = service.clone();
        names.into_iter().take(most).map(move |(n, name)| (n, service.clone(), name.to_owned())).collect::<Vec<_>>()
    };
    let mut kept: Vec<(Reverse<u64>, NodeId, String)> = spans.into_iter().flat_map(ranked).collect();
    kept.sort_unstable();
    kept.truncate(MOST_OPERATIONS);
    let kept: BTreeSet<(NodeId, String)> = kept.into_iter().map(|(_, service, name)| (service, name)).collect();
    let beyond = |service: &NodeId, name: &str| name != OTHER && !kept.contains(&(service.clone(), name.to_owned()));
    let (mut left, mut cut): (Vec<Operation>, u64) = (Vec::new(), 0);
    let mut others: BTreeMap<_, Operation> = BTreeMap::new();
    for mut operation in std::mem::take(&mut snapshot.operations) {
        if beyond(&operation.service, &operation.name) {
            cut = cut.saturating_add(operation.stats.n);
            OTHER.clone_into(&mut operation.name);
        }
        if operation.name != OTHER {
            left.push(operation);
            continue;
        }
        match others.get_mut(&(operation.service.clone(), operation.kind)) {
            Some(other) => unite::operation(other, &operation),
            None => _ = others.insert((operation.service.clone(), operation.kind), operation),
        }
    }
    left.extend(others.into_values());
    left.sort_by(|a, b| (&a.service, a.kind, &a.name).cmp(&(&b.service, b.kind, &b.name)));
    snapshot.operations = left;
    for edge in snapshot.edges.iter_mut().filter(|_| cut > 0) {
        for pair in &mut edge.operations {
            for (node, name) in [(&edge.source, &mut pair.source), (&edge.target, &mut pair.target)] {
                if !name.is_empty() && beyond(node, name) {
                    OTHER.clone_into(name);
                }
            }
        }
        unite::unite_pairs(&mut edge.operations);
    }
    overflow(snapshot, "operations", cut);
}

/// Edges with the smallest hashes stay: the threshold rises from `least` until no more than `most` are left.
pub(super) fn edges(snapshot: &mut Snapshot, most: usize, least: u32) {
    let zeros: Vec<u32> = snapshot.edges.iter().map(|edge| edge_hash(edge).leading_zeros()).collect();
    let fits = |threshold: &u32| zeros.iter().filter(|zeros| **zeros >= *threshold).count() <= most;
    let threshold = (least..64).find(fits).unwrap_or(64);
    let mut cut = 0u64;
    let mut zeros = zeros.iter();
    snapshot.edges.retain(|edge| {
        let keep = zeros.next().is_some_and(|zeros| *zeros >= threshold);
        cut = cut.saturating_add(if keep { 0 } else { edge.n });
        keep
    });
    overflow(snapshot, "edges", cut);
}

/// The same in every run: made of names.
fn edge_hash(edge: &Edge) -> u64 {
    contents::of_edge(&edge.source.0, &edge.target.0, edge.kind)
}
