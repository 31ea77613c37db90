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
/// Held by whoever writes here. Hidden, so that readers of the directory pass over it.
const LOCK: &str = ".lock";

/// A directory of files `000001.binpb`, `000002.binpb`, …: length-delimited messages (four bytes, most significant first).
#[derive(Debug)]
pub struct Segments {
    dir: PathBuf,
    /// Ended files, oldest first.
    ended: Vec<PathBuf>,
    open: Option<Open>,
    next: u64,
    /// Keeps the lock until the end.
    _lock: File,
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
    /// `log-in-use` while another process writes here; otherwise as the file system says.
    pub fn open(dir: &Path) -> Result<(Self, Vec<Diagnostic>), Diagnostic> {
        let failed = |e: &io::Error| diagnose(dir, "keep a log here", e);
        fs::create_dir_all(dir).map_err(|e| failed(&e))?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(dir.join(LOCK));
        let lock = lock.map_err(|e| failed(&e))?;
        lock.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => Diagnostic::error("log-in-use", "another receiver writes its log here")
                .at(Location::file(dir.display().to_string()))
                .help("end the other one first, or name another directory with --wal or another --output"),
            fs::TryLockError::Error(e) => failed(&e),
        })?;
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).map_err(|e| failed(&e))? {
            let path = entry.map_err(|e| failed(&e))?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
            if let Some(number) = number.filter(|_| path.extension().is_some_and(|e| e == ENDING)) {
                found.push((number, path));
            }
        }
        found.sort();
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
        Ok((Self { dir: dir.to_owned(), ended, open: None, next, _lock: lock }, notes))
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
    /// As the file system says.
    pub fn rotate(&mut self) -> Result<Vec<PathBuf>, Diagnostic> {
        self.end();
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
        for path in &self.ended {
            fs::remove_file(path).map_err(|e| diagnose(path, "remove this file", &e))?;
        }
        let lock = self.dir.join(LOCK);
        fs::remove_file(&lock).map_err(|e| diagnose(&lock, "remove this file", &e))?;
        if ours {
            // What is not empty holds something of somebody else's.
            let _ = fs::remove_dir(&self.dir);
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Open, Diagnostic> {
        let path = self.dir.join(format!("{:06}.{ENDING}", self.next));
        let failed = |e: io::Error| diagnose(&path, "begin a file of the log", &e);
        let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
        self.next = self.next.saturating_add(1);
        // The name must survive a crash as well as the content.
        #[cfg(unix)]
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
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
        self.still_there()?;
        self.good = self.good.saturating_add(messages.len() as u64);
        Ok(())
    }

    /// Cuts off what was not acknowledged.
    fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.good)?;
        self.still_there()
    }

    /// To a file that was deleted every write succeeds, and all of it is gone when the file is closed.
    fn still_there(&self) -> io::Result<()> {
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&self.file.metadata()?) == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "somebody deleted it while it was written"));
        }
        Ok(())
    }
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
        assert!(log.rotate().unwrap_err().location.to_string().contains("000001.binpb"));
        fs::remove_dir_all(&dir).unwrap();
        assert!(log.append(&message("d")).is_err() && log.append(&message("e")).is_err() && !dir.exists());
    }

    #[test]
    fn a_torn_tail_is_cut_off_wherever_it_was_torn() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("000007.binpb");
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
