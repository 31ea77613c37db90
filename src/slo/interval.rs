//! 95 % intervals: how far the value could be off, given how little was seen.

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
    fn a_mean_never_falls_below_zero() {
        assert_eq!(mean(1.0, 100.0, 4.0).0, 0.0);
    }
}
