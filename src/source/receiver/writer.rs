//! The one writer of the log: what waits together is written together and acknowledged together.

use std::io;
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::Log;
use super::budget::Buffer;
use super::notes::Notes;
use crate::diag::Diagnostic;

/// So many bytes are written at once, about; a request that is larger goes alone.
const MOST_AT_ONCE: usize = 8 << 20;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// Keep this message, which begins with its length; answers whether it is kept.
    Append(Buffer, oneshot::Sender<bool>),
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
    notes: Notes,
    /// Where messages that are written together are put together.
    together: Vec<u8>,
}

/// Writes until told to end, or until nobody can order any more.
pub(super) fn run<L: Log>(mut queue: mpsc::Receiver<Order>, log: L, notes: Notes) -> Kept<L> {
    let mut kept = Kept { log, requests: 0, notes, together: Vec::new() };
    let mut next = queue.blocking_recv();
    while let Some(order) = next.take() {
        match order {
            Order::Append(message, done) => {
                let mut size = message.bytes().len();
                let mut waiting = vec![(message, done)];
                // Everything that waits goes into the same write, up to the first order of another kind.
                while size < MOST_AT_ONCE {
                    match queue.try_recv() {
                        Ok(Order::Append(message, done)) if size + message.bytes().len() <= MOST_AT_ONCE => {
                            size += message.bytes().len();
                            waiting.push((message, done));
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                kept.write(waiting);
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
    /// Writes messages together, and gives their bytes back.
    fn write(&mut self, waiting: Vec<(Buffer, oneshot::Sender<bool>)>) {
        let result = match &waiting[..] {
            [(message, _)] => self.log.append(message.bytes()),
            several => {
                self.together.clear();
                several.iter().for_each(|(message, _)| self.together.extend_from_slice(message.bytes()));
                self.log.append(&self.together)
            }
        };
        let good = result.is_ok();
        if good {
            self.requests = self.requests.saturating_add(waiting.len() as u64);
        }
        self.notes.written(result);
        for (message, done) in waiting {
            // Who is told that there was no room must find it once others are told that they are done.
            drop(message);
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
