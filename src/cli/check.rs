//! `check`: is the runbook directory what its snapshot and the configuration say? Offline.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::args::{FailOn, Global, ReadArgs, TextOrJson};
use super::io::{Io, Stop, fails, shown};
use super::stages::Made;
use super::{Exit, Surroundings, directory, generate, input, stages};
use crate::config;
use crate::diag::{Diagnostic, Location};
use crate::output::{self, Comparison, State};
use crate::render::Document;

const AFTER: &str = "\
Examples:
  tracebook check
  tracebook check docs/operations/runbooks --format json
  tracebook check --from new.snapshot.json      # would these traces give the same pages?

Checked: the configuration and the ledger are sound; the snapshot can be read; every page, the table of contents and the
files under `toc:` are what it gives; objectives match a service, and each missed one has a page;
links and anchors lead somewhere.
Exit 0: up to date. 1: drift. 2: cannot tell.";

/// Check that the runbooks are up to date and sound, without any backend
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct CheckArgs {
    /// Directory of the runbooks [default: `output` of the configuration, else `runbooks`]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Hold the pages against this source instead of the directory's own snapshot
    #[arg(long, value_name = "SOURCE", help_heading = "Source")]
    from: Vec<String>,
    #[command(flatten)]
    pub(super) read: ReadArgs,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TextOrJson::Text, help_heading = "Report")]
    format: TextOrJson,
    /// Exit 1 for a finding of at least this severity
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error, help_heading = "Report")]
    fail_on: FailOn,
}

pub(super) fn run(args: &CheckArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let findings = match findings(args, global, around, io) {
        // Machines that asked for JSON get it for "cannot tell" too.
        Err(Stop::Failed(problems)) if args.format == TextOrJson::Json => {
            io.data(&json(&problems)?)?;
            return Err(Stop::Failed(problems));
        }
        other => other?,
    };
    match args.format {
        TextOrJson::Json => io.data(&json(&findings)?)?,
        TextOrJson::Text => {
            let color = io.color_data;
            let text: String = findings.iter().map(|f| format!("{}\n", shown(f, color))).collect();
            io.data(&text)?;
            if findings.is_empty() {
                io.say("up to date");
            } else {
                io.say(&format!("{} finding(s)", findings.len()));
            }
        }
    }
    Ok(Exit::findings_if(findings.iter().any(|f| fails(f.severity, args.fail_on))))
}

/// Everything that is not as it should be, worst first, then by place.
fn findings(
    args: &CheckArgs,
    global: &Global,
    around: &Surroundings,
    io: &mut Io<'_>,
) -> Result<Vec<Diagnostic>, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let dir = directory::output_dir(args.dir.as_deref(), &config, around);
    output::preflight(&dir, false)?;
    let ledger = directory::read_ledger(&dir)?;
    let request = input::Request::new(around, global, &config, &args.read);
    let snapshot = if args.from.is_empty() {
        let own = own_snapshot(&dir)?;
        input::refuse_idle_flags(&[own.display().to_string()], &request)?;
        input::read_snapshot(&own)?
    } else {
        let froms =
            input::sources(&super::args::FromArgs { from: args.from.clone(), aggregate: false }, &config, around);
        input::read(&froms, &request, io)?
    };
    let made = stages::make(&snapshot, &config, &ledger)?;
    let mut comparison = output::compare(&dir, &made.documents, false)?;
    comparison.files.extend(directory::toc_files(&config, &dir, &made.runbooks, false)?);

    let mut findings = made.diagnostics.clone();
    findings.extend(drift(&comparison));
    findings.extend(comparison.damage());
    findings.extend(stages::missed(&made, &config));
    findings.extend(stages::unmatched(&made.statuses, &snapshot, &config));
    findings.extend(dead_links(&comparison, &made, &dir));
    findings.sort_by(|a, b| {
        (std::cmp::Reverse(a.severity), &a.location, a).cmp(&(std::cmp::Reverse(b.severity), &b.location, b))
    });
    findings.dedup();
    Ok(findings)
}

/// The snapshot the directory holds.
fn own_snapshot(dir: &Path) -> Result<PathBuf, Diagnostic> {
    let path = dir.join(input::SNAPSHOT);
    if path.is_file() {
        return Ok(path);
    }
    Err(Diagnostic::error("no-snapshot", "there is no snapshot to hold the pages against")
        .at(Location::file(path.display().to_string()))
        .help("run `tracebook generate` first, name the directory, or give --from"))
}

/// Files that are not what would be generated.
fn drift(comparison: &Comparison) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for file in &comparison.files {
        let place = Location::file(&file.path);
        let regenerate = "run `tracebook generate` and commit the result";
        match &file.state {
            State::Missing => {
                findings.push(Diagnostic::error("page-missing", "this file is missing").at(place).help(regenerate));
            }
            State::Changed { diff } => {
                let what = if file.adopted > 0 {
                    "this page has loose text that is not in a keep block yet"
                } else {
                    "this file is out of date"
                };
                let help = format!("{regenerate}; what would change:\n{}", generate::indented(diff));
                findings.push(Diagnostic::error("page-outdated", what).at(place).help(help));
            }
            State::Unexpected => findings.push(
                Diagnostic::warning("page-unexpected", "this page belongs to no runbook")
                    .at(place)
                    .help("remove it after moving over what people wrote in it"),
            ),
            State::Unchanged | State::Damaged(_) => {}
        }
        for edit in &file.edits {
            let help = format!(
                "move the text into a keep block, or run `tracebook generate --overwrite-edits`; the edit:\n{}",
                generate::indented(&edit.diff)
            );
            findings.push(
                Diagnostic::error("page-edited", format!("the generated region `{}` was edited by hand", edit.region))
                    .at(Location::file(&file.path).at_line(edit.line))
                    .help(help),
            );
        }
    }
    findings
}

/// Links and anchors of the pages as they would be on the disk, human text included.
fn dead_links(comparison: &Comparison, made: &Made, dir: &Path) -> Vec<Diagnostic> {
    let documents: Vec<Document> = made
        .documents
        .iter()
        .filter(|d| Path::new(&d.path).extension().is_some_and(|e| e == "md"))
        .map(|d| {
            let merged = comparison.files.iter().find(|f| f.path == d.path).map_or(&d.text, |f| &f.text);
            Document { path: d.path.clone(), text: merged.clone() }
        })
        .collect();
    stages::dead_links(&documents, &|path| dir.join(path).exists())
}

#[derive(Serialize)]
struct Report<'a> {
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    code: &'a str,
    severity: &'a str,
    file: Option<&'a str>,
    line: Option<u64>,
    message: &'a str,
    help: &'a str,
}

fn json(findings: &[Diagnostic]) -> Result<String, Diagnostic> {
    let report = Report {
        findings: findings
            .iter()
            .map(|d| Finding {
                code: d.code,
                severity: d.severity.name(),
                file: d.location.file.as_deref(),
                line: d.location.line,
                message: &d.message,
                help: &d.help,
            })
            .collect(),
    };
    serde_json::to_string_pretty(&report)
        .map(|text| text + "\n")
        .map_err(|e| Diagnostic::error("internal", format!("cannot encode the report: {e}")))
}
