//! Snapshot, objectives, findings and settings → every runbook, and the new ledger.

use std::collections::BTreeMap;

use super::cfg::Settings;
use super::context::Context;
use super::kinds::Item;
use super::{EntryState, Ledger, Runbook, catalogue, frame, ledger};
use crate::diag::Diagnostic;
use crate::findings::Finding;
use crate::slo::ObjectiveStatus;
use crate::topology::Snapshot;

/// What the stage makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Active and retired runbooks, sorted by number.
    pub runbooks: Vec<Runbook>,
    /// The ledger with the numbers just given.
    pub ledger: Ledger,
    /// Warnings: configuration entries that matched nothing.
    pub diagnostics: Vec<Diagnostic>,
}

/// Decides which runbooks there are, numbers them and fills them.
///
/// # Errors
/// Every problem that makes a number ambiguous: ids pinned twice, a pinned id the ledger gave to another key, a damaged ledger.
pub fn plan(
    snapshot: &Snapshot,
    objectives: &[ObjectiveStatus],
    findings: &[Finding],
    settings: &Settings,
    ledger: &Ledger,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut context = Context::new(snapshot, objectives, findings, settings);
    let catalogue = catalogue::catalogue(&context, ledger)?;
    let ledger = ledger::allocate(&renamed(ledger, &catalogue.renamed), &catalogue.wanted)?;
    context.ids = ledger
        .runbooks
        .iter()
        .filter(|e| e.state == EntryState::Active)
        .map(|e| (e.key.clone(), e.id.clone()))
        .collect();
    let items: BTreeMap<&str, &Item<'_>> = catalogue.items.iter().map(|i| (i.key.as_str(), i)).collect();
    let runbooks = ledger
        .runbooks
        .iter()
        .map(|entry| match items.get(entry.key.as_str()).filter(|_| entry.state == EntryState::Active) {
            Some(item) => frame::page(&context, item, entry),
            None => frame::tombstone(&context, entry),
        })
        .collect();
    Ok(Plan { runbooks, ledger, diagnostics: catalogue.warnings })
}

/// The ledger with keys a pin spelt short written in full: `latency:api` of a run that had not seen `shop/api` yet.
fn renamed(ledger: &Ledger, names: &BTreeMap<String, String>) -> Ledger {
    let mut ledger = ledger.clone();
    for (short, full) in names {
        if ledger.entry(full).is_none()
            && let Some(entry) = ledger.runbooks.iter_mut().find(|e| e.key == *short)
        {
            entry.key.clone_from(full);
        }
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::super::testing::{dump, objectives, shop};
    use super::*;

    fn made(settings: &Settings, ledger: &Ledger) -> Plan {
        plan(&shop(), &objectives(), &[], settings, ledger).unwrap()
    }

    #[test]
    fn show() {
        let plan = made(&Settings::default(), &Ledger::default());
        for page in &plan.runbooks {
            println!("{}\n=====================================", dump(page));
        }
    }
}
