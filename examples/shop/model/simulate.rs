//! One request through the system: who calls whom, when, and how it ends.
//!
//! Simulated time only. A request has its own stream of random numbers, so nothing that happens in one trace moves
//! another.

use super::convention as conv;
use super::rng::Rng;
use super::span::{Attributes, Exception, Kind, Span};
use super::system::{Failure, GAVE_UP, Latency, Operation, PASSED_ON, Place, Statement, Step, Via, quantile, usual};
use super::world::{Goal, World};

/// One way over the network.
const NETWORK: Latency = usual(250);
/// Tables are not so deep; a table that calls itself stops here.
const DEPTH: usize = 24;

/// A call as it was made: the truth about an edge. Spans by position in [`Trace::spans`].
#[derive(Debug)]
pub(super) struct Call {
    /// Nodes of the world.
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) caller: Option<usize>,
    pub(super) called: Option<usize>,
    /// For a consumer: when each message it handles had been published.
    pub(super) sent: Vec<u64>,
    /// Messages handled, linked to or not.
    pub(super) messages: u64,
}

/// Everything of one trace.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) spans: Vec<Span>,
    pub(super) calls: Vec<Call>,
    /// Links to spans that were not kept.
    pub(super) dangling: u64,
}

/// A message on its way to a consumer group that reads batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) topic: usize,
    pub(super) group: usize,
    pub(super) region: usize,
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    pub(super) sent: u64,
    /// Whether sampling keeps its trace.
    pub(super) kept: bool,
}

struct Outcome {
    end: u64,
    failure: Option<&'static Failure>,
    /// The span of the called side.
    span: usize,
}

/// One trace in the making.
pub(super) struct Run<'w> {
    world: &'w World,
    rng: Rng,
    trace_id: u128,
    region: usize,
    /// Which pod of each service this trace meets; `usize::MAX` until it does.
    pods: Vec<usize>,
    rollout: f64,
    pub(super) trace: Trace,
    pub(super) messages: Vec<Message>,
}

impl<'w> Run<'w> {
    /// Request number `number` of the stream `seed`.
    pub(super) fn new(world: &'w World, seed: u64, number: u64, rollout: f64) -> Self {
        let mut rng = Rng::new(seed, number);
        let trace_id = (u128::from(rng.bits()) << 64 | u128::from(rng.bits())).max(1);
        let region = rng.pick(world.system.regions.iter().map(|(_, share)| *share));
        Self {
            world,
            rng,
            trace_id,
            region,
            pods: vec![usize::MAX; world.system.services.len()],
            rollout,
            trace: Trace::default(),
            messages: Vec::new(),
        }
    }

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
                self.messages.push(Message { topic, group, region, trace_id, span_id, sent: end, kept: true });
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

    /// The version of the pod this trace meets.
    fn version(&mut self, service: usize) -> usize {
        let process = self.process(service);
        self.world.processes[process].version
    }

    fn process(&mut self, service: usize) -> usize {
        if self.pods[service] == usize::MAX {
            let version = usize::from(self.rng.chance(self.rollout));
            let pods = u64::from(self.world.service(service).pods.saturating_sub(1));
            let pod = usize::try_from(self.rng.between(0, pods)).unwrap_or(0);
            self.pods[service] = self.world.process(service, self.region, version, pod);
        }
        self.pods[service]
    }

    fn open(
        &mut self,
        service: usize,
        parent_id: u64,
        name: &'static str,
        kind: Kind,
        what: &'static str,
        start: u64,
    ) -> usize {
        let process = u32::try_from(self.process(service)).unwrap_or(0);
        self.trace.spans.push(Span {
            trace_id: self.trace_id,
            span_id: self.rng.bits().max(1),
            parent_id,
            name,
            kind,
            start,
            end: start,
            process,
            scope: conv::scope(self.world.service(service).language, what),
            attributes: Vec::new(),
            error: None,
            exception: None,
            links: Vec::new(),
            trace_state: None,
        });
        self.trace.spans.len() - 1
    }

    /// `origin`: the failure began here, so the exception is recorded here.
    fn close(
        &mut self,
        span: usize,
        end: u64,
        attributes: Attributes,
        failure: Option<&'static Failure>,
        origin: bool,
    ) {
        let span = &mut self.trace.spans[span];
        span.end = end;
        span.attributes = attributes;
        span.error = failure.map(|f| f.message);
        span.exception = failure.filter(|f| origin && !f.exception.is_empty()).map(|f| Exception {
            time: end.saturating_sub(1000).max(span.start),
            class: f.exception,
            message: f.message,
        });
    }

    /// A duration in nanoseconds, with what a fault adds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and far below 2^53")]
    fn draw(&mut self, latency: Latency, place: Place, version: Option<usize>, at: u64) -> u64 {
        let time = f64::from(latency.median_us) * 1000.0 * quantile(latency.shape, self.rng.unit());
        let time = match self.fault_at(place, version, at) {
            Some(fault) => time * fault.factor + fault.add_ms * 1e6,
            None => time,
        };
        time as u64
    }

    /// What the fault adds to the probability of failure. A fault everywhere makes services fail, the rest only slower.
    fn fault_fails(&self, place: Place, version: Option<usize>, at: u64) -> f64 {
        match self.fault_at(place, version, at) {
            Some(fault) if fault.place != Place::Everywhere || matches!(place, Place::Service(_)) => fault.fails,
            _ => 0.0,
        }
    }

    /// The fault, if it bites here and now.
    fn fault_at(&self, place: Place, version: Option<usize>, at: u64) -> Option<&'static super::system::Fault> {
        let (fault, incident) = self.world.fault.as_ref()?;
        let here = fault.place == Place::Everywhere || fault.place == place;
        let region = fault.region.is_none_or(|r| self.world.system.regions[self.region].0 == r);
        let version = fault.version.is_none_or(|v| World::is_version(version, v));
        (here && region && version && at >= incident.from && at < incident.until).then_some(*fault)
    }
}

fn scope_of(operation: &Operation) -> &'static str {
    match operation.via {
        Via::Http { .. } => "http",
        Via::Grpc { .. } => "grpc",
        Via::Messages { .. } => "messaging",
    }
}
