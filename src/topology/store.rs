//! Spans until their traces are whole: scattered by trace id, in memory as long as there is room, then on disk.
//!
//! Purpose: any number of spans from any number of threads in a fixed amount of memory. Input: batches. Output: one
//! partition at a time, holding whole traces and the links that point into them.
//! Must not: pair or count anything.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::dicts::Dicts;
use super::hash::Secret;
use super::lane::{Lane, Rows};
use super::row::{StoredLink, StoredSpan};
use super::shard::Shard;
use crate::diag::Diagnostic;
use crate::spans::{Epoch, SpanBatch};

/// How many partitions: a power of two, so that at 100 million spans one partition is some 30 MB.
pub(super) const PARTITIONS: usize = 256;
/// Lanes made for different epochs. More exist only while more threads than this push at once.
const MOST_LANES: usize = 16;

/// Where in the spill file records lie: (offset, length).
type Pieces = Vec<(u64, usize)>;

/// The one spill file: unnamed, so it vanishes with the process.
#[derive(Debug)]
struct Spill {
    file: File,
    end: u64,
    spans: Vec<Pieces>,
    links: Vec<Pieces>,
}

/// Lanes nobody works on right now.
#[derive(Debug, Default)]
struct Pool {
    idle: Vec<Lane>,
    /// Lanes there are, those at work included.
    lanes: usize,
    clock: u64,
}

/// The store.
#[derive(Debug)]
pub(super) struct Store {
    dicts: Mutex<Dicts>,
    pool: Mutex<Pool>,
    spill: Mutex<Option<Spill>>,
    /// Bytes of rows and links in all lanes, and how many there may be.
    bytes: AtomicUsize,
    most_bytes: usize,
    secret: Secret,
    shard: Option<Shard>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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
            pool: Mutex::default(),
            spill: Mutex::new(None),
            bytes: AtomicUsize::new(0),
            most_bytes: memory_bytes,
            secret: Secret::new(),
            shard,
        }
    }

    /// Takes the rows of a batch.
    pub(super) fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let mut lane = self.lane(batch.epoch());
        lane.enter(batch.epoch(), &self.dicts);
        let more = lane.push(batch, self.shard, &self.dicts);
        let bytes = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        self.give_back(lane);
        if bytes > self.most_bytes { self.make_room() } else { Ok(()) }
    }

    /// The lane of this epoch, or another one to be used for it.
    fn lane(&self, epoch: Epoch) -> Lane {
        let mut pool = lock(&self.pool);
        let same = pool.idle.iter().position(|lane| lane.epoch == Some(epoch));
        let oldest = || {
            let idle = pool.idle.iter().enumerate().min_by_key(|(_, lane)| lane.used);
            idle.filter(|_| pool.lanes >= MOST_LANES).map(|(at, _)| at)
        };
        match same.or_else(oldest) {
            Some(at) => pool.idle.swap_remove(at),
            None => {
                pool.lanes += 1;
                Lane::new(self.secret)
            }
        }
    }

    fn give_back(&self, mut lane: Lane) {
        let mut pool = lock(&self.pool);
        pool.clock += 1;
        lane.used = pool.clock;
        pool.idle.push(lane);
    }

    /// Writes the largest lane nobody works on to disk. Whoever works on a lane comes here afterwards, so what is kept in
    /// memory stays at about what is allowed.
    fn make_room(&self) -> Result<(), Diagnostic> {
        let lane = {
            let mut pool = lock(&self.pool);
            let largest = pool.idle.iter().enumerate().max_by_key(|(_, lane)| lane.bytes);
            match largest.filter(|(_, lane)| lane.bytes > 0).map(|(at, _)| at) {
                Some(at) => pool.idle.swap_remove(at),
                None => return Ok(()),
            }
        };
        let mut lane = lane;
        let written = self.write(&mut lane);
        self.bytes.fetch_sub(std::mem::take(&mut lane.bytes), Ordering::Relaxed);
        self.give_back(lane);
        written
    }

    fn write(&self, lane: &mut Lane) -> Result<(), Diagnostic> {
        let mut spill = lock(&self.spill);
        if spill.is_none() {
            let file = tempfile::tempfile().map_err(|e| spill_failed("written to", &e))?;
            let none = || vec![Pieces::new(); PARTITIONS];
            *spill = Some(Spill { file, end: 0, spans: none(), links: none() });
        }
        let Some(Spill { file, end, spans, links }) = spill.as_mut() else { return Ok(()) };
        let mut bytes = Vec::new();
        let mut put = |bytes: &mut Vec<u8>, pieces: &mut Pieces| -> Result<(), Diagnostic> {
            if !bytes.is_empty() {
                file.write_all(bytes).map_err(|e| spill_failed("written to", &e))?;
                pieces.push((*end, bytes.len()));
                *end += bytes.len() as u64;
                bytes.clear();
            }
            Ok(())
        };
        for (rows, pieces) in lane.rows.iter_mut().zip(spans) {
            rows.drain(|row| row.put(&mut bytes));
            put(&mut bytes, pieces)?;
        }
        for (rows, pieces) in lane.links.iter_mut().zip(links) {
            rows.drain(..).for_each(|link| link.put(&mut bytes));
            put(&mut bytes, pieces)?;
        }
        Ok(())
    }

    /// No more batches: dictionaries and partitions.
    pub(super) fn seal(self) -> (Dicts, Sealed) {
        let pool = self.pool.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut partitions: Vec<Stored> = (0..PARTITIONS).map(|_| Stored::default()).collect();
        for mut lane in pool.idle {
            lane.hand_over(&self.dicts);
            for ((partition, rows), links) in partitions.iter_mut().zip(lane.rows).zip(lane.links) {
                let Rows { full, last } = rows;
                partition.spans.extend(full.into_iter().chain([last]).filter(|rows| !rows.is_empty()));
                partition.links.extend(links);
            }
        }
        let mut spill = self.spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(spill) = &mut spill {
            let pieces = spill.spans.iter_mut().zip(&mut spill.links);
            for (partition, (spans, links)) in partitions.iter_mut().zip(pieces) {
                partition.spilled_spans = std::mem::take(spans);
                partition.spilled_links = std::mem::take(links);
            }
        }
        let dicts = self.dicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        let partitions = partitions.into_iter().map(Mutex::new).collect();
        (dicts, Sealed { partitions, spill: Mutex::new(spill.map(|spill| spill.file)), secret: self.secret })
    }
}

