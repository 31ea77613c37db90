//! Time that grew where it arises: in operations themselves, between callers and callees, in calls nobody answers.
//!
//! Input: two snapshots, compared. Output: a symptom for each operation and edge whose durations moved up, and one for the
//! rare operations of each service together.

use std::collections::BTreeMap;

use super::limits;
use super::shift::{self, Logs, Shift};
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::topology::{Edge, NodeId, Operation, Sketch};

/// All of them.
pub(super) fn symptoms<'a>(comparison: &Comparison<'a>) -> Vec<Symptom<'a>> {
    let usual = usual(comparison);
    let mut found = Vec::new();
    let mut rare: BTreeMap<&NodeId, (Vec<Shift>, f64)> = BTreeMap::new();
    for (before, after) in comparison.operations_of_both() {
        let Some(shift) = self_time(before, after, usual) else { continue };
        let calls = after.stats.calls.as_f64();
        if shift.n.0.min(shift.n.1) < limits::RARE {
            let pooled = rare.entry(&after.service).or_default();
            pooled.0.push(shift);
            pooled.1 += calls;
        }
        found.push(Symptom {
            operation: Some(&after.name),
            exemplars: &after.stats.exemplars.slow,
            ..symptom(comparison, &shift, Kind::SelfTime, calls, &after.service)
        });
    }
    for (service, (shifts, calls)) in rare {
        let together = Shift::together(&shifts).filter(|_| shifts.len() > 1);
        found.extend(together.map(|shift| symptom(comparison, &shift, Kind::SelfTime, calls, service)));
    }
    for after in &comparison.head.snapshot.edges {
        if let Some(before) = comparison.base.same_edge(after) {
            found.extend(edge(comparison, before, after, usual));
        }
    }
    found
}

/// The deviation that durations of this system have: the median over its operations.
pub(super) fn usual(comparison: &Comparison<'_>) -> f64 {
    let often = comparison.base.snapshot.operations.iter().filter(|o| o.stats.n >= limits::RARE);
    let mut all: Vec<f64> = often.filter_map(|o| shift::deviation(&shift::of_spread(&o.self_times))).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(limits::USUAL_DEVIATION).max(limits::LEAST_DEVIATION)
}

fn self_time(before: &Operation, after: &Operation, usual: f64) -> Option<Shift> {
    // A calling span waits: its time is told by edges.
    if after.kind.calls_out() {
        return None;
    }
    let mean = |o: &Operation| Some(o.self_ns?.seconds() / o.stats.durations.weight().as_f64().max(1e-6));
    let logs = |o: &Operation| shift::of_spread(&o.self_times);
    let n = (before.stats.durations.n(), after.stats.durations.n());
    Shift::of(&logs(before), &logs(after), (mean(before)?, mean(after)?), n, usual)
}

fn edge<'a>(comparison: &Comparison<'a>, before: &'a Edge, after: &'a Edge, usual: f64) -> Option<Symptom<'a>> {
    let (kind, b, h) = if !after.gap.is_empty() && !before.gap.is_empty() {
        (Kind::Gap, &before.gap, &after.gap)
    } else if after.server.is_empty() && !after.client.is_empty() && !before.client.is_empty() {
        (Kind::Call, &before.client, &after.client)
    } else if after.client.is_empty() && !after.dwell.is_empty() && !before.dwell.is_empty() {
        // Messages that wait longer are the receiver's to fetch.
        (Kind::Gap, &before.dwell, &after.dwell)
    } else {
        return None;
    };
    let logs = |sketch: &Sketch| -> Logs { shift::of_sketch(sketch) };
    let shift = Shift::of(&logs(b), &logs(h), (b.mean()? / 1e9, h.mean()? / 1e9), (b.n(), h.n()), usual)?;
    Some(Symptom {
        target: Some(&after.target),
        exemplars: &after.exemplars.slow,
        ..symptom(comparison, &shift, kind, after.calls.as_f64(), &after.source)
    })
}

/// How strongly the durations of calls moved, to longer or to shorter ones.
pub(super) fn moved_either_way(before: &Edge, after: &Edge) -> f64 {
    let (b, h) = (&before.client, &after.client);
    let means = b.mean().zip(h.mean()).map(|(b, h)| (b / 1e9, h / 1e9));
    let shift = means.and_then(|figures| {
        Shift::of(&shift::of_sketch(b), &shift::of_sketch(h), figures, (b.n(), h.n()), limits::USUAL_DEVIATION)
    });
    shift.map_or(0.0, |shift| shift.strength().max(shift.back().strength()))
}

pub(super) fn symptom<'a>(
    comparison: &Comparison<'_>,
    shift: &Shift,
    kind: Kind,
    calls: f64,
    service: &'a NodeId,
) -> Symptom<'a> {
    let added = (shift.figures.1 - shift.figures.0) * comparison.per_entry(calls);
    Symptom {
        kind,
        service,
        operation: None,
        target: None,
        after: None,
        strength: shift.strength(),
        impact: (added / comparison.scale).clamp(0.0, 1.0),
        figures: shift.figures,
        n: shift.n,
        effect: shift.moved,
        interval: ((shift.moved - 1.96 * shift.error).max(-1.0), (shift.moved + 1.96 * shift.error).min(1.0)),
        p_value: shift.p_value(),
        exemplars: &[],
    }
}
