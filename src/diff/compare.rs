//! Every node, operation and edge of two snapshots, paired and tested.
//!
//! Input: two [`Traffic`]s. Output: [`Candidate`] changes with their effect, and every p-value that was computed, so that
//! the caller can guard against many tests. Thresholds are in [`limits`].

use std::collections::BTreeMap;

use super::significance::{absence, mann_whitney, proportions, rates};
use super::traffic::{Seen, Traffic, entry_mean, entry_requests, same_end};
use super::{Change, Subject, limits};
use crate::diag::Severity;
use crate::topology::{Edge, Node, NodeId, NodeKind, Operation, Sketch};

/// A change, if its p-value survives the guard.
#[derive(Debug)]
pub(super) struct Candidate {
    /// The change.
    pub(super) change: Change,
    /// How much it matters to an entry request: added time as a share of its mean, added failures, added calls.
    pub(super) effect: f64,
    /// Whether its p-value is one of the tests (added and removed things have a threshold of their own).
    pub(super) tested: bool,
}

/// Both sides of one thing.
struct Pair<'a> {
    subject: Subject,
    unit: Unit,
    before: Option<Seen<'a>>,
    after: Option<Seen<'a>>,
    /// What its calls are counted against on both sides.
    exposure: (f64, f64),
    /// Severity when it is there on one side only.
    presence: Severity,
    /// Severity when its calls change; `None` when that is not asked.
    calls: Option<Severity>,
    /// Whether latency and errors are compared.
    quality: bool,
    /// Share of added time and failures that is its own, not that of what it calls: 0..=1.
    own: f64,
}

impl Pair<'_> {
    /// How many calls come together. Calls made for one request resemble each other: they are one observation, not many.
    fn together(&self, before: Seen<'_>, after: Seen<'_>) -> f64 {
        let rate = |calls: f64, exposure: f64| if exposure > 0.0 { calls / exposure } else { 1.0 };
        let seconds = matches!(&self.subject, Subject::Node { .. }) && !self.quality;
        let rate = rate(before.calls, self.exposure.0).max(rate(after.calls, self.exposure.1));
        // Traffic from outside is counted per second; nothing ties its calls together.
        if seconds { 1.0 } else { rate.max(1.0) }
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Node,
    Operation,
    Edge,
}

impl Unit {
    /// Codes for added, removed, and too rare to tell.
    fn codes(self) -> [&'static str; 3] {
        match self {
            Self::Node => ["node-added", "node-removed", "node-not-seen"],
            Self::Operation => ["operation-added", "operation-removed", "operation-not-seen"],
            Self::Edge => ["edge-added", "edge-removed", "edge-not-seen"],
        }
    }
}

/// The comparison as it runs.
pub(super) struct Comparison<'a> {
    pub(super) base: &'a Traffic<'a>,
    pub(super) head: &'a Traffic<'a>,
    /// Entry requests on both sides.
    pub(super) entry: (f64, f64),
    /// Mean seconds of an entry request in BASE.
    pub(super) scale: f64,
    pub(super) candidates: Vec<Candidate>,
    pub(super) p_values: Vec<f64>,
}

impl<'a> Comparison<'a> {
    pub(super) fn run(base: &'a Traffic<'a>, head: &'a Traffic<'a>) -> Self {
        let (entry, scale) = (entry_requests(base, head), entry_mean(base));
        let mut comparison = Self { base, head, entry, scale, candidates: Vec::new(), p_values: Vec::new() };
        comparison.nodes();
        comparison.operations();
        comparison.edges();
        comparison
    }

    /// Operations seen on both sides: before, after.
    pub(super) fn operations_of_both(&self) -> impl Iterator<Item = (&'a Operation, &'a Operation)> {
        let key = |o: &'a Operation| (o.service.clone(), o.kind, o.name.clone());
        let pairs = paired(&self.base.snapshot.operations, &self.head.snapshot.operations, key);
        pairs.into_values().filter_map(|(before, after)| before.zip(after))
    }

    fn nodes(&mut self) {
        let key = |n: &'a Node| n.id.clone();
        for (id, (b, h)) in paired(&self.base.snapshot.nodes, &self.head.snapshot.nodes, key) {
            let Some(node) = h.or(b) else { continue };
            let service = node.kind == NodeKind::Service && node.instrumented;
            let entry = node.kind == NodeKind::Entry;
            // Traffic from outside is a rate over time; what happens inside is counted per entry request.
            let exposure = if entry { (self.base.seconds, self.head.seconds) } else { self.entry };
            let pair = Pair {
                before: b.map(|n| seen_node(n, self.base)),
                after: h.map(|n| seen_node(n, self.head)),
                unit: Unit::Node,
                exposure,
                presence: Severity::Warning,
                calls: (service || entry).then_some(Severity::Info),
                quality: service,
                own: self.own_share(&id),
                subject: Subject::Node { node: id },
            };
            self.judge(pair);
        }
    }

