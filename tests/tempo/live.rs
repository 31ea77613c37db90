//! Against a real Tempo, when `TRACEBOOK_PEER_TEMPO` names one (e.g. `tempo://127.0.0.1:9095`).
//!
//! `TRACEBOOK_PEER_TEMPO_WINDOW` is its window in unix seconds, `START-END`, and `TRACEBOOK_PEER_TEMPO_EXPECT` what it
//! holds there, `TRACES,SPANS`. Without the first the tests say that they were skipped.

use std::collections::BTreeMap;

use tracebook::diag::Diagnostic;
use tracebook::source::{NoProgress, SourceOptions, SpanSink, open, open_aggregate};
use tracebook::spans::{ErrorClass, SpanBatch, SpanKind, TraceId};
use tracebook::topology::cfg::TopologyConfig;
use tracebook::topology::{Builder, EdgeKind, Intake, Series, Snapshot, from_aggregate};

use crate::support::{Collected, Sink, options, pull};

struct Peer {
    url: String,
    window: (u64, u64),
    expect: (usize, usize),
}

fn peer() -> Option<Peer> {
    let Ok(url) = std::env::var("TRACEBOOK_PEER_TEMPO") else {
        println!("skipped: TRACEBOOK_PEER_TEMPO is not set");
        return None;
    };
    let pair = |name: &str, between: char| -> (u64, u64) {
        let text = std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set with TRACEBOOK_PEER_TEMPO"));
        let (a, b) = text.split_once(between).unwrap_or_else(|| panic!("{name}: {text}"));
        (a.parse().unwrap(), b.parse().unwrap())
    };
    let expect = pair("TRACEBOOK_PEER_TEMPO_EXPECT", ',');
    Some(Peer { url, window: pair("TRACEBOOK_PEER_TEMPO_WINDOW", '-'), expect: (expect.0 as usize, expect.1 as usize) })
}

fn with(url: &str, parameter: &str) -> String {
    let mark = if url.contains('?') { '&' } else { '?' };
    format!("{url}{mark}{parameter}")
}

fn check(name: &str, peer: &Peer, got: &Collected, report: &tracebook::source::SourceReport) {
    println!(
        "{name}: {} traces, {} spans, {} duplicates; {:?}",
        got.traces().len(),
        got.spans(),
        got.duplicates(),
        report.diagnostics
    );
    assert_eq!((got.traces().len(), got.spans()), peer.expect, "{name}");
    assert_eq!(got.duplicates(), 0, "{name}");
    assert_eq!(report.partial_traces, 0, "{name}");
    assert!(report.rejected.is_empty(), "{name}");
}

#[test]
fn every_trace_of_the_window_arrives_once() {
    let Some(peer) = peer() else { return };
    let (got, report) = pull(&peer.url, &options(peer.window)).unwrap();
    check("default limit", &peer, &got, &report);
}

#[test]
fn every_trace_arrives_once_though_a_search_gives_only_100() {
    let Some(peer) = peer() else { return };
    let (got, report) = pull(&with(&peer.url, "limit=100"), &options(peer.window)).unwrap();
    check("limit 100", &peer, &got, &report);
}

#[test]
fn a_trace_is_the_same_in_bulk_and_by_id() {
    let Some(peer) = peer() else { return };
    let narrow = options((peer.window.1.saturating_sub(1200), peer.window.1));
    let (bulk, _) = pull(&peer.url, &narrow).unwrap();
    let (by_id, _) = pull(&with(&peer.url, "traces=by-id"), &narrow).unwrap();
    assert_eq!(bulk.traces(), by_id.traces());
    for trace in by_id.traces() {
        assert_eq!(bulk.spans_of(trace), by_id.spans_of(trace), "{trace}");
    }
}

#[test]
fn neighbouring_windows_share_no_trace_and_lose_none() {
    let Some(peer) = peer() else { return };
    let middle = peer.window.0.midpoint(peer.window.1);
    let (first, _) = pull(&peer.url, &options((peer.window.0, middle))).unwrap();
    let (second, _) = pull(&peer.url, &options((middle, peer.window.1))).unwrap();
    assert!(first.traces().is_disjoint(&second.traces()));
    assert_eq!((first.traces().len() + second.traces().len(), first.spans() + second.spans()), peer.expect);
}

#[test]
fn a_filter_gives_whole_traces() {
    let Some(peer) = peer() else { return };
    let mut options = options(peer.window);
    let (all, _) = pull(&peer.url, &options).unwrap();
    options.query = Some("{ kind = consumer }".to_owned());
    let (some, _) = pull(&peer.url, &options).unwrap();
    assert!(some.traces().is_subset(&all.traces()) && some.traces().len() < all.traces().len());
    for trace in some.traces() {
        assert_eq!(some.spans_of(trace), all.spans_of(trace));
    }
}

#[test]
fn a_refused_filter_and_an_empty_window_are_explained() {
    let Some(peer) = peer() else { return };
    let mut options = options(peer.window);
    options.query = Some("{ resource.service.name = }".to_owned());
    assert_eq!(pull(&peer.url, &options).unwrap_err().code, "tempo-query-refused");
    options.query = Some("{ resource.service.name = \"nope\" }".to_owned());
    assert_eq!(pull(&peer.url, &options).unwrap_err().code, "no-traces-in-window");
}

/// Calls and errors by operation, and edges by ends and calls.
type Figures = (BTreeMap<String, (u64, u64)>, BTreeMap<String, u64>);

