//! Where slow requests spend their time, as steps, a table and what is not known.
//!
//! Input: the suspects of `findings`. Output: read-only [`Step`]s in their order, each with a query and what it should show.
//! Must not: measure anything: numbers are those of the suspects and of the snapshot.

use super::Item;
use crate::findings::suspects::latency::{By, Suspect, Tail};
use crate::findings::suspects::{Place, Untold};
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{EvidenceRow, EvidenceTable, Step, Text};
use crate::runbook::phrase::{count, main_objective, nanos, no_evidence, quantiles};
use crate::runbook::quote::label;
use crate::runbook::{queries, steps};
use crate::slo::Sli;
use crate::topology::{Edge, EdgeKind, NodeId, PartKind, Stats};

/// Pages to go on with, in order of preference.
pub(super) const RUNBOOKS: &[&str] = &["latency", "dependency", "pipeline", "errors"];
/// Most suspects with a step of their own.
const SUSPECTS: usize = 3;
/// Most rows of the table, and the share below which a part is none.
const ROWS: usize = 10;
const WORTH_A_ROW: f64 = 0.005;
/// When less than this lies here, slow requests are no reason to look here: the page goes by the service's own time.
const HERE: f64 = 0.2;
/// When fewer requests than this touch the service, slow ones say little about it.
const TOUCHING: f64 = 0.2;
/// From this share on an operation is named as the one behind a part.
const NAMED: f64 = 0.5;
/// When more than this lies elsewhere, the page says so.
const ELSEWHERE: f64 = 0.5;

/// Slow against normal requests that touch the service. Where half of all its requests miss the target, the normal ones
/// hold the cause too: then suspects are ordered by their time, not by what slow requests take longer.
pub(super) fn of<'a>(context: &Context<'a>, item: &Item<'_>) -> Result<Tail<'a>, Untold> {
    let target = &item.target;
    let limit = main_objective(&item.statuses)
        .filter(|s| matches!(s.objective.sli, Sli::Latency { .. } | Sli::LatencyMean))
        .map(|s| s.objective.target);
    let median = target.handled().and_then(|s| s.durations.quantile(0.5)).map(|nanos| nanos / 1e9);
    let slow = limit.zip(median).is_some_and(|(limit, median)| median >= limit);
    context.tail(&target.id, if slow { By::Time } else { By::Excess })
}

/// What a share is a share of.
fn of_what(by: By) -> &'static str {
    match by {
        By::Excess => " of what slow requests take longer",
        By::Time => " of the time of slow requests",
    }
}

/// `the way to cart`, as a part of a sentence.
fn what(context: &Context<'_>, target: &Target<'_>, suspect: &Suspect<'_>) -> Text {
    let service = name_of(context, suspect.key.service);
    let own = suspect.place == Place::Own;
    match (suspect.key.kind, suspect.key.target) {
        (PartKind::Work, _) if own => Text::default().code(target.label()).and(" itself"),
        (PartKind::Work, _) => Text::default().code(service).and(" itself"),
        (PartKind::Between, _) => Text::words("the way to ").code(service),
        (PartKind::Call, Some(to)) if own => Text::words("the calls to ").code(name_of(context, to)),
        (PartKind::Call, Some(to)) => {
            Text::words("the calls from ").code(service).and(" to ").code(name_of(context, to))
        }
        (PartKind::Call, None) => Text::words("calls of ").code(service).and(" that nobody answers with a span"),
    }
}

/// The suspects worth a step; none where slow requests hardly wait for the service.
pub(super) fn worth<'t, 'a>(tail: &'t Tail<'a>) -> Vec<&'t Suspect<'a>> {
    let here = 1.0 - tail.elsewhere_share >= HERE;
    let worth = tail.suspects.iter().filter(|s| here && s.share >= steps::WORTH_A_STEP);
    worth.take(SUSPECTS).collect()
}

/// Where to look first, in one sentence.
pub(super) fn first(context: &Context<'_>, target: &Target<'_>, tail: &Tail<'_>, suspect: &Suspect<'_>) -> Text {
    let text = Text::words("Look first at ").append(what(context, target, suspect)).and(": ");
    let text = text.ratio(suspect.share).and(of_what(tail.by));
    match suspect.key.kind {
        PartKind::Between => text.and(" passes there and not in the callee."),
        _ => text.and("."),
    }
}

/// A step for a suspect.
pub(super) fn step<'a>(
    context: &Context<'a>,
    target: &Target<'_>,
    tail: &Tail<'_>,
    suspect: &Suspect<'a>,
    breached: bool,
) -> Step {
    let title = Text::words("Check ").append(what(context, target, suspect)).and(": ");
    let title = title.ratio(suspect.share).and(of_what(tail.by));
    let why = why(tail, suspect);
    match edge_of(context, target, suspect) {
        Some(edge) => call(context, edge, title, why, breached),
        None if suspect.place == Place::Way => way(context, target, title, why),
        None => work(context, target, suspect, title, why, breached),
    }
}

