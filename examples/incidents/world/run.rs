//! One request through a system: what each operation does, when, and how it ends.
//!
//! Purpose: interprets programs in simulated time. Input: a [`World`], the number of a request. Output: the spans of its
//! trace (and of traces that its messages start). Each request has its own random numbers, so nothing that happens in one
//! moves another. Must not: know of defects of export (`capture` puts them in). Calls are in `call`.

use std::cell::RefCell;

use super::convention::{self as conv, Style};
use super::failure::{CRASH, Failure, MISSING};
use super::fault::{Early, Fault};
use super::maths::{exp, exponential, nanos, normal};
use super::pods::{Fleet, Pod, Release};
use super::pools::Pools;
use super::system::{Latency, Operation, Step, System, Via};
use super::traffic::{self, Surge};
use super::wire::rng::Rng;
use super::wire::span::{Attributes, Exception, Kind, Span};

/// What all requests of one capture share.
#[derive(Debug)]
pub(crate) struct World<'s> {
    pub(crate) system: &'s System,
    pub(crate) fleet: Fleet,
    pub(crate) fault: Option<Fault>,
    pub(crate) surge: Option<Surge>,
    pub(crate) style: Style,
    pools: RefCell<Pools>,
}

impl<'s> World<'s> {
    /// With things that have nothing to do with the fault.
    pub(crate) fn new(system: &'s System, fault: Option<Fault>, unrelated: &Unrelated) -> Self {
        let style = Style { old: system.traits.old, marks: system.traits.marks_errors };
        let bad = fault.as_ref().and_then(Fault::release);
        let releases: Vec<Release> = bad.into_iter().chain(unrelated.release).collect();
        let fleet = Fleet::new(system, &releases);
        let pools = RefCell::new(Pools::new(fleet.pods.len()));
        Self { system, fleet, fault, surge: unrelated.surge, style, pools }
    }
}

/// What happens in a window besides a fault.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Unrelated {
    /// A release of some service, in which nothing is wrong.
    pub(crate) release: Option<Release>,
    pub(crate) surge: Option<Surge>,
}

/// How steps end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Done,
    /// Without data. `told`: the answer says "not found"; else it looks like any other.
    Empty {
        told: bool,
    },
    /// `fresh`: no span has told the exception yet.
    Failed {
        failure: &'static Failure,
        fresh: bool,
    },
}

impl Flow {
    /// What the answer says.
    pub(super) fn told(self) -> Option<&'static Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            Self::Empty { told: true } => Some(&MISSING),
            Self::Empty { told: false } | Self::Done => None,
        }
    }
}

/// Where in the code, and below which span, the simulation is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here {
    pub(super) service: usize,
    /// Position in the fleet.
    pub(super) pod: usize,
    pub(super) trace: u128,
    pub(super) parent: u64,
}

/// The end of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    pub(super) end: u64,
    pub(super) flow: Flow,
}

/// One request in the making.
#[derive(Debug)]
pub(crate) struct Run<'w> {
    pub(super) world: &'w World<'w>,
    pub(super) rng: Rng,
    pub(crate) spans: Vec<Span>,
    /// How often the fault bit.
    pub(crate) bites: u64,
    /// When the request came.
    began: u64,
}

impl<'w> Run<'w> {
    pub(crate) fn new(world: &'w World<'w>, seed: u64, number: u64) -> Self {
        Self { world, rng: Rng::new(seed, number), spans: Vec::new(), bites: 0, began: 0 }
    }

    pub(super) fn new_trace(&mut self) -> u128 {
        (u128::from(self.rng.bits()) << 64 | u128::from(self.rng.bits())).max(1)
    }

    /// A request from outside.
    pub(crate) fn request(&mut self, operation: usize, at: u64) {
        let trace = self.new_trace();
        self.began = at;
        self.serve(operation, trace, 0, at, &[]);
    }

