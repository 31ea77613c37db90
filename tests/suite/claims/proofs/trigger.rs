//! Trigger condition: what was promised, what was seen, and the alert that says so.

use crate::claims::claim::{Claim, count, said};
use crate::claims::numbers::Value;
use crate::claims::objectives::{self, strictest};
use crate::claims::pattern::{Pattern, cell, listed, says};

use super::impact::rate;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says(
            "<p{q} latency|mean latency|error rate|throughput|p{q} message lag> of {x}<, operation {x}|> <at or above|above|at or below|below> {v}",
            objectives::trigger,
        ),
        says(
            "Objective {x}: <p{q} latency|mean latency|error rate|throughput|p{q} message lag> of {x}<, operation {x}|> {x} over <{w}|the window of this page>; a miss <pages|makes a ticket>. <Met|Missed>: {v} <(n {c}, 95 % interval {v} to {v})|(only few requests were seen, n {c})|(only few messages were seen, n {c})>",
            objectives::detail,
        ),
        says(
            "Objective {x}: <p{q} latency|p{q} message lag|value> of {x} {x} over <{w}|the window of this page>; a miss <pages|makes a ticket>. No data",
            objectives::detail,
        ),
        says("; {c} times as many <slow requests|failed requests|late messages> as allowed", objectives::budget),
        says("; {%} more <slow requests|failed requests|late messages> than allowed", objectives::budget),
        says("; error budget left in this window: {%}", objectives::budget),
        says(" Mind that the snapshot covers {s} of the objective's {s}", objectives::short_window),
        listed(
            "How fast its error budget was spent at the end of the window, 1 being just sustainable: ",
            "{c} over {w}, {c} over {w} (<both above {q}: |><pages|makes a ticket>< when both are above {q}|>)",
            objectives::burn,
        ),
        says("As an alert on span metrics, for {c} minutes: {x}", |c| alert(c, &objectives::alert(c)?)),
        says("As an alert on service-graph metrics, for {c} minutes: {x}", |c| alert(c, &[strictest(c)?.0])),
        says("The limit is the strictest error-rate objective among its callers: {x}, {%}.", |c| {
            let (limit, callers) = strictest(c)?;
            callers.contains(&c.node_id(0)?).then(|| vec![Value::Exactly(limit)])
        }),
        says("Failed calls to {x} at or above {%}", |c| {
            let into = c.facts.into(c.node_id(0)?);
            let callers: Vec<&str> = into.iter().map(|(id, _)| *id).collect();
            let all =
                objectives::Status::ranked(c.facts, &callers, |sli| *sli == crate::claims::config::Sli::ErrorRate);
            let least = all.iter().map(|s| s.objective.value).min_by(f64::total_cmp)?;
            Some(vec![Value::Exactly(least)])
        }),
        cell(&[""], "After", "{w}", |c| {
            let path = c.facts.config.json["escalation"].as_array()?;
            let step = path.iter().find(|step| step["who"] == c.place.row[1])?;
            Some(vec![said(step["after"].as_str()?)])
        }),
        says("In the window, from {x}: {r}, errors {%}<, p50 {d}, p99 {d}|> (n {c}).", |c| {
            let edge = c.facts.edge(c.node_id(0)?, c.focus()?)?;
            let mut out = vec![rate(c, edge.sums.calls), Value::Exactly(edge.sums.error_ratio())];
            out.extend([edge.latency().quantile("50")?, edge.latency().quantile("99")?]);
            out.push(count(edge.sums.n));
            Some(out)
        }),
    ]
}

/// An alert waits five minutes, and so does the query. Its other numbers are the limit, to five digits, and the percentile.
fn alert(c: &Claim<'_>, limits: &[f64]) -> Option<Vec<Value>> {
    let unquoted: Vec<&str> = c.x(0).split('"').step_by(2).collect();
    let query = unquoted.join("").replace("[5m]", "");
    let words = query.split(|c: char| !c.is_ascii_digit() && c != '.' && !c.is_alphabetic() && c != '_');
    let numbers: Vec<f64> = words.filter_map(|word| word.parse().ok()).collect();
    let digits = query.contains('[') || numbers.len() != limits.len();
    let near = |a: f64, b: f64| (a - b).abs() <= 2e-5 * b;
    let right = numbers.iter().all(|n| limits.iter().any(|l| near(*n, *l))) && near(*numbers.last()?, limits[0]);
    (right && !digits).then(|| vec![count(5)])
}
