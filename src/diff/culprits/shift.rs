//! How far durations moved, and how sure that is.
//!
//! Two views of the same two samples. Ranks: 2·AUC − 1, the share of calls that moved (Mann and Whitney), whatever the
//! distribution; of a handful of calls ranks alone can say little. Logarithms: the ratio of the means against the spread
//! that such durations have, which a handful can exceed by far. Each is taken less its standard errors; what is left counts,
//! the larger of the two.

use super::limits;
use crate::diff::significance::two_sided;
use crate::topology::{Sketch, Spread};

/// Durations as (natural logarithm of nanoseconds, calls), rising.
pub(super) type Logs = Vec<(f64, f64)>;

/// Of a coarse histogram.
#[allow(clippy::cast_precision_loss, reason = "logarithms")]
pub(super) fn of_spread(spread: &Spread) -> Logs {
    spread.bins().map(|(index, weight)| ((Spread::lower(index).max(1) as f64).ln(), weight.as_f64())).collect()
}

/// Of a sketch.
pub(super) fn of_sketch(sketch: &Sketch) -> Logs {
    sketch.bins().map(|(middle, weight)| (middle.max(1.0).ln(), weight.as_f64())).collect()
}

/// Standard deviation of the logarithms; `None` where nothing is known.
pub(super) fn deviation(logs: &Logs) -> Option<f64> {
    let all: f64 = logs.iter().map(|(_, w)| w).sum();
    let mean = logs.iter().map(|(x, w)| x * w).sum::<f64>() / all;
    (all > 0.0).then(|| (logs.iter().map(|(x, w)| w * (x - mean) * (x - mean)).sum::<f64>() / all).sqrt())
}

/// A move, towards longer durations where `moved` and `ratio` are above zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shift {
    /// Mean seconds.
    pub(super) figures: (f64, f64),
    pub(super) n: (u64, u64),
    /// 2·AUC − 1, and its standard error where nothing moved.
    pub(super) moved: f64,
    pub(super) error: f64,
    /// Logarithm of the ratio of means, and its standard error.
    pub(super) ratio: f64,
    pub(super) ratio_error: f64,
}

impl Shift {
    /// Of two samples with their mean seconds and sizes; `usual` is the deviation that durations have elsewhere.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    pub(super) fn of(before: &Logs, after: &Logs, figures: (f64, f64), n: (u64, u64), usual: f64) -> Option<Self> {
        let (b, h) = (n.0 as f64, n.1 as f64);
        if b.min(h) < 1.0 {
            return None;
        }
        // What is known elsewhere counts as much as twenty calls.
        let own = deviation(before)?;
        let deviation = ((own * own * b + usual * usual * limits::PRIOR) / (b + limits::PRIOR)).sqrt();
        Some(Self {
            figures,
            n,
            moved: 2.0 * superiority(before, after)? - 1.0,
            error: 2.0 * ((b + h + 1.0) / (12.0 * b * h)).sqrt(),
            ratio: log_ratio(figures),
            ratio_error: deviation * (1.0 / b + 1.0 / h).sqrt(),
        })
    }

    /// Several moves taken together, each weighted by what it can tell (van Elteren, "On the combination of independent
    /// two-sample tests of Wilcoxon", 1960). `None` of none.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    pub(super) fn together(shifts: &[Self]) -> Option<Self> {
        let weight = |s: &Self| (s.n.0 as f64 * s.n.1 as f64) / (s.n.0 as f64 + s.n.1 as f64 + 1.0);
        let all: f64 = shifts.iter().map(weight).sum();
        let mean = |of: &dyn Fn(&Self) -> f64| shifts.iter().map(|s| weight(s) * of(s)).sum::<f64>() / all;
        let error = |of: &dyn Fn(&Self) -> f64| {
            shifts.iter().map(|s| weight(s) * weight(s) * of(s) * of(s)).sum::<f64>().sqrt() / all
        };
        let n = shifts.iter().fold((0u64, 0u64), |n, s| (n.0.saturating_add(s.n.0), n.1.saturating_add(s.n.1)));
        let calls = n.1 as f64;
        let time = |of: &dyn Fn(&Self) -> f64| shifts.iter().map(|s| s.n.1 as f64 * of(s)).sum::<f64>() / calls;
        (all > 0.0).then(|| Self {
            figures: (time(&|s| s.figures.0), time(&|s| s.figures.1)),
            n,
            moved: mean(&|s| s.moved),
            error: error(&|s| s.error),
            ratio: mean(&|s| s.ratio),
            ratio_error: error(&|s| s.ratio_error),
        })
    }

    /// The same the other way round.
    pub(super) fn back(&self) -> Self {
        Self { moved: -self.moved, ratio: -self.ratio, ..*self }
    }

    /// Nats: the share that moved times how far, less what chance may have added; zero for a move to shorter durations.
    pub(super) fn strength(&self) -> f64 {
        if self.moved <= 0.0 || self.ratio <= 0.0 {
            return 0.0;
        }
        let by_ranks = (self.moved - limits::SURE * self.error).max(0.0) * self.ratio;
        let by_means = self.moved * (self.ratio - limits::SURE_OF_MEANS * self.ratio_error).max(0.0);
        by_ranks.max(by_means).min(limits::MOST_STRENGTH)
    }

    /// Chance of ranks like these where nothing moved. Means of a handful of heavy-tailed durations would promise more than
    /// they keep.
    pub(super) fn p_value(&self) -> f64 {
        two_sided(self.moved / self.error)
    }
}

