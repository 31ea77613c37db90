//! Which incidents there are: for each system and number a window, a sort of fault and a place.
//!
//! Purpose: a benchmark's composition, all of it from one seed. Input: [`Wanted`]. Output: [`Incident`]s and quiet windows.
//! Must not: simulate; an incident is planned by expectations and not by what comes out.

use super::choose::{LASTS, choose};
use super::fault::{Fault, Kind, Place};
use super::load::Load;
use super::maths::{log_uniform, mix, nanos, uniform};
use super::names::{below, shuffled};
use super::pods::Release;
use super::run::Unrelated;
use super::system::System;
use super::traffic::Surge;
use super::wire::rng::Rng;

/// 2026-11-02T00:00:00Z
const FIRST_DAY: u64 = 1_793_577_600_000_000_000;
const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;
/// Spans of a capture, at most, as expected.
const MOST_SPANS: f64 = 78_000.0;

/// One capture with a fault.
#[derive(Debug)]
pub(crate) struct Incident {
    pub(crate) seed: u64,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) fault: Fault,
    pub(crate) unrelated: Unrelated,
}

/// Incident number `number` of system number `of`, which has `per_system`. Without a wish, sorts of faults are dealt like
/// cards: each comes up once in ten.
pub(crate) fn incident(
    seed: u64,
    system: &System,
    (of, per_system, number): (usize, usize, usize),
    wish: Option<Kind>,
) -> Option<Incident> {
    let load = Load::of(system);
    let position = of * per_system + number;
    let deck = shuffled(&Kind::ALL, &mut Rng::new(mix(seed, 0xdec4), (position / Kind::ALL.len()) as u64));
    let dealt = wish.unwrap_or(deck[position % Kind::ALL.len()]);
    let seed = mix(mix(seed, 0x1c1d), ((of as u64) << 32) | number as u64);
    let mut rng = Rng::new(seed, 0);
    let from = FIRST_DAY + (of as u64 % 7) * 24 * HOUR + (number as u64 % 11) * 2 * HOUR + rng.between(0, HOUR);
    let after = if rng.chance(0.5) { rng.between(5 * SECOND, 60 * SECOND) } else { 0 };
    let before = before(system, &load, &mut rng);
    let begins = from + before;
    // A wish that this system cannot fulfil is no incident; what was dealt gives way to the next sort.
    let first = Kind::ALL.iter().position(|k| *k == dealt).unwrap_or(0);
    let others = (0..Kind::ALL.len()).map(|step| Kind::ALL[(first + step) % Kind::ALL.len()]);
    let fault = others
        .take(if wish.is_some() { 1 } else { Kind::ALL.len() })
        .find_map(|kind| choose(system, &load, kind, begins, &mut rng))?;
    let until = begins + LASTS + after;
    let mut unrelated = unrelated(system, (from, until), &mut rng);
    unrelated.release = unrelated.release.filter(|r| fault.place != Place::Service(r.service));
    Some(Incident { seed, from, until, fault, unrelated })
}

/// In every fourth window somebody releases something, and all goes well; in every fifth more requests come.
fn unrelated(system: &System, (from, until): (u64, u64), rng: &mut Rng) -> Unrelated {
    let release = rng.chance(0.25).then(|| {
        let service = below(system.services.len(), rng);
        let time = Some((rng.between(from, until), u64::MAX));
        Release { service, pods: system.services[service].pods, time, bad: false }
    });
    let surge = rng.chance(0.2).then(|| {
        let entry = rng.chance(0.5).then(|| below(system.entries.len(), rng));
        let factor = if entry.is_some() { uniform(rng, 1.5, 3.0) } else { uniform(rng, 1.15, 1.5) };
        Surge { from: rng.between(from, until), factor, entry }
    });
    Unrelated { release, surge }
}

/// One to ten minutes before the fault, fewer where traces are large.
fn before(system: &System, load: &Load, rng: &mut Rng) -> u64 {
    let per_second = load.spans * system.rate;
    let longest = (MOST_SPANS / per_second - 240.0).clamp(60.0, 600.0);
    // At least so long that there is something to compare with.
    let shortest = (18_000.0 / per_second - 180.0).clamp(60.0, longest);
    nanos(log_uniform(rng, shortest, longest) * 1e9)
}

/// A capture without a fault.
#[derive(Debug)]
pub(crate) struct Calm {
    pub(crate) seed: u64,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) unrelated: Unrelated,
}

/// Quiet window number `number` of system number `of`.
pub(crate) fn quiet(seed: u64, system: &System, of: usize, number: usize) -> Calm {
    let load = Load::of(system);
    let seed = mix(mix(seed, 0x0001_c41f), ((of as u64) << 32) | number as u64);
    let mut rng = Rng::new(seed, 0);
    let hour = 1 + 2 * (number as u64 % 11);
    let from = FIRST_DAY + (of as u64 % 7) * 24 * HOUR + hour * HOUR + rng.between(0, HOUR / 2);
    let longest = (MOST_SPANS / 2.0 / (load.spans * system.rate)).clamp(120.0, 300.0);
    let until = from + nanos(uniform(&mut rng, 120.0, longest) * 1e9);
    Calm { seed, from, until, unrelated: unrelated(system, (from, until), &mut rng) }
}
