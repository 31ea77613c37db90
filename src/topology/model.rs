//! The pairing rules of `docs/topology.md` written once more, naively: every question looks at every span. Compared with
//! the snapshot over random systems. Slow and plain on purpose; nothing of the real pairing is used.
//!
//! Where the rules leave open which of two equal things is taken, [`clear`] leaves such systems out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::arbitrary::{chaos, rules, system};
use super::cfg::TopologyConfig;
use super::fixture::{S, batch};
use super::snapshot::{Edge, EdgeKind, KnownBy, NodeKind};
use super::{Builder, Intake, Sketch, Snapshot, glob};
use crate::spans::{Peer, PeerKind, SpanFlags, SpanKind, Weight};

type Id = String;

/// Everything known of one edge.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    n: u64,
    calls: Weight,
    errors: Weight,
    known_by: BTreeMap<KnownBy, Weight>,
    client: Sketch,
    server: Sketch,
    gap: Sketch,
    dwell: Sketch,
    /// By five minutes.
    series: BTreeMap<u64, (Weight, Weight)>,
    /// By how it failed.
    failures: BTreeMap<String, Weight>,
    /// By the names of the calling and the called span.
    operations: BTreeMap<(String, String), Weight>,
}

/// Spans, calls, errors, durations, and whether requests enter there.
type Handled = (u64, Weight, Weight, Sketch, bool);

/// What the rules say of some spans.
#[derive(Debug, Default, PartialEq)]
struct Model {
    edges: BTreeMap<(Id, Id, EdgeKind), Seen>,
    /// By service, kind and name.
    operations: BTreeMap<(Id, SpanKind, String), Handled>,
    /// Instrumented or not, what was handled, requests from outside that touch it.
    nodes: BTreeMap<Id, (bool, u64, Weight, Weight, Sketch, Weight)>,
    coverage: BTreeMap<&'static str, u64>,
    entry_traces: Weight,
}

fn calling(span: &S) -> bool {
    matches!(span.kind, SpanKind::Client | SpanKind::Producer)
}

fn called(span: &S) -> bool {
    matches!(span.kind, SpanKind::Server | SpanKind::Consumer)
}

fn failed(span: &S) -> bool {
    span.flags.has(SpanFlags::ERROR)
}

fn duration(span: &S) -> Option<u64> {
    (!span.flags.has(SpanFlags::NO_DURATION) && span.start > 0).then(|| span.end.saturating_sub(span.start))
}

fn how(span: &S) -> Option<&str> {
    span.error.as_ref().map(|e| e.error_type.as_str()).filter(|how| failed(span) && !how.is_empty())
}

fn name_of(service: &str) -> (&str, &str) {
    let (namespace, name) = service.split_once('/').unwrap_or(("", service));
    (namespace, if name.is_empty() { "unknown_service" } else { name })
}

fn service_id(namespace: &str, name: &str) -> Id {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

fn node(span: &S) -> Id {
    let (namespace, name) = name_of(span.service);
    service_id(namespace, name)
}

/// Calling or called, for the two spans that may share an id.
fn side(span: &S) -> u8 {
    if calling(span) { 0 } else { u8::from(called(span)) + 1 }
}

/// What a span hangs below.
#[derive(Debug, Clone, Copy)]
enum Above<'a> {
    Nothing,
    Lost,
    Span(&'a S),
}

impl<'a> Above<'a> {
    fn span(self) -> Option<&'a S> {
        if let Self::Span(span) = self { Some(span) } else { None }
    }

    fn is_root(self) -> bool {
        matches!(self, Self::Nothing)
    }
}

/// One call on its way into its edge.
struct Told<'a> {
    source: Id,
    target: Id,
    kind: EdgeKind,
    known_by: KnownBy,
    /// Whose weight it has.
    by: &'a S,
    start: u64,
    failed: bool,
    how: Option<&'a str>,
    operations: (&'a str, &'a str),
    client: Option<u64>,
    server: Option<u64>,
    gap: Option<u64>,
    dwell: Option<u64>,
}

