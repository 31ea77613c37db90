//! `coverage-rejected`: spans could not be read and were left out.
//!
//! Why it matters: figures are of the rest. Remedy: the diagnostic code in `operation` says what was wrong with them.

use super::{Rule, Severity, whole};
use crate::findings::{Facts, Finding, words};

pub(super) static RULE: Rule =
    Rule { code: "coverage-rejected", description: "spans could not be read and were left out", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let refused = facts.snapshot.coverage.rejected.iter().filter(|(_, count)| **count > 0);
    refused
        .map(|(code, count)| {
            let message = format!("{} left out ({})", words::count(*count, "span"), words::text(code));
            let mut finding = whole(facts, RULE.code, Severity::Warning, *count, message);
            finding.operation = Some(code.clone());
            finding
        })
        .collect()
}
