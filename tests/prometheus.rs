//! A real Prometheus with known series, written to it by remote write: what is captured must be what was counted.
//!
//! Ignored by default, since it needs the program: `tests/peers/prometheus.sh` installs it and runs this. Recorded answers are
//! played back without it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "prometheus/recorded.rs"]
mod recorded;
#[path = "prometheus/remote_write.rs"]
mod remote_write;
#[path = "prometheus/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use remote_write::{Sample, native, series};
use server::Server;
use tracebook::spans::Weight;
use tracebook::topology::{EdgeKind, NodeId, Snapshot, SnapshotKind, codec};

/// Seconds between two samples.
const INTERVAL: u64 = 15;
/// Samples in the window.
const TICKS: u64 = 120;
/// Bounds of Tempo's service-graph buckets, seconds.
const BOUNDS: [f64; 8] = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8];

/// One edge of the system, and what happens on it in each tick.
struct Traffic {
    client: &'static str,
    server: &'static str,
    connection: &'static str,
    /// The tick before which nothing is heard of it.
    born: u64,
    /// The tick at which the process that counts starts anew.
    restart: Option<u64>,
    calls: u64,
    /// One in so many calls fails.
    fails: u64,
    /// Durations of calls, in turn, seconds.
    durations: &'static [f64],
}

const SYSTEM: [Traffic; 4] = [
    Traffic {
        client: "user",
        server: "web",
        connection: "virtual_node",
        born: 0,
        restart: None,
        calls: 7,
        fails: 50,
        durations: &[0.05, 0.12, 0.3],
    },
    Traffic {
        client: "web",
        server: "cart",
        connection: "",
        born: 0,
        restart: Some(60),
        calls: 5,
        fails: 10,
        durations: &[0.02, 0.15, 0.7, 2.9],
    },
    Traffic {
        client: "cart",
        server: "redis",
        connection: "database",
        born: 0,
        restart: None,
        calls: 11,
        fails: 0,
        durations: &[0.01, 0.25],
    },
    // First heard of in the middle, by a whole burst at once.
    Traffic {
        client: "cart",
        server: "mail",
        connection: "",
        born: 80,
        restart: None,
        calls: 3,
        fails: 4,
        durations: &[0.5, 20.0],
    },
];

/// What is counted from the first tick to this one, restarts apart.
#[derive(Default, Clone)]
struct Count {
    calls: u64,
    errors: u64,
    durations: Vec<f64>,
}

impl Traffic {
    /// Everything counted in the ticks after `from` up to `to`.
    fn between(&self, from: u64, to: u64) -> Count {
        let mut count = Count::default();
        for tick in from + 1..=to {
            if tick < self.born {
                continue;
            }
            let burst = if self.born > 0 && tick == self.born { 10 } else { 1 };
            for i in 0..self.calls * burst {
                let number = tick * self.calls + i;
                count.calls += 1;
                count.errors += u64::from(self.fails > 0 && number.is_multiple_of(self.fails));
                count.durations.push(self.durations[usize::try_from(number).unwrap() % self.durations.len()]);
            }
        }
        count
    }

    /// What the counters say at a tick.
    fn counters(&self, tick: u64) -> Option<Count> {
        let since = self.restart.filter(|at| *at <= tick).map_or(0, |at| at - 1);
        (self.born == 0 || tick >= self.born).then(|| self.between(since, tick))
    }
}

