//! A dependency fails: a database, an address nobody instrumented, or a service, seen from those who call it.

use super::{Body, HOLD, Item};
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{RunbookState, Step, Text};
use crate::runbook::evidence::{self, Order};
use crate::runbook::impact::impact;
use crate::runbook::packs::{self, Page};
use crate::runbook::phrase::{FEW, count, error_class, meaning, quantiles};
use crate::runbook::{links, queries, steps};
use crate::slo::{Comparison, ObjectiveStatus};
use crate::spans::Weight;
use crate::topology::{Edge, EdgeKind, NodeKind};

pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    let target = &item.target;
    let packs = packs::collect(context, target, Page::Dependency);
    let callers: Vec<&Edge> = context.callers(&target.id).into_iter().filter(|e| e.kind != EdgeKind::Entry).collect();
    let calls: Weight = callers.iter().map(|e| e.calls).sum();
    let errors: Weight = callers.iter().map(|e| e.errors).sum();
    let limit = strictest(context, item);
    let seen = Seen { n: callers.iter().map(|e| e.n).fold(0, u64::saturating_add), calls, errors };
    let (state, headline) = verdict(target, seen, limit.as_ref());
    let single = callers.len() == 1;
    let mut how = classes(context, target, &callers);
    let mut diagnosis = Vec::new();
    if state == RunbookState::Breached && single {
        // That calls fail is known; how is what helps.
        diagnosis.extend(how.take());
    }
    diagnosis.extend(callers.first().map(|edge| confirm(context, target, edge, single)));
    let whose = one_or_all(context, target, &callers);
    if state == RunbookState::Breached && !single {
        diagnosis.insert(0, whose);
    } else {
        diagnosis.push(whose);
    }
    diagnosis.push(latency(target));
    diagnosis.extend(own_pages(context, target));
    diagnosis.push(steps::what_changed(context, target));
    diagnosis.extend(packs.changed);
    diagnosis.extend(how);
    diagnosis.extend(packs.look);
    diagnosis.extend(busiest(target, &callers));

    let mut unknowns = packs.unknowns;
    if limit.is_none() {
        unknowns.push(Text::words(
            "None of its callers has an error-rate objective: how many failed calls are too many is undecided.",
        ));
    }
    if target.kind == NodeKind::External {
        unknowns.push(Text::words("Whether the other side knows of an incident: look at its provider's status page; add the address to this page as a step of yours."));
    }
    let (classes, all_errors) = evidence::caller_error_classes(context, target);
    let mut verification = vec![one_or_all(context, target, &callers)];
    if let Some(step) = verification.first_mut() {
        let every = if single { "" } else { " for every caller," };
        step.title =
            Text::words(if single { "Its calls succeed again" } else { "Calls from all callers succeed again" });
        step.detail = Text::default();
        step.expect = match &limit {
            Some((limit, _)) => Text::words("Below ").ratio(*limit).and(format!("{every} for {HOLD}.")),
            None => Text::words(format!("Back at the figures of this page{every} for {HOLD}.")),
        };
        step.otherwise = Text::words(if single {
            "Still failing while the dependency answers others: the caller may hold old connections or addresses. Else it is not fixed: escalate in time."
        } else {
            "One caller still fails: it may hold old connections or addresses, look at that caller. All: not fixed, escalate in time."
        });
    }
    verification.extend(callers.first().map(|edge| canary(context, target, edge)));
    verification.push(steps::slo_now(context, Text::words("No objective of its callers is missed.")));
    Body {
        title: title(target),
        state,
        headline,
        first: first(context, target, &callers, errors),
        trigger: match &limit {
            Some((limit, _)) => Text::words("Failed calls to ").code(target.label()).and(" at or above ").ratio(*limit),
            None => Text::words("Calls to ").code(target.label()).and(" fail or time out"),
        },
        trigger_detail: trigger_detail(context, target, limit.as_ref(), &callers),
        impact: impact(context, target),
        diagnosis,
        remediation: packs.fix,
        verification,
        tables: vec![
            evidence::callers(context, target),
            evidence::error_classes(&classes, all_errors),
            evidence::operations(context, target, Order::Calls),
            evidence::dependencies(context, target),
        ],
        traces: traces(context, target, &callers),
        waterfalls: Vec::new(),
        unknowns,
    }
}

fn title(target: &Target<'_>) -> Text {
    let what = match target.kind {
        NodeKind::Database => "Database ",
        NodeKind::External => "External service ",
        _ => "Dependency ",
    };
    Text::words(what).code(target.label()).and(" fails")
}

