//! Impact assessment: who calls, how often, and which requests from outside get here.

use crate::claims::claim::{Claim, count};
use crate::claims::numbers::Value;
use crate::claims::pattern::{Pattern, listed, says};

/// Nodes named one by one.
const NAMED: usize = 5;

/// Calls a second of the window.
pub fn rate(c: &Claim<'_>, calls: f64) -> Value {
    Value::Exactly(c.facts.rate(calls))
}

pub fn patterns() -> Vec<Pattern> {
    vec![
        says("Requests enter the system here: {r}, {%} of all that enters;", |c| enters(c, c.focus()?)),
        says("Requests that enter at {x}: {r}, {%} of all that enters;", |c| enters(c, c.node_id(0)?)),
        says("Requests that enter at {x}< and {c} more places|> and need it: {%} of all that enters.", |c| {
            let focus = c.focus()?;
            let waiting: Vec<f64> = entries(c).filter(|(at, _)| waits(c, at, focus)).map(|(_, calls)| calls).collect();
            let entering = waiting.iter().sum::<f64>() / c.facts.entering();
            let exact = c.of(focus)?.touched / c.facts.coverage.entries;
            let mut out: Vec<Value> =
                (waiting.len() > 1).then(|| count(waiting.len() as u64 - 1)).into_iter().collect();
            out.push(Value::Exactly(exact.min(entering)));
            Some(out)
        }),
        says("{x} calls it {r}, in {%} of the requests it handles:", |c| {
            let (calls, share) = share(c)?;
            Some(vec![rate(c, calls), Value::Exactly(share.min(1.0))])
        }),
        says("{x} calls it {r}, {c} times for each request it handles:", |c| {
            let (calls, share) = share(c)?;
            Some(vec![rate(c, calls), Value::Exactly((share * 10.0).round() / 10.0)])
        }),
        says("{x} <hands messages to|publishes to> it ({r})", |c| {
            Some(vec![rate(c, c.facts.edge(c.node_id(0)?, c.focus()?)?.sums.calls)])
        }),
        says("{x} takes its messages ({r})", |c| {
            Some(vec![rate(c, c.facts.edge(c.focus()?, c.node_id(0)?)?.sums.calls)])
        }),
        listed("Further up, through these callers: ", "{x} ({c} calls away)", |c| {
            Some(vec![count(*c.facts.callers_by_depth(c.focus()?).get(c.node_id(0)?)?)])
        }),
        listed("Behind it, less traffic is an effect and not the cause: ", " and {c} more", |c| {
            Some(vec![count((c.facts.out_of(c.focus()?).len() - NAMED) as u64)])
        }),
    ]
}

/// Services at which requests enter, with how many.
fn entries<'a>(c: &Claim<'a>) -> impl Iterator<Item = (&'a str, f64)> {
    let edges = c.facts.edges.iter().filter(|(_, e)| e.kind == "entry");
    edges.map(|((_, service), e)| (service.as_str(), e.sums.calls))
}

fn enters(c: &Claim<'_>, at: &str) -> Option<Vec<Value>> {
    let (_, calls) = entries(c).find(|(service, _)| *service == at)?;
    Some(vec![rate(c, calls), Value::Exactly(calls / c.facts.entering())])
}

/// Whether a request that enters there waits for a node: there is a way to it that is not by a topic.
fn waits(c: &Claim<'_>, entry: &str, node: &str) -> bool {
    let mut seen = vec![entry];
    let mut at = 0;
    while let Some(id) = seen.get(at).copied() {
        at += 1;
        let next = c.facts.edges.iter().filter(|((source, _), e)| source == id && e.kind != "messaging");
        for ((_, target), _) in next {
            if !seen.contains(&target.as_str()) {
                seen.push(target);
            }
        }
    }
    seen.contains(&node)
}

/// Calls of a caller to the node, and for which share of its own requests.
fn share(c: &Claim<'_>) -> Option<(f64, f64)> {
    let caller = c.node_id(0)?;
    let calls = c.facts.edge(caller, c.focus()?)?.sums.calls;
    Some((calls, calls / c.facts.own_calls(caller)))
}
