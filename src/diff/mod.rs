//! Two snapshots → what changed.
//!
//! Purpose: services, operations, edges and inferred nodes added, removed, calling more or less, slower, failing more.
//! Input: two [`Snapshot`]s. Output: typed [`Change`]s, worst first. A pure stage: no IO, no policy.

#[cfg(test)]
pub(crate) mod testing;

use serde::Serialize;

use crate::diag::Severity;
use crate::topology::{Coverage, NodeId, Snapshot};

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Subject {
    /// A service or inferred node.
    Node {
        /// Which.
        node: NodeId,
    },
    /// An operation of a service.
    Operation {
        /// Of which service.
        service: NodeId,
        /// Span kind.
        kind: String,
        /// Span name. Untrusted text.
        operation: String,
    },
    /// An edge.
    Edge {
        /// Caller.
        source: NodeId,
        /// Callee.
        target: NodeId,
    },
}

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Spans behind the figures.
    pub n: u64,
    /// Calls per second over the snapshot's window.
    pub calls_per_second: f64,
    /// Errors ÷ calls, 0..=1.
    pub error_ratio: Option<f64>,
    /// Mean duration in seconds.
    pub mean_seconds: Option<f64>,
    /// Median in seconds.
    pub p50_seconds: Option<f64>,
    /// 95th percentile in seconds.
    pub p95_seconds: Option<f64>,
    /// 99th percentile in seconds.
    pub p99_seconds: Option<f64>,
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// Stable kebab-case code: `node-added`, `edge-removed`, `operation-added`, `slower`, `faster`, `failing-more`,
    /// `failing-less`, `calls-more`, `calls-less`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// About what.
    pub subject: Subject,
    /// In BASE; `None` when added.
    pub before: Option<Side>,
    /// In HEAD; `None` when removed.
    pub after: Option<Side>,
    /// Probability of a difference at least this large if nothing had changed; `None` where no test applies.
    pub p_value: Option<f64>,
}

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diff {
    /// Most severe first, then by effect, then by subject.
    pub changes: Vec<Change>,
    /// Ranked suspects; filled by the diagnosis stage.
    pub culprits: Vec<Culprit>,
    /// What each side saw, so that "sees less" is not taken for "removed".
    pub coverage: DiffCoverage,
}

/// Coverage of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DiffCoverage {
    /// BASE.
    pub before: Coverage,
    /// HEAD.
    pub after: Coverage,
}

/// A suspect, with the parts of its score.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Culprit {
    /// 1 is the first to look at.
    pub rank: usize,
    /// Which service.
    pub service: NodeId,
    /// Which operation, when one stands out. Untrusted text.
    pub operation: Option<String>,
    /// Which edge (source, target), when one stands out.
    pub edge: Option<(NodeId, NodeId)>,
    /// Stable kebab-case reason.
    pub reason: &'static str,
    /// The score.
    pub score: f64,
    /// The numbers behind it.
    pub evidence: std::collections::BTreeMap<&'static str, f64>,
}

/// Compares two snapshots.
#[must_use]
pub fn diff(base: &Snapshot, head: &Snapshot) -> Diff {
    Diff {
        changes: Vec::new(),
        culprits: Vec::new(),
        coverage: DiffCoverage { before: base.coverage.clone(), after: head.coverage.clone() },
    }
}
