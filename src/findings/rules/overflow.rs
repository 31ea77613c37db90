//! `overflow`: something went beyond a cap, and the rest was summed up or left out.
//!
//! Why it matters: what is beyond the cap is not on any page. Remedy: raise the cap under `topology:`, or normalise the
//! names that explode (ids inside span names).

use super::{Rule, Severity, whole};
use crate::findings::{Facts, Finding, words};

pub(super) static RULE: Rule = Rule { code: "overflow", description: "a cap on cardinality was reached", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let overflown = facts.snapshot.coverage.overflow.iter().filter(|(_, count)| **count > 0);
    overflown
        .map(|(what, count)| {
            let message = format!("{count} {} are beyond the cap and not shown one by one", words::text(what));
            let mut finding = whole(facts, RULE.code, Severity::Warning, *count, message);
            // One finding per cap: the operation field tells them apart.
            finding.operation = Some(what.clone());
            finding
        })
        .collect()
}
