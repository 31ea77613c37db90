//! Steps that several kinds of page share.
//!
//! Input: a node and its numbers. Output: [`Step`]s that only read.
//! Must not: hold a platform command: those are in `packs`.

use super::cfg::StepConfig;
use super::context::{Context, Target};
use super::document::{Piece, Step, Text};
use super::impact::name_of;
use super::phrase::{count, nanos, quantiles, window};
use super::quote::label;
use super::{links, queries};
use crate::topology::{Edge, Exemplar, Node, Sketch};

/// Edges with less than this share of the time or the errors get no step of their own.
pub(super) const WORTH_A_STEP: f64 = 0.05;
/// Most edges with a step of their own.
const EDGES: usize = 5;

/// A TraceQL query to paste, with a link that runs it where Grafana is configured.
pub(super) fn traceql(context: &Context<'_>, title: Text, query: String) -> Step {
    let link = links::explore(&context.settings.links, &query);
    let detail = match link {
        Some(url) => Text::default().piece(Piece::Link("Open in Grafana".into(), url)).and(". "),
        None => Text::default(),
    };
    Step { title, detail, command: query, language: "traceql".into(), ..Step::default() }
}

/// A PromQL query to paste.
pub(super) fn promql(title: Text, query: String) -> Step {
    Step { title, command: query, language: "promql".into(), ..Step::default() }
}

/// Compare with the committed topology.
pub(super) fn what_changed(target: &Target<'_>) -> Step {
    Step {
        title: Text::words("See what changed in the topology since this page was written"),
        detail: Text::words(
            "Run it in the directory of the runbooks, with the address of the trace backend in OTEL_ENDPOINT.",
        ),
        command: queries::WHAT_CHANGED.into(),
        language: "bash".into(),
        expect: Text::words("No change that names ").code(target.label()).and(" or what it calls."),
        otherwise: Text::words(
            "A call that is new, gone, slower or failing more is the first suspect: go on with the step of that dependency.",
        ),
        ..Step::default()
    }
}

/// Attributes by which a node may be split, most telling first, and what it means when one value stands out.
const SPREAD: &[(&str, &str)] = &[
    ("service.version", "One version apart: the release is the cause, roll it back."),
    ("cloud.region", "One region apart: take it out of rotation before looking further."),
    ("cloud.availability_zone", "One zone apart: look at that zone's network and nodes."),
    ("deployment.environment.name", "Several environments send under one name: make sure you look at the right one."),
    ("k8s.pod.name", "One pod apart: it or its node is ill, the service is not."),
    ("host.name", "One host apart: look at that host."),
    ("service.instance.id", "One instance apart: it is ill, the service is not."),
];

/// Whether one version, region or instance stands out, where more than one was seen. `measure` is the TraceQL function.
pub(super) fn spread(context: &Context<'_>, target: &Target<'_>, measure: &str) -> Option<Step> {
    const VALUES: usize = 4;
    let node = target.node?;
    let split: Vec<_> = SPREAD.iter().filter(|(key, _)| distinct(node, key) > 1).take(3).collect();
    let (first, _) = split.first()?;
    let query = format!("{} | {measure} by (resource.{first})", queries::select(&queries::handled(context, target)));
    let mut step = traceql(context, Text::words("See whether one version, place or instance stands out"), query);
    let (mut seen, mut meanings) = (Text::words("Spans seen by "), Text::default());
    for (i, (key, meaning)) in split.iter().enumerate() {
        seen = seen.and(if i == 0 { "" } else { "; by " }).code(*key).and(": ");
        let mut values: Vec<_> = node.attributes.get(*key).into_iter().flatten().collect();
        values.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let total: u64 = values.iter().fold(0, |sum, (_, n)| sum.saturating_add(**n));
        for (j, (value, n)) in values.iter().take(VALUES).enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "a share for display")]
            let share = **n as f64 / total.max(1) as f64;
            seen = seen.and(if j == 0 { "" } else { ", " }).code(label(value)).and(" ").ratio(share);
        }
        if values.len() > VALUES {
            seen = seen.and(" and more");
        }
        meanings = meanings.and(if i == 0 { "" } else { " " }).and(*meaning);
    }
    step.detail = step.detail.append(seen).and(".");
    step.expect = Text::words("About the same for every value.");
    step.otherwise = meanings;
    Some(step)
}

