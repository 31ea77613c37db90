//! What changed between two snapshots.

use super::table::{Cell, Table};
use super::{suspects, tone};
use crate::diag::Severity;
use crate::diff::{Change, Diff, Side, Subject};
use crate::render::{format, json};
use crate::topology::Coverage;

/// Aligned columns, worst first, with what each side saw below.
#[must_use]
pub fn diff_text(diff: &Diff, colour: bool) -> String {
    let body = if diff.changes.is_empty() { "No changes.\n".to_owned() } else { table(diff).to_text(colour) };
    let (base, head) = (seen(&diff.coverage.before), seen(&diff.coverage.after));
    let mut out = format!("{body}\nBASE  {base}\nHEAD  {head}\n");
    out.push_str(&suspects::text(&diff.culprits, worse(diff), colour));
    out
}

/// The same for a pull request.
#[must_use]
pub fn diff_markdown(diff: &Diff) -> String {
    let body = if diff.changes.is_empty() { "No changes.\n".to_owned() } else { table(diff).to_markdown() };
    let mut out = format!("## Topology changes\n\n{body}");
    out.push_str(&suspects::markdown(&diff.culprits, worse(diff)));
    let (base, head) = (seen(&diff.coverage.before), seen(&diff.coverage.after));
    out.push_str(&format!("\nBase: {base}. Head: {head}.\n"));
    out
}

/// `{changes, culprits, coverage}` (DESIGN §6).
#[must_use]
pub fn diff_json(diff: &Diff) -> String {
    json::to_text(diff)
}

/// Whether something got worse that is worth telling.
fn worse(diff: &Diff) -> bool {
    diff.changes.iter().any(|change| change.severity > Severity::Info)
}

fn seen(coverage: &Coverage) -> String {
    if coverage.spans == 0 {
        return "a backend's aggregates".to_owned();
    }
    let seen = format!("{} spans in {} traces", format::integer(coverage.spans), format::integer(coverage.traces));
    match coverage.left_out_traces {
        0 => seen,
        out => format!("{seen} (a sample: {} traces left out)", format::integer(out)),
    }
}

fn table(diff: &Diff) -> Table {
    let mut table = Table::new(&["Severity", "Change", "Subject", "Before", "After", "n", "p"]);
    for change in &diff.changes {
        table.row(vec![
            Cell::new(change.severity.name()).tone(tone(change.severity)),
            Cell::new(change.code),
            Cell::name(subject(change)),
            Cell::new(side(change, change.before.as_ref())),
            Cell::new(side(change, change.after.as_ref())),
            Cell::new(sizes(change)),
            Cell::new(change.p_value.map(p_value).unwrap_or_default()),
        ]);
    }
    table
}

fn subject(change: &Change) -> String {
    match &change.subject {
        Subject::Node { node } => node.0.clone(),
        Subject::Operation { service, kind, operation } => format!("{service}: {operation} ({kind})"),
        Subject::Edge { source, target } => format!("{source} → {target}"),
        Subject::Nodes { nodes } => {
            let names: Vec<&str> = nodes.iter().map(|id| id.0.as_str()).collect();
            names.join(if change.code.starts_with("cycle") { ", " } else { " → " })
        }
    }
}

/// The figure the change is about.
fn side(change: &Change, side: Option<&Side>) -> String {
    let shape = change.before.is_none() && change.after.is_none();
    let Some(side) = side else { return if shape { String::new() } else { "absent".to_owned() } };
    let latency = || {
        let part = |name: &str, value: Option<f64>| value.map(|v| format!("{name} {}", format::duration(v)));
        [part("p50", side.p50_seconds), part("p99", side.p99_seconds)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
    };
    match change.code {
        "slower" | "faster" => latency(),
        "failing-more" | "failing-less" => {
            side.error_ratio.map_or_else(|| "no calls".to_owned(), |r| format!("{} errors", format::ratio(r)))
        }
        _ => format::rate(side.calls_per_second),
    }
}

fn sizes(change: &Change) -> String {
    match (&change.before, &change.after) {
        (None, None) => String::new(),
        (before, after) => format!("{} → {}", n(before.as_ref()), n(after.as_ref())),
    }
}

fn n(side: Option<&Side>) -> String {
    side.map_or_else(|| "0".to_owned(), |s| format::integer(s.n))
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}
