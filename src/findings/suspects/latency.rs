//! Who holds the time of slow requests, compared with normal ones.
//!
//! Input: [`Requests`]: times on the critical path by latency band, per operation that requests enter by. Output: per such
//! operation the tail (bands at or above that of the 95th percentile, and above that of the median) against the normal requests (at or below that of the
//! median), part by part ([`EntryTail`]); and the same for all requests that touch one node, with the parts placed as that
//! node sees them ([`Tail`]). Parts of one kind, service and target are one suspect; its operations are told apart in it.
//!
//! Several entry operations are never thrown together: how much longer a part takes is asked of each against its own normal
//! requests, and only then summed.

use std::collections::BTreeMap;

use super::below::Below;
use super::{Place, Untold, place_of};
use crate::topology::{Bands, EdgeKind, NodeId, PartKind, Requests, Snapshot, SnapshotKind, TimeSum};

/// Fewest requests of which some are slow and some are not: of twenty the 95th percentile is the slowest.
const FEWEST: f64 = 20.0;

/// What a part is, operations apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PartKey<'a> {
    pub(crate) kind: PartKind,
    pub(crate) service: &'a NodeId,
    /// What a call goes to, as far as it is known.
    pub(crate) target: Option<&'a NodeId>,
}

/// Seconds in the tail, and the seconds the same requests would take there if they were normal ones.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Time {
    pub(crate) tail: f64,
    pub(crate) normal: f64,
}

impl Time {
    pub(crate) fn excess(self) -> f64 {
        self.tail - self.normal
    }

    fn add(&mut self, other: Self) {
        self.tail += other.tail;
        self.normal += other.normal;
    }

    fn scaled(self, by: f64) -> Self {
        Self { tail: self.tail * by, normal: self.normal * by }
    }
}

/// One part, with its operations.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct PartTime<'a> {
    pub(crate) time: Time,
    operations: BTreeMap<&'a str, Time>,
}

impl<'a> PartTime<'a> {
    /// The operation that takes most longer, and its share of what the part takes longer.
    pub(crate) fn top_operation(&self) -> Option<(&'a str, f64)> {
        let most = self.operations.iter().max_by(|a, b| a.1.excess().total_cmp(&b.1.excess()).then(b.0.cmp(a.0)))?;
        let share = if self.time.excess() > 0.0 { most.1.excess() / self.time.excess() } else { 1.0 };
        Some((most.0, share.clamp(0.0, 1.0)))
    }
}

/// Slow against normal requests of one operation that requests enter by. Times are sums over the tail.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EntryTail<'a> {
    pub(crate) requests: &'a Requests,
    /// All requests.
    pub(crate) calls: f64,
    /// Requests of the tail, and normal ones.
    pub(crate) tail: f64,
    pub(crate) normal: f64,
    /// Whole requests.
    pub(crate) time: Time,
    pub(crate) parts: BTreeMap<PartKey<'a>, PartTime<'a>>,
}

impl<'a> EntryTail<'a> {
    /// `None` where there are few requests, or all take about the same time.
    fn of(requests: &'a Requests) -> Option<Self> {
        let calls = calls(requests);
        let (normal, tail) = (requests.quantile_band(0.5)?, requests.quantile_band(0.95)?);
        // Where all but a few take about the same time those few are the tail.
        let beyond = requests.calls.iter().map(|(band, _)| band).find(|band| *band > normal)?;
        let tail = tail.max(beyond);
        if calls < FEWEST {
            return None;
        }
        let count = |pass: &dyn Fn(u16) -> bool| requests.calls.sum(pass, |a, b| a + b).as_f64();
        let (in_tail, in_normal) = (count(&|band| band >= tail), count(&|band| band <= normal));
        if in_tail <= 0.0 || in_normal <= 0.0 {
            return None;
        }
        let time = |bands: &Bands<TimeSum>| Time {
            tail: seconds(bands, |band| band >= tail),
            normal: seconds(bands, |band| band <= normal) * in_tail / in_normal,
        };
        let mut parts: BTreeMap<PartKey<'a>, PartTime<'a>> = BTreeMap::new();
        for part in &requests.parts {
            let key = PartKey { kind: part.part, service: &part.service, target: part.target.as_ref() };
            let (known, time) = (parts.entry(key).or_default(), time(&part.time));
            known.time.add(time);
            known.operations.entry(&part.operation).or_default().add(time);
        }
        Some(Self { requests, calls, tail: in_tail, normal: in_normal, time: time(&requests.time), parts })
    }
}

fn calls(requests: &Requests) -> f64 {
    requests.calls.iter().map(|(_, calls)| calls.as_f64()).sum()
}

fn seconds(bands: &Bands<TimeSum>, pass: impl Fn(u16) -> bool) -> f64 {
    let add = |mut sum: TimeSum, more: TimeSum| {
        sum.merge(more);
        sum
    };
    bands.sum(pass, add).seconds()
}

/// The tails of all operations that requests enter by, worked out once.
#[derive(Debug)]
pub(crate) struct Tails<'a> {
    snapshot: &'a Snapshot,
    pub(crate) entries: Vec<EntryTail<'a>>,
}

/// By what suspects are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By how much longer they take in slow requests: the usual question.
    Excess,
    /// By the time they take in slow requests: where half of all requests are too slow, the normal ones hold the cause too.
    Time,
}

