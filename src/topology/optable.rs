//! Totals of operations, found by their number without hashing.

use std::collections::BTreeMap;

use super::tally::OpTally;
use crate::spans::SpanKind;

/// Kinds of spans.
const KINDS: usize = SpanKind::Consumer as usize + 1;

/// Totals by canonical operation number and kind.
#[derive(Debug)]
pub(super) struct OpTable {
    /// Position in `tallies` plus one, 0 for none yet; by number × kinds + kind.
    index: Vec<u32>,
    tallies: Vec<((u32, SpanKind), OpTally)>,
}

impl OpTable {
    /// For operations with numbers below `numbers`.
    pub(super) fn new(numbers: usize) -> Self {
        Self { index: vec![0; numbers.max(1) * KINDS], tallies: Vec::new() }
    }

    /// The totals of an operation. `None` only for a number that there cannot be.
    #[inline]
    pub(super) fn at(&mut self, number: u32, kind: SpanKind) -> Option<&mut OpTally> {
        let slot = self.index.get_mut(number as usize * KINDS + kind as usize)?;
        if *slot == 0 {
            *slot = Self::add(&mut self.tallies, number, kind);
        }
        self.tallies.get_mut((*slot as usize).wrapping_sub(1)).map(|(_, tally)| tally)
    }

    #[cold]
    #[inline(never)]
    fn add(tallies: &mut Vec<((u32, SpanKind), OpTally)>, number: u32, kind: SpanKind) -> u32 {
        tallies.push(((number, kind), OpTally::default()));
        u32::try_from(tallies.len()).unwrap_or(0)
    }

    /// Adds another table of the same numbers.
    pub(super) fn merge(&mut self, other: Self) {
        for ((number, kind), tally) in other.tallies {
            if let Some(mine) = self.at(number, kind) {
                mine.merge(tally);
            }
        }
    }

    /// Sorted by number and kind.
    pub(super) fn into_sorted(self) -> BTreeMap<(u32, SpanKind), OpTally> {
        self.tallies.into_iter().collect()
    }
}
