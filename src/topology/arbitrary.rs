//! Random systems for property tests: what SDKs send, and everything that goes wrong with it on the way.
//!
//! [`system`] lets a few actors do what real programs do (requests, calls with either side missing, databases, layers,
//! messages in batches, links across traces) and then damages some of it (lost and doubled spans, cycles of parents, clocks,
//! missing ends). [`chaos`] draws every field at random from so few values that ids collide all the time. Both shrink by
//! dropping actions.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::cfg::TopologyConfig;
use super::fixture::{S, peer, s};
use crate::spans::{Peer, PeerKind, SpanFlags, SpanKind, Weight};

/// Services by `namespace/name`: equal names in two namespaces, no name, the SDK's default, one that tests ignore.
const SERVICES: [&str; 9] =
    ["web", "api", "eu/cart", "us/cart", "cart", "eu/mail", "", "unknown_service:java", "loadgenerator"];
const TOPICS: [&str; 3] = ["orders", "mails", ""];

fn service() -> impl Strategy<Value = &'static str> {
    select(&SERVICES[..])
}

/// What may stand at the other end, as attributes tell it.
fn any_peer() -> impl Strategy<Value = Peer> {
    let service =
        |namespace: &str, name: &str| Peer { namespace: namespace.into(), ..peer(PeerKind::Service, "", name, "") };
    select(vec![
        Peer::default(),
        peer(PeerKind::Database, "mysql", "ts", ""),
        peer(PeerKind::Database, "mysql", "ts", "db-1"),
        peer(PeerKind::Database, "redis", "", "cache-1"),
        peer(PeerKind::Database, "redis", "", ""),
        peer(PeerKind::Database, "", "ts", ""),
        peer(PeerKind::Messaging, "kafka", "orders", ""),
        peer(PeerKind::Messaging, "rabbitmq", "orders", "mq-1"),
        peer(PeerKind::Messaging, "kafka", "", ""),
        service("", "cart"),
        service("eu", "cart"),
        service("us", "mail"),
        service("", "mail"),
        service("", "payments"),
        service("", "loadgenerator"),
        service("", "api"),
        peer(PeerKind::External, "", "", "x.example"),
        peer(PeerKind::External, "", "", "cart"),
    ])
}

/// One thing that happens, at or below some span that is there already.
#[derive(Debug, Clone)]
enum Action {
    /// A trace begins with a span of this kind, whose attributes may name the caller.
    Begin {
        service: &'static str,
        kind: SpanKind,
        peer: Peer,
    },
    /// Work within the service.
    Within {
        at: Index,
        kind: SpanKind,
    },
    /// A call, with either side possibly not instrumented, or both with one id (Zipkin).
    Call {
        at: Index,
        to: &'static str,
        client: bool,
        answer: Option<SpanKind>,
        shared: bool,
        peer: Peer,
        layers: u8,
    },
    /// A message, and who gets it as a child span.
    Publish {
        at: Index,
        kind: SpanKind,
        topic: &'static str,
        receivers: Vec<&'static str>,
    },
    /// Messages consumed as a batch: links to any spans, in a trace of its own or below some span.
    Consume {
        at: Option<Index>,
        service: &'static str,
        kind: SpanKind,
        of: Vec<Index>,
        lost: bool,
        topic: Option<&'static str>,
    },
    /// All messages so far, consumed at once.
    ConsumeAll {
        service: &'static str,
    },
    Copy {
        at: Index,
        longer: u64,
        other_kind: Option<SpanKind>,
    },
    Lose {
        at: Index,
    },
    /// Any span becomes the child of any: cycles, parents in other services.
    Hang {
        at: Index,
        below: Index,
    },
    NoEnd {
        at: Index,
    },
    NoStart {
        at: Index,
    },
    Fail {
        at: Index,
        how: &'static str,
    },
    Shift {
        at: Index,
        by: u64,
    },
    Weigh {
        at: Index,
        micro: u64,
    },
}

fn any_kind() -> impl Strategy<Value = SpanKind> {
    (0..=5).prop_map(SpanKind::from_otlp)
}

