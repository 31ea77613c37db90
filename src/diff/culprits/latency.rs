//! Time that grew where it arises: in operations themselves, between callers and callees, in calls nobody answers.
//!
//! Strength = (2·AUC − 1) · ln(mean after ÷ mean before). AUC is the chance that a call after takes longer than one before
//! (Mann and Whitney), so the first factor is the share of calls that moved, whatever their distribution; the second is
//! how far. Means carry an offset, so that microseconds are nothing.

use std::collections::BTreeMap;

use super::limits;
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::diff::significance::two_sided;
use crate::topology::{Edge, NodeId, Operation, Sketch, Spread};

/// All of them.
pub(super) fn symptoms<'a>(comparison: &Comparison<'a>) -> Vec<Symptom<'a>> {
    let mut found = Vec::new();
    let mut rare: BTreeMap<&NodeId, Vec<(&Operation, &Operation)>> = BTreeMap::new();
    for (before, after) in comparison.operations_of_both() {
        match self_time(comparison, before, after) {
            Some(symptom) => found.push(symptom),
            None if few(before, after) => rare.entry(&after.service).or_default().push((before, after)),
            None => {}
        }
    }
    found.extend(rare.into_iter().filter_map(|(service, pairs)| pooled(comparison, service, &pairs)));
    for after in &comparison.head.snapshot.edges {
        if let Some(before) = comparison.base.same_edge(after) {
            found.extend(edge(comparison, before, after));
        }
    }
    found
}

fn self_time<'a>(comparison: &Comparison<'a>, before: &'a Operation, after: &'a Operation) -> Option<Symptom<'a>> {
    // A calling span waits: its time is told by edges.
    if after.kind.calls_out() {
        return None;
    }
    let figures = (mean(before)?, mean(after)?);
    let shift =
        Shift::of(&spread(&before.self_times), &spread(&after.self_times), figures, (before.stats.n, after.stats.n))?;
    Some(Symptom {
        kind: Kind::SelfTime,
        service: &after.service,
        operation: Some(&after.name),
        target: None,
        exemplars: &after.stats.exemplars.slow,
        ..shift.symptom(comparison, after.stats.calls.as_f64(), &after.service)
    })
}

/// Whether a pair of operations says too little by itself.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn few(before: &Operation, after: &Operation) -> bool {
    let n = before.stats.n.min(after.stats.n) as f64;
    !after.kind.calls_out() && n < limits::FEWEST && !before.self_times.is_empty() && !after.self_times.is_empty()
}

/// All operations of a service that are too rare to be compared one by one, together: ranks within each, weighted by what
/// each can tell (van Elteren, "On the combination of independent two-sample tests of Wilcoxon", 1960).
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn pooled<'a>(
    comparison: &Comparison<'a>,
    service: &'a NodeId,
    pairs: &[(&'a Operation, &'a Operation)],
) -> Option<Symptom<'a>> {
    let (mut weights, mut wins, mut ratios, mut counts) = (0.0, 0.0, 0.0, (0, 0));
    let (mut variance, mut times, mut calls) = (0.0, (0.0, 0.0), 0.0);
    for (before, after) in pairs {
        let (b, h) = (before.stats.n as f64, after.stats.n as f64);
        let weight = b * h / (b + h + 1.0);
        let figures = (mean(before)?, mean(after)?);
        weights += weight;
        wins += weight * superiority(&spread(&before.self_times), &spread(&after.self_times))?;
        ratios += weight * log_ratio(figures);
        variance += weight * weight * (b + h + 1.0) / (12.0 * b * h);
        times = (times.0 + h * figures.0, times.1 + h * figures.1);
        counts = (counts.0 + before.stats.n, counts.1 + after.stats.n);
        calls += after.stats.calls.as_f64();
    }
    if (counts.0.min(counts.1) as f64) < 2.0 * limits::FEWEST {
        return None;
    }
    let shift = Shift {
        figures: (times.0 / counts.1 as f64, times.1 / counts.1 as f64),
        n: counts,
        moved: 2.0 * wins / weights - 1.0,
        error: 2.0 * variance.sqrt() / weights,
        ratio: ratios / weights,
    };
    (shift.moved > 0.0 && shift.ratio > 0.0)
        .then(|| Symptom { kind: Kind::SelfTime, ..shift.symptom(comparison, calls, service) })
}

