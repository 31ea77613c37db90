//! A service fails.

use super::{Body, HOLD, Item, origins};
use crate::findings::suspects::contrast::Respect;
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{RunbookState, Step, Text};
use crate::runbook::evidence::{self, Order};
use crate::runbook::impact::impact;
use crate::runbook::packs::{self, Page};
use crate::runbook::phrase::{bad_side, count, error_class, headline, main_objective, meaning, state, value};
use crate::runbook::quote::label;
use crate::runbook::steps::{self, Share};
use crate::runbook::{apart, links, queries, waterfall};
use crate::slo::{ObjectiveStatus, Sli};
use crate::topology::{EdgeKind, Operation, SummaryClass};

/// Most suspects with a step of their own.
const SUSPECTS: usize = 3;
const RUNBOOKS: &[&str] = &["errors", "dependency", "pipeline", "latency"];

pub(super) fn fill(context: &Context<'_>, item: &Item<'_>) -> Body {
    let target = &item.target;
    let packs = packs::collect(context, target, Page::Errors);
    let (shares, own) = steps::error_shares(context, target);
    let shares: Vec<Share<'_>> = shares.into_iter().filter(|s| s.share > 0.0).collect();
    let state = state(&item.statuses);
    let breached = state == RunbookState::Breached;
    let own_first = own.is_some_and(|own| shares.first().is_none_or(|s| own > s.share));
    let mut how = classes(context, target);
    let failures = context.failures(&target.id);
    let begin = failures.as_ref().ok().filter(|f| !f.suspects.is_empty());
    let (mut suspects, how_first): (Vec<Step>, bool) = match begin {
        Some(failures) => {
            let worth = failures.suspects.iter().filter(|s| s.share >= steps::WORTH_A_STEP).take(SUSPECTS);
            let steps = worth.map(|s| origins::step(context, target, s, breached));
            (steps.chain(packs.look).collect(), false)
        }
        None => {
            let worth = own.filter(|own| *own > 0.0 && (own_first || *own >= steps::WORTH_A_STEP));
            let mut own_steps: Vec<Step> = worth.map(|own| own_errors(context, target, own)).into_iter().collect();
            own_steps.extend(packs.look);
            let mut calls: Vec<Step> = shares.iter().map(|s| call(context, target, s)).collect();
            let none = calls.is_empty();
            calls.splice(if own_first { 0..0 } else { calls.len()..calls.len() }, own_steps);
            (calls, own_first || none)
        }
    };
    let apart = apart::stands_out(context, target, Respect::Failing);
    let mut diagnosis = Vec::new();
    if breached && own.is_some() {
        // That it fails is known; how, or where, is what helps.
        diagnosis.extend(if how_first || suspects.is_empty() { how.take() } else { Some(suspects.remove(0)) });
    }
    let mut spread = match apart {
        Some(step) if breached => {
            diagnosis.push(step);
            None
        }
        Some(step) => Some(step),
        None => apart::spread(context, target, "rate()"),
    };
    diagnosis.extend([confirm(context, item, breached), metrics(item), steps::what_changed(context, target)]);
    diagnosis.extend(packs.changed);
    // Where it is known where failures begin, how they look further up is good to know but no more.
    let mut looks = [how, operations(context, target)];
    if begin.is_none() {
        diagnosis.extend(looks.iter_mut().filter_map(Option::take));
    }
    diagnosis.append(&mut suspects);
    diagnosis.extend(calls(context, target).filter(|_| own.is_none()));
    diagnosis.extend(failures.as_ref().ok().and_then(|f| origins::unseen(context, target, f)));
    let coped = failures.as_ref().ok().and_then(|f| origins::coped(context, f));
    diagnosis.extend(spread.take_if(|_| begin.is_none()));
    steps::fill_up(&mut diagnosis, looks.into_iter().chain([spread, callers(context, target), coped]));
    let waterfalls = waterfall::pair(context, target, SummaryClass::Failed);
    diagnosis.extend(steps::open_trace(context, target, "failed", &waterfalls));

    let mut unknowns = Vec::new();
    if item.statuses.is_empty() {
        unknowns.push(
            Text::words("No error-rate objective is set for ")
                .code(target.label())
                .and(": how many errors are too many is undecided."),
        );
    }
    if target.handled().is_some_and(|s| s.errors.is_zero()) {
        unknowns.push(Text::words("Not one error was seen in the window, so where errors start is not known yet."));
    }
    unknowns.extend(failures.as_ref().err().and_then(|why| origins::unknown(context, *why)));
    unknowns.extend(packs.unknowns);
    let first = match begin.map(|failures| origins::first(context, target, failures)) {
        Some(text) => text,
        None => first(context, target, &shares, own),
    };
    Body {
        title: Text::default().code(target.label()).and(" fails"),
        state,
        headline: headline(&item.statuses, target),
        first,
        trigger: super::trigger(
            item,
            Text::words("Error rate of ").code(target.label()).and(" is above its objective"),
        ),
        trigger_detail: super::objectives(context, item, |s| alert(target, s)),
        impact: impact(context, target),
        diagnosis,
        remediation: packs.fix,
        verification: verification(context, item),
        tables: vec![
            begin.and_then(|failures| origins::table(context, target, failures)),
            target.handled().and_then(|s| evidence::error_classes(&s.error_classes, s.errors)),
            evidence::dimensions(context, target),
            evidence::operations(context, target, Order::Errors),
            evidence::dependencies(context, target),
            evidence::callers(context, target),
        ],
        traces: target.node.map_or_else(Vec::new, |n| {
            links::traces(&context.settings.links, &n.handled.exemplars, &n.handled.durations, &["failed", "typical"])
        }),
        waterfalls,
        unknowns,
    }
}

