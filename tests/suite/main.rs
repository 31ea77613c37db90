//! End-to-end tests: one binary, one module per feature, fixtures in directories of the same name.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of one binary of tests"
)]

mod bad_input;
mod check;
mod commands;
mod docs;
mod generate;
mod harness;
mod help;
mod schemas;
mod shop;
