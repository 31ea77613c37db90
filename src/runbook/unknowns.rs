//! What a page does not know. A page that hides its gaps is trusted once.

use super::context::{Context, Target};
use super::document::{Piece, Text};
use super::phrase::{count, items};
use super::quote::label;
use crate::spans::Weight;
use crate::topology::{Instance, NodeKind, QuantileError, SnapshotKind};

/// A window shorter than this (seconds) shows no daily peak.
const SHORT_WINDOW: f64 = 3_600.0;
/// Fewer spans than this and a p99 rests on fewer than ten of them.
const FEW: u64 = 1_000;
/// With fewer than this, all may lie below the true p99: 0.99^367 is still above 2.5 %, what a 95 % interval leaves at each end.
const BOUNDED: u64 = 368;

/// From this share on, calls that do not say where they were handled may hide who stands apart.
const NAMELESS: f64 = 0.05;

/// Gaps of the whole snapshot that bear on every page.
pub(super) fn of_snapshot(context: &Context<'_>) -> Vec<Text> {
    let coverage = &context.snapshot.coverage;
    let mut out = Vec::new();
    let share = |n: u64| {
        #[allow(clippy::cast_precision_loss, reason = "for display")]
        Piece::Ratio(n as f64 / coverage.spans.max(1) as f64)
    };
    let mut lost = |n: u64, what: &str, meaning: &str| {
        if n > 0 {
            let text = Text::default().piece(count(n)).and(format!(" {what} (")).piece(share(n));
            out.push(text.and(format!(" of the spans): {meaning}.")));
        }
    };
    lost(
        coverage.orphans,
        "spans have a parent that was not received",
        "who called them is unknown, so callers may be missing here",
    );
    lost(
        coverage.unpaired,
        "calling spans lead nowhere",
        "they name no peer and no called span was received, so dependencies may be missing here",
    );
    lost(
        coverage.skewed,
        "spans contradict the clock of another host",
        "short times between caller and callee are not reliable",
    );
    lost(coverage.no_duration, "spans have no end", "they count as calls but not in latencies");
    lost(
        coverage.unresolved_links,
        "links point outside these spans",
        "work handed over through messages may be incomplete",
    );
    let rejected: u64 = coverage.rejected.values().fold(0, |a, b| a.saturating_add(*b));
    lost(rejected, "spans were refused", "they are in none of the numbers");
    if coverage.partial_traces > 0 {
        out.push(
            Text::default()
                .piece(count(coverage.partial_traces))
                .and(" traces were given only in part by the backend."),
        );
    }
    if coverage.left_out_traces > 0 {
        let all = coverage.traces.saturating_add(coverage.left_out_traces);
        let text = Text::words("A sample: ").piece(count(coverage.traces)).and(" of the ").piece(count(all));
        out.push(text.and(" traces of the window were read: counts and rates are of those, not of all traffic."));
    }
    for (what, n) in &coverage.overflow {
        out.push(Text::words(format!("More {what} than are kept: ")).piece(count(*n)).and(" went into the rest."));
    }
    if context.snapshot.provenance.kind == SnapshotKind::Aggregate {
        let provenance = &context.snapshot.provenance;
        out.extend(of_aggregates(provenance.quantile_error, provenance.example_traces));
    } else if coverage.left_out_traces > 0 {
        // Said above, and stronger.
    } else if coverage.sampled == 0 {
        out.push(Text::words("The spans carry no sampling information: counts and rates are of spans received, which is all traffic only if nothing samples."));
    } else if !coverage.adjustable() {
        out.push(Text::words(
            "Only some spans carry sampling information: counts of the others are of spans received.",
        ));
    }
    if context.seconds < SHORT_WINDOW {
        out.push(
            Text::words("The window is only ")
                .duration(context.seconds)
                .and(" long: daily peaks and slow changes are not in it."),
        );
    }
    out
}

/// What a backend's own numbers leave open.
fn of_aggregates(error: Option<QuantileError>, examples: u64) -> Vec<Text> {
    let traces = match examples {
        0 => Text::words(
            "The numbers are a backend's aggregates: there are no traces to open from here, and what requests wait for, where failures begin and who lost spans is unknown.",
        ),
        n => Text::words("The numbers are a backend's aggregates. ").piece(count(n)).and(
            " traces were read as examples, slow and failed ones among them: no number comes from them, and what requests wait for in general, where failures begin and who lost spans is unknown.",
        ),
    };
    let mut out = vec![traces, Text::words("Whether the backend counted all traffic or a sample of it is unknown.")];
    let Some(error) = error else {
        out.push(Text::words("How long calls take is unknown: the backend keeps no durations."));
        return out;
    };
    #[allow(clippy::cast_precision_loss, reason = "for display")]
    let seconds = |ns: u64| ns as f64 / 1e9;
    let mut text = Text::words(format!(
        "Latencies come from its histogram buckets: p50, p95 and p99 may be off by up to {} %, which their intervals include",
        error.percent
    ));
    if let Some(below) = error.below_ns {
        text = text.and("; of values below ").duration(seconds(below)).and(" nothing but that is known");
    }
    if let Some(above) = error.above_ns {
        text = text.and("; values above ").duration(seconds(above)).and(" are shown as if they were equal to it");
    }
    out.push(text.and("."));
    out
}

/// Gaps of one node.
pub(super) fn of_node(context: &Context<'_>, target: &Target<'_>) -> Vec<Text> {
    let mut out = Vec::new();
    let Some(node) = target.node else {
        out.push(
            Text::default()
                .code(target.label())
                .and(" was not seen in this window: who calls it and how it behaves is unknown."),
        );
        return out;
    };
    if !node.instrumented && node.kind != NodeKind::Messaging {
        let text = Text::default().code(target.label());
        out.push(text.and(" sends no spans of its own: all figures are what its callers saw."));
    }
    out.extend(nameless(context, target));
    out.extend(endless(context, target));
    if node.handled.durations.n() > 0 && node.handled.durations.n() < FEW {
        let text = Text::words("p99 figures rest on few spans (n ").piece(count(node.handled.durations.n()));
        out.push(text.and(if node.handled.durations.n() < BOUNDED {
            "): so few give no upper end, their intervals end with the largest value seen."
        } else {
            "): read the intervals, not the values."
        }));
    }
    out
}

/// Calls that do not say where they were handled.
fn nameless(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let own = || context.snapshot.instances.iter().filter(|i| i.service == target.id);
    let sum = |calls: Weight, instance: &Instance| calls + instance.calls;
    let all = own().fold(Weight::ZERO, sum);
    let share = own().filter(|i| i.attributes.is_empty()).fold(Weight::ZERO, sum).ratio_of(all);
    (!all.is_zero() && share >= NAMELESS).then(|| {
        Text::words("Whether one version, place or instance of ")
            .code(target.label())
            .and(" does worse: ")
            .ratio(share.min(1.0))
            .and(" of its calls do not say which handled them.")
    })
}

/// Operations with more steps than are told apart.
fn endless(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let mut beyond = context.snapshot.operations_of(&target.id).filter(|o| o.flow.beyond);
    let first = beyond.next()?;
    let text = Text::words("In which order ").code(label(&first.name)).and(" does things");
    let more = beyond.count();
    let text = if more > 0 { text.and(", and ").piece(items(more)).and(" more operations") } else { text };
    Some(text.and(": there are more steps than are told apart."))
}
