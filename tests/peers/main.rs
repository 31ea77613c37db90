//! tracebook against real servers, started here on free ports of the loopback and stopped by their process id.
//!
//! `tests/peers/run.sh` builds the servers and runs these tests; without it they are passed over.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may stop at the first surprise"
)]

mod collector;
mod jaeger;
mod joint;
mod otlp;
mod process;
mod receiver;
mod snapshot;
