//! Failures that begin somewhere more often than before.
//!
//! Strength is the divergence of the failing share after from that before (Kullback and Leibler, of two Bernoulli trials),
//! with half a failure added before, so that a first failure is not infinitely surprising.

use std::collections::BTreeMap;

use super::limits;
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::diff::significance::proportions;
use crate::topology::{NodeId, Origin, OriginKind, Snapshot};

type Key<'a> = (&'a NodeId, &'a str, OriginKind, Option<&'a NodeId>);

/// All of them.
pub(super) fn symptoms<'a>(comparison: &Comparison<'a>) -> Vec<Symptom<'a>> {
    let (base, head) = (comparison.base.snapshot, comparison.head.snapshot);
    let before: BTreeMap<Key<'_>, &Origin> = base.origins.iter().map(|o| (key(o), o)).collect();
    let calls = (calls(base), calls(head));
    let found = head.origins.iter().filter_map(|origin| {
        let of = |calls: &BTreeMap<(&NodeId, &str), (f64, u64)>| {
            calls.get(&(&origin.service, origin.operation.as_str())).copied().unwrap_or_default()
        };
        let was = before.get(&key(origin)).map_or(0.0, |o| o.calls.as_f64());
        failing(comparison, origin, (of(&calls.0), of(&calls.1)), was)
    });
    found.collect()
}

fn key(origin: &Origin) -> Key<'_> {
    (&origin.service, &origin.operation, origin.kind, origin.target.as_ref())
}

/// Calls and spans of each operation, of any kind.
fn calls(snapshot: &Snapshot) -> BTreeMap<(&NodeId, &str), (f64, u64)> {
    let mut calls: BTreeMap<(&NodeId, &str), (f64, u64)> = BTreeMap::new();
    for operation in &snapshot.operations {
        let sum = calls.entry((&operation.service, &operation.name)).or_default();
        sum.0 += operation.stats.calls.as_f64();
        sum.1 = sum.1.saturating_add(operation.stats.n);
    }
    calls
}

#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn failing<'a>(
    comparison: &Comparison<'a>,
    origin: &'a Origin,
    ((b, nb), (h, nh)): ((f64, u64), (f64, u64)),
    was: f64,
) -> Option<Symptom<'a>> {
    let q = (origin.calls.as_f64() / h.max(1e-9)).min(1.0);
    let strength = divergence(was, b, q, (nb, nh))?;
    let p_value = proportions((was / b.max(1.0), q), (nb as f64, nh as f64));
    let error = (q * (1.0 - q) / h).sqrt();
    Some(Symptom {
        kind: Kind::Failure,
        service: &origin.service,
        operation: Some(&origin.operation),
        target: origin.target.as_ref().filter(|_| origin.kind == OriginKind::Unanswered),
        after: None,
        strength,
        impact: ((q - was / b.max(1.0)) * comparison.per_entry(h)).clamp(0.0, 1.0),
        figures: (was / b.max(1.0), q),
        n: (nb, nh),
        effect: q - was / b.max(1.0),
        interval: ((q - 1.96 * error - was / b.max(1.0)).max(0.0), (q + 1.96 * error - was / b.max(1.0)).min(1.0)),
        p_value,
        exemplars: &origin.exemplars,
    })
}

/// How unlike before a failing share is, in nats per call: `was` failures of `calls` calls before, the share `is` after, of
/// so many spans. `None` where there are fewer failures than before, or too few spans to tell.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
pub(super) fn divergence(was: f64, calls: f64, is: f64, (before, after): (u64, u64)) -> Option<f64> {
    let p = ((was + 0.5) / (calls + 1.0)).min(1.0);
    if before.min(after) < 1 || is <= p {
        return None;
    }
    let side = |q: f64, p: f64| if q > 0.0 { q * (q / p).ln() } else { 0.0 };
    let noise = limits::SURE * (1.0 / before as f64 + 1.0 / after as f64);
    Some((side(is, p) + side(1.0 - is, 1.0 - p) - noise).clamp(0.0, limits::MOST_STRENGTH))
}
