//! What a Tempo counts, from the recorded answers of a real one, held against the very spans that were sent to it.
//!
//! The answers are in `tests/data/tempo/counts-slice.bin.zst`: to every question about `shop-slice.otlp.binpb`, which was all
//! that this Tempo (3.1.0-dev, ad33aa8) held; in `counts-slice-short.bin.zst` those of one that gives 22 series at most
//! (`query_frontend.metrics.max_response_series`). With `TRACEBOOK_RECORD_TEMPO=http://HOST:PORT` (its gRPC side), and
//! `TRACEBOOK_RECORD_TEMPO_SHORT` for the other, the tests ask such a Tempo instead and write the file anew. A question that was
//! never asked is an error, so a change of the questions needs a Tempo.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use prost::Message;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};
use tracebook::source::{NoProgress, SpanSink, open, open_aggregate};
use tracebook::spans::{SpanBatch, SpanKind};
use tracebook::topology::cfg::TopologyConfig;
use tracebook::topology::{Builder, Edge, EdgeKind, Intake, Series, Snapshot, SnapshotKind, from_aggregate};

use crate::doors::{NOT_FOUND, says};
use crate::support::options;
use crate::wire::streaming_querier_client::StreamingQuerierClient;
use crate::wire::streaming_querier_server::{StreamingQuerier, StreamingQuerierServer};
use crate::wire::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest, SearchResponse,
    ServiceStats, TraceSearchMetadata,
};

/// Neither end is on a full 5 minutes.
const WINDOW: (u64, u64) = (1_795_178_370, 1_795_179_330);

/// The last message of each answer by question.
type Answers = BTreeMap<String, Vec<u8>>;

fn path(name: &str) -> String {
    format!("{}/tests/data/tempo/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn load(name: &str) -> Answers {
    let bytes = zstd::decode_all(std::fs::File::open(path(name)).unwrap()).unwrap();
    let mut rest = bytes.as_slice();
    let mut part = || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (part, after) = after.split_at(u32::from_be_bytes(*length) as usize);
        rest = after;
        Some(part.to_vec())
    };
    let mut answers = Answers::new();
    while let (Some(question), Some(answer)) = (part(), part()) {
        answers.insert(String::from_utf8(question).unwrap(), answer);
    }
    answers
}

fn save(answers: &Answers, name: &str) {
    let parts = answers.iter().flat_map(|(question, answer)| [question.as_bytes(), answer.as_slice()]);
    let bytes: Vec<u8> =
        parts.flat_map(|part| [&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat()).collect();
    std::fs::write(path(name), zstd::encode_all(bytes.as_slice(), 19).unwrap()).unwrap();
}

/// Answers as recorded, or asks a real one and remembers.
#[derive(Clone)]
struct Recorded {
    answers: Arc<Mutex<Answers>>,
    live: Option<StreamingQuerierClient<tonic::transport::Channel>>,
    /// What every search finds; without it, searches are refused.
    found: Option<SearchResponse>,
}

type Answer<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Recorded {
    fn known<T: Message + Default + Send + 'static>(&self, question: &str) -> Result<Response<Answer<T>>, Status> {
        let answers = self.answers.lock().unwrap();
        let bytes = answers.get(question).ok_or_else(|| Status::not_found(format!("never asked: {question}")))?;
        let message = T::decode(bytes.as_slice()).unwrap();
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(message)]))))
    }

    async fn remember<T: Message>(&self, question: &str, mut stream: tonic::Streaming<T>) -> Result<(), Status> {
        let mut last = Vec::new();
        while let Some(message) = stream.message().await? {
            last = message.encode_to_vec();
        }
        self.answers.lock().unwrap().insert(question.to_owned(), last);
        Ok(())
    }
}

#[tonic::async_trait]
impl StreamingQuerier for Recorded {
    type SearchStream = Answer<SearchResponse>;
    type MetricsQueryRangeStream = Answer<QueryRangeResponse>;
    type MetricsQueryInstantStream = Answer<QueryInstantResponse>;

    async fn search(&self, _: Request<SearchRequest>) -> Result<Response<Self::SearchStream>, Status> {
        let found =
            self.found.clone().ok_or_else(|| Status::invalid_argument("invalid TraceQL query: nobody searches"))?;
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(found)]))))
    }

    async fn metrics_query_range(
        &self,
        request: Request<QueryRangeRequest>,
    ) -> Result<Response<Self::MetricsQueryRangeStream>, Status> {
        let ask = request.into_inner();
        let question = format!("{} {} {} {}", ask.start, ask.end, ask.step, ask.query);
        if let Some(mut live) = self.live.clone() {
            self.remember(&question, live.metrics_query_range(ask).await?.into_inner()).await?;
        }
        self.known(&question)
    }

    async fn metrics_query_instant(
        &self,
        request: Request<QueryInstantRequest>,
    ) -> Result<Response<Self::MetricsQueryInstantStream>, Status> {
        let ask = request.into_inner();
        let question = format!("{} {} {}", ask.start, ask.end, ask.query);
        if let Some(mut live) = self.live.clone() {
            self.remember(&question, live.metrics_query_instant(ask).await?.into_inner()).await?;
        }
        self.known(&question)
    }
}

