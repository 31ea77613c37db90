//! Objective × snapshot → state.

use serde::Serialize;

use super::Objective;
use crate::topology::{NodeId, Snapshot};

/// What an objective's state can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectiveState {
    /// The value keeps the target.
    Met,
    /// The value misses the target.
    Breached,
    /// Nothing was observed, or traces cannot answer this.
    NoData,
}

impl ObjectiveState {
    /// Lower-case name, as in machine-readable answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Breached => "breached",
            Self::NoData => "no_data",
        }
    }
}

/// One objective on one service (and operation). A wildcard objective yields one of these per service.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectiveStatus {
    /// `<objective id>` or, from a wildcard, `<objective id>:<service>`. Unique and stable.
    pub id: String,
    /// The objective.
    pub objective: Objective,
    /// The service it was applied to.
    pub service: NodeId,
    /// The operation, when the objective names one.
    pub operation: Option<String>,
    /// State.
    pub state: ObjectiveState,
    /// Observed value in the unit of the objective (seconds, ratio, calls per second); `None` without data.
    pub value: Option<f64>,
    /// 95 % interval of the value.
    pub interval: Option<(f64, f64)>,
    /// Spans behind the value.
    pub n: u64,
    /// Whether the whole interval lies on one side of the target.
    pub certain: bool,
    /// Share of the error budget left over the snapshot's window, at most 1, negative when overspent; `None` where there
    /// is no budget (throughput, external) or no data.
    pub budget_remaining: Option<f64>,
    /// Why there is no data, in a sentence; empty otherwise.
    pub reason: String,
}

/// Holds every objective against the snapshot. Sorted by id. An objective whose service is not in the snapshot yields one
/// status `NoData` with the reason, for that service name.
#[must_use]
pub fn evaluate(objectives: &[Objective], snapshot: &Snapshot) -> Vec<ObjectiveStatus> {
    let _ = (objectives, snapshot);
    Vec::new()
}
