//! Objectives, held against a snapshot.
//!
//! Purpose: say for each objective whether it is met, breached, or cannot be told, with n and interval.
//! Input: [`Objective`]s (valid configuration) and a [`Snapshot`]. Output: [`ObjectiveStatus`] per objective and service.
//! Must not: do IO or know file formats of the configuration.

pub mod cfg;
mod evaluate;

pub use cfg::{Comparison, Objective, Sli};
pub use evaluate::{ObjectiveState, ObjectiveStatus, evaluate};