fn labels(traffic: &Traffic, name: &str) -> Vec<(String, String)> {
    let all = [
        ("__name__", name),
        ("client", traffic.client),
        ("server", traffic.server),
        ("connection_type", traffic.connection),
        ("source", "tempo"),
    ];
    all.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn number(n: u64) -> f64 {
    f64::from(u32::try_from(n).unwrap())
}

/// Every series at one tick. Server durations are half of the client's.
fn at_tick(tick: u64, at: i64) -> Vec<Sample> {
    let mut all = Vec::new();
    for traffic in &SYSTEM {
        let Some(count) = traffic.counters(tick) else { continue };
        let mut put = |name: &str, le: Option<String>, value: f64| {
            let mut labels = labels(traffic, name);
            labels.extend(le.map(|le| ("le".to_owned(), le)));
            all.push(series(labels, at, value));
        };
        put("traces_service_graph_request_total", None, number(count.calls));
        if count.errors > 0 {
            put("traces_service_graph_request_failed_total", None, number(count.errors));
        }
        for (side, factor) in [("client", 1.0), ("server", 0.5)] {
            let name = format!("traces_service_graph_request_{side}_seconds");
            for bound in BOUNDS {
                let below = count.durations.iter().filter(|d| **d * factor <= bound).count();
                put(&format!("{name}_bucket"), Some(bound.to_string()), number(below as u64));
            }
            put(&format!("{name}_bucket"), Some("+Inf".to_owned()), number(count.calls));
            put(&format!("{name}_sum"), None, count.durations.iter().sum::<f64>() * factor);
        }
        // The same calls as span metrics of the callee, with native histograms.
        let name = "traces_spanmetrics_calls_total";
        for (status, n) in [("STATUS_CODE_UNSET", count.calls - count.errors), ("STATUS_CODE_ERROR", count.errors)] {
            if n > 0 && traffic.connection != "database" {
                all.push(series(span_labels(traffic, name, status), at, number(n)));
            }
        }
        if traffic.connection != "database" {
            let labels = span_labels(traffic, "traces_spanmetrics_latency", "STATUS_CODE_UNSET");
            let served: Vec<f64> = count.durations.iter().map(|d| d * 0.5).collect();
            all.push(native(labels, at, &served));
        }
    }
    all
}

fn span_labels(traffic: &Traffic, name: &str, status: &str) -> Vec<(String, String)> {
    let all = [
        ("__name__", name),
        ("service", traffic.server),
        ("span_name", "GET /"),
        ("span_kind", "SPAN_KIND_SERVER"),
        ("status_code", status),
        ("source", "tempo"),
    ];
    all.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn tracebook(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tracebook")).args(args).current_dir(dir).env_clear().output().unwrap()
}

#[track_caller]
fn expect(output: &Output, code: i32) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    err.into_owned()
}

fn rfc3339(seconds: u64) -> String {
    tracebook::spans::UnixNanos(seconds * 1_000_000_000).to_string()
}

/// The truth at a rank, as the sketch means it.
fn order_statistic(durations: &[f64], q: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
    let rank = (q * number(sorted.len() as u64)).ceil() as usize;
    sorted[rank.max(1) - 1]
}

/// Lower and upper bound of the bucket a duration lies in.
fn bucket(duration: f64) -> (f64, f64) {
    let upper = BOUNDS.iter().position(|bound| duration <= *bound);
    match upper {
        Some(0) => (0.0, BOUNDS[0]),
        Some(at) => (BOUNDS[at - 1], BOUNDS[at]),
        None => (BOUNDS[7], BOUNDS[7]),
    }
}

/// The window is the last 30 minutes, on whole intervals; four samples come before it.
fn fill(server: &Server) -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let end = now / INTERVAL * INTERVAL;
    let start = end - TICKS * INTERVAL;
    for tick in 0..=TICKS + 4 {
        let at = (start - 4 * INTERVAL + tick * INTERVAL) * 1000;
        server.write(&at_tick(tick, i64::try_from(at).unwrap()));
    }
    (start, end)
}

fn snapshot(path: &Path) -> Snapshot {
    codec::decode(&std::fs::read(path).unwrap()).unwrap()
}

/// The published schema holds for what is written, and is strict.
fn fits_the_schema(path: &Path) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas/snapshot.schema.json");
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    let validator = jsonschema::validator_for(&read(&schema)).unwrap();
    let written = read(path);
    let problems: Vec<String> =
        validator.iter_errors(&written).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