/// `The 29 slowest of 200 requests from outside spend 838 ms there each, the 120 normal ones 419 ms; mostly in …`
fn why(tail: &Tail<'_>, suspect: &Suspect<'_>) -> Text {
    let text = Text::words("The ").count(tail.tail).and(" slowest of ").count(tail.calls);
    let text = text.and(" requests from outside spend ").duration(suspect.time.tail.max(0.0)).and(" there each, the ");
    let text = text.count(tail.normal).and(" at or below the median ").duration(suspect.time.normal.max(0.0));
    let text = match suspect.operation.filter(|(name, share)| *share >= NAMED && !name.is_empty()) {
        Some((name, share)) if share < 0.995 => {
            text.and("; ").ratio(share).and(" of the difference in ").code(label(name))
        }
        Some((name, _)) => text.and(", in ").code(label(name)),
        None => text,
    };
    let text = text.and(".");
    if suspect.from_here < 0.95 {
        return text
            .and(" About ")
            .ratio(suspect.from_here)
            .and(" of the calls to it stem from here; only that part is counted.");
    }
    text
}

/// The calls a suspect is about: those that are not answered, or those whose way it is, as far as the node or what is
/// below it makes them. The busiest of several, the node's own first.
fn edge_of<'a>(context: &Context<'a>, target: &Target<'_>, suspect: &Suspect<'_>) -> Option<&'a Edge> {
    let key = suspect.key;
    let mut edges = match (key.kind, key.target) {
        (PartKind::Call, Some(to)) => {
            context.callees(key.service).into_iter().filter(|e| e.target == *to).collect::<Vec<_>>()
        }
        (PartKind::Between, _) if suspect.place != Place::Way => context.callers(key.service),
        _ => Vec::new(),
    };
    edges.retain(|e| !matches!(e.kind, EdgeKind::Entry | EdgeKind::Messaging));
    let own = edges.iter().copied().find(|e| e.source == target.id);
    own.or_else(|| edges.into_iter().next())
}

/// What an operation took in the window, whatever its kind.
fn stats_of<'a>(context: &Context<'a>, service: &'a NodeId, operation: &str) -> Option<&'a Stats> {
    context.snapshot.operations_of(service).filter(|o| o.name == operation).map(|o| &o.stats).max_by_key(|s| s.n)
}

/// The service at work itself, or calls nobody knows the end of.
fn work<'a>(
    context: &Context<'a>,
    target: &Target<'_>,
    suspect: &Suspect<'a>,
    title: Text,
    why: Text,
    breached: bool,
) -> Step {
    let service = context.target(suspect.key.service);
    let operation = suspect.operation.map_or("", |(name, _)| name);
    let conditions =
        if operation.is_empty() { queries::handled(context, &service) } else { queries::named(&service, operation) };
    let query = format!("{} | quantile_over_time(duration, .5, .99)", queries::select(&conditions));
    let mut step = steps::traceql(context, title, query);
    step.detail = step.detail.append(why);
    let stats = stats_of(context, suspect.key.service, operation);
    step.expect = match stats.and_then(|s| Some((quantiles(&s.durations)?, s.durations.quantile(0.99)?, s.n))) {
        Some((_, p99, n)) if breached => {
            let text = Text::words("A p99 well below the ").piece(nanos(p99)).and(" of the window (n ");
            text.piece(count(n)).and("), in which the target was missed.")
        }
        Some((quantiles, _, n)) => {
            let text = Text::words("As in the window: ").append(quantiles).and(" (n ");
            text.piece(count(n)).and("), calls it makes included.")
        }
        None => Text::words("The same as on an ordinary day."),
    };
    let own = suspect.place == Place::Own;
    let text = if suspect.key.kind == PartKind::Call {
        Text::words("Longer: what it calls sends no spans and its attributes do not name it; find out what ")
            .code(label(operation))
            .and(" calls, and set ")
            .code("server.address")
            .and(" on it. ")
    } else {
        Text::words(
            "Longer: its own work, not that of its calls: CPU, memory, garbage collection, locks, a pool that is empty. ",
        )
    };
    step.otherwise = if own {
        text.and("All of that as usual: profile the operation, or instrument what it calls.")
    } else {
        text.and("In either case ").append(next(context, target, suspect.key.service))
    };
    step
}

/// Where the page of another node is.
fn next(context: &Context<'_>, target: &Target<'_>, id: &NodeId) -> Text {
    match context.runbook_of(id, RUNBOOKS).filter(|_| *id != target.id) {
        Some(page) => Text::words("go on with ").runbook(page).and("."),
        None => Text::words("look there next."),
    }
}

