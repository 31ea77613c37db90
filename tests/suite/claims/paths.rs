//! The critical path of a request, and what it is made of, written once more by its definition: from the end backwards, the
//! child that ended last held the request, before it started the child that ended last before that, and where no child was
//! awaited the span itself did.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::Forest;
use super::peers;
use super::spans::{Kind, Span};

/// What a moment of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doing {
    /// A service at work.
    Work,
    /// Between a calling span and the service that answers.
    Between,
    /// A call that nobody answers with a span.
    Call,
}

/// A part of requests: operations apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    pub doing: Doing,
    pub service: String,
    /// What a call goes to.
    pub target: Option<String>,
}

/// One request from outside.
pub struct Request {
    /// The operation it enters by: service, kind, name.
    pub entry: (String, Kind, String),
    pub nanos: u64,
    pub weight: f64,
    /// Seconds on its critical path by part and operation.
    pub parts: BTreeMap<(Part, String), f64>,
    /// Nodes it touches anywhere.
    pub nodes: BTreeSet<String>,
}

/// Whether a span waits for its child: who sends a message does not, but for a loop that polls.
pub fn waits(parent: &Span, child: &Span) -> bool {
    child.kind != Kind::Consumer || (parent.service == child.service && !parent.calls())
}

/// Sections of the critical path below a span: whose, and how many nanoseconds.
pub fn critical<'a>(forest: &Forest<'a>, root: &'a Span) -> Vec<(&'a Span, u64)> {
    let mut out = Vec::new();
    if let Some(duration) = root.duration() {
        let from = i128::from(root.start);
        walk(forest, root, (from, from + i128::from(duration)), 0, &mut out);
    }
    out
}

/// `shift` is how far the clock of the span, and of all below it, is moved.
fn walk<'a>(
    forest: &Forest<'a>,
    span: &'a Span,
    (from, to): (i128, i128),
    shift: i128,
    out: &mut Vec<(&'a Span, u64)>,
) {
    let mut awaited = Vec::new();
    for child in forest.children(span).into_iter().filter(|c| waits(span, c)) {
        let Some(duration) = child.duration() else { continue };
        let start = i128::from(child.start) + shift;
        let end = start + i128::from(duration);
        // A called span that fits into its calling one but lies partly outside: clocks differ. Not where the call failed.
        let pair = span.calls() && child.is_called() && span.service != child.service;
        let moved = match pair && !span.failed() && end - start <= to - from {
            true if start < from => from - start,
            true if end > to => to - end,
            _ => 0,
        };
        let (start, end) = ((start + moved).max(from), (end + moved).min(to));
        if start < end {
            awaited.push((end, start, child, shift + moved));
        }
    }
    awaited.sort_by_key(|(end, start, child, _)| std::cmp::Reverse((*end, *start, child.id.clone())));
    let mut told = to;
    for (end, start, child, shift) in awaited {
        // Who ends later ran beside what is told already.
        if end > told {
            continue;
        }
        out.push((span, u64::try_from(told - end).unwrap()));
        walk(forest, child, (start, end), shift, out);
        told = start;
    }
    out.push((span, u64::try_from(told - from).unwrap()));
}

/// The part a span's own time belongs to, and the operation.
fn part(forest: &Forest<'_>, span: &Span) -> (Part, String) {
    let below = forest.children(span);
    let answer = below.iter().filter(|c| c.is_called()).min_by_key(|c| (c.start, c.end, c.id.clone()));
    let part = |doing, service: &str, target| Part { doing, service: service.to_owned(), target };
    // Who sends a message waits for the topic, not for whoever receives it.
    let unanswered = span.kind == Kind::Producer || (span.kind == Kind::Client && below.is_empty());
    match answer.filter(|callee| span.kind == Kind::Client && callee.service != span.service) {
        Some(callee) => (part(Doing::Between, &callee.service, None), callee.name.clone()),
        None if unanswered => {
            let target = peers::named(span).map(|(id, _)| id);
            (part(Doing::Call, &span.service, target), span.name.clone())
        }
        None => (part(Doing::Work, &span.service, None), span.name.clone()),
    }
}

/// Every request from outside. `nodes` are those that each trace touches.
pub fn requests(forest: &Forest<'_>, nodes: &BTreeMap<String, BTreeSet<String>>) -> Vec<Request> {
    let roots = forest.spans.iter().filter(|s| s.is_called() && s.parent.is_empty() && s.duration().is_some());
    let request = |root: &Span| {
        let mut parts: BTreeMap<(Part, String), f64> = BTreeMap::new();
        for (span, nanos) in critical(forest, forest.find(&root.trace, &root.id).unwrap()) {
            if nanos > 0 {
                *parts.entry(part(forest, span)).or_default() += nanos as f64 / 1e9;
            }
        }
        Request {
            entry: (root.service.clone(), root.kind, root.name.clone()),
            nanos: root.duration().unwrap(),
            weight: root.weight,
            parts,
            nodes: nodes[&root.trace].clone(),
        }
    };
    roots.map(request).collect()
}

/// The latency band of a request: four to a power of two.
pub fn band(nanos: u64) -> u64 {
    let octave = u64::from(nanos.max(4).ilog2());
    octave * 4 + ((nanos.max(4) >> (octave - 2)) & 3)
}
