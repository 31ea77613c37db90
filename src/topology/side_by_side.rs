//! Two values of a dimension seen in one window, as two snapshots: the canary against the rest.
//!
//! Input: a snapshot whose nodes carry the dimension in their identity (`cart@1.4.1`). Output: two without it. Of a service
//! with several values the greatest is HEAD, all others together are BASE; versions compare by their numbers. What has one
//! value only is in both. Calls between the BASE value of one service and the HEAD value of another are in neither.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Flow, FlowItem, Instance, Origin, instances, origins};
use super::snapshot::{Edge, EdgeKind, Node, NodeId, NodeKind, Operation, Snapshot};
use super::unite;
use crate::diag::Diagnostic;
use crate::spans::SpanKind;

/// In which snapshot something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Both,
    Base,
    Head,
}

impl Side {
    /// Where a call between two such things is; `None` for neither.
    fn with(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Both, side) | (side, Self::Both) => Some(side),
            _ => (self == other).then_some(self),
        }
    }

    fn is(self, head: bool) -> bool {
        self == Self::Both || (self == Self::Head) == head
    }
}

/// Takes the two apart.
///
/// # Errors
/// `one-value` when no service has two values.
pub fn side_by_side(snapshot: &Snapshot) -> Result<(Snapshot, Snapshot), Diagnostic> {
    let mut values: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for node in snapshot.services() {
        let (id, value) = apart(&node.id);
        values.entry(id).or_default().extend(value);
    }
    values.retain(|_, values| values.len() > 1);
    if values.is_empty() {
        return Err(Diagnostic::error("one-value", "no service was seen with two values of this attribute")
            .help("capture a window in which both versions run, or compare two captures: tracebook diff BASE HEAD"));
    }
    let newest: BTreeMap<&str, &str> = values
        .iter()
        .filter_map(|(id, values)| Some((id.as_str(), values.iter().copied().max_by(|a, b| by_numbers(a, b))?)))
        .collect();
    let side = |id: &NodeId| {
        let (bare, value) = apart(id);
        match newest.get(bare.as_str()) {
            Some(newest) if value == Some(*newest) => Side::Head,
            Some(_) => Side::Base,
            None => Side::Both,
        }
    };
    Ok((take(snapshot, false, &side), take(snapshot, true, &side)))
}

/// The id without the value, and the value.
fn apart(id: &NodeId) -> (String, Option<&str>) {
    match id.0.rsplit_once('@') {
        Some((id, value)) => (id.replace("%40", "@"), Some(value)),
        None => (id.0.replace("%40", "@"), None),
    }
}

fn bare(id: &NodeId) -> NodeId {
    NodeId(apart(id).0)
}

/// `1.10` is greater than `1.9`, and `1.4.0` than `1.4.0-rc1`; what is no number compares as text.
fn by_numbers(a: &str, b: &str) -> Ordering {
    let version = |text: &str| -> (Vec<Part>, bool, Vec<Part>) {
        let text = text.strip_prefix('v').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(text);
        match text.split_once('-').filter(|_| text.starts_with(|c: char| c.is_ascii_digit())) {
            Some((core, candidate)) => (parts(core), false, parts(candidate)),
            None => (parts(text), true, Vec::new()),
        }
    };
    version(a).cmp(&version(b)).then_with(|| a.cmp(b))
}

/// Whether it is a number, how many digits that has, and the text.
type Part = (bool, usize, String);

/// Runs of digits and of letters.
fn parts(text: &str) -> Vec<Part> {
    let runs = text.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(|word| {
        word.as_bytes().chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()).map(String::from_utf8_lossy)
    });
    let part = |run: std::borrow::Cow<'_, str>| match run.trim_start_matches('0') {
        digits if run.starts_with(|c: char| c.is_ascii_digit()) => (true, digits.len(), digits.to_owned()),
        _ => (false, 0, run.into_owned()),
    };
    runs.map(part).collect()
}

fn take(snapshot: &Snapshot, head: bool, side: &dyn Fn(&NodeId) -> Side) -> Snapshot {
    let kept = |id: &NodeId| side(id).is(head);
    let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
    for node in snapshot.nodes.iter().filter(|n| n.kind != NodeKind::Service || kept(&n.id)) {
        let node = Node { id: bare(&node.id), ..node.clone() };
        match nodes.get_mut(&node.id) {
            Some(mine) => unite::node(mine, node),
            None => _ = nodes.insert(node.id.clone(), node),
        }
    }
    let mut operations: BTreeMap<(NodeId, SpanKind, String), Operation> = BTreeMap::new();
    for operation in snapshot.operations.iter().filter(|o| kept(&o.service)) {
        let operation =
            Operation { service: bare(&operation.service), flow: flow(&operation.flow), ..operation.clone() };
        let key = (operation.service.clone(), operation.kind, operation.name.clone());
        match operations.get_mut(&key) {
            Some(mine) => unite::operation(mine, &operation),
            None => _ = operations.insert(key, operation),
        }
    }
    let mut edges: BTreeMap<(NodeId, NodeId, EdgeKind), Edge> = BTreeMap::new();
    for edge in &snapshot.edges {
        if !side(&edge.source).with(side(&edge.target)).is_some_and(|side| side.is(head)) {
            continue;
        }
        let edge = Edge { source: bare(&edge.source), target: bare(&edge.target), ..edge.clone() };
        let key = (edge.source.clone(), edge.target.clone(), edge.kind);
        match edges.get_mut(&key) {
            Some(mine) => unite::edge(mine, &edge),
            None => _ = edges.insert(key, edge),
        }
    }
    let mut begun: Vec<Origin> = Vec::new();
    for origin in snapshot.origins.iter().filter(|o| kept(&o.service)) {
        origins::unite(&mut begun, &[origin.renamed(bare)]);
    }
    let mut seen: Vec<Instance> = Vec::new();
    for instance in snapshot.instances.iter().filter(|i| kept(&i.service)) {
        instances::unite(&mut seen, &[Instance { service: bare(&instance.service), ..instance.clone() }]);
    }
    Snapshot {
        nodes: nodes.into_values().collect(),
        operations: operations.into_values().collect(),
        edges: edges.into_values().collect(),
        origins: begun,
        instances: seen,
        requests: Vec::new(),
        traces: Vec::new(),
        ..snapshot.clone()
    }
}

fn flow(flow: &Flow) -> Flow {
    let rename = |item: &FlowItem| FlowItem { service: bare(&item.service), name: item.name.clone() };
    flow.renamed(rename)
}

#[cfg(test)]
#[path = "side_by_side_tests.rs"]
mod tests;
