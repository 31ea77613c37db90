//! One local change for the worse: what it is about, how unlike before it is, and how much a request notices.

use crate::topology::{Exemplar, NodeId};

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// An operation works longer itself.
    SelfTime,
    /// More time passes between a call and its answer.
    Gap,
    /// A call that nobody answers with a span takes longer.
    Call,
    /// What an operation does next, after something, is not what it used to be.
    Flow,
    /// Failures begin here more often.
    Failure,
}

impl Kind {
    /// Stable kebab-case name.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::SelfTime => "self-time",
            Self::Gap => "network-gap",
            Self::Call => "dependency-time",
            Self::Flow => "call-structure",
            Self::Failure => "own-failures",
        }
    }
}

/// A change of one figure, with what it rests on.
#[derive(Debug, Clone)]
pub(super) struct Symptom<'a> {
    pub(super) kind: Kind,
    /// Whose operation; for an edge the caller.
    pub(super) service: &'a NodeId,
    /// Name of the operation, where it is about one.
    pub(super) operation: Option<&'a str>,
    /// The callee of an edge, or what a failing call goes to.
    pub(super) target: Option<&'a NodeId>,
    /// After which operation (service, name) the flow changed; `None` at the start and for all other kinds.
    pub(super) after: Option<(&'a NodeId, &'a str)>,
    /// How unlike before one such thing is, in nats: the share of them that moved times how far.
    pub(super) strength: f64,
    /// How much of a request from outside it concerns: added time as a share of its mean, or affected ones per request;
    /// 0..=1.
    pub(super) impact: f64,
    /// The figure before and after: seconds, or a share.
    pub(super) figures: (f64, f64),
    /// Spans on either side.
    pub(super) n: (u64, u64),
    /// The share that moved, and its 95 % interval.
    pub(super) effect: f64,
    pub(super) interval: (f64, f64),
    pub(super) p_value: f64,
    /// Traces of the worse side to open.
    pub(super) exemplars: &'a [Exemplar],
}

impl Symptom<'_> {
    /// What it counts for.
    pub(super) fn score(&self) -> f64 {
        // The fourth root: a fault of a rare operation is a fault all the same, but of two equally strange things the one
        // that requests notice comes first.
        self.strength * self.impact.clamp(0.0, 1.0).sqrt().sqrt()
    }
}
