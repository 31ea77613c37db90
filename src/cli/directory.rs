//! What `generate` and `check` share about a runbook directory: where it is, its ledger, the files that point into it.

use std::path::{Component, Path, PathBuf};

use super::Surroundings;
use super::args::FromArgs;
use super::io::{Io, Stop};
use super::{input, stages};
use crate::config::{Config, ledger};
use crate::diag::{Diagnostic, Location};
use crate::output::{self, FileComparison};
use crate::runbook::{Ledger, Runbook};
use crate::topology::Snapshot;

/// The runbook directory: flag, else configuration, else `runbooks`.
pub(super) fn output_dir(flag: Option<&Path>, config: &Config, around: &Surroundings) -> PathBuf {
    match (flag, &config.output) {
        (Some(dir), _) => around.dir.join(dir),
        (None, Some(dir)) => config.base.join(dir),
        (None, None) => around.dir.join("runbooks"),
    }
}

/// Reads what is named; when nothing is, the snapshot that the runbook directory holds, if it does. Without a directory
/// the configured one is meant.
pub(super) fn read_or_own(
    args: &FromArgs,
    dir: Option<&Path>,
    request: &input::Request<'_>,
    io: &mut Io<'_>,
) -> Result<Snapshot, Stop> {
    let (config, around) = (request.config, request.around);
    let mut froms = input::sources(args, config, around);
    if froms.is_empty() {
        froms.extend(own_snapshot(&output_dir(dir, config, around), io));
    }
    input::read(&froms, request, io)
}

/// The snapshot a runbook directory holds, said aloud since nobody asked for it.
fn own_snapshot(dir: &Path, io: &mut Io<'_>) -> Option<String> {
    let path = dir.join(input::SNAPSHOT);
    path.is_file().then(|| {
        io.say(&format!("no source given: using {}", path.display()));
        path.display().to_string()
    })
}

/// The ledger of the directory; an empty one when there is none yet.
pub(super) fn read_ledger(dir: &Path) -> Result<Ledger, Diagnostic> {
    let path = dir.join(ledger::FILE);
    match output::read_text(&path)? {
        Some(text) => ledger::parse(&text, &path.display().to_string()),
        None if output::holds_pages(dir)? => Err(Diagnostic::error(
            "ledger-missing",
            "there are runbooks here, but not the ledger that gave them their ids",
        )
        .at(Location::file(path.display().to_string()))
        .help("restore it from version control: without it the ids would be given anew, to other runbooks")),
        None => Ok(Ledger { version: 1, runbooks: Vec::new() }),
    }
}

/// The files of `toc:`, with their regions refreshed.
pub(super) fn toc_files(
    config: &Config,
    dir: &Path,
    runbooks: &[Runbook],
    overwrite: bool,
) -> Result<Vec<FileComparison>, Vec<Diagnostic>> {
    let mut files = Vec::with_capacity(config.toc.len());
    let mut problems = Vec::new();
    for file in &config.toc {
        let path = config.base.join(file);
        let prefix = link_prefix(path.parent().unwrap_or(&config.base), dir);
        let update = |text: &str| stages::update_toc(text, file, runbooks, &prefix);
        match output::compare_file(&path, file, overwrite, update) {
            Ok(comparison) => files.push(comparison),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(files) } else { Err(problems) }
}

/// What a link from a file in `from` to a file in `to` begins with: empty, or ending in `/`.
fn link_prefix(from: &Path, to: &Path) -> String {
    let (from, to) = (normal(from), normal(to));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| "..");
    let down = to.iter().skip(common).map(String::as_str);
    up.chain(down).fold(String::new(), |prefix, part| format!("{prefix}{part}/"))
}

/// The parts of the absolute path, `..` resolved by name.
fn normal(path: &Path) -> Vec<String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut parts = Vec::new();
    for component in absolute.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
            Component::ParentDir => {
                parts.pop();
            }
            _ => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_a_file_into_the_directory() {
        for (from, to, want) in [
            ("docs", "docs/runbooks", "runbooks/"),
            ("docs/operations", "runbooks", "../../runbooks/"),
            ("", "runbooks", "runbooks/"),
            ("docs/a/..", "docs", ""),
            ("/x", "/y/z", "../y/z/"),
        ] {
            assert_eq!(link_prefix(Path::new(from), Path::new(to)), want, "{from} {to}");
        }
    }
}
