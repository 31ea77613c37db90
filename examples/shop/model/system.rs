//! A system as data: services with their operations, what these call how often and how long it takes, and what can fail.

/// A whole system. Names refer to other entries of the same table and are checked when a generator is made.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// `service.namespace`, if the system sets one.
    pub(crate) namespace: Option<&'static str>,
    pub(crate) k8s_namespace: &'static str,
    /// Prefix of the cluster name; the region follows.
    pub(crate) cluster: &'static str,
    /// (region, share).
    pub(crate) regions: &'static [(&'static str, u32)],
    /// Where requests come in.
    pub(crate) entries: &'static [Entry],
    pub(crate) services: &'static [Service],
    pub(crate) stores: &'static [Store],
    pub(crate) topics: &'static [Topic],
    pub(crate) externals: &'static [External],
    pub(crate) faults: &'static [Fault],
    /// The service whose clock runs behind when skew is asked for.
    pub(crate) skewed: &'static str,
}

/// Requests from outside.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) share: u32,
}

/// Which generation of semantic conventions a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convention {
    /// `http.request.method`, `db.system.name`, `messaging.operation.type`, `server.address`.
    New,
    /// `http.method`, `db.system`, `messaging.operation`, `net.peer.name`.
    Old,
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    pub(crate) convention: Convention,
    /// Pods per region and version.
    pub(crate) pods: u32,
    pub(crate) operations: &'static [Operation],
}

/// How an operation is reached.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Via {
    Http {
        method: &'static str,
        route: &'static str,
    },
    Grpc {
        service: &'static str,
        method: &'static str,
    },
    /// Handles messages of a topic.
    Messages {
        topic: &'static str,
    },
}

#[derive(Debug)]
pub(crate) struct Operation {
    /// Name of the SERVER or CONSUMER span.
    pub(crate) name: &'static str,
    pub(crate) via: Via,
    /// Name of an INTERNAL span around the steps; empty for none.
    pub(crate) inner: &'static str,
    /// Time of its own, without the steps.
    pub(crate) own: Latency,
    /// Probability that it fails by itself.
    pub(crate) fails: f64,
    pub(crate) failure: &'static Failure,
    pub(crate) steps: &'static [Step],
}

/// How something fails.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exception: &'static str,
    pub(crate) message: &'static str,
    pub(crate) http: u16,
    pub(crate) grpc: u8,
    /// Whether the called side calls it a failure too (a NOT_FOUND is one to the caller only).
    pub(crate) server_fault: bool,
}

/// What a step calls.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Service { service: &'static str, operation: &'static str },
    Store { store: &'static str, statement: &'static Statement },
    Topic(&'static str),
    External { external: &'static str },
}

/// A database statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Span name.
    pub(crate) name: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) collection: &'static str,
    pub(crate) text: &'static str,
}

/// One call an operation makes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) target: Target,
    pub(crate) chance: f64,
    /// How often in a row, at least and at most.
    pub(crate) times: (u8, u8),
    /// Starts together with the step before.
    pub(crate) concurrent: bool,
    /// A failure of it does not fail the caller.
    pub(crate) optional: bool,
    /// Nobody waits for it.
    pub(crate) detached: bool,
    /// Tried again after a failure, that many times.
    pub(crate) retries: u8,
    /// The caller has no client instrumentation.
    pub(crate) bare: bool,
    /// The caller gives up after that many milliseconds; 0 is never.
    pub(crate) timeout_ms: u32,
}

impl Step {
    const fn to(target: Target) -> Self {
        Self {
            target,
            chance: 1.0,
            times: (1, 1),
            concurrent: false,
            optional: false,
            detached: false,
            retries: 0,
            bare: false,
            timeout_ms: 0,
        }
    }

    pub(crate) const fn call(service: &'static str, operation: &'static str) -> Self {
        Self::to(Target::Service { service, operation })
    }

    pub(crate) const fn query(store: &'static str, statement: &'static Statement) -> Self {
        Self::to(Target::Store { store, statement })
    }

    pub(crate) const fn publish(topic: &'static str) -> Self {
        Self::to(Target::Topic(topic))
    }

    pub(crate) const fn external(external: &'static str) -> Self {
        Self::to(Target::External { external })
    }

    pub(crate) const fn chance(self, chance: f64) -> Self {
        Self { chance, ..self }
    }

    pub(crate) const fn times(self, low: u8, high: u8) -> Self {
        Self { times: (low, high), ..self }
    }

    pub(crate) const fn concurrent(self) -> Self {
        Self { concurrent: true, ..self }
    }

    pub(crate) const fn optional(self) -> Self {
        Self { optional: true, ..self }
    }

    pub(crate) const fn detached(self) -> Self {
        Self { detached: true, ..self }
    }

    pub(crate) const fn retries(self, retries: u8) -> Self {
        Self { retries, ..self }
    }

    pub(crate) const fn bare(self) -> Self {
        Self { bare: true, ..self }
    }

    pub(crate) const fn timeout_ms(self, timeout_ms: u32) -> Self {
        Self { timeout_ms, ..self }
    }
}

#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) name: &'static str,
    /// `db.system.name`.
    pub(crate) system: &'static str,
    /// `db.namespace`, empty where there is none.
    pub(crate) namespace: &'static str,
    pub(crate) address: &'static str,
    pub(crate) port: u16,
    pub(crate) latency: Latency,
    pub(crate) fails: f64,
    pub(crate) failure: &'static Failure,
}

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) address: &'static str,
    pub(crate) partitions: u32,
    /// Span names: publish and process, new and old convention.
    pub(crate) names: [&'static str; 4],
    pub(crate) publish: Latency,
    /// Publish end → receive start.
    pub(crate) dwell: Latency,
    pub(crate) groups: &'static [Group],
}

