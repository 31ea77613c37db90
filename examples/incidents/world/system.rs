//! What a system is: services, their operations as small programs, what they store into, and how their spans look.
//!
//! Purpose: the table that `grow` fills and `run` interprets. Durations are nanoseconds, shares lie in 0..=1, everything
//! refers to everything by position. Must not: draw random numbers or know of faults.

use super::maths::exp;

/// How names look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// `shop.Orders/GetOrder` on both sides
    Grpc,
    /// CLIENT spans are just `GET`, SERVER spans `GET /orders/{id}`
    Http,
    /// As `Http`, and below each SERVER span an INTERNAL `OrdersController.getOrder`
    Java,
}

/// What holds for the whole system.
#[derive(Debug, Clone)]
pub(crate) struct Traits {
    /// `grpc`, `http`, `java`, or `mixed`: each service has its own.
    pub(crate) naming: &'static str,
    /// All pages enter by SERVER spans of one name.
    pub(crate) catch_all: bool,
    /// Failures are told by status and codes; otherwise only the structure changes.
    pub(crate) marks_errors: bool,
    /// Callers that miss the data of a callee stop early too.
    pub(crate) empty_stops: bool,
    /// `service.namespace`.
    pub(crate) namespace: Option<&'static str>,
    /// Attribute names of the older semantic conventions.
    pub(crate) old: bool,
    /// Consumers work in traces of their own, linked to the producer.
    pub(crate) linked: bool,
    /// Services have a limited number of workers, which waiting for others keeps.
    pub(crate) pooled: bool,
    /// Several services use one database.
    pub(crate) shared_stores: bool,
    /// Share of spans exported twice, and of spans with children that are lost.
    pub(crate) duplicates: f64,
    pub(crate) lost: f64,
    /// Clocks of pods are off by up to this.
    pub(crate) skew: f64,
    /// One way over the network.
    pub(crate) network: Latency,
}

/// A lognormal duration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) median: f64,
    /// Deviation of the logarithm: 0.3 hardly has a tail, 1.0 has one ten times the median.
    pub(crate) sigma: f64,
}

impl Latency {
    pub(crate) fn mean(self) -> f64 {
        self.median * exp(self.sigma * self.sigma / 2.0)
    }
}

/// A service.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// What it is about, for names of operations.
    pub(crate) noun: &'static str,
    pub(crate) level: usize,
    pub(crate) naming: Naming,
    pub(crate) language: &'static str,
    pub(crate) pods: usize,
    /// How busy a pod is in quiet times; the share of requests that find it so.
    pub(crate) busy: f64,
    /// Requests that one pod handles at a time; else as many as come.
    pub(crate) workers: Option<usize>,
    /// Requests wait after the SERVER span has begun, not before.
    pub(crate) waits_inside: bool,
    /// Makes CLIENT and PRODUCER spans. Without, its callees' spans hang below its SERVER spans.
    pub(crate) client_spans: bool,
    /// Its speed drifts by this share.
    pub(crate) drift: f64,
    /// Time between two pauses of a pod, and how long one lasts.
    pub(crate) pauses: Option<(u64, u64)>,
}

/// How an operation is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    Http { method: &'static str, route: &'static str },
    Grpc { service: &'static str, method: &'static str },
    Message { topic: usize },
}

/// An operation: a SERVER or CONSUMER span and the program below it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) service: usize,
    pub(crate) via: Via,
    pub(crate) name: &'static str,
    /// INTERNAL span around the program.
    pub(crate) controller: Option<&'static str>,
    pub(crate) program: Vec<Step>,
    /// Chance that it fails although nothing is wrong with the system.
    pub(crate) fails: f64,
    /// Chance that there is nothing to be found: an early return, marked as 404 where codes are marked.
    pub(crate) missing: f64,
}

/// One step of a program.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Work(Latency),
    Call(Call),
    Query(Query),
    /// A call to a dependency without spans.
    Outside {
        external: usize,
        optional: bool,
    },
    Publish(usize),
    /// An INTERNAL span around steps.
    Inner {
        name: &'static str,
        steps: Vec<Step>,
    },
    /// All start together, the slowest ends it.
    Parallel(Vec<Step>),
    Loop {
        low: u64,
        high: u64,
        steps: Vec<Step>,
    },
    /// Taken with this chance.
    Branch {
        chance: f64,
        steps: Vec<Step>,
    },
}

/// A call to another service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) operation: usize,
    /// Without the answer's data the caller stops.
    pub(crate) needs: bool,
    /// A failure is answered by a fallback.
    pub(crate) optional: bool,
    pub(crate) timeout: Option<u64>,
    pub(crate) retries: u32,
}

/// A statement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query {
    pub(crate) database: usize,
    /// Span name.
    pub(crate) name: &'static str,
    pub(crate) verb: &'static str,
    pub(crate) table: &'static str,
}

/// A database or cache: no spans of its own.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// `db.system.name`.
    pub(crate) system: &'static str,
    /// `db.namespace`; empty for caches.
    pub(crate) namespace: &'static str,
    pub(crate) host: &'static str,
    pub(crate) port: u16,
    pub(crate) latency: Latency,
}

impl Database {
    /// As tracebook names it.
    pub(crate) fn id(&self) -> String {
        format!("database:{}:{}", self.system, if self.namespace.is_empty() { self.host } else { self.namespace })
    }
}

/// A topic and who reads it.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) publish: &'static str,
    pub(crate) host: &'static str,
    /// Time a message waits.
    pub(crate) dwell: Latency,
    pub(crate) consumers: Vec<usize>,
}

/// A dependency that sends no spans: somebody else's, or a service nobody instrumented.
#[derive(Debug, Clone)]
pub(crate) struct External {
    pub(crate) host: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) latency: Latency,
}

/// Where requests come in, and how often compared to the others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) operation: usize,
    pub(crate) weight: f64,
}

/// A system.
#[derive(Debug, Clone)]
pub(crate) struct System {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) traits: Traits,
    pub(crate) services: Vec<Service>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) databases: Vec<Database>,
    pub(crate) topics: Vec<Topic>,
    pub(crate) externals: Vec<External>,
    pub(crate) entries: Vec<Entry>,
    /// Requests per second.
    pub(crate) rate: f64,
}

impl System {
    /// As tracebook names a service.
    pub(crate) fn id(&self, service: usize) -> String {
        let name = self.services[service].name;
        self.traits.namespace.map_or_else(|| name.to_owned(), |space| format!("{space}/{name}"))
    }

    pub(crate) fn service_of(&self, operation: usize) -> &Service {
        &self.services[self.operations[operation].service]
    }

    /// Positions of a service's operations.
    pub(crate) fn operations_of(&self, service: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.operations.len()).filter(move |o| self.operations[*o].service == service)
    }
}

/// Calls a function on each step, those inside of others too, with how often it is expected to run. `each`: every round of
/// a loop counts; else a loop is one thing that happens or not.
pub(crate) fn walk<'a>(steps: &'a [Step], times: f64, each: bool, visit: &mut impl FnMut(&'a Step, f64)) {
    for step in steps {
        visit(step, times);
        match step {
            Step::Inner { steps, .. } | Step::Parallel(steps) => walk(steps, times, each, visit),
            #[allow(clippy::cast_precision_loss, reason = "below ten")]
            Step::Loop { low, high, steps } => {
                let rounds = if each { (low + high) as f64 / 2.0 } else { 1.0 };
                walk(steps, times * rounds, each, visit);
            }
            Step::Branch { chance, steps } => walk(steps, times * chance, each, visit),
            _ => {}
        }
    }
}
