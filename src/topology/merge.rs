//! Merging snapshots: the shards of one run, or runs over windows that follow each other.
//!
//! Input: snapshots, one after the other, in any order. Output: for all shards of a run the snapshot of that run, byte
//! for byte; for some of them a snapshot that still says which are missing; for successive windows their sum. Must not:
//! add what was counted twice: shards that are not of one run, and windows that overlap, are refused.

use std::collections::{BTreeMap, BTreeSet};

use super::build;
use super::caps;
use super::cfg::TopologyConfig;
use super::evidence::{Instance, Origin, Requests, TraceSummary, instances, origins, requests, summaries};
use super::external::{self, Asked};
use super::publish;
use super::quantile_error::QuantileError;
use super::shard::Parts;
use super::snapshot::{
    Coverage, Edge, EdgeKind, Node, NodeId, Operation, Provenance, SCHEMA, Snapshot, SnapshotKind, Window,
};
use super::unite;
use crate::diag::Diagnostic;
use crate::spans::{SpanKind, UnixNanos};

/// Merges snapshots: [`Merger`] for those that are at hand.
///
/// # Errors
/// As [`Merger::add`] and [`Merger::finish`].
pub fn merge(snapshots: Vec<Snapshot>, cfg: &TopologyConfig) -> Result<Snapshot, Diagnostic> {
    let mut merger = Merger::default();
    snapshots.into_iter().try_for_each(|snapshot| merger.add(snapshot))?;
    merger.finish(cfg)
}

/// Adds up snapshots, of which only the sum is held.
#[derive(Debug, Default)]
pub struct Merger(Option<Sum>);

#[derive(Debug)]
struct Sum {
    kind: SnapshotKind,
    tool_version: String,
    rules: String,
    sources: BTreeSet<String>,
    answering: BTreeSet<String>,
    /// With an empty one for what was read without.
    filters: BTreeSet<String>,
    digest: u128,
    quantile_error: Option<QuantileError>,
    calls_only: bool,
    example_traces: u64,
    windows: Vec<Window>,
    coverage: Coverage,
    nodes: BTreeMap<NodeId, Node>,
    operations: BTreeMap<(NodeId, SpanKind, String), Operation>,
    edges: BTreeMap<(NodeId, NodeId, EdgeKind), Edge>,
    requests: Vec<Requests>,
    origins: Vec<Origin>,
    instances: Vec<Instance>,
    traces: Vec<TraceSummary>,
    asked: Vec<Asked>,
    /// Whether these are shards of one run, all parts of which may be in.
    shards: bool,
    parts: Option<Parts>,
}

impl Merger {
    /// Adds one.
    ///
    /// # Errors
    /// `merge-mixed` when it cannot be added to what came before, `merge-shards` when it is a shard of another run,
    /// `merge-repeated` when it is a shard that is in already.
    pub fn add(&mut self, snapshot: Snapshot) -> Result<(), Diagnostic> {
        let Some(sum) = &mut self.0 else {
            self.0 = Some(Sum::new(snapshot));
            return Ok(());
        };
        sum.admit(&snapshot)?;
        sum.add(snapshot);
        Ok(())
    }

    /// What of the sum is not as sure as what it is the sum of: warnings, `external-merged-in-part` among them.
    #[must_use]
    pub fn doubts(&self) -> Vec<Diagnostic> {
        let doubt = |sum: &Sum| external::in_part(&sum.asked, around(&sum.windows), sum.shards);
        self.0.as_ref().and_then(doubt).into_iter().collect()
    }

    /// The sum.
    ///
    /// # Errors
    /// `merge-overlap` when windows overlap, `no-spans` when nothing was added or all shards of a run are empty.
    pub fn finish(self, cfg: &TopologyConfig) -> Result<Snapshot, Diagnostic> {
        let Some(mut sum) = self.0 else { return Err(build::no_spans(0)) };
        match sum.parts.take() {
            Some(parts) if parts.missing().is_empty() => {
                if sum.coverage.spans == 0 {
                    return Err(build::no_spans(sum.coverage.ignored));
                }
                let mut whole = sum.snapshot();
                let most = usize::try_from(parts.max_edges).unwrap_or(usize::MAX);
                caps::edges(&mut whole, most, parts.edge_threshold);
                Ok(publish::publish(whole))
            }
            Some(parts) => {
                let mut wide = Snapshot { shard: Some(parts), ..sum.snapshot() };
                publish::cut_wide(&mut wide);
                Ok(wide)
            }
            None if sum.windows.len() == 1 => Ok(sum.snapshot()),
            None => {
                sum.refuse_overlap()?;
                env!("CARGO_PKG_VERSION").clone_into(&mut sum.tool_version);
                let mut long = sum.snapshot();
                caps::services(&mut long, cfg.max_services);
                caps::operations(&mut long, cfg.max_operations);
                caps::edges(&mut long, cfg.max_edges, 0);
                publish::cut(&mut long);
                Ok(long)
            }
        }
    }
}

