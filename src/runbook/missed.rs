//! Missed objectives that no page is about: what a Prometheus answered, say, or what the configuration wants no pages for.
//!
//! Input: statuses and the items there are. Output: [`Missed`] for the table of contents, sentences for pages of the service.
//! Must not: repeat what a page says of its own objectives.

use std::collections::BTreeSet;

use super::context::Context;
use super::document::{RunbookKind, Text};
use super::kinds::Item;
use super::phrase;
use super::quote::label;
use crate::slo::{ObjectiveState, ObjectiveStatus};
use crate::topology::NodeId;

/// A missed objective without a page of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Missed {
    /// Id of the status: that of the objective, from a wildcard with the service behind it.
    pub id: String,
    /// The service it is of.
    pub service: NodeId,
    /// What was seen: value, n, interval.
    pub observed: Text,
    /// The target as configured.
    pub target: String,
    /// What a miss means to people: `page` or `ticket`.
    pub urgency: String,
}

impl Missed {
    pub(super) fn new(status: &ObjectiveStatus) -> Self {
        Self {
            id: status.id.clone(),
            service: status.service.clone(),
            observed: phrase::observed(status),
            target: status.objective.target_text.clone(),
            urgency: status.objective.severity.clone(),
        }
    }
}

/// The missed objectives that no item speaks of as its own, in their order. A dependency has those of its callers beside it
/// to measure by, which says nothing of the callers.
pub(super) fn uncovered<'a>(objectives: &'a [ObjectiveStatus], items: &[Item<'_>]) -> Vec<&'a ObjectiveStatus> {
    let own = items.iter().filter(|item| item.kind != RunbookKind::Dependency);
    let covered: BTreeSet<&str> = own.flat_map(|item| &item.statuses).map(|s| s.id.as_str()).collect();
    let missed = objectives.iter().filter(|s| s.state == ObjectiveState::Breached);
    missed.filter(|s| !covered.contains(s.id.as_str())).collect()
}

/// What else the service of a page misses: `Also missed: lagging is at 42 (…), target < 5.`
pub(super) fn also(context: &Context<'_>, item: &Item<'_>) -> Vec<Text> {
    let of_it = context.missed.iter().filter(|status| status.service == item.target.id);
    let say = |status: &&ObjectiveStatus| {
        Text::words("Also missed: ")
            .code(label(&status.id))
            .and(" is at ")
            .append(phrase::observed(status))
            .and(", target ")
            .code(&status.objective.target_text)
            .and("; no page is about it alone.")
    };
    of_it.map(say).collect()
}
