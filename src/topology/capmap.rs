//! A map with a bounded number of keys whose contents do not depend on the order of arrival.

use std::collections::BTreeMap;

use hashbrown::HashTable;

use super::hash;
use super::snapshot::EdgeKind;

/// A map bounded by hash threshold, as [`super::dict`]: what is kept does not depend on the order of arrival, and what is
/// kept is complete. The threshold applies to a hash of what a key stands for, given by the caller: keys are numbers of
/// this run, and a shard of it numbers differently.
#[derive(Debug, Clone)]
pub(super) struct CapMap<K, V> {
    index: HashTable<u32>,
    entries: Vec<Entry<K, V>>,
    most: usize,
    shift: u32,
}

#[derive(Debug, Clone)]
struct Entry<K, V> {
    key: K,
    content: u64,
    value: V,
}

/// A key of numbers.
pub(super) trait Key: Eq + Copy + Ord {
    /// Where it lies in a table of this run.
    fn spread(&self) -> u64;
}

impl Key for u32 {
    fn spread(&self) -> u64 {
        hash::mix(6, u64::from(*self))
    }
}

impl Key for (u32, u32) {
    fn spread(&self) -> u64 {
        hash::mix(7, u64::from(self.0) << 32 | u64::from(self.1))
    }
}

impl Key for (u32, u32, u32) {
    fn spread(&self) -> u64 {
        hash::mix(hash::mix(13, u64::from(self.2)), u64::from(self.0) << 32 | u64::from(self.1))
    }
}

impl Key for (u32, u32, EdgeKind) {
    fn spread(&self) -> u64 {
        hash::mix(self.2 as u64, u64::from(self.0) << 32 | u64::from(self.1))
    }
}

impl<K: Key, V: Default> CapMap<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { index: HashTable::new(), entries: Vec::new(), most: most.min(u32::MAX as usize), shift: 0 }
    }

    /// The value of a key; `None` when the key is beyond the cap. `content` is asked for keys not seen before.
    pub(super) fn at(&mut self, key: K, content: impl FnOnce() -> u64) -> Option<&mut V> {
        let at = self.position(key, content)?;
        self.value(at)
    }

    /// Where the value of a key is, until [`Self::threshold`] changes.
    #[allow(clippy::cast_possible_truncation, reason = "entries are fewer than 2^32")]
    pub(super) fn position(&mut self, key: K, content: impl FnOnce() -> u64) -> Option<u32> {
        if let Some(at) = self.find(key) {
            return Some(at);
        }
        let content = content();
        if content.leading_zeros() < self.shift {
            return None;
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { key, content, value: V::default() });
        self.note(at, key);
        if self.entries.len() > self.most {
            self.tighten();
            return self.find(key);
        }
        Some(at)
    }

    /// The value at a position.
    pub(super) fn value(&mut self, at: u32) -> Option<&mut V> {
        self.entries.get_mut(at as usize).map(|entry| &mut entry.value)
    }

    fn find(&self, key: K) -> Option<u32> {
        let same = |at: &u32| self.entries.get(*at as usize).is_some_and(|entry| entry.key == key);
        self.index.find(key.spread(), same).copied()
    }

    fn note(&mut self, at: u32, key: K) {
        let entries = &self.entries;
        self.index.insert_unique(key.spread(), at, |at| entries.get(*at as usize).map_or(0, |e| e.key.spread()));
    }

    fn tighten(&mut self) {
        while self.entries.len() > self.most && self.shift < 64 {
            self.cut(self.shift + 1);
        }
    }

    fn cut(&mut self, shift: u32) {
        self.shift = shift;
        self.entries.retain(|entry| entry.content.leading_zeros() >= shift);
        self.index.clear();
        for at in 0..self.entries.len() {
            let Some(key) = self.entries.get(at).map(|entry| entry.key) else { continue };
            self.note(u32::try_from(at).unwrap_or(u32::MAX), key);
        }
    }

    /// Adds another map. Both hold every key below their thresholds completely, so the sum does below the smaller one.
    pub(super) fn merge(&mut self, other: Self, add: impl Fn(&mut V, V)) {
        if other.shift > self.shift {
            self.cut(other.shift);
        }
        for entry in other.entries {
            if let Some(mine) = self.at(entry.key, || entry.content) {
                add(mine, entry.value);
            }
        }
    }

    /// Keys whose hash has fewer leading zeros were left out.
    pub(super) fn threshold(&self) -> u32 {
        self.shift
    }

    /// Sorted by key.
    pub(super) fn sorted(&self) -> BTreeMap<K, &V> {
        self.entries.iter().map(|entry| (entry.key, &entry.value)).collect()
    }

    /// Sorted by key, by value.
    pub(super) fn into_sorted(self) -> BTreeMap<K, V> {
        self.entries.into_iter().map(|entry| (entry.key, entry.value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(keys: impl Iterator<Item = u32>) -> CapMap<u32, u64> {
        let mut map = CapMap::new(50);
        keys.for_each(|key| {
            if let Some(n) = map.at(key, || hash::mix(1, u64::from(key))) {
                *n += 1;
            }
        });
        map
    }

    #[test]
    fn what_is_kept_is_complete_whatever_the_order_and_the_split() {
        let keys = || (0..1000u32).chain(0..1000);
        let once = sum(keys()).into_sorted();
        assert!((10..=50).contains(&once.len()) && once.values().all(|n| *n == 2), "{once:?}");
        assert_eq!(sum(keys().rev()).into_sorted(), once);
        let (mut first, second) = (sum(keys().take(300)), sum(keys().skip(300)));
        first.merge(second, |mine, n| *mine += n);
        assert_eq!(first.into_sorted(), once);
    }

    #[test]
    fn what_is_kept_is_chosen_by_what_keys_stand_for_and_not_by_their_numbers() {
        let kept = |number: fn(u32) -> u32| {
            let mut map = CapMap::<u32, u64>::new(50);
            (0..1000u32).for_each(|word| _ = map.at(number(word), || hash::mix(1, u64::from(word))));
            let kept = map.into_sorted().into_keys();
            kept.map(number).collect::<std::collections::BTreeSet<u32>>()
        };
        // Numbering backwards is its own inverse: both sets are of words.
        assert_eq!(kept(|word| word), kept(|word| 999 - word));
    }
}
