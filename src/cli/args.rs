//! What can be typed. Flags are grouped by help heading; nothing here reaches a stage as it is.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

const ABOUT: &str =
    "Turns OpenTelemetry traces into the runbooks on-call engineers open at three in the morning, and keeps them true.";

const AFTER: &str = "\
Examples:
  tracebook generate --from traces.jsonl.zst --output runbooks
  tracebook generate --from tempo://tempo:9095 --lookback 7d --output docs/operations/runbooks
  tracebook check docs/operations/runbooks
  tracebook diff v1.snapshot.json v2.snapshot.json

Exit codes:
  0  nothing to report
  1  drift, breach or finding at or above --fail-on
  2  could not do the job; nothing on disk was changed

Environment:
  OTEL_ENDPOINT           default of --from
  TRACEBOOK_BEARER_TOKEN  token sent as `Authorization: Bearer`
  TRACEBOOK_BASIC_AUTH    `user:password` sent as `Authorization: Basic`
  TRACEBOOK_TENANT        default of --tenant
  HONEYCOMB_API_KEY       key for --from honeycomb://
  NO_COLOR                no colours unless --color=always";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "tracebook", version, about = ABOUT, after_help = AFTER, term_width = 100)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// One file per command.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Generate(super::generate::GenerateArgs),
    Capture(super::capture::CaptureArgs),
    Check(super::check::CheckArgs),
    Diff(super::diff::DiffArgs),
    Slo(super::slo::SloArgs),
    Graph(super::graph::GraphArgs),
    Init(super::init::InitArgs),
    Doctor(super::doctor::DoctorArgs),
    Completions(super::completions::CompletionsArgs),
    Man(super::man::ManArgs),
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global")]
pub(super) struct Global {
    /// Configuration file [default: tracebook.yaml or tracebook.yml in the working directory, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Run as if started in this directory
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(super) directory: Option<PathBuf>,
    /// Say errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(super) quiet: bool,
    /// Say notes too
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(super) verbose: u8,
    /// When to colour what is said
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = Color::Auto)]
    pub(super) color: Color,
    /// Threads for decoding and aggregating; the result does not depend on it [default: all]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

/// The least severity that makes the exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    Info,
    Warning,
    Error,
    Never,
}

/// Format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    Text,
    Markdown,
    Json,
}

/// Which traces a sample keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    Hash,
    MostRecent,
}

/// Text for people or JSON for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TextOrJson {
    Text,
    Json,
}

/// Where the spans or the snapshot come from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Source")]
pub(super) struct FromArgs {
    /// Where to read from: `tempo://host:9095`, `jaeger://host:16685`, `tempo+https://…`, `jaeger+https://…`, a trace file
    /// (OTLP JSON or protobuf, Jaeger or Zipkin JSON; plain, gzip or zstd), a directory of them, `-` for standard input,
    /// `prometheus://host:9090` (metrics made from spans), or a snapshot. Several sources of spans are read as one. `capture` also
    /// takes `otlp://HOST:PORT`: listen there, and take the spans that are sent
    /// [default: OTEL_ENDPOINT, else `from` of the configuration]
    #[arg(long, value_name = "SOURCE")]
    pub(super) from: Vec<String>,
    /// Let Tempo count instead of reading its traces: calls, errors and durations of operations and edges, at a cost that does
    /// not grow with the number of spans
    #[arg(long)]
    pub(super) aggregate: bool,
}

/// Which time.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Window")]
pub(super) struct WindowArgs {
    /// How far back from the end: `7d`, `36h`, `90m` [default: `lookback` of the configuration, else 7d; files: everything]
    #[arg(long, value_name = "TIME", value_parser = lookback, conflicts_with = "lookback_hours")]
    pub(super) lookback: Option<u64>,
    /// The same in hours
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=876_000))]
    pub(super) lookback_hours: Option<u32>,
    /// Start of the window: RFC 3339 (`2026-08-23T17:00:00Z`) or a Unix time
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with_all = ["lookback", "lookback_hours"])]
    pub(super) start: Option<u64>,
    /// End of the window: RFC 3339 or a Unix time [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(super) end: Option<u64>,
}

