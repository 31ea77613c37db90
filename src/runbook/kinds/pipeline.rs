//! The messages of a topic are not consumed, or too late.

use super::{Body, HOLD, Item};
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{RunbookState, Step, Text};
use crate::runbook::evidence;
use crate::runbook::impact::impact;
use crate::runbook::packs::{self, Collected, Page};
use crate::runbook::phrase::{count, headline, main_objective, quantiles, state, worst_objective};
use crate::runbook::{links, queries, steps};
use crate::slo::ObjectiveStatus;
use crate::topology::{Edge, EdgeKind, NodeKind, Series};

/// Published but not consumed for longer than this many buckets at the end of the window: stalled.
const SILENT_BUCKETS: u64 = 3;
/// Consumers whose platform commands are shown.
const CONSUMERS: usize = 2;

pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    let target = &item.target;
    let flow = Flow::of(context, target);
    let packs = collect(context, target, &flow);
    let (state, headline) = verdict(context, item, &flow);
    let mut unknowns = Vec::new();
    if item.statuses.is_empty() {
        unknowns.push(
            Text::words("No message-lag objective is set for the consumers of ")
                .code(target.label())
                .and(": how late is too late is undecided."),
        );
    }
    unknowns
        .push(Text::words("How many messages are waiting in the broker: traces show only those that were taken out."));
    if flow.consumers.iter().any(|e| e.dwell.is_empty()) {
        unknowns.push(Text::words(
            "How long messages wait for some of the consumers: their spans cannot be matched with a publishing span.",
        ));
    }
    unknowns.extend(packs.unknowns);
    let mut diagnosis = diagnosis(context, target, &flow, &item.statuses);
    diagnosis.push(steps::what_changed(context, target));
    diagnosis.extend(packs.changed);
    diagnosis.extend(packs.look);
    Body {
        title: Text::words("Messages of ").code(target.label()).and(" are not consumed in time"),
        state,
        headline,
        first: first(context, &flow, state),
        trigger: super::trigger(
            item,
            Text::words("Messages of ").code(target.label()).and(" wait longer than they should, or nobody takes them"),
        ),
        trigger_detail: super::objectives(context, item, |_| None),
        impact: effects(context, target, &flow),
        diagnosis,
        remediation: packs.fix,
        verification: verification(context, item),
        tables: vec![evidence::consumers(context, target), evidence::callers(context, target)],
        traces: traces(context, target, &flow),
        waterfalls: Vec::new(),
        unknowns,
    }
}

/// Who publishes to a topic and who takes from it.
pub(super) struct Flow<'a> {
    pub(super) producers: Vec<&'a Edge>,
    pub(super) consumers: Vec<&'a Edge>,
}

impl<'a> Flow<'a> {
    pub(super) fn of(context: &Context<'a>, topic: &Target<'_>) -> Self {
        let messaging = |edges: Vec<&'a Edge>| edges.into_iter().filter(|e| e.kind == EdgeKind::Messaging).collect();
        Self { producers: messaging(context.callers(&topic.id)), consumers: messaging(context.callees(&topic.id)) }
    }

