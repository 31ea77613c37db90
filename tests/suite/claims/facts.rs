//! What the spans of a capture say: nodes, edges and operations, summed up from spans and calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use super::calls::{self, Call, Forest};
use super::config::Config;
use super::origins;
use super::paths::{self, Request};
use super::spans::{Kind, Span};
use super::tails::{self, Tail};
use super::times::Times;

/// Spans or calls, summed up.
#[derive(Debug, Clone, Default)]
pub struct Sums {
    pub n: u64,
    pub calls: f64,
    pub errors: f64,
    pub times: Times,
    pub classes: BTreeMap<String, f64>,
    /// Calls and errors by five minutes.
    pub series: BTreeMap<u64, (f64, f64)>,
}

impl Sums {
    fn add(&mut self, start: u64, weight: f64, failed: bool, class: &str) {
        self.n += 1;
        self.calls += weight;
        let bucket = self.series.entry(start / 300_000_000_000).or_default();
        bucket.0 += weight;
        if failed {
            self.errors += weight;
            bucket.1 += weight;
            let class = if class.is_empty() { "error without a type" } else { class };
            *self.classes.entry(class.to_owned()).or_default() += weight;
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.calls += other.calls;
        self.errors += other.errors;
        self.times.extend(&other.times);
        self.times.sorted();
        other.classes.iter().for_each(|(class, w)| *self.classes.entry(class.clone()).or_default() += w);
        for (at, (calls, errors)) in &other.series {
            let bucket = self.series.entry(*at).or_default();
            (bucket.0, bucket.1) = (bucket.0 + calls, bucket.1 + errors);
        }
    }

    pub fn error_ratio(&self) -> f64 {
        if self.calls > 0.0 { self.errors / self.calls } else { 0.0 }
    }
}

/// All calls from one node to another.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    pub kind: &'static str,
    pub sums: Sums,
    pub client: Times,
    pub server: Times,
    pub gap: Times,
    pub dwell: Times,
    /// Durations by the name of the calling span.
    pub by_name: BTreeMap<String, Times>,
    pub all: Vec<Call>,
}

impl Edge {
    /// What the caller waits for; where only the called side is seen, that.
    pub fn latency(&self) -> &Times {
        if self.client.is_empty() { &self.server } else { &self.client }
    }

    pub fn gap_share(&self) -> f64 {
        (self.gap.sum() / self.client.sum()).min(1.0)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Sends spans of its own.
    pub instrumented: bool,
    pub handled: Sums,
    /// By kind and span name.
    pub operations: BTreeMap<(Kind, String), Sums>,
    /// Spans by attribute of the process and value.
    pub attributes: BTreeMap<String, BTreeMap<String, u64>>,
    /// Requests from outside that touch it.
    pub touched: f64,
}

/// Counts of the whole capture.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    pub traces: u64,
    pub rootless: u64,
    pub orphans: u64,
    pub duplicates: u64,
    pub skewed: u64,
    pub lost_links: u64,
    /// Requests from outside.
    pub entries: f64,
}

/// A node, and whether its suspects are ordered by their time.
type ByTime = (String, bool);

pub struct Facts {
    pub config: Config,
    /// In order of trace and id, without copies.
    pub spans: Vec<Span>,
    pub nodes: BTreeMap<String, Node>,
    pub edges: BTreeMap<(String, String), Edge>,
    pub coverage: Coverage,
    /// First start and last end.
    pub window: (u64, u64),
    /// Requests from outside, and where failures begin.
    pub requests: Vec<Request>,
    pub origins: BTreeMap<origins::Key, origins::Sums>,
    /// Slow against normal requests, by the operation they enter by; and as nodes see them, once asked for.
    pub entries: Vec<tails::Entry>,
    tails: Mutex<BTreeMap<ByTime, Option<Arc<Tail>>>>,
}

/// One of each span: of copies the one that ends last.
fn unique(all: Vec<Span>) -> Vec<Span> {
    let mut kept: BTreeMap<(String, String), Span> = BTreeMap::new();
    for span in all {
        let key = (span.trace.clone(), span.id.clone());
        if kept.get(&key).is_none_or(|old| old.end <= span.end) {
            kept.insert(key, span);
        }
    }
    kept.into_values().collect()
}

