//! What a backend's buckets leave open.

use serde::{Deserialize, Serialize};

/// How far the quantiles of a backend's histograms may be off: they say in which bucket a duration lies, not where in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QuantileError {
    /// Largest error in percent of the true value, rounded up, between the two ends below.
    pub percent: u64,
    /// The first bucket reaches to here, nanoseconds: of a quantile in it nothing but that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_ns: Option<u64>,
    /// The last bucket begins here and has no end, nanoseconds: of a quantile in it nothing but that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_ns: Option<u64>,
}

impl QuantileError {
    /// What holds for both.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        let above = match (self.above_ns, other.above_ns) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Self { percent: self.percent.max(other.percent), below_ns: self.below_ns.max(other.below_ns), above_ns: above }
    }

    /// Takes one occupied bucket into account; one without upper bound has no end.
    pub(super) fn note(&mut self, lower: u64, upper: Option<u64>) {
        *self = self.worst(match upper {
            None => Self { above_ns: Some(lower), ..Self::default() },
            Some(upper) if lower == 0 => Self { below_ns: Some(upper), ..Self::default() },
            Some(upper) => {
                let width = u128::from(upper.saturating_sub(lower)) * 100;
                let percent = width.div_ceil(u128::from(lower));
                Self { percent: u64::try_from(percent).unwrap_or(u64::MAX), ..Self::default() }
            }
        });
    }
}
