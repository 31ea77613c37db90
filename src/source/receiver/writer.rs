//! The one writer of the log: what waits together is written together and acknowledged together.

use std::io;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::Log;
use crate::diag::Diagnostic;

/// So many bytes are written at once, about; a request that is larger goes alone.
const MOST_AT_ONCE: usize = 8 << 20;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep this message, which begins with its length; answers whether it is kept.
    Append(Vec<u8>, oneshot::Sender<bool>),
    /// End the open file and give all there are.
    Rotate(oneshot::Sender<Result<Vec<PathBuf>, Diagnostic>>),
    /// Keep what waits already and stop.
    End,
}

/// What the writer leaves.
#[derive(Debug)]
pub(super) struct Kept<L> {
    pub(super) log: L,
    pub(super) requests: u64,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// Writes until told to end, or until nobody can order any more.
pub(super) fn run<L: Log>(mut queue: mpsc::Receiver<Order>, log: L) -> Kept<L> {
    let mut kept = Kept { log, requests: 0, diagnostics: Vec::new() };
    let mut next = queue.blocking_recv();
    while let Some(order) = next.take() {
        match order {
            Order::Append(mut messages, done) => {
                let mut waiting = vec![done];
                // Everything that waits goes into the same write, up to the first order of another kind.
                while messages.len() < MOST_AT_ONCE {
                    match queue.try_recv() {
                        Ok(Order::Append(message, done)) => {
                            messages.extend_from_slice(&message);
                            waiting.push(done);
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                kept.write(&messages, waiting);
            }
            Order::Rotate(done) => {
                let _ = done.send(kept.log.rotate());
            }
            // Whoever sends from now on is refused; what is in the queue already is kept.
            Order::End => queue.close(),
        }
        if next.is_none() {
            next = queue.blocking_recv();
        }
    }
    kept
}

impl<L: Log> Kept<L> {
    fn write(&mut self, messages: &[u8], waiting: Vec<oneshot::Sender<bool>>) {
        let result = self.log.append(messages);
        let good = result.is_ok();
        if good {
            self.requests = self.requests.saturating_add(waiting.len() as u64);
        }
        // A full disk would say the same again with every request.
        if let Err(failure) = result
            && self.diagnostics.is_empty()
        {
            self.diagnostics.push(failure);
        }
        for done in waiting {
            let _ = done.send(good);
        }
    }
}

/// Ready when the process is asked to end. To be called within a runtime.
///
/// # Errors
/// When the system gives no notice of signals.
#[cfg(unix)]
pub(super) fn signals() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
    })
}

/// The same where there is only Ctrl-C.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(super) fn signals() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
