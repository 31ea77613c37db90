//! A Tempo that is played: generated traces, real gRPC and HTTP on loopback, limits honoured, faults on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue as OtlpAny, KeyValue as OtlpKeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as OtlpSpan, TracesData};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};
use tonic::{Request, Response, Status};

use crate::wire::streaming_querier_server::{StreamingQuerier, StreamingQuerierServer};
use crate::wire::{
    AnyValue, InstantSeries, KeyValue, QueryInstantRequest, QueryInstantResponse, QueryRangeRequest,
    QueryRangeResponse, Sample, SearchRequest, SearchResponse, ServiceStats, Span, SpanSet, TimeSeries,
    TraceByIdResponse, TraceSearchMetadata, any_value,
};

/// First second of the generated traces.
pub(crate) const START: u64 = 1_795_178_400;
const SECOND: u64 = 1_000_000_000;

/// A file of `tests/data/tls`.
pub(crate) fn tls_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", "tls", name].iter().collect()
}

fn pem(name: &str) -> Vec<u8> {
    std::fs::read(tls_file(name)).unwrap()
}

/// One span of a generated trace. Blocks other than 0 are parts that lie elsewhere in the store.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) id: u64,
    pub(crate) parent: u64,
    pub(crate) start: u64,
    pub(crate) block: u32,
    pub(crate) link: bool,
}

pub(crate) type Traces = BTreeMap<u128, Vec<Piece>>;

/// `n` traces of 1 to 5 spans, 250 ms apart; every 16th id begins with zeros.
pub(crate) fn traces(n: u64) -> Traces {
    (0..n)
        .map(|i| {
            let high = if i % 16 == 0 { 0 } else { 0xabc0_0000_0000_0000u64 };
            let id = (u128::from(high) << 64) | u128::from(i + 1);
            let start = START * SECOND + i * 250_000_000;
            let spans = (0..=(i % 5))
                .map(|k| Piece {
                    id: i * 10 + k + 1,
                    parent: if k == 0 { 0 } else { i * 10 + k },
                    start: start + k * 1000,
                    block: 0,
                    link: false,
                })
                .collect();
            (id, spans)
        })
        .collect()
}

pub(crate) fn spans(traces: &Traces) -> usize {
    traces.values().map(Vec::len).sum()
}

/// What can go wrong with one search.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// Refused at once.
    Status(Status),
    /// Half the answer, then this.
    MidStream(Status),
    /// The whole server goes away.
    Die,
    /// Never answers.
    Hang,
}

/// How the played Tempo behaves.
#[derive(Clone, Default)]
pub(crate) struct Script {
    pub(crate) traces: Traces,
    /// Traces a search may ask for; 0 stands for Tempo's default.
    pub(crate) most: u32,
    /// Spans a set may hold; 0 stands for Tempo's default.
    pub(crate) most_spans: u32,
    /// More spans than this are "larger than the max".
    pub(crate) largest: usize,
    /// Metrics are refused, as an older Tempo does.
    pub(crate) no_metrics: bool,
    /// A trace that searches find and that is not there by id.
    pub(crate) gone: Option<u128>,
    /// A filter by name lets nothing through whose id begins with `ffff`.
    pub(crate) filtered: bool,
    /// It answers 0 to whoever wants a count, as one whose generator holds no spans does.
    pub(crate) counts_nothing: bool,
    /// `select` is refused.
    pub(crate) no_select: bool,
    /// What goes wrong with the n-th search.
    pub(crate) faults: BTreeMap<usize, Fault>,
    /// From this search on nothing works any more.
    pub(crate) broken_from: Option<(usize, Status)>,
    /// Status of the first HTTP answers.
    pub(crate) http_faults: Vec<u16>,
    /// TLS, with a client certificate demanded.
    pub(crate) tls: bool,
    /// Trace state of every span.
    pub(crate) trace_state: String,
}

#[derive(Clone)]
struct Played {
    script: Arc<Script>,
    searches: Arc<AtomicUsize>,
    fetches: Arc<AtomicUsize>,
    runtime: Arc<Mutex<Option<Runtime>>>,
}

/// A running server; it ends when dropped.
pub(crate) struct Server {
    played: Played,
    grpc: SocketAddr,
    http: SocketAddr,
}

