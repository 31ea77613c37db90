//! A dictionary of distinct values whose size is bounded, whatever arrives and in whatever order.
//!
//! Every value has a content hash. Once a bound is passed, the admission threshold is halved until what is below it
//! fits: the values kept are then "all seen values with a hash below the threshold", which does not depend on the order
//! they came in (bottom-k sampling; Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). Everything
//! else is stood in for by a coarser value (its name becomes [`OTHER`]). Values belong to groups (operations to their
//! service) with a bound of their own, so that one noisy service cannot push out the names of the others.

use hashbrown::HashTable;

/// What stands for names beyond a cap.
pub(super) const OTHER: &str = "(other)";

/// How large a dictionary may grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Values in all.
    pub(super) items: usize,
    /// Bytes of text in all.
    pub(super) bytes: usize,
    /// Values of one group.
    pub(super) per_group: usize,
}

/// A value, or what became of it.
#[derive(Debug)]
pub(super) struct Slot<T> {
    /// Content hash, the same in every run.
    pub(super) hash: u64,
    /// The value; `None` once it was pushed out.
    pub(super) item: Option<T>,
    /// The slot that stands for it; its own position while it is kept.
    pub(super) stand_in: u32,
    /// How many rows use it.
    pub(super) count: u64,
    bytes: u32,
    pinned: bool,
}

#[derive(Debug, Clone, Default)]
struct Group {
    shift: u32,
    members: Vec<u32>,
}

/// The dictionary.
#[derive(Debug)]
pub(super) struct Dict<T> {
    slots: Vec<Slot<T>>,
    index: HashTable<u32>,
    groups: Vec<Group>,
    bounds: Bounds,
    shift: u32,
    kept: usize,
    bytes: usize,
}

/// A value on its way in, described without being built.
pub(super) struct Candidate<'a, T> {
    /// Content hash.
    pub(super) hash: u64,
    /// The group it belongs to.
    pub(super) group: u32,
    /// Bytes of its text.
    pub(super) bytes: usize,
    /// Whether a kept value is this one.
    pub(super) same: &'a dyn Fn(&T) -> bool,
    /// Builds it.
    pub(super) make: &'a dyn Fn() -> T,
}

fn admitted(hash: u64, shift: u32) -> bool {
    hash.leading_zeros() >= shift
}

