//! What bytes seen before turned into: spares decoding the same resource, name or peer again for every span.
//!
//! A cache: bounded in entries and bytes, and emptied when it is full, so that no input makes it grow.

use std::hash::{BuildHasher as _, Hasher as _};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

/// Most entries.
const MAX_ENTRIES: usize = 16_384;
/// Most bytes of keys.
const MAX_BYTES: usize = 4 << 20;
/// Longest key that is kept.
const MAX_KEY: usize = 4 << 10;

#[derive(Debug, Clone, Copy)]
struct Entry<V> {
    hash: u64,
    start: usize,
    end: usize,
    value: V,
}

/// Bytes → a small value.
#[derive(Debug)]
pub(super) struct RawMap<V> {
    index: HashTable<Entry<V>>,
    /// The keys, one after the other.
    keys: Vec<u8>,
    /// The entry found or added last.
    last: Option<Entry<V>>,
    hasher: FixedState,
}

impl<V> Default for RawMap<V> {
    fn default() -> Self {
        Self { index: HashTable::new(), keys: Vec::new(), last: None, hasher: FixedState::with_seed(0x5e) }
    }
}

impl<V: Copy> RawMap<V> {
    /// The value of a key.
    #[inline]
    pub(super) fn get(&self, key: &[u8]) -> Option<V> {
        let hash = self.hash(key);
        let same = |entry: &Entry<V>| entry.hash == hash && self.keys.get(entry.start..entry.end) == Some(key);
        self.index.find(hash, same).map(|entry| entry.value)
    }

    /// The value of a key that is often the same as the one before.
    #[inline]
    pub(super) fn get_again(&mut self, key: &[u8]) -> Option<V> {
        if let Some(last) = &self.last
            && self.keys.get(last.start..last.end) == Some(key)
        {
            return Some(last.value);
        }
        let hash = self.hash(key);
        let same = |entry: &Entry<V>| entry.hash == hash && self.keys.get(entry.start..entry.end) == Some(key);
        let entry = *self.index.find(hash, same)?;
        self.last = Some(entry);
        Some(entry.value)
    }

    /// Remembers the value of a key that is not there.
    pub(super) fn insert(&mut self, key: &[u8], value: V) {
        if key.len() > MAX_KEY {
            return;
        }
        if self.index.len() >= MAX_ENTRIES || self.keys.len() + key.len() > MAX_BYTES {
            self.clear();
        }
        let start = self.keys.len();
        self.keys.extend_from_slice(key);
        let entry = Entry { hash: self.hash(key), start, end: self.keys.len(), value };
        self.index.insert_unique(entry.hash, entry, |entry| entry.hash);
        self.last = Some(entry);
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.index.clear();
        self.keys.clear();
        self.last = None;
    }

    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_until_there_is_too_much() {
        let mut map = RawMap::default();
        for n in 0..MAX_ENTRIES {
            map.insert(&n.to_le_bytes(), n);
            assert_eq!(map.get_again(&0usize.to_le_bytes()), Some(0));
        }
        assert_eq!((map.get(&77usize.to_le_bytes()), map.get(b"")), (Some(77), None));
        map.insert(b"", 1);
        assert_eq!((map.get_again(b""), map.get(&77usize.to_le_bytes()), map.index.len()), (Some(1), None, 1));
        map.insert(&[7; MAX_KEY + 1], 2);
        assert_eq!(map.get(&[7; MAX_KEY + 1]), None);
        for n in 0..=MAX_BYTES / MAX_KEY {
            let mut key = [0; MAX_KEY];
            key[0] = n as u8;
            key[1] = (n >> 8) as u8;
            map.insert(&key, n);
            assert!(map.keys.len() <= MAX_BYTES);
        }
    }
}
