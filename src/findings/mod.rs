//! What is notable, by rule, with evidence.
//!
//! Purpose: hold rules against facts. Input: a snapshot and its objective statuses. Output: coded [`Finding`]s.
//! Must not: print, or phrase documents: a finding carries its parts, templates and pages put them into words.

mod limits;
pub mod rules;
pub(crate) mod suspects;
mod words;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diag::Severity;
use crate::slo::ObjectiveStatus;
use crate::topology::{Exemplar, NodeId, Snapshot};

/// What rules may look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The topology.
    pub snapshot: &'a Snapshot,
    /// The objectives, evaluated on it.
    pub objectives: &'a [ObjectiveStatus],
}

/// One notable fact.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Stable kebab-case code, documented in `docs/findings.md`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: a node, the source of an edge, or `*` for the snapshot as a whole.
    pub subject: NodeId,
    /// The target, when it is about an edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<NodeId>,
    /// The operation, when it is about one. Untrusted text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// One plain sentence with the dynamic parts spelled out, for terminals. Untrusted text inside.
    pub message: String,
    /// Every dynamic part as a value (seconds, ratios, counts).
    pub context: BTreeMap<&'static str, f64>,
    /// Spans behind it.
    pub n: u64,
    /// Traces to open.
    pub exemplars: Vec<Exemplar>,
}

/// Applies every rule; sorted by severity (worst first), code, subject, target, operation.
#[must_use]
pub fn evaluate(facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules::RULES.iter().flat_map(|rule| (rule.apply)(facts)).collect();
    findings.sort_by(|a, b| {
        (std::cmp::Reverse(a.severity), a.code, &a.subject, &a.target, &a.operation).cmp(&(
            std::cmp::Reverse(b.severity),
            b.code,
            &b.subject,
            &b.target,
            &b.operation,
        ))
    });
    findings
}