impl<T> Dict<T> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { slots: Vec::new(), index: HashTable::new(), groups: Vec::new(), bounds, shift: 0, kept: 0, bytes: 0 }
    }

    /// All slots ever made; positions in it are what rows carry.
    pub(super) fn slots(&self) -> &[Slot<T>] {
        &self.slots
    }

    /// Follows stand-ins: the slot whose value counts for `id`.
    pub(super) fn resolve(&self, id: u32) -> Option<(u32, &Slot<T>, &T)> {
        let slot = self.slots.get(id as usize)?;
        let at = if slot.item.is_some() { id } else { slot.stand_in };
        let slot = self.slots.get(at as usize)?;
        Some((at, slot, slot.item.as_ref()?))
    }

    /// Adds a value that is never pushed out (a stand-in).
    pub(super) fn pin(&mut self, candidate: &Candidate<'_, T>) -> u32 {
        let id = self.find(candidate).unwrap_or_else(|| self.insert(candidate));
        if let Some(slot) = self.slots.get_mut(id as usize)
            && !slot.pinned
        {
            slot.pinned = true;
            self.kept = self.kept.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(slot.bytes as usize);
        }
        id
    }

    /// The position of a value used by `count` more rows. `stand_in` is the pinned position that takes its place when
    /// there is no room for it.
    pub(super) fn intern(&mut self, candidate: &Candidate<'_, T>, count: u64, stand_in: u32) -> u32 {
        let mut id = self.find(candidate).unwrap_or(u32::MAX);
        if id == u32::MAX {
            let group_shift = self.groups.get(candidate.group as usize).map_or(0, |g| g.shift);
            if admitted(candidate.hash, self.shift.max(group_shift)) && self.slots.len() < u32::MAX as usize {
                id = self.insert(candidate);
                if let Some(slot) = self.slots.get_mut(id as usize) {
                    slot.stand_in = stand_in;
                }
                self.tighten(candidate.group);
            } else {
                id = stand_in;
            }
        }
        let at = match self.slots.get(id as usize) {
            Some(slot) if slot.item.is_none() => slot.stand_in,
            _ => id,
        };
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.count = slot.count.saturating_add(count);
        }
        at
    }

    fn find(&self, candidate: &Candidate<'_, T>) -> Option<u32> {
        let same = |id: &u32| {
            self.slots.get(*id as usize).is_some_and(|slot| {
                slot.hash == candidate.hash && slot.item.as_ref().is_some_and(|item| (candidate.same)(item))
            })
        };
        self.index.find(candidate.hash, same).copied()
    }

    #[allow(clippy::cast_possible_truncation, reason = "slots are fewer than 2^32, texts are clipped")]
    fn insert(&mut self, candidate: &Candidate<'_, T>) -> u32 {
        let id = self.slots.len() as u32;
        self.slots.push(Slot {
            hash: candidate.hash,
            item: Some((candidate.make)()),
            stand_in: id,
            count: 0,
            bytes: candidate.bytes as u32,
            pinned: false,
        });
        let slots = &self.slots;
        self.index.insert_unique(candidate.hash, id, |at| slots.get(*at as usize).map_or(0, |slot| slot.hash));
        let group = candidate.group as usize;
        if group >= self.groups.len() {
            self.groups.resize(group + 1, Group::default());
        }
        if let Some(group) = self.groups.get_mut(group) {
            group.members.push(id);
        }
        self.kept += 1;
        self.bytes += candidate.bytes;
        id
    }

    /// Halves thresholds until every bound holds.
    fn tighten(&mut self, group: u32) {
        while self.groups.get(group as usize).is_some_and(|g| g.members.len() > self.bounds.per_group && g.shift < 64) {
            let Some(found) = self.groups.get_mut(group as usize) else { return };
            found.shift += 1;
            let (shift, members) = (found.shift, std::mem::take(&mut found.members));
            let left = members.into_iter().filter(|id| self.keep_or_evict(*id, shift)).collect();
            if let Some(found) = self.groups.get_mut(group as usize) {
                found.members = left;
            }
        }
        while (self.kept > self.bounds.items || self.bytes > self.bounds.bytes) && self.shift < 64 {
            self.shift += 1;
            let mut groups = std::mem::take(&mut self.groups);
            for group in &mut groups {
                group.members.retain(|id| self.keep_or_evict(*id, self.shift));
            }
            self.groups = groups;
        }
    }

    fn keep_or_evict(&mut self, id: u32, shift: u32) -> bool {
        let Some(slot) = self.slots.get_mut(id as usize) else { return false };
        if slot.pinned || admitted(slot.hash, shift) {
            return true;
        }
        slot.item = None;
        let (hash, count, stand_in, bytes) = (slot.hash, slot.count, slot.stand_in, slot.bytes);
        if let Ok(entry) = self.index.find_entry(hash, |at| *at == id) {
            entry.remove();
        }
        if let Some(other) = self.slots.get_mut(stand_in as usize) {
            other.count = other.count.saturating_add(count);
        }
        self.kept = self.kept.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as usize);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    type Name = (u32, String);

    fn add(dict: &mut Dict<Name>, group: u32, name: &str) -> u32 {
        let candidate = |name: &str| (hash::text(u64::from(group), name), (group, name.to_owned()));
        let (other_hash, other) = candidate(OTHER);
        let same = |item: &Name| *item == other;
        let other = dict.pin(&Candidate { hash: other_hash, group, bytes: 7, same: &same, make: &|| other.clone() });
        let (hash, wanted) = candidate(name);
        let same = |item: &Name| *item == wanted;
        let wanted = Candidate { hash, group, bytes: name.len(), same: &same, make: &|| wanted.clone() };
        dict.intern(&wanted, 1, other)
    }

    fn kept(dict: &Dict<Name>) -> BTreeMap<Name, u64> {
        dict.slots.iter().filter_map(|s| Some((s.item.clone()?, s.count))).collect()
    }

    #[test]
    fn what_is_kept_and_counted_does_not_depend_on_the_order_of_arrival() {
        let bounds = Bounds { items: 300, bytes: 1 << 20, per_group: 100 };
        let names: Vec<String> = (0..5_000).map(|i| format!("GET /{i}")).collect();
        let mut forward = Dict::new(bounds);
        names.iter().for_each(|n| _ = add(&mut forward, 0, n));
        (0..5).for_each(|i| _ = add(&mut forward, 1, &format!("op {i}")));
        let mut backward = Dict::new(bounds);
        (0..5).for_each(|i| _ = add(&mut backward, 1, &format!("op {i}")));
        names.iter().rev().for_each(|n| _ = add(&mut backward, 0, n));
        assert_eq!(kept(&forward), kept(&backward));
        let groups: BTreeSet<u32> = kept(&forward).keys().map(|(g, _)| *g).collect();
        assert_eq!(groups.len(), 2);
        assert_eq!(kept(&forward).keys().filter(|(g, _)| *g == 1).count(), 6, "the quiet group keeps all its names");
        let noisy = kept(&forward).keys().filter(|(g, _)| *g == 0).count();
        assert!((40..=101).contains(&noisy), "{noisy}");
        assert_eq!(kept(&forward).values().sum::<u64>(), 5_005, "rows of names pushed out count for their stand-in");
    }

    #[test]
    fn a_name_pushed_out_later_resolves_to_its_stand_in() {
        let mut dict = Dict::new(Bounds { items: 1000, bytes: 1 << 20, per_group: 10 });
        let ids: Vec<u32> = (0..1000).map(|i| add(&mut dict, 0, &format!("n{i}"))).collect();
        for id in ids {
            let (_, _, (_, name)) = dict.resolve(id).unwrap();
            assert!(name.starts_with('n') || name == OTHER);
        }
        assert!(dict.slots.len() < 100, "slots of refused names are not made: {}", dict.slots.len());
    }
}
