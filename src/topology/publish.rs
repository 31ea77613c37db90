//! From everything counted to what is published: what each node handled, and every list cut to its length.
//!
//! Input: a snapshot as it was counted or united, lists as long as they are. Output: the snapshot others read. The only
//! place where lists are cut, so that one run and a merge of its shards cut the same sums.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::dict::OTHER;
use super::dimensions;
use super::evidence::{instances, origins, requests};
use super::snapshot::{Edge, NodeId, Snapshot, Stats};
use super::unite;

/// Error classes shown of one thing.
const MOST_CLASSES: usize = 20;
/// Pairs of operations shown of one edge.
const MOST_PAIRS: usize = 50;
/// Values kept of one attribute of a node.
const MOST_VALUES: usize = 20;
/// Values of one attribute of a node that merging still tells apart.
const MOST_WIDE_VALUES: usize = 4096;

/// Sums up nodes and cuts every list.
pub(super) fn publish(mut snapshot: Snapshot) -> Snapshot {
    keep_present(&mut snapshot);
    sum_handled(&mut snapshot);
    cut(&mut snapshot);
    snapshot
}

/// Drops nodes of which neither operation nor edge is left.
pub(super) fn keep_present(snapshot: &mut Snapshot) {
    let ends = snapshot.edges.iter().flat_map(|edge| [&edge.source, &edge.target]);
    let present: BTreeSet<&NodeId> = ends.chain(snapshot.operations.iter().map(|o| &o.service)).collect();
    snapshot.nodes.retain(|node| present.contains(&node.id));
}

/// What a node handled: all its SERVER and CONSUMER spans; for one without spans the calls into it, as its callers saw
/// them.
fn sum_handled(snapshot: &mut Snapshot) {
    let mut handled: BTreeMap<&NodeId, Stats> = BTreeMap::new();
    for operation in snapshot.operations.iter().filter(|o| o.kind.is_called()) {
        unite::stats(handled.entry(&operation.service).or_default(), &operation.stats);
    }
    let inferred: BTreeSet<&NodeId> = snapshot.nodes.iter().filter(|n| !n.instrumented).map(|n| &n.id).collect();
    for edge in snapshot.edges.iter().filter(|edge| inferred.contains(&edge.target)) {
        unite::stats(handled.entry(&edge.target).or_default(), &as_handled(edge));
    }
    for node in &mut snapshot.nodes {
        node.handled = handled.remove(&node.id).unwrap_or_default();
    }
}

fn as_handled(edge: &Edge) -> Stats {
    Stats {
        n: edge.n,
        calls: edge.calls,
        errors: edge.errors,
        error_classes: edge.error_classes.clone(),
        durations: edge.latency().clone(),
        series: edge.series.clone(),
        exemplars: edge.exemplars.clone(),
    }
}

/// Bounds the lists of a snapshot that is to be merged further.
pub(super) fn cut_wide(snapshot: &mut Snapshot) {
    for node in &mut snapshot.nodes {
        node.attributes.values_mut().for_each(|values| cut_values(values, MOST_WIDE_VALUES));
    }
    snapshot.edges.iter_mut().for_each(|edge| dimensions::cut_wide(&mut edge.dimensions));
    instances::cut_wide(&mut snapshot.instances);
}

/// Cuts every list to its published length.
pub(super) fn cut(snapshot: &mut Snapshot) {
    for node in &mut snapshot.nodes {
        node.handled.error_classes.truncate(MOST_CLASSES);
        node.attributes.values_mut().for_each(|values| cut_values(values, MOST_VALUES));
    }
    snapshot.operations.iter_mut().for_each(|operation| operation.stats.error_classes.truncate(MOST_CLASSES));
    for edge in &mut snapshot.edges {
        edge.error_classes.truncate(MOST_CLASSES);
        edge.operations.truncate(MOST_PAIRS);
        dimensions::cut(&mut edge.dimensions);
    }
    requests::cut(&mut snapshot.requests);
    origins::cut(&mut snapshot.origins);
    instances::cut(&mut snapshot.instances);
}

/// Leaves the most frequent values; the rest is summed.
fn cut_values(values: &mut BTreeMap<String, u64>, most: usize) {
    if values.len() <= most {
        return;
    }
    // What was summed before is no value.
    let mut rest = values.remove(OTHER).unwrap_or(0);
    let mut sorted: Vec<(Reverse<u64>, String)> =
        std::mem::take(values).into_iter().map(|(value, n)| (Reverse(n), value)).collect();
    sorted.sort_unstable();
    rest = sorted.iter().skip(most).map(|(n, _)| n.0).fold(rest, u64::saturating_add);
    sorted.truncate(most);
    values.extend(sorted.into_iter().map(|(n, value)| (value, n.0)));
    values.insert(OTHER.to_owned(), rest);
}
