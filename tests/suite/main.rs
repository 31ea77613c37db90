//! End-to-end tests: one binary, one module per feature, fixtures in directories of the same name.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(unreachable_pub, reason = "helpers of one binary")]
#![allow(clippy::duplicate_mod, reason = "two generators of traces share how spans are written")]

mod bad_input;
mod check;
mod claims;
mod commands;
mod diff;
mod docs;
mod expected;
mod generate;
mod harness;
mod help;
mod jaeger;
mod messages;
mod origins;
mod rules;
mod sample;
mod schemas;
mod servicegraph;
mod shards;
mod shop;
mod zipkin;
