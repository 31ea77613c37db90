//! Findings, what was lost, and what a page does not know.

use crate::claims::claim::{Claim, count, said};
use crate::claims::facts::{Edge, Sums};
use crate::claims::numbers::Value;
use crate::claims::origins::{self, How};
use crate::claims::paths::Doing;
use crate::claims::pattern::{Pattern, cell, says};

use super::apart::Split;

const FINDINGS: &[&str] = &["Findings"];

pub fn patterns() -> Vec<Pattern> {
    let mut all = findings();
    all.extend(unknowns());
    all
}

fn findings() -> Vec<Pattern> {
    let mut all = vec![
        cell(FINDINGS, "What", "calls from {x} to {x} spend {td} ({t%} of their time) between the two, n = {q}", |c| {
            let edge = between(c)?;
            Some(vec![Value::Exactly(edge.gap.mean()), Value::Exactly(edge.gap_share()), n(edge.gap.n())])
        }),
        cell(FINDINGS, "What", "{x} waits for {x} {t%} of its time ({td} a call, n = {q})", |c| {
            let edge = between(c)?;
            let share = edge.client.sum() / c.of(c.node_id(0)?)?.handled.times.sum();
            Some(vec![Value::Exactly(share.min(1.0)), Value::Exactly(edge.client.mean()), n(edge.client.n())])
        }),
        cell(
            FINDINGS,
            "What",
            "without {x} other services cannot reach each other; {t%} of the requests from outside touch it< ; |; ><{q} instance seen|{q} instances seen>",
            |c| {
                let node = c.of(c.node_id(0)?)?;
                let key = ["service.instance.id", "k8s.pod.name", "host.name"];
                let instances = key.iter().find_map(|key| node.attributes.get(*key))?.len();
                Some(vec![Value::Exactly(node.touched / c.facts.coverage.entries), n(instances as u64)])
            },
        ),
        cell(
            FINDINGS,
            "What",
            "{x} of {x} fails {t%} of the time (n = {q}); <the calls it makes do not account for it|calls it makes account for {t%} of the service's failures>",
            |c| {
                let node = c.of(c.node_id(1)?)?;
                let (_, own) = node.operations.iter().find(|((_, name), _)| name == c.x(0))?;
                let below: f64 = c
                    .facts
                    .edges
                    .iter()
                    .filter(|((s, _), _)| Some(s.as_str()) == c.node_id(1))
                    .map(|(_, e)| e.sums.errors)
                    .sum();
                let share = (below / node.handled.errors).min(1.0);
                let mut out = vec![Value::Exactly(own.error_ratio()), n(own.n)];
                out.extend((share >= 0.5).then_some(Value::Exactly(share)));
                Some(out)
            },
        ),
        cell(
            FINDINGS,
            "What",
            "calls from {x} to {x} fail {t%} of the time (n = {q}); <the called side does not see these failures|it sends no spans of its own>",
            |c| {
                let sums = &between(c)?.sums;
                Some(vec![Value::Exactly(sums.error_ratio()), n(sums.n)])
            },
        ),
        cell(
            FINDINGS,
            "What",
            "{x} stops waiting for {x} before it has finished: waits {td} on average ({td} at p95), works {td} ({td}), n = {q}",
            |c| {
                let edge = between(c)?;
                let (waits, works) = (&edge.client, &edge.server);
                let p95 = |times: &crate::claims::times::Times| times.quantile("95");
                Some(vec![
                    Value::Exactly(waits.mean()),
                    p95(waits)?,
                    Value::Exactly(works.mean()),
                    p95(works)?,
                    n(waits.n().min(works.n())),
                ])
            },
        ),
    ];
    all.push(cell(
        FINDINGS,
        "What",
        "the slowest {q} of {q} requests to {x} of {x} take {td} longer than normal ones; {t%} of that is <work of {x} itself|the way to {x}, not its work|calls from {x} to {x}|calls of {x} that nobody answers with a span><, mostly in {x}|>",
        holder,
    ));
    all.push(cell(
        FINDINGS,
        "What",
        "{t%} of the failures that reach a request from outside begin at {x} of {x} (n = {q}): <it fails by itself|its call to {x} fails, and no span answers it|its call to {x} fails although it is answered without a failure|it is still at work when {x} of {x} gives up>",
        |c| {
            let (_, sums) = begun(c)?;
            let all: f64 = c.facts.origins.values().map(|s| s.reached).sum();
            Some(vec![Value::Exactly(sums.reached / all), n(sums.n)])
        },
    ));
    all.push(cell(FINDINGS, "n", "{c}", found));
    all
}

/// The origin a finding names.
fn begun<'a>(c: &Claim<'a>) -> Option<(&'a origins::Key, &'a origins::Sums)> {
    let what = &c.place.row[2];
    let names: Vec<&str> = what.split('`').skip(1).step_by(2).collect();
    let how = match what {
        w if w.contains("by itself") => How::Failed,
        w if w.contains("no span answers") => How::Unanswered,
        w if w.contains("still at work") => How::TimedOut,
        _ => How::Rejected,
    };
    let service = c.facts.node(names.get(1)?)?;
    let fits =
        |(operation, key_how, _): &origins::Key| *key_how == how && operation.0 == service && operation.1 == names[0];
    c.facts.origins.iter().find(|(key, _)| fits(key))
}