impl<'a> Told<'a> {
    fn new(source: Id, target: Id, kind: EdgeKind, known_by: KnownBy, by: &'a S) -> Self {
        let (failed, how) = (failed(by), how(by));
        let (client, server, gap, dwell) = (None, None, None, None);
        let start = by.start;
        Self {
            source,
            target,
            kind,
            known_by,
            by,
            start,
            failed,
            how,
            operations: ("", ""),
            client,
            server,
            gap,
            dwell,
        }
    }
}

struct Rules<'a> {
    cfg: &'a TopologyConfig,
    /// Without duplicates.
    spans: Vec<&'a S>,
    model: Model,
    /// Nodes of every call, by the trace that tells it.
    touched: BTreeMap<u128, BTreeSet<Id>>,
    /// Receivers call the topic of some publish by different names, and the sender does not say.
    ambiguous: bool,
    /// Trace and id of CLIENT spans that only ignored spans answer.
    asked_the_ignored: BTreeSet<(u128, u64)>,
}

impl<'a> Rules<'a> {
    fn service_ignored(&self, namespace: &str, name: &str) -> bool {
        glob::any(&self.cfg.ignore_services, name)
            || (!namespace.is_empty() && glob::any(&self.cfg.ignore_services, &format!("{namespace}/{name}")))
    }

    fn kept(&self, span: &S) -> bool {
        let asked_the_ignored =
            span.kind == SpanKind::Client && self.asked_the_ignored.contains(&(span.trace, span.id));
        !self.ignored_by_name(span) && !asked_the_ignored
    }

    fn ignored_by_name(&self, span: &S) -> bool {
        let (namespace, name) = name_of(span.service);
        self.service_ignored(namespace, name) || glob::any(&self.cfg.ignore_operations, &span.name)
    }

    /// A CLIENT span without links goes with the ignored spans that answer it, and a layer around it goes with it; unless
    /// something else is below it that was called or calls.
    fn ignore_callers(&mut self) {
        loop {
            let mut found =
                self.spans.iter().filter(|s| s.kind == SpanKind::Client && s.links.is_empty() && self.kept(s));
            let found = found.find(|span| {
                let below = self.children(span);
                let layer = |c: &S| c.kind == SpanKind::Client && node(c) == node(span);
                let answers = |c: &S| called(c) || c.service != span.service;
                let ignored = |c: &S| {
                    (answers(c) && self.ignored_by_name(c)) || (layer(c) && !self.ignored_by_name(c) && !self.kept(c))
                };
                let other = |c: &S| !self.ignored_by_name(c) && (layer(c) || answers(c)) && !ignored(c);
                below.iter().any(|c| ignored(c)) && !below.iter().any(|c| other(c))
            });
            let Some(found) = found.map(|s| (s.trace, s.id)) else { return };
            self.asked_the_ignored.insert(found);
        }
    }

