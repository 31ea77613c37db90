//! The endless stream: requests one after another, defects put in, spans cut into export requests by their end time.
//!
//! Holds a few thousand spans at most, whatever the length of the stream.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use super::Options;
use super::emit::{Format, Writer};
use super::rng::{Rng, split_mix};
use super::run::{Message, Run, Trace};
use super::span::{Kind, Span};
use super::system::{ARRIVALS, System, quantile};
use super::truth::{Ledger, Truth};
use super::world::World;

/// The spans of one export request, ordered by their end.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) spans: Vec<Span>,
}

/// Keeps a share of traces by the low 56 bits of their id, as consistent probability sampling does:
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/>.
#[derive(Debug)]
struct Sampling {
    threshold: u64,
    trace_state: Rc<str>,
}

const RANDOMNESS: u64 = 1 << 56;

impl Sampling {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0..=2^56")]
    #[allow(clippy::cast_precision_loss, reason = "2^56 is exact")]
    fn new(share: f64) -> Result<Self, String> {
        if !(share > 0.0 && share <= 1.0) {
            return Err(format!("a sampling share of {share} is not in (0, 1]"));
        }
        let threshold = ((1.0 - share) * RANDOMNESS as f64) as u64;
        let digits = format!("{threshold:014x}");
        let digits = digits.trim_end_matches('0');
        let trace_state = format!("ot=th:{}", if digits.is_empty() { "0" } else { digits }).into();
        Ok(Self { threshold, trace_state })
    }

    #[allow(clippy::cast_precision_loss, reason = "a ratio")]
    fn weight(&self) -> f64 {
        RANDOMNESS as f64 / (RANDOMNESS - self.threshold) as f64
    }

    fn keeps(&self, trace_id: u128) -> bool {
        u64::try_from(trace_id % u128::from(RANDOMNESS)).is_ok_and(|random| random >= self.threshold)
    }
}

/// A batch on its way together: messages so far, and how many it takes.
#[derive(Debug, Default)]
struct Queue {
    messages: Vec<Message>,
    wanted: usize,
    /// When it goes, full or not.
    deadline: u64,
}

/// Makes [`Record`]s until the options say stop.
#[derive(Debug)]
pub(crate) struct Generator {
    world: Rc<World>,
    options: Options,
    sampling: Option<Sampling>,
    rng: Rng,
    ledger: Ledger,
    /// Batches by (topic, group, region).
    queues: BTreeMap<(usize, usize, usize), Queue>,
    /// By (end, trace, span, copy).
    waiting: BTreeMap<(u64, u128, u64, u8), Span>,
    number: u64,
    batches: u64,
    /// Copies of the system.
    cells: u64,
    /// Spans given a name of their own so far.
    variants: u64,
    time: u64,
    flushed: bool,
}

