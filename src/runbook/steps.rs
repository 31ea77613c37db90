//! Steps that several kinds of page share.
//!
//! Input: a node and its numbers. Output: [`Step`]s that only read.
//! Must not: hold a platform command: those are in `packs`.

use super::cfg::StepConfig;
use super::context::{Context, Target, name_of};
use super::document::{Piece, Step, Text, TraceRef, Waterfall};
use super::phrase::{count, nanos, quantiles, window};
use super::{jaeger, links, queries};
use crate::topology::Edge;

/// Edges with less than this share of the time or the errors get no step of their own.
pub(super) const WORTH_A_STEP: f64 = 0.05;
/// Most edges with a step of their own.
const EDGES: usize = 5;

/// Most steps of a diagnosis before those the team wrote: who reads more in the night?
const MOST: usize = 12;

/// Adds what is good to have, most useful first, as long as there is room for it and for one more.
pub(super) fn fill_up(diagnosis: &mut Vec<Step>, more: impl IntoIterator<Item = Option<Step>>) {
    let room = (MOST - 1).saturating_sub(diagnosis.len());
    diagnosis.extend(more.into_iter().flatten().take(room));
}

/// A TraceQL query to paste, with a link that runs it where Grafana is configured; a search where all traces came from Jaeger.
pub(super) fn traceql(context: &Context<'_>, title: Text, query: String) -> Step {
    let sources = &context.snapshot.provenance.sources;
    let jaeger = !sources.is_empty() && sources.iter().all(|source| source.starts_with("jaeger"));
    if jaeger && let Some(search) = jaeger::search(&query) {
        return Step { title, command: search, language: "text".into(), ..Step::default() };
    }
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
pub(super) fn what_changed(context: &Context<'_>, target: &Target<'_>) -> Step {
    Step {
        title: Text::words("See what changed in the topology since this page was written"),
        detail: Text::words(
            "Run it in the directory of the runbooks, with the address of the trace backend in OTEL_ENDPOINT.",
        ),
        command: queries::what_changed(context),
        language: "bash".into(),
        expect: Text::words("No change that names ").code(target.label()).and(" or what it calls."),
        otherwise: Text::words(
            "A call that is new, gone, slower or failing more is the first suspect: go on with the step of that dependency.",
        ),
        ..Step::default()
    }
}

/// Open an ill trace beside a typical one: those that the page shows span by span, where it shows any.
pub(super) fn open_trace(context: &Context<'_>, target: &Target<'_>, class: &str, shown: &[Waterfall]) -> Option<Step> {
    let exemplars = &target.node?.handled.exemplars;
    let links = &context.settings.links;
    let ill = if class == "failed" { exemplars.failed.first() } else { exemplars.slow.first() };
    let ill = match shown.first() {
        Some(waterfall) => waterfall.trace.clone(),
        None => links::trace_ref(links, class, ill?),
    };
    let median = target.node?.handled.durations.quantile(0.5).unwrap_or(0.0);
    let typical = match shown.get(1) {
        Some(waterfall) => Some(waterfall.trace.clone()),
        None => exemplars.nearest_typical(median).map(|e| links::trace_ref(links, "typical", e)),
    };
    // Of examples nobody knows whether there were slower ones.
    let some = context.snapshot.provenance.example_traces > 0;
    let (word, which) = match (class, some) {
        ("failed", _) => ("Failed", "a failed"),
        (_, true) => ("Slow", "a slow"),
        (_, false) => ("Slowest", "the slowest"),
    };
    let detail = one(Text::default(), word, &ill);
    let detail = match &typical {
        Some(typical) => one(detail.and("; "), "typical", typical),
        None => detail,
    };
    let expect = match class {
        "failed" => "The deepest span with an error is where it started; those above only pass it on.",
        _ => {
            "The same calls in both. The span that is much longer than in the typical trace, and whose own calls are not, is where the time goes."
        }
    };
    let expired = if shown.is_empty() {
        ". Traces expire; more are listed under Evidence."
    } else {
        ". Traces expire; what these looked like is shown under Evidence."
    };
    Some(Step {
        title: Text::words(format!("Open {which} trace and a typical one side by side")),
        detail: detail.and(expired),
        expect: Text::words(expect),
        otherwise: Text::words(
            "Calls that only one of them has: retries, a cache miss, or another path through the code. Compare their attributes.",
        ),
        ..Step::default()
    })
}

fn one(text: Text, word: &str, trace: &TraceRef) -> Text {
    let text = text.and(format!("{word} trace: ")).code(&trace.trace_id).and(" (").duration(trace.duration_seconds);
    let link =
        |text: Text, (name, url): &(String, String)| text.and(", ").piece(Piece::Link(name.clone(), url.clone()));
    trace.links.iter().fold(text, link).and(")")
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
        text = text
            .code(name_of(context, &edge.source))
            .and(" waits ")
            .append(client)
            .and(" (n ")
            .piece(count(edge.client.n()))
            .and(").");
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

/// How long callers wait compared with what the node itself takes. `why` comes before the figures of `callers`, `then` ends
/// what to look at where they wait as long as in the window.
pub(super) fn way<'e>(
    context: &Context<'_>,
    target: &Target<'_>,
    (title, why): (Text, Text),
    callers: impl Iterator<Item = &'e Edge>,
    then: &str,
) -> Step {
    let mut step = promql(title, queries::prom_edge_latency(target));
    step.detail = callers.fold(why, |text, edge| {
        let text = text.sep(" ").code(name_of(context, &edge.source)).and(" waits ");
        let text = text.append(quantiles(&edge.client).unwrap_or_default()).and(", of which ");
        let text = text.append(quantiles(&edge.gap).unwrap_or_default()).and(" pass between the two (n ");
        text.piece(count(edge.gap.n())).and(").")
    });
    step.expect = match target.handled().and_then(|s| s.durations.quantile(0.99)) {
        Some(p99) => Text::words("Little more than the service itself takes, p99 ").piece(nanos(p99)).and("."),
        None => Text::words("Little more than the service itself takes."),
    };
    step.otherwise = Text::words(format!(
        "As long as in the window, or longer: the network, a proxy, the callers' connection pools, or requests that queue before the service starts on them{then}"
    ));
    step
}

/// The share of the waiting that passes between caller and callee, where both sides were seen.
pub(super) fn gap_share(edge: &Edge) -> Option<f64> {
    let client = edge.client.sum_seconds();
    (!edge.gap.is_empty() && client > 0.0).then(|| (edge.gap.sum_seconds() / client).min(1.0))
}

/// Ask the objectives again over the last hour.
pub(super) fn slo_now(context: &Context<'_>, expect: Text) -> Step {
    Step {
        title: Text::words("Evaluate the objectives on the traces of the last hour"),
        command: queries::slo_now(context),
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
