//! A real Tempo that the tests start, fill, kill and start again, when `TRACEBOOK_TEMPO_BIN` names its binary.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, TracesData};
use prost::Message;
use tracebook::source::{NoProgress, Progress, open};

use crate::support::{Sink, options};

const TRACES: u64 = 20_000;
/// Traces a second.
const RATE: u64 = 10;

struct Tempo {
    binary: String,
    dir: tempfile::TempDir,
    http: u16,
    grpc: u16,
    otlp: u16,
    child: Child,
}

/// Ports nobody uses, all different.
fn free() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Tempo {
    fn start() -> Option<Self> {
        let Ok(binary) = std::env::var("TRACEBOOK_TEMPO_BIN") else {
            println!("skipped: TRACEBOOK_TEMPO_BIN is not set");
            return None;
        };
        let dir = tempfile::tempdir().unwrap();
        let [http, grpc, otlp, gossip] = free();
        let at = dir.path().display();
        // Old spans stay searchable where they came in, and lie on the disk soon, so that a kill loses none.
        let config = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}, log_level: error}}
memberlist: {{bind_addr: [127.0.0.1], bind_port: {gossip}}}
distributor: {{ring: {{instance_addr: 127.0.0.1}}, receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{otlp}\"}}}}}}}}}}
{}
storage: {{trace: {{backend: local, blocklist_poll: 5s, local: {{path: {at}/blocks}}, wal: {{path: {at}/wal, ingestion_time_range_slack: 400h}}}}}}
overrides: {{defaults: {{ingestion: {{rate_limit_bytes: 1000000000, burst_size_bytes: 1000000000, max_traces_per_user: 0}}}}}}
usage_report: {{reporting_enabled: false}}
",
            if old(&binary) { since_2() } else { since_3(dir.path()) }
        );
        std::fs::write(dir.path().join("tempo.yaml"), config).unwrap();
        let child = spawn(&binary, &dir.path().join("tempo.yaml"));
        let tempo = Self { binary, dir, http, grpc, otlp, child };
        tempo.wait();
        Some(tempo)
    }

    fn wait(&self) {
        let begin = Instant::now();
        while !get(self.http, "GET /ready HTTP/1.0\r\n\r\n", b"").contains("200 OK") {
            if begin.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
                panic!("this Tempo does not get ready: {log}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn url(&self) -> String {
        format!("tempo://127.0.0.1:{}?http=127.0.0.1:{}", self.grpc, self.http)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn restart(&mut self) {
        self.child = spawn(&self.binary, &self.dir.path().join("tempo.yaml"));
    }

    /// Traces of 1 to 4 spans, every 100th of which fails; returns their number of spans.
    fn fill(&self, start: u64) -> usize {
        let mut spans = 0;
        for chunk in (0..TRACES).collect::<Vec<_>>().chunks(1_000) {
            let data = TracesData { resource_spans: chunk.iter().map(|i| trace(*i, start)).collect() };
            spans += data.resource_spans.iter().flat_map(|r| &r.scope_spans).map(|s| s.spans.len()).sum::<usize>();
            let body = data.encode_to_vec();
            let head = format!(
                "POST /v1/traces HTTP/1.0\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            assert!(get(self.otlp, &head, &body).contains("200 OK"));
        }
        // Until the last block is cut and written.
        std::thread::sleep(Duration::from_secs(15));
        spans
    }
}

impl Drop for Tempo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this is a Tempo 2, in which ingesters hold what is recent.
fn old(binary: &str) -> bool {
    let version = Command::new(binary).arg("-version").output().unwrap();
    let text = [version.stdout, version.stderr].concat();
    String::from_utf8_lossy(&text).contains("version 2.") || binary.contains("-v2.")
}

fn since_2() -> String {
    "query_frontend: {search: {query_backend_after: 400h, query_ingesters_until: 400h}}
ingester: {lifecycler: {address: 127.0.0.1, ring: {kvstore: {store: inmemory}, replication_factor: 1}}, trace_idle_period: 1s, max_block_duration: 5s, flush_check_period: 1s, complete_block_timeout: 400h}
compactor: {ring: {instance_addr: 127.0.0.1}}"
        .to_owned()
}

fn since_3(dir: &Path) -> String {
    let at = dir.display();
    format!(
        "query_frontend: {{query_end_cutoff: 1s, search: {{query_backend_after: 400h}}, metrics: {{query_backend_after: 400h}}}}
live_store: {{wal: {{path: {at}/live, ingestion_time_range_slack: 400h}}, shutdown_marker_dir: {at}/marker, complete_block_timeout: 400h, max_trace_idle: 1s, max_block_duration: 5s, flush_check_period: 1s}}
backend_scheduler: {{local_work_path: {at}/work}}"
    )
}

fn spawn(binary: &str, config: &Path) -> Child {
    Command::new(binary)
        .arg(format!("-config.file={}", config.display()))
        .arg("-target=all")
        .stdout(Stdio::null())
        .stderr(std::fs::OpenOptions::new().create(true).append(true).open(config.with_file_name("log")).unwrap())
        .spawn()
        .unwrap()
}

fn get(port: u16, head: &str, body: &[u8]) -> String {
    let mut answer = Vec::new();
    if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) {
        let _ = socket.write_all(head.as_bytes());
        let _ = socket.write_all(body);
        let _ = socket.read_to_end(&mut answer);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn trace(i: u64, start: u64) -> ResourceSpans {
    let id = (u128::from(i + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    let begin = start * 1_000_000_000 + i * (1_000_000_000 / RATE);
    let span = |k: u64| Span {
        trace_id: id.to_be_bytes().to_vec(),
        span_id: (i * 8 + k + 1).to_be_bytes().to_vec(),
        parent_span_id: if k == 0 { Vec::new() } else { (i * 8 + k).to_be_bytes().to_vec() },
        name: format!("step {k}"),
        kind: 2,
        start_time_unix_nano: begin + k * 1_000_000,
        end_time_unix_nano: begin + 9_000_000,
        status: (i % 100 == 7).then(|| Status { code: 2, ..Status::default() }),
        ..Span::default()
    };
    let name = KeyValue {
        key: "service.name".to_owned(),
        value: Some(AnyValue { value: Some(Value::StringValue(format!("service-{}", i % 5))) }),
        ..KeyValue::default()
    };
    ResourceSpans {
        resource: Some(Resource { attributes: vec![name], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans: (0..=i % 4).map(span).collect(), ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

/// Kills the Tempo once so many traces have come, and starts it again two seconds later.
struct Killer<'a> {
    tempo: &'a Mutex<Tempo>,
    at: u64,
    seen: AtomicU64,
}

impl Progress for Killer<'_> {
    fn total(&self, _: u64) {}

    fn advance(&self, units: u64) {
        let before = self.seen.fetch_add(units, Ordering::SeqCst);
        if before < self.at && before + units >= self.at {
            self.kill();
        }
    }

    fn note(&self, text: &str) {
        if self.at == 0 && text.starts_with("counting") {
            self.kill();
        }
    }
}

impl Killer<'_> {
    fn kill(&self) {
        let mut tempo = self.tempo.lock().unwrap();
        tempo.kill();
        println!("killed after {} traces", self.seen.load(Ordering::SeqCst));
        std::thread::sleep(Duration::from_secs(2));
        tempo.restart();
    }
}

#[test]
fn twenty_thousand_traces_arrive_once_though_searches_are_small_or_tempo_is_killed_in_between() {
    let Some(tempo) = Tempo::start() else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let start = now - 60 - TRACES / RATE;
    let spans = tempo.fill(start);
    let url = tempo.url();
    let tempo = Mutex::new(tempo);
    let options = options((start - 1, now - 30));
    for (name, parameter, kill_at) in [
        ("undisturbed", "", None),
        ("at most 100 traces a search", "&limit=100", None),
        ("killed while counting", "", Some(0)),
        ("killed after a quarter", "", Some(TRACES / 4)),
        ("killed near the end", "", Some(TRACES - TRACES / 100)),
    ] {
        let begin = Instant::now();
        let sink = Sink::default();
        let mut source = open(&format!("{url}{parameter}"), &options).unwrap();
        let killer = kill_at.map(|at| Killer { tempo: &tempo, at, seen: AtomicU64::new(0) });
        let progress: &dyn Progress = killer.as_ref().map_or(&NoProgress, |killer| killer);
        let report = source.read(&sink, progress).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = sink.into_inner();
        println!("{name}: {got:?}, {} twice, {:.1} s", got.duplicates(), begin.elapsed().as_secs_f64());
        assert_eq!((got.traces().len() as u64, got.spans(), got.duplicates()), (TRACES, spans, 0), "{name}");
        // Before 2.8 everything comes by id, and that is said.
        let said = report.diagnostics.iter().filter(|d| d.code != "tempo-select-refused").count();
        assert_eq!((said, report.partial_traces), (0, 0), "{name}: {report:?}");
    }
}