    fn with_id(&self, trace: u128, id: u64) -> Vec<&'a S> {
        self.spans.iter().filter(|s| s.trace == trace && s.id == id).copied().collect()
    }

    fn parent(&self, span: &S) -> Above<'a> {
        if called(span)
            && let Some(shared) = self.with_id(span.trace, span.id).into_iter().find(|s| calling(s))
        {
            return Above::Span(shared);
        }
        if span.parent == 0 {
            return Above::Nothing;
        }
        if span.parent == span.id {
            return Above::Lost;
        }
        let found = self.with_id(span.trace, span.parent);
        // Of two spans that share the id: one of the same service, and rather the one that was called.
        let best = |s: &&&S| (s.service == span.service, called(s));
        let any = found.iter().max_by_key(best);
        any.map_or(Above::Lost, |s| Above::Span(s))
    }

    fn children(&self, span: &'a S) -> Vec<&'a S> {
        let below = |s: &&&S| s.trace == span.trace && self.parent(s).span().is_some_and(|p| std::ptr::eq(p, span));
        self.spans.iter().filter(below).copied().collect()
    }

    /// The node a peer names to a caller; `None` when an ignore rule leaves it out.
    fn named(&self, peer: &Peer, caller: &S) -> Option<(Id, EdgeKind)> {
        let or = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
        Some(match peer.kind {
            PeerKind::Database => {
                let system = or(&peer.system, "unknown");
                let name = or(&peer.name, &peer.address);
                let id =
                    if name.is_empty() { format!("database:{system}") } else { format!("database:{system}:{name}") };
                (id, EdgeKind::Database)
            }
            PeerKind::Messaging => {
                let (system, name) = (or(&peer.system, "unknown"), or(&peer.name, "(unnamed)"));
                (format!("messaging:{system}:{name}"), EdgeKind::Messaging)
            }
            PeerKind::External => (format!("external:{}", peer.address), EdgeKind::External),
            PeerKind::Service => (self.named_service(peer, caller)?, EdgeKind::Call),
            PeerKind::None => return None,
        })
    }

    fn named_service(&self, peer: &Peer, caller: &S) -> Option<Id> {
        let mut namespace = peer.namespace.as_str();
        if namespace.is_empty() {
            let all: BTreeSet<&str> = self
                .spans
                .iter()
                .map(|s| name_of(s.service))
                .filter(|(_, n)| *n == peer.name)
                .map(|(ns, _)| ns)
                .collect();
            let own = name_of(caller.service).0;
            namespace = match (all.contains(own), all.len()) {
                (true, _) => own,
                (false, 1) => all.first().copied().unwrap_or(""),
                _ => "",
            };
        }
        (!self.service_ignored(namespace, &peer.name)).then(|| service_id(namespace, &peer.name))
    }

    fn tell(&mut self, trace: u128, told: &Told<'a>) {
        self.touched.entry(trace).or_default().extend([told.source.clone(), told.target.clone()]);
        let edge = self.model.edges.entry((told.source.clone(), told.target.clone(), told.kind)).or_default();
        let weight = told.by.weight;
        let errors = if told.failed { weight } else { Weight::ZERO };
        edge.n += 1;
        edge.calls += weight;
        edge.errors += errors;
        *edge.known_by.entry(told.known_by).or_default() += weight;
        for (sketch, value) in [
            (&mut edge.client, told.client),
            (&mut edge.server, told.server),
            (&mut edge.gap, told.gap),
            (&mut edge.dwell, told.dwell),
        ] {
            value.into_iter().for_each(|nanos| sketch.add(nanos, weight));
        }
        if let Some(how) = told.how {
            *edge.failures.entry(how.to_owned()).or_default() += weight;
        }
        let (from, to) = told.operations;
        *edge.operations.entry((from.to_owned(), to.to_owned())).or_default() += weight;
        if told.start > 0 {
            let bucket = edge.series.entry(told.start / 300_000_000_000).or_default();
            (bucket.0, bucket.1) = (bucket.0 + weight, bucket.1 + errors);
        }
    }

    /// The topic of a message: as the sender names it, else as the receiver does, else unnamed.
    fn topic(&self, sender: &S, receiver: &S) -> Id {
        let both = [sender, receiver].map(|s| Some(&s.peer).filter(|p| p.kind == PeerKind::Messaging));
        let named = both.iter().flatten().find(|p| !p.name.is_empty()).or(both.iter().flatten().next());
        named.and_then(|p| self.named(p, sender)).map_or("messaging:unknown:(unnamed)".to_owned(), |(id, _)| id)
    }

    /// A message received.
    fn deliver(&mut self, trace: u128, topic: Id, sender: Option<&'a S>, receiver: &'a S, known_by: KnownBy) {
        let sender = sender.filter(|s| calling(s));
        let mut told = Told::new(topic, node(receiver), EdgeKind::Messaging, known_by, receiver);
        told.server = duration(receiver);
        let sent = sender.filter(|s| duration(s).is_some() && receiver.start > 0);
        told.dwell = sent.map(|s| receiver.start.saturating_sub(s.end));
        told.operations = (sender.map_or("", |s| s.name.as_str()), &receiver.name);
        self.tell(trace, &told);
    }

    fn deliver_from_unknown(&mut self, trace: u128, receiver: &'a S) {
        if receiver.peer.kind == PeerKind::Messaging
            && let Some((topic, _)) = self.named(&receiver.peer, receiver)
        {
            self.deliver(trace, topic, None, receiver, KnownBy::Inferred);
        }
    }

    /// Rules 1 and 2 for one caller and those of its children that are calls; a message goes by way of its topic. Gives
    /// how a publish of the caller is known and what its receivers call the topic, and who received it.
    fn answers(&mut self, caller: &'a S, children: &[&'a S]) -> (BTreeSet<(KnownBy, Id)>, BTreeSet<Id>) {
        let (mut publishes, mut delivered) = (BTreeSet::new(), BTreeSet::new());
        let mut strangers: BTreeMap<Id, Vec<&'a S>> = BTreeMap::new();
        let mut answers: Vec<(&'a S, KnownBy)> = Vec::new();
        for child in children.iter().copied() {
            if called(child) && calling(caller) {
                answers.push((child, KnownBy::Paired));
            } else if called(child) && node(child) != node(caller) {
                answers.push((child, KnownBy::Parent));
            } else if node(child) != node(caller) {
                strangers.entry(node(child)).or_default().push(child);
            }
        }
        for (service, mut below) in strangers {
            if answers.iter().any(|(a, _)| node(a) == service && node(a) != node(caller)) {
                continue;
            }
            below.sort_by_key(|s| (s.start, s.id, side(s)));
            let calls = if calling(caller) { 1 } else { below.len() };
            answers.extend(below.into_iter().take(calls).map(|s| (s, KnownBy::Parent)));
        }
        for (child, known_by) in answers {
            if caller.kind == SpanKind::Producer || child.kind == SpanKind::Consumer {
                let topic = self.topic(caller, child);
                if calling(caller) {
                    publishes.insert((known_by, topic.clone()));
                } else {
                    let mut told = Told::new(node(caller), topic.clone(), EdgeKind::Messaging, known_by, child);
                    told.operations = ("", "");
                    self.tell(caller.trace, &told);
                }
                self.deliver(caller.trace, topic, Some(caller), child, known_by);
                delivered.insert(node(child));
                continue;
            }
            let by = if calling(caller) { caller } else { child };
            let mut told = Told::new(node(caller), node(child), EdgeKind::Call, known_by, by);
            told.server = duration(child);
            told.operations.1 = &child.name;
            if calling(caller) {
                told.failed = failed(caller) || failed(child);
                told.how = how(child).or(how(caller));
                told.client = duration(caller);
                told.start = if caller.start == 0 { child.start } else { caller.start };
                told.operations.0 = &caller.name;
            }
            if known_by == KnownBy::Paired {
                told.gap = told.client.zip(told.server).map(|(c, s)| c.saturating_sub(s));
            }
            self.tell(caller.trace, &told);
        }
        (publishes, delivered)
    }

    /// Whether a span sends messages.
    fn sends(span: &S) -> bool {
        span.kind == SpanKind::Producer || (span.kind == SpanKind::Client && span.peer.kind == PeerKind::Messaging)
    }

    /// Rule 3 for the messages one span sent.
    fn linked(&mut self, sender: &'a S, delivered: &BTreeSet<Id>) -> BTreeSet<(KnownBy, Id)> {
        let mut publishes = BTreeSet::new();
        let mut receivers: BTreeMap<(u128, Id), Vec<&'a S>> = BTreeMap::new();
        for span in self.spans.clone() {
            if span.kind == SpanKind::Consumer && self.kept(span) && span.links.contains(&(sender.trace, sender.id)) {
                receivers.entry((span.trace, node(span))).or_default().push(span);
            }
        }
        for ((trace, service), mut spans) in receivers {
            if trace == sender.trace && delivered.contains(&service) {
                continue;
            }
            spans.sort_by_key(|s| (s.start, s.id));
            let receiver = spans[0];
            let topic = self.topic(sender, receiver);
            publishes.insert((KnownBy::Link, topic.clone()));
            if receiver.start > 0 && receiver.start < sender.start {
                *self.model.coverage.entry("skewed").or_default() += 1;
            }
            self.deliver(sender.trace, topic, Some(sender), receiver, KnownBy::Link);
        }
        publishes
    }

    /// How much a calling span says about the other end: nothing, an address, a name, or it is answered.
    fn says(&self, span: &'a S) -> u8 {
        let answered = self.children(span).iter().any(|c| called(c) || node(c) != node(span));
        match span.peer.kind {
            _ if answered || !self.linked_receivers(span).is_empty() => 3,
            PeerKind::None => 0,
            PeerKind::External => 1,
            PeerKind::Database | PeerKind::Messaging | PeerKind::Service => 2,
        }
    }

    fn linked_receivers(&self, span: &S) -> Vec<&'a S> {
        let links = |s: &&&S| s.kind == SpanKind::Consumer && self.kept(s) && s.links.contains(&(span.trace, span.id));
        if Self::sends(span) { self.spans.iter().filter(links).copied().collect() } else { Vec::new() }
    }

    /// Whether two spans, one the parent of the other, may be layers of one call.
    fn same_side(&self, a: &S, b: &S) -> bool {
        calling(a) && calling(b) && self.kept(a) && self.kept(b) && node(a) == node(b)
    }

    /// Rule 4: whether another layer of the same call tells it.
    fn told_by_another_layer(&self, span: &'a S) -> bool {
        let own = self.says(span);
        let inner = self.children(span).into_iter().filter(|c| self.same_side(span, c)).map(|c| self.says(c)).max();
        let service = span.peer.kind == PeerKind::Service;
        let wraps = inner.is_some_and(|inner| (own <= 1 && inner >= own) || (service && inner == 3));
        let outer = self.parent(span).span().filter(|p| self.same_side(span, p));
        wraps || outer.is_some_and(|outer| own <= 1 && self.says(outer) > own)
    }

    /// Rules 1 to 4 for a span that is kept.
    fn calls_of(&mut self, span: &'a S) {
        let all = self.children(span);
        let children: Vec<&'a S> = all.iter().copied().filter(|c| self.kept(c)).collect();
        for child in &children {
            let late = child.start == 0 || child.start >= span.start;
            *self.model.coverage.entry("skewed").or_default() += u64::from(node(child) != node(span) && !late);
        }
        let (mut publishes, delivered) = self.answers(span, &children);
        if Self::sends(span) {
            publishes.extend(self.linked(span, &delivered));
        }
        if !calling(span) {
            return;
        }
        if let Some((known_by, topic)) = publishes.first().cloned() {
            let own = Some(&span.peer).filter(|p| p.kind == PeerKind::Messaging && !p.name.is_empty());
            self.ambiguous |= own.is_none() && publishes.iter().any(|(_, t)| *t != topic);
            let topic = own.and_then(|p| self.named(p, span)).map_or(topic, |(id, _)| id);
            return self.one_sided(span, topic, EdgeKind::Messaging, known_by);
        }
        // What is published is published, whoever reads it.
        let published = span.kind == SpanKind::Producer && span.peer.kind == PeerKind::Messaging;
        let answered = all.iter().any(|c| called(c) || node(c) != node(span));
        if (answered && !published) || self.told_by_another_layer(span) {
            return;
        }
        // A CLIENT span with links receives: its CONSUMER spans tell the deliveries.
        if span.kind == SpanKind::Client && span.peer.kind == PeerKind::Messaging && !span.links.is_empty() {
            return;
        }
        match self.named(&span.peer, span) {
            Some((target, kind)) => self.one_sided(span, target, kind, KnownBy::Inferred),
            None if span.peer.kind == PeerKind::None => *self.model.coverage.entry("unpaired").or_default() += 1,
            None => {}
        }
    }

    fn one_sided(&mut self, span: &'a S, target: Id, kind: EdgeKind, known_by: KnownBy) {
        let mut told = Told::new(node(span), target, kind, known_by, span);
        told.client = duration(span);
        told.operations.0 = &span.name;
        self.tell(span.trace, &told);
    }

    /// Rule 5, and messages from nobody known.
    fn comes_from_outside(&mut self, span: &'a S) {
        let parent = self.parent(span);
        if span.kind == SpanKind::Server && parent.is_root() {
            let named = Some(&span.peer).filter(|p| p.kind == PeerKind::Service);
            let (source, kind) = match named.map(|p| self.named(p, span)) {
                Some(None) => return,
                Some(Some((id, kind))) if id != node(span) => (id, kind),
                _ => ("entry:user".to_owned(), EdgeKind::Entry),
            };
            let mut told = Told::new(source, node(span), kind, KnownBy::Inferred, span);
            told.server = duration(span);
            told.operations.1 = &span.name;
            self.tell(span.trace, &told);
        }
        if span.kind != SpanKind::Consumer {
            return;
        }
        if span.links.is_empty() {
            // Nobody above it, or a loop of its own service that polls.
            let polled = parent
                .span()
                .is_none_or(|p| self.kept(p) && node(p) == node(span) && !calling(p) && p.kind != SpanKind::Consumer);
            if polled {
                self.deliver_from_unknown(span.trace, span);
            }
        } else if span.parent == 0 {
            for (trace, id) in span.links.iter().collect::<BTreeSet<_>>() {
                let sent = self.with_id(*trace, *id).into_iter().any(|s| self.kept(s) && Self::sends(s));
                if !sent {
                    self.deliver_from_unknown(*trace, span);
                }
            }
        }
    }

    fn count(&mut self) {
        let spans = self.spans.clone();
        let mut traces: BTreeMap<u128, bool> = BTreeMap::new();
        for span in spans.iter().copied() {
            let kept = self.kept(span);
            let mut add = |what, yes: bool| *self.model.coverage.entry(what).or_default() += u64::from(yes);
            add("spans", kept);
            add("ignored", !kept);
            if !kept {
                continue;
            }
            add("no_duration", duration(span).is_none());
            add("sampled", span.flags.has(SpanFlags::WEIGHTED));
            let links: BTreeSet<_> = span.links.iter().collect();
            let lost = links.into_iter().filter(|(trace, id)| self.with_id(*trace, *id).is_empty()).count() as u64;
            *self.model.coverage.entry("unresolved_links").or_default() += lost;
            let parent = self.parent(span);
            *self.model.coverage.entry("orphans").or_default() += u64::from(matches!(parent, Above::Lost));
            let rooted = spans.iter().any(|s| s.trace == span.trace && self.parent(s).is_root());
            traces.insert(span.trace, rooted);
            let key = (node(span), span.kind, span.name.clone());
            let enters = span.kind == SpanKind::Server && parent.is_root();
            let operation = self.model.operations.entry(key).or_default();
            operation.0 += 1;
            operation.1 += span.weight;
            operation.2 += if failed(span) { span.weight } else { Weight::ZERO };
            duration(span).into_iter().for_each(|nanos| operation.3.add(nanos, span.weight));
            operation.4 |= enters;
        }
        self.model.coverage.insert("traces", traces.len() as u64);
        self.model.coverage.insert("rootless_traces", traces.values().filter(|rooted| !**rooted).count() as u64);
    }

    fn nodes(&mut self) {
        let mut nodes: BTreeMap<Id, (bool, u64, Weight, Weight, Sketch, Weight)> = BTreeMap::new();
        for ((service, kind, _), (n, calls, errors, durations, _)) in &self.model.operations {
            let node = nodes.entry(service.clone()).or_default();
            node.0 = true;
            if matches!(kind, SpanKind::Server | SpanKind::Consumer) {
                (node.1, node.2, node.3) = (node.1 + n, node.2 + *calls, node.3 + *errors);
                node.4.merge(durations);
            }
        }
        let seen: BTreeSet<Id> = self
            .spans
            .iter()
            .filter(|s| !self.service_ignored(name_of(s.service).0, name_of(s.service).1))
            .map(|s| node(s))
            .collect();
        for ((source, target, _), edge) in &self.model.edges {
            nodes.entry(source.clone()).or_default();
            let node = nodes.entry(target.clone()).or_default();
            if !seen.contains(target) {
                (node.1, node.2, node.3) = (node.1 + edge.n, node.2 + edge.calls, node.3 + edge.errors);
                node.4.merge(if edge.client.is_empty() { &edge.server } else { &edge.client });
            }
        }
        for (id, node) in &mut nodes {
            node.0 |= seen.contains(id);
        }
        let traces: BTreeSet<u128> = self.spans.iter().map(|s| s.trace).collect();
        for trace in traces {
            let roots = self.spans.iter().filter(|s| s.trace == trace && s.kind == SpanKind::Server && self.kept(s));
            let root = roots.filter(|s| self.parent(s).is_root()).min_by_key(|s| (s.start, s.id));
            let Some(root) = root else { continue };
            self.model.entry_traces += root.weight;
            let mut touched = self.touched.remove(&trace).unwrap_or_default();
            touched.extend(self.spans.iter().filter(|s| s.trace == trace && self.kept(s)).map(|s| node(s)));
            for id in touched {
                nodes.entry(id).or_default().5 += root.weight;
            }
        }
        self.model.nodes = nodes;
    }
}