    /// Consumers, those whose messages wait longest first.
    fn by_wait(&self) -> Vec<&'a Edge> {
        let mut out = self.consumers.clone();
        let wait = |e: &Edge| e.dwell.quantile(0.5).unwrap_or(0.0);
        out.sort_by(|a, b| wait(b).total_cmp(&wait(a)).then(b.calls.cmp(&a.calls)).then(a.target.cmp(&b.target)));
        out
    }

    /// The shortest of the usual waits, when several consumers wait about as long as each other and far longer than they
    /// work: then none of them is to blame.
    fn alike(&self) -> Option<f64> {
        let waits: Vec<f64> = self.consumers.iter().filter_map(|e| e.dwell.quantile(0.5)).collect();
        let work = self.consumers.iter().filter_map(|e| e.server.quantile(0.5)).fold(0.0, f64::max);
        let (low, high) = waits.iter().fold((f64::MAX, 0.0_f64), |(low, high), w| (low.min(*w), high.max(*w)));
        (waits.len() > 1 && waits.len() == self.consumers.len() && low >= high / 2.0 && low > work * 10.0)
            .then_some(low)
    }

    /// Last 5-minute buckets in which something was published and consumed.
    fn last(edges: &[&Edge]) -> Option<u64> {
        edges.iter().filter_map(|e| e.series.0.keys().next_back()).max().copied()
    }

    /// Seconds at the end of the window in which messages came in and none went out.
    fn silence(&self) -> Option<u64> {
        let (published, consumed) = (Self::last(&self.producers)?, Self::last(&self.consumers)?);
        let buckets = published.saturating_sub(consumed);
        (buckets >= SILENT_BUCKETS).then(|| buckets.saturating_mul(Series::SECONDS))
    }
}

/// Commands for the broker and the largest consumers.
pub(super) fn collect(context: &Context<'_>, topic: &Target<'_>, flow: &Flow<'_>) -> Collected {
    let mut packs = packs::collect(context, topic, Page::Pipeline);
    for edge in flow.consumers.iter().take(CONSUMERS) {
        packs.extend(packs::collect(context, &context.target(&edge.target), Page::Pipeline));
    }
    packs
}

fn verdict(context: &Context<'_>, item: &Item<'_>, flow: &Flow<'_>) -> (RunbookState, Text) {
    let target = &item.target;
    #[allow(clippy::cast_precision_loss, reason = "for display")]
    if let Some(silent) = flow.silence() {
        let text = Text::words("Messages were published to ")
            .code(target.label())
            .and(" until the end of the window, but none was consumed in its last ");
        return (RunbookState::Breached, text.duration(silent as f64).and("."));
    }
    if let Some(worst) = worst_objective(&item.statuses) {
        return (state(&item.statuses), headline(&item.statuses, &context.target(&worst.service)));
    }
    match flow.consumers.first() {
        Some(edge) => {
            let text =
                Text::words("Nothing wrong in this window: messages of ").code(target.label()).and(" are consumed");
            let text = match quantiles(&edge.dwell) {
                Some(q) => text.and(", after a wait of ").append(q),
                None => text,
            };
            (RunbookState::Ok, text.and("; no objective says how long they may wait."))
        }
        None => (
            RunbookState::Unknown,
            Text::words("No consumer of ")
                .code(target.label())
                .and(" was seen in this window, so nothing is known about its state."),
        ),
    }
}

fn first(context: &Context<'_>, flow: &Flow<'_>, state: RunbookState) -> Text {
    use crate::runbook::phrase::nanos;
    if let Some(wait) = flow.alike().filter(|_| state == RunbookState::Breached) {
        let text = Text::words("Look first at the topic and its broker: all consumers wait about as long (p50 ");
        return text.piece(nanos(wait)).and("), and far longer than they work on a message.");
    }
    let order = flow.by_wait();
    let Some(edge) = order.first() else { return Text::default() };
    let which = if order.len() == 1 {
        ", its only consumer: whether it runs"
    } else {
        ", where messages wait longest: whether it runs"
    };
    let which =
        if order.iter().all(|e| e.dwell.is_empty()) { ", its largest consumer: whether it runs" } else { which };
    let text = Text::words("Look first at ").code(name_of(context, &edge.target)).and(which);
    match edge.server.quantile(0.5) {
        Some(p50) => text.and(", and how long one message takes it (p50 ").piece(nanos(p50)).and(")."),
        None => text.and("."),
    }
}

