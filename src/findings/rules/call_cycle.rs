//! `call-cycle`: services call each other in a circle.
//!
//! Why it matters: each waits for itself in the end: a full thread or connection pool in one blocks all, none can start or
//! be released without the others, and a retry goes round. Remedy: break the circle at the call that is needed least, or
//! make it a message. A warning when they wait for each other, a note when the circle is closed by messages only.

use std::collections::{BTreeMap, BTreeSet};

use super::{Rule, Severity, take};
use crate::findings::{Facts, Finding, words};
use crate::topology::{Edge, EdgeKind, NodeId, query};

pub(super) static RULE: Rule = Rule { code: "call-cycle", description: "services call each other in a circle", apply };

/// Members named in the message.
const NAMED: usize = 8;

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let cycles = query::Graph::new(facts.snapshot).cycles();
    let circle_of: BTreeMap<&NodeId, usize> =
        cycles.iter().enumerate().flat_map(|(i, members)| members.iter().map(move |id| (id, i))).collect();
    let mut within: BTreeMap<usize, Vec<&Edge>> = BTreeMap::new();
    for edge in facts.snapshot.edges.iter().filter(|e| e.source != e.target) {
        if let (Some(from), Some(to)) = (circle_of.get(&edge.source), circle_of.get(&edge.target))
            && from == to
        {
            within.entry(*from).or_default().push(edge);
        }
    }
    within.values().filter_map(|edges| finding(edges)).collect()
}

fn finding(edges: &[&Edge]) -> Option<Finding> {
    let all: BTreeSet<&NodeId> = edges.iter().map(|e| &e.source).collect();
    let n = edges.iter().fold(0_u64, |sum, e| sum.saturating_add(e.n));
    let waiting = waiting(edges);
    let circle = if waiting.is_empty() { &all } else { &waiting };
    let mut names: Vec<String> = circle.iter().take(NAMED).map(|id| format!("`{}`", words::name(id))).collect();
    if circle.len() > NAMED {
        names.push(format!("{} more", circle.len() - NAMED));
    }
    let (severity, how) = if waiting.is_empty() {
        (Severity::Info, "hand messages on to each other in a circle")
    } else {
        (Severity::Warning, "call each other in a circle and wait for it")
    };
    let rarest =
        edges.iter().filter(|e| circle.contains(&&e.source) && circle.contains(&&e.target)).min_by_key(|e| e.calls)?;
    #[allow(clippy::cast_precision_loss, reason = "a count")]
    let context = BTreeMap::from([("members", circle.len() as f64), ("rarest_calls", rarest.calls.as_f64())]);
    Some(Finding {
        code: RULE.code,
        severity,
        subject: (*circle.first()?).clone(),
        target: None,
        operation: None,
        message: format!(
            "{} {how}; the rarest call is from `{}` to `{}` (n = {})",
            names.join(", "),
            words::name(&rarest.source),
            words::name(&rarest.target),
            rarest.n
        ),
        context,
        n,
        exemplars: take(if rarest.exemplars.slow.is_empty() {
            &rarest.exemplars.typical
        } else {
            &rarest.exemplars.slow
        }),
    })
}

/// Those that still call, and are called by, one of them when all who do not are taken away, one after the other: the
/// circles of calls that are waited for. Empty when messages close every circle.
fn waiting<'a>(edges: &[&'a Edge]) -> BTreeSet<&'a NodeId> {
    let mut calls: Vec<&Edge> = edges.iter().copied().filter(|e| e.kind != EdgeKind::Messaging).collect();
    loop {
        let sources: BTreeSet<&NodeId> = calls.iter().map(|e| &e.source).collect();
        let targets: BTreeSet<&NodeId> = calls.iter().map(|e| &e.target).collect();
        let both: BTreeSet<&NodeId> = sources.intersection(&targets).copied().collect();
        let before = calls.len();
        calls.retain(|e| both.contains(&e.source) && both.contains(&e.target));
        if calls.len() == before {
            return both;
        }
    }
}
