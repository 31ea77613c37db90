//! Where the failures of a service begin, as steps, a table and what is not known.
//!
//! Input: the suspects of `findings`. Output: read-only [`Step`]s in their order, each with a query and what it should show.
//! Must not: measure anything: numbers are those of the suspects and of the snapshot.

use crate::findings::suspects::errors::{Coped, Failures, Suspect};
use crate::findings::suspects::{Place, Untold};
use crate::runbook::context::{Context, Target, name_of};
use crate::runbook::document::{EvidenceRow, EvidenceTable, Piece, Step, Text};
use crate::runbook::phrase::{count, error_class, meaning, no_evidence, quantiles};
use crate::runbook::quote::label;
use crate::runbook::{links, queries, steps};
use crate::topology::{NodeId, Origin, OriginKind};

/// Pages to go on with, in order of preference; for a time-out the slow pages first.
const RUNBOOKS: &[&str] = &["errors", "dependency", "pipeline", "latency"];
const SLOW: &[&str] = &["latency", "dependency", "errors"];
/// Most rows of the table.
const ROWS: usize = 12;
/// Fewer failures than this that were coped with, or that the service did not see, get no step.
const FEWEST: f64 = 20.0;

/// Where failures begin, as a part of a sentence.
fn what(context: &Context<'_>, target: &Target<'_>, origin: &Origin) -> Text {
    let own = origin.service == target.id;
    let operation = || Text::default().code(label(&origin.operation));
    let service = name_of(context, &origin.service);
    match (origin.kind, &origin.target) {
        (OriginKind::Unanswered, Some(to)) if own => Text::words("the calls to ").code(name_of(context, to)),
        (OriginKind::Unanswered, Some(to)) => {
            Text::words("the calls from ").code(service).and(" to ").code(name_of(context, to))
        }
        (OriginKind::Rejected, Some(to)) if own => {
            Text::words("how it takes the answers of ").code(name_of(context, to))
        }
        (OriginKind::Rejected, Some(to)) => {
            Text::words("how ").code(service).and(" takes the answers of ").code(name_of(context, to))
        }
        _ if own => operation().and(" of the service itself"),
        _ => operation().and(" of ").code(service),
    }
}

/// Where to look first, in one sentence; empty where nothing is known.
pub(super) fn first(context: &Context<'_>, target: &Target<'_>, failures: &Failures<'_>) -> Text {
    let Some(suspect) = failures.suspects.first() else { return Text::default() };
    let text = Text::words("Look first at ").append(what(context, target, suspect.origin)).and(": ");
    text.ratio(suspect.share).append(of_what(context, suspect)).and(".")
}

fn of_what(context: &Context<'_>, suspect: &Suspect<'_>) -> Text {
    Text::words(match (suspect.origin.kind, suspect.place) {
        (OriginKind::TimedOut, _) => " of the failures here are time-outs while it was still at work",
        (OriginKind::Unanswered, _) if speaks(context, suspect.origin) => {
            " of the failures here begin there, and no span answers"
        }
        (_, Place::Own) => " of its failures begin there",
        _ => " of the failures here begin there",
    })
}

/// Whether what a call goes to sends spans of its own.
fn speaks(context: &Context<'_>, origin: &Origin) -> bool {
    origin.target.as_ref().and_then(|to| context.snapshot.node(to)).is_some_and(|node| node.instrumented)
}

/// A step for a suspect.
pub(super) fn step(context: &Context<'_>, target: &Target<'_>, suspect: &Suspect<'_>, breached: bool) -> Step {
    let origin = suspect.origin;
    let title = Text::words("Check ").append(what(context, target, origin)).and(": ");
    let title = title.ratio(suspect.share).append(of_what(context, suspect));
    let mut step = steps::traceql(context, title, query(context, origin));
    step.detail = step.detail.append(why(context, suspect));
    let next = |kinds: &[&str], id: &NodeId| match context.runbook_of(id, kinds).filter(|_| *id != target.id) {
        Some(page) => Text::words(" Go on with ").runbook(page).and("."),
        None => Text::default(),
    };
    if origin.kind == OriginKind::TimedOut {
        (step.expect, step.otherwise) = time_out(context, origin);
        step.otherwise = std::mem::take(&mut step.otherwise).append(next(SLOW, &origin.service));
        return step;
    }
    let rate = Text::default().rate(context.rate(origin.calls.as_f64()));
    step.expect = if breached {
        Text::words("Far fewer than the ").append(rate).and(" of the window, in which the target was missed.")
    } else {
        Text::words("No more than ").append(rate).and(", as in the window.")
    };
    let class = origin.classes.iter().find_map(|c| meaning(&c.class));
    let text = match class {
        Some(meaning) => Text::words(format!("As many or more: {meaning}.")),
        None => Text::words(match origin.kind {
            OriginKind::Rejected => {
                "As many or more: the one answered, the other could not use it: they may disagree after a release of either."
            }
            OriginKind::Unanswered => "As many or more: it cannot be reached, refuses, or drops the connection.",
            _ => "As many or more: read its log at the time of a failing trace.",
        }),
    };
    step.otherwise = text.append(next(RUNBOOKS, origin.target.as_ref().unwrap_or(&origin.service)));
    step
}