#[ignore = "needs a real Prometheus: tests/peers/prometheus.sh"]
fn what_a_real_prometheus_counted_is_captured_exactly() {
    let server = Server::start();
    let (start, end) = fill(&server);
    let dir = tempfile::tempdir().unwrap();
    let (from, since, until) = (format!("prometheus://127.0.0.1:{}", server.port), rfc3339(start), rfc3339(end));
    let capture = |name: &str, since: &str, until: &str, more: &[&str]| {
        let line = ["capture", "--from", &from, "--start", since, "--end", until, "--output", name];
        tracebook(dir.path(), &[&line, more].concat())
    };
    let said = expect(&capture("all.snapshot.json", &since, &until, &[]), 0);
    assert!(!said.contains("warning"), "{said}");

    fits_the_schema(&dir.path().join("all.snapshot.json"));
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("all.snapshot.json")).unwrap()).unwrap();
    assert!(written["provenance"]["quantile_error"]["percent"].as_u64() >= Some(100));
    let all = snapshot(&dir.path().join("all.snapshot.json"));
    assert_eq!((all.provenance.kind, all.coverage.spans), (SnapshotKind::Aggregate, 0));
    assert_eq!(all.edges.len(), SYSTEM.len());
    let ids = |t: &Traffic| match t.connection {
        "virtual_node" => ("entry:user".to_owned(), t.server.to_owned(), EdgeKind::Entry),
        "database" => (t.client.to_owned(), format!("database:unknown:{}", t.server), EdgeKind::Database),
        _ => (t.client.to_owned(), t.server.to_owned(), EdgeKind::Call),
    };
    for traffic in &SYSTEM {
        let truth = traffic.between(4, TICKS + 4);
        let (source, target, kind) = ids(traffic);
        let edge = all.edges.iter().find(|e| e.source.0 == source && e.target.0 == target && e.kind == kind).unwrap();
        assert_eq!((edge.calls, edge.errors), (Weight::whole(truth.calls), Weight::whole(truth.errors)), "{target}");
        let in_time: Weight = edge.series.0.values().map(|bucket| bucket.calls).sum();
        assert_eq!(in_time, edge.calls, "{target}: every call has its 5 minutes");
        for (sketch, factor, known) in
            [(&edge.client, 1.0, kind != EdgeKind::Entry), (&edge.server, 0.5, kind != EdgeKind::Database)]
        {
            assert_eq!(sketch.is_empty(), !known, "{target}");
            if !known {
                continue;
            }
            let durations: Vec<f64> = truth.durations.iter().map(|d| d * factor).collect();
            assert_eq!(sketch.weight(), edge.calls);
            let sum: f64 = durations.iter().sum();
            assert!((sketch.sum_seconds() - sum).abs() < 1e-6 * sum, "{target}: {} {sum}", sketch.sum_seconds());
            for q in [0.5, 0.95, 0.99] {
                let (low, high) = bucket(order_statistic(&durations, q));
                let got = sketch.quantile(q).unwrap() / 1e9;
                assert!((low * 0.99..=high * 1.01).contains(&got), "{target} q{q}: {got} not in {low}..{high}");
            }
        }
    }
    // Native histograms are finer: schema 3, nine hundredths between two bounds.
    let web = all.operations.iter().find(|o| o.service == NodeId("web".into())).unwrap();
    let truth: Vec<f64> = SYSTEM[0].between(4, TICKS + 4).durations.iter().map(|d| d * 0.5).collect();
    assert_eq!(web.stats.calls, Weight::whole(truth.len() as u64));
    assert_eq!(web.stats.durations.weight(), web.stats.calls);
    for q in [0.5, 0.95, 0.99] {
        let (exact, got) = (order_statistic(&truth, q), web.stats.durations.quantile(q).unwrap() / 1e9);
        assert!((got / exact - 1.0).abs() < 0.1, "q{q}: {got} {exact}");
    }

    every_command_works(dir.path(), &from, &capture, (start, end));
    refusals(dir.path(), &from, (&since, &until));
}

