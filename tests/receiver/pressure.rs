//! More than fits: who sends is told to wait, waits, and sends again.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message as _;
use tonic::Code;
use tracebook::diag::Diagnostic;
use tracebook::source::SourceOptions;
use tracebook::source::receiver::{Log, Receiver};

use crate::http::{PROTOBUF, post};
use crate::{Running, logged, request, snapshot, spans_of, text};

/// So many bytes of something that nobody reads.
fn filler(bytes: usize) -> Vec<u8> {
    let resource = Some(Resource { attributes: vec![text("filler", &"x".repeat(bytes))], ..Resource::default() });
    let resource_spans = vec![ResourceSpans { resource, ..ResourceSpans::default() }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A disk that writes only while the gate is open.
#[derive(Clone, Default)]
struct Gated(Arc<Gate>);

#[derive(Default)]
struct Gate {
    /// Whether it is open, and what was written.
    inside: Mutex<(bool, Vec<u8>)>,
    opened: Condvar,
}

impl Gated {
    fn open(&self) {
        self.0.inside.lock().unwrap().0 = true;
        self.0.opened.notify_all();
    }

    fn written(&self) -> usize {
        self.0.inside.lock().unwrap().1.len()
    }
}

impl Log for Gated {
    fn append(&mut self, messages: &[u8]) -> Result<(), Diagnostic> {
        let Gate { inside, opened } = &*self.0;
        let mut inside = opened.wait_while(inside.lock().unwrap(), |(open, _)| !*open).unwrap();
        inside.1.extend_from_slice(messages);
        Ok(())
    }

    fn rotate(&mut self) -> Result<Vec<PathBuf>, Diagnostic> {
        Ok(Vec::new())
    }
}

/// Whether a condition comes true within two seconds.
fn soon(mut condition: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(2) {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

#[test]
fn bytes_under_way_are_counted_not_only_requests() {
    const MOST: usize = 1 << 20;
    let log = Gated::default();
    let options = SourceOptions { max_record_bytes: MOST, threads: 2, ..SourceOptions::default() };
    let receiver = Receiver::start("otlp://127.0.0.1:0", None, &options, log.clone()).unwrap();
    let address = receiver.address().to_string();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sized = |number: u64, bytes: usize| {
        let mut all = request(number, 1);
        all.resource_spans.extend(ExportTraceServiceRequest::decode(&filler(bytes)[..]).unwrap().resource_spans);
        all
    };
    let export = |message: ExportTraceServiceRequest| {
        let address = format!("http://{address}");
        runtime.spawn(async move { TraceServiceClient::connect(address).await.unwrap().export(message).await })
    };
    // One of the largest after the other, until one is refused; those that are taken get no answer yet.
    let (mut taken, mut refused) = (Vec::new(), None);
    while refused.is_none() {
        let sent = export(sized(taken.len() as u64, MOST - 1_000));
        if soon(|| sent.is_finished()) {
            refused = runtime.block_on(sent).unwrap().err();
        } else {
            taken.push(sent);
        }
    }
    assert_eq!(taken.len(), 4, "four of the largest are all there is room for");
    // Told to wait, in every way there is; over HTTP/1 however much of it was under way.
    let refused = refused.unwrap();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let details = refused.details();
    assert!(details.windows(9).any(|part| part == b"RetryInfo"), "{refused:?}");
    let answer = post(&address, PROTOBUF, &sized(6, MOST - 1_000).encode_to_vec());
    assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
    let body =
        br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"1","spanId":"1","startTimeUnixNano":"1"}]}]}]}"#;
    let mut padded = body.to_vec();
    padded.resize(MOST - 1, b' ');
    let answer = post(&address, "Content-Type: application/json\r\n", &padded);
    assert_eq!(answer.status, 429, "{}", answer.head);
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(said["code"], 8);
    assert_eq!(said["details"][0]["@type"], "type.googleapis.com/google.rpc.RetryInfo");
    assert_eq!(said["details"][0]["retryDelay"], "1s");
    // What is too large for good is told so, now as ever.
    let large = post(&address, PROTOBUF, &sized(7, MOST).encode_to_vec());
    assert_eq!(large.status, 413, "{}", large.head);
    assert!(!large.head.contains("retry-after"), "{}", large.head);
    assert!(taken.iter().all(|sent| !sent.is_finished()));
    assert_eq!(log.written(), 0);
    log.open();
    for sent in taken {
        runtime.block_on(sent).unwrap().expect("taken before, kept now");
    }
    assert_eq!(post(&address, PROTOBUF, &sized(8, MOST - 1_000).encode_to_vec()).status, 200, "there is room again");
    assert_eq!(post(&address, "Content-Type: application/json\r\n", &padded).status, 200);
    // Nobody has to be waited for.
    let ending = Instant::now();
    let received = receiver.finish().unwrap();
    assert!(ending.elapsed() < Duration::from_secs(5), "{:?}", ending.elapsed());
    assert!(received.diagnostics.is_empty(), "{:?}", received.diagnostics);
    let kept = received.log.written();
    assert!(kept > 5 * (MOST - 1_000), "{kept}");
}

