//! `network-gap`: much of what a caller waits for passes before and after the called side works.
//!
//! Why it matters: the callee looks fast in its own metrics while its callers suffer: network, load balancer, connection
//! pool, or a full accept queue. Remedy: look at the callee's saturation and at the path to it, not at its code.

use std::collections::BTreeMap;

use super::{Rule, Severity, edge_finding};
use crate::findings::{Facts, Finding, limits, words};

pub(super) static RULE: Rule =
    Rule { code: "network-gap", description: "calls spend much of their time between caller and callee", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let paired = facts.snapshot.edges.iter().filter(|e| e.gap.n() >= limits::MIN_N);
    paired
        .filter_map(|edge| {
            let (gap, client) = (edge.gap.mean()?, edge.client.mean()?);
            let share = if client > 0.0 { (gap / client).min(1.0) } else { 0.0 };
            if gap < limits::GAP_NANOS || share < limits::GAP_SHARE {
                return None;
            }
            let context = BTreeMap::from([
                ("gap_mean_seconds", gap / 1e9),
                ("client_mean_seconds", client / 1e9),
                ("share_of_call", share),
            ]);
            let message = format!(
                "calls from `{}` to `{}` spend {} ({} of their time) between the two, n = {}",
                words::name(&edge.source),
                words::name(&edge.target),
                words::seconds(gap / 1e9),
                words::percent(share),
                edge.gap.n()
            );
            Some(edge_finding(RULE.code, Severity::Warning, edge, message, context))
        })
        .collect()
}
