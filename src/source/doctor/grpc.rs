//! Questions over gRPC: which services are registered.
//!
//! Messages are empty both ways, so that no service's own types are needed: an empty request asks for a few recent traces or
//! for names, or sends no spans. The first message of an answer is enough; the rest is not waited for.

use std::time::Duration;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::{Access, Answer, Service};
use crate::source::backend::trouble::line;

const QUESTIONS: [(Service, &str); 3] = [
    (Service::TempoGrpc, "/tempopb.StreamingQuerier/Search"),
    (Service::JaegerGrpc, "/jaeger.api_v3.QueryService/GetServices"),
    (Service::OtlpGrpc, "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
];

/// Asks for each service. A server that knows none of them is said to be a gRPC server.
pub(super) async fn ask(channel: Channel, metadata: &MetadataMap, patience: Duration) -> Vec<Answer> {
    let mut answers = Vec::new();
    let mut unimplemented = false;
    for (service, path) in QUESTIONS {
        let asked = tokio::time::timeout(patience, call(channel.clone(), metadata.clone(), path)).await;
        let (access, detail) = match asked {
            // Nor would it answer the others.
            Err(_) if answers.is_empty() => {
                let detail = "no answer in time".to_owned();
                return vec![Answer { service: Service::Grpc, access: Access::NotReady, detail }];
            }
            Err(_) => (Access::NotReady, "no answer in time".to_owned()),
            Ok(Ok(())) => (Access::Open, String::new()),
            Ok(Err(status)) => match access(&status) {
                // What it finds wrong with an empty question is no news.
                Some(Access::Open) => (Access::Open, String::new()),
                Some(access) => (access, line(status.message())),
                None => {
                    unimplemented |= grpc_said(&status);
                    continue;
                }
            },
        };
        answers.push(Answer { service, access, detail });
    }
    if answers.is_empty() && unimplemented {
        answers.push(Answer { service: Service::Grpc, access: Access::Open, detail: String::new() });
    }
    answers
}

async fn call(channel: Channel, metadata: MetadataMap, path: &'static str) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let mut request = Request::new(());
    *request.metadata_mut() = metadata;
    let codec = ProstCodec::<(), ()>::default();
    // A single answer is a stream of one, so this serves for both kinds of call.
    let mut stream = grpc.server_streaming(request, PathAndQuery::from_static(path), codec).await?.into_inner();
    stream.message().await.map(|_| ())
}

/// What a refusal says about a service; `None` when it says that the service is not there.
fn access(status: &Status) -> Option<Access> {
    let text = status.message();
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => Some(Access::Denied),
        _ if text.contains("no org id") => Some(Access::TenantMissing),
        Code::ResourceExhausted | Code::DeadlineExceeded => Some(Access::NotReady),
        // The handler of the service itself spoke.
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::OutOfRange => Some(Access::Open),
        Code::Internal if text.contains("empty ring") => Some(Access::NotReady),
        _ => None,
    }
}

/// Whether the server itself said that it has no such service, rather than a web server's 404.
fn grpc_said(status: &Status) -> bool {
    status.code() == Code::Unimplemented && !status.message().contains("HTTP status code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_by_the_service_is_not_its_absence() {
        assert_eq!(access(&Status::unknown("no org id")), Some(Access::TenantMissing));
        assert_eq!(access(&Status::unauthenticated("")), Some(Access::Denied));
        assert_eq!(access(&Status::invalid_argument("bad")), Some(Access::Open));
        assert_eq!(access(&Status::unimplemented("unknown service x")), None);
        assert!(grpc_said(&Status::unimplemented("unknown service x")));
        assert!(!grpc_said(&Status::unimplemented("grpc-status header missing, mapped from HTTP status code 404")));
    }
}