    fn operations(&mut self) {
        let key = |o: &'a Operation| (o.service.clone(), o.kind, o.name.clone());
        for ((service, kind, name), (b, h)) in
            paired(&self.base.snapshot.operations, &self.head.snapshot.operations, key)
        {
            let known = self.base.handled.contains_key(&service) && self.head.handled.contains_key(&service);
            // A whole service that came or went is told once; the bucket for the rest is no operation.
            if !known || name == "(other)" {
                continue;
            }
            let handles = matches!(kind.name(), "server" | "consumer");
            let handled = (self.base.handled(&service), self.head.handled(&service));
            let pair = Pair {
                before: b.map(|o| Seen::stats(&o.stats, self.base.snapshot)),
                after: h.map(|o| Seen::stats(&o.stats, self.head.snapshot)),
                unit: Unit::Operation,
                exposure: if handled.0 > 0.0 && handled.1 > 0.0 { handled } else { self.entry },
                presence: if handles { Severity::Warning } else { Severity::Info },
                calls: handles.then_some(Severity::Info),
                quality: handles,
                own: self.own_share(&service),
                subject: Subject::Operation { service, kind: kind.name().to_owned(), operation: name },
            };
            self.judge(pair);
        }
    }

    fn edges(&mut self) {
        let key = |e: &'a Edge| (e.source.clone(), e.target.clone(), e.kind);
        for ((source, target, _), (b, h)) in paired(&self.base.snapshot.edges, &self.head.snapshot.edges, key) {
            let there = |id| self.base.handled.contains_key(id) && self.head.handled.contains_key(id);
            let known = there(&source) && there(&target);
            let handled = (self.base.handled(&source), self.head.handled(&source));
            let caller_counted = handled.0 > 0.0 && handled.1 > 0.0;
            let durations = b.zip(h).and_then(|(b, h)| same_end(b, h));
            let one_sided = |e: &'a Edge| (b.is_none() || h.is_none()).then(|| e.latency());
            // Calls per call of the caller, so that more load is not "more calls" on every edge.
            let exposure = if caller_counted { handled } else { self.entry };
            let (base, head) = (self.base.snapshot, self.head.snapshot);
            let pair = Pair {
                before: b.map(|e| Seen::edge(e, durations.map_or(one_sided(e), |(before, _)| Some(before)), base)),
                after: h.map(|e| Seen::edge(e, durations.map_or(one_sided(e), |(_, after)| Some(after)), head)),
                unit: Unit::Edge,
                exposure,
                // What a new or vanished node explains is told, but not counted twice.
                presence: if known { Severity::Warning } else { Severity::Info },
                calls: Some(if caller_counted { Severity::Warning } else { Severity::Info }),
                quality: true,
                own: b.zip(h).map_or(1.0, |(b, h)| self.own_edge_share(b, h)),
                subject: Subject::Edge { source, target },
            };
            self.judge(pair);
        }
    }

    /// Added seconds per entry request on an edge.
    pub(super) fn added_seconds(&self, before: &Edge, after: &Edge) -> f64 {
        let means = same_end(before, after).and_then(|(b, h)| b.mean().zip(h.mean()));
        means.map_or(0.0, |(b, h)| (h - b) / 1e9 * self.per_entry(after.calls.as_f64()))
    }

    /// Calls of HEAD per entry request of HEAD.
    pub(super) fn per_entry(&self, calls: f64) -> f64 {
        if self.entry.1 > 0.0 { calls / self.entry.1 } else { 0.0 }
    }

    /// Seconds per entry request added on everything a node calls.
    pub(super) fn added_below(&self, node: &NodeId) -> f64 {
        let added = |after: &Edge| self.base.same_edge(after).map_or(0.0, |before| self.added_seconds(before, after));
        self.head.out_of(node).map(added).sum()
    }

    /// How much of the time a node added is its own.
    fn own_share(&self, id: &NodeId) -> f64 {
        let node = |t: &Traffic<'a>| t.snapshot.node(id).and_then(|n| n.handled.durations.mean()).map(|ns| ns / 1e9);
        let (Some(b), Some(h)) = (node(self.base), node(self.head)) else { return 1.0 };
        let added = (h - b) * self.per_entry(self.head.handled(id));
        share(added, self.added_below(id))
    }

