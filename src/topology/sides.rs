//! The traces of several periods, counted apart in one run: before and after something happened.
//!
//! Input: whole traces. Output: a tally for each period. A trace belongs to the first period its first span starts in, with
//! all its spans; to none if no period holds it. Links go with the trace they lead to, or with where they come from if
//! nobody has that trace.

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
        if order.is_empty() && self.sides.len() > 1 {
            return self.links(id, rows, links);
        }
        if let Some((_, pairer)) = self.sides.iter_mut().find(|(period, _)| period.holds(start)) {
            pairer.trace(id, rows, order, links);
        }
    }

    /// Links to a trace nobody has: each goes with the span it comes from.
    fn links(&mut self, id: u128, rows: &[&[StoredSpan]], links: &mut [StoredLink]) {
        let side_of = |link: &StoredLink| self.sides.iter().position(|(period, _)| period.holds(link.from.start));
        links.sort_by_key(side_of);
        let ends: Vec<Option<usize>> = links.iter().map(side_of).collect();
        let mut links = links;
        for same in ends.chunk_by(|a, b| a == b) {
            let (own, rest) = std::mem::take(&mut links).split_at_mut_checked(same.len()).unwrap_or_default();
            links = rest;
            let side = same.first().copied().flatten();
            if let Some((_, pairer)) = side.and_then(|side| self.sides.get_mut(side)) {
                pairer.trace(id, rows, &mut [], own);
            }
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
