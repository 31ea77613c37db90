//! The same traces by way of every server there is: a snapshot says what they are, not where they come from.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::jaeger::{BOUTIQUE, Jaeger, pull, window};
use crate::otlp::{bodies, send_bodies};
use crate::process::{Peer, free_ports, program};
use crate::receiver::Receiver;
use crate::snapshot::{capture, facts};

/// A Tempo that keeps spans of any age where they can be searched.
struct Tempo {
    peer: Peer,
    grpc: u16,
    http: u16,
    otlp: u16,
}

impl Tempo {
    /// Where `TRACEBOOK_TEMPO_BIN` names one.
    fn start() -> Option<Self> {
        let binary = PathBuf::from(std::env::var_os("TRACEBOOK_TEMPO_BIN").filter(|binary| !binary.is_empty())?);
        let [http, grpc, otlp, gossip] = free_ports();
        let configuration = format!(
            "server: {{http_listen_address: 127.0.0.1, http_listen_port: {http}, grpc_listen_address: 127.0.0.1, grpc_listen_port: {grpc}, log_level: error}}
memberlist: {{bind_addr: [127.0.0.1], bind_port: {gossip}}}
distributor: {{ring: {{instance_addr: 127.0.0.1}}, receivers: {{otlp: {{protocols: {{http: {{endpoint: \"127.0.0.1:{otlp}\"}}}}}}}}}}
query_frontend: {{query_end_cutoff: 1s, search: {{query_backend_after: 400h}}, metrics: {{query_backend_after: 400h}}}}
live_store: {{wal: {{path: live, ingestion_time_range_slack: 400h}}, shutdown_marker_dir: marker, complete_block_timeout: 400h, max_trace_idle: 1s, max_block_duration: 5s, flush_check_period: 1s}}
backend_scheduler: {{local_work_path: work}}
storage: {{trace: {{backend: local, blocklist_poll: 5s, local: {{path: blocks}}, wal: {{path: wal}}}}}}
overrides: {{defaults: {{ingestion: {{rate_limit_bytes: 1000000000, burst_size_bytes: 1000000000, max_traces_per_user: 0}}}}}}
usage_report: {{reporting_enabled: false}}
"
        );
        let files = [("tempo.yaml", configuration.as_str())];
        let peer = Peer::of(&binary, &["-config.file=tempo.yaml", "-target=all"], &files, &[http, grpc, otlp]);
        let tempo = Self { peer, grpc, http, otlp };
        let begin = Instant::now();
        while !tempo.is_ready() {
            assert!(begin.elapsed() < Duration::from_secs(60), "Tempo does not get ready: {}", tempo.peer.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        Some(tempo)
    }

    fn is_ready(&self) -> bool {
        let mut answer = String::new();
        let asked = TcpStream::connect(("127.0.0.1", self.http)).and_then(|mut socket| {
            socket.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
            socket.read_to_string(&mut answer)
        });
        asked.is_ok() && answer.contains("200 OK")
    }

    fn url(&self) -> String {
        format!("tempo://127.0.0.1:{}?http=127.0.0.1:{}", self.grpc, self.http)
    }
}

/// When the newest span of a file starts, in nanoseconds.
fn newest(file: &str) -> i64 {
    fn starts(value: &Value) -> i64 {
        match value {
            Value::Object(fields) => {
                let start =
                    fields.get("startTimeUnixNano").and_then(Value::as_str).and_then(|start| start.parse().ok());
                fields.values().map(starts).chain(start).max().unwrap_or(0)
            }
            Value::Array(values) => values.iter().map(starts).max().unwrap_or(0),
            _ => 0,
        }
    }
    bodies(file).iter().map(|body| starts(&serde_json::from_str(body).unwrap())).max().unwrap()
}

/// A document with every time moved by so many nanoseconds.
fn shift(value: &mut Value, by: i64) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                if key.ends_with("UnixNano") {
                    let time = value.as_str().map_or_else(|| value.as_i64(), |time| time.parse().ok()).unwrap();
                    *value = (time + by).to_string().into();
                } else {
                    shift(value, by);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, by)),
        _ => {}
    }
}

#[test]
#[ignore = "needs the peers: tests/peers/run.sh"]
fn the_same_traces_are_the_same_snapshot_wherever_they_are_kept() {
    // Real traces of OnlineBoutique, and two made ones: `shop` has links, skewed clocks, orphans, lost roots, duplicates.
    // A Tempo wants spans of the present, so all get them moved by the same time.
    let shop = program("shop.jsonl.zst").display().to_string();
    for file in [BOUTIQUE, "examples/aisoc/traces.otlp.jsonl.zst", &shop] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let by = (i64::try_from(now).unwrap() - 300) * 1_000_000_000 - newest(file);
        let moved: Vec<String> = bodies(file)
            .iter()
            .map(|body| {
                let mut body: Value = serde_json::from_str(body).unwrap();
                shift(&mut body, by);
                body.to_string()
            })
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let lines = dir.path().join("moved.jsonl");
        std::fs::write(&lines, moved.join("\n")).unwrap();
        let expected = capture(&["--from", &lines.display().to_string()]).unwrap();
        assert!(expected["coverage"]["spans"].as_u64() > Some(1_000));

        let receiver = Receiver::start();
        send_bodies(&moved, receiver.port, Duration::ZERO);
        assert_eq!(facts(&receiver.end()), facts(&expected), "{file} by the receiver");

        let jaeger = Jaeger::start();
        send_bodies(&moved, jaeger.ports[3], Duration::ZERO);
        assert_eq!(facts(&pull(&jaeger.url(), window(&expected)).unwrap()), facts(&expected), "{file} by Jaeger");

        let Some(tempo) = Tempo::start() else {
            println!("{file}: Tempo was left out: TRACEBOOK_TEMPO_BIN is not set");
            continue;
        };
        send_bodies(&moved, tempo.otlp, Duration::ZERO);
        // Until the last block is cut and can be searched.
        std::thread::sleep(Duration::from_secs(15));
        let found = pull(&tempo.url(), window(&expected));
        let found = found.unwrap_or_else(|said| panic!("{file}: {said}{}", tempo.peer.log()));
        // It may have put copies of a span together, or not yet.
        let [found, expected] = [found, expected].map(|snapshot| {
            let mut facts = facts(&snapshot);
            facts["coverage"].as_object_mut().unwrap().remove("duplicates").unwrap();
            facts
        });
        assert_eq!(found, expected, "{file} by Tempo");
        println!("{file}: file, receiver, Jaeger and Tempo agree");
    }
}
