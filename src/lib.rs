//! tracebook turns OpenTelemetry traces into runbooks and keeps them true.
//!
//! ```text
//! source ──spans──▶ topology ──▶ SNAPSHOT ──▶ slo ──▶ findings ──▶ runbook ──▶ render ──▶ output
//! ```
//!
//! Data flows one way. [`source`] is the only module that reads the network, [`topology`] the only heavy one; from the
//! snapshot on every stage is a pure function, so the same snapshot and configuration give the same bytes. [`output`]
//! writes, [`cli`] prints, and nobody else does. `tests/architecture.rs` enforces who may import whom.

pub mod cli;
pub mod config;
pub mod diag;
pub mod diff;
pub mod findings;
pub mod output;
pub mod render;
pub mod runbook;
pub mod slo;
pub mod source;
pub mod spans;
pub mod topology;
