//! A small seeded generator: the same numbers on every machine and with every compiler.
//!
//! xoshiro256++ seeded through SplitMix64, after Blackman and Vigna, <https://prng.di.unimi.it/> (public domain
//! algorithms). Only additions, multiplications and shifts are used, so no platform's maths library has a say.

/// The state of one stream of numbers.
#[derive(Debug, Clone)]
pub(crate) struct Rng([u64; 4]);

/// One step of SplitMix64: also a good mix of one number into another.
pub(crate) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream number `stream` of a seed. Streams of one seed are independent of each other.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut first = seed;
        let mut state = split_mix(&mut first) ^ stream.wrapping_mul(0xd134_2543_de82_ef95);
        Self([split_mix(&mut state), split_mix(&mut state), split_mix(&mut state), split_mix(&mut state)])
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = self.0;
        let result = a.wrapping_add(d).rotate_left(23).wrapping_add(a);
        let (c, d) = (c ^ a, d ^ b);
        let (b_next, a_next) = (b ^ c, a ^ d);
        self.0 = [a_next, b_next, c ^ (b << 17), d.rotate_left(45)];
        result
    }

    /// A number in 0..1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.unit() < probability
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let width = u128::from(high.saturating_sub(low)) + 1;
        low + u64::try_from((u128::from(self.bits()) * width) >> 64).unwrap_or(0)
    }

    /// A position in a list of weights, or 0 when they are all zero.
    pub(crate) fn pick(&mut self, weights: impl Iterator<Item = u32> + Clone) -> usize {
        let total: u64 = weights.clone().map(u64::from).sum();
        let mut left = self.between(0, total.saturating_sub(1));
        for (position, weight) in weights.enumerate() {
            match left.checked_sub(u64::from(weight)) {
                Some(rest) => left = rest,
                None => return position,
            }
        }
        0
    }
}