/// The failures themselves; for a time-out how long the work takes that was still going on.
fn query(context: &Context<'_>, origin: &Origin) -> String {
    let service = context.target(&origin.service);
    let failed = "status = error";
    match (origin.kind, &origin.target) {
        (OriginKind::TimedOut, _) => format!(
            "{} | quantile_over_time(duration, .5, .99)",
            queries::select(&queries::named(&service, &origin.operation))
        ),
        (OriginKind::Unanswered | OriginKind::Rejected, Some(to)) => {
            format!("{} | rate()", queries::edge(&service, &context.target(to), failed))
        }
        _ => {
            let named = queries::named(&service, &origin.operation);
            format!("{} | rate()", queries::select(&format!("{named} && {failed}")))
        }
    }
}

/// n, how they fail, what became of them, and a trace to open.
fn why(context: &Context<'_>, suspect: &Suspect<'_>) -> Text {
    let origin = suspect.origin;
    let mut text = Text::words("n ").piece(count(origin.n));
    if let Some(first) = suspect.gave_up() {
        text = text.and("; ").code(label(&first.operation)).and(" of ").code(name_of(context, &first.service));
        text = text.and(" gave up first, while this was the deepest work still going on");
    }
    for (i, class) in origin.classes.iter().take(3).enumerate() {
        text = text.and(if i == 0 { "; they fail with " } else { ", " }).code(error_class(&class.class));
        text = text.and(" (").ratio(class.calls.ratio_of(origin.calls).min(1.0)).and(")");
    }
    if !origin.calls.is_zero() {
        text = text.and("; ").ratio(origin.reached_entry.ratio_of(origin.calls).min(1.0));
        text = text.and(" of those that begin there let a request from outside fail");
    }
    text = text.and(".");
    let Some(exemplar) = origin.exemplars.first() else { return text };
    let trace = links::trace_ref(&context.settings.links, "failed", exemplar);
    text = text.and(" One of them: ").code(trace.trace_id);
    for (i, (name, url)) in trace.links.into_iter().enumerate() {
        text = text.and(if i == 0 { " (" } else { ", " }).piece(Piece::Link(name, url));
    }
    text.and(if context.settings.links.jaeger.is_some() || context.settings.links.grafana.is_some() {
        ")."
    } else {
        "."
    })
}

/// What to expect of work that somebody gave up, and what it means if not.
fn time_out(context: &Context<'_>, origin: &Origin) -> (Text, Text) {
    let operations = context.snapshot.operations_of(&origin.service).filter(|o| o.name == origin.operation);
    let stats = operations.map(|o| &o.stats).max_by_key(|s| s.n);
    let expect = match stats.and_then(|s| Some((quantiles(&s.durations)?, s.n))) {
        Some((quantiles, n)) => {
            Text::words("As in the window or faster: ").append(quantiles).and(" (n ").piece(count(n))
        }
        None => Text::words("The same as on an ordinary day"),
    };
    let expect = if stats.is_some() { expect.and(").") } else { expect.and(".") };
    let otherwise = Text::words(
        "Longer: treat it as slow, not as failing. As usual: the time-out of who gives up is shorter than the work it asks for, so align them.",
    );
    (expect, otherwise)
}

