//! Which runbooks exist, their ids, and what each of them says, as typed documents.
//!
//! Purpose: decide from topology and configuration which runbooks there are, give each its number for ever, fill them.
//! Input: snapshot, objective statuses, findings, configuration, ledger. Output: [`Runbook`]s and the new [`Ledger`].
//! Must not: format numbers, escape, write Markdown, or do IO.

mod apart;
mod callers;
mod catalogue;
pub mod cfg;
mod context;
mod document;
mod evidence;
mod filtered;
mod frame;
mod impact;
mod jaeger;
mod kinds;
mod ledger;
mod links;
mod missed;
mod packs;
mod phrase;
mod plan;
mod queries;
mod quote;
mod steps;
mod unknowns;
mod waterfall;

#[cfg(test)]
mod suspects_tests;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod wording_tests;

pub use document::{
    Diagram, DiagramEdge, DiagramNode, EscalationStep, Evidence, EvidenceRow, EvidenceTable, Piece, Runbook,
    RunbookKind, RunbookState, Section, Step, Text, TraceRef, Waterfall, WaterfallSpan,
};
pub use filtered::filtered;
pub use ledger::{Entry, EntryState, Ledger, LedgerError, VERSION as LEDGER_VERSION};
pub use missed::Missed;
pub use plan::{Plan, plan};

/// Names of the command packs there are, for `packs:` in the configuration.
#[must_use]
pub fn pack_names() -> Vec<&'static str> {
    packs::names()
}

/// Kinds of scenarios that bring steps of their own, and `custom`, for `scenarios[].kind` in the configuration.
#[must_use]
pub fn kinds_of_scenarios() -> &'static [&'static str] {
    kinds::SCENARIO_KINDS
}
