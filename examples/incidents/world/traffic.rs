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

/// An endless stream of requests.
#[derive(Debug)]
pub(crate) struct Traffic<'s> {
    system: &'s System,
    rng: Rng,
    at: u64,
}

impl<'s> Traffic<'s> {
    pub(crate) fn new(system: &'s System, seed: u64, start: u64) -> Self {
        Self { system, rng: Rng::new(mix(seed, 0x7aff), 0), at: start }
    }

    /// The next request.
    pub(crate) fn next(&mut self) -> (u64, usize) {
        let rate = self.system.rate * load(self.system, self.at);
        self.at += nanos(exponential(&mut self.rng) / rate * 1e9);
        let weights: Vec<(usize, f64)> = (0_u64..)
            .zip(&self.system.entries)
            .map(|(position, entry)| {
                let moves = drift(mix(self.system.seed, 0xe000 ^ position), self.at, MIX_STEP);
                (entry.operation, entry.weight * (1.0 + 0.2 * moves))
            })
            .collect();
        let mut left = self.rng.unit() * weights.iter().map(|(_, weight)| weight).sum::<f64>();
        for (operation, weight) in &weights {
            left -= weight;
            if left < 0.0 {
                return (self.at, *operation);
            }
        }
        (self.at, weights[0].0)
    }
}
