//! From totals to the snapshot: names instead of numbers, everything sorted.

use std::collections::{BTreeMap, BTreeSet};

use super::build::Intake;
use super::contents::Contents;
use super::dicts::Dicts;
use super::evidence::Flow;
use super::identity::{Identity, UNKNOWN_SERVICE};
use super::snapshot::{
    Coverage, Edge, EdgeOperation, ErrorCount, Node, NodeId, NodeKind, Operation, Provenance, SCHEMA, Snapshot,
    SnapshotKind, Stats, Window,
};
use super::tally::{Counts, EdgeTally, OpTally, PairTally, Tally, Totals};
use super::unite;
use crate::spans::{SpanKind, UnixNanos, Weight};

/// The snapshot with every list as long as it was counted and nothing summed over nodes: `publish` does the rest, at once
/// or when all shards are there.
pub(super) fn wide(tally: Tally, identity: &Identity, dicts: &Dicts, intake: Intake) -> Snapshot {
    let Tally { operations, edges, resources, touched, calls, counts, evidence, .. } = tally;
    let found = evidence.map(|evidence| evidence.finish(identity, dicts)).unwrap_or_default();
    let operations = operations.into_sorted();
    let edges = edges.into_sorted();
    let on_edges: u64 = edges.values().map(|edge| edge.totals.n).sum();
    let mut present: BTreeSet<u32> = edges.keys().flat_map(|(source, target, _)| [*source, *target]).collect();
    present
        .extend(operations.keys().filter_map(|(number, _)| identity.op_names.get(*number as usize)).map(|(n, _)| *n));
    present.extend((0..).zip(&touched).filter(|(_, weight)| !weight.is_zero()).map(|(at, _)| at));
    let mut attributes = attributes(&resources, identity, dicts);
    let nodes = present.iter().filter_map(|at| {
        let (id, seed) = identity.nodes.get(*at as usize)?;
        Some(Node {
            id: NodeId(id.clone()),
            kind: seed.kind,
            namespace: seed.namespace.clone(),
            name: seed.name.clone(),
            system: seed.system.clone(),
            instrumented: seed.instrumented,
            attributes: attributes.remove(at).unwrap_or_default(),
            handled: Stats::default(),
            entry_traces: touched.get(*at as usize).copied().unwrap_or_default(),
        })
    });
    Snapshot {
        schema: SCHEMA.to_owned(),
        provenance: provenance(&intake, &counts),
        window: window(&intake, &counts),
        nodes: nodes.collect(),
        operations: sorted_operations(operations, found.flows, found.flows_threshold, identity),
        edges: edges.into_iter().filter_map(|(key, tally)| edge(key, tally, identity)).collect(),
        coverage: coverage(intake, &counts, calls.saturating_sub(on_edges)),
        requests: found.requests,
        origins: found.origins,
        instances: found.instances,
        traces: found.traces,
        external: Vec::new(),
        shard: None,
    }
}

