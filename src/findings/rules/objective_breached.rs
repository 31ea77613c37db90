//! `objective-breached`: an objective is missed, and the sample is large enough to be sure.
//!
//! Why it matters: it is what the team promised. Remedy: open the runbook of the service; the budget says how urgent.

use super::objective::{Certainty, finding};
use super::{Rule, Severity};
use crate::findings::{Facts, Finding};
use crate::slo::ObjectiveState;

pub(super) static RULE: Rule =
    Rule { code: "objective-breached", description: "an objective is missed, and surely so", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let breached = facts.objectives.iter().filter(|s| s.state == ObjectiveState::Breached && s.certain);
    breached
        .map(|status| {
            let page = status.objective.severity == "page";
            let severity = if page { Severity::Error } else { Severity::Warning };
            finding(RULE.code, severity, status, facts.snapshot, Certainty::Sure)
        })
        .collect()
}
