//! The builder: batches in, snapshot out.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::Snapshot;
use super::assemble;
use super::cfg::TopologyConfig;
use super::contents::Contents;
use super::dicts::{Dicts, NONE};
use super::group::Groups;
use super::hash;
use super::identity::Identity;
use super::pair::Pairer;
use super::publish;
use super::row::{StoredLink, StoredSpan};
use super::scope::Usage;
use super::shard::{Parts, Shard};
use super::sides::{Period, Sides};
use super::store::{PARTITIONS, Sealed, Store, Stored};
use super::tally::Tally;
use crate::diag::Diagnostic;
use crate::spans::{SpanBatch, UnixNanos};

/// What a source reported besides the spans.
#[derive(Debug, Clone, Default)]
pub struct Intake {
    /// Descriptions of the sources, for provenance.
    pub sources: Vec<String>,
    /// Spans refused, by code.
    pub rejected: BTreeMap<String, u64>,
    /// Traces only had in part.
    pub partial_traces: u64,
    /// Traces left out, since only a sample was asked for.
    pub left_out_traces: u64,
    /// The window asked for, where a backend was asked.
    pub window: Option<(UnixNanos, UnixNanos)>,
    /// What was set besides the configuration and decides what was read: shards must agree on it.
    pub settings: String,
}

/// Collects spans from any number of threads and turns them into a snapshot.
///
/// Memory stays at about [`TopologyConfig::memory_bytes`] for spans, plus what the names, operations and edges kept need;
/// both are bounded whatever arrives.
#[derive(Debug)]
pub struct Builder {
    cfg: TopologyConfig,
    store: Store,
    shard: Option<Shard>,
}

/// Spans of a partition worked on at once by one thread; larger partitions are read several times.
const MOST_LOADED: u64 = 1 << 20;
/// Spans of one trace that are used. A trace beyond it (an exporter that forgot to make ids) is thinned by a hash of the
/// span id, so that it fits.
const MOST_PER_TRACE: u64 = 1 << 20;

impl Builder {
    /// An empty builder.
    #[must_use]
    pub fn new(cfg: TopologyConfig) -> Self {
        Self::sharded(cfg, None)
    }

    /// An empty builder for one shard of a run; without shard, or with the only one, for all of it.
    ///
    /// It must be given everything all the same: names and their counts are taken from all of it, spans only from its own
    /// traces.
    #[must_use]
    pub fn sharded(cfg: TopologyConfig, shard: Option<Shard>) -> Self {
        let shard = shard.filter(|shard| shard.count() > 1);
        let store = Store::new(cfg.memory_bytes, cfg.max_operations, cfg.dimensions(), shard);
        Self { cfg, store, shard }
    }

