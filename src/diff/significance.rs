//! Tests of "is this difference more than chance?", on counts and on duration sketches.
//!
//! Output: p-values, two-sided, rounded to four digits so that the last bit of a machine's `exp` reaches no answer.
//! Must not: know what is compared, or decide whether a difference is large enough to matter.

use crate::topology::Sketch;

/// Two-sided p-value of a standard normal deviate: erfc(|z|/√2).
pub(super) fn two_sided(z: f64) -> f64 {
    if !z.is_finite() {
        return 1.0;
    }
    let x = z.abs() / std::f64::consts::SQRT_2;
    // 2/√π · e^(-x²), the factor both expansions share (Abramowitz and Stegun 7.1.6 and 7.1.14).
    let factor = std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp();
    if x < 2.5 {
        let (mut term, mut sum, mut n) = (x, x, 0.0);
        while term > sum * 1e-16 {
            n += 1.0;
            term *= 2.0 * x * x / (2.0 * n + 1.0);
            sum += term;
        }
        return (1.0 - factor * sum).clamp(0.0, 1.0);
    }
    let fraction = (1..=60).rev().fold(x, |tail, k| x + f64::from(k) / 2.0 / tail);
    (factor / fraction / 2.0).clamp(0.0, 1.0)
}

/// Probability of seeing nothing where `expected` was to be seen.
pub(super) fn absence(expected: f64) -> f64 {
    rounded((-expected.max(0.0)).exp())
}

/// Two Poisson counts over two exposures: Wald's test of the log rate ratio. `calls` and `exposure` give the rates,
/// `n` the sample sizes; `dispersion` ≥ 1 is how many calls come together (calls made by one request are not independent).
pub(super) fn rates(calls: (f64, f64), exposure: (f64, f64), n: (f64, f64), dispersion: f64) -> f64 {
    if [calls.0, calls.1, exposure.0, exposure.1, n.0, n.1].iter().any(|x| *x <= 0.0) {
        return 1.0;
    }
    let ratio = (calls.1 / exposure.1) / (calls.0 / exposure.0);
    let error = (dispersion.max(1.0) * (1.0 / n.0 + 1.0 / n.1)).sqrt();
    rounded(two_sided(ratio.ln() / error))
}

/// Two proportions of `n.0` and `n.1` trials: Fisher's exact test where few succeeded, else the pooled z-test with
/// continuity correction.
pub(crate) fn proportions(share: (f64, f64), n: (f64, f64)) -> f64 {
    if n.0 < 1.0 || n.1 < 1.0 {
        return 1.0;
    }
    let hits = ((share.0 * n.0).round(), (share.1 * n.1).round());
    let (total, all) = (hits.0 + hits.1, n.0 + n.1);
    if total <= 0.0 || total >= all {
        return 1.0;
    }
    if total <= 40.0 {
        return rounded(fisher(hits, n));
    }
    let pooled = total / all;
    let error = (pooled * (1.0 - pooled) * (1.0 / n.0 + 1.0 / n.1)).sqrt();
    let correction = 0.5 * (1.0 / n.0 + 1.0 / n.1);
    let distance = ((hits.0 / n.0 - hits.1 / n.1).abs() - correction).max(0.0);
    rounded(two_sided(distance / error))
}

/// Fisher's exact test, two-sided: the sum over all tables with the same margins that are no likelier than this one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 40 hits")]
fn fisher(hits: (f64, f64), n: (f64, f64)) -> f64 {
    let total = (hits.0 + hits.1) as u32;
    // ln C(n, k) = Σ ln((n - i) / (i + 1)): at most 40 terms.
    let choose = |n: f64, k: u32| (0..k).map(|i| ((n - f64::from(i)) / (f64::from(i) + 1.0)).ln()).sum::<f64>();
    let table = |k: u32| {
        let (first, second) = (f64::from(k), f64::from(total - k));
        let possible = first <= n.0 && second <= n.1;
        if possible { choose(n.0, k) + choose(n.1, total - k) } else { f64::NEG_INFINITY }
    };
    let logs: Vec<f64> = (0..=total).map(table).collect();
    let highest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|l| (l - highest).exp()).collect();
    let observed = weights.get(hits.0 as usize).copied().unwrap_or_default() * (1.0 + 1e-7);
    let extreme: f64 = weights.iter().filter(|w| **w <= observed).sum();
    (extreme / weights.iter().sum::<f64>()).min(1.0)
}