impl Facts {
    pub fn new(all: Vec<Span>, config: Config) -> Self {
        let before = all.len();
        let spans = unique(all);
        let forest = Forest::new(&spans);
        let calls = calls::calls(&forest);
        let coverage = Coverage { duplicates: (before - spans.len()) as u64, ..coverage(&forest) };
        let (edges, mut nodes) = (edges(&calls), nodes(&spans));
        inferred(&edges, &mut nodes);
        let of_trace = nodes_of_traces(&forest, &calls);
        for root in spans.iter().filter(|s| s.kind == Kind::Server && s.parent.is_empty()) {
            of_trace[&root.trace].iter().for_each(|id| nodes.get_mut(id).unwrap().touched += root.weight);
        }
        let (requests, origins) = (paths::requests(&forest, &of_trace), origins::origins(&forest));
        let (entries, tails) = (tails::entries(&requests), Mutex::default());
        let window = (spans.iter().map(|s| s.start).min().unwrap(), spans.iter().map(|s| s.end).max().unwrap());
        Self { config, nodes, edges, coverage, window, requests, origins, entries, tails, spans }
    }

    /// Slow against normal requests, as a node sees them.
    pub fn tail(&self, node: &str, by_time: bool) -> Option<Arc<Tail>> {
        let made = || Tail::new(self, node, by_time).map(Arc::new);
        self.tails.lock().unwrap().entry((node.to_owned(), by_time)).or_insert_with(made).clone()
    }

    /// The spans of a trace: spans are in order of trace and id.
    pub fn trace(&self, id: &str) -> &[Span] {
        let from = self.spans.partition_point(|s| s.trace.as_str() < id);
        let of_it = self.spans[from..].partition_point(|s| s.trace == id);
        &self.spans[from..from + of_it]
    }

    pub fn seconds(&self) -> f64 {
        (self.window.1 - self.window.0) as f64 / 1e9
    }

    pub fn rate(&self, calls: f64) -> f64 {
        calls / self.seconds()
    }

    pub fn edge(&self, source: &str, target: &str) -> Option<&Edge> {
        self.edges.get(&(source.to_owned(), target.to_owned()))
    }

    /// Edges into a node, without calls to itself.
    pub fn into(&self, id: &str) -> Vec<(&str, &Edge)> {
        self.edges.iter().filter(|((s, t), _)| t == id && s != id).map(|((s, _), e)| (s.as_str(), e)).collect()
    }

    /// Edges out of a node, without calls to itself.
    pub fn out_of(&self, id: &str) -> Vec<(&str, &Edge)> {
        self.edges.iter().filter(|((s, t), _)| s == id && t != id).map(|((_, t), e)| (t.as_str(), e)).collect()
    }

    /// Calls from all callers but the outside.
    pub fn called(&self, id: &str) -> Sums {
        let mut all = Sums::default();
        self.into(id).iter().filter(|(_, e)| e.kind != "entry").for_each(|(_, e)| all.merge(&e.sums));
        all
    }

    /// The share of a service's time that calls of this edge are waited for; side by side they count twice.
    pub fn time_share(&self, source: &str, target: &str) -> Option<f64> {
        Some(self.edge(source, target)?.latency().sum() / self.nodes[source].handled.times.sum())
    }

    /// What is left of a service's time.
    pub fn own_time(&self, id: &str) -> f64 {
        let calls: f64 = self.out_of(id).iter().map(|(_, e)| e.latency().sum()).sum();
        (1.0 - calls / self.nodes[id].handled.times.sum()).max(0.0)
    }

    /// Calls that a service handles; of one that handles none, those it makes.
    pub fn own_calls(&self, id: &str) -> f64 {
        match self.nodes[id].handled.calls {
            0.0 => self.out_of(id).iter().map(|(_, e)| e.sums.calls).sum(),
            handled => handled,
        }
    }

    /// All calls that enter from outside.
    pub fn entering(&self) -> f64 {
        self.edges.values().filter(|e| e.kind == "entry").map(|e| e.sums.calls).sum()
    }

    /// Nodes that lead to this one, with the least number of calls between.
    pub fn callers_by_depth(&self, id: &str) -> BTreeMap<String, u64> {
        let mut depth = BTreeMap::from([(id.to_owned(), 0)]);
        for step in 1.. {
            let before: Vec<String> = depth.keys().cloned().collect();
            for node in before {
                for (caller, _) in self.into(&node) {
                    depth.entry(caller.to_owned()).or_insert(step);
                }
            }
            if depth.values().all(|d| *d < step) {
                break;
            }
        }
        depth
    }

    /// How pages call a node.
    pub fn label(&self, id: &str) -> String {
        let parts: Vec<&str> = id.splitn(3, ':').collect();
        match parts.as_slice() {
            ["database" | "messaging", system, name] if system != name => format!("{system}:{name}"),
            [_, .., name] => (*name).to_owned(),
            _ => id.rsplit('/').next().unwrap_or(id).to_owned(),
        }
    }

    /// The node a page or a finding means.
    pub fn node(&self, said: &str) -> Option<&str> {
        let mut meant = self.nodes.keys().filter(|id| *id == said || self.label(id) == said);
        let first = meant.next()?;
        assert!(meant.next().is_none(), "two nodes are called {said}");
        Some(first)
    }

