//! Who is hit by a fault, and how hard.
//!
//! Purpose: a fault of a wanted sort in a system, at a place that is used during it; rare services are hit as often as busy
//! ones. Input: a system, its load, a generator. Output: a [`Fault`], or none if the system has no place for it. Must not:
//! prefer places because they are easy to diagnose: a place only has to show in spans at all.

use super::fault::{Fault, Kind, Place};
use super::load::{Load, callers, is_consumer};
use super::maths::{log_uniform, uniform};
use super::names::{below, one};
use super::system::{Step, System, walk};
use super::wire::rng::Rng;

/// How long faults last.
pub(crate) const LASTS: u64 = 180_000_000_000;
/// Requests that are expected to use the place during the fault: with fewer there would often be none.
const LEAST: f64 = 12.0;

/// A system and what is expected to happen in it during a fault.
struct Choice<'a> {
    system: &'a System,
    load: &'a Load,
    window: (u64, u64),
}

/// A fault of this kind that begins at `from`.
pub(crate) fn choose(system: &System, load: &Load, kind: Kind, from: u64, rng: &mut Rng) -> Option<Fault> {
    let choice = Choice { system, load, window: (from, from + LASTS) };
    match kind {
        Kind::CpuContention => {
            let mut fault = choice.service(kind, rng, |_| true)?;
            fault.factor = log_uniform(rng, 3.0, 30.0);
            fault.stalls = uniform(rng, 0.25, 0.8);
            Some(fault)
        }
        Kind::CpuConsumed => {
            let mut fault = choice.operation(kind, rng, |_| true)?;
            let length = fault.operation.map_or(1, |o| system.operations[o].program.len());
            fault.position = below(length, rng);
            fault.add = uniform(rng, 50e6, 500e6);
            fault.factor = uniform(rng, 1.05, 1.5);
            Some(fault)
        }
        Kind::NetworkDelay => {
            // What enters the front door comes from outside: only a service that calls or is called shows a delay.
            let shows = |s: usize| system.services[s].level > 0 || system.services[s].client_spans;
            let mut fault = choice.service(kind, rng, shows)?;
            fault.add = uniform(rng, 50e6, 500e6);
            fault.both_ways = rng.chance(0.4);
            Some(fault)
        }
        Kind::Return | Kind::Exception => {
            let mut fault = choice.operation(kind, rng, |o| !cuts(system, o, kind).is_empty())?;
            fault.position = one(&cuts(system, fault.operation?, kind), rng);
            fault.share = if rng.chance(0.7) { 1.0 } else { uniform(rng, 0.5, 0.95) };
            Some(fault)
        }
        Kind::RetryStorm => {
            let called = |o: usize| {
                !callers(system, |s| matches!(s, Step::Call(c) if c.operation == o)).is_empty()
                    && !cuts(system, o, Kind::RetryStorm).is_empty()
            };
            let mut fault = choice.operation(kind, rng, called)?;
            fault.position = one(&cuts(system, fault.operation?, kind), rng);
            fault.share = 0.5;
            fault.factor = uniform(rng, 1.1, 1.9);
            Some(fault)
        }
        Kind::BadVersion => choice.release(rng),
        Kind::Pod => {
            #[allow(clippy::cast_precision_loss, reason = "a few pods")]
            let each = |s: usize| choice.expected(load.of_service(system, s)) / system.services[s].pods as f64;
            let mut fault = choice.service(kind, rng, |s| system.services[s].pods > 1 && each(s) >= LEAST)?;
            let Place::Service(service) = fault.place else { return None };
            fault.pod = Some(below(system.services[service].pods, rng));
            fault.factor = log_uniform(rng, 5.0, 30.0);
            fault.stalls = uniform(rng, 0.25, 0.8);
            Some(fault)
        }
        Kind::SlowDatabase => {
            let used: Vec<usize> = (0..system.databases.len())
                .filter(|d| choice.expected(load.queries[*d]) >= LEAST)
                .filter(|d| shows(system, |s| matches!(s, Step::Query(q) if q.database == *d)))
                .collect();
            let database = if used.is_empty() { return None } else { one(&used, rng) };
            let mut fault = Fault::new(kind, Place::Database(database), choice.window);
            if rng.chance(0.5) {
                fault.factor = log_uniform(rng, 8.0, 50.0);
                fault.add = 5e6;
            } else {
                fault.add = log_uniform(rng, 20e6, 400e6);
            }
            Some(fault)
        }
        Kind::DependencyDown => {
            let used: Vec<usize> = (0..system.externals.len())
                .filter(|e| choice.expected(load.outside[*e]) >= LEAST)
                .filter(|e| shows(system, |s| matches!(s, Step::Outside { external, .. } if external == e)))
                .collect();
            let external = if used.is_empty() { return None } else { one(&used, rng) };
            Some(Fault::new(kind, Place::External(external), choice.window))
        }
    }
}

