//! What the pages of one run look things up in.
//!
//! Purpose: index the snapshot, the statuses and the findings once, so that a page costs as much as its neighbourhood.
//! Must not: put anything into words.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::cfg::{ServiceConfig, Settings};
use crate::findings::Finding;
use crate::findings::suspects::Untold;
use crate::findings::suspects::below::{Below, Calls};
use crate::findings::suspects::contrast::{self, Contrast, Respect};
use crate::findings::suspects::errors::{self, Failures};
use crate::findings::suspects::latency::{By, Tail, Tails};
use crate::slo::ObjectiveStatus;
use crate::spans::SpanKind;
use crate::topology::query::Graph;
use crate::topology::{Edge, EdgeKind, Node, NodeId, NodeKind, Operation, Snapshot, Stats};

/// Index over everything `plan` is given.
pub(super) struct Context<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) settings: &'a Settings,
    pub(super) objectives: &'a [ObjectiveStatus],
    /// Missed objectives that no page is about.
    pub(super) missed: Vec<&'a ObjectiveStatus>,
    /// Length of the window in seconds, never zero.
    pub(super) seconds: f64,
    /// Calls that enter the system from outside.
    pub(super) entry_calls: f64,
    /// Key → id of every active runbook, for links.
    pub(super) ids: BTreeMap<String, String>,
    callers: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
    callees: BTreeMap<&'a NodeId, Vec<&'a Edge>>,
    operations: BTreeMap<&'a NodeId, Vec<&'a Operation>>,
    statuses: BTreeMap<&'a NodeId, Vec<&'a ObjectiveStatus>>,
    findings: BTreeMap<&'a NodeId, Vec<&'a Finding>>,
    entries: Vec<Entry<'a>>,
    graph: Graph<'a>,
    /// By node: what every request from outside passes on the way, nearest first.
    passed: BTreeMap<&'a NodeId, Vec<NodeId>>,
    reached: BTreeMap<&'a NodeId, Reached>,
    calls: Calls<'a>,
    tails: Tails<'a>,
    contrasts: Vec<Contrast<'a>>,
}

/// A service at which requests enter.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) service: &'a NodeId,
    pub(super) calls: f64,
}

/// Which of the first 64 entries reach a node: bit i is entry i.
#[derive(Default, Clone, Copy)]
struct Reached {
    waiting: u64,
    any: u64,
}

/// Entries that are looked at, by calls: a bit each.
const ENTRIES: usize = 64;

