use super::super::fixture::{S, any_span, batch, s, snapshot};
use super::*;
use crate::spans::SpanKind;
use crate::topology::codec::{decode, encode};
use proptest::prelude::*;

fn encoded(cfg: &TopologyConfig, batches: &[&[S]], threads: usize) -> Vec<u8> {
    let builder = Builder::new(cfg.clone());
    batches.iter().for_each(|spans| builder.push(&batch(*spans)).unwrap());
    encode(&builder.finish(Intake::default(), threads).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_any_split_any_number_of_threads_and_spilling_give_the_same_bytes(
        (spans, shuffled) in prop::collection::vec(any_span(3), 1..60)
            .prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        cut in 0..60usize,
        max_operations in 1..8usize,
        max_services in 1..6usize,
        max_edges in 1..30usize,
    ) {
        let cfg = TopologyConfig { max_operations, max_services, max_edges, ..TopologyConfig::default() };
        let once = encoded(&cfg, &[&spans], 1);
        let (a, b) = shuffled.split_at(cut.min(shuffled.len()));
        prop_assert_eq!(&once, &encoded(&cfg, &[b, a], 2));
        let spilling = TopologyConfig { memory_bytes: 1, ..cfg };
        prop_assert_eq!(&once, &encoded(&spilling, &[a, b], 2));
        let read = decode(&once).unwrap();
        prop_assert_eq!(encode(&read).unwrap(), once);
    }
}

#[test]
fn many_threads_may_push_at_once() {
    let spans: Vec<S> =
        (0..2_000u64).map(|i| s(i % 10 + 1, i % 10, "api", SpanKind::Server).trace((i / 10).into())).collect();
    let builder = Builder::new(TopologyConfig { memory_bytes: 64 << 10, ..TopologyConfig::default() });
    std::thread::scope(|scope| {
        for part in spans.chunks(500) {
            let builder = &builder;
            scope.spawn(move || part.chunks(7).for_each(|spans| builder.push(&batch(spans)).unwrap()));
        }
    });
    assert_eq!(builder.finish(Intake::default(), 2).unwrap(), snapshot(&spans));
}

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
