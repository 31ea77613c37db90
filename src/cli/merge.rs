//! `capture --merge`: snapshot files, one after the other, into their sum.

use std::path::{Path, PathBuf};

use super::io::Io;
use super::{Surroundings, input};
use crate::config::Config;
use crate::diag::{Diagnostic, Location};
use crate::topology::{Merger, Parts, Snapshot};

/// Reads and merges what is named: files, and the snapshots in directories. Says what is doubtful in the sum.
pub(super) fn read(
    named: &[PathBuf],
    config: &Config,
    around: &Surroundings,
    io: &mut Io<'_>,
) -> Result<Snapshot, Diagnostic> {
    let mut merger = Merger::default();
    for path in files(named, around)? {
        let snapshot = input::read_part(&path)?;
        merger.add(snapshot).map_err(|e| e.at(Location::file(path.display().to_string())))?;
    }
    let doubts = merger.doubts();
    let sum = merger.finish(&config.topology)?;
    io.diagnostics(&doubts);
    Ok(sum)
}

fn files(named: &[PathBuf], around: &Surroundings) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut all = Vec::new();
    for path in named.iter().map(|path| around.dir.join(path)) {
        if path.is_dir() {
            all.extend(in_directory(&path)?);
        } else {
            all.push(path);
        }
    }
    Ok(all)
}

/// The snapshots right in a directory, sorted by name.
fn in_directory(dir: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let place = || Location::file(dir.display().to_string());
    let unreadable = |e: std::io::Error| {
        Diagnostic::error("snapshot-unreadable", format!("cannot read the directory: {e}"))
            .at(place())
            .help("check the path and its permissions")
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".snapshot.json") || name.ends_with(".snapshot.json.zst") {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(Diagnostic::error("merge-nothing", "there is no snapshot in this directory")
            .at(place())
            .help("snapshots are called *.snapshot.json or *.snapshot.json.zst; name others one by one"));
    }
    found.sort_unstable();
    Ok(found)
}

/// Numbers named before the rest is only counted.
const MOST_NAMED: usize = 12;

/// Which shards are there, in words.
pub(super) fn said(parts: &Parts) -> String {
    let list = |numbers: &[u32]| {
        let named: Vec<String> = numbers.iter().take(MOST_NAMED).map(u32::to_string).collect();
        match numbers.len().saturating_sub(MOST_NAMED) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    };
    format!("shard {} of {}; missing: {}", list(&parts.shards), parts.of, list(&parts.missing()))
}
