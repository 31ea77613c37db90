//! What stands before both ways in: room for only so many requests, and a time for each.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Method, Request, Response, StatusCode, header};
use tonic::codegen::{BoxFuture, Service};

use super::export::Exporter;
use super::http::Form;
use super::notes::Notes;
use super::{grpc, http, retry};
use crate::diag::Diagnostic;
use crate::spans::normalize;

/// How long a request may take from its first byte on: one that never ends must not keep the room of others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service with a limit on requests that are under way on all connections together.
#[derive(Debug, Clone)]
pub(super) struct Door {
    exporter: Exporter,
    room: Arc<Semaphore>,
    notes: Notes,
}

impl Door {
    pub(super) fn new(exporter: Exporter, room: Arc<Semaphore>, notes: Notes) -> Self {
        Self { exporter, room, notes }
    }
}

impl Door {
    /// The answer where nothing is taken; an error is one for gRPC, which alone may be told by a status that is 200 to others.
    fn nowhere(&self, request: &Request<Body>) -> Result<(StatusCode, Status), Status> {
        let path = request.uri().path();
        let code = if path == grpc::PATH { StatusCode::UNSUPPORTED_MEDIA_TYPE } else { StatusCode::NOT_FOUND };
        let other = ["metric", "log", "profile"].iter().any(|signal| path.to_ascii_lowercase().contains(signal));
        let help = if other {
            "only traces are taken here: export metrics and logs elsewhere"
        } else {
            "send OTLP to /v1/traces: OTEL_EXPORTER_OTLP_ENDPOINT is the address without a path, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT \
             all of http://HOST:PORT/v1/traces"
        };
        let at = normalize::clean(path, 100);
        let what = if path == grpc::PATH { "only gRPC" } else { "nothing" };
        let text = format!("{what} is taken at {at}; {help}");
        // Who sends nothing loses nothing: somebody only looks around.
        if request.method() == Method::POST {
            let refused = format!("requests came to `{at}`, where {what} is taken, and were refused");
            self.notes.leave(Diagnostic::warning("receiver-path", refused).help(help));
        }
        if is_grpc(request) {
            return Err(Status::unimplemented(text));
        }
        Ok((code, Status::not_found(text)))
    }
}

/// Whether whoever asks looks at the status of gRPC: to all others an answer of gRPC is a 200, whatever it says.
fn is_grpc(request: &Request<Body>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.to_ascii_lowercase().starts_with("application/grpc")
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
        let exporter = self.exporter.clone();
        let form = Form::of_answer(request.headers());
        if !plain && (request.uri().path() != grpc::PATH || !is_grpc(&request)) {
            return match self.nowhere(&request) {
                Err(status) => Box::pin(async move { Ok(status.into_http()) }),
                Ok((code, status)) => Box::pin(async move {
                    let answer = timeout(PATIENCE, http::refuse_as(&exporter, request, code, &status)).await;
                    Ok(answer.unwrap_or_else(|_| http::refusal(form, code, &status)))
                }),
            };
        }
        // Before anything of the body is read.
        let Ok(room) = Arc::clone(&self.room).try_acquire_owned() else {
            let later = retry::later("too many requests at once");
            if !plain {
                return Box::pin(async move { Ok(later.into_http()) });
            }
            return Box::pin(async move {
                let answer = timeout(PATIENCE, http::refuse(&exporter, request, &later)).await;
                Ok(answer.unwrap_or_else(|_| http::refusal(form, StatusCode::SERVICE_UNAVAILABLE, &slow())))
            });
        };
        Box::pin(async move {
            let _room = room;
            if plain {
                let response = timeout(PATIENCE, http::answer(&exporter, request)).await;
                Ok(response.unwrap_or_else(|_| http::refusal(form, StatusCode::SERVICE_UNAVAILABLE, &slow())))
            } else {
                let response = timeout(PATIENCE, grpc::answer(&exporter, request)).await;
                Ok(response.unwrap_or_else(|_| slow().into_http()))
            }
        })
    }
}

fn slow() -> Status {
    Status::unavailable("the request took too long to come or to be written down")
}
