//! What goes wrong between tracebook and a Jaeger, played by a server that speaks the real wire: overload, cut streams,
//! silence, storages with limits of their own. A real Jaeger is asked by `tests/peers/run.sh`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use tracebook::diag::Diagnostic;
use tracebook::source::{NoProgress, SourceOptions, SourceReport, SpanSink, open};
use tracebook::spans::{SpanBatch, UnixNanos};

use self::wire::query_service_server::{QueryService, QueryServiceServer};
use self::wire::*;

/// The messages of `proto/jaeger` with their server half, as `build.rs` generates them.
mod wire {
    #![allow(missing_docs, unreachable_pub, dead_code, clippy::all)]
    include!(concat!(env!("OUT_DIR"), "/jaeger.api_v3.rs"));
}

/// First microsecond of the traces.
const START: u64 = 1_795_178_400_000_000;
const TRACES: u64 = 400;

/// How the played Jaeger behaves.
#[derive(Default)]
struct Script {
    /// Microseconds between traces; 0 lets all start at once.
    apart: u64,
    /// As Cassandra's storage: it reads three rows of its index for each trace that is asked for, one a span.
    by_rows: bool,
    /// What goes wrong with the n-th search: at once, or in the middle of the stream.
    faults: BTreeMap<usize, (bool, Status)>,
    /// What goes wrong with every search.
    always: Option<Status>,
    /// Searches never end.
    silent: bool,
    /// Traces that are not there are NOT_FOUND.
    not_found: bool,
    /// From this search on, so many of the first traces are not there any more.
    lost: Option<(usize, u64)>,
    /// Services that are known when they are asked for the first time, and later, if not both of them.
    known: Option<[&'static [&'static str]; 2]>,
    /// More pairs of services than the traces have.
    dependencies: Vec<(&'static str, &'static str)>,
}

#[derive(Clone)]
struct Played {
    script: Arc<Script>,
    searches: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    tenants: Arc<Mutex<Vec<String>>>,
}

/// The spans of a trace: service, id, parent, start in microseconds. The first one is of `web`; the other five are of `cart`
/// in every third trace, of `web` too in the rest.
fn spans(trace: u64, apart: u64) -> Vec<(&'static str, u64, u64, u64)> {
    let start = START + trace * apart;
    let other = if trace.is_multiple_of(3) { "cart" } else { "web" };
    let others = (1..6).map(|k| (other, trace * 10 + 1 + k, trace * 10 + 1, start + k));
    std::iter::once(("web", trace * 10 + 1, 0, start)).chain(others).collect()
}

fn encoded(trace: u64, service: &str, id: u64, parent: u64, start: u64) -> Vec<u8> {
    let name = AnyValue { value: Some(Value::StringValue(service.to_owned())) };
    let attribute = KeyValue { key: "service.name".to_owned(), value: Some(name), ..KeyValue::default() };
    let span = Span {
        trace_id: u128::from(trace + 1).to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { parent.to_be_bytes().to_vec() },
        name: "work".to_owned(),
        kind: 2,
        start_time_unix_nano: start * 1_000,
        end_time_unix_nano: start * 1_000 + 500,
        ..Span::default()
    };
    let resource = Resource { attributes: vec![attribute], ..Resource::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() }.encode_to_vec()
}

fn micros(time: Option<Timestamp>) -> u64 {
    let time = time.unwrap();
    u64::try_from(time.seconds).unwrap() * 1_000_000 + u64::try_from(time.nanos).unwrap() / 1_000
}

#[tonic::async_trait]
impl QueryService for Played {
    type FindTracesStream = Pin<Box<dyn Stream<Item = Result<TracesChunk, Status>> + Send>>;

    async fn get_services(
        &self,
        request: Request<GetServicesRequest>,
    ) -> Result<Response<GetServicesResponse>, Status> {
        let tenant = request.metadata().get("x-tenant").map(|tenant| tenant.to_str().unwrap().to_owned());
        self.tenants.lock().unwrap().extend(tenant);
        let again = self.asked.fetch_add(1, Ordering::SeqCst).min(1);
        let services = self.script.known.map_or(["web", "cart"].as_slice(), |known| known[again]);
        Ok(Response::new(GetServicesResponse { services: services.iter().map(|name| (*name).to_owned()).collect() }))
    }

