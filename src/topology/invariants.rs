//! What holds for every snapshot this crate writes, checked on those it reads.

use super::dimensions;
use super::evidence::{instances, origins, requests, summaries};
use super::external::External;
use super::shard::{Parts, Shard};
use super::snapshot::{Edge, MOST_FILTER, Node, Operation, Snapshot, Stats};
use crate::spans::Weight;

/// Says the first thing that is wrong.
pub(super) fn check(snapshot: &Snapshot) -> Result<(), String> {
    if snapshot.window.end < snapshot.window.start {
        return Err("the window ends before it starts".to_owned());
    }
    let digest = &snapshot.provenance.spans_digest;
    if digest.len() != 32 || !digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("provenance.spans_digest is not 32 hex digits".to_owned());
    }
    let rules = &snapshot.provenance.rules;
    if !rules.is_empty() && (rules.len() != 32 || !rules.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))) {
        return Err("provenance.rules is not 32 hex digits".to_owned());
    }
    ascending("provenance.filter", &snapshot.provenance.filter, |a, b| a < b)?;
    if snapshot.provenance.filter.iter().any(|f| f.chars().count() > MOST_FILTER || f.chars().any(char::is_control)) {
        return Err("provenance.filter is too long or no plain text".to_owned());
    }
    if let Some(held) = &snapshot.shard {
        parts(held).map_err(|e| format!("shard: {e}"))?;
    }
    ascending("nodes", &snapshot.nodes, |a, b| a.id < b.id)?;
    ascending("operations", &snapshot.operations, |a, b| {
        (&a.service, a.kind, &a.name) < (&b.service, b.kind, &b.name)
    })?;
    ascending("edges", &snapshot.edges, |a, b| (&a.source, &a.target, a.kind) < (&b.source, &b.target, b.kind))?;
    snapshot.nodes.iter().enumerate().try_for_each(|(at, n)| node(n).map_err(|e| format!("nodes[{at}]: {e}")))?;
    let operations = snapshot.operations.iter().enumerate();
    operations.clone().try_for_each(|(at, o)| operation(o, snapshot).map_err(|e| format!("operations[{at}]: {e}")))?;
    let edges = snapshot.edges.iter().enumerate();
    edges.clone().try_for_each(|(at, e)| edge(e, snapshot).map_err(|e| format!("edges[{at}]: {e}")))?;
    ascending("external", &snapshot.external, |a, b| a.query < b.query)?;
    let odd = |e: &External| {
        let rising = [e.min, e.low, e.high, e.max].windows(2).all(|pair| matches!(pair, [a, b] if a <= b));
        e.n == 0 || e.n > e.steps || !rising
    };
    if let Some(at) = snapshot.external.iter().position(odd) {
        return Err(format!("external[{at}]: its numbers contradict each other"));
    }
    requests::check(&snapshot.requests)?;
    origins::check(&snapshot.origins)?;
    instances::check(&snapshot.instances)?;
    summaries::check(&snapshot.traces)
}

fn ascending<T>(what: &str, list: &[T], less: fn(&T, &T) -> bool) -> Result<(), String> {
    match list.windows(2).position(|pair| matches!(pair, [a, b] if !less(a, b))) {
        Some(at) => Err(format!("{what}[{}] is a repetition or out of order", at + 1)),
        None => Ok(()),
    }
}

fn parts(parts: &Parts) -> Result<(), String> {
    ascending("shards", &parts.shards, |a, b| a < b)?;
    if parts.of > Shard::MOST || parts.shards.iter().any(|index| Shard::new(*index, parts.of).is_none()) {
        return Err("there is no such shard".to_owned());
    }
    if parts.shards.is_empty() || parts.missing().is_empty() {
        return Err("none or all of its shards are in".to_owned());
    }
    let hex = |text: &str| text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !hex(&parts.input) || !hex(&parts.settings) || parts.edge_threshold > 64 {
        return Err("a fingerprint or threshold is none".to_owned());
    }
    Ok(())
}

fn node(node: &Node) -> Result<(), String> {
    if node.id.0.is_empty() {
        return Err("the id is empty".to_owned());
    }
    stats(&node.handled)
}

fn operation(operation: &Operation, snapshot: &Snapshot) -> Result<(), String> {
    if snapshot.node(&operation.service).is_none() {
        return Err("its service is not among the nodes".to_owned());
    }
    if operation.self_ns.is_some_and(|own| own > operation.stats.durations.sum()) {
        return Err("more self time than time".to_owned());
    }
    stats(&operation.stats)
}

fn edge(edge: &Edge, snapshot: &Snapshot) -> Result<(), String> {
    for (end, id) in [("source", &edge.source), ("target", &edge.target)] {
        if snapshot.node(id).is_none() {
            return Err(format!("its {end} is not among the nodes"));
        }
    }
    if edge.known_by.is_empty() {
        return Err("known_by is empty".to_owned());
    }
    if edge.known_by.values().copied().sum::<Weight>() != edge.calls {
        return Err("known_by does not add up to its calls".to_owned());
    }
    if edge.errors > edge.calls {
        return Err("more errors than calls".to_owned());
    }
    dimensions::check(&edge.dimensions, edge.calls, edge.errors)?;
    for (name, sketch) in
        [("client", &edge.client), ("server", &edge.server), ("gap", &edge.gap), ("dwell", &edge.dwell)]
    {
        if !sketch.adds_up() || sketch.n() > edge.n {
            return Err(format!("{name} does not add up"));
        }
    }
    Ok(())
}

fn stats(stats: &Stats) -> Result<(), String> {
    if stats.errors > stats.calls {
        return Err("more errors than calls".to_owned());
    }
    if !stats.durations.adds_up() || stats.durations.n() > stats.n {
        return Err("durations do not add up".to_owned());
    }
    Ok(())
}
