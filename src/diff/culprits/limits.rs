//! Constants of the ranking. They are few on purpose; `benches/diagnosis/README.md` says how they were chosen and judged.

/// Fewest spans on either side for a figure to be compared.
pub(super) const FEWEST: f64 = 4.0;

/// Fewest times before that an operation came to a point, for what it does next to be compared.
pub(super) const FEWEST_BEFORE: f64 = 2.0;

/// Standard errors taken off every effect: what chance may have added.
pub(super) const SURE: f64 = 1.0;

/// Added to mean times before their ratio is taken: 50 µs more are nobody's trouble.
pub(super) const OFFSET_SECONDS: f64 = 5e-5;

/// Stranger than this is not told apart: seven nats, a thousand to one.
pub(super) const MOST_STRENGTH: f64 = 7.0;

/// What is left with somebody whose symptom another one explains.
pub(super) const RESIDUE: f64 = 0.25;

/// Calls per request that change by more than this factor change the mix of what an operation is asked for.
pub(super) const EXPOSURE: f64 = 1.3;

/// Scores from here on are reported.
pub(super) const REPORTED: f64 = 0.3;

/// Suspects listed.
pub(super) const MOST: usize = 10;

/// Suspects below this are not even listed.
pub(super) const LISTED: f64 = 0.01;
