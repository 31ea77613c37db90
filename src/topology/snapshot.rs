//! The snapshot: everything later stages know. Canonical, versioned, mergeable (DESIGN: "One pivot").
//!
//! Every list is sorted by its key, every map is a `BTreeMap`, every number is exact or an integer: the same spans give
//! the same bytes whatever the order they came in.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::dimensions::EdgeDimension;
use super::evidence::{Flow, Instance, Origin, Requests, TraceSummary};
use super::external::External;
use super::kind_name;
pub use super::provenance::{MOST_FILTER, Provenance};
use super::shard::Parts;
use super::{Sketch, Spread, TimeSum};
use crate::spans::{ErrorClass, SpanId, SpanKind, TraceId, UnixNanos, Weight};

/// Name and version of the file format.
pub const SCHEMA: &str = "tracebook.snapshot/1";

/// One topology with its statistics, self-contained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: String,
    /// Where it comes from. No part of it changes a page's claims.
    pub provenance: Provenance,
    /// The time the spans cover.
    pub window: Window,
    /// What was seen, and what could not be used.
    pub coverage: Coverage,
    /// Sorted by id.
    pub nodes: Vec<Node>,
    /// Sorted by (service, kind, name).
    pub operations: Vec<Operation>,
    /// Sorted by (source, target, kind).
    pub edges: Vec<Edge>,
    /// Where requests from outside spend their time. Sorted by (service, kind, operation).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<Requests>,
    /// Where failures begin. Sorted by (service, operation, kind, target).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<Origin>,
    /// How instances differ. Sorted by (service, attributes).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Instance>,
    /// Some traces in short. Sorted by (service, class, rank).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<TraceSummary>,
    /// What a Prometheus answered to the queries of external objectives over the window. Sorted by query.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<External>,
    /// Set while shards of the run are missing: lists are then longer than published ones, and nothing but merging is
    /// meant to read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Parts>,
}

impl Snapshot {
    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.binary_search_by(|n| n.id.cmp(id)).ok().map(|i| &self.nodes[i])
    }

    /// Edges into a node, in order of source.
    pub fn edges_to<'a>(&'a self, id: &'a NodeId) -> impl Iterator<Item = &'a Edge> {
        self.edges.iter().filter(move |e| e.target == *id)
    }

    /// Edges out of a node, in order of target.
    pub fn edges_from<'a>(&'a self, id: &'a NodeId) -> impl Iterator<Item = &'a Edge> {
        self.edges.iter().filter(move |e| e.source == *id)
    }

    /// Operations of a service, in order of (kind, name).
    pub fn operations_of<'a>(&'a self, id: &'a NodeId) -> impl Iterator<Item = &'a Operation> {
        self.operations.iter().filter(move |o| o.service == *id)
    }

    /// Services only, in order of id.
    pub fn services(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|n| n.kind == NodeKind::Service)
    }
}

/// Spans or aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// Built from spans: everything can be known.
    Spans,
    /// Built from a backend's aggregates: exemplars and critical paths are unknown.
    Aggregate,
}

/// The time covered: from the first span's start to the last span's end, or what was asked for where a backend was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant.
    pub start: UnixNanos,
    /// Last instant.
    pub end: UnixNanos,
}

impl Window {
    /// Length in seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for display and rates")]
    pub fn seconds(&self) -> f64 {
        self.end.since(self.start) as f64 / 1e9
    }
}

