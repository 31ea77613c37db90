//! The rows of a partition by trace, without sorting them.
//!
//! Purpose: each trace's rows. Input: rows in any order, in pieces as they were stored. Output: for each trace where its
//! rows are. Rows stay there, what moves are keys of 16 bytes. Spans of one trace mostly arrive close together, so
//! traces are handed out in the order in which they first appear, and their rows are still near.
//! Must not: give the order of traces or of their rows any meaning; nobody may.

use super::hash::Secret;
use super::row::StoredSpan;

/// Where a row is.
///
/// Its span id, the number of its piece and its position there, in this order from the top: keys compare as one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Key(u128);

impl Key {
    fn new(span: u64, piece: u32, at: u32) -> Self {
        Self(u128::from(span) << 64 | u128::from(piece) << 32 | u128::from(at))
    }

    /// Its span id.
    #[allow(clippy::cast_possible_truncation, reason = "the upper half")]
    #[inline]
    pub(super) fn span(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The row itself.
    #[allow(clippy::cast_possible_truncation, reason = "the quarters of the lower half")]
    #[inline]
    pub(super) fn of<'r>(self, pieces: &[&'r [StoredSpan]]) -> Option<&'r StoredSpan> {
        pieces.get((self.0 >> 32) as u32 as usize)?.get(self.0 as u32 as usize)
    }
}

#[derive(Debug, Clone, Copy)]
struct Trace {
    id: u128,
    /// While counting: its rows. Afterwards: where its keys end.
    end: u32,
}

/// Tables, used again for each partition.
#[derive(Debug)]
pub(super) struct Groups {
    secret: Secret,
    /// Open addressing: position in `traces` plus one, 0 for empty.
    table: Vec<u32>,
    traces: Vec<Trace>,
    /// By row: its trace.
    trace_of: Vec<u32>,
    keys: Vec<Key>,
}

impl Groups {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, table: Vec::new(), traces: Vec::new(), trace_of: Vec::new(), keys: Vec::new() }
    }

    /// Groups the rows: at most 2^31 of them.
    pub(super) fn group(&mut self, pieces: &[&[StoredSpan]]) {
        self.number(pieces);
        let mut end = 0;
        for trace in &mut self.traces {
            // From here on the place of the next key.
            end += std::mem::replace(&mut trace.end, end);
        }
        self.keys.clear();
        self.keys.resize(self.trace_of.len(), Key::default());
        let rows = pieces.iter().zip(0u32..).flat_map(|(piece, n)| piece.iter().zip(0u32..).map(move |row| (row, n)));
        for (((row, at), piece), trace) in rows.zip(&self.trace_of) {
            let Some(trace) = self.traces.get_mut(*trace as usize) else { continue };
            if let Some(key) = self.keys.get_mut(trace.end as usize) {
                *key = Key::new(row.span, piece, at);
            }
            trace.end += 1;
        }
    }

    /// Numbers the traces and counts their rows.
    #[allow(clippy::cast_possible_truncation, reason = "rows are fewer than 2^31")]
    fn number(&mut self, pieces: &[&[StoredSpan]]) {
        let rows: usize = pieces.iter().map(|piece| piece.len()).sum();
        let size = (2 * rows).next_power_of_two().max(2);
        let mask = size as u64 - 1;
        self.table.clear();
        self.table.resize(size, 0);
        self.traces.clear();
        self.trace_of.clear();
        self.trace_of.reserve(rows);
        let mut before: Option<(u128, u32)> = None;
        for row in pieces.iter().copied().flatten() {
            let number = match before {
                Some((trace, number)) if trace == row.trace => number,
                _ => self.number_of(row.trace, mask),
            };
            before = Some((row.trace, number));
            if let Some(trace) = self.traces.get_mut(number as usize) {
                trace.end += 1;
            }
            self.trace_of.push(number);
        }
    }

    /// The number of a trace, given if it is new.
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn number_of(&mut self, id: u128, mask: u64) -> u32 {
        // The low bits chose the partition.
        let mut at = (self.secret.trace(id) >> 20) & mask;
        while let Some(slot) = self.table.get_mut(at as usize) {
            if *slot == 0 {
                self.traces.push(Trace { id, end: 0 });
                *slot = self.traces.len() as u32;
                return *slot - 1;
            }
            if self.traces.get(*slot as usize - 1).is_some_and(|trace| trace.id == id) {
                return *slot - 1;
            }
            at = (at + 1) & mask;
        }
        0
    }

    /// Hands each trace to `take`: its id, and the keys of its rows.
    pub(super) fn each(&mut self, mut take: impl FnMut(u128, &mut [Key])) {
        let mut keys = self.keys.as_mut_slice();
        let mut start = 0;
        for trace in &self.traces {
            let (own, rest) =
                std::mem::take(&mut keys).split_at_mut_checked((trace.end - start) as usize).unwrap_or_default();
            take(trace.id, own);
            (keys, start) = (rest, trace.end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_row_is_with_its_trace() {
        let mut groups = Groups::new(Secret::new());
        for traces in [1u128, 3, 1000, 5000] {
            let row = |i: u64| StoredSpan {
                trace: u128::from(i * 31) % traces,
                span: i * 7919 % 1009,
                ..StoredSpan::default()
            };
            let rows: Vec<StoredSpan> = (0..5000).map(row).collect();
            let mut wanted: BTreeMap<u128, Vec<u64>> = BTreeMap::new();
            rows.iter().for_each(|row| wanted.entry(row.trace).or_default().push(row.span));
            wanted.values_mut().for_each(|spans| spans.sort_unstable());
            let pieces: Vec<&[StoredSpan]> = rows.chunks(700).collect();
            groups.group(&pieces);
            let mut got: BTreeMap<u128, Vec<u64>> = BTreeMap::new();
            groups.each(|trace, keys| {
                keys.sort_unstable();
                let of = |key: &Key| {
                    key.of(&pieces).filter(|row| row.trace == trace && row.span == key.span()).unwrap().span
                };
                assert!(got.insert(trace, keys.iter().map(of).collect()).is_none());
            });
            assert_eq!(got, wanted);
        }
        groups.group(&[]);
        groups.each(|_, _| unreachable!("no rows, no traces"));
    }
}
