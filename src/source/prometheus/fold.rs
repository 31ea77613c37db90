//! From the samples of a counter to what it counted in a window.
//!
//! Input: samples of each series by ascending time, from some time before the window on. Output: the sum of its increases,
//! exactly: a fall is a restart from zero, a series that appears while others were already watched starts at zero.
//! `increase()` would extrapolate instead, and miss everything that a new series counted before its first sample.

use std::collections::BTreeMap;

use super::answer::{Native, Series};

/// Width of a bucket of a series over time, in milliseconds.
const BUCKET: u64 = 300_000;
/// Series that appear this soon (milliseconds) after the first of all were there when watching began.
const TOGETHER: u64 = 60_000;

/// Counts by bounds of buckets.
type Buckets = BTreeMap<(u64, u64), f64>;

/// What one series counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Its labels, without the name.
    pub(super) labels: BTreeMap<String, String>,
    /// All increases.
    pub(super) total: f64,
    /// By 5-minute bucket (Unix seconds ÷ 300).
    pub(super) buckets: BTreeMap<u64, f64>,
    /// Of a native histogram: durations by bounds in units of [`Fold::scale`].
    pub(super) native: Buckets,
    /// Of a native histogram: the sum of what was measured.
    pub(super) sum: f64,
    last: Option<(u64, f64)>,
    last_native: Option<(Buckets, f64)>,
    /// Its first sample in the window, where there was none before.
    born: Option<(u64, f64)>,
}

/// The series of one metric.
#[derive(Debug)]
pub(super) struct Fold {
    /// Start of the window, milliseconds.
    start: u64,
    /// Nanoseconds in the unit of a native histogram's bounds.
    scale: f64,
    series: BTreeMap<String, Counted>,
}

impl Fold {
    pub(super) fn new(start: u64, scale: f64) -> Self {
        Self { start, scale, series: BTreeMap::new() }
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Takes samples that follow those taken before; what overlaps with them counts once.
    pub(super) fn add(&mut self, series: Series) {
        let Series { mut metric, values, histograms, .. } = series;
        metric.remove("__name__");
        let key = metric.iter().fold(String::new(), |key, (name, value)| key + name + "\u{1}" + value + "\u{2}");
        let counted = self.series.entry(key).or_insert_with(|| Counted { labels: metric, ..Counted::default() });
        for (at, value) in &values {
            if let Some(value) = number(value) {
                counted.sample(millis(*at), value, self.start);
            }
        }
        for (at, histogram) in &histograms {
            counted.histogram(millis(*at), histogram, self.start, self.scale);
        }
    }

    /// What each series counted, in order of labels, and of that the sum of doubt: what series had counted by their first
    /// sample that were there when watching began, in the window.
    pub(super) fn finish(self) -> (Vec<Counted>, f64) {
        let watched = self.series.values().any(|c| c.born.is_none() && c.last.is_some());
        let births = || self.series.values().filter_map(|c| c.born);
        let first = births().map(|(at, _)| at).min().unwrap_or(0);
        let together = births().filter(|(at, _)| at.saturating_sub(first) <= TOGETHER);
        // From zero, so that no doubt is no `-0`.
        let doubt = if watched { 0.0 } else { together.fold(0.0, |sum, (_, value)| sum + value) };
        (self.series.into_values().collect(), doubt)
    }
}

impl Counted {
    #[cfg(test)]
    pub(super) fn of(labels: BTreeMap<String, String>, total: f64) -> Self {
        Self { labels, total, ..Self::default() }
    }

    fn sample(&mut self, at: u64, value: f64, start: u64) {
        if let Some(increase) = self.step(at, value, start) {
            self.total += increase;
        }
    }

    /// The increase that a sample in the window shows.
    fn step(&mut self, at: u64, value: f64, start: u64) -> Option<f64> {
        let last = self.last;
        if last.is_some_and(|(before, _)| at <= before) {
            return None;
        }
        self.last = Some((at, value));
        if at <= start {
            return None;
        }
        let increase = match last {
            Some((_, before)) if value >= before => value - before,
            Some(_) => value,
            None => {
                self.born = Some((at, value));
                value
            }
        };
        if increase > 0.0 {
            // Between two samples nobody knows when: half way.
            let when = last.map_or(at, |(before, _)| before.max(start).midpoint(at));
            *self.buckets.entry(when / BUCKET).or_default() += increase;
        }
        Some(increase)
    }