impl Choice<'_> {
    #[allow(clippy::cast_precision_loss, reason = "a duration")]
    fn expected(&self, per_request: f64) -> f64 {
        per_request * self.system.rate * LASTS as f64 / 1e9
    }

    /// Somewhere in a service, each that is used equally likely.
    fn service(&self, kind: Kind, rng: &mut Rng, fits: impl Fn(usize) -> bool) -> Option<Fault> {
        let services: Vec<usize> = (0..self.system.services.len())
            .filter(|s| self.expected(self.load.of_service(self.system, *s)) >= LEAST && fits(*s))
            .collect();
        let place = Place::Service(if services.is_empty() { return None } else { one(&services, rng) });
        Some(Fault::new(kind, place, self.window))
    }

    /// In one operation: first a service, each equally likely, then one of its operations.
    fn operation(&self, kind: Kind, rng: &mut Rng, fits: impl Fn(usize) -> bool) -> Option<Fault> {
        let used = |o: &usize| self.expected(self.load.calls[*o]) >= LEAST && fits(*o);
        let mut fault = self.service(kind, rng, |s| self.system.operations_of(s).any(|o| used(&o)))?;
        let Place::Service(service) = fault.place else { return None };
        let operations: Vec<usize> = self.system.operations_of(service).filter(used).collect();
        fault.operation = Some(one(&operations, rng));
        Some(fault)
    }

    /// A bad release: slow as a whole, or one operation of it fails.
    fn release(&self, rng: &mut Rng) -> Option<Fault> {
        let kind = Kind::BadVersion;
        let fails = |o: usize| !is_consumer(self.system, o) && !cuts(self.system, o, kind).is_empty();
        let broken = if rng.chance(0.4) { self.operation(kind, rng, fails) } else { None };
        let mut fault = match broken {
            Some(mut fault) => {
                fault.position = one(&cuts(self.system, fault.operation?, kind), rng);
                fault.share = uniform(rng, 0.2, 1.0);
                fault
            }
            None => {
                let mut fault = self.service(kind, rng, |_| true)?;
                fault.factor = log_uniform(rng, 2.0, 15.0);
                fault.add = log_uniform(rng, 15e6, 200e6);
                fault
            }
        };
        let Place::Service(service) = fault.place else { return None };
        let pods = self.system.services[service].pods;
        // Either it comes with the fault, or it ran next to the other and turned bad.
        fault.rollout = pods == 1 || rng.chance(0.6);
        fault.fresh_pods = 1 + below(if fault.rollout { pods } else { pods - 1 }, rng);
        Some(fault)
    }
}

/// Whether some service that takes such a step shows it.
fn shows(system: &System, uses: impl Fn(&Step) -> bool) -> bool {
    callers(system, uses).iter().any(|s| system.services[*s].client_spans)
}

/// Positions in an operation's program at which an early end shows: spans are missing afterwards. A thrown exception also
/// shows where it is marked.
pub(crate) fn cuts(system: &System, operation: usize, kind: Kind) -> Vec<usize> {
    let program = &system.operations[operation].program;
    if kind != Kind::Return && system.traits.marks_errors {
        return (0..=program.len()).collect();
    }
    (0..program.len()).filter(|position| vanishing(system, operation, *position) >= 0.5).collect()
}

/// Spans expected below what comes from a position on, not counting those below other services.
pub(crate) fn vanishing(system: &System, operation: usize, position: usize) -> f64 {
    let it = &system.operations[operation];
    let client = system.services[it.service].client_spans;
    let mut spans = 0.0;
    walk(&it.program[position..], 1.0, true, &mut |step, times| match step {
        Step::Call(_) | Step::Inner { .. } => spans += times,
        Step::Query(_) | Step::Outside { .. } | Step::Publish(_) if client => spans += times,
        _ => {}
    });
    spans
}
