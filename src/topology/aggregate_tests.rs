use super::*;
use crate::spans::aggregate::DurationBucket;
use crate::spans::{ErrorClass, Peer, PeerKind, UnixNanos};

const SECOND: u64 = 1_000_000_000;

fn service(name: &str) -> AggregateService {
    AggregateService { namespace: String::new(), name: name.to_owned() }
}

fn totals(calls: u64, errors: u64) -> Totals {
    Totals {
        calls: Weight::whole(calls),
        errors: Weight::whole(errors),
        series: BTreeMap::from([(5_000_000, (Weight::whole(calls), Weight::whole(errors)))]),
        classes: vec![(ErrorClass { http_status: 503, ..ErrorClass::default() }, Weight::whole(errors))],
    }
}

fn durations(buckets: &[(u64, Option<u64>, u64)]) -> Option<Durations> {
    let bucket = |(lower, upper, calls): &(u64, Option<u64>, u64)| DurationBucket {
        lower: *lower,
        upper: *upper,
        calls: Weight::whole(*calls),
    };
    Some(Durations { buckets: buckets.iter().map(bucket).collect(), sum_micro: None })
}

fn edge(source: Party, target: Party, call: AggregateCall, server: Option<Durations>) -> AggregateEdge {
    AggregateEdge {
        source,
        target,
        call,
        source_operation: String::new(),
        target_operation: String::new(),
        totals: totals(100, 3),
        client: None,
        server,
    }
}

fn system() -> Aggregate {
    let redis = Peer { kind: PeerKind::Database, name: "redis".into(), ..Peer::default() };
    let window = (UnixNanos(1_500_000_000 * SECOND), UnixNanos(1_500_003_600 * SECOND));
    let tenth = SECOND / 10;
    Aggregate {
        window,
        operations: vec![AggregateOperation {
            service: service("web"),
            kind: SpanKind::Server,
            name: "GET /user/4711".into(),
            entry: false,
            totals: totals(100, 3),
            durations: durations(&[(0, Some(tenth), 90), (tenth, Some(2 * tenth), 9), (2 * tenth, None, 1)]),
        }],
        edges: vec![
            edge(
                Party::Entry("user".into()),
                Party::Service(service("web")),
                AggregateCall::Entry,
                durations(&[(0, Some(tenth), 100)]),
            ),
            edge(Party::Service(service("web")), Party::Service(service("cart")), AggregateCall::Call, {
                durations(&[(tenth, Some(2 * tenth), 100)])
            }),
            edge(Party::Service(service("cart")), Party::Peer(redis), AggregateCall::Database, None),
        ],
        ..Aggregate::default()
    }
}

fn made(aggregate: Aggregate) -> Snapshot {
    from_aggregate(aggregate, &["test".to_owned()], &TopologyConfig::default()).unwrap()
}

#[test]
fn counts_are_kept_and_everything_else_is_unknown() {
    let snapshot = made(system());
    let ids: Vec<&str> = snapshot.nodes.iter().map(|node| node.id.0.as_str()).collect();
    assert_eq!(ids, ["cart", "database:unknown:redis", "entry:user", "web"]);
    for edge in &snapshot.edges {
        assert_eq!((edge.calls, edge.errors, edge.n), (Weight::whole(100), Weight::whole(3), 100));
        assert_eq!(edge.known_by, BTreeMap::from([(KnownBy::Aggregate, Weight::whole(100))]));
    }
    let [operation] = snapshot.operations.as_slice() else { panic!("{:?}", snapshot.operations) };
    assert_eq!((operation.name.as_str(), operation.self_ns), ("GET /user/{id}", None));
    assert_eq!((snapshot.coverage.spans, snapshot.coverage.traces), (0, 0));
    assert!(snapshot.requests.is_empty() && snapshot.origins.is_empty() && snapshot.traces.is_empty());
    let cart = snapshot.node(&NodeId("cart".into())).unwrap();
    assert_eq!(cart.handled.calls, Weight::whole(100), "without operations, what its callers sent");
    assert_eq!(snapshot.node(&NodeId("web".into())).unwrap().handled.calls, Weight::whole(100));
}

#[test]
fn a_snapshot_of_aggregates_survives_its_file_and_merges_with_the_next() {
    let snapshot = made(system());
    assert_eq!(codec::decode(&codec::encode(&snapshot).unwrap()).unwrap(), snapshot);
    let mut later = system();
    later.window = (later.window.1, UnixNanos(later.window.1.0 + SECOND));
    let both = super::super::merge(vec![snapshot.clone(), made(later)], &TopologyConfig::default()).unwrap();
    assert_eq!(both.edges[0].calls, Weight::whole(200));
    assert_eq!(both.provenance.quantile_error, snapshot.provenance.quantile_error);
    assert_eq!(codec::decode(&codec::encode(&both).unwrap()).unwrap(), both);
}

#[test]
fn failures_that_one_of_two_did_not_count_are_not_counted_in_their_merge() {
    let counted = made(system());
    let mut later = system();
    later.window = (later.window.1, UnixNanos(later.window.1.0 + SECOND));
    later.calls_only = true;
    let later = made(later);
    for both in [vec![counted.clone(), later.clone()], vec![later, counted]] {
        let both = super::super::merge(both, &TopologyConfig::default()).unwrap();
        assert!(both.provenance.calls_only);
        assert!(codec::decode(&codec::encode(&both).unwrap()).unwrap().provenance.calls_only);
    }
}