impl<'a> Context<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        objectives: &'a [ObjectiveStatus],
        findings: &'a [Finding],
        settings: &'a Settings,
    ) -> Self {
        let graph = Graph::new(snapshot);
        let tree = graph.dominator_tree();
        let passed = snapshot.nodes.iter().map(|node| (&node.id, tree.of(&node.id))).collect();
        let mut context = Self {
            snapshot,
            settings,
            objectives,
            missed: Vec::new(),
            seconds: snapshot.window.seconds().max(1e-9),
            entry_calls: 0.0,
            ids: BTreeMap::new(),
            callers: BTreeMap::new(),
            callees: BTreeMap::new(),
            operations: BTreeMap::new(),
            statuses: BTreeMap::new(),
            findings: BTreeMap::new(),
            entries: Vec::new(),
            passed,
            graph,
            reached: BTreeMap::new(),
            calls: Calls::of(snapshot),
            tails: Tails::of(snapshot),
            contrasts: contrast::all(snapshot),
        };
        for edge in snapshot.edges.iter().filter(|e| e.source != e.target) {
            context.callers.entry(&edge.target).or_default().push(edge);
            context.callees.entry(&edge.source).or_default().push(edge);
        }
        for operation in &snapshot.operations {
            context.operations.entry(&operation.service).or_default().push(operation);
        }
        for status in objectives {
            context.statuses.entry(&status.service).or_default().push(status);
        }
        for finding in findings {
            context.findings.entry(&finding.subject).or_default().push(finding);
            if let Some(target) = finding.target.as_ref().filter(|t| **t != finding.subject) {
                context.findings.entry(target).or_default().push(finding);
            }
        }
        context.index_entries();
        context
    }

    fn index_entries(&mut self) {
        let mut calls: BTreeMap<&'a NodeId, f64> = BTreeMap::new();
        for edge in self.snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Entry) {
            *calls.entry(&edge.target).or_default() += edge.calls.as_f64();
        }
        self.entry_calls = calls.values().sum();
        self.entries = calls.into_iter().map(|(service, calls)| Entry { service, calls }).collect();
        self.entries.sort_by(|a, b| b.calls.total_cmp(&a.calls).then(a.service.cmp(b.service)));
        for (bit, entry) in self.entries.iter().take(ENTRIES).enumerate() {
            // Requests wait for what is called synchronously; what lies behind a topic happens later.
            for waiting in [true, false] {
                for node in reach(&self.callees, entry.service, waiting) {
                    let reached = self.reached.entry(node).or_default();
                    let bits = if waiting { &mut reached.waiting } else { &mut reached.any };
                    *bits |= 1 << bit;
                }
            }
        }
    }

    /// Edges into a node, most calls first. Without calls to itself.
    pub(super) fn callers(&self, id: &NodeId) -> Vec<&'a Edge> {
        by_calls(self.callers.get(id))
    }

    /// Edges out of a node, most calls first. Without calls to itself.
    pub(super) fn callees(&self, id: &NodeId) -> Vec<&'a Edge> {
        by_calls(self.callees.get(id))
    }

    /// SERVER and CONSUMER operations of a service, in order of (kind, name).
    pub(super) fn handled_operations(&self, id: &NodeId) -> Vec<&'a Operation> {
        self.operations.get(id).into_iter().flatten().copied().filter(|o| o.kind.is_called()).collect()
    }

    /// Whether a service handles messages, so that its time is in CONSUMER spans too.
    pub(super) fn consumes(&self, id: &NodeId) -> bool {
        self.operations.get(id).into_iter().flatten().any(|o| o.kind == SpanKind::Consumer)
    }

    /// Statuses of a service, in order of id.
    pub(super) fn statuses(&self, id: &NodeId) -> &[&'a ObjectiveStatus] {
        self.statuses.get(id).map_or(&[], Vec::as_slice)
    }

    /// Findings about a node or an edge of it, worst first.
    pub(super) fn findings(&self, id: &NodeId) -> &[&'a Finding] {
        self.findings.get(id).map_or(&[], Vec::as_slice)
    }

    /// Entries whose requests reach a node; `waiting`: they wait for it.
    pub(super) fn entries_reaching(&self, id: &NodeId, waiting: bool) -> Vec<Entry<'a>> {
        let reached = self.reached.get(id).copied().unwrap_or_default();
        let bits = if waiting { reached.waiting } else { reached.any & !reached.waiting };
        self.entries.iter().take(ENTRIES).enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, e)| *e).collect()
    }

    /// Services that reach a node only through its direct callers, with the number of calls between, nearest first.
    pub(super) fn indirect_callers(&self, id: &NodeId) -> Vec<(usize, NodeId)> {
        let is_service = |id: &NodeId| self.snapshot.node(id).is_some_and(|n| n.kind == NodeKind::Service);
        let layers = self.graph.callers(id).into_iter().skip_while(|(depth, _)| *depth < 2);
        layers
            .flat_map(|(depth, ids)| ids.into_iter().map(move |id| (depth, id)))
            .filter(|(_, id)| is_service(id))
            .collect()
    }

    /// Services every request from outside passes on its way to a node, in the order they are passed.
    pub(super) fn passed_on_the_way(&self, id: &NodeId) -> Vec<&NodeId> {
        let is_service = |id: &&NodeId| self.snapshot.node(id).is_some_and(|n| n.kind == NodeKind::Service);
        self.passed.get(id).into_iter().flatten().rev().filter(is_service).collect()
    }

    /// What lies below a node, not going up again.
    fn below(&self, id: &NodeId) -> Below {
        self.calls.below(id, self.passed.get(id).map_or(&[], Vec::as_slice))
    }

    /// Who holds the time of slow requests that touch a node; or why nobody knows.
    pub(super) fn tail(&self, id: &NodeId, by: By) -> Result<Tail<'a>, Untold> {
        // Walking the calls is for nothing where there is no evidence.
        let below = if self.snapshot.requests.is_empty() { Below::default() } else { self.below(id) };
        self.tails.about(id, &below, by)
    }

    /// Where the failures of a node begin; or why nobody knows.
    pub(super) fn failures(&self, id: &NodeId) -> Result<Failures<'a>, Untold> {
        let below = if self.snapshot.origins.is_empty() { Below::default() } else { self.below(id) };
        errors::about(self.snapshot, id, &below)
    }

    /// Versions, places and instances of a service that do worse than the rest, worst first.
    pub(super) fn contrasts(&self, id: &NodeId, respect: Respect) -> Vec<&Contrast<'a>> {
        self.contrasts.iter().filter(|c| c.service == id && c.respect == respect).collect()
    }

    /// The share of the requests from outside that touch a node, 0..=1, counted trace by trace; `None` where the snapshot
    /// did not count them (aggregates).
    pub(super) fn exact_entry_share(&self, id: &NodeId) -> Option<f64> {
        let all = self.snapshot.coverage.entry_traces;
        let node = self.snapshot.node(id)?;
        (!all.is_zero()).then(|| node.entry_traces.ratio_of(all).min(1.0))
    }

    /// The same, or the largest it can be where it was not counted: a request that touches a node calls it at least once.
    pub(super) fn entry_share(&self, id: &NodeId) -> f64 {
        if let Some(exact) = self.exact_entry_share(id) {
            return exact;
        }
        if self.entry_calls <= 0.0 {
            return 0.0;
        }
        let callers = |id: &NodeId| self.callers.get(id).cloned().unwrap_or_default();
        let bound = |edges: &[&Edge]| edges.iter().map(|e| e.calls.as_f64()).sum::<f64>() / self.entry_calls;
        // Nor can more get there than reach its callers; what enters counts as it is.
        let edges = callers(id);
        let before = edges.iter().map(|e| match e.kind {
            EdgeKind::Entry => e.calls.as_f64() / self.entry_calls,
            _ => bound(&callers(&e.source)).min(1.0),
        });
        before.sum::<f64>().min(bound(&edges)).min(1.0)
    }

    /// How many times a second.
    pub(super) fn rate(&self, calls: f64) -> f64 {
        calls / self.seconds
    }

    /// Calls a service handled; for one that only calls others (a job), the calls it made.
    pub(super) fn own_calls(&self, id: &NodeId) -> f64 {
        let handled = self.snapshot.node(id).map_or(0.0, |n| n.handled.calls.as_f64());
        if handled > 0.0 { handled } else { self.callees(id).iter().map(|e| e.calls.as_f64()).sum() }
    }

    /// The share of the caller's own calls that this edge amounts to; above 1 when it calls several times a request.
    pub(super) fn share_of_caller(&self, edge: &Edge) -> f64 {
        let own = self.own_calls(&edge.source);
        if own > 0.0 { edge.calls.as_f64() / own } else { 0.0 }
    }

    /// Whether anything is known to be wrong with a node in the window.
    pub(super) fn alarmed(&self, id: &NodeId) -> bool {
        self.statuses(id).iter().any(|s| s.state == crate::slo::ObjectiveState::Breached)
    }

    /// The runbook to go to for a node: by the given kinds in order of preference.
    pub(super) fn runbook_of(&self, id: &NodeId, prefixes: &[&str]) -> Option<&str> {
        prefixes.iter().find_map(|p| self.ids.get(&format!("{p}:{id}"))).map(String::as_str)
    }

    /// A node as pages speak of it, seen or not.
    pub(super) fn target(&self, id: &NodeId) -> Target<'a> {
        let node = self.snapshot.node(id);
        let mut target = match node {
            Some(n) => Target::of_node(n),
            None => Target::from_id(id),
        };
        let services = &self.settings.services;
        let bare = services.get(&target.name).filter(|_| target.kind == NodeKind::Service);
        target.config = services.get(&id.0).or(bare);
        target
    }

    /// Ids of the nodes a person may mean: the id itself, else every node of that name (of one kind, when given).
    pub(super) fn resolve(&self, name: &str, kinds: &[NodeKind]) -> Vec<&'a NodeId> {
        let fits = |n: &&Node| kinds.is_empty() || kinds.contains(&n.kind);
        if let Some(node) = self.snapshot.node(&NodeId(name.to_owned())).filter(fits) {
            return vec![&node.id];
        }
        self.snapshot.nodes.iter().filter(fits).filter(|n| n.name == name).map(|n| &n.id).collect()
    }
}