fn distinct(node: &Node, key: &str) -> usize {
    node.attributes.get(key).map_or(0, std::collections::BTreeMap::len)
}

/// Open an ill trace beside a typical one.
pub(super) fn open_trace(context: &Context<'_>, target: &Target<'_>, class: &str) -> Option<Step> {
    let exemplars = &target.node?.handled.exemplars;
    let ill = if class == "failed" { exemplars.failed.first() } else { exemplars.slow.first() };
    let ill = ill?;
    let word = if class == "failed" { "Failed" } else { "Slowest" };
    let detail = one(context, Text::default(), word, ill);
    let median = target.node?.handled.durations.quantile(0.5).unwrap_or(0.0);
    let detail = match exemplars.nearest_typical(median) {
        Some(typical) => one(context, detail.and("; "), "typical", typical),
        None => detail,
    };
    let expect = match class {
        "failed" => "The deepest span with an error is where it started; those above only pass it on.",
        _ => {
            "The same calls in both. The span that is much longer than in the typical trace, and whose own calls are not, is where the time goes."
        }
    };
    Some(Step {
        title: Text::words(format!(
            "Open {} trace and a typical one side by side",
            if class == "failed" { "a failed" } else { "the slowest" }
        )),
        detail: detail.and(". Traces expire; more are listed under Evidence."),
        expect: Text::words(expect),
        otherwise: Text::words(
            "Calls that only one of them has: retries, a cache miss, or another path through the code. Compare their attributes.",
        ),
        ..Step::default()
    })
}

fn one(context: &Context<'_>, text: Text, word: &str, exemplar: &Exemplar) -> Text {
    let exemplars = crate::topology::Exemplars { typical: vec![exemplar.clone()], ..Default::default() };
    let refs = links::traces(&context.settings.links, &exemplars, &Sketch::default(), &["typical"]);
    #[allow(clippy::cast_precision_loss, reason = "for display")]
    let mut text = text
        .and(format!("{word} trace: "))
        .code(exemplar.trace_id.to_string())
        .and(" (")
        .piece(nanos(exemplar.duration_ns as f64));
    for (name, url) in refs.into_iter().flat_map(|r| r.links) {
        text = text.and(", ").piece(Piece::Link(name, url));
    }
    text.and(")")
}

/// One outgoing call with its share of what the service spends or fails.
pub(super) struct Share<'a> {
    pub(super) edge: &'a Edge,
    pub(super) share: f64,
}

/// Outgoing calls by share of the time spent handling requests, largest first, and the share no call explains.
/// Calls that run in parallel each count in full, so that the sum may exceed 1.
pub(super) fn time_shares<'a>(context: &Context<'a>, target: &Target<'_>) -> (Vec<Share<'a>>, Option<f64>) {
    let total = target.handled().map_or(0.0, |s| s.durations.sum_seconds());
    if total <= 0.0 {
        return (Vec::new(), None);
    }
    let shares: Vec<Share<'a>> = context
        .callees(&target.id)
        .into_iter()
        .map(|edge| Share { edge, share: edge.latency().sum_seconds() / total })
        .collect();
    let own = (1.0 - shares.iter().map(|s| s.share).sum::<f64>()).max(0.0);
    (ranked(shares), Some(own))
}

/// Outgoing calls by their errors against the errors of the service, and the share of errors no call explains.
pub(super) fn error_shares<'a>(context: &Context<'a>, target: &Target<'_>) -> (Vec<Share<'a>>, Option<f64>) {
    let total = target.handled().map_or(0.0, |s| s.errors.as_f64());
    if total <= 0.0 {
        return (Vec::new(), None);
    }
    let shares: Vec<Share<'a>> = context
        .callees(&target.id)
        .into_iter()
        .map(|edge| Share { edge, share: edge.errors.as_f64() / total })
        .collect();
    let own = (1.0 - shares.iter().map(|s| s.share).sum::<f64>()).max(0.0);
    (ranked(shares), Some(own))
}