/// Serves until the runtime is dropped.
fn serve(runtime: &Runtime, recorded: Recorded) -> SocketAddr {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let at = listener.local_addr().unwrap();
    let service = StreamingQuerierServer::new(recorded)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    runtime.spawn(tonic::transport::Server::builder().serve_with_incoming(service, TcpListenerStream::new(listener)));
    at
}

struct Into<'a>(&'a Builder);

impl SpanSink for Into<'_> {
    fn push(&self, batch: &SpanBatch) -> Result<(), tracebook::diag::Diagnostic> {
        self.0.push(batch)
    }
}

/// What the spans themselves say.
fn truth() -> Snapshot {
    let builder = Builder::new(TopologyConfig::default());
    open(&path("shop-slice.otlp.binpb"), &options(WINDOW)).unwrap().read(&Into(&builder), &NoProgress).unwrap();
    builder.finish(Intake::default(), 2).unwrap()
}

/// What a Tempo counted, recorded in a file or asked of the one that a variable names; the codes of what is to be said about it,
/// and the answers.
fn counted(name: &str, variable: &str) -> (Snapshot, Vec<&'static str>, Answers) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let record = std::env::var(variable).ok();
    let live = record.as_ref().map(|at| runtime.block_on(StreamingQuerierClient::connect(at.clone())).unwrap());
    let answers = Arc::new(Mutex::new(if live.is_some() { Answers::new() } else { load(name) }));
    let at = serve(&runtime, Recorded { answers: answers.clone(), live, found: None });
    let mut source =
        open_aggregate(&format!("aggregate+tempo://{at}?http=127.0.0.1:1"), &options(WINDOW)).unwrap().unwrap();
    let (aggregate, report) = source.read(&NoProgress).unwrap();
    let counted = from_aggregate(aggregate, &["tempo".to_owned()], &TopologyConfig::default()).unwrap();
    let builder = Builder::new(TopologyConfig::default());
    // Nobody searches here: the counts are good, and that there are no examples is an error of its own.
    assert_eq!(source.examples(None, &Into(&builder), &NoProgress).unwrap_err().code, "tempo-query-refused");
    assert!(source.examples(Some(0), &Into(&builder), &NoProgress).unwrap().window.is_none());
    runtime.shutdown_background();
    let answers = answers.lock().unwrap().clone();
    if record.is_some() {
        save(&answers, name);
    }
    (counted, report.diagnostics.iter().map(|d| d.code).collect(), answers)
}

/// Whether an answer to such a question was cut off.
fn cut_off((question, answer): (&String, &Vec<u8>)) -> bool {
    let ranged = question.contains("exemplars=false");
    let status = if ranged {
        QueryRangeResponse::decode(answer.as_slice()).unwrap().status
    } else {
        QueryInstantResponse::decode(answer.as_slice()).unwrap().status
    };
    status != 0
}

/// What becomes of recorded answers that were changed.
fn outcome_of(answers: Answers) -> Result<(), tracebook::diag::Diagnostic> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let at = serve(&runtime, Recorded { answers: Arc::new(Mutex::new(answers)), live: None, found: None });
    let from = format!("aggregate+tempo://{at}?http=127.0.0.1:1");
    let outcome = open_aggregate(&from, &options(WINDOW)).unwrap().unwrap().read(&NoProgress);
    runtime.shutdown_background();
    outcome.map(|_| ())
}

#[test]
fn examples_that_a_search_finds_and_the_http_side_does_not_know_are_an_error() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let trace = |id: &str| TraceSearchMetadata {
        trace_id: id.to_owned(),
        start_time_unix_nano: (WINDOW.0 + 1) * 1_000_000_000,
        service_stats: [("shop".to_owned(), ServiceStats { span_count: 2, error_count: 0 })].into(),
        ..TraceSearchMetadata::default()
    };
    let found = Some(SearchResponse { traces: vec![trace("abc1"), trace("abc2")] });
    let answers = Arc::new(Mutex::new(load("counts-slice.bin.zst")));
    let at = serve(&runtime, Recorded { answers, live: None, found });
    for text in NOT_FOUND {
        let from = format!("aggregate+tempo://{at}?http={}", says(text.as_bytes()));
        let mut source = open_aggregate(&from, &options(WINDOW)).unwrap().unwrap();
        source.read(&NoProgress).unwrap();
        let builder = Builder::new(TopologyConfig::default());
        let why = source.examples(None, &Into(&builder), &NoProgress).unwrap_err();
        assert_eq!(why.code, "tempo-http-refused", "{why}");
        assert!(why.message.contains("none of 2 trace(s)") && why.help.contains("?http="), "{why}");
    }
    runtime.shutdown_background();
}

