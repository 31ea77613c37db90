//! A batch's numbers → the run's, remembered from batch to batch.
//!
//! As long as batches are of one epoch, their numbers mean the same, and only a number not met before is looked up in the
//! shared dictionaries, under their lock. How often each is used is counted here and handed over at the end: what was
//! pushed out of a dictionary meanwhile then counts for what stands in for it, whenever it was counted.

use std::sync::Mutex;

use super::dicts::{Dicts, NONE, Owner};
use super::hash::Secret;
use super::store::lock;
use crate::spans::{SpanBatch, SpanRow};

/// Not looked up yet.
const UNKNOWN: u32 = u32::MAX;
/// Pairs of resource and name remembered at once, about four megabytes of them; when there are more, all are forgotten.
const MOST_PAIRS: usize = 1 << 17;
/// Rows after which counts are handed over, so that none overflows.
const MOST_ROWS: u64 = 1 << 31;

/// A row's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) service: u32,
    pub(super) op: u32,
    pub(super) resource: u32,
    pub(super) peer: u32,
    pub(super) error: u32,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    id: u32,
    rows: u32,
}

impl Counted {
    const UNKNOWN: Self = Self { id: UNKNOWN, rows: 0 };
}

/// An operation name with a resource, both of the batch.
#[derive(Debug, Clone, Copy)]
struct Pair {
    key: u64,
    op: u32,
    rows: u32,
}

impl Pair {
    /// No resource has the last number.
    const EMPTY: Self = Self { key: u64::MAX, op: NONE, rows: 0 };
}

/// What is remembered.
#[derive(Debug)]
pub(super) struct Tables {
    secret: Secret,
    owners: Vec<Owner>,
    peers: Vec<Counted>,
    errors: Vec<Counted>,
    /// Open addressing; a power of two, at most half full.
    pairs: Vec<Pair>,
    known: usize,
    rows: u64,
}

