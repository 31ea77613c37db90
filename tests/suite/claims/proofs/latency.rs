//! A slow service: where its time goes.

use crate::claims::claim::{Claim, count, p50_p99, said};
use crate::claims::facts::Edge;
use crate::claims::numbers::Value;
use crate::claims::objectives;
use crate::claims::pattern::{Pattern, listed, says};
use crate::claims::spans::Kind;

use super::impact::rate;

pub fn patterns() -> Vec<Pattern> {
    let mut all = summary();
    all.extend(steps());
    all.extend(calls());
    all.extend(traces());
    all
}

fn summary() -> Vec<Pattern> {
    vec![
        says("Look first at the calls to {x}: they take {%} of the time<, {%} of that between the two|>", |c| {
            let edge = c.call_to(c.node_id(0)?)?;
            let mut out = vec![share_of_time(c, c.node_id(0)?)?];
            out.extend((!edge.gap.is_empty()).then(|| Value::Exactly(edge.gap_share())));
            out.truncate(if c.text().contains("between") { 2 } else { 1 });
            Some(out)
        }),
        says("Look first at the service itself: {%} of the time is not explained by its calls.", own_time),
        says("But {x} waits longer for it: p50 {d}, p99 {d} (n {c}), {%} of which passes outside of {x}.", |c| {
            let edge = c.facts.edge(c.node_id(0)?, c.focus()?)?;
            let mut out: Vec<Value> = p50_p99(&edge.client)?.into();
            out.extend([count(edge.client.n()), Value::Exactly(edge.gap_share())]);
            Some(out)
        }),
    ]
}

fn steps() -> Vec<Pattern> {
    vec![
        says("In the window from {t} to {t} <p50 {d}, p99 {d}, |>{r}, errors {%} (n {c}).", |c| {
            let handled = &c.of(c.titled()?)?.handled;
            let mut out: Vec<Value> = c.window().into();
            out.extend(p50_p99(&handled.times)?);
            out.extend([rate(c, handled.calls), Value::Exactly(handled.error_ratio()), count(handled.n)]);
            Some(out)
        }),
        says("<p{q} latency|mean latency> below {d}<, p50 about {d}|>.", |c| {
            let main = objectives::of_page(c).into_iter().next()?;
            let mut out = c.text().starts_with(&main.objective.words()).then(Vec::new)?;
            out.extend(main.objective.words().strip_prefix('p').map(|w| said(w.trim_end_matches(" latency"))));
            out.push(Value::Exactly(main.objective.value));
            out.extend(c.handled()?.times.quantile("50").filter(|_| c.text().contains("p50 about")));
            Some(out)
        }),
        says("Below {d} <all the time|and staying there for 15 minutes>.", |c| {
            Some(vec![Value::Exactly(objectives::of_page(c).first()?.objective.value)])
        }),
        says("Check the service itself: {%} of the time is its own", own_time),
        listed("Most time is spent in ", "{x} {%} (p50 {d}, p99 {d}, n {c})", |c| {
            let operations = &c.of(c.focus()?)?.operations;
            let handles = |kind: Kind| matches!(kind, Kind::Server | Kind::Consumer);
            let (_, own) = operations.iter().find(|((kind, name), _)| handles(*kind) && name == c.x(0))?;
            let mut out = vec![Value::Exactly(own.times.sum() / c.handled()?.times.sum())];
            out.extend(p50_p99(&own.times)?);
            out.push(count(own.n));
            Some(out)
        }),
        says("{x} waits p50 {d}, p99 {d}, of which p50 {d}, p99 {d} pass between the two (n {c}).", |c| {
            let edge = c.facts.edge(c.node_id(0)?, c.focus()?)?;
            let mut out: Vec<Value> = p50_p99(&edge.client)?.into();
            out.extend(p50_p99(&edge.gap)?);
            out.push(count(edge.gap.n()));
            Some(out)
        }),
        says("Little more than the service itself takes, p99 {d}.", |c| Some(vec![c.handled()?.times.quantile("99")?])),
        listed("Spans seen by ", "{x} {%}", |c| {
            // The attribute is named once before its values: `by `k8s.pod.name`: …`.
            let before = &c.place.text[..c.to - c.text().len()];
            let lead = c.text().strip_prefix("Spans seen by ").and(Some(c.text())).unwrap_or(before);
            let key = lead.rsplit("by `").next()?.split('`').next()?;
            let values = c.of(c.focus()?)?.attributes.get(key)?;
            let all: u64 = values.values().sum();
            Some(vec![Value::Exactly(*values.get(c.x(0))? as f64 / all as f64)])
        }),
    ]
}

