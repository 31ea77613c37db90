//! One whole trace: duplicates removed, every span's parent found.
//!
//! Time is linear in the spans of the trace (n log n if ids repeat), whatever its shape: parents are found by hashing,
//! nothing walks up or down the tree, so neither a long chain nor a cycle of parents costs more.

use super::group::Key;
use super::hash::{self, Secret};
use super::identity::{Fate, Identity, NOWHERE, OpRef, PeerRef, ServiceRef};
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

/// What a number stands for that no service or operation has.
const NO_SERVICE: ServiceRef =
    ServiceRef { node: 0, fate: Fate::Beyond, hash: 0, other_op: 0, entry: NOWHERE, renamed: false };
const NO_OP: OpRef = OpRef { number: 0, ignored: false, hash: 0, beyond: true, entry: NOWHERE };

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
        let service = identity.services.get(row.service as usize).unwrap_or(&NO_SERVICE);
        let op = identity.ops.get(row.op as usize).unwrap_or(&NO_OP);
        self.luck = luck;
        self.node = service.node;
        self.fate = if op.ignored && service.fate == Fate::Kept { Fate::Ignored } else { service.fate };
        self.beyond = op.beyond;
        self.op = if op.number > 0 { op.number } else { service.other_op };
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
    hash::digest([
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

/// Where the spans of one trace are, by id: found by hashing, so that they need not be sorted.
#[derive(Debug)]
pub(super) struct Index {
    secret: Secret,
    /// By position.
    ids: Vec<u64>,
    /// Open addressing: position plus one, 0 for empty.
    table: Vec<u32>,
}

impl Index {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, ids: Vec::new(), table: Vec::new() }
    }

    /// Forgets everything, and makes room for so many spans.
    fn start(&mut self, spans: usize) {
        self.ids.clear();
        self.table.clear();
        self.table.resize((2 * spans).next_power_of_two(), 0);
    }

    /// Where an id is, or would be noted.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn place(&self, id: u64) -> (usize, u32) {
        let mask = self.table.len().wrapping_sub(1);
        let mut at = self.secret.word(id) as usize & mask;
        while let Some(slot) = self.table.get(at).copied().filter(|slot| *slot > 0) {
            if self.ids.get(slot as usize - 1) == Some(&id) {
                return (at, slot);
            }
            at = (at + 1) & mask;
        }
        (at, 0)
    }

    /// Notes the next span. Says whether its id is new; a second half has to follow its first at once.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a trace holds fewer than 2^32 spans")]
    fn add(&mut self, id: u64) -> bool {
        let (at, known) = self.place(id);
        self.ids.push(id);
        if known == 0
            && let Some(slot) = self.table.get_mut(at)
        {
            *slot = self.ids.len() as u32;
        }
        known == 0
    }

    /// Positions of the spans with this id: none, one, or a calling and a called one.
    #[inline]
    pub(super) fn find(&self, id: u64) -> std::ops::Range<usize> {
        let (_, known) = self.place(id);
        let Some(first) = (known as usize).checked_sub(1) else { return 0..0 };
        let two = self.ids.get(first + 1) == Some(&id);
        first..first + 1 + usize::from(two)
    }
}

/// The rows of one trace as spans without duplicates, in no order that means anything; returns how many were removed.
/// `index` will find them.
///
/// Rows of one id are copies of one span, except that a calling and a called span may share an id (Zipkin's shared
/// spans): of each side one is kept, the calling one first.
#[inline(never)]
pub(super) fn unite<'a>(
    rows: &[&[StoredSpan]],
    order: &mut [Key],
    luck: u64,
    identity: &'a Identity,
    spans: &mut Vec<Span<'a>>,
    index: &mut Index,
) -> u64 {
    index.start(order.len());
    let mut count = 0;
    let mut fresh = true;
    for row in order.iter().filter_map(|key| key.of(rows)) {
        fresh &= index.add(row.span);
        match spans.get_mut(count) {
            Some(span) => span.fill(row, luck, identity),
            None => spans.push(Span::new(*row, luck, identity)),
        }
        count += 1;
    }
    spans.truncate(count);
    if !fresh {
        unite_copies(rows, order, luck, identity, spans, index);
    }
    for at in 0..spans.len() {
        let parent = find_parent(spans, index, at);
        if let Some(span) = spans.get_mut(at) {
            span.parent = parent;
        }
    }
    (order.len() - spans.len()) as u64
}

/// The same where some ids occur more than once.
#[inline(never)]
fn unite_copies<'a>(
    rows: &[&[StoredSpan]],
    order: &mut [Key],
    luck: u64,
    identity: &'a Identity,
    spans: &mut Vec<Span<'a>>,
    index: &mut Index,
) {
    index.start(order.len());
    spans.clear();
    order.sort_unstable();
    let mut copies: Vec<StoredSpan> = Vec::new();
    for same in order.chunk_by(|a, b| a.span() == b.span()) {
        copies.clear();
        copies.extend(same.iter().filter_map(|key| key.of(rows)));
        for row in choose(&mut copies, identity).into_iter().flatten() {
            index.add(row.span);
            spans.push(Span::new(row, luck, identity));
        }
    }
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

fn find_parent(spans: &[Span<'_>], index: &Index, at: usize) -> Parent {
    let Some(span) = spans.get(at) else { return Parent::Root };
    // The called half of a shared span hangs below the calling half.
    if let Some(before) = at.checked_sub(1)
        && index.ids.get(before) == Some(&span.row.span)
    {
        return Parent::At(before);
    }
    if span.row.parent == 0 {
        return Parent::Root;
    }
    if span.row.parent == span.row.span {
        return Parent::Lost;
    }
    let found = index.find(span.row.parent);
    let same_service =
        || found.clone().rev().find(|p| spans.get(*p).is_some_and(|p| p.row.service == span.row.service));
    match found.len() {
        0 => Parent::Lost,
        1 => Parent::At(found.start),
        _ => Parent::At(same_service().unwrap_or(found.end - 1)),
    }
}
