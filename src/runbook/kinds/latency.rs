//! A service is slow.

use std::collections::BTreeSet;

use super::{Body, HOLD, Item, tail};
use crate::findings::suspects::Place;
use crate::findings::suspects::contrast::Respect;
use crate::findings::suspects::latency::Suspect;
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{Piece, RunbookState, Step, Text};
use crate::runbook::evidence::{self, Order};
use crate::runbook::impact::impact;
use crate::runbook::packs::{self, Page};
use crate::runbook::phrase::{bad_side, count, headline, main_objective, nanos, quantiles, sli, state};
use crate::runbook::quote::label;
use crate::runbook::steps::{self, Share};
use crate::runbook::{apart, links, queries, waterfall};
use crate::slo::{ObjectiveStatus, Sli};
use crate::topology::{Edge, EdgeKind, NodeId, SummaryClass};

pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    let target = &item.target;
    let packs = packs::collect(context, target, Page::Latency);
    let (shares, own) = steps::time_shares(context, target);
    let state = state(&item.statuses);
    let breached = state == RunbookState::Breached;
    let gap = worst_gap(context, target).filter(|_| !breached);
    let tail = tail::of(context, item);
    let seen = tail.as_ref().ok();
    let known: Vec<&Suspect<'_>> = seen.map(tail::worth).unwrap_or_default();
    let known_first = known.first().copied();
    let mut suspects: Vec<Step> = match seen.filter(|_| known_first.is_some()) {
        Some(tail) => known.iter().map(|s| tail::step(context, target, tail, s, breached)).chain(packs.look).collect(),
        None => by_shares(context, target, (&shares, own), breached, packs.look),
    };
    let apart = apart::stands_out(context, target, Respect::Slow);
    let mut way = on_the_way(context, target).filter(|_| known.iter().all(|s| s.place != Place::Way));
    let mut diagnosis = Vec::new();
    if breached && own.is_some() && !suspects.is_empty() {
        // That it is slow is known; where it is slow is what helps.
        diagnosis.push(suspects.remove(0));
    } else if gap.is_some() {
        let way_first = known_first.is_some_and(|s| s.place == Place::Way) && !suspects.is_empty();
        diagnosis.extend(if way_first { Some(suspects.remove(0)) } else { way.take() });
    }
    let mut spread = match apart {
        Some(step) if breached => {
            diagnosis.push(step);
            None
        }
        Some(step) => Some(step),
        None => apart::spread(context, target, "quantile_over_time(duration, .99)"),
    };
    diagnosis.push(confirm(context, item, breached));
    if let Some(main) = main_objective(&item.statuses) {
        diagnosis.push(metrics(target, main));
    }
    diagnosis.push(steps::what_changed(context, target));
    diagnosis.extend(packs.changed);
    let mut operations = operations(context, target);
    diagnosis.extend(operations.take_if(|_| known_first.is_none()));
    diagnosis.extend(way);
    diagnosis.append(&mut suspects);
    diagnosis.extend(spread.take_if(|_| known_first.is_none()));
    let elsewhere = seen.and_then(|tail| tail::elsewhere(context, target, tail));
    steps::fill_up(&mut diagnosis, [operations, elsewhere, spread]);
    let waterfalls = waterfall::pair(context, target, SummaryClass::Slow);
    diagnosis.extend(steps::open_trace(context, target, "slow", &waterfalls));

    let mut unknowns = Vec::new();
    if item.statuses.is_empty() {
        unknowns.push(
            Text::words("No latency objective is set for ")
                .code(target.label())
                .and(": what counts as slow is undecided."),
        );
    }
    unknowns.extend(tail::unknown(context, target, &tail).filter(|_| target.handled().is_some()));
    if context.callees(&target.id).iter().any(|e| e.kind == EdgeKind::Messaging) {
        unknowns.push(Text::words(
            "Work handed over to topics goes on after the request: it is not part of the times above.",
        ));
    }
    unknowns.extend(packs.unknowns);
    let mut table = seen.and_then(|tail| tail::table(context, target, tail));
    let first = match seen.zip(known_first) {
        Some((tail, suspect)) => tail::first(context, target, tail, suspect),
        None if gap.is_some() => Text::words("Look first at the way to ").code(target.label()).and(WAY),
        None => first(context, target, &shares, own),
    };
    Body {
        title: Text::default().code(target.label()).and(" is slow"),
        state,
        headline: match gap {
            Some(edge) => headline(&item.statuses, target).and(" ").append(waits(context, target, edge)),
            None => headline(&item.statuses, target),
        },
        first,
        trigger: super::trigger(item, Text::words("Latency of ").code(target.label()).and(" is above its objective")),
        trigger_detail: super::objectives(context, item, |s| alert(target, s)),
        impact: impact(context, target),
        diagnosis,
        remediation: packs.fix,
        verification: verification(context, item),
        tables: vec![
            table.take_if(|_| known_first.is_some()),
            evidence::operations(context, target, Order::Time),
            table,
            evidence::dependencies(context, target),
            evidence::callers(context, target),
        ],
        traces: target.node.map_or_else(Vec::new, |n| {
            links::traces(&context.settings.links, &n.handled.exemplars, &n.handled.durations, &["slow", "typical"])
        }),
        waterfalls,
        unknowns,
    }
}

