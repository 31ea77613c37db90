//! OTLP over gRPC: the one call there is, its framing read here so that its bytes count and go into the log as they are.
//!
//! A message comes as a byte that says whether it is packed and its length in 4 bytes, most significant first; the log keeps
//! it after that very length. tonic writes the answer.
//!
//! Source: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.

use std::future::{Ready, ready};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::{Grpc, UnaryService};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::body::{collect, unpack, work};
use super::budget::{Buffer, PREFIX};
use super::export::{Exporter, Refused};

/// What is called.
pub(super) const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// A message of no bytes, which is also a text.
const NOTHING: &str = "\0\0\0\0\0";

/// Answers one call.
pub(super) async fn answer(exporter: &Exporter, request: Request<Body>) -> Response<Body> {
    match keep(exporter, request).await {
        Ok(response) => {
            let mut grpc = Grpc::new(ProstCodec::<ExportTraceServiceResponse, ()>::default());
            grpc.unary(Said(Some(response)), Request::new(Body::new(NOTHING.to_owned()))).await
        }
        Err(status) => {
            let unimplemented = status.code() == Code::Unimplemented;
            let mut response = status.into_http();
            if unimplemented {
                response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static("gzip,identity"));
            }
            response
        }
    }
}

async fn keep(exporter: &Exporter, request: Request<Body>) -> Result<ExportTraceServiceResponse, Status> {
    let (parts, mut body) = request.into_parts();
    let mut message = exporter.budget().buffer();
    let begun = |[_, length @ ..]: [u8; 1 + PREFIX], message: &mut Buffer| {
        let more = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        message.expect(more.saturating_add(PREFIX))?;
        message.push(&length)
    };
    let [packed, ..] = collect(&mut body, &mut message, begun).await?;
    let length = message.bytes().first_chunk::<PREFIX>().map(|length| u32::from_be_bytes(*length));
    if length.and_then(|length| usize::try_from(length).ok()) != Some(message.message().len()) {
        return Err(Status::invalid_argument("the message is not as long as it says"));
    }
    if packed != 0 {
        if encoding(&parts.headers) != "gzip" {
            return Err(Status::unimplemented("only gzip is unpacked"));
        }
        let mut plain = exporter.budget().buffer();
        work(message.bytes().len(), || {
            plain.push(&[0; PREFIX])?;
            unpack(message.message(), &mut plain)
        })?;
        message = plain;
    }
    exporter.keep(message, Refused::new()).await
}

fn encoding(headers: &HeaderMap) -> &str {
    headers.get("grpc-encoding").and_then(|value| value.to_str().ok()).unwrap_or_default().trim()
}

/// An answer that is known already.
struct Said(Option<ExportTraceServiceResponse>);

impl UnaryService<()> for Said {
    type Response = ExportTraceServiceResponse;
    type Future = Ready<Result<tonic::Response<ExportTraceServiceResponse>, Status>>;

    fn call(&mut self, _: tonic::Request<()>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.take().unwrap_or_default())))
    }
}
