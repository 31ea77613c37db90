//! Traces that reach into a window and begin long before it: they belong to an earlier window, and hardly anybody means that.

use crate::diag::{Diagnostic, Location};
use crate::spans::UnixNanos;

/// Nothing that is traced takes so long.
const LONG: u64 = 24 * 3_600 * 1_000_000_000;

/// Whether a trace that starts then, in Unix nanoseconds, starts long before a window.
pub(in crate::source) fn is(start: u64, window: UnixNanos) -> bool {
    start.saturating_add(LONG) < window.0
}

/// What is to be said of so many of them.
pub(in crate::source) fn told(n: usize, at: &str) -> Option<Diagnostic> {
    let told = format!("{n} trace(s) reach into the window and begin more than a day before it, so they are left out");
    (n > 0).then(|| {
        Diagnostic::warning("traces-begin-before", told).at(Location::file(at)).help(
            "a span of theirs may have a wrong clock: a trace belongs to the window in which its first span starts",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_long() {
        assert!(is(5, UnixNanos(LONG + 6)) && !is(5, UnixNanos(LONG + 5)));
        assert_eq!((told(0, "t"), told(2, "t").unwrap().code), (None, "traces-begin-before"));
    }
}
