//! What goes wrong, where, when and how much; and what that does to whoever asks.
//!
//! Purpose: one fault with the questions that the simulation puts to it at each step. Input: drawn numbers (`choose`).
//! Output: factors, delays, early ends. Outside of `from..until` and elsewhere than at its place it answers "nothing".
//! Must not: draw who is hit, or touch spans.

use super::maths::{exp, nanos, normal, uniform};
use super::pods::{Pod, Release};
use super::wire::rng::Rng;

/// Sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// All work in the pods of a service is 3 to 30 times slower, requests queue, threads stall
    CpuContention,
    /// One method burns 50 to 500 ms more each time
    CpuConsumed,
    /// Everything into and out of the pods of a service takes 50 to 500 ms longer
    NetworkDelay,
    /// A method returns early: what it would have called is not called
    Return,
    /// A method throws: what it would have called is not called, and callers fail
    Exception,
    /// A database answers late
    SlowDatabase,
    /// One of two versions of a service is slow or fails
    BadVersion,
    /// One of several pods of a service is slow
    Pod,
    /// An operation fails half the time and its callers try up to three times more
    RetryStorm,
    /// A dependency without spans refuses all calls
    DependencyDown,
}

impl Kind {
    pub(crate) const ALL: [Self; 10] = [
        Self::CpuContention,
        Self::CpuConsumed,
        Self::NetworkDelay,
        Self::Return,
        Self::Exception,
        Self::SlowDatabase,
        Self::BadVersion,
        Self::Pod,
        Self::RetryStorm,
        Self::DependencyDown,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::CpuContention => "cpu_contention",
            Self::CpuConsumed => "cpu_consumed",
            Self::NetworkDelay => "network_delay",
            Self::Return => "return",
            Self::Exception => "exception",
            Self::SlowDatabase => "slow_database",
            Self::BadVersion => "bad_version",
            Self::Pod => "pod",
            Self::RetryStorm => "retry_storm",
            Self::DependencyDown => "dependency_down",
        }
    }

    pub(crate) fn category(self) -> &'static str {
        match self {
            Self::CpuContention | Self::CpuConsumed | Self::NetworkDelay | Self::Pod => "resource",
            Self::Return | Self::Exception | Self::BadVersion | Self::RetryStorm => "code",
            Self::SlowDatabase | Self::DependencyDown => "dependency",
        }
    }
}

/// Where a fault sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Service(usize),
    Database(usize),
    External(usize),
}

/// How an operation ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    Returns,
    Throws,
}

/// A fault.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) from: u64,
    pub(crate) until: u64,
    /// The method, and where in its program.
    pub(crate) operation: Option<usize>,
    pub(crate) position: usize,
    /// Which pod of the service.
    pub(crate) pod: Option<usize>,
    /// How much slower.
    pub(crate) factor: f64,
    /// Nanoseconds added.
    pub(crate) add: f64,
    /// Chance that a request stalls for a part of the scheduler's period.
    pub(crate) stalls: f64,
    /// Chance that it ends early.
    pub(crate) share: f64,
    /// Network delay in both directions, each half; else all of it on what leaves the pod.
    pub(crate) both_ways: bool,
    /// Pods of the bad version, and whether they come with the fault.
    pub(crate) fresh_pods: usize,
    pub(crate) rollout: bool,
}

impl Fault {
    pub(crate) fn new(kind: Kind, place: Place, (from, until): (u64, u64)) -> Self {
        Self {
            kind,
            place,
            from,
            until,
            operation: None,
            position: 0,
            pod: None,
            factor: 1.0,
            add: 0.0,
            stalls: 0.0,
            share: 0.0,
            both_ways: false,
            fresh_pods: 0,
            rollout: false,
        }
    }