/// What was seen and what was lost. Counts are spans unless the name says otherwise, unweighted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Spans kept, after removal of duplicates.
    pub spans: u64,
    /// Traces they belong to.
    pub traces: u64,
    /// Traces without a root span.
    pub rootless_traces: u64,
    /// Spans whose parent id is set but whose parent is not there. Never linked to anything.
    pub orphans: u64,
    /// CLIENT and PRODUCER spans with neither a remote child nor attributes that name a peer.
    pub unpaired: u64,
    /// Copies of a span already seen, removed.
    pub duplicates: u64,
    /// Spans that start before their parent in another service, or before the message they receive was sent: clocks differ.
    pub skewed: u64,
    /// Spans without a usable end time: counted as calls, not in latencies.
    pub no_duration: u64,
    /// Links whose other end is not in these spans.
    pub unresolved_links: u64,
    /// Traces the backend said it could only give in part.
    pub partial_traces: u64,
    /// Traces of the window that were left out, since only a sample was asked for (`--max-traces`).
    #[serde(default, skip_serializing_if = "is_none")]
    pub left_out_traces: u64,
    /// Spans refused, by diagnostic code.
    pub rejected: BTreeMap<String, u64>,
    /// Spans left out by an ignore rule.
    pub ignored: u64,
    /// Spans of gateways that a rule looks through.
    #[serde(default, skip_serializing_if = "is_none")]
    pub transparent: u64,
    /// What is beyond a cap, by what was capped: spans of `services`, `operations`, `peers` and over-long traces
    /// (`trace_spans`), calls of `edges`.
    pub overflow: BTreeMap<String, u64>,
    /// Spans that carry sampling information (`ot=th`, `sampling.probability`): their counts are adjusted.
    pub sampled: u64,
    /// Requests from outside: traces whose root is a SERVER span, with the weight of that span.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub entry_traces: Weight,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_nothing(weight: &Weight) -> bool {
    weight.is_zero()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn is_none(count: &u64) -> bool {
    *count == 0
}

impl Coverage {
    /// Whether counts stand for real traffic: all spans carry sampling information, and no trace was left out by choice.
    /// Otherwise counts are of spans seen.
    #[must_use]
    pub fn adjustable(&self) -> bool {
        self.spans > 0 && self.sampled == self.spans && self.left_out_traces == 0
    }
}

/// Identity of a node. `namespace/name` or `name` for a service, `database:mysql:ts`, `messaging:kafka:orders`,
/// `external:api.example.com`, `entry:user` for the rest. Untrusted text: escape it wherever it lands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// An instrumented service, or one named by its callers (`service.peer.name`).
    Service,
    /// A database, inferred from its clients.
    Database,
    /// A topic or queue.
    Messaging,
    /// A remote address nobody instrumented.
    External,
    /// Where requests come from outside.
    Entry,
}

impl NodeKind {
    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::External => "external",
            Self::Entry => "entry",
        }
    }
}

/// One node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Identity.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// `service.namespace`; empty for other kinds or when not given.
    pub namespace: String,
    /// `service.name`, topic, database name or address: the id without its prefix.
    pub name: String,
    /// `db.system.name` or `messaging.system`; empty for other kinds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// Whether spans of its own were seen. False for inferred nodes.
    pub instrumented: bool,
    /// Observed resource attributes: key → value → spans. At most 20 values a key; more are summed under `(other)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, BTreeMap<String, u64>>,
    /// What it handled: all its SERVER and CONSUMER spans, or for an inferred node its incoming calls (client side).
    pub handled: Stats,
    /// Requests from outside (see [`Coverage::entry_traces`]) that touch it anywhere in their trace, exactly.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub entry_traces: Weight,
}

impl Node {
    /// Whether this is a service that never said its name: spans of several services may be mixed in it.
    #[must_use]
    pub fn unnamed(&self) -> bool {
        super::assemble::is_unnamed(self.kind, &self.name)
    }

    /// The most frequent value of an attribute (ties: the smaller value).
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        let values = self.attributes.get(key)?;
        let most = values.iter().filter(|(v, _)| *v != "(other)").max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)))?;
        Some(most.0)
    }
}

/// Calls, errors and durations of one thing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Spans seen: the n of every claim.
    pub n: u64,
    /// Calls they stand for (equals `n` where nothing was sampled).
    pub calls: Weight,
    /// Failed calls.
    pub errors: Weight,
    /// How they failed, most frequent first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_classes: Vec<ErrorCount>,
    /// Durations, nanoseconds.
    pub durations: Sketch,
    /// Calls and errors per 5 minutes.
    pub series: Series,
    /// Traces to open.
    #[serde(default, skip_serializing_if = "Exemplars::is_empty")]
    pub exemplars: Exemplars,
}

