//! A hash that is the same on every machine and in every version: snapshots carry sums of it, and samples are chosen by it.
//!
//! Words are folded by a 64 × 64 → 128 bit multiplication, the construction of wyhash
//! (<https://github.com/wangyi-fudan/wyhash>). Not for secrets: only spread and stability matter here.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

const K: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9];

/// Multiplies and xors the halves of the product.
#[allow(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product")]
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// One more word into a hash.
#[inline]
pub(super) fn mix(hash: u64, word: u64) -> u64 {
    fold(hash ^ word ^ K[0], K[1]).wrapping_add(K[2])
}

/// One more text into a hash; its length is part of it, so that texts in a row cannot run into each other.
pub(super) fn text(hash: u64, text: &str) -> u64 {
    let mut hash = mix(hash, text.len() as u64);
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let tail = rest.iter().rev().fold(0, |tail, byte| tail << 8 | u64::from(*byte));
    mix(hash, tail)
}

/// The hash of a trace id: decides its rank among samples.
#[allow(clippy::cast_possible_truncation, reason = "the halves of the id")]
pub(super) fn trace(id: u128) -> u64 {
    mix(mix(K[2], id as u64), (id >> 64) as u64)
}

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
        assert_eq!(text(0, "GET /cart"), 16_012_033_930_020_000_376);
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

    #[test]
    fn neighbouring_texts_differ() {
        let all: std::collections::BTreeSet<u64> =
            ["", "\0", "\0\0", "a", "a\0", "abcdefgh", "abcdefghi"].iter().map(|t| text(0, t)).collect();
        assert_eq!(all.len(), 7);
        assert_ne!(text(text(0, "ab"), "c"), text(text(0, "a"), "bc"));
    }
}
