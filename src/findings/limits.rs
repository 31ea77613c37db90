//! Thresholds of the rules. One place, each with its reason.

/// Fewest spans behind a claim about a ratio or a mean: below, one slow or failed request decides it.
pub(super) const MIN_N: u64 = 20;

/// An error ratio counts as a hotspot when even the lower end of its interval is above this: 1 %.
pub(super) const HOTSPOT_RATIO: f64 = 0.01;

/// Failures are handed on, not made here, when the calls made below account for this share of them.
pub(super) const HANDED_ON_SHARE: f64 = 0.5;

/// A dependency is slow when its caller spends half of its time waiting for it …
pub(super) const DEPENDENCY_SHARE: f64 = 0.5;

/// … and a call takes a millisecond at least: below, the share says more about the caller than about the callee.
pub(super) const DEPENDENCY_NANOS: f64 = 1e6;

/// The called side must work 10 % and a millisecond longer than the calling side waits: clocks are not finer.
pub(super) const GAVE_UP_FACTOR: f64 = 1.1;
/// See [`GAVE_UP_FACTOR`].
pub(super) const GAVE_UP_NANOS: f64 = 1e6;

/// Of the time a caller waits, the share between the two spans that is worth a look …
pub(super) const GAP_SHARE: f64 = 0.3;
/// … if it is 5 ms at least: within one data centre a round trip takes below one.
pub(super) const GAP_NANOS: f64 = 5e6;

/// Calls of one kind per request of the caller from which a loop or a retry is likely.
pub(super) const CALLS_PER_REQUEST: f64 = 5.0;
/// From here on it is a warning.
pub(super) const CALLS_PER_REQUEST_WARNING: f64 = 10.0;

/// Share of spans whose parent is missing, above which edges are missing too.
pub(super) const ORPHAN_SHARE: f64 = 0.01;

/// Share of duplicates above which the pipeline is probably sending twice.
pub(super) const DUPLICATE_SHARE: f64 = 0.05;

/// Share of calls without a known other end, above which the topology has visible holes.
pub(super) const UNPAIRED_SHARE: f64 = 0.05;

/// Share of spans with clocks that disagree, above which gaps and waiting times mislead.
pub(super) const SKEW_SHARE: f64 = 0.01;

/// Share of the requests from outside from which a service is central: every other user notices when it is down.
pub(super) const CENTRAL_SHARE: f64 = 0.5;

/// Most exemplars a finding carries.
pub(super) const EXEMPLARS: usize = 3;

/// Origins that begin at least this share of the failures of requests from outside are where to look.
pub(super) const ORIGIN_SHARE: f64 = 0.5;

/// A part of the requests that holds this share of what slow ones take longer is where to look …
pub(super) const HOLDER_SHARE: f64 = 0.5;
/// … of at least so many requests that five lie beyond the 95th percentile …
pub(super) const HOLDER_REQUESTS: f64 = 100.0;
/// … if slow requests take a millisecond longer: below, nobody notices.
pub(super) const HOLDER_SECONDS: f64 = 1e-3;

/// Slow is what takes longer than all but this share of a service's calls.
pub(super) const TAIL_SHARE: f64 = 0.05;

/// A value of an attribute stands apart when its calls fail or are slow twice as often as all others …
pub(super) const APART_FACTOR: f64 = 2.0;
/// … and at least 1 % of them fail …
pub(super) const APART_FAILED: f64 = 0.01;
/// … or 10 % are among the slowest 5 % of the service.
pub(super) const APART_SLOW: f64 = 0.1;
/// Attributes with more values than this tell calls apart and not places.
pub(super) const APART_VALUES: usize = 20;
/// Fewer failed or slow calls of a service than this are not worth a test.
pub(super) const APART_HITS: f64 = 5.0;
/// Share of reported contrasts that may be chance (Benjamini and Hochberg). Strict, because calls close in time are alike.
pub(super) const APART_RATE: f64 = 0.01;