    async fn find_traces(
        &self,
        request: Request<FindTracesRequest>,
    ) -> Result<Response<Self::FindTracesStream>, Status> {
        let number = self.searches.fetch_add(1, Ordering::SeqCst);
        let script = &self.script;
        if script.silent {
            return Ok(Response::new(Box::pin(tokio_stream::pending())));
        }
        let fault = script.faults.get(&number).cloned().or_else(|| script.always.clone().map(|status| (false, status)));
        if let Some((false, status)) = fault {
            return Err(status);
        }
        let query = request.into_inner().query.unwrap();
        assert!(query.raw_traces);
        // The storage in memory takes the end as belonging to the window.
        let window = micros(query.start_time_min)..=micros(query.start_time_max);
        let depth = usize::try_from(query.search_depth).unwrap();
        let (mut chunks, mut rows, mut found) = (Vec::new(), 0, 0);
        // The newest first, as most storages.
        let lost = script.lost.filter(|(from, _)| number >= *from).map_or(0, |(_, lost)| lost);
        for trace in (lost..TRACES).rev() {
            let spans = spans(trace, script.apart);
            let here = |span: &&(&str, u64, u64, u64)| span.0 == query.service_name && window.contains(&span.3);
            let matching = spans.iter().filter(here).count();
            if found == depth || (script.by_rows && rows >= depth * 3) {
                break;
            }
            rows += matching;
            if matching > 0 {
                found += 1;
                let chunk = |s: &(&str, u64, u64, u64)| encoded(trace, s.0, s.1, s.2, s.3);
                chunks.extend(spans.iter().map(|s| TracesChunk { resource_spans: vec![chunk(s)] }));
            }
        }
        if chunks.is_empty() && script.not_found {
            return Err(Status::not_found("trace not found"));
        }
        // Traces in pieces: the first spans of all, then the second ones, and so on.
        let mut order: Vec<_> = chunks.into_iter().enumerate().collect();
        order.sort_by_key(|(i, _)| i % 6);
        let mut answers: Vec<_> = order.into_iter().map(|(_, chunk)| Ok(chunk)).collect();
        if let Some((true, status)) = fault {
            answers.truncate(answers.len() / 2);
            answers.push(Err(status));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(answers))))
    }

    async fn get_dependencies(
        &self,
        _: Request<GetDependenciesRequest>,
    ) -> Result<Response<GetDependenciesResponse>, Status> {
        let link = |(parent, child): &(&str, &str)| Dependency {
            parent: (*parent).to_owned(),
            child: (*child).to_owned(),
            call_count: 1,
        };
        Ok(Response::new(GetDependenciesResponse { dependencies: self.script.dependencies.iter().map(link).collect() }))
    }
}

/// A running server; it ends when dropped.
struct Server {
    _runtime: tokio::runtime::Runtime,
    address: SocketAddr,
    played: Played,
}

fn play(script: Script) -> Server {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let played =
        Played { script: Arc::new(script), searches: Arc::default(), asked: Arc::default(), tenants: Arc::default() };
    let service = QueryServiceServer::new(played.clone());
    runtime.spawn(tonic::transport::Server::builder().serve_with_incoming(service, TcpListenerStream::new(listener)));
    Server { _runtime: runtime, address, played }
}

/// Spans that came: trace, span, start.
type Rows = Vec<(u128, u64, u64)>;

#[derive(Default)]
struct Sink(Mutex<Rows>);

impl SpanSink for Sink {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        self.0.lock().unwrap().extend(batch.rows.iter().map(|row| (row.trace_id.0, row.span_id.0, row.start)));
        Ok(())
    }
}

/// What comes within a window in microseconds after the start.
fn pull(server: &Server, depth: u32, window: (u64, u64)) -> Result<(Rows, SourceReport), Diagnostic> {
    let nanos = |micros: u64| UnixNanos((START + micros) * 1_000);
    let mut options = SourceOptions {
        window: Some((nanos(window.0), nanos(window.1))),
        threads: 2,
        timeout: Duration::from_millis(1_500),
        ..SourceOptions::default()
    };
    options.transport.tenant = Some("team-a".to_owned());
    let sink = Sink::default();
    let url = format!("jaeger://{}?depth={depth}", server.address);
    let report = open(&url, &options)?.read(&sink, &NoProgress)?;
    let mut rows = sink.0.into_inner().unwrap();
    rows.sort_unstable();
    Ok((rows, report))
}

/// Pulls with `depth` and holds what came against everything there is, each span once.
fn everything(script: Script, depth: u32) -> (Server, SourceReport) {
    let apart = script.apart;
    let server = play(script);
    let (rows, report) = pull(&server, depth, (0, TRACES * apart + 1_000)).unwrap();
    let mut expected: Vec<_> = (0..TRACES)
        .flat_map(|trace| spans(trace, apart).into_iter().map(move |s| (u128::from(trace + 1), s.1, s.3 * 1_000)))
        .collect();
    expected.sort_unstable();
    assert_eq!(rows, expected);
    (server, report)
}

fn apart() -> Script {
    Script { apart: 250_000, ..Script::default() }
}

#[test]
fn traces_in_pieces_and_under_several_services_come_once_and_whole() {
    let (server, report) = everything(apart(), 1_000);
    assert!(report.diagnostics.is_empty() && report.partial_traces == 0, "{report:?}");
    // One for each service, and two to see whether it still holds.
    assert_eq!(server.played.searches.load(Ordering::SeqCst), 6);
    assert_eq!(*server.played.tenants.lock().unwrap(), ["team-a", "team-a"]);
}