    fn histogram(&mut self, at: u64, histogram: &Native, start: u64, scale: f64) {
        let (Some(count), Some(sum)) = (number(&histogram.count), number(&histogram.sum)) else { return };
        if self.last.is_some_and(|(before, _)| at <= before) {
            return;
        }
        let before = self.last;
        let mut buckets: Buckets = BTreeMap::new();
        for (_, lower, upper, n) in &histogram.buckets {
            if let (Some(lower), Some(upper), Some(n)) = (number(lower), number(upper), number(n)) {
                *buckets.entry((scaled(lower, scale), scaled(upper, scale))).or_default() += n;
            }
        }
        let previous = self.last_native.replace((buckets.clone(), sum));
        let Some(increase) = self.step(at, count, start) else { return };
        self.total += increase;
        let restarted = before.is_some_and(|(_, before)| count < before);
        let (mut more, mut more_sum) = (buckets, sum);
        if let Some((old, old_sum)) = previous.filter(|_| !restarted) {
            more_sum -= old_sum;
            for (bounds, n) in old {
                subtract(&mut more, bounds, n);
            }
        }
        self.sum += more_sum.max(0.0);
        for (bounds, n) in more.into_iter().filter(|(_, n)| *n > 0.0) {
            *self.native.entry(bounds).or_default() += n;
        }
    }
}

/// Takes what was there before out of the bucket that holds its bounds: buckets become wider when there are many.
fn subtract(from: &mut Buckets, (lower, upper): (u64, u64), n: f64) {
    if let Some(mine) = from.get_mut(&(lower, upper)) {
        *mine -= n;
        return;
    }
    // The same bound of another width may differ by rounding.
    let holds = |(l, u): (u64, u64)| l <= lower.saturating_add(1) && upper <= u.saturating_add(1);
    if let Some((_, mine)) = from.iter_mut().find(|(bounds, _)| holds(**bounds)) {
        *mine -= n;
    }
}

/// A finite number; what is not one says nothing.
fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite())
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).round() as u64
}

/// A bound in nanoseconds; durations are not below zero.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
pub(super) fn scaled(bound: f64, scale: f64) -> u64 {
    (bound * scale).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(samples: &[&[(f64, &str)]]) -> (Vec<Counted>, f64) {
        let mut fold = Fold::new(1_000_000, 1e9);
        for (i, values) in samples.iter().enumerate() {
            fold.add(Series {
                metric: BTreeMap::from([("i".to_owned(), i.to_string())]),
                values: values.iter().map(|(at, v)| (*at, (*v).to_owned())).collect(),
                ..Series::default()
            });
        }
        fold.finish()
    }

    fn total(samples: &[(f64, &str)]) -> f64 {
        of(&[samples]).0[0].total
    }

    #[test]
    fn increases_are_exact_over_restarts_and_repeated_samples() {
        assert_eq!(total(&[(990.0, "100"), (1000.0, "110"), (1010.0, "115"), (1020.0, "130")]), 20.0);
        assert_eq!(total(&[(990.0, "100"), (1010.0, "105"), (1020.0, "3"), (1030.0, "4")]), 9.0);
        assert_eq!(total(&[(990.0, "100"), (1010.0, "105"), (1010.0, "105"), (1005.0, "9")]), 5.0);
        assert_eq!(total(&[(990.0, "100"), (1010.0, "NaN"), (1020.0, "101")]), 1.0);
        assert_eq!(total(&[(990.0, "100")]), 0.0);
    }

    #[test]
    fn a_series_that_appears_counts_in_full_and_is_in_doubt_only_where_watching_began() {
        let old: &[(f64, &str)] = &[(990.0, "7"), (1500.0, "7")];
        let (counted, doubt) = of(&[old, &[(1200.0, "5"), (1215.0, "6")]]);
        assert_eq!((counted[1].total, doubt), (6.0, 0.0));
        let (counted, doubt) = of(&[&[(1200.0, "5"), (1215.0, "6")], &[(1400.0, "3")]]);
        assert_eq!((counted[0].total, counted[1].total, doubt), (6.0, 3.0, 5.0));
    }

    #[test]
    fn increases_lie_in_the_five_minutes_they_were_seen_in() {
        let counted = of(&[&[(990.0, "0"), (1190.0, "4"), (1500.0, "4"), (1520.0, "9")]]).0;
        assert_eq!(counted[0].buckets, BTreeMap::from([(3, 4.0), (5, 5.0)]));
    }

    fn native(count: &str, sum: &str, buckets: &[(&str, &str, &str)]) -> Native {
        let bucket = |(l, u, n): &(&str, &str, &str)| (0, (*l).to_owned(), (*u).to_owned(), (*n).to_owned());
        Native { count: count.into(), sum: sum.into(), buckets: buckets.iter().map(bucket).collect() }
    }

    #[test]
    fn native_histograms_are_subtracted_bucket_by_bucket_also_when_they_became_wider() {
        let mut fold = Fold::new(1_000_000, 1e9);
        fold.add(Series {
            histograms: vec![
                (990.0, native("3", "2", &[("0.5", "0.7", "1"), ("0.7", "1", "2")])),
                (1010.0, native("5", "4", &[("0.5", "0.7", "2"), ("0.7", "1", "3")])),
                (1020.0, native("9", "9", &[("0.5", "1", "7"), ("1", "2", "2")])),
                (1030.0, native("1", "1.5", &[("1", "2", "1")])),
            ],
            ..Series::default()
        });
        let counted = fold.finish().0.remove(0);
        assert_eq!((counted.total, counted.sum), (7.0, 8.5));
        let at = |l: f64, u: f64| counted.native[&(scaled(l, 1e9), scaled(u, 1e9))];
        assert_eq!((at(0.5, 0.7), at(0.7, 1.0), at(0.5, 1.0), at(1.0, 2.0)), (1.0, 1.0, 2.0, 3.0));
    }
}