/// `the slowest 29 of 200 requests to …`: one part holds most of what they take longer.
fn holder(c: &Claim<'_>) -> Option<Vec<Value>> {
    let (operation, service) = (c.x(0), c.node_id(1)?);
    let entry = c.facts.entries.iter().find(|e| e.name.0 == service && e.name.2 == operation)?;
    let longer = |time: (f64, f64)| time.0 - time.1;
    let doing = match c.text() {
        t if t.contains("is work of") => Doing::Work,
        t if t.contains("the way to") => Doing::Between,
        _ => Doing::Call,
    };
    let holds = c.node_id(2)?;
    let target = if c.text().contains("calls from") { Some(c.node_id(3)?.to_owned()) } else { None };
    let of_part = entry.parts.iter().filter(|((part, _), _)| {
        part.doing == doing && part.service == holds && (doing != Doing::Call || part.target == target)
    });
    let share = of_part.map(|(_, time)| longer(*time)).sum::<f64>() / longer(entry.time);
    let whole = |x: f64| said(format!("{x:.0}"));
    let each = Value::Exactly(longer(entry.time) / entry.slow);
    Some(vec![whole(entry.slow), whole(entry.calls), each, Value::Exactly(share.min(1.0))])
}

/// Of how many spans or calls a finding is: of the edge between the two nodes it names, else of the node or operation.
fn found(c: &Claim<'_>) -> Option<Vec<Value>> {
    let names: Vec<&str> = c.place.row[2].split('`').skip(1).step_by(2).collect();
    let node = |i: usize| c.facts.node(names.get(i)?);
    match c.row(1) {
        "error-origin" => return Some(vec![count(begun(c)?.1.n)]),
        "instance-apart" => {
            let key = c.place.row[2].split(" with ").nth(1)?.split(' ').next()?;
            return Some(vec![count(Split::new(c, node(0)?, key, names[1])?.n[0])]);
        }
        "tail-holder" => {
            let entry = c.facts.entries.iter().find(|e| Some(e.name.0.as_str()) == node(1) && e.name.2 == names[0])?;
            return Some(vec![count(entry.calls as u64)]);
        }
        _ => {}
    }
    if let Some(edge) = node(0).zip(node(1)).and_then(|(a, b)| c.facts.edge(a, b)) {
        return Some(vec![count(edge.sums.n)]);
    }
    let operation = || -> Option<&Sums> {
        let operations = &c.of(node(1)?)?.operations;
        operations.iter().find(|((_, name), _)| name == names[0]).map(|(_, o)| o)
    };
    Some(vec![count(operation().or(node(0).and_then(|id| Some(&c.of(id)?.handled)))?.n)])
}

fn between<'a>(c: &Claim<'a>) -> Option<&'a Edge> {
    c.facts.edge(c.node_id(0)?, c.node_id(1)?)
}

fn n(n: u64) -> Value {
    said(n)
}

fn unknowns() -> Vec<Pattern> {
    vec![
        says("{c} spans have a parent that was not received ({%} of the spans)", |c| lost(c, c.facts.coverage.orphans)),
        says("{c} spans contradict the clock of another host ({%} of the spans)", |c| lost(c, c.facts.coverage.skewed)),
        says("{c} links point outside these spans ({%} of the spans)", |c| lost(c, c.facts.coverage.lost_links)),
        says("The window is only {d} long", |c| Some(vec![Value::Exactly(c.facts.seconds())])),
        says(
            "p99 figures rest on few spans (n {c}): <so few give no upper end, their intervals end with the largest value seen|read the intervals, not the values>.",
            few,
        ),
        cell(&["What was lost or odd in these spans"], "n", "{c}", |c| {
            let coverage = &c.facts.coverage;
            Some(vec![count(match c.row(0) {
                "traces without a root span" => coverage.rootless,
                "spans whose parent is missing" => coverage.orphans,
                "duplicate spans removed" => coverage.duplicates,
                "spans with clocks that disagree" => coverage.skewed,
                "links whose other end is missing" => coverage.lost_links,
                _ => return None,
            })])
        }),
    ]
}

fn lost(c: &Claim<'_>, n: u64) -> Option<Vec<Value>> {
    Some(vec![count(n), Value::Exactly(n as f64 / c.facts.spans.len() as f64)])
}

/// How many durations a p99 rests on; of less than 368 all may lie below it (docs/slo.md). A scenario has one line a node.
fn few(c: &Claim<'_>) -> Option<Vec<Value>> {
    let scenarios = c.facts.config.json["scenarios"].as_array();
    let own = scenarios.into_iter().flatten().find(|s| c.page.key.strip_prefix("scenario:") == s["name"].as_str());
    let nodes = own.map_or(vec![c.focus()?], |own| {
        own["nodes"].as_array().into_iter().flatten().filter_map(|n| c.facts.node(n.as_str()?)).collect()
    });
    let all = nodes.iter().map(|id| c.facts.nodes[*id].handled.times.n());
    let unbounded = c.text().contains("no upper end");
    Some(vec![Value::OneOf(all.filter(|n| (*n < 368) == unbounded).map(|n| n as f64).collect())])
}
