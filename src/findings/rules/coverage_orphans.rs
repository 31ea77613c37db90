//! `coverage-orphans`: spans name a parent that was not seen.
//!
//! Why it matters: where a parent is missing, an edge or an entry point is missing too. Remedy: look for a service that
//! propagates context but sends no spans, for spans dropped on the way, or capture whole traces. A warning above the threshold, a note below.

use super::{Rule, share_of_spans};
use crate::findings::{Facts, Finding, limits};

pub(super) static RULE: Rule =
    Rule { code: "coverage-orphans", description: "spans name a parent that was not seen", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let affected = facts.snapshot.coverage.orphans;
    share_of_spans(
        facts,
        RULE.code,
        affected,
        limits::ORPHAN_SHARE,
        "name a parent that was not seen: edges are missing",
    )
}
