//! Evidence for a diagnosis, collected in the same pass as the topology (DESIGN: "Findings: why the diagnosis can be
//! trusted").
//!
//! Purpose: who holds the time of a request, where failures begin, what follows what, how instances differ, and some traces
//! in short. Input: one whole trace after the other, with parents found and rules applied. Output: tables that add up,
//! whatever the order of traces, threads or shards. Must not: look at a trace twice, or grow without bound: each table says
//! its own bound.

mod children;
mod critical_path;
pub(super) mod flow;
pub(super) mod instances;
pub(super) mod origins;
pub(super) mod requests;
pub(super) mod summaries;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use flow::{Flow, FlowItem, FlowState};
pub use instances::Instance;
pub use origins::{Origin, OriginKind, OriginStep};
pub use requests::{Bands, PartKind, RequestPart, Requests, band};
pub use summaries::{SummaryClass, SummarySpan, TraceSummary};

use children::Children;
use critical_path::{CriticalPath, waits};
use flow::Flows;
use instances::InstanceTally;
use origins::Origins;
use requests::{Names, RequestTallies, part};
use summaries::Summaries;

use super::contents::Contents;
use super::dicts::Dicts;
use super::identity::{IGNORED, Identity, NOWHERE};
use super::snapshot::NodeId;
use super::trace::{Parent, Span};
use crate::spans::{PeerKind, SpanKind};

/// What one thread collects.
#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) flows: Flows,
    requests: RequestTallies,
    origins: Origins,
    /// By resource of the store.
    instances: Vec<Option<Box<InstanceTally>>>,
    summaries: Summaries,
    scratch: Scratch,
}

/// Used again for each trace.
#[derive(Debug, Default)]
struct Scratch {
    children: Children,
    path: CriticalPath,
    /// By position: the time on the critical path of the request.
    critical: Vec<(usize, u64)>,
}

/// What a trace is to a request from outside: its nodes.
pub(super) struct Trace<'t, 'a> {
    pub(super) spans: &'t [Span<'a>],
    /// Nodes it touches.
    pub(super) nodes: &'t [u32],
    pub(super) failed: bool,
}

impl Evidence {
    pub(super) fn new(identity: &Identity) -> Self {
        Self {
            flows: Flows::new(),
            requests: RequestTallies::new(),
            origins: Origins::new(),
            instances: vec![None; identity.resource_hashes.len()],
            summaries: Summaries::new(identity.nodes.len()),
            scratch: Scratch::default(),
        }
    }

    /// Collects everything of one trace.
    pub(super) fn trace(&mut self, trace: &Trace<'_, '_>, identity: &Identity, contents: &Contents) {
        let spans = trace.spans;
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.children.find(spans);
        self.spans(spans, &scratch.children, contents);
        self.summaries.trace(spans, &scratch.children, &mut scratch.path);
        let target = |span: &Span<'_>| target_of(span, identity);
        if let Some(root) = entry(spans) {
            self.request(root, trace, &mut scratch, &target, contents);
        }
        if trace.failed {
            self.origins.trace(spans, &scratch.children, target, contents);
        }
        self.scratch = scratch;
    }

