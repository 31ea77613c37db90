//! The receiver as it runs: the real binary, sent spans by OTLP's own client, asked to end, killed, and started again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

mod http;
mod pressure;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::transport::Channel;

/// A receiver that is running.
struct Running {
    child: Child,
    address: String,
    /// What it says after the line with its address.
    said: Option<std::thread::JoinHandle<String>>,
}

impl Running {
    fn start(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracebook"))
            .args(["capture", "--from", "otlp://127.0.0.1:0", "--output", "live.snapshot.json"])
            .args(args)
            .current_dir(dir)
            .env_remove("OTEL_ENDPOINT")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut before = String::new();
        let address = loop {
            let mut line = String::new();
            assert!(err.read_line(&mut line).unwrap() > 0, "it ended: {before}");
            if let Some((_, rest)) = line.split_once("receiving OTLP at ") {
                break rest.split_once(',').unwrap().0.to_owned();
            }
            before += &line;
        };
        let said = std::thread::spawn(move || {
            let mut all = before;
            err.read_to_string(&mut all).unwrap();
            all
        });
        Self { child, address, said: Some(said) }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits for its end: exit code and what it said.
    fn end(mut self) -> (Option<i32>, String) {
        let code = self.child.wait().unwrap().code();
        (code, self.said.take().unwrap().join().unwrap())
    }

    async fn client(&self) -> TraceServiceClient<Channel> {
        TraceServiceClient::connect(format!("http://{}", self.address)).await.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// A trace of its own for every number: a server span and its calls to a database, `spans` in all.
fn request(number: u64, spans: u64) -> ExportTraceServiceRequest {
    let second = 1_000_000_000;
    let start = 1_700_000_000 * second + number * 1_000_000;
    let id = |n: u64| (number * 1_000 + n + 1).to_be_bytes().to_vec();
    let spans = (0..spans)
        .map(|n| Span {
            trace_id: (u128::from(number) + 1).to_be_bytes().to_vec(),
            span_id: id(n),
            parent_span_id: if n == 0 { Vec::new() } else { id(0) },
            name: if n == 0 { "GET /cart".to_owned() } else { "SELECT".to_owned() },
            kind: if n == 0 { 2 } else { 3 },
            start_time_unix_nano: start + n,
            end_time_unix_nano: start + n + 1_000 * (number % 7 + 1),
            attributes: if n == 0 { Vec::new() } else { vec![text("db.system", "postgresql")] },
            ..Span::default()
        })
        .collect();
    let resource = Resource { attributes: vec![text("service.name", "cart")], ..Resource::default() };
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }
}

fn snapshot(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn spans_of(snapshot: &serde_json::Value) -> u64 {
    snapshot["coverage"]["spans"].as_u64().unwrap()
}

/// The snapshot that the same requests make when they lie in a file.
fn of_file(dir: &Path, requests: &[ExportTraceServiceRequest]) -> serde_json::Value {
    let framed: Vec<u8> = requests
        .iter()
        .flat_map(|r| [&(r.encoded_len() as u32).to_be_bytes()[..], &r.encode_to_vec()].concat())
        .collect();
    std::fs::write(dir.join("same.binpb"), framed).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_tracebook"))
        .args(["capture", "--quiet", "--from", "same.binpb", "--output", "file.snapshot.json"])
        .current_dir(dir)
        .status()
        .unwrap();
    assert!(status.success());
    snapshot(&dir.join("file.snapshot.json"))
}

#[tokio::test]
async fn what_is_sent_makes_the_snapshot_that_a_file_of_it_makes() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[]);
    let mut plain = running.client().await;
    let mut packed = running.client().await.send_compressed(CompressionEncoding::Gzip);
    let requests: Vec<_> = (0..40).map(|n| request(n, 5)).collect();
    for (n, request) in requests.iter().enumerate() {
        let client = if n % 2 == 0 { &mut plain } else { &mut packed };
        client.export(request.clone()).await.unwrap();
    }
    // A client that did not hear the answer sends again.
    plain.export(requests[3].clone()).await.unwrap();
    plain.export(ExportTraceServiceRequest::default()).await.expect("nothing is a success too");
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("41 request(s) received"), "{said}");
    let mut live = snapshot(&dir.path().join("live.snapshot.json"));
    let mut file = of_file(dir.path(), &requests);
    assert_eq!(live["provenance"]["sources"], serde_json::json!(["otlp://127.0.0.1:0"]));
    assert_eq!(spans_of(&live), 200);
    for snapshot in [&mut live, &mut file] {
        let top = snapshot.as_object_mut().unwrap();
        top.remove("provenance");
        // Its own digest covers the provenance, and duplicates are counted where there are some.
        top.remove("digest");
        top["coverage"].as_object_mut().unwrap().retain(|key, _| !key.contains("duplicate"));
    }
    assert_eq!(live, file);
    assert!(!dir.path().join("live.snapshot.json.wal").exists(), "the log is gone once the snapshot is there");
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &[]);
    let mut client = running.client().await;
    client.export(request(1, 3)).await.unwrap();
    let mut large = request(2, 1);
    large.resource_spans[0].scope_spans[0].spans[0].attributes.push(text("huge", &"x".repeat(65 << 20)));
    let refused = client.export(large).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    assert!(refused.details().is_empty(), "no delay: it will not get smaller");
    // The same path with a message that is no protobuf of this kind.
    let channel = Channel::from_shared(format!("http://{}", running.address)).unwrap().connect().await.unwrap();
    let mut raw = tonic::client::Grpc::new(channel);
    raw.ready().await.unwrap();
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export".parse().unwrap();
    // A string where the list of resources is: length-delimited, but not a message.
    let codec = tonic_prost::ProstCodec::<Resource, Resource>::default();
    let nonsense = Resource { attributes: vec![text("\u{7f}\u{7f}\u{7f}", "x")], ..Resource::default() };
    let answer = raw.unary(tonic::Request::new(nonsense), path, codec).await.unwrap_err();
    assert_eq!(answer.code(), Code::InvalidArgument, "{answer}");
    running.signal("-INT");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(spans_of(&snapshot(&dir.path().join("live.snapshot.json"))), 3);
}

