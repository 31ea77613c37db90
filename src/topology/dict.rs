//! A dictionary of distinct values whose size is bounded, whatever arrives and in whatever order.
//!
//! Every value has a content hash. Once a bound is passed, the admission threshold is halved until what is below it
//! fits: the values kept are then "all seen values with a hash below the threshold", which does not depend on the order
//! they came in (bottom-k sampling; Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007). Everything
//! else is stood in for by a coarser value (its name becomes [`OTHER`]). Values belong to groups (operations to their
//! service) with a bound of their own, so that one noisy service cannot push out the names of the others.
//!
//! A group over its bound counts as full towards the bounds of all, however little its own threshold left of it: so the
//! common threshold too follows from the set of values seen, not from the order in which groups were cut.

use hashbrown::{HashMap, HashTable};

/// What stands for names beyond a cap.
pub(super) const OTHER: &str = "(other)";

/// How large a dictionary may grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Values in all, and bytes of their text.
    pub(super) all: Load,
    /// Values of one group, and bytes of their text.
    pub(super) group: Load,
}

/// Values and their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Load {
    pub(super) items: usize,
    pub(super) bytes: usize,
}

impl Load {
    pub(super) const UNBOUNDED: Self = Self { items: usize::MAX, bytes: usize::MAX };

    fn exceeds(self, bound: Self) -> bool {
        self.items > bound.items || self.bytes > bound.bytes
    }

