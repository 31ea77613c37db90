//! What stands before the service: room for only so many requests, and statuses that mean to clients what is meant.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceServiceServer;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::http::{HeaderValue, Request, Response, StatusCode};
use tonic::codegen::{BoxFuture, Service};
use tonic::{Code, Status};

use super::export::Exporter;
use super::{http, retry};

/// How long a request may take from its first byte on: one that never ends must not keep the room of others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service with a limit on requests that are under way on all connections together.
#[derive(Debug, Clone)]
pub(super) struct Door {
    grpc: TraceServiceServer<Exporter>,
    exporter: Exporter,
    room: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(grpc: TraceServiceServer<Exporter>, exporter: Exporter, room: Arc<Semaphore>) -> Self {
        Self { grpc, exporter, room }
    }
}

impl Service<Request<Body>> for Door {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let plain = request.uri().path() == http::PATH;
        // Before anything of the body is read: what waits in memory is bounded by this.
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let later = retry::later("too many requests at once");
            let answer = if plain { http::refusal(StatusCode::TOO_MANY_REQUESTS, &later) } else { later.into_http() };
            return Box::pin(async { Ok(answer) });
        };
        if plain {
            let exporter = self.exporter.clone();
            return Box::pin(async move {
                let response = timeout(PATIENCE, http::answer(&exporter, request)).await;
                drop(room);
                Ok(response.unwrap_or_else(|_| http::refusal(StatusCode::SERVICE_UNAVAILABLE, &slow())))
            });
        }
        let answer = self.grpc.call(request);
        Box::pin(async move {
            let mut response = timeout(PATIENCE, answer).await.unwrap_or_else(|_| Ok(slow().into_http()))?;
            meant(&mut response);
            drop(room);
            Ok(response)
        })
    }
}

fn slow() -> Status {
    Status::unavailable("the request took too long to come or to be written down")
}

/// Corrects what tonic says of requests that never reach the service. A message over the limit is `OUT_OF_RANGE` to it,
/// which OTLP clients take for "send it again", for ever; what cannot be decoded is `INTERNAL`, as if it were our fault.
fn meant(response: &mut Response<Body>) {
    let status = response.headers().get("grpc-status").and_then(|s| s.to_str().ok()).and_then(|s| s.parse().ok());
    let instead = match status.map(Code::from_i32) {
        Some(Code::OutOfRange) => Code::ResourceExhausted,
        Some(Code::Internal) => Code::InvalidArgument,
        _ => return,
    };
    response.headers_mut().insert("grpc-status", HeaderValue::from(instead as i32));
}
