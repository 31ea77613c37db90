//! All changed files into place, or none.
//!
//! New texts are staged in `.tracebook-staging/` beside their targets, a journal is written, then each is renamed over its
//! target. Before the first rename any failure leaves everything as it was; a failure between renames is rolled back; a
//! crash between them leaves the journal, and nothing works until `--recover` has completed it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::STAGING;
use super::failure::diagnose;
use super::journal::Journal;
use crate::diag::{Diagnostic, Location};

/// One file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Where.
    pub target: PathBuf,
    /// Whole contents.
    pub bytes: Vec<u8>,
}

/// Looks, before any work is done, whether publishing into the directory could succeed.
///
/// # Errors
/// `publish-interrupted` when an earlier publish was cut short; with `writable`, also `output-not-a-directory`,
/// `output-read-only`, `output-no-space` or `output-failed`.
pub fn preflight(dir: &Path, writable: bool) -> Result<(), Diagnostic> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    match Journal::read(dir) {
        Ok(None) => {}
        Ok(Some(journal)) => {
            return Err(Diagnostic::error(
                "publish-interrupted",
                format!("an earlier run was cut short while putting {} file(s) into place", journal.targets.len()),
            )
            .at(Location::file(Journal::path(dir).display().to_string()))
            .help("run the same command with --recover to complete it; nothing was changed now"));
        }
        // What is in the journal, not how to get at it.
        Err(e) if !matches!(e.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            return Err(diagnose(dir, "look at the output directory", &e));
        }
        Err(e) => {
            return Err(Diagnostic::error(
                "publish-interrupted",
                format!("the journal of an earlier run cannot be read: {e}"),
            )
            .at(Location::file(Journal::path(dir).display().to_string()))
            .help(format!("look at the directory with git, then remove `{STAGING}` and generate anew")));
        }
    }
    if !writable {
        return Ok(());
    }
    let mut place = dir;
    loop {
        match fs::metadata(place) {
            Ok(meta) if meta.is_dir() => break,
            Ok(_) => {
                return Err(Diagnostic::error("output-not-a-directory", "a file stands where a directory is needed")
                    .at(Location::file(place.display().to_string()))
                    .help("choose another directory with --output"));
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                place = match place.parent() {
                    Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                    Some(parent) => parent,
                    None => return Err(diagnose(dir, "look at the output directory", &e)),
                };
            }
            Err(e) => return Err(diagnose(dir, "look at the output directory", &e)),
        }
    }
    // An unnamed file: asks the file system, leaves nothing.
    tempfile::tempfile_in(place).map(drop).map_err(|e| diagnose(place, "write into the output directory", &e))
}

/// Looks, before any work is done, whether [`write_new`] could write this file.
///
/// # Errors
/// `output-not-a-file`, and as [`preflight`] for the directory it lies in.
pub fn preflight_file(path: &Path) -> Result<(), Diagnostic> {
    if path.is_dir() {
        return Err(no_file(path));
    }
    // A device or a pipe is written to as it is.
    if fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        return Ok(());
    }
    path.parent().map_or(Ok(()), |parent| preflight(parent, true))
}

/// Puts every text into place. Files not named are not touched.
///
/// # Errors
/// A coded diagnostic of the file system; everything is then as it was before.
pub fn publish(dir: &Path, writes: &[Write]) -> Result<(), Diagnostic> {
    preflight(dir, !writes.is_empty())?;
    if writes.is_empty() {
        remove_remains(dir);
        return Ok(());
    }
    let mut publication = Publication { dir, created: Vec::new(), staging: BTreeSet::new(), done: Vec::new() };
    let result = publication.run(writes);
    if result.is_err() {
        publication.undo();
    }
    publication.clean();
    result
}

/// What a run that was cut short before its journal left behind was never part of anything.
fn remove_remains(dir: &Path) {
    if matches!(Journal::read(dir), Ok(None)) {
        let _ = fs::remove_dir_all(dir.join(STAGING));
    }
}

/// Completes a publish that was cut short. Returns how many files it put into place, `None` when there was nothing to do.
///
/// # Errors
/// `publish-interrupted` when the journal cannot be read; otherwise as the file system says, and it can be tried again.
pub fn recover(dir: &Path) -> Result<Option<usize>, Diagnostic> {
    let Ok(Some(journal)) = Journal::read(dir) else {
        preflight(dir, false)?;
        remove_remains(dir);
        return Ok(None);
    };
    let mut moved: usize = 0;
    let mut staging: BTreeSet<PathBuf> = BTreeSet::from([dir.join(STAGING)]);
    for (i, target) in journal.targets.iter().enumerate() {
        let (target, staged) = Journal::places(dir, i, target);
        match fs::rename(&staged, &target) {
            Ok(()) => moved = moved.saturating_add(1),
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            Err(e) => return Err(diagnose(&target, "put this file into place", &e)),
        }
        staging.extend(staged.parent().map(Path::to_owned));
    }
    // The journal goes last: until then recovery can be repeated.
    fs::remove_file(Journal::path(dir)).map_err(|e| diagnose(dir, "remove the journal", &e))?;
    for place in staging {
        let _ = fs::remove_dir_all(place);
    }
    Ok(Some(moved))
}

