//! Adding two snapshots' parts of one thing: a commutative monoid, so that shards can be added in any order.
//!
//! Input: entries of one node, operation or edge. Output: their sum, lists as long as they are. Must not: cut anything.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::dimensions;
use super::picks::Picks;
use super::series::MOST_BUCKETS;
use super::snapshot::{Coverage, Edge, EdgeOperation, ErrorCount, Exemplars, Node, Operation, Series, Stats};
use crate::spans::{ErrorClass, Weight};

/// Error classes of one thing, and pairs of operations of one edge, that merging tells apart: some times what a run counts,
/// so that no number of snapshots makes a list grow without bound.
const MOST_CLASSES: usize = 1 << 12;
const MOST_PAIRS: usize = 1 << 15;

pub(super) fn node(mine: &mut Node, other: Node) {
    mine.instrumented |= other.instrumented;
    for (key, values) in other.attributes {
        let all = mine.attributes.entry(key).or_default();
        for (value, n) in values {
            let count = all.entry(value).or_default();
            *count = count.saturating_add(n);
        }
    }
    stats(&mut mine.handled, &other.handled);
    mine.entry_traces += other.entry_traces;
}

pub(super) fn operation(mine: &mut Operation, other: &Operation) {
    // A table of steps for a part of the calls only would look as if the rest did nothing.
    let without = |o: &Operation| !o.stats.durations.is_empty() && o.self_times.is_empty();
    mine.flow.beyond |= without(mine) != without(other);
    mine.entry |= other.entry;
    stats(&mut mine.stats, &other.stats);
    // Of a sum of which a part is unknown, nothing is known.
    mine.self_ns = mine.self_ns.zip(other.self_ns).map(|(mut sum, own)| {
        sum.merge(own);
        sum
    });
    mine.self_times.merge(&other.self_times);
    mine.flow.merge(&other.flow);
}

pub(super) fn stats(mine: &mut Stats, other: &Stats) {
    mine.n = mine.n.saturating_add(other.n);
    mine.calls += other.calls;
    mine.errors += other.errors;
    classes(&mut mine.error_classes, &other.error_classes);
    mine.durations.merge(&other.durations);
    series(&mut mine.series, &other.series);
    exemplars(&mut mine.exemplars, &other.exemplars);
}

pub(super) fn edge(mine: &mut Edge, other: &Edge) {
    for (known_by, weight) in &other.known_by {
        *mine.known_by.entry(*known_by).or_default() += *weight;
    }
    let all = (mine.calls, mine.errors);
    dimensions::unite(&mut mine.dimensions, all, &other.dimensions, (other.calls, other.errors));
    mine.n = mine.n.saturating_add(other.n);
    mine.calls += other.calls;
    mine.errors += other.errors;
    classes(&mut mine.error_classes, &other.error_classes);
    mine.client.merge(&other.client);
    mine.server.merge(&other.server);
    mine.gap.merge(&other.gap);
    mine.dwell.merge(&other.dwell);
    series(&mut mine.series, &other.series);
    pairs(&mut mine.operations, &other.operations);
    exemplars(&mut mine.exemplars, &other.exemplars);
}

/// All counts. Of what the sources refused or gave in part, shards of one run each saw the same: there the larger number
/// counts, not the sum.
pub(super) fn coverage(mine: &mut Coverage, other: &Coverage, same_input: bool) {
    for (mine, other) in [
        (&mut mine.spans, other.spans),
        (&mut mine.traces, other.traces),
        (&mut mine.rootless_traces, other.rootless_traces),
        (&mut mine.orphans, other.orphans),
        (&mut mine.unpaired, other.unpaired),
        (&mut mine.duplicates, other.duplicates),
        (&mut mine.skewed, other.skewed),
        (&mut mine.no_duration, other.no_duration),
        (&mut mine.unresolved_links, other.unresolved_links),
        (&mut mine.ignored, other.ignored),
        (&mut mine.transparent, other.transparent),
        (&mut mine.sampled, other.sampled),
    ] {
        *mine = mine.saturating_add(other);
    }
    let of_sources = |mine: u64, other: u64| if same_input { mine.max(other) } else { mine.saturating_add(other) };
    mine.partial_traces = of_sources(mine.partial_traces, other.partial_traces);
    mine.left_out_traces = of_sources(mine.left_out_traces, other.left_out_traces);
    for (code, n) in &other.rejected {
        let count = mine.rejected.entry(code.clone()).or_default();
        *count = of_sources(*count, *n);
    }
    for (what, n) in &other.overflow {
        let count = mine.overflow.entry(what.clone()).or_default();
        *count = count.saturating_add(*n);
    }
    mine.entry_traces += other.entry_traces;
}

fn classes(mine: &mut Vec<ErrorCount>, other: &[ErrorCount]) {
    if other.is_empty() {
        return;
    }
    let mut all: BTreeMap<ErrorClass, Weight> = BTreeMap::new();
    for count in std::mem::take(mine).into_iter().chain(other.iter().cloned()) {
        *all.entry(count.class).or_default() += count.calls;
    }
    *mine = all.into_iter().map(|(class, calls)| ErrorCount { class, calls }).collect();
    sort_classes(mine);
    mine.truncate(MOST_CLASSES);
}

/// Most frequent first, ties by name.
pub(super) fn sort_classes(classes: &mut [ErrorCount]) {
    classes.sort_unstable_by(|a, b| (Reverse(a.calls), &a.class).cmp(&(Reverse(b.calls), &b.class)));
}

fn pairs(mine: &mut Vec<EdgeOperation>, other: &[EdgeOperation]) {
    if !other.is_empty() {
        mine.extend_from_slice(other);
        unite_pairs(mine);
        mine.truncate(MOST_PAIRS);
    }
}

/// One entry for each pair of names, most frequent first, ties by name.
pub(super) fn unite_pairs(pairs: &mut Vec<EdgeOperation>) {
    pairs.sort_unstable_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    pairs.dedup_by(|next, first| {
        let same = (&next.source, &next.target) == (&first.source, &first.target);
        if same {
            first.calls += next.calls;
            first.errors += next.errors;
            first.sum_ns = first.sum_ns.saturating_add(next.sum_ns);
            first.n = first.n.saturating_add(next.n);
        }
        same
    });
    pairs.sort_by_key(|pair| Reverse(pair.calls));
}

fn series(mine: &mut Series, other: &Series) {
    for (at, bucket) in &other.0 {
        let sum = mine.0.entry(*at).or_default();
        sum.calls += bucket.calls;
        sum.errors += bucket.errors;
    }
    while mine.0.len() > MOST_BUCKETS {
        mine.0.pop_first();
    }
}

fn exemplars(mine: &mut Exemplars, other: &Exemplars) {
    if mine.is_empty() {
        mine.clone_from(other);
    } else if !other.is_empty() {
        let mut picks = Picks::of(mine);
        picks.merge(&Picks::of(other));
        *mine = picks.finish();
    }
}
