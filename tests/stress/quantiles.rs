//! Quantiles of the sketch against the exact order statistic: the smallest value that at least the share q of all calls
//! does not exceed, which is the value at rank ⌈q · n⌉ of the sorted list when every value weighs the same.

use tracebook::spans::Weight;
use tracebook::topology::Sketch;

/// Asked for; the sketch promises 0.8 %.
const MOST: f64 = 0.01;

/// A seeded source of numbers: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In (0, 1].
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

/// The values, in order of arrival, with their weights.
type Make = fn(&mut Random, u64, u64) -> (u64, Weight);

fn plain(value: u64) -> (u64, Weight) {
    (value, Weight::ONE)
}

const AWKWARD: [(&str, Make); 13] = [
    ("constant", |_, _, _| plain(123_456_789)),
    ("two far modes, half each", |_, i, _| plain(if i % 2 == 0 { 1_000 } else { 3_600_000_000_000 })),
    ("two far modes, one in ten far", |_, i, _| plain(if i % 10 == 0 { 86_400_000_000_000 } else { 999_999 })),
    ("two far modes, one in a thousand far", |_, i, _| plain(if i % 1_000 == 0 { 60_000_000_000 } else { 1_001 })),
    ("Pareto, heavy tail", |r, _, _| plain((1_000_000.0 * r.share().powf(-1.0 / 0.8)) as u64)),
    ("log-uniform over 12 decades", |r, _, _| plain(10f64.powf(12.0 * r.share()) as u64)),
    ("sorted", |_, i, _| plain(i * 1_000 + 17)),
    ("reverse sorted", |_, i, n| plain((n - i) * 1_000)),
    ("tiny integers", |r, _, _| plain(r.next() % 100)),
    ("mostly nothing", |r, _, _| plain(if r.next() % 100 == 0 { r.next() % 1_000_000 } else { 0 })),
    ("everything there is", |r, _, _| plain(r.next() >> (r.next() % 64))),
    ("weights against the values", |r, _, _| {
        let value = r.next() % 1_000_000_000;
        (value, Weight::whole(1_000_000_000 / (value + 1_000_000)))
    }),
    ("weights of three kinds of sampling", |r, _, _| {
        let weight = [Weight::ONE, Weight::from_probability(0.3).unwrap(), Weight::whole(1_000)];
        (10f64.powf(3.0 + 7.0 * r.share()) as u64, weight[(r.next() % 3) as usize])
    }),
];

fn quantiles() -> impl Iterator<Item = f64> {
    (1..1_000u32).map(|i| f64::from(i) / 1_000.0).chain([0.9995, 0.9999])
}

/// ⌈q · total⌉ for a q of at most four decimals, without rounding.
fn rank(q: f64, total: u128) -> u128 {
    ((q * 10_000.0).round() as u128 * total).div_ceil(10_000)
}

fn check(n: u64) {
    for (what, make) in AWKWARD {
        let mut random = Random(7);
        let mut sketch = Sketch::default();
        let mut parts = [Sketch::default(), Sketch::default(), Sketch::default()];
        let mut values: Vec<(u64, u64)> = Vec::with_capacity(usize::try_from(n).unwrap());
        for i in 0..n {
            let (value, weight) = make(&mut random, i, n);
            sketch.add(value, weight);
            parts[(i % 7 % 3) as usize].add(value, weight);
            values.push((value, weight.micro()));
        }
        let [mut merged, second, third] = parts;
        merged.merge(&third);
        merged.merge(&second);
        assert!(merged == sketch, "{what}: merged parts differ from the whole");
        values.sort_unstable();
        let total: u128 = values.iter().map(|(_, weight)| u128::from(*weight)).sum();
        assert_eq!((sketch.n(), u128::from(sketch.weight().micro())), (n, total), "{what}");
        let mut sorted = values.iter();
        let (mut exact, mut seen) = (0, 0u128);
        let mut worst = (0.0, 0.0);
        for q in quantiles() {
            let rank = rank(q, total);
            while seen < rank {
                let (value, weight) = sorted.next().unwrap();
                (exact, seen) = (*value, seen + u128::from(*weight));
            }
            let got = sketch.quantile(q).unwrap();
            let off = (got - exact as f64).abs() / (exact as f64).max(f64::MIN_POSITIVE);
            assert!(got == exact as f64 || off <= MOST, "{what}: q = {q}, exact {exact}, sketch {got}");
            worst = if off > worst.0 && exact > 0 { (off, q) } else { worst };
        }
        assert_eq!((sketch.min(), sketch.max()), (values.first().map(|v| v.0), values.last().map(|v| v.0)));
        println!("{what}: {n} values, at worst {:.3} % off at q = {}", worst.0 * 100.0, worst.1);
    }
}

#[test]
fn quantiles_of_awkward_distributions_are_within_a_hundredth_of_the_exact_value() {
    check(60_000);
}

#[test]
#[ignore = "large: optimised builds"]
fn quantiles_of_ten_million_awkward_values_are_within_a_hundredth_of_the_exact_value() {
    check(10_000_000);
}
