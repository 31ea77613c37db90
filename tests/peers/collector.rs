//! A real OpenTelemetry Collector in front of our receiver: what applications send to it is what the snapshot holds, in every
//! encoding its exporters know, and though the receiver is killed meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::otlp::{bodies, send_bodies, send_by_sdk, send_json};
use crate::process::{Peer, free_ports, program};
use crate::receiver::Receiver;
use crate::snapshot::{capture, edges, facts};

/// The exporters, as people configure them.
const GRPC: &str = "otlp: { endpoint: 127.0.0.1:PORT, tls: { insecure: true }, compression: gzip, RETRY }";
const HTTP: &str = "otlphttp: { endpoint: http://127.0.0.1:PORT, compression: gzip, RETRY }";
const JSON: &str = "otlphttp: { endpoint: http://127.0.0.1:PORT, compression: gzip, encoding: json, RETRY }";
const PLAIN_JSON: &str = "otlphttp: { endpoint: http://127.0.0.1:PORT, compression: none, encoding: json, RETRY }";
const RETRY: &str = "sending_queue: { queue_size: 100000, num_consumers: 4 }, \
    retry_on_failure: { initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s }";

struct Collector {
    peer: Peer,
    /// Of OTLP over gRPC and HTTP.
    ports: [u16; 2],
}

impl Collector {
    /// One that sends everything to a receiver, and writes it into a file as well.
    fn start(exporter: &str, to: &Receiver) -> Self {
        let ports @ [grpc, http] = free_ports();
        let exporter = exporter.replace("PORT", &to.port.to_string()).replace("RETRY", RETRY);
        let (name, _) = exporter.split_once(':').unwrap();
        let configuration = format!(
            "receivers:
  otlp:
    protocols:
      grpc: {{ endpoint: 127.0.0.1:{grpc} }}
      http: {{ endpoint: 127.0.0.1:{http} }}
exporters:
  {exporter}
  file: {{ path: spans.jsonl }}
service:
  pipelines:
    traces: {{ receivers: [otlp], exporters: [{name}, file] }}
  telemetry:
    metrics: {{ level: none }}
"
        );
        let files = [("collector.yaml", configuration.as_str())];
        let peer = Peer::start("collector", &["--config", "collector.yaml"], &files, &ports);
        Self { peer, ports }
    }

    /// Ends it, and reads the file it wrote.
    fn end(self) -> Value {
        let file = self.peer.dir.path().join("spans.jsonl");
        let kept = tempfile::tempdir().unwrap();
        let copy = kept.path().join("spans.jsonl");
        let Self { peer, .. } = self;
        // Its directory goes with it, so the file is held by another name before it is complete.
        std::fs::hard_link(&file, &copy).unwrap();
        peer.end();
        capture(&["--from", &copy.display().to_string()]).unwrap()
    }
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn what_goes_through_a_collector_is_what_the_file_holds() {
    // Made by the example `shop`: links, exceptions, sampling thresholds, skewed clocks, orphans, lost roots, duplicates.
    let shop = program("shop.jsonl.zst").display().to_string();
    for exporter in [GRPC, HTTP, JSON, PLAIN_JSON] {
        let receiver = Receiver::start();
        let collector = Collector::start(exporter, &receiver);
        send_by_sdk(50, collector.ports[0]);
        for file in [crate::jaeger::BOUTIQUE, "examples/aisoc/traces.otlp.jsonl.zst", &shop] {
            send_json(file, collector.ports[1]);
        }
        let expected = collector.end();
        let found = receiver.end();
        assert_eq!(facts(&found), facts(&expected), "{exporter}");
        let edges = edges(&found);
        for edge in ["shop/web call shop/cart: 50", "shop/web messaging messaging:kafka:mails: 10"] {
            assert!(edges.iter().any(|found| found == edge), "{exporter}: {edges:#?}");
        }
    }
}

/// The spans of a file in requests of a few spans each.
fn small(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for body in bodies(name) {
        let body: Value = serde_json::from_str(&body).unwrap();
        for resource in body["resourceSpans"].as_array().unwrap() {
            for scope in resource["scopeSpans"].as_array().unwrap() {
                for spans in scope["spans"].as_array().unwrap().chunks(20) {
                    let scope = json!({ "scope": scope["scope"], "spans": spans });
                    let resource = json!({ "resource": resource["resource"], "scopeSpans": [scope] });
                    all.push(json!({ "resourceSpans": [resource] }).to_string());
                }
            }
        }
    }
    all
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn a_receiver_that_is_killed_gets_every_span_from_the_collectors_retries() {
    let shop = small(&program("shop.jsonl.zst").display().to_string());
    assert!(shop.len() > 200, "{}", shop.len());
    for exporter in [GRPC, JSON] {
        let mut receiver = Receiver::start();
        let collector = Collector::start(exporter, &receiver);
        let (port, bodies) = (collector.ports[1], shop.clone());
        let sender = std::thread::spawn(move || send_bodies(&bodies, port, Duration::from_millis(5)));
        let mut at_kills = vec![0];
        for _ in 0..3 {
            // Each time some more have come: retries have found the way back.
            receiver.wait_for(at_kills.last().unwrap() + 200);
            receiver.kill();
            at_kills.push(receiver.logged());
            std::thread::sleep(Duration::from_millis(300));
            receiver.restart();
        }
        assert!(!sender.is_finished(), "it was killed while spans came");
        sender.join().unwrap();
        let whole = capture(&["--from", &program("shop.jsonl.zst").display().to_string()]).unwrap();
        let spans = usize::try_from(whole["coverage"]["spans"].as_u64().unwrap()).unwrap();
        // Not earlier: a Collector that ends gives up what it would have sent again.
        receiver.wait_for(spans);
        let expected = collector.end();
        println!("{exporter}: {spans} spans, in the log at the kills {at_kills:?}");
        let same = |mut snapshot: Value| {
            // What was written down before a kill and not acknowledged comes twice.
            snapshot.as_object_mut().unwrap().remove("digest");
            snapshot["coverage"].as_object_mut().unwrap().retain(|key, _| !key.contains("duplicate"));
            facts(&snapshot)
        };
        assert_eq!(expected["coverage"]["spans"], whole["coverage"]["spans"]);
        assert_eq!(same(receiver.end()), same(expected), "{exporter}");
    }
}
