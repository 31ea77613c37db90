//! What a real Prometheus said to the queries of external objectives, recorded and played back, so that the whole way from a
//! query to a page is tested where there is no Prometheus. Where there is one, the record is held against it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use crate::remote_write::series;
use crate::server::Server;
use crate::{expect, fits_the_schema, tracebook};
use serde_json::{Value, json};

/// The window of the record: ten minutes, seconds of the Unix time.
const START: u64 = 1_794_700_800;
const END: u64 = START + 600;

const CONFIG: &str = r#"
objectives:
  - { id: replica-lag, service: web, sli: external, target: "< 10s", query: min(replica_lag_seconds) }
  - { id: queue, service: web, sli: external, target: "< 100", query: queue_depth }
  - { id: lagging, service: web, sli: external, target: "< 5", severity: page, query: queue_depth }
  - { id: certificate, service: web, sli: external, target: "> 21d", query: cert_expiry_seconds - time() }
  - { id: broken, service: ingress, sli: external, target: "> 1", query: sum( }
  - { id: pods, service: "*", sli: external, target: "> 99 %", severity: page, query: "avg(pods_ready{job='{namespace}/{service}'})" }
scenarios:
  - { name: queue-grows, title: Mail waits, kind: custom, trigger: Queue, severity: page, nodes: [web], objective: queue }
  - { name: lag, title: Replica lag, kind: custom, trigger: Lag, severity: page, nodes: [web], objective: replica-lag }
  - { name: cert, title: Certificate, kind: certificate-expiry, trigger: Days, severity: page, nodes: [web], objective: certificate }
  - { name: pods, title: Pods, kind: custom, trigger: Pods, severity: page, nodes: [web], objective: pods }
"#;

/// The queries of the configuration as they are asked.
const QUERIES: [&str; 6] = [
    "avg(pods_ready{job='shop/cart'})",
    "avg(pods_ready{job='shop/web'})",
    "cert_expiry_seconds - time()",
    "min(replica_lag_seconds)",
    "queue_depth",
    "sum(",
];

fn record() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", "prometheus", "external.json"].iter().collect()
}

/// What is asked, as it is sent.
fn form(query: &str) -> String {
    let pairs = [
        ("query", query.to_owned()),
        ("start", format!("{START}.000")),
        ("end", format!("{END}.000")),
        ("step", "15.000".to_owned()),
        ("partial_response", "false".to_owned()),
    ];
    let mut form = String::new();
    for (key, value) in pairs {
        let sign = |b: u8| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            _ => format!("%{b:02X}"),
        };
        form +=
            &format!("{}{key}={}", if form.is_empty() { "" } else { "&" }, value.bytes().map(sign).collect::<String>());
    }
    form
}

/// `web` calls `cart` at the start, and again so that the last call ends with the window.
fn traces() -> String {
    let span = |id: u64, parent: u64, kind: u64, from: u64, to: u64| {
        let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
        json!({ "traceId": format!("{:032x}", from), "spanId": format!("{id:016x}"), "parentSpanId": parent, "name": "GET /",
            "kind": kind, "startTimeUnixNano": (from * 1_000_000_000).to_string(), "endTimeUnixNano": (to * 1_000_000_000).to_string() })
    };
    let service = |name: &str, spans: Vec<Value>| {
        let attribute = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let resource =
            json!({ "attributes": [attribute("service.name", name), attribute("service.namespace", "shop")] });
        json!({ "resource": resource, "scopeSpans": [{ "spans": spans }] })
    };
    let mut web = Vec::new();
    let mut cart = Vec::new();
    for (id, from) in [(1, START), (11, END - 2)] {
        web.extend([span(id, 0, 2, from, from + 2), span(id + 1, id, 3, from, from + 1)]);
        cart.push(span(id + 2, id + 1, 2, from, from + 1));
    }
    format!("{}\n", json!({ "resourceSpans": [service("web", web), service("cart", cart)] }))
}