/// What can be reached from a node, itself included; `waiting` stops at topics.
fn reach<'a>(callees: &BTreeMap<&'a NodeId, Vec<&'a Edge>>, from: &'a NodeId, waiting: bool) -> BTreeSet<&'a NodeId> {
    let mut seen = BTreeSet::from([from]);
    let mut queue = VecDeque::from([from]);
    while let Some(id) = queue.pop_front() {
        for edge in callees.get(id).into_iter().flatten() {
            if !(waiting && edge.kind == EdgeKind::Messaging) && seen.insert(&edge.target) {
                queue.push_back(&edge.target);
            }
        }
    }
    seen
}

fn by_calls<'a>(edges: Option<&Vec<&'a Edge>>) -> Vec<&'a Edge> {
    let mut edges: Vec<&'a Edge> = edges.cloned().unwrap_or_default();
    edges.sort_by(|a, b| {
        b.calls.cmp(&a.calls).then((&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)))
    });
    edges
}

/// A node a page speaks of. It may be missing in the snapshot: then only its name is known.
#[derive(Clone)]
pub(super) struct Target<'a> {
    pub(super) id: NodeId,
    pub(super) kind: NodeKind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) system: String,
    pub(super) node: Option<&'a Node>,
    pub(super) config: Option<&'a ServiceConfig>,
}

