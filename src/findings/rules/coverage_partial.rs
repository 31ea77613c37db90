//! `coverage-partial`: the backend gave traces only in part.
//!
//! Why it matters: the missing part may hold the slow or failing span. Remedy: raise the backend's limit on trace size.

use super::{Rule, Severity, whole};
use crate::findings::{Facts, Finding, words};

pub(super) static RULE: Rule =
    Rule { code: "coverage-partial", description: "the backend gave traces only in part", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let partial = facts.snapshot.coverage.partial_traces;
    if partial == 0 {
        return Vec::new();
    }
    let message = format!("{} came only in part", words::count(partial, "trace"));
    vec![whole(facts, RULE.code, Severity::Warning, partial, message)]
}
