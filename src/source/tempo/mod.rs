//! Tempo as a source: `tempo://host:9095`, `tempo+https://host` and the like (see `endpoint.rs` for the forms).
//!
//! Purpose: every trace that starts in a window, whole and once, from a running Tempo.
//! Input: a URL and [`SourceOptions`] with a window. Output: span batches, through the same mapper as files.
//! Must not: take part of an answer for the whole, retry without end, read a clock, or show a credential.
//!
//! Searches go over gRPC (`tempopb.StreamingQuerier`), whole traces by id over HTTP: gRPC `FindTraceByID` sees only
//! recent data. What a search cannot give (links, exceptions, more than 100 spans, traces in pieces, sampling
//! thresholds) is fetched by id.

mod answer;
mod client;
mod endpoint;
mod http;
mod jobs;
mod pull;
mod pushdown;
mod select;
mod trouble;
mod whole;
mod window;
mod wire;

use reqwest::header::HeaderMap;

use self::client::Client;
use self::endpoint::Endpoint;
use self::http::Http;
use self::pull::{Pull, Requests, Tally};
use self::select::Queries;
use self::trouble::Trouble;
use self::window::Window;
use super::backend::kept::Kept;
use super::backend::run;
use super::backend::transport;
use super::mapper::Mapper;
use super::{Progress, SourceOptions, SourceReport, SpanSink, SpanSource};
use crate::diag::Diagnostic;
use crate::spans::UnixNanos;

pub(super) use self::pushdown::{claims as counts, open as open_counts};
pub use self::window::clamp;

/// Whether this source names a Tempo, or an address that people mistake for one.
pub(super) fn claims(from: &str) -> bool {
    endpoint::claims(from)
}

/// A Tempo that is not yet connected.
pub(super) struct TempoSource {
    endpoint: Endpoint,
    options: SourceOptions,
}

/// The Tempo a URL names; nothing is tried yet.
///
/// # Errors
/// `ingest-port`, `source-url` or `source-unknown` for a URL that cannot work.
pub(super) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn SpanSource>, Diagnostic> {
    Ok(Box::new(TempoSource { endpoint: endpoint::parse(from)?, options: options.clone() }))
}

impl SpanSource for TempoSource {
    fn describe(&self) -> String {
        self.endpoint.shown.clone()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        run::run(self.options.threads, self.pull(sink, progress))
    }
}

/// The window that was asked for, in nanoseconds and as the whole seconds around it.
fn windows(endpoint: &Endpoint, options: &SourceOptions) -> Result<((UnixNanos, UnixNanos), Window), Diagnostic> {
    let window = run::window(options, &endpoint.shown)?;
    Ok((window, Window::covering(window)?))
}

/// A connection for queries, and the headers that every request carries.
async fn connect(endpoint: &Endpoint, options: &SourceOptions) -> Result<(Client, HeaderMap), Diagnostic> {
    let at = endpoint.shown.as_str();
    let headers = transport::headers(&options.transport, endpoint.basic.as_ref(), "x-scope-orgid")?;
    let channel = transport::channel(&endpoint.grpc, at, &options.transport, options.timeout).await;
    let channel = channel.map_err(|failed| trouble::of_connect(failed, at).diagnostic())?;
    let client = Client::new(
        channel,
        transport::metadata(&headers),
        options.timeout,
        at,
        endpoint.limit,
        Kept::new(options, at),
    );
    Ok((client, headers))
}

/// A connection for queries, and one for whole traces.
async fn both(endpoint: &Endpoint, options: &SourceOptions) -> Result<(Client, Http), Diagnostic> {
    let (client, headers) = connect(endpoint, options).await?;
    let http = transport::http(&endpoint.http, &options.transport, &headers, options.timeout).await;
    let (http, base) = http.map_err(|failed| trouble::of_connect(failed, &endpoint.shown).diagnostic())?;
    Ok((client, Http::new(http, base, options.max_record_bytes, Kept::new(options, &endpoint.shown))))
}

impl TempoSource {
    async fn pull(&self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let (endpoint, options) = (&self.endpoint, &self.options);
        let at = endpoint.shown.as_str();
        let (window, seconds) = windows(endpoint, options)?;
        progress.note("connecting");
        let (client, http) = both(endpoint, options).await?;
        let queries = Queries::new(options.query.as_deref(), options.rate_attribute.as_deref());
        let ask = Requests { client, http, queries, seconds };
        probe(&ask).await?;
        let mut pull = Pull {
            ask,
            all_by_id: endpoint.by_id,
            sample: options.sample,
            window,
            timeout: options.timeout,
            at: at.to_owned(),
            mapper: Mapper::new(options.rate_attribute.clone()),
            sink,
            progress,
            tally: Tally::default(),
        };
        pull.run().await?;
        let Pull { mapper, tally, .. } = pull;
        let mut diagnostics = tally.diagnostics;
        diagnostics.extend(mapper.examples);
        let from = tally.left.and_then(|left| left.from);
        Ok(SourceReport {
            rejected: mapper.rejected,
            partial_traces: tally.partial.saturating_add(tally.vanished),
            left_out_traces: tally.left.map_or(0, |left| left.out),
            window: Some((from.unwrap_or(window.0), window.1)),
            diagnostics,
        })
    }
}

/// Window of a search that any Tempo answers.
const LEAST_SECONDS: u32 = 60;

/// A tiny search, to learn at once what is wrong with address, TLS, tenant or filter. Overload is left to the pull.
async fn probe(ask: &Requests) -> Result<(), Diagnostic> {
    let mut window = ask.seconds.for_search().first().copied().unwrap_or(ask.seconds);
    for again in [true, false] {
        match ask.client.probe(ask.queries.census(None), window).await {
            Ok(()) => break,
            Err(Trouble::Busy(d)) if again && d.code != "tempo-not-grpc" => {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            }
            Err(Trouble::Busy(d)) if matches!(d.code, "tempo-overloaded" | "tempo-unavailable") => break,
            // The longest window may be too much; who has no word for the least will not answer any.
            Err(Trouble::Slow(_)) if again => window.end = window.end.min(window.start.saturating_add(LEAST_SECONDS)),
            Err(Trouble::TooMuch(_) | Trouble::Limit(..) | Trouble::SpansPerSet(..)) => break,
            Err(other) => return Err(other.diagnostic()),
        }
    }
    Ok(())
}
