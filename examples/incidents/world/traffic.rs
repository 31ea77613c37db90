//! When requests come, and which.
//!
//! Purpose: load that varies and a mix that drifts a little. Input: a system and a seed. Output: (time, entry operation),
//! one after the other. Must not: know of faults: users do not know either.

use super::maths::{drift, exponential, mix, nanos};
use super::system::System;
use super::wire::rng::Rng;

/// Time between two random levels of the load, of the mix, and of a service's speed.
const LOAD_STEP: u64 = 45_000_000_000;
const MIX_STEP: u64 = 120_000_000_000;
const SPEED_STEP: u64 = 90_000_000_000;

/// Load now, around 1.
pub(crate) fn load(system: &System, at: u64) -> f64 {
    1.0 + 0.25 * drift(mix(system.seed, 0x10ad), at, LOAD_STEP)
}

/// By how much longer a service takes now than usual.
pub(crate) fn speed(system: &System, service: usize, at: u64) -> f64 {
    let seed = mix(system.seed, 0x5eed ^ service as u64);
    1.0 + system.services[service].drift * drift(seed, at, SPEED_STEP)
}

/// From some time on more requests come: all of them, or those to one entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surge {
    pub(crate) from: u64,
    pub(crate) factor: f64,
    /// Position among the entries.
    pub(crate) entry: Option<usize>,
}

impl Surge {
    /// Load of everything, around 1.
    pub(crate) fn load(&self, at: u64) -> f64 {
        if at >= self.from && self.entry.is_none() { self.factor } else { 1.0 }
    }

    fn of(&self, entry: u64, at: u64) -> f64 {
        let here = self.entry.is_some_and(|e| e as u64 == entry);
        if at >= self.from && here { self.factor } else { 1.0 }
    }
}

/// An endless stream of requests.
#[derive(Debug)]
pub(crate) struct Traffic<'s> {
    system: &'s System,
    surge: Option<Surge>,
    rng: Rng,
    at: u64,
}

impl<'s> Traffic<'s> {
    pub(crate) fn new(system: &'s System, surge: Option<Surge>, seed: u64, start: u64) -> Self {
        Self { system, surge, rng: Rng::new(mix(seed, 0x7aff), 0), at: start }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> (u64, usize) {
        let weights: Vec<(usize, f64, f64)> = (0_u64..)
            .zip(&self.system.entries)
            .map(|(position, entry)| {
                let moves = drift(mix(self.system.seed, 0xe000 ^ position), self.at, MIX_STEP);
                let usual = entry.weight * (1.0 + 0.2 * moves);
                (entry.operation, usual, usual * self.surge.map_or(1.0, |s| s.of(position, self.at)))
            })
            .collect();
        let (usual, now) = weights.iter().fold((0.0, 0.0), |sum, w| (sum.0 + w.1, sum.1 + w.2));
        // More requests to one entry are not fewer to the others.
        let load = load(self.system, self.at) * self.surge.map_or(1.0, |s| s.load(self.at)) * now / usual;
        let mut left = self.rng.unit() * now;
        let chosen = weights.iter().find(|(_, _, weight)| {
            left -= weight;
            left < 0.0
        });
        let operation = chosen.unwrap_or(&weights[0]).0;
        self.at += nanos(exponential(&mut self.rng) / (self.system.rate * load) * 1e9);
        (self.at, operation)
    }
}
