//! Two snapshots → what changed.
//!
//! Purpose: services, operations, edges and inferred nodes added, removed, calling more or less, slower, failing more.
//! Input: two [`Snapshot`]s. Output: typed [`Change`]s, worst first. A pure stage: no IO, no policy.

mod compare;
mod culprits;
mod limits;
mod shape;
pub(crate) mod significance;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod traffic;

use serde::Serialize;

use compare::{Candidate, Comparison};
use significance::discovery_limit;
use traffic::Traffic;

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
    /// Several nodes together: a circle of calls (sorted), a chain (in order of calling).
    Nodes {
        /// Which.
        nodes: Vec<NodeId>,
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
    /// Stable kebab-case code: `node-`, `operation-` or `edge-` with `added`, `removed` or `not-seen` (gone, but too rare
    /// before to be sure), `slower`, `faster`, `failing-more`, `failing-less`, `calls-more`, `calls-less`; of the graph as
    /// a whole `cycle-` and `single-point-of-failure-` with `added` or `removed`, `chain-longer`, `chain-shorter`.
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
    /// Ranked suspects, by a first simple score (see `docs/diff.md`).
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

/// Compares two snapshots. Nothing is reported of a snapshot against itself.
///
/// A change is reported when it is both improbable as chance (over all tests together) and large enough to matter;
/// `docs/diff.md` gives tests and thresholds. Windows of different lengths and loads are compared by rates.
#[must_use]
pub fn diff(base: &Snapshot, head: &Snapshot) -> Diff {
    let coverage = DiffCoverage { before: base.coverage.clone(), after: head.coverage.clone() };
    let snapshots = (base, head);
    let (base, head) = (Traffic::of(base), Traffic::of(head));
    let mut comparison = Comparison::run(&base, &head);
    let limit = discovery_limit(std::mem::take(&mut comparison.p_values), limits::DISCOVERY_RATE);
    let significant = |c: &Candidate| !c.tested || c.change.p_value.is_some_and(|p| p <= limit);
    let mut kept: Vec<Candidate> = std::mem::take(&mut comparison.candidates).into_iter().filter(significant).collect();
    kept.sort_by(|a, b| {
        (b.change.severity.cmp(&a.change.severity))
            .then_with(|| b.effect.total_cmp(&a.effect))
            .then_with(|| a.change.subject.cmp(&b.change.subject))
            .then_with(|| a.change.code.cmp(b.change.code))
    });
    let mut changes: Vec<Change> = kept.into_iter().map(|c| c.change).collect();
    let culprits = culprits::rank(&comparison, &changes);
    let shape = shape::compare(snapshots.0, snapshots.1, &changes);
    changes.extend(shape);
    changes.sort_by_key(|change| std::cmp::Reverse(change.severity));
    Diff { changes, culprits, coverage }
}
