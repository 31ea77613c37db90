//! What every pull from a backend begins with: threads of its own, and a window.

use std::future::Future;

use crate::diag::{Diagnostic, Location};
use crate::source::SourceOptions;
use crate::spans::UnixNanos;

/// Runs requests to their end on a runtime of their own, of at most four threads.
///
/// # Errors
/// What the work came to, and `internal` when there are no threads.
pub(in crate::source) fn run<T>(
    threads: usize,
    work: impl Future<Output = Result<T, Diagnostic>>,
) -> Result<T, Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.clamp(1, 4))
        .enable_all()
        .build()
        .map_err(|e| Diagnostic::error("internal", format!("no threads for network requests: {e}")))?;
    let answer = runtime.block_on(work);
    // A hanging name look-up must not keep the process.
    runtime.shutdown_background();
    answer
}

/// The window that was asked for, in nanoseconds.
///
/// # Errors
/// `window-missing`.
pub(in crate::source) fn window(options: &SourceOptions, at: &str) -> Result<(UnixNanos, UnixNanos), Diagnostic> {
    options.window.ok_or_else(|| {
        Diagnostic::error("window-missing", "a backend is asked for a window of time, and none was given")
            .at(Location::file(at))
            .help("give a lookback, or a start and an end")
    })
}
