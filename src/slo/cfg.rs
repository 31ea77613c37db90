//! Objectives as configured: raw text in, valid values out, all problems collected.

use serde::Deserialize;

use crate::diag::Diagnostic;

/// An objective as written in `tracebook.yaml` under `objectives:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Stable id; derived from service, operation and SLI when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// `name`, `namespace/name`, or `*` for every service.
    pub service: String,
    /// One operation, `*` as a wildcard inside; all requests of the service when absent.
    #[serde(default)]
    pub operation: Option<String>,
    /// `latency_p99`, `latency_p99.9`, `latency_mean`, `error_rate`, `throughput`, `messaging_lag_p99`, or `external`.
    pub sli: String,
    /// `< 500ms`, `<= 0.5 %`, `> 10/s`, `< 30s`; for `external` any text a person understands.
    pub target: String,
    /// What the objective covers, e.g. `30d`; the snapshot's window when absent.
    #[serde(default)]
    pub window: Option<String>,
    /// `page` or `ticket`.
    #[serde(default)]
    pub severity: Option<String>,
    /// For `external`: the Prometheus query that answers it.
    #[serde(default)]
    pub query: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Sli {
    /// A latency percentile of handled requests in seconds; percentile in (0, 100).
    Latency {
        /// E.g. 99 or 99.9.
        percentile: f64,
    },
    /// Mean latency of handled requests in seconds.
    LatencyMean,
    /// Failed ÷ handled requests, 0..=1.
    ErrorRate,
    /// Handled requests per second.
    Throughput,
    /// A percentile of the time messages wait before this service receives them, in seconds.
    MessagingLag {
        /// E.g. 99.
        percentile: f64,
    },
    /// Nothing traces can answer (pod readiness, replica lag, certificate expiry): comes from elsewhere.
    External,
}

/// Which side of the target is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Value < target.
    Below,
    /// Value ≤ target.
    AtMost,
    /// Value > target.
    Above,
    /// Value ≥ target.
    AtLeast,
}

/// A valid objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Stable id, unique in the configuration.
    pub id: String,
    /// `name`, `namespace/name` or `*`.
    pub service: String,
    /// One operation (pattern), or all.
    pub operation: Option<String>,
    /// What is measured.
    pub sli: Sli,
    /// The SLI as written (`latency_p99`).
    pub sli_name: String,
    /// Good side.
    pub comparison: Comparison,
    /// Target in seconds, ratio or calls per second; 0 for `external`.
    pub target: f64,
    /// The target as written, for pages (`< 500ms`).
    pub target_text: String,
    /// What the objective covers, in seconds; the snapshot's window when absent.
    pub window_seconds: Option<u64>,
    /// `page` or `ticket`.
    pub severity: String,
    /// The Prometheus query of an `external` objective.
    pub query: Option<String>,
    /// For people; may be empty.
    pub description: String,
}

impl ObjectiveConfig {
    /// Checks everything and converts once. `index` is the position in the list, for key paths `objectives[index].…`.
    ///
    /// # Errors
    /// Every problem found, each with its key path and the expected form.
    pub fn validate(&self, index: usize) -> Result<Objective, Vec<Diagnostic>> {
        let _ = index;
        Err(Vec::new())
    }
}
