//! One file for each kind of runbook: what its page says.
//!
//! Input: an [`Item`] of the catalogue. Output: a [`Body`]; `plan` frames it into a [`super::Runbook`].

mod dependency;
mod errors;
mod latency;
mod origins;
mod pipeline;
mod scenario;
mod tail;

pub(super) use scenario::KINDS as SCENARIO_KINDS;

use super::cfg::{Pin, ScenarioConfig};
use super::context::{Context, Target};
use super::document::{EvidenceTable, Piece, RunbookKind, RunbookState, Step, Text, TraceRef, Waterfall};
use crate::slo::ObjectiveStatus;

/// A runbook that exists, before it is filled.
#[derive(Clone)]
pub(super) struct Item<'a> {
    /// Stable key.
    pub(super) key: String,
    pub(super) kind: RunbookKind,
    /// What it is about; for a scenario its first node, or nothing but its name.
    pub(super) target: Target<'a>,
    /// All nodes it concerns, the target first. Empty for a scenario without nodes.
    pub(super) nodes: Vec<Target<'a>>,
    /// Objectives that decide its state, in order of id.
    pub(super) statuses: Vec<&'a ObjectiveStatus>,
    pub(super) pin: Option<&'a Pin>,
    pub(super) scenario: Option<&'a ScenarioConfig>,
}

/// What a kind says.
pub(super) struct Body {
    pub(super) title: Text,
    pub(super) state: RunbookState,
    /// The state in one sentence.
    pub(super) headline: Text,
    /// What to look at first, in one sentence.
    pub(super) first: Text,
    pub(super) trigger: Text,
    pub(super) trigger_detail: Vec<Text>,
    pub(super) impact: Vec<Text>,
    pub(super) diagnosis: Vec<Step>,
    pub(super) remediation: Vec<Step>,
    pub(super) verification: Vec<Step>,
    pub(super) tables: Vec<Option<EvidenceTable>>,
    pub(super) traces: Vec<TraceRef>,
    pub(super) waterfalls: Vec<Waterfall>,
    pub(super) unknowns: Vec<Text>,
}

/// Fills one page.
pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    match item.kind {
        RunbookKind::Latency => latency::fill(context, item),
        RunbookKind::Errors => errors::fill(context, item),
        RunbookKind::Dependency => dependency::fill(context, item),
        RunbookKind::Pipeline => pipeline::fill(context, item),
        RunbookKind::Scenario => scenario::fill(context, item),
    }
}

/// The ending of a generated slug.
pub(super) fn slug_ending(kind: RunbookKind) -> &'static str {
    match kind {
        RunbookKind::Latency => "high-latency",
        RunbookKind::Errors => "errors",
        RunbookKind::Dependency => "failure",
        RunbookKind::Pipeline => "pipeline-stall",
        RunbookKind::Scenario => "",
    }
}

/// How long a figure must hold before an incident is over.
const HOLD: &str = "15 minutes";

/// Objectives as trigger details: what was promised, what was seen, and the alert that says so.
fn objectives(context: &Context<'_>, item: &Item<'_>, alert: impl Fn(&ObjectiveStatus) -> Option<String>) -> Vec<Text> {
    use super::phrase::{budget, burn, observed, subject};
    use crate::slo::ObjectiveState;
    const SHOWN: usize = 5;
    let mut out = Vec::new();
    for status in item.statuses.iter().take(SHOWN) {
        let o = &status.objective;
        let text = Text::words("Objective ").code(super::quote::label(&status.id)).and(": ");
        let text = text.append(subject(status, &context.target(&status.service))).and(" ").code(&o.target_text);
        let text = match o.window_seconds {
            Some(s) => text.and(format!(" over {}", super::phrase::whole(s))),
            None => text.and(" over the window of this page"),
        };
        let text = text.and(if o.severity == "page" { "; a miss pages. " } else { "; a miss makes a ticket. " });
        let text = match status.state {
            ObjectiveState::NoData => text.and(format!("No data: {}.", status.reason.trim_end_matches('.'))),
            state => {
                let word = if state == ObjectiveState::Met { "Met: " } else { "Missed: " };
                text.and(word).append(observed(status)).append(budget(status)).and(".")
            }
        };
        let text = match status.note.trim_end_matches('.') {
            "" => text,
            note => text.and(format!(" Mind that {note}.")),
        };
        out.push(match o.description.as_str() {
            "" => text,
            description => text.and(" ").piece(Piece::Markdown(description.to_owned())),
        });
        if let Some(condition) = alert(status) {
            out.push(Text::words("As an alert on span metrics, for 5 minutes: ").code(condition));
        }
        out.extend(burn(status));
    }
    let more = item.statuses.len().saturating_sub(SHOWN);
    if more > 0 {
        out.push(
            Text::default()
                .piece(super::phrase::items(more))
                .and(" more objectives belong to this page; tracebook slo lists them."),
        );
    }
    out
}

/// `p99 latency of api at or above 500 ms`; without an objective the given words.
fn trigger(item: &Item<'_>, otherwise: Text) -> Text {
    use super::phrase::{bad_side, main_objective, subject, value};
    let Some(main) = main_objective(&item.statuses) else { return otherwise };
    let (_, words) = bad_side(main.objective.comparison);
    subject(main, &item.target).and(format!(" {words} ")).piece(value(&main.objective, main.objective.target))
}
