//! `capture`: any source → a snapshot, or part of one; snapshots → their sum.

use std::path::{Path, PathBuf};

use clap::Args;

use super::args::{FromArgs, Global, ReadArgs};
use super::io::{Io, Stop};
use super::receive::{self, ReceiveArgs};
use super::record::Recorder;
use super::resume::Resume;
use super::{Exit, Surroundings, input, merge};
use crate::config;
use crate::diag::Diagnostic;
use crate::output;
use crate::topology::{Shard, Snapshot, SnapshotKind, codec};

const AFTER: &str = "\
Examples:
  tracebook capture --from tempo://tempo:9095 --lookback 1d --output today.snapshot.json
  tracebook capture --from traces/ > release-1.4.snapshot.json
  tracebook capture --from tempo://tempo:9095 --spans spans/ --output today.snapshot.json   # keep the spans too
  tracebook capture --from spans/                                                           # and read them again
  tracebook capture --from otlp://127.0.0.1:4317 --for 10m --output live.snapshot.json      # receive them
  tracebook capture --from tempo://tempo:9095 --start 2026-08-01T00:00:00Z --end 2026-08-02T00:00:00Z \
    --resume pull.part --output first.snapshot.json                                         # goes on after a failure
  tracebook capture --from traces/ --shard 1/4 --output part-1.snapshot.json.zst            # one of four jobs
  tracebook capture --merge part-*.snapshot.json.zst --output today.snapshot.json           # and what they make
  tracebook capture --merge mon.snapshot.json tue.snapshot.json --output both.snapshot.json # successive windows

A snapshot is all that the other commands need. It holds no span payloads beyond names and a few exemplar ids, and is fit
to commit.";

/// Read traces and write a snapshot of the topology
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct CaptureArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    #[command(flatten)]
    receive: ReceiveArgs,
    /// Keep what Tempo or Jaeger answer in this file until the snapshot is written; should the run fail, the same command
    /// goes on from there. Holds attributes of spans as they came
    #[arg(long, value_name = "FILE", help_heading = "Connection", requires_all = ["start", "end"])]
    resume: Option<PathBuf>,
    /// File to write, replaced if it is there (compressed if it ends in .zst) [default: standard output]
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Option<PathBuf>,
    /// New directory for the spans themselves, as Parquet files that any source option reads again
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    spans: Option<PathBuf>,
    /// Read everything, count only the traces of part I of N; all parts merged are the same as one run
    #[arg(long, value_name = "I/N", help_heading = "Shards", conflicts_with = "spans")]
    shard: Option<Shard>,
    /// Merge snapshots instead of reading traces: the shards of one run, or successive windows. Files, plain or zstd, or
    /// directories of `*.snapshot.json` and `*.snapshot.json.zst`
    #[arg(long, value_name = "FILE", help_heading = "Shards", num_args = 1.., conflicts_with_all = READING)]
    merge: Vec<PathBuf>,
}

/// Flags that say what is read, when it is spans.
const READING: [&str; 21] = [
    "from",
    "aggregate",
    "during",
    "every",
    "wal",
    "spans",
    "shard",
    "resume",
    "lookback",
    "lookback_hours",
    "start",
    "end",
    "query",
    "prometheus",
    "tenant",
    "header",
    "ca_file",
    "client_cert",
    "client_key",
    "server_name",
    "rate_attribute",
];

pub(super) fn run(args: &CaptureArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let output = args.output.as_ref().map(|p| around.dir.join(p));
    if let Some(path) = output.as_deref() {
        output::preflight_file(path)?;
    }
    if !args.merge.is_empty() {
        return put(&merge::read(&args.merge, &config, around, io)?, output.as_deref(), io);
    }
    let froms = input::sources(&args.from, &config, around);
    let request = input::Request { shard: args.shard, ..input::Request::new(around, global, &config, &args.read) };
    if froms.iter().any(|from| crate::source::receiver::claims(from)) {
        let [from] = froms.as_slice() else { return Err(receive::mixed().into()) };
        let idle = [("--spans", args.spans.is_some()), ("--resume", args.resume.is_some())];
        if let Some((flag, _)) = idle.iter().find(|(_, given)| *given) {
            return Err(receive::idle(&[flag]).into());
        }
        return receive::run(from, &args.receive, output.as_deref(), &request, io);
    }
    args.receive.refuse()?;
    let resume = args.resume.as_ref().map(|path| Resume::start(path, &froms, &request, io)).transpose()?;
    let request = input::Request { kept: resume.as_ref(), ..request };
    let done = read(args, &froms, &request, io).and_then(|snapshot| put(&snapshot, output.as_deref(), io));
    match (&resume, &done) {
        (Some(resume), Ok(_)) => resume.done(io)?,
        (Some(resume), Err(_)) => resume.failed(io),
        (None, _) => {}
    }
    done
}

/// Puts a snapshot where it was asked for.
fn put(snapshot: &Snapshot, output: Option<&Path>, io: &mut Io<'_>) -> Result<Exit, Stop> {
    match output {
        Some(path) => {
            write(snapshot, path, io)?;
        }
        None => io.bytes(&codec::encode(snapshot)?)?,
    }
    Ok(Exit::Nothing)
}

fn read(args: &CaptureArgs, froms: &[String], request: &input::Request<'_>, io: &mut Io<'_>) -> Result<Snapshot, Stop> {
    let recorder = args.spans.as_ref().map(|dir| Recorder::start(&request.around.dir.join(dir))).transpose()?;
    let snapshot = input::read_recorded(froms, request, recorder.as_ref(), io)?;
    if let Some(recorder) = recorder {
        recorder.publish()?;
    }
    Ok(snapshot)
}

/// Puts a snapshot into its file, in one piece, and says what is in it.
pub(super) fn write(snapshot: &Snapshot, path: &Path, io: &mut Io<'_>) -> Result<(), Diagnostic> {
    output::write_new(path, &snapshot_bytes(snapshot, path)?, true)?;
    let (nodes, edges) = (snapshot.nodes.len(), snapshot.edges.len());
    let part = snapshot.shard.as_ref().map(|parts| format!("; {}", merge::said(parts))).unwrap_or_default();
    let what = match snapshot.provenance.kind {
        SnapshotKind::Spans => format!("{} span(s)", snapshot.coverage.spans),
        SnapshotKind::Aggregate => "a backend's aggregates".to_owned(),
    };
    io.say(&format!("{}: {what}, {nodes} node(s), {edges} edge(s){part}", path.display()));
    Ok(())
}

/// The snapshot as it goes into a file of this name.
pub(super) fn snapshot_bytes(snapshot: &Snapshot, path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let bytes = codec::encode(snapshot)?;
    if path.extension().is_some_and(|e| e == "zst") {
        return zstd::encode_all(&bytes[..], 12)
            .map_err(|e| Diagnostic::error("snapshot-encode", format!("cannot compress the snapshot: {e}")));
    }
    Ok(bytes)
}
