//! What changed in the graph as a whole: circles of calls, single points of failure, the longest chain of waiting.
//!
//! Input: two snapshots and the changes found between them. Output: further changes. An edge or node whose absence on one
//! side is an accident of little traffic proves nothing, so it counts as present on both.

use std::collections::BTreeSet;

use super::{Change, Subject};
use crate::diag::Severity;
use crate::topology::{Edge, NodeId, Snapshot, query::Graph};

/// Everything that changed in the shape, given what changed in its parts.
pub(super) fn compare<'a>(base: &'a Snapshot, head: &'a Snapshot, changes: &[Change]) -> Vec<Change> {
    let uncertain = |code: &str| -> BTreeSet<(&NodeId, &NodeId)> {
        let unsure = changes.iter().filter(|c| c.code == code && c.severity == Severity::Info);
        unsure
            .filter_map(|c| match &c.subject {
                Subject::Edge { source, target } => Some((source, target)),
                _ => None,
            })
            .collect()
    };
    // An edge that is new but rare may have been there before; one that was rare and is gone may still be there.
    let (new, gone) = (uncertain("edge-added"), uncertain("edge-not-seen"));
    let edges = |of: &'a [Edge], other: &'a [Edge], maybe: &BTreeSet<(&NodeId, &NodeId)>| -> Vec<&'a Edge> {
        of.iter().chain(other.iter().filter(|e| maybe.contains(&(&e.source, &e.target)))).collect()
    };
    let (before, after) = (edges(&base.edges, &head.edges, &new), edges(&head.edges, &base.edges, &gone));
    // What a service that came or went hangs on is told with that service.
    let known = |id: &NodeId| base.node(id).is_some() && head.node(id).is_some();
    let inner = |edges: &[&'a Edge]| edges.iter().copied().filter(|e| known(&e.source) && known(&e.target)).collect();
    let inner: [Vec<&Edge>; 2] = [inner(&before), inner(&after)];
    let points = |snapshot, edges: &[&Edge]| Graph::of(snapshot, edges.iter().copied()).single_points_of_failure();
    let points = (points(base, &inner[0]), points(head, &inner[1]));
    let (before, after) = (Graph::of(base, before), Graph::of(head, after));
    let mut out = Vec::new();
    sets(&before.cycles(), &after.cycles(), &mut out, ["cycle-added", "cycle-removed"], |nodes| Subject::Nodes {
        nodes: nodes.clone(),
    });
    let codes = ["single-point-of-failure-added", "single-point-of-failure-removed"];
    sets(&points.0, &points.1, &mut out, codes, |node| Subject::Node { node: node.clone() });
    let chains = (before.longest_synchronous_chain(), after.longest_synchronous_chain());
    let (code, severity) = match chains.0.len().cmp(&chains.1.len()) {
        std::cmp::Ordering::Less => ("chain-longer", Severity::Warning),
        std::cmp::Ordering::Greater => ("chain-shorter", Severity::Info),
        std::cmp::Ordering::Equal => return out,
    };
    if chains.1.is_empty() {
        return out;
    }
    out.push(change(code, severity, Subject::Nodes { nodes: chains.1 }));
    out
}

fn sets<T: Ord>(
    before: &[T],
    after: &[T],
    out: &mut Vec<Change>,
    [added, removed]: [&'static str; 2],
    subject: impl Fn(&T) -> Subject,
) {
    let (before, after): (BTreeSet<&T>, BTreeSet<&T>) = (before.iter().collect(), after.iter().collect());
    out.extend(after.difference(&before).map(|item| change(added, Severity::Warning, subject(item))));
    out.extend(before.difference(&after).map(|item| change(removed, Severity::Info, subject(item))));
}

fn change(code: &'static str, severity: Severity, subject: Subject) -> Change {
    Change { code, severity, subject, before: None, after: None, p_value: None }
}

#[cfg(test)]
mod tests {
    use super::super::diff;
    use super::super::testing::{edge, node, snapshot, stats};
    use super::*;

    /// Services named in the edges, each call seen `n` times.
    fn system(edges: &[(&str, &str, u64)]) -> Snapshot {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(a, b, _)| [*a, *b]).collect();
        let nodes = names.into_iter().map(|name| node(name, stats(1_000, 0, 10.0))).collect();
        let edges = edges.iter().map(|(a, b, n)| edge(a, b, *n, 0, 10.0, 8.0)).collect();
        snapshot(nodes, Vec::new(), edges)
    }

    fn found(base: &Snapshot, head: &Snapshot) -> Vec<(&'static str, Subject)> {
        let shape = |c: &Change| c.code.starts_with("c") && c.code.contains('-') || c.code.starts_with("single");
        let all = diff(base, head).changes;
        all.iter().filter(|c| shape(c) && !c.code.starts_with("calls")).map(|c| (c.code, c.subject.clone())).collect()
    }

    fn ids(names: &[&str]) -> Subject {
        Subject::Nodes { nodes: names.iter().map(|n| NodeId((*n).into())).collect() }
    }

    #[test]
    fn a_call_back_closes_a_circle_and_a_lost_way_round_leaves_a_single_point() {
        let ring = [("entry:user", "a", 1_000), ("a", "b", 1_000), ("b", "c", 1_000), ("a", "c", 1_000)];
        let base = system(&ring);
        let head = system(&[&ring[..], &[("c", "a", 1_000)]].concat());
        assert_eq!(found(&base, &head), [("cycle-added", ids(&["a", "b", "c"]))]);
        assert_eq!(found(&base, &base), []);
        let line = system(&ring[..3]);
        let point = Subject::Node { node: NodeId("b".into()) };
        assert_eq!(found(&base, &line), [("single-point-of-failure-added", point)]);
    }

    #[test]
    fn an_edge_too_rare_to_be_sure_of_changes_nothing() {
        let ring = [("entry:user", "a", 1_000), ("a", "b", 1_000), ("b", "c", 1_000), ("a", "c", 2)];
        assert_eq!(found(&system(&ring), &system(&ring[..3])), []);
        let back = [("entry:user", "a", 1_000), ("a", "b", 1_000), ("b", "a", 2)];
        assert_eq!(found(&system(&back[..2]), &system(&back)), []);
    }

    #[test]
    fn a_longer_chain_of_waiting_is_told_with_its_members() {
        let chain = [("entry:user", "a", 1_000), ("a", "b", 1_000), ("b", "c", 1_000), ("c", "d", 1_000)];
        let all = found(&system(&chain[..3]), &system(&chain));
        assert!(all.contains(&("chain-longer", ids(&["a", "b", "c", "d"]))), "{all:?}");
    }
}
