//! Some traces of a window instead of all: which to keep, and how to say so.
//!
//! Input: what a census found. Output: the traces to read, and how many were left out. Pure: nothing here talks to anyone.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Diagnostic, Location};
use crate::spans::{TraceId, UnixNanos, hash};

/// Which traces are kept when a window holds more than are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keep {
    /// Those whose trace id has the least hash: spread over the window like all of them, and the same ones in every run.
    #[default]
    Hash,
    /// The newest by start.
    MostRecent,
}

/// At most so many traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Traces to keep, at least 1.
    pub most: u64,
    /// Which.
    pub keep: Keep,
}

/// What was left out of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Traces that are kept.
    pub(super) kept: u64,
    /// Traces that start in the window and are not read.
    pub(super) out: u64,
    /// From here on every trace of the window is kept, if there is such a time: the start of the oldest of the newest.
    pub(super) from: Option<UnixNanos>,
}

impl Sample {
    /// Leaves the traces to read in `traces`; `start` tells the start of one in Unix nanoseconds. `None` when all fit.
    ///
    /// The hash is the one by which snapshots choose exemplars, so those of a sample are also those of the whole.
    pub(super) fn apply<T>(self, traces: &mut BTreeMap<TraceId, T>, start: impl Fn(&T) -> u64) -> Option<Left> {
        let most = usize::try_from(self.most).unwrap_or(usize::MAX);
        let out = traces.len().checked_sub(most).filter(|out| *out > 0)?;
        let mut ranked: Vec<(u64, TraceId)> = traces
            .iter()
            .map(|(id, trace)| match self.keep {
                Keep::Hash => (hash::trace(id.0), *id),
                Keep::MostRecent => (u64::MAX - start(trace), *id),
            })
            .collect();
        ranked.sort_unstable();
        ranked.truncate(most);
        let kept: BTreeSet<TraceId> = ranked.iter().map(|(_, id)| *id).collect();
        traces.retain(|id, _| kept.contains(id));
        let oldest = ranked.last().map(|(rank, _)| UnixNanos(u64::MAX - *rank));
        let from = oldest.filter(|_| self.keep == Keep::MostRecent);
        Some(Left { kept: kept.len() as u64, out: out as u64, from })
    }
}

impl Left {
    /// What people are told.
    pub(super) fn said(&self, at: &str) -> Diagnostic {
        let all = self.kept.saturating_add(self.out);
        let which = match self.from {
            Some(from) => format!("the newest, from {from} on"),
            None => "those whose trace id has the least hash, the same in every run".to_owned(),
        };
        Diagnostic::warning(
            "traces-sampled",
            format!("{} of the {all} traces of the window are read, as --max-traces asks: {which}", self.kept),
        )
        .at(Location::file(at))
        .help("counts and rates are of the traces read; leave --max-traces out, or raise it, to read all")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,000 traces, one a second, with ids in a row.
    fn traces() -> BTreeMap<TraceId, u64> {
        (1..=1_000u64).map(|i| (TraceId(u128::from(i)), i * 1_000_000_000)).collect()
    }

    fn sampled(most: u64, keep: Keep) -> (BTreeMap<TraceId, u64>, Option<Left>) {
        let mut traces = traces();
        let left = Sample { most, keep }.apply(&mut traces, |start| *start);
        (traces, left)
    }

    #[test]
    fn a_window_that_fits_is_left_alone() {
        assert_eq!(sampled(1_000, Keep::Hash), (traces(), None));
        assert_eq!(sampled(u64::MAX, Keep::MostRecent), (traces(), None));
    }

    #[test]
    fn a_smaller_sample_is_part_of_a_larger_one_and_both_are_spread_over_the_window() {
        let (few, left) = sampled(100, Keep::Hash);
        let (more, _) = sampled(300, Keep::Hash);
        assert_eq!(left, Some(Left { kept: 100, out: 900, from: None }));
        assert!(few.keys().all(|id| more.contains_key(id)));
        for half in [1..=500u128, 501..=1_000] {
            let n = few.keys().filter(|id| half.contains(&id.0)).count();
            assert!((30..=70).contains(&n), "{n}");
        }
        // What others rely on: the choice never changes.
        assert_eq!(sampled(3, Keep::Hash).0.keys().map(|id| id.0).collect::<Vec<_>>(), [692, 855, 893]);
    }

    #[test]
    fn the_newest_are_a_shorter_window_of_which_nothing_is_missing() {
        let (kept, left) = sampled(10, Keep::MostRecent);
        assert!(kept.keys().map(|id| id.0).eq(991..=1_000));
        let left = left.unwrap();
        assert_eq!((left.kept, left.out, left.from), (10, 990, Some(UnixNanos(991_000_000_000))));
        let said = left.said("tempo://t");
        assert!(said.message.contains("10 of the 1000 traces"), "{said}");
    }
}
