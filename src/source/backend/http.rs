//! What every question over HTTP does: read a body of bounded size, and ask again while a server is busy.

use std::future::Future;
use std::time::Duration;

use super::trouble::Trouble;
use crate::diag::Diagnostic;

/// The body of an answer; `None` when it is larger than so many bytes.
///
/// # Errors
/// When the connection fails in the middle.
pub(in crate::source) async fn body(
    mut response: reqwest::Response,
    largest: usize,
) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len().saturating_add(chunk.len()) > largest {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}

/// Does something up to so many times, as long as the server is busy, with pauses that double.
///
/// # Errors
/// What the last attempt came to.
pub(in crate::source) async fn patiently<T, F>(
    attempts: u32,
    mut pause: Duration,
    once: impl Fn() -> F,
) -> Result<T, Diagnostic>
where
    F: Future<Output = Result<T, Trouble>>,
{
    for _ in 1..attempts {
        match once().await {
            Err(Trouble::Busy(_)) => tokio::time::sleep(pause).await,
            other => return other.map_err(Trouble::diagnostic),
        }
        pause = pause.saturating_mul(2);
    }
    once().await.map_err(Trouble::diagnostic)
}
