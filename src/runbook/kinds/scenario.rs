//! What the team declared: traces know who is concerned, not whether it is happening.

use super::{Body, HOLD, Item, pipeline};
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{RunbookState, Step, Text};
use crate::runbook::evidence::{self, Order};
use crate::runbook::impact::impact;
use crate::runbook::packs::{self, Collected, Page};
use crate::runbook::phrase::{count, headline, state};
use crate::runbook::quote::label;
use crate::runbook::{apart, links, queries, steps};
use crate::slo::{ObjectiveState, Sli};
use crate::topology::{EdgeKind, NodeKind};

/// Nodes that get steps and tables of their own.
const NODES: usize = 3;

/// The kinds that bring steps of their own.
pub(in crate::runbook) const KINDS: &[&str] =
    &["region-failover", "replica-lag", "oom", "certificate-expiry", "pipeline-stall", "custom"];

fn page(kind: &str) -> Page {
    match kind {
        "region-failover" => Page::Failover,
        "replica-lag" => Page::ReplicaLag,
        "oom" => Page::Oom,
        "certificate-expiry" => Page::Certificate,
        "pipeline-stall" => Page::Pipeline,
        _ => Page::Custom,
    }
}

pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    let Some(scenario) = item.scenario else { return blank(item) };
    let page = page(scenario.kind.as_deref().unwrap_or("custom"));
    let nodes = item.nodes.get(..item.nodes.len().min(NODES)).unwrap_or_default();
    let mut packs = Collected::default();
    for node in nodes {
        packs.extend(packs::collect(context, node, page));
    }
    let query = query(item);
    let mut diagnosis: Vec<Step> = query.as_ref().map(|q| ask(q)).into_iter().collect();
    let mut unknowns = Vec::new();
    match page {
        Page::Failover => failover(context, nodes, &mut diagnosis, &mut unknowns),
        Page::ReplicaLag => replica_lag(context, nodes, &mut diagnosis, &mut unknowns),
        Page::Oom => oom(context, nodes, &mut diagnosis, &mut unknowns),
        Page::Certificate => certificate(context, nodes, &mut diagnosis, &mut unknowns),
        Page::Pipeline => stall(context, item, nodes, &mut diagnosis, &mut packs, &mut unknowns),
        _ => {}
    }
    diagnosis.append(&mut packs.changed);
    diagnosis.append(&mut packs.look);
    diagnosis.extend(nodes.iter().filter_map(|node| traces_say(context, node)));
    unknowns.append(&mut packs.unknowns);
    if nodes.is_empty() {
        unknowns.push(
            Text::words("Which services are concerned: name them under ")
                .code("nodes")
                .and(" of this scenario in ")
                .code("tracebook.yaml")
                .and(" to get their callers, numbers and commands here."),
        );
    }
    let multiple = nodes.len() > 1;
    let mut tables = Vec::new();
    for node in nodes {
        for table in [
            evidence::callers(context, node),
            evidence::dependencies(context, node),
            evidence::operations(context, node, Order::Calls),
        ] {
            tables.push(table.map(|mut t| {
                if multiple {
                    t.title = format!("{} of {}", t.title, node.label());
                }
                t
            }));
        }
    }
    Body {
        title: Text::markdown(&scenario.title),
        state: state(&item.statuses),
        headline: say(item, nodes),
        first: Text::default(),
        trigger: Text::markdown(&scenario.trigger),
        trigger_detail: trigger_detail(context, item, query.as_deref()),
        impact: all_impact(context, nodes),
        diagnosis,
        remediation: packs.fix,
        verification: verification(context, nodes, query.as_deref()),
        tables,
        traces: nodes.first().and_then(|n| n.node).map_or_else(Vec::new, |n| {
            links::traces(
                &context.settings.links,
                &n.handled.exemplars,
                &n.handled.durations,
                &["failed", "slow", "typical"],
            )
        }),
        waterfalls: Vec::new(),
        unknowns,
    }
}

