//! Recurring phrases: how a value, an interval, an objective and an error class are said.
//!
//! Must not: format a number; values stay [`Piece`]s until `render` prints them.

use super::context::{Context, Target};
use super::document::{Piece, RunbookState, Text};
use super::quote::label;
use crate::slo::{Comparison, Objective, ObjectiveState, ObjectiveStatus, Sli, Unit};
use crate::spans::ErrorClass;
use crate::topology::{Sketch, SnapshotKind};

/// Nanoseconds as a piece.
pub(super) fn nanos(value: f64) -> Piece {
    Piece::Duration(value / 1e9)
}

/// A quantile of a sketch in seconds.
pub(super) fn seconds(sketch: &Sketch, q: f64) -> Option<f64> {
    sketch.quantile(q).map(|ns| ns / 1e9)
}

/// `p50 12 ms, p99 80 ms`, or nothing where no duration is known.
pub(super) fn quantiles(sketch: &Sketch) -> Option<Text> {
    let (p50, p99) = (sketch.quantile(0.5)?, sketch.quantile(0.99)?);
    Some(Text::words("p50 ").piece(nanos(p50)).and(", p99 ").piece(nanos(p99)))
}

/// What an objective measures: `p99 latency`.
pub(super) fn sli(objective: &Objective) -> String {
    let percentile = |p: f64| super::queries::number(p);
    match objective.sli {
        Sli::Latency { percentile: p } => format!("p{} latency", percentile(p)),
        Sli::LatencyMean => "mean latency".into(),
        Sli::ErrorRate => "error rate".into(),
        Sli::Throughput => "throughput".into(),
        Sli::MessagingLag { percentile: p } => format!("p{} message lag", percentile(p)),
        Sli::External => "value".into(),
    }
}

/// A value in the unit of an objective.
pub(super) fn value(objective: &Objective, value: f64) -> Piece {
    match objective.unit() {
        Unit::Seconds => Piece::Duration(value),
        Unit::Ratio => Piece::Ratio(value),
        Unit::PerSecond => Piece::Rate(value),
        Unit::Number => Piece::Count(value),
    }
}

/// The comparison that makes an alert fire: the bad side of the target.
pub(super) fn bad_side(comparison: Comparison) -> (&'static str, &'static str) {
    match comparison {
        Comparison::Below => (">=", "at or above"),
        Comparison::AtMost => (">", "above"),
        Comparison::Above => ("<=", "at or below"),
        Comparison::AtLeast => ("<", "below"),
    }
}

/// Below this many requests an interval says little more than the largest and the smallest value seen.
pub(super) const FEW: u64 = 20;

/// `812 ms (n 4210, 95 % interval 760 ms to 900 ms)`; of few requests `909 ms (only few requests were seen, n 6)`; empty
/// without data.
pub(super) fn observed(status: &ObjectiveStatus) -> Text {
    let Some(v) = status.value else { return Text::default() };
    let objective = &status.objective;
    if objective.sli == Sli::External {
        let text =
            Text::default().piece(value(objective, v)).and(" (").piece(count(status.n)).and(" values in the window");
        let Some((low, high)) = status.interval else { return text.and(")") };
        return text.and(", from ").piece(value(objective, low)).and(" to ").piece(value(objective, high)).and(")");
    }
    if status.n > 0 && status.n < FEW {
        let what = if matches!(objective.sli, Sli::MessagingLag { .. }) { "messages" } else { "requests" };
        let text = Text::default().piece(value(objective, v)).and(format!(" (only few {what} were seen, n "));
        return text.piece(count(status.n)).and(")");
    }
    let text = Text::default().piece(value(objective, v)).and(" (n ").piece(count(status.n));
    let text = match status.interval {
        Some((low, high)) => {
            text.and(", 95 % interval ").piece(value(objective, low)).and(" to ").piece(value(objective, high))
        }
        None => text,
    };
    text.and(")")
}

/// How much of the error budget is left or overspent, as the end of a sentence; empty where that says nothing.
pub(super) fn budget(status: &ObjectiveStatus) -> Text {
    let Some(left) = status.budget_remaining.filter(|_| status.n == 0 || status.n >= FEW) else {
        return Text::default();
    };
    let bad = match status.objective.sli {
        Sli::ErrorRate => "failed requests",
        Sli::MessagingLag { .. } => "late messages",
        _ => "slow requests",
    };
    // Of what is allowed, how much was used.
    match 1.0 - left {
        used if used >= 1.95 => Text::words("; ").count(used).and(format!(" times as many {bad} as allowed")),
        used if used > 1.0 => Text::words("; ").ratio(used - 1.0).and(format!(" more {bad} than allowed")),
        _ => Text::words("; error budget left in this window: ").ratio(left),
    }
}