/// The most memory a process ever had, in MiB.
#[cfg(target_os = "linux")]
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[cfg(target_os = "linux")]
#[test]
fn under_load_some_wait_nothing_is_lost_and_memory_is_bounded() {
    const SENDERS: u64 = 48;
    const EACH: u64 = 2;
    let dir = tempfile::tempdir().unwrap();
    let running = Running::start(dir.path(), &["--every", "1h"]);
    let pid = running.child.id();
    let idle = peak(pid);
    // 16 MiB each: 48 at once are three times what may be under way.
    let plain = Arc::new(filler((16 << 20) - 4_096));
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&plain).unwrap();
    let packed = Arc::new(packer.finish().unwrap());
    let begin = Instant::now();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (plain, packed) = (Arc::clone(&plain), Arc::clone(&packed));
            let address = running.address.clone();
            std::thread::spawn(move || {
                let (mut told_to_wait, mut acknowledged) = (0_u64, Vec::new());
                for number in (0..EACH).map(|n| sender * EACH + n) {
                    let own = request(number, 3).encode_to_vec();
                    // Messages one after the other are one message, and what was packed one after the other too.
                    let (headers, body) = if sender % 2 == 0 {
                        (PROTOBUF.to_owned(), [&own[..], &plain].concat())
                    } else {
                        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                        packer.write_all(&own).unwrap();
                        let body = [packer.finish().unwrap(), packed.to_vec()].concat();
                        (format!("{PROTOBUF}Content-Encoding: gzip\r\n"), body)
                    };
                    loop {
                        let answer = post(&address, &headers, &body);
                        match answer.status {
                            200 => break acknowledged.push(number),
                            429 => {
                                assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
                                told_to_wait += 1;
                                std::thread::sleep(Duration::from_secs(1));
                            }
                            other => panic!("{other}: {}", answer.head),
                        }
                        assert!(begin.elapsed() < Duration::from_secs(300), "it never ends");
                    }
                }
                (told_to_wait, acknowledged)
            })
        })
        .collect();
    let (mut told_to_wait, mut acknowledged) = (0, BTreeSet::new());
    for sender in senders {
        let (waits, numbers) = sender.join().unwrap();
        told_to_wait += waits;
        acknowledged.extend(numbers);
    }
    let peak = peak(pid);
    println!(
        "{} requests of 16 MiB in {:.1} s, told to wait {told_to_wait} times; memory {idle} MiB before, {peak} MiB at most",
        acknowledged.len(),
        begin.elapsed().as_secs_f64()
    );
    assert_eq!(acknowledged.len() as u64, SENDERS * EACH);
    assert!(told_to_wait > 0, "nobody had to wait: this was no load");
    // 256 MiB of requests, what is being written together, and what connections and the allocator hold.
    assert!(peak < idle + 256 + 96, "{peak} MiB");
    running.signal("-KILL");
    let (code, said) = running.end();
    assert_eq!(code, None, "{said}");
    assert_eq!(logged(&dir.path().join("live.snapshot.json.wal")).len() as u64, SENDERS * EACH * 3);
    let running = Running::start(dir.path(), &["--for", "1s"]);
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(spans_of(&snapshot(&dir.path().join("live.snapshot.json"))), SENDERS * EACH * 3);
}
