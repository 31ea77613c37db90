//! A failing service: how, where and for whom.

use crate::claims::claim::{Claim, count};
use crate::claims::facts::Sums;
use crate::claims::numbers::Value;
use crate::claims::objectives;
use crate::claims::pattern::{Pattern, listed, says};
use crate::claims::spans::Kind;

use super::impact::rate;
use super::origins;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says("Far fewer than the {r} of the window", |c| {
            let begun = || Some(origins::meant(c, &c.place.step)?.1.calls);
            Some(vec![rate(c, if c.place.step.starts_with("Confirm") { meant(c)?.errors } else { begun()? })])
        }),
        says("About {r}, as in the window< (n {c})|>.", |c| {
            let sums = meant(c)?;
            let n = c.text().contains("(n ").then(|| count(sums.n));
            Some([rate(c, sums.errors)].into_iter().chain(n).collect())
        }),
        listed("In the window: ", "{x} {%}", |c| Some(vec![class(c.handled()?, c.x(0))?])).in_step("See how it fails"),
        listed("Most errors are in ", "{x} {%} of them ({%} of its requests, n {c})", |c| {
            let operations = &c.of(c.focus()?)?.operations;
            let handles = |kind: Kind| matches!(kind, Kind::Server | Kind::Consumer);
            let (_, own) = operations.iter().find(|((kind, name), _)| handles(*kind) && name == c.x(0))?;
            let share = own.errors / c.handled()?.errors;
            Some(vec![Value::Exactly(share), Value::Exactly(own.error_ratio()), count(own.n)])
        }),
        listed("Failed calls by caller: ", "{x} {%}", |c| {
            Some(vec![Value::Exactly(c.facts.edge(c.node_id(0)?, c.focus()?)?.sums.error_ratio())])
        }),
        says("<Never|Not> <at or above|above|at or below|below> {v}< for 15 minutes|>.", |c| {
            let main = objectives::of_page(c).into_iter().next()?.objective;
            c.text().contains(main.bad_side()).then(|| vec![Value::Exactly(main.value)])
        }),
    ]
}

/// The share of a class among what failed.
pub fn class(sums: &Sums, name: &str) -> Option<Value> {
    Some(Value::Exactly(sums.classes.get(name)? / sums.errors))
}

/// Whose failures a step speaks of: the node's, those of a call of it, or those of a call to it.
fn meant<'a>(c: &Claim<'a>) -> Option<&'a Sums> {
    let titled = c.titled()?;
    if c.place.step.contains("Check the ") {
        Some(&c.call()?.sums)
    } else if c.place.step.contains("Confirm that calls from ") {
        Some(&c.facts.edge(titled, c.focus()?)?.sums)
    } else {
        Some(&c.of(titled)?.handled)
    }
}
