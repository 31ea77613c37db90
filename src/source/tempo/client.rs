//! The three streaming calls, each with a deadline over the whole stream.
//!
//! Input: windows and queries. Output: merged answers, or [`Trouble`]; never part of a stream that failed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::answer::{Found, merge, of_bytes, to_bytes};
use super::select;
use super::trouble::{Trouble, of_status};
use super::window::{Nanos, Window};
use super::wire::streaming_querier_client::StreamingQuerierClient;
use super::wire::{
    InstantSeries, KeyValue, PartialStatus, QueryInstantRequest, QueryRangeRequest, SearchRequest, TimeSeries,
};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::call;
use crate::source::backend::kept::Kept;
use crate::spans::UnixNanos;

/// Tempo's own limits, lowered when a server says it has smaller ones.
pub(super) const MOST_TRACES: u32 = 262_144;
const MOST_SPANS_PER_SET: u32 = 100;
/// Largest single message; Tempo's own limit is 16 MiB.
const MESSAGE_BYTES: usize = 64 << 20;
/// Spans of one answer kept in memory before the window is called too big.
const SPANS_IN_MEMORY: usize = 300_000;
/// What searches are called among answers that are kept.
const SEARCH: &str = "tempo search";
/// Series of one answer to a metrics query.
const MOST_SERIES: usize = 200_000;

/// Series of an answer.
pub(super) struct Series<T> {
    pub(super) all: Vec<T>,
    /// Whether these are all there are. If not, nothing may be counted of them.
    pub(super) whole: bool,
}

/// A connection to `tempopb.StreamingQuerier`. Clones share the connection and the limits.
#[derive(Clone)]
pub(super) struct Client {
    inner: StreamingQuerierClient<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
    at: Arc<str>,
    limit: Arc<AtomicU32>,
    spans_per_set: Arc<AtomicU32>,
    kept: Kept,
}

