//! Where failures begin.

use crate::claims::claim::{Claim, count, p50_p99};
use crate::claims::numbers::{Kind, Value};
use crate::claims::origins::{How, Key, Sums, at};
use crate::claims::pattern::{Pattern, cell, listed, says};
use crate::claims::tails::below;

use super::impact::rate;

const TABLE: &[&str] = &["Where failures begin"];

/// What a beginning is called.
macro_rules! beginning {
    () => {
        "<the calls to {x}|the calls from {x} to {x}|how it takes the answers of {x}|how {x} takes the answers of {x}|{x} of the service itself|{x} of {x}>"
    };
}
/// What a share is a share of.
macro_rules! of_what {
    () => {
        " <of the failures here are time-outs while it was still at work|of the failures here begin there|of its failures begin there>"
    };
}

pub fn patterns() -> Vec<Pattern> {
    vec![
        says(concat!("Look first at ", beginning!(), ": {%}", of_what!()), |c| share(c, c.text())),
        says(concat!("Check ", beginning!(), ": {%}", of_what!()), |c| share(c, c.text())),
        says(
            "n {c}<; {x} of {x} gave up first, while this was the deepest work still going on|><; they fail with {x} ({%})<, {x} ({%})|><, {x} ({%})|>|>; {%} of those that begin there let a request from outside fail.",
            |c| {
                let (_, sums) = meant(c, &c.place.step)?;
                let mut out = vec![count(sums.n)];
                for name in c.holes.iter().filter(|h| h.kind == Kind::Name).map(|h| h.text.trim_matches('`')) {
                    out.extend(sums.classes.get(name).map(|w| Value::Exactly(w / sums.calls)));
                }
                out.push(Value::Exactly(sums.reached / sums.calls));
                Some(out)
            },
        ),
        says("No more than {r}, as in the window.", |c| Some(vec![rate(c, meant(c, &c.place.step)?.1.calls)])),
        says("As in the window or faster: p50 {d}, p99 {d} (n {c}).", |c| {
            let (((service, name), _, _), _) = meant(c, &c.place.step)?;
            let took =
                c.of(service)?.operations.iter().filter(|((_, n), _)| n == name).map(|(_, s)| s).max_by_key(|s| s.n)?;
            let mut out: Vec<Value> = p50_p99(&took.times)?.into();
            out.push(count(took.n));
            Some(out)
        }),
        says("that it does not see itself: {c} failures", |c| {
            Some(vec![Value::Exactly(unseen(c)?.iter().map(|(_, sums)| sums.calls).sum())])
        }),
        says("{c} (n {c}): {x} of {x} gave up while {x} of {x} was still at work.", |c| {
            let of = |service: &str| c.facts.node(service).map(str::to_owned);
            let work = (of(c.x(3))?, c.x(2).to_owned());
            let (_, sums) = unseen(c)?.into_iter().find(|((operation, _, _), _)| *operation == work)?;
            let gave_up = most(&sums.gave_up)?;
            let right = *gave_up == (of(c.x(1))?, c.x(0).to_owned());
            right.then(|| vec![Value::Exactly(sums.calls), count(sums.n)])
        }),
        says("Keep an eye on {c} failures that were coped with", |c| {
            Some(vec![Value::Exactly(coped(c)?.iter().map(|(_, w)| w).sum())])
        }),
        listed("Tried again, replaced or swallowed: ", "{c} of {x} of {x}< to {x}|>, by {x} of {x}", |c| {
            let of = |service: &str| c.facts.node(service).map(str::to_owned);
            let begins = (of(c.x(1))?, c.x(0).to_owned());
            let to = c.text().contains("` to `").then(|| of(c.x(2)));
            let found = coped(c)?.into_iter().filter(|((operation, _, target), _)| {
                *operation == begins && to.as_ref().is_none_or(|to| to == target)
            });
            Some(vec![Value::OneOf(found.map(|(_, w)| w).collect())])
        }),
        cell(TABLE, "n", "{c}", |c| Some(vec![count(meant(c, &c.place.row[0])?.1.n)])),
        cell(TABLE, "Share of failures here", "{%}", |c| share(c, &c.place.row[0])),
        cell(TABLE, "Of which let a request from outside fail", "{%}", |c| {
            let (_, sums) = meant(c, &c.place.row[0])?;
            Some(vec![Value::Exactly(sums.reached / sums.calls)])
        }),
    ]
}