/// Without critical paths: calls by their share of the time, the service itself where it is what no call explains.
fn by_shares(
    context: &Context<'_>,
    target: &Target<'_>,
    (shares, own): (&[Share<'_>], Option<f64>),
    breached: bool,
    look: Vec<Step>,
) -> Vec<Step> {
    // Evidence decides whether the callees or the service itself come first.
    let own_first = own.is_some_and(|own| shares.first().is_none_or(|s| own > s.share));
    let worth = own.filter(|own| own_first || *own >= steps::WORTH_A_STEP);
    let mut own_steps: Vec<Step> = worth.map(|own| own_work(context, target, own)).into_iter().collect();
    own_steps.extend(look);
    let mut suspects: Vec<Step> = shares.iter().map(|share| call(context, share, breached)).collect();
    suspects.splice(if own_first { 0..0 } else { suspects.len()..suspects.len() }, own_steps);
    suspects
}

/// What can be in the way.
const WAY: &str =
    ": the network, proxies, the callers' connection pools, and requests that queue before it starts on them.";

/// The caller that waits longest for what passes between it and the service, where that is worth a finding.
fn worst_gap<'a>(context: &Context<'a>, target: &Target<'_>) -> Option<&'a Edge> {
    let found = context.findings(&target.id).iter().filter(|f| f.code == "network-gap");
    let callers: BTreeSet<&NodeId> =
        found.filter(|f| f.target.as_ref() == Some(&target.id)).map(|f| &f.subject).collect();
    let mut edges = context.callers(&target.id);
    edges.retain(|e| callers.contains(&e.source));
    edges.sort_by(|a, b| b.gap.sum_seconds().total_cmp(&a.gap.sum_seconds()).then(a.source.cmp(&b.source)));
    edges.first().copied()
}

/// `But frontend waits longer for it: p50 …, p99 … (n …), 97 % of it between the two.`
fn waits(context: &Context<'_>, target: &Target<'_>, edge: &Edge) -> Text {
    let text = Text::words("But ").code(name_of(context, &edge.source)).and(" waits longer for it: ");
    let text = text.append(quantiles(&edge.client).unwrap_or_default()).and(" (n ").piece(count(edge.client.n()));
    let share = steps::gap_share(edge).unwrap_or(0.0);
    let text = text.and("), ").ratio(share).and(" of which passes outside of ").code(target.label());
    text.and(".")
}

fn first(context: &Context<'_>, target: &Target<'_>, shares: &[Share<'_>], own: Option<f64>) -> Text {
    let Some(own) = own else { return Text::default() };
    match shares.first() {
        Some(s) if s.share >= own => {
            let name = name_of(context, &s.edge.target);
            let text = Text::words("Look first at the calls to ").code(name).and(": they take ");
            let text = text.ratio(s.share.min(1.0)).and(" of the time");
            match steps::gap_share(s.edge).filter(|gap| *gap >= 0.5) {
                Some(gap) => text.and(", ").ratio(gap).and(" of that between the two and not in the callee."),
                None => text.and("."),
            }
        }
        _ if context.callees(&target.id).is_empty() => {
            Text::words("Look first at the service itself: it calls nothing that the traces show.")
        }
        _ => Text::words("Look first at the service itself: ")
            .ratio(own)
            .and(" of the time is not explained by its calls."),
    }
}

/// The limit of the main objective in seconds.
fn limit(item: &Item<'_>) -> Option<f64> {
    main_objective(&item.statuses).map(|s| s.objective.target)
}

fn quantile_of(status: &ObjectiveStatus) -> f64 {
    match status.objective.sli {
        Sli::Latency { percentile } => percentile / 100.0,
        _ => 0.5,
    }
}

fn confirm(context: &Context<'_>, item: &Item<'_>, breached: bool) -> Step {
    let target = &item.target;
    let main = main_objective(&item.statuses);
    let operation = main.and_then(|s| s.operation.as_deref());
    let query = format!(
        "{} | quantile_over_time(duration, .5, {})",
        queries::select(&queries::handled_operation(context, target, operation)),
        queries::number(main.map_or(0.99, quantile_of))
    );
    let mut step =
        steps::traceql(context, Text::words("Confirm that ").code(target.label()).and(" is slow now"), query);
    step.detail = step.detail.append(steps::normal(context, target));
    let seen = target.handled().map(|s| &s.durations);
    // The median of a window that missed its target, or of other operations, is nothing to expect.
    let usual = seen.and_then(|d| d.quantile(0.5)).filter(|_| !breached && operation.is_none());
    step.expect = match (main, usual) {
        (Some(main), Some(p50)) => Text::words(format!("{} below ", sli(&main.objective)))
            .duration(main.objective.target)
            .and(", p50 about ")
            .piece(nanos(p50))
            .and("."),
        (Some(main), None) => {
            Text::words(format!("{} below ", sli(&main.objective))).duration(main.objective.target).and(".")
        }
        (None, Some(_)) => seen.and_then(quantiles).unwrap_or_default().and("."),
        (None, None) => Text::words("Some spans: the service is at work."),
    };
    step.otherwise = Text::words(
        "Above: it is real, go on. Below again: it has passed, open the slow traces of that time and go to Verification. No spans at all: the service gets no requests or sends no traces",
    );
    step.otherwise = match context.runbook_of(&target.id, &["errors", "dependency"]) {
        Some(id) => std::mem::take(&mut step.otherwise).and("; go on with ").runbook(id).and("."),
        None => std::mem::take(&mut step.otherwise).and("."),
    };
    step
}

fn metrics(target: &Target<'_>, main: &ObjectiveStatus) -> Step {
    let mut step = steps::promql(
        Text::words("See since when, in the span metrics"),
        queries::prom_latency(target, main.operation.as_deref(), quantile_of(main)),
    );
    step.expect = Text::words("Below ").duration(main.objective.target).and(" all the time.");
    step.otherwise = Text::words(
        "A step upwards: look for what was released or changed at that minute. A slow rise: load or data grew. A saw-tooth: garbage collection, cache or a periodic job. Empty: span metrics are not collected, skip this step.",
    );
    step
}

fn alert(target: &Target<'_>, status: &ObjectiveStatus) -> Option<String> {
    // A mean is not what a histogram answers best.
    let Sli::Latency { percentile } = status.objective.sli else { return None };
    let (comparison, _) = bad_side(status.objective.comparison);
    let expression = queries::prom_latency(target, status.operation.as_deref(), percentile / 100.0);
    Some(queries::alert(&expression, comparison, status.objective.target))
}

fn operations(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let mut all = context.handled_operations(&target.id);
    all.sort_by(|a, b| {
        let sum = |o: &crate::topology::Operation| o.stats.durations.sum_seconds();
        sum(b).total_cmp(&sum(a)).then((a.kind, &a.name).cmp(&(b.kind, &b.name)))
    });
    let total: f64 = all.iter().map(|o| o.stats.durations.sum_seconds()).sum();
    // With a single one there is nothing to compare.
    if total <= 0.0 || all.len() < 2 {
        return None;
    }
    let query = format!(
        "{} | quantile_over_time(duration, .99) by (name)",
        queries::select(&queries::handled(context, target))
    );
    let mut step = steps::traceql(context, Text::words("See which operation is slow"), query);
    let mut text = Text::words("Most time is spent in ");
    for (i, o) in all.iter().take(3).enumerate() {
        text = text
            .and(if i == 0 { "" } else { "; " })
            .code(label(&o.name))
            .and(" ")
            .ratio(o.stats.durations.sum_seconds() / total);
        if let Some(q) = quantiles(&o.stats.durations) {
            text = text.and(" (").append(q).and(", n ").piece(count(o.stats.n)).and(")");
        }
    }
    step.detail = step.detail.append(text).and(".");
    step.expect = Text::words("The same operations in about the same order, with these p99.");
    step.otherwise = Text::words(
        "One operation apart: its code path or its data; the others are fine. All of them slower: something they share, an instance, a dependency or the load.",
    );
    Some(step)
}

/// Whether callers wait longer than the service takes: its own figures do not show that.
fn on_the_way(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let callers = context.callers(&target.id);
    let waiting: Vec<_> =
        callers.iter().filter(|e| steps::gap_share(e).is_some_and(|gap| gap >= 0.5)).take(3).collect();
    waiting.first()?;
    let title = Text::words("See whether callers wait longer than ").code(target.label()).and(" takes");
    Some(steps::way(context, target, (title, Text::default()), waiting.into_iter().copied(), "."))
}

fn call(context: &Context<'_>, share: &Share<'_>, breached: bool) -> Step {
    let callee = name_of(context, &share.edge.target);
    let verb = if share.edge.kind == EdgeKind::Messaging { "publishing to " } else { "calls to " };
    let title = Text::words("Check the ").and(verb).code(callee).and(": ").ratio(share.share.min(1.0));
    tail::call(context, share.edge, title.and(" of the time"), Text::default(), breached)
}

fn own_work(context: &Context<'_>, target: &Target<'_>, own: f64) -> Step {
    let calls = context.callees(&target.id);
    let title = Text::words("Check the service itself: ").ratio(own).and(" of the time is its own");
    let detail = if calls.is_empty() {
        Text::words(
            "It calls nothing that the traces show: its time is computation, waiting for a lock, or a call that is not instrumented.",
        )
    } else {
        Text::words(
            "What its calls do not explain is computation, waiting for a lock or a connection, or a call that is not instrumented. Calls made in parallel each count in full, so the true share may be larger.",
        )
    };
    Step {
        title,
        detail,
        expect: Text::words("CPU, memory, garbage collection and connection pools as on an ordinary day."),
        otherwise: Text::words(
            "At a limit: relieve it (see Remediation). All fine: profile the slow operation, or instrument what it calls.",
        ),
        ..Step::default()
    }
}

fn verification(context: &Context<'_>, item: &Item<'_>) -> Vec<Step> {
    let target = &item.target;
    let mut out = Vec::new();
    let hold = |limit: Option<f64>| match limit {
        Some(limit) => Text::words("Below ").duration(limit).and(format!(" and staying there for {HOLD}.")),
        None => Text::words(format!("Back at the figures of this page for {HOLD}.")),
    };
    let mut same = confirm(context, item, false);
    same.title = Text::words("The figure that fired is good again");
    same.detail = Text::default();
    same.expect = hold(limit(item));
    same.otherwise =
        Text::words("Not yet: do not close; if it does not fall within the time of the escalation path, escalate.");
    out.push(same);
    let slow = limit(item).or_else(|| target.handled()?.durations.quantile(0.99).map(|ns| ns / 1e9));
    if let Some(limit) = slow {
        let operation = main_objective(&item.statuses).and_then(|s| s.operation.as_deref());
        let handled = queries::handled_operation(context, target, operation);
        let conditions = format!("{handled} && duration > {}", queries::duration(limit));
        let mut canary = steps::traceql(context, Text::words("New requests are fast"), queries::select(&conditions));
        canary.expect = Text::words("No trace that started after the fix.");
        canary.otherwise =
            Text::words("Open the newest: if it is slow in another place than before, there are two causes.");
        out.push(canary);
    }
    out.push(steps::slo_now(
        context,
        Text::default().piece(Piece::Words("No objective of ".into())).code(target.label()).and(" is missed."),
    ));
    out
}
