//! Answers of a backend, kept in one file while a long pull is under way, so that the next run need not ask again.
//!
//! After a line that names the form and a digest of what is being pulled, each record is: digest of the question (16 bytes),
//! digest of the answer (16 bytes), length of the answer (8 bytes, most significant first), the answer. Records
//! are only ever added, and of two to one question the later counts. A record that a crash left unfinished is cut off.
//!
//! Only what an earlier run was told is given, and once: who asks the same again does so to learn whether it is still true.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::failure::diagnose;
use crate::diag::{Diagnostic, Location};

/// First line of the file.
const FORM: &[u8] = b"tracebook answers 1\n";
/// Bytes of a digest.
const DIGEST: usize = 16;
/// Bytes before each answer.
const HEAD: usize = 2 * DIGEST + 8;
/// Largest answer that is kept; a larger one is asked for again.
const MOST_BYTES: u64 = 256 << 20;

type Digest = [u8; DIGEST];

/// A file of answers, held by one process at a time.
#[derive(Debug)]
pub struct Answers {
    path: PathBuf,
    known: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    /// Where each answer of earlier runs begins, and its digest and length.
    index: HashMap<Digest, (u64, Digest, u64)>,
    /// End of the last whole record.
    end: u64,
    /// Why nothing more is kept.
    trouble: Option<Diagnostic>,
}

impl Answers {
    /// Opens the file or begins it. `what` says what is being pulled, in any words; it is not written down.
    ///
    /// # Errors
    /// `resume-in-use` while another process holds it, `resume-other` when it is of another pull or no such file; otherwise as
    /// the file system says.
    pub fn open(path: &Path, what: &str) -> Result<Self, Diagnostic> {
        let failed = |e: &io::Error| diagnose(path, "keep what is read in this file", e);
        let at = || Location::file(path.display().to_string());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        // Answers hold attributes of spans as they came.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(|e| failed(&e))?;
        file.try_lock().map_err(|e| match e {
            fs::TryLockError::WouldBlock => Diagnostic::error("resume-in-use", "another run keeps its answers here")
                .at(at())
                .help("end the other one first, or name another file with --resume"),
            fs::TryLockError::Error(e) => failed(&e),
        })?;
        let begin = [FORM, &digest(what.as_bytes())].concat();
        let length = file.metadata().map_err(|e| failed(&e))?.len();
        let mut found = vec![0; begin.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        file.read_exact(&mut found).map_err(|e| failed(&e))?;
        if !begin.starts_with(&found) {
            let other =
                if found.starts_with(FORM) { "this file is of another pull" } else { "this is no file of answers" };
            return Err(Diagnostic::error("resume-other", other).at(at()).help(
                "give the --from, --start, --end, --tenant, --header and user that it was begun with; or name a new file, or remove it",
            ));
        }
        let mut inner = Inner { file, index: HashMap::new(), end: begin.len() as u64, trouble: None };
        if found.len() < begin.len() {
            inner.rewrite(0, &begin).map_err(|e| failed(&e))?;
        }
        inner.scan(length).map_err(|e| failed(&e))?;
        Ok(Self { path: path.to_owned(), known: inner.index.len(), inner: Mutex::new(inner) })
    }

    /// Answers that were there when the file was opened.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known
    }

