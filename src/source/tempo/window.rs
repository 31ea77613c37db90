//! Time as Tempo's calls want it: whole seconds for searches, nanoseconds for metrics, never the one for the other.
//!
//! A metrics request with seconds in its nanosecond fields and a tiny step has been seen to kill a whole Tempo, so the
//! only way to make one is [`Nanos`], which refuses such numbers.

use crate::diag::Diagnostic;
use crate::spans::UnixNanos;

/// Tempo itself ignores the newest 30 s (`query_end_cutoff`); a little more, for clocks that differ.
const CUTOFF_SECONDS: u64 = 35;
const SECOND: u64 = 1_000_000_000;
/// The longest range of one search that Tempo allows by default.
const MAX_SEARCH_SECONDS: u32 = 168 * 3600;
/// The longest range of one metrics query that Tempo allows by default.
pub(super) const MAX_METRICS_SECONDS: u32 = 24 * 3600;

/// Cuts the end of a window at `now` less 35 s, where Tempo's answers begin to be whole.
///
/// Without this a window near the present is silently answered with other times by Tempo.
///
/// # Errors
/// `window-too-recent` when nothing is left.
pub fn clamp(window: (UnixNanos, UnixNanos), now: UnixNanos) -> Result<(UnixNanos, UnixNanos), Diagnostic> {
    let newest = UnixNanos(now.0.saturating_sub(CUTOFF_SECONDS.saturating_mul(SECOND)));
    let end = window.1.min(newest);
    if window.0 >= end {
        return Err(Diagnostic::error(
            "window-too-recent",
            format!(
                "the window {} to {} lies within the last {CUTOFF_SECONDS} s, which Tempo does not answer yet",
                window.0, window.1
            ),
        )
        .help("ask for an earlier or a longer window"));
    }
    Ok((window.0, end))
}

/// Whole unix seconds, `start` included, `end` excluded, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Window {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Window {
    /// The whole seconds that cover a window in nanoseconds.
    pub(super) fn covering(window: (UnixNanos, UnixNanos)) -> Result<Self, Diagnostic> {
        let seconds = |nanos: u64| u32::try_from(nanos / SECOND).ok();
        match (seconds(window.0.0), seconds(window.1.0.saturating_add(SECOND - 1))) {
            (Some(start), Some(end)) if start < end => Ok(Self { start, end }),
            _ => Err(Diagnostic::error(
                "window-empty",
                format!("the window {} to {} holds no time at all", window.0, window.1),
            )
            .help("give a start that lies before the end")),
        }
    }

    pub(super) fn seconds(self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Whether an instant in nanoseconds falls into this window.
    pub(super) fn holds(self, nanos: u64) -> bool {
        let second = nanos / SECOND;
        second >= u64::from(self.start) && second < u64::from(self.end)
    }

    /// Two halves, or `None` for a single second.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let middle = self.start.saturating_add(self.seconds() / 2);
        (middle > self.start).then_some([Self { end: middle, ..self }, Self { start: middle, ..self }])
    }

    /// Two parts of whole steps of a window that begins and ends with a step; `None` for a single step.
    pub(super) fn halves_by(self, step: u32) -> Option<[Self; 2]> {
        let steps = self.seconds() / step.max(1);
        let middle = self.start.saturating_add((steps / 2).saturating_mul(step));
        (middle > self.start).then_some([Self { end: middle, ..self }, Self { start: middle, ..self }])
    }

    /// Pieces no longer than `longest` seconds.
    pub(super) fn cut(self, longest: u32) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut start = self.start;
        while start < self.end {
            let end = start.saturating_add(longest).min(self.end);
            pieces.push(Self { start, end });
            start = end;
        }
        pieces
    }

    /// Pieces no longer than one search may be.
    pub(super) fn for_search(self) -> Vec<Self> {
        self.cut(MAX_SEARCH_SECONDS)
    }

    /// Pieces no longer than one metrics query may be.
    pub(super) fn for_metrics(self) -> Vec<Self> {
        self.cut(MAX_METRICS_SECONDS)
    }

    /// The same in nanoseconds.
    pub(super) fn nanos(self) -> (UnixNanos, UnixNanos) {
        (UnixNanos(u64::from(self.start) * SECOND), UnixNanos(u64::from(self.end) * SECOND))
    }
}

/// The time fields of a metrics query, proven to be nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nanos {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) step: u64,
}

impl Nanos {
    /// What starts from `start` on and before `end`. Tempo takes an instant for the end of what it counts: its interval is
    /// open at the start and closed at the end (measured, 3.1), so both lie a nanosecond earlier.
    ///
    /// `None` for anything that could be seconds (an instant before 2001-09-09 in nanoseconds) or a step under 1 s.
    pub(super) fn checked(start: UnixNanos, end: UnixNanos, step_seconds: u32) -> Option<Self> {
        const EARLIEST: u64 = 1_000_000_000_000_000_000;
        let plausible = start.0 >= EARLIEST && end.0 > start.0 && step_seconds >= 1;
        let step = u64::from(step_seconds).saturating_mul(SECOND);
        plausible.then(|| Self { start: start.0.saturating_sub(1), end: end.0.saturating_sub(1), step })
    }
}

