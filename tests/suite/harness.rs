//! A language for end-to-end tests: copy a fixture into a temporary directory, run commands in process, look, change, run.
//!
//! ```ignore
//! Case::new("check/edited").run("check out").expect_exit(1).expect_stdout("page-edited");
//! ```
//! A fixture is `tests/suite/<name>/input/` (copied) and `tests/suite/<name>/expected/` (compared). Run the tests with
//! `TRACEBOOK_TESTS=overwrite` to accept what they see. Expected files that no step compares fail the test.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use tracebook::cli::{Surroundings, run_in};
use tracebook::spans::UnixNanos;

/// One test on its way.
pub struct Case {
    dir: tempfile::TempDir,
    fixture: Option<PathBuf>,
    env: BTreeMap<String, String>,
    stdin: Vec<u8>,
    code: u8,
    stdout: Vec<u8>,
    stderr: String,
    compared: RefCell<BTreeSet<PathBuf>>,
}

/// Every file below a directory, by relative path.
pub fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    files
}

impl Case {
    /// An empty directory.
    pub fn empty() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            fixture: None,
            env: BTreeMap::new(),
            stdin: Vec::new(),
            code: 0,
            stdout: Vec::new(),
            stderr: String::new(),
            compared: RefCell::default(),
        }
    }

    /// A copy of `tests/suite/<fixture>/input`.
    pub fn new(fixture: &str) -> Self {
        let mut case = Self::empty();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite").join(fixture);
        for (name, bytes) in tree(&fixture.join("input")) {
            case.put(&name, &bytes);
        }
        case.fixture = Some(fixture);
        case
    }

    /// A copy of a directory.
    pub fn copy_of(dir: &Path) -> Self {
        let case = Self::empty();
        tree(dir).iter().for_each(|(name, bytes)| case.put(name, bytes));
        case
    }

    /// A path inside the directory of the test.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Writes a file.
    pub fn file(self, name: &str, contents: impl AsRef<[u8]>) -> Self {
        self.put(name, contents.as_ref());
        self
    }

    /// Changes a text file.
    pub fn change_file(self, name: &str, change: impl FnOnce(String) -> String) -> Self {
        let old = self.text(name);
        let new = change(old.clone());
        assert_ne!(old, new, "the change to {name} changes nothing");
        self.put(name, new.as_bytes());
        self
    }

    /// Removes a file.
    pub fn remove_file(self, name: &str) -> Self {
        fs::remove_file(self.path(name)).unwrap();
        self
    }

    /// Sets an environment variable of the following runs.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// What standard input of the following runs holds.
    pub fn stdin(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.stdin = bytes.as_ref().to_vec();
        self
    }

    /// Runs a command line (words separated by blanks) in the directory.
    pub fn run(self, line: &str) -> Self {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.run_args(&words)
    }

    /// Runs a command in the directory.
    pub fn run_args(mut self, args: &[&str]) -> Self {
        let around = Surroundings {
            dir: self.dir.path().to_owned(),
            env: self.env.clone(),
            now: UnixNanos(1_767_225_600 * 1_000_000_000),
            terminal: false,
            terminal_data: false,
        };
        let args: Vec<&str> = std::iter::once("tracebook").chain(args.iter().copied()).collect();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.code = run_in(&around, args, &mut self.stdin.as_slice(), &mut out, &mut err);
        self.stdout = out;
        self.stderr = self.redacted(&String::from_utf8(err).unwrap());
        self
    }

    fn redacted(&self, text: &str) -> String {
        text.replace(&self.dir.path().display().to_string(), "[DIR]").replace(env!("CARGO_PKG_VERSION"), "[VERSION]")
    }

    /// The last run's exit code.
    #[track_caller]
    pub fn expect_exit(self, code: u8) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr);
        self
    }

    /// A part of the last run's standard error.
    #[track_caller]
    pub fn expect_stderr(self, part: &str) -> Self {
        assert!(self.stderr.contains(part), "no `{part}` in stderr:\n{}", self.stderr);
        self
    }

    /// What must not be on either stream of the last run.
    #[track_caller]
    pub fn expect_not_said(self, part: &str) -> Self {
        let all = format!("{}{}", self.stdout(), self.stderr);
        assert!(!all.contains(part), "`{part}` in:\n{all}");
        self
    }

    /// A part of the last run's standard output.
    #[track_caller]
    pub fn expect_stdout(self, part: &str) -> Self {
        assert!(self.stdout().contains(part), "no `{part}` in stdout:\n{}\nstderr:\n{}", self.stdout(), self.stderr);
        self
    }

    /// The last run's standard output.
    pub fn stdout(&self) -> String {
        self.redacted(&String::from_utf8_lossy(&self.stdout))
    }

    /// The last run's standard error.
    pub fn stderr(&self) -> &str {
        &self.stderr
    }

    /// A text file of the directory.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A part of a file.
    #[track_caller]
    pub fn check_file(self, name: &str, part: &str) -> Self {
        let text = self.text(name);
        assert!(text.contains(part), "no `{part}` in {name}:\n{text}");
        self
    }

    /// That a path does not exist.
    #[track_caller]
    pub fn check_absent(self, name: &str) -> Self {
        assert!(!self.path(name).exists(), "{name} is there");
        self
    }

    /// All files with their bytes, to compare later.
    pub fn tree(&self) -> BTreeMap<String, Vec<u8>> {
        tree(self.dir.path())
    }

    /// That nothing differs from an earlier [`Case::tree`].
    #[track_caller]
    pub fn expect_tree(self, before: &BTreeMap<String, Vec<u8>>) -> Self {
        let now = self.tree();
        let names = |t: &BTreeMap<String, Vec<u8>>| t.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(before));
        for (name, bytes) in &now {
            let (now, before) = (String::from_utf8_lossy(bytes), String::from_utf8_lossy(&before[name]));
            assert_eq!(now, before, "{name} changed");
        }
        self
    }

    /// Compares a directory with `expected/<name>` of the fixture: missing, different and unexpected files fail.
    #[track_caller]
    pub fn check_dir(self, name: &str) -> Self {
        let fixture = self.fixture.as_ref().expect("a case with a fixture");
        let expected = fixture.join("expected").join(name);
        let now: BTreeMap<String, Vec<u8>> = tree(&self.path(name))
            .into_iter()
            .map(|(n, bytes)| (n, self.redacted(&String::from_utf8_lossy(&bytes)).into_bytes()))
            .collect();
        if overwrite() {
            let _ = fs::remove_dir_all(&expected);
            for (file, bytes) in &now {
                let path = expected.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
        let want = tree(&expected);
        for (file, bytes) in &want {
            self.compared.borrow_mut().insert(expected.join(file));
            let got = now.get(file).unwrap_or_else(|| panic!("{name}/{file} is missing"));
            let (got, want) = (String::from_utf8_lossy(got), String::from_utf8_lossy(bytes));
            assert_eq!(got, want, "{name}/{file}; TRACEBOOK_TESTS=overwrite accepts it");
        }
        let unexpected: Vec<&String> = now.keys().filter(|k| !want.contains_key(*k)).collect();
        assert!(unexpected.is_empty(), "unexpected in {name}: {unexpected:?}; TRACEBOOK_TESTS=overwrite accepts them");
        self
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        let Some(fixture) = self.fixture.as_ref().filter(|_| !std::thread::panicking()) else { return };
        let expected = fixture.join("expected");
        let compared = self.compared.borrow();
        let left: Vec<String> = tree(&expected).into_keys().filter(|f| !compared.contains(&expected.join(f))).collect();
        assert!(left.is_empty(), "expected files that no step compared in {}: {left:?}", expected.display());
    }
}

/// Whether what is seen becomes what is expected.
pub fn overwrite() -> bool {
    std::env::var("TRACEBOOK_TESTS").is_ok_and(|v| v == "overwrite")
}