    /// What an earlier run was answered, the first time this is asked and if it is undamaged.
    #[must_use]
    pub fn get(&self, question: &[u8]) -> Option<Vec<u8>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, sum, length) = inner.index.remove(&digest(question))?;
        let mut answer = vec![0; usize::try_from(length).ok()?];
        inner.file.seek(SeekFrom::Start(at)).ok()?;
        inner.file.read_exact(&mut answer).ok()?;
        drop(inner);
        (digest(&answer) == sum).then_some(answer)
    }

    /// Keeps an answer. A failure ends the keeping, not the pull: see [`Answers::trouble`].
    pub fn put(&self, question: &[u8], answer: &[u8]) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.trouble.is_some() || answer.len() as u64 > MOST_BYTES {
            return;
        }
        let (question, sum, length) = (digest(question), digest(answer), answer.len() as u64);
        let record = [&question[..], &sum, &length.to_be_bytes(), answer].concat();
        let end = inner.end;
        match inner.rewrite(end, &record) {
            Ok(()) => inner.end = end.saturating_add(record.len() as u64),
            Err(e) => inner.trouble = Some(diagnose(&self.path, "keep what is read in this file", &e)),
        }
    }

    /// Why answers were no longer kept, if so.
    #[must_use]
    pub fn trouble(&self) -> Option<Diagnostic> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Removes the file: what was pulled is safe elsewhere by now.
    ///
    /// # Errors
    /// As the file system says.
    pub fn remove(&self) -> Result<(), Diagnostic> {
        fs::remove_file(&self.path).map_err(|e| diagnose(&self.path, "remove this file", &e))
    }
}

impl Inner {
    fn rewrite(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }

    /// Learns which records there are, without reading the answers, and cuts off one that is not whole.
    fn scan(&mut self, length: u64) -> io::Result<()> {
        let mut head = [0; HEAD];
        while self.end.saturating_add(HEAD as u64) <= length {
            self.file.seek(SeekFrom::Start(self.end))?;
            self.file.read_exact(&mut head)?;
            let (question, rest) = head.split_first_chunk::<DIGEST>().unwrap_or((&[0; DIGEST], &[]));
            let (sum, size) = rest.split_first_chunk::<DIGEST>().unwrap_or((&[0; DIGEST], &[]));
            let size = size.first_chunk().map_or(u64::MAX, |size| u64::from_be_bytes(*size));
            let begin = self.end.saturating_add(HEAD as u64);
            let end = begin.saturating_add(size);
            if size > MOST_BYTES || end > length {
                break;
            }
            self.index.insert(*question, (begin, *sum, size));
            self.end = end;
        }
        self.file.set_len(self.end)
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let mut short = [0; DIGEST];
    short.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_outlive_a_run_that_was_cut_off_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pull");
        let answers = Answers::open(&path, "a").unwrap();
        assert_eq!((answers.known(), answers.get(b"one")), (0, None));
        answers.put(b"one", b"first answer");
        answers.put(b"two", &[7; 10_000]);
        answers.put(b"none", b"");
        assert_eq!(answers.get(b"two"), None, "this run was told so itself");
        drop(answers);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let again = Answers::open(&path, "a").unwrap();
            let known = again.known();
            assert_eq!(again.get(b"one").is_some(), known > 0);
            assert_eq!(again.get(b"one"), None, "once");
            again.put(b"three", b"no");
            again.put(b"three", b"third");
            drop(again);
            let last = Answers::open(&path, "a").unwrap();
            assert_eq!((last.known(), last.get(b"three").unwrap()), (known + 1, b"third".to_vec()), "{cut}");
        }
        let answers = Answers::open(&path, "a").unwrap();
        assert_eq!((answers.known(), answers.get(b"none").unwrap()), (4, Vec::new()));
        answers.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_answer_is_asked_for_again_and_no_foreign_file_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pull");
        let answers = Answers::open(&path, "a").unwrap();
        answers.put(b"one", b"first answer");
        answers.put(b"two", b"second answer");
        assert_eq!(Answers::open(&path, "a").unwrap_err().code, "resume-in-use");
        drop(answers);
        assert_eq!(Answers::open(&path, "b").unwrap_err().code, "resume-other");
        let mut bytes = fs::read(&path).unwrap();
        let at = FORM.len() + DIGEST + HEAD + 3;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let answers = Answers::open(&path, "a").unwrap();
        assert_eq!((answers.get(b"one"), answers.get(b"two")), (None, Some(b"second answer".to_vec())));
        drop(answers);
        fs::write(&path, "my notes").unwrap();
        assert_eq!(Answers::open(&path, "a").unwrap_err().code, "resume-other");
        assert_eq!(fs::read(&path).unwrap(), b"my notes");
    }
}
