//! A log in files that are only ever added to: each message after its length, on the disk before anybody is told so.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::failure::diagnose;
use crate::diag::{Diagnostic, Location};

/// A file is ended when it has grown so large.
const MOST_BYTES: u64 = 256 << 20;
/// What the names of the files end with; the reader of trace files knows it.
const ENDING: &str = "binpb";
/// Held by whoever writes here, and what tells a log from files of somebody else's. Hidden, so that readers of the directory pass
/// over it.
const LOCK: &str = ".tracebook-log";
/// Says that what the files hold is safe elsewhere, and only has to be removed.
const DONE: &str = ".tracebook-done";

/// A directory of files `000001.binpb`, `000002.binpb`, …: length-delimited messages (four bytes, most significant first).
#[derive(Debug)]
pub struct Segments {
    dir: PathBuf,
    /// Ended files, oldest first.
    ended: Vec<PathBuf>,
    open: Option<Open>,
    next: u64,
    /// Keeps the lock until the end.
    lock: File,
}

/// The file that is being written.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    /// Bytes of it that were acknowledged.
    good: u64,
}

impl Segments {
    /// Opens a directory for writing, creating it if need be. Files of an earlier run are kept; what a crash left of a last
    /// message is cut off, and said.
    ///
    /// # Errors
    /// `log-in-use` while another process writes here; `log-not-ours` where there are such files and no log; otherwise as the file
    /// system says.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let failed = |e: &io::Error| diagnose(dir, "keep a log here", e);
        fs::create_dir_all(dir).map_err(|e| failed(&e))?;
        if !dir.join(LOCK).exists()
            && let Some((_, file)) = numbered(dir).map_err(|e| failed(&e))?.first()
        {
            return Err(Diagnostic::error("log-not-ours", "the directory of the log holds files that are no log's")
                .at(Location::file(file.display().to_string()))
                .help("name an empty directory with --wal, or another --output"));
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(LOCK));
        let lock = lock.map_err(|e| failed(&e))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => Diagnostic::error("log-in-use", "another receiver writes its log here")
                .at(Location::file(dir.display().to_string()))
                .help("end the other one first, or name another directory with --wal or another --output"),
            fs::TryLockError::Error(e) => failed(&e),
        })?;
        if still_there(&lock).is_err() {
            // Whoever held it has just removed the log.
            return Self::open(dir);
        }
        if dir.join(DONE).exists() {
            // The end of an earlier run that came to its end.
            clear(dir)?;
        }
        let found = numbered(dir).map_err(|e| failed(&e))?;
        let next = found.last().map_or(1, |(number, _)| number.saturating_add(1));
        let (mut ended, mut notes) = (Vec::new(), Vec::new());
        for (_, path) in found {
            let (whole, torn) = repair(&path).map_err(|e| diagnose(&path, "repair this file", &e))?;
            if torn > 0 {
                let text = format!("the last message is incomplete: {torn} byte(s) cut off, {whole} message(s) kept");
                notes.push(
                    Diagnostic::warning("log-torn", text)
                        .at(Location::file(path.display().to_string()))
                        .help("nothing to do: a message that was not whole was never acknowledged"),
                );
            }
            if whole > 0 {
                ended.push(path);
            } else {
                fs::remove_file(&path).map_err(|e| diagnose(&path, "remove this file", &e))?;
            }
        }
        Ok((Self { dir: dir.to_owned(), ended, open: None, next, lock }, notes))
    }

    /// Files that an earlier run left.
    #[must_use]
    pub fn earlier(&self) -> usize {
        self.ended.len()
    }

    /// Leaves a directory in which nothing was written as if it had not been opened; the directory itself goes only where `ours`.
    pub fn leave(dir: &Path, ours: bool) {
        // Where that fails, nothing of anybody's is lost.
        let _ = fs::remove_file(dir.join(LOCK));
        if ours {
            let _ = fs::remove_dir(dir);
        }
    }

    /// Appends whole messages, each after its length; on return they are on the disk.
    ///
    /// # Errors
    /// As the file system says; nothing of the messages is then left in the log.
    pub fn append(&mut self, messages: &[u8]) -> Result<(), Diagnostic> {
        if self.open.as_ref().is_some_and(|open| open.good >= MOST_BYTES) {
            self.end();
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let path = open.path.clone();
        let result = open.append(messages);
        if result.is_ok() || open.cut().is_ok() {
            self.open = Some(open);
        } else {
            // Not even that: the file is left as it is, and repaired before it is read. One that is gone is missed then.
            self.ended.push(open.path);
        }
        result.map_err(|e| diagnose(&path, "write down what was received", &e))
    }

    /// Ends the file that is being written. All files there are, oldest first; none of them changes any more.
    ///
    /// # Errors
    /// `log-file-gone` where somebody took one away; it is not missed again. Otherwise as the file system says.
    pub fn rotate(&mut self) -> Result<Vec<PathBuf>, Diagnostic> {
        self.end();
        let (there, gone): (Vec<PathBuf>, _) =
            std::mem::take(&mut self.ended).into_iter().partition(|path| path.exists());
        self.ended = there;
        if let Some(path) = gone.first() {
            return Err(Diagnostic::error(
                "log-file-gone",
                format!(
                    "somebody took away {} file(s) of the log, and with them what was acknowledged into them",
                    gone.len()
                ),
            )
            .at(Location::file(path.display().to_string()))
            .help("leave the files of the log alone: they are removed when the snapshot is written"));
        }
        for path in &self.ended {
            repair(path).map_err(|e| diagnose(path, "check this file", &e))?;
        }
        Ok(self.ended.clone())
    }

    /// Removes the files, whose content is safe elsewhere by now; where the directory is `ours`, that too, if nothing else is in
    /// it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn remove(mut self, ours: bool) -> Result<(), Diagnostic> {
        self.end();
        // From here on a crash must not make the rest pass for a log that was not read yet.
        let done = self.dir.join(DONE);
        File::create(&done).and_then(|file| file.sync_all()).map_err(|e| diagnose(&done, "write this file", &e))?;
        sync(&self.dir).map_err(|e| diagnose(&self.dir, "sync this directory", &e))?;
        clear(&self.dir)?;
        remove(&self.dir.join(LOCK))?;
        if ours {
            // What is not empty holds something of somebody else's.
            let _ = fs::remove_dir(&self.dir);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Open, Diagnostic> {
        let path = self.dir.join(name(self.next));
        let failed = |e: io::Error| diagnose(&path, "begin a file of the log", &e);
        still_there(&self.lock).map_err(|e| diagnose(&self.dir, "begin a file of the log", &e))?;
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
        self.next = self.next.saturating_add(1);
        // The name must survive a crash as well as the content.
        sync(&self.dir).map_err(failed)?;
        Ok(Open { file, path, good: 0 })
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            if open.good > 0 {
                self.ended.push(open.path);
            } else {
                // Empty, after a failed write; the next start would remove it too.
                let _ = fs::remove_file(open.path);
            }
        }
    }
}