impl Stats {
    /// Errors ÷ calls, 0..=1; `None` without calls.
    #[must_use]
    pub fn error_ratio(&self) -> Option<f64> {
        (!self.calls.is_zero()).then(|| self.errors.ratio_of(self.calls))
    }
}

/// One way to fail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCount {
    /// How.
    #[serde(flatten)]
    pub class: ErrorClass,
    /// How often.
    pub calls: Weight,
}

/// Calls and errors in consecutive 5-minute buckets aligned to the epoch; empty buckets are absent.
///
/// Serialised as one string, `bucket:calls:errors` separated by blanks, bucket = Unix seconds ÷ 300.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series(pub BTreeMap<u64, Bucket>);

impl Series {
    /// Width of a bucket in seconds.
    pub const SECONDS: u64 = 300;
}

/// Calls and errors of one bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Calls that started in it.
    pub calls: Weight,
    /// Of which failed.
    pub errors: Weight,
}

impl Serialize for Series {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::spans::joined(self.0.iter().map(|(at, b)| (*at, [b.calls, b.errors]))))
    }
}

impl<'de> Deserialize<'de> for Series {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parse = |part: &str| -> Option<(u64, Bucket)> {
            let mut fields = part.split(':');
            let bucket = fields.next()?.parse().ok()?;
            let calls = fields.next()?.parse().ok()?;
            let errors = fields.next()?.parse().ok()?;
            fields.next().is_none().then_some((bucket, Bucket { calls, errors }))
        };
        text.split_whitespace()
            .map(|part| {
                parse(part).ok_or_else(|| serde::de::Error::custom(format!("`{part}` is not bucket:calls:errors")))
            })
            .collect::<Result<_, _>>()
            .map(Series)
    }
}

/// A span worth opening, with enough kept to be of use after the trace has expired.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Exemplar {
    /// Trace.
    pub trace_id: TraceId,
    /// Span.
    pub span_id: SpanId,
    /// Its start.
    pub start: UnixNanos,
    /// Its duration in nanoseconds.
    pub duration_ns: u64,
}

/// Exemplars by class, one span a trace. Chosen by hash of the trace id or by rank, never by arrival, so that those of
/// shards merge to those of one run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplars {
    /// The 3 slowest, slowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slow: Vec<Exemplar>,
    /// Failed ones: the 3 of smallest trace hash, in order of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Exemplar>,
    /// Successful ones, a random sample: the 5 of smallest trace hash, in order of it. See [`Self::nearest_typical`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub typical: Vec<Exemplar>,
}

impl Exemplars {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slow.is_empty() && self.failed.is_empty() && self.typical.is_empty()
    }

    /// The typical ones, those whose duration is nearest to `median` nanoseconds first.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration in nanoseconds; saturates")]
    pub fn typical_by_nearness(&self, median: f64) -> Vec<&Exemplar> {
        let mut typical: Vec<&Exemplar> = self.typical.iter().collect();
        typical.sort_by_key(|e| e.duration_ns.abs_diff(median as u64));
        typical
    }

    /// The typical one whose duration is nearest to `median` nanoseconds; of several the first.
    #[must_use]
    pub fn nearest_typical(&self, median: f64) -> Option<&Exemplar> {
        self.typical_by_nearness(median).into_iter().next()
    }
}

/// One operation of one service: spans of one name and kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// Which service.
    pub service: NodeId,
    /// OTLP kind.
    #[serde(with = "kind_name")]
    pub kind: SpanKind,
    /// Span name, normalised (ids → `{id}`); `(other)` collects what is beyond the cap. Untrusted text.
    pub name: String,
    /// Whether requests enter the whole system here (root SERVER spans).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub entry: bool,
    /// Its spans.
    pub stats: Stats,
    /// The time its spans worked themselves: of [`Stats::durations`] what was not spent waiting for children. `None` where
    /// nobody knows: the snapshot is of aggregates, or older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_ns: Option<TimeSum>,
    /// Self times of single spans, coarsely.
    #[serde(default, skip_serializing_if = "Spread::is_empty")]
    pub self_times: Spread,
    /// What it starts one after the other.
    #[serde(default, skip_serializing_if = "Flow::is_empty")]
    pub flow: Flow,
}

