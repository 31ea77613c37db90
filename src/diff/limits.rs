//! What is large enough to report, and how sure one must be. One place, each with its reason.

/// Chance of seeing nothing at which an absence counts: 1 in 100, that is 4.6 calls expected.
pub(super) const ABSENCE: f64 = 0.01;

/// Share of reported changes that may be chance (Benjamini and Hochberg). Strict, because requests close in time are alike
/// and every test takes them for independent.
pub(super) const DISCOVERY_RATE: f64 = 0.01;

/// Fewest spans per side for latency and errors: below, medians jump.
pub(super) const MIN_SAMPLE: f64 = 10.0;

/// Fewest spans per side for the tail: five beyond the 95th percentile.
pub(super) const MIN_TAIL: f64 = 100.0;

/// Fewest spans on the busier side for a change in calls.
pub(super) const MIN_CALLS: f64 = 20.0;

/// A quantile must change by a fifth …
pub(super) const LATENCY_FACTOR: f64 = 1.2;

/// … and by a millisecond: below, nobody notices.
pub(super) const LATENCY_NANOS: f64 = 1e6;

/// The share of calls beyond the better side's 95th percentile must double: tails wander more than middles.
pub(super) const TAIL_FACTOR: f64 = 2.0;

/// Twice as slow is an error, less a warning.
pub(super) const MUCH_SLOWER: f64 = 2.0;

/// Calls per call of the caller must change by 30 %: the mix of requests alone moves them by less.
pub(super) const CALLS_FACTOR: f64 = 1.3;

/// The error ratio must change by half a percentage point …
pub(super) const ERROR_POINTS: f64 = 0.005;

/// … and by 30 %.
pub(super) const ERROR_FACTOR: f64 = 1.3;