fn action() -> impl Strategy<Value = Action> {
    let index = any::<Index>;
    let answer = prop_oneof![
        5 => Just(Some(SpanKind::Server)),
        1 => Just(Some(SpanKind::Consumer)),
        1 => Just(Some(SpanKind::Internal)),
        3 => Just(None),
    ];
    let begins = prop_oneof![4 => Just(SpanKind::Server), 1 => any_kind()];
    let within = prop_oneof![3 => Just(SpanKind::Internal), 1 => any_kind()];
    let sends = prop_oneof![3 => Just(SpanKind::Producer), 1 => Just(SpanKind::Client)];
    let receives = prop_oneof![4 => Just(SpanKind::Consumer), 1 => any_kind()];
    prop_oneof![
        4 => (service(), begins, any_peer()).prop_map(|(service, kind, peer)| Action::Begin { service, kind, peer }),
        3 => (index(), within).prop_map(|(at, kind)| Action::Within { at, kind }),
        10 => (index(), service(), prop::bool::weighted(0.85), answer, prop::bool::weighted(0.1), any_peer(), 0..3u8)
            .prop_map(|(at, to, client, answer, shared, peer, layers)| {
                Action::Call { at, to, client, answer, shared, peer, layers }
            }),
        4 => (index(), sends, select(&TOPICS[..]), prop::collection::vec(service(), 0..3))
            .prop_map(|(at, kind, topic, receivers)| Action::Publish { at, kind, topic, receivers }),
        3 => (prop::option::of(index()), service(), receives, prop::collection::vec(index(), 0..5), prop::bool::weighted(0.2),
            prop::option::of(select(&TOPICS[..])))
            .prop_map(|(at, service, kind, of, lost, topic)| Action::Consume { at, service, kind, of, lost, topic }),
        1 => service().prop_map(|service| Action::ConsumeAll { service }),
        2 => (index(), 0..3u64, prop::option::of(any_kind())).prop_map(|(at, longer, other_kind)| Action::Copy {
            at,
            longer: longer * 1_000,
            other_kind,
        }),
        2 => index().prop_map(|at| Action::Lose { at }),
        1 => (index(), index()).prop_map(|(at, below)| Action::Hang { at, below }),
        1 => index().prop_map(|at| Action::NoEnd { at }),
        1 => index().prop_map(|at| Action::NoStart { at }),
        2 => (index(), select(vec!["timeout", "refused", ""])).prop_map(|(at, how)| Action::Fail { at, how }),
        2 => (index(), 0..4_000u64).prop_map(|(at, by)| Action::Shift { at, by: by * 1_000_000 }),
        1 => (index(), select(vec![4_000_000, 3_333_333, 1_000_000, 1 << 45])).prop_map(|(at, micro)| Action::Weigh { at, micro }),
    ]
}

/// The spans so far.
#[derive(Debug, Default)]
struct World {
    spans: Vec<S>,
    traces: u128,
}

impl World {
    fn pick(&self, at: &Index) -> Option<usize> {
        (!self.spans.is_empty()).then(|| at.index(self.spans.len()))
    }

    /// The next id of a trace: ids repeat from trace to trace.
    fn id(&self, trace: u128) -> u64 {
        self.spans.iter().filter(|s| s.trace == trace).map(|s| s.id).max().unwrap_or(0) + 1
    }

    fn new_trace(&mut self) -> u128 {
        self.traces += 1;
        // Spread over partitions; low and high half both in use.
        self.traces * ((1 << 100) + 0x9e37_79b9)
    }

    /// A root, 7 s after the one before.
    fn root(&mut self, service: &'static str, kind: SpanKind) -> usize {
        let trace = self.new_trace();
        let id = self.id(trace);
        let start = u64::try_from(self.traces).unwrap() * 7_000_000_000;
        self.spans.push(s(id, 0, service, kind).trace(trace).at(start, start + 1_000_000_000));
        self.spans.len() - 1
    }

    /// A child that starts and ends a little inside its parent.
    fn child(&mut self, above: usize, service: &'static str, kind: SpanKind) -> usize {
        let S { trace, id: parent, start, end, weight, flags, .. } = self.spans[above].clone();
        let id = self.id(trace);
        let inner = end.saturating_sub(start) / 20;
        let mut span = s(id, parent, service, kind).trace(trace);
        let start = if start == 0 { span.start } else { start };
        (span.start, span.end) = (start + inner, (end.saturating_sub(inner)).max(start + inner));
        (span.weight, span.flags) = (weight, SpanFlags(flags.0 & SpanFlags::WEIGHTED.0));
        span.name = format!("{} {}", span.name, id % 3);
        span.pod = ["", "pod-1", "pod-2"][(id % 3) as usize];
        self.spans.push(span);
        self.spans.len() - 1
    }