#[test]
fn of_a_tempo_that_cuts_its_answers_off_everything_is_counted_in_parts() {
    let (whole, codes, long) = counted("counts-slice.bin.zst", "TRACEBOOK_RECORD_TEMPO");
    let (parts, codes_of_parts, short) = counted("counts-slice-short.bin.zst", "TRACEBOOK_RECORD_TEMPO_SHORT");
    assert!(!long.iter().any(cut_off));
    let cut = short.iter().filter(|answer| cut_off(*answer)).count();
    let of = |what: &str| short.iter().filter(|answer| cut_off(*answer)).any(|(question, _)| question.contains(what));
    assert!(cut >= 5 && of("histogram_over_time") && of("kind, status)") && of("exemplars=false"), "{cut}");
    assert_eq!(codes, codes_of_parts);
    assert_eq!(whole, parts);
}

#[test]
fn parts_that_do_not_come_to_the_whole_and_an_answer_without_parts_are_refused() {
    let recorded = load("counts-slice-short.bin.zst");
    assert!(outcome_of(recorded.clone()).is_ok());
    let changed = |which: &str, change: fn(&mut QueryInstantResponse)| {
        let mut answers = recorded.clone();
        let of = |answer: &(&String, &mut Vec<u8>)| answer.0.contains(which) && answer.0.contains(" < \"");
        let (_, bytes) = answers.iter_mut().find(|answer| of(answer) && !cut_off((answer.0, &*answer.1))).unwrap();
        let mut answer = QueryInstantResponse::decode(bytes.as_slice()).unwrap();
        change(&mut answer);
        *bytes = answer.encode_to_vec();
        outcome_of(answers).unwrap_err()
    };
    for which in ["name, kind, status)", "histogram_over_time"] {
        let fewer = changed(which, |answer| _ = answer.series.pop());
        assert_eq!(fewer.code, "tempo-series-partial");
        assert!(fewer.message.contains("asked for in parts, these come to "), "{fewer}");
        let alike = changed(which, |answer| {
            answer.status = 1;
            answer.series.truncate(1);
        });
        assert_eq!(alike.code, "tempo-series-partial");
        assert!(alike.message.contains("nothing tells apart"), "{alike}");
    }
}

#[test]
fn what_a_real_tempo_counted_of_these_spans_is_what_they_say() {
    let (counted, codes, _) = counted("counts-slice.bin.zst", "TRACEBOOK_RECORD_TEMPO");
    // Most traces of the slice are cut off by its ends.
    assert_eq!(codes, ["tempo-cut-off"]);
    assert_eq!(counted.provenance.kind, SnapshotKind::Aggregate);
    let truth = truth();
    assert_eq!(truth.operations.len(), counted.operations.len());
    let mut failed = 0;
    for (all, some) in truth.operations.iter().zip(&counted.operations) {
        let name = format!("{} {:?} {}", all.service, all.kind, all.name);
        assert_eq!((&all.service, all.kind, &all.name, all.entry), (&some.service, some.kind, &some.name, some.entry));
        assert_eq!((all.stats.calls, all.stats.errors), (some.stats.calls, some.stats.errors), "{name}");
        let in_time = matches!(all.kind, SpanKind::Server | SpanKind::Consumer);
        assert_eq!(if in_time { all.stats.series.clone() } else { Series::default() }, some.stats.series, "{name}");
        assert_eq!(all.stats.error_classes, some.stats.error_classes, "{name}");
        let (exact, p99) = (all.stats.durations.quantile(0.99).unwrap(), some.stats.durations.quantile(0.99).unwrap());
        assert!(p99 >= exact * 0.49 && p99 <= exact * 2.05, "{name}: {p99} for {exact}");
        failed += all.stats.errors.micro() / 1_000_000;
    }
    assert_eq!(failed, 16);
    let all = |some: &Edge| {
        truth.edges.iter().find(|e| (&e.source, &e.target, e.kind) == (&some.source, &some.target, some.kind))
    };
    // A full pull follows links, and a message that belongs to no sender in the slice is no edge there.
    for some in counted.edges.iter().filter(|e| e.kind != EdgeKind::Messaging) {
        let all = all(some).unwrap_or_else(|| panic!("{} {}", some.source, some.target));
        assert!(some.calls <= all.calls && some.errors <= all.errors, "{} {}", some.source, some.target);
        if some.calls == all.calls {
            let in_time = !matches!(some.kind, EdgeKind::Call | EdgeKind::Entry);
            let series = if in_time { all.series.clone() } else { Series::default() };
            assert_eq!((some.errors, &some.series), (all.errors, &series), "{} {}", some.source, some.target);
            assert_eq!(some.server.n(), if in_time { 0 } else { all.server.n() }, "{} {}", some.source, some.target);
        }
    }
    assert!(counted.edges.iter().any(|e| e.kind == EdgeKind::Database && e.errors == all(e).unwrap().errors));
}
