//! Running totals of operations and edges: a commutative monoid, so that threads and shards can be added in any order.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::capmap::CapMap;
use super::picks::Picks;
use super::snapshot::{EdgeKind, Exemplar, KnownBy, Series};
use super::{Sketch, TimeSum};
use crate::spans::{SpanKind, Weight};

/// Longest series: 35 days of 5 minutes. Beyond it the latest buckets are kept.
pub(super) const MOST_BUCKETS: usize = 35 * 288;
/// Error classes kept while counting.
const MOST_CLASSES: usize = 512;
/// Pairs of operations kept per edge while counting.
const MOST_PAIRS: usize = 4096;

/// One thing that happened, as far as totals go.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) weight: Weight,
    pub(super) failed: bool,
    /// Canonical number of the error class, 0 when not known.
    pub(super) class: u32,
    pub(super) start: u64,
    pub(super) duration: Option<u64>,
    pub(super) exemplar: Exemplar,
}

/// Calls, errors, series and exemplars of one thing.
#[derive(Debug, Clone)]
pub(super) struct Totals {
    pub(super) n: u64,
    pub(super) calls: Weight,
    pub(super) errors: Weight,
    pub(super) classes: CapMap<u32, Weight>,
    pub(super) series: Series,
    pub(super) picks: Picks,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            n: 0,
            calls: Weight::ZERO,
            errors: Weight::ZERO,
            classes: CapMap::new(MOST_CLASSES),
            series: Series::default(),
            picks: Picks::default(),
        }
    }
}

impl Totals {
    pub(super) fn add(&mut self, event: &Event) {
        self.n += 1;
        self.calls += event.weight;
        if event.failed {
            self.errors += event.weight;
            if event.class != 0
                && let Some(class) = self.classes.at(event.class)
            {
                *class += event.weight;
            }
        }
        if event.start > 0 {
            let bucket = self.series.0.entry(event.start / (Series::SECONDS * 1_000_000_000)).or_default();
            bucket.calls += event.weight;
            if event.failed {
                bucket.errors += event.weight;
            }
            self.trim();
        }
        self.picks.add(event.exemplar.clone(), event.failed, event.duration.is_some());
    }

    fn trim(&mut self) {
        while self.series.0.len() > MOST_BUCKETS {
            self.series.0.pop_first();
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.n += other.n;
        self.calls += other.calls;
        self.errors += other.errors;
        self.classes.merge(other.classes, |mine, w| *mine += w);
        for (at, bucket) in other.series.0 {
            let mine = self.series.0.entry(at).or_default();
            mine.calls += bucket.calls;
            mine.errors += bucket.errors;
        }
        self.trim();
        self.picks.merge(&other.picks);
    }
}

/// Totals of an operation.
#[derive(Debug, Clone, Default)]
pub(super) struct OpTally {
    pub(super) totals: Totals,
    pub(super) durations: Sketch,
    pub(super) self_time: TimeSum,
    pub(super) entry: bool,
}

impl OpTally {
    pub(super) fn add(&mut self, event: &Event) {
        self.totals.add(event);
        if let Some(nanos) = event.duration {
            self.durations.add(nanos, event.weight);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.totals.merge(other.totals);
        self.durations.merge(&other.durations);
        self.self_time.merge(other.self_time);
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
        }
    }
}

/// Totals of an edge.
#[derive(Debug, Clone)]
pub(super) struct EdgeTally {
    pub(super) totals: Totals,
    pub(super) known_by: BTreeMap<KnownBy, Weight>,
    pub(super) client: Sketch,
    pub(super) server: Sketch,
    pub(super) gap: Sketch,
    pub(super) dwell: Sketch,
    pub(super) operations: CapMap<(u32, u32), PairTally>,
}

impl Default for EdgeTally {
    fn default() -> Self {
        Self {
            totals: Totals::default(),
            known_by: BTreeMap::new(),
            client: Sketch::default(),
            server: Sketch::default(),
            gap: Sketch::default(),
            dwell: Sketch::default(),
            operations: CapMap::new(MOST_PAIRS),
        }
    }
}

impl EdgeTally {
    pub(super) fn add(&mut self, call: &Call) {
        let weight = call.event.weight;
        self.totals.add(&call.event);
        *self.known_by.entry(call.known_by).or_default() += weight;
        for (sketch, nanos) in [
            (&mut self.client, call.client),
            (&mut self.server, call.server),
            (&mut self.gap, call.gap),
            (&mut self.dwell, call.dwell),
        ] {
            if let Some(nanos) = nanos {
                sketch.add(nanos, weight);
            }
        }
        if let Some(pair) = self.operations.at(call.operations) {
            pair.calls += weight;
            if call.event.failed {
                pair.errors += weight;
            }
            if let Some(nanos) = call.event.duration {
                pair.sum_ns = pair.sum_ns.saturating_add(nanos);
                pair.n += 1;
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.totals.merge(other.totals);
        for (known_by, weight) in other.known_by {
            *self.known_by.entry(known_by).or_default() += weight;
        }
        self.client.merge(&other.client);
        self.server.merge(&other.server);
        self.gap.merge(&other.gap);
        self.dwell.merge(&other.dwell);
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
    /// By canonical operation number and kind.
    pub(super) operations: HashMap<(u32, SpanKind), OpTally, foldhash::fast::FixedState>,
    pub(super) edges: CapMap<(u32, u32, EdgeKind), EdgeTally>,
    /// Spans by resource of the store.
    pub(super) resources: Vec<u64>,
    /// Rooted traces (their weight) by node.
    pub(super) touched: Vec<Weight>,
    /// Calls given to [`Self::call`].
    pub(super) calls: u64,
    pub(super) counts: Counts,
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
    pub(super) fn new(resources: usize, nodes: usize, max_edges: usize) -> Self {
        Self {
            operations: HashMap::default(),
            edges: CapMap::new(max_edges),
            resources: vec![0; resources],
            touched: vec![Weight::ZERO; nodes],
            calls: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        self.calls += 1;
        if let Some(edge) = self.edges.at((call.source, call.target, call.kind)) {
            edge.add(call);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for (key, tally) in other.operations {
            self.operations.entry(key).or_default().merge(tally);
        }
        self.edges.merge(other.edges, EdgeTally::merge);
        self.resources.iter_mut().zip(other.resources).for_each(|(mine, n)| *mine += n);
        self.touched.iter_mut().zip(other.touched).for_each(|(mine, w)| *mine += w);
        self.calls += other.calls;
        self.counts.merge(&other.counts);
    }
}