fn first(context: &Context<'_>, target: &Target<'_>, shares: &[Share<'_>], own: Option<f64>) -> Text {
    let Some(own) = own else {
        return match target.handled() {
            Some(_) => Text::words("When it fires, look first at how it fails, then at the calls it makes."),
            None => Text::default(),
        };
    };
    match shares.first() {
        Some(s) if s.share >= own => {
            let text = Text::words("Look first at the calls to ").code(name_of(context, &s.edge.target)).and(": ");
            text.ratio(s.edge.error_ratio().unwrap_or(0.0)).and(" of them fail, ").append(explains(s.share)).and(".")
        }
        _ => {
            let text = Text::words("Look first at the service itself: ").ratio(own);
            let text = text.and(" of its errors do not come from a failed call");
            match target.handled().and_then(|s| Some((s.error_classes.first()?, s.errors))) {
                Some((class, errors)) => text
                    .and("; ")
                    .ratio(class.calls.ratio_of(errors).min(1.0))
                    .and(" of all are ")
                    .code(error_class(&class.class))
                    .and("."),
                None => text.and("."),
            }
        }
    }
}

/// How much of the errors a number of failed calls could be the cause of.
fn explains(share: f64) -> Text {
    match share {
        s if s >= 1.0 => Text::words("enough to explain all errors here"),
        s => Text::words("enough to explain ").ratio(s).and(" of the errors here"),
    }
}

/// The operation the main objective is about, if it is about one.
fn operation<'a>(item: &Item<'a>) -> Option<&'a str> {
    main_objective(&item.statuses).and_then(|s| s.operation.as_deref())
}

/// For a service without errors: the one query that finds which of its calls fails, and where to go then.
fn calls(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let callees = context.callees(&target.id);
    callees.first()?;
    let mut step = steps::traceql(
        context,
        Text::words("See whether one of its calls fails"),
        format!("{} | rate() by (name)", queries::made(target, "status = error")),
    );
    let mut text = Text::words("It calls ");
    for (i, edge) in callees.iter().take(5).enumerate() {
        text = text.and(if i == 0 { "" } else { ", " }).code(name_of(context, &edge.target));
        if let Some(id) = context.runbook_of(&edge.target, RUNBOOKS) {
            text = text.and(" (").runbook(id).and(")");
        }
    }
    step.detail = step.detail.append(text).and(if callees.len() > 5 { " and more." } else { "." });
    let failed = callees.iter().any(|e| !e.errors.is_zero());
    step.expect = Text::words(if failed {
        "No more than in the table of dependencies below."
    } else {
        "None, as in the window."
    });
    step.otherwise = Text::words("The name tells which call: go on with the page of what it calls.");
    Some(step)
}

fn confirm(context: &Context<'_>, item: &Item<'_>, breached: bool) -> Step {
    let target = &item.target;
    let handled = queries::handled_operation(context, target, operation(item));
    let query = queries::select(&format!("{handled} && status = error"));
    let title = Text::words("Confirm that ").code(target.label()).and(" fails now");
    let mut step = steps::traceql(context, title, format!("{query} | rate()"));
    step.detail = step.detail.append(steps::normal(context, target));
    let rate = |errors: crate::spans::Weight| Text::default().rate(context.rate(errors.as_f64()));
    let (expect, real) = match target.handled() {
        Some(s) if s.errors.is_zero() => (Text::words("None, as in the window."), "Some"),
        Some(s) if breached => {
            let text = Text::words("Far fewer than the ").append(rate(s.errors));
            (text.and(" of the window, in which the target was missed."), "As many or more")
        }
        Some(s) => (Text::words("About ").append(rate(s.errors)).and(", as in the window."), "More"),
        None => (Text::words("No errors, while the same query without the status finds spans."), "Some"),
    };
    step.expect = expect;
    step.otherwise = Text::words(format!(
        "{real}: it is real, go on. None, and no requests either: it is down or cut off, so look at its instances and at who used to call it. None, but requests: it has passed, go to Verification."
    ));
    step
}

