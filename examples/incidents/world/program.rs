//! What an operation does, drawn from what it is to call.
//!
//! Purpose: programs that look like code: work between calls, calls in a row and side by side, loops over items, branches,
//! caches in front of databases, INTERNAL spans. Input: [`Parts`] and a generator. Output: steps. Must not: choose whom
//! to call (`grow` does).

use super::maths::{log_uniform, uniform};
use super::names::{INNER, below, one};
use super::system::{Call, Latency, Query, Step};
use super::wire::rng::Rng;

/// What an operation is made of.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) calls: Vec<Call>,
    /// Taken once in a while.
    pub(crate) rare: Vec<Call>,
    /// With a statement of a cache asked first, if there is one.
    pub(crate) queries: Vec<(Option<Query>, Query)>,
    pub(crate) outside: Option<usize>,
    pub(crate) publish: Option<usize>,
    /// Names of INTERNAL spans look like `Orders.validate`.
    pub(crate) dotted: Option<String>,
}

/// All work of an operation: most are quick, a few are not.
fn own_work(rng: &mut Rng) -> Latency {
    let median = match rng.between(0, 19) {
        0..=14 => log_uniform(rng, 50e3, 6e6),
        15..=18 => log_uniform(rng, 6e6, 40e6),
        _ => log_uniform(rng, 40e6, 200e6),
    };
    Latency { median, sigma: uniform(rng, 0.25, 0.9) }
}

/// The program.
pub(crate) fn program(parts: &Parts, rng: &mut Rng) -> Vec<Step> {
    let mut steps = calls(&parts.calls, rng);
    for call in &parts.rare {
        let chance = log_uniform(rng, 0.01, 0.25);
        let at = below(steps.len() + 1, rng);
        steps.insert(at, Step::Branch { chance, steps: vec![Step::Call(*call)] });
    }
    for (cache, query) in &parts.queries {
        // Data are mostly read before others are asked.
        let at = if rng.chance(0.7) { 0 } else { below(steps.len() + 1, rng) };
        let query = match cache {
            Some(cache) => {
                let miss = Step::Branch { chance: uniform(rng, 0.05, 0.5), steps: vec![Step::Query(*query)] };
                steps.insert(at, miss);
                Step::Query(*cache)
            }
            None if rng.chance(0.08) => {
                Step::Loop { low: 1, high: rng.between(2, 6), steps: vec![Step::Query(*query)] }
            }
            None => Step::Query(*query),
        };
        steps.insert(at, query);
    }
    if let Some(external) = parts.outside {
        let at = below(steps.len() + 1, rng);
        steps.insert(at, Step::Outside { external, optional: rng.chance(0.25) });
    }
    if let Some(topic) = parts.publish {
        steps.push(Step::Publish(topic));
    }
    let steps = with_work(steps, own_work(rng), rng);
    with_inner(steps, parts.dotted.as_deref(), rng)
}

/// Calls in a row, side by side, in loops and in branches.
fn calls(calls: &[Call], rng: &mut Rng) -> Vec<Step> {
    let mut steps: Vec<Step> = calls
        .iter()
        .map(|call| match rng.between(0, 99) {
            0..=9 => Step::Loop { low: 1, high: rng.between(2, 8), steps: vec![Step::Call(*call)] },
            10..=29 => Step::Branch { chance: uniform(rng, 0.15, 0.9), steps: vec![Step::Call(*call)] },
            _ => Step::Call(*call),
        })
        .collect();
    if steps.len() >= 2 && rng.chance(0.4) {
        let keep = below(steps.len() - 1, rng);
        let together = steps.split_off(keep);
        steps.push(Step::Parallel(together));
    }
    steps
}

/// Work before, between and after the steps.
fn with_work(steps: Vec<Step>, all: Latency, rng: &mut Rng) -> Vec<Step> {
    let shares: Vec<f64> = (0..=steps.len()).map(|_| uniform(rng, 0.1, 1.0)).collect();
    let sum: f64 = shares.iter().sum();
    let mut worked = Vec::new();
    let mut steps = steps.into_iter();
    for share in shares {
        worked.push(Step::Work(Latency { median: all.median * share / sum, sigma: all.sigma }));
        worked.extend(steps.next());
    }
    worked
}

/// Puts a few neighbouring steps below an INTERNAL span.
fn with_inner(mut steps: Vec<Step>, dotted: Option<&str>, rng: &mut Rng) -> Vec<Step> {
    for _ in 0..2 {
        if !rng.chance(0.3) {
            continue;
        }
        let from = below(steps.len(), rng);
        let until = (from + 1 + below(3, rng)).min(steps.len());
        if steps[from..until].iter().any(|s| matches!(s, Step::Inner { .. })) {
            continue;
        }
        let word = one(INNER, rng);
        let name = dotted.map_or_else(|| word.to_owned(), |prefix| format!("{prefix}.{word}"));
        let within: Vec<Step> = steps.drain(from..until).collect();
        steps.insert(from, Step::Inner { name: super::names::keep(name), steps: within });
    }
    steps
}
