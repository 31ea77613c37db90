//! What a Tempo counts, from the recorded answers of a real one, held against the very spans that were sent to it.
//!
//! The answers are in `tests/data/tempo/counts-slice.bin.zst`: to every question about `shop-slice.otlp.binpb`, which was all
//! that this Tempo (3.1.0-dev, ad33aa8) held. With `TRACEBOOK_RECORD_TEMPO=http://HOST:PORT` (its gRPC side) the test asks such
//! a Tempo instead and writes the file anew. A question that was never asked is an error, so a change of the questions
//! needs a Tempo.

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

use crate::support::options;
use crate::wire::streaming_querier_client::StreamingQuerierClient;
use crate::wire::streaming_querier_server::{StreamingQuerier, StreamingQuerierServer};
use crate::wire::{
    QueryInstantRequest, QueryInstantResponse, QueryRangeRequest, QueryRangeResponse, SearchRequest, SearchResponse,
};

/// Neither end is on a full 5 minutes.
const WINDOW: (u64, u64) = (1_795_178_370, 1_795_179_330);

/// The last message of each answer by question.
type Answers = BTreeMap<String, Vec<u8>>;

fn path(name: &str) -> String {
    format!("{}/tests/data/tempo/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn load() -> Answers {
    let bytes = zstd::decode_all(std::fs::File::open(path("counts-slice.bin.zst")).unwrap()).unwrap();
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

fn save(answers: &Answers) {
    let parts = answers.iter().flat_map(|(question, answer)| [question.as_bytes(), answer.as_slice()]);
    let bytes: Vec<u8> =
        parts.flat_map(|part| [&u32::try_from(part.len()).unwrap().to_be_bytes()[..], part].concat()).collect();
    std::fs::write(path("counts-slice.bin.zst"), zstd::encode_all(bytes.as_slice(), 19).unwrap()).unwrap();
}

/// Answers as recorded, or asks a real one and remembers.
#[derive(Clone)]
struct Recorded {
    answers: Arc<Mutex<Answers>>,
    live: Option<StreamingQuerierClient<tonic::transport::Channel>>,
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
        Err(Status::invalid_argument("invalid TraceQL query: nobody searches"))
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

#[test]
fn what_a_real_tempo_counted_of_these_spans_is_what_they_say() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let record = std::env::var("TRACEBOOK_RECORD_TEMPO").ok();
    let live = record.as_ref().map(|at| runtime.block_on(StreamingQuerierClient::connect(at.clone())).unwrap());
    let answers = Arc::new(Mutex::new(if live.is_some() { Answers::new() } else { load() }));
    let at = serve(&runtime, Recorded { answers: answers.clone(), live });
    let mut source =
        open_aggregate(&format!("aggregate+tempo://{at}?http=127.0.0.1:1"), &options(WINDOW)).unwrap().unwrap();
    let (aggregate, report) = source.read(&NoProgress).unwrap();
    let counted = from_aggregate(aggregate, &[source.describe()], &TopologyConfig::default()).unwrap();
    let builder = Builder::new(TopologyConfig::default());
    // Nobody searches here: the counts are good, and that there are no examples is an error of its own.
    assert_eq!(source.examples(None, &Into(&builder), &NoProgress).unwrap_err().code, "tempo-query-refused");
    assert!(source.examples(Some(0), &Into(&builder), &NoProgress).unwrap().window.is_none());
    runtime.shutdown_background();
    if record.is_some() {
        save(&answers.lock().unwrap());
    }
    // Most traces of the slice are cut off by its ends.
    let codes: Vec<&str> = report.diagnostics.iter().map(|d| d.code).collect();
    assert_eq!(codes, ["tempo-cut-off"], "{:?}", report.diagnostics);
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
