//! A map with a bounded number of keys whose contents do not depend on the order of arrival.

use std::collections::BTreeMap;
use std::hash::Hash;

use hashbrown::HashMap;

use super::hash;
use super::snapshot::EdgeKind;

/// A map bounded by hash threshold, as [`super::dict`]: what is kept does not depend on the order of arrival, and what is
/// kept is complete.
#[derive(Debug, Clone)]
pub(super) struct CapMap<K, V> {
    map: HashMap<K, V, foldhash::fast::FixedState>,
    most: usize,
    shift: u32,
}

/// A key with a hash that is the same in every run over the same spans.
pub(super) trait Key: Eq + Hash + Copy + Ord {
    fn stable_hash(&self) -> u64;
}

impl Key for u32 {
    fn stable_hash(&self) -> u64 {
        hash::mix(6, u64::from(*self))
    }
}

impl Key for (u32, u32) {
    fn stable_hash(&self) -> u64 {
        hash::mix(hash::mix(7, u64::from(self.0)), u64::from(self.1))
    }
}

impl Key for (u32, u32, EdgeKind) {
    fn stable_hash(&self) -> u64 {
        hash::mix((self.0, self.1).stable_hash(), self.2 as u64)
    }
}

impl<K: Key, V: Default> CapMap<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { map: HashMap::default(), most, shift: 0 }
    }

    /// The value of a key; `None` when the key is beyond the cap.
    pub(super) fn at(&mut self, key: K) -> Option<&mut V> {
        if self.shift > 0 && key.stable_hash().leading_zeros() < self.shift {
            return None;
        }
        if self.map.len() >= self.most && !self.map.contains_key(&key) {
            self.map.insert(key, V::default());
            while self.map.len() > self.most && self.shift < 64 {
                self.shift += 1;
                self.map.retain(|k, _| k.stable_hash().leading_zeros() >= self.shift);
            }
            return self.map.get_mut(&key);
        }
        Some(self.map.entry(key).or_default())
    }

    /// Adds another map. Both hold every key below their thresholds completely, so the sum does below the smaller one.
    pub(super) fn merge(&mut self, other: Self, add: impl Fn(&mut V, V)) {
        if other.shift > self.shift {
            self.shift = other.shift;
            self.map.retain(|k, _| k.stable_hash().leading_zeros() >= self.shift);
        }
        for (key, value) in other.map {
            if let Some(mine) = self.at(key) {
                add(mine, value);
            }
        }
    }

    /// Keys whose hash has fewer leading zeros were left out.
    pub(super) fn threshold(&self) -> u32 {
        self.shift
    }

    /// Sorted by key.
    pub(super) fn sorted(&self) -> BTreeMap<K, &V> {
        self.map.iter().map(|(k, v)| (*k, v)).collect()
    }

    /// Sorted by key, by value.
    pub(super) fn into_sorted(self) -> BTreeMap<K, V> {
        self.map.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(keys: impl Iterator<Item = u32>) -> CapMap<u32, u64> {
        let mut map = CapMap::new(50);
        keys.for_each(|key| {
            if let Some(n) = map.at(key) {
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
}