impl Open {
    fn append(&mut self, messages: &[u8]) -> io::Result<()> {
        self.file.write_all(messages)?;
        self.file.sync_data()?;
        still_there(&self.file)?;
        self.good = self.good.saturating_add(messages.len() as u64);
        Ok(())
    }

    /// Cuts off what was not acknowledged.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.good)?;
        still_there(&self.file)
    }
}

/// `000001.binpb`
fn name(number: u64) -> String {
    format!("{number:06}.{ENDING}")
}

/// The files of a log by their numbers, in order.
fn numbered(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        found.extend(
            number
                .filter(|number| path.file_name().is_some_and(|is| is == name(*number).as_str()))
                .map(|number| (number, path)),
        );
    }
    found.sort();
    Ok(found)
}

/// Removes all files of a log whose content is safe elsewhere, and at last what says so.
fn clear(dir: &Path) -> Result<(), Diagnostic> {
    for (_, path) in numbered(dir).map_err(|e| diagnose(dir, "list this directory", &e))? {
        remove(&path)?;
    }
    remove(&dir.join(DONE))
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> Result<(), Diagnostic> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(diagnose(path, "remove this file", &e)),
        _ => Ok(()),
    }
}

/// Lets the names in a directory survive a crash.
fn sync(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

/// To a file that was deleted every write succeeds, and all of it is gone when the file is closed.
fn still_there(file: &File) -> io::Result<()> {
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "somebody deleted it while it was written"));
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

