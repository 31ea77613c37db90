//! Where a snapshot comes from, and what of it was read.

use serde::{Deserialize, Serialize};

use super::quantile_error::QuantileError;
use super::snapshot::is_none;

/// Spans or aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// Built from spans: everything can be known.
    Spans,
    /// Built from a backend's aggregates: exemplars and critical paths are unknown.
    Aggregate,
}

/// Where a snapshot comes from, without secrets and without what differs between equal runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// Spans or aggregates.
    pub kind: SnapshotKind,
    /// The sources, sorted: `trace file`, `tempo://host:3200`. Never a path, a user or a token.
    pub sources: Vec<String>,
    /// Version of tracebook that captured it.
    pub tool_version: String,
    /// Sum of a 128-bit hash over all unique spans, 32 hex digits: equal exactly when the spans are.
    pub spans_digest: String,
    /// Fingerprint of the rules of the `topology` section, 32 hex digits; absent without rules. Only snapshots of the same
    /// rules merge.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules: String,
    /// How far quantiles of a backend's aggregates may be off; absent for spans, and where no duration is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantile_error: Option<QuantileError>,
    /// The backend counts calls and nothing else: errors of 0 then mean that nobody looked. Absent where it does not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub calls_only: bool,
    /// Traces read beside a backend's aggregates, as examples only: no number comes from them.
    #[serde(default, skip_serializing_if = "is_none")]
    pub example_traces: u64,
    /// Who answered external objectives, sorted: `prometheus://host:9090`. Never a path, a user or a token; empty when nobody did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<String>,
    /// What had to match to be read (`--query`), sorted; absent when all was. A merge holds the filters of all that it is the
    /// sum of, with an empty one for what was read without. Untrusted text of at most [`MOST_FILTER`] characters each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filter: Vec<String>,
}

impl Provenance {
    /// A share of failed calls, where failures were counted.
    #[must_use]
    pub fn failed(&self, share: Option<f64>) -> Option<f64> {
        share.filter(|_| !self.calls_only)
    }
}

/// Characters of a filter that are kept.
pub const MOST_FILTER: usize = 400;
