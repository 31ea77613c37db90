//! The topology as a drawing or as data: Mermaid, DOT, JSON.
//!
//! Input: a [`Snapshot`] or the [`Diagram`] of a page. Output: text, bounded where the reader of it is.
//! Must not: decide what is alarming, or lay anything out.

mod dot;
mod json;
mod mermaid;

use std::collections::{BTreeMap, BTreeSet};

use self::mermaid::{Flowchart, Link, Shape};
use super::format;
use crate::runbook::{Diagram, DiagramEdge};
use crate::topology::{Edge, EdgeKind, Node, NodeId, Snapshot};

pub use self::dot::dot;
pub use self::json::json;

/// GitLab draws at most this many characters of Mermaid on a page (gitlab-org/gitlab#368393).
const PAGE_CHARS: usize = 1_950;
/// Mermaid refuses more than 500 edges and 50,000 characters; both limits are out of a page's reach.
const GRAPH_EDGES: usize = 450;
const GRAPH_CHARS: usize = 45_000;
/// Edges of the overview in the table of contents.
const OVERVIEW_EDGES: usize = 60;

/// A flowchart of the whole topology: at most 450 edges, those with most calls; what is left out is said in the drawing.
#[must_use]
pub fn mermaid(snapshot: &Snapshot) -> String {
    let mut limit = GRAPH_EDGES;
    loop {
        let chart = whole(snapshot, limit, &BTreeSet::new(), true);
        if chart.len() <= GRAPH_CHARS || limit <= 1 {
            return chart;
        }
        limit /= 2;
    }
}

/// A small flowchart of the whole topology for the table of contents; `alarmed` nodes stand out.
pub(super) fn overview(snapshot: &Snapshot, alarmed: &BTreeSet<NodeId>) -> String {
    let mut limit = OVERVIEW_EDGES;
    loop {
        let chart = whole(snapshot, limit, alarmed, false);
        if chart.len() <= 2 * PAGE_CHARS || limit <= 4 {
            return chart;
        }
        limit = limit * 3 / 4;
    }
}

fn whole(snapshot: &Snapshot, limit: usize, alarmed: &BTreeSet<NodeId>, labels: bool) -> String {
    let mut edges: Vec<&Edge> = snapshot.edges.iter().collect();
    edges.sort_by(|a, b| b.calls.cmp(&a.calls).then_with(|| order(a).cmp(&order(b))));
    edges.truncate(limit);
    edges.sort_by_key(|e| order(e));
    let omitted_edges = snapshot.edges.len() - edges.len();

    // Nodes without an edge are shown as long as there is room for them.
    let linked: BTreeSet<&NodeId> = edges.iter().flat_map(|e| [&e.source, &e.target]).collect();
    let lonely = snapshot.nodes.iter().filter(|n| !linked.contains(&n.id)).count();
    let show_lonely = omitted_edges == 0 && lonely + linked.len() <= limit;
    let nodes: Vec<&Node> = snapshot.nodes.iter().filter(|n| show_lonely || linked.contains(&n.id)).collect();
    let positions: BTreeMap<&NodeId, usize> = nodes.iter().enumerate().map(|(i, n)| (&n.id, i)).collect();

    let mut chart = Flowchart::default();
    for node in &nodes {
        let label = if node.name.is_empty() { &node.id.0 } else { &node.name };
        chart.node(Shape::of(node.kind), label, false, alarmed.contains(&node.id));
    }
    let seconds = snapshot.window.seconds();
    for edge in edges {
        let (Some(source), Some(target)) = (positions.get(&edge.source), positions.get(&edge.target)) else { continue };
        let p99 = edge.latency().quantile(0.99).map(|ns| ns / 1e9);
        let label = if labels {
            label(edge.calls.as_f64(), seconds, p99, snapshot.provenance.failed(edge.error_ratio()))
        } else {
            String::new()
        };
        chart.link(Link { source: *source, target: *target, dotted: edge.kind == EdgeKind::Messaging, label });
    }
    let omitted_nodes = snapshot.nodes.len() - nodes.len();
    let mut notes = Vec::new();
    if snapshot.provenance.calls_only {
        notes.push(UNCOUNTED.to_owned());
    }
    if omitted_edges + omitted_nodes > 0 {
        let edges = format::integer(omitted_edges as u64);
        let nodes = format::integer(omitted_nodes as u64);
        notes.push(format!("{edges} edges with fewer calls and {nodes} nodes are not drawn"));
    }
    chart.note(&notes.join(" · "));
    chart.finish(60)
}

/// Said where nobody looked for failures: a label without them would pass for health.
const UNCOUNTED: &str = "failures were not counted";

fn order(edge: &Edge) -> (&NodeId, &NodeId, EdgeKind) {
    (&edge.source, &edge.target, edge.kind)
}

/// The neighbourhood on a page: detail gives way until it fits the strictest host. Empty without nodes.
pub(super) fn neighbourhood(diagram: &Diagram, seconds: f64) -> String {
    if diagram.nodes.is_empty() {
        return String::new();
    }
    let mut chart = String::new();
    for detail in Detail::LESS_AND_LESS {
        chart = neighbourhood_with(diagram, seconds, detail);
        if chart.len() <= PAGE_CHARS {
            break;
        }
    }
    chart
}

/// How much a neighbourhood says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Detail {
    all_labels: bool,
    focus_labels: bool,
    name_chars: usize,
}

impl Detail {
    const LESS_AND_LESS: [Self; 4] = [
        Self { all_labels: true, focus_labels: true, name_chars: 48 },
        Self { all_labels: false, focus_labels: true, name_chars: 40 },
        Self { all_labels: false, focus_labels: true, name_chars: 24 },
        Self { all_labels: false, focus_labels: false, name_chars: 20 },
    ];
}

fn neighbourhood_with(diagram: &Diagram, seconds: f64, detail: Detail) -> String {
    let mut chart = Flowchart::default();
    for node in &diagram.nodes {
        let label = if node.label.trim().is_empty() { &node.id.0 } else { &node.label };
        chart.node(Shape::of(node.kind), label, node.focus, node.alarmed);
    }
    let position = |id: &NodeId| diagram.nodes.iter().position(|n| n.id == *id);
    let is_focus = |i: usize| diagram.nodes.get(i).is_some_and(|n| n.focus);
    for edge in &diagram.edges {
        let (Some(source), Some(target)) = (position(&edge.source), position(&edge.target)) else { continue };
        let near = is_focus(source) || is_focus(target);
        let label =
            if detail.all_labels || (detail.focus_labels && near) { edge_label(edge, seconds) } else { String::new() };
        chart.link(Link { source, target, dotted: edge.kind == EdgeKind::Messaging, label });
    }
    chart.finish(detail.name_chars)
}

fn edge_label(edge: &DiagramEdge, seconds: f64) -> String {
    label(edge.calls, seconds, edge.p99_seconds, Some(edge.error_ratio))
}

/// `12.3/s · p99 31 ms · 0.5 % errors`, as far as known.
fn label(calls: f64, seconds: f64, p99_seconds: Option<f64>, error_ratio: Option<f64>) -> String {
    let mut parts = Vec::with_capacity(3);
    parts.push(if seconds > 0.0 { format::rate(calls / seconds) } else { format!("{} calls", format::count(calls)) });
    if let Some(p99) = p99_seconds {
        parts.push(format!("p99 {}", format::duration(p99)));
    }
    if let Some(failed) = error_ratio.filter(|ratio| *ratio > 0.0) {
        parts.push(format!("{} err", format::ratio(failed)));
    }
    parts.join(" · ")
}

#[cfg(test)]
mod tests;
