//! Running totals of operations and edges: a commutative monoid, so that threads and shards can be added in any order.

use std::collections::BTreeMap;

use super::capmap::CapMap;
use super::cfg::TopologyConfig;
use super::contents::Contents;
use super::dimensions::EndTally;
use super::evidence::Evidence;
use super::identity::Identity;
use super::optable::OpTable;
use super::picks::Picks;
use super::series::Buckets;
use super::snapshot::{EdgeKind, Exemplar, KnownBy};
use super::{Sketch, Spread, TimeSum};
use crate::spans::{SpanId, TraceId, UnixNanos, Weight};

/// Error classes kept while counting.
const MOST_CLASSES: usize = 512;
/// Pairs of operations kept per edge while counting.
const MOST_PAIRS: usize = 4096;

/// One thing that happened, as far as totals go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Event {
    pub(super) weight: Weight,
    pub(super) failed: bool,
    /// Canonical number of the error class, 0 when not known.
    pub(super) class: u32,
    pub(super) start: u64,
    pub(super) duration: Option<u64>,
    pub(super) trace: u128,
    pub(super) span: u64,
    /// Hash of the trace id.
    pub(super) luck: u64,
}

impl Event {
    pub(super) fn exemplar(&self) -> Exemplar {
        Exemplar {
            trace_id: TraceId(self.trace),
            span_id: SpanId(self.span),
            start: UnixNanos(self.start),
            duration_ns: self.duration.unwrap_or(0),
        }
    }
}

/// Calls, errors, series and exemplars of one thing.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    pub(super) n: u64,
    pub(super) calls: Weight,
    pub(super) errors: Weight,
    pub(super) classes: CapMap<u32, Weight>,
    pub(super) series: Buckets,
    pub(super) picks: Picks,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            n: 0,
            calls: Weight::ZERO,
            errors: Weight::ZERO,
            classes: CapMap::new(MOST_CLASSES),
            series: Buckets::default(),
            picks: Picks::default(),
        }
    }
}

impl Totals {
    #[inline]
    pub(super) fn add(&mut self, event: &Event, contents: &Contents) {
        self.n += 1;
        self.calls += event.weight;
        if event.failed {
            self.fail(event, contents);
        }
        self.series.add(event.start, event.weight, event.failed);
        self.picks.add(event.luck, event.failed, event.duration, || event.exemplar());
    }

    fn fail(&mut self, event: &Event, contents: &Contents) {
        self.errors += event.weight;
        if event.class != 0
            && let Some(class) = self.classes.at(event.class, || contents.class(event.class))
        {
            *class += event.weight;
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.n += other.n;
        self.calls += other.calls;
        self.errors += other.errors;
        self.classes.merge(other.classes, |mine, w| *mine += w);
        self.series.merge(&other.series);
        self.picks.merge(&other.picks);
    }
}

/// Totals of an operation.
#[derive(Debug, Clone, Default)]
pub(super) struct OpTally {
    pub(super) totals: Totals,
    pub(super) durations: Sketch,
    pub(super) self_time: TimeSum,
    pub(super) self_times: Spread,
    pub(super) entry: bool,
}

impl OpTally {
    #[inline]
    pub(super) fn add(&mut self, event: &Event, contents: &Contents) {
        self.totals.add(event, contents);
        if let Some(nanos) = event.duration {
            self.durations.add(nanos, event.weight);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.totals.merge(other.totals);
        self.durations.merge(&other.durations);
        self.self_time.merge(other.self_time);
        self.self_times.merge(&other.self_times);
        self.entry |= other.entry;
    }
}

/// Calls between two operations.
#[derive(Debug, Clone, Default)]
pub(super) struct PairTally {
    pub(super) calls: Weight,
    pub(super) errors: Weight,
    pub(super) sum_ns: u64,
    pub(super) n: u64,
}

/// One call, found by pairing.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) source: u32,
    pub(super) target: u32,
    pub(super) kind: EdgeKind,
    pub(super) known_by: KnownBy,
    pub(super) event: Event,
    pub(super) client: Option<u64>,
    pub(super) server: Option<u64>,
    pub(super) gap: Option<u64>,
    pub(super) dwell: Option<u64>,
    /// Canonical operation numbers, 0 when not seen.
    pub(super) operations: (u32, u32),
    /// What the resources of both ends say of themselves, 0 when nothing.
    pub(super) ends: (u32, u32),
}

impl Call {
    /// A call of which only the ends and the event are known.
    pub(super) fn new(source: u32, target: u32, kind: EdgeKind, known_by: KnownBy, event: Event) -> Self {
        Self {
            source,
            target,
            kind,
            known_by,
            event,
            client: None,
            server: None,
            gap: None,
            dwell: None,
            operations: (0, 0),
            ends: (0, 0),
        }
    }
}

/// Totals of an edge.
#[derive(Debug, Clone)]
pub(super) struct EdgeTally {
    pub(super) totals: Totals,
    /// By the number of the way.
    known_by: [Option<Weight>; WAYS.len()],
    pub(super) client: Sketch,
    pub(super) server: Sketch,
    pub(super) gap: Sketch,
    pub(super) dwell: Sketch,
    pub(super) operations: CapMap<(u32, u32), PairTally>,
    pub(super) ends: EndTally,
}

impl Default for EdgeTally {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            known_by: [None; WAYS.len()],
            client: Sketch::default(),
            server: Sketch::default(),
            gap: Sketch::default(),
            dwell: Sketch::default(),
            operations: CapMap::new(MOST_PAIRS),
            ends: EndTally::default(),
        }
    }
}