/// One of each span: of copies the one that ends last, of a calling and a called one both.
fn unique(all: &[S]) -> Vec<&S> {
    let ends = |s: &S| (!s.flags.has(SpanFlags::NO_DURATION)).then_some(s.end);
    let copies = |span: &S| {
        let (trace, id) = (span.trace, span.id);
        all.iter().filter(move |s| s.trace == trace && s.id == id)
    };
    let mut unique: Vec<&S> = Vec::new();
    for (at, span) in all.iter().enumerate() {
        let both = copies(span).any(calling) && copies(span).any(called);
        if both && side(span) == 1 {
            continue;
        }
        let rivals = all
            .iter()
            .enumerate()
            .filter(|(_, s)| s.trace == span.trace && s.id == span.id && (!both || side(s) == side(span)));
        // The last of equals: they are equal in everything.
        let best = rivals.max_by_key(|(at, s)| (ends(s), *at)).map(|(at, _)| at);
        if best == Some(at) {
            unique.push(span);
        }
    }
    unique
}

/// `None` when the rules leave something open.
fn model(cfg: &TopologyConfig, all: &[S]) -> Option<Model> {
    let spans = unique(all);
    let removed = (all.len() - spans.len()) as u64;
    let mut rules = Rules {
        cfg,
        spans,
        model: Model::default(),
        touched: BTreeMap::new(),
        ambiguous: false,
        asked_the_ignored: BTreeSet::new(),
    };
    rules.ignore_callers();
    rules.model.coverage.insert("duplicates", removed);
    rules.count();
    for span in rules.spans.clone() {
        if rules.kept(span) {
            rules.calls_of(span);
            rules.comes_from_outside(span);
        }
    }
    rules.nodes();
    (!rules.ambiguous).then_some(rules.model)
}

