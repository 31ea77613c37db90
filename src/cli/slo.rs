//! `slo`: objectives held against a source.

use clap::Args;

use super::args::{FailOn, FromArgs, Global, ReadArgs, ReportFormat};
use super::io::{Io, Stop, fails};
use super::{Exit, Surroundings, directory, generate, input, stages};
use crate::config;
use crate::slo::ObjectiveState;

const AFTER: &str = "\
Examples:
  tracebook slo --from runbooks/topology.snapshot.json
  tracebook slo --from tempo://tempo:9095 --lookback 1d --format json
  tracebook slo --fail-on error        # only objectives with `severity: page`

A missed objective with `severity: page` weighs `error`, one with `severity: ticket` weighs `warning`.";

/// Hold the objectives against traces or a snapshot: met, breached, or no data
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct SloArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ReportFormat::Text, help_heading = "Report")]
    format: ReportFormat,
    /// Exit 1 for a missed objective of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Warning, help_heading = "Report")]
    fail_on: FailOn,
}

pub(super) fn run(args: &SloArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let request = input::Request::new(around, global, &config, &args.read);
    let snapshot = directory::read_or_own(&args.from, None, &request, io)?;
    let statuses = stages::objectives(&snapshot, &config);
    io.data(&stages::slo_report(&statuses, args.format, io.color_data))?;
    if config.default_objectives {
        io.say("these are the default objectives; set your own under `objectives:` in tracebook.yaml");
    }
    let mut breached = statuses.iter().filter(|s| s.state == ObjectiveState::Breached);
    Ok(Exit::findings_if(breached.any(|s| fails(generate::severity(&s.objective.severity), args.fail_on))))
}