impl Server {
    pub(crate) fn start(script: Script) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (grpc, http) = runtime.block_on(async {
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let addresses = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
        let count = || Arc::new(AtomicUsize::new(0));
        let played = Played { script: Arc::new(script), searches: count(), fetches: count(), runtime: Arc::default() };
        let service = StreamingQuerierServer::new(played.clone())
            .accept_compressed(CompressionEncoding::Gzip)
            .send_compressed(CompressionEncoding::Gzip);
        let mut builder = tonic::transport::Server::builder();
        if played.script.tls {
            let identity = Identity::from_pem(pem("server.pem"), pem("server.key"));
            let clients = Certificate::from_pem(pem("ca.pem"));
            builder = builder.tls_config(ServerTlsConfig::new().identity(identity).client_ca_root(clients)).unwrap();
        }
        runtime.spawn(builder.serve_with_incoming(service, TcpListenerStream::new(grpc)));
        runtime.spawn(serve_http(http, played.clone()));
        *played.runtime.lock().unwrap() = Some(runtime);
        Self { played, grpc: addresses.0, http: addresses.1 }
    }

    pub(crate) fn url(&self) -> String {
        format!("tempo://{}?http={}", self.grpc, self.http)
    }

    pub(crate) fn grpc(&self) -> SocketAddr {
        self.grpc
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.http
    }

    pub(crate) fn tls_url(&self) -> String {
        format!("tempo+https://{}?http=127.0.0.1:1", self.grpc)
    }

    /// The URL with an HTTP side where nothing listens.
    pub(crate) fn url_without_http(&self) -> String {
        format!("tempo://{}?http=127.0.0.1:1", self.grpc)
    }

    pub(crate) fn searches(&self) -> usize {
        self.played.searches.load(Ordering::SeqCst)
    }

    pub(crate) fn fetches(&self) -> usize {
        self.played.fetches.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.played.runtime.lock().unwrap().take() {
            runtime.shutdown_background();
        }
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn stream<T: Send + 'static>(messages: Vec<Result<T, Status>>) -> Response<Answers<T>> {
    Response::new(Box::pin(tokio_stream::iter(messages)))
}

#[tonic::async_trait]
impl StreamingQuerier for Played {
    type SearchStream = Answers<SearchResponse>;
    type MetricsQueryRangeStream = Answers<QueryRangeResponse>;
    type MetricsQueryInstantStream = Answers<QueryInstantResponse>;

    async fn search(&self, request: Request<SearchRequest>) -> Result<Response<Self::SearchStream>, Status> {
        let n = self.searches.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request.metadata().get("x-scope-orgid").map(|v| v.to_str().unwrap()), Some("team-a"));
        let request = request.into_inner();
        let script = &self.script;
        if let Some((from, status)) = &script.broken_from
            && n >= *from
        {
            return Err(status.clone());
        }
        let (spans, most_spans) = (request.spans_per_span_set, script.most_spans);
        if most_spans > 0 && spans > most_spans {
            let text = format!("spans per span set exceeds {most_spans}. received {spans}");
            return Err(Status::invalid_argument(text));
        }
        let most = if script.most == 0 { 262_144 } else { script.most };
        if request.limit > most {
            return Err(Status::invalid_argument(format!("limit {} exceeds max limit {most}", request.limit)));
        }
        if request.end - request.start > 168 * 3600 || request.start >= request.end || request.spans_per_span_set > 100
        {
            return Err(Status::invalid_argument("out of range"));
        }
        if script.no_select && request.query.contains("select") {
            return Err(Status::invalid_argument("invalid TraceQL query: parse error at line 1, col 6"));
        }
        // As Tempo's lexer: a field where it takes in the next 1,024 bytes ends the query.
        let cut =
            |end: &usize| request.query.as_bytes().get(end - 12..end + 2).is_some_and(|b| !b.trim_ascii().is_empty());
        if let Some(end) = (1024..request.query.len()).step_by(1024).find(cut) {
            let text = format!("invalid TraceQL query: parse error at line 1, col {}: syntax error", end + 1);
            return Err(Status::invalid_argument(text));
        }
        let found = self.find(&request);
        match script.faults.get(&n) {
            Some(Fault::Status(status)) => return Err(status.clone()),
            Some(Fault::MidStream(status)) => {
                let half = SearchResponse { traces: found[..found.len() / 2].to_vec() };
                return Ok(stream(vec![Ok(half), Err(status.clone())]));
            }
            Some(Fault::Die) => {
                if let Some(runtime) = self.runtime.lock().unwrap().take() {
                    runtime.shutdown_background();
                }
                return Err(Status::unavailable("gone"));
            }
            Some(Fault::Hang) => std::future::pending::<()>().await,
            None => {}
        }
        let spans: usize = found.iter().flat_map(|t| &t.span_sets).map(|s| s.spans.len()).sum();
        if script.largest > 0 && spans > script.largest {
            return Err(Status::internal(format!("response larger than the max ({spans} vs {})", script.largest)));
        }
        // A first state with some spans missing, then everything again in two packets, as Tempo does.
        let mut early = found[..found.len() / 3].to_vec();
        for set in early.iter_mut().flat_map(|t| &mut t.span_sets) {
            set.spans.truncate(1);
        }
        let (a, b) = found.split_at(found.len() / 2);
        let packets = [early, a.to_vec(), b.to_vec()];
        Ok(stream(packets.into_iter().map(|traces| Ok(SearchResponse { traces })).collect()))
    }

    async fn metrics_query_range(
        &self,
        request: Request<QueryRangeRequest>,
    ) -> Result<Response<Self::MetricsQueryRangeStream>, Status> {
        let request = request.into_inner();
        self.metrics(request.start, request.end)?;
        assert_eq!(request.step, 60 * SECOND);
        let mut buckets: BTreeMap<u64, f64> = BTreeMap::new();
        for piece in self.script.traces.values().flatten().filter(|p| p.start >= request.start && p.start < request.end)
        {
            *buckets.entry(piece.start / request.step * 60 + 60).or_default() += 1.0;
        }
        let sample = |(s, value)| Sample { value, timestamp_ms: i64::try_from(s * 1000).unwrap() };
        let series = vec![TimeSeries { labels: Vec::new(), samples: buckets.into_iter().map(sample).collect() }];
        Ok(stream(vec![Ok(QueryRangeResponse { series, status: 0 })]))
    }

    async fn metrics_query_instant(
        &self,
        request: Request<QueryInstantRequest>,
    ) -> Result<Response<Self::MetricsQueryInstantStream>, Status> {
        let request = request.into_inner();
        self.metrics(request.start, request.end)?;
        let pieces = self.script.traces.values().flatten();
        let counts = !self.script.counts_nothing;
        let n = pieces.filter(|p| counts && p.start >= request.start && p.start < request.end).count();
        let series = vec![InstantSeries { labels: Vec::new(), value: n as f64 }];
        Ok(stream(vec![Ok(QueryInstantResponse { series, status: 0 })]))
    }
}

impl Played {
    /// What Tempo's authors must never see: seconds in nanosecond fields.
    fn metrics(&self, start: u64, end: u64) -> Result<(), Status> {
        assert!(start >= 1_000_000_000_000_000_000 && end > start && end - start <= 24 * 3600 * SECOND);
        if self.script.no_metrics { Err(Status::unknown("not a metrics query")) } else { Ok(()) }
    }

