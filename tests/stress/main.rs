//! What no input may do: make memory grow without bound, time quadratic, or the counts of what was lost wrong.
//!
//! Every case runs the program itself over protobuf made on the fly, small in `cargo test` and at full size with
//!
//! ```sh
//! cargo test --release --no-default-features --test stress -- --ignored --test-threads 1
//! ```
//!
//! where Linux tells peak memory and processor time. Growth is judged by the ratio of processor times at n and 4 n of
//! one machine in one run, never by a clock.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(unreachable_pub, reason = "helpers of one binary")]

mod names;
mod program;
mod quantiles;
mod shapes;
mod wire;
