//! The simulator is deterministic, systems are sane, and faults do what their labels say: no more, no less.

mod faults;
mod planted;
mod systems;

use std::collections::BTreeMap;

use crate::world::fault::Fault;
use crate::world::grow;
use crate::world::run::{Run, Unrelated, World};
use crate::world::system::System;
use crate::world::wire::span::{Kind, Span};

/// 2026-11-02T10:00:00Z
const NOON: u64 = 1_793_613_600_000_000_000;
const SECOND: u64 = 1_000_000_000;

/// A few systems of one seed, without the defects of exports.
fn some_systems(count: usize) -> Vec<System> {
    (0..count).map(|number| grow::system(5, number)).collect()
}

/// Requests to one operation after the other, each a second after the one before.
fn requests(system: &System, fault: Option<Fault>, entry: Option<usize>, count: u64) -> Vec<Vec<Span>> {
    let world = World::new(system, fault, &Unrelated::default());
    (0..count)
        .map(|number| {
            let mut run = Run::new(&world, 3, number);
            let entries = &system.entries;
            let operation = entry.unwrap_or(entries[usize::try_from(number).unwrap() % entries.len()].operation);
            run.request(operation, NOON + number * SECOND);
            run.spans
        })
        .collect()
}

fn by_id(spans: &[Span]) -> BTreeMap<u64, &Span> {
    spans.iter().map(|s| (s.span_id, s)).collect()
}

/// The SERVER and CONSUMER spans of an operation.
fn handled<'a>(system: &System, world: &World<'_>, spans: &'a [Span], operation: usize) -> Vec<&'a Span> {
    let it = &system.operations[operation];
    spans
        .iter()
        .filter(|s| matches!(s.kind, Kind::Server | Kind::Consumer) && s.name == it.name)
        .filter(|s| world.fleet.pods[s.process as usize].service == it.service)
        .collect()
}
