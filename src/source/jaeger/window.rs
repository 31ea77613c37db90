//! Time as Jaeger's storages keep it: whole microseconds.

use super::wire::v3::Timestamp;
use crate::diag::Diagnostic;
use crate::spans::UnixNanos;

/// Whole Unix microseconds, `start` included, `end` excluded, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) end: u64,
}

impl Window {
    /// The whole microseconds that cover a window in nanoseconds.
    ///
    /// # Errors
    /// `window-empty` when it holds no time.
    pub(super) fn covering(window: (UnixNanos, UnixNanos)) -> Result<Self, Diagnostic> {
        let covering = Self { start: window.0.0 / 1_000, end: window.1.0.div_ceil(1_000) };
        if window.0 < window.1 {
            return Ok(covering);
        }
        let message = format!("the window {} to {} holds no time at all", window.0, window.1);
        Err(Diagnostic::error("window-empty", message).help("give a start that lies before the end"))
    }

    pub(super) fn micros(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether an instant in nanoseconds falls into this window.
    pub(super) fn holds(self, nanos: u64) -> bool {
        (self.start..self.end).contains(&(nanos / 1_000))
    }

    /// Two halves, or `None` for a single microsecond.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let middle = self.start.saturating_add(self.micros() / 2);
        (middle > self.start).then_some([Self { end: middle, ..self }, Self { start: middle, ..self }])
    }

    /// Start and end on the wire.
    pub(super) fn bounds(self) -> (Timestamp, Timestamp) {
        (timestamp(self.start), timestamp(self.end))
    }
}

fn timestamp(micros: u64) -> Timestamp {
    Timestamp {
        seconds: i64::try_from(micros / 1_000_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_covered_halved_to_a_microsecond_and_put_on_the_wire() {
        let window = Window::covering((UnixNanos(1_500), UnixNanos(4_001))).ok().unwrap();
        assert_eq!(window, Window { start: 1, end: 5 });
        assert!(window.holds(1_000) && window.holds(4_999) && !window.holds(5_000) && !window.holds(999));
        assert_eq!(window.halves(), Some([Window { start: 1, end: 3 }, Window { start: 3, end: 5 }]));
        assert_eq!(Window { start: 1, end: 2 }.halves(), None);
        assert_eq!(Window::covering((UnixNanos(5), UnixNanos(5))).unwrap_err().code, "window-empty");
        let (start, _) = Window { start: 1_700_000_000_000_001, end: u64::MAX }.bounds();
        assert_eq!((start.seconds, start.nanos), (1_700_000_000, 1_000));
    }
}
