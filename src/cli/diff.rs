//! `diff`: two snapshots or captures → what changed.

use clap::Args;

use super::args::{FailOn, FromArgs, Global, ReadArgs, ReportFormat, instant, lookback};
use super::io::{Io, Stop, fails};
use super::{Exit, Surroundings, input, stages};
use crate::config;
use crate::diag::Diagnostic;
use crate::diff;
use crate::spans::UnixNanos;
use crate::topology::cfg::Dimension;
use crate::topology::{self, Snapshot};

const AFTER: &str = "\
Examples:
  tracebook diff release-1.4.snapshot.json release-1.5.snapshot.json
  tracebook diff before.jsonl.zst after.jsonl.zst --format markdown
  tracebook diff docs/runbooks new.snapshot.json --fail-on warning
  tracebook diff --from incident.jsonl.zst --at 2026-08-23T14:30:10Z --for 3m
  tracebook diff --from tempo://tempo:9095 --lookback 1h --by service.version

BASE and HEAD are anything --from takes elsewhere; a runbook directory stands for the snapshot in it.
With --at the traces of one capture that start before the time are BASE, those from then on HEAD.
With --by the older version of each service that has two is BASE, the newer one HEAD.
Suspects are ranked by how unlike before they are; docs/diff.md says how.
Exit 0: nothing at or above --fail-on. 1: something. 2: one of them cannot be read.";

/// Compare two snapshots or sets of traces: what was added, removed, got slower, fails more, and who is to blame
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct DiffArgs {
    /// Before
    #[arg(requires = "head", conflicts_with_all = ["at", "by", "from"], required_unless_present_any = ["at", "by"])]
    base: Option<String>,
    /// After
    head: Option<String>,
    #[command(flatten)]
    from: FromArgs,
    /// Split one capture at this time: RFC 3339 (`2026-08-23T14:30:10Z`) or a Unix time
    #[arg(long, value_name = "TIME", value_parser = instant, conflicts_with = "by", help_heading = "Split")]
    at: Option<u64>,
    /// How long after it to look [default: to the end]
    #[arg(long = "for", value_name = "TIME", value_parser = lookback, requires = "at", conflicts_with = "by", help_heading = "Split")]
    length: Option<u64>,
    /// Compare the two values of a resource attribute seen side by side: `service.version`
    #[arg(long, value_name = "KEY", value_parser = dimension, help_heading = "Split")]
    by: Option<Dimension>,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportFormat::Text, help_heading = "Report")]
    format: ReportFormat,
    /// Exit 1 for a change of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error, help_heading = "Report")]
    fail_on: FailOn,
}

fn dimension(text: &str) -> Result<Dimension, String> {
    let all = Dimension::ALL;
    let known = || all.map(Dimension::key).join(", ");
    all.into_iter().find(|d| d.key() == text).ok_or_else(|| format!("write one of {}", known()))
}

pub(super) fn run(args: &DiffArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let mut config = config::load(global.config.as_deref(), &around.dir)?;
    if let Some(by) = args.by {
        // Versions side by side are nodes of their own, so that each has its figures.
        config.topology.identity_dimensions = vec![by];
    }
    let request = input::Request::new(around, global, &config, &args.read);
    let (base, head) = match (&args.base, &args.head, args.at) {
        (Some(base), Some(head), _) => two(&[base, head], &request, io)?,
        (_, _, Some(at)) => {
            let froms = input::sources(&args.from, &config, around);
            let until = args.length.map_or(u64::MAX, |s| at.saturating_add(s.saturating_mul(1_000_000_000)));
            input::read_split(&froms, &request, (UnixNanos(at), UnixNanos(until)), io)?
        }
        _ => {
            let froms = input::sources(&args.from, &config, around);
            topology::side_by_side(&input::read(&froms, &request, io)?)?
        }
    };
    let (before, after) = (&base.provenance, &head.provenance);
    if before.kind == after.kind && before.rules != after.rules {
        io.diagnostics(&[Diagnostic::warning("diff-rules", "the two were captured under different `topology` rules")
            .help("what looks added or removed may only be called otherwise: capture both with the same rules")]);
    }
    if before.filter != after.filter {
        let of = |filter: &[String]| {
            let named = filter.iter().map(|f| if f.is_empty() { "everything" } else { f.as_str() });
            if filter.is_empty() { "everything".to_owned() } else { named.collect::<Vec<_>>().join(" or ") }
        };
        let what =
            format!("what was read differs: {} before, {} after (--query)", of(&before.filter), of(&after.filter));
        io.diagnostics(&[Diagnostic::warning("diff-filters", what).help(
            "what looks added, removed or busier may only have been let through: capture both with the same --query",
        )]);
    }
    if before.calls_only != after.calls_only {
        return Err(Diagnostic::error(
            "aggregate-calls-only",
            "one of the two knows calls alone: failures would seem to appear or to be gone",
        )
        .help("compare snapshots of one kind of source")
        .into());
    }
    let diff = diff::diff(&base, &head);
    io.data(&stages::diff_report(&diff, args.format, io.color_data))?;
    Ok(Exit::findings_if(diff.changes.iter().any(|c| fails(c.severity, args.fail_on))))
}

fn two(sides: &[&String; 2], request: &input::Request<'_>, io: &mut Io<'_>) -> Result<(Snapshot, Snapshot), Stop> {
    let from = sides.iter().map(|side| (*side).clone()).collect();
    let froms = input::sources(&FromArgs { from, aggregate: false }, request.config, request.around);
    // A flag may be meant for one of the two.
    input::refuse_idle_flags(&froms, request)?;
    let mut sides = froms.iter().map(|from| input::read_any(std::slice::from_ref(from), request, None, io));
    let (Some(base), Some(head)) = (sides.next(), sides.next()) else { return Err(input::no_source().into()) };
    Ok((base?, head?))
}