#[test]
#[ignore = "needs a real Prometheus: tests/peers/prometheus.sh"]
fn external_objectives_are_answered_by_a_real_prometheus_and_stay_answered() {
    let server = Server::start();
    let (start, end) = fill(&server);
    // The lag of two replicas, the second far behind for the last third; a certificate that ends in 30 days.
    for tick in 0..=TICKS {
        let at = start + tick * INTERVAL;
        let behind = if tick > TICKS * 2 / 3 { 90.0 } else { 2.0 };
        let gauge = |labels: &[(&str, &str)], value: f64| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            series(labels, i64::try_from(at * 1000).unwrap(), value)
        };
        server.write(&[
            gauge(&[("__name__", "replica_lag_seconds"), ("replica", "a")], 1.0),
            gauge(&[("__name__", "replica_lag_seconds"), ("replica", "b")], behind),
            gauge(&[("__name__", "cert_expiry_seconds")], number(end + 30 * 86_400)),
        ]);
    }
    let dir = tempfile::tempdir().unwrap();
    let config = "
objectives:
  - { id: lag, service: orders-db, sli: external, target: '< 10s', query: replica_lag_seconds }
  - { id: median-lag, service: orders-db, sli: external, target: '< 10s', query: 'min(replica_lag_seconds)' }
  - { id: certificate, service: ingress, sli: external, target: '> 21d', query: 'cert_expiry_seconds - time()' }
  - { id: nothing, service: ingress, sli: external, target: '> 1', query: no_such_metric }
  - { id: broken, service: ingress, sli: external, target: '> 1', query: 'sum(' }
  - { id: infinite, service: orders-db, sli: external, target: '< 10s', query: '1 / (replica_lag_seconds < bool 50)' }
";
    std::fs::write(dir.path().join("tracebook.yaml"), config).unwrap();
    let (from, since, until) = (format!("prometheus://127.0.0.1:{}", server.port), rfc3339(start), rfc3339(end));
    let capture = ["capture", "--from", &from, "--start", &since, "--end", &until, "--output", "all.snapshot.json"];
    let said = expect(&tracebook(dir.path(), &capture), 0);
    assert!(said.contains("external-unanswered") && said.contains("nothing") && said.contains("broken"), "{said}");
    assert!(said.contains("infinite values"), "{said}");
    fits_the_schema(&dir.path().join("all.snapshot.json"));
    let states = |more: &[&str]| -> BTreeMap<String, (String, Option<f64>)> {
        let line = ["slo", "--from", "all.snapshot.json", "--format", "json"];
        let output = tracebook(dir.path(), &[&line, more].concat());
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let all = answer["objectives"].as_array().unwrap();
        let one = |o: &serde_json::Value| (o["state"].as_str().unwrap().to_owned(), o["value"].as_f64());
        all.iter().map(|o| (o["id"].as_str().unwrap().to_owned(), one(o))).collect()
    };
    // The snapshot alone answers, without the server.
    let found = states(&[]);
    assert_eq!(found["lag"].0, "breached");
    let third = found["lag"].1.unwrap();
    assert!((30.0..33.0).contains(&third), "two thirds at 2 s, one third at 90 s: {third}");
    assert_eq!((found["median-lag"].0.as_str(), found["median-lag"].1), ("met", Some(1.0)));
    assert_eq!(found["certificate"].0, "met");
    let days = found["certificate"].1.unwrap() / 86_400.0;
    assert!((30.0..30.1).contains(&days), "{days}");
    for unanswered in ["nothing", "broken", "infinite"] {
        assert_eq!(found[unanswered].0, "no_data", "{unanswered}");
    }
    // Asked again for the same window the answers are the same.
    assert_eq!(states(&["--prometheus", &from]), found);
    // A quarter and the rest, merged, are the whole, but for the step on the border, which both have.
    let border = rfc3339(start + TICKS / 4 * INTERVAL);
    for (name, since, until) in [("a.snapshot.json", &since, &border), ("b.snapshot.json", &border, &until)] {
        let part = ["capture", "--from", &from, "--start", since, "--end", until, "--output", name];
        expect(&tracebook(dir.path(), &part), 0);
    }
    let merge = ["capture", "--merge", "a.snapshot.json", "b.snapshot.json", "--output", "all.snapshot.json"];
    let said = expect(&tracebook(dir.path(), &merge), 0);
    // No quarter but the first is free of infinite values.
    assert!(said.contains("only a part (`1 / (replica_lag_seconds < bool 50)` 25.0 %)"), "{said}");
    let merged = states(&[]);
    for (id, (state, value)) in &found {
        assert_eq!(&merged[id].0, state, "{id}");
        let (whole, sum) = (value.unwrap_or(1.0), merged[id].1.unwrap_or(1.0));
        assert!((sum / whole - 1.0).abs() < 0.01, "{id}: {sum} {whole}");
    }
}

