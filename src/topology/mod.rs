//! From spans to the snapshot: pairing, identity, statistics, graph queries, merge and the snapshot's own file format.
//!
//! Purpose: prove which service calls which, how often, how fast and how well, and say what was not seen.
//! Input: [`crate::spans::SpanBatch`]. Output: a [`Snapshot`].
//! Must not: read traces, print, know configuration files, or keep petgraph indices in a public type.

mod aggregate;
mod aliases;
#[cfg(test)]
mod arbitrary;
mod assemble;
mod bins;
mod build;
mod capmap;
mod caps;
pub mod cfg;
pub mod codec;
mod contents;
mod dict;
mod dicts;
mod dimensions;
mod evidence;
mod examples;
mod external;
#[cfg(test)]
mod fixture;
mod glob;
mod group;
mod hash;
mod identity;
mod invariants;
mod kind_name;
mod lane;
#[cfg(test)]
mod laws;
mod layers;
mod merge;
#[cfg(test)]
mod model;
mod naming;
mod optable;
mod pair;
mod picks;
mod presets;
mod provenance;
mod publish;
mod quantile_error;
pub mod query;
mod row;
#[cfg(test)]
mod rules_tests;
mod scope;
mod seen;
mod self_time;
mod series;
mod shard;
mod side_by_side;
mod sides;
mod sketch;
mod snapshot;
mod spread;
mod store;
mod tables;
mod tally;
mod through;
mod time_sum;
mod touched;
mod trace;
mod unite;

pub use aggregate::from_aggregate;
pub use build::{Builder, Intake};
pub use dimensions::EdgeDimension;
pub use evidence::{
    Bands, Flow, FlowItem, FlowState, Instance, Origin, OriginKind, OriginStep, PartKind, RequestPart, Requests,
    SummaryClass, SummarySpan, TraceSummary, band,
};
pub use examples::with_examples;
pub use external::External;
pub use merge::{Merger, merge};
pub use quantile_error::QuantileError;
pub use seen::seen_only;
pub use shard::{Parts, Shard};
pub use side_by_side::side_by_side;
pub use sketch::{RELATIVE_ERROR, Sketch};
pub use snapshot::{
    Bucket, Coverage, Edge, EdgeKind, EdgeOperation, ErrorCount, Exemplar, Exemplars, KnownBy, MOST_FILTER, Node,
    NodeId, NodeKind, Operation, Provenance, SCHEMA, Series, Snapshot, SnapshotKind, Stats, Window,
};
pub use spread::Spread;
pub use time_sum::TimeSum;
