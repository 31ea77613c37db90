//! One request through the system: who calls whom, when, and how it ends.
//!
//! Simulated time only. A request has its own stream of random numbers, so nothing that happens in one trace moves
//! another.

use super::convention as conv;
use super::run::{Call, Message, Run};
use super::span::{Attributes, Kind};
use super::system::{Failure, GAVE_UP, Latency, Operation, PASSED_ON, Place, Statement, Step, Via, usual};
use super::world::{Goal, World};

/// One way over the network.
const NETWORK: Latency = usual(250);
/// Tables are not so deep; a table that calls itself stops here.
const DEPTH: usize = 24;

struct Outcome {
    end: u64,
    failure: Option<&'static Failure>,
    /// The span of the called side.
    span: usize,
}

impl Run<'_> {
    pub(super) fn trace_id(&self) -> u128 {
        self.trace_id
    }

    /// A user's request at one of the entry points.
    pub(super) fn request(&mut self, start: u64) {
        let choice = self.rng.pick(self.world.system.entries.iter().map(|e| e.share));
        let (service, operation) = self.world.entries[choice];
        let outcome = self.serve(service, operation, 0, start, Vec::new(), None, 0);
        self.call_made(World::USER, World::service_node(service), None, Some(outcome.span));
    }

    /// A consumer handles a batch, in a trace of its own.
    pub(super) fn batch(&mut self, messages: &[Message]) {
        let Some(first) = messages.first() else { return };
        self.region = first.region;
        let last = messages.iter().map(|m| m.sent).max().unwrap_or(0);
        let start = last.saturating_add(self.dwell(first.topic, last));
        let (service, operation) = self.world.groups[first.topic][first.group];
        let links = messages.iter().map(|m| (m.trace_id, m.span_id)).collect();
        self.trace.dangling += messages.iter().filter(|m| !m.kept).count() as u64;
        let outcome = self.serve(service, operation, 0, start, links, Some(messages.len()), 0);
        self.trace.calls.push(Call {
            source: self.world.topic_node(first.topic),
            target: World::service_node(service),
            caller: None,
            called: Some(outcome.span),
            sent: messages.iter().filter(|m| m.kept).map(|m| m.sent).collect(),
            messages: messages.len() as u64,
        });
    }

    /// The called side: a SERVER or CONSUMER span and all below it.
    #[allow(clippy::too_many_arguments, reason = "one call site per way of being called")]
    fn serve(
        &mut self,
        service: usize,
        operation: usize,
        parent: u64,
        start: u64,
        links: Vec<(u128, u64)>,
        batch: Option<usize>,
        depth: usize,
    ) -> Outcome {
        let made = &self.world.service(service).operations[operation];
        let kind = if matches!(made.via, Via::Messages { .. }) { Kind::Consumer } else { Kind::Server };
        let span = self.open(service, parent, made.name, kind, scope_of(made), start);
        self.trace.spans[span].links = links;
        let version = self.version(service);
        let place = Place::Service(self.world.service(service).name);
        let own = self.draw(made.own, place, Some(version), start);
        let slice = own / (2 + made.steps.len() as u64);

        let mut parent = self.trace.spans[span].span_id;
        let mut inner = None;
        if !made.inner.is_empty() {
            let opened = self.open(service, parent, made.inner, Kind::Internal, "inner", start + slice / 2);
            parent = self.trace.spans[opened].span_id;
            inner = Some(opened);
        }

        let (mut begin, mut busy_until) = (start + slice, start + slice);
        let mut failure = None;
        'steps: for (position, step) in made.steps.iter().enumerate() {
            if !self.rng.chance(step.chance) || depth >= DEPTH {
                continue;
            }
            for _ in 0..self.rng.between(step.times.0.into(), step.times.1.into()) {
                if !step.concurrent {
                    begin = busy_until + slice;
                }
                let goal = self.world.goals[service][operation][position];
                let (end, failed) = self.step(service, step, goal, parent, begin, depth);
                if !step.detached {
                    busy_until = busy_until.max(end);
                }
                if failed && !step.optional {
                    failure = Some(&PASSED_ON);
                    break 'steps;
                }
            }
        }

        let mut origin = false;
        let fails = made.fails + self.fault_fails(place, Some(version), start);
        if failure.is_none() && self.rng.chance(fails) {
            failure = Some(made.failure);
            origin = true;
        }
        if let Some(inner) = inner {
            let failed = failure.filter(|f| f.server_fault);
            self.close(inner, busy_until + slice / 2, Vec::new(), failed, origin);
        }
        let end = busy_until + slice;
        let attributes = self.called_attributes(service, made, batch, failure);
        let failed = failure.filter(|f| f.server_fault);
        self.close(span, end, attributes, failed, origin && inner.is_none());
        Outcome { end, failure, span }
    }

    /// One step with its retries: (when the caller goes on, whether it failed in the end).
    fn step(&mut self, service: usize, step: &Step, goal: Goal, parent: u64, start: u64, depth: usize) -> (u64, bool) {
        let mut begin = start;
        for _ in 0..step.retries {
            let (end, failed) = self.attempt(service, step, goal, parent, begin, depth);
            if !failed {
                return (end, false);
            }
            begin = end;
        }
        self.attempt(service, step, goal, parent, begin, depth)
    }

    fn attempt(
        &mut self,
        service: usize,
        step: &Step,
        goal: Goal,
        parent: u64,
        start: u64,
        depth: usize,
    ) -> (u64, bool) {
        match goal {
            Goal::Operation(to, operation) => self.remote(service, step, (to, operation), parent, start, depth),
            Goal::Store(store, statement) => self.query(service, store, statement, parent, start),
            Goal::External(external) => self.leave(service, external, parent, start),
            Goal::Topic(topic) => (self.publish(service, topic, parent, start, depth), false),
        }
    }

    /// A call to another service.
    fn remote(
        &mut self,
        service: usize,
        step: &Step,
        (to, operation): (usize, usize),
        parent: u64,
        start: u64,
        depth: usize,
    ) -> (u64, bool) {
        let made = &self.world.service(to).operations[operation];
        let nodes = (World::service_node(service), World::service_node(to));
        let there = self.draw(NETWORK, Place::Everywhere, None, start);
        if step.bare {
            let outcome = self.serve(to, operation, parent, start + there, Vec::new(), None, depth + 1);
            self.call_made(nodes.0, nodes.1, None, Some(outcome.span));
            return (outcome.end + there, outcome.failure.is_some());
        }
        let convention = self.world.service(service).convention;
        let name = match made.via {
            Via::Http { method, .. } => conv::http_client_name(convention, method),
            _ => made.name,
        };
        let client = self.open(service, parent, name, Kind::Client, scope_of(made), start);
        let client_id = self.trace.spans[client].span_id;
        let outcome = self.serve(to, operation, client_id, start + there, Vec::new(), None, depth + 1);
        let (mut end, mut failure) = (outcome.end + there, outcome.failure);
        let deadline = start + u64::from(step.timeout_ms) * 1_000_000;
        if step.timeout_ms > 0 && end > deadline {
            (end, failure) = (deadline, Some(&GAVE_UP));
        }
        let host = &self.world.hosts[to];
        let id = self.rng.between(1, 5000);
        let attributes = match made.via {
            Via::Http { method, route } => conv::http_client(convention, (method, route), (host, 8080), id, failure),
            Via::Grpc { service, method } => conv::grpc(convention, (service, method), Some(host), failure),
            Via::Messages { .. } => Vec::new(),
        };
        self.close(client, end, attributes, failure, failure == Some(&GAVE_UP));
        self.call_made(nodes.0, nodes.1, Some(client), Some(outcome.span));
        (end, failure.is_some())
    }

    fn query(
        &mut self,
        service: usize,
        store: usize,
        text: &'static Statement,
        parent: u64,
        start: u64,
    ) -> (u64, bool) {
        let it = &self.world.system.stores[store];
        let place = Place::Store(it.name);
        let client = self.open(service, parent, text.name, Kind::Client, "database", start);
        let end = start + self.draw(it.latency, place, None, start);
        let fails = it.fails + self.fault_fails(place, None, start);
        let failure = self.rng.chance(fails).then_some(it.failure);
        let attributes = conv::store(self.world.service(service).convention, it, text, failure);
        self.close(client, end, attributes, failure, true);
        self.call_made(World::service_node(service), self.world.store_node(store), Some(client), None);
        (end, failure.is_some())
    }

    fn leave(&mut self, service: usize, external: usize, parent: u64, start: u64) -> (u64, bool) {
        let it = &self.world.system.externals[external];
        let place = Place::External(it.name);
        let convention = self.world.service(service).convention;
        let name = conv::http_client_name(convention, it.method);
        let client = self.open(service, parent, name, Kind::Client, "http", start);
        let end = start + self.draw(it.latency, place, None, start);
        let fails = it.fails + self.fault_fails(place, None, start);
        let failure = self.rng.chance(fails).then_some(it.failure);
        let id = self.rng.between(1, 5000);
        self.close(client, end, conv::external(convention, it, id, failure), failure, true);
        self.call_made(World::service_node(service), self.world.external_node(external), Some(client), None);
        (end, failure.is_some())
    }

    /// Publishes one message: consumer groups that read singly handle it in this trace, the others later.
    fn publish(&mut self, service: usize, topic: usize, parent: u64, start: u64, depth: usize) -> u64 {
        let it = &self.world.system.topics[topic];
        let convention = self.world.service(service).convention;
        let name = it.names[if convention == super::system::Convention::New { 0 } else { 2 }];
        let producer = self.open(service, parent, name, Kind::Producer, "messaging", start);
        let end = start + self.draw(it.publish, Place::Everywhere, None, start);
        let partition = self.rng.between(0, u64::from(it.partitions.saturating_sub(1)));
        self.close(producer, end, conv::messaging(convention, it, partition, None, None), None, false);
        let node = self.world.topic_node(topic);
        self.call_made(World::service_node(service), node, Some(producer), None);
        let span_id = self.trace.spans[producer].span_id;
        for (group, described) in it.groups.iter().enumerate() {
            if described.batch.is_some() {
                let (trace_id, region) = (self.trace_id, self.region);
                self.messages.push(Message { topic, group, region, trace_id, span_id, sent: end, kept: true, cell: 0 });
                continue;
            }
            let (to, operation) = self.world.groups[topic][group];
            let received = end + self.dwell(topic, end);
            let outcome = self.serve(to, operation, span_id, received, Vec::new(), None, depth + 1);
            self.trace.calls.push(Call {
                source: node,
                target: World::service_node(to),
                caller: None,
                called: Some(outcome.span),
                sent: vec![end],
                messages: 1,
            });
        }
        end
    }

    fn dwell(&mut self, topic: usize, at: u64) -> u64 {
        let it = &self.world.system.topics[topic];
        self.draw(it.dwell, Place::Topic(it.name), None, at)
    }

    fn call_made(&mut self, source: usize, target: usize, caller: Option<usize>, called: Option<usize>) {
        self.trace.calls.push(Call { source, target, caller, called, sent: Vec::new(), messages: 0 });
    }

    fn called_attributes(
        &mut self,
        service: usize,
        made: &'static Operation,
        batch: Option<usize>,
        failure: Option<&Failure>,
    ) -> Attributes {
        let convention = self.world.service(service).convention;
        let id = self.rng.between(1, 5000);
        match made.via {
            Via::Http { method, route } => conv::http_server(convention, (method, route), id, failure),
            Via::Grpc { service, method } => conv::grpc(convention, (service, method), None, failure),
            Via::Messages { topic } => match self.world.system.topics.iter().find(|t| t.name == topic) {
                Some(topic) => {
                    let group = Some(self.world.service(service).name);
                    conv::messaging(convention, topic, id % u64::from(topic.partitions.max(1)), group, batch)
                }
                None => Vec::new(),
            },
        }
    }
}

fn scope_of(operation: &Operation) -> &'static str {
    match operation.via {
        Via::Http { .. } => "http",
        Via::Grpc { .. } => "grpc",
        Via::Messages { .. } => "messaging",
    }
}
