//! Symptoms of snapshots without evidence: aggregates, older snapshots. Coarser: whole nodes, by subtraction.
//!
//! Self time is what a node takes beyond the calls it makes, failures of its own are those that failures of its calls do not
//! account for. Calls made in parallel make self time too small, never too large.

use super::latency::symptom;
use super::shift::{self, Shift};
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::diff::significance::proportions;
use crate::diff::traffic::Traffic;
use crate::topology::{Node, NodeKind, Snapshot};

/// Whether a snapshot holds evidence.
pub(super) fn has_evidence(snapshot: &Snapshot) -> bool {
    snapshot.operations.iter().any(|operation| !operation.self_times.is_empty())
}

/// Own work and own failures of whole nodes.
pub(super) fn symptoms<'a>(comparison: &Comparison<'a>, usual: f64) -> Vec<Symptom<'a>> {
    let mut found = Vec::new();
    for after in comparison.head.snapshot.nodes.iter().filter(|node| node.kind != NodeKind::Entry) {
        let Some(before) = comparison.base.snapshot.node(&after.id) else { continue };
        if after.instrumented {
            found.extend(own_time(comparison, before, after, usual));
        }
        found.extend(own_failures(comparison, before, after));
    }
    found
}

/// Mean seconds a node takes per handled call, beyond the calls it makes. Below zero when those run in parallel.
fn self_seconds(node: &Node, traffic: &Traffic<'_>) -> Option<f64> {
    let handled = node.handled.calls.as_f64();
    let below: f64 = traffic.out_of(&node.id).map(|e| e.latency().sum_seconds()).sum();
    let mean = node.handled.durations.mean()? / 1e9;
    (handled > 0.0).then(|| (mean - below / handled).max(0.0))
}

fn own_time<'a>(comparison: &Comparison<'a>, before: &Node, after: &'a Node, usual: f64) -> Option<Symptom<'a>> {
    let figures = (self_seconds(before, comparison.base)?, self_seconds(after, comparison.head)?);
    let logs = |node: &Node| shift::of_sketch(&node.handled.durations);
    let n = (before.handled.n, after.handled.n);
    let shift = Shift::of(&logs(before), &logs(after), figures, n, usual)?;
    let calls = after.handled.calls.as_f64();
    Some(Symptom {
        exemplars: &after.handled.exemplars.slow,
        ..symptom(comparison, &shift, Kind::SelfTime, calls, &after.id)
    })
}

#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn own_failures<'a>(comparison: &Comparison<'a>, before: &Node, after: &'a Node) -> Option<Symptom<'a>> {
    let handled = after.handled.calls.as_f64();
    let below = |traffic: &Traffic<'_>, node: &Node| -> f64 {
        let failed: f64 = traffic.out_of(&node.id).map(|e| e.errors.as_f64()).sum();
        failed / node.handled.calls.as_f64().max(1e-9)
    };
    let share = |node: &Node, traffic: &Traffic<'_>| {
        let failed = traffic.snapshot.provenance.failed(node.handled.error_ratio())?;
        Some((failed - below(traffic, node)).clamp(0.0, 1.0))
    };
    let (was, is) = (share(before, comparison.base)?, share(after, comparison.head)?);
    let n = (before.handled.n, after.handled.n);
    let strength =
        super::failures::divergence(was * before.handled.calls.as_f64(), before.handled.calls.as_f64(), is, n)?;
    Some(Symptom {
        kind: Kind::Failure,
        service: &after.id,
        operation: None,
        target: None,
        after: None,
        strength,
        impact: ((is - was) * comparison.per_entry(handled)).clamp(0.0, 1.0),
        figures: (was, is),
        n,
        effect: is - was,
        interval: (is - was, is - was),
        p_value: proportions((was, is), (n.0 as f64, n.1 as f64)),
        exemplars: &after.handled.exemplars.failed,
    })
}
