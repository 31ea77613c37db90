//! Self time: how long a span worked itself, less the time in which it waited for its children.
//!
//! Purpose: the duration of each span less the union of its children's intervals, clipped to the span. Input: for each
//! span of a trace its interval and the position of the span that waits for it. Output: nanoseconds, by position.
//! Must not: know how spans pair, or walk up or down the tree: a cycle of parents, a chain or a star of a million spans
//! are nothing special. Time is n log n in the children of one span, linear in the spans of the trace.

use crate::spans::SpanKind;

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

/// What children cover of a span, as far as one look at each can tell.
#[derive(Debug, Clone, Copy)]
struct Cover {
    /// From the first start to the last end.
    from: u64,
    to: u64,
    /// Of which is covered; [`SORT`] when a child fell among others that leave gaps.
    covered: u64,
}

/// The children have to be sorted before one can tell.
const SORT: u64 = u64::MAX;

impl Cover {
    const NOTHING: Self = Self { from: u64::MAX, to: 0, covered: 0 };

    /// With one more child. Before, after or across all others it is plain what it adds; among others it is so only if
    /// they leave no gap.
    fn with(self, from: u64, to: u64) -> Self {
        let apart = to <= self.from || from >= self.to;
        let whole = self.covered == self.to.wrapping_sub(self.from);
        let (first, last) = (self.from.min(from), self.to.max(to));
        let covered = match (apart, whole) {
            (true, _) => self.covered.saturating_add(to - from),
            (false, true) => last - first,
            (false, false) => SORT,
        };
        Self { from: first, to: last, covered }
    }
}

/// Works out self times; keeps its memory from trace to trace.
#[derive(Debug, Default)]
pub(super) struct SelfTimes {
    covers: Vec<Cover>,
    /// Children to be sorted: parent, start, end.
    children: Vec<(usize, u64, u64)>,
    times: Vec<u64>,
}

impl SelfTimes {
    /// The self times of `count` spans, by position. `at` is asked for positions below `count` only.
    pub(super) fn of(&mut self, count: usize, at: impl Fn(usize) -> Interval) -> &[u64] {
        // The part of its parent in which a span runs, if any.
        let part = |span: Interval| {
            let above = span.parent.filter(|above| *above < count)?;
            let parent = at(above);
            let (from, to) = (span.start.max(parent.start), span.end.min(parent.end));
            (from < to).then_some((above, from, to))
        };
        self.covers.clear();
        self.covers.resize(count, Cover::NOTHING);
        self.times.clear();
        let mut sort = false;
        for span in (0..count).map(&at) {
            self.times.push(span.end.saturating_sub(span.start));
            if let Some((above, from, to)) = part(span)
                && let Some(cover) = self.covers.get_mut(above)
            {
                *cover = cover.with(from, to);
                sort |= cover.covered == SORT;
            }
        }
        if sort {
            self.sort_children((0..count).map(&at).filter_map(part));
        }
        for (time, cover) in self.times.iter_mut().zip(&self.covers) {
            *time = time.saturating_sub(cover.covered);
        }
        &self.times
    }

    /// What is covered where children had to be sorted.
    fn sort_children(&mut self, parts: impl Iterator<Item = (usize, u64, u64)>) {
        self.children.clear();
        let unclear = |above: usize| self.covers.get(above).is_some_and(|cover| cover.covered == SORT);
        self.children.extend(parts.filter(|(above, ..)| unclear(*above)));
        self.children.sort_unstable();
        for siblings in self.children.chunk_by(|a, b| a.0 == b.0) {
            let (mut covered, mut reached) = (0_u64, 0);
            for (_, from, to) in siblings {
                covered = covered.saturating_add(to.saturating_sub(reached.max(*from)));
                reached = reached.max(*to);
            }
            if let Some(cover) = siblings.first().and_then(|(above, ..)| self.covers.get_mut(*above)) {
                cover.covered = covered;
            }
        }
    }
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
