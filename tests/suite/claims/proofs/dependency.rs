//! A dependency as its callers see it.

use crate::claims::claim::{Claim, count, p50_p99};
use crate::claims::numbers::Value;
use crate::claims::objectives::strictest;
use crate::claims::pattern::{Pattern, listed, says};
use crate::claims::times::{Z, wilson};

use super::errors::class;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says(
            "{%} of the calls to {x} (n {c}<, 95 % interval {%} to {%}|: only few were seen>) failed in this window",
            |c| {
                let called = c.facts.called(c.node_id(0)?);
                let mut out = vec![Value::Exactly(called.error_ratio()), count(called.n)];
                if called.n >= 20 {
                    out.extend(wilson(called.error_ratio(), called.n as f64, Z).map(Value::Exactly));
                }
                Some(out)
            },
        ),
        says("No call to {x} failed in this window (n {c})", |c| {
            let called = c.facts.called(c.node_id(0)?);
            (called.errors == 0.0).then(|| vec![count(called.n)])
        }),
        says("the strictest of its callers, {x}, may fail {%}", |c| {
            let (limit, callers) = strictest(c)?;
            callers.contains(&c.node_id(0)?).then(|| vec![Value::Exactly(limit)])
        }),
        says("; the strictest of its callers may fail {%}.", limit),
        says(", less than the {%} its strictest caller may fail.", limit),
        says("Look first at whether all callers are hit: {%} of the failed calls are from {x}.", |c| {
            let edge = c.facts.edge(c.node_id(0)?, c.focus()?)?;
            Some(vec![Value::Exactly(edge.sums.errors / c.facts.called(c.focus()?).errors)])
        }),
        says("Look first at the way to it: of what it handles it fails only {%}, the other calls", |c| {
            Some(vec![Value::Exactly(c.handled()?.error_ratio())])
        }),
        says("In the window {%} of the calls failed.", |c| {
            Some(vec![Value::Exactly(c.facts.called(c.focus()?).error_ratio())])
        }),
        listed("In the window failed: ", "{x} {%}", |c| {
            Some(vec![Value::Exactly(c.facts.edge(c.node_id(0)?, c.focus()?)?.sums.error_ratio())])
        }),
        says("Below {%} for< every caller, for|> 15 minutes.", limit),
        says("In the window: p50 {d}, p99 {d}.", |c| Some(p50_p99(&c.handled()?.times)?.into()))
            .in_step("See whether it became slow before it failed"),
        listed("In the window: ", "{x} {%}", |c| Some(vec![class(&c.facts.called(c.focus()?), c.x(0))?]))
            .in_step("Read how the calls fail"),
        listed("Most time goes into ", "{x} (mean {d}, n {c})", busiest),
        listed("Of its largest caller, most time goes into ", "{x} (mean {d}, n {c})", busiest),
    ]
}

fn limit(c: &Claim<'_>) -> Option<Vec<Value>> {
    Some(vec![Value::Exactly(strictest(c)?.0)])
}

/// What the caller with most calls asks for.
fn busiest(c: &Claim<'_>) -> Option<Vec<Value>> {
    let into = c.facts.into(c.focus()?);
    let (_, largest) = into.into_iter().max_by(|a, b| a.1.sums.calls.total_cmp(&b.1.sums.calls).then(b.0.cmp(a.0)))?;
    let times = largest.by_name.get(c.x(0))?;
    Some(vec![Value::Exactly(times.mean()), count(times.n())])
}
