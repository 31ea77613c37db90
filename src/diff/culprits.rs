//! Who is to blame, a first version: what each node added to an entry request by itself.
//!
//! score = (added self time + added time between callers and it + added time of an uninstrumented dependency) ÷ mean time
//! of an entry request before + added failures of its own per entry request. Self time is what a node takes beyond the
//! calls it makes; the gap between a client span and its server span belongs to the callee. Only nodes touched by a
//! significant change are named. Parallel calls make self time too small, never too large.

use std::collections::{BTreeMap, BTreeSet};

use super::compare::Comparison;
use super::traffic::Traffic;
use super::{Change, Culprit, Subject, limits};
use crate::topology::{Edge, Node, NodeId, NodeKind};

/// Ranks the suspects behind these changes.
pub(super) fn rank(comparison: &Comparison<'_>, changes: &[Change]) -> Vec<Culprit> {
    let worse = |c: &&Change| matches!(c.code, "slower" | "failing-more" | "calls-more");
    let touched: BTreeSet<&NodeId> = changes
        .iter()
        .filter(worse)
        .filter_map(|c| match &c.subject {
            Subject::Node { node } => Some(node),
            Subject::Operation { service, .. } => Some(service),
            Subject::Edge { target, .. } => Some(target),
            Subject::Nodes { .. } => None,
        })
        .collect();
    let mut suspects: Vec<Culprit> = touched
        .into_iter()
        .filter_map(|id| suspect(comparison, id, changes))
        .filter(|c| c.score >= limits::CULPRIT_SCORE)
        .collect();
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.service.cmp(&b.service)));
    for (index, culprit) in suspects.iter_mut().enumerate() {
        culprit.rank = index + 1;
    }
    suspects
}

fn suspect(comparison: &Comparison<'_>, id: &NodeId, changes: &[Change]) -> Option<Culprit> {
    let (base, head) = (comparison.base, comparison.head);
    let (before, after) = (base.snapshot.node(id)?, head.snapshot.node(id)?);
    if after.kind == NodeKind::Entry {
        return None;
    }
    let per_entry = comparison.per_entry(head.handled(id));
    let into: Vec<(&Edge, &Edge)> =
        head.edges_into(id).filter_map(|after| base.same_edge(after).map(|before| (before, after))).collect();
    let own = |n: &Node, t: &Traffic<'_>| self_seconds(n, t).unwrap_or_default();
    let added_self = if after.instrumented { (own(after, head) - own(before, base)) * per_entry } else { 0.0 };
    // The network belongs to the callee until proven otherwise; without a server side the whole call does.
    let between = |(before, after): &(&Edge, &Edge)| {
        if after.server.is_empty() && !after.client.is_empty() && !before.client.is_empty() {
            return comparison.added_seconds(before, after);
        }
        let (Some(b), Some(h)) = (before.gap.mean(), after.gap.mean()) else { return 0.0 };
        (h - b) / 1e9 * comparison.per_entry(after.calls.as_f64())
    };
    let added_between: f64 = into.iter().map(between).sum();
    let added_failures = own_failures(comparison, before, after);
    let parts = [
        (added_self / comparison.scale, "self-time"),
        (added_between / comparison.scale, if after.instrumented { "network-gap" } else { "dependency-time" }),
        (added_failures, "own-failures"),
    ];
    let score: f64 = parts.iter().map(|(part, _)| part.max(0.0)).sum();
    let (_, reason) = parts.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let worst_edge = into
        .iter()
        .max_by(|a, b| comparison.added_seconds(a.0, a.1).total_cmp(&comparison.added_seconds(b.0, b.1)))
        .filter(|(before, after)| comparison.added_seconds(before, after) > 0.0 || reason == "own-failures");
    let evidence = BTreeMap::from([
        ("added_self_seconds_per_entry", tidy(added_self)),
        ("added_between_seconds_per_entry", tidy(added_between)),
        ("added_failures_per_entry", tidy(added_failures)),
        ("calls_per_entry", tidy(per_entry)),
        ("entry_mean_seconds", tidy(comparison.scale)),
    ]);
    Some(Culprit {
        rank: 0,
        service: id.clone(),
        operation: changes.iter().find_map(|c| worse_operation(c, id)),
        edge: worst_edge.map(|(_, edge)| (edge.source.clone(), edge.target.clone())),
        reason,
        score: tidy(score),
        evidence,
    })
}

/// The operation of the first (worst) change about one of this service's operations.
fn worse_operation(change: &Change, id: &NodeId) -> Option<String> {
    match &change.subject {
        Subject::Operation { service, operation, .. }
            if service == id && matches!(change.code, "slower" | "failing-more") =>
        {
            Some(operation.clone())
        }
        _ => None,
    }
}

/// Mean seconds a node takes per handled call, beyond the calls it makes. Below zero when those run in parallel.
fn self_seconds(node: &Node, traffic: &Traffic<'_>) -> Option<f64> {
    let handled = node.handled.calls.as_f64();
    let below: f64 = traffic.out_of(&node.id).map(|e| e.latency().sum_seconds()).sum();
    let mean = node.handled.durations.mean()? / 1e9;
    (handled > 0.0).then(|| mean - below / handled)
}

/// Failures per entry request a node added beyond those added on the calls it makes.
fn own_failures(comparison: &Comparison<'_>, before: &Node, after: &Node) -> f64 {
    let added = |b: Option<f64>, h: Option<f64>, calls: f64| {
        (h.unwrap_or_default() - b.unwrap_or_default()) * comparison.per_entry(calls)
    };
    let handled = added(before.handled.error_ratio(), after.handled.error_ratio(), comparison.head.handled(&after.id));
    let below: f64 = comparison
        .head
        .out_of(&after.id)
        .filter_map(|h| comparison.base.same_edge(h).map(|b| added(b.error_ratio(), h.error_ratio(), h.calls.as_f64())))
        .sum();
    handled - below.max(0.0)
}

/// Six significant digits: no binary dust in answers.
fn tidy(value: f64) -> f64 {
    // Adding zero turns -0 into 0.
    if value.is_finite() { format!("{value:.5e}").parse().unwrap_or(value) + 0.0 } else { 0.0 }
}
