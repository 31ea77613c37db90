//! Calls: to services, databases, dependencies without spans, and messages.
//!
//! Purpose: both ends of a call, the network between them, timeouts, retries and fallbacks. Input: a step of a program.
//! Output: when the caller goes on, and whether. Must not: decide what the called side does (`run` does).

use super::convention as conv;
use super::failure::{Failure, GAVE_UP, PASSED_ON, REFUSED};
use super::maths::{nanos, uniform};
use super::run::{Flow, Here, Outcome, Run};
use super::system::{Call, Latency, Query};
use super::wire::span::Kind;

/// What a client library does before a request leaves and after an answer came.
const OVERHEAD: Latency = Latency { median: 25e3, sigma: 0.5 };

/// A failure as the caller passes it on, unless it has a fallback.
fn climbs(optional: bool) -> Flow {
    if optional { Flow::Done } else { Flow::Failed { failure: &PASSED_ON, fresh: false } }
}

impl Run<'_> {
    /// A call with its retries.
    pub(super) fn call(&mut self, here: Here, call: &Call, start: u64) -> (u64, Flow) {
        let retries = self.world.fault.as_ref().map_or(0, |f| f.retries(call.operation)).max(call.retries);
        let mut at = start;
        let mut tries = 0;
        loop {
            let outcome = self.attempt(here, call, at);
            at = outcome.end;
            match outcome.flow {
                Flow::Done => return (at, Flow::Done),
                Flow::Empty { .. } if call.needs => return (at, Flow::Empty { told: false }),
                Flow::Empty { .. } => return (at, Flow::Done),
                Flow::Failed { .. } if tries == retries => return (at, climbs(call.optional)),
                Flow::Failed { .. } => {}
            }
            tries += 1;
            // Waits a little longer each time.
            at += nanos(uniform(&mut self.rng, 5e6, 30e6) * f64::from(tries));
        }
    }

    fn attempt(&mut self, here: Here, call: &Call, start: u64) -> Outcome {
        let world = self.world;
        let made = &world.system.operations[call.operation];
        let instrumented = world.system.services[here.service].client_spans;
        let name = conv::client_name(world.style, made.via, made.name);
        let client = instrumented.then(|| self.open(here, name, Kind::Client, start));
        let parent = client.map_or(here.parent, |c| self.spans[c].span_id);
        let sent = start + self.work(here, OVERHEAD, start);
        let there = sent + self.network(here.service, Some(made.service), sent);
        let outcome = self.serve(call.operation, here.trace, parent, there, &[]);
        let back = outcome.end + self.network(made.service, Some(here.service), outcome.end);
        let mut end = back + self.work(here, OVERHEAD, back);
        let mut flow = outcome.flow;
        if let Some(timeout) = call.timeout
            && end > start + timeout
        {
            (end, flow) = (start + timeout, Flow::Failed { failure: &GAVE_UP, fresh: true });
        }
        if let Some(client) = client {
            let id = self.rng.between(1, 9000);
            let host = world.system.services[made.service].name;
            let attributes = conv::client(world.style, made.via, host, id, flow.told());
            flow = self.close(client, end, attributes, flow);
        }
        Outcome { end, flow }
    }

    /// One way over the network, out of one service and into another. Databases and others' services are `None`: no
    /// fault sits in front of them.
    fn network(&mut self, from: usize, to: Option<usize>, at: u64) -> u64 {
        let mut time = self.draw(self.world.system.traits.network);
        time += self.delay(from, true, at);
        if let Some(to) = to {
            time += self.delay(to, false, at);
        }
        time
    }

    fn delay(&mut self, service: usize, leaves: bool, at: u64) -> u64 {
        let Some(fault) = &self.world.fault else { return 0 };
        let delay = fault.delay(service, leaves, at, &mut self.rng);
        self.bites += u64::from(delay > 0);
        delay
    }

    /// The way out of a service, time at a place without spans, and the way back in: when the answer is there.
    fn there_and_back(&mut self, service: usize, start: u64, time: u64) -> u64 {
        let there = start + self.network(service, None, start) + time;
        there + self.draw(self.world.system.traits.network) + self.delay(service, false, there)
    }

    pub(super) fn query(&mut self, here: Here, query: &Query, start: u64) -> (u64, Flow) {
        let world = self.world;
        let database = &world.system.databases[query.database];
        let usual = self.draw(database.latency);
        let slower = world.fault.as_ref().and_then(|f| f.query(query.database, usual, start, &mut self.rng));
        self.bites += u64::from(slower.is_some());
        let sent = start + self.work(here, OVERHEAD, start);
        let back = self.there_and_back(here.service, sent, usual + slower.unwrap_or(0));
        let end = back + self.work(here, OVERHEAD, back);
        if world.system.services[here.service].client_spans {
            let client = self.open(here, query.name, Kind::Client, start);
            self.close(client, end, conv::query(world.style, database, query), Flow::Done);
        }
        (end, Flow::Done)
    }

    pub(super) fn outside(&mut self, here: Here, external: usize, optional: bool, start: u64) -> (u64, Flow) {
        let world = self.world;
        let it = &world.system.externals[external];
        let refused = world.fault.as_ref().is_some_and(|f| f.refuses(external, start));
        let (end, failure): (u64, Option<&'static Failure>) = if refused {
            self.bites += 1;
            (start + nanos(uniform(&mut self.rng, 0.3e6, 3e6)), Some(&REFUSED))
        } else {
            let time = self.draw(it.latency);
            (self.there_and_back(here.service, start, time), None)
        };
        if world.system.services[here.service].client_spans {
            let client = self.open(here, conv::http_client_name(world.style, it.method), Kind::Client, start);
            let id = self.rng.between(1, 9000);
            let flow = failure.map_or(Flow::Done, |failure| Flow::Failed { failure, fresh: true });
            self.close(client, end, conv::outside(world.style, it, id, failure), flow);
        }
        (end, failure.map_or(Flow::Done, |_| climbs(optional)))
    }

    /// Publishes a message. Whoever reads it does so later; the publisher goes on.
    pub(super) fn publish(&mut self, here: Here, topic: usize, start: u64) -> u64 {
        let world = self.world;
        let it = &world.system.topics[topic];
        let time = self.draw(Latency { median: 900e3, sigma: 0.6 });
        let end = self.there_and_back(here.service, start, time);
        let instrumented = world.system.services[here.service].client_spans;
        let mut parent = here.parent;
        if instrumented {
            let producer = self.open(here, it.publish, Kind::Producer, start);
            parent = self.spans[producer].span_id;
            self.close(producer, end, conv::message(world.style, it, None), Flow::Done);
        }
        for &consumer in &it.consumers {
            let reader = world.system.operations[consumer].service;
            let received = end + self.draw(it.dwell);
            let received = received + self.delay(reader, false, received);
            if world.system.traits.linked && instrumented {
                let trace = self.new_trace();
                self.serve(consumer, trace, 0, received, &[(here.trace, parent)]);
            } else {
                self.serve(consumer, here.trace, parent, received, &[]);
            }
        }
        end
    }
}