#[test]
fn the_order_of_what_was_counted_does_not_matter() {
    let mut turned = system();
    turned.edges.reverse();
    assert_eq!(codec::encode(&made(turned)).unwrap(), codec::encode(&made(system())).unwrap());
}

#[test]
fn quantiles_are_those_the_backend_would_interpolate_and_their_error_is_told() {
    let snapshot = made(system());
    let durations = &snapshot.operations[0].stats.durations;
    // Rank 95 of 100 is the 5th of 9 in the bucket from 100 to 200 ms.
    let p95 = durations.quantile(0.95).unwrap();
    assert!((p95 - 150e6).abs() < 8e6, "{p95}");
    assert_eq!((durations.min(), durations.max()), (Some(0), Some(SECOND / 5)));
    let wide = (0.0, 0.1 * 1e9);
    let near = |(low, high): (f64, f64), to: (f64, f64)| (low - to.0).abs() < 1.0 && (high - to.1).abs() < 1.0;
    assert!(near(durations.truth_of(50e6).0, wide), "in the first bucket only that is known");
    let ((low, high), bounded) = durations.truth_of(p95);
    assert!(low < 100e6 && high > 200e6 && bounded, "{low} {high}");
    assert!(!durations.truth_of(200e6).1, "in the last bucket the end is not known");
    let error = snapshot.provenance.quantile_error.unwrap();
    assert_eq!(error, QuantileError { percent: 100, below_ns: Some(SECOND / 10), above_ns: Some(SECOND / 5) });
}

#[test]
fn examples_bring_traces_to_look_at_and_change_no_number() {
    let counted = made(system());
    let exemplar = super::super::Exemplar {
        trace_id: crate::spans::TraceId(7),
        span_id: crate::spans::SpanId(8),
        start: UnixNanos(9),
        duration_ns: 3_600 * SECOND,
    };
    let mut examples = counted.clone();
    examples.provenance.kind = SnapshotKind::Spans;
    examples.coverage.traces = 3;
    examples.operations[0].stats.calls = Weight::whole(1);
    examples.operations[0].stats.exemplars.slow = vec![exemplar.clone()];
    examples.edges[0].exemplars.failed = vec![exemplar.clone()];
    // Merely the slowest of a few, and one that is slow but came by as any other.
    let quick = super::super::Exemplar { trace_id: crate::spans::TraceId(6), duration_ns: 10, ..exemplar.clone() };
    examples.operations[0].stats.exemplars.slow.push(quick.clone());
    examples.operations[0].stats.exemplars.typical = vec![quick.clone(), exemplar.clone()];
    let mut unseen = examples.operations[0].clone();
    unseen.name = "GET /elsewhere".to_owned();
    examples.operations.push(unseen);
    let trace = |service: &str| super::super::TraceSummary {
        service: NodeId(service.to_owned()),
        class: super::super::SummaryClass::Slow,
        trace_id: exemplar.trace_id,
        span_id: exemplar.span_id,
        start: exemplar.start,
        spans: vec![super::super::SummarySpan {
            depth: 0,
            kind: SpanKind::Server,
            start_ns: 0,
            duration_ns: exemplar.duration_ns,
            critical_ns: exemplar.duration_ns,
            failed: false,
            service: NodeId(service.to_owned()),
            name: "GET /user/{id}".to_owned(),
        }],
        omitted: 0,
    };
    let mut not_slow = trace("web");
    not_slow.spans[0].duration_ns = 10;
    examples.traces = vec![trace("unheard-of"), trace("web"), not_slow];
    let got = super::super::with_examples(counted.clone(), examples.clone());
    let only = std::slice::from_ref(&exemplar);
    assert_eq!(
        (got.operations[0].stats.exemplars.slow.as_slice(), got.edges[0].exemplars.failed.as_slice()),
        (only, only)
    );
    assert_eq!(got.operations[0].stats.exemplars.typical, [quick], "and none is both");
    assert_eq!(got.traces, [trace("web")]);
    assert_eq!(got.provenance.example_traces, 3);
    assert_eq!(codec::decode(&codec::encode(&got).unwrap()).unwrap(), got);
    let mut without = got;
    without.operations[0].stats.exemplars = super::super::Exemplars::default();
    without.edges[0].exemplars = super::super::Exemplars::default();
    without.traces.clear();
    without.provenance.example_traces = 0;
    assert_eq!(without, counted);
    assert_eq!(super::super::with_examples(examples.clone(), counted), examples, "of spans nothing is changed");
}

#[test]
fn ignore_rules_and_aliases_hold_and_nothing_left_is_an_error() {
    let ignoring = TopologyConfig { ignore_services: vec!["cart".into()], ..TopologyConfig::default() };
    let snapshot = from_aggregate(system(), &["test".to_owned()], &ignoring).unwrap();
    assert_eq!(snapshot.edges.len(), 1);
    let none = from_aggregate(Aggregate::default(), &["test".to_owned()], &TopologyConfig::default()).unwrap_err();
    assert_eq!(none.code, "no-aggregates");
}

#[test]
fn counters_that_contradict_each_other_still_make_a_whole_snapshot() {
    let mut odd = system();
    odd.edges[0].totals.errors = Weight::whole(500);
    odd.edges[1].server = durations(&[(0, Some(5), 1_000_000), (7, Some(3), 2)]);
    odd.operations[0].totals.calls = Weight::from_f64(0.25);
    let snapshot = made(odd);
    assert_eq!(codec::decode(&codec::encode(&snapshot).unwrap()).unwrap(), snapshot);
}