/// Who notices, in terms of producers and consumers.
fn effects(context: &Context<'_>, target: &Target<'_>, flow: &Flow<'_>) -> Vec<Text> {
    let mut out = Vec::new();
    for edge in flow.consumers.iter().take(5) {
        let text = Text::default().code(name_of(context, &edge.target)).and(" takes its messages (");
        let text = text.rate(context.rate(edge.calls.as_f64())).and("): what it does with them is late or missing");
        let behind = context.callees(&edge.target);
        let text = match behind.first() {
            Some(next) => text.and(", and so is what it hands on to ").code(name_of(context, &next.target)),
            None => text,
        };
        out.push(text.and("."));
    }
    out.extend(impact(context, target).into_iter().filter(|_| !flow.producers.is_empty() || flow.consumers.is_empty()));
    out
}

/// Read-only steps from the topic to its consumers.
pub(super) fn diagnosis(
    context: &Context<'_>,
    topic: &Target<'_>,
    flow: &Flow<'_>,
    statuses: &[&ObjectiveStatus],
) -> Vec<Step> {
    let mut out = vec![rates(context, topic, flow)];
    for edge in flow.by_wait().into_iter().take(3) {
        out.push(consumer(context, topic, edge, statuses));
    }
    if !flow.producers.is_empty() {
        out.push(producers(context, topic, flow));
    }
    out
}

fn rates(context: &Context<'_>, topic: &Target<'_>, flow: &Flow<'_>) -> Step {
    let query = format!(
        "{{ (kind = producer || kind = consumer) && {} }} | rate() by (kind, resource.service.name)",
        queries::peer(topic)
    );
    let mut step = steps::traceql(context, Text::words("Confirm that messages go in and do not come out"), query);
    let named = |text: Text, edges: &[&Edge], end: fn(&Edge) -> &crate::topology::NodeId| {
        edges.iter().take(4).enumerate().fold(text, |text, (i, e)| {
            let text = text.and(if i == 0 { "" } else { ", " }).code(name_of(context, end(e))).and(" ");
            text.rate(context.rate(e.calls.as_f64()))
        })
    };
    let text = if flow.producers.is_empty() {
        Text::words("In the window no publisher was seen")
    } else {
        named(Text::words("In the window published: "), &flow.producers, |e| &e.source)
    };
    let text = if flow.consumers.is_empty() {
        text.and("; nobody took anything")
    } else {
        named(text.and("; taken: "), &flow.consumers, |e| &e.target)
    };
    step.detail =
        step.detail.append(text).and(". Each consumer group takes every message once, and a batch may count as one.");
    step.expect = Text::words("Both at their usual rate.");
    step.otherwise = Text::words(
        "In but not out: stalled, go on. Out slower than in: falling behind, go on. Neither: the producers stopped, look at them instead.",
    );
    step
}

fn consumer(context: &Context<'_>, topic: &Target<'_>, edge: &Edge, statuses: &[&ObjectiveStatus]) -> Step {
    let consumer = context.target(&edge.target);
    let name = consumer.label();
    let query = format!(
        "{{ {} && kind = consumer && {} }} | quantile_over_time(duration, .5, .99)",
        crate::runbook::quote::matches("resource.service.name", &consumer.name, " = "),
        queries::peer(topic)
    );
    let mut step = steps::traceql(context, Text::words("Check the consumer ").code(name.clone()), query);
    let mut text = Text::default();
    if let Some(q) = quantiles(&edge.dwell) {
        text = text.and("Messages wait ").append(q).and(" (n ").piece(count(edge.dwell.n())).and("). ");
    }
    if let Some(q) = quantiles(&edge.server) {
        text = text.and("Processing one takes ").append(q).and(". ");
    }
    text = text.and("Of them fail ").ratio(edge.error_ratio().unwrap_or(0.0)).and(".");
    step.detail = step.detail.append(text);
    step.expect = match edge.server.quantile(0.99) {
        Some(p99) => Text::words("Processing p99 about ").piece(crate::runbook::phrase::nanos(p99)).and("."),
        None => Text::words("Consumer spans at the usual rate."),
    };
    if let Some(main) = statuses.iter().find(|m| m.service == edge.target) {
        step.expect = std::mem::take(&mut step.expect).and(" Waiting below ").duration(main.objective.target).and(".");
    }
    let next = match context.runbook_of(&edge.target, &["latency", "errors", "dependency"]) {
        Some(id) => Text::words("; go on with ").runbook(id),
        None => Text::default(),
    };
    step.otherwise = Text::words("No spans: it is down, or cut off from the broker. Slower: it cannot keep up because of itself or what it calls").append(next).and(". Same speed but waiting grows: more comes in than it can take, or too few instances read.");
    step
}