/// Answers every question as recorded, anything else with 404.
fn play() -> u16 {
    let record: Value = serde_json::from_slice(&std::fs::read(record()).unwrap()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let asked = request(&mut stream);
            let (status, body) = record["answers"]
                .as_array()
                .unwrap()
                .iter()
                .find(|a| a["form"] == asked.as_str())
                .map_or((404, format!("not recorded: {asked}")), |answer| {
                    (answer["status"].as_u64().unwrap(), answer["body"].to_string())
                });
            let head = format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close");
            write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    port
}

/// The body of a request.
fn request(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut part = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return String::from_utf8_lossy(&read[head.len() + 4..]).into_owned();
            }
        }
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "the request is cut short");
        read.extend(&part[..n]);
    }
}

fn states(dir: &Path, from: &str) -> BTreeMap<String, (String, Option<f64>)> {
    let output = tracebook(dir, &["slo", "--from", from, "--format", "json"]);
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let one = |o: &Value| (o["state"].as_str().unwrap().to_owned(), o["value"].as_f64());
    answer["objectives"].as_array().unwrap().iter().map(|o| (o["id"].as_str().unwrap().to_owned(), one(o))).collect()
}

#[test]
fn recorded_answers_of_a_prometheus_reach_the_pages_and_outlive_a_merge() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("tracebook.yaml"), CONFIG).unwrap();
    std::fs::write(dir.join("traces.jsonl"), traces()).unwrap();
    let from = format!("prometheus://127.0.0.1:{}", play());
    let with_password = from.replace("://", "://ann:s3cret@") + "/";
    let capture =
        ["capture", "--from", "traces.jsonl", "--prometheus", &with_password, "--output", "all.snapshot.json"];
    let said = expect(&tracebook(dir, &capture), 0);
    assert!(said.contains("`certificate`") && said.contains("has no value in the window"), "{said}");
    assert!(said.contains("`broken`") && said.contains("parse error"), "{said}");

    let text = std::fs::read_to_string(dir.join("all.snapshot.json")).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(written["provenance"]["external"], json!([from]));
    assert_eq!(written["provenance"]["sources"], json!(["trace file"]));
    assert!(!text.contains("s3cret") && !text.contains("ann:"));
    fits_the_schema(&dir.join("all.snapshot.json"));

    let found = states(dir, "all.snapshot.json");
    let of = |id: &str| (found[id].0.as_str(), found[id].1);
    assert_eq!(of("replica-lag"), ("met", Some(1.0)));
    assert_eq!(of("queue"), ("breached", Some(400.0)));
    assert_eq!((of("certificate"), of("broken")), (("no_data", None), ("no_data", None)));
    assert_eq!(of("pods:shop/web"), ("met", Some(1.0)));
    assert_eq!(of("pods:shop/cart").0, "breached");
    // Half of the time half of the pods: 0.5 at 21 of 41 steps, 1 at the others.
    assert!((of("pods:shop/cart").1.unwrap() - (21.0 * 0.5 + 20.0) / 41.0).abs() < 1e-9, "{found:?}");

    let generate = ["generate", "--from", "all.snapshot.json", "--output", "runbooks", "--fail-on", "error"];
    let said = expect(&tracebook(dir, &generate), 1);
    assert!(said.contains("missed: lagging of shop/web, target < 5; no runbook is about it"), "{said}");
    let checked = tracebook(dir, &["check", "runbooks"]);
    expect(&checked, 0);
    let checked = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.contains("objective-missed") && checked.contains("`lagging` of `shop/web`"), "{checked}");
    expect(&tracebook(dir, &["check", "runbooks", "--fail-on", "warning"]), 1);
    let pages: String = std::fs::read_dir(dir.join("runbooks"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap_or_default())
        .collect();
    assert!(pages.contains("avg(pods_ready{job='shop/cart'})") && !pages.contains("{service}"), "{pages}");
    assert!(pages.contains(&format!("Source: `{from}`")), "{pages}");
    for said in [
        "**Breached.** `queue` of `web` misses its target: 400 (41 values in the window, from 400 to 400)",
        "**OK.** `replica-lag` of `web` keeps its target in this window: 1 s",
        "**Unknown.** Traces cannot tell whether this is happening; the trigger below decides.",
        "1 missed without a runbook of its own",
        "| `lagging` | `shop/web` | 400 (41 values in the window, from 400 to 400) | `< 5` | **Breached** | page |",
        "Also missed: `lagging` is at 400 (41 values in the window, from 400 to 400), target `< 5`",
        "**Breached.** `pods` of `cart` misses its target: 74.4 %",
    ] {
        assert!(pages.contains(said), "{said}\n{pages}");
    }

    // A server that is gone is told once, and takes nothing away.
    let before = std::fs::read_to_string(dir.join("runbooks/README.md")).unwrap();
    let gone =
        ["generate", "--from", "traces.jsonl", "--output", "runbooks", "--prometheus", "prometheus://127.0.0.1:1"];
    let said = expect(&tracebook(dir, &gone), 2);
    assert_eq!(said.matches("prometheus-unreachable").count(), 1, "{said}");
    assert!(said.contains("no external objective could be measured, so nothing is written"), "{said}");
    assert_eq!(std::fs::read_to_string(dir.join("runbooks/README.md")).unwrap(), before);
    expect(&tracebook(dir, &["check", "runbooks"]), 0);
    let again = [
        "capture",
        "--from",
        "all.snapshot.json",
        "--prometheus",
        "prometheus://127.0.0.1:1",
        "--output",
        "again.snapshot.json",
    ];
    expect(&tracebook(dir, &again), 2);
    assert!(!dir.join("again.snapshot.json").exists());

    // The ten minutes after, which nobody asked a Prometheus about.
    let later = traces()
        .replace(&START.to_string(), &END.to_string())
        .replace(&(END - 2).to_string(), &(END + 598).to_string());
    std::fs::write(dir.join("later.jsonl"), later.replace(&format!("{:032x}", START), &format!("{:032x}", END)))
        .unwrap();
    let next = ["capture", "--from", "later.jsonl", "--output", "later.snapshot.json"];
    expect(&tracebook(dir, &next), 0);
    let merge = ["capture", "--merge", "all.snapshot.json", "later.snapshot.json", "--output", "both.snapshot.json"];
    let said = expect(&tracebook(dir, &merge), 0);
    assert!(said.contains("external-merged-in-part") && said.contains("`queue_depth` 50"), "{said}");
    fits_the_schema(&dir.join("both.snapshot.json"));
    assert_eq!(states(dir, "both.snapshot.json")["queue"], ("breached".to_owned(), Some(400.0)));
}

