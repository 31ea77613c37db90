//! `generate`: traces or a snapshot → runbooks, table of contents, ledger, snapshot.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::{FailOn, FromArgs, Global, ReadArgs, TextOrJson};
use super::io::{Io, Stop, fails};
use super::stages::Made;
use super::{Exit, Surroundings, capture, directory, input, stages};
use crate::config::{self, Config};
use crate::diag::{Diagnostic, Severity};
use crate::output::{self, Comparison, State, Write};
use crate::runbook::RunbookState;
use crate::slo::ObjectiveState;
use crate::topology::Snapshot;

const AFTER: &str = "\
Examples:
  tracebook generate --from traces.jsonl.zst
  tracebook generate --from tempo://tempo:9095 --lookback-hours 168 --output docs/operations/runbooks
  tracebook generate --from runbooks/topology.snapshot.json     # after a change of configuration, no backend needed
  tracebook generate --from tempo://tempo:9095 --dry-run        # show what would change
  tracebook generate --update-toc                               # refresh the files listed under `toc:` too

Text people wrote survives: between `<!-- tracebook:keep -->` and `<!-- tracebook:end keep -->`, or anywhere outside the
generated regions. An edit inside a generated region is reported and left as it is (exit 1) until --overwrite-edits.";

/// Write the runbooks: the main job
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct GenerateArgs {
    #[command(flatten)]
    from: FromArgs,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Directory of the runbooks [default: `output` of the configuration, else `runbooks`]
    #[arg(long, short, value_name = "DIR", help_heading = "Output")]
    output: Option<PathBuf>,
    /// Write only this runbook's page
    #[arg(long, value_name = "RB-001", help_heading = "Output")]
    runbook: Option<String>,
    /// Show what would change as a diff (with --format json: the summary); write nothing
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    /// Like --dry-run, and exit 1 when anything would change
    #[arg(long, help_heading = "Output")]
    check: bool,
    /// Refresh the regions in the files listed under `toc:` in the configuration too
    #[arg(long, help_heading = "Output")]
    update_toc: bool,
    /// Write a copy of the snapshot to this file too (compressed if it ends in .zst)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    snapshot: Option<PathBuf>,
    /// Overwrite what people edited inside generated regions
    #[arg(long, help_heading = "Output")]
    overwrite_edits: bool,
    /// Complete a run that was cut short while putting files into place, then go on
    #[arg(long, help_heading = "Output", conflicts_with_all = ["dry_run", "check"])]
    recover: bool,
    /// Format of the summary: text for people on standard error, or JSON on standard output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TextOrJson::Text, help_heading = "Report")]
    format: TextOrJson,
    /// Exit 1 for a missed objective or a finding of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Never, help_heading = "Report")]
    fail_on: FailOn,
}

pub(super) fn run(args: &GenerateArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let dir = directory::output_dir(args.output.as_deref(), &config, around);
    let writes = !args.dry_run && !args.check;
    if args.recover
        && let Some(moved) = output::recover(&dir)?
    {
        io.say(&format!("completed the interrupted run: {moved} file(s) put into place"));
    }
    output::preflight(&dir, writes)?;
    if args.update_toc && config.toc.is_empty() {
        return Err(Diagnostic::error(
            "toc-none",
            "--update-toc has nothing to refresh: the configuration lists no `toc:` files",
        )
        .help("add `toc: [ { file: docs/operations.md } ]` to tracebook.yaml; README.md of the runbooks needs no flag")
        .into());
    }
    let ledger = directory::read_ledger(&dir)?;
    let request = input::Request::new(around, global, &config, &args.read);
    let snapshot = directory::read_or_own(&args.from, args.output.as_deref(), &request, io)?;
    let made = stages::make(&snapshot, &config, &ledger)?;
    io.diagnostics(&made.diagnostics);
    io.diagnostics(&made.templates);
    io.warnings(stages::unmatched(&made.statuses, &snapshot, &config));

    let wanted = select(&made, args.runbook.as_deref())?;
    let mut comparison = output::compare(&dir, &wanted, args.overwrite_edits)?;
    if args.runbook.is_some() {
        comparison.files.retain(|f| f.state != State::Unexpected);
    }
    if args.update_toc {
        comparison.files.extend(directory::toc_files(&config, &dir, &made.runbooks, args.overwrite_edits)?);
    }
    let damage = comparison.damage();
    if !damage.is_empty() {
        return Err(damage.into());
    }
    warn(&comparison, args.overwrite_edits, io);
    let mut changes = comparison.writes();
    changes.extend(snapshot_copy(args.snapshot.as_deref(), &snapshot, around)?);
    if writes {
        output::publish(&dir, &changes)?;
    } else if args.format == TextOrJson::Text {
        io.data(&diffs(&comparison))?;
    }
    report(args, &config, &made, &comparison, &snapshot, &dir, io)?;

    let edits_left = !args.overwrite_edits && comparison.files.iter().any(|f| !f.edits.is_empty());
    let drift = args.check && !comparison.up_to_date();
    Ok(Exit::findings_if(edits_left || drift || alarms(&made, args.fail_on)))
}