/// The smallest error rate any direct caller is allowed, and who that is.
fn strictest(context: &Context<'_>, item: &Item<'_>) -> Option<(f64, String)> {
    let upper = |s: &&&ObjectiveStatus| matches!(s.objective.comparison, Comparison::Below | Comparison::AtMost);
    let limits = item.statuses.iter().filter(upper);
    let least = limits.min_by(|a, b| a.objective.target.total_cmp(&b.objective.target).then(a.id.cmp(&b.id)))?;
    Some((least.objective.target, name_of(context, &least.service)))
}

/// Calls to the dependency, from all its callers.
struct Seen {
    n: u64,
    calls: Weight,
    errors: Weight,
}

/// The 95 % score interval of a share seen `n` times (Wilson 1927).
#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn interval(ratio: f64, n: u64) -> (f64, f64) {
    const Z: f64 = 1.96;
    let n = (n as f64).max(1.0);
    let middle = ratio + Z * Z / (2.0 * n);
    let half = Z * (ratio * (1.0 - ratio) / n + Z * Z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + Z * Z / n;
    (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
}

fn verdict(target: &Target<'_>, seen: Seen, limit: Option<&(f64, String)>) -> (RunbookState, Text) {
    let Seen { n, calls, errors } = seen;
    let name = || Text::default().code(target.label());
    if calls.is_zero() {
        return (
            RunbookState::Unknown,
            name().and(" was not called in this window, so nothing is known about its state."),
        );
    }
    let ratio = errors.ratio_of(calls);
    let (low, high) = interval(ratio, n);
    let numbers = Text::default().ratio(ratio).and(" of the calls to ").append(name()).and(" (n ").piece(count(n));
    let few = n < FEW;
    let numbers = if few {
        numbers.and(": only few were seen)")
    } else {
        numbers.and(", 95 % interval ").ratio(low).and(" to ").ratio(high).and(")")
    };
    match limit {
        Some((limit, caller)) if ratio >= *limit && !errors.is_zero() => {
            let text = numbers.and(" failed in this window; the strictest of its callers, ").code(caller.as_str());
            let text = text.and(", may fail ").ratio(*limit);
            let text =
                if low < *limit && !few { text.and(", which the interval reaches: it may be chance") } else { text };
            (RunbookState::Breached, text.and("."))
        }
        Some((limit, _)) if errors.is_zero() => {
            let text = Text::words("No call to ").append(name()).and(" failed in this window (n ").piece(count(n));
            (RunbookState::Ok, text.and("); the strictest of its callers may fail ").ratio(*limit).and("."))
        }
        Some((limit, _)) => {
            let text = numbers.and(" failed in this window, less than the ").ratio(*limit);
            (RunbookState::Ok, text.and(" its strictest caller may fail."))
        }
        None if errors.is_zero() => {
            let text = Text::words("No call to ").append(name()).and(" failed in this window (n ");
            (RunbookState::Ok, text.piece(count(n)).and(")."))
        }
        None => {
            (RunbookState::Unknown, numbers.and(" failed in this window; no objective says whether that is too many."))
        }
    }
}

fn first(context: &Context<'_>, target: &Target<'_>, callers: &[&Edge], errors: Weight) -> Text {
    let worst = callers
        .iter()
        .filter(|e| !e.errors.is_zero())
        .max_by(|a, b| a.errors.cmp(&b.errors).then(b.source.cmp(&a.source)));
    match worst {
        Some(edge) if callers.len() > 1 => Text::words("Look first at whether all callers are hit: ")
            .ratio(edge.errors.ratio_of(errors))
            .and(" of the failed calls are from ")
            .code(name_of(context, &edge.source))
            .and("."),
        Some(_) if on_the_way(target, callers) => {
            let own = target.handled().and_then(crate::topology::Stats::error_ratio).unwrap_or(0.0);
            let text = Text::words("Look first at the way to it: of what it handles it fails only ").ratio(own);
            text.and(", the other calls fail before it answers, or their callers give up.")
        }
        _ if target.kind == NodeKind::Service => match context.runbook_of(&target.id, &["errors", "latency"]) {
            Some(id) => Text::words("Look first at the service's own page, ").runbook(id).and("."),
            None => Text::default(),
        },
        _ if callers.is_empty() => Text::default(),
        Some(_) => Text::words("Look first at how the calls fail."),
        None if callers.len() == 1 => {
            Text::words("When it fires, look first at how its calls fail: refused, slow, or with an error of its own.")
        }
        None => Text::words("When it fires, look first at whether all callers are hit or one."),
    }
}

/// Whether most failed calls are none of the service's own failures.
fn on_the_way(target: &Target<'_>, callers: &[&Edge]) -> bool {
    let failed: Weight = callers.iter().map(|e| e.errors).sum();
    let own = target.node.filter(|n| n.instrumented).map(|n| n.handled.errors.as_f64());
    own.is_some_and(|own| own < failed.as_f64() / 2.0)
}

fn trigger_detail(
    context: &Context<'_>,
    target: &Target<'_>,
    limit: Option<&(f64, String)>,
    callers: &[&Edge],
) -> Vec<Text> {
    let mut out = Vec::new();
    if let Some((limit, caller)) = limit {
        let text =
            Text::words("The limit is the strictest error-rate objective among its callers: ").code(caller.as_str());
        out.push(text.and(", ").ratio(*limit).and("."));
        let alert = queries::alert(&queries::prom_edge_errors(target), ">=", *limit);
        out.push(Text::words("As an alert on service-graph metrics, for 5 minutes: ").code(alert));
    }
    for edge in callers.iter().take(3) {
        let text = Text::words("In the window, from ").code(name_of(context, &edge.source)).and(": ");
        let text =
            text.rate(context.rate(edge.calls.as_f64())).and(", errors ").ratio(edge.error_ratio().unwrap_or(0.0));
        let text = match quantiles(edge.latency()) {
            Some(q) => text.and(", ").append(q),
            None => text,
        };
        out.push(text.and(" (n ").piece(count(edge.n)).and(")."));
    }
    out
}

fn confirm(context: &Context<'_>, target: &Target<'_>, edge: &Edge, single: bool) -> Step {
    let caller = context.target(&edge.source);
    let which = if single { ", its only caller, fail now" } else { ", its largest caller, fail now" };
    let title = Text::words("Confirm that calls from ").code(caller.label()).and(which);
    let mut step =
        steps::traceql(context, title, format!("{} | rate()", queries::edge(&caller, target, "status = error")));
    step.expect = if edge.errors.is_zero() {
        Text::words("None, as in the window.")
    } else {
        Text::words("About ").rate(context.rate(edge.errors.as_f64())).and(", as in the window.")
    };
    step.otherwise = Text::words(
        "More: it is real, go on. None: see whether calls are made at all (the same query without the status); a caller that stopped calling hides the failure.",
    );
    step
}

fn one_or_all(context: &Context<'_>, target: &Target<'_>, callers: &[&Edge]) -> Step {
    if let [edge] = callers {
        let title = Text::words("See since when its calls fail, in the service-graph metrics");
        let mut step = steps::promql(title, queries::prom_edge_errors(target));
        let none = edge.errors.is_zero();
        let share = Text::words("In the window ").ratio(edge.error_ratio().unwrap_or(0.0));
        step.detail = if none { Text::words("In the window none failed.") } else { share.and(" of the calls failed.") };
        step.expect = Text::words(if none { "Zero all the time." } else { "Not above that share at any time." });
        step.otherwise = Text::words(
            "A step: look for what was released or changed on either side at that minute. Empty: service-graph metrics are not collected, skip this step.",
        );
        return step;
    }
    let mut step =
        steps::promql(Text::words("See whether one caller is hit or all"), queries::prom_edge_errors(target));
    let mut text = Text::default();
    for (i, edge) in callers.iter().take(5).enumerate() {
        text = text.and(if i == 0 { "In the window failed: " } else { ", " });
        text = text.code(name_of(context, &edge.source)).and(" ").ratio(edge.error_ratio().unwrap_or(0.0));
    }
    step.detail = if text.is_empty() { text } else { text.and(" of the calls.") };
    step.expect = Text::words("About the same for all callers.");
    step.otherwise = Text::words(
        "One apart: its credentials, its connection pool, its network or what it asks for. All: the dependency itself or the way to it. Empty: service-graph metrics are not collected; use the table of callers below.",
    );
    step
}

fn latency(target: &Target<'_>) -> Step {
    let mut step =
        steps::promql(Text::words("See whether it became slow before it failed"), queries::prom_edge_latency(target));
    step.detail = match target.handled().and_then(|s| quantiles(&s.durations)) {
        Some(q) => Text::words("In the window: ").append(q).and("."),
        None => Text::default(),
    };
    step.expect = Text::words("p99 as in the window.");
    step.otherwise = Text::words(
        "Slow first, then failing: it is saturated or blocked. Failing at once and fast: it refuses, or is not there. Failing after a round number of seconds: the caller's time-out, so treat it as slow.",
    );
    step
}

fn own_pages(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let (errors, latency) = (context.runbook_of(&target.id, &["errors"]), context.runbook_of(&target.id, &["latency"]));
    let mut text = Text::default();
    for id in [errors, latency].into_iter().flatten() {
        text = text.sep(" or ").runbook(id);
    }
    (!text.is_empty()).then(|| Step {
        title: Text::words("Go on with the service's own page once it is clear that the service is at fault: ").append(text),
        expect: Text::words("Its objectives are met."),
        otherwise: Text::words("Missed: its page starts from what holds its time and its errors. Met: the trouble lies between the callers and it."),
        ..Step::default()
    })
}

fn classes(context: &Context<'_>, target: &Target<'_>, callers: &[&Edge]) -> Option<Step> {
    let (classes, errors) = evidence::caller_error_classes(context, target);
    classes.first()?;
    let edge = callers.iter().max_by(|a, b| a.errors.cmp(&b.errors).then(b.source.cmp(&a.source)))?;
    let query = queries::edge(&context.target(&edge.source), target, "status = error");
    let mut step = steps::traceql(context, Text::words("Read how the calls fail"), query);
    let (mut seen, mut meanings) = (Text::words("In the window: "), Text::default());
    for (i, c) in classes.iter().take(4).enumerate() {
        let name = error_class(&c.class);
        seen = seen
            .and(if i == 0 { "" } else { ", " })
            .code(name.clone())
            .and(" ")
            .ratio(c.calls.ratio_of(errors).min(1.0));
        if let Some(meaning) = meaning(&c.class) {
            meanings = meanings.code(name).and(format!(": {meaning}. "));
        }
    }
    step.detail = step.detail.append(seen).and(".");
    step.expect = Text::words("The same classes.");
    step.otherwise = meanings.and("A class that is not listed is new: start from it.");
    Some(step)
}

/// Which statements or requests make up the load, for dependencies whose inside is not visible.
fn busiest(target: &Target<'_>, callers: &[&Edge]) -> Option<Step> {
    if target.node.is_some_and(|n| n.instrumented) {
        return None;
    }
    let edge = callers.first()?;
    let mut operations: Vec<_> = edge.operations.iter().filter(|o| o.n > 0).collect();
    operations.sort_by(|a, b| b.sum_ns.cmp(&a.sum_ns).then((&a.source, &a.target).cmp(&(&b.source, &b.target))));
    operations.first()?;
    let whose = if callers.len() == 1 { "Most time goes into " } else { "Of its largest caller, most time goes into " };
    let mut text = Text::words(whose);
    for (i, o) in operations.iter().take(3).enumerate() {
        let name = if o.source.is_empty() { &o.target } else { &o.source };
        #[allow(clippy::cast_precision_loss, reason = "a mean for display")]
        let mean = o.sum_ns as f64 / o.n as f64 / 1e9;
        text = text
            .and(if i == 0 { "" } else { "; " })
            .code(crate::runbook::quote::label(name))
            .and(" (mean ")
            .duration(mean)
            .and(", n ")
            .piece(count(o.n))
            .and(")");
    }
    Some(Step {
        title: Text::words("See which requests make up its load"),
        detail: text.and("."),
        expect: Text::words("The same requests, about as often."),
        otherwise: Text::words("One much more often or slower than here: find the release or the job that sends it."),
        ..Step::default()
    })
}

fn canary(context: &Context<'_>, target: &Target<'_>, edge: &Edge) -> Step {
    let caller = context.target(&edge.source);
    let query = queries::edge(&caller, target, "status = error");
    let mut step = steps::traceql(context, Text::words("New calls from ").code(caller.label()).and(" succeed"), query);
    step.expect = Text::words("No trace that started after the fix, while calls are made as before.");
    step.otherwise = Text::words("Open the newest and compare its error with the classes of this page.");
    step
}

fn traces(context: &Context<'_>, target: &Target<'_>, callers: &[&Edge]) -> Vec<crate::runbook::document::TraceRef> {
    let own = target.node.map(|n| (&n.handled.exemplars, &n.handled.durations)).filter(|(e, _)| !e.is_empty());
    let exemplars = own.or_else(|| callers.iter().map(|e| (&e.exemplars, e.latency())).find(|(e, _)| !e.is_empty()));
    let links = &context.settings.links;
    exemplars.map_or_else(Vec::new, |(e, durations)| links::traces(links, e, durations, &["failed", "slow", "typical"]))
}
