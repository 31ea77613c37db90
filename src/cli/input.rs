//! From what `--from` names to a snapshot: reads one, or captures spans into one.

mod empty;
mod filter;
mod idle;
mod named;
mod options;
mod saved;

use std::io::Read;
use std::path::{Path, PathBuf};

use super::Surroundings;
use super::aggregates::counted;
use super::args::{ConnectionArgs, Global, ReadArgs, WindowArgs};
use super::external;
use super::io::{Io, Stop};
use super::piped::{self, Piped};
use super::progress::Bar;
use super::record::Recorder;
use super::resume::Resume;
use crate::config::Config;
use crate::diag::Diagnostic;
use crate::source::{self, SpanSink, SpanSource};
use crate::spans::{SpanBatch, UnixNanos};
use crate::topology::{Builder, Intake, Shard, Snapshot, SnapshotKind};

pub(super) use self::idle::{given, refuse_idle, refuse_idle_flags, window_flags};
pub(super) use self::named::{SNAPSHOT, no_source, sources};
use self::named::{is_local, snapshot_file};
#[cfg(test)]
pub(super) use self::options::testing;
pub(super) use self::options::{keyed, options, unwindowed};
pub(super) use self::saved::{read_part, read_snapshot, whole};

/// Everything that decides what is read.
pub(super) struct Request<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) global: &'a Global,
    pub(super) config: &'a Config,
    pub(super) window: &'a WindowArgs,
    pub(super) connection: &'a ConnectionArgs,
    /// Which part of the traces to count, if not all.
    pub(super) shard: Option<Shard>,
    /// Which part of the window to ask for, if not all.
    pub(super) split: Option<(UnixNanos, UnixNanos)>,
    /// Where answers of backends are kept for another run, if asked for.
    pub(super) kept: Option<&'a Resume>,
}

impl<'a> Request<'a> {
    pub(super) fn new(around: &'a Surroundings, global: &'a Global, config: &'a Config, args: &'a ReadArgs) -> Self {
        Self::of(around, global, config, (&args.window, &args.connection))
    }

    /// The same where the flags stand apart.
    pub(super) fn of(
        around: &'a Surroundings,
        global: &'a Global,
        config: &'a Config,
        (window, connection): (&'a WindowArgs, &'a ConnectionArgs),
    ) -> Self {
        Self { around, global, config, window, connection, shard: None, split: None, kept: None }
    }
}

/// Threads to use.
pub(super) fn threads(global: &Global) -> usize {
    global.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Reads every source into one snapshot.
pub(super) fn read(froms: &[String], request: &Request<'_>, io: &mut Io<'_>) -> Result<Snapshot, Stop> {
    read_recorded(froms, request, None, io)
}

/// The same, leaving every span with a recorder too.
pub(super) fn read_recorded(
    froms: &[String],
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    refuse_idle_flags(froms, request)?;
    let mut snapshot = read_any(froms, request, recorder, io)?;
    if !froms.iter().all(|from| is_local(from)) {
        io.diagnostics(&empty::mostly_empty(&snapshot).into_iter().collect::<Vec<_>>());
    }
    external::measure(&mut snapshot, froms, request, io)?;
    Ok(snapshot)
}

/// Reads every source into one snapshot, whether or not every flag means something for it.
pub(super) fn read_any(
    froms: &[String],
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    if froms.iter().any(|from| source::counts(from)) {
        let mut snapshot = counted(froms, request, recorder, io)?;
        snapshot.provenance.filter = filter::filter(froms, request);
        return Ok(snapshot);
    }
    let snapshots: Vec<PathBuf> = froms.iter().filter_map(|f| snapshot_file(f)).collect();
    let only = froms.len() == 1;
    let piped = if froms.iter().any(|f| f == "-") { Some(piped::open(io)?) } else { None };
    let snapshot = match (snapshots.as_slice(), piped) {
        _ if froms.is_empty() => return Err(no_source().into()),
        ([_], _) | (_, Some(Piped::Snapshot(_))) if only && recorder.is_some() => {
            return Err(Diagnostic::error("spans-from-snapshot", "a snapshot holds no spans that --spans could keep")
                .help("give --from the traces themselves")
                .into());
        }
        ([path], None) if only => read_snapshot(path)?,
        ([], Some(Piped::Snapshot(snapshot))) if only => {
            refuse_idle(&window_flags(request), "a snapshot")?;
            *snapshot
        }
        ([], None) => capture(froms, None, request, recorder, io)?,
        ([], Some(Piped::Spans(reader))) => capture(froms, Some(reader), request, recorder, io)?,
        _ => {
            return Err(Diagnostic::error("from-mixed", "a snapshot cannot be read together with another source")
                .help("give either one snapshot, or any number of sources of spans")
                .into());
        }
    };
    let whole = snapshot.shard.is_none();
    if whole && snapshot.provenance.kind == SnapshotKind::Spans && snapshot.coverage.spans == 0 {
        return Err(no_spans(Diagnostic::error("no-spans", "there is not a single span")).into());
    }
    Ok(snapshot)
}

fn no_spans(diagnostic: Diagnostic) -> Diagnostic {
    if diagnostic.code == "no-spans" && diagnostic.help.is_empty() {
        return diagnostic.help(
            "check the source, the window (--lookback, --start, --end), the tenant and the filter; nothing was changed",
        );
    }
    diagnostic
}

/// A builder as a sink, and whoever listens in.
pub(super) struct Sink<'a> {
    pub(super) builder: &'a Builder,
    pub(super) recorder: Option<&'a Recorder>,
}

