use super::*;
use crate::source::view::Known;
use crate::spans::{PeerKind, TraceId};

fn span<'a>() -> SpanView<'a> {
    SpanView {
        trace_id: TraceId(1),
        span_id: SpanId(2),
        name: "GET /",
        kind: 2,
        start: 10,
        end: 30,
        ..SpanView::default()
    }
}

fn one(view: &SpanView<'_>) -> (SpanRow, Mapper) {
    let mut mapper = Mapper::new(Some("SampleRate".into()));
    let resource = mapper.resource(&[("service.name", Value::Str("cart"))]);
    mapper.span(resource, view);
    (mapper.batch.rows[0], mapper)
}

#[test]
fn a_resource_is_reduced_to_known_attributes_in_their_current_spelling() {
    let mut mapper = Mapper::default();
    let long = "x".repeat(1_000);
    let id = mapper.resource(&[
        ("service.name", Value::Str(" cart\n1 ")),
        ("service.name", Value::Str("second")),
        ("service.namespace", Value::Str("shop")),
        ("deployment.environment", Value::Str("old")),
        ("deployment.environment.name", Value::Str("prod")),
        ("service.version", Value::Int(2)),
        ("host.name", Value::Str(&long)),
        ("process.command_args", Value::Other),
        ("user.email", Value::Str("bob@example.com")),
    ]);
    let resource = mapper.batch.resources()[id.0 as usize].clone();
    assert_eq!((resource.namespace.as_str(), resource.name.as_str()), ("shop", "cart 1"));
    let keys: Vec<_> = resource.attributes.iter().map(|(k, _)| *k).collect();
    assert_eq!(keys, ["deployment.environment.name", "host.name", "service.version"]);
    assert_eq!(resource.get("deployment.environment.name"), Some("prod"));
    assert_eq!(resource.get("host.name").map(str::len), Some(MAX_VALUE));
    let nameless = mapper.resource(&[("service.name", Value::Str("")), ("service.version", Value::Str("1"))]);
    assert_eq!(mapper.batch.resources()[nameless.0 as usize].name, "");
}

#[test]
fn bad_spans_are_counted_under_their_code_and_leave_their_neighbours() {
    let mut mapper = Mapper::default();
    let resource = mapper.resource(&[]);
    for bad in [
        SpanView { trace_id: TraceId(0), ..span() },
        SpanView { span_id: SpanId::NONE, ..span() },
        SpanView { start: 0, end: 0, ..span() },
        span(),
    ] {
        mapper.span(resource, &bad);
    }
    assert_eq!(mapper.batch.rows.len(), 1);
    let counts: Vec<_> = mapper.rejected.iter().map(|(code, n)| (code.as_str(), *n)).collect();
    assert_eq!(counts, [("span-id-invalid", 1), ("span-without-time", 1), ("trace-id-invalid", 1)]);
    assert!(mapper.examples[0].message.contains("`GET /`"));
    for _ in 0..100 {
        mapper.span(resource, &SpanView { trace_id: TraceId(0), ..span() });
    }
    assert_eq!(mapper.examples.len(), MAX_EXAMPLES + 2);
}

#[test]
fn no_clock_yields_a_negative_duration() {
    let none = SpanFlags::NO_DURATION;
    let skewed = SpanFlags(SpanFlags::SKEWED.0 | SpanFlags::NO_DURATION.0);
    for (start, end, want) in [
        (10, 30, (10, 30, SpanFlags::default())),
        (10, 10, (10, 10, SpanFlags::default())),
        (30, 10, (30, 30, skewed)),
        (10, 0, (10, 10, none)),
        (0, 10, (10, 10, none)),
    ] {
        let (row, _) = one(&SpanView { start, end, ..span() });
        assert_eq!((row.start, row.end, row.flags), want);
    }
}

#[test]
fn a_failure_knows_its_codes_and_its_exception() {
    let view = SpanView {
        status_code: 2,
        known: Known::of(&[
            ("http.status_code", Value::Int(404)),
            ("http.response.status_code", Value::Str("503")),
            ("rpc.grpc.status_code", Value::Int(14)),
            ("error.type", Value::Str("timeout")),
            ("exception.type", Value::Str("Other")),
        ]),
        exception_type: Some(Value::Str("java.net.ConnectException")),
        ..span()
    };
    let (row, mapper) = one(&view);
    assert!(row.failed());
    let want = ErrorClass {
        http_status: 503,
        grpc_status: "UNAVAILABLE".into(),
        error_type: "timeout".into(),
        exception_type: "java.net.ConnectException".into(),
    };
    assert_eq!(mapper.batch.errors()[row.error.0 as usize], want);
    let (row, _) = one(&SpanView { status_code: 1, ..view.clone() });
    assert_eq!((row.failed(), row.error), (false, ErrorId(0)));
    assert!(one(&SpanView { status_code: 0, ..view }).0.failed());
}