    /// Takes the rows of a batch.
    ///
    /// # Errors
    /// `spill-failed` when memory is used up and the temporary directory cannot be written.
    pub fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        self.store.push(batch)
    }

    /// Pairs and aggregates everything, on `threads` threads (the result does not depend on how many).
    ///
    /// # Errors
    /// `no-spans` when nothing was pushed; `spill-failed` when spilled spans cannot be read back.
    pub fn finish(self, intake: Intake, threads: usize) -> Result<Snapshot, Diagnostic> {
        let (shard, cfg) = (self.shard, self.cfg.clone());
        let Counted { dicts, identity, mut tallies } = self.count(threads, &[Period::ALL])?;
        let tally = tallies.pop().unwrap_or_else(|| Tally::new(&identity, &cfg));
        let (counts, edges) = (tally.counts.clone(), tally.edges.threshold());
        let parts = shard.map(|shard| Parts::of_one(shard, &dicts, &cfg, &intake, edges));
        match &parts {
            // Few traces may well leave a shard without any.
            Some(parts) if parts.spans_read > 0 => {}
            _ if counts.spans > 0 => {}
            _ => return Err(no_spans(counts.ignored)),
        }
        let mut wide = assemble::wide(tally, &identity, &dicts, intake);
        wide.provenance.rules = cfg.fingerprint();
        Ok(match parts {
            Some(parts) => {
                let mut wide = Snapshot { shard: Some(parts), ..wide };
                publish::cut_wide(&mut wide);
                wide
            }
            None => publish::publish(wide),
        })
    }

    /// The same in two: the traces that start before `at`, and those from then on until `until`. Names and caps are those of
    /// both together; a trace belongs whole to one side or to none.
    ///
    /// # Errors
    /// As [`Self::finish`]; `no-spans-before` and `no-spans-after` when one side is empty.
    pub fn finish_split(
        self,
        intake: Intake,
        threads: usize,
        at: UnixNanos,
        until: UnixNanos,
    ) -> Result<(Snapshot, Snapshot), Diagnostic> {
        let cfg = self.cfg.clone();
        let periods = [Period { from: 0, to: at.0 }, Period { from: at.0, to: until.0 }, Period::ALL];
        let Counted { dicts, identity, tallies } = self.count(threads, &periods)?;
        let seen = tallies.iter().map(|tally| (tally.counts.first, tally.counts.last)).filter(|(first, _)| *first > 0);
        let seen = seen.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let ignored = tallies.iter().map(|tally| tally.counts.ignored).sum();
        let mut sides = tallies.into_iter().zip(periods).map(|(tally, period)| {
            let mut intake = intake.clone();
            let within =
                |(from, to): (UnixNanos, UnixNanos)| (from.max(UnixNanos(period.from)), to.min(UnixNanos(period.to)));
            intake.window = intake.window.map(within).filter(|(from, to)| from < to);
            let spans = tally.counts.spans;
            let mut wide = assemble::wide(tally, &identity, &dicts, intake);
            wide.provenance.rules = cfg.fingerprint();
            (spans > 0).then(|| publish::publish(wide))
        });
        match (sides.next().flatten(), sides.next().flatten()) {
            (Some(before), Some(after)) => Ok((before, after)),
            (before, _) => Err(match seen {
                None => no_spans(ignored),
                Some(seen) => empty_side(before.is_none(), at, seen),
            }),
        }
    }

    /// Pairs and counts everything, the traces of each period apart.
    fn count(self, threads: usize, periods: &[Period]) -> Result<Counted, Diagnostic> {
        let (dicts, sealed) = self.store.seal();
        let identity = Identity::new(&dicts, &self.cfg, &peer_usage(&self.cfg, &dicts, &sealed)?);
        let contents = Contents::of(&identity);
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<Tally>, Diagnostic> {
            let mut sides = Sides::new(periods, || Pairer::new(&identity, &contents, &self.cfg));
            let mut partition = Partition::new(&sealed);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= PARTITIONS {
                    return Ok(sides.into_tallies());
                }
                partition.pair(number, &mut sides)?;
            }
        };
        let threads = NonZero::new(threads.min(PARTITIONS)).map_or(1, NonZero::get);
        let parts: Vec<Result<Vec<Tally>, Diagnostic>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let joined = handles.into_iter().map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|_| Err(Diagnostic::error("internal", "a worker of the pairing stage failed")))
            });
            std::iter::once(own).chain(joined).collect()
        });
        let mut tallies: Vec<Tally> = periods.iter().map(|_| Tally::new(&identity, &self.cfg)).collect();
        for part in parts {
            tallies.iter_mut().zip(part?).for_each(|(tally, part)| tally.merge(part));
        }
        Ok(Counted { dicts, identity, tallies })
    }
}

/// What was counted, and what its numbers stand for.
struct Counted {
    dicts: Dicts,
    identity: Identity,
    /// One for each period.
    tallies: Vec<Tally>,
}

/// One side of a split is empty.
fn empty_side(before: bool, at: UnixNanos, (first, last): (u64, u64)) -> Diagnostic {
    let (first, last) = (UnixNanos(first), UnixNanos(last));
    let (code, side) = if before { ("no-spans-before", "before") } else { ("no-spans-after", "at or after") };
    Diagnostic::error(code, format!("no trace starts {side} {at}: those read are from {first} to {last}")).help(
        "check the time, which is UTC unless it says otherwise; or compare with another capture: tracebook diff BASE HEAD",
    )
}

/// Nothing to make a snapshot of.
pub(super) fn no_spans(ignored: u64) -> Diagnostic {
    let (message, help) = match ignored {
        0 => ("there is not a single span", "check the source, the window and the filter"),
        _ => (
            "an ignore rule leaves out every span",
            "check `topology.ignore_services` and `topology.ignore_operations`",
        ),
    };
    Diagnostic::error("no-spans", message).help(help)
}

/// Which peers are named in which scope. Only identity dimensions need to know, and cost one more pass over the spans.
fn peer_usage(cfg: &TopologyConfig, dicts: &Dicts, sealed: &Sealed) -> Result<Usage, Diagnostic> {
    let scopes = dicts.services.slots().iter().map(|slot| slot.item.as_ref().map_or("", |s| s.scope.as_str()));
    let mut usage = Usage::new(scopes);
    if !cfg.identity_dimensions.is_empty() {
        for partition in 0..PARTITIONS {
            let mut note = |row: &StoredSpan| {
                if let Some((peer, slot, _)) = dicts.peers.resolve(row.peer).filter(|(peer, ..)| *peer != NONE) {
                    usage.note(peer, slot.hash, row.service);
                }
            };
            let stored = sealed.take(partition);
            sealed.spans(&stored, |rows| rows.iter().for_each(&mut note))?;
            // In a shard they may come from spans that another one counts.
            sealed.links(&stored, |link| note(&link.from))?;
            sealed.put_back(partition, stored);
        }
    }
    Ok(usage)
}

