//! What a backend counted, in no backend's format: the second kind of source.
//!
//! Purpose: one form for service-graph and span metrics, TraceQL metrics and the like, between `source` and `topology`.
//! Input: what a source reads. Output: [`Aggregate`], of which topology makes a snapshot. Must not: hold what the backend
//! did not say. An `Option` that is `None`, and a list that is empty, mean unknown; zero means none.

use std::collections::BTreeMap;

use super::{ErrorClass, Peer, SpanKind, UnixNanos, Weight};

/// Everything a backend counted in one window. The order of the lists does not matter; entries of one key are added up.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aggregate {
    /// The time that was asked for.
    pub window: (UnixNanos, UnixNanos),
    /// What services do, if the backend counts that.
    pub operations: Vec<AggregateOperation>,
    /// Who calls whom, if the backend counts that.
    pub edges: Vec<AggregateEdge>,
    /// The backend counts calls and nothing else: errors of 0 are unknown ones.
    pub calls_only: bool,
}

/// A service by its own name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct AggregateService {
    /// `service.namespace`; empty when not known.
    pub namespace: String,
    /// `service.name`. Untrusted text.
    pub name: String,
}

/// One end of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Party {
    /// A service that sends spans of its own.
    Service(AggregateService),
    /// Something its callers name: a database, a topic, an address, a service without spans.
    Peer(Peer),
    /// Outside of the system, by this name (`user` where nobody is named).
    Entry(String),
}

/// What an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AggregateCall {
    /// A call between services.
    Call,
    /// A call to a database.
    Database,
    /// A message; from service to service where the topic is not known.
    Messaging,
    /// A call to something nobody instrumented.
    External,
    /// A request from outside.
    Entry,
}

/// Spans of one name and kind of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateOperation {
    /// Which service.
    pub service: AggregateService,
    /// OTLP kind.
    pub kind: SpanKind,
    /// Span name as sent; untrusted text.
    pub name: String,
    /// Whether requests enter the system here; false where the backend does not know.
    pub entry: bool,
    /// Calls and errors.
    pub totals: Totals,
    /// How long they took.
    pub durations: Option<Durations>,
}

/// Calls from one party to another.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateEdge {
    /// Caller.
    pub source: Party,
    /// Callee.
    pub target: Party,
    /// What kind of call.
    pub call: AggregateCall,
    /// Name of the calling span; empty when not known. Untrusted text.
    pub source_operation: String,
    /// Name of the called span; empty when not known. Untrusted text.
    pub target_operation: String,
    /// Calls, and those that failed on either side.
    pub totals: Totals,
    /// How long callers waited.
    pub client: Option<Durations>,
    /// How long the callee worked.
    pub server: Option<Durations>,
}

/// Calls and errors.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Totals {
    /// Calls.
    pub calls: Weight,
    /// Of which failed.
    pub errors: Weight,
    /// Calls and errors by 5-minute bucket (Unix seconds ÷ 300); empty when not known.
    pub series: BTreeMap<u64, (Weight, Weight)>,
    /// How they failed, as far as that is known.
    pub classes: Vec<(ErrorClass, Weight)>,
}

/// A histogram of durations as the backend keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Durations {
    /// Buckets in any order; they may overlap where several layouts were added up.
    pub buckets: Vec<DurationBucket>,
    /// Sum of all durations in millionths of a nanosecond, if the backend keeps it.
    pub sum_micro: Option<u128>,
}

/// How many durations lie between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DurationBucket {
    /// Lower bound in nanoseconds.
    pub lower: u64,
    /// Upper bound in nanoseconds; `None` for a bucket without end.
    pub upper: Option<u64>,
    /// Calls in it, not cumulative.
    pub calls: Weight,
}