impl SpanSink for Sink<'_> {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        if let Some(recorder) = self.recorder {
            recorder.push(batch)?;
        }
        self.builder.push(batch)
    }
}

/// Reads every source of spans into two snapshots: of the traces that start before `at`, and from then on until `until`.
pub(super) fn read_split(
    froms: &[String],
    request: &Request<'_>,
    (at, until): (UnixNanos, UnixNanos),
    io: &mut Io<'_>,
) -> Result<(Snapshot, Snapshot), Stop> {
    refuse_idle_flags(froms, request)?;
    if froms.is_empty() {
        return Err(no_source().into());
    }
    let with_filter = |(mut before, mut after): (Snapshot, Snapshot)| {
        before.provenance.filter = filter::filter(froms, request);
        after.provenance.filter.clone_from(&before.provenance.filter);
        (before, after)
    };
    if froms.iter().any(|from| source::counts(from)) {
        let request = |window| Request { split: Some(window), ..*request };
        // Two questions: nothing has to be told apart afterwards.
        let before = counted(froms, &request((UnixNanos(0), at)), None, io)?;
        return Ok(with_filter((before, counted(froms, &request((at, until)), None, io)?)));
    }
    let snapshot = || {
        Diagnostic::error("split-snapshot", "a snapshot cannot be split at a time: it holds no traces")
            .help("give --from the traces themselves, or compare two snapshots: tracebook diff BASE HEAD")
    };
    if froms.iter().any(|from| snapshot_file(from).is_some()) {
        return Err(snapshot().into());
    }
    let piped = match froms.iter().any(|from| from == "-").then(|| piped::open(io)).transpose()? {
        Some(Piped::Snapshot(_)) => return Err(snapshot().into()),
        Some(Piped::Spans(reader)) => Some(reader),
        None => None,
    };
    let (builder, intake) = collect(froms, piped, request, None, io)?;
    Ok(with_filter(builder.finish_split(intake, threads(request.global), at, until).map_err(no_spans)?))
}

fn capture(
    froms: &[String],
    stdin: Option<Box<dyn Read + '_>>,
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let (builder, intake) = collect(froms, stdin, request, recorder, io)?;
    let mut snapshot = builder.finish(intake, threads(request.global)).map_err(no_spans)?;
    snapshot.provenance.filter = filter::filter(froms, request);
    Ok(snapshot)
}

/// Reads the files of spans that one source left in a directory into a snapshot that names that source.
pub(super) fn read_left(
    (directory, files): (&Path, &[PathBuf]),
    source: String,
    request: &Request<'_>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let options = options(&directory.to_string_lossy(), request, threads(request.global))?;
    let (builder, mut intake) = empty(request);
    take(&mut *source::files(directory, files, &options), &builder, None, &mut intake, io)?;
    intake.sources = vec![source];
    let snapshot = builder.finish(intake, threads(request.global)).map_err(no_spans)?;
    if snapshot.shard.is_none() && snapshot.coverage.spans == 0 {
        return Err(no_spans(Diagnostic::error("no-spans", "there is not a single span")).into());
    }
    Ok(snapshot)
}

/// Reads every source into a builder.
fn collect(
    froms: &[String],
    mut stdin: Option<Box<dyn Read + '_>>,
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<(Builder, Intake), Stop> {
    let (builder, mut intake) = empty(request);
    for from in froms {
        let options = options(from, request, threads(request.global))?;
        let mut source = match stdin.take_if(|_| from == "-") {
            Some(reader) => source::stream(reader, &options),
            None if from == "-" => return Err(piped::twice().into()),
            None => source::open(from, &options)?,
        };
        if let Some(recorder) = recorder {
            recorder.source(&source.describe())?;
        }
        take(&mut *source, &builder, recorder, &mut intake, io)?;
    }
    intake.sources.sort();
    intake.sources.dedup();
    Ok((builder, intake))
}

/// A builder that has seen nothing yet.
fn empty(request: &Request<'_>) -> (Builder, Intake) {
    let connection = request.connection;
    let mut settings = format!("{:?}", (&connection.query, &connection.rate_attribute));
    if let Some(sample) = options::sample(connection) {
        settings.push_str(&format!(" {sample:?}"));
    }
    let builder = Builder::sharded(request.config.topology.clone(), request.shard);
    (builder, Intake { settings, ..Intake::default() })
}

/// Reads one source into a builder.
fn take(
    source: &mut dyn SpanSource,
    builder: &Builder,
    recorder: Option<&Recorder>,
    intake: &mut Intake,
    io: &mut Io<'_>,
) -> Result<(), Stop> {
    let report = {
        let bar = Bar::new(io.progress);
        source.read(&Sink { builder, recorder }, &bar)?
    };
    intake.sources.push(source.describe());
    io.diagnostics(&report.diagnostics);
    for (code, n) in report.rejected {
        let count = intake.rejected.entry(code).or_default();
        *count = count.saturating_add(n);
    }
    intake.partial_traces = intake.partial_traces.saturating_add(report.partial_traces);
    intake.left_out_traces = intake.left_out_traces.saturating_add(report.left_out_traces);
    intake.window = match (intake.window, report.window) {
        (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
        (a, b) => a.or(b),
    };
    Ok(())
}
