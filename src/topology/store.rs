//! Spans until their traces are whole: scattered by trace id, in memory as long as there is room, then on disk.
//!
//! Purpose: any number of spans from any number of threads in a fixed amount of memory. Input: batches. Output: one
//! partition at a time, holding whole traces and the links that point into them.
//! Must not: pair or count anything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dicts::{Dicts, NONE, Remap, Usage};
use super::hash::Secret;
use super::row::{StoredLink, StoredSpan};
use super::shard::Shard;
use crate::diag::Diagnostic;
use crate::spans::{SpanBatch, SpanFlags, SpanRow, TraceId};

/// How many partitions: a power of two, so that at 100 million spans one partition is some 30 MB.
pub(super) const PARTITIONS: usize = 256;

/// Records of one kind of one partition.
#[derive(Debug, Default)]
struct Heap {
    bytes: Vec<u8>,
    /// (offset, length) in the spill file.
    spilled: Vec<(u64, usize)>,
    records: u64,
}

#[derive(Debug, Default)]
struct Partition {
    spans: Heap,
    links: Heap,
}

/// The one spill file: unnamed, so it vanishes with the process.
#[derive(Debug)]
struct Spill {
    file: File,
    end: u64,
}

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    dicts: Mutex<Dicts>,
    partitions: Vec<Mutex<Partition>>,
    spill: Mutex<Option<Spill>>,
    heap_bytes: usize,
    secret: Secret,
    shard: Option<Shard>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spill_failed(doing: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("spill-failed", format!("spans could not be {doing} a temporary file: {error}"))
        .help("point TMPDIR at a directory with room (about 80 bytes a span), or read a shorter window")
}

impl Store {
    /// An empty store that keeps about `memory_bytes` of spans in memory.
    pub(super) fn new(
        memory_bytes: usize,
        max_operations: usize,
        dimensions: Vec<&'static str>,
        shard: Option<Shard>,
    ) -> Self {
        Self {
            dicts: Mutex::new(Dicts::new(max_operations, dimensions)),
            partitions: (0..PARTITIONS).map(|_| Mutex::default()).collect(),
            spill: Mutex::new(None),
            // Two heaps a partition; links are few, so most of the room is for spans.
            heap_bytes: memory_bytes / PARTITIONS,
            secret: Secret::new(),
            shard,
        }
    }

    fn partition_of(&self, trace: u128) -> usize {
        usize::try_from(self.secret.trace(trace) % PARTITIONS as u64).unwrap_or(0)
    }

    /// Whether a trace is counted here. Names are taken over from all of them.
    fn owns(&self, trace: TraceId) -> bool {
        self.shard.is_none_or(|shard| shard.owns(trace))
    }

    /// Takes the rows of a batch.
    pub(super) fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let usage = Usage::of(batch);
        let remap = lock(&self.dicts).remap(batch, &usage);
        let mut linked = vec![false; batch.rows.len()];
        for link in &batch.links {
            linked.get_mut(link.row as usize).into_iter().for_each(|flag| *flag = true);
        }
        let stored = |at: usize| stored(batch, &remap, at, linked.get(at) == Some(&true));
        let mut scattered: Vec<(usize, usize)> = batch
            .rows
            .iter()
            .enumerate()
            .filter(|(_, row)| self.owns(row.trace_id))
            .map(|(at, row)| (self.partition_of(row.trace_id.0), at))
            .collect();
        scattered.sort_unstable();
        for group in scattered.chunk_by(|a, b| a.0 == b.0) {
            let Some(partition) = group.first().and_then(|(p, _)| self.partitions.get(*p)) else { continue };
            let heap = &mut lock(partition).spans;
            for row in group.iter().filter_map(|(_, at)| stored(*at)) {
                self.make_room(heap, StoredSpan::BYTES)?;
                row.put(&mut heap.bytes);
            }
        }
        // A link goes with the trace it points to, also when another shard counts the span it comes from.
        for link in batch.links.iter().filter(|link| self.owns(link.trace_id)) {
            let Some(from) = stored(link.row as usize) else { continue };
            let Some(partition) = self.partitions.get(self.partition_of(link.trace_id.0)) else { continue };
            let heap = &mut lock(partition).links;
            self.make_room(heap, StoredLink::BYTES)?;
            StoredLink { linked_trace: link.trace_id.0, linked_span: link.span_id.0, from }.put(&mut heap.bytes);
        }
        Ok(())
    }

    /// Counts one more record, and writes the heap to disk when it would outgrow its share.
    fn make_room(&self, heap: &mut Heap, record: usize) -> Result<(), Diagnostic> {
        heap.records += 1;
        if heap.bytes.len() + record <= self.heap_bytes || heap.bytes.is_empty() {
            return Ok(());
        }
        let mut spill = lock(&self.spill);
        if spill.is_none() {
            *spill = Some(Spill { file: tempfile::tempfile().map_err(|e| spill_failed("written to", &e))?, end: 0 });
        }
        if let Some(spill) = spill.as_mut() {
            spill.file.write_all(&heap.bytes).map_err(|e| spill_failed("written to", &e))?;
            heap.spilled.push((spill.end, heap.bytes.len()));
            spill.end += heap.bytes.len() as u64;
            heap.bytes.clear();
        }
        Ok(())
    }

    /// No more batches: dictionaries and partitions.
    pub(super) fn seal(self) -> (Dicts, Sealed) {
        let open = |mutex: Mutex<Partition>| mutex.into_inner().unwrap_or_else(PoisonError::into_inner);
        let partitions = self.partitions.into_iter().map(open).collect();
        let dicts = self.dicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        (dicts, Sealed { partitions, spill: self.spill, secret: self.secret })
    }
}

