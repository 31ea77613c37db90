//! `objective-no-data`: an objective that traces should answer has no data.
//!
//! Why it matters: silence is not success: the service may be down, renamed, or not traced. Remedy: check the name in the
//! configuration, and whether the service still sends spans.

use std::collections::BTreeMap;

use super::{Rule, Severity};
use crate::findings::{Facts, Finding, words};
use crate::slo::{ObjectiveState, Sli};

pub(super) static RULE: Rule =
    Rule { code: "objective-no-data", description: "an objective that traces should answer has no data", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let silent =
        facts.objectives.iter().filter(|s| s.state == ObjectiveState::NoData && s.objective.sli != Sli::External);
    silent
        .map(|status| Finding {
            code: RULE.code,
            // A wildcard asks every service, also those that handle nothing; a name was written on purpose.
            severity: if status.objective.service.contains('*') { Severity::Info } else { Severity::Warning },
            subject: status.service.clone(),
            target: None,
            operation: status.operation.clone(),
            message: format!("objective `{}` has no data: {}", words::text(&status.id), words::text(&status.reason)),
            context: BTreeMap::from([("target", status.objective.target)]),
            n: 0,
            exemplars: Vec::new(),
        })
        .collect()
}