fn provenance(intake: &Intake, counts: &Counts) -> Provenance {
    let sources: BTreeSet<String> = intake.sources.iter().cloned().collect();
    Provenance {
        kind: SnapshotKind::Spans,
        sources: sources.into_iter().collect(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        spans_digest: format!("{:032x}", counts.digest),
        rules: String::new(),
        quantile_error: None,
        calls_only: false,
        example_traces: 0,
        external: Vec::new(),
        filter: Vec::new(),
    }
}

fn window(intake: &Intake, counts: &Counts) -> Window {
    let (start, end) = intake.window.unwrap_or((UnixNanos(counts.first), UnixNanos(counts.last)));
    Window { start, end: end.max(start) }
}

fn coverage(intake: Intake, counts: &Counts, beyond_edges: u64) -> Coverage {
    let overflow = [
        ("services", counts.beyond_services),
        ("operations", counts.beyond_operations),
        ("peers", counts.beyond_peers),
        ("trace_spans", counts.beyond_trace),
        ("edges", beyond_edges),
    ];
    Coverage {
        spans: counts.spans,
        traces: counts.traces,
        rootless_traces: counts.rootless_traces,
        orphans: counts.orphans,
        unpaired: counts.unpaired,
        duplicates: counts.duplicates,
        skewed: counts.skewed,
        no_duration: counts.no_duration,
        unresolved_links: counts.unresolved_links,
        partial_traces: intake.partial_traces,
        left_out_traces: intake.left_out_traces,
        rejected: intake.rejected,
        ignored: counts.ignored,
        transparent: counts.transparent,
        overflow: overflow.iter().filter(|(_, n)| *n > 0).map(|(what, n)| ((*what).to_owned(), *n)).collect(),
        sampled: counts.sampled,
        entry_traces: counts.entry_traces,
    }
}

/// Resource attributes by node.
fn attributes(
    resources: &[u64],
    identity: &Identity,
    dicts: &Dicts,
) -> BTreeMap<u32, BTreeMap<String, BTreeMap<String, u64>>> {
    let mut all: BTreeMap<u32, BTreeMap<String, BTreeMap<String, u64>>> = BTreeMap::new();
    for (id, n) in (0..).zip(resources).filter(|(_, n)| **n > 0) {
        let Some((_, _, entry)) = dicts.resources.resolve(id) else { continue };
        let Some(service) =
            identity.services.get(entry.service as usize).filter(|s| s.fate == super::identity::Fate::Kept)
        else {
            continue;
        };
        let node = all.entry(service.node).or_default();
        for (key, value) in &entry.values {
            *node.entry((*key).to_owned()).or_default().entry(value.clone()).or_default() += n;
        }
        // A service that did not say its name, or said the SDK's default, or has an alias, is marked with what it sent.
        let sent = dicts.services.resolve(entry.service).map_or("", |(_, _, s)| s.name.as_str());
        if sent.is_empty() || sent.starts_with(UNKNOWN_SERVICE) || service.renamed {
            let sent = if sent.is_empty() { "(missing)" } else { sent };
            *node.entry("service.name".to_owned()).or_default().entry(sent.to_owned()).or_default() += n;
        }
    }
    all
}

fn error_classes(totals: &Totals, identity: &Identity) -> Vec<ErrorCount> {
    let named = |(class, calls): (u32, &Weight)| {
        Some(ErrorCount { class: identity.classes.get(class as usize)?.clone(), calls: *calls })
    };
    let mut all: Vec<ErrorCount> = totals.classes.sorted().into_iter().filter_map(named).collect();
    unite::sort_classes(&mut all);
    all
}

fn sorted_operations(
    all: BTreeMap<(u32, SpanKind), OpTally>,
    mut flows: BTreeMap<(u32, SpanKind), Flow>,
    threshold: u32,
    identity: &Identity,
) -> Vec<Operation> {
    let contents = (threshold > 0).then(|| Contents::of(identity));
    let beyond = |number| contents.as_ref().is_some_and(|c| c.operation(number).leading_zeros() < threshold);
    let named = |(key, tally): ((u32, SpanKind), OpTally)| {
        let flow = flows.remove(&key).unwrap_or_else(|| Flow { beyond: beyond(key.0), ..Flow::default() });
        operation(key, tally, flow, identity)
    };
    let mut operations: Vec<Operation> = all.into_iter().filter_map(named).collect();
    operations.sort_by(|a, b| (&a.service, a.kind, &a.name).cmp(&(&b.service, b.kind, &b.name)));
    operations
}

fn operation((number, kind): (u32, SpanKind), tally: OpTally, flow: Flow, identity: &Identity) -> Option<Operation> {
    let (node, name) = identity.op_names.get(number as usize)?;
    let (service, _) = identity.nodes.get(*node as usize)?;
    Some(Operation {
        service: NodeId(service.clone()),
        kind,
        name: name.clone(),
        entry: tally.entry,
        stats: Stats {
            n: tally.totals.n,
            calls: tally.totals.calls,
            errors: tally.totals.errors,
            error_classes: error_classes(&tally.totals, identity),
            durations: tally.durations,
            exemplars: tally.totals.picks.finish(),
            series: tally.totals.series.finish(),
        },
        self_ns: Some(tally.self_time),
        self_times: tally.self_times,
        flow,
    })
}

fn edge((source, target, kind): (u32, u32, super::EdgeKind), tally: EdgeTally, identity: &Identity) -> Option<Edge> {
    let id = |node: u32| identity.nodes.get(node as usize).map(|(id, _)| NodeId(id.clone()));
    Some(Edge {
        source: id(source)?,
        target: id(target)?,
        kind,
        operations: pairs(&tally, identity),
        known_by: tally.known_by(),
        dimensions: identity.dimensions.name(tally.ends, (tally.totals.calls, tally.totals.errors)),
        n: tally.totals.n,
        calls: tally.totals.calls,
        errors: tally.totals.errors,
        error_classes: error_classes(&tally.totals, identity),
        client: tally.client,
        server: tally.server,
        gap: tally.gap,
        dwell: tally.dwell,
        exemplars: tally.totals.picks.finish(),
        series: tally.totals.series.finish(),
    })
}

fn pairs(tally: &EdgeTally, identity: &Identity) -> Vec<EdgeOperation> {
    let name = |number: u32| identity.op_names.get(number as usize).map(|(_, name)| name.clone()).unwrap_or_default();
    let named = |((source, target), pair): ((u32, u32), &PairTally)| EdgeOperation {
        source: name(source),
        target: name(target),
        calls: pair.calls,
        errors: pair.errors,
        sum_ns: pair.sum_ns,
        n: pair.n,
    };
    let mut all: Vec<EdgeOperation> = tally.operations.sorted().into_iter().map(named).collect();
    unite::unite_pairs(&mut all);
    all
}

/// Whether a node is a service that never said its name.
pub(super) fn is_unnamed(kind: NodeKind, name: &str) -> bool {
    kind == NodeKind::Service && name.starts_with(UNKNOWN_SERVICE)
}