/// The same of a real snapshot.
fn told(snapshot: &Snapshot) -> Model {
    let c = &snapshot.coverage;
    let coverage = [
        ("spans", c.spans),
        ("traces", c.traces),
        ("rootless_traces", c.rootless_traces),
        ("orphans", c.orphans),
        ("unpaired", c.unpaired),
        ("duplicates", c.duplicates),
        ("skewed", c.skewed),
        ("no_duration", c.no_duration),
        ("unresolved_links", c.unresolved_links),
        ("ignored", c.ignored),
        ("sampled", c.sampled),
    ];
    let seen = |e: &Edge| Seen {
        n: e.n,
        calls: e.calls,
        errors: e.errors,
        known_by: e.known_by.clone(),
        client: e.client.clone(),
        server: e.server.clone(),
        gap: e.gap.clone(),
        dwell: e.dwell.clone(),
        series: e.series.0.iter().map(|(at, b)| (*at, (b.calls, b.errors))).collect(),
        failures: e.error_classes.iter().map(|c| (c.class.error_type.clone(), c.calls)).collect(),
        operations: e.operations.iter().map(|o| ((o.source.clone(), o.target.clone()), o.calls)).collect(),
    };
    let edges = snapshot.edges.iter().map(|e| ((e.source.0.clone(), e.target.0.clone(), e.kind), seen(e)));
    let operations = snapshot.operations.iter().map(|o| {
        let stats = (o.stats.n, o.stats.calls, o.stats.errors, o.stats.durations.clone(), o.entry);
        ((o.service.0.clone(), o.kind, o.name.clone()), stats)
    });
    let nodes = snapshot.nodes.iter().map(|n| {
        let h = &n.handled;
        (n.id.0.clone(), (n.instrumented, h.n, h.calls, h.errors, h.durations.clone(), n.entry_traces))
    });
    Model {
        edges: edges.collect(),
        operations: operations.collect(),
        nodes: nodes.collect(),
        coverage: coverage.into_iter().collect(),
        entry_traces: c.entry_traces,
    }
}

