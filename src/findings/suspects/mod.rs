//! Who holds the time and where failures begin, seen from one node: suspects in order, each with its numbers.
//!
//! Purpose: turn the evidence of a snapshot (critical paths by latency band, origins of failures, instances) into ranked
//! suspects for a page or a rule. Input: a [`Snapshot`]. Output: [`latency::Tail`], [`errors::Failures`],
//! [`contrast::Contrast`]; or why there is none ([`Untold`]): an older snapshot, no request that touches the node, too few.
//! Must not: put anything into words, or decide how much matters to a page.

pub(crate) mod below;
pub(crate) mod contrast;
pub(crate) mod errors;
pub(crate) mod latency;

use crate::topology::NodeId;

/// Why there is nothing to say about a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Untold {
    /// The snapshot is older than this evidence, or of aggregates.
    NotMeasured,
    /// No request from outside touches the node.
    NotTouched,
    /// So few requests that slow and normal ones cannot be told apart.
    Few(f64),
    /// All requests take about the same time.
    Alike(f64),
}

/// Where a suspect lies, seen from the node a page is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// At the node itself, the calls it makes included.
    Own,
    /// At what it calls, directly or not.
    Below,
    /// Between its callers and the node: its own figures do not show it.
    Way,
    /// Anywhere else.
    Elsewhere,
}

/// Where something of a service lies, seen from `node`.
pub(crate) fn place_of(node: &NodeId, below: &below::Below, service: &NodeId) -> Place {
    if service == node {
        Place::Own
    } else if below.share(service).is_some() {
        Place::Below
    } else {
        Place::Elsewhere
    }
}