/// One partition after the other; its memory is used again.
struct Partition<'s> {
    sealed: &'s Sealed,
    rows: Vec<StoredSpan>,
    links: Vec<StoredLink>,
    groups: Groups,
}

impl<'s> Partition<'s> {
    fn new(sealed: &'s Sealed) -> Self {
        Self { sealed, rows: Vec::new(), links: Vec::new(), groups: Groups::new(sealed.secret()) }
    }

    fn pair(&mut self, number: usize, pairer: &mut Sides<'_>) -> Result<(), Diagnostic> {
        let stored = self.sealed.take(number);
        if stored.len() > MOST_LOADED {
            return self.pair_in_passes(&stored, pairer);
        }
        self.rows.clear();
        self.sealed.spilled(&stored, |rows| self.rows.extend_from_slice(rows))?;
        self.links.clear();
        self.sealed.links(&stored, |link| self.links.push(link))?;
        // Rows in memory stay where they are.
        let pieces: Vec<&[StoredSpan]> = stored.in_memory().chain([self.rows.as_slice()]).collect();
        pair_traces(&pieces, &mut self.links, &mut self.groups, pairer);
        Ok(())
    }

    /// Reads a large partition once for each [`MOST_LOADED`] spans of it that are used: one trace id for everything must
    /// not cost a pass for each million spans of which one million is kept.
    fn pair_in_passes(&mut self, stored: &Stored, pairer: &mut Sides<'_>) -> Result<(), Diagnostic> {
        let sealed = self.sealed;
        let (giants, used) = find_giants(sealed, stored)?;
        let passes = used.div_ceil(MOST_LOADED).max(1);
        // Another part of the hash than the one that chose the partition.
        let in_pass = |trace: u128, pass: u64| (sealed.secret().trace(trace) >> 16) % passes == pass;
        for pass in 0..passes {
            self.rows.clear();
            let mut left_out = 0;
            sealed.spans(stored, |rows| {
                for row in rows.iter().filter(|row| in_pass(row.trace, pass)) {
                    match giants.get(&row.trace) {
                        Some(shift) if hash::mix(8, row.span).leading_zeros() < *shift => left_out += 1,
                        _ => self.rows.push(*row),
                    }
                }
            })?;
            pairer.left_out(left_out);
            self.links.clear();
            sealed.links(stored, |link| {
                if in_pass(link.linked_trace, pass) {
                    self.links.push(link);
                }
            })?;
            pair_traces(&[&self.rows], &mut self.links, &mut self.groups, pairer);
        }
        Ok(())
    }
}

fn pair_traces(rows: &[&[StoredSpan]], links: &mut [StoredLink], groups: &mut Groups, pairer: &mut Sides<'_>) {
    links.sort_unstable_by_key(|link| link.linked_trace);
    let mut links: Vec<(u128, &mut [StoredLink])> = links
        .chunk_by_mut(|a, b| a.linked_trace == b.linked_trace)
        .filter_map(|group| Some((group.first()?.linked_trace, group)))
        .collect();
    groups.group(rows);
    groups.each(|trace, order| {
        let found = links.binary_search_by_key(&trace, |(linked, _)| *linked).ok();
        let own = found.and_then(|at| links.get_mut(at)).map(|(_, group)| std::mem::take(group));
        pairer.trace(trace, rows, order, own.unwrap_or_default());
    });
    for (trace, lost) in links {
        if !lost.is_empty() {
            pairer.trace(trace, rows, &mut [], lost);
        }
    }
}

/// Traces with too many spans, and by how many powers of two; about how many spans of all traces are used.
fn find_giants(sealed: &Sealed, partition: &Stored) -> Result<(Giants, u64), Diagnostic> {
    let mut counts: HashMap<u128, u64, foldhash::fast::FixedState> = HashMap::default();
    sealed.spans(partition, |rows| rows.iter().for_each(|row| *counts.entry(row.trace).or_default() += 1))?;
    let shift = |n: u64| n.div_ceil(MOST_PER_TRACE).next_power_of_two().ilog2();
    let used = counts.values().map(|n| *n >> shift(*n)).sum();
    counts.retain(|_, n| *n > MOST_PER_TRACE);
    Ok((counts.into_iter().map(|(trace, n)| (trace, shift(n))).collect(), used))
}

type Giants = HashMap<u128, u32, foldhash::fast::FixedState>;

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