/// Refuses a path where something stands already.
///
/// # Errors
/// `output-exists`.
pub fn refuse_existing(path: &Path) -> Result<(), Diagnostic> {
    if fs::symlink_metadata(path).is_err() {
        return Ok(());
    }
    Err(Diagnostic::error("output-exists", "this file is there already and is not overwritten")
        .at(Location::file(path.display().to_string()))
        .help("move it away, or choose another name"))
}

fn no_file(path: &Path) -> Diagnostic {
    Diagnostic::error("output-not-a-file", "a directory stands where a file is to be written")
        .at(Location::file(path.display().to_string()))
        .help("name a file, or move the directory away")
}

/// Writes one new file, in one piece; refuses when it is there already unless `replace`.
///
/// # Errors
/// `output-exists`, or as the file system says; nothing is left behind.
pub fn write_new(path: &Path, bytes: &[u8], replace: bool) -> Result<(), Diagnostic> {
    let failed = |e: &io::Error| diagnose(path, "write this file", e);
    if !replace {
        refuse_existing(path)?;
    }
    // The file behind a link is the one meant, and a device or a pipe (`/dev/stdout`) must not be replaced by a file.
    let behind = fs::canonicalize(path);
    let path = behind.as_deref().unwrap_or(path);
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            return Err(no_file(path));
        }
        Ok(meta) if !meta.is_file() => {
            let file = fs::OpenOptions::new().write(true).open(path);
            return file.and_then(|mut file| file.write_all(bytes)).map_err(|e| failed(&e));
        }
        _ => {}
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(|e| failed(&e))?;
    let mut file = tempfile::Builder::new().prefix(".tracebook-").tempfile_in(parent).map_err(|e| failed(&e))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(|e| failed(&e))?;
    set_plain_permissions(file.as_file(), path).map_err(|e| failed(&e))?;
    if replace { file.persist(path) } else { file.persist_noclobber(path) }.map(drop).map_err(|e| failed(&e.error))
}

/// Temporary files are private; a published one has the mode of the file it replaces, or what a new file gets.
#[cfg(unix)]
fn set_plain_permissions(file: &fs::File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(target).map_or(0o644, |m| m.permissions().mode());
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_plain_permissions(_file: &fs::File, _target: &Path) -> io::Result<()> {
    Ok(())
}

/// A temporary directory is private; a published one is as readable as any.
#[cfg(unix)]
pub(super) fn readable(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
pub(super) fn readable(_dir: &Path) -> io::Result<()> {
    Ok(())
}

/// A target as the journal names it: relative to the directory where it lies below.
fn within<'a>(dir: &Path, target: &'a Path) -> &'a Path {
    target.strip_prefix(dir).unwrap_or(target)
}

/// One target on its way.
struct Step {
    target: PathBuf,
    staged: PathBuf,
    /// Copy of what was there before.
    backup: Option<PathBuf>,
}

/// State of one publish, so that it can be undone.
struct Publication<'a> {
    dir: &'a Path,
    /// Directories that were not there before, outermost first.
    created: Vec<PathBuf>,
    /// Staging directories.
    staging: BTreeSet<PathBuf>,
    /// Renames done.
    done: Vec<Step>,
}