#[tokio::test]
async fn a_snapshot_is_there_before_the_end_and_grows() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--every", "1s", "--for", "5s", "--wal", "log"]);
    let path = dir.path().join("live.snapshot.json");
    let mut client = running.client().await;
    client.export(request(1, 3)).await.unwrap();
    for _ in 0..40 {
        if path.exists() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(spans_of(&snapshot(&path)), 3, "written while receiving went on");
    let again = Command::new(env!("CARGO_BIN_EXE_tracebook"))
        .args(["capture", "--from", "otlp://127.0.0.1:0", "--output", "other.snapshot.json", "--wal", "log"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("log-in-use"));
    client.export(request(2, 4)).await.unwrap();
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(spans_of(&snapshot(&path)), 7);
    let left = std::fs::read_dir(dir.path().join("log")).unwrap().count();
    assert_eq!(left, 0, "a directory that was named stays, empty");
}

#[tokio::test]
async fn a_snapshot_that_cannot_be_written_is_told_and_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--every", "1s"]);
    let path = dir.path().join("live.snapshot.json");
    std::fs::create_dir(&path).unwrap();
    let mut client = running.client().await;
    client.export(request(1, 3)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    // More than one attempt failed by now.
    client.export(request(2, 4)).await.unwrap();
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(said.matches("warning[output-not-a-file]").count(), 1, "{said}");
    assert!(said.contains("error[output-not-a-file]"), "{said}");
    assert!(said.contains("nothing of the log in ") && said.contains("live.snapshot.json.wal was removed"), "{said}");
    // What was taken is kept, and the next run has it.
    std::fs::remove_dir(&path).unwrap();
    let again = Running::start(dir.path(), &[]);
    again.client().await.export(request(3, 1)).await.unwrap();
    again.signal("-TERM");
    let (code, said) = again.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 request(s) received, besides"), "{said}");
    assert_eq!(spans_of(&snapshot(&path)), 8);
}

#[tokio::test]
async fn files_of_refused_spans_alone_do_not_keep_the_others_from_the_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--every", "1s"]);
    let mut client = running.client().await;
    let mut refused = Vec::new();
    let mut bad = request(1, 1);
    bad.resource_spans[0].scope_spans[0].spans[0].trace_id = vec![0; 16];
    refused.push(bad);
    let mut bad = request(2, 1);
    let span = &mut bad.resource_spans[0].scope_spans[0].spans[0];
    (span.start_time_unix_nano, span.end_time_unix_nano) = (0, 0);
    refused.push(bad);
    for (at, bad) in refused.into_iter().enumerate() {
        client.export(request(10 + at as u64, 4)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_300)).await;
        let told = client.export(bad).await.unwrap().into_inner().partial_success.unwrap();
        assert_eq!(told.rejected_spans, 1, "{told:?}");
        tokio::time::sleep(Duration::from_millis(1_300)).await;
    }
    client.export(request(20, 4)).await.unwrap();
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    let snapshot = snapshot(&dir.path().join("live.snapshot.json"));
    assert_eq!(spans_of(&snapshot), 12, "{said}");
    assert_eq!(snapshot["coverage"]["rejected"], serde_json::json!({ "span-without-time": 1, "trace-id-invalid": 1 }));
}

