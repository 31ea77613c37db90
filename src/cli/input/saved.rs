//! Snapshots that are read from files.

use std::fs::File;
use std::path::Path;

use crate::cli::merge;
use crate::diag::{Diagnostic, Location};
use crate::topology::{Snapshot, codec};

/// Reads a snapshot file.
pub(in crate::cli) fn read_snapshot(path: &Path) -> Result<Snapshot, Diagnostic> {
    whole(read_part(path)?).map_err(|e| e.at(Location::file(path.display().to_string())))
}

/// Refuses a snapshot of which shards are missing: part of a system would pass for all of it.
///
/// # Errors
/// `snapshot-part`.
pub(in crate::cli) fn whole(snapshot: Snapshot) -> Result<Snapshot, Diagnostic> {
    match &snapshot.shard {
        Some(parts) => {
            Err(Diagnostic::error("snapshot-part", format!("this snapshot holds only {}", merge::said(parts)))
                .help("merge all shards of the run first: tracebook capture --merge FILE... --output FILE"))
        }
        None => Ok(snapshot),
    }
}

/// Reads a snapshot file that may hold only some shards of a run.
pub(in crate::cli) fn read_part(path: &Path) -> Result<Snapshot, Diagnostic> {
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