/// Unreachable in practice: scenarios come from the configuration.
fn blank(item: &Item<'_>) -> Body {
    Body {
        title: Text::default().code(item.target.label()),
        state: RunbookState::Unknown,
        headline: Text::words("The scenario is no longer declared."),
        first: Text::default(),
        trigger: Text::default(),
        trigger_detail: Vec::new(),
        impact: Vec::new(),
        diagnosis: Vec::new(),
        remediation: Vec::new(),
        verification: Vec::new(),
        tables: Vec::new(),
        traces: Vec::new(),
        waterfalls: Vec::new(),
        unknowns: Vec::new(),
    }
}

/// The Prometheus query that decides: of the objective, or written in the scenario itself.
fn query(item: &Item<'_>) -> Option<String> {
    match item.statuses.first() {
        Some(status) => status.objective.query.clone(),
        None => item.scenario.and_then(|s| s.objective.clone()),
    }
}

fn say(item: &Item<'_>, nodes: &[Target<'_>]) -> Text {
    if item.statuses.iter().any(|s| s.state != ObjectiveState::NoData) {
        return headline(&item.statuses, &item.target);
    }
    let text = Text::words("Traces cannot tell whether this is happening; the trigger below decides.");
    let unseen: Vec<&Target<'_>> = nodes.iter().filter(|n| n.node.is_none()).collect();
    match unseen.first() {
        Some(node) if unseen.len() == nodes.len() => {
            let text = text.and(" ").code(node.label());
            text.and(if nodes.len() == 1 {
                " was not seen in this window."
            } else {
                " and the other nodes named were not seen in this window."
            })
        }
        _ => text,
    }
}

fn trigger_detail(context: &Context<'_>, item: &Item<'_>, query: Option<&str>) -> Vec<Text> {
    let mut out = super::objectives(context, item, |_| None);
    match query {
        Some(query) => out.push(Text::words("The state is answered by Prometheus: ").code(query)),
        None if item.statuses.iter().all(|s| s.objective.sli == Sli::External) => out.push(
            Text::words("No query answers this yet: add an objective with sli ")
                .code("external")
                .and(" and name it under ")
                .code("objective")
                .and(" of this scenario."),
        ),
        None => {}
    }
    out
}

fn all_impact(context: &Context<'_>, nodes: &[Target<'_>]) -> Vec<Text> {
    let mut out = Vec::new();
    for node in nodes {
        out.extend(impact(context, node).into_iter().map(|text| match nodes.len() {
            1 => text,
            _ => Text::default().code(node.label()).and(": ").append(text),
        }));
    }
    out
}

fn ask(query: &str) -> Step {
    let mut step = steps::promql(Text::words("Confirm that it is happening"), query.to_owned());
    step.expect = Text::words("The good side of the trigger.");
    step.otherwise = Text::words(
        "The bad side: it is real, go on. No data: the exporter or its scrape is broken, which is an incident of its own.",
    );
    step
}

/// What the traces say about one node, and its own pages.
fn traces_say(context: &Context<'_>, node: &Target<'_>) -> Option<Step> {
    let query = match node.kind {
        NodeKind::Service => format!("{} | rate() by (status)", queries::select(&queries::handled(context, node))),
        _ if queries::peer(node).is_empty() => return None,
        _ => format!("{} | rate() by (status)", queries::select(&queries::peer(node))),
    };
    let mut step = steps::traceql(context, Text::words("See what the traces say about ").code(node.label()), query);
    step.detail = step.detail.append(steps::normal(context, node));
    let promised =
        context.statuses(&node.id).iter().filter(|s| s.objective.sli == Sli::ErrorRate).map(|s| s.objective.target);
    step.expect = match (node.handled(), promised.min_by(f64::total_cmp)) {
        (Some(s), Some(limit)) => {
            Text::words("About ").rate(context.rate(s.calls.as_f64())).and(", errors below ").ratio(limit).and(".")
        }
        (Some(s), None) => Text::words("About ")
            .rate(context.rate(s.calls.as_f64()))
            .and(", errors not above the ")
            .ratio(s.error_ratio().unwrap_or(0.0))
            .and(" of the window."),
        (None, _) => Text::words("Spans at the usual rate, without errors."),
    };
    let mut pages = Text::default();
    for kind in ["errors", "latency", "dependency", "pipeline"] {
        if let Some(id) = context.runbook_of(&node.id, &[kind]) {
            pages = pages.sep(", ").runbook(id);
        }
    }
    let text = Text::words("Errors or fewer requests: users notice already");
    step.otherwise =
        if pages.is_empty() { text.and(".") } else { text.and("; its own pages: ").append(pages).and(".") };
    Some(step)
}

