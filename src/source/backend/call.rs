//! One gRPC call: what it carries, and how long it may take.

use std::future::Future;
use std::time::Duration;

use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use super::trouble::Trouble;

/// A request with its metadata and deadline.
pub(in crate::source) fn request<T>(message: T, metadata: &MetadataMap, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    *request.metadata_mut() = metadata.clone();
    request.set_timeout(timeout);
    request
}

/// A call that ends within a time, whatever the server does. `meaning` is the backend's own reading of a status.
pub(in crate::source) async fn in_time<T>(
    timeout: Duration,
    call: impl Future<Output = Result<T, Trouble>>,
    meaning: impl FnOnce(&Status) -> Trouble,
) -> Result<T, Trouble> {
    match tokio::time::timeout(timeout, call).await {
        Ok(answer) => answer,
        Err(_) => Err(meaning(&Status::deadline_exceeded(format!("after {} s", timeout.as_secs_f32())))),
    }
}