/// Leaves out what the rules do not decide: copies that differ in more than their end.
fn clear(spans: Vec<S>) -> Vec<S> {
    let mut kept: Vec<S> = Vec::new();
    for span in spans {
        let like = |s: &&S| s.trace == span.trace && s.id == span.id;
        let honest = |s: &S| {
            let pair = side(s) + side(&span) == 2 && side(s) != side(&span);
            let same = S { end: s.end, flags: s.flags, ..span.clone() };
            pair || (format!("{same:?}") == format!("{s:?}") && (s.end != span.end || s.flags == span.flags))
        };
        if kept.iter().filter(like).all(honest) {
            kept.push(span);
        }
    }
    kept
}

/// For people: one span a line.
fn brief(spans: &[S]) -> String {
    let mut text = String::new();
    for s in spans {
        let peer = [s.peer.system.as_str(), &s.peer.namespace, &s.peer.name, &s.peer.address].join("|");
        let (trace, id, parent, start, end) = (s.trace % 997, s.id, s.parent, s.start / 1_000, s.end / 1_000);
        let what = format!("{:?} {} {:?} {:?} {peer}", s.service, s.kind.name(), s.name, s.peer.kind);
        let links: Vec<_> = s.links.iter().map(|(trace, id)| (trace % 997, *id)).collect();
        text += &format!("\n{trace}:{id} < {parent} {what} {start}..{end} {:?} {links:?} {:?}", s.flags, s.weight);
    }
    text
}