/// One suspect. Seconds are those of one slow request, on average.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Suspect<'a> {
    pub(crate) key: PartKey<'a>,
    pub(crate) place: Place,
    /// As seen from the node: of what others ask for too, its own part.
    pub(crate) time: Time,
    /// Of what all parts take (longer), 0..=1.
    pub(crate) share: f64,
    /// The operation behind most of it, and its share of it. Untrusted text.
    pub(crate) operation: Option<(&'a str, f64)>,
    /// Of the calls to it the share that stems from the node.
    pub(crate) from_here: f64,
}

/// Slow and normal requests that touch one node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tail<'a> {
    pub(crate) by: By,
    /// Requests that touch the node's entry operations: all, slow, normal.
    pub(crate) calls: f64,
    pub(crate) tail: f64,
    pub(crate) normal: f64,
    /// Of those requests the share that touches the node.
    pub(crate) touching: f64,
    /// A whole request.
    pub(crate) time: Time,
    /// At the node and below it, and on the way to it: most first. Only those that add something.
    pub(crate) suspects: Vec<Suspect<'a>>,
    /// Everywhere else: most first.
    pub(crate) elsewhere: Vec<Suspect<'a>>,
    /// The share that lies neither at the node, nor below it, nor on the way to it; what no known part holds included.
    pub(crate) elsewhere_share: f64,
    /// Whether any of its own or of what is below it was ever waited for.
    pub(crate) on_path: bool,
}

impl<'a> Tails<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, entries: snapshot.requests.iter().filter_map(EntryTail::of).collect() }
    }

    /// Slow against normal requests among those that touch a node.
    ///
    /// # Errors
    /// Why nothing can be said.
    pub(crate) fn about(&self, node: &NodeId, below: &Below, by: By) -> Result<Tail<'a>, Untold> {
        let touch = |requests: &Requests| requests.nodes.get(node).map_or(0.0, |calls| calls.as_f64());
        let touched: f64 = self.snapshot.requests.iter().map(touch).sum();
        if touched <= 0.0 {
            // Requests that nothing is known of: an older snapshot.
            let missing =
                self.snapshot.requests.is_empty() && self.snapshot.edges.iter().any(|e| e.kind == EdgeKind::Entry);
            let aggregate = self.snapshot.provenance.kind == SnapshotKind::Aggregate;
            return Err(if missing || aggregate { Untold::NotMeasured } else { Untold::NotTouched });
        }
        let entries: Vec<&EntryTail<'a>> = self.entries.iter().filter(|e| touch(e.requests) > 0.0).collect();
        let tail: f64 = entries.iter().map(|e| e.tail).sum();
        if tail <= 0.0 {
            return Err(if touched < FEWEST { Untold::Few(touched) } else { Untold::Alike(touched) });
        }
        let (mut time, mut parts): (Time, BTreeMap<PartKey<'a>, PartTime<'a>>) = Default::default();
        for entry in &entries {
            time.add(entry.time);
            for (key, part) in &entry.parts {
                let known = parts.entry(*key).or_default();
                known.time.add(part.time);
                for (operation, time) in &part.operations {
                    known.operations.entry(operation).or_default().add(*time);
                }
            }
        }
        let measure = |time: Time| if by == By::Time { time.tail } else { time.excess() };
        let whole = measure(time).max(f64::MIN_POSITIVE);
        let (mut suspects, mut elsewhere, mut on_path) = (Vec::new(), Vec::new(), false);
        let mut here = 0.0;
        for (key, part) in parts {
            let place = match place_of(node, below, key.service) {
                Place::Own if key.kind == PartKind::Between => Place::Way,
                place => place,
            };
            let from_here = if place == Place::Below { below.share(key.service).unwrap_or(0.0) } else { 1.0 };
            on_path |= matches!(place, Place::Own | Place::Below) && part.time.tail + part.time.normal > 0.0;
            // What others ask for of a part that is shared lies elsewhere.
            for (place, portion) in [(place, from_here), (Place::Elsewhere, 1.0 - from_here)] {
                let own = part.time.scaled(portion);
                // What is all but rounding is all.
                let share = Some(measure(own) / whole).filter(|share| *share < 1.0 - 1e-6).unwrap_or(1.0);
                here += if place == Place::Elsewhere { 0.0 } else { share.max(0.0) };
                if share > 0.0 {
                    let (time, operation) = (own.scaled(1.0 / tail), part.top_operation());
                    let list = if place == Place::Elsewhere { &mut elsewhere } else { &mut suspects };
                    list.push(Suspect { key, place, time, share, operation, from_here });
                }
            }
        }
        let rank = |list: &mut Vec<Suspect<'a>>| {
            list.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.key.cmp(&b.key)));
        };
        rank(&mut suspects);
        rank(&mut elsewhere);
        let calls: f64 = entries.iter().map(|e| e.calls).sum();
        Ok(Tail {
            by,
            calls,
            tail,
            normal: entries.iter().map(|e| e.normal).sum(),
            touching: (entries.iter().map(|e| touch(e.requests)).sum::<f64>() / calls).min(1.0),
            time: time.scaled(1.0 / tail),
            suspects,
            elsewhere,
            elsewhere_share: (1.0 - here).clamp(0.0, 1.0),
            on_path,
        })
    }
}

#[cfg(test)]
#[path = "latency_tests.rs"]
mod tests;
