//! Traces in short: what is left to look at when the backend has dropped them.
//!
//! Purpose: for each service a slow, a failed and some typical requests with what happened in them. Input: called spans
//! with their traces. Output: [`TraceSummary`]s; which are chosen depends on no order: the slowest, the failed one and the
//! successful ones of smallest trace hash. Bounded: [`MOST_SPANS`] spans each, the longest ones.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::children::Children;
use super::critical_path::{CriticalPath, waits};
use super::requests::Names;
use crate::spans::{SpanId, SpanKind, TraceId, UnixNanos};
use crate::topology::hash;
use crate::topology::snapshot::NodeId;
use crate::topology::trace::Span;

/// Spans kept of one request.
const MOST_SPANS: usize = 32;
/// Typical requests kept of one service: enough that one lies near the median.
const MOST_TYPICAL: usize = 3;
/// Traces with more spans than this are nobody's example.
const MOST_SEEN: usize = 1 << 12;
/// Spans looked at for all summaries of one trace; services beyond it, in order of their ids, get none of it.
const MOST_WORK: usize = 1 << 20;

/// Why a request was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SummaryClass {
    /// The slowest one.
    Slow,
    /// One that failed.
    Failed,
    /// A random successful one.
    Typical,
}

/// One request of one service, from the span that handled it downwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// Which service handled it.
    pub service: NodeId,
    /// Why it was chosen.
    pub class: SummaryClass,
    /// Trace.
    pub trace_id: TraceId,
    /// The span that handled it: the first of `spans`.
    pub span_id: SpanId,
    /// Its start.
    pub start: UnixNanos,
    /// Spans below that are left out.
    #[serde(default, skip_serializing_if = "is_none")]
    pub omitted: u64,
    /// Parents first, siblings by start.
    pub spans: Vec<SummarySpan>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// One span of it. Serialised as
/// `depth kind start duration critical status<TAB>service<TAB>name`, times in nanoseconds, the start after that of the
/// first span, status `ok` or `error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummarySpan {
    /// How deep below the first span.
    pub depth: u16,
    /// OTLP kind.
    pub kind: SpanKind,
    /// Nanoseconds after the start of the first span; negative where clocks differ.
    pub start_ns: i64,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// Of which on the critical path of the first span and not in a child.
    pub critical_ns: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Which service.
    pub service: NodeId,
    /// Span name, normalised. Untrusted text.
    pub name: String,
}

impl Serialize for SummarySpan {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { depth, kind, start_ns, duration_ns, critical_ns, failed, service, name } = self;
        let status = if *failed { "error" } else { "ok" };
        serializer.collect_str(&format_args!(
            "{depth} {} {start_ns} {duration_ns} {critical_ns} {status}\t{service}\t{name}",
            kind.name()
        ))
    }
}

impl<'de> Deserialize<'de> for SummarySpan {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let parse = || {
            let mut parts = text.splitn(3, '\t');
            let mut numbers = parts.next()?.split(' ');
            let mut next = || numbers.next();
            let depth = next()?.parse().ok()?;
            let kind = next()?;
            let kind = (0..=5).map(SpanKind::from_otlp).find(|k| k.name() == kind)?;
            let (start_ns, duration_ns) = (next()?.parse().ok()?, next()?.parse().ok()?);
            let critical_ns = next()?.parse().ok()?;
            let failed = match next()? {
                "ok" => false,
                "error" => true,
                _ => return None,
            };
            let (service, name) = (NodeId(parts.next()?.to_owned()), parts.next()?.to_owned());
            Some(Self { depth, kind, start_ns, duration_ns, critical_ns, failed, service, name })
        };
        parse().ok_or_else(|| serde::de::Error::custom("not depth kind start duration critical status, service, name"))
    }
}

type Rank = (Reverse<u64>, u64, TraceId, SpanId);

impl TraceSummary {
    fn key(&self) -> (&NodeId, SummaryClass, Rank) {
        let slow = if self.class == SummaryClass::Slow { self.duration_ns() } else { 0 };
        (&self.service, self.class, (Reverse(slow), hash::trace(self.trace_id.0), self.trace_id, self.span_id))
    }

