//! Self time: how long a span worked itself, less the time in which it waited for its children.
//!
//! Purpose: the duration of each span less the union of its children's intervals, clipped to the span. Input: for each
//! span of a trace its interval and the position of the span that waits for it. Output: nanoseconds, by position.
//! Must not: know how spans pair, or walk up or down the tree: a cycle of parents, a chain or a star of a million spans
//! are nothing special. Time is n log n in the children of one span, linear in the spans of the trace.

use crate::spans::SpanKind;

/// Nothing at this end of a list.
const NONE: u32 = u32::MAX;

/// A span as far as self time goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interval {
    /// Nanoseconds.
    pub(super) start: u64,
    /// Not before `start`; equal to it when the duration is not known.
    pub(super) end: u64,
    /// The position of the parent, where the parent waits ([`is_awaited`]).
    pub(super) parent: Option<usize>,
}

/// Whether a span waits for its child. A CONSUMER span handles a message, and whoever sent it goes on meanwhile: its
/// time is nobody else's. Only what its own service receives below a span that sent nothing (a poll loop with the
/// messages it handles) is work done within.
pub(super) fn is_awaited(parent: SpanKind, child: SpanKind, same_service: bool) -> bool {
    child != SpanKind::Consumer || (same_service && !parent.calls_out())
}

/// A span of the trace in hand.
#[derive(Debug, Clone, Copy)]
struct Own {
    start: u64,
    end: u64,
    /// The last child seen, and the child of its own parent that was seen before it.
    child: u32,
    before: u32,
}

/// Works out self times; keeps its memory from trace to trace.
#[derive(Debug, Default)]
pub(super) struct SelfTimes {
    spans: Vec<Own>,
    /// Positions of spans with children.
    parents: Vec<u32>,
    /// What children cover of the span in hand.
    covered: Vec<(u64, u64)>,
    times: Vec<u64>,
}

impl SelfTimes {
    /// The self times of `count` spans, by position. `at` is asked for positions below `count` only.
    #[inline]
    pub(super) fn of(&mut self, count: usize, at: impl Fn(usize) -> Interval) -> &[u64] {
        self.parents.clear();
        self.times.clear();
        self.spans.clear();
        self.spans.resize(count, Own { start: 0, end: 0, child: NONE, before: NONE });
        for (position, number) in (0..count).zip(0..NONE) {
            let Interval { start, end, parent } = at(position);
            self.times.push(end.saturating_sub(start));
            let mut before = NONE;
            if let Some((parent, span)) = parent.and_then(|parent| Some((parent, self.spans.get_mut(parent)?))) {
                before = std::mem::replace(&mut span.child, number);
                if before == NONE {
                    self.parents.extend(u32::try_from(parent));
                }
            }
            if let Some(span) = self.spans.get_mut(position) {
                (span.start, span.end, span.before) = (start, end, before);
            }
        }
        self.subtract();
        &self.times
    }

    /// Takes from each parent what its children cover.
    fn subtract(&mut self) {
        for parent in &self.parents {
            let parent = *parent as usize;
            let Some(Own { start, end, child, .. }) = self.spans.get(parent).copied() else { continue };
            let Some(last) = self.spans.get(child as usize) else { continue };
            let covered = if last.before == NONE {
                last.end.min(end).saturating_sub(last.start.max(start))
            } else {
                self.covered.clear();
                let mut child = child;
                while let Some(part) = self.spans.get(child as usize) {
                    let (from, to) = (part.start.max(start), part.end.min(end));
                    if from < to {
                        self.covered.push((from, to));
                    }
                    child = part.before;
                }
                union(&mut self.covered)
            };
            if let Some(time) = self.times.get_mut(parent) {
                *time = time.saturating_sub(covered);
            }
        }
    }
}

