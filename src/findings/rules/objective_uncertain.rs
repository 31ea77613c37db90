//! `objective-uncertain`: the value lies on one side of the target, its interval on both.
//!
//! Why it matters: neither "met" nor "breached" can be claimed from so few requests. Remedy: look at a longer window.

use super::objective::{Certainty, finding};
use super::{Rule, Severity};
use crate::findings::{Facts, Finding};
use crate::slo::ObjectiveState;

pub(super) static RULE: Rule =
    Rule { code: "objective-uncertain", description: "too few requests to tell whether an objective is met", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let uncertain = facts.objectives.iter().filter(|s| s.state != ObjectiveState::NoData && !s.certain);
    uncertain
        .map(|status| {
            let breached = status.state == ObjectiveState::Breached;
            let severity = if breached { Severity::Warning } else { Severity::Info };
            finding(RULE.code, severity, status, facts.snapshot, Certainty::Unsure)
        })
        .collect()
}
