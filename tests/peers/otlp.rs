//! Sends files of this repository to a peer by OTLP, as they are.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;

use crate::process::program;

/// A file of the repository, or anywhere by its whole path.
pub(crate) fn path(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name).display().to_string()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// Sends protobuf messages, each after its length in 4 bytes, over gRPC.
pub(crate) fn send_protobuf(name: &str, port: u16) {
    let bytes = std::fs::read(path(name)).unwrap();
    let mut messages = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        messages.push(ExportTraceServiceRequest::decode(message).unwrap());
        rest = tail;
    }
    assert!(!messages.is_empty() && rest.is_empty());
    run(async {
        let mut client = TraceServiceClient::connect(format!("http://127.0.0.1:{port}")).await.unwrap();
        for message in messages {
            let refused = client.export(message).await.unwrap().into_inner().partial_success;
            assert_eq!(refused.map_or(0, |refused| refused.rejected_spans), 0);
        }
    });
}

/// JSON documents, one a line, packed with zstd.
pub(crate) fn bodies(name: &str) -> Vec<String> {
    let text = zstd::stream::decode_all(std::fs::File::open(path(name)).unwrap()).unwrap();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

/// Lets the OpenTelemetry SDK send that many requests of a small shop, over gRPC.
pub(crate) fn send_by_sdk(requests: u32, port: u16) {
    let sent = Command::new(program("python"))
        .args([path("tests/peers/sdk/shop.py"), format!("127.0.0.1:{port}"), requests.to_string()])
        .output()
        .unwrap();
    assert!(sent.status.success(), "{}", String::from_utf8_lossy(&sent.stderr));
}

/// Sends JSON documents, one a line, packed with zstd, over HTTP.
pub(crate) fn send_json(name: &str, port: u16) {
    send_bodies(&bodies(name), port, Duration::ZERO);
}

/// Sends JSON documents over HTTP, one after the other, with a pause after each.
pub(crate) fn send_bodies(bodies: &[String], port: u16, pause: Duration) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(async {
        let client = reqwest::Client::new();
        for body in bodies {
            let answer = client
                .post(format!("http://127.0.0.1:{port}/v1/traces"))
                .header("content-type", "application/json")
                .body(body.clone())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            tokio::time::sleep(pause).await;
        }
    });
}
