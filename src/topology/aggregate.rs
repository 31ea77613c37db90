//! From what a backend counted to the snapshot.
//!
//! Input: an [`Aggregate`] and the rules of the configuration that are about names. Output: a [`Snapshot`] of kind
//! `aggregate`, its edges known by `aggregate`. Must not: guess. Spans, traces, exemplars, critical paths, self times,
//! origins, gaps and instances are unknown and stay empty; so does what a node without operations of its own handled,
//! but for what the edges into it say.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::caps;
use super::cfg::TopologyConfig;
use super::dicts::ServiceName;
use super::naming::{self, Fate, Named, NamedPeer, Seed};
use super::publish;
use super::quantile_error::QuantileError;
use super::snapshot::{
    Bucket, Coverage, Edge, EdgeKind, EdgeOperation, ErrorCount, KnownBy, Node, NodeId, NodeKind, Operation,
    Provenance, SCHEMA, Series, Snapshot, SnapshotKind, Stats, Window,
};
use super::unite;
use super::{Sketch, codec};
use crate::diag::Diagnostic;
use crate::spans::aggregate::{
    Aggregate, AggregateCall, AggregateEdge, AggregateOperation, AggregateService, Durations, Party, Totals,
};
use crate::spans::{SpanKind, Weight, normalize};