    /// How long it took, nanoseconds.
    #[must_use]
    pub fn duration_ns(&self) -> u64 {
        self.spans.first().map_or(0, |span| span.duration_ns)
    }
}

/// Adds two lists sorted as they are published, and leaves the best of both.
pub(in crate::topology) fn unite(mine: &mut Vec<TraceSummary>, other: &[TraceSummary]) {
    mine.extend_from_slice(other);
    mine.sort_by(|a, b| a.key().cmp(&b.key()));
    let mut left = Vec::new();
    for group in mine.chunk_by(|a, b| (&a.service, a.class) == (&b.service, b.class)) {
        let mut group = group.to_vec();
        let most = group.first().map_or(0, |first| most(first.class));
        leave_best(&mut group, most, |trace| trace.key().2);
        left.append(&mut group);
    }
    *mine = left;
}

/// Leaves the first by rank, one of each trace.
fn leave_best<T>(list: &mut Vec<T>, most: usize, rank: impl Fn(&T) -> Rank) {
    list.sort_by_key(&rank);
    let mut seen: Vec<TraceId> = Vec::new();
    list.retain(|item| {
        let new = seen.len() < most && !seen.contains(&rank(item).2);
        if new {
            seen.push(rank(item).2);
        }
        new
    });
}

fn most(class: SummaryClass) -> usize {
    if class == SummaryClass::Typical { MOST_TYPICAL } else { 1 }
}

/// What is wrong with a list that was read.
pub(in crate::topology) fn check(all: &[TraceSummary]) -> Result<(), String> {
    if !all.is_sorted_by(|a, b| a.key() < b.key()) {
        return Err("traces are out of order".to_owned());
    }
    if all.iter().any(|trace| trace.spans.is_empty() || trace.spans.len() > MOST_SPANS) {
        return Err("traces: a trace without spans, or with too many".to_owned());
    }
    Ok(())
}

/// A span of a summary while counting: numbers of this run.
#[derive(Debug, Clone, Copy)]
struct Kept {
    depth: u16,
    kind: SpanKind,
    failed: bool,
    node: u32,
    op: u32,
    start: i64,
    duration: u64,
    critical: u64,
}

#[derive(Debug, Clone)]
struct Candidate {
    rank: Rank,
    start: u64,
    omitted: u64,
    spans: Vec<Kept>,
}

/// The choice of one service: by class.
#[derive(Debug, Clone, Default)]
struct Choice {
    slow: Vec<Candidate>,
    failed: Vec<Candidate>,
    typical: Vec<Candidate>,
}

/// What it takes to be chosen: nearly every span is turned away by one comparison.
#[derive(Debug, Clone, Copy)]
struct Limits {
    slow_from: u64,
    failed_to: u64,
    typical_to: u64,
}

const OPEN: Limits = Limits { slow_from: 0, failed_to: u64::MAX, typical_to: u64::MAX };

/// Choices while counting, by node.
#[derive(Debug)]
pub(in crate::topology) struct Summaries {
    limits: Vec<Limits>,
    choices: Vec<Option<Box<Choice>>>,
    /// Of the trace at hand: node and position of spans that may be chosen.
    wanted: Vec<(u32, usize)>,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    critical: Vec<u64>,
    found: Vec<(usize, u16)>,
}

impl Summaries {
    pub(in crate::topology) fn new(nodes: usize) -> Self {
        let (limits, choices) = (vec![OPEN; nodes], vec![None; nodes]);
        Self { limits, choices, wanted: Vec::new(), scratch: Scratch::default() }
    }

    /// Notes a called span that may be chosen.
    #[inline]
    pub(super) fn note(&mut self, at: usize, span: &Span<'_>) {
        let (Some(limits), Some(nanos)) = (self.limits.get(span.node as usize), span.duration()) else { return };
        let lucky = if span.failed() { limits.failed_to } else { limits.typical_to };
        if nanos >= limits.slow_from || span.luck <= lucky {
            self.wanted.push((span.node, at));
        }
    }

