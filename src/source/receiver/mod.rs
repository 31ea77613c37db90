//! Spans that come by themselves: an OTLP server that writes every request into a log before it says that it has it.
//!
//! Purpose: take OTLP over gRPC and HTTP (one port for both) and keep it; what the log holds is read afterwards as any other OTLP file.
//! Input: an address, limits, and a [`Log`]. Output: a log of length-delimited `ExportTraceServiceRequest`s.
//! Must not: acknowledge what is not in the log, keep more in memory than its limits, or build what it takes in.

mod address;
mod body;
mod budget;
mod check;
mod door;
mod export;
mod grpc;
mod http;
mod notes;
mod retry;
mod writer;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tonic::transport::server::TcpIncoming;

use self::budget::Budget;
use self::door::Door;
use self::export::Exporter;
use self::notes::Notes;
use self::writer::Order;
use super::SourceOptions;
use crate::diag::{Diagnostic, Location};

pub use self::address::{claims, shown};

/// Requests decoded and waiting for the log at once; the next one is told to come again.
const IN_FLIGHT: usize = 128;
/// How long a connection of HTTP/2 may be idle before the other side is asked whether it is there, and how long that may take.
const ALIVE: Duration = Duration::from_secs(30);
/// How long requests that had begun when the end came may take.
const DRAIN: Duration = Duration::from_secs(10);

/// Where requests are kept. Blocking: it is called from a thread of its own, by one caller at a time.
pub trait Log: Send + 'static {
    /// Appends whole messages, each after its length, and returns when they would survive a crash.
    ///
    /// # Errors
    /// When they may not; none of them must then be acknowledged.
    fn append(&mut self, messages: &[u8]) -> Result<(), Diagnostic>;

    /// Ends the open file, so that all files can be read; the next append begins another. Gives all files there are.
    ///
    /// # Errors
    /// As the file system says.
    fn rotate(&mut self) -> Result<Vec<PathBuf>, Diagnostic>;
}

/// A server that is running. Dropped, it stops without waiting for anybody.
#[derive(Debug)]
pub struct Receiver<L> {
    runtime: Background,
    notes: Notes,
    orders: mpsc::Sender<Order>,
    exporter: Exporter,
    end: watch::Sender<bool>,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    writer: JoinHandle<writer::Kept<L>>,
    address: SocketAddr,
}

/// A runtime that nobody waits for when it is dropped: the writer ends when nobody can order any more, which is later.
#[derive(Debug)]
struct Background(Option<tokio::runtime::Runtime>);

impl Background {
    fn block_on<T>(&self, work: impl Future<Output = T>) -> Result<T, Diagnostic> {
        self.0.as_ref().map(|runtime| runtime.block_on(work)).ok_or_else(gone)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a receiver leaves behind.
#[derive(Debug)]
pub struct Received<L> {
    /// The log, complete.
    pub log: L,
    /// Requests that are in the log.
    pub requests: u64,
    /// What went wrong meanwhile.
    pub diagnostics: Vec<Diagnostic>,
}

impl<L: Log> Receiver<L> {
    /// Listens at `otlp://HOST:PORT` until a signal (SIGTERM, SIGINT) or the end of `during`.
    ///
    /// # Errors
    /// `source-url` for a malformed address, `receiver-address` when nobody can listen there.
    pub fn start(from: &str, during: Option<Duration>, options: &SourceOptions, log: L) -> Result<Self, Diagnostic> {
        let (host, port) = address::parse(from)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(options.threads.clamp(1, 4))
            .enable_all()
            .build()
            .map_err(|e| Diagnostic::error("internal", format!("no threads for the receiver: {e}")))?;
        let refused = |e: &dyn std::fmt::Display| {
            Diagnostic::error("receiver-address", format!("cannot listen there: {e}"))
                .at(Location::file(shown(from)))
                .help("give an address of this machine and a port that is free, e.g. otlp://127.0.0.1:4317")
        };
        let listener =
            runtime.block_on(tokio::net::TcpListener::bind((host.as_str(), port))).map_err(|e| refused(&e))?;
        let address = listener.local_addr().map_err(|e| refused(&e))?;
        let (end, mut stop) = watch::channel(false);
        let signal = {
            let _in_runtime = runtime.enter();
            writer::signals().map_err(|e| Diagnostic::error("internal", format!("no signals: {e}")))?
        };
        let over = end.clone();
        runtime.spawn(async move {
            let time = async {
                match during {
                    Some(during) => tokio::time::sleep(during).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { () = signal => {}, () = time => {} }
            over.send_replace(true);
        });
        let (orders, queue) = mpsc::channel(IN_FLIGHT);
        let notes = Notes::default();
        let noting = notes.clone();
        let writer = runtime.spawn_blocking(move || writer::run(queue, log, noting));
        let exporter = Exporter::new(orders.clone(), Budget::new(options.max_record_bytes));
        let door = Door::new(exporter.clone(), Arc::new(Semaphore::new(IN_FLIGHT)), notes.clone());
        let server = runtime.spawn(async move {
            let stopped = async move {
                let _ = stop.wait_for(|ended| *ended).await;
            };
            tonic::transport::Server::builder()
                .accept_http1(true)
                .http2_keepalive_interval(Some(ALIVE))
                .http2_keepalive_timeout(Some(ALIVE))
                .serve_with_incoming_shutdown(door, TcpIncoming::from(listener), stopped)
                .await
        });
        Ok(Self { runtime: Background(Some(runtime)), notes, orders, exporter, end, server, writer, address })
    }

    /// Where it listens, the port chosen by the system if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the end, no longer than `at_most`; whether it came.
    pub fn ended(&self, at_most: Duration) -> bool {
        let (mut ending, server) = (self.end.subscribe(), &self.server);
        let ended = self.runtime.block_on(async {
            let end = async { ending.wait_for(|ended| *ended).await.is_ok() };
            tokio::time::timeout(at_most, end).await.is_ok() || server.is_finished()
        });
        ended.unwrap_or(true)
    }

    /// What went wrong since this was asked last: each kind of thing once.
    #[must_use]
    pub fn notes(&self) -> Vec<Diagnostic> {
        self.notes.take()
    }

    /// All files of the log up to now, none of them open any more; receiving goes on meanwhile.
    ///
    /// # Errors
    /// As the log says.
    pub fn rotate(&self) -> Result<Vec<PathBuf>, Diagnostic> {
        // What is built from the files needs memory, too.
        self.exporter.budget().trim();
        self.runtime.block_on(async {
            let (done, files) = oneshot::channel();
            self.orders.send(Order::Rotate(done)).await.map_err(|_| gone())?;
            files.await.map_err(|_| gone())?
        })?
    }

    /// Takes no new requests, finishes those that had begun, and closes the log.
    ///
    /// # Errors
    /// `internal` when the log is lost.
    pub fn finish(self) -> Result<Received<L>, Diagnostic> {
        let Self { runtime, notes, orders, end, server, writer, .. } = self;
        let kept = runtime.block_on(async {
            // Whether or not a signal has come.
            end.send_replace(true);
            // Who is not done by then gets no acknowledgement, and sends the same again elsewhere.
            let _ = tokio::time::timeout(DRAIN, server).await;
            let _ = orders.send(Order::End).await;
            writer.await.map_err(|_| gone())
        })??;
        Ok(Received { log: kept.log, requests: kept.requests, diagnostics: notes.take() })
    }
}

fn gone() -> Diagnostic {
    Diagnostic::error("internal", "the writer of the receiver's log is gone")
        .help("this is a fault of tracebook: report it")
}
