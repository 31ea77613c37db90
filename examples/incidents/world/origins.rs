//! Small incidents with one error whose origin is known by construction.
//!
//! Purpose: tests of where an error began and how far it climbed. [`planted`] gives each [`Plot`] at several depths and in
//! each way of naming. Input: a seed. Output: [`Planted`]: OTLP JSON lines of a time without the error and of one with it,
//! and the truth. Must not: use the random systems, or `tracebook`; a reader can follow each trace by hand:
//!
//! ```text
//! front → orders → stock → ledger → risk      a chain, cut to its depth; the last is where it happens
//!   └ profiles  └ profiles  └ …               each but the last also asks somebody innocent first
//! ```
//!
//! A test takes it in with
//!
//! ```ignore
//! #[path = "../../examples/incidents/world/mod.rs"]
//! #[allow(dead_code, reason = "the example uses the rest")]
//! mod world;
//!
//! for planted in world::origins::planted(7) {
//!     let planted = planted?;
//!     // planted.base and planted.head are bytes for `source::bytes`, or files.
//! }
//! ```

use std::io;

use serde::Serialize;

use super::convention::{self as conv, Style};
use super::failure::{CRASH, Failure, GAVE_UP, PASSED_ON};
use super::names::{capital, keep};
use super::system::{Naming, Via};
use super::wire::rng::Rng;
use super::wire::span::{Attributes, Exception, Kind, Span, Value};
use super::wire::{Lines, RECORD};

/// How the story goes. "Last" is the last service of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Plot {
    /// The last throws, and everybody above fails.
    FailingLeaf,
    /// The last throws, its caller asks again, and that goes well.
    Retried,
    /// The last throws, and its caller asks another service instead.
    Fallback,
    /// The last takes too long and succeeds; its caller's CLIENT span has long failed with DEADLINE_EXCEEDED.
    CallerTimeout,
    /// The last throws, its caller fails, and that one's caller goes on as if nothing were.
    Swallowed,
    /// The last throws and says so; its caller's CLIENT span says nothing.
    ChildOnly,
}

impl Plot {
    pub(crate) const ALL: [Self; 6] =
        [Self::FailingLeaf, Self::Retried, Self::Fallback, Self::CallerTimeout, Self::Swallowed, Self::ChildOnly];
}

/// Spans of a chain with one error, and the truth about it.
#[derive(Debug, Serialize)]
pub(crate) struct Planted {
    /// For messages and files: plot, naming, depth.
    pub(crate) name: String,
    pub(crate) plot: Plot,
    /// The chain, from the front on.
    pub(crate) services: Vec<&'static str>,
    /// OTLP JSON lines: before, and with the error in some traces.
    #[serde(skip)]
    pub(crate) base: Vec<u8>,
    #[serde(skip)]
    pub(crate) head: Vec<u8>,
    /// The service in which the error began, its SERVER operation, and the span that said so first.
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) span: &'static str,
    /// Services above it that failed too.
    pub(crate) climbed: usize,
    /// Whether the request as a whole failed.
    pub(crate) reaches_user: bool,
    /// For [`Plot::CallerTimeout`]: who was too slow.
    pub(crate) slow: Option<&'static str>,
    /// Requests in `head`, and those with the error.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
}

/// `service.namespace` of all of them.
pub(crate) const NAMESPACE: &str = "demo";
const CHAIN: [&str; 5] = ["front", "orders", "stock", "ledger", "risk"];
/// The innocent one, and the one that is asked instead.
const OTHERS: [&str; 2] = ["profiles", "defaults"];
const DEPTHS: [usize; 3] = [2, 3, 5];
const REQUESTS: u64 = 60;
const MS: u64 = 1_000_000;
/// 2026-11-02T09:00:00Z, and a quarter of an hour later.
const TIMES: [u64; 2] = [1_793_610_000_000_000_000, 1_793_610_900_000_000_000];
const STYLE: Style = Style { old: false, marks: true };