    /// Considers what was noted of a trace: of each service the slowest request, and one that failed, one that did not.
    #[inline]
    pub(super) fn trace(&mut self, spans: &[Span<'_>], children: &Children, path: &mut CriticalPath) {
        if !self.wanted.is_empty() {
            self.choose(spans, children, path);
        }
    }

    #[inline(never)]
    fn choose(&mut self, spans: &[Span<'_>], children: &Children, path: &mut CriticalPath) {
        let mut wanted = std::mem::take(&mut self.wanted);
        if spans.len() <= MOST_SEEN {
            wanted.sort_unstable();
            let mut work = 0;
            for of_node in wanted.chunk_by(|a, b| a.0 == b.0) {
                let each = || of_node.iter().filter_map(|(_, at)| Some((*at, spans.get(*at)?)));
                let id = |span: &Span<'_>| (span.row.span, span.row.kind);
                let slow = each().min_by_key(|(_, span)| (Reverse(span.duration()), id(span)));
                let of = |failed: bool| each().filter(move |(_, s)| s.failed() == failed).min_by_key(|(_, s)| id(s));
                let mut best = [slow, of(true), of(false)].map(|found| found.map(|(at, _)| at));
                best.sort_unstable();
                let mut before = None;
                for at in best.into_iter().flatten() {
                    if before.replace(at) != Some(at) {
                        self.scratch.found.clear();
                        self.consider(spans, children, at, path);
                        work += self.scratch.found.len();
                        work += if self.scratch.found.is_empty() { 0 } else { spans.len() };
                    }
                }
                if work > MOST_WORK {
                    break;
                }
            }
        }
        wanted.clear();
        self.wanted = wanted;
    }

    fn consider(&mut self, spans: &[Span<'_>], children: &Children, at: usize, path: &mut CriticalPath) {
        let Some(span) = spans.get(at) else { return };
        let Some(choice) = self.choices.get_mut(span.node as usize) else { return };
        let choice = choice.get_or_insert_default();
        let (nanos, id) = (span.duration().unwrap_or(0), (span.luck, TraceId(span.row.trace), SpanId(span.row.span)));
        let rank = |slow: u64| (Reverse(slow), id.0, id.1, id.2);
        let (lists, ranks) = if span.failed() {
            ([Some(&mut choice.slow), Some(&mut choice.failed)], [rank(nanos), rank(0)])
        } else {
            ([Some(&mut choice.slow), Some(&mut choice.typical)], [rank(nanos), rank(0)])
        };
        let most = [1, if span.failed() { 1 } else { MOST_TYPICAL }];
        let mut summary: Option<Candidate> = None;
        for ((list, rank), most) in lists.into_iter().flatten().zip(ranks).zip(most) {
            if list.len() >= most && list.last().is_none_or(|last| last.rank <= rank) {
                continue;
            }
            if summary.is_none() {
                summary = summarise(spans, children, at, path, &mut self.scratch);
            }
            let Some(made) = &summary else { return };
            list.push(Candidate { rank, ..made.clone() });
            leave_best(list, most, |c| c.rank);
        }
        let lucky = |list: &[Candidate], most: usize| list.get(most - 1).map_or(u64::MAX, |last| last.rank.1);
        if let Some(limits) = self.limits.get_mut(span.node as usize) {
            *limits = Limits {
                slow_from: choice.slow.first().map_or(0, |c| c.rank.0.0),
                failed_to: lucky(&choice.failed, 1),
                typical_to: lucky(&choice.typical, MOST_TYPICAL),
            };
        }
    }

    pub(in crate::topology) fn merge(&mut self, other: Self) {
        for (mine, other) in self.choices.iter_mut().zip(other.choices) {
            let Some(other) = other else { continue };
            let mine = mine.get_or_insert_default();
            for (mine, other, most) in [
                (&mut mine.slow, other.slow, 1),
                (&mut mine.failed, other.failed, 1),
                (&mut mine.typical, other.typical, MOST_TYPICAL),
            ] {
                mine.extend(other);
                leave_best(mine, most, |c| c.rank);
            }
        }
    }

    /// Sorted by service, class and rank.
    pub(in crate::topology) fn finish(self, names: &impl Names) -> Vec<TraceSummary> {
        let mut all = Vec::new();
        for (node, choice) in self.choices.into_iter().enumerate() {
            let (Some(choice), Some(service)) = (choice, u32::try_from(node).ok().and_then(|n| names.node(n))) else {
                continue;
            };
            for (class, list) in [
                (SummaryClass::Slow, choice.slow),
                (SummaryClass::Failed, choice.failed),
                (SummaryClass::Typical, choice.typical),
            ] {
                all.extend(list.into_iter().map(|candidate| candidate.named(&service, class, names)));
            }
        }
        all.sort_by(|a, b| a.key().cmp(&b.key()));
        all
    }
}

impl Candidate {
    fn named(self, service: &NodeId, class: SummaryClass, names: &impl Names) -> TraceSummary {
        let span = |kept: Kept| SummarySpan {
            depth: kept.depth,
            kind: kept.kind,
            start_ns: kept.start,
            duration_ns: kept.duration,
            critical_ns: kept.critical,
            failed: kept.failed,
            service: names.node(kept.node).unwrap_or_else(|| service.clone()),
            name: names.operation(kept.op).map(|(_, name)| name).unwrap_or_default(),
        };
        TraceSummary {
            service: service.clone(),
            class,
            trace_id: self.rank.2,
            span_id: self.rank.3,
            start: UnixNanos(self.start),
            omitted: self.omitted,
            spans: self.spans.into_iter().map(span).collect(),
        }
    }
}

/// The spans below one, the longest of them, with their share of its critical path. `None` for one in a circle of parents.
fn summarise(
    spans: &[Span<'_>],
    children: &Children,
    root: usize,
    path: &mut CriticalPath,
    Scratch { critical, found }: &mut Scratch,
) -> Option<Candidate> {
    below(spans, children, root, found)?;
    critical.clear();
    critical.resize(spans.len(), 0);
    path.walk(spans, children, root, |at, from, to| {
        if let Some(sum) = critical.get_mut(at) {
            *sum += to - from;
        }
    });
    let seen = found.len();
    if seen > MOST_SPANS {
        let weight = |at: usize| {
            let span = spans.get(at);
            let failed = span.is_some_and(|s| s.failed());
            (critical.get(at).copied(), failed, span.and_then(Span::duration), span.map(|s| s.row.span))
        };
        let mut ranked: Vec<usize> = found.iter().skip(1).map(|(at, _)| *at).collect();
        ranked.sort_unstable_by_key(|at| Reverse(weight(*at)));
        ranked.truncate(MOST_SPANS - 1);
        ranked.push(root);
        ranked.sort_unstable();
        found.retain(|(at, _)| ranked.binary_search(at).is_ok());
    }
    let start = spans.get(root).map_or(0, |span| span.row.start);
    let kept = found.iter().filter_map(|(at, depth)| {
        let span = spans.get(*at)?;
        Some(Kept {
            depth: *depth,
            kind: span.row.kind,
            failed: span.failed(),
            node: span.node,
            op: span.op,
            start: i64::try_from(i128::from(span.row.start) - i128::from(start)).unwrap_or(0),
            duration: span.duration().unwrap_or(0),
            critical: critical.get(*at).copied().unwrap_or(0),
        })
    });
    let rank = (Reverse(0), 0, TraceId(0), SpanId(0));
    Some(Candidate { rank, start, omitted: (seen.saturating_sub(MOST_SPANS)) as u64, spans: kept.collect() })
}

/// Everything a span waits for, parents first. `None` where parents go in a circle: one can only be reached from within.
fn below(spans: &[Span<'_>], children: &Children, root: usize, found: &mut Vec<(usize, u16)>) -> Option<()> {
    found.clear();
    let mut stack = vec![(root, 0u16)];
    while let Some((at, depth)) = stack.pop() {
        found.push((at, depth));
        let Some(parent) = spans.get(at) else { continue };
        if children.of(at).iter().any(|child| *child as usize == root) {
            return None;
        }
        let own = children.of(at).iter().rev().map(|at| *at as usize);
        let awaited = own.filter(|at| spans.get(*at).is_some_and(|child| waits(parent, child)));
        stack.extend(awaited.map(|at| (at, depth.saturating_add(1))));
    }
    Some(())
}
