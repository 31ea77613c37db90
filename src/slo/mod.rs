//! Objectives, held against a snapshot.
//!
//! Purpose: say for each objective whether it is met, breached, or cannot be told, with n and interval.
//! Input: [`Objective`]s (valid configuration) and a [`Snapshot`](crate::topology::Snapshot). Output:
//! [`ObjectiveStatus`] per objective and service. Must not: do IO or know file formats of the configuration.

mod burn;
pub mod cfg;
mod evaluate;
pub mod interval;
mod measure;
mod names;
mod question;
mod target;
mod units;

pub use burn::BurnRate;
pub use cfg::{Comparison, Objective, Sli, Unit, validate_all};
pub use evaluate::{ObjectiveState, ObjectiveStatus, evaluate, queries};
pub use units::Ratio;
