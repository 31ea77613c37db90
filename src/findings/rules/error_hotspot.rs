//! `error-hotspot`: an operation or a call fails significantly often. Errors at their origin come first.
//!
//! Why it matters: failures climb; the deepest place that fails is where to look. Origin (severity error): the calls made
//! below do not account for the failures. Handed on (warning): they do. Remedy: open a failed exemplar at the origin and
//! read its error classes.

use std::collections::BTreeMap;

use super::{Rule, Severity, take};
use crate::findings::{Facts, Finding, limits, words};
use crate::slo::interval::wilson;
use crate::topology::{Edge, NodeId, Snapshot};

pub(super) static RULE: Rule =
    Rule { code: "error-hotspot", description: "an operation or a call fails significantly often", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let failures = Failures::of(facts.snapshot);
    let mut found = operations(facts.snapshot, &failures);
    found.extend(edges(facts.snapshot));
    found
}

/// Failed calls made by each node.
struct Failures<'a>(BTreeMap<&'a NodeId, f64>);

impl<'a> Failures<'a> {
    fn of(snapshot: &'a Snapshot) -> Self {
        let mut below: BTreeMap<&NodeId, f64> = BTreeMap::new();
        for edge in &snapshot.edges {
            *below.entry(&edge.source).or_default() += edge.errors.as_f64();
        }
        Self(below)
    }

    /// Share of a service's failures that the calls it makes account for, at most 1.
    fn handed_on(&self, snapshot: &Snapshot, service: &NodeId) -> f64 {
        let own = snapshot.node(service).map_or(0.0, |n| n.handled.errors.as_f64());
        let below = self.0.get(service).copied().unwrap_or_default();
        if own > 0.0 { (below / own).min(1.0) } else { 0.0 }
    }
}

/// The ratio and its lower bound, if that is above the threshold.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn hot(ratio: Option<f64>, n: u64) -> Option<(f64, f64)> {
    let ratio = ratio.filter(|_| n >= limits::MIN_N)?;
    let (low, _) = wilson(ratio, n as f64);
    (low > limits::HOTSPOT_RATIO).then_some((ratio, low))
}

fn operations(snapshot: &Snapshot, failures: &Failures<'_>) -> Vec<Finding> {
    let handling = snapshot.operations.iter().filter(|o| matches!(o.kind.name(), "server" | "consumer"));
    handling
        .filter_map(|operation| {
            let (ratio, low) = hot(operation.stats.error_ratio(), operation.stats.n)?;
            let handed_on = failures.handed_on(snapshot, &operation.service);
            let origin = handed_on < limits::HANDED_ON_SHARE;
            let cause = if origin {
                "the calls it makes do not account for it".to_owned()
            } else {
                format!("calls it makes account for {} of the service's failures", words::percent(handed_on))
            };
            Some(Finding {
                code: RULE.code,
                severity: if origin { Severity::Error } else { Severity::Warning },
                subject: operation.service.clone(),
                target: None,
                operation: Some(operation.name.clone()),
                message: format!(
                    "`{}` of `{}` fails {} of the time (n = {}); {cause}",
                    words::text(&operation.name),
                    words::name(&operation.service),
                    words::percent(ratio),
                    operation.stats.n
                ),
                context: BTreeMap::from([
                    ("error_ratio", ratio),
                    ("low", low),
                    ("handed_on_share", handed_on),
                    ("errors", operation.stats.errors.as_f64()),
                ]),
                n: operation.stats.n,
                exemplars: take(&operation.stats.exemplars.failed),
            })
        })
        .collect()
}

/// Calls that fail although the called side does not say so: dependencies without spans, refused or timed-out calls.
fn edges(snapshot: &Snapshot) -> Vec<Finding> {
    snapshot.edges.iter().filter_map(|edge| failing_edge(snapshot, edge)).collect()
}

fn failing_edge(snapshot: &Snapshot, edge: &Edge) -> Option<Finding> {
    let (ratio, low) = hot(edge.error_ratio(), edge.n)?;
    let target = snapshot.node(&edge.target)?;
    let answered = target.handled.error_ratio().filter(|_| target.instrumented).unwrap_or_default();
    if answered > ratio * limits::HANDED_ON_SHARE {
        return None;
    }
    let who = if target.instrumented {
        "the called side does not see these failures"
    } else {
        "it sends no spans of its own"
    };
    Some(Finding {
        code: RULE.code,
        severity: Severity::Error,
        subject: edge.source.clone(),
        target: Some(edge.target.clone()),
        operation: None,
        message: format!(
            "calls from `{}` to `{}` fail {} of the time (n = {}); {who}",
            words::name(&edge.source),
            words::name(&edge.target),
            words::percent(ratio),
            edge.n
        ),
        context: BTreeMap::from([
            ("error_ratio", ratio),
            ("low", low),
            ("target_error_ratio", answered),
            ("errors", edge.errors.as_f64()),
        ]),
        n: edge.n,
        exemplars: take(&edge.exemplars.failed),
    })
}
