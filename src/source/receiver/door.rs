//! What stands before both ways in: room for only so many requests, and a time for each.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, StatusCode};
use tonic::codegen::{BoxFuture, Service};

use super::export::Exporter;
use super::http::Form;
use super::{grpc, http, retry};

/// How long a request may take from its first byte on: one that never ends must not keep the room of others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service with a limit on requests that are under way on all connections together.
#[derive(Debug, Clone)]
pub(super) struct Door {
    exporter: Exporter,
    room: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(exporter: Exporter, room: Arc<Semaphore>) -> Self {
        Self { exporter, room }
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
        if !plain && request.uri().path() != grpc::PATH {
            return Box::pin(async { Ok(Status::unimplemented("").into_http()) });
        }
        let exporter = self.exporter.clone();
        let form = Form::of_answer(request.headers());
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
