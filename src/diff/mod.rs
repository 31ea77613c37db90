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
use crate::topology::{Coverage, Exemplar, NodeId, Snapshot};

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
    /// Which instances, when some stand apart: a version, a pod, a zone.
    pub attribute: Option<CulpritAttribute>,
    /// Stable kebab-case reason.
    pub reason: &'static str,
    /// The score.
    pub score: f64,
    /// Whether it is strange enough to be told without being asked.
    pub reported: bool,
    /// Spans of HEAD behind the largest part.
    pub n: u64,
    /// 95 % interval of the effect of the largest part: the share of calls that are not as before.
    pub interval: Option<(f64, f64)>,
    /// The score by kind of symptom; the score is the root of the sum of squares.
    pub evidence: std::collections::BTreeMap<&'static str, f64>,
    /// The largest parts of the score, largest first.
    pub parts: Vec<CulpritPart>,
    /// Traces of HEAD to open.
    pub exemplars: Vec<Exemplar>,
}

/// A resource attribute whose value stands apart from all others of a culprit, in HEAD alone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CulpritAttribute {
    /// Resource attribute.
    pub key: String,
    /// Its value. Untrusted text.
    pub value: String,
    /// `slower` or `failing-more`.
    pub reason: &'static str,
    /// How far apart, in nats.
    pub strength: f64,
    /// The figure of all other values: mean seconds (as coarse as the bins), or failing share.
    pub others: f64,
    /// The figure of this value.
    pub this: f64,
    /// Spans of all other values.
    pub n_others: u64,
    /// Spans of this value.
    pub n_this: u64,
}

/// One part of a score: a figure that is not as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CulpritPart {
    /// Stable kebab-case reason.
    pub reason: &'static str,
    /// What it adds: strength × impact^¼ × the share charged.
    pub score: f64,
    /// Whose operation; of an edge the caller.
    pub service: NodeId,
    /// Which operation. Untrusted text.
    pub operation: Option<String>,
    /// The callee of an edge.
    pub target: Option<NodeId>,
    /// After which operation something else comes next (`service name`). Untrusted text.
    pub after: Option<String>,
    /// How unlike before, in nats per call.
    pub strength: f64,
    /// How much of an entry request it concerns, 0..=1.
    pub impact: f64,
    /// The figure in BASE: mean seconds, failing share, or 0 for a change of structure.
    pub before: f64,
    /// The figure in HEAD; for a change of structure the share of times something else comes next.
    #[serde(rename = "now")]
    pub after_value: f64,
    /// Spans in BASE.
    pub n_before: u64,
    /// Spans in HEAD.
    pub n_after: u64,
    /// The share of calls that are not as before, −1..=1.
    pub effect: f64,
    /// Its 95 % interval.
    pub interval: (f64, f64),
    /// Of this one figure, not guarded against many tests.
    pub p_value: f64,
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
