//! Questions to the graph of a snapshot. petgraph does the walking and stays inside: answers are node ids, sorted.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::articulation_points::articulation_points;
use petgraph::algo::{dominators, kosaraju_scc};
use petgraph::graph::{DiGraph, NodeIndex, UnGraph};
use petgraph::visit::EdgeRef;
use petgraph::{Direction, Incoming, Outgoing};

use super::snapshot::{Edge, EdgeKind, NodeId, NodeKind, Snapshot};

/// The graph of one snapshot, ready to be asked.
#[derive(Debug, Clone)]
pub struct Graph<'a> {
    snapshot: &'a Snapshot,
    graph: DiGraph<usize, EdgeKind>,
    index: BTreeMap<&'a NodeId, NodeIndex>,
}

impl<'a> Graph<'a> {
    /// Builds the graph; edges whose ends are not among the nodes are left out.
    #[must_use]
    pub fn new(snapshot: &'a Snapshot) -> Self {
        Self::of(snapshot, &snapshot.edges)
    }

    /// The nodes of a snapshot with edges of one's choice, as far as their ends are among them.
    #[must_use]
    pub fn of<'e>(snapshot: &'a Snapshot, edges: impl IntoIterator<Item = &'e Edge>) -> Self {
        let mut graph = DiGraph::with_capacity(snapshot.nodes.len(), snapshot.edges.len());
        let index: BTreeMap<&NodeId, NodeIndex> =
            snapshot.nodes.iter().enumerate().map(|(at, node)| (&node.id, graph.add_node(at))).collect();
        for edge in edges {
            if let (Some(source), Some(target)) = (index.get(&edge.source), index.get(&edge.target)) {
                graph.add_edge(*source, *target, edge.kind);
            }
        }
        Self { snapshot, graph, index }
    }

    fn id(&self, at: NodeIndex) -> Option<&'a NodeId> {
        self.snapshot.nodes.get(*self.graph.node_weight(at)?).map(|node| &node.id)
    }

    fn is_service(&self, at: NodeIndex) -> bool {
        let node = self.graph.node_weight(at).and_then(|n| self.snapshot.nodes.get(*n));
        node.is_some_and(|node| node.kind == NodeKind::Service)
    }

    fn ids(&self, nodes: impl IntoIterator<Item = NodeIndex>) -> Vec<NodeId> {
        let sorted: BTreeSet<&NodeId> = nodes.into_iter().filter_map(|at| self.id(at)).collect();
        sorted.into_iter().cloned().collect()
    }

    /// Everything that calls `node`, directly or not, by the least number of hops (1 is a direct caller). Services,
    /// topics and entries alike; the node itself is not among them.
    #[must_use]
    pub fn callers(&self, node: &NodeId) -> BTreeMap<usize, Vec<NodeId>> {
        self.by_depth(node, Incoming)
    }

    /// Everything `node` calls, directly or not, by the least number of hops.
    #[must_use]
    pub fn callees(&self, node: &NodeId) -> BTreeMap<usize, Vec<NodeId>> {
        self.by_depth(node, Outgoing)
    }

    fn by_depth(&self, node: &NodeId, direction: Direction) -> BTreeMap<usize, Vec<NodeId>> {
        let Some(start) = self.index.get(node).copied() else { return BTreeMap::new() };
        let mut seen = vec![false; self.graph.node_count()];
        let mut layers = BTreeMap::new();
        let mut layer = vec![start];
        for depth in 1.. {
            layer.iter().filter_map(|at| seen.get_mut(at.index()).map(|s| *s = true)).for_each(drop);
            let next = layer.iter().flat_map(|at| self.graph.neighbors_directed(*at, direction));
            let mut next: Vec<NodeIndex> = next.filter(|at| seen.get(at.index()) == Some(&false)).collect();
            next.sort_unstable();
            next.dedup();
            if next.is_empty() {
                break;
            }
            layers.insert(depth, self.ids(next.iter().copied()));
            layer = next;
        }
        layers
    }

    /// Everything that can be reached from `node`, itself included.
    #[must_use]
    pub fn reachable(&self, node: &NodeId) -> Vec<NodeId> {
        let mut all: BTreeSet<NodeId> = self.callees(node).into_values().flatten().collect();
        all.extend(self.index.get_key_value(node).map(|(id, _)| (*id).clone()));
        all.into_iter().collect()
    }

    /// Groups of nodes that call each other in a circle, each sorted, sorted by their first member. A node that calls
    /// only itself is no circle: such edges are an answer of their own in the snapshot.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<NodeId>> {
        let mut all: Vec<Vec<NodeId>> =
            kosaraju_scc(&self.graph).into_iter().filter(|c| c.len() > 1).map(|c| self.ids(c)).collect();
        all.sort_unstable();
        all
    }

    /// Services without which the rest of the services falls apart into pieces that cannot reach each other
    /// (articulation points of the undirected graph; topics count as connections, entries and databases do not).
    #[must_use]
    pub fn single_points_of_failure(&self) -> Vec<NodeId> {
        let mut plain = UnGraph::<NodeIndex, ()>::default();
        let mut index = BTreeMap::new();
        for (at, node) in self.graph.node_indices().zip(&self.snapshot.nodes) {
            if matches!(node.kind, NodeKind::Service | NodeKind::Messaging) {
                index.insert(at, plain.add_node(at));
            }
        }
        for edge in self.graph.edge_references().filter(|e| e.source() != e.target()) {
            if let (Some(source), Some(target)) = (index.get(&edge.source()), index.get(&edge.target())) {
                plain.update_edge(*source, *target, ());
            }
        }
        let points = articulation_points(&plain).into_iter().filter_map(|at| plain.node_weight(at).copied());
        self.ids(points.filter(|at| self.is_service(*at)))
    }

    /// Nodes every request from outside to `node` has to pass, nearest first, `node` itself not among them. Empty when
    /// none is certain, or when no entry leads there.
    #[must_use]
    pub fn dominators(&self, node: &NodeId) -> Vec<NodeId> {
        self.dominator_tree().of(node)
    }

    /// The dominators of all nodes, worked out once (Cooper, Harvey and Kennedy, "A simple, fast dominance algorithm").
    #[must_use]
    pub fn dominator_tree(&self) -> DominatorTree<'_, 'a> {
        let mut graph = self.graph.clone();
        let outside = graph.add_node(usize::MAX);
        for (at, node) in self.graph.node_indices().zip(&self.snapshot.nodes) {
            let uncalled = self.graph.neighbors_directed(at, Incoming).next().is_none();
            if node.kind == NodeKind::Entry || (uncalled && !node.instrumented) {
                graph.add_edge(outside, at, EdgeKind::Entry);
            }
        }
        DominatorTree { graph: self, outside, all: dominators::simple_fast(&graph, outside) }
    }

    /// The share of requests from outside whose trace touches `node`, 0..=1, exact; `None` without such requests.
    #[must_use]
    pub fn entry_share(&self, node: &NodeId) -> Option<f64> {
        let all = self.snapshot.coverage.entry_traces;
        let node = self.snapshot.node(node)?;
        (!all.is_zero()).then(|| node.entry_traces.ratio_of(all))
    }

    /// The longest chain in which each node waits for the next (calls, databases and external addresses, not messages):
    /// of several of one length the first in order of ids. Nodes that call each other in a circle count once and are
    /// named by the first of them.
    #[must_use]
    pub fn longest_synchronous_chain(&self) -> Vec<NodeId> {
        let mut waits = self.graph.clone();
        waits.retain_edges(|graph, edge| {
            graph.edge_weight(edge).is_some_and(|k| !matches!(k, EdgeKind::Messaging | EdgeKind::Entry))
        });
        // Components come callees first, so that the best way on from each is known before it is needed.
        let components = kosaraju_scc(&waits);
        let mut component_of = vec![0; waits.node_count()];
        for (number, members) in components.iter().enumerate() {
            for member in members {
                if let Some(slot) = component_of.get_mut(member.index()) {
                    *slot = number;
                }
            }
        }
        // By component: hops to the end (larger is better), its name, the component that follows.
        let mut best: Vec<(usize, Option<&NodeId>, Option<usize>)> = Vec::new();
        for (number, members) in components.iter().enumerate() {
            let name = members.iter().filter_map(|at| self.id(*at)).min();
            let next = members.iter().flat_map(|at| waits.neighbors(*at));
            let next = next.filter_map(|at| component_of.get(at.index()).copied()).filter(|n| *n != number);
            let onward =
                next.filter_map(|n| best.get(n).map(|(hops, name, _)| (*hops, std::cmp::Reverse(*name), n))).max();
            best.push((onward.map_or(0, |(hops, _, _)| hops + 1), name, onward.map(|(_, _, n)| n)));
        }
        let start = best.iter().enumerate().max_by_key(|(_, (hops, name, _))| (*hops, std::cmp::Reverse(*name)));
        let mut chain = Vec::new();
        let mut at = start.filter(|(_, (hops, ..))| *hops > 0).map(|(number, _)| number);
        while let Some((_, name, next)) = at.and_then(|number| best.get(number)) {
            chain.extend(name.cloned());
            at = *next;
        }
        chain
    }
}

/// Which nodes every request from outside has to pass on its way to another.
#[derive(Debug)]
pub struct DominatorTree<'g, 'a> {
    graph: &'g Graph<'a>,
    outside: NodeIndex,
    all: dominators::Dominators<NodeIndex>,
}

impl DominatorTree<'_, '_> {
    /// See [`Graph::dominators`].
    #[must_use]
    pub fn of(&self, node: &NodeId) -> Vec<NodeId> {
        let Some(target) = self.graph.index.get(node).copied() else { return Vec::new() };
        let chain = self.all.strict_dominators(target).into_iter().flatten();
        chain.filter(|at| *at != self.outside).filter_map(|at| self.graph.id(at)).cloned().collect()
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