/// A consumer group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    /// `None`: one message at a time, in the producer's trace.
    pub(crate) batch: Option<Batch>,
}

/// Reading several messages at once, in a trace of their own with a link to each message's producer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// Messages wanted, at least and at most.
    pub(crate) size: (u8, u8),
    /// How long the consumer waits for more.
    pub(crate) linger_ms: u32,
}

#[derive(Debug)]
pub(crate) struct External {
    pub(crate) name: &'static str,
    pub(crate) host: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) latency: Latency,
    pub(crate) fails: f64,
    pub(crate) failure: &'static Failure,
}

/// Where a fault bites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Everywhere,
    Service(&'static str),
    Store(&'static str),
    External(&'static str),
    /// The time messages wait.
    Topic(&'static str),
}

/// Something that goes wrong from a given instant on.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) place: Place,
    /// Only in this region, only in this version.
    pub(crate) region: Option<&'static str>,
    pub(crate) version: Option<&'static str>,
    /// Latency is multiplied by the first, then the second is added, milliseconds.
    pub(crate) factor: f64,
    pub(crate) add_ms: f64,
    /// Added to the probability of failure.
    pub(crate) fails: f64,
}

impl Fault {
    pub(crate) const fn new(name: &'static str, about: &'static str, place: Place) -> Self {
        Self { name, about, place, region: None, version: None, factor: 1.0, add_ms: 0.0, fails: 0.0 }
    }

    pub(crate) const fn slower(self, factor: f64, add_ms: f64) -> Self {
        Self { factor, add_ms, ..self }
    }

    pub(crate) const fn failing(self, fails: f64) -> Self {
        Self { fails, ..self }
    }

    pub(crate) const fn in_region(self, region: &'static str) -> Self {
        Self { region: Some(region), ..self }
    }

    pub(crate) const fn in_version(self, version: &'static str) -> Self {
        Self { version: Some(version), ..self }
    }
}

/// A distribution of durations: a median and a shape.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Latency {
    pub(crate) median_us: u32,
    pub(crate) shape: &'static Shape,
}

/// Quantile function of a duration divided by its median: (probability, multiple), linear in between, first 0, last 1.
pub(crate) type Shape = [(f64, f64)];

/// Hardly any tail.
pub(crate) const TIGHT: &Shape = &[(0.0, 0.7), (0.5, 1.0), (0.9, 1.3), (0.99, 1.8), (1.0, 3.0)];
/// Like most services.
pub(crate) const USUAL: &Shape =
    &[(0.0, 0.4), (0.25, 0.75), (0.5, 1.0), (0.75, 1.5), (0.9, 2.4), (0.99, 6.0), (0.999, 14.0), (1.0, 40.0)];
/// A tail a thousand times the median.
pub(crate) const WILD: &Shape =
    &[(0.0, 0.2), (0.5, 1.0), (0.75, 2.0), (0.9, 5.0), (0.99, 40.0), (0.999, 200.0), (0.9999, 800.0), (1.0, 2000.0)];
/// Times between arrivals, divided by their mean: requests come in bursts.
pub(crate) const ARRIVALS: &Shape =
    &[(0.0, 0.0), (0.3, 0.005), (0.5, 0.5), (0.75, 1.5), (0.9, 2.8), (0.99, 5.5), (1.0, 9.0)];

pub(crate) const fn tight(median_us: u32) -> Latency {
    Latency { median_us, shape: TIGHT }
}

pub(crate) const fn usual(median_us: u32) -> Latency {
    Latency { median_us, shape: USUAL }
}

pub(crate) const fn wild(median_us: u32) -> Latency {
    Latency { median_us, shape: WILD }
}

/// The multiple at a probability in 0..1.
pub(crate) fn quantile(shape: &Shape, probability: f64) -> f64 {
    let mut low = (0.0, 0.0);
    for &point in shape {
        if probability < point.0 {
            let share = (probability - low.0) / (point.0 - low.0);
            return low.1 + share * (point.1 - low.1);
        }
        low = point;
    }
    low.1
}

// How things fail, shared by the systems' tables.

/// What a caller answers when something it needs has failed.
pub(crate) const PASSED_ON: Failure =
    Failure { exception: "", message: "upstream call failed", http: 500, grpc: 13, server_fault: true };
/// The caller waited long enough.
pub(crate) const GAVE_UP: Failure =
    Failure { exception: "TimeoutError", message: "deadline exceeded", http: 504, grpc: 4, server_fault: true };
pub(crate) const INTERNAL: Failure = Failure {
    exception: "java.lang.IllegalStateException",
    message: "unexpected state",
    http: 500,
    grpc: 13,
    server_fault: true,
};
pub(crate) const NOT_FOUND: Failure =
    Failure { exception: "", message: "not found", http: 404, grpc: 5, server_fault: false };
pub(crate) const UNAVAILABLE: Failure = Failure {
    exception: "ConnectionRefusedError",
    message: "connection refused",
    http: 503,
    grpc: 14,
    server_fault: true,
};
pub(crate) const DATABASE: Failure = Failure {
    exception: "pq.Error",
    message: "canceling statement due to statement timeout",
    http: 0,
    grpc: 0,
    server_fault: true,
};
pub(crate) const CACHE: Failure = Failure {
    exception: "redis.exceptions.TimeoutError",
    message: "Timeout reading from socket",
    http: 0,
    grpc: 0,
    server_fault: true,
};
