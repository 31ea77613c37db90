//! The topology section of the configuration, already valid.

use serde::Deserialize;

/// How spans become nodes and edges. `Default` is what runs without a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyConfig {
    /// Most services kept; the rest is counted in `coverage.overflow`.
    pub max_services: usize,
    /// Most operations kept per service; the rest goes into the operation `(other)`.
    pub max_operations: usize,
    /// Most edges kept.
    pub max_edges: usize,
    /// Services left out altogether (`name` or `namespace/name`, `*` as a wildcard): probes, load generators.
    pub ignore_services: Vec<String>,
    /// Operations left out (`*` as a wildcard): health checks.
    pub ignore_operations: Vec<String>,
    /// Bytes of spans held in memory before they spill to temporary files.
    pub memory_bytes: usize,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self {
            max_services: 10_000,
            max_operations: 500,
            max_edges: 100_000,
            ignore_services: Vec::new(),
            ignore_operations: Vec::new(),
            memory_bytes: 128 << 20,
        }
    }
}
