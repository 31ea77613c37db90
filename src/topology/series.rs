//! A series while it is being counted: a sorted list in which most buckets are found without a search.
//!
//! Of steady traffic no bucket is missing, so a bucket lies as far from the first one as its number does.

use std::collections::BTreeMap;

use super::snapshot::{Bucket, Series};
use crate::spans::Weight;

/// Longest series: 35 days of 5 minutes. Beyond it the latest buckets are kept.
pub(super) const MOST_BUCKETS: usize = 35 * 288;
/// The list may grow to this before it is cut, so that cutting costs little for each bucket.
const SLACK: usize = 2 * MOST_BUCKETS;

/// Calls and errors by bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets {
    /// By ascending number.
    list: Vec<(u64, Bucket)>,
    /// Number of the first.
    base: u64,
    /// Buckets before it are beyond the longest series.
    least: u64,
}

impl Buckets {
    /// Counts a call that started at this time; a time of 0 is not known.
    #[inline]
    pub(super) fn add(&mut self, start: u64, calls: Weight, failed: bool) {
        if start == 0 {
            return;
        }
        let number = start / (Series::SECONDS * 1_000_000_000);
        let errors = if failed { calls } else { Weight::ZERO };
        let guess = usize::try_from(number.wrapping_sub(self.base)).unwrap_or(usize::MAX);
        match self.list.get_mut(guess) {
            Some((at, bucket)) if *at == number => {
                bucket.calls += calls;
                bucket.errors += errors;
            }
            _ => self.elsewhere(number, Bucket { calls, errors }),
        }
    }

    #[inline(never)]
    fn elsewhere(&mut self, number: u64, more: Bucket) {
        if number < self.least {
            return;
        }
        match self.list.binary_search_by_key(&number, |(number, _)| *number) {
            Ok(at) => {
                if let Some((_, bucket)) = self.list.get_mut(at) {
                    bucket.calls += more.calls;
                    bucket.errors += more.errors;
                }
            }
            Err(at) => {
                self.list.insert(at, (number, more));
                if self.list.len() >= SLACK {
                    self.cut();
                }
                self.base = self.list.first().map_or(0, |(number, _)| *number);
            }
        }
    }

    fn cut(&mut self) {
        let beyond = self.list.len().saturating_sub(MOST_BUCKETS);
        self.list.drain(..beyond);
        self.least = self.list.first().map_or(0, |(number, _)| *number);
    }

    /// Adds another series.
    pub(super) fn merge(&mut self, other: &Self) {
        self.least = self.least.max(other.least);
        for (number, bucket) in &other.list {
            self.elsewhere(*number, *bucket);
        }
    }

    /// The series: the latest buckets.
    pub(super) fn finish(&self) -> Series {
        let beyond = self.list.len().saturating_sub(MOST_BUCKETS);
        Series(self.list.iter().skip(beyond).copied().collect::<BTreeMap<u64, Bucket>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUCKET: u64 = Series::SECONDS * 1_000_000_000;

    fn of(numbers: impl IntoIterator<Item = u64>) -> Buckets {
        let mut series = Buckets::default();
        numbers.into_iter().for_each(|n| series.add(n * BUCKET + 1, Weight::ONE, n % 2 == 0));
        series
    }

    #[test]
    fn the_latest_buckets_are_kept_and_complete_whatever_the_order_and_the_split() {
        let numbers: Vec<u64> = (1..=50_000).chain(1..=50_000).collect();
        let mixed: Vec<u64> = numbers.iter().map(|n| n * 7_919 % 50_000 + 1).collect();
        let once = of(numbers.iter().copied()).finish();
        assert_eq!((once.0.len(), *once.0.keys().next().unwrap()), (MOST_BUCKETS, 50_000 - MOST_BUCKETS as u64 + 1));
        assert!(once.0.values().all(|bucket| bucket.calls == Weight::whole(2)));
        assert!(once.0.iter().all(|(n, b)| b.errors == if n % 2 == 0 { b.calls } else { Weight::ZERO }));
        assert_eq!(of(numbers.iter().rev().copied()).finish(), once);
        assert_eq!(of(mixed.iter().copied()).finish(), once);
        let (mut first, second) = (of(mixed.iter().take(70_000).copied()), of(mixed.iter().skip(70_000).copied()));
        first.merge(&second);
        assert_eq!(first.finish(), once);
        assert_eq!(of([0]).finish().0.len(), 1);
    }

    #[test]
    fn a_span_without_a_time_is_in_no_bucket() {
        let mut series = Buckets::default();
        series.add(0, Weight::ONE, true);
        assert_eq!(series.finish(), Series::default());
    }
}
