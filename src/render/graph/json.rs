//! The topology as a stable machine-readable answer (DESIGN §6, `graph --format json`).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::render::json::{number, to_text};
use crate::topology::query::{self, DominatorTree};
use crate::topology::{Coverage, Edge, EdgeDimension, Node, NodeId, Sketch, Snapshot, Window};

#[derive(Serialize)]
struct Graph<'a> {
    schema: &'static str,
    window: Window,
    nodes: Vec<NodeJson<'a>>,
    edges: Vec<EdgeJson<'a>>,
    shape: Shape,
    coverage: &'a Coverage,
}

/// What the graph as a whole looks like; `docs/topology.md` says how each is found.
#[derive(Serialize)]
struct Shape {
    cycles: Vec<Vec<NodeId>>,
    single_points_of_failure: Vec<NodeId>,
    longest_synchronous_chain: Vec<NodeId>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    id: &'a str,
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    system: &'a str,
    instrumented: bool,
    calls: serde_json::Number,
    /// `None` where nobody counted them.
    errors: Option<serde_json::Number>,
    error_ratio: Option<f64>,
    handled: Durations,
    entry_share: Option<f64>,
    dominators: Vec<NodeId>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: &'a BTreeMap<String, BTreeMap<String, u64>>,
}

#[derive(Serialize)]
struct EdgeJson<'a> {
    source: &'a str,
    target: &'a str,
    kind: &'static str,
    known_by: &'static str,
    known_by_calls: BTreeMap<&'static str, serde_json::Number>,
    n: u64,
    calls: serde_json::Number,
    /// `None` where nobody counted them.
    errors: Option<serde_json::Number>,
    error_ratio: Option<f64>,
    client: Durations,
    server: Durations,
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Durations>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dwell: Option<Durations>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dimensions: BTreeMap<&'a str, Vec<DimensionJson<'a>>>,
}

/// Calls by what either end says of itself.
#[derive(Serialize)]
struct DimensionJson<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    source: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    target: &'a str,
    calls: serde_json::Number,
    /// `None` where nobody counted them.
    errors: Option<serde_json::Number>,
}

/// A distribution of durations in seconds; all `null` when nothing was seen on that side.
#[derive(Serialize)]
struct Durations {
    n: u64,
    mean_seconds: Option<f64>,
    p50_seconds: Option<f64>,
    p95_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

impl Durations {
    fn new(sketch: &Sketch) -> Self {
        let at = |q| sketch.quantile(q).map(|ns| ns / 1e9);
        Self {
            n: sketch.n(),
            mean_seconds: sketch.mean().map(|ns| ns / 1e9),
            p50_seconds: at(0.5),
            p95_seconds: at(0.95),
            p99_seconds: at(0.99),
        }
    }

    fn some(sketch: &Sketch) -> Option<Self> {
        (!sketch.is_empty()).then(|| Self::new(sketch))
    }
}

/// `{schema, window, nodes, edges, shape, coverage}`: seconds as numbers, ratios 0–1, arrays sorted, one final line break.
#[must_use]
pub fn json(snapshot: &Snapshot) -> String {
    let graph = query::Graph::new(snapshot);
    let tree = graph.dominator_tree();
    let mut nodes: Vec<NodeJson<'_>> = snapshot.nodes.iter().map(|n| node(n, &graph, &tree)).collect();
    let mut edges: Vec<EdgeJson<'_>> = snapshot.edges.iter().map(edge).collect();
    if snapshot.provenance.calls_only {
        for node in &mut nodes {
            (node.errors, node.error_ratio) = (None, None);
        }
        for edge in &mut edges {
            (edge.errors, edge.error_ratio) = (None, None);
            edge.dimensions.values_mut().flatten().for_each(|pair| pair.errors = None);
        }
    }
    to_text(&Graph {
        schema: "tracebook.graph/1",
        window: snapshot.window,
        nodes,
        edges,
        shape: Shape {
            cycles: graph.cycles(),
            single_points_of_failure: graph.single_points_of_failure(),
            longest_synchronous_chain: graph.longest_synchronous_chain(),
        },
        coverage: &snapshot.coverage,
    })
}

fn node<'a>(node: &'a Node, graph: &query::Graph<'_>, tree: &DominatorTree<'_, '_>) -> NodeJson<'a> {
    NodeJson {
        id: &node.id.0,
        kind: node.kind.name(),
        namespace: &node.namespace,
        name: &node.name,
        system: &node.system,
        instrumented: node.instrumented,
        calls: number(node.handled.calls),
        errors: Some(number(node.handled.errors)),
        error_ratio: node.handled.error_ratio(),
        handled: Durations::new(&node.handled.durations),
        entry_share: graph.entry_share(&node.id),
        dominators: tree.of(&node.id),
        attributes: &node.attributes,
    }
}

fn edge(edge: &Edge) -> EdgeJson<'_> {
    EdgeJson {
        source: &edge.source.0,
        target: &edge.target.0,
        kind: edge.kind.name(),
        known_by: edge.strongest().name(),
        known_by_calls: edge.known_by.iter().map(|(by, calls)| (by.name(), number(*calls))).collect(),
        n: edge.n,
        calls: number(edge.calls),
        errors: Some(number(edge.errors)),
        error_ratio: edge.error_ratio(),
        client: Durations::new(&edge.client),
        server: Durations::new(&edge.server),
        gap: Durations::some(&edge.gap),
        dwell: Durations::some(&edge.dwell),
        dimensions: edge
            .dimensions
            .iter()
            .map(|(key, pairs)| (key.as_str(), pairs.iter().map(dimension).collect()))
            .collect(),
    }
}

fn dimension(pair: &EdgeDimension) -> DimensionJson<'_> {
    DimensionJson {
        source: &pair.source,
        target: &pair.target,
        calls: number(pair.calls),
        errors: Some(number(pair.errors)),
    }
}
