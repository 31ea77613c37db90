//! OTLP over HTTP on the same port, in protobuf and in JSON.

use std::io::{Read as _, Write as _};

use prost::Message as _;
use serde_json::{Value, json};

use crate::{Running, request, snapshot, spans_of};

pub(crate) const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JSON: &str = "Content-Type: application/json; charset=utf-8\r\n";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        assert!(self.head.contains("content-type: application/json\r\n"), "{}", self.head);
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends a body over HTTP/1.1.
pub(crate) fn post(address: &str, headers: &str, body: &[u8]) -> Answer {
    post_to(address, "/v1/traces", headers, body)
}

fn post_to(address: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A server that knows enough answers before all of a body is sent, and closes.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer") + 4;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer.split_off(end) }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

fn packed(headers: &str) -> String {
    format!("{headers}Content-Encoding: gzip\r\n")
}

#[test]
fn the_same_port_takes_http() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[]);
    let bomb = gzip(&vec![0; 65 << 20]);
    for (headers, body, want) in [
        (PROTOBUF, request(1, 3).encode_to_vec(), 200),
        (&packed(PROTOBUF), gzip(&request(2, 4).encode_to_vec()), 200),
        (PROTOBUF, Vec::new(), 200),
        (PROTOBUF, b"nonsense".to_vec(), 400),
        (&packed(PROTOBUF), request(3, 1).encode_to_vec(), 400),
        (&packed(PROTOBUF), bomb.clone(), 413),
        ("Content-Type: text/plain\r\n", b"{}".to_vec(), 415),
        (&format!("{PROTOBUF}Content-Encoding: br\r\n"), Vec::new(), 415),
    ] {
        let answer = post(&running.address, headers, &body);
        assert_eq!(answer.status, want, "{}", answer.head);
        assert!(answer.head.contains("content-type: application/x-protobuf\r\n"), "{}", answer.head);
        assert_eq!(want == 200, answer.body.is_empty());
    }
    for (headers, body, want) in [
        (JSON, &b"{}"[..], 200),
        (JSON, b"nonsense", 400),
        (&packed(JSON), b"{}", 400),
        (&packed(JSON), &bomb, 413),
        (&format!("{JSON}Content-Encoding: zstd\r\n"), b"{}", 415),
    ] {
        let answer = post(&running.address, headers, body);
        assert_eq!(answer.status, want, "{}", answer.head);
        let said = answer.json();
        assert!(
            said == json!({}) || want > 200 && said["code"].as_i64() > Some(0) && said["message"].is_string(),
            "{said}"
        );
    }
    let said = post(&running.address, JSON, b"{\"resourceSpans\":\n{}}").json();
    assert_eq!(said["code"], 3);
    assert!(said["message"].as_str().unwrap().contains("at line 2, column"), "{said}");
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(spans_of(&snapshot(&dir.path().join("live.snapshot.json"))), 7);
}

#[test]
fn nobody_takes_a_wrong_path_for_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[]);
    for path in ["/v1/metrics", "/v1/logs", "/", "/v1/traces/v1/traces", "/v1/traces/", "//v1/traces", "/V1/traces"] {
        let answer = post_to(&running.address, path, JSON, b"{}");
        assert_eq!((answer.status, answer.json()["code"].as_i64()), (404, Some(5)), "{path}: {}", answer.head);
        assert_eq!(post_to(&running.address, path, PROTOBUF, b"").status, 404, "{path}");
    }
    // Larger than what a connection buffers: the answer is read, not a reset.
    assert_eq!(post_to(&running.address, "/v1/traces/v1/traces", PROTOBUF, &vec![0; 16 << 20]).status, 404);
    // An exporter over HTTP that was given the path of gRPC must not be answered with a 200 either.
    let grpc = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(post_to(&running.address, grpc, JSON, b"{}").status, 415);
    assert_eq!(post_to(&running.address, grpc, PROTOBUF, &request(9, 3).encode_to_vec()).status, 415);
    // In gRPC the status is in the trailers.
    let answer = post_to(&running.address, "/x.Y/Z", "Content-Type: application/grpc\r\n", b"");
    assert!(answer.status == 200 && answer.head.contains("grpc-status: 12"), "{}", answer.head);
    assert_eq!(post(&running.address, PROTOBUF, &request(1, 3).encode_to_vec()).status, 200);
    running.signal("-TERM");
    let (code, said) = running.end();
    // That metrics were refused, and spans: each once, whichever came first.
    assert_eq!((code, said.matches("receiver-path").count()), (Some(0), 2), "{said}");
    assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && said.contains("only traces are taken here"), "{said}");
}

