//! `retry-or-n-plus-one`: one request makes many calls to the same dependency.
//!
//! Why it matters: latency and load grow with the data, or a retry multiplies an outage. Remedy: open a slow exemplar: equal
//! calls in a row are a loop (batch them), equal failed calls are retries (bound them, add back-off).

use std::collections::BTreeMap;

use super::{Rule, Severity, edge_finding};
use crate::findings::{Facts, Finding, limits, words};
use crate::topology::{EdgeKind, NodeKind};

pub(super) static RULE: Rule =
    Rule { code: "retry-or-n-plus-one", description: "one request makes many calls to the same dependency", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let inner = facts.snapshot.edges.iter().filter(|e| e.kind != EdgeKind::Entry && e.n >= limits::MIN_N);
    inner
        .filter_map(|edge| {
            let caller = facts.snapshot.node(&edge.source).filter(|n| n.kind == NodeKind::Service)?;
            if caller.handled.calls.is_zero() || caller.handled.n < limits::MIN_N {
                return None;
            }
            let per_request = edge.calls.as_f64() / caller.handled.calls.as_f64();
            if per_request < limits::CALLS_PER_REQUEST {
                return None;
            }
            let many = per_request >= limits::CALLS_PER_REQUEST_WARNING;
            let severity = if many { Severity::Warning } else { Severity::Info };
            let context = BTreeMap::from([
                ("calls_per_request", per_request),
                ("error_ratio", edge.error_ratio().unwrap_or_default()),
            ]);
            let message = format!(
                "`{}` calls `{}` {per_request:.1} times per request (n = {})",
                words::name(&edge.source),
                words::name(&edge.target),
                edge.n
            );
            Some(edge_finding(RULE.code, severity, edge, message, context))
        })
        .collect()
}