/// Rows and links of one partition, in memory and on disk.
#[derive(Debug, Default)]
pub(super) struct Stored {
    spans: Vec<Vec<StoredSpan>>,
    links: Vec<StoredLink>,
    spilled_spans: Pieces,
    spilled_links: Pieces,
}

/// A store that takes no more.
#[derive(Debug)]
pub(super) struct Sealed {
    partitions: Vec<Mutex<Stored>>,
    spill: Mutex<Option<File>>,
    secret: Secret,
}

impl Stored {
    /// How many spans.
    pub(super) fn len(&self) -> u64 {
        let kept: usize = self.spans.iter().map(Vec::len).sum();
        let spilled: usize = self.spilled_spans.iter().map(|(_, bytes)| bytes / StoredSpan::BYTES).sum();
        (kept + spilled) as u64
    }

    /// The spans in memory, in pieces.
    pub(super) fn in_memory(&self) -> impl Iterator<Item = &[StoredSpan]> {
        self.spans.iter().map(Vec::as_slice)
    }
}

impl Sealed {
    /// What decides where a trace lies.
    pub(super) fn secret(&self) -> Secret {
        self.secret
    }

    /// A partition, once: its memory is free when the caller is done with it.
    pub(super) fn take(&self, partition: usize) -> Stored {
        self.partitions.get(partition).map(|partition| std::mem::take(&mut *lock(partition))).unwrap_or_default()
    }

    /// For whoever wants to look at a partition more than once.
    pub(super) fn put_back(&self, partition: usize, taken: Stored) {
        if let Some(partition) = self.partitions.get(partition) {
            *lock(partition) = taken;
        }
    }

    /// Hands every span of a partition to `take`, in pieces and in no order that means anything.
    pub(super) fn spans(&self, of: &Stored, mut take: impl FnMut(&[StoredSpan])) -> Result<(), Diagnostic> {
        of.in_memory().for_each(&mut take);
        self.spilled(of, take)
    }

    /// The same for those on disk only.
    pub(super) fn spilled(&self, of: &Stored, mut take: impl FnMut(&[StoredSpan])) -> Result<(), Diagnostic> {
        let mut rows = Vec::new();
        self.read(&of.spilled_spans, |bytes| {
            rows.clear();
            rows.extend(bytes.chunks_exact(StoredSpan::BYTES).filter_map(StoredSpan::get));
            take(&rows);
        })
    }

    /// Hands every link into a partition to `take`.
    pub(super) fn links(&self, of: &Stored, mut take: impl FnMut(StoredLink)) -> Result<(), Diagnostic> {
        of.links.iter().copied().for_each(&mut take);
        self.read(&of.spilled_links, |bytes| {
            bytes.chunks_exact(StoredLink::BYTES).filter_map(StoredLink::get).for_each(&mut take);
        })
    }

    fn read(&self, pieces: &Pieces, mut take: impl FnMut(&[u8])) -> Result<(), Diagnostic> {
        let mut bytes = Vec::new();
        for (offset, length) in pieces {
            bytes.resize(*length, 0);
            {
                let mut spill = lock(&self.spill);
                let Some(file) = spill.as_mut() else { continue };
                file.seek(SeekFrom::Start(*offset)).map_err(|e| spill_failed("read back from", &e))?;
                file.read_exact(&mut bytes).map_err(|e| spill_failed("read back from", &e))?;
            }
            take(&bytes);
        }
        Ok(())
    }
}