fn log_ratio((before, after): (f64, f64)) -> f64 {
    ((after + limits::OFFSET_SECONDS) / (before + limits::OFFSET_SECONDS)).ln()
}

/// The chance that one of the second is larger than one of the first, ties half; `None` where one is empty.
fn superiority(first: &Logs, second: &Logs) -> Option<f64> {
    let total = |bins: &Logs| bins.iter().map(|(_, w)| w).sum::<f64>();
    let pairs = total(first) * total(second);
    let mut left = first.iter().peekable();
    let (mut below, mut wins) = (0.0, 0.0);
    for (at, weight) in second {
        while let Some((_, w)) = left.next_if(|(x, _)| x < at) {
            below += w;
        }
        let tied = left.peek().filter(|(x, _)| x == at).map_or(0.0, |(_, w)| *w);
        wins += weight * (below + tied / 2.0);
    }
    (pairs > 0.0).then(|| wins / pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::Weight;

    fn logs(millis: &[u64]) -> Logs {
        let mut spread = Spread::default();
        millis.iter().for_each(|ms| spread.add(ms * 1_000_000, Weight::ONE));
        of_spread(&spread)
    }

    fn shift(before: &[u64], after: &[u64]) -> Shift {
        let mean = |all: &[u64]| all.iter().sum::<u64>() as f64 / all.len() as f64 / 1e3;
        let n = (before.len() as u64, after.len() as u64);
        Shift::of(&logs(before), &logs(after), (mean(before), mean(after)), n, 0.5).unwrap()
    }

    #[test]
    fn the_share_that_moved_is_that_of_ranks() {
        let tenth: Vec<u64> = (0..900).map(|i| if i < 90 { 1000 } else { 10 }).collect();
        let found = shift(&[10; 900], &tenth);
        assert!((found.moved - 0.1).abs() < 1e-9, "{found:?}");
        assert!(found.strength() > 0.0 && found.p_value() < 0.05, "{found:?}");
        assert_eq!(shift(&[10; 50], &[10; 50]).moved, 0.0);
    }

    #[test]
    fn shorter_durations_are_no_symptom_and_single_calls_prove_little() {
        assert_eq!(shift(&[100; 20], &[10; 20]).strength(), 0.0);
        assert!(shift(&[10], &[14]).strength() == 0.0);
        assert!(shift(&[10, 11, 10], &[300, 290, 310]).strength() > 1.0, "thirty times as long is plain even of three");
    }

    #[test]
    fn rare_operations_together_say_what_each_alone_does_not() {
        let one = shift(&[10, 12], &[20, 18]);
        let many = Shift::together(&[one; 12]).unwrap();
        assert!(many.error < one.error / 3.0 && many.p_value() < one.p_value());
        assert_eq!(many.n, (24, 24));
        assert!(Shift::together(&[]).is_none());
    }
}
