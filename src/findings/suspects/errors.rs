//! Where the failures of a node begin.
//!
//! Input: the [`Origin`]s of a snapshot. Output: [`Failures`]: the origins behind what the node itself fails, most first;
//! apart from them what others fail because of the node although its own spans show nothing (nobody answered, somebody gave
//! up waiting), and what was coped with: a retry, a substitute. That hurts nobody, yet.

use std::collections::BTreeSet;

use super::below::Below;
use super::{Place, Untold, place_of};
use crate::spans::Weight;
use crate::topology::{NodeId, Origin, OriginKind, OriginStep, Snapshot};

/// One origin, seen from a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suspect<'a> {
    pub(crate) origin: &'a Origin,
    pub(crate) place: Place,
    /// Failures that concern the node.
    pub(crate) failures: f64,
    /// Of all failures of the node, 0..=1.
    pub(crate) share: f64,
}

impl<'a> Suspect<'a> {
    /// Who gave up first, most often; `None` where it is no time-out.
    pub(crate) fn gave_up(&self) -> Option<&'a OriginStep> {
        self.origin.gave_up.first().filter(|_| self.origin.kind == OriginKind::TimedOut)
    }
}

/// Failures somebody coped with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Coped<'a> {
    pub(crate) origin: &'a Origin,
    /// Who coped, most often.
    pub(crate) by: &'a OriginStep,
    /// How many of them.
    pub(crate) calls: f64,
}

/// Where the failures of a node begin.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Failures<'a> {
    /// Behind its own failures, most first.
    pub(crate) suspects: Vec<Suspect<'a>>,
    /// Of its failures the share that none of them explains: beyond a cap, or in traces without their beginning.
    pub(crate) unexplained: f64,
    /// What others fail because of it, or of what is below it, that it does not see itself. Most first.
    pub(crate) unseen: Vec<Suspect<'a>>,
    /// What it copes with, and what others cope with of it. Most first.
    pub(crate) coped: Vec<Coped<'a>>,
}

/// The failures of a node.
///
/// # Errors
/// [`Untold::NotMeasured`] where the snapshot knows failures but no origins.
pub(crate) fn about<'a>(snapshot: &'a Snapshot, node: &NodeId, below: &Below) -> Result<Failures<'a>, Untold> {
    let Some(known) = snapshot.node(node) else { return Err(Untold::NotTouched) };
    let failed = known.handled.errors.as_f64();
    if failed > 0.0 && snapshot.origins.is_empty() {
        return Err(Untold::NotMeasured);
    }
    let handles: BTreeSet<&str> =
        snapshot.operations_of(node).filter(|o| o.kind.is_called()).map(|o| o.name.as_str()).collect();
    let mut out = Failures::default();
    let mut explained = 0.0;
    for origin in &snapshot.origins {
        let place = match place_of(node, below, &origin.service) {
            Place::Elsewhere if origin.target.as_ref() == Some(node) => Place::Way,
            place => place,
        };
        let mine = failures_at(node, &handles, origin);
        let suspect = |failures: f64| Suspect { origin, place, failures, share: ratio(failures, failed) };
        if mine > 0.0 {
            explained += mine;
            out.suspects.push(suspect(mine));
        } else if not_seen(origin, place) {
            out.unseen.push(suspect(origin.calls.as_f64()));
        }
        let coped = origin.coped.iter().find(|step| step.service == *node || place == Place::Own);
        out.coped.extend(coped.map(|by| Coped { origin, by, calls: by.calls.as_f64() }));
    }
    out.unexplained = if failed > 0.0 { (1.0 - explained / failed).max(0.0) } else { 0.0 };
    let rank = |list: &mut Vec<Suspect<'a>>| list.sort_by(|a, b| b.failures.total_cmp(&a.failures));
    rank(&mut out.suspects);
    rank(&mut out.unseen);
    out.coped.sort_by(|a, b| b.calls.total_cmp(&a.calls));
    Ok(out)
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).min(1.0) } else { 0.0 }
}

/// How many requests of the node fail because of an origin. Of operations of the node that failed with it, those that
/// handle requests count; where a failure shows inside only (an INTERNAL span), nothing was handed back to anybody.
fn failures_at(node: &NodeId, handles: &BTreeSet<&str>, origin: &Origin) -> f64 {
    let began = origin.service == *node
        && matches!(origin.kind, OriginKind::Failed)
        && handles.contains(origin.operation.as_str());
    let climbed = origin.climbed.iter().filter(|s| s.service == *node && handles.contains(s.operation.as_str()));
    let climbed: Weight = climbed.map(|s| s.calls).sum();
    let failures = if began { origin.calls } else { climbed };
    failures.as_f64().min(origin.calls.as_f64())
}

/// Whether an origin concerns the node although no request it handled failed of it.
fn not_seen(origin: &Origin, place: Place) -> bool {
    let hurts = !origin.climbed.is_empty() || !origin.reached_entry.is_zero();
    match origin.kind {
        OriginKind::TimedOut => hurts && matches!(place, Place::Own | Place::Below),
        OriginKind::Unanswered => hurts && place == Place::Way,
        OriginKind::Failed | OriginKind::Rejected => false,
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