/// What passes between the callers of the service and the service.
fn way(context: &Context<'_>, target: &Target<'_>, title: Text, why: Text) -> Step {
    let callers = context.callers(&target.id).into_iter().filter(|e| !e.gap.is_empty());
    steps::way(context, target, (title, why), callers.take(2), ": look at its load before its code.")
}

/// The calls of one edge: longer than they were? Where the waiting passes decides where to go on.
pub(super) fn call(context: &Context<'_>, edge: &Edge, title: Text, why: Text, breached: bool) -> Step {
    let (caller, callee) = (context.target(&edge.source), context.target(&edge.target));
    let p99 = edge.latency().quantile(0.99).unwrap_or(0.0) / 1e9;
    let query = queries::edge(&caller, &callee, &format!("duration > {}", queries::duration(p99)));
    let mut step = steps::traceql(context, title, query);
    step.detail = step.detail.append(why.sep(" ").append(steps::both_sides(context, edge)));
    let callee = || Text::default().code(callee.label());
    let next = steps::see(context, edge, RUNBOOKS);
    let cause = match steps::gap_share(edge) {
        Some(gap) if gap >= 0.5 => Text::words("most of the waiting (")
            .ratio(gap)
            .and(") passes between the two, so look at the network, the connection pool of the caller and the load of ")
            .append(callee())
            .and(" before its code; then ")
            .append(next),
        Some(gap) => Text::words("most of the waiting is spent in ")
            .append(callee())
            .and(", only ")
            .ratio(gap)
            .and(" between the two; ")
            .append(next),
        None => Text::words("it is slow or hard to reach; ").append(next),
    };
    // In a window that was too slow, its own p99 is no measure of what is good.
    if breached {
        step.expect = Text::words("The query finds calls slower than the p99 of the window, ").duration(p99);
        step.expect =
            std::mem::take(&mut step.expect).and(". None is no all-clear: in that window the target was missed.");
        step.otherwise = Text::words("Some: it got worse since. In either case ").append(cause);
    } else {
        step.expect =
            Text::words("Hardly any: the query finds calls slower than the p99 of this page, ").duration(p99).and(".");
        step.otherwise = Text::words("Many: ").append(cause);
    }
    step
}

/// What makes requests slow that go the same way, where it is mostly not the service, nor anything it waits for.
pub(super) fn elsewhere<'a>(context: &Context<'a>, target: &Target<'_>, tail: &Tail<'a>) -> Option<Step> {
    let others: Vec<&Suspect<'a>> = tail.elsewhere.iter().take(3).filter(|s| s.share >= steps::WORTH_A_STEP).collect();
    let most = *others.first().filter(|_| tail.elsewhere_share >= ELSEWHERE && tail.touching >= TOUCHING)?;
    let title = Text::words("See whether requests are slow for another reason: ").ratio(tail.elsewhere_share);
    let title = title.and(of_what(tail.by)).and(" lies elsewhere");
    let service = context.target(most.key.service);
    let stats = most.operation.and_then(|(name, _)| Some((name, stats_of(context, most.key.service, name)?)));
    let mut step = match (most.key.kind, stats) {
        (PartKind::Between, _) => steps::promql(title, queries::prom_edge_latency(&service)),
        (_, Some((name, _))) => {
            let select = queries::select(&queries::named(&service, name));
            steps::traceql(context, title, format!("{select} | quantile_over_time(duration, .5, .99)"))
        }
        (_, None) => Step { title, ..Step::default() },
    };
    let text = Text::words("Of the ").count(tail.tail).and(" slowest of ").count(tail.calls);
    let mut text = text.and(" requests from outside that enter where those to it do: ");
    let mut pages: Vec<&str> = Vec::new();
    for (i, suspect) in others.iter().enumerate() {
        text = text.and(if i == 0 { "" } else { ", " }).append(what(context, target, suspect)).and(" ");
        text = text.ratio(suspect.share);
        let page = context.runbook_of(suspect.key.service, RUNBOOKS).filter(|_| *suspect.key.service != target.id);
        pages.extend(page.filter(|id| !pages.contains(id)));
    }
    if !tail.on_path {
        text = text.and(". They were never seen to wait for ").code(target.label()).and(" or what it calls");
    }
    step.detail = step.detail.append(text).and(".");
    let waited = context.callers(most.key.service).into_iter().find_map(|e| e.latency().quantile(0.99));
    step.expect = match (most.key.kind, waited, stats) {
        (PartKind::Between, Some(p99), _) => {
            Text::words("Far below the p99 of the window, ").piece(nanos(p99)).and(".")
        }
        (_, _, Some((_, stats))) if stats.durations.n() > 0 => {
            let p99 = stats.durations.quantile(0.99).unwrap_or(0.0);
            Text::words("Far below the p99 of the window, ").piece(nanos(p99)).and(".")
        }
        _ => Text::words("The same as on an ordinary day."),
    };
    step.otherwise = Text::words("As slow as then: what is done here leaves slow requests slow");
    for (i, id) in pages.iter().enumerate() {
        step.otherwise =
            std::mem::take(&mut step.otherwise).and(if i == 0 { "; go on with " } else { ", " }).runbook(*id);
    }
    step.otherwise = std::mem::take(&mut step.otherwise).and(".");
    Some(step)
}

