//! Exemplars while they are being chosen: a bounded choice that is the same in whatever order spans come.
//!
//! Slow: the longest. Failed: the smallest hash of the trace id. Typical: successful spans with the smallest hash, a random
//! sample. One span a trace.

use super::hash;
use super::snapshot::{Exemplar, Exemplars};
use crate::spans::{SpanId, TraceId, UnixNanos};

/// Exemplars of each class in a snapshot.
const MOST: usize = 3;
const MOST_TYPICAL: usize = 5;

/// Candidates of all classes.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    slow: Vec<Exemplar>,
    failed: Vec<Exemplar>,
    typical: Vec<Exemplar>,
}

fn slowness(e: &Exemplar) -> (std::cmp::Reverse<u64>, TraceId, SpanId, UnixNanos) {
    (std::cmp::Reverse(e.duration_ns), e.trace_id, e.span_id, e.start)
}

fn luck(e: &Exemplar) -> (u64, TraceId, SpanId, UnixNanos, u64) {
    (hash::trace(e.trace_id.0), e.trace_id, e.span_id, e.start, e.duration_ns)
}

/// Puts a candidate into a list sorted by `key`, at most one of each trace, and cuts the list.
fn offer<K: Ord>(list: &mut Vec<Exemplar>, candidate: Exemplar, key: fn(&Exemplar) -> K, most: usize) {
    let rank = key(&candidate);
    if list.len() >= most && list.last().is_some_and(|last| key(last) <= rank) {
        return;
    }
    if let Some(same) = list.iter().position(|e| e.trace_id == candidate.trace_id) {
        if list.get(same).is_some_and(|e| key(e) <= rank) {
            return;
        }
        list.remove(same);
    }
    let at = list.partition_point(|e| key(e) < rank);
    list.insert(at, candidate);
    list.truncate(most);
}

impl Picks {
    /// What a snapshot kept of a choice: enough to go on choosing.
    pub(super) fn of(chosen: &Exemplars) -> Self {
        Self { slow: chosen.slow.clone(), failed: chosen.failed.clone(), typical: chosen.typical.clone() }
    }

    /// Considers one span.
    pub(super) fn add(&mut self, candidate: Exemplar, failed: bool, known: bool) {
        if known {
            offer(&mut self.slow, candidate.clone(), slowness, MOST);
        }
        if failed {
            offer(&mut self.failed, candidate, luck, MOST);
        } else if known {
            offer(&mut self.typical, candidate, luck, MOST_TYPICAL);
        }
    }

    /// Considers everything another choice holds.
    pub(super) fn merge(&mut self, other: &Self) {
        other.slow.iter().for_each(|e| offer(&mut self.slow, e.clone(), slowness, MOST));
        other.failed.iter().for_each(|e| offer(&mut self.failed, e.clone(), luck, MOST));
        other.typical.iter().for_each(|e| offer(&mut self.typical, e.clone(), luck, MOST_TYPICAL));
    }

    /// The choice.
    pub(super) fn finish(&self) -> Exemplars {
        Exemplars { slow: self.slow.clone(), failed: self.failed.clone(), typical: self.typical.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(trace: u128, span: u64, duration_ns: u64) -> Exemplar {
        Exemplar { trace_id: TraceId(trace), span_id: SpanId(span), start: UnixNanos(5), duration_ns }
    }

    #[test]
    fn the_choice_is_the_same_forwards_backwards_and_merged() {
        let all: Vec<(Exemplar, bool)> =
            (0..500u64).map(|i| (span(u128::from(i / 3), i, i * 7919 % 1000), i % 7 == 0)).collect();
        let mut forward = Picks::default();
        all.iter().for_each(|(e, f)| forward.add(e.clone(), *f, true));
        let (mut a, mut b) = (Picks::default(), Picks::default());
        all[..100].iter().for_each(|(e, f)| a.add(e.clone(), *f, true));
        all[100..].iter().rev().for_each(|(e, f)| b.add(e.clone(), *f, true));
        b.merge(&a);
        assert_eq!(forward.finish(), b.finish());
        let chosen = forward.finish();
        assert_eq!((chosen.slow.len(), chosen.failed.len(), chosen.typical.len()), (3, 3, 5));
        assert_eq!(chosen.slow[0].duration_ns, 999);
        let mut again = Picks::of(&a.finish());
        all[100..].iter().for_each(|(e, f)| again.add(e.clone(), *f, true));
        assert_eq!(again.finish(), chosen, "what is kept is enough to go on");
    }

    #[test]
    fn a_trace_is_named_once_with_its_longest_span() {
        let mut picks = Picks::default();
        for (trace, duration) in [(1, 10), (1, 30), (2, 20), (1, 20)] {
            picks.add(span(trace, duration, duration), false, true);
        }
        let slow: Vec<u64> = picks.finish().slow.iter().map(|e| e.duration_ns).collect();
        assert_eq!(slow, [30, 20]);
    }
}
