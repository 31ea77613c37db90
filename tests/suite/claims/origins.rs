//! Where failures begin, written once more by the rules src/topology/evidence/origins.rs states.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::Forest;
use super::facts::Facts;
use super::paths::waits;
use super::peers;
use super::spans::{Kind, Span};

/// Service and name of an operation.
pub type Operation = (String, String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// By itself.
    Failed,
    /// Somebody gave up while it was at work.
    TimedOut,
    /// Answered without a failure, and not accepted.
    Rejected,
    /// Nobody answered with a span.
    Unanswered,
}

/// Failures that begin at one operation.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    pub n: u64,
    pub calls: f64,
    /// Of which let a request from outside fail.
    pub reached: f64,
    pub classes: BTreeMap<String, f64>,
    pub climbed: BTreeMap<Operation, f64>,
    pub coped: BTreeMap<Operation, f64>,
    pub gave_up: BTreeMap<Operation, f64>,
    /// Traces they are in.
    pub traces: BTreeSet<String>,
}

/// Operation, how, and what a call went to.
pub type Key = (Operation, How, Option<String>);

fn operation(span: &Span) -> Operation {
    (span.service.clone(), span.name.clone())
}

/// All of them.
pub fn origins(forest: &Forest<'_>) -> BTreeMap<Key, Sums> {
    let mut all = BTreeMap::new();
    // What was still at work when somebody gave up, and the calls that were given up.
    let mut given_up: BTreeMap<(&str, &str), Vec<&Span>> = BTreeMap::new();
    for span in forest.spans.iter().filter(|s| s.failed() && !is_explained(forest, s)) {
        let answer = answer(forest, span).filter(|_| span.calls());
        match answer {
            Some(callee) if outlives(callee, span) => {
                let work = deepest_at_work(forest, callee, span.end);
                given_up.entry((&work.trace, &work.id)).or_default().push(span);
            }
            Some(callee) => note(forest, &mut all, (How::Rejected, Some(callee.service.clone())), span, span, None),
            None if span.calls() => {
                let target = peers::named(span).map(|(id, _)| id);
                note(forest, &mut all, (How::Unanswered, target), span, span, None);
            }
            None => note(forest, &mut all, (How::Failed, None), span, span, None),
        }
    }
    for ((trace, id), calls) in given_up {
        let work = forest.find(trace, id).unwrap();
        // Of several that give up on the same work the first one.
        let call = calls.into_iter().min_by_key(|c| (c.end, c.start, c.id.clone())).unwrap();
        let target = peers::named(work).filter(|_| work.calls()).map(|(id, _)| id);
        note(forest, &mut all, (How::TimedOut, target), work, call, Some(caller(forest, call)));
    }
    all
}

fn note(
    forest: &Forest<'_>,
    all: &mut BTreeMap<Key, Sums>,
    (how, target): (How, Option<String>),
    begins: &Span,
    first: &Span,
    gave_up: Option<Operation>,
) {
    let sums = all.entry((operation(begins), how, target)).or_default();
    let weight = begins.weight;
    sums.n += 1;
    sums.calls += weight;
    sums.traces.insert(begins.trace.clone());
    let class = Some(first.class()).filter(|c| !c.is_empty()).unwrap_or("error without a type".into());
    *sums.classes.entry(class).or_default() += weight;
    let (climbed, reached, coped) = climb(forest, first);
    climbed.into_iter().for_each(|o| *sums.climbed.entry(o).or_default() += weight);
    coped.into_iter().for_each(|o| *sums.coped.entry(o).or_default() += weight);
    gave_up.into_iter().for_each(|o| *sums.gave_up.entry(o).or_default() += weight);
    sums.reached += if reached { weight } else { 0.0 };
}

fn by_start<'a>(forest: &Forest<'a>, span: &Span) -> Vec<&'a Span> {
    let mut children = forest.children(span);
    children.sort_by_key(|c| (c.start, c.end, c.id.clone()));
    children
}

fn answer<'a>(forest: &Forest<'a>, span: &Span) -> Option<&'a Span> {
    by_start(forest, span).into_iter().find(|c| c.is_called())
}

/// Went on after its caller had ended, and not only because clocks differ.
fn outlives(callee: &Span, caller: &Span) -> bool {
    callee.end > caller.end && callee.duration() > caller.duration()
}

/// A failed child it waited for that was not tried again with success.
fn is_explained(forest: &Forest<'_>, span: &Span) -> bool {
    let children = by_start(forest, span);
    let same =
        |a: &Span, b: &Span| operation(a) == operation(b) && a.kind == b.kind && peers::named(a) == peers::named(b);
    children.iter().enumerate().any(|(at, child)| {
        let again = |later: &&Span| !later.failed() && later.start >= child.end && same(later, child);
        child.failed()
            && waits(span, child)
            && !outlives(child, span)
            && !children[at + 1..].iter().copied().any(|l| again(&l))
    })
}

/// The deepest span below one, itself included, that was at work then.
fn deepest_at_work<'a>(forest: &Forest<'a>, span: &'a Span, instant: u64) -> &'a Span {
    let at_work = |c: &&Span| waits(span, c) && c.start <= instant && c.end > instant;
    match by_start(forest, span).into_iter().rev().find(at_work) {
        Some(child) => deepest_at_work(forest, child, instant),
        None => span,
    }
}

/// On whose behalf a call is made.
fn caller(forest: &Forest<'_>, call: &Span) -> Operation {
    match forest.parent(call).filter(|_| call.calls()) {
        Some(above) => caller(forest, above),
        None => operation(call),
    }
}

/// What failed with it further up, whether a request from outside did, and who coped.
fn climb(forest: &Forest<'_>, first: &Span) -> (BTreeSet<Operation>, bool, Option<Operation>) {
    let mut climbed = BTreeSet::new();
    let mut span = first;
    loop {
        let Some(above) = forest.parent(span).filter(|above| waits(above, span)) else {
            let enters = span.parent.is_empty() && span.kind == Kind::Server && span.failed();
            return (climbed, enters, None);
        };
        if above.failed() {
            climbed.insert(operation(above));
        } else if !above.calls() {
            return (climbed, false, Some(operation(above)));
        } else if !forest.parent(above).is_some_and(Span::failed) {
            // A calling span that shows nothing, and nothing shows further up.
            return (climbed, false, Some(caller(forest, above)));
        }
        span = above;
    }
}

/// How many requests of a node fail because of an origin: those that began there, else those it climbed through.
pub fn at(facts: &Facts, node: &str, key: &Key, sums: &Sums) -> f64 {
    let handles = |name: &str| {
        [Kind::Server, Kind::Consumer].iter().any(|k| facts.nodes[node].operations.contains_key(&(*k, name.to_owned())))
    };
    let ((service, name), how, _) = key;
    let climbed = sums.climbed.iter().filter(|((s, n), _)| s == node && handles(n)).map(|(_, w)| w).sum::<f64>();
    let began = service == node && *how == How::Failed && handles(name);
    if began { sums.calls } else { climbed.min(sums.calls) }
}