impl Publication<'_> {
    fn run(&mut self, writes: &[Write]) -> Result<(), Diagnostic> {
        self.create_directory(self.dir)?;
        let journal =
            Journal { version: 1, targets: writes.iter().map(|w| within(self.dir, &w.target).to_owned()).collect() };
        let mut steps = Vec::with_capacity(writes.len());
        for (i, write) in writes.iter().enumerate() {
            steps.push(self.stage(i, write)?);
        }
        self.stage_directory(self.dir)?;
        journal.write(self.dir).map_err(|e| diagnose(self.dir, "write the journal", &e))?;
        for step in steps {
            fs::rename(&step.staged, &step.target)
                .map_err(|e| diagnose(&step.target, "put this file into place", &e))?;
            self.done.push(step);
        }
        for place in self.staging.iter().filter_map(|s| s.parent()) {
            sync_directory(place);
        }
        fs::remove_file(Journal::path(self.dir)).map_err(|e| diagnose(self.dir, "remove the journal", &e))
    }

    fn stage(&mut self, index: usize, write: &Write) -> Result<Step, Diagnostic> {
        let (target, staged) = Journal::places(self.dir, index, within(self.dir, &write.target));
        let parent = target.parent().unwrap_or(self.dir).to_owned();
        self.create_directory(&parent)?;
        self.stage_directory(&parent)?;
        let failed = |e: &io::Error| diagnose(&target, "write this file", e);
        let mut file = fs::File::create_new(&staged).map_err(|e| failed(&e))?;
        file.write_all(&write.bytes).and_then(|()| file.sync_all()).map_err(|e| failed(&e))?;
        let backup = staged.with_extension("old");
        match fs::metadata(&target) {
            Ok(meta) if meta.is_file() => {
                fs::copy(&target, &backup).map_err(|e| failed(&e))?;
                file.set_permissions(meta.permissions()).map_err(|e| failed(&e))?;
                Ok(Step { target, staged, backup: Some(backup) })
            }
            Ok(_) => Err(Diagnostic::error("output-not-a-file", "a directory stands where a file is to be written")
                .at(Location::file(target.display().to_string()))
                .help("move it away, or choose another directory with --output")),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(Step { target, staged, backup: None }),
            Err(e) => Err(failed(&e)),
        }
    }

    /// Creates a directory and remembers which levels were new.
    fn create_directory(&mut self, dir: &Path) -> Result<(), Diagnostic> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|p| !p.as_os_str().is_empty() && fs::symlink_metadata(p).is_err()).collect();
        for level in missing.into_iter().rev() {
            fs::create_dir(level).map_err(|e| diagnose(level, "create this directory", &e))?;
            self.created.push(level.to_owned());
        }
        Ok(())
    }

    /// An empty staging directory; what an earlier run left without a journal was never part of anything.
    fn stage_directory(&mut self, parent: &Path) -> Result<(), Diagnostic> {
        let staging = parent.join(STAGING);
        if !self.staging.contains(&staging) {
            let failed = |e: &io::Error| diagnose(&staging, "create the staging directory", e);
            match fs::remove_dir_all(&staging) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(&e)),
                _ => fs::create_dir(&staging).map_err(|e| failed(&e))?,
            }
            self.staging.insert(staging);
        }
        Ok(())
    }

    /// Puts back what was there.
    fn undo(&mut self) {
        for step in self.done.drain(..).rev() {
            let _ = match &step.backup {
                Some(backup) => fs::rename(backup, &step.target),
                None => fs::remove_file(&step.target),
            };
        }
        let _ = fs::remove_file(Journal::path(self.dir));
        for staging in std::mem::take(&mut self.staging) {
            let _ = fs::remove_dir_all(staging);
        }
        for dir in self.created.drain(..).rev() {
            let _ = fs::remove_dir(dir);
        }
    }

    fn clean(&mut self) {
        for staging in std::mem::take(&mut self.staging) {
            let _ = fs::remove_dir_all(staging);
        }
    }
}

