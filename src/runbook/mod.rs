//! Which runbooks exist, their ids, and what each of them says, as typed documents.
//!
//! Purpose: decide from topology and configuration which runbooks there are, give each its number for ever, fill them.
//! Input: snapshot, objective statuses, findings, configuration, ledger. Output: [`Runbook`]s and the new [`Ledger`].
//! Must not: format numbers, escape, write Markdown, or do IO.

pub mod cfg;
mod document;
mod ledger;
mod plan;

pub use document::{
    Diagram, DiagramEdge, DiagramNode, EscalationStep, Evidence, EvidenceRow, EvidenceTable, Piece, Runbook,
    RunbookKind, RunbookState, Section, Step, Text, TraceRef,
};
pub use ledger::{Entry, EntryState, Ledger, LedgerError};
pub use plan::{Plan, plan};
