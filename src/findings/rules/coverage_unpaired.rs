//! `coverage-unpaired`: calls whose other end is unknown.
//!
//! Why it matters: neither a called span nor an attribute names the callee, so no edge was drawn. Remedy: set
//! `server.address`, `db.system.name` or `service.peer.name` on client spans, or instrument the callee. A warning above the threshold, a note below.

use super::{Rule, share_of_spans};
use crate::findings::{Facts, Finding, limits};

pub(super) static RULE: Rule =
    Rule { code: "coverage-unpaired", description: "calls whose other end is unknown", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let affected = facts.snapshot.coverage.unpaired;
    share_of_spans(
        facts,
        RULE.code,
        affected,
        limits::UNPAIRED_SHARE,
        "call something that neither a span nor an attribute names",
    )
}