/// Mann and Whitney's test on the bins of two sketches, with ties. Positive z: the second is slower. `together` ≥ 1 is how
/// many durations make one independent observation.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
pub(super) fn mann_whitney(base: &Sketch, head: &Sketch, together: f64) -> (f64, f64) {
    let (n, m) = (base.n() as f64, head.n() as f64);
    let scale = |sketch: &Sketch, size: f64| size / sketch.weight().as_f64();
    if n < 1.0 || m < 1.0 || base.weight().is_zero() || head.weight().is_zero() {
        return (0.0, 1.0);
    }
    let (per_base, per_head) = (scale(base, n), scale(head, m));
    let (mut left, mut right) = (base.bins().peekable(), head.bins().peekable());
    let (mut below, mut wins, mut ties) = (0.0, 0.0, 0.0);
    loop {
        let at = match (left.peek(), right.peek()) {
            (None, None) => break,
            (Some((at, _)), None) | (None, Some((at, _))) => *at,
            (Some((a, _)), Some((b, _))) => a.min(*b),
        };
        let b = left.next_if(|(x, _)| *x <= at).map_or(0.0, |(_, w)| w.as_f64() * per_base);
        let h = right.next_if(|(x, _)| *x <= at).map_or(0.0, |(_, w)| w.as_f64() * per_head);
        wins += h * (below + b / 2.0);
        below += b;
        let tied = b + h;
        ties += tied * tied * tied - tied;
    }
    let all = n + m;
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0).max(1.0)));
    if variance <= 0.0 {
        return (0.0, 1.0);
    }
    let distance = wins - n * m / 2.0;
    let z = distance.signum() * (distance.abs() - 0.5).max(0.0) / (variance * together.max(1.0)).sqrt();
    (z, rounded(two_sided(z)))
}

/// Benjamini and Hochberg (1995): the largest p-value still significant when all of `p_values` were tested and at most
/// a share `rate` of what is reported may be chance. Zero when none is.
#[allow(clippy::cast_precision_loss, reason = "counts of tests")]
pub(crate) fn discovery_limit(mut p_values: Vec<f64>, rate: f64) -> f64 {
    p_values.sort_by(f64::total_cmp);
    let all = p_values.len() as f64;
    let significant = |(i, p): &(usize, f64)| *p <= rate * (*i as f64 + 1.0) / all;
    p_values.into_iter().enumerate().filter(significant).map(|(_, p)| p).next_back().unwrap_or(0.0)
}

/// To four significant digits; NaN becomes 1, what is below 1e-30 becomes 0.
pub(super) fn rounded(p: f64) -> f64 {
    if !p.is_finite() {
        return 1.0;
    }
    if p < 1e-30 {
        return 0.0;
    }
    format!("{p:.3e}").parse().unwrap_or(p)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diff::testing::{around, millis};

    #[test]
    fn the_normal_tail_agrees_with_tables() {
        for (z, p) in [(0.0, 1.0), (1.0, 0.317_310_5), (1.959_964, 0.05), (3.6, 3.182e-4), (6.0, 1.973e-9)] {
            let got = two_sided(z);
            assert!((got - p).abs() <= p * 1e-3, "z={z} p={got}");
        }
        assert_eq!(two_sided(f64::NAN), 1.0);
    }

    #[test]
    fn fisher_agrees_with_the_tea_taster_and_z_takes_over() {
        assert!((proportions((0.75, 0.25), (4.0, 4.0)) - 0.4857).abs() < 1e-3);
        assert!((proportions((0.0, 0.1), (100.0, 100.0)) - 0.0015).abs() < 2e-4);
        assert!(proportions((0.01, 0.02), (10_000.0, 10_000.0)) < 1e-6);
        assert_eq!(proportions((0.0, 0.0), (10.0, 10.0)), 1.0);
        assert_eq!(proportions((0.3, 0.3), (1_000.0, 1_000.0)), 1.0);
    }

    #[test]
    fn rates_are_compared_per_exposure() {
        assert_eq!(rates((100.0, 200.0), (10.0, 20.0), (100.0, 200.0), 1.0), 1.0);
        let p = rates((100.0, 200.0), (10.0, 10.0), (100.0, 200.0), 1.0);
        assert!(p < 1e-6);
        assert!(rates((100.0, 200.0), (10.0, 10.0), (100.0, 200.0), 20.0) > p);
        assert_eq!(rates((0.0, 5.0), (1.0, 1.0), (0.0, 5.0), 1.0), 1.0);
    }

    #[test]
    fn mann_whitney_sees_a_shift_its_direction_and_nothing_in_equals() {
        let base = around(200, 10.0);
        assert_eq!(mann_whitney(&base, &base, 1.0), (0.0, 1.0));
        let (z, p) = mann_whitney(&base, &around(200, 14.0), 1.0);
        assert!(z > 0.0 && p < 1e-6, "{z} {p}");
        assert!(mann_whitney(&base, &around(200, 14.0), 10.0).1 > p, "calls that come together prove less");
        let (back, _) = mann_whitney(&around(200, 14.0), &base, 1.0);
        assert!((z + back).abs() < 1e-9);
        assert_eq!(mann_whitney(&millis([5.0; 9]), &millis([5.0; 7]), 1.0), (0.0, 1.0));
    }

    #[test]
    fn the_discovery_limit_grows_with_the_evidence() {
        assert_eq!(discovery_limit(vec![0.04, 0.9, 0.5, 0.6], 0.05), 0.0);
        assert_eq!(discovery_limit(vec![0.001, 0.02, 0.9, 0.6], 0.05), 0.02);
        assert_eq!(discovery_limit(Vec::new(), 0.05), 0.0);
    }

    #[test]
    fn absence_is_improbable_only_where_much_was_expected() {
        assert!(absence(10.0) < 0.01 && absence(1.0) > 0.01);
        assert_eq!(absence(1e9), 0.0);
    }
}