fn failover(context: &Context<'_>, nodes: &[Target<'_>], steps_out: &mut Vec<Step>, unknowns: &mut Vec<Text>) {
    let mut seen = false;
    for node in nodes {
        let Some(regions) = node.node.and_then(|n| n.attributes.get("cloud.region")) else { continue };
        seen = true;
        let query =
            format!("{} | rate() by (resource.cloud.region)", queries::select(&queries::handled(context, node)));
        let mut step = steps::traceql(context, Text::words("See which regions serve ").code(node.label()), query);
        let total: u64 = regions.values().fold(0, |a, b| a.saturating_add(*b));
        let mut text = Text::words("In the window: ");
        for (i, (region, n)) in regions.iter().take(8).enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "a share for display")]
            let share = *n as f64 / total.max(1) as f64;
            text = text.and(if i == 0 { "" } else { ", " }).code(label(region)).and(" ").ratio(share);
        }
        step.detail = step.detail.append(text).and(" of the spans.");
        step.expect = Text::words("Every region at its usual share.");
        step.otherwise = Text::words(
            "One region silent while the others rise: traffic is already routed away. Silent while the others do not rise: users there get nothing, fail over.",
        );
        steps_out.push(step);
    }
    if !seen {
        unknowns.push(
            Text::words("Which region serves what: the spans carry no ")
                .code("cloud.region")
                .and(" resource attribute."),
        );
    }
    let mut stores: Vec<String> = nodes
        .iter()
        .flat_map(|n| context.callees(&n.id))
        .filter(|e| matches!(e.kind, EdgeKind::Database | EdgeKind::Messaging))
        .map(|e| name_of(context, &e.target))
        .collect();
    stores.sort();
    stores.dedup();
    if !stores.is_empty() {
        let mut text = Text::words("They use ");
        for (i, store) in stores.iter().take(10).enumerate() {
            text = text.and(if i == 0 { "" } else { ", " }).code(store.clone());
        }
        steps_out.push(Step {
            title: Text::words("List the state that must move with the traffic"),
            detail: text.and("."),
            expect: Text::words(
                "For each of them you know which region holds the writer and how far the others are behind.",
            ),
            otherwise: Text::words("Not known for one: find out before traffic is moved, or writes are lost."),
            ..Step::default()
        });
    }
}

fn replica_lag(context: &Context<'_>, nodes: &[Target<'_>], steps_out: &mut Vec<Step>, unknowns: &mut Vec<Text>) {
    for node in nodes.iter().filter(|n| n.kind == NodeKind::Database) {
        let callers = context.callers(&node.id);
        let Some(first) = callers.first() else { continue };
        let mut text = Text::words("It is used by ");
        for (i, edge) in callers.iter().take(5).enumerate() {
            text = text
                .and(if i == 0 { "" } else { ", " })
                .code(name_of(context, &edge.source))
                .and(" (")
                .rate(context.rate(edge.calls.as_f64()))
                .and(")");
        }
        let query =
            format!("{} | quantile_over_time(duration, .99)", queries::edge(&context.target(&first.source), node, ""));
        let mut step = steps::traceql(
            context,
            Text::words("See whether the callers of ").code(node.label()).and(" notice"),
            query,
        );
        step.detail = step.detail.append(text).and(".");
        step.expect = Text::words("p99 ")
            .duration(first.latency().quantile(0.99).unwrap_or(0.0) / 1e9)
            .and(" as in the window (n ")
            .piece(count(first.n))
            .and(").");
        step.otherwise = Text::words("Slower as well: the writer or its disk is overloaded, and the lag is a symptom.");
        steps_out.push(step);
    }
    unknowns.push(Text::words("Which reads go to a replica: spans seldom name the role of the server they reached. Stale answers look like good ones in a trace."));
}