fn calls() -> Vec<Pattern> {
    vec![
        says("Check the <calls to|publishing to> {x}: {%} of the time{!}", |c| {
            Some(vec![share_of_time(c, c.node_id(0)?)?])
        }),
        says("{x} waits p50 {d}, p99 {d} (n {c}).", |c| {
            let client = &step_edge(c).filter(|(from, _)| Some(*from) == c.node_id(0))?.1.client;
            let mut out: Vec<Value> = p50_p99(client)?.into();
            out.push(count(client.n()));
            Some(out)
        }),
        says("{x} itself takes p50 {d}, p99 {d}.", |c| Some(p50_p99(&step_edge(c)?.1.server)?.into())),
        says("Between the two pass p50 {d}, p99 {d}.", |c| Some(p50_p99(&step_edge(c)?.1.gap)?.into())),
        says("slower than the p99 of <the window|this page>, {d}.", |c| {
            Some(vec![step_edge(c)?.1.latency().quantile("99")?])
        }),
        says("most of the waiting ({%}) passes between the two", |c| {
            Some(vec![Value::Exactly(step_edge(c)?.1.gap_share())])
        }),
        says("only {%} between the two", |c| Some(vec![Value::Exactly(step_edge(c)?.1.gap_share())])),
    ]
}

fn traces() -> Vec<Pattern> {
    vec![
        says("Slowest trace: {x} ({d}", |c| trace(c, |c, all| Some(all.max() == c.handled()?.times.max()))),
        says("Failed trace: {x} ({d}", |c| trace(c, |_, _| Some(true))),
        says("typical trace: {x} ({d}", |c| trace(c, |_, _| Some(true))),
    ]
}

/// The calls a step is about, and who makes them: those of its title; of the way to a service those of the page's node, else
/// of its largest caller.
fn step_edge<'a>(c: &Claim<'a>) -> Option<(&'a str, &'a Edge)> {
    let names: Vec<&str> = c.place.step.split('`').skip(1).step_by(2).collect();
    let to = c.facts.node(names.last()?)?;
    let from = if names.len() > 1 { c.facts.node(names[0])? } else { c.focus()? };
    let own = c.facts.edge(from, to).map(|edge| (from, edge));
    let mut callers = c.facts.into(to);
    callers.retain(|(_, e)| !matches!(e.kind, "entry" | "messaging"));
    callers.sort_by(|a, b| b.1.sums.calls.total_cmp(&a.1.sums.calls).then(a.0.cmp(b.0)));
    own.or(callers.into_iter().next())
}

fn share_of_time(c: &Claim<'_>, callee: &str) -> Option<Value> {
    Some(Value::Exactly(c.facts.time_share(c.focus()?, callee)?.min(1.0)))
}

fn own_time(c: &Claim<'_>) -> Option<Vec<Value>> {
    Some(vec![Value::Exactly(c.facts.own_time(c.focus()?))])
}

/// A trace and how long the page's node took in it; of several times it was called, one.
fn trace(c: &Claim<'_>, holds: fn(&Claim<'_>, &crate::claims::times::Times) -> Option<bool>) -> Option<Vec<Value>> {
    let focus = c.focus()?;
    let failed = c.text().starts_with("Failed");
    let mut times = crate::claims::times::Times::default();
    let spans = c.facts.trace(c.x(0)).iter().filter(|s| s.service == focus && s.is_called());
    let mut all = Vec::new();
    for span in spans.filter(|s| s.failed() == failed || c.text().starts_with("Slowest")) {
        times.add(span.duration(), 1.0);
        all.extend(span.duration().map(|d| d as f64 / 1e9));
    }
    times.sorted();
    let slowest = c.text().starts_with("Slowest").then(|| vec![Value::Exactly(times.max())]);
    (!all.is_empty() && holds(c, &times)?).then(|| slowest.unwrap_or_else(|| vec![Value::OneOf(all)]))
}
