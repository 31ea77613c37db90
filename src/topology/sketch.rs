//! A mergeable quantile sketch with a stated relative error.
//!
//! A log-linear histogram as in HdrHistogram (<https://hdrhistogram.org>): integer arithmetic only, so that bins are the
//! same on every machine, and fixed-point weights, so that merging in any order gives the same bits.

use serde::{Deserialize, Serialize};

use super::bins::Bins;
use super::{QuantileError, TimeSum};
use crate::spans::Weight;
use crate::spans::aggregate::Durations;

/// Durations in nanoseconds: exact count, sum, minimum and maximum; quantiles within 0.8 % of the true value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sketch {
    n: u64,
    weight: Weight,
    sum_micro: u128,
    min: u64,
    max: u64,
    bins: Bins,
    /// What a backend's buckets leave open; boxed since almost no sketch has it.
    error: Option<Box<QuantileError>>,
}

/// How a sketch is written: bins as `index:weight` separated by blanks.
#[derive(Serialize, Deserialize)]
struct Wire {
    n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    weight: Option<Weight>,
    sum_ns: String,
    min_ns: u64,
    max_ns: u64,
    bins: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    quantile_error: Option<Box<QuantileError>>,
}

/// Upper bound of the relative error of [`Sketch::quantile`]: half a bin of width 1/64, 0.78 %.
pub const RELATIVE_ERROR: f64 = 0.5 / STEPS as f64;

/// The bin of the longest duration there is.
const LAST: u16 = (58 * STEPS + 127) as u16;

/// Bins per power of two.
const STEPS: u64 = 64;

impl Sketch {
    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// How many durations were added: the n of every claim.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.n
    }

    /// The calls they stand for.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// Adds one duration in nanoseconds that stands for `weight` calls.
    pub fn add(&mut self, nanos: u64, weight: Weight) {
        self.min = if self.n == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.n = self.n.saturating_add(1);
        self.weight += weight;
        self.sum_micro = self.sum_micro.saturating_add(u128::from(nanos) * u128::from(weight.micro()));
        self.bins.add(Self::index(nanos), weight);
    }

    /// Adds everything of another sketch.
    pub fn merge(&mut self, other: &Self) {
        if other.n == 0 {
            return;
        }
        self.min = if self.n == 0 { other.min } else { self.min.min(other.min) };
        self.max = self.max.max(other.max);
        self.n = self.n.saturating_add(other.n);
        self.weight += other.weight;
        self.sum_micro = self.sum_micro.saturating_add(other.sum_micro);
        other.bins.iter().for_each(|(index, weight)| self.bins.add(index, weight));
        if let Some(theirs) = &other.error {
            let worst = self.error.as_ref().map_or(**theirs, |mine| mine.worst(**theirs));
            self.error = Some(Box::new(worst));
        }
    }

    /// The exact weighted mean in nanoseconds; `None` when empty.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean is a float")]
    pub fn mean(&self) -> Option<f64> {
        (!self.weight.is_zero()).then(|| self.sum_micro as f64 / self.weight.micro() as f64)
    }

    /// The exact weighted sum.
    #[must_use]
    pub fn sum(&self) -> TimeSum {
        TimeSum::from_micro(self.sum_micro)
    }

    /// The exact weighted sum in seconds: the time all calls took together.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a sum for shares")]
    pub fn sum_seconds(&self) -> f64 {
        self.sum_micro as f64 / 1e15
    }

    /// The smallest duration in nanoseconds, exact.
    #[must_use]
    pub fn min(&self) -> Option<u64> {
        (self.n > 0).then_some(self.min)
    }

    /// The largest duration in nanoseconds, exact.
    #[must_use]
    pub fn max(&self) -> Option<u64> {
        (self.n > 0).then_some(self.max)
    }

    /// The duration in nanoseconds at rank ⌈q·weight⌉ (q in 0..=1), within 0.8 % of the true one; `None` when empty.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "ranks far below 2^53")]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        if self.n == 0 {
            return None;
        }
        if q <= 0.0 || q >= 1.0 {
            return Some(if q <= 0.0 { self.min } else { self.max } as f64);
        }
        let rank = q * self.weight.micro() as f64;
        let mut seen = 0.0;
        for (index, weight) in self.bins.iter() {
            seen += weight.micro() as f64;
            if seen >= rank {
                return Some(Self::value(index).clamp(self.min as f64, self.max as f64));
            }
        }
        Some(self.max as f64)
    }

    /// The share of calls that took at most `nanos`, 0..=1, as exact as the bins; `None` when empty.
    #[must_use]
    pub fn share_at_most(&self, nanos: u64) -> Option<f64> {
        let limit = Self::index(nanos);
        let below: Weight = self.bins.iter().take_while(|(index, _)| *index <= limit).map(|(_, w)| w).sum();
        (self.n > 0).then(|| below.ratio_of(self.weight))
    }

    /// Whether the parts fit together, as they do in every sketch made by adding and merging.
    pub(super) fn adds_up(&self) -> bool {
        let weight: Weight = self.bins.iter().map(|(_, w)| w).sum();
        let (least, most) = (Self::index(self.min), Self::index(self.max));
        let inside = self.bins.iter().all(|(index, _)| (least..=most).contains(&index));
        inside && self.min <= self.max && weight == self.weight && (self.n > 0 || weight.is_zero())
    }

    /// Below 64 the value itself; above, 64 equal steps for each power of two.
    #[allow(clippy::cast_possible_truncation, reason = "at most 58 * 64 + 127")]
    fn index(nanos: u64) -> u16 {
        if nanos < STEPS {
            return nanos as u16;
        }
        let shift = nanos.ilog2() - STEPS.ilog2();
        (u64::from(shift) * STEPS + (nanos >> shift)) as u16
    }

    /// The middle of a bin.
    #[allow(clippy::cast_precision_loss, reason = "the bin is wider than the rounding")]
    fn value(index: u16) -> f64 {
        let index = u64::from(index);
        if index < 2 * STEPS {
            return index as f64;
        }
        let shift = index / STEPS - 1;
        let lower = (STEPS + index % STEPS) << shift;
        lower as f64 + (1u64 << shift) as f64 / 2.0
    }
}