/// All documents, or those that one runbook needs: its page and the ledger that holds its number.
fn select(made: &Made, runbook: Option<&str>) -> Result<Vec<crate::render::Document>, Diagnostic> {
    let Some(wanted) = runbook else { return Ok(made.documents.clone()) };
    let Some(found) = made.runbooks.iter().find(|r| r.id.eq_ignore_ascii_case(wanted)) else {
        let ids: Vec<&str> = made.runbooks.iter().map(|r| r.id.as_str()).take(50).collect();
        let known = if ids.is_empty() { "there are none".to_owned() } else { format!("there are {}", ids.join(", ")) };
        return Err(Diagnostic::error("runbook-unknown", format!("there is no runbook `{wanted}`")).help(known));
    };
    // Its page, and those under names it had before.
    let pages = format!("{}-", found.id);
    let needed = |d: &&crate::render::Document| d.path.starts_with(&pages) || d.path == config::ledger::FILE;
    Ok(made.documents.iter().filter(needed).cloned().collect())
}

/// A copy of the snapshot where the user wants one, unless it is there already.
fn snapshot_copy(path: Option<&Path>, snapshot: &Snapshot, around: &Surroundings) -> Result<Option<Write>, Diagnostic> {
    let Some(path) = path else { return Ok(None) };
    let target = around.dir.join(path);
    let target = std::path::absolute(&target).unwrap_or(target);
    let bytes = capture::snapshot_bytes(snapshot, path)?;
    let same = std::fs::read(&target).is_ok_and(|old| old == bytes);
    Ok((!same).then_some(Write { target, bytes }))
}

/// Says what people wrote and what lies about.
fn warn(comparison: &Comparison, overwrite: bool, io: &mut Io<'_>) {
    for file in &comparison.files {
        let place = |line| crate::diag::Location::file(&file.path).at_line(line);
        for edit in &file.edits {
            let (message, help) = if overwrite {
                (format!("the region `{}` was edited by hand and is overwritten", edit.region), String::new())
            } else {
                let help = format!(
                    "move the text into a keep block, or give --overwrite-edits; the edit:\n{}",
                    indented(&edit.diff)
                );
                (format!("the region `{}` was edited by hand and is left as it is", edit.region), help)
            };
            io.diagnostics(&[Diagnostic::warning("page-edited", message).at(place(edit.line)).help(help)]);
        }
        if file.adopted > 0 {
            let message = format!("{} loose text(s) are kept in a keep block from now on", file.adopted);
            io.diagnostics(&[Diagnostic::info("text-adopted", message).at(crate::diag::Location::file(&file.path))]);
        }
        if file.state == State::Unexpected {
            io.diagnostics(&[Diagnostic::warning("page-unexpected", "this page belongs to no runbook")
                .at(crate::diag::Location::file(&file.path))
                .help("remove it after moving over what people wrote in it; it is left alone")]);
        }
    }
}

pub(super) fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

/// What would change, for `--dry-run`.
fn diffs(comparison: &Comparison) -> String {
    let mut out = String::new();
    for file in &comparison.files {
        match &file.state {
            State::Changed { diff } => out.push_str(diff),
            State::Missing => out.push_str(&output::unified("/dev/null", &file.path, "", &file.text)),
            _ => {}
        }
    }
    out
}

/// Whether the snapshot holds something that `--fail-on` asks for.
fn alarms(made: &Made, fail_on: FailOn) -> bool {
    let breached =
        made.statuses.iter().filter(|s| s.state == ObjectiveState::Breached).map(|s| severity(&s.objective.severity));
    breached.chain(made.findings.iter().map(|f| f.severity)).any(|severity| fails(severity, fail_on))
}

/// What a missed objective weighs: one that pages somebody is an error.
pub(super) fn severity(urgency: &str) -> Severity {
    if urgency == "page" { Severity::Error } else { Severity::Warning }
}

/// So many breached pages are named one by one.
const MOST_BREACHED: usize = 20;

/// The summary as data.
#[derive(Serialize)]
struct Summary<'a> {
    runbooks: Vec<SummaryRunbook<'a>>,
    written: Vec<&'a str>,
    unchanged: usize,
    edited: Vec<&'a str>,
    /// Missed objectives that no runbook is about.
    missed: Vec<&'a str>,
    dry_run: bool,
}

