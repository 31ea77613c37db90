//! The traces of several periods, counted apart in one run: before and after something happened.
//!
//! Input: whole traces. Output: a tally for each period. A trace belongs to the first period its first span starts in, with
//! all its spans; to none if no period holds it. Links go with the trace they lead to.

use super::group::Key;
use super::pair::Pairer;
use super::row::{StoredLink, StoredSpan};
use super::tally::Tally;

/// A stretch of time: Unix nanoseconds, from the first to before the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Period {
    /// Any time, known or not.
    pub(super) const ALL: Self = Self { from: 0, to: u64::MAX };

    fn holds(self, start: u64) -> bool {
        (self.from <= start && start < self.to) || self == Self::ALL
    }
}

/// One pairer for each period.
#[derive(Debug)]
pub(super) struct Sides<'a> {
    sides: Vec<(Period, Pairer<'a>)>,
}

impl<'a> Sides<'a> {
    pub(super) fn new(periods: &[Period], pairer: impl Fn() -> Pairer<'a>) -> Self {
        Self { sides: periods.iter().map(|period| (*period, pairer())).collect() }
    }

    /// One whole trace: which of the rows are its own, and the links into it.
    pub(super) fn trace(&mut self, id: u128, rows: &[&[StoredSpan]], order: &mut [Key], links: &mut [StoredLink]) {
        let start = match self.sides.as_slice() {
            [_] => 0,
            _ => order.iter().filter_map(|key| key.of(rows)).map(|row| row.start).filter(|s| *s > 0).min().unwrap_or(0),
        };
        if let Some((_, pairer)) = self.sides.iter_mut().find(|(period, _)| period.holds(start)) {
            pairer.trace(id, rows, order, links);
        }
    }

    /// Spans of over-long traces that were left out.
    pub(super) fn left_out(&mut self, spans: u64) {
        if let Some((_, pairer)) = self.sides.first_mut() {
            pairer.left_out(spans);
        }
    }

    pub(super) fn into_tallies(self) -> Vec<Tally> {
        self.sides.into_iter().map(|(_, pairer)| pairer.into_tally()).collect()
    }
}

#[cfg(test)]
#[path = "sides_tests.rs"]
mod tests;
