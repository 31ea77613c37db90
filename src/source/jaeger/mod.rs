//! Jaeger as a source: `jaeger://host:16685`, `jaeger+https://host`.
//!
//! Purpose: every trace that starts in a window, whole and once, from the query service of a running Jaeger.
//! Input: a URL and [`SourceOptions`] with a window. Output: span batches, through the same mapper as files.
//! Must not: take part of an answer for the whole, retry without end, read a clock, or show a credential.
//!
//! Everything goes over gRPC (`jaeger.api_v3.QueryService`), which gives OTLP as it was stored (`raw_traces`).

mod answer;
mod client;
mod endpoint;
mod pull;
mod trouble;
mod window;
mod wire;

use self::client::Client;
use self::endpoint::Endpoint;
use self::pull::{Pull, Seen};
use super::backend::kept::Kept;
use super::backend::run;
use super::backend::transport;
use super::mapper::Mapper;
use super::{Progress, SourceOptions, SourceReport, SpanSink, SpanSource};
use crate::diag::{Diagnostic, Location};

/// Whether this source names a Jaeger.
pub(super) fn claims(from: &str) -> bool {
    endpoint::MANNER.claims(from)
}

/// A Jaeger that is not yet connected.
struct JaegerSource {
    endpoint: Endpoint,
    options: SourceOptions,
}

/// The Jaeger a URL names; nothing is tried yet.
///
/// # Errors
/// `ingest-port` or `source-url` for a URL that cannot work, `jaeger-query` for a filter, which Jaeger does not have,
/// `flag-without-effect` for a sample.
pub(super) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn SpanSource>, Diagnostic> {
    let endpoint = endpoint::parse(from)?;
    if options.query.is_some() {
        return Err(Diagnostic::error("jaeger-query", "`--query` is TraceQL, which Jaeger does not understand")
            .at(Location::file(endpoint.shown))
            .help("leave it out: all traces of the window are read"));
    }
    if options.sample.is_some() {
        return Err(Diagnostic::error("flag-without-effect", "--max-traces cannot be applied to Jaeger")
            .at(Location::file(endpoint.shown))
            .help("leave it out and shorten the window: all traces of it are read"));
    }
    Ok(Box::new(JaegerSource { endpoint, options: options.clone() }))
}

impl SpanSource for JaegerSource {
    fn describe(&self) -> String {
        self.endpoint.shown.clone()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        run::run(self.options.threads, self.pull(sink, progress))
    }
}

impl JaegerSource {
    async fn pull(&self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let (endpoint, options) = (&self.endpoint, &self.options);
        let at = endpoint.shown.as_str();
        let window = run::window(options, at)?;
        let headers = transport::headers(&options.transport, endpoint.basic.as_ref(), "x-tenant")?;
        progress.note("connecting");
        let channel = transport::channel(&endpoint.grpc, at, &options.transport, options.timeout).await;
        let channel = channel.map_err(|failed| trouble::of_connect(failed, at).diagnostic())?;
        let metadata = transport::metadata(&headers);
        let mut mapper = Mapper::new(options.rate_attribute.clone());
        mapper.place = Location::file(at);
        let mut pull = Pull {
            client: Client::new(
                channel,
                metadata,
                options.timeout,
                at,
                endpoint.depth,
                options.max_record_bytes,
                Kept::new(options, at),
            ),
            window,
            timeout: options.timeout,
            at: at.to_owned(),
            mapper,
            sink,
            progress,
            diagnostics: Vec::new(),
            seen: Seen::default(),
        };
        pull.run().await?;
        let Pull { mapper, mut diagnostics, .. } = pull;
        diagnostics.extend(mapper.examples);
        let rejected = mapper.rejected;
        Ok(SourceReport { rejected, window: Some(window), diagnostics, ..SourceReport::default() })
    }
}