/// Makes renames durable where the system can; where it cannot the files are in place all the same.
fn sync_directory(dir: &Path) {
    if let Ok(handle) = fs::File::open(dir) {
        let _ = handle.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tree(dir: &Path) -> BTreeMap<String, Option<String>> {
        let mut all = BTreeMap::new();
        let mut todo = vec![dir.to_owned()];
        while let Some(next) = todo.pop() {
            for entry in fs::read_dir(&next).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                all.insert(name, path.is_file().then(|| fs::read_to_string(&path).unwrap()));
                if path.is_dir() {
                    todo.push(path);
                }
            }
        }
        all
    }

    fn write(target: PathBuf, text: &str) -> Write {
        Write { target, bytes: text.into() }
    }

    #[test]
    fn files_are_written_into_new_directories_and_outside_ones_and_nothing_else_remains() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("docs/runbooks");
        let toc = root.path().join("docs.md");
        fs::write(&toc, "old").unwrap();
        publish(&dir, &[write(dir.join("a.md"), "A"), write(dir.join("sub/b.md"), "B"), write(toc, "new")]).unwrap();
        let have = tree(root.path());
        let files: Vec<(&str, &str)> = have.iter().filter_map(|(k, v)| Some((k.as_str(), v.as_deref()?))).collect();
        assert_eq!(files, [("docs.md", "new"), ("docs/runbooks/a.md", "A"), ("docs/runbooks/sub/b.md", "B")]);
        assert!(!have.keys().any(|k| k.contains(STAGING)));
    }

    #[test]
    fn files_that_are_not_written_keep_their_time_and_replaced_ones_their_mode() {
        let root = tempfile::tempdir().unwrap();
        let (a, b) = (root.path().join("a"), root.path().join("b"));
        fs::write(&a, "a").unwrap();
        fs::write(&b, "b").unwrap();
        let before = fs::metadata(&a).unwrap().modified().unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&b, fs::Permissions::from_mode(0o640)).unwrap();
        }
        publish(root.path(), &[write(b.clone(), "bb")]).unwrap();
        assert_eq!(fs::metadata(&a).unwrap().modified().unwrap(), before);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&b).unwrap().permissions().mode() & 0o777, 0o640);
        }
    }

    #[test]
    fn a_failure_while_staging_changes_nothing() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "old").unwrap();
        fs::create_dir(root.path().join("b")).unwrap();
        let before = tree(root.path());
        let writes = [
            write(root.path().join("a"), "new"),
            write(root.path().join("x/y"), "new"),
            write(root.path().join("b"), "new"),
        ];
        assert_eq!(publish(root.path(), &writes).unwrap_err().code, "output-not-a-file");
        assert_eq!(tree(root.path()), before);
    }

    #[test]
    fn a_failure_between_renames_is_rolled_back() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "old").unwrap();
        let before = tree(root.path());
        let mut publication =
            Publication { dir: root.path(), created: Vec::new(), staging: BTreeSet::new(), done: Vec::new() };
        // Two renames are done when a third, not shown, fails.
        let first = publication.stage(0, &write(root.path().join("a"), "new")).unwrap();
        let second = publication.stage(1, &write(root.path().join("n"), "new")).unwrap();
        for step in [first, second] {
            fs::rename(&step.staged, &step.target).unwrap();
            publication.done.push(step);
        }
        publication.undo();
        assert_eq!(tree(root.path()), before);
    }

    #[test]
    fn an_interrupted_publish_is_refused_and_recover_completes_it() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let toc = outside.path().join("toc.md");
        for (path, text) in [(root.path().join("a"), "old a"), (root.path().join("b"), "old b"), (toc.clone(), "old t")]
        {
            fs::write(path, text).unwrap();
        }
        let mut publication =
            Publication { dir: root.path(), created: Vec::new(), staging: BTreeSet::new(), done: Vec::new() };
        let targets = [root.path().join("a"), root.path().join("b"), toc.clone()];
        let steps: Vec<Step> =
            targets.iter().enumerate().map(|(i, t)| publication.stage(i, &write(t.clone(), "new")).unwrap()).collect();
        let journal = Journal { version: 1, targets: vec!["a".into(), "b".into(), toc.clone()] };
        journal.write(root.path()).unwrap();
        // The crash: after the first rename.
        fs::rename(&steps[0].staged, &steps[0].target).unwrap();
        let before = tree(root.path());
        let refused = publish(root.path(), &[write(root.path().join("c"), "c")]).unwrap_err();
        assert_eq!((refused.code, tree(root.path())), ("publish-interrupted", before));
        assert_eq!(preflight(root.path(), false).unwrap_err().code, "publish-interrupted");
        assert_eq!(recover(root.path()).unwrap(), Some(2));
        assert_eq!(recover(root.path()).unwrap(), None);
        let have = tree(root.path());
        assert_eq!(have.len(), 2);
        assert!(have.values().all(|t| t.as_deref() == Some("new")));
        assert_eq!(tree(outside.path()), BTreeMap::from([("toc.md".to_owned(), Some("new".to_owned()))]));
    }

    #[test]
    fn staging_left_without_a_journal_is_swept_away() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(STAGING)).unwrap();
        fs::write(root.path().join(STAGING).join("0"), "half").unwrap();
        publish(root.path(), &[write(root.path().join("a"), "A")]).unwrap();
        assert_eq!(tree(root.path()), BTreeMap::from([("a".to_owned(), Some("A".to_owned()))]));
    }

    #[test]
    fn a_damaged_journal_is_not_guessed_at() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join(STAGING)).unwrap();
        fs::write(Journal::path(root.path()), "{").unwrap();
        assert_eq!(recover(root.path()).unwrap_err().code, "publish-interrupted");
    }

    #[test]
    fn preflight_sees_files_in_the_way_and_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(preflight(&file, true).unwrap_err().code, "output-not-a-directory");
        assert_eq!(preflight(&file.join("below"), true).unwrap_err().code, "output-not-a-directory");
        preflight(&root.path().join("new/deep"), true).unwrap();
        assert_eq!(tree(root.path()).len(), 1);
    }

    #[test]
    fn one_new_file_is_not_overwritten_unless_asked() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x/tracebook.yaml");
        write_new(&path, b"one", false).unwrap();
        assert_eq!(write_new(&path, b"two", false).unwrap_err().code, "output-exists");
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        write_new(&path, b"two", true).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(tree(root.path()).len(), 2);
    }
}
