//! What one thread works on while it pushes: tables that turn a batch's numbers into the run's, and rows on their way to
//! their partitions.
//!
//! Purpose: no lock and no sorting on the way of a row. Input: batches. Output: rows and links by partition.
//! Must not: be used by two threads at once; the store sees to it.

use std::sync::Mutex;

use super::dicts::Dicts;
use super::hash::Secret;
use super::row::{StoredLink, StoredSpan};
use super::shard::Shard;
use super::store::PARTITIONS;
use super::tables::{Numbers, Tables};
use crate::spans::{Epoch, SpanBatch, SpanFlags, SpanRow};

/// Rows kept together: growing by pieces copies nothing.
const CHUNK: usize = 512;

/// Rows of one partition.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) full: Vec<Vec<StoredSpan>>,
    pub(super) last: Vec<StoredSpan>,
}

impl Rows {
    #[inline]
    fn push(&mut self, row: StoredSpan) {
        if self.last.len() >= CHUNK {
            self.next();
        }
        self.last.push(row);
    }

    #[inline(never)]
    fn next(&mut self) {
        self.full.push(std::mem::replace(&mut self.last, Vec::with_capacity(CHUNK)));
    }

    /// Takes all rows out; memory of one chunk is kept.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&StoredSpan)) {
        self.full.iter().flatten().for_each(&mut take);
        self.last.iter().for_each(&mut take);
        self.full.clear();
        self.last.clear();
    }
}

/// One thread's share of the store.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) epoch: Option<Epoch>,
    /// When it was last used.
    pub(super) used: u64,
    /// Bytes of rows and links.
    pub(super) bytes: usize,
    pub(super) rows: Vec<Rows>,
    pub(super) links: Vec<Vec<StoredLink>>,
    tables: Tables,
    linked: Vec<bool>,
    secret: Secret,
}

impl Lane {
    pub(super) fn new(secret: Secret) -> Self {
        Self {
            epoch: None,
            used: 0,
            bytes: 0,
            rows: (0..PARTITIONS).map(|_| Rows::default()).collect(),
            links: (0..PARTITIONS).map(|_| Vec::new()).collect(),
            tables: Tables::new(secret),
            linked: Vec::new(),
            secret,
        }
    }

    /// Starts another epoch, if it is another one.
    pub(super) fn enter(&mut self, epoch: Epoch, dicts: &Mutex<Dicts>) {
        if self.epoch != Some(epoch) {
            self.tables.forget(dicts);
            self.epoch = Some(epoch);
        }
    }

    /// Hands over what was counted.
    pub(super) fn hand_over(&mut self, dicts: &Mutex<Dicts>) {
        self.tables.hand_over(dicts);
    }

    /// Takes the rows of a batch of its epoch that belong to the shard; names are taken over from all of them. Returns by
    /// how many bytes it grew.
    pub(super) fn push(&mut self, batch: &SpanBatch, shard: Option<Shard>, dicts: &Mutex<Dicts>) -> usize {
        self.tables.expect(batch, dicts);
        self.linked.clear();
        if !batch.links.is_empty() {
            self.linked.resize(batch.rows.len(), false);
            for link in &batch.links {
                self.linked.get_mut(link.row as usize).into_iter().for_each(|flag| *flag = true);
            }
        }
        let mut rows = 0;
        for (at, row) in batch.rows.iter().enumerate() {
            let numbers = self.tables.of(batch, row, dicts);
            if shard.is_some_and(|shard| !shard.owns(row.trace_id)) {
                continue;
            }
            let row = stored(row, numbers, self.linked.get(at) == Some(&true));
            let partition = partition_of(self.secret, row.trace);
            if let Some(partition) = self.rows.get_mut(partition) {
                partition.push(row);
                rows += 1;
            }
        }
        let links = self.push_links(batch, shard, dicts);
        let bytes = rows * size_of::<StoredSpan>() + links * size_of::<StoredLink>();
        self.bytes += bytes;
        bytes
    }

    /// A link goes with the trace it points to, also when another shard counts the span it comes from.
    fn push_links(&mut self, batch: &SpanBatch, shard: Option<Shard>, dicts: &Mutex<Dicts>) -> usize {
        let mut links = 0;
        for link in batch.links.iter().filter(|link| shard.is_none_or(|shard| shard.owns(link.trace_id))) {
            let Some(row) = batch.rows.get(link.row as usize) else { continue };
            let from = stored(row, self.tables.known(batch, row, dicts), true);
            let link = StoredLink { linked_trace: link.trace_id.0, linked_span: link.span_id.0, from };
            if let Some(partition) = self.links.get_mut(partition_of(self.secret, link.linked_trace)) {
                partition.push(link);
                links += 1;
            }
        }
        links
    }
}

#[inline]
fn partition_of(secret: Secret, trace: u128) -> usize {
    usize::try_from(secret.trace(trace) % PARTITIONS as u64).unwrap_or(0)
}

/// A row in the run's numbers. Whether it has links is what the batch's links say, not what its flag does.
#[inline]
fn stored(row: &SpanRow, numbers: Numbers, linked: bool) -> StoredSpan {
    let mut flags = SpanFlags(row.flags.0 & !SpanFlags::LINKED.0);
    if linked {
        flags.set(SpanFlags::LINKED);
    }
    let Numbers { service, op, resource, peer, error } = numbers;
    StoredSpan {
        trace: row.trace_id.0,
        span: row.span_id.0,
        parent: row.parent_id.0,
        start: row.start,
        end: row.end.max(row.start),
        weight: row.weight.micro(),
        service,
        op,
        resource,
        peer,
        error,
        kind: row.kind,
        flags,
    }
}
