//! Durations of some calls and what is said of them, by definition.

use super::numbers::Value;

/// The 97.5 % point of the normal distribution.
pub const Z: f64 = 1.959_963_984_540_054;

/// Durations in nanoseconds, each with the calls it stands for. Sorted once by [`Times::sorted`].
#[derive(Debug, Clone, Default)]
pub struct Times(Vec<(u64, f64)>);

impl Times {
    pub fn add(&mut self, duration: Option<u64>, weight: f64) {
        self.0.extend(duration.map(|d| (d, weight)));
    }

    pub fn extend(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    pub fn sorted(&mut self) {
        self.0.sort_by_key(|(d, _)| *d);
    }

    pub fn n(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn weight(&self) -> f64 {
        self.0.iter().map(|(_, w)| w).sum()
    }

    /// Seconds all of them took.
    pub fn sum(&self) -> f64 {
        self.0.iter().map(|(d, w)| *d as f64 * w).sum::<f64>() / 1e9
    }

    pub fn mean(&self) -> f64 {
        self.sum() / self.weight()
    }

    pub fn max(&self) -> f64 {
        self.0.last().map_or(0.0, |(d, _)| *d as f64 / 1e9)
    }

    /// Seconds at a rank of the spans, from 1; the smallest and the largest beyond the ends.
    fn rank(&self, rank: f64) -> f64 {
        let at = (rank.ceil().max(1.0) as usize).min(self.0.len());
        self.0[at - 1].0 as f64 / 1e9
    }

    /// The duration at rank ⌈q·weight⌉; `percent` as it is written: `99.9`. No float rounds the rank.
    pub fn exact(&self, percent: &str) -> Option<f64> {
        let (whole, part) = percent.split_once('.').unwrap_or((percent, ""));
        let over: f64 = format!("{whole}{part}").parse().ok()?;
        let under = 100.0 * 10_f64.powi(part.len() as i32);
        let wanted = over * self.weight();
        let mut seen = 0.0;
        let found = self.0.iter().find(|(_, weight)| {
            seen += weight;
            seen * under >= wanted
        });
        Some(found.or(self.0.last())?.0 as f64 / 1e9)
    }

    /// The same, as near as it is documented to be.
    pub fn quantile(&self, percent: &str) -> Option<Value> {
        self.exact(percent).map(Value::near)
    }

    /// The 95 % interval: exact binomial ranks where few lie beyond, widened by the error of a quantile.
    pub fn interval(&self, q: f64) -> [Value; 2] {
        let n = self.n();
        let size = n as f64;
        let beyond = size * (1.0 - q);
        let (low, high) = if beyond > 30.0 {
            let half = Z * (beyond * q).sqrt();
            ((size * q - half).floor(), (size * q + half + 1.0).ceil())
        } else {
            let below = Below::new(n, q);
            let low = (1..=n).rev().find(|r| below.at_most(r - 1) <= 0.025);
            let high = (1..=n).find(|r| 1.0 - below.at_most(r - 1) <= 0.025);
            (low.unwrap_or(1) as f64, high.unwrap_or(n) as f64)
        };
        let error = 0.5 / 64.0;
        let around = |x: f64, side: f64| Value::Between(x * (1.0 - error) * side, x * (1.0 + error) * side);
        [around(self.rank(low), 1.0 - error), around(self.rank(high), 1.0 + error)]
    }

    /// The share slower than this, as exact as bins a 64th wide can tell.
    pub fn slower(&self, seconds: f64) -> (f64, f64) {
        let beyond = |limit: f64| {
            let slow = self.0.iter().filter(|(d, _)| *d as f64 / 1e9 > limit);
            slow.map(|(_, w)| w).sum::<f64>() / self.weight()
        };
        (beyond(seconds * (1.0 + 1.0 / 64.0)), beyond(seconds))
    }

    /// A mean's interval, the standard deviation as near as bins tell it.
    pub fn mean_interval(&self) -> [Value; 2] {
        let (mean, weight, n) = (self.mean(), self.weight(), self.n() as f64);
        let squares = |from: f64| self.0.iter().map(|(d, w)| w * (*d as f64 / 1e9 - from).powi(2)).sum::<f64>();
        let half = |deviation: f64| Z * deviation.max(0.0) / n.sqrt();
        let deviation = (squares(mean) / weight).sqrt();
        let off = 0.0079 * (squares(0.0) / weight).sqrt();
        let (narrow, wide) = (half(deviation - off), half(deviation + off));
        let low = Value::Between((mean - wide).max(0.0), (mean - narrow).max(0.0));
        [low, Value::Between(mean + narrow, mean + wide)]
    }
}

/// How many of n values lie below the quantile: the binomial distribution.
struct Below(Vec<f64>);

impl Below {
    fn new(n: u64, q: f64) -> Self {
        let logs: Vec<f64> = (0..=n)
            .scan(0.0, |sum, k| {
                *sum += if k == 0 { 0.0 } else { (k as f64).ln() };
                Some(*sum)
            })
            .collect();
        let of = |k: u64| logs[usize::try_from(k).unwrap()];
        let mut sum = 0.0;
        let all = (0..=n).map(|k| {
            sum += (of(n) - of(k) - of(n - k) + k as f64 * q.ln() + (n - k) as f64 * (1.0 - q).ln()).exp();
            sum
        });
        Self(all.collect())
    }

    fn at_most(&self, k: u64) -> f64 {
        self.0[usize::try_from(k).unwrap()]
    }
}

/// Wilson's score interval of a share of n.
pub fn wilson(share: f64, n: f64, z: f64) -> [f64; 2] {
    let middle = share + z * z / (2.0 * n);
    let half = z * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    // Where none or all failed, that end is exact.
    let low = if share == 0.0 { 0.0 } else { (middle - half) / scale };
    let high = if share == 1.0 { 1.0 } else { (middle + half) / scale };
    [low, high]
}

/// Wilson and Hilferty's limits of a Poisson count.
pub fn poisson(count: f64) -> [f64; 2] {
    let limit = |k: f64, z: f64| k * (1.0 - 1.0 / (9.0 * k) + z / (3.0 * k.sqrt())).powi(3);
    [if count > 0.0 { limit(count, -Z) } else { 0.0 }, limit(count + 1.0, Z)]
}
