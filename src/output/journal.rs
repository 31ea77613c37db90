//! The journal of a publish: what is about to be renamed into place, so that a crash in between can be completed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::STAGING;

/// File name of the journal inside the staging directory.
const JOURNAL: &str = "journal.json";

/// Targets in order. The staged file of target `i` is `<its directory>/.tracebook-staging/<i>`: nothing else is ever moved,
/// so a forged journal cannot move files that are not already staged beside their target.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Journal {
    pub(super) version: u32,
    /// Relative to the output directory where inside it, else absolute.
    pub(super) targets: Vec<PathBuf>,
}

impl Journal {
    pub(super) fn path(dir: &Path) -> PathBuf {
        dir.join(STAGING).join(JOURNAL)
    }

    /// Writes it so that it is there as a whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        let path = Self::path(dir);
        let partial = path.with_extension("partial");
        let mut file = fs::File::create_new(&partial)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        fs::rename(&partial, &path)
    }

    /// The journal a publish left behind, if any.
    pub(super) fn read(dir: &Path) -> io::Result<Option<Self>> {
        match fs::read(Self::path(dir)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Where target `i` goes and where its new text is staged.
    pub(super) fn places(dir: &Path, index: usize, target: &Path) -> (PathBuf, PathBuf) {
        let target = if target.is_absolute() { target.to_owned() } else { dir.join(target) };
        let staged = target.parent().unwrap_or(dir).join(STAGING).join(index.to_string());
        (target, staged)
    }
}
