//! One whole trace: duplicates removed, every span's parent found.
//!
//! Time is n log n in the spans of the trace, whatever its shape: parents are found by binary search, nothing walks up or
//! down the tree, so neither a long chain nor a cycle of parents costs more.

use super::group::Key;
use super::hash;
use super::identity::{Fate, Identity, PeerRef};
use super::row::{StoredLink, StoredSpan};
use crate::spans::{SpanFlags, Weight};

/// Where a span hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parent {
    /// It has no parent id.
    Root,
    /// Its parent is at this position of the trace.
    At(usize),
    /// Its parent id is set, but no such span is there (or it names itself).
    Lost,
}

/// A span with what pairing asks about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) row: StoredSpan,
    /// Hash of the trace id.
    pub(super) luck: u64,
    /// Node of its service; meaningless unless `fate` is kept.
    pub(super) node: u32,
    pub(super) fate: Fate,
    /// Whether its operation's name was replaced by `(other)`.
    pub(super) beyond: bool,
    /// Canonical operation number.
    pub(super) op: u32,
    /// Canonical error number.
    pub(super) error: u32,
    pub(super) peer: Option<&'a PeerRef>,
    pub(super) parent: Parent,
}

impl<'a> Span<'a> {
    /// Looks up what a stored span's numbers stand for. `luck` is the hash of its trace id.
    pub(super) fn new(row: StoredSpan, luck: u64, identity: &'a Identity) -> Self {
        let mut span = Self {
            row,
            luck,
            node: 0,
            fate: Fate::Beyond,
            beyond: true,
            op: 0,
            error: 0,
            peer: None,
            parent: Parent::Root,
        };
        span.fill(&row, luck, identity);
        span
    }

    /// Becomes another span, in place: one put together elsewhere would be written twice.
    #[inline]
    fn fill(&mut self, row: &StoredSpan, luck: u64, identity: &'a Identity) {
        self.row = *row;
        let service = identity.services.get(row.service as usize);
        let op = identity.ops.get(row.op as usize);
        let fate = match (service.map_or(Fate::Beyond, |s| s.fate), op.is_some_and(|op| op.ignored)) {
            (Fate::Kept, true) => Fate::Ignored,
            (fate, _) => fate,
        };
        let number = op.map(|op| op.number).filter(|number| *number > 0);
        self.luck = luck;
        self.node = service.map_or(0, |s| s.node);
        self.fate = fate;
        self.beyond = op.is_none_or(|op| op.beyond);
        self.op = number.or(service.map(|s| s.other_op)).unwrap_or(0);
        self.error = identity.errors.get(row.error as usize).map_or(0, |(number, _)| *number);
        self.peer = identity.peers.get(row.peer as usize);
    }

    pub(super) fn kept(&self) -> bool {
        self.fate == Fate::Kept
    }

    pub(super) fn failed(&self) -> bool {
        self.row.flags.has(SpanFlags::ERROR)
    }

    pub(super) fn weight(&self) -> Weight {
        Weight::from_micro(self.row.weight)
    }

    /// Nanoseconds; `None` when the span has no usable end.
    pub(super) fn duration(&self) -> Option<u64> {
        let known = !self.row.flags.has(SpanFlags::NO_DURATION) && self.row.start > 0;
        known.then(|| self.row.end.saturating_sub(self.row.start))
    }

    pub(super) fn end(&self) -> Option<u64> {
        self.duration().map(|_| self.row.end)
    }
}

/// Hashes of everything a span refers to: its content without any number of this run.
fn content(row: &StoredSpan, identity: &Identity) -> [u64; 5] {
    [
        identity.services.get(row.service as usize).map_or(0, |s| s.hash),
        identity.ops.get(row.op as usize).map_or(0, |op| op.hash),
        identity.resource_hashes.get(row.resource as usize).copied().unwrap_or(0),
        identity.peers.get(row.peer as usize).map_or(0, |p| p.hash),
        identity.errors.get(row.error as usize).map_or(0, |(_, hash)| *hash),
    ]
}

/// The span's share of the snapshot's digest. No text takes part: what a cap leaves out must not change it.
#[allow(clippy::cast_possible_truncation, reason = "the halves of the trace id")]
#[inline]
pub(super) fn digest(row: &StoredSpan) -> u128 {
    hash::digest(&[
        row.trace as u64,
        (row.trace >> 64) as u64,
        row.span,
        row.parent,
        row.start,
        row.end,
        row.weight,
        u64::from(row.flags.0) << 8 | row.kind as u64,
    ])
}

