//! Decode, pair and aggregate, and the whole pipeline, in spans/s of one core and in bytes/s next to reading the same bytes.
//!
//! `cargo bench --no-default-features --bench pipeline`. Input is made by `examples/shop` before any clock runs, and its
//! ground truth is checked first: a fast wrong answer is an error here. `TRACEBOOK_BENCH_SPANS=10000,1000000` sets the
//! sizes, `TRACEBOOK_BENCH_ROUNDS=9` the rounds. See `docs/benchmarks.md`.

mod support;

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use support::{Case, Failure, Input, Times, median, ratio, say};
use tracebook::diag::Diagnostic;
use tracebook::source::{self, NoProgress, SourceOptions, SpanSink, SpanSource};
use tracebook::spans::SpanBatch;
use tracebook::topology::cfg::TopologyConfig;
use tracebook::topology::{Builder, Intake, Snapshot, codec};

/// Sizes when nothing is said, in spans.
const SIZES: [u64; 2] = [100_000, 1_000_000];
const ROUNDS: usize = 5;

const READ: &str = "read the bytes once";
const DECODE: &str = "decode";
const PAIR: &str = "pair and aggregate";
const PAIR_WITHOUT: &str = "the same without evidence";
const ONE: &str = "pipeline";
const ONE_WITHOUT: &str = "pipeline without evidence";
const TWO: &str = "pipeline, 2 threads (wall)";
const ONE_WALL: &str = "pipeline, 1 thread (wall)";

/// Counts rows and lets them go.
#[derive(Default)]
struct Count(AtomicU64);

impl SpanSink for Count {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        self.0.fetch_add(black_box(batch.rows.len()) as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Keeps every batch.
#[derive(Default)]
struct Keep(Mutex<Vec<SpanBatch>>);

impl SpanSink for Keep {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        if let Ok(mut batches) = self.0.lock() {
            batches.push(batch.clone());
        }
        Ok(())
    }
}

struct Build(Builder);

impl SpanSink for Build {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        self.0.push(batch)
    }
}

fn said(diagnostic: Diagnostic) -> Failure {
    format!("{diagnostic:?}").into()
}

fn open(input: &Input, threads: usize) -> Box<dyn SpanSource> {
    let options = SourceOptions { threads, ..SourceOptions::default() };
    source::bytes(input.bytes.clone(), &options)
}

fn builder(evidence: bool) -> Builder {
    Builder::new(TopologyConfig { evidence, ..TopologyConfig::default() })
}

fn intake() -> Intake {
    Intake { sources: vec!["trace file".to_owned()], ..Intake::default() }
}

fn decode(input: &Input) -> Result<u64, Failure> {
    let count = Count::default();
    open(input, 1).read(&count, &NoProgress).map_err(said)?;
    Ok(count.0.into_inner())
}

/// Spans → snapshot.
fn pair(batches: &[SpanBatch], evidence: bool) -> Result<Snapshot, Failure> {
    let builder = builder(evidence);
    for batch in batches {
        builder.push(batch).map_err(said)?;
    }
    builder.finish(intake(), 1).map_err(said)
}

/// Bytes of OTLP → the snapshot's bytes.
fn pipeline(input: &Input, threads: usize, evidence: bool) -> Result<(Snapshot, Vec<u8>), Failure> {
    let sink = Build(builder(evidence));
    open(input, threads).read(&sink, &NoProgress).map_err(said)?;
    let snapshot = sink.0.finish(intake(), threads).map_err(said)?;
    let bytes = codec::encode(&snapshot).map_err(said)?;
    Ok((snapshot, bytes))
}

/// The sum of all words: what memory can deliver.
fn words(bytes: &[u8]) -> u64 {
    bytes
        .chunks_exact(8)
        .map(|word| word.first_chunk().map_or(0, |w| u64::from_le_bytes(*w)))
        .fold(0, u64::wrapping_add)
}

/// The usual way with protobuf: every message into the generated types, which are then dropped.
fn prost(bytes: &[u8]) -> Result<u64, Failure> {
    let (mut rest, mut spans) = (bytes, 0);
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or("cut short")?;
        let request = ExportTraceServiceRequest::decode(message)?;
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        spans += scopes.map(|s| s.spans.len() as u64).sum::<u64>();
        rest = tail;
    }
    Ok(spans)
}

/// What any reader on serde pays before it keeps anything: the tokens of the document.
fn serde(bytes: &[u8]) -> Result<u64, Failure> {
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        black_box(serde_json::from_slice::<serde::de::IgnoredAny>(line)?);
    }
    Ok(0)
}

/// Refuses to measure what is wrong. Returns the decoded batches.
fn check(input: &Input) -> Result<Vec<SpanBatch>, Failure> {
    let kept = Keep::default();
    open(input, 1).read(&kept, &NoProgress).map_err(said)?;
    let batches = kept.0.into_inner()?;
    let (snapshot, one) = pipeline(input, 1, true)?;
    let found = (decode(input)?, snapshot.coverage.spans + snapshot.coverage.duplicates);
    if found != (input.spans, input.spans) {
        return Err(format!("{} spans went in, {found:?} were decoded and kept", input.spans).into());
    }
    if one != pipeline(input, 2, true)?.1 || snapshot != pair(&batches, true)? {
        return Err("the snapshot depends on the number of threads or on how the spans arrive".into());
    }
    let without = pipeline(input, 1, false)?.0;
    if without.edges != snapshot.edges || without.requests.len() >= snapshot.requests.len() {
        return Err("evidence is no mere addition".into());
    }
    Ok(batches)
}