/// A row in the run's numbers. Whether it has links is what the batch's links say, not what its flag does.
fn stored(batch: &SpanBatch, remap: &Remap, at: usize, linked: bool) -> Option<StoredSpan> {
    let row: &SpanRow = batch.rows.get(at)?;
    let (service, resource, op) = remap.pairs.get(*remap.row_pair.get(at)? as usize).copied()?;
    let mut flags = SpanFlags(row.flags.0 & !SpanFlags::LINKED.0);
    if linked {
        flags.set(SpanFlags::LINKED);
    }
    Some(StoredSpan {
        trace: row.trace_id.0,
        span: row.span_id.0,
        parent: row.parent_id.0,
        start: row.start,
        end: row.end.max(row.start),
        weight: row.weight.micro(),
        service,
        op,
        resource,
        peer: remap.peers.get(row.peer.0 as usize).copied().unwrap_or(NONE),
        error: remap.errors.get(row.error.0 as usize).copied().unwrap_or(NONE),
        kind: row.kind,
        flags,
    })
}

/// A store that takes no more.
#[derive(Debug)]
pub(super) struct Sealed {
    partitions: Vec<Partition>,
    spill: Mutex<Option<Spill>>,
    secret: Secret,
}

impl Sealed {
    /// What decides where a trace lies.
    pub(super) fn secret(&self) -> Secret {
        self.secret
    }

    /// Records of spans in a partition.
    pub(super) fn spans_in(&self, partition: usize) -> u64 {
        self.partitions.get(partition).map_or(0, |p| p.spans.records)
    }

    /// Hands every span of a partition to `take`, in no order that means anything.
    pub(super) fn spans(&self, partition: usize, mut take: impl FnMut(&[StoredSpan])) -> Result<(), Diagnostic> {
        match self.partitions.get(partition) {
            Some(p) => self.each(&p.spans, StoredSpan::BYTES, StoredSpan::get, |row| take(&[row])),
            None => Ok(()),
        }
    }

    /// Hands every link into a partition to `take`.
    pub(super) fn links(&self, partition: usize, take: impl FnMut(StoredLink)) -> Result<(), Diagnostic> {
        match self.partitions.get(partition) {
            Some(p) => self.each(&p.links, StoredLink::BYTES, StoredLink::get, take),
            None => Ok(()),
        }
    }

    fn each<T>(
        &self,
        heap: &Heap,
        size: usize,
        get: fn(&[u8]) -> Option<T>,
        mut take: impl FnMut(T),
    ) -> Result<(), Diagnostic> {
        let mut buffer = Vec::new();
        for (offset, length) in &heap.spilled {
            let mut spill = lock(&self.spill);
            let Some(spill) = spill.as_mut() else { continue };
            buffer.resize(*length, 0);
            spill.file.seek(SeekFrom::Start(*offset)).map_err(|e| spill_failed("read back from", &e))?;
            spill.file.read_exact(&mut buffer).map_err(|e| spill_failed("read back from", &e))?;
            buffer.chunks_exact(size).filter_map(get).for_each(&mut take);
        }
        heap.bytes.chunks_exact(size).filter_map(get).for_each(&mut take);
        Ok(())
    }
}