/// All plots, at each depth, in each naming; one is made when it is asked for.
pub(crate) fn planted(seed: u64) -> impl Iterator<Item = io::Result<Planted>> {
    let namings = [Naming::Grpc, Naming::Http, Naming::Java];
    let stories = Plot::ALL.into_iter().flat_map(move |plot| namings.map(|naming| (plot, naming)));
    let stories = stories.flat_map(|(plot, naming)| DEPTHS.map(|depth| (plot, naming, depth)));
    stories.map(move |(plot, naming, depth)| plant(seed, plot, naming, depth))
}

fn plant(seed: u64, plot: Plot, naming: Naming, depth: usize) -> io::Result<Planted> {
    let stream = (plot as u64) << 16 | (naming as u64) << 8 | depth as u64;
    let mut teller = Teller { plot, naming, last: depth - 1, rng: Rng::new(seed, stream), trace: 0, spans: Vec::new() };
    let base = teller.tell(TIMES[0], 0.0)?.0;
    let (head, failed) = teller.tell(TIMES[1], 0.3)?;
    // A timeout begins with who stops waiting.
    let at = if plot == Plot::CallerTimeout { depth - 2 } else { depth - 1 };
    let climbed = match plot {
        Plot::FailingLeaf | Plot::CallerTimeout => at,
        Plot::Swallowed if depth > 2 => 1,
        Plot::Swallowed | Plot::Retried | Plot::Fallback | Plot::ChildOnly => 0,
    };
    let operation = teller.operation(at).1;
    Ok(Planted {
        name: format!("{plot:?}-{naming:?}-{depth}").to_lowercase(),
        plot,
        services: CHAIN[..depth].to_vec(),
        base,
        head,
        service: CHAIN[at],
        operation,
        span: match plot {
            Plot::CallerTimeout => conv::client_name(STYLE, teller.operation(at + 1).0, teller.operation(at + 1).1),
            _ => teller.controller(at).unwrap_or(operation),
        },
        climbed,
        reaches_user: climbed == at,
        slow: (plot == Plot::CallerTimeout).then(|| CHAIN[at + 1]),
        requests: REQUESTS,
        failed,
    })
}

/// Makes the spans of one chain.
struct Teller {
    plot: Plot,
    naming: Naming,
    last: usize,
    rng: Rng,
    trace: u128,
    spans: Vec<Span>,
}

impl Teller {
    /// Requests from a time on, of which a share meets the error: lines, and how many met it.
    fn tell(&mut self, from: u64, share: f64) -> io::Result<(Vec<u8>, u64)> {
        let mut failed = 0;
        for number in 0..REQUESTS {
            self.trace = (u128::from(self.rng.bits()) << 64 | u128::from(self.rng.bits())).max(1);
            let bad = self.rng.chance(share);
            failed += u64::from(bad);
            let start = from + number * 500 * MS + self.rng.between(0, 300) * MS;
            self.handle(0, 0, start, bad);
        }
        self.spans.sort_by_key(|s| (s.end, s.trace_id, s.span_id));
        let pods = CHAIN.iter().chain(&OTHERS).map(|name| resource(name)).collect();
        let mut lines = Lines::new(pods, Vec::new());
        while !self.spans.is_empty() {
            let rest = self.spans.split_off(self.spans.len().min(RECORD));
            lines.write(std::mem::replace(&mut self.spans, rest))?;
        }
        Ok((lines.into_inner(), failed))
    }

    /// A service handles a request: when it answers, and whether it failed.
    fn handle(&mut self, at: usize, parent: u64, start: u64, bad: bool) -> (u64, Option<&'static Failure>) {
        let (via, name) = self.operation(at);
        let server = self.open(at, parent, name, Kind::Server, start);
        let mut parent = self.spans[server].span_id;
        let mut now = start + self.rng.between(1, 4) * MS;
        let inner = self.controller(at).map(|name| {
            let inner = self.open(at, parent, name, Kind::Internal, start + MS / 2);
            parent = self.spans[inner].span_id;
            inner
        });
        let mut failure = None;
        if at < self.last {
            now = self.ask(at, CHAIN.len(), parent, now, false).0;
            (now, failure) = self.rely(at, parent, now, bad);
        } else if at == self.last && bad {
            match self.plot {
                Plot::CallerTimeout => now += 800 * MS,
                _ => failure = Some(&CRASH),
            }
        }
        now += self.rng.between(1, 4) * MS;
        let mut fresh = failure == Some(&CRASH);
        if let Some(inner) = inner {
            self.close(inner, now, Vec::new(), failure, fresh);
            fresh = false;
        }
        let id = self.rng.between(1, 900);
        self.close(server, now + MS / 2, conv::server(STYLE, via, name, id, failure), failure, fresh);
        (now + MS / 2, failure)
    }

