//! 95 % intervals: how far the value could be off, given how little was seen.

use crate::topology::Sketch;

/// The 97.5 % point of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Wilson's score interval of a proportion (Wilson 1927; Brown, Cai and DasGupta 2001), `share` of `n` trials.
///
/// `n` is the number of spans seen: for weighted spans an honest upper bound of the effective sample size. Never NaN;
/// (0, 1) when nothing was seen.
#[must_use]
pub fn wilson(share: f64, n: f64) -> (f64, f64) {
    if n <= 0.0 || !share.is_finite() {
        return (0.0, 1.0);
    }
    let share = share.clamp(0.0, 1.0);
    let z2 = Z * Z;
    let centre = share + z2 / (2.0 * n);
    let half = Z * (share * (1.0 - share) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    // At the ends the formula is exact but for rounding dust.
    let lower = if share <= 0.0 { 0.0 } else { ((centre - half) / scale).max(0.0) };
    let upper = if share >= 1.0 { 1.0 } else { ((centre + half) / scale).min(1.0) };
    (lower, upper)
}

/// Interval of a Poisson count (Wilson and Hilferty's approximation of the exact chi-square limits).
#[must_use]
pub fn poisson(count: f64) -> (f64, f64) {
    let limit = |k: f64, z: f64| {
        let root = 1.0 - 1.0 / (9.0 * k) + z / (3.0 * k.sqrt());
        k * root * root * root
    };
    let lower = if count <= 0.0 { 0.0 } else { limit(count, -Z).max(0.0) };
    (lower, limit(count.max(0.0) + 1.0, Z))
}

/// Interval of a mean with this standard deviation over `n` values, not below zero.
#[must_use]
pub fn mean(value: f64, deviation: f64, n: f64) -> (f64, f64) {
    let half = if n > 0.0 { Z * deviation / n.sqrt() } else { 0.0 };
    ((value - half).max(0.0), value + half)
}

/// Interval of a quantile of durations in nanoseconds, widened by the error of the sketch and of a
/// backend's buckets, and which of its ends are known:
/// an end that so few values cannot bound is the smallest or the largest value seen, as is one in a bucket without end. `None` when empty.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
pub fn of_quantile(durations: &Sketch, q: f64) -> Option<((f64, f64), (bool, bool))> {
    let value = durations.quantile(q)?;
    let (low, high) = quantile_ranks(durations.n(), q);
    let at = |rank: u64| durations.quantile((rank as f64 - 0.5) / durations.n() as f64);
    let known = (low.is_some(), high.is_some());
    let ((low, _), _) = durations.truth_of(low.and_then(at).or(durations.quantile(0.0)).unwrap_or(value));
    let ((_, high), bounded) = durations.truth_of(high.and_then(at).or(durations.quantile(1.0)).unwrap_or(value));
    Some(((low.min(value), high.max(value)), (known.0, known.1 && bounded)))
}

/// Ranks (1-based) of the order statistics that enclose the `q` quantile of `n` values with 95 % confidence (Hahn and
/// Meeker, "Statistical Intervals", 5.2). An end is `None` where so few values cannot bound it: the 99th percentile has no
/// upper end below 368 values.
///
/// Exact binomial where fewer than 30 values are expected beyond the quantile, else its normal approximation.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
pub fn quantile_ranks(n: u64, q: f64) -> (Option<u64>, Option<u64>) {
    if n == 0 || !(q > 0.0 && q < 1.0) {
        return (None, None);
    }
    let size = n as f64;
    let beyond = size * (1.0 - q);
    let within = |rank: f64| (rank >= 1.0 && rank <= size).then_some(rank as u64);
    if beyond > 30.0 {
        let half = Z * (beyond * q).sqrt();
        return (within((size * q - half).floor()), within((size * q + half + 1.0).ceil()));
    }
    // k values lie beyond the quantile with probability C(n, k) (1 - q)^k q^(n - k).
    let mut term = q.powf(size);
    let mut below = 0.0;
    let mut upper = None;
    for k in 0..n.min(1_000) {
        let to_here = below + term;
        if to_here <= 0.025 {
            upper = Some(n - k);
        }
        if to_here >= 0.975 {
            return (within((n - k) as f64), upper);
        }
        below = to_here;
        term *= (n - k) as f64 / (k as f64 + 1.0) * (1.0 - q) / q;
    }
    (None, upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: (f64, f64), expected: (f64, f64), by: f64) {
        assert!((got.0 - expected.0).abs() < by && (got.1 - expected.1).abs() < by, "{got:?} {expected:?}");
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // 81 of 263, Newcombe 1998, table I.
        close(wilson(81.0 / 263.0, 263.0), (0.2553, 0.3662), 5e-4);
        close(wilson(0.0, 20.0), (0.0, 0.1611), 5e-4);
        assert_eq!(wilson(f64::NAN, 5.0), (0.0, 1.0));
        assert_eq!(wilson(0.5, 0.0), (0.0, 1.0));
    }

    #[test]
    fn poisson_agrees_with_the_exact_limits() {
        close(poisson(10.0), (4.795, 18.39), 0.02);
        close(poisson(0.0), (0.0, 3.689), 0.05);
    }

    #[test]
    fn a_quantile_is_bounded_only_by_enough_values() {
        // Hahn and Meeker's tables: the median of 10 lies between the 2nd and the 9th value.
        assert_eq!(quantile_ranks(10, 0.5), (Some(2), Some(9)));
        assert_eq!(quantile_ranks(5, 0.5), (None, None));
        assert_eq!(quantile_ranks(6, 0.5), (Some(1), Some(6)));
        assert_eq!(quantile_ranks(6, 0.99), (Some(5), None));
        assert_eq!(quantile_ranks(367, 0.99).1, None);
        assert_eq!(quantile_ranks(368, 0.99).1, Some(368));
        let (low, high) = quantile_ranks(1_000_000, 0.99);
        assert!(low.is_some_and(|r| (989_700..989_900).contains(&r)) && high.is_some_and(|r| r < 990_300));
        assert_eq!((quantile_ranks(0, 0.5), quantile_ranks(9, f64::NAN)), ((None, None), (None, None)));
    }

    #[test]
    fn a_mean_never_falls_below_zero() {
        assert_eq!(mean(1.0, 100.0, 4.0).0, 0.0);
    }
}