#[tokio::test]
async fn what_was_said_of_refused_spans_is_not_said_at_every_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--every", "1s"]);
    let mut client = running.client().await;
    let mut bad = request(1, 3);
    bad.resource_spans[0].scope_spans[0].spans[0].span_id = vec![1; 3];
    client.export(bad).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    client.export(request(2, 4)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_600)).await;
    running.signal("-TERM");
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    // Two interim snapshots at least and the last one, all of the whole log.
    assert!(said.matches("live.snapshot.json: ").count() >= 3, "{said}");
    // The first time, and in the end.
    assert_eq!(said.matches("warning[span-id-invalid]").count(), 2, "{said}");
}

#[test]
fn flags_that_mean_nothing_and_addresses_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.json"), r#"{"resourceSpans":[]}"#).unwrap();
    for (args, code) in [
        (&["--from", "a.json", "--for", "1s"][..], "flag-without-effect"),
        (&["--from", "a.json", "--wal", "log"], "flag-without-effect"),
        (&["--from", "otlp://127.0.0.1:0"], "receiver-no-output"),
        (&["--from", "otlp://127.0.0.1:0", "--lookback", "1h", "--output", "o.json"], "flag-without-effect"),
        (
            &["--from", "otlp://127.0.0.1:0", "--prometheus", "prometheus://127.0.0.1:1", "--output", "o.json"],
            "flag-without-effect",
        ),
        (&["--from", "otlp://127.0.0.1:0", "--from", "a.json", "--output", "o.json"], "from-mixed"),
        (&["--from", "otlp://127.0.0.1:0/v1", "--output", "o.json"], "source-url"),
        (&["--from", "otlp://127.0.0.1:0", "--output", "."], "output-not-a-file"),
        // An address of nobody's (RFC 5737).
        (&["--from", "otlp://192.0.2.1:4317", "--output", "o.json"], "receiver-address"),
        (&["--from", "otlp://127.0.0.1:0", "--for", "1s", "--output", "o.json"], "no-spans"),
    ] {
        let out = Command::new(env!("CARGO_BIN_EXE_tracebook"))
            .arg("capture")
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains(&format!("[{code}]")), "{args:?}: {said}");
        assert!(!dir.path().join("o.json").exists() && !dir.path().join("o.json.wal").exists());
    }
}

/// All whole messages in the log, in their order.
fn messages(dir: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|e| e == "binpb"));
    files.sort();
    let mut messages = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).unwrap();
        let mut rest = &bytes[..];
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let Some((message, tail)) = tail.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
            messages.push(message.to_vec());
            rest = tail;
        }
    }
    messages
}

/// Span ids of all of them.
fn logged(dir: &Path) -> BTreeSet<Vec<u8>> {
    let requests = messages(dir).into_iter().map(|m| ExportTraceServiceRequest::decode(&m[..]).unwrap());
    let spans = requests.flat_map(|r| r.resource_spans).flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
    spans.map(|span| span.span_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_was_acknowledged_survives_twenty_kills() {
    let dir = tempfile::tempdir().unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let mut torn = 0;
    for round in 0..20 {
        let running = Running::start(dir.path(), &["--every", "1s"]);
        let mut senders = Vec::new();
        for _ in 0..8 {
            let mut client = running.client().await;
            let (next, acknowledged) = (Arc::clone(&next), Arc::clone(&acknowledged));
            senders.push(tokio::spawn(async move {
                loop {
                    let request = request(next.fetch_add(1, Ordering::Relaxed), 20);
                    let ids: Vec<_> =
                        request.resource_spans[0].scope_spans[0].spans.iter().map(|s| s.span_id.clone()).collect();
                    match client.export(request).await {
                        Ok(_) => acknowledged.lock().unwrap().extend(ids),
                        // Whether it is in the log or not: nobody was told that it is.
                        Err(_) => break,
                    }
                }
            }));
        }
        tokio::time::sleep(Duration::from_millis(60 + 71 * (round % 20))).await;
        running.signal("-KILL");
        for sender in senders {
            sender.await.unwrap();
        }
        let (code, said) = running.end();
        assert_eq!(code, None, "killed, not ended: {said}");
        torn += usize::from(said.contains("log-torn"));
    }
    let logged = logged(&dir.path().join("live.snapshot.json.wal"));
    let acknowledged = acknowledged.lock().unwrap();
    let lost = acknowledged.difference(&logged).count();
    println!("{} acknowledged, {} in the log, {torn} torn tail(s)", acknowledged.len(), logged.len());
    assert!(acknowledged.len() > 1_000, "too little was sent to tell: {}", acknowledged.len());
    assert_eq!(lost, 0, "of {} acknowledged spans", acknowledged.len());
    let running = Running::start(dir.path(), &["--for", "1s"]);
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    // All acknowledged spans are in the log, and all of the log is in the snapshot.
    assert_eq!(spans_of(&snapshot(&dir.path().join("live.snapshot.json"))), logged.len() as u64);
}