fn metrics(item: &Item<'_>) -> Step {
    let main = main_objective(&item.statuses);
    let throughput = main.is_some_and(|s| s.objective.sli == Sli::Throughput);
    let query = if throughput {
        queries::prom_throughput(&item.target, operation(item))
    } else {
        queries::prom_error_rate(&item.target, operation(item))
    };
    let mut step = steps::promql(Text::words("See since when, in the span metrics"), query);
    step.expect = match main {
        Some(s) => Text::words(if throughput { "Not " } else { "Never " })
            .and(bad_side(s.objective.comparison).1)
            .and(" ")
            .piece(value(&s.objective, s.objective.target))
            .and("."),
        None => Text::words("A flat line near zero."),
    };
    step.otherwise = Text::words(
        "A step: look for what was released or changed at that minute. Peaks at regular times: a job or a restart. Empty: span metrics are not collected, skip this step.",
    );
    step
}

fn alert(target: &Target<'_>, status: &ObjectiveStatus) -> Option<String> {
    let operation = status.operation.as_deref();
    let expression = match status.objective.sli {
        Sli::ErrorRate => queries::prom_error_rate(target, operation),
        Sli::Throughput => queries::prom_throughput(target, operation),
        _ => return None,
    };
    let (comparison, _) = bad_side(status.objective.comparison);
    Some(queries::alert(&expression, comparison, status.objective.target))
}

fn classes(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let stats = target.handled()?;
    let query = format!(
        "{} | rate() by (span.http.response.status_code, span.rpc.grpc.status_code, statusMessage)",
        queries::select(&format!("{} && status = error", queries::handled(context, target)))
    );
    let mut step = steps::traceql(context, Text::words("See how it fails"), query);
    if stats.error_classes.is_empty() {
        let (expect, found) = match stats.errors.is_zero() {
            true => ("No errors, as in the window.", "Any class is new. "),
            false => ("About as many errors as in the window; how those failed is not known.", ""),
        };
        step.expect = Text::words(expect);
        step.otherwise = Text::words(format!(
            "{found}5xx and UNAVAILABLE: the service or what it calls; 4xx: what its callers send; no status at all: read the message of the span."
        ));
        return Some(step);
    }
    let (mut seen, mut meanings) = (Text::words("In the window: "), Text::default());
    for (i, c) in stats.error_classes.iter().take(4).enumerate() {
        let name = error_class(&c.class);
        seen = seen
            .and(if i == 0 { "" } else { ", " })
            .code(name.clone())
            .and(" ")
            .ratio(c.calls.ratio_of(stats.errors).min(1.0));
        if let Some(meaning) = meaning(&c.class) {
            meanings = meanings.code(name).and(format!(": {meaning}. "));
        }
    }
    step.detail = step.detail.append(seen).and(" of the errors.");
    step.expect = Text::words("The same classes in about these shares.");
    step.otherwise = meanings.and("A class that is not listed is new: start from it.");
    Some(step)
}

fn operations(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let errors = target.handled()?.errors;
    let mut all: Vec<&Operation> = context.handled_operations(&target.id);
    if all.len() < 2 {
        return None;
    }
    all.retain(|o| !o.stats.errors.is_zero());
    all.sort_by(|a, b| b.stats.errors.cmp(&a.stats.errors).then((a.kind, &a.name).cmp(&(b.kind, &b.name))));
    all.first()?;
    let query = queries::select(&format!("{} && status = error", queries::handled(context, target)));
    let mut step =
        steps::traceql(context, Text::words("See which operation fails"), format!("{query} | rate() by (name)"));
    let mut text = Text::words("Most errors are in ");
    for (i, o) in all.iter().take(3).enumerate() {
        text = text
            .and(if i == 0 { "" } else { "; " })
            .code(label(&o.name))
            .and(" ")
            .ratio(o.stats.errors.ratio_of(errors).min(1.0));
        text = text
            .and(" of them (")
            .ratio(o.stats.error_ratio().unwrap_or(0.0))
            .and(" of its requests, n ")
            .piece(count(o.stats.n))
            .and(")");
    }
    step.detail = step.detail.append(text).and(".");
    step.expect = Text::words("The same operations.");
    step.otherwise =
        Text::words("One operation only: its input, its code or what only it calls. All of them: what they share.");
    Some(step)
}

