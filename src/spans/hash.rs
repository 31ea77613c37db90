//! A hash that is the same on every machine and in every version: snapshots carry sums of it, and samples are chosen by it.
//!
//! Words are folded by a 64 × 64 → 128 bit multiplication, the construction of wyhash
//! (<https://github.com/wangyi-fudan/wyhash>). Not for secrets: only spread and stability matter here.

const K: [u64; 3] = [0x9E37_79B9_7F4A_7C15, 0xC2B2_AE3D_27D4_EB4F, 0x1656_67B1_9E37_79F9];

/// Multiplies and xors the halves of the product.
#[allow(clippy::cast_possible_truncation, reason = "the halves of a 128-bit product")]
#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

/// One more word into a hash.
#[inline]
pub(crate) fn mix(hash: u64, word: u64) -> u64 {
    fold(hash ^ word ^ K[0], K[1]).wrapping_add(K[2])
}

/// One more text into a hash; its length is part of it, so that texts in a row cannot run into each other.
pub(crate) fn text(hash: u64, text: &str) -> u64 {
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
pub(crate) fn trace(id: u128) -> u64 {
    mix(mix(K[2], id as u64), (id >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_never_changes_because_snapshots_carry_it() {
        assert_eq!(text(0, "GET /cart"), 16_012_033_930_020_000_376);
    }

    #[test]
    fn neighbouring_texts_differ() {
        let all: std::collections::BTreeSet<u64> =
            ["", "\0", "\0\0", "a", "a\0", "abcdefgh", "abcdefghi"].iter().map(|t| text(0, t)).collect();
        assert_eq!(all.len(), 7);
        assert_ne!(text(text(0, "ab"), "c"), text(text(0, "a"), "bc"));
    }
}