    /// The called side: a SERVER or CONSUMER span and all below it.
    pub(super) fn serve(
        &mut self,
        number: usize,
        trace: u128,
        parent: u64,
        arrival: u64,
        links: &[(u128, u64)],
    ) -> Outcome {
        let world = self.world;
        let operation = &world.system.operations[number];
        let service = operation.service;
        let pod = world.fleet.pick(service, arrival, &mut self.rng);
        let mut here = Here { service, pod, trace, parent };
        // Messages wait in their topic, not for a worker.
        let message = matches!(operation.via, Via::Message { .. });
        let workers = world.system.services[service].workers.filter(|_| !message);
        let begins = workers.map_or(arrival, |w| world.pools.borrow_mut().start(pod, w, arrival, self.began));
        let waits = begins - arrival + self.queue(operation, &world.fleet.pods[pod], arrival);
        let start = if world.system.services[service].waits_inside { arrival } else { arrival + waits };
        let kind = if message { Kind::Consumer } else { Kind::Server };
        let span = self.open(here, operation.name, kind, start);
        self.spans[span].links = links.to_vec();
        here.parent = self.spans[span].span_id;
        let mut at = arrival + waits + self.extra(pod, arrival);
        let controller = operation.controller.map(|name| {
            at += 20_000;
            let inner = self.open(here, name, Kind::Internal, at);
            here.parent = self.spans[inner].span_id;
            inner
        });
        let (mut end, mut flow) = self.program(here, number, operation, at);
        if let Some(inner) = controller {
            flow = self.close(inner, end, Vec::new(), flow);
            end += 20_000;
        }
        let told = flow.told();
        let id = self.rng.between(1, 9000);
        let attributes = match operation.via {
            Via::Message { topic } => {
                let group = Some(world.system.services[service].name);
                conv::message(world.style, &world.system.topics[topic], group)
            }
            via => conv::server(world.style, via, operation.name, id, told),
        };
        flow = self.close(span, end, attributes, flow);
        if workers.is_some() {
            world.pools.borrow_mut().take(pod, begins, end);
        }
        Outcome { end, flow }
    }

    /// Time until a thread is free: an M/M/1 queue's, from how busy the pod is.
    fn queue(&mut self, operation: &Operation, pod: &Pod, at: u64) -> u64 {
        let system = self.world.system;
        let slower = self.world.fault.as_ref().map_or(1.0, |f| f.slowdown(pod, at));
        let load = traffic::load(system, at) * self.world.surge.map_or(1.0, |s| s.load(at));
        let busy = (system.services[pod.service].busy * load * slower).min(0.85);
        if !self.rng.chance(busy) {
            return 0;
        }
        let mut work = 0.0;
        super::system::walk(&operation.program, 1.0, true, &mut |step, times| {
            if let Step::Work(latency) = step {
                work += latency.mean() * times;
            }
        });
        nanos((work * slower / (1.0 - busy) * exponential(&mut self.rng)).min(5e9))
    }

    fn extra(&mut self, pod: usize, at: u64) -> u64 {
        let Some(fault) = &self.world.fault else { return 0 };
        let pod = &self.world.fleet.pods[pod];
        self.bites += u64::from(fault.hits(pod, at));
        fault.extra(pod, at, &mut self.rng)
    }

    /// The steps of an operation, up to an early end.
    fn program(&mut self, here: Here, number: usize, operation: &Operation, begin: u64) -> (u64, Flow) {
        let early = self.early(here, number, operation, begin);
        let mut at = begin;
        for (position, step) in operation.program.iter().enumerate() {
            if let Some((_, flow)) = early.filter(|(before, _)| *before == position) {
                return (at, flow);
            }
            let burn = self.burn(number, position, at);
            let (end, flow) = self.step(here, step, at, burn);
            at = end;
            if flow != Flow::Done {
                return (at, flow);
            }
        }
        (at, early.map_or(Flow::Done, |(_, flow)| flow))
    }

    /// Before which step the operation ends early, if it does.
    fn early(&mut self, here: Here, number: usize, operation: &Operation, at: u64) -> Option<(usize, Flow)> {
        let crash = Flow::Failed { failure: &CRASH, fresh: true };
        let pod = &self.world.fleet.pods[here.pod];
        if let Some(fault) = &self.world.fault
            && let Some((position, how)) = fault.early(number, pod, at, &mut self.rng)
        {
            self.bites += 1;
            let flow = match how {
                Early::Returns => Flow::Empty { told: false },
                Early::Throws => crash,
            };
            return Some((position, flow));
        }
        let length = operation.program.len() as u64;
        let somewhere = usize::try_from(self.rng.between(0, length)).unwrap_or(0);
        if self.rng.chance(operation.fails) {
            Some((somewhere, crash))
        } else if self.rng.chance(operation.missing) {
            Some((somewhere, Flow::Empty { told: true }))
        } else {
            None
        }
    }

