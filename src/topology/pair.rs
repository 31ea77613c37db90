//! Pairing: which spans of a trace are the two ends of a call (DESIGN: "Topology: what the edges mean").
//!
//! Purpose: turn one whole trace, and the links that point into it, into calls. Input: a trace's spans with their parents.
//! Output: calls, operations and counts in a [`Tally`]. Must not: look at another trace, or depend on the order of spans.
//!
//! The rules, in order:
//! 1. CLIENT or PRODUCER with a SERVER or CONSUMER child: *paired*. Within one service it is an edge to itself.
//! 2. A span whose parent belongs to another service, with no pair to explain it: *parent*. SERVER and CONSUMER spans
//!    count one call each; other kinds one call for all of them below one CLIENT span, else one each.
//! 3. CONSUMER span that links to a PRODUCER span: *link*, one delivery for each message, consuming trace and service.
//! 4. CLIENT or PRODUCER span without a remote child: *inferred* from what its attributes name. Two CLIENT spans of one
//!    service nested in each other are two layers of one call when one of them names only an address: the one that says
//!    more counts.
//! 5. Root SERVER span: from `entry:user`, or from the caller its attributes name.
//!
//! A span whose parent id is set but absent is an orphan: counted, linked to nothing. Children of spans that an ignore
//! rule leaves out are neither orphans nor entries. Spans of gateways that are looked through ([`super::through`]) are
//! nobody's ends: what is below them hangs where they hang, and what they call unanswered their caller calls. Calls through a message (the calling span is a PRODUCER or the called
//! one a CONSUMER) go by way of a topic: one publish for each PRODUCER span, one delivery for each receiving span. A
//! delivery carries the time of the span that processed it, also when that span processed many.
//!
//! On purpose different from the OpenTelemetry Collector's `servicegraph` connector: a lone CLIENT span that names nothing
//! is counted as unpaired instead of calling a node `unknown`; a root SERVER span whose attributes name its caller is
//! called by that service instead of by `user`.

use hashbrown::HashSet;

use super::cfg::TopologyConfig;
use super::contents::Contents;
use super::evidence;
use super::group::Key;
use super::hash::{self, Secret};
use super::identity::{Fate, IGNORED, Identity, NOWHERE, PeerRef};
use super::layers::{Role, another_layer_counts, note_layers};
use super::row::{StoredLink, StoredSpan};
use super::self_time::{Interval, SelfTimes, is_awaited};
use super::snapshot::{EdgeKind, KnownBy};
use super::tally::{Call, Event, Tally};
use super::through::Through;
use super::touched::Touched;
use super::trace::{self, Index, Parent, Span};
use crate::spans::{PeerKind, SpanFlags, SpanKind, Weight};

/// Works through traces; one for each thread.
#[derive(Debug)]
pub(super) struct Pairer<'a> {
    identity: &'a Identity,
    contents: &'a Contents,
    tally: Tally,
    spans: Vec<Span<'a>>,
    /// Finds them by id.
    index: Index,
    roles: Vec<Role>,
    /// Children of another service that are neither SERVER nor CONSUMER: (parent, service, start, id, child).
    strangers: Vec<(usize, u32, u64, u64, usize)>,
    /// (parent, service) of every SERVER or CONSUMER child in another service.
    explained: Vec<(usize, u32)>,
    /// (producer, consuming trace, service) of every delivery.
    delivered: HashSet<(usize, u128, u32), foldhash::fast::FixedState>,
    touched: Touched,
    self_times: SelfTimes,
    through: Through,
    /// Whether any span of the trace at hand failed.
    failed: bool,
}

/// A call as one of its ends tells it.
#[inline]
fn event(span: &Span<'_>) -> Event {
    Event {
        weight: span.weight(),
        failed: span.failed(),
        class: if span.failed() { span.error } else { 0 },
        start: span.row.start,
        duration: span.duration(),
        trace: span.row.trace,
        span: span.row.span,
        luck: span.luck,
    }
}

