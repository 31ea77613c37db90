//! What a slow or failed request of a service looked like beside a normal one.
//!
//! Input: the snapshot's traces in short. Output: [`Waterfall`]s with links; the ill one first.
//! Must not: draw: `render` does.

use super::cfg::LinksConfig;
use super::context::{Context, Target};
use super::document::{TraceRef, Waterfall, WaterfallSpan};
use super::links;
use crate::topology::{Exemplar, SummaryClass, SummarySpan, TraceSummary};

/// The ill request and the typical one whose duration is nearest to the median. Nothing without the ill one.
pub(super) fn pair(context: &Context<'_>, target: &Target<'_>, ill: SummaryClass) -> Vec<Waterfall> {
    let Some(ill) = of(context, target, ill).next() else { return Vec::new() };
    let links = &context.settings.links;
    let all = [Some(ill), typical(context, target).filter(|t| t.trace_id != ill.trace_id)];
    all.into_iter().flatten().map(|trace| waterfall(context, links, trace)).collect()
}

fn of<'a>(context: &Context<'a>, target: &Target<'_>, class: SummaryClass) -> impl Iterator<Item = &'a TraceSummary> {
    let id = target.id.clone();
    context.snapshot.traces.iter().filter(move |t| t.service == id && t.class == class)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds; saturates")]
fn typical<'a>(context: &Context<'a>, target: &Target<'_>) -> Option<&'a TraceSummary> {
    let median = target.handled().and_then(|s| s.durations.quantile(0.5)).unwrap_or(0.0) as u64;
    // Of several as near the first: they are in order of a hash of the trace.
    of(context, target, SummaryClass::Typical).min_by_key(|t| t.duration_ns().abs_diff(median))
}

fn waterfall(context: &Context<'_>, links: &LinksConfig, trace: &TraceSummary) -> Waterfall {
    let class = match trace.class {
        SummaryClass::Slow => "slow",
        SummaryClass::Failed => "failed",
        SummaryClass::Typical => "typical",
    };
    let exemplar = Exemplar {
        trace_id: trace.trace_id,
        span_id: trace.span_id,
        start: trace.start,
        duration_ns: trace.duration_ns(),
    };
    let trace_ref: TraceRef = links::trace_ref(links, class, &exemplar);
    let spans = trace.spans.iter().map(|span| self::span(context, span)).collect();
    Waterfall { trace: trace_ref, omitted: trace.omitted, spans }
}

#[allow(clippy::cast_precision_loss, reason = "for display")]
fn span(context: &Context<'_>, span: &SummarySpan) -> WaterfallSpan {
    WaterfallSpan {
        depth: usize::from(span.depth),
        service: context.target(&span.service).label(),
        operation: super::quote::label(&span.name),
        start_seconds: span.start_ns as f64 / 1e9,
        duration_seconds: span.duration_ns as f64 / 1e9,
        critical_seconds: span.critical_ns as f64 / 1e9,
        failed: span.failed,
    }
}