#[test]
fn spans_that_will_not_count_are_told_to_who_sent_them() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[]);
    let span =
        |fields: &str| format!(r#"{{"traceId":"0a6f8898263eec68fafd01cee4d45f03",{fields},"startTimeUnixNano":"5"}}"#);
    let all = [
        span(r#""spanId":"0000000000000001""#),
        span(r#""spanId":"0000000000000002","name":7"#),
        span(r#""spanId":"nonsense""#),
        r#"{"traceId":"0a6f8898263eec68fafd01cee4d45f03","spanId":"0000000000000003","startTimeUnixNano":"soon"}"#
            .to_owned(),
        "7".to_owned(),
    ];
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, all.join(","));
    let answer = post(&running.address, JSON, body.as_bytes());
    assert_eq!(answer.status, 200);
    let said = answer.json();
    assert_eq!(said["partialSuccess"]["rejectedSpans"], "4");
    assert_eq!(
        said["partialSuccess"]["errorMessage"],
        "4 of 5 span(s) were refused: span-id-invalid, span-malformed, span-time-invalid"
    );
    // A request of which nothing else is left is kept too.
    let only = post(&running.address, JSON, br#"{"resourceSpans":[{"scopeSpans":[{"spans":[7,[]]}]}]}"#).json();
    assert_eq!(only["partialSuccess"]["errorMessage"], "2 of 2 span(s) were refused: span-malformed");
    let other = post(&running.address, JSON, br#"{"resourceLogs":[]}"#).json();
    assert!(other["partialSuccess"]["errorMessage"].as_str().unwrap().contains("resourceSpans"), "{other}");
    assert_eq!(other["partialSuccess"].get("rejectedSpans"), None);
    // The same by protobuf.
    let mut bad = request(1, 301);
    bad.resource_spans[0].scope_spans[0].spans[1..].iter_mut().for_each(|span| span.span_id = vec![1; 3]);
    let answer = post(&running.address, PROTOBUF, &bad.encode_to_vec());
    let said = opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse::decode(&answer.body[..]);
    assert_eq!((answer.status, said.unwrap().partial_success.unwrap().rejected_spans), (200, 300));
    // They are in the log, so they count though the receiver is killed.
    running.signal("-KILL");
    assert_eq!(running.end().0, None);
    let (code, said) = Running::start(dir.path(), &["--for", "1s"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning[span-malformed]"), "{said}");
    let coverage = &snapshot(&dir.path().join("live.snapshot.json"))["coverage"];
    let rejected = json!({"span-id-invalid": 301, "span-malformed": 5});
    assert_eq!((coverage["spans"].clone(), coverage["rejected"].clone()), (json!(2), rejected));
}

/// Bodies that real exporters wrote.
fn bodies() -> Vec<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let boutique = std::fs::File::open(root.join("examples/onlineboutique/before.otlp.jsonl.zst")).unwrap();
    let mut text = String::from_utf8(zstd::stream::decode_all(boutique).unwrap()).unwrap();
    text += &std::fs::read_to_string(root.join("tests/data/tempo/shop-slice.jsonl")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn json_that_is_sent_makes_the_snapshot_of_the_file_and_of_protobuf() {
    let bodies = bodies();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("bodies.jsonl"), bodies.join("\n")).unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_tracebook"))
        .args(["capture", "--quiet", "--from", "bodies.jsonl", "--output", "file.snapshot.json"])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    let facts = |path: &str| {
        let mut facts = snapshot(&dir.path().join(path));
        facts["provenance"].as_object_mut().unwrap().remove("sources");
        facts
    };
    let file = facts("file.snapshot.json");
    assert!(spans_of(&file) > 5_000 && file["edges"].as_array().unwrap().len() > 10);
    // What the log of the first holds, sent once more as it is.
    let mut messages = Vec::new();
    for (name, headers) in [("json", JSON.to_owned()), ("gzip", packed(JSON)), ("protobuf", PROTOBUF.to_owned())] {
        let inside = dir.path().join(name);
        std::fs::create_dir(&inside).unwrap();
        let running = Running::start(&inside, &["--every", "1h"]);
        let sent: Vec<Vec<u8>> = match name {
            "json" => bodies.iter().map(|body| body.clone().into_bytes()).collect(),
            "gzip" => bodies.iter().map(|body| gzip(body.as_bytes())).collect(),
            _ => std::mem::take(&mut messages),
        };
        assert_eq!(sent.len(), bodies.len());
        for body in &sent {
            let answer = post(&running.address, &headers, body);
            assert_eq!(answer.status, 200, "{}", answer.head);
            if name != "protobuf" {
                assert_eq!(answer.json(), json!({}));
            }
        }
        if messages.is_empty() && name == "json" {
            messages = crate::messages(&inside.join("live.snapshot.json.wal"));
        }
        running.signal("-TERM");
        let (code, said) = running.end();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(facts(&format!("{name}/live.snapshot.json")), file, "{name}");
    }
}