    fn add(&mut self, other: Self) {
        self.items = self.items.saturating_add(other.items);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    fn sub(&mut self, other: Self) {
        self.items = self.items.saturating_sub(other.items);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
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
}

#[derive(Debug, Default)]
struct Group {
    shift: u32,
    members: Vec<u32>,
    load: Load,
}

impl Group {
    /// What it counts for in all: everything it may hold once its own threshold is above the common one.
    fn counts_for(&self, shift: u32, full: Load) -> Load {
        if self.shift > shift { full } else { self.load }
    }
}

/// The dictionary.
#[derive(Debug)]
pub(super) struct Dict<T> {
    slots: Vec<Slot<T>>,
    index: HashTable<u32>,
    groups: HashMap<u64, Group, foldhash::fast::FixedState>,
    bounds: Bounds,
    shift: u32,
    load: Load,
}

/// A value on its way in, described without being built.
pub(super) struct Candidate<'a, T> {
    /// Content hash.
    pub(super) hash: u64,
    /// The group it belongs to: a hash of it that is the same in every run.
    pub(super) group: u64,
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
        Self {
            slots: Vec::new(),
            index: HashTable::new(),
            groups: HashMap::default(),
            bounds,
            shift: 0,
            load: Load::default(),
        }
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

    /// Adds a value that is never pushed out (a stand-in), before all others.
    pub(super) fn pin(&mut self, candidate: &Candidate<'_, T>) -> u32 {
        self.find(candidate).unwrap_or_else(|| self.insert(candidate, None))
    }

    /// The position of a value. `stand_in` is the pinned position that takes its place when there is no room for it.
    pub(super) fn intern(&mut self, candidate: &Candidate<'_, T>, stand_in: u32) -> u32 {
        if let Some(id) = self.find(candidate) {
            return id;
        }
        let group_shift = self.groups.get(&candidate.group).map_or(0, |g| g.shift);
        if !admitted(candidate.hash, self.shift.max(group_shift)) || self.slots.len() >= u32::MAX as usize {
            return stand_in;
        }
        let id = self.insert(candidate, Some(stand_in));
        self.tighten(candidate.group);
        id
    }

    /// Counts rows that use a value, or what stands for it by now.
    pub(super) fn count(&mut self, id: u32, rows: u64) {
        let Some((at, ..)) = self.resolve(id) else { return };
        if let Some(slot) = self.slots.get_mut(at as usize) {
            slot.count = slot.count.saturating_add(rows);
        }
    }

    fn find(&self, candidate: &Candidate<'_, T>) -> Option<u32> {
        let same = |id: &u32| {
            self.slots.get(*id as usize).is_some_and(|slot| {
                slot.hash == candidate.hash && slot.item.as_ref().is_some_and(|item| (candidate.same)(item))
            })
        };
        self.index.find(candidate.hash, same).copied()
    }

    /// A new slot; without a stand-in it is pinned.
    #[allow(clippy::cast_possible_truncation, reason = "slots are fewer than 2^32, texts are clipped")]
    fn insert(&mut self, candidate: &Candidate<'_, T>, stand_in: Option<u32>) -> u32 {
        let id = self.slots.len() as u32;
        self.slots.push(Slot {
            hash: candidate.hash,
            item: Some((candidate.make)()),
            stand_in: stand_in.unwrap_or(id),
            count: 0,
            bytes: candidate.bytes as u32,
        });
        let slots = &self.slots;
        self.index.insert_unique(candidate.hash, id, |at| slots.get(*at as usize).map_or(0, |slot| slot.hash));
        if stand_in.is_some() {
            let (shift, full) = (self.shift, self.bounds.group);
            let group = self.groups.entry(candidate.group).or_default();
            self.load.sub(group.counts_for(shift, full));
            group.members.push(id);
            group.load.add(Load { items: 1, bytes: candidate.bytes });
            self.load.add(group.counts_for(shift, full));
        }
        id
    }

    /// Halves thresholds until every bound holds.
    fn tighten(&mut self, key: u64) {
        let full = self.bounds.group;
        if let Some(mut group) = self.groups.remove(&key) {
            self.load.sub(group.counts_for(self.shift, full));
            while group.load.exceeds(full) && group.shift < 64 {
                group.shift += 1;
                let shift = group.shift;
                self.evict(&mut group, shift);
            }
            self.load.add(group.counts_for(self.shift, full));
            self.groups.insert(key, group);
        }
        while self.load.exceeds(self.bounds.all) && self.shift < 64 {
            self.shift += 1;
            let (shift, mut groups) = (self.shift, std::mem::take(&mut self.groups));
            self.load = Load::default();
            groups.retain(|_, group| {
                self.evict(group, shift);
                self.load.add(group.counts_for(shift, full));
                !group.members.is_empty() || group.shift > shift
            });
            self.groups = groups;
        }
    }

    /// Pushes out the members of a group that a threshold does not admit.
    fn evict(&mut self, group: &mut Group, shift: u32) {
        let mut members = std::mem::take(&mut group.members);
        members.retain(|id| {
            let Some(slot) = self.slots.get_mut(*id as usize) else { return false };
            if admitted(slot.hash, shift) {
                return true;
            }
            slot.item = None;
            let (hash, count, stand_in) = (slot.hash, std::mem::take(&mut slot.count), slot.stand_in);
            group.load.sub(Load { items: 1, bytes: slot.bytes as usize });
            if let Ok(entry) = self.index.find_entry(hash, |at| at == id) {
                entry.remove();
            }
            if let Some(other) = self.slots.get_mut(stand_in as usize) {
                other.count = other.count.saturating_add(count);
            }
            false
        });
        group.members = members;
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    type Name = (u32, String);

    fn add(dict: &mut Dict<Name>, number: u32, name: &str) -> u32 {
        let group = u64::from(number);
        let candidate = |name: &str| (hash::text(group, name), (number, name.to_owned()));
        let (other_hash, other) = candidate(OTHER);
        let same = |item: &Name| *item == other;
        let other = dict.pin(&Candidate { hash: other_hash, group, bytes: 7, same: &same, make: &|| other.clone() });
        let (hash, wanted) = candidate(name);
        let same = |item: &Name| *item == wanted;
        let wanted = Candidate { hash, group, bytes: name.len(), same: &same, make: &|| wanted.clone() };
        let id = dict.intern(&wanted, other);
        dict.count(id, 1);
        id
    }

    fn bounds(all: usize, group: usize) -> Bounds {
        Bounds { all: Load { items: all, bytes: 1 << 20 }, group: Load { items: group, bytes: 1 << 15 } }
    }

    fn kept(dict: &Dict<Name>) -> BTreeMap<Name, u64> {
        dict.slots.iter().filter_map(|s| Some((s.item.clone()?, s.count))).collect()
    }

    #[test]
    fn what_is_kept_and_counted_does_not_depend_on_the_order_of_arrival() {
        let bounds = bounds(300, 100);
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
    fn the_common_threshold_does_not_depend_on_when_groups_were_cut() {
        // Groups of 60 to 300 names, of which each may keep 100 and all together 400.
        let names: Vec<(u32, String)> =
            (0..7u32).flat_map(|group| (0..60 + 40 * group).map(move |i| (group, format!("n{i}")))).collect();
        let of = |names: Vec<&(u32, String)>| {
            let mut dict = Dict::new(bounds(400, 100));
            names.into_iter().for_each(|(group, name)| _ = add(&mut dict, *group, name));
            kept(&dict)
        };
        let once = of(names.iter().collect());
        for step in [1, 7, 101, 463] {
            let mut order: Vec<usize> = (0..names.len()).map(|i| i * step % names.len()).collect();
            order.sort_by_key(|i| (i * step) % 17);
            assert_eq!(
                of(order.iter().map(|i| &names[*i]).collect()),
                of(order.iter().rev().map(|i| &names[*i]).collect())
            );
        }
        assert_eq!(of(names.iter().rev().collect()), once);
        assert!(once.len() <= 400 + 7 && once.len() > 100, "{}", once.len());
    }

    #[test]
    fn a_name_pushed_out_later_resolves_to_its_stand_in() {
        let mut dict = Dict::new(bounds(1000, 10));
        let ids: Vec<u32> = (0..1000).map(|i| add(&mut dict, 0, &format!("n{i}"))).collect();
        for id in ids {
            let (_, _, (_, name)) = dict.resolve(id).unwrap();
            assert!(name.starts_with('n') || name == OTHER);
        }
        assert!(dict.slots.len() < 100, "slots of refused names are not made: {}", dict.slots.len());
    }
}
