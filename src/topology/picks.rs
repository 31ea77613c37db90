//! Exemplars while they are being chosen: a bounded choice that is the same in whatever order spans come.
//!
//! Slow: the longest. Failed and typical: the smallest hash of the trace id, which is a random sample; of typical ones
//! enough are kept that one lies near the median. One span a trace. All three choices are the best of a total order, so
//! those of two parts make that of the whole.

use super::hash;
use super::snapshot::{Exemplar, Exemplars};
use crate::spans::{SpanId, TraceId, UnixNanos};

/// Slow and failed exemplars in a snapshot.
const MOST: usize = 3;
/// Typical exemplars in a snapshot.
const MOST_TYPICAL: usize = 5;

/// Candidates of all classes, with what it takes to become one: nearly every span is turned away by one comparison.
#[derive(Debug, Clone)]
pub(super) struct Picks {
    slow: Vec<Exemplar>,
    failed: Vec<Exemplar>,
    typical: Vec<Exemplar>,
    /// A span this long may be among the slow.
    slow_from: u64,
    /// A trace with at most this hash may be among the failed.
    failed_to: u64,
    typical_to: u64,
}

impl Default for Picks {
    fn default() -> Self {
        Self {
            slow: Vec::new(),
            failed: Vec::new(),
            typical: Vec::new(),
            slow_from: 0,
            failed_to: u64::MAX,
            typical_to: u64::MAX,
        }
    }
}

fn slowness(e: &Exemplar) -> (std::cmp::Reverse<u64>, TraceId, SpanId, UnixNanos) {
    (std::cmp::Reverse(e.duration_ns), e.trace_id, e.span_id, e.start)
}

fn luck(e: &Exemplar) -> (u64, TraceId, SpanId, UnixNanos, u64) {
    (hash::trace(e.trace_id.0), e.trace_id, e.span_id, e.start, e.duration_ns)
}

/// Puts a candidate into a list sorted by `key`, at most one of each trace, and cuts the list.
fn offer<K: Ord>(list: &mut Vec<Exemplar>, most: usize, candidate: Exemplar, key: fn(&Exemplar) -> K) {
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
        let Exemplars { slow, failed, typical } = chosen.clone();
        let mut picks = Self { slow, failed, typical, ..Self::default() };
        picks.set_limits();
        picks
    }

    /// A choice of failed ones only.
    pub(super) fn of_failed(failed: &[Exemplar]) -> Self {
        Self::of(&Exemplars { failed: failed.to_vec(), ..Exemplars::default() })
    }

    /// Considers one span: the hash of its trace id, whether it failed, its duration if known.
    #[inline]
    pub(super) fn add(&mut self, luck: u64, failed: bool, duration: Option<u64>, make: impl FnOnce() -> Exemplar) {
        let slow = duration.is_some_and(|nanos| nanos >= self.slow_from);
        let failed_too = failed && luck <= self.failed_to;
        let typical = !failed && duration.is_some() && luck <= self.typical_to;
        if slow || failed_too || typical {
            self.consider(make(), slow, failed_too, typical);
        }
    }

    #[inline(never)]
    fn consider(&mut self, candidate: Exemplar, slow: bool, failed: bool, typical: bool) {
        if failed {
            offer(&mut self.failed, MOST, candidate.clone(), luck);
        }
        if typical {
            offer(&mut self.typical, MOST_TYPICAL, candidate.clone(), luck);
        }
        if slow {
            offer(&mut self.slow, MOST, candidate, slowness);
        }
        self.set_limits();
    }

    fn set_limits(&mut self) {
        let lucky =
            |list: &[Exemplar], most: usize| list.get(most - 1).map_or(u64::MAX, |last| hash::trace(last.trace_id.0));
        self.slow_from = self.slow.get(MOST - 1).map_or(0, |last| last.duration_ns);
        self.failed_to = lucky(&self.failed, MOST);
        self.typical_to = lucky(&self.typical, MOST_TYPICAL);
    }

    /// Considers everything another choice holds.
    pub(super) fn merge(&mut self, other: &Self) {
        other.slow.iter().for_each(|e| offer(&mut self.slow, MOST, e.clone(), slowness));
        other.failed.iter().for_each(|e| offer(&mut self.failed, MOST, e.clone(), luck));
        other.typical.iter().for_each(|e| offer(&mut self.typical, MOST_TYPICAL, e.clone(), luck));
        self.set_limits();
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

    fn of<'a>(spans: impl IntoIterator<Item = &'a (Exemplar, bool)>) -> Picks {
        let mut picks = Picks::default();
        for (e, failed) in spans {
            picks.add(hash::trace(e.trace_id.0), *failed, Some(e.duration_ns), || e.clone());
        }
        picks
    }

    #[test]
    fn the_choice_is_the_same_forwards_backwards_and_merged() {
        let all: Vec<(Exemplar, bool)> =
            (0..500u64).map(|i| (span(u128::from(i / 3), i, i * 7919 % 1000), i % 7 == 0)).collect();
        let chosen = of(&all).finish();
        let (a, mut b) = (of(&all[..100]), of(all[100..].iter().rev()));
        b.merge(&a);
        assert_eq!(chosen, b.finish());
        b = of(all[100..].iter().rev());
        b.merge(&Picks::of(&a.finish()));
        assert_eq!(chosen, b.finish(), "what is kept is enough to go on");
        assert_eq!((chosen.slow.len(), chosen.failed.len(), chosen.typical.len()), (3, 3, 5));
        assert_eq!(chosen.slow[0].duration_ns, 999);
        // One of five out of 500 random ones is within a third of the ranks of the median, if not always.
        let near = chosen.nearest_typical(500.0).unwrap();
        assert!(chosen.typical.iter().all(|e| e.duration_ns.abs_diff(500) >= near.duration_ns.abs_diff(500)));
    }

    #[test]
    fn a_trace_is_named_once_with_its_longest_span() {
        let spans: Vec<(Exemplar, bool)> =
            [(1, 10), (1, 30), (2, 20), (1, 20)].map(|(trace, took)| (span(trace, took, took), false)).to_vec();
        let slow: Vec<u64> = of(&spans).finish().slow.iter().map(|e| e.duration_ns).collect();
        assert_eq!(slow, [30, 20]);
    }

    #[test]
    fn a_failure_without_a_duration_is_an_exemplar_of_failures_only() {
        let mut picks = Picks::default();
        picks.add(1, true, None, || span(1, 1, 0));
        picks.add(2, false, None, || span(2, 1, 0));
        let chosen = picks.finish();
        assert_eq!((chosen.slow.len(), chosen.failed.len(), chosen.typical.len()), (0, 1, 0));
    }
}
