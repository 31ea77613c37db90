//! Callers that a backend's aggregates do not show: they are counted by CLIENT spans, which not every caller records.
//!
//! Input: a node of a snapshot of aggregates. Output: a sentence with how many calls nobody is known to have made.
//! Must not: take a caller seen in example traces for one that is counted.

use std::collections::BTreeSet;

use super::context::{Context, Target, name_of};
use super::document::Text;
use super::phrase::items;
use crate::topology::{NodeId, NodeKind, SnapshotKind};

/// A smaller share of calls without a known caller is said nowhere: counts of both sides never agree to the last call.
const WORTH_SAYING: f64 = 0.01;
/// Callers seen in example traces that are named.
const NAMED: usize = 5;

/// How many of the calls a service handled are of no known caller, and who was seen to make some. Nothing where all are known.
pub(super) fn unseen(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let node = target.node.filter(|node| node.kind == NodeKind::Service && node.instrumented)?;
    if context.snapshot.provenance.kind != SnapshotKind::Aggregate {
        return None;
    }
    let handled = node.handled.calls.as_f64();
    let known: f64 = context.snapshot.edges_to(&target.id).map(|edge| edge.calls.as_f64()).sum();
    let unknown = handled - known;
    if handled <= 0.0 || unknown < handled * WORTH_SAYING {
        return None;
    }
    let text = if known > 0.0 {
        let text = Text::words("Not every caller is known: ").count(unknown).and(" of the ").count(handled);
        text.and(" calls it handled (").ratio(unknown / handled).and(") have none")
    } else {
        Text::words("Who calls ")
            .code(target.label())
            .and(" is not known: none of the ")
            .count(handled)
            .and(" calls it handled has a caller")
    };
    let text = text.and(" in the backend's aggregates, which show only callers that record CLIENT spans.");
    let seen = in_examples(context, &target.id);
    if seen.is_empty() {
        return Some(text);
    }
    let mut text = text.and(" In the example traces ");
    for (at, id) in seen.iter().take(NAMED).enumerate() {
        text = text.and(if at == 0 { "" } else { ", " }).code(name_of(context, id));
    }
    if seen.len() > NAMED {
        text = text.and(" and ").piece(items(seen.len() - NAMED)).and(" more");
    }
    Some(text.and(if seen.len() == 1 { " calls it." } else { " call it." }))
}

/// Services right above a span of this one in an example trace that are no known callers.
fn in_examples<'a>(context: &Context<'a>, id: &NodeId) -> BTreeSet<&'a NodeId> {
    let known: BTreeSet<&NodeId> = context.snapshot.edges_to(id).map(|edge| &edge.source).collect();
    let mut seen = BTreeSet::new();
    for trace in &context.snapshot.traces {
        // The span of each depth that is still open: parents come first.
        let mut open: Vec<(u16, &'a NodeId)> = Vec::new();
        for span in &trace.spans {
            while open.last().is_some_and(|(depth, _)| *depth >= span.depth) {
                open.pop();
            }
            // Where a span between is left out the one above is no parent.
            let parent = open.last().filter(|(depth, _)| depth.saturating_add(1) == span.depth);
            if let Some((_, parent)) = parent.filter(|(_, parent)| span.service == *id && *parent != id) {
                seen.insert(*parent);
            }
            open.push((span.depth, &span.service));
        }
    }
    seen.retain(|caller| !known.contains(caller));
    seen
}

#[cfg(test)]
mod tests {
    use super::super::cfg::Settings;
    use super::super::impact::impact;
    use super::super::testing::{edge, node, snapshot, stats, words};
    use super::*;
    use crate::spans::{SpanId, SpanKind, TraceId, UnixNanos};
    use crate::topology::{EdgeKind, Snapshot, SummaryClass, SummarySpan, TraceSummary};

    fn shop(known: u64) -> Snapshot {
        let nodes = vec![
            node("checkout", NodeKind::Service, stats(1_000, 0, 50)),
            node("email", NodeKind::Service, stats(294, 0, 5)),
        ];
        let edges = if known > 0 { vec![edge("checkout", "email", EdgeKind::Call, known, 0, 6, 5)] } else { vec![] };
        let mut snapshot = snapshot(nodes, edges, vec![]);
        snapshot.provenance.kind = SnapshotKind::Aggregate;
        snapshot
    }

    fn said(snapshot: &Snapshot) -> String {
        let settings = Settings::default();
        let context = Context::new(snapshot, &[], &[], &settings);
        impact(&context, &context.target(&NodeId("email".into()))).iter().map(words).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn calls_of_no_known_caller_are_said_of_aggregates_and_examples_name_one() {
        let mut none = shop(0);
        let nobody = "Who calls `email` is not known: none of the 294 calls it handled has a caller in the backend's \
                      aggregates, which show only callers that record CLIENT spans.";
        assert_eq!(said(&none), nobody);
        let span = |depth, service: &str| SummarySpan {
            depth,
            kind: SpanKind::Server,
            start_ns: 0,
            duration_ns: 5,
            critical_ns: 5,
            failed: false,
            service: NodeId(service.into()),
            name: "x".into(),
        };
        none.traces = vec![TraceSummary {
            service: NodeId("checkout".into()),
            class: SummaryClass::Typical,
            trace_id: TraceId(1),
            span_id: SpanId(1),
            start: UnixNanos(0),
            omitted: 1,
            // The last one's parent is among those left out.
            spans: vec![span(0, "checkout"), span(1, "email"), span(2, "email"), span(1, "cart"), span(3, "email")],
        }];
        assert_eq!(said(&none), format!("{nobody} In the example traces `checkout` calls it."));

        let some = said(&shop(200));
        assert!(
            some.contains("Not every caller is known: 94 of the 294 calls it handled (31.97 %) have none in the"),
            "{some}"
        );
        assert!(!said(&shop(294)).contains("known"), "all are");
        assert!(!said(&shop(292)).contains("known"), "nearly all are");
        let mut spans = shop(0);
        spans.provenance.kind = SnapshotKind::Spans;
        assert_eq!(said(&spans), "Nobody is seen to call `email` in this window.");
    }
}
