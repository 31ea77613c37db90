//! `unknown-service`: spans come from a service without a name of its own.
//!
//! Why it matters: SDKs fall back to `unknown_service`; several programs may hide behind it, so its figures mix them.
//! Remedy: set `OTEL_SERVICE_NAME` (or `service.name`) where they run.

use super::{Rule, Severity, take};
use crate::findings::{Facts, Finding, words};

pub(super) static RULE: Rule =
    Rule { code: "unknown-service", description: "spans come from a service without a name", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let nameless = facts.snapshot.services().filter(|n| n.name.is_empty() || n.name.starts_with("unknown_service"));
    nameless
        .map(|node| Finding {
            code: RULE.code,
            severity: Severity::Warning,
            subject: node.id.clone(),
            target: None,
            operation: None,
            message: format!("`{}` has no `service.name`: several programs may hide behind it", words::name(&node.id)),
            context: [("calls", node.handled.calls.as_f64())].into(),
            n: node.handled.n,
            exemplars: take(&node.handled.exemplars.typical),
        })
        .collect()
}
