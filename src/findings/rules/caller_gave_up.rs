//! `caller-gave-up`: the called side works longer than the calling side waits.
//!
//! Why it matters: the caller's timeout is shorter than the work it asks for: the work is done for nobody, and is often
//! asked for again. Remedy: align the timeouts along the path, or make the callee notice the cancelled request.

use std::collections::BTreeMap;

use super::{Rule, Severity, edge_finding};
use crate::findings::{Facts, Finding, limits, words};
use crate::topology::{Edge, EdgeKind};

pub(super) static RULE: Rule =
    Rule { code: "caller-gave-up", description: "the called side works longer than the caller waits", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let calls = facts.snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Call);
    calls.filter_map(gave_up).collect()
}

fn gave_up(edge: &Edge) -> Option<Finding> {
    let (client, server) = (&edge.client, &edge.server);
    let (few, many) = (client.n().min(server.n()), client.n().max(server.n()));
    // Both sides must be of the same calls, or the means compare unlike things.
    if few < limits::MIN_N || few < many - many / 10 {
        return None;
    }
    let longer =
        |waited: f64, worked: f64| worked > waited * limits::GAVE_UP_FACTOR && worked - waited > limits::GAVE_UP_NANOS;
    let (waited, worked) = (client.mean()?, server.mean()?);
    let (waited_tail, worked_tail) = (client.quantile(0.95)?, server.quantile(0.95)?);
    if !longer(waited, worked) && !longer(waited_tail, worked_tail) {
        return None;
    }
    let context = BTreeMap::from([
        ("client_mean_seconds", waited / 1e9),
        ("server_mean_seconds", worked / 1e9),
        ("client_p95_seconds", waited_tail / 1e9),
        ("server_p95_seconds", worked_tail / 1e9),
    ]);
    let message = format!(
        "`{}` stops waiting for `{}` before it has finished: waits {} on average ({} at p95), works {} ({}), n = {few}",
        words::name(&edge.source),
        words::name(&edge.target),
        words::seconds(waited / 1e9),
        words::seconds(waited_tail / 1e9),
        words::seconds(worked / 1e9),
        words::seconds(worked_tail / 1e9),
    );
    Some(edge_finding(RULE.code, Severity::Warning, edge, message, context))
}
