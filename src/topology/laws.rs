//! What must not change the snapshot: the order of spans, how they were cut into batches, who pushed them, how many threads
//! worked, whether memory sufficed, and that some came twice. Over random systems; `PROPTEST_CASES` sets how many.

use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::arbitrary::{caps, deal, rules, spans};
use super::cfg::TopologyConfig;
use super::codec::{decode, encode};
use super::fixture::{S, batch, s, snapshot};
use super::{Builder, Intake, Snapshot};
use crate::spans::{PeerKind, SpanBatch, SpanKind};

/// How spans arrive and are worked on.
#[derive(Debug, Clone)]
struct Run {
    sizes: Vec<usize>,
    pushing: usize,
    finishing: usize,
    memory_bytes: usize,
}

/// Everything at once, on one thread, in memory.
fn plain() -> Run {
    Run { sizes: Vec::new(), pushing: 1, finishing: 1, memory_bytes: 128 << 20 }
}

fn run() -> impl Strategy<Value = Run> {
    let memory = prop::sample::select(vec![1, 4 << 10, 100 << 10, 128 << 20]);
    (prop::collection::vec(0..20usize, 0..8), 1..4usize, 1..5usize, memory)
        .prop_map(|(sizes, pushing, finishing, memory_bytes)| Run { sizes, pushing, finishing, memory_bytes })
}

fn captured(cfg: &TopologyConfig, spans: &[S], run: &Run) -> Option<Snapshot> {
    let builder = Builder::new(TopologyConfig { memory_bytes: run.memory_bytes, ..cfg.clone() });
    let batches: Vec<SpanBatch> = deal(spans, &run.sizes).into_iter().map(batch).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..run.pushing {
            scope.spawn(|| {
                while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                    builder.push(batch).unwrap();
                }
            });
        }
    });
    match builder.finish(Intake::default(), run.finishing) {
        Ok(snapshot) => Some(snapshot),
        Err(error) => {
            assert_eq!(error.code, "no-spans");
            None
        }
    }
}

fn bytes(cfg: &TopologyConfig, spans: &[S], run: &Run) -> Option<String> {
    Some(String::from_utf8(encode(&captured(cfg, spans, run)?).unwrap()).unwrap())
}

fn shuffled<T: Clone + std::fmt::Debug>(list: Vec<T>) -> impl Strategy<Value = (Vec<T>, Vec<T>)> {
    (Just(list.clone()), Just(list).prop_shuffle())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_batches_threads_and_spilling_leave_no_trace_in_the_bytes(
        (before, after) in spans().prop_flat_map(shuffled),
        run in run(),
        cfg in prop_oneof![rules(), caps()],
    ) {
        prop_assert_eq!(bytes(&cfg, &before, &plain()), bytes(&cfg, &after, &run));
    }

    #[test]
    fn spans_sent_again_are_counted_as_duplicates_and_change_nothing_else(
        (before, after) in (spans(), 2..4usize).prop_flat_map(|(spans, copies)| {
            let again: Vec<S> = std::iter::repeat_n(spans.clone(), copies).flatten().collect();
            (Just(spans), Just(again).prop_shuffle())
        }),
        run in run(),
        cfg in rules(),
    ) {
        let once = captured(&cfg, &before, &plain());
        let mut again = captured(&cfg, &after, &run);
        if let (Some(once), Some(again)) = (&once, &mut again) {
            let (further, copies) = (again.coverage.duplicates - once.coverage.duplicates, after.len() - before.len());
            prop_assert_eq!(further, copies as u64);
            again.coverage.duplicates = once.coverage.duplicates;
        }
        prop_assert_eq!(once, again);
    }

    #[test]
    fn every_snapshot_can_be_read_again_and_is_written_the_same(spans in spans(), cfg in prop_oneof![rules(), caps()]) {
        if let Some(bytes) = bytes(&cfg, &spans, &plain()) {
            let read = decode(bytes.as_bytes()).unwrap();
            prop_assert_eq!(encode(&read).unwrap(), bytes.into_bytes());
        }
    }
}

#[test]
fn one_batch_reused_by_its_decoder_means_what_its_rows_said_when_it_was_pushed() {
    let spans: Vec<S> = (0..2_000u64)
        .map(|i| {
            s(i % 10 + 1, i % 10, "api", SpanKind::Server).trace((i / 10).into()).named(&format!("op {}", i / 100))
        })
        .collect();
    let builder = Builder::new(TopologyConfig::default());
    let mut reused = SpanBatch::default();
    for part in spans.chunks(130) {
        reused.clear_rows();
        let fresh = batch(part);
        for row in &fresh.rows {
            let name = reused.strings.intern(fresh.strings.get(row.name));
            let resource = reused.resource_id(&fresh.resources()[row.resource.0 as usize]);
            reused.rows.push(crate::spans::SpanRow { name, resource, ..*row });
        }
        builder.push(&reused).unwrap();
    }
    assert_eq!(builder.finish(Intake::default(), 2).unwrap(), snapshot(&spans));
}

#[test]
fn many_threads_may_push_at_once() {
    let spans: Vec<S> =
        (0..2_000u64).map(|i| s(i % 10 + 1, i % 10, "api", SpanKind::Server).trace((i / 10).into())).collect();
    let run = Run { sizes: vec![7; 400], pushing: 4, finishing: 2, memory_bytes: 64 << 10 };
    assert_eq!(captured(&TopologyConfig::default(), &spans, &run).unwrap(), snapshot(&spans));
}

#[test]
fn names_beyond_the_caps_of_the_dictionaries_are_counted_the_same_whatever_came_first() {
    // More peers and error classes than are told apart: some find no room, some are pushed out.
    let n = 70_000u64;
    let mut spans: Vec<S> = (1..=n)
        .map(|i| {
            let span = s(i, 0, "api", SpanKind::Client).trace((i / 4).into()).named("call");
            span.peer(PeerKind::External, "", "", &format!("host-{i}")).failed(&format!("error {i}"))
        })
        .collect();
    let forwards = snapshot(&spans);
    spans.reverse();
    assert!(forwards == snapshot(&spans));
    let other = forwards.edges.iter().find(|e| e.target.0 == "external:(other)").unwrap();
    assert_eq!(forwards.coverage.overflow["peers"], other.n);
    assert_eq!(forwards.edges.iter().map(|e| e.n).sum::<u64>(), n);
}