#[test]
#[ignore = "needs a real Prometheus: tests/peers/prometheus.sh"]
fn the_record_is_what_a_real_prometheus_answers() {
    let server = Server::start();
    for at in (START..=END).step_by(15) {
        let gauge = |labels: &[(&str, &str)], value: f64| {
            let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            series(labels, i64::try_from(at * 1000).unwrap(), value)
        };
        let (late, half) = (at > START + 400, at >= START + 300);
        server.write(&[
            gauge(&[("__name__", "replica_lag_seconds"), ("replica", "a")], 1.0),
            gauge(&[("__name__", "replica_lag_seconds"), ("replica", "b")], if late { 90.0 } else { 2.0 }),
            gauge(&[("__name__", "queue_depth"), ("queue", "mail")], 400.0),
            gauge(&[("__name__", "pods_ready"), ("job", "shop/web")], 1.0),
            gauge(&[("__name__", "pods_ready"), ("job", "shop/cart")], if half { 0.5 } else { 1.0 }),
        ]);
    }
    let answers: Vec<Value> = QUERIES
        .iter()
        .map(|query| {
            let form = form(query);
            let (status, body) = server.ask("/api/v1/query_range", &form);
            let body: Value = serde_json::from_str(&body).unwrap();
            json!({ "form": form, "status": status, "body": body })
        })
        .collect();
    let answers = json!({ "answers": answers });
    if std::env::var("TRACEBOOK_TESTS").is_ok_and(|v| v == "overwrite") {
        std::fs::create_dir_all(record().parent().unwrap()).unwrap();
        std::fs::write(record(), answers.to_string() + "\n").unwrap();
    }
    let recorded: Value = serde_json::from_slice(&std::fs::read(record()).unwrap()).unwrap();
    // The words of a refusal change from version to version, what it means does not.
    let meaning = |all: &Value| -> Vec<Value> {
        let answers = all["answers"].as_array().unwrap().iter();
        answers.map(|a| json!([a["form"], a["status"], a["body"]["data"], a["body"]["errorType"]])).collect()
    };
    assert_eq!(meaning(&answers), meaning(&recorded));
}
