//! Hashes of the aggregation: the stable one of [`crate::spans`], digests, and one that only this run knows.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use crate::spans::hash::fold;
pub(super) use crate::spans::hash::{mix, text, trace};

/// Two words into one, in a way that only this run knows: where things lie in its tables. With a hash everybody knows,
/// trace ids could be made up that all lie in one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Secret(u64, u64);

impl Secret {
    /// A new one.
    pub(super) fn new() -> Self {
        let random = || RandomState::new().build_hasher().finish();
        Self(random(), random())
    }

    /// Of a word.
    #[inline]
    pub(super) fn word(self, word: u64) -> u64 {
        fold(word ^ self.0, self.1)
    }

    /// Of a trace id.
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the id")]
    #[inline]
    pub(super) fn trace(self, id: u128) -> u64 {
        fold(id as u64 ^ self.0, (id >> 64) as u64 ^ self.1)
    }
}

/// Keys of a digest.
const NH: [u64; 8] = [
    0x243F_6A88_85A3_08D3,
    0x1319_8A2E_0370_7344,
    0xA409_3822_299F_31D0,
    0x082E_FA98_EC4E_6C89,
    0x4528_21E6_38D0_1377,
    0xBE54_66CF_34E9_0C6C,
    0xC0AC_29B7_C97C_50DD,
    0x3F84_D5B5_B547_0917,
];

/// A 128-bit hash of eight words: a sum of products, as in NH (Black and others, "UMAC: Fast and Secure Message
/// Authentication", CRYPTO 1999), then mixed, so that sums of hashes do not cancel. The keys are digits of pi.
#[allow(clippy::cast_possible_truncation, reason = "the halves of a sum")]
#[inline]
pub(super) fn digest(words: [u64; 8]) -> u128 {
    let [a, b, c, d, e, f, g, h] = words;
    let [k, l, m, n, o, p, q, r] = NH;
    let product = |x: u64, y: u64| u128::from(x) * u128::from(y);
    let sum = product(a.wrapping_add(k), b.wrapping_add(l))
        .wrapping_add(product(c.wrapping_add(m), d.wrapping_add(n)))
        .wrapping_add(product(e.wrapping_add(o), f.wrapping_add(p)))
        .wrapping_add(product(g.wrapping_add(q), h.wrapping_add(r)));
    let (low, high) = (sum as u64, (sum >> 64) as u64);
    u128::from(mix(mix(k, high), low)) << 64 | u128::from(mix(mix(l, low), high))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes_because_snapshots_carry_it() {
        assert_eq!(digest([1, 2, 3, 4, 5, 6, 7, 8]), 0xf45b414191b164c8863b645cb0bec482);
    }

    #[test]
    fn every_word_and_its_place_count_in_a_digest() {
        let mut all = std::collections::BTreeSet::new();
        for at in 0..8 {
            for bit in 0..64 {
                let mut words = [0; 8];
                words[at] = 1 << bit;
                let digest = digest(words);
                all.extend([digest as u64, (digest >> 64) as u64]);
            }
        }
        assert_eq!(all.len(), 2 * 8 * 64);
    }
}
