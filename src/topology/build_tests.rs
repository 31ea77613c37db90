use super::super::fixture::{S, batch, s, snapshot};
use super::*;
use crate::spans::SpanKind;

#[test]
fn no_spans_is_an_error_that_says_what_to_check() {
    let error = Builder::new(TopologyConfig::default()).finish(Intake::default(), 1).unwrap_err();
    assert_eq!(error.code, "no-spans");
    let cfg = TopologyConfig { ignore_services: vec!["*".into()], ..TopologyConfig::default() };
    let builder = Builder::new(cfg);
    builder.push(&batch(&[s(1, 0, "api", SpanKind::Server)])).unwrap();
    let error = builder.finish(Intake::default(), 1).unwrap_err();
    assert_eq!(error.code, "no-spans");
    assert!(error.help.contains("ignore_services"));
}

#[test]
fn the_asked_window_wins_over_the_one_seen() {
    let builder = Builder::new(TopologyConfig::default());
    builder.push(&batch(&[s(1, 0, "api", SpanKind::Server)])).unwrap();
    let intake = Intake {
        sources: vec!["b".into(), "a".into(), "b".into()],
        window: Some((UnixNanos(5), UnixNanos(9))),
        ..Intake::default()
    };
    let snapshot = builder.finish(intake, 1).unwrap();
    assert_eq!((snapshot.window.start, snapshot.window.end), (UnixNanos(5), UnixNanos(9)));
    assert_eq!(snapshot.provenance.sources, ["a", "b"]);
}

#[test]
fn millions_of_names_end_in_other_without_pushing_out_the_names_of_quiet_services() {
    let noisy = |i: u64| s(1, 0, "noisy", SpanKind::Server).trace(u128::from(i)).named(&format!("GET /{i:x}"));
    let mut spans: Vec<S> = (1..30_000).map(noisy).collect();
    spans.extend((1..50).map(|i| s(2, 0, "quiet", SpanKind::Server).trace(i).named(&format!("op {i}"))));
    let got = snapshot(&spans);
    assert_eq!(got.operations.iter().filter(|o| o.service.0 == "quiet").count(), 49);
    let noisy: Vec<_> = got.operations.iter().filter(|o| o.service.0 == "noisy").collect();
    assert_eq!((noisy.len(), noisy.iter().map(|o| o.stats.n).sum::<u64>()), (501, 29_999));
    assert_eq!(got.coverage.overflow["operations"], 29_999 - 500);
    spans.reverse();
    assert_eq!(snapshot(&spans), got);
}
