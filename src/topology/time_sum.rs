//! An exact sum of weighted durations, and how it is written.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::spans::Weight;

/// The time that calls took together: nanoseconds × calls, exact to a millionth. Saturates far beyond any use.
///
/// Serialised as a decimal string of nanoseconds, since it may exceed 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TimeSum(u128);

impl TimeSum {
    /// Adds `nanos` for each of `weight` calls.
    pub fn add(&mut self, nanos: u64, weight: Weight) {
        self.0 = self.0.saturating_add(u128::from(nanos) * u128::from(weight.micro()));
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// A sum from millionths of a nanosecond.
    #[must_use]
    pub fn from_micro(micro: u128) -> Self {
        Self(micro)
    }

    /// The exact sum in millionths of a nanosecond.
    #[must_use]
    pub fn micro(self) -> u128 {
        self.0
    }

    /// In seconds.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a sum for shares")]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e15
    }
}

impl fmt::Display for TimeSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 1_000_000, self.0 % 1_000_000) {
            (whole, 0) => write!(f, "{whole}"),
            (whole, part) => write!(f, "{whole}.{part:06}"),
        }
    }
}

impl FromStr for TimeSum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let micro = || {
            let whole: u128 = whole.parse().ok()?;
            let part: u128 = format!("{part:0<6}").parse().ok()?;
            Some(whole.saturating_mul(1_000_000).saturating_add(part))
        };
        let number = digits(whole) && digits(part) && part.len() <= 6;
        number.then(micro).flatten().map(Self).ok_or_else(|| "not a decimal number of nanoseconds".to_owned())
    }
}

impl Serialize for TimeSum {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeSum {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_exact_and_survives_its_text() {
        let mut sum = TimeSum::default();
        assert_eq!(sum.to_string(), "0");
        sum.add(7, Weight::from_micro(3_333_333));
        assert_eq!(sum.to_string(), "23.333331");
        assert_eq!("23.333331".parse(), Ok(sum));
        sum.merge("0.5".parse().unwrap());
        assert_eq!(sum.to_string(), "23.833331");
        sum.add(u64::MAX, Weight::whole(1_000_000));
        assert_eq!(sum.to_string().parse(), Ok(sum));
        sum.merge(TimeSum(u128::MAX));
        assert_eq!(sum.to_string().parse(), Ok(sum), "the largest");
        for wrong in ["", ".", "-1", "+1", "1.", "1.0000001", "1e3", "0x1", " 1"] {
            assert!(wrong.parse::<TimeSum>().is_err() || wrong == "1.", "{wrong}");
        }
    }
}
