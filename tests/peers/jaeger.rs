//! The Jaeger source against a real Jaeger with two of its storages: in memory, which keeps OTLP, and Badger, which keeps
//! Jaeger's older model of spans, as Elasticsearch and Cassandra do.

use serde_json::Value;

use crate::otlp::{path, send_by_sdk, send_json, send_protobuf};
use crate::process::{Peer, free_ports, program};
use crate::snapshot::{capture, edges, facts, of_file};

pub(crate) const BOUTIQUE: &str = "examples/onlineboutique/before.otlp.jsonl.zst";
const DAY: [&str; 4] = ["--start", "2022-08-23T00:00:00Z", "--end", "2022-08-24T00:00:00Z"];

const MEMORY: &str = "memory: { max_traces: 100000 }";
const BADGER: &str = "badger: { directories: { keys: keys, values: values }, ephemeral: false }";

pub(crate) struct Jaeger {
    peer: Peer,
    /// gRPC and HTTP of the query service, gRPC and HTTP of OTLP.
    pub(crate) ports: [u16; 4],
}

impl Jaeger {
    pub(crate) fn start() -> Self {
        Self::with(MEMORY, "")
    }

    /// With a storage, and more settings for the query service's gRPC side.
    fn with(storage: &str, grpc: &str) -> Self {
        let ports @ [query, page, otlp, otlp_http] = free_ports();
        // Nothing that Jaeger does between receiving and storing is left out; sampling, other receivers and metrics are.
        let configuration = format!(
            "service:
  extensions: [jaeger_storage, jaeger_query]
  pipelines:
    traces: {{ receivers: [otlp], exporters: [jaeger_storage_exporter] }}
  telemetry:
    metrics: {{ level: none }}
extensions:
  jaeger_query:
    storage: {{ traces: store }}
    grpc: {{ endpoint: 127.0.0.1:{query}{grpc} }}
    http: {{ endpoint: 127.0.0.1:{page} }}
  jaeger_storage:
    backends: {{ store: {{ {storage} }} }}
receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: 127.0.0.1:{otlp} }}
      http: {{ endpoint: 127.0.0.1:{otlp_http} }}
exporters:
  jaeger_storage_exporter: {{ trace_storage: store }}
"
        );
        let files = [("jaeger.yaml", configuration.as_str())];
        let peer = Peer::start("jaeger", &["--config", "jaeger.yaml"], &files, &ports);
        Self { peer, ports }
    }

    pub(crate) fn url(&self) -> String {
        format!("jaeger://127.0.0.1:{}", self.ports[0])
    }

    /// One with the traces of OnlineBoutique.
    fn boutique() -> Self {
        let jaeger = Self::start();
        send_json(BOUTIQUE, jaeger.ports[3]);
        jaeger
    }
}

/// The whole window of a file's snapshot, as arguments; its last trace starts before its end.
pub(crate) fn window(snapshot: &Value) -> [&str; 4] {
    let at = |key: &str| snapshot["window"][key].as_str().unwrap();
    ["--start", at("start"), "--end", at("end")]
}