/// The origin a text speaks of: one that makes requests of the page's node fail. The table says how it fails beside.
pub fn meant<'a>(c: &Claim<'a>, text: &str) -> Option<(&'a Key, &'a Sums)> {
    let focus = c.focus()?;
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
    let node = |i: usize| c.facts.node(names.get(i)?).map(str::to_owned);
    let last = || node(names.len().checked_sub(1)?);
    let answers = text.contains(" the answers of ");
    let calls = text.contains("the calls ");
    let service = match names.len() {
        1 => focus.to_owned(),
        _ if calls || answers => node(0)?,
        _ => node(1)?,
    };
    let timed_out = text.contains("are time-outs") || c.place.row.get(1).is_some_and(|how| how.starts_with("too slow"));
    let how = match (calls, answers) {
        (true, _) => How::Unanswered,
        (_, true) => How::Rejected,
        _ if timed_out => How::TimedOut,
        _ => How::Failed,
    };
    let target = if calls || answers { Some(last()?) } else { None };
    let fits = |((key_service, name), key_how, key_target): &Key| {
        let operation = calls || answers || Some(name.as_str()) == names.first().copied();
        *key_service == service && operation && *key_how == how && (target.is_none() || *key_target == target)
    };
    let found: Vec<_> =
        c.facts.origins.iter().filter(|(key, sums)| fits(key) && at(c.facts, focus, key, sums) > 0.0).collect();
    // Calls of two operations to one dependency are two origins: the number of the row or of the step tells which.
    found
        .iter()
        .copied()
        .find(|(_, sums)| c.place.row.get(2).is_some_and(|n| *n == sums.n.to_string()))
        .or(found.first().copied())
}

fn share(c: &Claim<'_>, text: &str) -> Option<Vec<Value>> {
    let (key, sums) = meant(c, text)?;
    Some(vec![Value::Exactly((at(c.facts, c.focus()?, key, sums) / c.handled()?.errors).min(1.0))])
}

fn most(
    steps: &std::collections::BTreeMap<crate::claims::origins::Operation, f64>,
) -> Option<&crate::claims::origins::Operation> {
    steps.iter().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0))).map(|(operation, _)| operation)
}

/// What others fail because of the node, or of what is below it, that it does not see.
fn unseen<'a>(c: &Claim<'a>) -> Option<Vec<(&'a Key, &'a Sums)>> {
    let focus = c.focus()?;
    let below = below(c.facts, focus);
    let concerns = |((service, _), how, target): &Key| match how {
        How::TimedOut => below.contains_key(service),
        How::Unanswered => !below.contains_key(service) && target.as_deref() == Some(focus),
        _ => false,
    };
    let hurts = |sums: &Sums| !sums.climbed.is_empty() || sums.reached > 0.0;
    let all = c.facts.origins.iter();
    Some(all.filter(|(key, sums)| concerns(key) && hurts(sums) && at(c.facts, focus, key, sums) == 0.0).collect())
}

/// What the node copes with, and what others cope with of it: by origin how many, by whoever copes most.
fn coped<'a>(c: &Claim<'a>) -> Option<Vec<(&'a Key, f64)>> {
    let focus = c.focus()?;
    let by = |(key, sums): (&'a Key, &'a Sums)| {
        let mine = sums.coped.iter().filter(|((service, _), _)| service == focus || key.0.0 == focus);
        mine.max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(a.0))).map(|(_, w)| (key, *w))
    };
    Some(c.facts.origins.iter().filter_map(by).collect())
}