fn digest(provenance: &Provenance) -> u128 {
    u128::from_str_radix(&provenance.spans_digest, 16).unwrap_or(0)
}

impl Sum {
    fn new(first: Snapshot) -> Self {
        let digest = digest(&first.provenance);
        Self {
            kind: first.provenance.kind,
            tool_version: first.provenance.tool_version,
            rules: first.provenance.rules,
            sources: first.provenance.sources.into_iter().collect(),
            answering: first.provenance.external.into_iter().collect(),
            filters: match first.provenance.filter {
                none if none.is_empty() => BTreeSet::from([String::new()]),
                some => some.into_iter().collect(),
            },
            digest,
            quantile_error: first.provenance.quantile_error,
            calls_only: first.provenance.calls_only,
            example_traces: first.provenance.example_traces,
            windows: vec![first.window],
            coverage: first.coverage,
            nodes: first.nodes.into_iter().map(|n| (n.id.clone(), n)).collect(),
            operations: first
                .operations
                .into_iter()
                .map(|o| ((o.service.clone(), o.kind, o.name.clone()), o))
                .collect(),
            edges: first.edges.into_iter().map(|e| ((e.source.clone(), e.target.clone(), e.kind), e)).collect(),
            requests: first.requests,
            origins: first.origins,
            instances: first.instances,
            traces: first.traces,
            asked: vec![Asked { window: first.window, answers: first.external }],
            shards: first.shard.is_some(),
            parts: first.shard,
        }
    }

    /// Whether it may be added at all.
    fn admit(&self, next: &Snapshot) -> Result<(), Diagnostic> {
        let mixed = |what: &str| {
            Err(Diagnostic::error("merge-mixed", format!("{what} cannot be merged"))
                .help("merge either all shards of one run, or whole snapshots of windows that follow each other"))
        };
        if next.provenance.kind != self.kind {
            return mixed("a snapshot of spans and one of a backend's aggregates");
        }
        match (&self.parts, &next.shard) {
            (Some(mine), Some(other)) => self.admit_shard(mine, other, next),
            (None, None) if next.provenance.rules == self.rules => Ok(()),
            (None, None) => mixed("snapshots captured under different rules of the `topology` section"),
            _ => mixed("a shard of a run and a whole snapshot"),
        }
    }

    fn admit_shard(&self, mine: &Parts, other: &Parts, next: &Snapshot) -> Result<(), Diagnostic> {
        let differs = |what: &str, mine: &str, other: &str| {
            Err(Diagnostic::error(
                "merge-shards",
                format!("these are shards of different runs: {what} differ ({mine} and {other})"),
            )
            .help("capture every shard with the same version, sources, settings and, from a backend, the same --start and --end"))
        };
        if mine.of != other.of {
            return differs("numbers of shards", &mine.of.to_string(), &other.of.to_string());
        }
        if self.tool_version != next.provenance.tool_version {
            return differs("versions of tracebook", &self.tool_version, &next.provenance.tool_version);
        }
        if !self.sources.iter().eq(&next.provenance.sources) {
            let sources: Vec<&str> = self.sources.iter().map(String::as_str).collect();
            return differs("sources", &sources.join(", "), &next.provenance.sources.join(", "));
        }
        let windows: Vec<Window> = self.windows.iter().copied().take(1).chain([next.window]).collect();
        if let ([a, b], true) = (windows.as_slice(), mine.asked || other.asked)
            && (a != b || mine.asked != other.asked)
        {
            return differs("windows", &shown(a), &shown(b));
        }
        if (&mine.settings, mine.max_edges) != (&other.settings, other.max_edges) {
            return differs("settings", &mine.settings, &other.settings);
        }
        if (mine.spans_read, &mine.input) != (other.spans_read, &other.input) {
            let read = |parts: &Parts| format!("{} spans, {}", parts.spans_read, parts.input);
            return differs("the spans they read", &read(mine), &read(other));
        }
        match other.shards.iter().find(|index| mine.shards.contains(index)) {
            Some(twice) => Err(Diagnostic::error(
                "merge-repeated",
                format!("shard {twice}/{} is given twice: its spans would count twice", mine.of),
            )
            .help("give every shard once")),
            None => Ok(()),
        }
    }

