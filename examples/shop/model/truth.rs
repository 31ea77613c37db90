//! What the emitted spans really say, counted while they are made: what any topology built from them must find.
//!
//! Nothing here comes from tracebook. Counts are of spans that were emitted and kept, duplicates counted once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::run::{Call, Trace};
use super::span::{Kind, Span};
use super::world::World;

/// Number and exact sum of durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Durations {
    pub(crate) n: u64,
    /// Nanoseconds.
    pub(crate) sum_ns: u128,
    /// `sum_ns / n / 1e9`, 0 without any.
    pub(crate) mean_seconds: f64,
}

impl Durations {
    fn add(&mut self, ns: u64) {
        self.n += 1;
        self.sum_ns += u128::from(ns);
        #[allow(clippy::cast_precision_loss, reason = "a mean")]
        let mean = self.sum_ns as f64 / self.n as f64 / 1e9;
        self.mean_seconds = mean;
    }
}

/// One edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct EdgeTruth {
    pub(crate) source: String,
    pub(crate) target: String,
    /// `call`, `database`, `messaging`, `external` or `entry`.
    pub(crate) kind: &'static str,
    /// Calls of which a span is there. From a topic to a consumer: CONSUMER spans, whatever the size of their batches.
    pub(crate) n: u64,
    /// Of which a span of either side has status ERROR.
    pub(crate) errors_n: u64,
    /// Calls and errors they stand for: `n` and `errors_n` times the sampling weight.
    pub(crate) calls: f64,
    pub(crate) errors: f64,
    /// CLIENT or PRODUCER spans.
    pub(crate) client: Durations,
    /// SERVER or CONSUMER spans.
    pub(crate) server: Durations,
    /// From a topic: messages handled, those whose handling failed, and the time of the span that handled each (a batch
    /// counts once per message).
    pub(crate) messages: u64,
    pub(crate) message_errors: u64,
    pub(crate) per_message: Durations,
    /// Publish end → receive start, for messages of which both spans are there (never below 0).
    pub(crate) dwell: Durations,
}

/// One service.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct ServiceTruth {
    pub(crate) id: String,
    pub(crate) spans: u64,
    /// SERVER and CONSUMER spans.
    pub(crate) handled: u64,
    /// Of which have status ERROR.
    pub(crate) handled_errors: u64,
    /// By `service.version`.
    pub(crate) versions: BTreeMap<String, u64>,
}

/// The whole truth.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Truth {
    pub(crate) system: &'static str,
    pub(crate) seed: u64,
    /// Copies of the system. Services and edges are those of one copy, their counts those of all.
    #[serde(skip_serializing_if = "one")]
    pub(crate) cells: u64,
    /// First start and last end, Unix nanoseconds.
    pub(crate) start_unix_nano: u64,
    pub(crate) end_unix_nano: u64,
    /// Without duplicates.
    pub(crate) spans: u64,
    pub(crate) duplicates: u64,
    pub(crate) traces: u64,
    pub(crate) rootless_traces: u64,
    /// Spans whose parent was lost.
    pub(crate) orphans: u64,
    /// Spans that start before their parent in another service.
    pub(crate) skewed: u64,
    pub(crate) error_spans: u64,
    pub(crate) exception_events: u64,
    pub(crate) links: u64,
    pub(crate) unresolved_links: u64,
    /// Spans that carry `ot=th`, and what each stands for.
    pub(crate) sampled: u64,
    pub(crate) weight: f64,
    /// By id.
    pub(crate) services: Vec<ServiceTruth>,
    /// By (source, target).
    pub(crate) edges: Vec<EdgeTruth>,
}

impl Durations {
    fn times(&mut self, laps: u64) {
        self.n *= laps;
        self.sum_ns *= u128::from(laps);
    }
}

impl Truth {
    /// The truth about the same traffic again and again, each lap a `period` (nanoseconds) after the one before.
    pub(crate) fn times(mut self, laps: u64, period: u64) -> Self {
        self.end_unix_nano += laps.saturating_sub(1) * period;
        for count in [
            &mut self.spans,
            &mut self.duplicates,
            &mut self.traces,
            &mut self.rootless_traces,
            &mut self.orphans,
            &mut self.skewed,
            &mut self.error_spans,
            &mut self.exception_events,
            &mut self.links,
            &mut self.unresolved_links,
            &mut self.sampled,
        ] {
            *count *= laps;
        }
        for service in &mut self.services {
            service.spans *= laps;
            service.handled *= laps;
            service.handled_errors *= laps;
            service.versions.values_mut().for_each(|n| *n *= laps);
        }
        for edge in &mut self.edges {
            for count in [&mut edge.n, &mut edge.errors_n, &mut edge.messages, &mut edge.message_errors] {
                *count *= laps;
            }
            #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            {
                edge.calls = edge.n as f64 * self.weight;
                edge.errors = edge.errors_n as f64 * self.weight;
            }
            for durations in [&mut edge.client, &mut edge.server, &mut edge.per_message, &mut edge.dwell] {
                durations.times(laps);
            }
        }
        self
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn one(n: &u64) -> bool {
    *n == 1
}

/// Counts traces as they are made.
#[derive(Debug)]
pub(super) struct Ledger {
    totals: Truth,
    services: Vec<ServiceTruth>,
    /// Dense: source × nodes + target.
    edges: Vec<EdgeTruth>,
}

impl Ledger {
    pub(super) fn new(world: &World, seed: u64, weight: Option<f64>) -> Self {
        let nodes = world.nodes.len();
        let totals = Truth {
            system: world.system.name,
            seed,
            start_unix_nano: u64::MAX,
            weight: weight.unwrap_or(1.0),
            ..Truth::default()
        };
        let services = vec![ServiceTruth::default(); world.system.services.len()];
        Self { totals, services, edges: vec![EdgeTruth::default(); nodes * nodes] }
    }

