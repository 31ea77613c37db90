//! Coarse bins of durations, eight to a power of two (src/topology/spread.rs): from where on a call counts as slow.

/// The lower limit of the bin of a duration.
fn lower(nanos: u64) -> u64 {
    let step = 1_u64 << nanos.max(8).ilog2().saturating_sub(3);
    nanos / step * step
}

/// The first limit of a bin beyond which lies at most a twentieth, in nanoseconds; nothing is slow where there is none.
pub fn slow_from(times: &[(u64, f64)]) -> u64 {
    let all: f64 = times.iter().map(|(_, w)| w).sum();
    let beyond = |limit: u64| times.iter().filter(|(d, _)| *d >= limit).map(|(_, w)| w).sum::<f64>();
    let limits = times.iter().map(|(d, _)| lower(*d));
    limits.filter(|limit| beyond(*limit) <= all / 20.0).min().unwrap_or(u64::MAX)
}