/// How spans are read: flags of every command that reads some.
#[derive(Debug, Args)]
pub(super) struct ReadArgs {
    #[command(flatten)]
    pub(super) window: WindowArgs,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// How to talk to a backend and what to ask it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// Which part of a source to read: a TraceQL filter for Tempo, e.g. `{ resource.deployment.environment.name =
    /// "production" }`, or label matchers for `--from prometheus://…`, e.g. `{cluster="eu"}`. Queries that answer objectives
    /// are in the configuration instead
    #[arg(long, value_name = "FILTER")]
    pub(super) query: Option<String>,
    /// Read at most so many traces of the window, and say how many were left out; counts are then of those read. With
    /// `--aggregate` so many are read as examples and nothing is counted in them (24 if not given, 0 for none)
    #[arg(long, value_name = "N")]
    pub(super) max_traces: Option<u64>,
    /// Which traces to read when there are more: `hash` takes the same ones in every run, spread over the window;
    /// `most-recent` the newest
    #[arg(long, value_enum, value_name = "WHICH", requires = "max_traces", default_value_t = Which::Hash)]
    pub(super) sample: Which,
    /// Prometheus to ask, beside the source, for objectives with `sli: external`: the `query` of each in the configuration,
    /// over the window of the snapshot, which keeps the answers: `prometheus://host:9090`. Without it, `--from prometheus://…`
    /// is asked
    #[arg(long, value_name = "URL")]
    pub(super) prometheus: Option<String>,
    /// Tenant, sent as X-Scope-OrgID [default: TRACEBOOK_TENANT]
    #[arg(long, value_name = "ID")]
    pub(super) tenant: Option<String>,
    /// Further header or gRPC metadata; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(super) header: Vec<String>,
    /// PEM file of the certificate authority to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// PEM file of the client certificate
    #[arg(long, value_name = "FILE", requires = "client_key")]
    pub(super) client_cert: Option<PathBuf>,
    /// PEM file of the client certificate's key
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(super) client_key: Option<PathBuf>,
    /// Name expected in the server's certificate instead of the host
    #[arg(long, value_name = "NAME")]
    pub(super) server_name: Option<String>,
    /// Deadline of one request: `30s`, `2m`
    #[arg(long, value_name = "TIME", value_parser = lookback, default_value = "30s")]
    pub(super) timeout: u64,
    /// Resource or span attribute that holds a sampling rate, e.g. `SampleRate`
    #[arg(long, value_name = "KEY")]
    pub(super) rate_attribute: Option<String>,
}

/// Seconds of a length of time.
pub(super) fn lookback(text: &str) -> Result<u64, String> {
    crate::config::duration::seconds(text).ok_or_else(|| "write a length of time like 7d, 36h, 90m or 30s".to_owned())
}

/// Unix nanoseconds of an RFC 3339 time, or of a Unix time in seconds, milliseconds or nanoseconds as alerts carry it.
pub(super) fn instant(text: &str) -> Result<u64, String> {
    if text.bytes().all(|b| b.is_ascii_digit())
        && let Ok(number) = text.parse::<u64>()
    {
        let unit = match text.len() {
            9..=11 => 1_000_000_000,
            12..=14 => 1_000_000,
            18..=20 => 1,
            _ => 0,
        };
        return number.checked_mul(unit).filter(|nanos| *nanos > 0).ok_or_else(|| {
            "write a time like 2026-08-23T17:00:00Z, or Unix seconds, milliseconds or nanoseconds".to_owned()
        });
    }
    let time: jiff::Timestamp = text.parse().map_err(|_| "write a time like 2026-08-23T17:00:00Z".to_owned())?;
    u64::try_from(time.as_nanosecond()).map_err(|_| "the time lies before 1970".to_owned())
}