/// What kind of call an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeKind {
    /// A synchronous call between services.
    Call,
    /// A call to a database.
    Database,
    /// To a topic (publish) or from one (process).
    Messaging,
    /// To an address nobody instrumented.
    External,
    /// From outside into the system.
    Entry,
}

impl EdgeKind {
    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::External => "external",
            Self::Entry => "entry",
        }
    }
}

/// How an edge is known, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownBy {
    /// A client span and its child server span.
    Paired,
    /// A span whose parent belongs to another service, without the client (or server) span between.
    Parent,
    /// A span link.
    Link,
    /// One side only; the other end comes from attributes.
    Inferred,
    /// A backend's aggregate.
    Aggregate,
    /// Somebody's word, not a trace.
    Declared,
}

impl KnownBy {
    /// Lower-case name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Paired => "paired",
            Self::Parent => "parent",
            Self::Link => "link",
            Self::Inferred => "inferred",
            Self::Aggregate => "aggregate",
            Self::Declared => "declared",
        }
    }
}

/// Who calls whom. `source == target` is a service calling itself over the network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Caller.
    pub source: NodeId,
    /// Callee.
    pub target: NodeId,
    /// What kind of call.
    pub kind: EdgeKind,
    /// How its calls are known; never empty.
    pub known_by: BTreeMap<KnownBy, Weight>,
    /// Calls seen: the n of every claim.
    pub n: u64,
    /// Calls they stand for.
    pub calls: Weight,
    /// Calls that failed on either side.
    pub errors: Weight,
    /// How they failed, most frequent first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error_classes: Vec<ErrorCount>,
    /// Durations of the calling spans (publish, for messaging), nanoseconds. Empty when no such span was seen.
    #[serde(default, skip_serializing_if = "Sketch::is_empty")]
    pub client: Sketch,
    /// Durations of the called spans (process, for messaging), nanoseconds. Empty when no such span was seen.
    #[serde(default, skip_serializing_if = "Sketch::is_empty")]
    pub server: Sketch,
    /// Client minus server duration of paired calls, nanoseconds, never negative: network and queue.
    #[serde(default, skip_serializing_if = "Sketch::is_empty")]
    pub gap: Sketch,
    /// Publish end → receive start, nanoseconds, for edges from a topic to a consumer.
    #[serde(default, skip_serializing_if = "Sketch::is_empty")]
    pub dwell: Sketch,
    /// Calls and errors per 5 minutes.
    pub series: Series,
    /// The calls by operation, most frequent first, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<EdgeOperation>,
    /// The calls by what either end says of its version, environment, cluster and region. At most 64 pairs of values a
    /// key; more are summed under `(other)`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, Vec<EdgeDimension>>,
    /// Traces to open. Span ids are the caller's where it was seen.
    #[serde(default, skip_serializing_if = "Exemplars::is_empty")]
    pub exemplars: Exemplars,
}

impl Edge {
    /// The strongest way the edge is known.
    #[must_use]
    pub fn strongest(&self) -> KnownBy {
        self.known_by.keys().next().copied().unwrap_or(KnownBy::Declared)
    }

    /// Errors ÷ calls, 0..=1; `None` without calls.
    #[must_use]
    pub fn error_ratio(&self) -> Option<f64> {
        (!self.calls.is_zero()).then(|| self.errors.ratio_of(self.calls))
    }

    /// What the caller waits for: the client side where seen, else the server side.
    #[must_use]
    pub fn latency(&self) -> &Sketch {
        if self.client.is_empty() { &self.server } else { &self.client }
    }
}

/// Calls of an edge from one operation to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeOperation {
    /// Name of the calling span; empty when not seen. Untrusted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// Name of the called span; empty when not seen. Untrusted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Calls.
    pub calls: Weight,
    /// Failed calls.
    pub errors: Weight,
    /// Sum of durations (client side where seen) over `n` calls, nanoseconds.
    pub sum_ns: u64,
    /// Calls with a duration.
    pub n: u64,
}