    /// How much of the time an edge added is not explained by what its target calls on its behalf.
    fn own_edge_share(&self, before: &Edge, after: &Edge) -> f64 {
        let handled = self.head.handled(&after.target);
        let part = if handled > 0.0 { (after.calls.as_f64() / handled).min(1.0) } else { 0.0 };
        share(self.added_seconds(before, after), part * self.added_below(&after.target))
    }

    fn judge(&mut self, pair: Pair<'_>) {
        match (pair.before, pair.after) {
            (Some(before), Some(after)) => self.both(&pair, before, after),
            (Some(seen), None) => self.one_sided(&pair, seen, true),
            (None, Some(seen)) => self.one_sided(&pair, seen, false),
            (None, None) => {}
        }
    }

    /// Seen on one side: gone (or new) only if its absence on the other is no accident of little traffic.
    fn one_sided(&mut self, pair: &Pair<'_>, seen: Seen<'_>, removed: bool) {
        let (here, there) = if removed { pair.exposure } else { (pair.exposure.1, pair.exposure.0) };
        let fallback = if removed { self.entry } else { (self.entry.1, self.entry.0) };
        let ratio = match (here > 0.0, there > 0.0) {
            (true, true) => there / here,
            _ if fallback.0 > 0.0 => fallback.1 / fallback.0,
            _ => 0.0,
        };
        let together = if here > 0.0 { (seen.calls / here).max(1.0) } else { 1.0 };
        let p = absence(seen.sample() * ratio / together);
        let certain = p < limits::ABSENCE;
        let [added, gone, rare] = pair.unit.codes();
        let code = match (removed, certain) {
            (false, _) => added,
            (true, true) => gone,
            (true, false) => rare,
        };
        let severity = if certain { pair.presence } else { Severity::Info };
        let entry = if removed { self.entry.0 } else { self.entry.1 };
        let effect = if entry > 0.0 { (seen.calls / entry).min(1.0) } else { 0.0 };
        let change = self.change(pair, code, severity, p);
        self.candidates.push(Candidate { change, effect, tested: false });
    }

    fn both(&mut self, pair: &Pair<'_>, before: Seen<'_>, after: Seen<'_>) {
        if let Some(severity) = pair.calls {
            self.calls(pair, before, after, severity);
        }
        if pair.quality {
            let together = pair.together(before, after);
            self.errors(pair, before, after, together);
            if let (Some(b), Some(h)) = (before.durations, after.durations) {
                self.latency(pair, (before, b), (after, h), together);
            }
        }
    }

    fn calls(&mut self, pair: &Pair<'_>, before: Seen<'_>, after: Seen<'_>, severity: Severity) {
        let exposure = pair.exposure;
        if before.sample().max(after.sample()) < limits::MIN_CALLS || exposure.0 <= 0.0 || exposure.1 <= 0.0 {
            return;
        }
        let rate = (before.calls / exposure.0, after.calls / exposure.1);
        let p = rates(
            (before.calls, after.calls),
            exposure,
            (before.sample(), after.sample()),
            pair.together(before, after),
        );
        self.p_values.push(p);
        let factor = if rate.0 > 0.0 { rate.1 / rate.0 } else { 1.0 };
        if factor >= limits::CALLS_FACTOR || factor <= 1.0 / limits::CALLS_FACTOR {
            let code = if factor > 1.0 { "calls-more" } else { "calls-less" };
            let per_entry = |calls: f64, entry: f64| if entry > 0.0 { calls / entry } else { 0.0 };
            let added = per_entry(after.calls, self.entry.1) - per_entry(before.calls, self.entry.0);
            self.push(pair, code, severity, p, added.abs().min(1.0));
        }
    }

    fn errors(&mut self, pair: &Pair<'_>, before: Seen<'_>, after: Seen<'_>, together: f64) {
        let (Some(b), Some(h)) = (before.error_ratio, after.error_ratio) else { return };
        if before.sample().min(after.sample()) < limits::MIN_SAMPLE {
            return;
        }
        let p = proportions((b, h), (before.sample() / together, after.sample() / together));
        self.p_values.push(p);
        let (low, high) = (b.min(h), b.max(h));
        if high - low >= limits::ERROR_POINTS && high >= low * limits::ERROR_FACTOR {
            let effect = ((h - b).abs() * self.per_entry(after.calls)).min(1.0);
            let (code, severity) =
                if h > b { ("failing-more", Severity::Error) } else { ("failing-less", Severity::Info) };
            self.push(pair, code, severity, p, effect);
        }
    }

