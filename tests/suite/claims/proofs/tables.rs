//! Tables of evidence: a row is an operation, an edge, a class of errors, a trace.

use crate::claims::claim::{Claim, count, said};
use crate::claims::facts::{Edge, Sums};
use crate::claims::numbers::{self, Value};
use crate::claims::pattern::{Pattern, cell};
use crate::claims::spans::{Kind, Span};
use crate::claims::times::Times;

const SUMMED: &[&str] = &["Operations", "Callers", "Dependencies", "Consumers"];
const TIMED: &[&str] = &["Operations", "Callers", "Dependencies"];

pub fn patterns() -> Vec<Pattern> {
    let mut all = vec![
        cell(SUMMED, "n", "{c}", |c| Some(vec![count(sums(c)?.n)])),
        cell(SUMMED, "Calls", "{r}", |c| Some(vec![Value::Exactly(c.facts.rate(sums(c)?.calls))])),
        cell(SUMMED, "Messages", "{r}", |c| Some(vec![Value::Exactly(c.facts.rate(sums(c)?.calls))])),
        cell(SUMMED, "Errors", "{%}", |c| Some(vec![Value::Exactly(sums(c)?.error_ratio())])),
        cell(TIMED, "p50", "{d}", |c| Some(vec![sums(c)?.times.quantile("50")?])),
        cell(TIMED, "p95", "{d}", |c| Some(vec![sums(c)?.times.quantile("95")?])),
        cell(TIMED, "p99 (95 % interval)", "{d}< ({d} to {d})|>", |c| {
            let times = &sums(c)?.times;
            let interval = (times.n() >= 20).then(|| times.interval(0.99));
            Some([times.quantile("99")?].into_iter().chain(interval.into_iter().flatten()).collect())
        }),
        cell(&["Operations"], "Share of time", "{%}", |c| {
            let all = &c.of(c.focus()?)?.handled.times;
            Some(vec![Value::Exactly(sums(c)?.times.sum() / all.sum())])
        }),
        cell(&["Dependencies"], "p99 in the callee", "{d}", |c| Some(vec![edge(c)?.server.quantile("99")?])),
        cell(&["Dependencies"], "p99 between", "{d}", |c| Some(vec![edge(c)?.gap.quantile("99")?])),
        cell(&["Consumers"], "p50 wait", "{d}", |c| Some(vec![edge(c)?.dwell.quantile("50")?])),
        cell(&["Consumers"], "p99 wait", "{d}", |c| Some(vec![edge(c)?.dwell.quantile("99")?])),
        cell(&["Consumers"], "p50 processing", "{d}", |c| Some(vec![edge(c)?.server.quantile("50")?])),
        cell(&["Consumers"], "p99 processing", "{d}", |c| Some(vec![edge(c)?.server.quantile("99")?])),
    ];
    all.extend(failures());
    all.extend(traces());
    all
}

fn failures() -> Vec<Pattern> {
    vec![
        cell(&["Errors by class"], "Calls", "{c}", |c| Some(vec![Value::Exactly(*failed(c)?.classes.get(c.row(0))?)])),
        cell(&["Errors by class"], "Share of errors", "{%}", |c| {
            let failed = failed(c)?;
            Some(vec![Value::Exactly(failed.classes.get(c.row(0))? / failed.errors)])
        }),
        cell(&["Errors by version and place"], "Calls", "{c}", |c| Some(vec![Value::Exactly(dimension(c)?[0])])),
        cell(&["Errors by version and place"], "Errors", "{%}", |c| {
            let [calls, errors, _] = dimension(c)?;
            Some(vec![Value::Exactly(errors / calls)])
        }),
        cell(&["Errors by version and place"], "Share of errors", "{%}", |c| {
            let [_, errors, all] = dimension(c)?;
            Some(vec![Value::Exactly(errors / all)])
        }),
    ]
}

fn traces() -> Vec<Pattern> {
    vec![
        cell(&["Traces to open"], "Started", "{t}", |c| Some(vec![said(numbers::time(span(c)?.start))])),
        cell(&["Traces to open"], "Duration", "{d}", |c| Some(vec![Value::Exactly(span(c)?.duration()? as f64 / 1e9)])),
    ]
}

/// What a row of a table is about.
fn sums<'a>(c: &Claim<'a>) -> Option<&'a Sums> {
    if !c.place.table.starts_with("Operations") {
        return Some(&edge(c)?.sums);
    }
    let kind = match c.row(1) {
        "server" => Kind::Server,
        "consumer" => Kind::Consumer,
        _ => return None,
    };
    c.of(c.focus()?)?.operations.get(&(kind, c.row(0).to_owned()))
}

fn edge<'a>(c: &Claim<'a>) -> Option<&'a Edge> {
    let (focus, other) = (c.focus()?, c.facts.node(c.row(0))?);
    if c.place.table.starts_with("Callers") { c.facts.edge(other, focus) } else { c.facts.edge(focus, other) }
}

/// What failed: of a service its spans, of what others depend on the calls to it.
fn failed(c: &Claim<'_>) -> Option<Sums> {
    match c.page.key.starts_with("dependency:") {
        true => Some(c.facts.called(c.focus()?)),
        false => Some(c.handled()?.clone()),
    }
}

/// Calls to the processes of one attribute's value: how many, how many failed, and how many failed in all.
fn dimension(c: &Claim<'_>) -> Option<[f64; 3]> {
    let into = c.facts.into(c.focus()?);
    let calls = into.iter().flat_map(|(_, e)| &e.all);
    let mut out = [0.0; 3];
    for call in calls {
        let value = call.called.as_ref().and_then(|r| r.get(c.row(0))).map(String::as_str);
        let failed = if call.failed { call.weight } else { 0.0 };
        out[2] += failed;
        if value == Some(c.row(1)) {
            (out[0], out[1]) = (out[0] + call.weight, out[1] + failed);
        }
    }
    Some(out)
}

/// The span of a row. Of those called slow, none of the node is slower but in traces listed before.
fn span<'a>(c: &Claim<'a>) -> Option<&'a Span> {
    let span = c.span(c.row(1), c.row(2))?;
    let mut of_node = Times::default();
    let focus = c.focus()?;
    let own = c.of(focus)?.instrumented && !c.of(focus)?.handled.times.is_empty();
    let alike = c.facts.trace(&span.trace).iter().filter(|s| !own || s.service == focus && s.is_called());
    alike.for_each(|s| of_node.add(s.duration(), 1.0));
    of_node.sorted();
    let right = match c.row(0) {
        "slow" => !own || of_node.max() == span.duration()? as f64 / 1e9,
        "failed" => span.failed(),
        "typical" => !span.failed(),
        _ => false,
    };
    (right && (!own || span.service == focus)).then_some(span)
}
