//! Spans for tests, written as literals.

use super::cfg::TopologyConfig;
use super::{Builder, Intake, Snapshot};
use crate::spans::{
    ErrorClass, Link, Peer, PeerKind, Resource, SpanBatch, SpanFlags, SpanId, SpanKind, SpanRow, TraceId, Weight,
};

/// A span to be.
#[derive(Debug, Clone)]
pub(super) struct S {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: u64,
    pub(super) service: &'static str,
    pub(super) kind: SpanKind,
    pub(super) name: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) weight: Weight,
    pub(super) peer: Peer,
    pub(super) error: Option<ErrorClass>,
    pub(super) flags: SpanFlags,
    pub(super) links: Vec<(u128, u64)>,
    pub(super) pod: &'static str,
    pub(super) environment: &'static str,
    pub(super) version: &'static str,
}

/// A second, in nanoseconds; spans start at this one unless told otherwise.
pub(super) const SECOND: u64 = 1_000_000_000;

/// A span of trace 1 that starts at second 1000 and takes 1 ms.
pub(super) fn s(id: u64, parent: u64, service: &'static str, kind: SpanKind) -> S {
    S {
        trace: 1,
        id,
        parent,
        service,
        kind,
        name: format!("{service} {}", kind.name()),
        start: 1000 * SECOND,
        end: 1000 * SECOND + 1_000_000,
        weight: Weight::ONE,
        peer: Peer::default(),
        error: None,
        flags: SpanFlags::default(),
        links: Vec::new(),
        pod: "",
        environment: "",
        version: "",
    }
}

pub(super) fn peer(kind: PeerKind, system: &str, name: &str, address: &str) -> Peer {
    Peer { kind, system: system.into(), name: name.into(), address: address.into(), namespace: String::new() }
}

impl S {
    pub(super) fn trace(self, trace: u128) -> Self {
        Self { trace, ..self }
    }
    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }
    /// Start and end in nanoseconds after second 1000.
    pub(super) fn at(self, start: u64, end: u64) -> Self {
        Self { start: 1000 * SECOND + start, end: 1000 * SECOND + end, ..self }
    }
    pub(super) fn peer(self, kind: PeerKind, system: &str, name: &str, address: &str) -> Self {
        Self { peer: peer(kind, system, name, address), ..self }
    }
    pub(super) fn db(self, system: &str, name: &str) -> Self {
        self.peer(PeerKind::Database, system, name, "")
    }
    pub(super) fn topic(self, name: &str) -> Self {
        self.peer(PeerKind::Messaging, "kafka", name, "")
    }
    pub(super) fn failed(mut self, error_type: &str) -> Self {
        self.flags.set(SpanFlags::ERROR);
        Self { error: Some(ErrorClass { error_type: error_type.into(), ..ErrorClass::default() }), ..self }
    }
    pub(super) fn link(mut self, trace: u128, span: u64) -> Self {
        self.flags.set(SpanFlags::LINKED);
        self.links.push((trace, span));
        self
    }
    pub(super) fn weight(mut self, calls: u64) -> Self {
        self.flags.set(SpanFlags::WEIGHTED);
        Self { weight: Weight::whole(calls), ..self }
    }
}

pub(super) fn batch<'a>(spans: impl IntoIterator<Item = &'a S>) -> SpanBatch {
    let mut batch = SpanBatch::default();
    for span in spans {
        let (namespace, name) = span.service.split_once('/').unwrap_or(("", span.service));
        let attributes = [
            ("deployment.environment.name", span.environment),
            ("k8s.pod.name", span.pod),
            ("service.version", span.version),
        ];
        let attributes =
            attributes.into_iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| (k, v.to_owned())).collect();
        let resource = batch.resource_id(&Resource { namespace: namespace.into(), name: name.into(), attributes });
        let at = batch.rows.len() as u32;
        let row = SpanRow {
            trace_id: TraceId(span.trace),
            span_id: SpanId(span.id),
            parent_id: SpanId(span.parent),
            start: span.start,
            end: span.end,
            weight: span.weight,
            name: batch.strings.intern(&span.name),
            resource,
            peer: batch.peer_id(&span.peer),
            error: batch.error_id(&span.error.clone().unwrap_or_default()),
            kind: span.kind,
            flags: span.flags,
        };
        batch.rows.push(row);
        let link = |(trace, id): &(u128, u64)| Link { row: at, trace_id: TraceId(*trace), span_id: SpanId(*id) };
        batch.links.extend(span.links.iter().map(link));
    }
    batch
}

pub(super) fn snapshot_with(cfg: TopologyConfig, spans: &[S]) -> Snapshot {
    let builder = Builder::new(cfg);
    builder.push(&batch(spans)).unwrap();
    builder.finish(Intake::default(), 1).unwrap()
}

pub(super) fn snapshot(spans: &[S]) -> Snapshot {
    snapshot_with(TopologyConfig::default(), spans)
}

/// Each edge as `source -> target kind strongest n`.
pub(super) fn edges(snapshot: &Snapshot) -> Vec<String> {
    let edges = snapshot.edges.iter();
    edges.map(|e| format!("{} -> {} {} {} {}", e.source, e.target, e.kind.name(), e.strongest().name(), e.n)).collect()
}
