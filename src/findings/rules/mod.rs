//! The static list of rules, one file each. A new rule is a file, a line here, and a heading in `docs/findings.md`.

mod call_cycle;
mod caller_gave_up;
mod clock_skew;
mod coverage_duplicates;
mod coverage_orphans;
mod coverage_partial;
mod coverage_rejected;
mod coverage_unpaired;
mod error_hotspot;
mod error_origin;
mod instance_apart;
mod network_gap;
mod objective;
mod objective_breached;
mod objective_no_data;
mod objective_uncertain;
mod overflow;
mod retry_or_n_plus_one;
mod sampling_not_adjustable;
mod single_point_of_failure;
mod slow_dependency;
mod tail_holder;
#[cfg(test)]
mod tests;
mod unknown_service;

use std::collections::BTreeMap;

use super::{Facts, Finding, limits, words};
use crate::diag::Severity;
use crate::slo::{ObjectiveState, Sli};
use crate::topology::{Edge, Exemplar, NodeId};

/// A rule: its code, one line of explanation, and a pure function.
#[derive(Debug)]
pub struct Rule {
    /// The code of its findings.
    pub code: &'static str,
    /// What it looks for, one line.
    pub description: &'static str,
    /// The rule.
    pub apply: fn(&Facts<'_>) -> Vec<Finding>,
}

/// Every rule there is, by code.
pub static RULES: &[&Rule] = &[
    &call_cycle::RULE,
    &caller_gave_up::RULE,
    &clock_skew::RULE,
    &coverage_duplicates::RULE,
    &coverage_orphans::RULE,
    &coverage_partial::RULE,
    &coverage_rejected::RULE,
    &coverage_unpaired::RULE,
    &error_hotspot::RULE,
    &error_origin::RULE,
    &instance_apart::RULE,
    &network_gap::RULE,
    &objective_breached::RULE,
    &objective_no_data::RULE,
    &objective_uncertain::RULE,
    &overflow::RULE,
    &retry_or_n_plus_one::RULE,
    &sampling_not_adjustable::RULE,
    &single_point_of_failure::RULE,
    &slow_dependency::RULE,
    &tail_holder::RULE,
    &unknown_service::RULE,
];

/// The first few.
fn take(exemplars: &[Exemplar]) -> Vec<Exemplar> {
    exemplars.iter().take(limits::EXEMPLARS).cloned().collect()
}

/// Whether a service misses one of its latency objectives.
fn misses_latency(facts: &Facts<'_>, service: &NodeId) -> bool {
    facts.objectives.iter().any(|s| {
        s.service == *service
            && s.state == ObjectiveState::Breached
            && matches!(s.objective.sli, Sli::Latency { .. } | Sli::LatencyMean)
    })
}

/// A finding about an edge, with its slowest exemplars.
fn edge_finding(
    code: &'static str,
    severity: Severity,
    edge: &Edge,
    message: String,
    context: BTreeMap<&'static str, f64>,
) -> Finding {
    Finding {
        code,
        severity,
        subject: edge.source.clone(),
        target: Some(edge.target.clone()),
        operation: None,
        message,
        context,
        n: edge.n,
        exemplars: take(&edge.exemplars.slow),
    }
}

/// A finding about the snapshot as a whole; its subject is `*`.
#[allow(clippy::cast_precision_loss, reason = "for display")]
fn whole(facts: &Facts<'_>, code: &'static str, severity: Severity, affected: u64, message: String) -> Finding {
    Finding {
        code,
        severity,
        subject: NodeId("*".into()),
        target: None,
        operation: None,
        message,
        context: BTreeMap::from([("affected", affected as f64), ("spans", facts.snapshot.coverage.spans as f64)]),
        n: facts.snapshot.coverage.spans,
        exemplars: Vec::new(),
    }
}

/// A finding about a share of all spans: none when nobody is affected, a warning above the limit, else a note.
#[allow(clippy::cast_precision_loss, reason = "for shares")]
fn share_of_spans(facts: &Facts<'_>, code: &'static str, affected: u64, limit: f64, what: &str) -> Vec<Finding> {
    if affected == 0 {
        return Vec::new();
    }
    // Duplicates are not among the spans kept: a share of what arrived never exceeds one.
    let arrived = facts.snapshot.coverage.spans.max(affected);
    let share = affected as f64 / arrived as f64;
    let severity = if share > limit { Severity::Warning } else { Severity::Info };
    let message = format!("{} ({}) {what}", words::count(affected, "span"), words::percent(share));
    let mut finding = whole(facts, code, severity, affected, message);
    finding.context.insert("share", share);
    vec![finding]
}