impl Client {
    pub(super) fn new(
        channel: Channel,
        metadata: MetadataMap,
        timeout: Duration,
        at: &str,
        limit: Option<u32>,
        kept: Kept,
    ) -> Self {
        // Tempo answers compressed only when it was asked compressed.
        let inner = StreamingQuerierClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES)
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
        Self {
            inner,
            metadata,
            timeout,
            at: at.into(),
            limit: Arc::new(AtomicU32::new(limit.unwrap_or(MOST_TRACES).min(MOST_TRACES))),
            spans_per_set: Arc::new(AtomicU32::new(MOST_SPANS_PER_SET)),
            kept,
        }
    }

    /// The most traces one search gives.
    pub(super) fn limit(&self) -> u32 {
        self.limit.load(Ordering::Relaxed)
    }

    /// The most spans a set holds.
    pub(super) fn spans_per_set(&self) -> u32 {
        self.spans_per_set.load(Ordering::Relaxed)
    }

    /// The traces that overlap a window. At the limit the answer is arbitrary, so that is [`Trouble::TooMuch`]. Where the server
    /// states smaller limits, they are kept from then on.
    pub(super) async fn search(&self, query: String, window: Window, spans_per_set: u32) -> Result<Found, Trouble> {
        loop {
            let (limit, spans) = (self.limit(), spans_per_set.min(self.spans_per_set()));
            match self.limited(query.clone(), window, limit, spans).await {
                // Smaller each time, so nobody asks for ever; others may have been told meanwhile.
                Err(Trouble::Limit(stated, _)) if stated < limit => {
                    self.limit.fetch_min(stated, Ordering::Relaxed);
                }
                Err(Trouble::SpansPerSet(stated, _)) if stated < spans => {
                    self.spans_per_set.fetch_min(stated, Ordering::Relaxed);
                }
                other => return other,
            }
        }
    }

    async fn limited(&self, query: String, window: Window, limit: u32, spans: u32) -> Result<Found, Trouble> {
        let request = SearchRequest { query, start: window.start, end: window.end, limit, spans_per_span_set: spans };
        let found = self.kept.or_ask(SEARCH, &request, (of_bytes, to_bytes), self.gather(request.clone())).await?;
        if found.len() >= limit as usize { Err(self.too_much(&format!("{limit} traces"))) } else { Ok(found) }
    }

    /// Some of the traces that overlap a window, at most `limit`: which ones is up to Tempo.
    pub(super) async fn some(&self, query: String, window: Window, limit: u32) -> Result<Found, Trouble> {
        let query = select::spread(&query);
        self.gather(SearchRequest { query, start: window.start, end: window.end, limit, spans_per_span_set: 1 }).await
    }

    /// One trace, to learn whether and what answers.
    pub(super) async fn probe(&self, query: String, window: Window) -> Result<(), Trouble> {
        let request = SearchRequest { query, start: window.start, end: window.end, limit: 1, spans_per_span_set: 1 };
        self.gather(request).await.map(|_| ())
    }

    async fn gather(&self, request: SearchRequest) -> Result<Found, Trouble> {
        let mut inner = self.inner.clone();
        let request = self.request(request);
        let call = async move {
            let mut stream = inner.search(request).await.map_err(|s| self.status(&s))?.into_inner();
            let mut found = Found::new();
            while let Some(message) = stream.message().await.map_err(|s| self.status(&s))? {
                if !merge(&mut found, message) {
                    return Err(Trouble::Fatal(self.malformed("a trace id that is not hexadecimal")));
                }
                let spans: usize = found.values().flat_map(|t| &t.span_sets).map(|set| set.spans.len()).sum();
                if spans > SPANS_IN_MEMORY {
                    return Err(self.too_much("spans than fit into memory"));
                }
            }
            Ok(found)
        };
        self.in_time(call).await
    }

    /// How many spans start in a window; exact, but for spans that came too late. `None` when the answer is partial.
    pub(super) async fn count(&self, query: String, window: Window) -> Result<Option<u64>, Trouble> {
        let mut sum = 0u64;
        for piece in window.for_metrics() {
            let times = self.nanos(piece.nanos(), 60)?;
            let request =
                self.request(QueryInstantRequest { query: query.clone(), start: times.start, end: times.end });
            let mut inner = self.inner.clone();
            let call = async move {
                let mut stream = inner.metrics_query_instant(request).await.map_err(|s| self.status(&s))?.into_inner();
                let mut last = Some(0.0);
                while let Some(message) = stream.message().await.map_err(|s| self.status(&s))? {
                    let whole = message.status() == PartialStatus::Complete;
                    last = whole.then(|| message.series.iter().map(|s| s.value).filter(|v| v.is_finite()).sum::<f64>());
                }
                Ok(last)
            };
            let Some(value) = self.in_time(call).await? else { return Ok(None) };
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "float casts saturate, which is meant"
            )]
            let whole = value.round() as u64;
            sum = sum.saturating_add(whole);
        }
        Ok(Some(sum))
    }

    /// What a metrics query comes to from an instant on and before another, at most a day later: a value for each set of labels.
    pub(super) async fn totals(
        &self,
        query: String,
        (from, to): (UnixNanos, UnixNanos),
    ) -> Result<Series<InstantSeries>, Trouble> {
        let (query, times) = (select::spread(&query), self.nanos((from, to), 60)?);
        let request = self.request(QueryInstantRequest { query, start: times.start, end: times.end });
        let mut inner = self.inner.clone();
        let call = async move {
            let mut stream = inner.metrics_query_instant(request).await.map_err(|s| self.status(&s))?.into_inner();
            let (mut all, mut whole) = (BTreeMap::new(), true);
            while let Some(message) = stream.message().await.map_err(|s| self.status(&s))? {
                whole = message.status() == PartialStatus::Complete;
                self.keep(&mut all, message.series, |series| &series.labels)?;
            }
            Ok(Series { all: all.into_values().collect(), whole })
        };
        self.in_time(call).await
    }

    /// The same by steps of `step` seconds, over a window of at most a day that begins and ends with a step. Tempo adds a
    /// step before the window, and counts what lies on the bound of two to the first.
    pub(super) async fn over_time(
        &self,
        query: String,
        window: Window,
        step: u32,
    ) -> Result<Series<TimeSeries>, Trouble> {
        let (query, times) = (select::spread(&query), self.nanos(window.nanos(), step)?);
        let request = QueryRangeRequest { query, start: times.start, end: times.end, step: times.step };
        let request = self.request(request);
        let mut inner = self.inner.clone();
        let call = async move {
            let mut stream = inner.metrics_query_range(request).await.map_err(|s| self.status(&s))?.into_inner();
            let (mut all, mut whole) = (BTreeMap::new(), true);
            while let Some(message) = stream.message().await.map_err(|s| self.status(&s))? {
                whole = message.status() == PartialStatus::Complete;
                self.keep(&mut all, message.series, |series| &series.labels)?;
            }
            Ok(Series { all: all.into_values().collect(), whole })
        };
        self.in_time(call).await
    }

    /// Takes in a message of a stream. In the end Tempo repeats everything, in messages of about 1 MiB, so of each series the
    /// newest state is the one that counts.
    fn keep<T>(
        &self,
        all: &mut BTreeMap<Vec<u8>, T>,
        series: Vec<T>,
        labels: impl Fn(&T) -> &[KeyValue],
    ) -> Result<(), Trouble> {
        for one in series {
            let key = labels(&one).iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
            all.insert(key, one);
        }
        if all.len() > MOST_SERIES {
            let many = Diagnostic::error(
                "tempo-series-many",
                format!(
                    "Tempo gives more than {MOST_SERIES} series for one question: names of operations tell single requests apart"
                ),
            );
            let many = many.at(Location::file(&*self.at));
            return Err(Trouble::Fatal(
                many.help("name spans by route, not by path; or read traces: leave out --aggregate"),
            ));
        }
        Ok(())
    }

    /// What is to be said where an answer was cut off and nothing smaller can be asked.
    pub(super) fn cut_off(&self, what: &str) -> Diagnostic {
        Diagnostic::error(
            "tempo-series-partial",
            format!("Tempo gave only some of the series of a metrics query: {what}"),
        )
        .at(Location::file(&*self.at))
        .help("raise `max_response_series` of Tempo's query-frontend, or read traces instead: leave out --aggregate")
    }

    /// About how many spans there are over time: `(second from which, spans)`, ascending. For planning only: buckets
    /// overlap the ends of the window.
    pub(super) async fn counts(&self, query: String, window: Window) -> Result<Vec<(u32, u64)>, Trouble> {
        const STEP: u32 = 60;
        let mut counts = BTreeMap::new();
        for piece in window.for_metrics() {
            let times = self.nanos(piece.nanos(), 60)?;
            let request =
                QueryRangeRequest { query: query.clone(), start: times.start, end: times.end, step: times.step };
            let request = self.request(request);
            let mut inner = self.inner.clone();
            let call = async move {
                let mut stream = inner.metrics_query_range(request).await.map_err(|s| self.status(&s))?.into_inner();
                let mut samples = BTreeMap::new();
                while let Some(message) = stream.message().await.map_err(|s| self.status(&s))? {
                    for sample in message.series.iter().flat_map(|series| &series.samples) {
                        // The newest state of a bucket wins; a bucket is named by its end.
                        let end = u32::try_from(sample.timestamp_ms / 1000).unwrap_or(0);
                        samples.insert(end.saturating_sub(STEP), sample.value);
                    }
                }
                Ok(samples)
            };
            for (second, value) in self.in_time(call).await? {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is meant")]
                let spans = value.round() as u64;
                let known = counts.entry(second).or_insert(0u64);
                *known = spans.max(*known);
            }
        }
        Ok(counts.into_iter().collect())
    }

    /// The only way to the time fields of a metrics request.
    fn nanos(&self, (start, end): (UnixNanos, UnixNanos), step_seconds: u32) -> Result<Nanos, Trouble> {
        Nanos::checked(start, end, step_seconds).ok_or_else(|| {
            Trouble::Refused(
                Diagnostic::error(
                    "tempo-window",
                    "the window lies before the year 2001, where Tempo is not asked for counts",
                )
                .at(Location::file(&*self.at)),
            )
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        call::request(message, &self.metadata, self.timeout)
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        call::in_time(self.timeout, call, |status| self.status(status)).await
    }

    fn status(&self, status: &Status) -> Trouble {
        of_status(status, &self.at)
    }

    fn too_much(&self, what: &str) -> Trouble {
        Trouble::TooMuch(
            Diagnostic::error(
                "tempo-too-much",
                format!("one second of traces holds more than one answer can: {what} or more"),
            )
            .at(Location::file(&*self.at))
            .help("narrow the traces with a TraceQL filter"),
        )
    }

    fn malformed(&self, what: &str) -> Diagnostic {
        Diagnostic::error("tempo-answer-malformed", format!("the answer holds {what}"))
            .at(Location::file(&*self.at))
            .help("check that a Tempo answers there, and its version")
    }
}