    /// A service asks the next one, and deals with what comes back as the plot says.
    fn rely(&mut self, at: usize, parent: u64, start: u64, bad: bool) -> (u64, Option<&'static Failure>) {
        let (end, failure) = self.ask(at, at + 1, parent, start, bad);
        if failure.is_none() {
            return (end, None);
        }
        let calls_last = at + 1 == self.last;
        match self.plot {
            Plot::Retried if calls_last => self.ask(at, at + 1, parent, end + 10 * MS, false),
            Plot::Fallback if calls_last => self.ask(at, CHAIN.len() + 1, parent, end, false),
            Plot::Swallowed if at + 2 == self.last || self.last == 1 => (end, None),
            Plot::ChildOnly => (end, None),
            _ => (end, Some(&PASSED_ON)),
        }
    }

    /// A call: when the caller goes on, and what its CLIENT span says.
    fn ask(&mut self, at: usize, other: usize, parent: u64, start: u64, bad: bool) -> (u64, Option<&'static Failure>) {
        let (via, operation) = self.operation(other);
        let client = self.open(at, parent, conv::client_name(STYLE, via, operation), Kind::Client, start);
        let id = self.spans[client].span_id;
        let (answered, failure) = self.handle(other, id, start + MS / 4, bad);
        let (mut end, mut says) = (answered + MS / 4, failure);
        if self.plot == Plot::CallerTimeout && other == self.last && end > start + 200 * MS {
            (end, says) = (start + 200 * MS, Some(&GAVE_UP));
        }
        let told = says.filter(|_| self.plot != Plot::ChildOnly);
        let number = self.rng.between(1, 900);
        let host = CHAIN.iter().chain(&OTHERS).nth(other).copied().unwrap_or_default();
        self.close(client, end, conv::client(STYLE, via, host, number, told), told, told == Some(&GAVE_UP));
        (end, says)
    }

    /// How a service's operation is reached, and its name.
    fn operation(&self, at: usize) -> (Via, &'static str) {
        let noun = CHAIN.iter().chain(&OTHERS).nth(at).copied().unwrap_or_default();
        if self.naming == Naming::Grpc && at > 0 {
            let service = keep(format!("demo.{}", capital(noun)));
            (Via::Grpc { service, method: "Fetch" }, keep(format!("{service}/Fetch")))
        } else {
            let route = keep(format!("/{noun}/{{id}}"));
            (Via::Http { method: "GET", route }, keep(format!("GET {route}")))
        }
    }

    /// The method below a SERVER span.
    fn controller(&self, at: usize) -> Option<&'static str> {
        let noun = CHAIN.iter().chain(&OTHERS).nth(at)?;
        (self.naming == Naming::Java).then(|| keep(format!("{}Controller.fetch", capital(noun))))
    }

    fn open(&mut self, at: usize, parent: u64, name: &'static str, kind: Kind, start: u64) -> usize {
        let ids = (self.rng.bits().max(1), parent);
        let process = u32::try_from(at).unwrap_or(0);
        self.spans.push(Span::new(self.trace, ids, (name, kind), start, process, "opentelemetry"));
        self.spans.len() - 1
    }

    fn close(&mut self, span: usize, end: u64, attributes: Attributes, says: Option<&'static Failure>, fresh: bool) {
        let span = &mut self.spans[span];
        span.end = end;
        span.attributes = attributes;
        span.error = says.map(|f| f.message);
        span.exception = says.filter(|f| fresh && !f.exception.is_empty()).map(|f| Exception {
            time: end - 1000,
            class: f.exception,
            message: f.message,
        });
    }
}

fn resource(name: &'static str) -> Attributes {
    vec![
        ("service.name", Value::Static(name)),
        ("service.namespace", Value::Static(NAMESPACE)),
        ("service.version", Value::Static("1.0.0")),
        ("k8s.pod.name", Value::Text(format!("{name}-6f7c9d8b5-x2x4x"))),
    ]
}