    fn messages(&self) -> Vec<(u128, u64)> {
        self.spans.iter().filter(|s| s.kind == SpanKind::Producer).map(|s| (s.trace, s.id)).collect()
    }

    fn act(&mut self, action: &Action) {
        match action {
            Action::Begin { service, kind, peer } => {
                let at = self.root(service, *kind);
                self.spans[at].peer = peer.clone();
            }
            Action::ConsumeAll { service } => {
                let messages = self.messages();
                let at = self.root(service, SpanKind::Consumer);
                let span = messages.into_iter().fold(self.spans[at].clone(), |span, (trace, id)| span.link(trace, id));
                self.spans[at] = span;
            }
            Action::Consume { at, service, kind, of, lost, topic } => {
                let links: Vec<(u128, u64)> = of
                    .iter()
                    .filter_map(|index| self.pick(index))
                    .map(|at| (self.spans[at].trace, self.spans[at].id))
                    .collect();
                let at = match at.as_ref().and_then(|at| self.pick(at)) {
                    Some(above) => self.child(above, service, *kind),
                    None => self.root(service, *kind),
                };
                let mut span = links.into_iter().fold(self.spans[at].clone(), |span, (trace, id)| span.link(trace, id));
                span = if *lost { span.link(77, 7) } else { span };
                self.spans[at] = topic.map_or(span.clone(), |topic| span.topic(topic));
            }
            Action::Within { at, .. }
            | Action::Call { at, .. }
            | Action::Publish { at, .. }
            | Action::Copy { at, .. }
            | Action::Lose { at }
            | Action::Hang { at, .. }
            | Action::NoEnd { at }
            | Action::NoStart { at }
            | Action::Fail { at, .. }
            | Action::Shift { at, .. }
            | Action::Weigh { at, .. } => {
                if let Some(at) = self.pick(at) {
                    self.act_at(at, action);
                }
            }
        }
    }

    fn act_at(&mut self, at: usize, action: &Action) {
        match action {
            Action::Within { kind, .. } => {
                self.child(at, self.spans[at].service, *kind);
            }
            Action::Call { to, client, answer, shared, peer, layers, .. } => {
                self.call(at, to, (*client).then_some(*layers), *answer, *shared, peer);
            }
            Action::Publish { kind, topic, receivers, .. } => {
                let sender = self.child(at, self.spans[at].service, *kind);
                self.spans[sender] = self.spans[sender].clone().topic(topic);
                for (n, service) in receivers.iter().enumerate() {
                    let receiver = self.child(sender, service, SpanKind::Consumer);
                    let span = &mut self.spans[receiver];
                    (span.start, span.end) = (span.start + n as u64 * 400_000_000, span.end + n as u64 * 500_000_000);
                }
            }
            Action::Copy { longer, other_kind, .. } => {
                let mut copy = self.spans[at].clone();
                copy.end += longer;
                copy.kind = other_kind.unwrap_or(copy.kind);
                self.spans.push(copy);
            }
            Action::Lose { .. } => _ = self.spans.remove(at),
            Action::Hang { below, .. } => self.spans[at].parent = self.spans[below.index(self.spans.len())].id,
            Action::NoEnd { .. } => {
                self.spans[at].flags.set(SpanFlags::NO_DURATION);
                self.spans[at].end = self.spans[at].start;
            }
            Action::NoStart { .. } => {
                self.spans[at].flags.set(SpanFlags::NO_DURATION);
                (self.spans[at].start, self.spans[at].end) = (0, 0);
            }
            Action::Fail { how, .. } => self.spans[at] = self.spans[at].clone().failed(how),
            Action::Shift { by, .. } => {
                let span = &mut self.spans[at];
                (span.start, span.end) = (span.start.saturating_sub(*by), span.end.saturating_sub(*by));
            }
            Action::Weigh { micro, .. } => {
                self.spans[at].flags.set(SpanFlags::WEIGHTED);
                self.spans[at].weight = Weight::from_micro(*micro);
            }
            Action::Begin { .. } | Action::Consume { .. } | Action::ConsumeAll { .. } => {}
        }
    }

