//! The span batch: fixed-size rows whose strings, resources, peers and error classes are dictionary-coded.
//!
//! One batch carries its own dictionaries, so batches can be made on any thread and joined later (ADR 0002).

use std::collections::HashMap;

use super::epoch::{Epoch, Generation};
use super::{SpanId, Strings, Sym, TraceId, Weight};

/// OTLP `Span.SpanKind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum SpanKind {
    /// Not given.
    #[default]
    Unspecified = 0,
    /// Work inside a service.
    Internal = 1,
    /// Handles a remote request.
    Server = 2,
    /// Makes a remote request.
    Client = 3,
    /// Sends a message.
    Producer = 4,
    /// Receives or processes a message.
    Consumer = 5,
}

impl SpanKind {
    /// The kind of an OTLP enum number; unknown numbers are [`SpanKind::Unspecified`].
    #[must_use]
    pub fn from_otlp(number: i32) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// Lower-case name, as TraceQL spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// CLIENT or PRODUCER: the side that calls.
    #[must_use]
    pub fn calls_out(self) -> bool {
        matches!(self, Self::Client | Self::Producer)
    }

    /// SERVER or CONSUMER: the side that is called.
    #[must_use]
    pub fn is_called(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

/// What a span says about itself in one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanFlags(pub u8);

impl SpanFlags {
    /// The span failed (see `semconv::is_failure`).
    pub const ERROR: Self = Self(1);
    /// The weight comes from sampling information on the span, not from the default of one.
    pub const WEIGHTED: Self = Self(1 << 1);
    /// The span has no usable end time: it counts as a call, not in latencies.
    pub const NO_DURATION: Self = Self(1 << 2);
    /// The span carries links (in [`SpanBatch::links`]).
    pub const LINKED: Self = Self(1 << 3);
    /// The span ended before it started: its clock jumped. Always together with [`SpanFlags::NO_DURATION`].
    pub const SKEWED: Self = Self(1 << 4);

    /// Whether every bit of `other` is set.
    #[must_use]
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Sets the bits of `other`.
    pub fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Position of a resource in its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ResourceId(pub u32);

/// Position of a peer in its batch; 0 is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PeerId(pub u32);

/// Position of an error class in its batch; 0 is "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ErrorId(pub u32);

/// Who emitted the spans: OTLP `Resource`, reduced to the attributes in [`super::semconv::RESOURCE_ATTRIBUTES`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resource {
    /// `service.namespace`, or empty.
    pub namespace: String,
    /// `service.name` as sent; empty when missing.
    pub name: String,
    /// Kept attributes, sorted by key: (current semantic-convention key, value).
    pub attributes: Vec<(&'static str, String)>,
}

impl Resource {
    /// The value of a kept attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(k, _)| *k == key).map(|(_, v)| v.as_str())
    }
}

/// What kind of thing stands at the other end of a client or producer span, as its attributes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PeerKind {
    /// Attributes name nothing.
    #[default]
    None,
    /// `db.*` attributes are there.
    Database,
    /// `messaging.*` attributes are there.
    Messaging,
    /// A logical service name (`service.peer.name`, `peer.service`) is there.
    Service,
    /// Only an address is there.
    External,
}

/// The other end of a span, from its attributes alone. Empty strings are "not given".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// `db.system.name` or `messaging.system`, lower-case.
    pub system: String,
    /// `db.namespace`, `messaging.destination.name` (templated where given), or the logical service name.
    pub name: String,
    /// `server.address` (or an older spelling), lower-case, without port unless that is all there is.
    pub address: String,
    /// `service.peer.namespace`, for [`PeerKind::Service`].
    pub namespace: String,
}

/// How a span failed. Everything that is known; empty and zero are "not given".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct ErrorClass {
    /// `http.response.status_code`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub http_status: u16,
    /// `rpc.grpc.status_code` as its name, e.g. `UNAVAILABLE`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub grpc_status: String,
    /// `error.type`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error_type: String,
    /// `exception.type` of the first exception event.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exception_type: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u16) -> bool {
    *n == 0
}

/// One span. Times are Unix nanoseconds; everything textual is a position in the batch's dictionaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanRow {
    /// Trace.
    pub trace_id: TraceId,
    /// Span within the trace.
    pub span_id: SpanId,
    /// Parent span, or [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// Start, Unix nanoseconds; 0 when not given.
    pub start: u64,
    /// End, Unix nanoseconds; never before `start` (the mapper clamps, and sets [`SpanFlags::NO_DURATION`] if absent).
    pub end: u64,
    /// How many real calls the span stands for.
    pub weight: Weight,
    /// Operation name, normalised.
    pub name: Sym,
    /// Who emitted it.
    pub resource: ResourceId,
    /// Who is at the other end.
    pub peer: PeerId,
    /// How it failed.
    pub error: ErrorId,
    /// OTLP kind.
    pub kind: SpanKind,
    /// Bits.
    pub flags: SpanFlags,
}

impl SpanRow {
    /// Duration in nanoseconds; 0 when not known.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the span failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.flags.has(SpanFlags::ERROR)
    }
}

/// A link from the span in `row` to another span, in this or another trace (OTLP `Span.Link`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Position of the linking span in [`SpanBatch::rows`].
    pub row: u32,
    /// The linked trace.
    pub trace_id: TraceId,
    /// The linked span.
    pub span_id: SpanId,
}