fn ranked(mut shares: Vec<Share<'_>>) -> Vec<Share<'_>> {
    shares.sort_by(|a, b| {
        b.share.total_cmp(&a.share).then((&a.edge.target, a.edge.kind).cmp(&(&b.edge.target, b.edge.kind)))
    });
    shares.retain(|s| s.share >= WORTH_A_STEP);
    shares.truncate(EDGES);
    shares
}

/// ` (see RB-004)` when the node has a runbook of one of these kinds.
pub(super) fn see(context: &Context<'_>, edge: &Edge, kinds: &[&str]) -> Text {
    match context.runbook_of(&edge.target, kinds) {
        Some(id) => Text::words("go on with ").runbook(id).and("."),
        None => Text::words("look there next."),
    }
}

/// What the caller waited for, what the callee took, and what passed between.
pub(super) fn both_sides(context: &Context<'_>, edge: &Edge) -> Text {
    let mut text = Text::default();
    if let Some(client) = quantiles(&edge.client) {
        text = text.and("The caller waits ").append(client).and(" (n ").piece(count(edge.client.n())).and(").");
    }
    let callee = name_of(context, &edge.target);
    match quantiles(&edge.server) {
        Some(server) => text = text.sep(" ").code(callee).and(" itself takes ").append(server).and("."),
        None => text = text.sep(" ").and("What happens inside ").code(callee).and(" is not visible in the traces."),
    }
    if let Some(gap) = quantiles(&edge.gap) {
        text = text.sep(" ").and("Between the two pass ").append(gap).and(".");
    }
    text
}

/// The share of the waiting that passes between caller and callee, where both sides were seen.
pub(super) fn gap_share(edge: &Edge) -> Option<f64> {
    let client = edge.client.sum_seconds();
    (!edge.gap.is_empty() && client > 0.0).then(|| (edge.gap.sum_seconds() / client).min(1.0))
}

/// Ask the objectives again over the last hour.
pub(super) fn slo_now(expect: Text) -> Step {
    Step {
        title: Text::words("Evaluate the objectives on the traces of the last hour"),
        command: queries::SLO_NOW.into(),
        language: "bash".into(),
        expect,
        otherwise: Text::words(
            "Still missed: the cause is not gone, go back to the first diagnosis step that was not as expected.",
        ),
        ..Step::default()
    }
}

/// Steps the team wrote.
pub(super) fn team(steps: &[StepConfig]) -> impl Iterator<Item = Step> + '_ {
    let text = |s: &str| if s.is_empty() { Text::default() } else { Text::markdown(s) };
    steps.iter().map(move |s| {
        let language = match (s.command.is_empty(), s.language.is_empty()) {
            (true, _) => String::new(),
            (false, true) => "bash".to_owned(),
            (false, false) => s.language.clone(),
        };
        Step {
            title: text(&s.title),
            detail: Text::default(),
            command: s.command.clone(),
            language,
            expect: text(&s.expect),
            otherwise: text(&s.otherwise),
            changes_state: s.changes_state,
            precondition: text(&s.precondition),
            undo: text(&s.undo),
        }
    })
}

/// `In the window from … to … p50 was …, p99 … (n …).`
pub(super) fn normal(context: &Context<'_>, target: &Target<'_>) -> Text {
    let Some(stats) = target.handled() else { return Text::default() };
    let text = Text::words("In the window ").append(window(context)).and(" ");
    let text = match quantiles(&stats.durations) {
        Some(q) => text.append(q).and(", "),
        None => text,
    };
    let text = text.rate(context.rate(stats.calls.as_f64())).and(", errors ").ratio(stats.error_ratio().unwrap_or(0.0));
    text.and(" (n ").piece(count(stats.n)).and(").")
}
