//! What a Prometheus answered to an objective that traces cannot answer.

use serde::{Deserialize, Serialize};

/// The values of a query at steps across the window, in whatever unit it has. Of several series the least and the greatest
/// at each step count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// The query as configured.
    pub query: String,
    /// Steps that were asked for.
    pub steps: u64,
    /// Steps with a value; those with an infinite one are none.
    pub n: u64,
    /// Least value of all.
    pub min: f64,
    /// Mean over the steps of the least value.
    pub low: f64,
    /// Mean over the steps of the greatest value.
    pub high: f64,
    /// Greatest value of all.
    pub max: f64,
}