/// What readers usually start with: its name, and how it is run over the bytes.
type Usual = (&'static str, fn(&[u8]) -> Result<u64, Failure>);

fn cases<'a>(input: &'a Input, json: bool, batches: &'a [SpanBatch]) -> Vec<Case<'a>> {
    let case = |name, threads, run: Box<dyn FnMut() -> Result<(), Failure> + 'a>| Case { name, threads, run };
    let usual: Usual = if json { ("serde_json, tokens only", serde) } else { ("prost, decoded and dropped", prost) };
    vec![
        case(
            READ,
            1,
            Box::new(|| {
                black_box(words(black_box(&input.bytes)));
                Ok(())
            }),
        ),
        case(usual.0, 1, Box::new(move || usual.1(black_box(&input.bytes)).map(drop))),
        case(DECODE, 1, Box::new(|| decode(black_box(input)).map(drop))),
        case(PAIR, 1, Box::new(|| pair(black_box(batches), true).map(drop))),
        case(PAIR_WITHOUT, 1, Box::new(|| pair(black_box(batches), false).map(drop))),
        case(ONE, 1, Box::new(|| pipeline(black_box(input), 1, true).map(drop))),
        case(ONE_WITHOUT, 1, Box::new(|| pipeline(black_box(input), 1, false).map(drop))),
        // Two threads are judged by the wall, and so is the one they are held against.
        case(ONE_WALL, 2, Box::new(|| pipeline(black_box(input), 1, true).map(drop))),
        case(TWO, 2, Box::new(|| pipeline(black_box(input), 2, true).map(drop))),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn report(input: &Input, format: &str, cases: &[Case<'_>], times: &Times) {
    let (spans, bytes) = (input.spans as f64, input.bytes.len() as f64);
    say(&format!("\n{spans:.0} spans as {format}, {:.0} bytes each, {:.0} MB", bytes / spans, bytes / 1e6));
    say(&format!("{:<28} {:>9} {:>11} {:>9} {:>10}", "", "ns/span", "M spans/s", "MB/s", "× reading"));
    let of = |name: &str| cases.iter().position(|c| c.name == name).and_then(|at| times.get(at));
    for (case, times_) in cases.iter().zip(times) {
        let time = median(times_.iter().copied());
        let reading = of(READ).map_or(f64::NAN, |read| ratio(times_, read));
        let rate = [time / spans * 1e9, spans / time / 1e6, bytes / time / 1e6, reading];
        // Pairing starts from rows: its bytes are others.
        let rate =
            if [PAIR, PAIR_WITHOUT].contains(&case.name) { [rate[0], rate[1], f64::NAN, f64::NAN] } else { rate };
        let shown =
            rate.map(|x| if x.is_nan() { "-".to_owned() } else { format!("{x:.*}", usize::from(x < 1000.0) * 2) });
        say(&format!("{:<28} {:>9} {:>11} {:>9} {:>10}", case.name, shown[0], shown[1], shown[2], shown[3]));
    }
    for (with, without) in [(PAIR, PAIR_WITHOUT), (ONE, ONE_WITHOUT)] {
        if let (Some(with_), Some(without)) = (of(with), of(without)) {
            say(&format!("{with} takes {:.2} times as long with evidence as without", ratio(with_, without)));
        }
    }
    if let (Some(one), Some(two)) = (of(ONE_WALL), of(TWO)) {
        say(&format!("two threads are {:.2} times as fast as one", ratio(one, two)));
    }
}

fn list(name: &str, default: &[u64]) -> Result<Vec<u64>, Failure> {
    let Ok(text) = std::env::var(name) else { return Ok(default.to_vec()) };
    let numbers = text.split(',').map(|n| n.trim().parse()).collect::<Result<Vec<u64>, _>>();
    numbers.map_err(|_| format!("{name} is `{text}`; expected numbers such as 10000,1000000").into())
}

fn run() -> Result<(), Failure> {
    // `cargo test --benches` only wants to see it run; any other word picks the cases whose names contain it.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let quick = arguments.iter().any(|a| a == "--test");
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let sizes = if quick { vec![5_000] } else { list("TRACEBOOK_BENCH_SPANS", &SIZES)? };
    let rounds =
        if quick { 1 } else { list("TRACEBOOK_BENCH_ROUNDS", &[ROUNDS as u64])?.first().map_or(1, |n| *n as usize) };
    let least = Duration::from_millis(if quick { 0 } else { 500 });
    say("CPU time of one core unless it says wall; median of the rounds; × reading is within a round");
    for spans in sizes {
        for (json, format) in [(false, "protobuf"), (true, "JSON")] {
            let input = support::input(json, spans)?;
            let batches = check(&input)?;
            let mut cases = cases(&input, json, &batches);
            let picked =
                |c: &Case<'_>| c.name == READ || wanted.is_empty() || wanted.iter().any(|w| c.name.contains(*w));
            cases.retain(picked);
            let times = support::measure(&mut cases, rounds, least)?;
            report(&input, format, &cases, &times);
        }
    }
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("pipeline: {error}\n"));
            ExitCode::FAILURE
        }
    }
}
