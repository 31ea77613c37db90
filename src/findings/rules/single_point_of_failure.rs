//! `single-point-of-failure`: without this service the others fall apart into pieces that cannot reach each other.
//!
//! Why it matters: when it is down, everything that has to pass it is. Remedy: run several instances in several places, give
//! its callers a fallback. A warning when half of all requests touch it and a single instance of it was seen, else a note.

use std::collections::BTreeMap;

use super::{Rule, Severity, take};
use crate::findings::{Facts, Finding, limits, words};
use crate::topology::{Node, query};

pub(super) static RULE: Rule =
    Rule { code: "single-point-of-failure", description: "a service that cuts the others off when it fails", apply };

/// Attributes that tell instances of a service apart, the finest first.
const INSTANCE: &[&str] = &["service.instance.id", "k8s.pod.name", "host.name"];

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let graph = query::Graph::new(facts.snapshot);
    let points = graph.single_points_of_failure();
    let nodes = points.iter().filter_map(|id| facts.snapshot.node(id)).filter(|n| n.handled.n >= limits::MIN_N);
    nodes.map(|node| finding(node, graph.entry_share(&node.id))).collect()
}

fn finding(node: &Node, share: Option<f64>) -> Finding {
    let instances = instances(node);
    let mut context = BTreeMap::from([("calls", node.handled.calls.as_f64())]);
    let mut message = format!("without `{}` other services cannot reach each other", words::name(&node.id));
    if let Some(share) = share {
        context.insert("entry_share", share);
        message.push_str(&format!("; {} of the requests from outside touch it", words::percent(share)));
    }
    if let Some(n) = instances {
        #[allow(clippy::cast_precision_loss, reason = "a count")]
        context.insert("instances", n as f64);
        message.push_str(&format!("; {} seen", words::count(n, "instance")));
    }
    let central = share.is_some_and(|share| share >= limits::CENTRAL_SHARE);
    Finding {
        code: RULE.code,
        severity: if central && instances == Some(1) { Severity::Warning } else { Severity::Info },
        subject: node.id.clone(),
        target: None,
        operation: None,
        message,
        context,
        n: node.handled.n,
        exemplars: take(&node.handled.exemplars.typical),
    }
}

/// How many instances its spans come from; `None` when they do not say so throughout.
fn instances(node: &Node) -> Option<u64> {
    let values = INSTANCE.iter().find_map(|key| node.attributes.get(*key))?;
    let told = values.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
    (told >= node.handled.n).then(|| u64::try_from(values.len()).unwrap_or(u64::MAX))
}