    pub(crate) fn is_on(&self, at: u64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// The release that a bad version is.
    pub(crate) fn release(&self) -> Option<Release> {
        let Place::Service(service) = self.place else { return None };
        let time = self.rollout.then_some((self.from, self.until));
        (self.kind == Kind::BadVersion).then_some(Release { service, pods: self.fresh_pods, time, bad: true })
    }

    fn is_at(&self, service: usize, at: u64) -> bool {
        self.place == Place::Service(service) && self.is_on(at)
    }

    /// Whether this pod is one of those that suffer as a whole.
    pub(crate) fn hits(&self, pod: &Pod, at: u64) -> bool {
        self.is_at(pod.service, at)
            && match self.kind {
                Kind::CpuContention | Kind::CpuConsumed | Kind::RetryStorm => true,
                Kind::Pod => self.pod == Some(pod.number),
                Kind::BadVersion => pod.fresh,
                _ => false,
            }
    }

    /// How much slower all work of a pod is.
    pub(crate) fn slowdown(&self, pod: &Pod, at: u64) -> f64 {
        if self.hits(pod, at) { self.factor } else { 1.0 }
    }

    /// Time added to a request at a pod.
    pub(crate) fn extra(&self, pod: &Pod, at: u64, rng: &mut Rng) -> u64 {
        if !self.hits(pod, at) {
            return 0;
        }
        let stall = if rng.chance(self.stalls) { uniform(rng, 10e6, 100e6) } else { 0.0 };
        let add = if self.kind == Kind::BadVersion && self.add > 0.0 { self.add * spread(rng, 0.3) } else { 0.0 };
        nanos(stall + add)
    }

    /// Time that a method burns at this step.
    pub(crate) fn burn(&self, operation: usize, position: usize, at: u64, rng: &mut Rng) -> u64 {
        let here = self.kind == Kind::CpuConsumed && self.operation == Some(operation) && self.position == position;
        if here && self.is_on(at) { nanos(self.add * spread(rng, 0.15)) } else { 0 }
    }

    /// Time added on the way into or out of the pods of a service.
    pub(crate) fn delay(&self, service: usize, leaves: bool, at: u64, rng: &mut Rng) -> u64 {
        if self.kind != Kind::NetworkDelay || !self.is_at(service, at) {
            return 0;
        }
        match (self.both_ways, leaves) {
            (true, _) => nanos(self.add / 2.0 * spread(rng, 0.2)),
            (false, true) => nanos(self.add * spread(rng, 0.2)),
            (false, false) => 0,
        }
    }

    /// Whether an operation that begins now at this pod ends early, before which step, and how.
    pub(crate) fn early(&self, operation: usize, pod: &Pod, at: u64, rng: &mut Rng) -> Option<(usize, Early)> {
        if self.operation != Some(operation) || !self.is_at(pod.service, at) {
            return None;
        }
        let how = match self.kind {
            Kind::Return => Early::Returns,
            Kind::Exception | Kind::RetryStorm => Early::Throws,
            Kind::BadVersion if pod.fresh => Early::Throws,
            _ => return None,
        };
        rng.chance(self.share).then_some((self.position, how))
    }

    /// How often calls to an operation are tried again, whether the fault is on or not: callers do not change.
    pub(crate) fn retries(&self, operation: usize) -> u32 {
        if self.kind == Kind::RetryStorm && self.operation == Some(operation) { 3 } else { 0 }
    }

    /// What a database adds to the time of a statement.
    pub(crate) fn query(&self, database: usize, usual: u64, at: u64, rng: &mut Rng) -> Option<u64> {
        if self.kind != Kind::SlowDatabase || self.place != Place::Database(database) || !self.is_on(at) {
            return None;
        }
        #[allow(clippy::cast_precision_loss, reason = "a duration")]
        let slower = usual as f64 * (self.factor - 1.0);
        Some(nanos(slower + self.add * spread(rng, 0.4)))
    }

    /// Whether a dependency refuses.
    pub(crate) fn refuses(&self, external: usize, at: u64) -> bool {
        self.kind == Kind::DependencyDown && self.place == Place::External(external) && self.is_on(at)
    }
}

/// A factor around one.
fn spread(rng: &mut Rng, sigma: f64) -> f64 {
    exp(sigma * normal(rng))
}