#[test]
fn a_weight_comes_from_tracestate_then_probability_then_the_configured_rate() {
    let mut known = Known::of(&[("sampling.probability", Value::Double(0.5))]);
    known.put(Slot::Rate, 0, Value::Int(10));
    let all = SpanView { trace_state: "ot=th:c", known, ..span() };
    let weight = |view: &SpanView<'_>| {
        let (row, _) = one(view);
        (row.weight, row.flags.has(SpanFlags::WEIGHTED))
    };
    assert_eq!(weight(&all), (Weight::whole(4), true));
    assert_eq!(weight(&SpanView { trace_state: "", ..all.clone() }), (Weight::whole(2), true));
    let mut known = Known::default();
    known.put(Slot::Rate, 0, Value::Int(10));
    assert_eq!(weight(&SpanView { known, ..span() }), (Weight::whole(10), true));
    assert_eq!(weight(&span()), (Weight::ONE, false));
    let mut mapper = Mapper::new(Some("SampleRate".into()));
    let resource = mapper.resource(&[("SampleRate", Value::Str("20"))]);
    mapper.span(resource, &span());
    let same = mapper.resource(&[]);
    mapper.span(same, &span());
    let weights: Vec<_> = mapper.batch.rows.iter().map(|row| row.weight).collect();
    assert_eq!(weights, [Weight::whole(20), Weight::ONE]);
}

#[test]
fn a_span_that_is_its_own_parent_is_a_root() {
    let (row, mapper) = one(&SpanView { parent_id: SpanId(2), ..span() });
    assert_eq!(row.parent_id, SpanId::NONE);
    assert_eq!(mapper.repaired.get("self-parent"), Some(&1));
}

#[test]
fn links_are_checked_and_bounded() {
    let mut links = vec![(TraceId(0), SpanId(1)), (TraceId(1), SpanId::NONE)];
    links.extend((0..2_000).map(|i| (TraceId(7), SpanId(i + 1))));
    let (row, mapper) = one(&SpanView { links, ..span() });
    assert!(row.flags.has(SpanFlags::LINKED));
    assert_eq!(mapper.batch.links.len(), MAX_LINKS);
    assert_eq!(mapper.batch.links[0], Link { row: 0, trace_id: TraceId(7), span_id: SpanId(1) });
    assert_eq!(mapper.repaired.into_iter().collect::<Vec<_>>(), [("link-invalid", 2), ("links-over-limit", 976)]);
}

#[test]
fn a_window_drops_what_starts_outside() {
    let mut mapper = Mapper::default().within(Some((10, 20)));
    let resource = mapper.resource(&[]);
    for start in [9, 10, 19, 20] {
        mapper.span(resource, &SpanView { start, end: 100, ..span() });
    }
    assert_eq!(mapper.batch.rows.len(), 2);
    assert_eq!(mapper.repaired.get("outside-window"), Some(&2));
}

#[test]
fn names_are_normalised_once_and_peers_are_shared() {
    let mut mapper = Mapper::default();
    let resource = mapper.resource(&[]);
    for name in ["GET /u/1", "GET /u/2", "GET /u/1"] {
        let known = Known::of(&[("server.address", Value::Str("api"))]);
        mapper.span(resource, &SpanView { name, kind: 3, known, ..span() });
    }
    let rows = &mapper.batch.rows;
    assert!(rows.iter().all(|row| mapper.batch.strings.get(row.name) == "GET /u/{id}" && row.peer == PeerId(1)));
    assert_eq!(mapper.batch.peers()[1].kind, PeerKind::External);
}

#[test]
fn large_dictionaries_are_dropped_between_records() {
    let mut mapper = Mapper::default();
    let resource = mapper.resource(&[]);
    let letters = |n: usize| -> String { (0..4).map(|i| char::from(b'a' + (n / 26usize.pow(i) % 26) as u8)).collect() };
    for n in 0..70_000 {
        mapper.span(resource, &SpanView { name: &letters(n), ..span() });
    }
    let mut pushed = 0;
    let mut push = |batch: &SpanBatch| {
        pushed += batch.rows.len();
        Ok(())
    };
    mapper.trim(&mut push).unwrap();
    assert_eq!((pushed, mapper.batch.strings.len(), mapper.batch.rows.len()), (70_000, 1, 0));
    mapper.trim(&mut |_| panic!("there is nothing left")).unwrap();
}

#[test]
fn the_configured_rate_may_be_an_attribute_of_the_conventions() {
    let mut mapper = Mapper::new(Some("sampling.probability".into()));
    assert_eq!(mapper.classify("sampling.probability"), Some((Slot::SamplingProbability, 0)));
    let resource = mapper.resource(&[]);
    mapper.span(resource, &SpanView { known: Known::of(&[("sampling.probability", Value::Int(8))]), ..span() });
    assert_eq!(mapper.batch.rows[0].weight, Weight::whole(8));
    assert_eq!(Mapper::new(Some("SampleRate".into())).classify("SampleRate"), Some((Slot::Rate, 0)));
}
