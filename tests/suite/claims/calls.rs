//! Who called whom: the rules of docs/topology.md in the plainest way. One [`Call`] for each call, nothing summed up.
//!
//! What none of the captures holds is left out and asserted to be absent: layers of one call, shared span ids, gateways,
//! aliases, ignored spans, receivers without a sender.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::peers;
use super::spans::{Attributes, Kind, Span};

/// One call as both ends tell it.
#[derive(Debug, Clone)]
pub struct Call {
    pub source: String,
    pub target: String,
    pub kind: &'static str,
    /// Trace and start of who tells it, and the calls it stands for.
    pub trace: String,
    pub start: u64,
    pub weight: f64,
    pub failed: bool,
    pub class: String,
    /// Names of the calling and of the called span.
    pub names: (String, String),
    pub client: Option<u64>,
    pub server: Option<u64>,
    pub gap: Option<u64>,
    pub dwell: Option<u64>,
    /// What the called process says of itself, where it was seen.
    pub called: Option<Arc<Attributes>>,
}

/// Spans by trace and id, and what hangs below each.
pub struct Forest<'a> {
    pub spans: &'a [Span],
    by_id: BTreeMap<(&'a str, &'a str), usize>,
    below: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Forest<'a> {
    pub fn new(spans: &'a [Span]) -> Self {
        let by_id: BTreeMap<_, _> =
            spans.iter().enumerate().map(|(at, s)| ((s.trace.as_str(), s.id.as_str()), at)).collect();
        assert_eq!(by_id.len(), spans.len(), "copies are removed before");
        let mut below: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, span) in spans.iter().enumerate() {
            if let Some(parent) = by_id.get(&(span.trace.as_str(), span.parent.as_str())) {
                below.entry(*parent).or_default().push(at);
            }
        }
        Self { spans, by_id, below }
    }

    pub fn find(&self, trace: &str, id: &str) -> Option<&'a Span> {
        self.by_id.get(&(trace, id)).map(|at| &self.spans[*at])
    }

    pub fn parent(&self, span: &Span) -> Option<&'a Span> {
        self.find(&span.trace, &span.parent)
    }

    pub fn children(&self, span: &Span) -> Vec<&'a Span> {
        let at = self.by_id[&(span.trace.as_str(), span.id.as_str())];
        self.below.get(&at).into_iter().flatten().map(|at| &self.spans[*at]).collect()
    }
}

/// Links to a PRODUCER span: who receives what it sent, by trace and service, the first of each.
type Receivers<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<(&'a str, &'a str), &'a Span>>;

/// Every call these spans tell.
pub fn calls(forest: &Forest<'_>) -> Vec<Call> {
    let mut receivers = Receivers::new();
    for span in forest.spans.iter().filter(|s| s.kind == Kind::Consumer) {
        for (trace, id) in &span.links {
            let of_sender = receivers.entry((trace, id)).or_default();
            let first = of_sender.entry((&span.trace, &span.service)).or_insert(span);
            if (span.start, &span.id) < (first.start, &first.id) {
                *first = span;
            }
        }
    }
    let mut out = Vec::new();
    for span in forest.spans {
        if span.calls() {
            made(forest, span, &receivers, &mut out);
        } else {
            for child in forest.children(span).into_iter().filter(|c| c.service != span.service) {
                // Nobody tells that it was called but the called span.
                assert!(child.kind == Kind::Server, "only SERVER spans hang below another service's work");
                out.push(answered(None, span, child));
            }
        }
        if span.kind == Kind::Server && span.parent.is_empty() {
            out.push(Call { kind: "entry", ..answered(None, span, span) }.from("entry:user"));
        }
        let lost = span.links.iter().filter(|(trace, id)| forest.find(trace, id).is_none());
        for (trace, _) in lost.filter(|_| span.kind == Kind::Consumer && span.parent.is_empty()) {
            let topic = peers::topic(span).unwrap();
            out.push(Call { kind: "messaging", trace: trace.clone(), ..answered(None, span, span) }.from(&topic));
        }
    }
    out
}

/// What one CLIENT or PRODUCER span called.
fn made(forest: &Forest<'_>, span: &Span, receivers: &Receivers<'_>, out: &mut Vec<Call>) {
    let below = forest.children(span);
    assert!(below.iter().all(|c| !c.calls()), "no layers of one call");
    let answers: Vec<&Span> = below.iter().copied().filter(|c| c.is_called()).collect();
    if span.kind == Kind::Client {
        out.extend(answers.iter().map(|server| answered(Some(span), span, server)));
        if answers.is_empty()
            && let Some((target, kind)) = peers::named(span)
        {
            out.push(unanswered(span, target, kind));
        }
        return;
    }
    let topic = peers::topic(span).unwrap();
    let linked = receivers.get(&(span.trace.as_str(), span.id.as_str()));
    let linked: Vec<&Span> = linked.into_iter().flat_map(|all| all.values().copied()).collect();
    out.push(unanswered(span, topic.clone(), "messaging"));
    let had: BTreeSet<&str> = answers.iter().map(|a| a.service.as_str()).collect();
    let linked = linked.into_iter().filter(|l| l.trace != span.trace || !had.contains(l.service.as_str()));
    for receiver in answers.iter().copied().chain(linked) {
        let mut call = Call { kind: "messaging", ..answered(None, span, receiver) }.from(&topic);
        call.dwell = span.duration().map(|_| receiver.start.saturating_sub(span.end));
        call.trace.clone_from(&span.trace);
        out.push(call);
    }
}

/// A call of which the called span was seen; `client` is the calling one.
fn answered(client: Option<&Span>, source: &Span, server: &Span) -> Call {
    let by = client.unwrap_or(server);
    let failed = server.failed() || client.is_some_and(Span::failed);
    let own = Some(server.class()).filter(|c| server.failed() && !c.is_empty());
    let both = client.and_then(Span::duration).zip(server.duration());
    Call {
        source: source.service.clone(),
        target: server.service.clone(),
        kind: "call",
        trace: by.trace.clone(),
        start: by.start,
        weight: by.weight,
        failed,
        class: own.unwrap_or_else(|| by.class()),
        names: (client.map_or(String::new(), |c| c.name.clone()), server.name.clone()),
        client: client.and_then(Span::duration),
        server: server.duration(),
        gap: both.map(|(client, server)| client.saturating_sub(server)),
        dwell: None,
        called: Some(Arc::clone(&server.resource)),
    }
}

/// A call of which only the calling span was seen.
fn unanswered(span: &Span, target: String, kind: &'static str) -> Call {
    Call {
        target,
        kind,
        names: (span.name.clone(), String::new()),
        client: span.duration(),
        server: None,
        gap: None,
        called: None,
        ..answered(Some(span), span, span)
    }
}

impl Call {
    fn from(self, source: &str) -> Self {
        Self { source: source.to_owned(), ..self }
    }
}