#[derive(Serialize)]
struct SummaryRunbook<'a> {
    id: &'a str,
    file: String,
    state: RunbookState,
}

#[allow(clippy::too_many_arguments, reason = "everything that happened is what a summary is about")]
fn report(
    args: &GenerateArgs,
    config: &Config,
    made: &Made,
    comparison: &Comparison,
    snapshot: &Snapshot,
    dir: &Path,
    io: &mut Io<'_>,
) -> Result<(), Stop> {
    let dry = args.dry_run || args.check;
    let changed = |f: &&output::FileComparison| matches!(f.state, State::Missing | State::Changed { .. });
    let written: Vec<&str> = comparison.files.iter().filter(changed).map(|f| f.path.as_str()).collect();
    if args.format == TextOrJson::Json {
        let summary = Summary {
            runbooks: made
                .runbooks
                .iter()
                .map(|r| SummaryRunbook { id: &r.id, file: r.file_name(), state: r.state })
                .collect(),
            written,
            unchanged: comparison.unchanged(),
            edited: comparison.files.iter().filter(|f| !f.edits.is_empty()).map(|f| f.path.as_str()).collect(),
            missed: made.missed.iter().map(|m| m.id.as_str()).collect(),
            dry_run: dry,
        };
        let mut text = serde_json::to_string_pretty(&summary)
            .map_err(|e| Diagnostic::error("internal", format!("cannot encode the summary: {e}")))?;
        text.push('\n');
        return io.data(&text);
    }
    let active = made.runbooks.iter().filter(|r| r.state != RunbookState::Retired).count();
    let breached = made.runbooks.iter().filter(|r| r.state == RunbookState::Breached);
    let verb = if dry { "to write" } else { "written" };
    io.say(&format!(
        "{active} runbook(s) in {}: {} file(s) {verb}, {} unchanged",
        dir.display(),
        written.len(),
        comparison.unchanged()
    ));
    for runbook in breached.clone().take(MOST_BREACHED) {
        io.say(&format!("breached: {}", dir.join(runbook.file_name()).display()));
    }
    let more = breached.count().saturating_sub(MOST_BREACHED);
    if more > 0 {
        io.say(&format!("breached: {more} more, all at the top of {}", dir.join("README.md").display()));
    }
    for missed in made.missed.iter().take(MOST_BREACHED) {
        let (id, service, target) = (&missed.id, &missed.service, &missed.target);
        io.say(&format!("missed: {id} of {service}, target {target}; no runbook is about it"));
    }
    let more = made.missed.len().saturating_sub(MOST_BREACHED);
    if more > 0 {
        io.say(&format!("missed: {more} more, all at the top of {}", dir.join("README.md").display()));
    }
    if config.default_objectives {
        io.say("objectives: the defaults (error rate < 1 %, p99 < 1s, for every service); set your own under `objectives:`");
    }
    for line in coverage(snapshot) {
        io.say(&line);
    }
    if !dry && !written.is_empty() {
        io.say(&format!(
            "next: read {}, commit the directory, run `tracebook check` in CI",
            dir.join("README.md").display()
        ));
    }
    Ok(())
}

/// What was lost on the way, one line each; what is zero is not said.
fn coverage(snapshot: &Snapshot) -> Vec<String> {
    let c = &snapshot.coverage;
    let seen = match c.spans {
        0 => "a backend's aggregates".to_owned(),
        spans => format!("{spans} span(s) of {} trace(s)", c.traces),
    };
    let mut lines = vec![format!("{seen} from {}", snapshot.provenance.sources.join(", "))];
    let filters: Vec<&str> = snapshot.provenance.filter.iter().map(String::as_str).filter(|f| !f.is_empty()).collect();
    if !filters.is_empty() {
        let part = if filters.len() < snapshot.provenance.filter.len() { ", of a part" } else { "" };
        lines.push(format!("coverage: only what matches {} was read{part}", filters.join(" or ")));
    }
    let rejected: u64 = c.rejected.values().fold(0, |sum, n| sum.saturating_add(*n));
    let overflow: u64 = c.overflow.values().fold(0, |sum, n| sum.saturating_add(*n));
    for (n, what) in [
        (rejected, "span(s) refused"),
        (c.orphans, "span(s) whose parent is missing"),
        (c.partial_traces, "trace(s) only had in part"),
        (c.left_out_traces, "trace(s) of the window left out of the sample, so counts are of the others only"),
        (c.skewed, "span(s) with clocks that differ"),
        (overflow, "thing(s) beyond a limit, left out"),
    ] {
        if n > 0 {
            lines.push(format!("coverage: {n} {what}"));
        }
    }
    if c.sampled > 0 && c.sampled < c.spans {
        lines.push("coverage: only some spans carry sampling information, so counts are of spans seen".to_owned());
    }
    lines
}
