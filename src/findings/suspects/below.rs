//! What lies below a node in the call graph, and how much of it is asked for by this node.
//!
//! Input: a snapshot and a node. Output: for the node and everything it waits for, the share of the calls that stem from
//! it: of a database that several services share, only part of the time is this one's.
//! Must not: go up again: what every request passes on its way to the node is not below it, even where calls go in a circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::topology::{Edge, EdgeKind, NodeId, Snapshot};

/// Rounds of sharing out: longer chains than this are rare, and what they add is small.
const ROUNDS: usize = 24;

/// A node and what lies below it, with the share of the calls to each that stem from the node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Below(BTreeMap<NodeId, f64>);

impl Below {
    /// The share of the calls to `node` that stem from the node this is about, 0..=1; `None` when it is not below it.
    pub(crate) fn share(&self, node: &NodeId) -> Option<f64> {
        self.0.get(node).copied()
    }
}

/// The call graph, walked once for each node that asks.
#[derive(Debug)]
pub(crate) struct Calls<'a> {
    from: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
    into: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
}

impl<'a> Calls<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        let (mut from, mut into): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
        for edge in snapshot.edges.iter().filter(|e| e.source != e.target) {
            from.entry(&edge.source).or_default().push(edge);
            into.entry(&edge.target).or_default().push(edge);
        }
        Self { from, into }
    }

    /// What lies below a node. `up` is what every request passes on its way to it.
    pub(crate) fn below(&self, node: &NodeId, up: &[NodeId]) -> Below {
        let mut seen: BTreeSet<&NodeId> = BTreeSet::new();
        let mut stack: Vec<&NodeId> = vec![node];
        while let Some(id) = stack.pop() {
            for edge in self.waited(id) {
                if edge.target != *node && !up.contains(&edge.target) && seen.insert(&edge.target) {
                    stack.push(&edge.target);
                }
            }
        }
        let mut shares: BTreeMap<&NodeId, f64> = seen.iter().map(|id| (*id, 0.0)).collect();
        for _ in 0..ROUNDS {
            let next: BTreeMap<&NodeId, f64> =
                shares.keys().map(|id| (*id, self.share_of(id, node, &shares))).collect();
            if next == shares {
                break;
            }
            shares = next;
        }
        let mut all: BTreeMap<NodeId, f64> = shares.into_iter().map(|(id, share)| (id.clone(), share)).collect();
        all.insert(node.clone(), 1.0);
        Below(all)
    }

    /// Calls that are waited for.
    fn waited(&self, id: &NodeId) -> impl Iterator<Item = &'a Edge> {
        let edges = self.from.get(id).into_iter().flatten().copied();
        edges.filter(|e| !matches!(e.kind, EdgeKind::Messaging | EdgeKind::Entry))
    }

    /// Of the calls to a node the share that stems from `top`, given the shares of its callers.
    fn share_of(&self, id: &NodeId, top: &NodeId, shares: &BTreeMap<&NodeId, f64>) -> f64 {
        let (mut all, mut mine) = (0.0, 0.0);
        for edge in self.into.get(id).into_iter().flatten() {
            let calls = edge.calls.as_f64();
            all += calls;
            let share = if edge.source == *top { Some(1.0) } else { shares.get(&edge.source).copied() };
            mine += share.filter(|_| edge.kind != EdgeKind::Messaging).unwrap_or(0.0) * calls;
        }
        if all > 0.0 { (mine / all).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::{edge, node, snapshot, stats};

    #[test]
    fn what_is_shared_counts_by_its_calls_and_nothing_goes_up() {
        let nodes = ["entry:user", "api", "cart", "stock", "database:pg:x", "messaging:kafka:t", "mail"];
        let nodes = nodes.iter().map(|id| node(id, stats(100, 0, 1.0))).collect();
        let calls = |a: &str, b: &str, n| edge(a, b, n, 0, 2.0, 1.0);
        let edges = vec![
            calls("entry:user", "api", 100),
            calls("api", "cart", 100),
            calls("api", "stock", 75),
            calls("cart", "stock", 25),
            calls("stock", "database:pg:x", 100),
            calls("stock", "api", 1),
            calls("cart", "messaging:kafka:t", 5),
            calls("messaging:kafka:t", "mail", 5),
        ];
        let snapshot = snapshot(nodes, vec![], edges);
        let calls = Calls::of(&snapshot);
        let below = calls.below(&NodeId("cart".into()), &[NodeId("api".into()), NodeId("entry:user".into())]);
        let share = |id: &str| below.share(&NodeId(id.into()));
        assert_eq!((share("cart"), share("stock"), share("database:pg:x")), (Some(1.0), Some(0.25), Some(0.25)));
        assert_eq!((share("api"), share("mail"), share("messaging:kafka:t")), (None, None, None));
        let all = calls.below(&NodeId("api".into()), &[NodeId("entry:user".into())]);
        assert_eq!(all.share(&NodeId("database:pg:x".into())), Some(1.0));
    }
}
