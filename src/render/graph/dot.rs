//! The topology for Graphviz.

use crate::render::escape;
use crate::topology::{EdgeKind, NodeKind, Snapshot};

/// A DOT digraph of the whole topology; ids and labels are quoted, sizes are Graphviz' own business.
#[must_use]
pub fn dot(snapshot: &Snapshot) -> String {
    let mut out = String::from("digraph tracebook {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    if snapshot.provenance.calls_only {
        out.push_str(&format!("  label=\"{}\";\n", super::UNCOUNTED));
    }
    for (i, node) in snapshot.nodes.iter().enumerate() {
        let shape = match node.kind {
            NodeKind::Service => "box",
            NodeKind::Database => "cylinder",
            NodeKind::Messaging => "parallelogram",
            NodeKind::External => "hexagon",
            NodeKind::Entry => "oval",
        };
        let (id, name) = (escape::dot(&node.id.0), escape::dot(&node.name));
        out.push_str(&format!("  n{i} [label=\"{name}\", tooltip=\"{id}\", shape={shape}];\n"));
    }
    let position = |id| snapshot.nodes.binary_search_by(|n| n.id.cmp(id)).ok();
    for edge in &snapshot.edges {
        let (Some(source), Some(target)) = (position(&edge.source), position(&edge.target)) else { continue };
        let p99 = edge.latency().quantile(0.99).map(|ns| ns / 1e9);
        let failed = snapshot.provenance.failed(edge.error_ratio());
        let label = super::label(edge.calls.as_f64(), snapshot.window.seconds(), p99, failed);
        let style = if edge.kind == EdgeKind::Messaging { ", style=dashed" } else { "" };
        out.push_str(&format!("  n{source} -> n{target} [label=\"{}\"{style}];\n", escape::dot(&label)));
    }
    out.push_str("}\n");
    out
}
