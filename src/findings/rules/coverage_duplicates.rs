//! `coverage-duplicates`: spans arrived more than once.
//!
//! Why it matters: they were removed, so figures hold, but something sends, or exports, twice. Remedy: look for two
//! exporters or collectors in a row, or overlapping captures. A warning above the threshold, a note below.

use super::{Rule, share_of_spans};
use crate::findings::{Facts, Finding, limits};

pub(super) static RULE: Rule = Rule { code: "coverage-duplicates", description: "spans arrived more than once", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let affected = facts.snapshot.coverage.duplicates;
    share_of_spans(facts, RULE.code, affected, limits::DUPLICATE_SHARE, "arrived more than once and were counted once")
}
