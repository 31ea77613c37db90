//! Sampling weights as exact fixed-point numbers.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// How many real calls something stands for, in millionths.
///
/// A span kept with probability 1/4 weighs 4 (OpenTelemetry "adjusted count",
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>). Integers, so that sums do not depend on the
/// order of addition: floating point would make two shards differ from one run. Sums saturate at about 1.8e13 calls.
///
/// Serialised as a JSON integer where whole, else as a decimal string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Weight(u64);

impl Weight {
    const UNIT: u64 = 1_000_000;
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One call: an unsampled span.
    pub const ONE: Self = Self(Self::UNIT);

    /// `n` whole calls.
    #[must_use]
    pub fn whole(n: u64) -> Self {
        Self(n.saturating_mul(Self::UNIT))
    }

    /// The weight of a span kept with this probability; `None` unless it lies in (0, 1].
    #[must_use]
    pub fn from_probability(p: f64) -> Option<Self> {
        (p > 0.0 && p <= 1.0).then(|| Self::from_f64(1.0 / p))
    }

    /// A weight from a number of calls; negative and NaN become zero, huge saturates.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
    pub fn from_f64(calls: f64) -> Self {
        Self((calls * 1e6).round() as u64)
    }

    /// The adjusted count of `ot=th:<hex>`: 2^56 / (2^56 - threshold), with the threshold right-padded to 56 bits.
    #[must_use]
    pub fn from_threshold(threshold: u64) -> Option<Self> {
        const FULL: u64 = 1 << 56;
        let rest = FULL.checked_sub(threshold).filter(|rest| *rest > 0)?;
        let micro = (u128::from(FULL) * u128::from(Self::UNIT) + u128::from(rest) / 2) / u128::from(rest);
        Some(Self(u64::try_from(micro).unwrap_or(u64::MAX)))
    }

    /// The exact number in millionths of a call.
    #[must_use]
    pub fn micro(self) -> u64 {
        self.0
    }

    /// A weight from millionths of a call.
    #[must_use]
    pub fn from_micro(micro: u64) -> Self {
        Self(micro)
    }

    /// The number of calls, where it is a whole one.
    fn whole_calls(self) -> Option<u64> {
        self.0.is_multiple_of(Self::UNIT).then_some(self.0 / Self::UNIT)
    }

    /// As a number of calls.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "for display and ratios")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self / whole` in 0..=1, zero when `whole` is zero.
    #[must_use]
    pub fn ratio_of(self, whole: Self) -> f64 {
        if whole.0 == 0 { 0.0 } else { self.as_f64() / whole.as_f64() }
    }

    /// Whether this is nothing.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Weight {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::UNIT, self.0 % Self::UNIT);
        if part == 0 {
            write!(f, "{whole}")
        } else {
            let digits = format!("{part:06}");
            write!(f, "{whole}.{}", digits.trim_end_matches('0'))
        }
    }
}

/// `key:weight:weight` separated by blanks, into one string: snapshots hold a hundred thousand of these.
#[must_use]
pub fn joined<K: fmt::Display, const N: usize>(entries: impl Iterator<Item = (K, [Weight; N])>) -> String {
    use fmt::Write as _;
    let mut text = String::new();
    for (key, weights) in entries {
        let blank = if text.is_empty() { "" } else { " " };
        // Writing into a string cannot fail.
        let _ = write!(text, "{blank}{key}");
        for weight in weights {
            let _ = match weight.whole_calls() {
                Some(calls) => write!(text, ":{calls}"),
                None => write!(text, ":{weight}"),
            };
        }
    }
    text
}

impl std::str::FromStr for Weight {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("`{text}` is not a count");
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        if part.len() > 6 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad());
        }
        let whole: u64 = whole.parse().map_err(|_| bad())?;
        let micro: u64 = format!("{part:0<6}").parse().map_err(|_| bad())?;
        Ok(Self(whole.saturating_mul(Self::UNIT).saturating_add(micro)))
    }
}

impl Serialize for Weight {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole_calls() {
            Some(calls) => serializer.serialize_u64(calls),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Whole(u64),
            Decimal(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Whole(n) => Ok(Self::whole(n)),
            Form::Decimal(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_of_half_weighs_two() {
        assert_eq!(Weight::from_threshold(1 << 55), Some(Weight::whole(2)));
        assert_eq!(Weight::from_threshold(0), Some(Weight::ONE));
        assert_eq!(Weight::from_threshold(1 << 56), None);
    }

    #[test]
    fn a_fraction_survives_text_and_json() {
        let third = Weight::from_probability(0.3).unwrap();
        assert_eq!(third.to_string(), "3.333333");
        assert_eq!(third.to_string().parse::<Weight>().unwrap(), third);
        let json = serde_json::to_string(&[Weight::whole(7), third]).unwrap();
        assert_eq!(json, r#"[7,"3.333333"]"#);
        assert_eq!(serde_json::from_str::<[Weight; 2]>(&json).unwrap(), [Weight::whole(7), third]);
    }

    #[test]
    fn a_probability_outside_0_to_1_has_no_weight() {
        for p in [0.0, -1.0, 1.5, f64::NAN] {
            assert_eq!(Weight::from_probability(p), None);
        }
    }
}
