//! Exemplars while they are being chosen: a bounded choice that is the same in whatever order spans come.
//!
//! Slow: the longest. Failed: the smallest hash of the trace id. Typical: for each power of two of duration, successful
//! spans with the smallest hash; the octave of the median is read at the end, when the median is known. One span a trace.

use std::collections::BTreeMap;

use super::snapshot::{Exemplar, Exemplars};
use super::{Sketch, hash};
use crate::spans::{SpanId, TraceId, UnixNanos};

/// Exemplars of each class in a snapshot.
const MOST: usize = 3;

/// Candidates of all classes.
#[derive(Debug, Clone, Default)]
pub(super) struct Picks {
    slow: Vec<Exemplar>,
    failed: Vec<Exemplar>,
    typical: BTreeMap<u8, Vec<Exemplar>>,
}

fn slowness(e: &Exemplar) -> (std::cmp::Reverse<u64>, TraceId, SpanId, UnixNanos) {
    (std::cmp::Reverse(e.duration_ns), e.trace_id, e.span_id, e.start)
}

fn luck(e: &Exemplar) -> (u64, TraceId, SpanId, UnixNanos, u64) {
    (hash::trace(e.trace_id.0), e.trace_id, e.span_id, e.start, e.duration_ns)
}

/// Puts a candidate into a list sorted by `key`, at most one of each trace, and cuts the list.
fn offer<K: Ord>(list: &mut Vec<Exemplar>, candidate: Exemplar, key: fn(&Exemplar) -> K) {
    let rank = key(&candidate);
    if list.len() >= MOST && list.last().is_some_and(|last| key(last) <= rank) {
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
    list.truncate(MOST);
}

#[allow(clippy::cast_possible_truncation, reason = "at most 63")]
fn octave(nanos: u64) -> u8 {
    nanos.max(1).ilog2() as u8
}

impl Picks {
    /// Considers one span.
    pub(super) fn add(&mut self, candidate: Exemplar, failed: bool, known: bool) {
        if known {
            offer(&mut self.slow, candidate.clone(), slowness);
        }
        if failed {
            offer(&mut self.failed, candidate, luck);
        } else if known {
            offer(self.typical.entry(octave(candidate.duration_ns)).or_default(), candidate, luck);
        }
    }

    /// Considers everything another choice holds.
    pub(super) fn merge(&mut self, other: &Self) {
        other.slow.iter().for_each(|e| offer(&mut self.slow, e.clone(), slowness));
        other.failed.iter().for_each(|e| offer(&mut self.failed, e.clone(), luck));
        for (octave, list) in &other.typical {
            let mine = self.typical.entry(*octave).or_default();
            list.iter().for_each(|e| offer(mine, e.clone(), luck));
        }
    }

    /// The choice; `durations` tells the median.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration in nanoseconds")]
    pub(super) fn finish(&self, durations: &Sketch) -> Exemplars {
        let median = octave(durations.quantile(0.5).unwrap_or(0.0) as u64);
        let nearest = self.typical.iter().min_by_key(|(octave, _)| (octave.abs_diff(median), **octave));
        Exemplars {
            slow: self.slow.clone(),
            failed: self.failed.clone(),
            typical: nearest.map(|(_, list)| list.clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::Weight;

    fn span(trace: u128, span: u64, duration_ns: u64) -> Exemplar {
        Exemplar { trace_id: TraceId(trace), span_id: SpanId(span), start: UnixNanos(5), duration_ns }
    }

    #[test]
    fn the_choice_is_the_same_forwards_backwards_and_merged() {
        let all: Vec<(Exemplar, bool)> =
            (0..500u64).map(|i| (span(u128::from(i / 3), i, i * 7919 % 1000), i % 7 == 0)).collect();
        let mut sketch = Sketch::default();
        all.iter().for_each(|(e, _)| sketch.add(e.duration_ns, Weight::ONE));
        let mut forward = Picks::default();
        all.iter().for_each(|(e, f)| forward.add(e.clone(), *f, true));
        let (mut a, mut b) = (Picks::default(), Picks::default());
        all[..100].iter().for_each(|(e, f)| a.add(e.clone(), *f, true));
        all[100..].iter().rev().for_each(|(e, f)| b.add(e.clone(), *f, true));
        b.merge(&a);
        assert_eq!(forward.finish(&sketch), b.finish(&sketch));
        let chosen = forward.finish(&sketch);
        assert_eq!((chosen.slow.len(), chosen.failed.len(), chosen.typical.len()), (3, 3, 3));
        assert_eq!(chosen.slow[0].duration_ns, 999);
        for e in chosen.typical {
            assert!((256..512).contains(&e.duration_ns), "the octave of the median, 500: {}", e.duration_ns);
        }
    }

    #[test]
    fn a_trace_is_named_once_with_its_longest_span() {
        let mut picks = Picks::default();
        for (trace, duration) in [(1, 10), (1, 30), (2, 20), (1, 20)] {
            picks.add(span(trace, duration, duration), false, true);
        }
        let slow: Vec<u64> = picks.finish(&Sketch::default()).slow.iter().map(|e| e.duration_ns).collect();
        assert_eq!(slow, [30, 20]);
    }
}
