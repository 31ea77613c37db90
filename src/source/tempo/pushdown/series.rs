//! Calls and errors by bucket of 5 minutes: which questions to ask for them, and whether they may be trusted.
//!
//! Input: a window, and what was counted in it. Output: questions, and what to leave out. A range query answers in whole
//! steps only, so the parts of a bucket at both ends of the window are counted apart. A step of Tempo ends with the
//! instant at which the next begins, a bucket just before it: a span that starts there to the nanosecond is counted one
//! bucket early, but once.

use super::question::When;
use crate::source::tempo::window::{MAX_METRICS_SECONDS, Window};
use crate::spans::UnixNanos;

/// Width of a bucket in seconds.
pub(super) const SECONDS: u32 = 300;

/// Figures by bucket that are kept at most, calls and errors counting as one: more and no series is kept at all, since
/// a part would pass for the whole.
pub(super) const MOST_FIGURES: u64 = 2_000_000;

/// A window by bucket: whole ones, and what is left of one before and after.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Split {
    /// The bucket, and which part of it.
    pub(super) parts: Vec<(u64, When)>,
    /// Windows of whole buckets.
    pub(super) whole: Vec<Window>,
}

impl Split {
    pub(super) fn of(window: Window) -> Self {
        let (start, end) = window.nanos();
        let (first, last) = (window.start / SECONDS, window.end.saturating_sub(1) / SECONDS);
        if first >= last {
            return Self { parts: vec![(first.into(), When::Between(start, end))], whole: Vec::new() };
        }
        let whole =
            Window { start: first.saturating_add(1).saturating_mul(SECONDS), end: last.saturating_mul(SECONDS) };
        let (from, to) = whole.nanos();
        // With the instant that the first step leaves to the bucket before, and without the one that the last step has.
        let behind = |at: UnixNanos| UnixNanos(at.0.saturating_add(1));
        let (before, after) = (When::Between(start, behind(from)), When::Between(behind(to), end));
        Self { parts: vec![(first.into(), before), (last.into(), after)], whole: whole.cut(MAX_METRICS_SECONDS) }
    }
}

/// Buckets that a window touches.
pub(super) fn buckets(window: Window) -> u64 {
    u64::from(window.end.div_ceil(SECONDS)).saturating_sub(u64::from(window.start / SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u32 = 1_795_177_800;

    fn at(second: u32, nanos: u64) -> UnixNanos {
        UnixNanos(u64::from(second) * 1_000_000_000 + nanos)
    }

    #[test]
    fn the_first_and_the_last_bucket_are_asked_for_apart_and_what_lies_on_a_bound_once() {
        let part = |window: Window| Split::of(window).parts;
        let bucket = u64::from(START / SECONDS);
        let split = Split::of(Window { start: START + 100, end: START + 1000 });
        // Tempo counts (300, 600] and (600, 900]: the part before ends with 300, that after begins behind 900.
        assert_eq!(split.whole, [Window { start: START + 300, end: START + 900 }]);
        let before = When::Between(at(START + 100, 0), at(START + 300, 1));
        let after = When::Between(at(START + 900, 1), at(START + 1000, 0));
        assert_eq!(split.parts, [(bucket, before), (bucket + 3, after)]);
        // What lies on the bounds of the window itself: the first instant is in, the last is not.
        let whole = part(Window { start: START, end: START + 600 });
        let before = When::Between(at(START, 0), at(START + 300, 1));
        let after = When::Between(at(START + 300, 1), at(START + 600, 0));
        assert_eq!(whole, [(bucket, before), (bucket + 1, after)]);
        let one = part(Window { start: START + 100, end: START + 300 });
        assert_eq!(one, [(bucket, When::Between(at(START + 100, 0), at(START + 300, 0)))]);
    }

    #[test]
    fn no_question_is_longer_than_a_day() {
        let window = Window { start: START, end: START + 2 * 86_400 + 900 };
        let whole = Split::of(window).whole;
        assert_eq!(whole.iter().map(|w| w.seconds()).collect::<Vec<_>>(), [86_400, 86_400, 300]);
        assert_eq!(buckets(window), 579);
    }
}
