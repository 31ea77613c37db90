//! A directory that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use super::failure::diagnose;
use super::publish::write_new;
use crate::diag::{Diagnostic, Location};

/// A new directory in the making: its files stay hidden beside it until [`NewFolder::publish`]; dropped, they vanish.
#[derive(Debug)]
pub struct NewFolder {
    dir: PathBuf,
    staging: tempfile::TempDir,
}

impl NewFolder {
    /// Starts a directory that must not be there yet, or be empty.
    ///
    /// # Errors
    /// `output-exists` when something is in it; otherwise as the file system says.
    pub fn start(dir: &Path) -> Result<Self, Diagnostic> {
        if fs::symlink_metadata(dir).is_ok() && !fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none()) {
            return Err(Diagnostic::error("output-exists", "this is there already, and nothing is overwritten")
                .at(Location::file(dir.display().to_string()))
                .help("name a new directory, or remove this one first"));
        }
        let parent = dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(|e| diagnose(parent, "create this directory", &e))?;
        let staging = tempfile::Builder::new().prefix(".tracebook-").tempdir_in(parent);
        let staging = staging.map_err(|e| diagnose(parent, "create a directory here", &e))?;
        Ok(Self { dir: dir.to_owned(), staging })
    }

    /// Writes one file of it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Diagnostic> {
        write_new(&self.staging.path().join(name), bytes, false)
    }

    /// Puts the directory in its place.
    ///
    /// # Errors
    /// As the file system says; then nothing of it is there.
    pub fn publish(self) -> Result<(), Diagnostic> {
        let failed = |e: &std::io::Error| diagnose(&self.dir, "put this directory into place", e);
        super::publish::readable(self.staging.path()).map_err(|e| failed(&e))?;
        fs::rename(self.staging.path(), &self.dir).map_err(|e| failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_is_there_whole_or_not_at_all() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("spans");
        let folder = NewFolder::start(&dir).unwrap();
        folder.write("a", b"1").unwrap();
        assert!(!dir.exists());
        drop(folder);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "a dropped folder leaves nothing");
        let folder = NewFolder::start(&dir).unwrap();
        folder.write("a", b"1").unwrap();
        folder.publish().unwrap();
        assert_eq!(fs::read(dir.join("a")).unwrap(), b"1");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        assert_eq!(NewFolder::start(&dir).unwrap_err().code, "output-exists");
    }
}