/// Makes a snapshot of what a backend counted. `sources` are what provenance calls them, sorted. Aliases, ignored services and
/// operations, and the caps of the configuration hold as they do for spans; rules that need whole traces do not.
///
/// # Errors
/// `no-aggregates` when there is neither a call nor an operation, or an ignore rule leaves out everything.
pub fn from_aggregate(aggregate: Aggregate, sources: &[String], cfg: &TopologyConfig) -> Result<Snapshot, Diagnostic> {
    let window = aggregate.window;
    let mut made =
        Making { cfg, nodes: BTreeMap::new(), operations: BTreeMap::new(), edges: BTreeMap::new(), error: None };
    aggregate.operations.iter().for_each(|operation| made.operation(operation));
    aggregate.edges.iter().for_each(|edge| made.edge(edge));
    if made.operations.is_empty() && made.edges.is_empty() {
        return Err(Diagnostic::error("no-aggregates", "the backend counted not a single call in the window")
            .help("check the window (--lookback, --start, --end), the tenant and the filter; nothing was changed"));
    }
    let mut snapshot = Snapshot {
        schema: SCHEMA.to_owned(),
        provenance: Provenance {
            kind: SnapshotKind::Aggregate,
            sources: sources.to_vec(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            spans_digest: "0".repeat(32),
            rules: cfg.fingerprint(),
            quantile_error: made.error,
            calls_only: aggregate.calls_only,
            example_traces: 0,
            external: Vec::new(),
            filter: Vec::new(),
        },
        window: Window { start: window.0, end: window.1.max(window.0) },
        coverage: Coverage::default(),
        nodes: made.nodes.into_values().collect(),
        operations: made.operations.into_values().collect(),
        edges: made.edges.into_values().collect(),
        requests: Vec::new(),
        origins: Vec::new(),
        instances: Vec::new(),
        traces: Vec::new(),
        external: Vec::new(),
        shard: None,
    };
    caps::services(&mut snapshot, cfg.max_services);
    caps::operations(&mut snapshot, cfg.max_operations);
    caps::edges(&mut snapshot, cfg.max_edges, 0);
    let mut snapshot = publish::publish(snapshot);
    handled_by_edges(&mut snapshot);
    snapshot.provenance.spans_digest = digest(&snapshot)?;
    Ok(snapshot)
}

/// Equal exactly when what was counted is: there are no spans to take a digest of.
fn digest(snapshot: &Snapshot) -> Result<String, Diagnostic> {
    let bytes = codec::encode(snapshot)?;
    Ok(Sha256::digest(&bytes).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Services of which no operation is known handled at least the calls into them.
fn handled_by_edges(snapshot: &mut Snapshot) {
    for node in &mut snapshot.nodes {
        let known = node.kind != NodeKind::Service || !node.instrumented || node.handled.n > 0;
        if known {
            continue;
        }
        for edge in snapshot.edges.iter().filter(|edge| edge.target == node.id) {
            let own = Stats {
                n: edge.n,
                calls: edge.calls,
                errors: edge.errors,
                error_classes: edge.error_classes.clone(),
                durations: edge.server.clone(),
                series: edge.series.clone(),
                ..Stats::default()
            };
            unite::stats(&mut node.handled, &own);
        }
    }
}

struct Making<'a> {
    cfg: &'a TopologyConfig,
    nodes: BTreeMap<NodeId, Node>,
    operations: BTreeMap<(NodeId, SpanKind, String), Operation>,
    edges: BTreeMap<(NodeId, NodeId, EdgeKind), Edge>,
    error: Option<QuantileError>,
}

impl Making<'_> {
    fn operation(&mut self, from: &AggregateOperation) {
        let Some((id, node)) = self.service(&from.service) else { return };
        let name = normalize::operation(&from.name).into_owned();
        if naming::operation_ignored(self.cfg, &name) || nothing(&from.totals) {
            return;
        }
        let durations = self.sketch(from.durations.as_ref());
        let counted = counted(&from.totals, durations.n());
        let next = Operation {
            service: id.clone(),
            kind: from.kind,
            name: name.clone(),
            entry: from.entry,
            stats: Stats {
                n: counted.n,
                calls: counted.calls,
                errors: counted.errors,
                error_classes: classes(&from.totals),
                durations,
                series: series(&from.totals),
                ..Stats::default()
            },
            self_ns: None,
            self_times: super::Spread::default(),
            flow: super::Flow::default(),
        };
        self.keep(id.clone(), node);
        match self.operations.get_mut(&(id.clone(), from.kind, name.clone())) {
            // Nothing is known of self times or steps: there is nothing to be beyond.
            Some(mine) => {
                mine.entry |= next.entry;
                unite::stats(&mut mine.stats, &next.stats);
            }
            None => _ = self.operations.insert((id, from.kind, name), next),
        }
    }

    fn edge(&mut self, from: &AggregateEdge) {
        let (Some(source), Some(target)) = (self.party(&from.source), self.party(&from.target)) else { return };
        if nothing(&from.totals) {
            return;
        }
        let (client, server) = (self.sketch(from.client.as_ref()), self.sketch(from.server.as_ref()));
        let counted = counted(&from.totals, client.n().max(server.n()));
        let named = !from.source_operation.is_empty() || !from.target_operation.is_empty();
        let waited = if client.is_empty() { &server } else { &client };
        let pair = named.then(|| EdgeOperation {
            source: normalize::operation(&from.source_operation).into_owned(),
            target: normalize::operation(&from.target_operation).into_owned(),
            calls: counted.calls,
            errors: counted.errors,
            sum_ns: u64::try_from(waited.sum().micro() / 1_000_000).unwrap_or(u64::MAX),
            n: waited.n(),
        });
        let next = Edge {
            source: source.0.clone(),
            target: target.0.clone(),
            kind: match from.call {
                AggregateCall::Call => EdgeKind::Call,
                AggregateCall::Database => EdgeKind::Database,
                AggregateCall::Messaging => EdgeKind::Messaging,
                AggregateCall::External => EdgeKind::External,
                AggregateCall::Entry => EdgeKind::Entry,
            },
            known_by: BTreeMap::from([(KnownBy::Aggregate, counted.calls)]),
            n: counted.n,
            calls: counted.calls,
            errors: counted.errors,
            error_classes: classes(&from.totals),
            client,
            server,
            gap: Sketch::default(),
            dwell: Sketch::default(),
            series: series(&from.totals),
            operations: pair.into_iter().collect(),
            dimensions: BTreeMap::new(),
            exemplars: super::Exemplars::default(),
        };
        let key = (source.0.clone(), target.0.clone(), next.kind);
        self.keep(source.0, source.1);
        self.keep(target.0, target.1);
        match self.edges.get_mut(&key) {
            Some(mine) => unite::edge(mine, &next),
            None => _ = self.edges.insert(key, next),
        }
    }

    /// What an end is called; `None` where an ignore rule leaves it out.
    fn party(&self, party: &Party) -> Option<(NodeId, Seed)> {
        match party {
            Party::Service(service) => self.service(service),
            Party::Peer(peer) => {
                let named = NamedPeer::of(peer, self.cfg);
                named.node.filter(|_| !named.ignored).map(|(id, seed)| (NodeId(id), seed))
            }
            Party::Entry(name) => {
                let name = normalize::clean(name, normalize::MAX_NAME);
                Some((NodeId(format!("entry:{name}")), naming::seed(NodeKind::Entry, "", &name, "")))
            }
        }
    }

    fn service(&self, service: &AggregateService) -> Option<(NodeId, Seed)> {
        let clean = |text: &str| normalize::clean(text, normalize::MAX_NAME).into_owned();
        let sent =
            ServiceName { namespace: clean(&service.namespace), name: clean(&service.name), scope: String::new() };
        let named = Named::of(&sent, 0, self.cfg);
        (named.fate(&sent, self.cfg) != Fate::Ignored).then_some((NodeId(named.id), named.seed))
    }

    /// A node may be named by a caller first and speak for itself later.
    fn keep(&mut self, id: NodeId, seed: Seed) {
        let node = self.nodes.entry(id.clone()).or_insert_with(|| Node {
            id,
            kind: seed.kind,
            namespace: seed.namespace,
            name: seed.name,
            system: seed.system,
            instrumented: false,
            attributes: BTreeMap::new(),
            handled: Stats::default(),
            entry_traces: Weight::ZERO,
        });
        node.instrumented |= seed.instrumented;
    }

    /// A sketch of the backend's histogram; how far its buckets let quantiles be off is noted.
    fn sketch(&mut self, durations: Option<&Durations>) -> Sketch {
        let Some(durations) = durations else { return Sketch::default() };
        let sketch = Sketch::of_buckets(durations);
        if let Some(error) = sketch.quantile_error() {
            self.error = Some(self.error.map_or(error, |mine| mine.worst(error)));
        }
        sketch
    }
}

/// Whether there is nothing to count.
fn nothing(totals: &Totals) -> bool {
    totals.calls.is_zero() && totals.errors.is_zero()
}

struct Counted {
    n: u64,
    calls: Weight,
    errors: Weight,
}

/// Counters of a backend are read one after the other: a failure may be counted of which the call is not yet.
fn counted(totals: &Totals, with_duration: u64) -> Counted {
    let calls = totals.calls.max(totals.errors);
    let n = calls.micro().div_ceil(Weight::ONE.micro());
    Counted { n: n.max(with_duration), calls, errors: totals.errors }
}

fn classes(totals: &Totals) -> Vec<ErrorCount> {
    let known = totals.classes.iter().filter(|(_, calls)| !calls.is_zero());
    let mut all: Vec<ErrorCount> =
        known.map(|(class, calls)| ErrorCount { class: class.clone(), calls: *calls }).collect();
    unite::sort_classes(&mut all);
    all
}

fn series(totals: &Totals) -> Series {
    let bucket = |(at, (calls, errors)): (&u64, &(Weight, Weight))| {
        let (calls, errors) = ((*calls).max(*errors), *errors);
        (!calls.is_zero()).then_some((*at, Bucket { calls, errors }))
    };
    Series(totals.series.iter().filter_map(bucket).collect())
}

#[cfg(test)]
#[path = "aggregate_tests.rs"]
mod tests;