#[test]
fn a_jaeger_that_loses_traces_meanwhile_is_found_out() {
    let window = (0, TRACES * 250_000);
    // Started again with an empty memory in the middle of the pull.
    let d = pull(&play(Script { lost: Some((12, TRACES)), ..apart() }), 50, window).unwrap_err();
    assert_eq!(d.code, "jaeger-traces-lost", "{d}");
    // A service that is not listed any more is no loss where its traces are there.
    let known = Some([&["web", "cart"][..], &["web"]]);
    assert!(pull(&play(Script { known, ..apart() }), 1_000, window).unwrap().1.diagnostics.is_empty());
    // Drops the oldest for new ones.
    let (_, report) = pull(&play(Script { lost: Some((2, 5)), ..apart() }), 1_000, window).unwrap();
    let told = &report.diagnostics[0];
    assert!(
        told.code == "jaeger-traces-lost" && told.message.contains("of 2 of 2 service(s), such as `cart`"),
        "{report:?}"
    );
}

#[test]
fn a_service_that_comes_meanwhile_is_read_too() {
    // Every trace has a span of `web`.
    everything(Script { known: Some([&["cart"], &["cart", "web"]]), ..apart() }, 1_000);
}

#[test]
fn windows_are_halved_until_no_answer_reaches_the_depth_whatever_the_storage_counts() {
    everything(apart(), 20);
    // It stops after 60 rows, which are about 14 traces of `web` and no sign of more.
    everything(Script { by_rows: true, ..apart() }, 20);
    everything(Script { not_found: true, ..apart() }, 7);
}

#[test]
fn a_trace_belongs_to_the_window_in_which_its_first_span_starts() {
    let server = play(apart());
    let middle = 100 * 250_000 + 1;
    let all = (0, TRACES * 250_000);
    let (first, _) = pull(&server, 30, (all.0, middle)).unwrap();
    let (second, _) = pull(&server, 30, (middle, all.1)).unwrap();
    // The trace that starts a microsecond before the middle has five more spans behind it.
    assert_eq!((first.len(), second.len()), (101 * 6, 299 * 6));
    let around = pull(&server, 30, (middle, middle + 10)).unwrap_err();
    assert_eq!(around.code, "no-traces-in-window");
    assert!(around.message.contains("only traces that began earlier"), "{}", around.message);
}

#[test]
fn overload_cut_streams_and_restarts_are_waited_out_and_nothing_comes_twice() {
    let faults = [
        (0, (false, Status::unavailable("restarting"))),
        (1, (true, Status::internal("broken pipe in the storage"))),
        (3, (false, Status::resource_exhausted("too many requests"))),
        (5, (true, Status::unavailable("connection reset"))),
        (7, (false, Status::unknown("elastic: Error 503"))),
    ];
    let (server, _) = everything(Script { faults: faults.into(), ..apart() }, 150);
    assert!(server.played.searches.load(Ordering::SeqCst) > 8);
}

#[test]
fn what_cannot_be_had_whole_is_an_error() {
    // 400 traces in one microsecond, and 20 at once.
    let d = pull(&play(Script::default()), 20, (0, 1_000_000)).unwrap_err();
    assert_eq!(d.code, "jaeger-too-much");
    assert!(d.message.contains("one microsecond") && d.help.contains("?depth="), "{d:?}");
    for (status, code) in [
        (Status::unavailable("down"), "jaeger-unavailable"),
        (Status::resource_exhausted("slow down"), "jaeger-overloaded"),
        (Status::unknown("no connection to cassandra"), "jaeger-failed"),
        (Status::unknown("search depth is never right"), "jaeger-depth-refused"),
        (Status::unauthenticated("who are you"), "jaeger-unauthenticated"),
        (Status::permission_denied("no"), "jaeger-forbidden"),
    ] {
        let server = play(Script { always: Some(status), ..apart() });
        assert_eq!(pull(&server, 1_000, (0, 1_000_000)).unwrap_err().code, code);
    }
}

#[test]
fn a_jaeger_that_falls_silent_is_given_up_in_time() {
    let begin = std::time::Instant::now();
    let d = pull(&play(Script { silent: true, ..apart() }), 1_000, (0, 1_000_000)).unwrap_err();
    assert_eq!(d.code, "jaeger-deadline");
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn pairs_of_services_that_only_jaeger_knows_are_noted() {
    let (_, report) = everything(Script { dependencies: vec![("web", "cart"), ("cart", "bank")], ..apart() }, 1_000);
    let [note] = report.diagnostics.as_slice() else { panic!("{report:?}") };
    assert_eq!(note.code, "jaeger-dependencies-unseen");
    assert!(note.message.contains("cart → bank") && !note.message.contains("web → cart"), "{}", note.message);
}