impl Tables {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, owners: Vec::new(), peers: Vec::new(), errors: Vec::new(), pairs: Vec::new(), known: 0, rows: 0 }
    }

    /// Makes room for what a batch may refer to.
    pub(super) fn expect(&mut self, batch: &SpanBatch, dicts: &Mutex<Dicts>) {
        if self.rows >= MOST_ROWS {
            self.hand_over(dicts);
        }
        self.rows += batch.rows.len() as u64;
        let unknown = Owner { service: UNKNOWN, hash: 0, resource: NONE };
        self.owners.resize(self.owners.len().max(batch.resources().len()), unknown);
        self.peers.resize(self.peers.len().max(batch.peers().len()), Counted::UNKNOWN);
        self.errors.resize(self.errors.len().max(batch.errors().len()), Counted::UNKNOWN);
        if self.pairs.is_empty() {
            self.pairs.resize(1 << 10, Pair::EMPTY);
        }
    }

    /// The run's numbers for a row, counted as used.
    #[inline]
    pub(super) fn of(&mut self, batch: &SpanBatch, row: &SpanRow, dicts: &Mutex<Dicts>) -> Numbers {
        let mut owner = self.owners.get(row.resource.0 as usize).copied();
        if owner.is_none_or(|owner| owner.service == UNKNOWN) {
            owner = self.learn_owner(batch, row, dicts);
        }
        let Some(owner) = owner else { return Self::nobody() };
        Numbers {
            service: owner.service,
            op: self.op(batch, row, owner, dicts),
            resource: owner.resource,
            peer: match self.peers.get_mut(row.peer.0 as usize) {
                Some(Counted { id, rows }) if *id != UNKNOWN => {
                    *rows += 1;
                    *id
                }
                _ => self.learn_peer(batch, row, dicts),
            },
            error: match self.errors.get_mut(row.error.0 as usize) {
                Some(Counted { id, rows }) if *id != UNKNOWN => {
                    *rows += 1;
                    *id
                }
                _ => self.learn_error(batch, row, dicts),
            },
        }
    }

    /// The run's numbers for a row that was counted before.
    pub(super) fn known(&mut self, batch: &SpanBatch, row: &SpanRow, dicts: &Mutex<Dicts>) -> Numbers {
        let numbers = self.of(batch, row, dicts);
        self.uncount(row);
        numbers
    }

    fn uncount(&mut self, row: &SpanRow) {
        let key = u64::from(row.resource.0) << 32 | u64::from(row.name.0);
        let pair = self.place(key);
        for rows in [
            self.pairs.get_mut(pair).filter(|pair| pair.key == key).map(|pair| &mut pair.rows),
            self.peers.get_mut(row.peer.0 as usize).map(|peer| &mut peer.rows),
            self.errors.get_mut(row.error.0 as usize).map(|error| &mut error.rows),
        ]
        .into_iter()
        .flatten()
        {
            *rows = rows.saturating_sub(1);
        }
    }

    /// A row whose resource is not in its batch.
    fn nobody() -> Numbers {
        Numbers { service: NONE, op: NONE, resource: NONE, peer: NONE, error: NONE }
    }

    #[inline]
    fn op(&mut self, batch: &SpanBatch, row: &SpanRow, owner: Owner, dicts: &Mutex<Dicts>) -> u32 {
        let key = u64::from(row.resource.0) << 32 | u64::from(row.name.0);
        let at = self.place(key);
        match self.pairs.get_mut(at) {
            Some(pair) if pair.key == key => {
                pair.rows += 1;
                pair.op
            }
            _ => self.learn_op(batch, row, owner, dicts),
        }
    }

    /// Where a pair is, or may be put.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "masked")]
    fn place(&self, key: u64) -> usize {
        let mask = self.pairs.len().wrapping_sub(1);
        let mut at = self.secret.word(key) as usize & mask;
        while self.pairs.get(at).is_some_and(|pair| pair.key != key && pair.key != u64::MAX) {
            at = (at + 1) & mask;
        }
        at
    }

    #[inline(never)]
    fn learn_owner(&mut self, batch: &SpanBatch, row: &SpanRow, dicts: &Mutex<Dicts>) -> Option<Owner> {
        let resource = batch.resources().get(row.resource.0 as usize)?;
        let owner = lock(dicts).resource(resource);
        *self.owners.get_mut(row.resource.0 as usize)? = owner;
        Some(owner)
    }

    #[inline(never)]
    fn learn_op(&mut self, batch: &SpanBatch, row: &SpanRow, owner: Owner, dicts: &Mutex<Dicts>) -> u32 {
        let op = lock(dicts).op(owner, batch.strings.get(row.name));
        if self.known >= MOST_PAIRS {
            self.forget_pairs(dicts);
        }
        self.known += 1;
        if 2 * self.known > self.pairs.len() {
            let larger = vec![Pair::EMPTY; self.pairs.len() * 2];
            for pair in std::mem::replace(&mut self.pairs, larger).into_iter().filter(|pair| pair.key != u64::MAX) {
                self.put(pair);
            }
        }
        let key = u64::from(row.resource.0) << 32 | u64::from(row.name.0);
        self.put(Pair { key, op, rows: 1 });
        op
    }

    fn put(&mut self, pair: Pair) {
        let at = self.place(pair.key);
        if let Some(place) = self.pairs.get_mut(at) {
            *place = pair;
        }
    }

    #[inline(never)]
    fn learn_peer(&mut self, batch: &SpanBatch, row: &SpanRow, dicts: &Mutex<Dicts>) -> u32 {
        let at = row.peer.0 as usize;
        let (Some(peer), Some(known)) = (batch.peers().get(at), self.peers.get_mut(at)) else { return NONE };
        *known = Counted { id: lock(dicts).peer(peer), rows: 1 };
        known.id
    }

    #[inline(never)]
    fn learn_error(&mut self, batch: &SpanBatch, row: &SpanRow, dicts: &Mutex<Dicts>) -> u32 {
        let at = row.error.0 as usize;
        let (Some(error), Some(known)) = (batch.errors().get(at), self.errors.get_mut(at)) else { return NONE };
        *known = Counted { id: lock(dicts).error(error), rows: 1 };
        known.id
    }

    fn forget_pairs(&mut self, dicts: &Mutex<Dicts>) {
        self.hand_over(dicts);
        self.pairs.fill(Pair::EMPTY);
        self.known = 0;
    }

    /// Hands all counts over.
    pub(super) fn hand_over(&mut self, dicts: &Mutex<Dicts>) {
        let mut dicts = lock(dicts);
        for pair in self.pairs.iter_mut().filter(|pair| pair.rows > 0) {
            let rows = u64::from(std::mem::take(&mut pair.rows));
            dicts.ops.count(pair.op, rows);
            let Some(owner) = self.owners.get((pair.key >> 32) as usize) else { continue };
            dicts.services.count(owner.service, rows);
            dicts.resources.count(owner.resource, rows);
        }
        for peer in self.peers.iter_mut().filter(|peer| peer.rows > 0) {
            dicts.peers.count(peer.id, u64::from(std::mem::take(&mut peer.rows)));
        }
        for error in self.errors.iter_mut().filter(|error| error.rows > 0) {
            dicts.errors.count(error.id, u64::from(std::mem::take(&mut error.rows)));
        }
        self.rows = 0;
    }

    /// Hands all counts over and forgets everything: the next batch is of another epoch.
    pub(super) fn forget(&mut self, dicts: &Mutex<Dicts>) {
        self.hand_over(dicts);
        self.owners.clear();
        self.peers.clear();
        self.errors.clear();
        self.pairs.clear();
        self.known = 0;
    }
}