/// Steps in which the calls of a backend's bucket are spread over it: as fine as the bins where a bucket is a power of two.
const SPREAD: u64 = 64;

impl Sketch {
    /// A sketch of a backend's histogram: the calls of each bucket lie evenly in it, as PromQL and TraceQL take it for
    /// their quantiles; those of a bucket without end lie at its beginning. Smallest and largest are bounds of buckets.
    pub(super) fn of_buckets(durations: &Durations) -> Self {
        let mut sketch = Self::default();
        let occupied = || durations.buckets.iter().filter(|bucket| !bucket.calls.is_zero());
        for bucket in occupied() {
            sketch.error.get_or_insert_default().note(bucket.lower, bucket.upper);
            let upper = bucket.upper.unwrap_or(bucket.lower).max(bucket.lower);
            sketch.min = if sketch.weight.is_zero() { bucket.lower } else { sketch.min.min(bucket.lower) };
            sketch.max = sketch.max.max(upper);
            sketch.weight += bucket.calls;
            // Whole calls stay whole: files are read by people.
            let whole = Weight::whole(bucket.calls.micro() / Weight::ONE.micro()) == bucket.calls;
            let unit = if whole { Weight::ONE.micro() } else { 1 };
            let calls = bucket.calls.micro() / unit;
            let steps = if upper == bucket.lower { 1 } else { calls.clamp(1, SPREAD) };
            let up_to =
                |step: u64| u64::try_from(u128::from(calls) * u128::from(step) / u128::from(steps)).unwrap_or(0);
            for step in 0..steps {
                let weight = Weight::from_micro((up_to(step + 1) - up_to(step)).saturating_mul(unit));
                let along = u128::from(upper - bucket.lower) * u128::from(2 * step + 1) / u128::from(2 * steps);
                let nanos = bucket.lower.saturating_add(u64::try_from(along).unwrap_or(u64::MAX));
                sketch.sum_micro = sketch.sum_micro.saturating_add(u128::from(nanos) * u128::from(weight.micro()));
                sketch.bins.add(Self::index(nanos), weight);
            }
        }
        sketch.n = sketch.weight.micro().div_ceil(Weight::ONE.micro());
        sketch.sum_micro = durations.sum_micro.unwrap_or(sketch.sum_micro);
        sketch
    }

    /// How far quantiles may be off beyond [`Self::RELATIVE_ERROR`], where the durations come from a backend's buckets.
    #[must_use]
    pub fn quantile_error(&self) -> Option<QuantileError> {
        self.error.as_deref().copied()
    }

