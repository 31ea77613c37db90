//! End-to-end tests: one binary, one module per feature, fixtures in directories of the same name.

#![allow(unreachable_pub, reason = "helpers of one binary")]

mod bad_input;
mod check;
mod commands;
mod docs;
mod generate;
mod harness;
mod help;
mod schemas;
mod shop;