    /// What code on pages may name: names and values of spans, ids, and what the configuration says.
    pub fn names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.config.texts();
        for (id, node) in &self.nodes {
            names.extend([id.clone(), self.label(id)]);
            names.extend(node.operations.keys().map(|(_, name)| name.clone()));
            names.extend(node.handled.classes.keys().cloned());
            names.extend(node.attributes.keys().cloned());
            names.extend(node.attributes.values().flat_map(|values| values.keys().cloned()));
        }
        for edge in self.edges.values() {
            names.extend(edge.sums.classes.keys().cloned());
            names.extend(edge.by_name.keys().cloned());
        }
        names
    }
}

fn coverage(forest: &Forest<'_>) -> Coverage {
    let mut coverage = Coverage::default();
    let mut rooted: BTreeMap<&str, bool> = BTreeMap::new();
    for span in forest.spans {
        *rooted.entry(&span.trace).or_default() |= span.parent.is_empty();
        let parent = forest.parent(span);
        coverage.orphans += u64::from(!span.parent.is_empty() && parent.is_none());
        let early = |sender: &Span| sender.service != span.service && span.start < sender.start;
        coverage.skewed += u64::from(parent.is_some_and(early));
        for (trace, id) in &span.links {
            let sender = forest.find(trace, id);
            coverage.lost_links += u64::from(sender.is_none());
            coverage.skewed += u64::from(sender.is_some_and(|s| span.kind == Kind::Consumer && span.start < s.start));
        }
        let enters = span.kind == Kind::Server && span.parent.is_empty();
        coverage.entries += if enters { span.weight } else { 0.0 };
    }
    coverage.traces = rooted.len() as u64;
    coverage.rootless = rooted.values().filter(|rooted| !**rooted).count() as u64;
    coverage
}

fn edges(calls: &[Call]) -> BTreeMap<(String, String), Edge> {
    let mut edges: BTreeMap<(String, String), Edge> = BTreeMap::new();
    for call in calls {
        let edge = edges.entry((call.source.clone(), call.target.clone())).or_default();
        assert!(edge.kind.is_empty() || edge.kind == call.kind, "one kind of edge between two nodes");
        edge.kind = call.kind;
        edge.sums.add(call.start, call.weight, call.failed, &call.class);
        edge.client.add(call.client, call.weight);
        edge.server.add(call.server, call.weight);
        edge.gap.add(call.gap, call.weight);
        edge.dwell.add(call.dwell, call.weight);
        let name = if call.names.0.is_empty() { &call.names.1 } else { &call.names.0 };
        edge.by_name.entry(name.clone()).or_default().add(call.client.or(call.server), call.weight);
        edge.all.push(call.clone());
    }
    for edge in edges.values_mut() {
        [&mut edge.client, &mut edge.server, &mut edge.gap, &mut edge.dwell].into_iter().for_each(Times::sorted);
        edge.sums.times = edge.latency().clone();
    }
    edges
}

fn nodes(spans: &[Span]) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for span in spans {
        let node = nodes.entry(span.service.clone()).or_default();
        node.instrumented = true;
        for (key, value) in span.resource.iter() {
            *node.attributes.entry(key.clone()).or_default().entry(value.clone()).or_default() += 1;
        }
        let operation = node.operations.entry((span.kind, span.name.clone())).or_default();
        for sums in [operation].into_iter().chain(span.is_called().then_some(&mut node.handled)) {
            sums.add(span.start, span.weight, span.failed(), &span.class());
            sums.times.add(span.duration(), span.weight);
        }
    }
    for node in nodes.values_mut() {
        node.handled.times.sorted();
        node.operations.values_mut().for_each(|o| o.times.sorted());
    }
    nodes
}

/// Nodes without spans: what their callers saw is what they handled.
fn inferred(edges: &BTreeMap<(String, String), Edge>, nodes: &mut BTreeMap<String, Node>) {
    for ((source, target), edge) in edges {
        nodes.entry(source.clone()).or_default();
        let node = nodes.entry(target.clone()).or_default();
        if !node.instrumented {
            node.handled.merge(&edge.sums);
        }
    }
}

/// Nodes that each trace touches: those of its spans, and both ends of the calls it tells.
fn nodes_of_traces(forest: &Forest<'_>, calls: &[Call]) -> BTreeMap<String, BTreeSet<String>> {
    let mut of_trace: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for span in forest.spans {
        of_trace.entry(span.trace.clone()).or_default().insert(span.service.clone());
    }
    for call in calls {
        of_trace.entry(call.trace.clone()).or_default().extend([call.source.clone(), call.target.clone()]);
    }
    of_trace
}
