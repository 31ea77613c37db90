use super::super::cfg::TopologyConfig;
use super::super::fixture::{S, SECOND, batch, edges, s};
use super::super::{Builder, Intake, Snapshot};
use crate::diag::Diagnostic;
use crate::spans::SpanKind::{Client, Consumer, Producer, Server};
use crate::spans::{SpanKind, UnixNanos};

/// Second 1000 after 1970 and so many milliseconds.
fn instant(ms: u64) -> UnixNanos {
    UnixNanos(1000 * SECOND + ms * 1_000_000)
}

fn split(spans: &[S], at: u64, until: u64) -> Result<(Snapshot, Snapshot), Diagnostic> {
    let threads = [1, 2].map(|threads| {
        let builder = Builder::new(TopologyConfig::default());
        spans.chunks(2).for_each(|spans| builder.push(&batch(spans)).unwrap());
        builder.finish_split(Intake::default(), threads, instant(at), instant(until))
    });
    let [one, two] = threads;
    assert_eq!(one.is_ok(), two.is_ok());
    if let (Ok(one), Ok(two)) = (&one, &two) {
        assert_eq!(one, two, "the number of threads shows");
    }
    one
}

/// A span from `from` to `to`, milliseconds.
fn span(trace: u128, id: u64, parent: u64, service: &'static str, kind: SpanKind, (from, to): (u64, u64)) -> S {
    s(id, parent, service, kind).trace(trace).at(from * 1_000_000, to * 1_000_000)
}

fn counts((before, after): &(Snapshot, Snapshot)) -> [(u64, u64); 2] {
    [before, after].map(|s| (s.coverage.traces, s.coverage.spans))
}

#[test]
fn a_trace_goes_whole_to_the_side_its_first_span_starts_in() {
    let spans = [
        // Runs across the time, its parts in several batches and out of order.
        span(1, 3, 2, "api", Server, (120, 130)),
        span(1, 1, 0, "web", Server, (10, 200)),
        span(1, 2, 1, "web", Client, (110, 140)),
        span(2, 1, 0, "web", Server, (100, 120)),
        span(3, 1, 0, "web", Server, (150, 160)),
    ];
    let sides = split(&spans, 100, 1000).unwrap();
    assert_eq!(counts(&sides), [(1, 3), (2, 2)], "at the very time is after");
    assert_eq!(edges(&sides.0), ["entry:user -> web entry inferred 1", "web -> api call paired 1"]);
    assert_eq!(edges(&sides.1), ["entry:user -> web entry inferred 2"]);
    // What is over at its end; the last instant belongs to nobody.
    assert_eq!(counts(&split(&spans, 100, 150).unwrap()), [(1, 3), (1, 1)]);
    assert_eq!(counts(&split(&spans, 100, 151).unwrap()), [(1, 3), (2, 2)]);
}

#[test]
fn both_sides_have_the_names_of_both_together() {
    let named = |trace: u128, ms: u64| {
        span(trace, 1, 0, "web", Server, (ms, ms + 1))
            .named(&format!("GET /page-{}", if trace < 10 { 'a' } else { 'b' }))
    };
    let spans: Vec<S> = (1..20).map(|i| named(i, i as u64 * 10)).collect();
    let config = TopologyConfig { max_operations: 1, ..TopologyConfig::default() };
    let builder = Builder::new(config);
    builder.push(&batch(&spans)).unwrap();
    let (before, after) = builder.finish_split(Intake::default(), 1, instant(100), instant(1000)).unwrap();
    let names = |s: &Snapshot| s.operations.iter().map(|o| o.name.clone()).collect::<Vec<_>>();
    // Alone BASE would have kept the name it knows.
    assert_eq!((names(&before), names(&after)), (vec!["(other)".to_owned()], vec!["GET /page-b".to_owned()]));
}

#[test]
fn an_empty_side_is_an_error_that_says_when_the_traces_are() {
    let spans = [span(1, 1, 0, "web", Server, (10, 20)), span(2, 1, 0, "web", Server, (300, 320))];
    let error = split(&spans, 5, 1000).unwrap_err();
    assert_eq!(error.code, "no-spans-before");
    assert!(error.message.contains("1970-01-01T00:16:40.01Z to 1970-01-01T00:16:40.3"), "{}", error.message);
    assert_eq!(split(&spans, 400, 1000).unwrap_err().code, "no-spans-after");
    // There are spans, but none within the time after.
    assert_eq!(split(&spans, 100, 200).unwrap_err().code, "no-spans-after");
    assert_eq!(split(&[], 100, 200).unwrap_err().code, "no-spans");
}

#[test]
fn a_link_goes_with_the_trace_it_leads_to() {
    let spans = [
        span(1, 1, 0, "shop", Producer, (10, 11)).topic("orders"),
        span(2, 1, 0, "billing", Consumer, (200, 210)).topic("orders").link(1, 1),
    ];
    let (before, after) = split(&spans, 100, 1000).unwrap();
    let delivery = "messaging:kafka:orders -> billing messaging link 1";
    assert!(edges(&before).iter().any(|e| e == delivery), "{:?}", edges(&before));
    assert!(!edges(&after).iter().any(|e| e == delivery), "{:?}", edges(&after));
}

#[test]
fn a_link_to_a_trace_nobody_has_goes_with_where_it_comes_from() {
    let consumer =
        |t: u128, start: u64| span(t, 1, 0, "billing", Consumer, (start, start + 10)).topic("orders").link(9, 1);
    let one = |t: u128, start: u64| {
        split(
            &[consumer(t, start), span(8, 1, 0, "web", Server, (10, 20)), span(7, 1, 0, "web", Server, (300, 310))],
            100,
            1000,
        )
        .unwrap()
    };
    let missed = |s: &Snapshot| s.coverage.unresolved_links;
    let (early, late) = (one(1, 30), one(2, 200));
    assert_eq!((missed(&early.0), missed(&early.1)), (1, 0));
    assert_eq!((missed(&late.0), missed(&late.1)), (0, 1));
}

#[test]
fn traces_of_no_known_time_are_before() {
    let mut lost = s(1, 0, "web", Server).trace(1);
    lost.start = 0;
    let sides = split(&[lost, span(2, 1, 0, "web", Server, (200, 210))], 100, 1000).unwrap();
    assert_eq!(counts(&sides), [(1, 1), (1, 1)]);
}
