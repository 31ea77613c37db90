//! How durations are spread, coarsely: a log-linear histogram of 8 bins per power of two.
//!
//! Purpose: hold two windows against each other (ranks, overlap) where a whole [`super::Sketch`] would be too large: for
//! every operation, every instance. Integers only and fixed-point weights, as there. Must not: be asked for quantiles
//! that people read; a bin is 9 to 13 % wide.

use serde::{Deserialize, Serialize};

use super::bins::Bins;
use crate::spans::Weight;

/// Bins per power of two.
const STEPS: u64 = 8;
/// The bin of the longest duration there is.
const LAST: u16 = (60 * STEPS + 15) as u16;

/// Weights of durations in nanoseconds by bin. Serialised as `bin:weight` separated by blanks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spread(Bins);

impl Spread {
    /// Adds one duration in nanoseconds that stands for `weight` calls.
    #[inline]
    pub fn add(&mut self, nanos: u64, weight: Weight) {
        self.0.add(Self::index(nanos), weight);
    }

    /// Adds everything of another.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(index, weight)| self.0.add(index, weight));
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().next().is_none()
    }

    /// The calls added.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.0.iter().map(|(_, weight)| weight).sum()
    }

    /// The bins in rising order: the number, the same for every spread, and the calls in it.
    pub fn bins(&self) -> impl Iterator<Item = (u16, Weight)> + '_ {
        self.0.iter()
    }

    /// The lower limit of a bin in nanoseconds.
    #[must_use]
    pub fn lower(index: u16) -> u64 {
        let index = u64::from(index);
        match index / STEPS {
            0 | 1 => index,
            octave => (STEPS + index % STEPS) << (octave - 1).min(63),
        }
    }

    /// Below 8 the value itself; above, 8 equal steps for each power of two.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "at most 60 * 8 + 15")]
    pub(super) fn index(nanos: u64) -> u16 {
        if nanos < STEPS {
            return nanos as u16;
        }
        let shift = nanos.ilog2() - STEPS.ilog2();
        (u64::from(shift) * STEPS + (nanos >> shift)) as u16
    }
}

impl Serialize for Spread {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::spans::joined(self.0.iter().map(|(index, weight)| (index, [weight]))))
    }
}

impl<'de> Deserialize<'de> for Spread {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bins = text.split_whitespace().map(|bin| {
            let (index, weight) = bin.split_once(':')?;
            Some((index.parse().ok()?, weight.parse().ok()?))
        });
        let bins: Option<Vec<(u16, Weight)>> = bins.collect();
        let ascending = |bins: &Vec<(u16, Weight)>| {
            bins.is_sorted_by(|a, b| a.0 < b.0) && bins.last().is_none_or(|last| last.0 <= LAST)
        };
        let bins =
            bins.filter(ascending).ok_or_else(|| serde::de::Error::custom("bins are not ascending bin:weight"))?;
        let mut spread = Bins::default();
        bins.into_iter().for_each(|(index, weight)| spread.add(index, weight));
        Ok(Self(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_lies_in_its_bin_and_bins_are_a_tenth_wide() {
        for exponent in 0..64 {
            for offset in [0, 1, 3, 5] {
                let nanos = (1u64 << exponent) + (1u64 << exponent) / 8 * offset;
                let index = Spread::index(nanos);
                assert!(index <= LAST && Spread::lower(index) <= nanos, "{nanos}");
                if index < LAST {
                    let (low, next) = (Spread::lower(index), Spread::lower(index + 1));
                    assert!(nanos < next && (nanos < 16 || (next - low) as f64 <= low as f64 / 8.0), "{nanos}");
                }
            }
        }
        assert_eq!(Spread::index(u64::MAX), LAST);
    }

    #[test]
    fn spreads_add_up_in_any_order_and_survive_their_text() {
        let (mut a, mut b) = (Spread::default(), Spread::default());
        for i in 0..200u64 {
            let half = if i % 3 == 0 { &mut a } else { &mut b };
            half.add(i * i * 1000, Weight::from_micro(1_500_000));
        }
        let (mut left, mut right) = (a.clone(), b.clone());
        left.merge(&b);
        right.merge(&a);
        assert_eq!(left, right);
        assert_eq!(left.weight(), Weight::whole(300));
        let text = serde_json::to_string(&left).unwrap();
        assert_eq!(serde_json::from_str::<Spread>(&text).unwrap(), left);
        for wrong in ["\"3:1 2:1\"", "\"600:1\"", "\"x:1\"", "\"1\""] {
            assert!(serde_json::from_str::<Spread>(wrong).is_err(), "{wrong}");
        }
    }
}