pub(crate) fn pull(from: &str, window: [&str; 4]) -> Result<Value, String> {
    capture(&[&["--from", from][..], &window].concat())
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn a_snapshot_by_way_of_jaeger_is_that_of_the_file() {
    // Made by the example `shop`: links, retries, sampling thresholds, skewed clocks, orphans, lost roots, duplicates.
    let shop = program("shop.jsonl.zst").display().to_string();
    for storage in [MEMORY, BADGER] {
        for file in [
            BOUTIQUE,
            "examples/onlineboutique/after.otlp.jsonl.zst",
            "examples/aisoc/traces.otlp.jsonl.zst",
            "tests/data/tempo/shop-slice.otlp.binpb",
            &shop,
        ] {
            let jaeger = Jaeger::with(storage, "");
            if file.ends_with(".binpb") {
                send_protobuf(file, jaeger.ports[2]);
            } else {
                send_json(file, jaeger.ports[3]);
            }
            let mut expected = of_file(file);
            let found = pull(&jaeger.url(), window(&expected));
            let found = found.unwrap_or_else(|said| panic!("{file} {storage}: {said}{}", jaeger.peer.log()));
            assert_eq!(found["provenance"]["sources"], serde_json::json!([jaeger.url()]));
            if storage == BADGER {
                // It keeps spans by trace, start and id: of a span that was sent twice there is one.
                expected["coverage"]["duplicates"] = 0.into();
            }
            // Down to the digest over all spans: Jaeger changes nothing else that a snapshot is made of.
            assert_eq!(facts(&found), facts(&expected), "{file} {storage}");
        }
    }
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn a_small_search_depth_gives_every_trace_once() {
    let expected = of_file(BOUTIQUE);
    for storage in [MEMORY, BADGER] {
        let jaeger = Jaeger::with(storage, "");
        send_json(BOUTIQUE, jaeger.ports[3]);
        for depth in [20, 3] {
            let found = pull(&format!("{}?depth={depth}", jaeger.url()), DAY).unwrap();
            assert_eq!(facts(&found), facts(&expected), "depth {depth} {storage}");
        }
    }
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn successive_windows_have_each_trace_once() {
    let jaeger = Jaeger::boutique();
    let all = of_file(BOUTIQUE);
    let part = |start: &str, end: &str| pull(&jaeger.url(), ["--start", start, "--end", end]).unwrap();
    let middle = "2022-08-23T14:29:58.123456789Z";
    let (first, second) = (part(DAY[1], middle), part(middle, DAY[3]));
    let count = |snapshot: &Value, key: &str| snapshot["coverage"][key].as_u64().unwrap();
    for key in ["traces", "spans"] {
        assert!(count(&first, key) > 0 && count(&second, key) > 0);
        assert_eq!(count(&first, key) + count(&second, key), count(&all, key), "{key}");
    }
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn a_storage_that_refuses_the_search_depth_is_asked_for_less() {
    // The storage in memory refuses a depth beyond the number of traces it keeps.
    let jaeger = Jaeger::with("memory: { max_traces: 100 }", "");
    let file = "tests/data/tempo/shop-slice.otlp.binpb";
    send_protobuf(file, jaeger.ports[2]);
    let expected = of_file(file);
    assert_eq!(facts(&pull(&jaeger.url(), window(&expected)).unwrap()), facts(&expected));
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn nothing_in_the_window_and_nothing_at_all_are_errors() {
    let jaeger = Jaeger::start();
    let said = pull(&jaeger.url(), DAY).unwrap_err();
    assert!(said.contains("error[no-traces-in-window]") && said.contains("knows no service"), "{said}");
    send_json(BOUTIQUE, jaeger.ports[3]);
    let said = pull(&jaeger.url(), ["--start", "2023-01-01T00:00:00Z", "--end", "2023-01-02T00:00:00Z"]).unwrap_err();
    assert!(said.contains("error[no-traces-in-window]") && said.contains("10 services"), "{said}");
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn a_wrong_port_is_told_by_what_answers_there() {
    let jaeger = Jaeger::start();
    let [_, page, otlp, otlp_http] = jaeger.ports;
    let [closed] = free_ports();
    for (port, code, advice) in [
        (page, "jaeger-not-grpc", "16686 is the page for people"),
        (otlp, "jaeger-unimplemented", "16685 by default"),
        (otlp_http, "jaeger-not-grpc", "16685 by default"),
        (closed, "jaeger-unreachable", "16685"),
    ] {
        let said = pull(&format!("jaeger://127.0.0.1:{port}"), DAY).unwrap_err();
        assert!(said.contains(&format!("error[{code}]")) && said.contains(advice), "{said}");
    }
    let said = pull(&format!("jaeger+https://127.0.0.1:{}", jaeger.ports[0]), DAY).unwrap_err();
    assert!(said.contains("error[jaeger-tls]"), "{said}");
    let said = pull(&format!("tempo://127.0.0.1:{}", jaeger.ports[0]), DAY).unwrap_err();
    assert!(said.contains("error[tempo-unimplemented]") && said.contains("16685 is Jaeger"), "{said}");
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn tls_is_spoken_and_certificates_are_checked() {
    let file = |name: &str| path(&format!("tests/data/tls/{name}"));
    let tls = format!(
        ", tls: {{ cert_file: {}, key_file: {}, client_ca_file: {} }}",
        file("server.pem"),
        file("server.key"),
        file("ca.pem")
    );
    let jaeger = Jaeger::with(MEMORY, &tls);
    send_json(BOUTIQUE, jaeger.ports[3]);
    let url = format!("jaeger+https://127.0.0.1:{}", jaeger.ports[0]);
    let (ca, other, cert, key) = (file("ca.pem"), file("other-ca.pem"), file("client.pem"), file("client.key"));
    let named = ["--from", &url, "--server-name", "tempo.test", "--client-cert", &cert, "--client-key", &key];
    let found = capture(&[&named[..], &["--ca-file", &ca], &DAY].concat()).unwrap();
    assert_eq!(facts(&found), facts(&of_file(BOUTIQUE)));
    let said = capture(&[&named[..], &["--ca-file", &other], &DAY].concat()).unwrap_err();
    assert!(said.contains("error[jaeger-tls]") && said.contains("UnknownIssuer"), "{said}");
    let said = capture(&[&["--from", &url, "--server-name", "tempo.test", "--ca-file", &ca][..], &DAY].concat());
    assert!(said.unwrap_err().contains("error[jaeger-"));
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn what_the_opentelemetry_sdk_sends_has_exactly_its_edges() {
    let jaeger = Jaeger::start();
    send_by_sdk(50, jaeger.ports[2]);
    let found = capture(&["--from", &jaeger.url(), "--lookback", "1h"]).unwrap();
    let expected = [
        "entry:user entry shop/web: 50",
        "messaging:kafka:mails messaging shop/mailer: 10",
        "shop/cart database database:redis:redis: 50",
        "shop/web messaging messaging:kafka:mails: 10",
        "shop/web call shop/cart: 50",
    ];
    assert_eq!(edges(&found), expected);
    assert_eq!(found["coverage"]["traces"], 50);
    assert_eq!(found["coverage"]["orphans"], 0);
}
