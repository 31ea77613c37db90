//! `clock-skew`: clocks of hosts disagree.
//!
//! Why it matters: gaps and waiting times across those hosts are clipped at zero, so they are too small. Remedy: check
//! time synchronisation on the hosts. A warning above the threshold, a note below.

use super::{Rule, share_of_spans};
use crate::findings::{Facts, Finding, limits};

pub(super) static RULE: Rule = Rule { code: "clock-skew", description: "clocks of hosts disagree", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let affected = facts.snapshot.coverage.skewed;
    share_of_spans(
        facts,
        RULE.code,
        affected,
        limits::SKEW_SHARE,
        "start before their caller, or end before they start: clocks disagree",
    )
}
