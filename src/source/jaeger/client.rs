//! The calls, each with a deadline over the whole of it.
//!
//! Input: services and windows. Output: merged answers, or [`Trouble`]; never part of a stream that failed.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tonic::codec::CompressionEncoding;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::answer::{Answer, Pairs};
use super::trouble::of_status;
use super::window::Window;
use super::wire::v2::query_service_client::QueryServiceClient as OlderClient;
use super::wire::v3::query_service_client::QueryServiceClient;
use super::wire::v3::{FindTracesRequest, GetDependenciesRequest, GetServicesRequest, TraceQuery};
use super::wire::{v2, v3};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::call;
use crate::source::backend::kept::Kept;
use crate::source::backend::trouble::Trouble;
use crate::spans::normalize;

/// Bytes of one answer kept in memory before the window is called too big.
const ANSWER_BYTES: usize = 32 << 20;
/// The same for a window that cannot be halved any more.
const LAST_ANSWER_BYTES: usize = 256 << 20;
/// Cassandra's storage reads so many rows of its index for each trace asked for, one a span, and gives the traces of these
/// rows. So that many matching spans may mean that there are more traces.
const ROWS_PER_TRACE: usize = 3;

/// A connection to `jaeger.api_v3.QueryService`. Clones share the connection and the search depth.
#[derive(Clone)]
pub(super) struct Client {
    inner: QueryServiceClient<Channel>,
    older: OlderClient<Channel>,
    metadata: MetadataMap,
    timeout: Duration,
    at: Arc<str>,
    depth: Arc<AtomicU32>,
    kept: Kept,
}

/// What answers are called among those that are kept.
const FIND: &str = "jaeger traces";

impl Client {
    pub(super) fn new(
        channel: Channel,
        metadata: MetadataMap,
        timeout: Duration,
        at: &str,
        depth: u32,
        largest: usize,
        kept: Kept,
    ) -> Self {
        let inner = QueryServiceClient::new(channel.clone())
            .max_decoding_message_size(largest)
            .accept_compressed(CompressionEncoding::Gzip);
        let older = OlderClient::new(channel);
        Self { inner, older, metadata, timeout, at: at.into(), depth: Arc::new(AtomicU32::new(depth)), kept }
    }

    /// Halves the search depth if it still is what was refused; `false` when there is nothing to halve.
    pub(super) fn lower_depth(&self, refused: u32) -> bool {
        let lower = refused / 2;
        // When another request was faster the depth is lower already.
        let _ = self.depth.compare_exchange(refused, lower.max(1), Ordering::Relaxed, Ordering::Relaxed);
        lower > 0
    }

    /// The services that Jaeger knows, ascending.
    pub(super) async fn services(&self) -> Result<Vec<String>, Trouble> {
        let mut inner = self.inner.clone();
        let request = self.request(GetServicesRequest {});
        let call = async move { inner.get_services(request).await.map_err(|s| of_status(&s, &self.at)) };
        let mut services = self.in_time(call).await?.into_inner().services;
        services.sort_unstable();
        services.dedup();
        Ok(services)
    }

    /// The traces in which the service has a span that starts in the window. An answer that reaches the search depth may
    /// leave traces out, so that is [`Trouble::TooMuch`].
    pub(super) async fn find(&self, service: &str, window: Window) -> Result<Answer, Trouble> {
        let depth = self.depth.load(Ordering::Relaxed);
        let (start, end) = window.bounds();
        let request = FindTracesRequest {
            query: Some(TraceQuery {
                service_name: service.to_owned(),
                start_time_min: Some(start),
                start_time_max: Some(end),
                search_depth: i32::try_from(depth).unwrap_or(i32::MAX),
                raw_traces: true,
            }),
        };
        let of_bytes = |bytes: &[u8]| Answer::of_bytes(bytes, service, window).ok();
        let asked = request.clone();
        let request = self.request(request);
        let most = depth as usize;
        let budget = if window.halves().is_some() { ANSWER_BYTES } else { LAST_ANSWER_BYTES };
        let mut inner = self.inner.clone();
        let call = async move {
            let failed = |status: Status| match of_status(&status, &self.at) {
                Trouble::Limit(_, why) => Trouble::Limit(depth, why),
                other => other,
            };
            let mut answer = Answer::default();
            let mut stream = match inner.find_traces(request).await {
                Ok(stream) => stream.into_inner(),
                // How some storages say that there is nothing.
                Err(status) if status.code() == Code::NotFound => return Ok(answer),
                Err(status) => return Err(failed(status)),
            };
            loop {
                let chunk = match stream.message().await {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => return Ok(answer),
                    Err(status) if status.code() == Code::NotFound && answer.len() == 0 => return Ok(answer),
                    Err(status) => return Err(failed(status)),
                };
                for part in chunk.resource_spans {
                    answer.add(part, service, window).map_err(|_| self.malformed())?;
                }
                if answer.len() >= most || answer.matching >= most.saturating_mul(ROWS_PER_TRACE) {
                    return Err(self.too_much(service, &format!("{} of at most {depth} traces", answer.len())));
                }
                if answer.bytes > budget {
                    return Err(self.too_much(service, &format!("{} MiB", answer.bytes >> 20)));
                }
            }
        };
        self.kept.or_ask(FIND, &asked, (of_bytes, Answer::to_bytes), self.in_time(call)).await
    }

    /// Who calls whom by Jaeger's own account; `None` when it cannot tell.
    pub(super) async fn dependencies(&self, window: Window) -> Option<Pairs> {
        let (start, end) = window.bounds();
        let request = self.request(GetDependenciesRequest { start_time: Some(start), end_time: Some(end) });
        let mut inner = self.inner.clone();
        let call = async move { inner.get_dependencies(request).await.map_err(|s| of_status(&s, &self.at)) };
        match self.in_time(call).await {
            Ok(answer) => {
                let links = answer.into_inner().dependencies.into_iter();
                Some(links.map(|link: v3::Dependency| (link.parent, link.child)).collect())
            }
            Err(_) => self.dependencies_of_old((start, end)).await,
        }
    }

    /// Up to 2.13 only the older service gives them.
    async fn dependencies_of_old(&self, (start, end): (v3::Timestamp, v3::Timestamp)) -> Option<Pairs> {
        let time = |t: v3::Timestamp| Some(v2::Timestamp { seconds: t.seconds, nanos: t.nanos });
        let request = self.request(v2::GetDependenciesRequest { start_time: time(start), end_time: time(end) });
        let mut older = self.older.clone();
        let call = async move { older.get_dependencies(request).await.map_err(|s| of_status(&s, &self.at)) };
        let links = self.in_time(call).await.ok()?.into_inner().dependencies.into_iter();
        Some(links.map(|link| (link.parent, link.child)).collect())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        call::request(message, &self.metadata, self.timeout)
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        call::in_time(self.timeout, call, |status| of_status(status, &self.at)).await
    }

    fn too_much(&self, service: &str, what: &str) -> Trouble {
        let service = normalize::clean(service, 100);
        let message = format!("one microsecond of the service `{service}` holds more than one answer can: {what}");
        Trouble::TooMuch(
            Diagnostic::error("jaeger-too-much", message)
                .at(Location::file(&*self.at))
                .help("ask for more traces at once with ?depth=N, as far as Jaeger's storage allows"),
        )
    }

    fn malformed(&self) -> Diagnostic {
        Diagnostic::error("jaeger-answer-malformed", "a trace came in a form that is not OTLP")
            .at(Location::file(&*self.at))
            .help("check that a Jaeger answers there, and its version")
    }
}
