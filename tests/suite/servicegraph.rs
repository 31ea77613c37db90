//! The expected results of the OpenTelemetry Collector's `servicegraph` connector: all five cases of its test data.

use serde_json::{Value, json};
use tracebook::spans::Weight;
use tracebook::topology::{EdgeKind, KnownBy, NodeKind, Sketch, Snapshot};

use crate::expected::{captured, data, edge, edges, json as file, on_purpose};

/// The case with this expected file, and the snapshot of its trace.
fn case(expected_file: &str) -> (Value, Snapshot) {
    let cases = file("otel-contrib-servicegraph/expected.json");
    assert_eq!(cases.as_array().unwrap().len(), 5);
    let case = cases.as_array().unwrap().iter().find(|c| c["expected_file"] == expected_file).unwrap().clone();
    let trace = match case["trace"].as_str() {
        Some(name) => std::fs::read(data("otel-contrib-servicegraph").join(name)).unwrap(),
        None => three_requests_one_failed("server"),
    };
    (case, captured(trace))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

/// Sums of the expected points of an edge over its `failed` and successful series.
fn sum(points: &[&Value], key: &str) -> f64 {
    points.iter().filter_map(|p| p.get(key)?.as_f64()).sum()
}

/// Count, sum and, where given, the buckets of one side's histogram.
fn assert_side(sketch: &Sketch, points: &[&Value], side: &str) {
    let of = |what: &str| sum(points, &format!("{side}_{what}"));
    assert_eq!(sketch.n() as f64, of("count"), "{side}");
    assert!((sketch.sum_seconds() - of("seconds_sum")).abs() < 1e-15, "{side} {}", sketch.sum_seconds());
    let Some(buckets) = points[0].get(format!("{side}_buckets")) else { return };
    // Upper bounds of the connector's buckets, as the case configures them; the last is open.
    let bounds = [0.1, 1.0, 10.0];
    let upto: Vec<f64> = bounds.iter().map(|s| sketch.share_at_most((s * 1e9) as u64).unwrap()).chain([1.0]).collect();
    let ours: Vec<f64> = upto
        .iter()
        .scan(0.0, |before, now| Some(now - std::mem::replace(before, *now)))
        .map(|s| s * sketch.n() as f64)
        .collect();
    assert_eq!(json!(ours), json!(buckets.as_array().unwrap().iter().map(|b| b.as_f64().unwrap()).collect::<Vec<_>>()));
}

/// An edge is what the connector expects of the pair, its series added up.
#[track_caller]
fn assert_as_expected(case: &Value, snapshot: &Snapshot, client: &str, server: &str) {
    let all = case["edges"].as_array().unwrap();
    let points: Vec<&Value> = all.iter().filter(|e| e["client"] == client && e["server"] == server).collect();
    let ours = edge(snapshot, client, server);
    assert_eq!(ours.calls.as_f64(), sum(&points, "request_total"));
    assert_eq!(ours.errors.as_f64(), sum(&points, "request_failed_total"));
    // `connection_type` is empty: both ends are services, and the edge is a plain call.
    assert!(points.iter().all(|p| p["connection_type"] == ""));
    assert_eq!((ours.kind, ours.strongest()), (EdgeKind::Call, KnownBy::Paired));
    assert_side(&ours.client, &points, "client");
    assert_side(&ours.server, &points, "server");
}

#[test]
fn messaging_and_database_attributes_on_a_pair_leave_one_plain_call() {
    let (case, snapshot) = case("extra-dimensions-queue-db-expected-metrics.yaml");
    assert_as_expected(&case, &snapshot, "foo-server", "bar-requester");
    assert_eq!(edges(&snapshot), ["foo-server -> bar-requester call 1"]);
    // The connector labels the edge with the span attributes it was told to.
    assert_eq!(case["edges"][0]["labels"]["client_messaging.system"], "kafka");
    on_purpose("fixed-dimensions");
    assert!(snapshot.nodes.iter().all(|n| n.kind == NodeKind::Service && n.system.is_empty()));
}

#[test]
fn a_pair_without_messaging_attributes_has_no_time_in_a_queue() {
    let (case, snapshot) = case("messaging-system-trace-expected-metrics.yaml");
    assert_as_expected(&case, &snapshot, "foo-server", "bar-requester");
    let dwell = &edge(&snapshot, "foo-server", "bar-requester").dwell;
    assert_eq!(
        (json!(dwell.n()), json!(dwell.sum_seconds() as u64)),
        (json!(0), case["edges"][0]["messaging_seconds_sum"].clone())
    );
    assert_eq!(json!(dwell.n()), case["edges"][0]["messaging_count"]);
}

#[test]
fn a_lone_client_and_a_lone_server_are_no_edge_to_unknown_and_one_from_the_caller_it_names() {
    let (case, snapshot) = case("virtual-node-label-expected-metrics.yaml");
    let [lone_client, lone_server] = case["edges"].as_array().unwrap().as_slice() else { panic!("two edges") };

    assert_eq!((text(lone_client, "client"), text(lone_client, "server")), ("foo-server", "unknown"));
    on_purpose("no-unknown-node");
    assert!(snapshot.nodes.iter().all(|n| n.name != "unknown"), "{:?}", snapshot.nodes);
    assert_eq!(json!(snapshot.coverage.unpaired), lone_client["request_total"]);

    assert_eq!((text(lone_server, "client"), text(lone_server, "server")), ("user", "bar-requester"));
    on_purpose("named-caller");
    let caller = text(&lone_server["labels"], "server_peer.service");
    assert_eq!(edges(&snapshot), [format!("{caller} -> bar-requester call {}", lone_server["request_total"])]);
    let call = edge(&snapshot, caller, "bar-requester");
    assert_eq!((call.strongest(), call.errors), (KnownBy::Inferred, Weight::ZERO));
    assert!(!snapshot.node(&call.source).unwrap().instrumented, "virtual, as the connector has it");
    // Its span's microsecond; the connector's versions disagree on the side it belongs to.
    assert_eq!((call.client.n(), call.server.sum_seconds()), (0, 1e-6));
}

#[test]
fn a_caller_named_by_the_old_attribute_is_the_same_caller() {
    let (case, snapshot) = case("virtual-node-label-client-expected-metrics.yaml");
    let expected = &case["edges"][0];
    assert_eq!((text(expected, "client"), text(&expected["labels"], "virtual_node")), ("user", "client"));
    on_purpose("named-caller");
    let caller = text(&expected["labels"], "server_peer.service");
    assert_eq!(edges(&snapshot), [format!("{caller} -> bar-requester call {}", expected["request_total"])]);
    assert!(!snapshot.node(&edge(&snapshot, caller, "bar-requester").source).unwrap().instrumented);
}

/// The input the connector's fifth case builds in its test code: three requests of a second, one failed.
fn three_requests_one_failed(which_side: &str) -> Vec<u8> {
    let side = |service: &str, kind: u8, id: u64, parent: u64, failed: bool| {
        let status = if failed { json!({ "code": 2 }) } else { json!({}) };
        json!({
            "resource": { "attributes": [{ "key": "service.name", "value": { "stringValue": service } }] },
            "scopeSpans": [{ "spans": [{
                "traceId": format!("{:032x}", id | 1), "spanId": format!("{id:016x}"),
                "parentSpanId": if parent == 0 { String::new() } else { format!("{parent:016x}") },
                "name": "request", "kind": kind, "status": status,
                "startTimeUnixNano": "1800000000000000000", "endTimeUnixNano": "1800000001000000000",
            }] }],
        })
    };
    let requests = (1..=3).flat_map(|n| {
        let failed = |side: &str| n == 3 && side == which_side;
        [side("foo", 3, n * 2, 0, failed("client")), side("bar", 2, n * 2 + 1, n * 2, failed("server"))]
    });
    json!({ "resourceSpans": requests.collect::<Vec<_>>() }).to_string().into_bytes()
}

#[test]
fn the_error_of_either_side_fails_the_call_and_series_add_up_to_one_edge() {
    let (case, from_server) = case("failed-label-not-work-expect-metrics.yaml");
    on_purpose("one-edge");
    assert_eq!(case["edges"].as_array().unwrap().len(), 2, "failed and successful calls are separate series");
    for snapshot in [from_server, captured(three_requests_one_failed("client"))] {
        assert_as_expected(&case, &snapshot, "foo", "bar");
        assert_eq!(
            edges(&snapshot).iter().filter(|e| !e.starts_with("entry:")).collect::<Vec<_>>(),
            ["foo -> bar call 3"]
        );
        assert_eq!(edge(&snapshot, "foo", "bar").errors, Weight::ONE);
    }
}