/// Ways an edge is known, in order.
const WAYS: [KnownBy; 6] =
    [KnownBy::Paired, KnownBy::Parent, KnownBy::Link, KnownBy::Inferred, KnownBy::Aggregate, KnownBy::Declared];

impl EdgeTally {
    /// Counts a call; `pair` is where its pair of operations is; nowhere if that is beyond the cap.
    #[inline]
    fn add(&mut self, call: &Call, pair: u32, contents: &Contents) {
        let event = &call.event;
        self.totals.add(event, contents);
        self.know(call.known_by, event.weight);
        for (sketch, nanos) in [
            (&mut self.client, call.client),
            (&mut self.server, call.server),
            (&mut self.gap, call.gap),
            (&mut self.dwell, call.dwell),
        ] {
            if let Some(nanos) = nanos {
                sketch.add(nanos, event.weight);
            }
        }
        self.ends.add(call.ends, event.weight, event.failed);
        if let Some(pair) = self.operations.value(pair) {
            pair.calls += event.weight;
            if event.failed {
                pair.errors += event.weight;
            }
            if let Some(nanos) = event.duration {
                pair.sum_ns = pair.sum_ns.saturating_add(nanos);
                pair.n += 1;
            }
        }
    }

    fn know(&mut self, known_by: KnownBy, weight: Weight) {
        if let Some(known) = self.known_by.get_mut(known_by as usize) {
            *known = Some(known.unwrap_or_default() + weight);
        }
    }

    /// How its calls are known.
    pub(super) fn known_by(&self) -> BTreeMap<KnownBy, Weight> {
        WAYS.iter().zip(&self.known_by).filter_map(|(way, weight)| Some((*way, (*weight)?))).collect()
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (known_by, weight) in other.known_by() {
            self.know(known_by, weight);
        }
        self.totals.merge(other.totals);
        self.client.merge(&other.client);
        self.server.merge(&other.server);
        self.gap.merge(&other.gap);
        self.dwell.merge(&other.dwell);
        self.ends.merge(other.ends);
        self.operations.merge(other.operations, |mine, pair| {
            mine.calls += pair.calls;
            mine.errors += pair.errors;
            mine.sum_ns = mine.sum_ns.saturating_add(pair.sum_ns);
            mine.n += pair.n;
        });
    }
}

/// Everything counted so far: by one thread, or by all.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) operations: OpTable,
    pub(super) edges: CapMap<(u32, u32, EdgeKind), EdgeTally>,
    /// Spans by resource of the store.
    pub(super) resources: Vec<u64>,
    /// Rooted traces (their weight) by node.
    pub(super) touched: Vec<Weight>,
    /// Calls given to [`Self::call`].
    pub(super) calls: u64,
    pub(super) counts: Counts,
    /// `None` where it was not asked for.
    pub(super) evidence: Option<Evidence>,
    recent: Vec<Recent>,
}

/// Where the totals of a call were found: most calls are like one seen before.
#[derive(Debug, Clone, Copy)]
struct Recent {
    source: u32,
    target: u32,
    operations: (u32, u32),
    kind: EdgeKind,
    edge: u32,
    pair: u32,
}

impl Recent {
    /// How many are remembered: a power of two.
    const MOST: usize = 1024;
    const NONE: Self = Self {
        source: u32::MAX,
        target: u32::MAX,
        operations: (0, 0),
        kind: EdgeKind::Call,
        edge: u32::MAX,
        pair: u32::MAX,
    };

    /// Where a call is remembered.
    #[allow(clippy::cast_possible_truncation, reason = "ten bits of it")]
    fn slot(call: &Call) -> usize {
        let ends = u64::from(call.source) << 32 | u64::from(call.target);
        let operations = u64::from(call.operations.0) << 32 | u64::from(call.operations.1);
        let mixed = ends.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ operations.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
        (mixed >> 50) as usize % Self::MOST
    }

    fn is(&self, call: &Call) -> bool {
        (self.source, self.target, self.operations, self.kind) == (call.source, call.target, call.operations, call.kind)
    }
}