    /// Between which durations in nanoseconds the true one lies of which `value` was read, and whether the upper end is
    /// known: beyond the last bucket's beginning it is not.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "the bins are wider than the rounding")]
    pub fn truth_of(&self, value: f64) -> ((f64, f64), bool) {
        let fine = (value * (1.0 - RELATIVE_ERROR), value * (1.0 + RELATIVE_ERROR));
        let Some(error) = &self.error else { return (fine, true) };
        let width = 1.0 + error.percent as f64 / 100.0;
        let below = error.below_ns.map_or(0.0, |ns| ns as f64);
        let low = if value <= below { 0.0 } else { fine.0 / width };
        let high = if value <= below { below.max(fine.1) } else { fine.1 * width };
        ((low, high), error.above_ns.is_none_or(|above| fine.1 < above as f64))
    }

    /// Upper bound of the relative error of a quantile.
    pub const RELATIVE_ERROR: f64 = RELATIVE_ERROR;

    /// The bins in rising order: the middle in nanoseconds, the same for every sketch, and the calls in it.
    pub fn bins(&self) -> impl Iterator<Item = (f64, Weight)> + '_ {
        self.bins.iter().map(|(index, weight)| (Self::value(index), weight))
    }
}

impl Serialize for Sketch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bins = crate::spans::joined(self.bins.iter().map(|(index, weight)| (index, [weight])));
        let weight = (self.weight != Weight::whole(self.n)).then_some(self.weight);
        let (whole, part) = (self.sum_micro / 1_000_000, self.sum_micro % 1_000_000);
        let sum_ns = if part == 0 { whole.to_string() } else { format!("{whole}.{part:06}") };
        let quantile_error = self.error.clone();
        Wire { n: self.n, weight, sum_ns, min_ns: self.min, max_ns: self.max, bins, quantile_error }
            .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Sketch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let (whole, part) = wire.sum_ns.split_once('.').unwrap_or((&wire.sum_ns, "0"));
        let whole: u128 = whole.parse().map_err(|_| D::Error::custom("sum_ns is not a number"))?;
        let part: u128 = format!("{part:0<6}").parse().map_err(|_| D::Error::custom("sum_ns is not a number"))?;
        let bins = wire
            .bins
            .split_whitespace()
            .map(|bin| {
                let (index, weight) = bin.split_once(':')?;
                Some((index.parse().ok()?, weight.parse().ok()?))
            })
            .collect::<Option<Vec<(u16, Weight)>>>()
            .filter(|bins| bins.is_sorted_by(|a, b| a.0 < b.0) && bins.last().is_none_or(|last| last.0 <= LAST))
            .ok_or_else(|| D::Error::custom("bins are not ascending index:weight"))?;
        let mut sketch_bins = Bins::default();
        bins.into_iter().for_each(|(index, weight)| sketch_bins.add(index, weight));
        Ok(Self {
            n: wire.n,
            weight: wire.weight.unwrap_or(Weight::whole(wire.n)),
            sum_micro: whole.saturating_mul(1_000_000).saturating_add(part),
            min: wire.min_ns,
            max: wire.max_ns,
            bins: sketch_bins,
            error: wire.quantile_error,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: impl IntoIterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::default();
        for v in values {
            sketch.add(v, Weight::ONE);
        }
        sketch
    }

    #[test]
    fn quantiles_stay_within_the_stated_error_of_the_true_order_statistic() {
        let mut values: Vec<u64> = (1..=20_000u64).map(|i| i * i * 977 % 3_000_000_007 + 1).collect();
        let sketch = of(values.iter().copied());
        values.sort_unstable();
        for q in [0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let exact = values[((q * 20_000.0_f64).ceil() as usize).max(1) - 1] as f64;
            let got = sketch.quantile(q).unwrap();
            assert!((got - exact).abs() <= exact * 0.0079, "q={q} exact={exact} got={got}");
        }
    }

    #[test]
    fn merging_in_any_order_gives_the_same_bits_as_one_run() {
        let (a, b, all) = (of(0..500), of(400..9_000), of((0..500).chain(400..9_000)));
        let (mut ab, mut ba) = (a.clone(), b.clone());
        ab.merge(&b);
        ba.merge(&a);
        assert_eq!(ab, all);
        assert_eq!(ba, all);
    }

    #[test]
    fn the_mean_is_exact_and_survives_json() {
        let mut sketch = of([1, 2, 6]);
        assert_eq!(sketch.mean(), Some(3.0));
        sketch.add(10, Weight::from_probability(0.3).unwrap());
        let json = serde_json::to_string(&sketch).unwrap();
        assert_eq!(serde_json::from_str::<Sketch>(&json).unwrap(), sketch);
    }

    #[test]
    fn zero_and_the_largest_duration_have_a_place() {
        let sketch = of([0, u64::MAX]);
        assert_eq!(sketch.quantile(0.0), Some(0.0));
        assert_eq!(sketch.quantile(1.0), Some(u64::MAX as f64));
    }
}