/// How much intervals cover together.
fn union(intervals: &mut [(u64, u64)]) -> u64 {
    match &mut *intervals {
        [] | [_] => {}
        [first, second] => {
            if second.0 < first.0 {
                std::mem::swap(first, second);
            }
        }
        many => many.sort_unstable(),
    }
    let (mut total, mut reached) = (0_u64, 0);
    for (from, to) in intervals {
        total = total.saturating_add(to.saturating_sub(reached.max(*from)));
        reached = reached.max(*to);
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(spans: &[(u64, u64, Option<usize>)]) -> Vec<u64> {
        let at = |n: usize| Interval { start: spans[n].0, end: spans[n].1, parent: spans[n].2 };
        SelfTimes::default().of(spans.len(), at).to_vec()
    }

    #[test]
    fn children_are_clipped_to_their_parent_and_overlaps_count_once() {
        let parent = (100, 140, None);
        for (children, expected) in [
            (vec![], 40),
            (vec![(110, 120)], 30),
            (vec![(110, 120), (115, 130)], 20),
            (vec![(115, 130), (110, 120), (129, 131)], 19),
            (vec![(105, 110), (90, 200), (120, 130)], 0),
            (vec![(0, 100), (140, 150), (200, 500)], 40),
            (vec![(90, 101), (139, 500)], 38),
            (vec![(110, 110), (120, 125), (120, 125), (121, 122)], 35),
        ] {
            let spans: Vec<_> =
                std::iter::once(parent).chain(children.iter().map(|(from, to)| (*from, *to, Some(0)))).collect();
            assert_eq!(times(&spans)[0], expected, "{children:?}");
        }
    }

    #[test]
    fn a_cycle_a_parent_that_is_nowhere_and_the_longest_times_are_harmless() {
        assert_eq!(times(&[(0, 10, Some(1)), (2, 5, Some(0))]), [7, 0]);
        assert_eq!(times(&[(0, 10, Some(0)), (3, 9, Some(7))]), [0, 6]);
        let whole = (0, u64::MAX, None);
        assert_eq!(times(&[whole, (0, u64::MAX - 1, Some(0)), (1, u64::MAX, Some(0))])[0], 0);
        assert_eq!(times(&[whole, (9, 3, Some(0)), (u64::MAX, 0, Some(0))])[0], u64::MAX);
    }

    #[test]
    fn a_chain_and_a_star_of_200_000_spans_are_done_at_once() {
        let many = 200_000;
        let chain: Vec<_> = (0..many).map(|n| (n, 2 * many - n, (n > 0).then(|| n as usize - 1))).collect();
        assert!(times(&chain)[..many as usize - 1].iter().all(|t| *t == 2));
        let star: Vec<_> = (0..many).rev().map(|n| (n * 10, n * 10 + 4, Some(0))).collect();
        let spans: Vec<_> = std::iter::once((0, many * 10, None)).chain(star).collect();
        assert_eq!(times(&spans)[0], many * 6);
    }

    #[test]
    fn a_message_is_not_awaited_by_its_sender_but_by_the_loop_that_polls() {
        use SpanKind::{Client, Consumer, Internal, Producer, Server};
        for (parent, child, same_service, awaited) in [
            (Client, Server, false, true),
            (Internal, Client, true, true),
            (Producer, Client, false, true),
            (Producer, Consumer, false, false),
            (Producer, Consumer, true, false),
            (Server, Consumer, false, false),
            (Internal, Consumer, true, true),
            (Consumer, Consumer, true, true),
        ] {
            assert_eq!(is_awaited(parent, child, same_service), awaited, "{parent:?} {child:?} {same_service}");
        }
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_counting_every_nanosecond(
            spans in prop::collection::vec((0_u64..40, 0_u64..40, prop::option::of(0_usize..14)), 0..14)
        ) {
            let spans: Vec<_> = spans.into_iter().map(|(start, length, parent)| (start, start + length, parent)).collect();
            let naive: Vec<u64> = spans.iter().enumerate().map(|(at, (start, end, _))| {
                let children = || spans.iter().filter(|(_, _, parent)| *parent == Some(at));
                (*start..*end).filter(|t| !children().any(|(from, to, _)| (from..to).contains(&t))).count() as u64
            }).collect();
            prop_assert_eq!(times(&spans), naive);
        }
    }
}
