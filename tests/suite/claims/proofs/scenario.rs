//! Scenarios: what the traces add to what the team declared.

use crate::claims::claim::count;
use crate::claims::config::Sli;
use crate::claims::numbers::Value;
use crate::claims::objectives::Status;
use crate::claims::pattern::{Pattern, listed, says};

use super::impact::rate;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says("About {r}, errors below {%}.", |c| {
            let node = c.titled()?;
            let all = Status::ranked(c.facts, &[node], |sli| *sli == Sli::ErrorRate);
            let least = all.iter().map(|s| s.objective.value).min_by(f64::total_cmp)?;
            Some(vec![rate(c, c.of(node)?.handled.calls), Value::Exactly(least)])
        }),
        says("About {r}, errors not above the {%} of the window.", |c| {
            let handled = &c.of(c.titled()?)?.handled;
            Some(vec![rate(c, handled.calls), Value::Exactly(handled.error_ratio())])
        }),
        listed("In the window: ", "{x} {%}", |c| {
            let regions = c.of(c.titled()?)?.attributes.get("cloud.region")?;
            let all: u64 = regions.values().sum();
            Some(vec![Value::Exactly(*regions.get(c.x(0))? as f64 / all as f64)])
        })
        .in_step("See which regions serve "),
        listed("It is used by ", "{x} ({r})", |c| {
            Some(vec![rate(c, c.facts.edge(c.node_id(0)?, c.titled()?)?.sums.calls)])
        }),
        says("p99 {d} as in the window (n {c}).", |c| {
            let into = c.facts.into(c.titled()?);
            let (_, edge) = into.into_iter().max_by(|a, b| largest(a).total_cmp(&largest(b)).then(b.0.cmp(a.0)))?;
            Some(vec![edge.latency().quantile("99")?, count(edge.sums.n)])
        }),
    ]
}

fn largest(edge: &(&str, &crate::claims::facts::Edge)) -> f64 {
    edge.1.sums.calls
}
