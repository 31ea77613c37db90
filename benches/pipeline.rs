//! Decode, pair and aggregate, and the whole pipeline, in spans/s and bytes/s.
//!
//! `cargo bench --no-default-features --bench pipeline`. Input is made by `examples/shop` before any clock runs, and its
//! ground truth is checked first: a fast wrong answer is an error here. `TRACEBOOK_BENCH_SPANS=10000,1000000` sets the
//! sizes. See `docs/benchmarks.md`.

#[path = "../examples/shop/model/mod.rs"]
#[allow(dead_code, reason = "the example uses the rest")]
mod model;

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput};
use model::{Format, Generator, Options};
use tracebook::diag::Diagnostic;
use tracebook::source::{self, NoProgress, SourceOptions, SpanSink, SpanSource};
use tracebook::spans::SpanBatch;
use tracebook::topology::cfg::TopologyConfig;
use tracebook::topology::{Builder, Intake, Snapshot, codec};

type Failure = Box<dyn std::error::Error>;

/// Sizes when nothing is said, in spans.
const SIZES: [u64; 2] = [10_000, 100_000];

/// One generated file.
struct Input {
    format: &'static str,
    from: String,
    bytes: u64,
    spans: u64,
}

/// Writes about `spans` spans of the shop. Every file holds the same spans.
fn input(dir: &Path, format: &'static str, spans: u64) -> Result<Input, Failure> {
    let (wire, name) = match format {
        "json" => (Format::Jsonl, format!("{spans}.otlp.jsonl")),
        _ => (Format::Delimited, format!("{spans}.otlp.binpb")),
    };
    let system = model::system("shop").ok_or("the shop is closed")?;
    // Defects too: a pipeline that is fast on clean data only is of no use.
    let options = Options { traces: u64::MAX, spans, duplicates: 0.005, orphans: 0.005, ..Options::default() };
    let mut generator = Generator::new(system, options)?;
    let path = dir.join(name);
    let mut writer = generator.writer(wire, BufWriter::new(File::create(&path)?));
    for record in generator.by_ref() {
        writer.write(&record)?;
    }
    let bytes = writer.bytes();
    writer.into_inner().flush()?;
    let truth = generator.truth();
    let from = path.to_str().ok_or("the temporary directory has a name that is not UTF-8")?.to_owned();
    Ok(Input { format, from, bytes, spans: truth.spans + truth.duplicates })
}

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

fn options(threads: usize) -> SourceOptions {
    SourceOptions { threads, ..SourceOptions::default() }
}

fn builder() -> Builder {
    Builder::new(TopologyConfig::default())
}

fn intake() -> Intake {
    Intake { sources: vec!["otlp file".to_owned()], ..Intake::default() }
}

/// Spans → snapshot.
fn pair(batches: &[SpanBatch]) -> Result<Snapshot, Diagnostic> {
    let builder = builder();
    for batch in batches {
        builder.push(batch)?;
    }
    builder.finish(intake(), 1)
}

/// File → the snapshot's bytes.
fn pipeline(mut source: Box<dyn SpanSource>, threads: usize) -> Result<(Snapshot, Vec<u8>), Diagnostic> {
    let sink = Build(builder());
    source.read(&sink, &NoProgress)?;
    let snapshot = sink.0.finish(intake(), threads)?;
    let bytes = codec::encode(&snapshot)?;
    Ok((snapshot, bytes))
}

fn said(diagnostic: &Diagnostic) -> Failure {
    format!("{diagnostic:?}").into()
}

fn open(input: &Input, threads: usize) -> Result<Box<dyn SpanSource>, Failure> {
    source::open(&input.from, &options(threads)).map_err(|d| said(&d))
}

fn bench(criterion: &mut Criterion, input: &Input) -> Result<(), Failure> {
    let (kept, counted) = (Keep::default(), Count::default());
    open(input, 1)?.read(&kept, &NoProgress).map_err(|d| said(&d))?;
    let batches = kept.0.into_inner()?;
    open(input, 1)?.read(&counted, &NoProgress).map_err(|d| said(&d))?;
    let (snapshot, _) = pipeline(open(input, 1)?, 1).map_err(|d| said(&d))?;
    let found = (counted.0.into_inner(), snapshot.coverage.spans + snapshot.coverage.duplicates);
    if found != (input.spans, input.spans) {
        return Err(format!("{}: {} spans went in, {found:?} were decoded and kept", input.from, input.spans).into());
    }

    let both = Throughput::ElementsAndBytes { elements: input.spans, bytes: input.bytes };
    let opened = || source::open(&input.from, &options(1));
    let mut group = criterion.benchmark_group("decode");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(both.clone());
    group.bench_function(BenchmarkId::new(input.format, input.spans), |b| {
        let decode = |source: Result<Box<dyn SpanSource>, Diagnostic>| source?.read(&Count::default(), &NoProgress);
        b.iter_batched(opened, decode, BatchSize::PerIteration);
    });
    group.finish();

    // The rows are the same whatever the wire.
    if input.format == "json" {
        let mut group = criterion.benchmark_group("pair and aggregate");
        group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(Throughput::Elements(input.spans));
        group.bench_function(BenchmarkId::from_parameter(input.spans), |b| b.iter(|| pair(black_box(&batches))));
        group.finish();
    }

    let mut group = criterion.benchmark_group("pipeline");
    group.sampling_mode(SamplingMode::Flat).sample_size(10).throughput(both);
    for threads in [1, 2] {
        let name = format!("{}, {threads} thread{}", input.format, if threads == 1 { "" } else { "s" });
        group.bench_function(BenchmarkId::new(name, input.spans), |b| {
            let opened = || source::open(&input.from, &options(threads));
            let run = |source: Result<Box<dyn SpanSource>, Diagnostic>| pipeline(source?, threads);
            b.iter_batched(opened, run, BatchSize::PerIteration);
        });
    }
    group.finish();
    Ok(())
}

fn run() -> Result<(), Failure> {
    let sizes = match std::env::var("TRACEBOOK_BENCH_SPANS") {
        Ok(list) => list.split(',').map(|n| n.trim().parse()).collect::<Result<Vec<u64>, _>>().map_err(|_| {
            format!("TRACEBOOK_BENCH_SPANS is `{list}`; expected numbers of spans such as 10000,1000000")
        })?,
        Err(_) => SIZES.to_vec(),
    };
    let dir = tempfile::tempdir()?;
    let mut criterion = Criterion::default().configure_from_args();
    for spans in sizes {
        for format in ["json", "protobuf"] {
            bench(&mut criterion, &input(dir.path(), format, spans)?)?;
        }
    }
    criterion.final_summary();
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "pipeline: {error}");
            ExitCode::FAILURE
        }
    }
}
