//! Functions whose results are the same on every machine: additions, multiplications, divisions and square roots only.
//!
//! Purpose: heavy-tailed durations, arrivals and slow drifts. Input: numbers and a generator. Output: numbers. Must not:
//! call a platform's maths library, whose last bit differs between machines.

use super::wire::rng::{Rng, split_mix};

const LN_2: f64 = std::f64::consts::LN_2;

/// e^x for |x| < 700.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the exponent of a finite number")]
pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let power = (x / LN_2 + 0.5).floor();
    let rest = x - power * LN_2;
    let (mut sum, mut term) = (1.0, 1.0);
    for n in 1..16_u8 {
        term *= rest / f64::from(n);
        sum += term;
    }
    sum * f64::from_bits(((1023.0 + power) as u64) << 52)
}

/// Natural logarithm of a positive, normal number.
#[allow(clippy::cast_precision_loss, reason = "an exponent")]
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.max(f64::MIN_POSITIVE).to_bits();
    let mut exponent = (bits >> 52) as f64 - 1023.0;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1.0;
    }
    let step = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut sum, mut power) = (0.0, step);
    for n in (1..26_u8).step_by(2) {
        sum += power / f64::from(n);
        power *= step * step;
    }
    exponent * LN_2 + 2.0 * sum
}

/// A number of the standard normal distribution: its inverse distribution function after Peter Acklam's rational
/// approximation (relative error below 1.2e-9).
pub(crate) fn normal(rng: &mut Rng) -> f64 {
    const A: [f64; 6] = [
        -3.969683028665376e1,
        2.209460984245205e2,
        -2.759285104469687e2,
        1.38357751867269e2,
        -3.066479806614716e1,
        2.506628277459239,
    ];
    const B: [f64; 5] =
        [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
    const C: [f64; 6] = [
        -7.784894002430293e-3,
        -3.223964580411365e-1,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    const TAIL: f64 = 0.02425;
    let polynomial = |list: &[f64], x: f64| list.iter().fold(0.0, |sum, c| sum * x + c);
    let p = rng.unit().max(1e-300);
    let far = |p: f64| {
        let q = (-2.0 * ln(p)).sqrt();
        polynomial(&C, q) / (polynomial(&D, q) * q + 1.0)
    };
    if p < TAIL {
        far(p)
    } else if p > 1.0 - TAIL {
        -far((1.0 - p).max(1e-300))
    } else {
        let q = p - 0.5;
        let r = q * q;
        polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
    }
}

/// A number of the exponential distribution with mean 1.
pub(crate) fn exponential(rng: &mut Rng) -> f64 {
    -ln(1.0 - rng.unit())
}

/// A number between two, as likely between 1 and 10 as between 10 and 100.
pub(crate) fn log_uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    exp(ln(low) + rng.unit() * (ln(high) - ln(low)))
}

/// A number between two.
pub(crate) fn uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + rng.unit() * (high - low)
}

/// Whole nanoseconds; nothing negative, nothing beyond an hour.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub(crate) fn nanos(time: f64) -> u64 {
    time.clamp(0.0, 3.6e12) as u64
}

/// One number from two, well mixed.
pub(crate) fn mix(seed: u64, what: u64) -> u64 {
    let mut state = seed ^ what.wrapping_mul(0xd134_2543_de82_ef95);
    split_mix(&mut state);
    split_mix(&mut state)
}

/// A slow drift in -1..1: a new random level at every `step`, a straight line between two. A pure function of time, so
/// that windows of one system drift alike whichever is simulated first.
#[allow(clippy::cast_precision_loss, reason = "a share of a step")]
pub(crate) fn drift(seed: u64, at: u64, step: u64) -> f64 {
    let level = |knot: u64| (mix(seed, knot) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
    let knot = at / step;
    let share = (at % step) as f64 / step as f64;
    level(knot) + share * (level(knot + 1) - level(knot))
}