/// A call both ends tell: time, weight and exemplar of the caller; failed when either failed, in the callee's words if it
/// has any.
fn event_of_both(client: &Span<'_>, server: &Span<'_>) -> Event {
    let mut both = event(client);
    both.failed |= server.failed();
    if server.failed() && server.error != 0 {
        both.class = server.error;
    }
    if both.start == 0 {
        both.start = server.row.start;
    }
    both
}

impl<'a> Pairer<'a> {
    pub(super) fn new(identity: &'a Identity, contents: &'a Contents, cfg: &TopologyConfig) -> Self {
        Self {
            identity,
            contents,
            tally: Tally::new(identity, cfg),
            spans: Vec::new(),
            index: Index::new(Secret::new()),
            roles: Vec::new(),
            strangers: Vec::new(),
            explained: Vec::new(),
            delivered: HashSet::default(),
            touched: Touched::of(identity.nodes.len()),
            self_times: SelfTimes::default(),
            through: Through::default(),
            failed: false,
        }
    }

    pub(super) fn into_tally(self) -> Tally {
        self.tally
    }

    /// Spans of over-long traces that were left out.
    pub(super) fn left_out(&mut self, spans: u64) {
        self.tally.counts.beyond_trace += spans;
    }

    /// One whole trace: which of the rows are its own (possibly none, when only links point to it), and the links
    /// into it.
    pub(super) fn trace(&mut self, id: u128, rows: &[&[StoredSpan]], order: &mut [Key], links: &mut [StoredLink]) {
        let mut spans = std::mem::take(&mut self.spans);
        let mut roles = std::mem::take(&mut self.roles);
        let luck = hash::trace(id);
        self.tally.counts.duplicates += trace::unite(rows, order, luck, self.identity, &mut spans, &mut self.index);
        roles.clear();
        roles.resize(spans.len(), Role::default());
        self.strangers.clear();
        self.explained.clear();
        if !self.delivered.is_empty() {
            self.delivered.clear();
        }
        self.touched.next_trace();
        let gateways = self.identity.has_rules && self.through.apply(&mut spans, &mut roles);
        let request = self.count(&spans);
        self.all_called(&spans, &mut roles);
        if !self.strangers.is_empty() {
            self.strangers(&spans, &mut roles);
        }
        if !links.is_empty() {
            self.links(&spans, &mut roles, links);
        }
        if gateways {
            self.gateways(&spans, &mut roles);
        }
        note_layers(&spans, &mut roles, Fate::Kept);
        self.all_calling(&spans, &roles);
        if let Some(weight) = request {
            self.touch(weight);
        }
        if let Some(evidence) = &mut self.tally.evidence {
            let trace = evidence::Trace { spans: &spans, nodes: self.touched.nodes(), failed: self.failed };
            evidence.trace(&trace, self.identity, self.contents);
        }
        (self.spans, self.roles) = (spans, roles);
    }