/// Which of two copies survives: the one that ran to its latest end, then whatever their contents decide.
fn preference(row: &StoredSpan, identity: &Identity) -> impl Ord + use<> {
    (
        row.flags.has(SpanFlags::NO_DURATION),
        std::cmp::Reverse(row.end),
        row.start,
        row.kind,
        row.parent,
        row.flags,
        row.weight,
        content(row, identity),
    )
}

/// Sorts links so that copies stand together, the preferred one first, and of several spans of one service and trace that
/// link to one span the earliest comes first.
pub(super) fn sort_links(links: &mut [StoredLink], identity: &Identity) {
    links.sort_unstable_by_key(|link| {
        let service = identity.services.get(link.from.service as usize).map_or(0, |s| s.hash);
        let start = link.from.start;
        (
            link.linked_span,
            link.from.trace,
            service,
            start,
            link.from.span,
            link.from.kind,
            preference(&link.from, identity),
        )
    });
}

/// The rows of one trace, in order of span id, as spans without duplicates; returns how many were removed. `ids` becomes
/// the ids of `spans`.
///
/// Rows of one id are copies of one span, except that a calling and a called span may share an id (Zipkin's shared
/// spans): of each side one is kept, the calling one first.
#[inline(never)]
pub(super) fn unite<'a>(
    rows: &[StoredSpan],
    order: &[Key],
    luck: u64,
    identity: &'a Identity,
    spans: &mut Vec<Span<'a>>,
    ids: &mut Vec<u64>,
) -> u64 {
    ids.clear();
    let mut rest = order;
    let mut count = 0;
    let mut keep = |row: &StoredSpan| {
        match spans.get_mut(count) {
            Some(span) => span.fill(row, luck, identity),
            None => spans.push(Span::new(*row, luck, identity)),
        }
        ids.push(row.span);
        count += 1;
    };
    while let Some((first, others)) = rest.split_first() {
        if others.first().is_some_and(|next| next.span() == first.span()) {
            let copies = rest.iter().take_while(|key| key.span() == first.span()).count();
            let (copies, after) = rest.split_at(copies);
            let mut copies: Vec<StoredSpan> = copies.iter().filter_map(|key| key.of(rows)).copied().collect();
            choose(&mut copies, identity).iter().flatten().for_each(&mut keep);
            rest = after;
        } else {
            first.of(rows).into_iter().for_each(&mut keep);
            rest = others;
        }
    }
    spans.truncate(count);
    for at in 0..spans.len() {
        let parent = find_parent(spans, ids, at);
        if let Some(span) = spans.get_mut(at) {
            span.parent = parent;
        }
    }
    (order.len() - spans.len()) as u64
}

/// What is kept of the copies of a span.
fn choose(copies: &mut [StoredSpan], identity: &Identity) -> [Option<StoredSpan>; 2] {
    let called = copies.iter().any(|row| row.kind.is_called());
    let sides = called && copies.iter().any(|row| row.kind.calls_out());
    copies.sort_unstable_by_key(|row| preference(row, identity));
    if !sides {
        return [copies.first().copied(), None];
    }
    let keep = |calling: bool| {
        copies.iter().find(|r| r.kind.calls_out() == calling && (calling || r.kind.is_called())).copied()
    };
    [keep(true), keep(false)]
}

/// Positions of the spans with this id: none, one, or a calling and a called one.
pub(super) fn positions(ids: &[u64], id: u64) -> std::ops::Range<usize> {
    let first = ids.partition_point(|other| *other < id);
    let count = ids.get(first..).unwrap_or(&[]).iter().take(2).take_while(|other| **other == id).count();
    first..first + count
}

fn find_parent(spans: &[Span<'_>], ids: &[u64], at: usize) -> Parent {
    let Some(span) = spans.get(at) else { return Parent::Root };
    // The called half of a shared span hangs below the calling half.
    if let Some(before) = at.checked_sub(1)
        && ids.get(before) == Some(&span.row.span)
    {
        return Parent::At(before);
    }
    if span.row.parent == 0 {
        return Parent::Root;
    }
    if span.row.parent == span.row.span {
        return Parent::Lost;
    }
    let found = positions(ids, span.row.parent);
    let same_service =
        || found.clone().rev().find(|p| spans.get(*p).is_some_and(|p| p.row.service == span.row.service));
    match found.len() {
        0 => Parent::Lost,
        1 => Parent::At(found.start),
        _ => Parent::At(same_service().unwrap_or(found.end - 1)),
    }
}
