//! Where spans come from: the only module that reads the network or trace files.
//!
//! Purpose: turn any source into [`SpanBatch`]es through one mapper; wire types stop here.
//! Input: a URL or path and [`SourceOptions`]. Output: batches pushed into a [`SpanSink`], and a [`SourceReport`].
//! Must not: pair, aggregate, print, or give a partial answer for a whole one.

mod aggregate;
mod backend;
mod compression;
mod detect;
pub mod doctor;
mod feed;
mod files;
mod honeycomb;
mod jaeger;
mod join;
mod json;
mod mapper;
mod otlp_file;
mod otlp_wire;
mod outcome;
#[cfg(feature = "archive")]
mod parquet;
mod peer;
pub mod prometheus;
mod proto;
mod queue;
mod raw_map;
mod reading;
pub mod receiver;
mod record;
mod sample;
mod sampling;
mod scan;
pub mod tempo;
mod view;
mod wire;
mod wire_bytes;
mod wire_id;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::aggregate::{AggregateSource, counts, credential, exemplifies, open_aggregate};
use crate::diag::Diagnostic;
use crate::spans::{SpanBatch, UnixNanos};

pub use self::join::join;
pub use self::sample::{Keep, Sample};

/// Receives batches. Called from several threads at once; the order of batches never matters.
pub trait SpanSink: Sync {
    /// Takes the rows of a batch (the caller may reuse it afterwards).
    ///
    /// # Errors
    /// A diagnostic when the spans cannot be kept, e.g. no room for spilling; the source stops and passes it on.
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic>;
}

/// Told how far a source is. Called from several threads at once.
pub trait Progress: Sync {
    /// How much there is in all, in units of the source's choice (bytes of a file, windows of a backend).
    fn total(&self, units: u64);
    /// That much more is done.
    fn advance(&self, units: u64);
    /// What is being done now, for people.
    fn note(&self, text: &str);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn total(&self, _units: u64) {}
    fn advance(&self, _units: u64) {}
    fn note(&self, _text: &str) {}
}

/// One source of spans.
pub trait SpanSource {
    /// What goes into the snapshot's provenance: `trace file`, `tempo://host:3200`. No path, no user, no token. Asked after
    /// [`SpanSource::read`], since an archive only then knows what it was captured from.
    fn describe(&self) -> String;

    /// Reads everything there is in the window and pushes it.
    ///
    /// # Errors
    /// A coded diagnostic when the whole answer cannot be had. What was pushed before must then be thrown away.
    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic>;
}

/// What a source has to say besides the spans.
#[derive(Debug, Clone, Default)]
pub struct SourceReport {
    /// Spans refused, by diagnostic code.
    pub rejected: BTreeMap<String, u64>,
    /// Traces the backend could only give in part.
    pub partial_traces: u64,
    /// Traces of the window that were not read, since only a sample was asked for.
    pub left_out_traces: u64,
    /// The window that was asked for, where a backend was asked; `None` for files. Of the newest traces, the part that
    /// they fill.
    pub window: Option<(UnixNanos, UnixNanos)>,
    /// Warnings and notes for people: examples of rejected spans, late data, unadjustable sampling.
    pub diagnostics: Vec<Diagnostic>,
}

/// Credentials and transport. `Debug` hides every secret.
#[derive(Clone, Default)]
pub struct Transport {
    /// `Authorization: Bearer …`.
    pub bearer: Option<String>,
    /// `Authorization: Basic …`: user and password.
    pub basic: Option<(String, String)>,
    /// `X-Scope-OrgID`.
    pub tenant: Option<String>,
    /// Further headers or gRPC metadata, as given.
    pub headers: Vec<(String, String)>,
    /// PEM file of the certificate authority to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM files of the client certificate and its key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// Name expected in the server's certificate instead of the host.
    pub server_name: Option<String>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("tenant", &self.tenant)
            .field("ca_file", &self.ca_file)
            .finish_non_exhaustive()
    }
}

/// Answers of backends that outlive a run. Questions tell backend, kind and request.
pub trait Answers: std::fmt::Debug + Send + Sync {
    /// What an earlier run was answered, the first time this is asked: who asks again wants to know whether it still holds.
    fn get(&self, question: &[u8]) -> Option<Vec<u8>>;