    #[inline(never)]
    fn spans(&mut self, spans: &[Span<'_>], children: &Children, contents: &Contents) {
        for (at, span) in spans.iter().enumerate() {
            if !span.kept() || span.row.kind.calls_out() {
                continue;
            }
            if span.row.kind.is_called() {
                if let Some(place) = self.instances.get_mut(span.row.resource as usize) {
                    let instance = place.get_or_insert_default();
                    instance.add(span.weight(), span.failed(), span.duration());
                }
                self.summaries.note(at, span);
            }
            let mut state = 0;
            for child in children.of(at) {
                let Some(child) = spans.get(*child as usize).map(|span| (*child as usize, span)) else { continue };
                if waits(span, child.1) {
                    let item = item(spans, children, child);
                    state = self.flows.step((span.op, span.row.kind), state, item, span.weight(), contents);
                }
            }
        }
    }

    /// A request from outside: its critical path by part, and what it touches.
    #[inline(never)]
    fn request(
        &mut self,
        root: usize,
        trace: &Trace<'_, '_>,
        scratch: &mut Scratch,
        target: &dyn Fn(&Span<'_>) -> u32,
        contents: &Contents,
    ) {
        let spans = trace.spans;
        let Scratch { children, path, critical } = scratch;
        let Some((first, nanos)) = spans.get(root).and_then(|span| Some((span, span.duration()?))) else { return };
        let Some(tally) = self.requests.at(first.op, first.row.kind, contents) else { return };
        let (band, weight) = (band(nanos), first.weight());
        tally.request(band, nanos, weight);
        critical.clear();
        path.walk(spans, children, root, |at, from, to| critical.push((at, to - from)));
        // Each span once, however many sections it has: a span of a million children is looked at as often.
        critical.sort_unstable();
        for sections in critical.chunk_by(|a, b| a.0 == b.0) {
            let Some((at, span)) = sections.first().and_then(|(at, _)| Some((*at, spans.get(*at)?))) else { continue };
            let nanos = sections.iter().fold(0, |sum: u64, (_, nanos)| sum.saturating_add(*nanos));
            let part = match span.row.kind {
                // Who sends a message waits for the topic, not for whoever receives it.
                SpanKind::Producer => part(PartKind::Call, span.op, target(span)),
                SpanKind::Client => match answer(spans, children, at) {
                    Some((_, callee)) if callee.node != span.node => part(PartKind::Between, callee.op, NOWHERE),
                    None if children.of(at).is_empty() => part(PartKind::Call, span.op, target(span)),
                    _ => part(PartKind::Work, span.op, NOWHERE),
                },
                _ => part(PartKind::Work, span.op, NOWHERE),
            };
            tally.spend(part, band, nanos, weight, contents);
        }
        for node in trace.nodes {
            tally.touch(*node, weight, contents);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.flows.merge(other.flows);
        self.requests.merge(other.requests);
        self.origins.merge(other.origins);
        for (mine, other) in self.instances.iter_mut().zip(other.instances) {
            match (mine.as_mut(), other) {
                (Some(mine), Some(other)) => mine.merge(&other),
                (None, other) => *mine = other,
                (Some(_), None) => {}
            }
        }
        self.summaries.merge(other.summaries);
    }

    /// Everything under its names.
    pub(super) fn finish(self, identity: &Identity, dicts: &Dicts) -> Found {
        let mut instances = Vec::new();
        for (at, tally) in (0u32..).zip(self.instances) {
            let (Some(tally), Some((_, _, entry))) = (tally, dicts.resources.resolve(at)) else { continue };
            let service = identity.services.get(entry.service as usize).and_then(|s| identity.node(s.node));
            let attributes: BTreeMap<String, String> =
                entry.values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
            if let Some(instance) = service.and_then(|service| tally.named(service, attributes)) {
                instances::unite(&mut instances, &[instance]);
            }
        }
        let item = |number| identity.operation(number).map(|(service, name)| FlowItem { service, name });
        Found {
            flows_threshold: self.flows.threshold(),
            flows: self.flows.finish(item),
            requests: self.requests.finish(identity),
            origins: self.origins.finish(identity, &identity.classes),
            instances,
            traces: self.summaries.finish(identity),
        }
    }
}

/// What was collected, under its names.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) flows: BTreeMap<(u32, SpanKind), Flow>,
    /// Operations whose hash has fewer leading zeros have no flow.
    pub(super) flows_threshold: u32,
    pub(super) requests: Vec<Requests>,
    pub(super) origins: Vec<Origin>,
    pub(super) instances: Vec<Instance>,
    pub(super) traces: Vec<TraceSummary>,
}

impl Names for Identity {
    fn operation(&self, number: u32) -> Option<(NodeId, String)> {
        let (node, name) = self.op_names.get(number as usize)?;
        Some((self.node(*node)?, name.clone()))
    }

    fn node(&self, number: u32) -> Option<NodeId> {
        self.nodes.get(number as usize).map(|(id, _)| NodeId(id.clone()))
    }
}

/// Where a request from outside enters: the root that handles it; of several the first.
fn entry(spans: &[Span<'_>]) -> Option<usize> {
    let root = |span: &Span<'_>| span.kept() && span.parent == Parent::Root && span.row.kind.is_called();
    let roots = spans.iter().enumerate().filter(|(_, span)| root(span));
    roots.min_by_key(|(_, span)| (span.row.start, span.row.span, span.row.kind)).map(|(at, _)| at)
}

/// The span that answers a calling one, and where it is.
fn answer<'s, 'a>(spans: &'s [Span<'a>], children: &Children, at: usize) -> Option<(usize, &'s Span<'a>)> {
    let called = |at: &u32| spans.get(*at as usize).filter(|s| s.row.kind.is_called()).map(|s| (*at as usize, s));
    children.of(at).iter().find_map(called)
}

/// What a child is to its parent: the operation that answers a call, else its own; and whether it failed.
#[inline]
fn item(spans: &[Span<'_>], children: &Children, (at, child): (usize, &Span<'_>)) -> (u32, bool) {
    let answer = if child.row.kind.calls_out() { answer(spans, children, at) } else { None };
    match answer {
        Some((_, callee)) => (callee.op, child.failed() || callee.failed()),
        None => (child.op, child.failed()),
    }
}

/// The node an unanswered call goes to, as its attributes tell.
fn target_of(span: &Span<'_>, identity: &Identity) -> u32 {
    match span.peer.filter(|peer| peer.kind != PeerKind::None && !peer.ignored) {
        Some(peer) => match identity.peer_node(peer, span.node) {
            IGNORED => NOWHERE,
            node => node,
        },
        None => NOWHERE,
    }
}