    fn latency(&mut self, pair: &Pair<'_>, before: (Seen<'_>, &Sketch), after: (Seen<'_>, &Sketch), together: f64) {
        let Some(shift) = Shift::between(before.1, after.1, together) else { return };
        self.p_values.push(shift.p);
        if shift.factor == 1.0 {
            return;
        }
        let slower = shift.factor > 1.0;
        let (code, severity) = match (slower, shift.factor >= limits::MUCH_SLOWER) {
            (true, true) => ("slower", Severity::Error),
            (true, false) => ("slower", Severity::Warning),
            (false, _) => ("faster", Severity::Info),
        };
        let added = after.0.mean().zip(before.0.mean()).map_or(0.0, |(h, b)| (h - b).abs());
        let effect = added * self.per_entry(after.0.calls) * pair.own / self.scale;
        self.push(pair, code, severity, shift.p, effect);
    }

    fn push(&mut self, pair: &Pair<'_>, code: &'static str, severity: Severity, p: f64, effect: f64) {
        let change = self.change(pair, code, severity, p);
        self.candidates.push(Candidate { change, effect, tested: true });
    }

    fn change(&self, pair: &Pair<'_>, code: &'static str, severity: Severity, p: f64) -> Change {
        Change {
            code,
            severity,
            subject: pair.subject.clone(),
            before: pair.before.map(|s| s.side(self.base.seconds)),
            after: pair.after.map(|s| s.side(self.head.seconds)),
            p_value: Some(p),
        }
    }
}

/// A change of a distribution of durations.
struct Shift {
    /// Quantile after ÷ before where the change is large enough to matter, else 1.
    factor: f64,
    p: f64,
}

impl Shift {
    /// The middle by Mann and Whitney's test, the tail by the share beyond the better side's 95th percentile.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
    fn between(base: &Sketch, head: &Sketch, together: f64) -> Option<Self> {
        let n = (base.n() as f64, head.n() as f64);
        if n.0.min(n.1) < limits::MIN_SAMPLE {
            return None;
        }
        let (z, p_middle) = mann_whitney(base, head, together);
        let middle = factor(base.quantile(0.5)?, head.quantile(0.5)?);
        // A median that moved against the ranks is an accident of two humps.
        let middle = if (middle > 1.0) == (z > 0.0) { middle } else { 1.0 };
        let (b95, h95) = (base.quantile(0.95)?, head.quantile(0.95)?);
        let limit = b95.min(h95) as u64;
        let beyond = (1.0 - base.share_at_most(limit)?, 1.0 - head.share_at_most(limit)?);
        let p_tail =
            if n.0.min(n.1) < limits::MIN_TAIL { 1.0 } else { proportions(beyond, (n.0 / together, n.1 / together)) };
        let fatter = beyond.0.max(beyond.1) >= limits::TAIL_FACTOR * beyond.0.min(beyond.1);
        let tail = if fatter && p_tail < 1.0 { factor(b95, h95) } else { 1.0 };
        // Two looks at one distribution: the better p counts twice.
        let p = (2.0 * p_middle.min(p_tail)).min(1.0);
        let (factor, by) = if (tail - 1.0).abs() > (middle - 1.0).abs() { (tail, p_tail) } else { (middle, p_middle) };
        Some(Self { factor, p: if factor == 1.0 { p } else { (2.0 * by).min(1.0) } })
    }
}

/// After ÷ before of two durations in nanoseconds, or 1 where the change is too small to matter.
fn factor(before: f64, after: f64) -> f64 {
    let (low, high) = (before.min(after), before.max(after));
    let large = high - low >= limits::LATENCY_NANOS && high >= low * limits::LATENCY_FACTOR;
    if large { after.max(1.0) / before.max(1.0) } else { 1.0 }
}

/// What is left of `added` after `below`, as a share in 0..=1.
fn share(added: f64, below: f64) -> f64 {
    if added == 0.0 { 1.0 } else { ((added - below) / added).clamp(0.0, 1.0) }
}

fn seen_node<'a>(node: &'a Node, traffic: &Traffic<'a>) -> Seen<'a> {
    let mut seen = Seen::stats(&node.handled, traffic.snapshot);
    if node.kind == NodeKind::Entry {
        seen.n = traffic.out_of(&node.id).map(|e| e.n).sum();
        seen.calls = traffic.handled(&node.id);
        seen.durations = None;
        seen.error_ratio = None;
    }
    seen
}

/// Both lists by key: in BASE, in HEAD.
fn paired<'a, T, K: Ord>(
    base: &'a [T],
    head: &'a [T],
    key: impl Fn(&'a T) -> K,
) -> BTreeMap<K, (Option<&'a T>, Option<&'a T>)> {
    let mut pairs: BTreeMap<K, (Option<&T>, Option<&T>)> = BTreeMap::new();
    for item in base {
        pairs.entry(key(item)).or_default().0 = Some(item);
    }
    for item in head {
        pairs.entry(key(item)).or_default().1 = Some(item);
    }
    pairs
}