impl<'a> Target<'a> {
    fn of_node(node: &'a Node) -> Self {
        Self {
            id: node.id.clone(),
            kind: node.kind,
            namespace: node.namespace.clone(),
            name: node.name.clone(),
            system: node.system.clone(),
            node: Some(node),
            config: None,
        }
    }

    /// Reads an id as the topology writes it: `database:mysql:ts`, `messaging:kafka:orders`, `external:host`, `shop/api`.
    pub(super) fn from_id(id: &NodeId) -> Self {
        let (kind, rest) = match id.0.split_once(':') {
            Some(("database", rest)) => (NodeKind::Database, rest),
            Some(("messaging", rest)) => (NodeKind::Messaging, rest),
            Some(("external", rest)) => (NodeKind::External, rest),
            _ => (NodeKind::Service, id.0.as_str()),
        };
        let (first, second) = match kind {
            NodeKind::Database | NodeKind::Messaging => rest.split_once(':').unwrap_or(("", rest)),
            NodeKind::Service => rest.split_once('/').unwrap_or(("", rest)),
            _ => ("", rest),
        };
        let (namespace, system) = if kind == NodeKind::Service { (first, "") } else { ("", first) };
        let (namespace, system) = (namespace.to_owned(), system.to_owned());
        Self { id: id.clone(), kind, namespace, name: second.to_owned(), system, node: None, config: None }
    }

    /// What it handled, where it was seen.
    pub(super) fn handled(&self) -> Option<&'a Stats> {
        self.node.map(|n| &n.handled).filter(|s| s.n > 0)
    }

    /// How people call it: bounded, untrusted.
    pub(super) fn label(&self) -> String {
        match self.name.as_str() {
            "" => super::quote::label(&self.id.0),
            name if self.system.is_empty() || self.system == name => match self.id.0.rsplit_once('@') {
                // Where the environment is part of the identity: `cart@prod`.
                Some((_, scope)) if !name.contains('@') => super::quote::label(&format!("{name}@{scope}")),
                _ => super::quote::label(name),
            },
            // A database and a topic may share a name.
            name => super::quote::label(&format!("{}:{name}", self.system)),
        }
    }

    /// The key to use under `services:`.
    pub(super) fn config_key(&self) -> String {
        super::quote::label(&self.id.0)
    }
}

/// The name of a node, as pages say it.
pub(super) fn name_of(context: &Context<'_>, id: &NodeId) -> String {
    context.target(id).label()
}