    pub(super) fn duplicate(&mut self) {
        self.totals.duplicates += 1;
    }

    pub(super) fn spans(&self) -> u64 {
        self.totals.spans
    }

    /// Counts one trace. `lost[i]` says that span `i` never left its service.
    pub(super) fn trace(&mut self, world: &World, trace: &Trace, lost: &[bool]) {
        let emitted = |position: &usize| lost.get(*position) != Some(&true);
        let spans: Vec<&Span> =
            trace.spans.iter().enumerate().filter(|(i, _)| emitted(i)).map(|(_, span)| span).collect();
        self.totals.traces += u64::from(!spans.is_empty());
        self.totals.rootless_traces += u64::from(!spans.is_empty() && spans.iter().all(|s| s.parent_id != 0));
        self.totals.unresolved_links += trace.dangling;
        let at: BTreeMap<u64, &Span> = spans.iter().map(|s| (s.span_id, *s)).collect();
        for span in &spans {
            self.span(world, span, at.get(&span.parent_id).copied());
        }
        for call in &trace.calls {
            let side = |position: Option<usize>| position.filter(emitted).map(|i| &trace.spans[i]);
            let (caller, called) = (side(call.caller), side(call.called));
            // With neither a span of the caller nor the parent, nobody can know who called.
            if caller.is_none() && called.is_none_or(|s| s.parent_id != 0 && !at.contains_key(&s.parent_id)) {
                continue;
            }
            self.call(world, call, caller, called);
        }
    }

    fn span(&mut self, world: &World, span: &Span, parent: Option<&Span>) {
        let totals = &mut self.totals;
        totals.spans += 1;
        totals.start_unix_nano = totals.start_unix_nano.min(span.start);
        totals.end_unix_nano = totals.end_unix_nano.max(span.end);
        totals.error_spans += u64::from(span.error.is_some());
        totals.exception_events += u64::from(span.exception.is_some());
        totals.links += span.links.len() as u64;
        totals.sampled += u64::from(span.trace_state.is_some());
        totals.orphans += u64::from(span.parent_id != 0 && parent.is_none());
        let process = &world.processes[span.process as usize];
        let foreign = |p: &Span| world.processes[p.process as usize].service != process.service;
        totals.skewed += u64::from(parent.is_some_and(|p| foreign(p) && span.start < p.start));
        let service = &mut self.services[process.service];
        service.spans += 1;
        *service.versions.entry(["1.4.0", "1.5.0"][process.version].to_owned()).or_default() += 1;
        if matches!(span.kind, Kind::Server | Kind::Consumer) {
            service.handled += 1;
            service.handled_errors += u64::from(span.error.is_some());
        }
    }

    fn call(&mut self, world: &World, call: &Call, caller: Option<&Span>, called: Option<&Span>) {
        let edge = &mut self.edges[call.source * world.nodes.len() + call.target];
        edge.n += 1;
        edge.errors_n += u64::from([caller, called].iter().flatten().any(|s| s.error.is_some()));
        if let Some(span) = caller {
            edge.client.add(span.end - span.start);
        }
        if let Some(span) = called {
            edge.server.add(span.end - span.start);
            edge.messages += call.messages;
            edge.message_errors += if span.error.is_some() { call.messages } else { 0 };
            for _ in 0..call.messages {
                edge.per_message.add(span.end - span.start);
            }
            for sent in &call.sent {
                edge.dwell.add(span.start.saturating_sub(*sent));
            }
        }
    }

    /// Names and sorts everything.
    pub(super) fn finish(mut self, world: &World) -> Truth {
        let mut truth = self.totals;
        let nodes = world.nodes.len();
        for (service, counted) in self.services.iter_mut().enumerate() {
            counted.id.clone_from(&world.nodes[World::service_node(service)]);
        }
        self.services.retain(|s| s.spans > 0);
        for (position, edge) in self.edges.iter_mut().enumerate() {
            let (source, target) = (position / nodes, position % nodes);
            edge.source.clone_from(&world.nodes[source]);
            edge.target.clone_from(&world.nodes[target]);
            edge.kind = kind(&edge.source, &edge.target);
            #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
            {
                edge.calls = edge.n as f64 * truth.weight;
                edge.errors = edge.errors_n as f64 * truth.weight;
            }
        }
        self.edges.retain(|e| e.n > 0);
        self.services.sort_by(|a, b| a.id.cmp(&b.id));
        self.edges.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
        truth.services = self.services;
        truth.edges = self.edges;
        if truth.spans == 0 {
            truth.start_unix_nano = 0;
        }
        truth
    }
}

fn kind(source: &str, target: &str) -> &'static str {
    let is = |prefix: &str| source.starts_with(prefix) || target.starts_with(prefix);
    match () {
        () if is("entry:") => "entry",
        () if is("database:") => "database",
        () if is("messaging:") => "messaging",
        () if is("external:") => "external",
        () => "call",
    }
}