    fn call(
        &mut self,
        at: usize,
        to: &'static str,
        layers: Option<u8>,
        answer: Option<SpanKind>,
        shared: bool,
        peer: &Peer,
    ) {
        let mut above = at;
        for layer in 0..=layers.unwrap_or(0) {
            if layers.is_some() {
                above = self.child(above, self.spans[at].service, SpanKind::Client);
                // Layers of one call: the outer ones say what the inner ones do, or less.
                let says_more = layer % 2 == 0;
                self.spans[above].peer = if says_more { peer.clone() } else { Peer::default() };
            }
        }
        if let Some(kind) = answer {
            let callee = self.child(above, to, kind);
            if shared && layers.is_some() {
                (self.spans[callee].id, self.spans[callee].parent) = (self.spans[above].id, self.spans[above].parent);
            }
        }
    }
}

/// The spans of a random system.
pub(super) fn system() -> impl Strategy<Value = Vec<S>> {
    prop::collection::vec(action(), 1..60).prop_map(|actions| {
        let mut world = World::default();
        world.root("web", SpanKind::Server);
        actions.iter().for_each(|action| world.act(action));
        if world.spans.is_empty() {
            world.root("web", SpanKind::Server);
        }
        world.spans
    })
}

/// Spans that collide in every way: few traces, few ids, so duplicates, shared ids, cycles, orphans and links abound.
pub(super) fn chaos() -> impl Strategy<Value = Vec<S>> {
    prop::collection::vec(any_span(), 1..60)
}

/// Either.
pub(super) fn spans() -> impl Strategy<Value = Vec<S>> {
    prop_oneof![system(), chaos()]
}

fn any_span() -> impl Strategy<Value = S> {
    let ids = (1..4u128, 1..7u64, 0..8u64);
    let times = (0..50u64, 0..2_000u64, 0..3u64, 0..12u8);
    let links = prop::collection::vec((1..5u128, 1..7u64), 0..3);
    (ids, service(), any_kind(), any_peer(), times, links, 0..20u32).prop_map(
        |((trace, id, parent), service, kind, peer, (start, took, weight, bits), links, op)| {
            let mut span = s(id, parent, service, kind).trace(trace).at(start, start + took).named(&format!("op {op}"));
            span.peer = peer;
            span = span.weight(weight + 1);
            span.pod = ["", "pod-1", "pod-2"][(op % 3) as usize];
            if bits & 1 == 1 {
                span = span.failed(["timeout", "refused"][(op % 2) as usize]);
            }
            if bits == 2 {
                span.flags.set(SpanFlags::NO_DURATION);
            }
            links.into_iter().fold(span, |span, (trace, id)| span.link(trace, id))
        },
    )
}

/// Nothing capped; ignore rules that leave out the load generator, some operations, or nothing.
pub(super) fn rules() -> impl Strategy<Value = TopologyConfig> {
    let services = select(vec![vec![], vec![], vec!["load*".to_owned()], vec!["eu/*".to_owned()]]);
    let operations = select(vec![vec![], vec![], vec!["* 1".to_owned()], vec!["api server*".to_owned()]]);
    (services, operations).prop_map(|(ignore_services, ignore_operations)| TopologyConfig {
        ignore_services,
        ignore_operations,
        ..TopologyConfig::default()
    })
}

/// The same, with caps so small that they cut.
pub(super) fn caps() -> impl Strategy<Value = TopologyConfig> {
    (rules(), 1..8usize, 1..6usize, 1..30usize).prop_map(|(rules, max_operations, max_services, max_edges)| {
        TopologyConfig { max_operations, max_services, max_edges, ..rules }
    })
}

/// Cuts spans into batches of the sizes given, over and over; a size of zero is an empty batch.
pub(super) fn deal<'a>(spans: &'a [S], sizes: &[usize]) -> Vec<&'a [S]> {
    let (mut batches, mut rest) = (Vec::new(), spans);
    let longest = spans.len();
    for size in sizes.iter().copied().chain(std::iter::repeat(longest.max(1))) {
        let (batch, left) = rest.split_at(size.min(rest.len()));
        batches.push(batch);
        rest = left;
        if rest.is_empty() {
            break;
        }
    }
    batches
}