impl Generator {
    /// A generator of a system, or what is wrong with the options.
    pub(crate) fn new(system: &'static System, options: Options) -> Result<Self, String> {
        let world = World::new(system, options.fault.clone(), options.wide)?;
        let sampling = options.sample.map(Sampling::new).transpose()?;
        for (what, share) in [
            ("rollout", options.rollout),
            ("orphans", options.orphans),
            ("rootless", options.rootless),
            ("duplicates", options.duplicates),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{what} is {share}, which is no share in 0..=1"));
            }
        }
        Ok(Self {
            ledger: Ledger::new(&world, options.seed, sampling.as_ref().map(Sampling::weight)),
            world: Rc::new(world),
            sampling,
            rng: Rng::new(options.seed, u64::MAX),
            queues: BTreeMap::new(),
            waiting: BTreeMap::new(),
            number: 0,
            batches: 0,
            cells: options.services.div_ceil(system.services.len().max(1) as u64).clamp(1, u64::from(u32::MAX)),
            variants: 0,
            time: options.start,
            flushed: false,
            options,
        })
    }

    /// A writer for this generator's records.
    pub(crate) fn writer<W: io::Write>(&self, format: Format, out: W) -> Writer<W> {
        Writer::new(Rc::clone(&self.world), format, out)
    }

    /// No more requests; what is under way is still delivered.
    pub(crate) fn stop(&mut self) {
        self.options.traces = self.number;
    }

    /// From the first request to when the next one after the last would come, nanoseconds.
    pub(crate) fn period(&self) -> u64 {
        self.time.saturating_sub(self.options.start)
    }

    /// Spans and messages held at this moment.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.waiting.len() + self.queues.values().map(|q| q.messages.len()).sum::<usize>()
    }

    /// The truth about everything delivered so far. Complete once the stream has ended.
    pub(crate) fn truth(self) -> Truth {
        Truth { cells: self.cells, ..self.ledger.finish(&self.world) }
    }

    /// The next request and the batches it completes.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a gap")]
    fn request(&mut self) {
        let world = Rc::clone(&self.world);
        self.poll(self.time);
        let mut run = Run::new(&world, self.options.seed, self.number, self.options.rollout);
        let cell = u32::try_from(self.number % self.cells).unwrap_or(0);
        self.number += 1;
        run.request(self.time);
        self.time += (self.options.gap as f64 * quantile(ARRIVALS, self.rng.unit())) as u64;
        let kept = self.keeps(run.trace_id());
        let (trace, messages) = (std::mem::take(&mut run.trace), std::mem::take(&mut run.messages));
        self.deliver(trace, kept, true, cell);
        for message in messages {
            let key = (message.topic, message.group, message.region);
            let Some(batch) = world.system.topics[message.topic].groups[message.group].batch else { continue };
            let queue = self.queues.entry(key).or_default();
            if queue.wanted == 0 {
                let wanted = self.rng.between(batch.size.0.max(1).into(), batch.size.1.into());
                queue.wanted = usize::try_from(wanted).unwrap_or(1);
                queue.deadline = message.sent.saturating_add(u64::from(batch.linger_ms) * 1_000_000);
            }
            queue.messages.push(Message { kept, cell, ..message });
            if queue.messages.len() >= queue.wanted {
                let messages = std::mem::take(queue).messages;
                self.batch(&messages);
            }
        }
    }

    /// Hands over the batches that have waited long enough.
    fn poll(&mut self, now: u64) {
        let due: Vec<_> = self.queues.iter().filter(|(_, q)| q.deadline <= now).map(|(key, _)| *key).collect();
        for key in due {
            if let Some(queue) = self.queues.remove(&key) {
                self.batch(&queue.messages);
            }
        }
    }

    fn batch(&mut self, messages: &[Message]) {
        let world = Rc::clone(&self.world);
        let mut stream = self.options.seed ^ 0xba7c;
        let seed = split_mix(&mut stream);
        let mut run = Run::new(&world, seed, self.batches, self.options.rollout);
        self.batches += 1;
        run.batch(messages);
        let kept = self.keeps(run.trace_id());
        let cell = messages.first().map_or(0, |m| m.cell);
        self.deliver(std::mem::take(&mut run.trace), kept, false, cell);
    }

    fn keeps(&self, trace_id: u128) -> bool {
        self.sampling.as_ref().is_none_or(|s| s.keeps(trace_id))
    }

    /// Puts the defects in, counts the truth, and queues the spans for export.
    fn deliver(&mut self, mut trace: Trace, kept: bool, request: bool, cell: u32) {
        let lost = self.losses(&trace, request);
        if !kept {
            return;
        }
        for span in &mut trace.spans {
            span.cell = cell;
            if self.options.operations > 0 && matches!(span.kind, Kind::Server | Kind::Consumer) {
                span.variant = self.variants % self.options.operations + 1;
                self.variants += 1;
            }
            span.trace_state = self.sampling.as_ref().map(|s| Rc::clone(&s.trace_state));
            if self.world.processes[span.process as usize].service == self.world.skewed {
                span.start = span.start.saturating_sub(self.options.skew);
                span.end = span.end.saturating_sub(self.options.skew);
                if let Some(exception) = &mut span.exception {
                    exception.time = exception.time.saturating_sub(self.options.skew);
                }
            }
        }
        self.ledger.trace(&self.world, &trace, &lost);
        for (span, lost) in trace.spans.into_iter().zip(lost) {
            if lost {
                continue;
            }
            let key = (span.end, span.trace_id, span.span_id, 0);
            if self.rng.chance(self.options.duplicates) {
                self.ledger.duplicate();
                // Exported again half a minute later, as a retry does.
                self.waiting.insert((span.end.saturating_add(30_000_000_000), key.1, key.2, 1), span.clone());
            }
            self.waiting.insert(key, span);
        }
    }

    /// Which spans of a trace never leave their service: an INTERNAL span with children, the root of a request.
    fn losses(&mut self, trace: &Trace, request: bool) -> Vec<bool> {
        let mut lost = vec![false; trace.spans.len()];
        if self.rng.chance(self.options.orphans) {
            let parents: Vec<u64> = trace.spans.iter().map(|s| s.parent_id).collect();
            let has_child = |s: &Span| s.kind == Kind::Internal && parents.contains(&s.span_id);
            if let Some(position) = trace.spans.iter().position(has_child) {
                lost[position] = true;
            }
        }
        if self.rng.chance(self.options.rootless) && request && trace.spans.len() > 1 {
            lost[0] = true;
        }
        lost
    }

    fn next_spans(&mut self) -> Vec<Span> {
        let size = self.options.record.max(1);
        while self.waiting.len() < size * 2
            && self.number < self.options.traces
            && self.ledger.spans() < self.options.spans
        {
            self.request();
        }
        if self.waiting.len() < size * 2 && !self.flushed {
            self.flushed = true;
            self.poll(u64::MAX);
        }
        let take = size.min(self.waiting.len());
        (0..take).filter_map(|_| self.waiting.pop_first()).map(|(_, span)| span).collect()
    }
}

impl Iterator for Generator {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let spans = self.next_spans();
        (!spans.is_empty()).then_some(Record { spans })
    }
}
