//! Incidents in random microservice systems, and the truth about them.
//!
//! Purpose: measure the ranking of culprits on systems it was not made for. [`grow`] draws a system, [`plan`] an incident in
//! it, [`capture`] simulates and writes the spans, [`label`] says what is true. Input: a seed. Output: the same bytes on
//! every machine. Must not: import `tracebook`, read a clock, or be changed so that a ranking looks better: what is
//! simulated follows what systems do, never how somebody diagnoses them.
//!
//! ```text
//! grow (program, stores, names) -> system    what there is
//! load -> choose -> plan -> fault            what goes wrong
//! traffic, pods, pools -> run, call          what happens (convention: how it looks)
//! capture (wire) -> label                    what is told
//! ```
//!
//! Tests take this directory in with `#[path]`.

pub(crate) mod call;
pub(crate) mod capture;
pub(crate) mod choose;
pub(crate) mod convention;
pub(crate) mod failure;
pub(crate) mod fault;
pub(crate) mod grow;
pub(crate) mod label;
pub(crate) mod load;
pub(crate) mod maths;
pub(crate) mod names;
pub(crate) mod origins;
pub(crate) mod plan;
pub(crate) mod pods;
pub(crate) mod pools;
pub(crate) mod program;
pub(crate) mod run;
pub(crate) mod stores;
pub(crate) mod system;
pub(crate) mod traffic;
pub(crate) mod wire;
