//! What one thing came to, whatever it is: calls, errors, durations, times, failures.
//!
//! Input: figures of answers. Output: [`Totals`] and [`Durations`]. Must not: know what it is that was counted.

use std::collections::BTreeMap;

use crate::spans::aggregate::{DurationBucket, Durations, Totals};
use crate::spans::{ErrorClass, Weight};

/// Sums over the spans of one population with the same values of its keys.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Sums {
    pub(super) calls: u64,
    pub(super) errors: u64,
    /// By upper bound in nanoseconds.
    pub(super) buckets: BTreeMap<u64, u64>,
    /// Calls and errors by bucket of 5 minutes.
    pub(super) series: BTreeMap<u64, (u64, u64)>,
    /// How they failed, as far as that was asked for.
    pub(super) classes: BTreeMap<ErrorClass, u64>,
}

impl Sums {
    /// Adds what another set of spans came to.
    pub(super) fn add(&mut self, other: Self) {
        self.calls = self.calls.saturating_add(other.calls);
        self.errors = self.errors.saturating_add(other.errors);
        for (upper, n) in other.buckets {
            let calls = self.buckets.entry(upper).or_default();
            *calls = calls.saturating_add(n);
        }
        for (at, (calls, errors)) in other.series {
            let sum = self.series.entry(at).or_default();
            *sum = (sum.0.saturating_add(calls), sum.1.saturating_add(errors));
        }
        for (class, n) in other.classes {
            let calls = self.classes.entry(class).or_default();
            *calls = calls.saturating_add(n);
        }
    }

    /// Whether what was counted by time is what was counted at once.
    pub(super) fn add_up(&self) -> bool {
        let sum = self
            .series
            .values()
            .fold((0u64, 0u64), |(calls, errors), (c, e)| (calls.saturating_add(*c), errors.saturating_add(*e)));
        sum == (self.calls, self.errors)
    }

    pub(super) fn totals(&self) -> Totals {
        let weights = |(calls, errors): &(u64, u64)| (Weight::whole(*calls), Weight::whole(*errors));
        Totals {
            calls: Weight::whole(self.calls),
            errors: Weight::whole(self.errors),
            series: self.series.iter().map(|(at, figures)| (*at, weights(figures))).collect(),
            classes: self.classes().map(|(class, n)| (class.clone(), Weight::whole(*n))).collect(),
        }
    }

    /// How they failed, where anything says so; nothing where that is more than failed, as when spans came late while they
    /// were counted.
    fn classes(&self) -> impl Iterator<Item = (&ErrorClass, &u64)> {
        let known = self.classes.values().fold(0u64, |sum, n| sum.saturating_add(*n));
        self.classes.iter().filter(move |(class, _)| known <= self.errors && **class != ErrorClass::default())
    }

    /// A duration in nanoseconds that at least `least` calls and as few as possible lie above, and how many do; `None`
    /// where no duration is known.
    pub(super) fn slowest(&self, least: u64) -> Option<(u64, u64)> {
        let mut above = 0u64;
        for (upper, n) in self.buckets.iter().rev() {
            above = above.saturating_add(*n);
            if above >= least {
                return Some((upper / 2, above));
            }
        }
        (above > 0).then_some((0, above))
    }

    pub(super) fn durations(&self) -> Option<Durations> {
        let buckets = self.buckets.iter().map(|(upper, n)| DurationBucket {
            lower: upper / 2,
            upper: Some(*upper),
            calls: Weight::whole(*n),
        });
        (!self.buckets.is_empty()).then(|| Durations { buckets: buckets.collect(), sum_micro: None })
    }
}
