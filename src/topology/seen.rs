//! When there was anything in a window: asked for a week, a backend that holds an hour gives rates of a week.
//!
//! Input: a snapshot. Output: the part of its window in which calls start, where that is much shorter. Must not: say so where
//! it is not known when calls were.

use super::snapshot::{NodeKind, Series, Snapshot, Window};
use crate::spans::UnixNanos;

/// An end of the window is empty when more than one part of so many is.
const PARTS: u64 = 10;
const BUCKET_NANOS: u64 = Series::SECONDS * 1_000_000_000;

/// From the first to the last call, to 5 minutes, where more than a tenth of the window is empty before or after them.
#[must_use]
pub fn seen_only(snapshot: &Snapshot) -> Option<Window> {
    let services = snapshot.nodes.iter().filter(|n| n.kind == NodeKind::Service && n.instrumented);
    let handling: Vec<&Series> = services.filter(|n| !n.handled.calls.is_zero()).map(|n| &n.handled.series).collect();
    if handling.iter().any(|series| series.0.is_empty()) {
        // Some were counted, but not by time.
        return None;
    }
    let buckets = || handling.iter().copied().chain(snapshot.operations.iter().map(|o| &o.stats.series));
    let first = buckets().filter_map(|series| series.0.keys().next()).min()?;
    let last = buckets().filter_map(|series| series.0.keys().next_back()).max()?;
    let window = snapshot.window;
    let start = first.saturating_mul(BUCKET_NANOS).max(window.start.0);
    let end = last.saturating_add(1).saturating_mul(BUCKET_NANOS).min(window.end.0);
    let tenth = window.end.since(window.start) / PARTS;
    let empty = start.saturating_sub(window.start.0) > tenth || window.end.0.saturating_sub(end) > tenth;
    (empty && start < end).then_some(Window { start: UnixNanos(start), end: UnixNanos(end) })
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{S, SECOND, s, snapshot};
    use super::*;
    use crate::spans::SpanKind::Server;

    #[test]
    fn an_hour_in_a_week_is_told_and_a_window_that_is_filled_is_not() {
        const HOUR: u64 = 3_600 * SECOND;
        let call = |i: u64| {
            let start = 100 * HOUR + i * 300 * SECOND;
            S { start, end: start + SECOND, ..s(i + 1, 0, "web", Server).trace(u128::from(i) + 1) }
        };
        let calls: Vec<S> = (0..12).map(call).collect();
        let mut week = snapshot(&calls);
        let hour = Window { start: UnixNanos(100 * HOUR), end: UnixNanos(101 * HOUR) };
        assert_eq!(seen_only(&week), None, "the window of spans is theirs");
        week.window = Window { start: UnixNanos(0), end: UnixNanos(168 * HOUR) };
        assert_eq!(seen_only(&week), Some(hour));
        week.window = Window { start: UnixNanos(100 * HOUR - 1), end: UnixNanos(102 * HOUR) };
        assert_eq!(seen_only(&week), Some(hour), "one empty end is enough");
        week.window = Window { start: UnixNanos(100 * HOUR - 300 * SECOND), end: UnixNanos(101 * HOUR + 300 * SECOND) };
        assert_eq!(seen_only(&week), None, "quiet minutes are no matter");
        week.window = Window { start: UnixNanos(0), end: UnixNanos(168 * HOUR) };
        week.nodes.iter_mut().for_each(|node| node.handled.series = Series::default());
        assert_eq!(seen_only(&week), None, "when it was is not known");
    }
}