    /// The traces of which some block overlaps the window; at the limit an arbitrary choice.
    fn find(&self, request: &SearchRequest) -> Vec<TraceSearchMetadata> {
        let (from, to) = (u64::from(request.start) * SECOND, u64::from(request.end) * SECOND);
        let selects = request.query.contains("select(");
        let most = request.spans_per_span_set as usize;
        let mut found = Vec::new();
        for (id, pieces) in &self.script.traces {
            if self.script.filtered && id >> 64 == 0xffff && request.query.contains("work") {
                continue;
            }
            let mut blocks: BTreeMap<u32, Vec<&Piece>> = BTreeMap::new();
            for piece in pieces {
                blocks.entry(piece.block).or_default().push(piece);
            }
            blocks.retain(|_, block| {
                let first = block.iter().map(|p| p.start).min().unwrap();
                let last = block.iter().map(|p| p.start + 1000).max().unwrap();
                first <= to && last >= from
            });
            // Of a trace in pieces the statistics are the largest piece's, and so are the spans.
            let Some(largest) = blocks.values().max_by_key(|block| block.len()) else { continue };
            let stats = ServiceStats { span_count: u32::try_from(largest.len()).unwrap(), error_count: 0 };
            found.push(TraceSearchMetadata {
                trace_id: format!("{id:x}"),
                start_time_unix_nano: blocks.values().flatten().map(|p| p.start).min().unwrap(),
                duration_ms: u32::try_from(
                    blocks
                        .values()
                        .flat_map(|b| {
                            Some((b.iter().map(|p| p.start).max()? - b.iter().map(|p| p.start).min()?) / 1_000_000)
                        })
                        .max()
                        .unwrap(),
                )
                .unwrap(),
                span_sets: vec![SpanSet {
                    spans: largest.iter().take(most).map(|p| span(p, selects)).collect(),
                    matched: stats.span_count,
                }],
                service_stats: [("shop".to_owned(), stats)].into(),
            });
            if found.len() >= request.limit as usize {
                break;
            }
        }
        found
    }

