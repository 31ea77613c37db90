//! One trace in the making: its random numbers, its pods, its spans so far, and how long things take in it.

use super::convention as conv;
use super::rng::Rng;
use super::span::{Attributes, Exception, Kind, Span};
use super::system::{Failure, Fault, Latency, Place, quantile};
use super::wide;
use super::world::World;

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
    /// The copy of the system that sent it.
    pub(super) cell: u32,
}

/// One trace in the making.
pub(super) struct Run<'w> {
    pub(super) world: &'w World,
    pub(super) rng: Rng,
    pub(super) trace_id: u128,
    pub(super) region: usize,
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

    /// The version of the pod this trace meets.
    pub(super) fn version(&mut self, service: usize) -> usize {
        let process = self.process(service);
        self.world.processes[process].version
    }

    pub(super) fn process(&mut self, service: usize) -> usize {
        if self.pods[service] == usize::MAX {
            let version = usize::from(self.rng.chance(self.rollout));
            let pods = u64::from(self.world.service(service).pods.saturating_sub(1));
            let pod = usize::try_from(self.rng.between(0, pods)).unwrap_or(0);
            self.pods[service] = self.world.process(service, self.region, version, pod);
        }
        self.pods[service]
    }

    pub(super) fn open(
        &mut self,
        service: usize,
        parent_id: u64,
        name: &'static str,
        kind: Kind,
        what: &'static str,
        start: u64,
    ) -> usize {
        let process = u32::try_from(self.process(service)).unwrap_or(0);
        let ids = (self.rng.bits().max(1), parent_id);
        let scope = conv::scope(self.world.service(service).language, what);
        self.trace.spans.push(Span::new(self.trace_id, ids, (name, kind), start, process, scope));
        self.trace.spans.len() - 1
    }

    /// `origin`: the failure began here, so the exception is recorded here.
    pub(super) fn close(
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
        if self.world.wide {
            wide::span(&mut span.attributes, span.kind, span.span_id);
        }
        span.error = failure.map(|f| f.message);
        span.exception = failure.filter(|f| origin && !f.exception.is_empty()).map(|f| Exception {
            time: end.saturating_sub(1000).max(span.start),
            class: f.exception,
            message: f.message,
        });
    }

    /// A duration in nanoseconds, with what a fault adds.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive and far below 2^53")]
    pub(super) fn draw(&mut self, latency: Latency, place: Place, version: Option<usize>, at: u64) -> u64 {
        let time = f64::from(latency.median_us) * 1000.0 * quantile(latency.shape, self.rng.unit());
        let time = match self.fault_at(place, version, at) {
            Some(fault) => time * fault.factor + fault.add_ms * 1e6,
            None => time,
        };
        time as u64
    }

    /// What the fault adds to the probability of failure. A fault everywhere makes services fail, the rest only slower.
    pub(super) fn fault_fails(&self, place: Place, version: Option<usize>, at: u64) -> f64 {
        match self.fault_at(place, version, at) {
            Some(fault) if fault.place != Place::Everywhere || matches!(place, Place::Service(_)) => fault.fails,
            _ => 0.0,
        }
    }

    /// The fault, if it bites here and now.
    pub(super) fn fault_at(&self, place: Place, version: Option<usize>, at: u64) -> Option<&'static Fault> {
        let (fault, incident) = self.world.fault.as_ref()?;
        let here = fault.place == Place::Everywhere || fault.place == place;
        let region = fault.region.is_none_or(|r| self.world.system.regions[self.region].0 == r);
        let version = fault.version.is_none_or(|v| World::is_version(version, v));
        (here && region && version && at >= incident.from && at < incident.until).then_some(*fault)
    }
}
