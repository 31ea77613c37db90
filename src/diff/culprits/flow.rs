//! Operations that do something else than before: calls that vanish, appear or repeat.
//!
//! For every operation and each thing it starts: what comes next, compared by the Kullback-Leibler divergence of the second
//! side from the first, less what chance alone makes of samples of these sizes (twice the divergence times the sample size
//! is about chi-squared; Kullback, "Information Theory and Statistics", 1959). Conditioning on what came before is what
//! makes it local: whoever is called less often because somebody else stopped shows no change of its own.

use std::collections::{BTreeMap, BTreeSet};

use super::limits;
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::diff::significance::two_sided;
use crate::topology::{Flow, FlowState, NodeId, Operation};

/// What comes next: an operation, or the end.
type Next<'a> = Option<(&'a NodeId, &'a str)>;

/// All of them.
pub(super) fn symptoms<'a>(comparison: &Comparison<'a>) -> Vec<Symptom<'a>> {
    let both = comparison.operations_of_both();
    both.flat_map(|(before, after)| operation(comparison, before, after)).collect()
}

#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn operation<'a>(comparison: &Comparison<'a>, before: &'a Operation, after: &'a Operation) -> Vec<Symptom<'a>> {
    if before.flow.beyond || after.flow.beyond || (before.flow.is_empty() && after.flow.is_empty()) {
        return Vec::new();
    }
    let scale = |o: &Operation| o.stats.n as f64 / o.stats.calls.as_f64().max(1e-9);
    let (base, head) = (table(before, scale(before)), table(after, scale(after)));
    let mut found = Vec::new();
    for (state, was) in &base {
        let Some(is) = head.get(state) else { continue };
        if let Some(symptom) = compare(comparison, &after.service, (was, is), scale(after)) {
            found.push(Symptom {
                operation: Some(&after.name),
                after: state.item,
                exemplars: &after.stats.exemplars.typical,
                ..symptom
            });
        }
    }
    found
}

/// Where an operation stands: what it started last, and whether that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct State<'a> {
    item: Next<'a>,
    failed: bool,
}

/// How often each thing came next.
#[derive(Debug, Default)]
struct Row<'a> {
    all: f64,
    next: BTreeMap<Next<'a>, f64>,
}

/// What comes after each state, the end included, in spans (`scale` spans to a call); whether what comes next fails is its own affair.
fn table(operation: &Operation, scale: f64) -> BTreeMap<State<'_>, Row<'_>> {
    let flow: &Flow = &operation.flow;
    let item = |state: FlowState| flow.item(state).map(|item| (&item.service, item.name.as_str()));
    let mut rows: BTreeMap<State<'_>, Row<'_>> = BTreeMap::new();
    for (state, visits) in flow.visits(operation.stats.calls) {
        rows.entry(State { item: item(state), failed: state.failed }).or_default().all += visits.as_f64() * scale;
    }
    for ((from, to), weight) in &flow.steps {
        if let Some(row) = rows.get_mut(&State { item: item(*from), failed: from.failed }) {
            *row.next.entry(item(*to)).or_default() += weight.as_f64() * scale;
        }
    }
    for row in rows.values_mut() {
        let went_on: f64 = row.next.values().sum();
        let ended = row.all - went_on;
        if ended > 1e-9 {
            row.next.insert(None, ended);
        }
    }
    rows
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts for display")]
#[allow(clippy::cast_precision_loss, reason = "counts")]
fn compare<'a>(
    comparison: &Comparison<'a>,
    service: &'a NodeId,
    (was, is): (&Row<'a>, &Row<'a>),
    scale: f64,
) -> Option<Symptom<'a>> {
    let (b, h) = (was.all, is.all);
    if b.min(h) < 1.0 {
        return None;
    }
    let keys: BTreeSet<&Next<'a>> = was.next.keys().chain(is.next.keys()).collect();
    let kinds = keys.len() as f64;
    if kinds < 2.0 {
        return None;
    }
    let (mut divergence, mut moved) = (0.0, 0.0);
    for key in &keys {
        let count = |row: &Row<'a>| row.next.get(*key).copied().unwrap_or(0.0);
        let (p, q) = ((count(was) + 0.5 / kinds) / (b + 0.5), count(is) / h);
        if q > 0.0 {
            divergence += q * (q / p).ln();
        }
        moved += (count(was) / b - q).abs() / 2.0;
    }
    let freedom = kinds - 1.0;
    let spread = 0.5 * (1.0 / b + 1.0 / h);
    let (expected, deviation) = (freedom * spread, (2.0 * freedom).sqrt() * spread);
    let sure = divergence - expected - 2.0 * limits::SURE * deviation;
    let error = (moved * (1.0 - moved) * (1.0 / b + 1.0 / h)).sqrt();
    Some(Symptom {
        kind: Kind::Flow,
        service,
        operation: None,
        target: None,
        after: None,
        strength: sure.clamp(0.0, limits::MOST_STRENGTH),
        impact: (moved * comparison.per_entry(h / scale)).clamp(0.0, 1.0),
        figures: (0.0, moved),
        n: (b as u64, h as u64),
        effect: moved,
        interval: ((moved - 1.96 * error).max(0.0), (moved + 1.96 * error).min(1.0)),
        p_value: two_sided((divergence - expected).max(0.0) / deviation),
        exemplars: &[],
    })
}
