//! Objectives and their state.

use serde::Serialize;
use serde_json::Value;

use super::table::{Cell, Table, Tone};
use crate::render::{format, json};
use crate::slo::{BurnRate, Objective, ObjectiveState, ObjectiveStatus, Unit};

/// Aligned columns, sorted by id.
#[must_use]
pub fn slo_text(objectives: &[ObjectiveStatus], colour: bool) -> String {
    if objectives.is_empty() {
        return "No objectives are configured.\n".to_owned();
    }
    format!("{}\n{}\n", table(objectives).to_text(colour), summary(objectives))
}

/// The same for a page or a pull request.
#[must_use]
pub fn slo_markdown(objectives: &[ObjectiveStatus]) -> String {
    if objectives.is_empty() {
        return "## Objectives\n\nNone are configured.\n".to_owned();
    }
    format!("## Objectives\n\n{}\n{}\n", table(objectives).to_markdown(), summary(objectives))
}

/// `{objectives: [...]}` (DESIGN §6). Values are seconds, ratios 0–1 or calls per second, as `unit` says.
#[must_use]
pub fn slo_json(objectives: &[ObjectiveStatus]) -> String {
    let objectives: Vec<ObjectiveJson<'_>> = objectives.iter().map(ObjectiveJson::new).collect();
    json::to_text(&Answer { objectives })
}

#[derive(Serialize)]
struct Answer<'a> {
    objectives: Vec<ObjectiveJson<'a>>,
}

#[derive(Serialize)]
struct ObjectiveJson<'a> {
    id: &'a str,
    service: &'a str,
    operation: Option<&'a str>,
    sli: &'a str,
    unit: &'static str,
    target: &'a str,
    target_value: Value,
    severity: &'a str,
    /// What the objective covers, in seconds; `null`: the snapshot's window.
    window_seconds: Option<u64>,
    window: String,
    state: &'static str,
    value: Option<Value>,
    n: u64,
    interval: Option<[Value; 2]>,
    certain: bool,
    budget_remaining: Option<Value>,
    burn: &'a [BurnRate],
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl<'a> ObjectiveJson<'a> {
    fn new(status: &'a ObjectiveStatus) -> Self {
        let objective = &status.objective;
        Self {
            id: &status.id,
            service: &status.service.0,
            operation: status.operation.as_deref(),
            sli: &objective.sli_name,
            unit: unit(objective),
            target: &objective.target_text,
            target_value: objective.target_number().map_or(Value::Null, json::float),
            severity: &objective.severity,
            window_seconds: objective.window_seconds,
            window: window(status),
            state: status.state.name(),
            value: status.value.map(json::float),
            n: status.n,
            interval: status.interval.map(|(low, high)| [json::float(low), json::float(high)]),
            certain: status.certain,
            budget_remaining: status.budget_remaining.map(json::float),
            burn: &status.burn,
            note: &status.note,
            reason: &status.reason,
        }
    }
}

fn unit(objective: &Objective) -> &'static str {
    match objective.unit() {
        Unit::Seconds => "seconds",
        Unit::Ratio => "ratio",
        Unit::PerSecond => "calls_per_second",
        Unit::Number => "none",
    }
}

#[allow(clippy::cast_precision_loss, reason = "for display")]
fn window(status: &ObjectiveStatus) -> String {
    status.objective.window_seconds.map_or_else(|| "snapshot".to_owned(), |s| format::duration(s as f64))
}

fn shown(objective: &Objective, value: f64) -> String {
    match objective.unit() {
        Unit::Seconds => format::duration(value),
        Unit::Ratio => format::ratio(value),
        Unit::PerSecond => format::rate(value),
        Unit::Number => format::count(value),
    }
}

fn table(objectives: &[ObjectiveStatus]) -> Table {
    let mut table = Table::new(&[
        "State",
        "Objective",
        "Service",
        "Operation",
        "SLI",
        "Target",
        "Value",
        "Interval",
        "n",
        "Budget left",
    ]);
    for status in objectives {
        let objective = &status.objective;
        let (state, tone) = match status.state {
            ObjectiveState::Met => ("met", Tone::Good),
            ObjectiveState::Breached => ("breached", Tone::Bad),
            ObjectiveState::NoData => ("no data", Tone::Doubtful),
        };
        let interval =
            status.interval.map(|(low, high)| format!("{}–{}", shown(objective, low), shown(objective, high)));
        table.row(vec![
            Cell::new(state).tone(tone),
            Cell::name(status.id.clone()),
            Cell::name(status.service.0.clone()),
            Cell::name(status.operation.clone().unwrap_or_default()),
            Cell::new(status.objective.sli_name.clone()),
            Cell::new(status.objective.target_text.clone()),
            Cell::new(status.value.map_or_else(|| status.reason.clone(), |v| shown(objective, v))),
            Cell::new(interval.unwrap_or_default()),
            Cell::new(format::integer(status.n)),
            Cell::new(status.budget_remaining.map(format::ratio).unwrap_or_default()),
        ]);
    }
    table
}

fn summary(objectives: &[ObjectiveStatus]) -> String {
    let count = |state| objectives.iter().filter(|o| o.state == state).count();
    format!(
        "{} met, {} breached, {} without data.",
        count(ObjectiveState::Met),
        count(ObjectiveState::Breached),
        count(ObjectiveState::NoData)
    )
}