/// Captures a window (file, start, end, further flags).
type Capture<'a> = dyn Fn(&str, &str, &str, &[&str]) -> Output + 'a;

/// The whole chain, from nothing but aggregates.
fn every_command_works(dir: &Path, from: &str, capture: &Capture<'_>, (start, end): (u64, u64)) {
    let middle = rfc3339((start + end) / 2 / 300 * 300);
    expect(&capture("first.snapshot.json", &rfc3339(start), &middle, &[]), 0);
    expect(&capture("second.snapshot.json", &middle, &rfc3339(end), &[]), 0);
    let merge =
        ["capture", "--merge", "first.snapshot.json", "second.snapshot.json", "--output", "merged.snapshot.json"];
    expect(&tracebook(dir, &merge), 0);
    let calls = |name: &str| -> BTreeMap<(NodeId, NodeId), Weight> {
        let edges = snapshot(&dir.join(name)).edges;
        edges.into_iter().map(|e| ((e.source, e.target), e.calls)).collect()
    };
    assert_eq!(calls("merged.snapshot.json"), calls("all.snapshot.json"), "halves add up to the whole");

    let (since, until) = (rfc3339(start), rfc3339(end));
    let at = ["diff", "--from", from, "--start", &since, "--end", &until, "--at", &middle, "--fail-on", "never"];
    let split = tracebook(dir, &at);
    expect(&split, 0);
    assert!(String::from_utf8_lossy(&split.stdout).contains("mail"), "a backend is asked for both sides of a time");

    expect(&tracebook(dir, &["graph", "--from", "all.snapshot.json", "--format", "json"]), 0);
    let init = tracebook(dir, &["init", "--from", "all.snapshot.json"]);
    expect(&init, 0);
    expect(&tracebook(dir, &["slo", "--from", "all.snapshot.json", "--fail-on", "never"]), 0);
    expect(&tracebook(dir, &["generate", "--from", "all.snapshot.json", "--output", "runbooks"]), 0);
    expect(&tracebook(dir, &["check", "runbooks"]), 0);
    let page = std::fs::read_dir(dir.join("runbooks"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default())
        .find(|text| text.contains("a backend's aggregates"))
        .expect("a page says what its numbers are");
    assert!(page.contains("may be off by up to 100 %"), "{page}");
    let diff = tracebook(dir, &["diff", "first.snapshot.json", "second.snapshot.json", "--fail-on", "never"]);
    expect(&diff, 0);
    let told = String::from_utf8_lossy(&diff.stdout).into_owned();
    assert!(told.contains("mail"), "what was first heard of in the second half is new:\n{told}");
}

/// What cannot be answered whole is refused, by name.
fn refusals(dir: &Path, from: &str, (since, until): (&str, &str)) {
    let code = |from: &str, more: &[&str], code: &str| {
        let line = ["graph", "--from", from, "--start", since, "--end", until];
        let said = expect(&tracebook(dir, &[&line, more].concat()), 2);
        assert!(said.contains(code), "{code}: {said}");
    };
    code(from, &["--query", "{source=\"nobody\"}"], "prometheus-no-metrics");
    code(from, &["--query", "{source=~\"*\"}"], "prometheus-query-refused");
    code(from, &["--query", "source"], "prometheus-filter");
    code(from, &["--rate-attribute", "x"], "flag-without-effect");
    code(&format!("{from}/elsewhere"), &[], "prometheus-answer-malformed");
    code("prometheus://127.0.0.1:1", &[], "prometheus-unreachable");
}