    /// Keeps an answer. A failure must not end the pull.
    fn put(&self, question: &[u8], answer: &[u8]);
}

/// How to read, whatever the source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    /// Only what overlaps this time, if given. Backends need it; for files it drops spans that start outside.
    pub window: Option<(UnixNanos, UnixNanos)>,
    /// Threads for decoding, at least 1.
    pub threads: usize,
    /// Largest single record (one JSON document, line or protobuf message) in bytes.
    pub max_record_bytes: usize,
    /// Deadline of one request to a backend.
    pub timeout: Duration,
    /// TraceQL filter for Tempo, e.g. `{ resource.deployment.environment.name = "production" }`.
    pub query: Option<String>,
    /// At most so many traces of a backend's window; all of them if not given.
    pub sample: Option<Sample>,
    /// Resource or span attribute that holds a sampling rate (e.g. `SampleRate`), if the user has one.
    pub rate_attribute: Option<String>,
    /// Where answers are kept for the next run, if this one should fail.
    pub kept: Option<Arc<dyn Answers>>,
    /// Credentials and TLS.
    pub transport: Transport,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            window: None,
            threads: 1,
            max_record_bytes: 64 << 20,
            timeout: Duration::from_secs(30),
            query: None,
            sample: None,
            rate_attribute: None,
            kept: None,
            transport: Transport::default(),
        }
    }
}

/// Cuts a window to what the source can answer at the instant `now`: the newest seconds are not searchable everywhere.
///
/// # Errors
/// `window-too-recent` when nothing is left.
pub fn clamp(from: &str, window: (UnixNanos, UnixNanos), now: UnixNanos) -> Result<(UnixNanos, UnixNanos), Diagnostic> {
    if tempo::claims(from) || tempo::counts(from) { tempo::clamp(window, now) } else { Ok(window) }
}

/// A source that reads OTLP from a stream that is open already, such as standard input; messages call it `-`.
#[must_use]
pub fn stream<'r>(reader: Box<dyn Read + 'r>, options: &SourceOptions) -> Box<dyn SpanSource + 'r> {
    Box::new(otlp_file::OtlpStream::new("-", reader, options))
}

/// A source that reads OTLP in memory, without copying it where it is not packed. With several threads, each takes a part
/// as it has done with one.
#[must_use]
pub fn bytes(bytes: impl Into<Arc<[u8]>>, options: &SourceOptions) -> Box<dyn SpanSource> {
    Box::new(otlp_file::OtlpBytes::new(bytes.into(), options))
}

/// A source that reads OTLP from these files of a directory, whatever their names.
#[must_use]
pub fn files(directory: &Path, files: &[PathBuf], options: &SourceOptions) -> Box<dyn SpanSource> {
    Box::new(otlp_file::of(directory, files, options))
}

/// Whether a URL names a backend that tracebook can read.
#[must_use]
pub fn known(from: &str) -> bool {
    tempo::claims(from) || jaeger::claims(from) || counts(from)
}

/// The source a URL or path names: `tempo://host:9095`, `jaeger://host:16685`, `…+https://…`, a file, a directory.
///
/// # Errors
/// A coded diagnostic for an unknown scheme or a path that is not there.
pub fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn SpanSource>, Diagnostic> {
    if tempo::claims(from) {
        return tempo::open(from, options);
    }
    if jaeger::claims(from) {
        return jaeger::open(from, options);
    }
    if receiver::claims(from) {
        return Err(Diagnostic::error("source-unknown", "`otlp://` is received, which only `capture` does")
            .help("tracebook capture --from otlp://HOST:PORT --for 10m --output FILE, then give --from FILE"));
    }
    if let Some((scheme, _)) = from.split_once("://") {
        // Only the scheme is repeated: what follows may hold a password.
        return Err(Diagnostic::error("source-unknown", format!("`{scheme}://` is not a source tracebook knows"))
            .help("give a file, a directory, `-` for standard input, tempo://HOST:PORT, jaeger://HOST:PORT, prometheus://HOST:PORT, \
             honeycomb://api.honeycomb.io, or with `capture` otlp://HOST:PORT; `tracebook doctor HOST:PORT` finds out which"));
    }
    #[cfg(feature = "archive")]
    if let Some(archive) = parquet::open(from, options) {
        return Ok(Box::new(archive));
    }
    Ok(Box::new(otlp_file::open(from, options)?))
}
