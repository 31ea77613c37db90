//! A seeded model of a distributed system that emits OpenTelemetry spans, and the truth about what it emitted.
//!
//! Purpose: traces whose every fact is known, for tests, benches and demonstrations. A system is a table ([`system`]);
//! [`shop`] and [`aisoc`] are two of them. Input: [`Options`]. Output: a stream of [`stream::Record`]s, bounded in memory however
//! long it runs, and a [`truth::Truth`] counted while simulating, without any of tracebook's own code.
//! Must not: read a clock, use floating-point functions that differ between platforms, or import `tracebook`.
//!
//! Benches take this directory in with `#[path]`.

mod aisoc;
mod convention;
mod emit;
pub(crate) mod laps;
mod rng;
mod run;
mod shop;
mod simulate;
mod span;
mod stream;
pub(crate) mod system;
pub(crate) mod truth;
mod wide;
mod world;

pub(crate) use emit::Format;
pub(crate) use stream::Generator;

use system::System;

/// Every system there is.
pub(crate) const SYSTEMS: &[&System] = &[&shop::SYSTEM, &aisoc::SYSTEM];

/// The system of this name.
pub(crate) fn system(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|system| system.name == name).copied()
}

/// What to simulate. Times are nanoseconds, shares lie in 0..=1.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Same seed, same bytes.
    pub(crate) seed: u64,
    /// Unix time of the first request.
    pub(crate) start: u64,
    /// Mean time between two requests.
    pub(crate) gap: u64,
    /// Requests (traces that start at an entry point; batch consumers add traces of their own).
    pub(crate) traces: u64,
    /// Stop starting requests once this many spans are simulated.
    pub(crate) spans: u64,
    /// Share of version 1.5.0.
    pub(crate) rollout: f64,
    /// Share of traces kept, written into `tracestate`; `None` leaves sampling information out.
    pub(crate) sample: Option<f64>,
    /// How far the clock of [`System::skewed`] runs behind.
    pub(crate) skew: u64,
    /// Share of traces in which an INTERNAL span with children is lost.
    pub(crate) orphans: f64,
    /// Share of traces whose root span is lost.
    pub(crate) rootless: f64,
    /// Share of spans exported twice.
    pub(crate) duplicates: f64,
    /// What goes wrong, if anything.
    pub(crate) fault: Option<Incident>,
    /// Spans in one export request, at most.
    pub(crate) record: usize,
    /// Eight attributes on every span and on every resource.
    pub(crate) wide: bool,
    /// Services wanted, in copies ("cells") of the system; 0 for one copy.
    pub(crate) services: u64,
    /// Different names of SERVER and CONSUMER spans; 0 for those of the system.
    pub(crate) operations: u64,
}

/// A fault of the system's table and when it holds.
#[derive(Debug, Clone)]
pub(crate) struct Incident {
    /// Name in [`System::faults`].
    pub(crate) name: String,
    /// First instant.
    pub(crate) from: u64,
    /// First instant after it.
    pub(crate) until: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            start: 1_793_610_000_000_000_000, // 2026-11-02T09:00:00Z
            gap: 500_000_000,
            traces: 1000,
            spans: u64::MAX,
            rollout: 0.3,
            sample: None,
            skew: 0,
            orphans: 0.0,
            rootless: 0.0,
            duplicates: 0.0,
            fault: None,
            record: 512,
            wide: false,
            services: 0,
            operations: 0,
        }
    }
}