    #[inline(never)]
    fn all_called(&mut self, spans: &[Span<'a>], roles: &mut [Role]) {
        for (at, span) in spans.iter().enumerate() {
            self.called(spans, roles, at, span);
        }
    }

    #[inline(never)]
    fn all_calling(&mut self, spans: &[Span<'a>], roles: &[Role]) {
        for (span, role) in spans.iter().zip(roles) {
            if span.kept() && span.row.kind.calls_out() {
                self.calling(spans, roles, span, role);
            }
        }
    }

    /// Coverage, operations, attributes and digest. Returns the weight of the request from outside, if it is one.
    #[inline(never)]
    fn count(&mut self, spans: &[Span<'a>]) -> Option<Weight> {
        let counts = &mut self.tally.counts;
        let (mut kept, mut rooted) = (0, false);
        let (mut orphans, mut no_duration, mut sampled, mut beyond, mut beyond_peers) = (0, 0, 0, 0, 0);
        let (mut first, mut last) = (u64::MAX, 0);
        let mut entry: Option<&Span<'_>> = None;
        let mut sum = 0u128;
        let (mut failed, evidence) = (false, self.tally.evidence.is_some());
        let own = self.self_times.of(spans.len(), |at| interval(spans, at));
        for (span, own) in spans.iter().zip(own) {
            sum = sum.wrapping_add(trace::digest(&span.row));
            let root = span.parent == Parent::Root;
            rooted |= root;
            match span.fate {
                Fate::Ignored => {
                    counts.ignored += 1;
                    continue;
                }
                Fate::Merged => {
                    counts.transparent += 1;
                    continue;
                }
                Fate::Kept | Fate::Beyond => {}
            }
            kept += 1;
            if span.row.start > 0 {
                first = first.min(span.row.start);
                last = last.max(span.row.end);
            }
            let event = event(span);
            failed |= event.failed;
            orphans += u64::from(span.parent == Parent::Lost);
            no_duration += u64::from(event.duration.is_none());
            sampled += u64::from(span.row.flags.has(SpanFlags::WEIGHTED));
            if span.fate == Fate::Beyond {
                counts.beyond_services += 1;
                continue;
            }
            self.touched.add(span.node);
            beyond += u64::from(span.beyond);
            beyond_peers += u64::from(span.peer.is_some_and(|peer| peer.beyond));
            if let Some(n) = self.tally.resources.get_mut(span.row.resource as usize) {
                *n += 1;
            }
            let enters = root && span.row.kind == SpanKind::Server;
            if enters && entry.is_none_or(|e| (span.row.start, span.row.span) < (e.row.start, e.row.span)) {
                entry = Some(span);
            }
            if let Some(operation) = self.tally.operations.at(span.op, span.row.kind) {
                operation.add(&event, self.contents);
                operation.self_time.add(*own, event.weight);
                if evidence && event.duration.is_some() {
                    operation.self_times.add(*own, event.weight);
                }
                operation.entry |= enters;
            }
        }
        self.failed = failed;
        counts.digest = counts.digest.wrapping_add(sum);
        counts.spans += kept;
        counts.traces += u64::from(kept > 0);
        counts.rootless_traces += u64::from(kept > 0 && !rooted);
        counts.orphans += orphans;
        counts.no_duration += no_duration;
        counts.sampled += sampled;
        counts.beyond_operations += beyond;
        counts.beyond_peers += beyond_peers;
        if last > 0 {
            counts.cover(first, last);
        }
        entry.map(Span::weight)
    }

    /// Rules 1, 2 and 5 for the called span; also notes which calling spans are answered.
    fn called(&mut self, spans: &[Span<'a>], roles: &mut [Role], at: usize, span: &Span<'a>) {
        if span.fate == Fate::Merged {
            return;
        }
        let Parent::At(above) = span.parent else {
            if span.kept() {
                self.topmost(span);
            }
            return;
        };
        let (Some(parent), Some(role)) = (spans.get(above), roles.get_mut(above)) else { return };
        let called = span.row.kind.is_called();
        let elsewhere = span.row.service != parent.row.service && span.node != parent.node;
        let answers = (called && parent.row.kind.calls_out()) || elsewhere;
        role.answered |= answers;
        if !span.kept() || !parent.kept() {
            return;
        }
        if elsewhere && span.row.start > 0 && span.row.start < parent.row.start {
            self.tally.counts.skewed += 1;
        }
        if answers && called {
            let known_by = if parent.row.kind.calls_out() { KnownBy::Paired } else { KnownBy::Parent };
            self.explained.push((above, span.node));
            self.connect(role, above, parent, span, known_by);
        } else if answers {
            self.strangers.push((above, span.node, span.row.start, span.row.span, at));
        } else if span.row.kind == SpanKind::Consumer && parent.row.kind != SpanKind::Consumer {
            // Inside a poll loop of its own service.
            self.receive_from_anyone(span);
        }
    }

    /// Rule 5, and receivers nobody is known to have sent to.
    fn topmost(&mut self, span: &Span<'a>) {
        match span.row.kind {
            SpanKind::Server if span.parent == Parent::Root => self.enter(span),
            SpanKind::Consumer => self.receive_from_anyone(span),
            _ => {}
        }
    }

    fn enter(&mut self, span: &Span<'a>) {
        let caller = span.peer.filter(|peer| peer.kind == PeerKind::Service);
        let named = caller.map(|peer| self.identity.peer_node(peer, span.node)).filter(|node| *node != span.node);
        let (source, kind) = match named {
            Some(IGNORED) => return,
            Some(_) if caller.is_some_and(|peer| peer.ignored) => return,
            Some(NOWHERE) | None => (self.identity.entry_to(span.row.op, span.row.service), EdgeKind::Entry),
            Some(node) => (node, EdgeKind::Call),
        };
        let call = Call::new(source, span.node, kind, KnownBy::Inferred, event(span));
        self.emit(Call { server: span.duration(), operations: (0, span.op), ends: (0, self.says(span)), ..call });
    }

    /// A message whose sender is not known. A span with links is left to its links.
    fn receive_from_anyone(&mut self, span: &Span<'a>) {
        if !span.row.flags.has(SpanFlags::LINKED) {
            self.deliver_inferred(span);
        }
    }

    fn deliver_inferred(&mut self, span: &Span<'a>) {
        if let Some(peer) = messaging(span) {
            self.deliver(self.identity.peer_node(peer, span.node), None, span, KnownBy::Inferred);
        }
    }

    /// A call from `parent` to `span`, both kept.
    fn connect(&mut self, role: &mut Role, above: usize, parent: &Span<'a>, span: &Span<'a>, known_by: KnownBy) {
        let calls_out = parent.row.kind.calls_out();
        if parent.row.kind == SpanKind::Producer || span.row.kind == SpanKind::Consumer {
            let topic = self.topic(parent, span);
            if calls_out {
                publish(role, known_by, topic);
            } else {
                // The publishing span is missing: there was one publish for this delivery, of unknown duration.
                let sent = Event { duration: None, ..event(span) };
                let call = Call::new(parent.node, topic, EdgeKind::Messaging, known_by, sent);
                self.emit(Call { ends: (self.says(parent), 0), ..call });
            }
            self.delivered.insert((above, span.row.trace, span.node));
            self.deliver(topic, Some(parent), span, known_by);
            return;
        }
        let event = if calls_out { event_of_both(parent, span) } else { event(span) };
        let client = parent.duration().filter(|_| calls_out);
        let server = span.duration();
        let call = Call::new(parent.node, span.node, EdgeKind::Call, known_by, event);
        let gap = client.zip(server).filter(|_| known_by == KnownBy::Paired).map(|(c, s)| c.saturating_sub(s));
        let operations = (if calls_out { parent.op } else { 0 }, span.op);
        self.emit(Call { client, server, gap, operations, ends: (self.says(parent), self.says(span)), ..call });
    }

    /// The topic between two spans: as the sender names it, else as the receiver does, else unnamed.
    fn topic(&self, sender: &Span<'a>, receiver: &Span<'a>) -> u32 {
        let both = [sender, receiver].map(|span| messaging(span).map(|peer| (peer, span.node)));
        let named = both.iter().flatten().find(|(peer, _)| peer.named).or(both.iter().flatten().next());
        named.map_or_else(
            || self.identity.unnamed_topic(sender.node),
            |(peer, near)| self.identity.peer_node(peer, *near),
        )
    }

    /// A message received: the topic to the receiving service. Time, weight and failure are the receiver's.
    fn deliver(&mut self, topic: u32, sender: Option<&Span<'a>>, span: &Span<'a>, known_by: KnownBy) {
        let sent = sender.filter(|s| s.row.kind.calls_out());
        let dwell =
            sent.and_then(Span::end).filter(|_| span.row.start > 0).map(|end| span.row.start.saturating_sub(end));
        let call = Call::new(topic, span.node, EdgeKind::Messaging, known_by, event(span));
        let operations = (sent.map_or(0, |s| s.op), span.op);
        self.emit(Call { server: span.duration(), dwell, operations, ends: (0, self.says(span)), ..call });
    }

    /// The rest of rule 2: children in another service that are neither SERVER nor CONSUMER.
    fn strangers(&mut self, spans: &[Span<'a>], roles: &mut [Role]) {
        self.explained.sort_unstable();
        let mut strangers = std::mem::take(&mut self.strangers);
        strangers.sort_unstable();
        for group in strangers.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some((above, node, ..)) = group.first().copied() else { continue };
            let (Some(parent), Some(role)) = (spans.get(above), roles.get_mut(above)) else { continue };
            if self.explained.binary_search(&(above, node)).is_ok() {
                continue;
            }
            let calls = if parent.row.kind.calls_out() { 1 } else { group.len() };
            for child in group.iter().take(calls).filter_map(|(.., at)| spans.get(*at)) {
                self.connect(role, above, parent, child, KnownBy::Parent);
            }
        }
        self.strangers = strangers;
    }

    /// Rule 3, for links from anywhere to spans of this trace.
    fn links(&mut self, spans: &[Span<'a>], roles: &mut [Role], links: &mut [StoredLink]) {
        trace::sort_links(links, self.identity);
        let same = |a: &StoredLink, b: &StoredLink| {
            (a.linked_span, a.from.trace, a.from.span, a.from.kind)
                == (b.linked_span, b.from.trace, b.from.span, b.from.kind)
        };
        let mut previous: Option<&StoredLink> = None;
        for link in links.iter() {
            let copy = previous.is_some_and(|before| same(before, link));
            previous = Some(link);
            let span = Span::new(link.from, hash::trace(link.from.trace), self.identity);
            if copy || !span.kept() {
                continue;
            }
            let mut found = self.index.find(link.linked_span);
            self.tally.counts.unresolved_links += u64::from(found.is_empty());
            if span.row.kind != SpanKind::Consumer {
                continue;
            }
            let producer = found.find_map(|at| spans.get(at).filter(|s| s.kept() && publishes(s)).map(|s| (at, s)));
            let Some((at, producer)) = producer else {
                // Somebody sent it, we do not know who. A receiver with a parent is counted with its parent.
                if span.row.parent == 0 {
                    self.deliver_inferred(&span);
                }
                continue;
            };
            if !self.delivered.insert((at, span.row.trace, span.node)) {
                continue;
            }
            let topic = self.topic(producer, &span);
            if let Some(role) = roles.get_mut(at) {
                publish(role, KnownBy::Link, topic);
                role.answered = true;
            }
            if span.row.start > 0 && span.row.start < producer.row.start {
                self.tally.counts.skewed += 1;
            }
            self.deliver(topic, Some(producer), &span, KnownBy::Link);
        }
    }

    /// Publishes, and rule 4.
    fn calling(&mut self, spans: &[Span<'a>], roles: &[Role], span: &Span<'a>, role: &Role) {
        if let Some((known_by, topic)) = role.publish {
            let named = messaging(span).filter(|peer| peer.named);
            let topic = named.map_or(topic, |peer| self.identity.peer_node(peer, span.node));
            return self.emit(outgoing(self.source(span), span, topic, EdgeKind::Messaging, known_by));
        }
        // What is published is published, also where every receiver is ignored.
        let published = span.row.kind == SpanKind::Producer && messaging(span).is_some();
        if (role.answered && !published) || another_layer_counts(spans, roles, span, role) {
            return;
        }
        if !self.infer(self.source(span), span) {
            self.tally.counts.unpaired += 1;
        }
    }

    /// Rule 4: a call from `source` (node and operation) to what the attributes of `span` name, if they name anything.
    fn infer(&mut self, source: Source, span: &Span<'a>) -> bool {
        let Some(peer) = span.peer.filter(|peer| peer.kind != PeerKind::None) else { return false };
        let kind = match peer.kind {
            PeerKind::Database => EdgeKind::Database,
            // A CLIENT span with links receives: its CONSUMER spans tell the deliveries.
            PeerKind::Messaging if span.row.kind == SpanKind::Client && span.row.flags.has(SpanFlags::LINKED) => {
                return true;
            }
            PeerKind::Messaging => EdgeKind::Messaging,
            PeerKind::Service => EdgeKind::Call,
            PeerKind::External | PeerKind::None => EdgeKind::External,
        };
        match self.identity.peer_node(peer, span.node) {
            _ if peer.ignored => {}
            IGNORED => {}
            NOWHERE => return false,
            target => self.emit(outgoing(source, span, target, kind, KnownBy::Inferred)),
        }
        true
    }

    /// Calls of gateways that are looked through and that nobody behind them answers: whoever is above the gateway calls
    /// what it names. Above a gateway at the root that is somebody outside.
    fn gateways(&mut self, spans: &[Span<'a>], roles: &mut [Role]) {
        note_layers(spans, roles, Fate::Merged);
        for (at, span) in spans.iter().enumerate() {
            let calls = span.fate == Fate::Merged && span.row.kind.calls_out();
            let Some(role) = roles.get(at).filter(|role| calls && !role.answered) else { continue };
            if another_layer_counts(spans, roles, span, role) {
                continue;
            }
            let above = match self.through.above(at) {
                Some(Parent::At(above)) => spans.get(above).map(|caller| (above, caller)),
                Some(Parent::Root) => {
                    let user = Source { node: self.identity.entry_to(span.row.op, span.row.service), op: 0, says: 0 };
                    self.tally.counts.unpaired += u64::from(!self.infer(user, span));
                    continue;
                }
                _ => None,
            };
            let Some((above, caller)) = above.filter(|(_, caller)| caller.kept()) else { continue };
            let calls_out = caller.row.kind.calls_out();
            let source = self.source(caller);
            if self.infer(Source { op: if calls_out { source.op } else { 0 }, ..source }, span) {
                if let Some(role) = roles.get_mut(above).filter(|_| calls_out) {
                    role.answered = true;
                }
            } else if !calls_out {
                self.tally.counts.unpaired += 1;
            }
        }
    }

    /// What the span's resource says of its version, environment, cluster and region.
    fn says(&self, span: &Span<'_>) -> u32 {
        self.identity.dimensions.of(span.row.resource)
    }

    fn source(&self, span: &Span<'a>) -> Source {
        Source { node: span.node, op: span.op, says: self.says(span) }
    }

    fn emit(&mut self, call: Call) {
        self.touched.add(call.source);
        self.touched.add(call.target);
        self.tally.call(&call, self.contents);
    }

    /// Which nodes a request from outside touches: everything in a trace whose root is a SERVER span.
    fn touch(&mut self, request: Weight) {
        self.tally.counts.entry_traces += request;
        for node in self.touched.nodes() {
            if let Some(weight) = self.tally.touched.get_mut(*node as usize) {
                *weight += request;
            }
        }
    }
}

/// A span as far as self time goes.
fn interval(spans: &[Span<'_>], at: usize) -> Interval {
    let Some(span) = spans.get(at) else { return Interval::default() };
    let awaited = |parent: &Span<'_>| {
        is_awaited(parent.row.kind, span.row.kind, parent.row.service == span.row.service || parent.node == span.node)
    };
    let parent = match span.parent {
        // A gateway that is looked through is no child: what is behind it is.
        Parent::At(above) if span.fate != Fate::Merged && spans.get(above).is_some_and(awaited) => Some(above),
        _ => None,
    };
    Interval { start: span.row.start, end: span.end().unwrap_or(span.row.start), parent }
}

/// A call as the calling span tells it.
fn outgoing(source: Source, span: &Span<'_>, target: u32, kind: EdgeKind, known_by: KnownBy) -> Call {
    let call = Call::new(source.node, target, kind, known_by, event(span));
    Call { client: span.duration(), operations: (source.op, 0), ends: (source.says, 0), ..call }
}

/// Who calls: node, operation (0 when not seen) and what its resource says.
#[derive(Clone, Copy)]
struct Source {
    node: u32,
    op: u32,
    says: u32,
}

fn messaging<'a>(span: &Span<'a>) -> Option<&'a PeerRef> {
    span.peer.filter(|peer| peer.kind == PeerKind::Messaging)
}

fn publishes(span: &Span<'_>) -> bool {
    span.row.kind == SpanKind::Producer || (span.row.kind == SpanKind::Client && messaging(span).is_some())
}

/// The strongest way a publish is known, and one topic whatever the order of receivers.
fn publish(role: &mut Role, known_by: KnownBy, topic: u32) {
    let (best, least) = role.publish.unwrap_or((known_by, topic));
    role.publish = Some((best.min(known_by), least.min(topic)));
}

#[cfg(test)]
#[path = "pair_tests.rs"]
mod tests;
