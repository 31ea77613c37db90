//! `slow-dependency`: a service spends most of its time waiting for one dependency.
//!
//! Why it matters: making the service faster cannot help; its latency is that of the dependency. Remedy: look at the
//! dependency first, or call it less, in parallel, or not on the critical path. A warning while a latency objective of
//! the caller is missed, else a note.

use std::collections::BTreeMap;

use super::{Rule, Severity, edge_finding, misses_latency};
use crate::findings::{Facts, Finding, limits, words};
use crate::topology::EdgeKind;

pub(super) static RULE: Rule = Rule {
    code: "slow-dependency",
    description: "a service spends most of its time waiting for one dependency",
    apply,
};

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let snapshot = facts.snapshot;
    let waiting = snapshot.edges.iter().filter(|e| e.kind != EdgeKind::Entry && e.source != e.target);
    waiting
        .filter_map(|edge| {
            let caller = snapshot.node(&edge.source)?;
            let (mean, own) = (edge.client.mean()?, caller.handled.durations.mean()?);
            let handled = caller.handled.durations.sum_seconds();
            if edge.client.n() < limits::MIN_N || mean < limits::DEPENDENCY_NANOS || handled <= 0.0 {
                return None;
            }
            let share = edge.client.sum_seconds() / handled;
            if share < limits::DEPENDENCY_SHARE {
                return None;
            }
            let severity = if misses_latency(facts, &edge.source) { Severity::Warning } else { Severity::Info };
            let context = BTreeMap::from([
                ("share_of_caller_time", share),
                ("mean_seconds", mean / 1e9),
                ("caller_mean_seconds", own / 1e9),
            ]);
            let message = format!(
                "`{}` waits for `{}` {} of its time ({} a call, n = {})",
                words::name(&edge.source),
                words::name(&edge.target),
                // Parallel calls can add up to more than the whole.
                words::percent(share.min(1.0)),
                words::seconds(mean / 1e9),
                edge.client.n()
            );
            Some(edge_finding(RULE.code, severity, edge, message, context))
        })
        .collect()
}