fn call(context: &Context<'_>, target: &Target<'_>, share: &Share<'_>) -> Step {
    let edge = share.edge;
    let callee = context.target(&edge.target);
    let verb = if edge.kind == EdgeKind::Messaging { "publishing to " } else { "calls to " };
    let title = Text::words("Check the ")
        .and(verb)
        .code(callee.label())
        .and(": ")
        .ratio(edge.error_ratio().unwrap_or(0.0))
        .and(" fail, ")
        .append(explains(share.share));
    let mut step =
        steps::traceql(context, title, format!("{} | rate()", queries::edge(target, &callee, "status = error")));
    let mut text = Text::default();
    for (i, c) in edge.error_classes.iter().take(3).enumerate() {
        text = text
            .and(if i == 0 { "They fail with " } else { ", " })
            .code(error_class(&c.class))
            .and(" (")
            .count(c.calls.as_f64())
            .and(")");
    }
    if !text.is_empty() {
        step.detail = step.detail.append(text).and(".");
    }
    step.expect = Text::words("About ")
        .rate(context.rate(edge.errors.as_f64()))
        .and(", as in the window (n ")
        .piece(count(edge.n))
        .and(").");
    let means = edge.error_classes.iter().find_map(|c| meaning(&c.class));
    let more = match means {
        Some(m) => Text::words(format!("More: {m}; ")),
        None => Text::words("More: the errors start there or below; "),
    };
    step.otherwise = more.append(steps::see(context, edge, RUNBOOKS));
    step
}

fn own_errors(context: &Context<'_>, target: &Target<'_>, own: f64) -> Step {
    let detail = if context.callees(&target.id).is_empty() {
        Text::words("It calls nothing that the traces show.")
    } else {
        Text::words(
            "They are more than all its failed calls together. A failed call that was retried or caught counts above without causing an error here, so the true share may be larger.",
        )
    };
    Step {
        title: Text::words("Check the service itself: ").ratio(own).and(" of its errors start here"),
        detail,
        expect: Text::words("No new kind of error in its log."),
        otherwise: Text::words(
            "The first new error names the code or the configuration; compare its time with the last release.",
        ),
        ..Step::default()
    }
}

/// Whether one caller alone sees the errors.
fn callers(context: &Context<'_>, target: &Target<'_>) -> Option<Step> {
    let edges = context.callers(&target.id);
    if edges.len() < 2 || edges.iter().all(|e| e.errors.is_zero()) {
        return None;
    }
    let mut step =
        steps::promql(Text::words("See whether one caller alone sees the errors"), queries::prom_edge_errors(target));
    let mut text = Text::words("Failed calls by caller: ");
    for (i, e) in edges.iter().take(4).enumerate() {
        text = text
            .and(if i == 0 { "" } else { ", " })
            .code(name_of(context, &e.source))
            .and(" ")
            .ratio(e.error_ratio().unwrap_or(0.0));
    }
    step.detail = text.and(".");
    step.expect = Text::words("About the same for all.");
    step.otherwise = Text::words("One apart: what it sends or how it reaches the service, not the service.");
    Some(step)
}

fn verification(context: &Context<'_>, item: &Item<'_>) -> Vec<Step> {
    let target = &item.target;
    let mut same = metrics(item);
    same.title = Text::words("The figure that fired is good again");
    same.expect = match main_objective(&item.statuses) {
        Some(s) => Text::words("Not ")
            .and(bad_side(s.objective.comparison).1)
            .and(" ")
            .piece(value(&s.objective, s.objective.target))
            .and(format!(" for {HOLD}.")),
        None => Text::words(format!("Back at the figures of this page for {HOLD}.")),
    };
    same.otherwise =
        Text::words("Not yet: do not close; if it does not fall within the time of the escalation path, escalate.");
    let handled = queries::handled_operation(context, target, operation(item));
    let query = queries::select(&format!("{handled} && status = error"));
    let mut canary = steps::traceql(context, Text::words("New requests succeed"), query);
    canary.expect = Text::words("No trace that started after the fix, while requests arrive as before.");
    canary.otherwise = Text::words("Open the newest: if it fails in another place than before, there are two causes.");
    vec![same, canary, steps::slo_now(context, Text::words("No objective of ").code(target.label()).and(" is missed."))]
}
