//! Sends files of this repository to a peer by OTLP, as they are.

use std::path::Path;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use prost::Message;

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

/// Sends JSON documents, one a line, packed with zstd, over HTTP.
pub(crate) fn send_json(name: &str, port: u16) {
    let text = zstd::stream::decode_all(std::fs::File::open(path(name)).unwrap()).unwrap();
    let _ = rustls::crypto::ring::default_provider().install_default();
    run(async {
        let client = reqwest::Client::new();
        for line in String::from_utf8(text).unwrap().lines() {
            let answer = client
                .post(format!("http://127.0.0.1:{port}/v1/traces"))
                .header("content-type", "application/json")
                .body(line.to_owned())
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status().as_u16(), 200);
        }
    });
}