    fn whole(&self, id: u128) -> TracesData {
        let Some(pieces) = self.script.traces.get(&id).filter(|_| self.script.gone != Some(id)) else {
            return TracesData::default();
        };
        let span = |p: &Piece| OtlpSpan {
            trace_id: id.to_be_bytes().to_vec(),
            span_id: p.id.to_be_bytes().to_vec(),
            parent_span_id: if p.parent == 0 { Vec::new() } else { p.parent.to_be_bytes().to_vec() },
            name: "work".to_owned(),
            kind: 2,
            start_time_unix_nano: p.start,
            end_time_unix_nano: p.start + 1000,
            trace_state: self.script.trace_state.clone(),
            ..OtlpSpan::default()
        };
        let name = OtlpKeyValue {
            key: "service.name".to_owned(),
            value: Some(OtlpAny { value: Some(OtlpValue::StringValue("shop".to_owned())) }),
            ..OtlpKeyValue::default()
        };
        let scope = ScopeSpans { spans: pieces.iter().map(span).collect(), ..ScopeSpans::default() };
        let resource = Resource { attributes: vec![name], ..Resource::default() };
        TracesData {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope],
                ..ResourceSpans::default()
            }],
        }
    }
}

fn span(piece: &Piece, selects: bool) -> Span {
    let text = |key: &str, value: &str| KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) }),
    };
    let mut attributes = Vec::new();
    if selects {
        attributes.extend([text("kind", "server"), text("status", "unset"), text("service.name", "shop")]);
        attributes.push(text("span:parentID", &format!("{:016x}", piece.parent)));
        attributes.push(text("server.address", "nil"));
        attributes.push(text("link:traceID", if piece.link { "abc1" } else { "" }));
    }
    Span {
        span_id: format!("{:016x}", piece.id),
        name: if selects { "work".to_owned() } else { String::new() },
        start_time_unix_nano: piece.start,
        duration_nanos: 1000,
        attributes,
    }
}

async fn serve_http(listener: TcpListener, played: Played) {
    while let Ok((mut socket, _)) = listener.accept().await {
        let played = played.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            let mut chunk = [0u8; 2048];
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                match socket.read(&mut chunk).await {
                    Ok(n) if n > 0 => request.extend_from_slice(&chunk[..n]),
                    _ => return,
                }
            }
            let head = String::from_utf8_lossy(&request).into_owned();
            let n = played.fetches.fetch_add(1, Ordering::SeqCst);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let (id, bare) = path.strip_prefix("/api/").map_or(("", true), |path| match path.strip_prefix("v2/") {
                Some(path) => (path, false),
                None => (path, true),
            });
            let id = id.strip_prefix("traces/").and_then(|hex| u128::from_str_radix(hex, 16).ok());
            let status = match (played.script.http_faults.get(n), id) {
                (Some(status), _) => *status,
                (None, Some(_)) if head.contains("application/protobuf") && head.contains("x-scope-orgid: team-a") => {
                    200
                }
                _ => 400,
            };
            let body = match id {
                Some(id) if status == 200 && bare => played.whole(id).encode_to_vec(),
                Some(id) if status == 200 => {
                    TraceByIdResponse { trace: played.whole(id).encode_to_vec(), status: 0 }.encode_to_vec()
                }
                _ => Vec::new(),
            };
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = socket.write_all(head.as_bytes()).await;
            let _ = socket.write_all(&body).await;
        });
    }
}