fn compare(cfg: &TopologyConfig, spans: &[S]) -> Result<(), TestCaseError> {
    let Some(expected) = model(cfg, spans) else { return Ok(()) };
    let builder = Builder::new(cfg.clone());
    builder.push(&batch(spans)).unwrap();
    let Ok(snapshot) = builder.finish(Intake::default(), 1) else {
        prop_assert_eq!(expected.coverage["spans"], 0);
        return Ok(());
    };
    let got = told(&snapshot);
    for (key, edge) in &expected.edges {
        prop_assert_eq!(got.edges.get(key), Some(edge), "{:?} of {}", key, brief(spans));
    }
    for key in got.edges.keys() {
        prop_assert!(expected.edges.contains_key(key), "{:?} is invented: {}", key, brief(spans));
    }
    let missing: BTreeMap<_, _> =
        got.coverage.keys().map(|k| (*k, expected.coverage.get(k).copied().unwrap_or(0))).collect();
    prop_assert_eq!(&got.coverage, &missing, "{}", brief(spans));
    prop_assert_eq!(&got.operations, &expected.operations, "{}", brief(spans));
    prop_assert_eq!(&got.nodes, &expected.nodes, "{}", brief(spans));
    prop_assert_eq!(got.entry_traces, expected.entry_traces, "{}", brief(spans));
    prop_assert!(snapshot.nodes.iter().all(|n| (n.kind == NodeKind::Entry) == (n.id.0 == "entry:user")));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_snapshot_of_a_random_system_is_what_the_rules_say(spans in system(), cfg in rules()) {
        compare(&cfg, &clear(spans))?;
    }

    #[test]
    fn the_snapshot_of_random_spans_is_what_the_rules_say(spans in chaos(), cfg in rules()) {
        compare(&cfg, &clear(spans))?;
    }
}