/// All parts, the proof of the order.
pub(super) fn table(context: &Context<'_>, target: &Target<'_>, tail: &Tail<'_>) -> Option<EvidenceTable> {
    let mut all: Vec<&Suspect<'_>> = tail.suspects.iter().chain(&tail.elsewhere).collect();
    all.sort_by(|a, b| b.share.total_cmp(&a.share).then(a.key.cmp(&b.key)));
    let rows: Vec<EvidenceRow> =
        all.iter().take(ROWS).filter(|s| s.share >= WORTH_A_ROW).map(|s| row(context, target, s)).collect();
    rows.first()?;
    let note = Text::words("Time on the critical path of a request: at each moment the one thing it waited for. The ");
    let note = note.count(tail.tail).and(" slowest of ").count(tail.calls);
    let note = note.and(" requests from outside took ").duration(tail.time.tail).and(" each, the ");
    let note = note.count(tail.normal).and(" at or below the median ").duration(tail.time.normal);
    let note = if tail.touching < 0.995 {
        note.and("; ").ratio(tail.touching).and(" of all touch ").code(target.label()).and(".")
    } else {
        note.and(".")
    };
    let note = match tail.by {
        By::Excess => note,
        By::Time => note.and(
            " Half of all requests here miss the target, so that the normal ones hold the cause as well: parts are in order of their time.",
        ),
    };
    let share = match tail.by {
        By::Excess => "Share of what slow ones take longer",
        By::Time => "Share of the time of slow ones",
    };
    let columns = ["What", "Mostly in", "Slow requests", "Normal requests", share];
    Some(EvidenceTable {
        title: "Where slow requests spend their time".into(),
        note,
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows,
    })
}

fn row(context: &Context<'_>, target: &Target<'_>, suspect: &Suspect<'_>) -> EvidenceRow {
    let operation = match suspect.operation.filter(|(name, _)| !name.is_empty()) {
        Some((name, _)) => Text::default().code(label(name)),
        None => Text::words("–"),
    };
    let mut name = what(context, target, suspect);
    if suspect.place == Place::Elsewhere {
        name = name.and(" (elsewhere)");
    }
    EvidenceRow {
        cells: vec![
            name,
            operation,
            Text::default().duration(suspect.time.tail.max(0.0)),
            Text::default().duration(suspect.time.normal.max(0.0)),
            Text::default().ratio(suspect.share),
        ],
    }
}

/// Why the steps of this page do not go by critical paths; nothing where they do.
pub(super) fn unknown(context: &Context<'_>, target: &Target<'_>, tail: &Result<Tail<'_>, Untold>) -> Option<Text> {
    let name = || target.label();
    let text = match tail {
        Ok(tail) if !worth(tail).is_empty() => return None,
        Ok(tail) if tail.touching < TOUCHING => Text::words("What slow requests to ")
            .code(name())
            .and(" waited for: only ")
            .ratio(tail.touching)
            .and(" of the requests that enter where those to it do touch it"),
        Ok(tail) => Text::words("What makes ")
            .code(name())
            .and(" itself slow: slow requests from outside hardly wait for it, ")
            .ratio(tail.elsewhere_share)
            .and(match tail.by {
                By::Excess => " of what they take longer lies elsewhere",
                By::Time => " of their time lies elsewhere",
            }),
        Err(Untold::NotMeasured) => {
            Text::words("What slow requests waited for: the snapshot holds no critical paths (")
                .append(no_evidence(context))
                .and(")")
        }
        Err(Untold::NotTouched) => Text::words("What slow requests waited for: none from outside was seen to touch ")
            .code(name())
            .and(" (jobs, messages, lost parents)"),
        Err(Untold::Few(n)) => Text::words("What slow requests waited for: only ")
            .count(*n)
            .and(" from outside touch ")
            .code(name())
            .and(", too few to tell slow from normal"),
        Err(Untold::Alike(_)) => Text::words(
            "What slow requests waited for: those from outside took about the same time, or too few entered by one operation",
        ),
    };
    Some(text.and(". So the shares of time above are sums over calls: calls made in parallel count in full each."))
}
