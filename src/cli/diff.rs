//! `diff`: two snapshots or captures → what changed.

use clap::Args;

use super::args::{FailOn, FromArgs, Global, ReadArgs, ReportFormat};
use super::io::{Io, Stop, fails};
use super::{Exit, Surroundings, input, stages};
use crate::config;
use crate::diag::Diagnostic;
use crate::diff;

const AFTER: &str = "\
Examples:
  tracebook diff release-1.4.snapshot.json release-1.5.snapshot.json
  tracebook diff before.jsonl.zst after.jsonl.zst --format markdown
  tracebook diff docs/runbooks new.snapshot.json --fail-on warning

BASE and HEAD are anything --from takes elsewhere; a runbook directory stands for the snapshot in it.
Exit 0: nothing at or above --fail-on. 1: something. 2: one of them cannot be read.";

/// Compare two snapshots or sets of traces: what was added, removed, got slower, fails more
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct DiffArgs {
    /// Before
    base: String,
    /// After
    head: String,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportFormat::Text, help_heading = "Report")]
    format: ReportFormat,
    /// Exit 1 for a change of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error, help_heading = "Report")]
    fail_on: FailOn,
}

pub(super) fn run(args: &DiffArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let request = input::Request::new(around, global, &config, &args.read);
    let froms = input::sources(&FromArgs { from: vec![args.base.clone(), args.head.clone()] }, &config, around);
    // A flag may be meant for one of the two.
    input::refuse_idle_flags(&froms, &request)?;
    let mut sides = froms.iter().map(|from| input::read_any(std::slice::from_ref(from), &request, None, io));
    let (Some(base), Some(head)) = (sides.next(), sides.next()) else { return Err(input::no_source().into()) };
    let (base, head) = (base?, head?);
    let (before, after) = (&base.provenance, &head.provenance);
    if before.kind == after.kind && before.rules != after.rules {
        io.diagnostics(&[Diagnostic::warning("diff-rules", "the two were captured under different `topology` rules")
            .help("what looks added or removed may only be called otherwise: capture both with the same rules")]);
    }
    let diff = diff::diff(&base, &head);
    io.data(&stages::diff_report(&diff, args.format, io.color_data))?;
    Ok(Exit::findings_if(diff.changes.iter().any(|c| fails(c.severity, args.fail_on))))
}