/// Some spans with their dictionaries.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    /// Operation names.
    pub strings: Strings,
    /// The spans.
    pub rows: Vec<SpanRow>,
    /// Links of the spans, by ascending row.
    pub links: Vec<Link>,
    resources: Dictionary<Resource>,
    peers: Dictionary<Peer>,
    errors: Dictionary<ErrorClass>,
}

impl SpanBatch {
    /// The generation of its dictionaries: as long as it stays the same, so does what positions in them mean.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let [resources, peers, errors] =
            [&self.resources.generation, &self.peers.generation, &self.errors.generation].map(Generation::number);
        Epoch([self.strings.generation(), resources, peers, errors])
    }

    /// The position of a resource, added if new.
    pub fn resource_id(&mut self, resource: &Resource) -> ResourceId {
        ResourceId(self.resources.intern(resource))
    }

    /// The position of a peer, added if new; the default peer is 0.
    pub fn peer_id(&mut self, peer: &Peer) -> PeerId {
        PeerId(self.peers.intern(peer))
    }

    /// The position of an error class, added if new; the default class is 0.
    pub fn error_id(&mut self, error: &ErrorClass) -> ErrorId {
        ErrorId(self.errors.intern(error))
    }

    /// All resources by position (position 0 is the empty one).
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources.items
    }

    /// All peers by position (position 0 is "none").
    #[must_use]
    pub fn peers(&self) -> &[Peer] {
        &self.peers.items
    }

    /// All error classes by position (position 0 is "none").
    #[must_use]
    pub fn errors(&self) -> &[ErrorClass] {
        &self.errors.items
    }

    /// Keeps only the rows that pass, with their links. Returns how many were dropped.
    pub fn keep(&mut self, pass: impl Fn(&SpanRow) -> bool) -> u64 {
        let rows = std::mem::take(&mut self.rows);
        let links = std::mem::take(&mut self.links);
        let mut links = links.into_iter().peekable();
        let mut dropped: u64 = 0;
        for (position, row) in rows.into_iter().enumerate() {
            let kept = pass(&row);
            while let Some(link) = links.next_if(|l| l.row as usize <= position) {
                if kept && let Ok(row) = u32::try_from(self.rows.len()) {
                    self.links.push(Link { row, ..link });
                }
            }
            if kept {
                self.rows.push(row);
            } else {
                dropped = dropped.saturating_add(1);
            }
        }
        dropped
    }

    /// Drops the rows and links, keeps the dictionaries: for reuse by a decoder.
    pub fn clear_rows(&mut self) {
        self.rows.clear();
        self.links.clear();
    }
}

/// Distinct values in the order they were first seen; position 0 is always the default value.
#[derive(Debug, Clone)]
struct Dictionary<T> {
    items: Vec<T>,
    index: HashMap<T, u32, foldhash::fast::FixedState>,
    generation: Generation,
}

impl<T: Default + Clone + Eq + std::hash::Hash> Default for Dictionary<T> {
    fn default() -> Self {
        let mut new = Self { items: Vec::new(), index: HashMap::default(), generation: Generation::default() };
        new.intern(&T::default());
        new
    }
}

impl<T: Clone + Eq + std::hash::Hash> Dictionary<T> {
    fn intern(&mut self, item: &T) -> u32 {
        if let Some(found) = self.index.get(item) {
            return *found;
        }
        let Ok(position) = u32::try_from(self.items.len()) else { return 0 };
        self.generation.grow();
        self.items.push(item.clone());
        self.index.insert(item.clone(), position);
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_zero_of_every_dictionary_is_nothing() {
        let mut batch = SpanBatch::default();
        assert_eq!(batch.peer_id(&Peer::default()), PeerId(0));
        assert_eq!(batch.error_id(&ErrorClass::default()), ErrorId(0));
        let redis = Peer { kind: PeerKind::Database, system: "redis".into(), ..Peer::default() };
        assert_eq!(batch.peer_id(&redis), PeerId(1));
        assert_eq!(batch.peer_id(&redis), PeerId(1));
        assert_eq!(batch.peers()[1], redis);
    }

    #[test]
    fn the_epoch_stays_while_positions_mean_the_same() {
        let mut batch = SpanBatch::default();
        let peer = |name: &str| Peer { kind: PeerKind::Database, name: name.into(), ..Peer::default() };
        let epoch = batch.epoch();
        batch.peer_id(&peer("a"));
        batch.strings.intern("GET");
        assert_eq!(batch.epoch(), epoch, "dictionaries only grow");
        let (mut left, mut right) = (batch.clone(), batch.clone());
        assert_eq!((left.peer_id(&peer("a")), left.epoch()), (PeerId(1), epoch), "a copy means the same");
        left.peer_id(&peer("b"));
        right.peer_id(&peer("c"));
        batch.peer_id(&peer("d"));
        assert_eq!(batch.epoch(), epoch);
        let epochs = [epoch, left.epoch(), right.epoch(), SpanBatch::default().epoch()];
        assert!((0..4).all(|a| (0..a).all(|b| epochs[a] != epochs[b])), "{epochs:?}");
        right.strings = Strings::default();
        assert_ne!(right.epoch(), epochs[2]);
        left.clear_rows();
        assert_eq!(left.epoch(), epochs[1]);
    }

    #[test]
    fn an_unknown_kind_number_is_unspecified() {
        assert_eq!(SpanKind::from_otlp(99), SpanKind::Unspecified);
        assert_eq!(SpanKind::from_otlp(5), SpanKind::Consumer);
    }
}