/// Cuts off what follows the last whole message. Gives the number of whole messages and of bytes cut off.
fn repair(path: &Path) -> io::Result<(u64, u64)> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let size = file.metadata()?.len();
    let mut reader = BufReader::new(&file);
    let (mut at, mut whole) = (0u64, 0u64);
    while size.saturating_sub(at) >= 4 {
        let mut length = [0; 4];
        reader.read_exact(&mut length)?;
        let length = u64::from(u32::from_be_bytes(length));
        let end = at.saturating_add(4).saturating_add(length);
        // No message is empty: zeros are what some file systems show of a write that never came to be.
        if length == 0 || end > size {
            break;
        }
        reader.seek_relative(i64::try_from(length).unwrap_or(i64::MAX))?;
        (at, whole) = (end, whole.saturating_add(1));
    }
    let torn = size.saturating_sub(at);
    if torn > 0 {
        file.set_len(at)?;
        file.sync_all()?;
    }
    Ok((whole, torn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
    }

    #[test]
    fn what_was_appended_is_there_after_the_next_start_and_gone_when_removed() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("log");
        let (mut log, notes) = Segments::open(&dir).unwrap();
        assert!(notes.is_empty());
        assert_eq!(log.rotate().unwrap(), Vec::<PathBuf>::new(), "no empty files");
        log.append(&message("a")).unwrap();
        assert_eq!(log.rotate().unwrap(), [dir.join("000001.binpb")]);
        log.append(&message("b")).unwrap();
        assert_eq!(Segments::open(&dir).unwrap_err().code, "log-in-use");
        drop(log);
        let (mut log, _) = Segments::open(&dir).unwrap();
        log.append(&message("c")).unwrap();
        let files = log.rotate().unwrap();
        let all: Vec<u8> = files.iter().flat_map(|path| fs::read(path).unwrap()).collect();
        assert_eq!((files.len(), all), (3, [message("a"), message("b"), message("c")].concat()));
        log.remove(false).unwrap();
        assert!(
            fs::read_dir(&dir).unwrap().next().is_none(),
            "a directory of somebody else's stays, as empty as it was"
        );
        let (mut log, _) = Segments::open(&dir).unwrap();
        log.append(&message("d")).unwrap();
        log.remove(true).unwrap();
        assert!(!dir.exists());
    }

    #[cfg(unix)]
    #[test]
    fn nothing_is_kept_in_a_file_that_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("log");
        let (mut log, _) = Segments::open(&dir).unwrap();
        log.append(&message("a")).unwrap();
        fs::remove_file(dir.join("000001.binpb")).unwrap();
        let gone = log.append(&message("b")).unwrap_err();
        assert!(gone.message.contains("somebody deleted it"), "{gone}");
        // The next file holds again; that one is missing is not forgotten.
        log.append(&message("c")).unwrap();
        assert_eq!(fs::read(dir.join("000002.binpb")).unwrap(), message("c"));
        let gone = log.rotate().unwrap_err();
        assert!(gone.code == "log-file-gone" && gone.location.to_string().contains("000001.binpb"), "{gone}");
        assert_eq!(log.rotate().unwrap(), [dir.join("000002.binpb")]);
        fs::remove_dir_all(&dir).unwrap();
        assert!(log.append(&message("d")).is_err() && log.append(&message("e")).is_err() && !dir.exists());
    }

    #[test]
    fn a_log_that_was_being_removed_is_no_log_that_was_not_read() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("log");
        let (mut log, _) = Segments::open(&dir).unwrap();
        log.append(&message("a")).unwrap();
        log.rotate().unwrap();
        log.append(&message("b")).unwrap();
        drop(log);
        // As a crash leaves it after the first file.
        fs::write(dir.join(DONE), "").unwrap();
        fs::remove_file(dir.join("000001.binpb")).unwrap();
        let (log, _) = Segments::open(&dir).unwrap();
        assert_eq!((log.earlier(), numbered(&dir).unwrap().len(), dir.join(DONE).exists()), (0, 0, false));
    }

    #[test]
    fn files_of_somebody_else_are_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join("20261127.binpb");
        fs::write(&theirs, "a protobuf").unwrap();
        assert_eq!(Segments::open(root.path()).unwrap_err().code, "log-not-ours");
        assert_eq!(
            (fs::read(&theirs).unwrap(), fs::read_dir(root.path()).unwrap().count()),
            (b"a protobuf".to_vec(), 1)
        );
        // Of another form their names may be what they will.
        fs::rename(&theirs, root.path().join("26.binpb")).unwrap();
        let (mut log, _) = Segments::open(root.path()).unwrap();
        log.append(&message("a")).unwrap();
        log.remove(true).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("000007.binpb");
        fs::write(root.path().join(LOCK), "").unwrap();
        let whole = [message("first"), message("second")].concat();
        let more = message("third");
        for cut in 1..more.len() {
            fs::write(&path, [&whole[..], &more[..cut]].concat()).unwrap();
            let (mut log, notes) = Segments::open(root.path()).unwrap();
            assert_eq!((notes.len(), notes[0].code), (1, "log-torn"), "cut at {cut}");
            assert_eq!(fs::read(&path).unwrap(), whole, "cut at {cut}");
            assert_eq!(log.rotate().unwrap().as_slice(), std::slice::from_ref(&path));
        }
        fs::write(&path, [&whole[..], &[0; 4096]].concat()).unwrap();
        drop(Segments::open(root.path()).unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole, "zeros are no messages");
        fs::write(&path, &more[..3]).unwrap();
        let (mut log, _) = Segments::open(root.path()).unwrap();
        assert!(log.rotate().unwrap().is_empty() && !path.exists(), "nothing whole: no file");
        log.append(&more).unwrap();
        assert!(root.path().join("000008.binpb").exists(), "a number is not used twice");
    }
}