/// How fast the error budget is spent, window by window; nothing without burn rates.
pub(super) fn burn(status: &ObjectiveStatus) -> Option<Text> {
    status.burn.first()?;
    let mut text =
        Text::words("How fast its error budget was spent at the end of the window, 1 being just sustainable: ");
    for (i, rate) in status.burn.iter().enumerate() {
        text = text
            .and(if i == 0 { "" } else { "; " })
            .count(rate.long)
            .and(format!(" over {}", whole(rate.long_seconds)));
        text = text.and(", ").count(rate.short).and(format!(" over {}", whole(rate.short_seconds)));
        let word = if rate.severity == "page" { "pages" } else { "makes a ticket" };
        let verdict = if rate.firing {
            format!(" (both above {}: {word})", rate.factor)
        } else {
            format!(" ({word} when both are above {})", rate.factor)
        };
        text = text.and(verdict);
    }
    Some(text.and("."))
}

/// A configured length of time in its largest whole unit: `30d`.
pub(super) fn whole(seconds: u64) -> String {
    for (unit, size) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        if seconds >= size && seconds.is_multiple_of(size) {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// The same text with its first letter, if it is one of ours, as a capital.
fn capital(mut text: Text) -> Text {
    if let Some(Piece::Words(words)) = text.0.first_mut()
        && let Some(first) = words.get(..1).map(str::to_ascii_uppercase)
        && !words.starts_with(|c: char| c == 'p' && words.as_bytes().get(1).is_some_and(u8::is_ascii_digit))
    {
        words.replace_range(..1, &first);
    }
    text
}

/// A count of spans or things.
#[allow(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn count(n: u64) -> Piece {
    Piece::Count(n as f64)
}

/// A number of list items.
#[allow(clippy::cast_precision_loss, reason = "for display")]
pub(super) fn items(n: usize) -> Piece {
    Piece::Count(n as f64)
}

/// `p99 latency of checkout, POST /pay`: what an objective is about.
pub(super) fn subject(status: &ObjectiveStatus, target: &Target<'_>) -> Text {
    let text = Text::words(format!("{} of ", sli(&status.objective))).code(target.label());
    match &status.operation {
        Some(operation) => text.and(", operation ").code(label(operation)),
        None => text,
    }
}

/// The objective that stands for a runbook: those that page first, specific before wildcard, whole service first.
/// Independent of the window, so that titles and triggers stay put.
pub(super) fn main_objective<'a>(statuses: &[&'a ObjectiveStatus]) -> Option<&'a ObjectiveStatus> {
    statuses.iter().copied().min_by(|a, b| main_order(a).cmp(&main_order(b)))
}

fn main_order(status: &ObjectiveStatus) -> (bool, bool, bool, &str) {
    let o = &status.objective;
    (o.severity != "page", o.service.contains('*'), status.operation.is_some(), &status.id)
}

/// The objective to speak of first: a missed one, else the main one.
pub(super) fn worst_objective<'a>(statuses: &[&'a ObjectiveStatus]) -> Option<&'a ObjectiveStatus> {
    let rank = |s: &ObjectiveStatus| match s.state {
        ObjectiveState::Breached => 0,
        ObjectiveState::Met => 1,
        ObjectiveState::NoData => 2,
    };
    statuses.iter().copied().min_by(|a, b| (rank(a), main_order(a)).cmp(&(rank(b), main_order(b))))
}

/// Missed when one is missed, fine when one is known to be met, else unknown.
pub(super) fn state(statuses: &[&ObjectiveStatus]) -> RunbookState {
    match worst_objective(statuses).map(|s| s.state) {
        Some(ObjectiveState::Breached) => RunbookState::Breached,
        Some(ObjectiveState::Met) => RunbookState::Ok,
        _ => RunbookState::Unknown,
    }
}