/// Joins neighbouring counts into windows of about `target` spans: `counts` holds `(second, spans)`, ascending, each
/// standing for the time up to the next. The windows cover `whole` without gap or overlap.
pub(super) fn plan(whole: Window, counts: &[(u32, u64)], target: u64) -> Vec<Window> {
    let mut cuts = Vec::new();
    let mut sum = 0u64;
    for (second, spans) in counts {
        if sum > 0 && sum.saturating_add(*spans) > target {
            cuts.push(*second);
            sum = 0;
        }
        sum = sum.saturating_add(*spans);
    }
    let mut windows = Vec::new();
    let mut start = whole.start;
    for cut in cuts.into_iter().filter(|cut| *cut < whole.end) {
        if cut > start {
            windows.push(Window { start, end: cut });
            start = cut;
        }
    }
    windows.push(Window { start, end: whole.end });
    windows.into_iter().flat_map(Window::for_search).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_178_400;

    fn nanos(second: u64) -> UnixNanos {
        UnixNanos(second * SECOND)
    }

    #[test]
    fn the_end_is_clamped_to_35_seconds_before_now() {
        let now = nanos(NOON);
        assert_eq!(clamp((nanos(NOON - 3600), now), now), Ok((nanos(NOON - 3600), nanos(NOON - 35))));
        assert_eq!(clamp((nanos(NOON - 90), nanos(NOON - 60)), now), Ok((nanos(NOON - 90), nanos(NOON - 60))));
        assert_eq!(clamp((nanos(NOON - 20), now), now).unwrap_err().code, "window-too-recent");
        assert_eq!(clamp((nanos(NOON + 20), nanos(NOON + 30)), now).unwrap_err().code, "window-too-recent");
    }

    #[test]
    fn a_window_is_covered_by_whole_seconds() {
        let window = Window::covering((UnixNanos(NOON * SECOND + 7), UnixNanos((NOON + 2) * SECOND + 1))).unwrap();
        assert_eq!(u64::from(window.start), NOON);
        assert_eq!(window.seconds(), 3);
        assert!(window.holds(NOON * SECOND) && !window.holds((NOON + 3) * SECOND));
        assert_eq!(Window::covering((nanos(5), nanos(5))).unwrap_err().code, "window-empty");
        assert_eq!(Window::covering((UnixNanos(0), UnixNanos(u64::MAX))).unwrap_err().code, "window-empty");
    }

    #[test]
    fn halving_ends_at_one_second_and_slices_never_exceed_168_hours() {
        let window = Window { start: 10, end: 13 };
        assert_eq!(window.halves(), Some([Window { start: 10, end: 11 }, Window { start: 11, end: 13 }]));
        assert_eq!(Window { start: 10, end: 11 }.halves(), None);
        let month = Window { start: 1_000_000_000, end: 1_000_000_000 + 30 * 86_400 };
        let slices = month.for_search();
        assert!(slices.iter().all(|s| s.seconds() <= 168 * 3600));
        assert_eq!(slices.iter().map(|s| s.seconds()).sum::<u32>(), month.seconds());
        assert_eq!(month.for_metrics().len(), 30);
    }

    #[test]
    fn seconds_in_a_nanosecond_field_or_a_tiny_step_cannot_be_sent() {
        assert_eq!(Nanos::checked(UnixNanos(NOON), UnixNanos(NOON + 60), 60), None);
        assert_eq!(Nanos::checked(nanos(NOON), nanos(NOON + 60), 0), None);
        assert_eq!(Nanos::checked(nanos(NOON), nanos(NOON), 60), None);
        let minute = Nanos::checked(nanos(NOON), nanos(NOON + 60), 60).unwrap();
        assert_eq!((minute.start, minute.end, minute.step), (NOON * SECOND - 1, (NOON + 60) * SECOND - 1, 60 * SECOND));
    }

    #[test]
    fn a_plan_covers_everything_once_with_about_the_target_in_each_window() {
        let whole = Window { start: 100, end: 700 };
        let counts: Vec<(u32, u64)> = (0..11).map(|i| (60 + i * 60, 40)).collect();
        let windows = plan(whole, &counts, 100);
        assert_eq!(windows.first().unwrap().start, 100);
        assert_eq!(windows.last().unwrap().end, 700);
        assert!(windows.windows(2).all(|w| w[0].end == w[1].start));
        assert_eq!(windows.len(), 6);
        assert_eq!(plan(whole, &[], 100), vec![whole]);
    }
}