/// What others fail because of the service that its own spans do not show.
pub(super) fn unseen(context: &Context<'_>, target: &Target<'_>, failures: &Failures<'_>) -> Option<Step> {
    let all: f64 = failures.unseen.iter().map(|s| s.failures).sum();
    let worst = failures.unseen.first().filter(|_| all >= FEWEST)?;
    let title = Text::words("See what fails because of ").code(target.label()).and(" that it does not see itself: ");
    let title = title.count(all).and(" failures");
    let mut step = steps::promql(title, queries::prom_edge_errors(target));
    let mut text = Text::default();
    for suspect in failures.unseen.iter().take(3) {
        let origin = suspect.origin;
        text = text.sep(" ").count(suspect.failures).and(" (n ").piece(count(origin.n)).and("): ");
        text = match suspect.gave_up() {
            Some(first) => text
                .code(label(&first.operation))
                .and(" of ")
                .code(name_of(context, &first.service))
                .and(" gave up while ")
                .code(label(&origin.operation))
                .and(" of ")
                .code(name_of(context, &origin.service))
                .and(" was still at work."),
            None => text.code(name_of(context, &origin.service)).and(" called it and no span answered."),
        };
    }
    step.detail = text;
    step.expect = Text::words("No caller apart, and none above what this page shows.");
    step.otherwise = match worst.origin.kind {
        OriginKind::TimedOut => Text::words("It is too slow for its callers, not failing."),
        _ => Text::words("It cannot be reached: look at its instances and at what lies between before its code."),
    };
    let slow = context.runbook_of(&target.id, SLOW).filter(|_| worst.origin.kind == OriginKind::TimedOut);
    if let Some(id) = slow {
        step.otherwise = std::mem::take(&mut step.otherwise).and(" Go on with ").runbook(id).and(".");
    }
    Some(step)
}

/// Failures that are coped with: they hurt nobody, yet.
pub(super) fn coped(context: &Context<'_>, failures: &Failures<'_>) -> Option<Step> {
    let all: f64 = failures.coped.iter().map(|c| c.calls).sum();
    failures.coped.first().filter(|_| all >= FEWEST)?;
    let mut text = Text::default();
    for Coped { origin, by, calls } in failures.coped.iter().take(3) {
        text = text.sep("; ").count(*calls).and(" of ").code(label(&origin.operation)).and(" of ");
        text = text.code(name_of(context, &origin.service));
        if let Some(to) = &origin.target {
            text = text.and(" to ").code(name_of(context, to));
        }
        text = text.and(", by ").code(label(&by.operation)).and(" of ").code(name_of(context, &by.service));
    }
    Some(Step {
        title: Text::words("Keep an eye on ").count(all).and(" failures that were coped with"),
        detail: Text::words("Tried again, replaced or swallowed: ").append(text).and("."),
        expect: Text::words("They hurt nobody and are not in the error rate."),
        otherwise: Text::words(
            "More of them than in the window: what copes may be at its limit (retries, a fallback that is empty); then they begin to hurt.",
        ),
        ..Step::default()
    })
}

/// All beginnings, the proof of the order.
pub(super) fn table(context: &Context<'_>, target: &Target<'_>, failures: &Failures<'_>) -> Option<EvidenceTable> {
    failures.suspects.first()?;
    let rows = failures.suspects.iter().take(ROWS).map(|suspect| {
        let origin = suspect.origin;
        let how = match origin.kind {
            OriginKind::Failed => Text::words("fails by itself"),
            OriginKind::Unanswered if speaks(context, origin) => Text::words("fails, and no span answers"),
            OriginKind::Unanswered => Text::words("fails; it sends no spans of its own"),
            OriginKind::Rejected => Text::words("answered, not accepted"),
            OriginKind::TimedOut => match suspect.gave_up() {
                Some(first) => Text::words("too slow for ").code(name_of(context, &first.service)),
                None => Text::words("too slow for its caller"),
            },
        };
        let cells = vec![
            what(context, target, origin),
            how,
            Text::default().piece(count(origin.n)),
            Text::default().ratio(suspect.share),
            Text::default().ratio(origin.reached_entry.ratio_of(origin.calls).min(1.0)),
        ];
        EvidenceRow { cells }
    });
    let note = Text::words("A failure begins where no failure below explains it; above it is only handed on.");
    let note = if failures.unexplained >= 0.05 {
        note.and(" Of ").ratio(failures.unexplained).and(" of the failures no beginning is known.")
    } else {
        note
    };
    let columns = ["Begins at", "How", "n", "Share of failures here", "Of which let a request from outside fail"];
    Some(EvidenceTable {
        title: "Where failures begin".into(),
        note,
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
        rows: rows.collect(),
    })
}

/// Why there are no beginnings on this page.
pub(super) fn unknown(context: &Context<'_>, untold: Untold) -> Option<Text> {
    matches!(untold, Untold::NotMeasured).then(|| {
        Text::words("Where failures begin: the snapshot does not hold it (")
            .append(no_evidence(context))
            .and("). So the shares of errors above compare counts, and a failed call that was retried or caught counts as a cause.")
    })
}