fn figures(snapshot: &Snapshot) -> Figures {
    let operations = snapshot.operations.iter().map(|o| {
        let key = format!("{} {:?} {}", o.service, o.kind, o.name);
        (key, (o.stats.calls.micro(), o.stats.errors.micro()))
    });
    let edges = snapshot.edges.iter().map(|e| (format!("{} {} {:?}", e.source, e.target, e.kind), e.calls.micro()));
    (operations.collect(), edges.collect())
}

#[test]
fn what_tempo_counts_is_what_a_full_pull_counts() {
    let Some(peer) = peer() else { return };
    let options = options(peer.window);
    let builder = Builder::new(TopologyConfig::default());
    struct Into<'a>(&'a Builder);
    impl SpanSink for Into<'_> {
        fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
            self.0.push(batch)
        }
    }
    let report = open(&peer.url, &options).unwrap().read(&Into(&builder), &NoProgress).unwrap();
    let intake = Intake { window: report.window, ..Intake::default() };
    let full = builder.finish(intake, 2).unwrap();
    let mut source = open_aggregate(&format!("aggregate+{}", peer.url), &options).unwrap().unwrap();
    let (aggregate, report) = source.read(&NoProgress).unwrap();
    let counted = from_aggregate(aggregate, &[source.describe()], &TopologyConfig::default()).unwrap();
    let (all, some) = (figures(&full), figures(&counted));
    assert_eq!(all.0, some.0, "operations");
    assert_eq!(all.1.keys().collect::<Vec<_>>(), some.1.keys().collect::<Vec<_>>(), "edges");
    // What is cut off from its root cannot be followed; messages that come in batches count once by span, each by link.
    let cut_off = report.diagnostics.iter().any(|d| d.code == "tempo-cut-off");
    for (edge, calls) in &all.1 {
        let less = some.1[edge];
        let exact = less == *calls;
        assert!(exact || (less < *calls && (cut_off || edge.contains("messaging:"))), "{edge}: {less} of {calls}");
    }
    println!("{} operations and {} edges alike; cut off: {cut_off}", all.0.len(), all.1.len());
    for (all, some) in full.operations.iter().zip(&counted.operations) {
        let in_time = matches!(all.kind, SpanKind::Server | SpanKind::Consumer);
        let series = if in_time { all.stats.series.clone() } else { Series::default() };
        assert_eq!(series, some.stats.series, "{} {}", all.service, all.name);
        assert_eq!(all.stats.error_classes, some.stats.error_classes, "{} {}", all.service, all.name);
    }
    let same = full.edges.iter().zip(&counted.edges).filter(|(all, some)| all.calls == some.calls);
    for (all, some) in same {
        // What a service handles has its times with its operations; `paygate` has none.
        let in_time = some.kind != EdgeKind::Entry && !(some.kind == EdgeKind::Call && some.target.0.contains('/'));
        let series = if in_time { all.series.clone() } else { Series::default() };
        assert_eq!(series, some.series, "{} {}", all.source, all.target);
        let known = some.error_classes.iter().map(|c| c.calls.micro()).sum::<u64>();
        assert!(known == some.errors.micro() || all.target.0.contains('/'), "{} {}: {known}", all.source, all.target);
        for class in &some.error_classes {
            let same = all.error_classes.iter().find(|c| c.class == class.class);
            assert!(same.is_some_and(|c| c.calls >= class.calls), "{} {} {class:?}", all.source, all.target);
        }
    }
}

#[test]
fn a_filter_of_spans_counts_those_that_match() {
    let Some(peer) = peer() else { return };
    let mut options = options(peer.window);
    let count = |options: &SourceOptions| {
        let mut source = open_aggregate(&format!("aggregate+{}", peer.url), options).unwrap().unwrap();
        let (aggregate, _) = source.read(&NoProgress).unwrap();
        (aggregate, source.describe())
    };
    let (all, _) = count(&options);
    options.query = Some("{ resource.service.name = \"cart\" && kind = server }".to_owned());
    let (some, described) = count(&options);
    let mut of_cart = all.operations;
    of_cart.retain(|o| o.service.name == "cart" && o.kind == SpanKind::Server);
    assert_eq!(some.operations, of_cart);
    assert!(described.ends_with(" (filtered spans)"), "{described}");
}

#[test]
fn examples_are_a_few_whole_traces_the_same_each_time_with_failed_ones_among_them() {
    let Some(peer) = peer() else { return };
    let options = options(peer.window);
    let (all, _) = pull(&peer.url, &options).unwrap();
    let some = |most| {
        let mut source = open_aggregate(&format!("aggregate+{}", peer.url), &options).unwrap().unwrap();
        source.read(&NoProgress).unwrap();
        let sink = Sink::default();
        source.examples(most, &sink, &NoProgress).unwrap();
        sink.into_inner()
    };
    let (few, again) = (some(Some(12)), some(Some(12)));
    assert_eq!((few.traces().len(), few.traces()), (12, again.traces()));
    for trace in few.traces() {
        assert_eq!(few.spans_of(trace), all.spans_of(trace), "{trace}");
    }
    let fine = format!("{:?}", Some(ErrorClass::default()));
    let failed = |trace: &TraceId| few.spans_of(*trace).iter().any(|span| !span.contains(&fine));
    assert!(few.traces().iter().any(failed));
    assert_eq!(some(None).traces().len(), 24);
    assert_eq!(some(Some(0)).spans(), 0);
}