/// The state of the objectives in one sentence.
pub(super) fn headline(statuses: &[&ObjectiveStatus], target: &Target<'_>) -> Text {
    let Some(worst) = worst_objective(statuses) else {
        return match target.handled() {
            None => not_seen(target),
            Some(_) => Text::words("No objective is set for this, so the traces cannot say whether it is fine."),
        };
    };
    let goal = |text: Text| text.and(", target ").code(&worst.objective.target_text);
    // The objectives of a scenario may be of other services than the first that it names.
    let other = (worst.service != target.id).then(|| Target::from_id(&worst.service));
    let about = other.as_ref().unwrap_or(target);
    let external = worst.objective.sli == Sli::External;
    let subject = || match external {
        // "Its value" says nothing; the objective's own name does.
        true => Text::default().code(&worst.objective.id).and(" of ").code(about.label()),
        false => capital(subject(worst, about)),
    };
    match worst.state {
        ObjectiveState::Breached => {
            let text = goal(subject().and(" misses its target: ").append(observed(worst)));
            let text = doubted(text, worst);
            let missed = statuses.iter().filter(|s| s.state == ObjectiveState::Breached).count();
            match missed.saturating_sub(1) {
                0 => text.and("."),
                1 => text.and(". One more of its objectives is missed."),
                others => text.and(". Missed as well: ").piece(items(others)).and(" more of its objectives."),
            }
        }
        ObjectiveState::Met => {
            let text = goal(subject().and(" keeps its target in this window: ").append(observed(worst)));
            doubted(text, worst).and(".")
        }
        ObjectiveState::NoData if target.handled().is_none() => not_seen(target),
        ObjectiveState::NoData => {
            Text::words(format!("The traces cannot tell: {}.", worst.reason.trim_end_matches('.')))
        }
    }
}

/// How sure a judgement is, where it is not. Of few requests that is said with their number.
fn doubted(text: Text, status: &ObjectiveStatus) -> Text {
    let met = status.state == ObjectiveState::Met;
    let target = status.objective.target;
    let crosses = status.interval.is_some_and(|(low, high)| low <= target && target <= high);
    if status.certain || (status.n > 0 && status.n < FEW) {
        text
    } else if status.objective.sli == Sli::External {
        text.and("; not every value does, or some are missing")
    } else if met && crosses {
        text.and("; the interval reaches beyond the target, so it may be missed")
    } else if met {
        text.and("; too few were seen to be sure")
    } else {
        text.and("; the interval reaches the target, so it may be chance")
    }
}

fn not_seen(target: &Target<'_>) -> Text {
    Text::default().code(target.label()).and(" was not seen in this window, so nothing is known about its state.")
}

/// Why a snapshot knows nothing of single requests.
pub(super) fn no_evidence(context: &Context<'_>) -> Text {
    match context.snapshot.provenance.kind {
        SnapshotKind::Aggregate => Text::words("a backend counted, and counts tell nothing of single requests"),
        SnapshotKind::Spans => Text::words("it is older, or made with ").code("topology.evidence").and(" off"),
    }
}

/// When the window was.
pub(super) fn window(context: &Context<'_>) -> Text {
    let window = context.snapshot.window;
    Text::words("from ").time(window.start).and(" to ").time(window.end)
}

/// How a call failed, as one name. Untrusted.
pub(super) fn error_class(class: &ErrorClass) -> String {
    let mut parts = Vec::new();
    if class.http_status != 0 {
        parts.push(format!("HTTP {}", class.http_status));
    }
    if !class.grpc_status.is_empty() {
        parts.push(format!("gRPC {}", class.grpc_status));
    }
    for text in [&class.error_type, &class.exception_type] {
        let said = parts.iter().any(|p| p.ends_with(text.as_str()));
        if !text.is_empty() && !said {
            parts.push(text.clone());
        }
    }
    if parts.is_empty() { "error without a type".into() } else { label(&parts.join(", ")) }
}

/// What a class of errors usually means for the one who is called, by HTTP and gRPC status.
pub(super) fn meaning(class: &ErrorClass) -> Option<&'static str> {
    let text = match (class.http_status, class.grpc_status.as_str()) {
        (502 | 503, _) | (_, "UNAVAILABLE") => {
            "the called side could not be reached or refused work: look at its instances first"
        }
        (504 | 408, _) | (_, "DEADLINE_EXCEEDED") => "no answer in time: treat it as slow, not as failing",
        (429, _) | (_, "RESOURCE_EXHAUSTED") => "a limit is exceeded: find who calls more than usual",
        (401 | 403, _) | (_, "UNAUTHENTICATED" | "PERMISSION_DENIED") => {
            "credentials or policy: look for a rotated secret or a changed policy"
        }
        (400 | 404 | 409 | 422, _) | (_, "INVALID_ARGUMENT" | "NOT_FOUND" | "FAILED_PRECONDITION" | "OUT_OF_RANGE") => {
            "the request is at fault: caller and callee may disagree after a release of either"
        }
        (_, "UNIMPLEMENTED") => "caller and callee disagree on the interface: one of them was released alone",
        (_, "CANCELLED") | (499, _) => "the caller gave up first: look at its time-out and at what was slow",
        (500, _) | (_, "INTERNAL" | "UNKNOWN" | "DATA_LOSS") => {
            "a fault in code or data of the called side: read its log at the time of a failing trace"
        }
        _ => return None,
    };
    Some(text)
}
