//! From what `--from` names to a snapshot: reads one, or captures spans into one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Surroundings;
use super::aggregates::counted;
use super::args::{ConnectionArgs, FromArgs, Global, ReadArgs, Which, WindowArgs};
use super::external;
use super::io::{Io, Stop};
use super::piped::{self, Piped};
use super::progress::Bar;
use super::record::Recorder;
use crate::config::Config;
use crate::diag::{Diagnostic, Location};
use crate::source::{self, Keep, Sample, SourceOptions, SpanSink, Transport};
use crate::spans::{SpanBatch, UnixNanos};
use crate::topology::{Builder, Intake, Shard, Snapshot, SnapshotKind, codec};

/// File name of the snapshot in a runbook directory.
pub(super) const SNAPSHOT: &str = "topology.snapshot.json";

/// How far back a backend is asked when nothing says so.
const DEFAULT_LOOKBACK: u64 = 7 * 86_400;

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
}

impl<'a> Request<'a> {
    pub(super) fn new(around: &'a Surroundings, global: &'a Global, config: &'a Config, args: &'a ReadArgs) -> Self {
        Self { around, global, config, window: &args.window, connection: &args.connection, shard: None, split: None }
    }
}

/// Threads to use.
pub(super) fn threads(global: &Global) -> usize {
    global.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// Whether the source is a file or directory, not a URL or standard input.
fn is_path(from: &str) -> bool {
    from != "-" && !from.contains("://")
}

/// Whether the source is on this machine: a file, a directory or standard input.
fn is_local(from: &str) -> bool {
    from == "-" || is_path(from)
}

/// A source named in some directory, as seen from where the process runs.
fn in_dir(from: &str, dir: &Path) -> String {
    if is_path(from) { dir.join(from).display().to_string() } else { from.to_owned() }
}

/// What to read: flags, else the environment, else the configuration. Empty when nothing says so.
pub(super) fn sources(args: &FromArgs, config: &Config, around: &Surroundings) -> Vec<String> {
    let named = named(args, config, around);
    // A source that counts for itself is another kind of source, whatever its address.
    let counting = |from: String| if source::counts(&from) { from } else { format!("aggregate+{from}") };
    if args.aggregate { named.into_iter().map(counting).collect() } else { named }
}

fn named(args: &FromArgs, config: &Config, around: &Surroundings) -> Vec<String> {
    if !args.from.is_empty() {
        return args.from.iter().map(|f| in_dir(f, &around.dir)).collect();
    }
    if let Some(endpoint) = around.env.get("OTEL_ENDPOINT").filter(|e| !e.trim().is_empty()) {
        return vec![in_dir(endpoint.trim(), &around.dir)];
    }
    config.from.iter().map(|f| in_dir(f, &config.base)).collect()
}

/// Nothing says what to read.
pub(super) fn no_source() -> Diagnostic {
    Diagnostic::error("no-source", "nothing says where to read traces from")
        .help("give --from tempo://host:9095 or --from FILE, set OTEL_ENDPOINT, or put `from:` into tracebook.yaml")
}

/// The snapshot file a source names: a file that is one, or a runbook directory that holds one.
fn snapshot_file(from: &str) -> Option<PathBuf> {
    if !is_path(from) {
        return None;
    }
    let path = PathBuf::from(from);
    if path.is_dir() {
        return Some(path.join(SNAPSHOT)).filter(|p| p.is_file());
    }
    // By name too: a damaged snapshot must be called a damaged snapshot, not a file without spans.
    let named = from.ends_with(".snapshot.json") || from.ends_with(".snapshot.json.zst");
    (named || looks_like_snapshot(&path)).then_some(path)
}

/// Looks at the first bytes, through zstd if need be.
fn looks_like_snapshot(path: &Path) -> bool {
    // Opening a pipe would wait for its writer, and what is read here would be lost to the source.
    path.is_file() && File::open(path).is_ok_and(|mut file| piped::says_snapshot(&piped::head_of(&mut file)))
}

/// Reads a snapshot file.
pub(super) fn read_snapshot(path: &Path) -> Result<Snapshot, Diagnostic> {
    whole(read_part(path)?).map_err(|e| e.at(Location::file(path.display().to_string())))
}

/// Refuses a snapshot of which shards are missing: part of a system would pass for all of it.
///
/// # Errors
/// `snapshot-part`.
pub(super) fn whole(snapshot: Snapshot) -> Result<Snapshot, Diagnostic> {
    match &snapshot.shard {
        Some(parts) => {
            Err(Diagnostic::error("snapshot-part", format!("this snapshot holds only {}", super::merge::said(parts)))
                .help("merge all shards of the run first: tracebook capture --merge FILE... --output FILE"))
        }
        None => Ok(snapshot),
    }
}

/// Reads a snapshot file that may hold only some shards of a run.
pub(super) fn read_part(path: &Path) -> Result<Snapshot, Diagnostic> {
    let shown = path.display().to_string();
    let mut file = File::open(path).map_err(|e| {
        Diagnostic::error("snapshot-unreadable", format!("cannot read the snapshot: {e}"))
            .at(Location::file(&shown))
            .help("check the path and its permissions")
    })?;
    codec::read(&mut file).map_err(|mut e| {
        e.location.file.get_or_insert(shown);
        e
    })
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
        return counted(froms, request, recorder, io);
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

/// Refuses flags that choose among spans where nothing is left to choose: an answer to another question than the one
/// asked would pass for the one.
///
/// # Errors
/// `flag-without-effect`.
pub(super) fn refuse_idle_flags(froms: &[String], request: &Request<'_>) -> Result<(), Diagnostic> {
    if froms.is_empty() {
        return Ok(());
    }
    if froms.iter().all(|f| snapshot_file(f).is_some()) {
        return refuse_idle(&window_flags(request), "a snapshot");
    }
    if froms.iter().all(|f| source::counts(f)) {
        let examples = froms.iter().any(|f| source::exemplifies(f));
        let idle = [
            (request.connection.rate_attribute.is_some(), "--rate-attribute"),
            (request.shard.is_some(), "--shard"),
            (request.connection.max_traces.is_some() && !examples, "--max-traces"),
            (request.connection.sample == Which::MostRecent, "--sample"),
        ];
        return refuse_idle(&given(idle), "a backend that counts by itself");
    }
    if request.connection.max_traces == Some(0) {
        return Err(Diagnostic::error("flag-without-effect", "--max-traces 0 leaves no trace to read")
            .help("with --aggregate it means: no examples; otherwise give a number from 1 on"));
    }
    if froms.iter().all(|f| is_local(f)) {
        let connection = request.connection;
        let flags = [(connection.query.is_some(), "--query"), (connection.max_traces.is_some(), "--max-traces")];
        return refuse_idle(&given(flags), "trace files");
    }
    Ok(())
}

pub(super) fn refuse_idle(flags: &[&str], on: &str) -> Result<(), Diagnostic> {
    if flags.is_empty() {
        return Ok(());
    }
    let message = format!("{} cannot be applied to {on}", flags.join(", "));
    Err(Diagnostic::error("flag-without-effect", message)
        .help("leave it out, or give --from a source it can be applied to"))
}

/// Flags given that choose among spans or weigh them.
pub(super) fn window_flags(request: &Request<'_>) -> Vec<&'static str> {
    let (window, connection) = (request.window, request.connection);
    given([
        (window.lookback.is_some(), "--lookback"),
        (window.lookback_hours.is_some(), "--lookback-hours"),
        (window.start.is_some(), "--start"),
        (window.end.is_some(), "--end"),
        (connection.query.is_some(), "--query"),
        (connection.max_traces.is_some(), "--max-traces"),
        (connection.rate_attribute.is_some(), "--rate-attribute"),
        (request.shard.is_some(), "--shard"),
    ])
}

pub(super) fn given<const N: usize>(flags: [(bool, &'static str); N]) -> Vec<&'static str> {
    flags.into_iter().filter_map(|(given, flag)| given.then_some(flag)).collect()
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
    if froms.iter().any(|from| source::counts(from)) {
        let request = |window| Request { split: Some(window), ..*request };
        // Two questions: nothing has to be told apart afterwards.
        let before = counted(froms, &request((UnixNanos(0), at)), None, io)?;
        return Ok((before, counted(froms, &request((at, until)), None, io)?));
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
    Ok(builder.finish_split(intake, threads(request.global), at, until).map_err(no_spans)?)
}

fn capture(
    froms: &[String],
    stdin: Option<Box<dyn Read + '_>>,
    request: &Request<'_>,
    recorder: Option<&Recorder>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let (builder, intake) = collect(froms, stdin, request, recorder, io)?;
    Ok(builder.finish(intake, threads(request.global)).map_err(no_spans)?)
}

/// Reads files of spans that one source left into a snapshot that names that source.
pub(super) fn read_left(
    files: &[String],
    source: String,
    request: &Request<'_>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let (builder, mut intake) = collect(files, None, request, None, io)?;
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
    let threads = threads(request.global);
    let builder = Builder::sharded(request.config.topology.clone(), request.shard);
    let connection = request.connection;
    let mut settings = format!("{:?}", (&connection.query, &connection.rate_attribute));
    if let Some(sample) = sample(connection) {
        settings.push_str(&format!(" {sample:?}"));
    }
    let mut intake = Intake { settings, ..Intake::default() };
    let mut rejected: BTreeMap<String, u64> = BTreeMap::new();
    for from in froms {
        let options = options(from, request, threads)?;
        let mut source = match stdin.take_if(|_| from == "-") {
            Some(reader) => source::stream(reader, &options),
            None if from == "-" => return Err(piped::twice().into()),
            None => source::open(from, &options)?,
        };
        if let Some(recorder) = recorder {
            recorder.source(&source.describe())?;
        }
        let report = {
            let bar = Bar::new(io.progress);
            source.read(&Sink { builder: &builder, recorder }, &bar)?
        };
        intake.sources.push(source.describe());
        io.diagnostics(&report.diagnostics);
        for (code, n) in report.rejected {
            let count = rejected.entry(code).or_default();
            *count = count.saturating_add(n);
        }
        intake.partial_traces = intake.partial_traces.saturating_add(report.partial_traces);
        intake.left_out_traces = intake.left_out_traces.saturating_add(report.left_out_traces);
        intake.window = match (intake.window, report.window) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (a, b) => a.or(b),
        };
    }
    intake.rejected = rejected;
    intake.sources.sort();
    intake.sources.dedup();
    Ok((builder, intake))
}

pub(super) fn options(from: &str, request: &Request<'_>, threads: usize) -> Result<SourceOptions, Diagnostic> {
    let options = SourceOptions { window: window(from, request)?, threads, ..unwindowed(request)? };
    Ok(keyed(from, request, options))
}

/// With the key that a source takes from the environment.
pub(super) fn keyed(from: &str, request: &Request<'_>, mut options: SourceOptions) -> SourceOptions {
    if let Some((variable, header)) = source::credential(from)
        && let Some(key) = request.around.env.get(variable).filter(|key| !key.trim().is_empty())
    {
        options.transport.headers.push((header.to_owned(), key.trim().to_owned()));
    }
    options
}

/// All that is asked of a connection, whatever the time.
pub(super) fn unwindowed(request: &Request<'_>) -> Result<SourceOptions, Diagnostic> {
    let connection = request.connection;
    Ok(SourceOptions {
        timeout: Duration::from_secs(connection.timeout),
        query: connection.query.clone(),
        sample: sample(connection),
        rate_attribute: connection.rate_attribute.clone(),
        transport: transport(request)?,
        ..SourceOptions::default()
    })
}

/// The sample asked for, if not all traces.
fn sample(connection: &ConnectionArgs) -> Option<Sample> {
    let keep = match connection.sample {
        Which::Hash => Keep::Hash,
        Which::MostRecent => Keep::MostRecent,
    };
    connection.max_traces.filter(|most| *most > 0).map(|most| Sample { most, keep })
}

/// The window asked for. Files are read whole unless a window was typed: what is in them need not be recent.
fn window(from: &str, request: &Request<'_>) -> Result<Option<(UnixNanos, UnixNanos)>, Diagnostic> {
    let args = request.window;
    let typed = args.lookback.or(args.lookback_hours.map(|h| u64::from(h).saturating_mul(3_600)));
    let local = is_local(from);
    if local && typed.is_none() && args.start.is_none() && args.end.is_none() {
        return Ok(None);
    }
    let end = args.end.unwrap_or(request.around.now.0);
    let start = match (args.start, typed) {
        (Some(start), _) => start,
        // A file up to `--end`.
        (None, None) if local => 0,
        (None, typed) => {
            let seconds = typed.or(request.config.lookback_seconds).unwrap_or(DEFAULT_LOOKBACK);
            end.saturating_sub(seconds.saturating_mul(1_000_000_000))
        }
    };
    if start >= end {
        return Err(
            Diagnostic::error("window-empty", "the window ends before it starts").help("check --start and --end")
        );
    }
    source::clamp(from, (UnixNanos(start), UnixNanos(end)), request.around.now).map(Some)
}

/// Credentials from the environment, the rest from flags. No message repeats a value.
fn transport(request: &Request<'_>) -> Result<Transport, Diagnostic> {
    let env = |name: &str| request.around.env.get(name).filter(|v| !v.is_empty()).cloned();
    let args = request.connection;
    let basic =
        match env("TRACEBOOK_BASIC_AUTH").map(|text| text.split_once(':').map(|(u, p)| (u.to_owned(), p.to_owned()))) {
            None => None,
            Some(Some(pair)) => Some(pair),
            Some(None) => {
                return Err(Diagnostic::error(
                    "credentials-malformed",
                    "TRACEBOOK_BASIC_AUTH is not of the form user:password",
                )
                .help("set it to the user, a colon and the password"));
            }
        };
    let bearer = env("TRACEBOOK_BEARER_TOKEN").map(|t| t.trim().to_owned());
    if bearer.is_some() && basic.is_some() {
        return Err(Diagnostic::error(
            "credentials-malformed",
            "both TRACEBOOK_BEARER_TOKEN and TRACEBOOK_BASIC_AUTH are set",
        )
        .help("unset one of them"));
    }
    let headers = args
        .header
        .iter()
        .enumerate()
        .map(|(i, header)| {
            let pair = header.split_once('=').filter(|(name, _)| !name.trim().is_empty());
            pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).ok_or_else(|| {
                let which = i.saturating_add(1);
                Diagnostic::error("header-malformed", format!("--header number {which} is not of the form NAME=VALUE"))
                    .help("write it like --header X-Team=sre")
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let dir = &request.around.dir;
    Ok(Transport {
        bearer,
        basic,
        tenant: args.tenant.clone().or_else(|| env("TRACEBOOK_TENANT")),
        headers,
        ca_file: args.ca_file.as_ref().map(|p| dir.join(p)),
        client_cert: args.client_cert.as_ref().zip(args.client_key.as_ref()).map(|(c, k)| (dir.join(c), dir.join(k))),
        server_name: args.server_name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command};
    use clap::Parser as _;

    /// Runs `check` on the request that a command line makes.
    fn with<T>(args: &[&str], env: &[(&str, &str)], check: impl FnOnce(&Request<'_>) -> T) -> T {
        let cli = Cli::try_parse_from([&["tracebook", "capture"], args].concat()).unwrap();
        let Command::Capture(capture) = &cli.command else { panic!("not capture") };
        let around = Surroundings {
            env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            now: UnixNanos(1_000_000 * 1_000_000_000),
            ..Surroundings::default()
        };
        let config = Config { lookback_seconds: Some(60), ..Config::default() };
        check(&Request::new(&around, &cli.global, &config, &capture.read))
    }

    fn seconds(args: &[&str], from: &str) -> Option<(u64, u64)> {
        with(args, &[], |r| window(from, r).unwrap()).map(|(a, b)| (a.0 / 1_000_000_000, b.0 / 1_000_000_000))
    }

    #[test]
    fn files_are_read_whole_and_backends_for_a_window() {
        assert_eq!(seconds(&[], "a.jsonl"), None);
        assert_eq!(
            seconds(&[], "tempo://t"),
            Some((999_940, 999_965)),
            "lookback of the configuration, less what Tempo cannot answer yet"
        );
        assert_eq!(seconds(&["--lookback", "1h"], "a.jsonl"), Some((996_400, 1_000_000)));
        assert_eq!(seconds(&["--lookback-hours", "168"], "tempo://t"), Some((395_200, 999_965)));
        assert_eq!(seconds(&["--end", "1970-01-02T00:00:00Z"], "a.jsonl"), Some((0, 86_400)));
        let both = ["--start", "1970-01-01T00:00:01Z", "--end", "1970-01-01T00:00:02+00:00"];
        assert_eq!(seconds(&both, "tempo://t"), Some((1, 2)));
        let empty = with(&["--start", "2026-01-01T00:00:00Z"], &[], |r| window("tempo://t", r).unwrap_err());
        assert_eq!(empty.code, "window-empty");
    }

    #[test]
    fn credentials_come_from_the_environment_and_are_never_repeated() {
        let env = [("TRACEBOOK_BASIC_AUTH", "ann:s3cret:x"), ("TRACEBOOK_TENANT", "shop")];
        let got = with(&["--header", "X-A= b=c"], &env, |r| transport(r).unwrap());
        assert_eq!(got.basic, Some(("ann".into(), "s3cret:x".into())));
        assert_eq!(
            (got.tenant.as_deref(), got.headers.as_slice()),
            (Some("shop"), &[("X-A".into(), " b=c".into())][..])
        );
        assert_eq!(with(&["--tenant", "x"], &env, |r| transport(r).unwrap()).tenant.as_deref(), Some("x"));
        for (args, env) in [
            (vec!["--header", "s3cret"], vec![]),
            (vec![], vec![("TRACEBOOK_BASIC_AUTH", "s3cret")]),
            (vec![], vec![("TRACEBOOK_BASIC_AUTH", "a:s3cret"), ("TRACEBOOK_BEARER_TOKEN", "s3cret")]),
        ] {
            let error = with(&args, &env, |r| transport(r).unwrap_err());
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn sources_are_layered_flag_over_environment_over_file() {
        let config = Config { from: Some("file.jsonl".into()), base: "base".into(), ..Config::default() };
        let mut around = Surroundings { dir: "here".into(), ..Surroundings::default() };
        let flags = |from: &[&str]| FromArgs { from: from.iter().map(|f| (*f).to_owned()).collect(), aggregate: false };
        assert_eq!(sources(&flags(&[]), &config, &around), ["base/file.jsonl"]);
        around.env.insert("OTEL_ENDPOINT".into(), "http://tempo:4317".into());
        assert_eq!(sources(&flags(&[]), &config, &around), ["http://tempo:4317"]);
        assert_eq!(sources(&flags(&["a", "-"]), &config, &around), ["here/a", "-"]);
    }

    #[test]
    fn snapshots_are_known_by_content_name_or_directory() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let json = b"\n{ \"schema\": \"tracebook.snapshot/1\" }";
        assert!(snapshot_file(&put("a.json", json)).is_some());
        assert!(snapshot_file(&put("a.bin", &zstd::encode_all(&json[..], 3).unwrap())).is_some());
        assert!(snapshot_file(&put("b.snapshot.json", b"")).is_some());
        assert!(snapshot_file(&put("c.json", b"{\"resourceSpans\":[]}")).is_none());
        assert!(snapshot_file(&dir.path().display().to_string()).is_none());
        put(SNAPSHOT, b"");
        assert!(snapshot_file(&dir.path().display().to_string()).is_some());
    }
}
