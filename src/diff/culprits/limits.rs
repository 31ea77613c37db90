//! Constants of the ranking. They are few on purpose; `benches/diagnosis/README.md` says how they were chosen and judged.

/// Operations with fewer spans than this on a side are also looked at together, service by service.
pub(super) const RARE: u64 = 20;

/// How many calls the deviation of the whole system counts for against that of an operation.
pub(super) const PRIOR: f64 = 20.0;

/// Deviation of the logarithm of durations where nothing is known (a factor of two either way), and the least believed.
pub(super) const USUAL_DEVIATION: f64 = 0.7;
pub(super) const LEAST_DEVIATION: f64 = 0.3;

/// Standard errors taken off every effect: what chance may have added.
pub(super) const SURE: f64 = 1.0;

/// The same for a ratio of means, which outliers carry away.
pub(super) const SURE_OF_MEANS: f64 = 3.0;

/// Added to mean times before their ratio is taken: 50 µs more are nobody's trouble.
pub(super) const OFFSET_SECONDS: f64 = 5e-5;

/// Stranger than this is not told apart: seven nats, a thousand to one.
pub(super) const MOST_STRENGTH: f64 = 7.0;

/// A change of this many nats is clear enough to explain any other one further up.
pub(super) const CLEAR: f64 = 1.0;

/// What is left with somebody whose symptom another one explains.
pub(super) const RESIDUE: f64 = 0.25;

/// Calls per request that change by more than this factor change the mix of what an operation is asked for.
pub(super) const EXPOSURE: f64 = 1.3;

/// Scores from here on are reported …
pub(super) const REPORTED: f64 = 0.25;

/// … in which changes of flow count for this much: what requests ask for drifts over the hours, and flows follow it …
pub(super) const DRIFT: f64 = 0.6;

/// … where the largest part is no accident: its p-value times the number of figures compared.
pub(super) const CHANCE: f64 = 0.05;

/// Suspects listed.
pub(super) const MOST: usize = 10;

/// Suspects below this are not even listed.
pub(super) const LISTED: f64 = 0.01;
