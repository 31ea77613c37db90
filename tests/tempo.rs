//! The Tempo source against servers that speak the real wire: one that plays a Tempo with limits and faults, some that
//! are no Tempo at all, and, where it is given, a live one. Recorded answers are tested beside the code.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise and say what it skipped"
)]

#[path = "tempo/counts.rs"]
mod counts;
#[path = "tempo/doctor.rs"]
mod doctor;
#[path = "tempo/doors.rs"]
mod doors;
#[path = "tempo/faults.rs"]
mod faults;
#[path = "tempo/live.rs"]
mod live;
#[path = "tempo/play.rs"]
mod play;
#[path = "tempo/proxy.rs"]
mod proxy;
#[path = "tempo/pulls.rs"]
mod pulls;
#[path = "tempo/real.rs"]
mod real;
#[path = "tempo/support.rs"]
mod support;

/// The messages of `proto/tempopb` with their server half, as `build.rs` generates them.
mod wire {
    #![allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/tempopb.rs"));
}