fn oom(context: &Context<'_>, nodes: &[Target<'_>], steps_out: &mut Vec<Step>, unknowns: &mut Vec<Text>) {
    steps_out.extend(nodes.iter().filter_map(|n| steps::open_trace(context, n, "slow", &[])));
    steps_out.extend(nodes.iter().filter_map(|n| apart::spread(context, n, "rate()")));
    unknowns.push(Text::words("What a killed process was doing: its unfinished spans are lost with it. Look at who was calling it, not only at its own spans."));
}

fn certificate(context: &Context<'_>, nodes: &[Target<'_>], steps_out: &mut Vec<Step>, unknowns: &mut Vec<Text>) {
    let query =
        "{ kind = client && status = error && statusMessage =~ \"(?i).*(certificate|x509|tls|ssl).*\" }".to_owned();
    let mut step =
        steps::traceql(context, Text::words("See whether calls fail because of a certificate already"), query);
    step.expect = Text::words("No traces.");
    step.otherwise =
        Text::words("Every trace names a caller and an address whose certificate it refuses: that one first.");
    steps_out.push(step);
    if !nodes.iter().any(|n| n.config.is_some_and(|c| c.facts.contains_key("tls.host"))) {
        unknowns.push(Text::words("Which certificates there are and when they end: traces do not hold them."));
    }
}

fn stall(
    context: &Context<'_>,
    item: &Item<'_>,
    nodes: &[Target<'_>],
    steps_out: &mut Vec<Step>,
    packs: &mut Collected,
    unknowns: &mut Vec<Text>,
) {
    let mut topics: Vec<Target<'_>> = Vec::new();
    for topic in nodes.iter().flat_map(|n| pipeline::topics_of(context, n)) {
        if !topics.iter().any(|t| t.id == topic.id) {
            topics.push(topic);
        }
    }
    for topic in topics.iter().take(NODES) {
        let flow = pipeline::Flow::of(context, topic);
        steps_out.extend(pipeline::diagnosis(context, topic, &flow, &item.statuses));
        if !nodes.iter().any(|n| n.id == topic.id) {
            packs.extend(packs::collect(context, topic, Page::Pipeline));
        }
    }
    if topics.is_empty() {
        unknowns.push(Text::words("Which topics the pipeline reads: no messages were seen for the nodes named."));
    }
    unknowns
        .push(Text::words("How many messages are waiting in the broker: traces show only those that were taken out."));
}

fn verification(context: &Context<'_>, nodes: &[Target<'_>], query: Option<&str>) -> Vec<Step> {
    let mut out = Vec::new();
    if let Some(query) = query {
        let mut step = steps::promql(Text::words("The figure that fired is good again"), query.to_owned());
        step.expect = Text::words(format!("The good side of the trigger for {HOLD}."));
        step.otherwise = Text::words("Not yet: do not close; escalate in time.");
        out.push(step);
    }
    for node in nodes {
        out.extend(traces_say(context, node).map(|mut step| {
            step.title = Text::words("Users of ").code(node.label()).and(" are served again");
            step.detail = Text::default();
            step.otherwise = Text::words("Fewer requests or more errors than that: not over yet.");
            step
        }));
    }
    out.push(steps::slo_now(context, Text::words("No objective of the services named here is missed.")));
    out
}
