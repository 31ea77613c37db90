//! Zipkin's JSON: real traces of its users, and its shared spans.

use serde_json::{Value, json};

use crate::expected::{captured, edge, edges, json as file};

#[test]
fn a_message_by_way_of_a_broker() {
    let spans = file("zipkin/messaging.json");
    let snapshot = captured(spans.to_string());
    let topic = "messaging:rabbitmq:(unnamed)";
    let sent = [format!("frontend -> {topic} messaging 1"), format!("{topic} -> backend messaging 1")];
    assert_eq!(edges(&snapshot), [["entry:user -> frontend entry 1".to_owned()].as_slice(), &sent].concat());
    assert_eq!((snapshot.coverage.spans, snapshot.coverage.traces), (4, 1));
}

#[test]
fn a_database_that_only_the_endpoint_names() {
    let spans = file("zipkin/simple-db-p6.json");
    let snapshot = captured(spans.to_string());
    assert_eq!(edges(&snapshot), ["bootifulmeters -> app_db call 4", "entry:user -> bootifulmeters entry 1"]);
}

/// A request of `web` to `api`, both spans with one id.
fn shared() -> Value {
    let span = |kind: &str, service: &str, at: u64, more: Value| {
        let mut span = json!({
            "traceId": "86154a4ba6e91385", "parentId": "86154a4ba6e91385", "id": "4d1e00c0db9010db", "kind": kind,
            "name": "get /api", "timestamp": 1_458_702_548_467_000_u64 + at, "duration": 1_000 - 2 * at,
            "localEndpoint": { "serviceName": service, "ipv4": "127.0.0.1" },
        });
        span.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        span
    };
    json!([
        span("SERVER", "web", 0, json!({ "parentId": null, "id": "86154a4ba6e91385" })),
        span("CLIENT", "web", 10, json!({ "remoteEndpoint": { "ipv4": "10.0.0.9", "port": 9000 } })),
        span("SERVER", "api", 20, json!({ "shared": true, "tags": { "error": "" } })),
    ])
}

#[test]
fn spans_that_share_an_id_are_one_call_in_every_layout() {
    let spans = shared();
    let whole = captured(spans.to_string());
    assert_eq!(edges(&whole), ["entry:user -> web entry 1", "web -> api call 1"]);
    let call = edge(&whole, "web", "api");
    assert_eq!((call.n, call.errors.to_string().as_str()), (1, "1"));
    assert_eq!((whole.coverage.duplicates, whole.coverage.orphans), (0, 0));
    let lines: Vec<String> = spans.as_array().unwrap().iter().map(|span| json!([span]).to_string()).collect();
    for text in [json!([spans]).to_string(), format!("{spans}\n{}", json!([])), lines.join("\n")] {
        let again = captured(&text);
        assert_eq!(
            (&again.nodes, &again.edges, &again.operations),
            (&whole.nodes, &whole.edges, &whole.operations),
            "{text}"
        );
    }
}