/// Mean self time in seconds.
fn mean(operation: &Operation) -> Option<f64> {
    Some(operation.self_ns?.seconds() / operation.self_times.weight().as_f64().max(1e-6))
}

fn log_ratio((before, after): (f64, f64)) -> f64 {
    ((after + limits::OFFSET_SECONDS) / (before + limits::OFFSET_SECONDS)).ln()
}

fn edge<'a>(comparison: &Comparison<'a>, before: &'a Edge, after: &'a Edge) -> Option<Symptom<'a>> {
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
    let figures = (b.mean()? / 1e9, h.mean()? / 1e9);
    let shift = Shift::of(&bins(b), &bins(h), figures, (b.n(), h.n()))?;
    Some(Symptom {
        kind,
        target: Some(&after.target),
        exemplars: &after.exemplars.slow,
        ..shift.symptom(comparison, after.calls.as_f64(), &after.source)
    })
}

fn spread(spread: &Spread) -> Vec<(f64, f64)> {
    spread.bins().map(|(index, weight)| (f64::from(index), weight.as_f64())).collect()
}

fn bins(sketch: &Sketch) -> Vec<(f64, f64)> {
    sketch.bins().map(|(middle, weight)| (middle, weight.as_f64())).collect()
}

/// A move towards longer durations.
struct Shift {
    figures: (f64, f64),
    n: (u64, u64),
    /// 2·AUC − 1.
    moved: f64,
    /// Its standard error where nothing moved.
    error: f64,
    ratio: f64,
}

impl Shift {
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    fn of(before: &[(f64, f64)], after: &[(f64, f64)], figures: (f64, f64), n: (u64, u64)) -> Option<Self> {
        let (b, h) = (n.0 as f64, n.1 as f64);
        if b.min(h) < limits::FEWEST {
            return None;
        }
        let auc = superiority(before, after)?;
        let error = 2.0 * ((b + h + 1.0) / (12.0 * b * h)).sqrt();
        let ratio = log_ratio(figures);
        let moved = 2.0 * auc - 1.0;
        (moved > 0.0 && ratio > 0.0).then_some(Self { figures, n, moved, error, ratio })
    }

    fn symptom<'a>(&self, comparison: &Comparison<'_>, calls: f64, service: &'a NodeId) -> Symptom<'a> {
        let added = (self.figures.1 - self.figures.0) * comparison.per_entry(calls);
        let sure = (self.moved - limits::SURE * self.error).max(0.0);
        Symptom {
            kind: Kind::Gap,
            service,
            operation: None,
            target: None,
            after: None,
            strength: (sure * self.ratio).min(limits::MOST_STRENGTH),
            impact: (added / comparison.scale).clamp(0.0, 1.0),
            figures: self.figures,
            n: self.n,
            effect: self.moved,
            interval: ((self.moved - 1.96 * self.error).max(-1.0), (self.moved + 1.96 * self.error).min(1.0)),
            p_value: two_sided(self.moved / self.error),
            exemplars: &[],
        }
    }
}

/// The chance that one of the second is larger than one of the first, ties half; `None` where one is empty.
fn superiority(first: &[(f64, f64)], second: &[(f64, f64)]) -> Option<f64> {
    let total = |bins: &[(f64, f64)]| bins.iter().map(|(_, w)| w).sum::<f64>();
    let pairs = total(first) * total(second);
    let mut left = first.iter().peekable();
    let (mut below, mut wins) = (0.0, 0.0);
    for (at, weight) in second {
        while let Some((_, w)) = left.next_if(|(x, _)| x < at) {
            below += w;
        }
        let tied = left.peek().filter(|(x, _)| x == at).map_or(0.0, |(_, w)| *w);
        wins += weight * (below + tied / 2.0);
    }
    (pairs > 0.0).then(|| wins / pairs)
}