fn producers(context: &Context<'_>, topic: &Target<'_>, flow: &Flow<'_>) -> Step {
    let query = format!("{{ kind = producer && {} }} | rate() by (resource.service.name)", queries::peer(topic));
    let mut step = steps::traceql(context, Text::words("See whether a producer sends more than usual"), query);
    let mut text = Text::words("In the window: ");
    for (i, edge) in flow.producers.iter().take(4).enumerate() {
        text = text
            .and(if i == 0 { "" } else { ", " })
            .code(name_of(context, &edge.source))
            .and(" ")
            .rate(context.rate(edge.calls.as_f64()));
    }
    step.detail = step.detail.append(text).and(".");
    step.expect = Text::words("These rates.");
    step.otherwise = Text::words(
        "A burst: it will drain by itself if the consumers are fast enough; work out how long. A lasting rise: more consumers are needed.",
    );
    step
}

fn verification(context: &Context<'_>, item: &Item<'_>) -> Vec<Step> {
    let topic = &item.target;
    let flow = Flow::of(context, topic);
    let mut same = rates(context, topic, &flow);
    same.title = Text::words("Messages come out at least as fast as they go in");
    same.detail = Text::default();
    same.expect = match main_objective(&item.statuses) {
        Some(main) => Text::words("Out at or above in until the backlog is gone, then equal; the wait below ")
            .duration(main.objective.target)
            .and(format!(" for {HOLD}.")),
        None => Text::words(format!("Out at or above in until the backlog is gone, then equal for {HOLD}.")),
    };
    same.otherwise = Text::words(
        "Still behind: the consumers are not fast enough, escalate before the broker's retention runs out.",
    );
    let failed = format!("{{ kind = consumer && status = error && {} }}", queries::peer(topic));
    let mut canary = steps::traceql(context, Text::words("Messages are processed, not only taken"), failed);
    canary.expect = Text::words("No trace that started after the fix.");
    canary.otherwise =
        Text::words("Messages fail one after the other: see whether they go to a dead-letter topic, and why.");
    vec![same, canary, steps::slo_now(context, Text::words("No message-lag objective is missed."))]
}

fn traces(context: &Context<'_>, target: &Target<'_>, flow: &Flow<'_>) -> Vec<crate::runbook::document::TraceRef> {
    let own = target.node.map(|n| (&n.handled.exemplars, &n.handled.durations)).filter(|(e, _)| !e.is_empty());
    let edges = flow.consumers.iter().chain(&flow.producers).map(|e| (&e.exemplars, e.latency()));
    let exemplars = own.or_else(|| edges.into_iter().find(|(e, _)| !e.is_empty()));
    let links = &context.settings.links;
    exemplars.map_or_else(Vec::new, |(e, durations)| links::traces(links, e, durations, &["slow", "failed", "typical"]))
}

/// Topics a node stands for: itself, or for a service those it consumes.
pub(super) fn topics_of<'a>(context: &Context<'a>, node: &Target<'a>) -> Vec<Target<'a>> {
    if node.kind == NodeKind::Messaging {
        return vec![node.clone()];
    }
    let into = context.callers(&node.id).into_iter().filter(|e| e.kind == EdgeKind::Messaging);
    into.map(|e| context.target(&e.source)).filter(|t| t.kind == NodeKind::Messaging).collect()
}
