//! The builder: batches in, snapshot out.

use std::collections::BTreeMap;

use super::Snapshot;
use super::cfg::TopologyConfig;
use crate::diag::Diagnostic;
use crate::spans::{SpanBatch, UnixNanos};

/// What a source reported besides the spans.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// Descriptions of the sources, for provenance.
    pub sources: Vec<String>,
    /// Spans refused, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Traces only had in part.
    pub partial_traces: u64,
    /// The window asked for, where a backend was asked.
    pub window: Option<(UnixNanos, UnixNanos)>,
}

/// Collects spans from any number of threads and turns them into a snapshot.
#[derive(Debug)]
pub struct Builder {
    cfg: TopologyConfig,
}

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new(cfg: TopologyConfig) -> Self {
        Self { cfg }
    }

    /// Takes the rows of a batch.
    ///
    /// # Errors
    /// `spill-failed` when memory is used up and the temporary directory cannot be written.
    pub fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let _ = (batch, &self.cfg);
        Ok(())
    }

    /// Pairs and aggregates everything, on `threads` threads (the result does not depend on how many).
    ///
    /// # Errors
    /// `no-spans` when nothing was pushed; `spill-failed` when spilled spans cannot be read back.
    pub fn finish(self, intake: Intake, threads: usize) -> Result<Snapshot, Diagnostic> {
        let _ = (intake, threads);
        Err(Diagnostic::error("no-spans", "there is not a single span"))
    }
}