    /// Adds what may be added.
    fn add(&mut self, next: Snapshot) {
        let other = Self::new(next);
        self.sources.extend(other.sources);
        self.answering.extend(other.answering);
        self.filters.extend(other.filters);
        self.digest = self.digest.wrapping_add(other.digest);
        // What one of them does not know, nobody knows of the sum.
        self.calls_only |= other.calls_only;
        self.example_traces = self.example_traces.saturating_add(other.example_traces);
        self.quantile_error = match (self.quantile_error, other.quantile_error) {
            (Some(a), Some(b)) => Some(a.worst(b)),
            (a, b) => a.or(b),
        };
        unite::coverage(&mut self.coverage, &other.coverage, self.parts.is_some());
        match (&mut self.parts, other.parts) {
            (Some(mine), Some(parts)) => {
                mine.shards.extend(parts.shards);
                mine.shards.sort_unstable();
                mine.edge_threshold = mine.edge_threshold.max(parts.edge_threshold);
                // A window that was asked for is the same in all.
                if !mine.asked {
                    self.windows = vec![around(&[self.windows.as_slice(), &other.windows].concat())];
                }
            }
            _ => self.windows.extend(other.windows),
        }
        for (id, node) in other.nodes {
            match self.nodes.get_mut(&id) {
                Some(mine) => unite::node(mine, node),
                None => _ = self.nodes.insert(id, node),
            }
        }
        for (key, operation) in other.operations {
            match self.operations.get_mut(&key) {
                Some(mine) => unite::operation(mine, &operation),
                None => _ = self.operations.insert(key, operation),
            }
        }
        for (key, edge) in other.edges {
            match self.edges.get_mut(&key) {
                Some(mine) => unite::edge(mine, &edge),
                None => _ = self.edges.insert(key, edge),
            }
        }
        requests::unite(&mut self.requests, &other.requests);
        origins::unite(&mut self.origins, &other.origins);
        instances::unite(&mut self.instances, &other.instances);
        summaries::unite(&mut self.traces, &other.traces);
        self.asked.extend(other.asked);
    }

    /// Spans in two windows could be the same ones.
    fn refuse_overlap(&self) -> Result<(), Diagnostic> {
        let mut windows = self.windows.clone();
        windows.sort_unstable_by_key(|w| (w.start, w.end));
        match windows.array_windows().find(|[a, b]| b.start < a.end || a == b) {
            Some([a, b]) => Err(Diagnostic::error(
                "merge-overlap",
                format!("two windows overlap ({} and {}): the same spans may be in both", shown(a), shown(b)),
            )
            .help(
                "merge windows that follow each other, or capture with --shard to spread one window over several jobs",
            )),
            None => Ok(()),
        }
    }

    fn snapshot(self) -> Snapshot {
        let window = around(&self.windows);
        Snapshot {
            schema: SCHEMA.to_owned(),
            provenance: Provenance {
                kind: self.kind,
                sources: self.sources.into_iter().collect(),
                tool_version: self.tool_version,
                rules: self.rules,
                spans_digest: format!("{:032x}", self.digest),
                quantile_error: self.quantile_error,
                calls_only: self.calls_only,
                example_traces: self.example_traces,
                external: self.answering.into_iter().collect(),
                filter: Some(self.filters).filter(|f| f.iter().any(|f| !f.is_empty())).into_iter().flatten().collect(),
            },
            window,
            coverage: self.coverage,
            nodes: self.nodes.into_values().collect(),
            operations: self.operations.into_values().collect(),
            edges: self.edges.into_values().collect(),
            requests: self.requests,
            origins: self.origins,
            instances: self.instances,
            traces: self.traces,
            external: external::unite(&self.asked, window, self.shards),
            shard: None,
        }
    }
}

fn shown(window: &Window) -> String {
    format!("{} to {}", window.start, window.end)
}

/// From the first start to the last end; a window that ends at no time is that of no spans.
fn around(windows: &[Window]) -> Window {
    let known = || windows.iter().filter(|w| w.end > UnixNanos(0));
    Window {
        start: known().map(|w| w.start).min().unwrap_or_default(),
        end: known().map(|w| w.end).max().unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