    fn burn(&mut self, number: usize, position: usize, at: u64) -> u64 {
        let Some(fault) = &self.world.fault else { return 0 };
        let burn = fault.burn(number, position, at, &mut self.rng);
        self.bites += u64::from(burn > 0);
        burn
    }

    /// One step: when it is over, and whether what follows is done. `burn`: time its method loses first.
    fn step(&mut self, here: Here, step: &Step, at: u64, burn: u64) -> (u64, Flow) {
        if let Step::Inner { name, steps } = step {
            let span = self.open(here, name, Kind::Internal, at);
            let within = Here { parent: self.spans[span].span_id, ..here };
            let (end, flow) = self.steps(within, steps, at + burn);
            let flow = self.close(span, end, Vec::new(), flow);
            return (end, flow);
        }
        let at = at + burn;
        match step {
            Step::Work(latency) => (at + self.work(here, *latency, at), Flow::Done),
            Step::Call(call) => self.call(here, call, at),
            Step::Query(query) => self.query(here, query, at),
            Step::Outside { external, optional } => self.outside(here, *external, *optional, at),
            Step::Publish(topic) => (self.publish(here, *topic, at), Flow::Done),
            Step::Inner { .. } => (at, Flow::Done),
            Step::Parallel(branches) => {
                let (mut end, mut ends) = (at, Flow::Done);
                for (position, branch) in branches.iter().enumerate() {
                    let (ended, flow) = self.step(here, branch, at + 15_000 * position as u64, 0);
                    end = end.max(ended);
                    ends = if ends == Flow::Done { flow } else { ends };
                }
                (end, ends)
            }
            Step::Loop { low, high, steps } => {
                let mut end = at;
                for _ in 0..self.rng.between(*low, *high) {
                    let (ended, flow) = self.steps(here, steps, end);
                    end = ended;
                    if flow != Flow::Done {
                        return (end, flow);
                    }
                }
                (end, Flow::Done)
            }
            Step::Branch { chance, steps } => {
                if self.rng.chance(*chance) {
                    self.steps(here, steps, at)
                } else {
                    (at, Flow::Done)
                }
            }
        }
    }

    fn steps(&mut self, here: Here, steps: &[Step], begin: u64) -> (u64, Flow) {
        let mut at = begin;
        for step in steps {
            let (end, flow) = self.step(here, step, at, 0);
            at = end;
            if flow != Flow::Done {
                return (at, flow);
            }
        }
        (at, Flow::Done)
    }

    /// Time of the service's own work, with the pod's pauses.
    #[allow(clippy::cast_precision_loss, reason = "a duration")]
    pub(super) fn work(&mut self, here: Here, latency: Latency, at: u64) -> u64 {
        let world = self.world;
        let pod = &world.fleet.pods[here.pod];
        let slower = world.fault.as_ref().map_or(1.0, |f| f.slowdown(pod, at));
        let speed = traffic::speed(world.system, here.service, at);
        let work = nanos(self.draw(latency) as f64 * slower * speed);
        work + pod.pause(&world.system.services[here.service], at, work)
    }

    /// A lognormal duration.
    pub(super) fn draw(&mut self, latency: Latency) -> u64 {
        nanos(latency.median * exp(latency.sigma * normal(&mut self.rng)))
    }

    pub(super) fn open(&mut self, here: Here, name: &'static str, kind: Kind, start: u64) -> usize {
        let ids = (self.rng.bits().max(1), here.parent);
        let process = u32::try_from(here.pod).unwrap_or(0);
        self.spans.push(Span::new(here.trace, ids, (name, kind), start, process, "opentelemetry"));
        self.spans.len() - 1
    }

    /// Ends a span. Gives back how it ended: an exception is told by one span only.
    pub(super) fn close(&mut self, span: usize, end: u64, attributes: Attributes, flow: Flow) -> Flow {
        let span = &mut self.spans[span];
        span.end = end;
        span.attributes = attributes;
        let Some(failure) = flow.told().filter(|f| f.server || span.kind == Kind::Client) else { return flow };
        if self.world.style.marks {
            span.error = Some(failure.message);
        }
        match flow {
            Flow::Failed { fresh: true, .. } if !failure.exception.is_empty() => {
                if self.world.style.marks {
                    span.exception = Some(Exception {
                        time: end.saturating_sub(1000).max(span.start),
                        class: failure.exception,
                        message: failure.message,
                    });
                }
                Flow::Failed { failure, fresh: false }
            }
            _ => flow,
        }
    }
}
