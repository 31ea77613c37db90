//! A capture: requests one after the other, the defects that real exports have, and lines of OTLP.
//!
//! Purpose: bytes. Input: a [`World`], a seed, a window, somewhere to write. Output: lines ordered by the end of their spans,
//! and [`Counts`] taken while writing. Holds the spans of requests under way and no more. Must not: change what happened;
//! it only loses, repeats and shifts what is told about it.

use std::collections::BTreeMap;
use std::io;

use super::maths::mix;
use super::run::{Run, World};
use super::traffic::Traffic;
use super::wire::rng::Rng;
use super::wire::span::Span;
use super::wire::{Lines, RECORD};

/// What was written.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) spans: u64,
    /// Spans that begin before the fault, and while it lasts.
    pub(crate) before: u64,
    pub(crate) during: u64,
    /// Requests that begin while it lasts, and those that met it.
    pub(crate) requests: u64,
    pub(crate) met: u64,
    /// How often it bit.
    pub(crate) bites: u64,
}

/// Spans under way, by (end, trace, span, copy).
type Waiting = BTreeMap<(u64, u128, u64, u8), Span>;

struct Exporter<'w, W> {
    world: &'w World<'w>,
    rng: Rng,
    waiting: Waiting,
    record: Vec<Span>,
    lines: Lines<W>,
    counts: Counts,
}

/// Simulates all requests that come in `from..until`.
pub(crate) fn capture<W: io::Write>(
    world: &World<'_>,
    seed: u64,
    (from, until): (u64, u64),
    out: W,
) -> io::Result<(W, Counts)> {
    let mut exporter = Exporter {
        world,
        rng: Rng::new(mix(seed, 0xdefec7), 0),
        waiting: Waiting::new(),
        record: Vec::new(),
        lines: Lines::new(world.fleet.resources(world.system), out),
        counts: Counts::default(),
    };
    let mut traffic = Traffic::new(world.system, world.surge, seed, from);
    for number in 0.. {
        let (at, operation) = traffic.next();
        if at >= until {
            break;
        }
        exporter.flush(at)?;
        let mut run = Run::new(world, mix(seed, 0x9e57), number);
        run.request(operation, at);
        let during = world.fault.as_ref().is_some_and(|f| f.is_on(at));
        exporter.counts.requests += u64::from(during);
        exporter.counts.met += u64::from(run.bites > 0);
        exporter.counts.bites += run.bites;
        exporter.deliver(run.spans);
    }
    exporter.flush(u64::MAX)?;
    let last = std::mem::take(&mut exporter.record);
    if !last.is_empty() {
        exporter.lines.write(last)?;
    }
    Ok((exporter.lines.into_inner(), exporter.counts))
}

impl<W: io::Write> Exporter<'_, W> {
    /// Puts the defects in and queues the spans.
    fn deliver(&mut self, spans: Vec<Span>) {
        let traits = &self.world.system.traits;
        let parents: Vec<u64> = spans.iter().map(|s| s.parent_id).collect();
        for mut span in spans {
            let pod = &self.world.fleet.pods[span.process as usize];
            span.start = span.start.saturating_add_signed(pod.skew);
            span.end = span.end.saturating_add_signed(pod.skew);
            if let Some(exception) = &mut span.exception {
                exception.time = exception.time.saturating_add_signed(pod.skew);
            }
            if self.rng.chance(traits.lost) && parents.contains(&span.span_id) {
                continue;
            }
            let key = (span.end, span.trace_id, span.span_id, 0);
            if self.rng.chance(traits.duplicates) {
                // Exported again after a while, as a retry does.
                let again = (span.end + self.rng.between(1_000_000_000, 20_000_000_000), key.1, key.2, 1);
                self.waiting.insert(again, span.clone());
            }
            self.waiting.insert(key, span);
        }
    }

    /// Writes what ended before this time: later requests cannot add to it.
    fn flush(&mut self, until: u64) -> io::Result<()> {
        while let Some(first) = self.waiting.first_entry() {
            if first.key().0 >= until {
                break;
            }
            let span = first.remove();
            self.counts.spans += 1;
            if let Some(fault) = &self.world.fault {
                self.counts.before += u64::from(span.start < fault.from);
                self.counts.during += u64::from(fault.is_on(span.start));
            }
            self.record.push(span);
            if self.record.len() == RECORD {
                self.lines.write(std::mem::take(&mut self.record))?;
            }
        }
        Ok(())
    }
}