/// Plain sums.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) spans: u64,
    pub(super) traces: u64,
    pub(super) rootless_traces: u64,
    pub(super) orphans: u64,
    pub(super) unpaired: u64,
    pub(super) duplicates: u64,
    pub(super) skewed: u64,
    pub(super) no_duration: u64,
    pub(super) unresolved_links: u64,
    pub(super) ignored: u64,
    pub(super) transparent: u64,
    pub(super) sampled: u64,
    pub(super) beyond_services: u64,
    pub(super) beyond_operations: u64,
    pub(super) beyond_peers: u64,
    pub(super) beyond_resources: u64,
    pub(super) beyond_trace: u64,
    pub(super) entry_traces: Weight,
    pub(super) digest: u128,
    /// First start and last end, 0 when there is none.
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Counts {
    pub(super) fn cover(&mut self, start: u64, end: u64) {
        if start > 0 {
            self.first = if self.first == 0 { start } else { self.first.min(start) };
            self.last = self.last.max(end.max(start));
        }
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.spans, other.spans),
            (&mut self.traces, other.traces),
            (&mut self.rootless_traces, other.rootless_traces),
            (&mut self.orphans, other.orphans),
            (&mut self.unpaired, other.unpaired),
            (&mut self.duplicates, other.duplicates),
            (&mut self.skewed, other.skewed),
            (&mut self.no_duration, other.no_duration),
            (&mut self.unresolved_links, other.unresolved_links),
            (&mut self.ignored, other.ignored),
            (&mut self.transparent, other.transparent),
            (&mut self.sampled, other.sampled),
            (&mut self.beyond_services, other.beyond_services),
            (&mut self.beyond_operations, other.beyond_operations),
            (&mut self.beyond_peers, other.beyond_peers),
            (&mut self.beyond_resources, other.beyond_resources),
            (&mut self.beyond_trace, other.beyond_trace),
        ] {
            *mine += theirs;
        }
        self.entry_traces += other.entry_traces;
        self.digest = self.digest.wrapping_add(other.digest);
        self.cover(other.first, other.last);
    }
}

impl Tally {
    pub(super) fn new(identity: &Identity, cfg: &TopologyConfig) -> Self {
        Self {
            evidence: cfg.evidence.then(|| Evidence::new(identity)),
            operations: OpTable::new(identity.op_names.len()),
            edges: CapMap::new(cfg.max_edges),
            resources: vec![0; identity.resource_hashes.len()],
            touched: vec![Weight::ZERO; identity.nodes.len()],
            calls: 0,
            counts: Counts::default(),
            recent: vec![Recent::NONE; Recent::MOST],
        }
    }

    pub(super) fn call(&mut self, call: &Call, contents: &Contents) {
        self.calls += 1;
        let slot = Recent::slot(call);
        let known = self.recent.get(slot).copied().filter(|recent| recent.is(call));
        let Some(Recent { edge, pair, .. }) = known.or_else(|| self.find(call, slot, contents)) else { return };
        if let Some(edge) = self.edges.value(edge) {
            edge.add(call, pair, contents);
        }
    }

    /// Looks up the edge of a call and its pair of operations, and remembers them. `None` for an edge beyond the cap.
    #[inline(never)]
    fn find(&mut self, call: &Call, slot: usize, contents: &Contents) -> Option<Recent> {
        let before = self.edges.threshold();
        let key = (call.source, call.target, call.kind);
        let found = self.edges.position(key, || contents.edge(call.source, call.target, call.kind));
        let mut moved = before != self.edges.threshold();
        let found = found.and_then(|at| {
            let pairs = &mut self.edges.value(at)?.operations;
            let before = pairs.threshold();
            let (source, target) = call.operations;
            let pair = pairs.position(call.operations, || contents.pair(source, target)).unwrap_or(u32::MAX);
            moved |= before != pairs.threshold();
            let (source, target) = (call.source, call.target);
            Some(Recent { source, target, operations: call.operations, kind: call.kind, edge: at, pair })
        });
        if moved {
            self.recent.fill(Recent::NONE);
        }
        if let (Some(found), Some(recent)) = (found, self.recent.get_mut(slot)) {
            *recent = found;
        }
        found
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.operations.merge(other.operations);
        self.edges.merge(other.edges, EdgeTally::merge);
        self.recent.fill(Recent::NONE);
        self.resources.iter_mut().zip(other.resources).for_each(|(mine, n)| *mine += n);
        self.touched.iter_mut().zip(other.touched).for_each(|(mine, w)| *mine += w);
        self.calls += other.calls;
        if let (Some(mine), Some(other)) = (&mut self.evidence, other.evidence) {
            mine.merge(other);
        }
        self.counts.merge(&other.counts);
    }
}
