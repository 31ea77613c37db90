//! Rendered documents held against what is on the disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use super::failure::diagnose;
use super::publish::Write;
use super::regions::{self, Damage, Edit};
use crate::diag::{Diagnostic, Location};
use crate::render::Document;

/// How one file stands to its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Byte for byte the same.
    Unchanged,
    /// Not there yet.
    Missing,
    /// Out of date: unified diff from the disk to what would be written.
    Changed {
        /// The diff.
        diff: String,
    },
    /// Its markers do not match each other: left alone.
    Damaged(Damage),
    /// A page of ours that no document stands for: left alone.
    Unexpected,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileComparison {
    /// Path as shown to people: relative to the directory, or as the user named it.
    pub path: String,
    /// How it stands.
    pub state: State,
    /// Regions a person edited.
    pub edits: Vec<Edit>,
    /// Loose human texts that will be wrapped.
    pub adopted: usize,
    /// Where it is written.
    pub target: PathBuf,
    /// What belongs there.
    pub text: String,
}

/// Every file of a directory that has to do with us, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The files.
    pub files: Vec<FileComparison>,
}

impl Comparison {
    /// What has to be written to bring the disk up to date.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.files
            .iter()
            .filter(|f| matches!(f.state, State::Missing | State::Changed { .. }))
            .map(|f| Write { target: f.target.clone(), bytes: f.text.clone().into_bytes() })
            .collect()
    }

    /// Files that stay byte for byte.
    #[must_use]
    pub fn unchanged(&self) -> usize {
        self.files.iter().filter(|f| f.state == State::Unchanged).count()
    }

    /// Whether nothing is to be written and nothing was edited.
    #[must_use]
    pub fn up_to_date(&self) -> bool {
        self.files.iter().all(|f| f.state == State::Unchanged && f.edits.is_empty())
    }

    /// One diagnostic per damaged file; when there is any, nothing may be written.
    #[must_use]
    pub fn damage(&self) -> Vec<Diagnostic> {
        self.files
            .iter()
            .filter_map(|f| match &f.state {
                State::Damaged(damage) => Some(damage_diagnostic(&f.path, damage)),
                _ => None,
            })
            .collect()
    }
}

fn damage_diagnostic(path: &str, damage: &Damage) -> Diagnostic {
    if damage.generated {
        Diagnostic::error("template-markers", format!("the rendered page has region markers that do not match: {}", damage.message))
            .at(Location::file(path).at_line(damage.line))
            .help("give each `<!-- tracebook:begin NAME -->` of the template its `<!-- tracebook:end NAME -->`, and each NAME once")
    } else {
        Diagnostic::error("region-damaged", format!("the region markers of this page do not match: {}", damage.message))
            .at(Location::file(path).at_line(damage.line))
            .help("restore the markers (git shows the last good version), or move the file away and generate it anew")
    }
}

/// Holds documents against a directory. Markdown is merged region by region, everything else compared as a whole.
///
/// # Errors
/// `output-path` for a document that would leave the directory, `output-symlink` for a link where a file is to be written,
/// `output-not-a-directory`, `output-not-text`, and what the file system says.
pub fn compare(dir: &Path, documents: &[Document], overwrite: bool) -> Result<Comparison, Diagnostic> {
    match fs::metadata(dir) {
        Ok(meta) if !meta.is_dir() => {
            return Err(Diagnostic::error("output-not-a-directory", "the output is a file, not a directory")
                .at(Location::file(dir.display().to_string()))
                .help("choose another directory with --output"));
        }
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(diagnose(dir, "look at the output directory", &e)),
        _ => {}
    }
    let mut files = Vec::with_capacity(documents.len());
    for document in documents {
        let target = target_in(dir, &document.path)?;
        let existing = read_text(&target)?;
        files.push(file(document.path.clone(), target, existing.as_deref(), &document.text, overwrite));
    }
    let ours: BTreeSet<&str> = documents.iter().map(|d| d.path.as_str()).collect();
    for name in pages_in(dir)? {
        if !ours.contains(name.as_str()) {
            let target = dir.join(&name);
            files.push(FileComparison {
                path: name,
                state: State::Unexpected,
                edits: Vec::new(),
                adopted: 0,
                target,
                text: String::new(),
            });
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Comparison { files })
}

/// A Markdown file of the user in which only regions are ours: `update` gets its text without checksums and gives it back
/// with the regions refreshed. A region a person edited is refused unless `overwrite`.
///
/// # Errors
/// `toc-missing` when there is no such file, `region-damaged`, and whatever `update` says.
pub fn compare_file(
    path: &Path,
    shown: &str,
    overwrite: bool,
    update: impl FnOnce(&str) -> Result<String, Diagnostic>,
) -> Result<FileComparison, Diagnostic> {
    // The user named this file: a link is followed, and the file behind it is the one replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let existing = read_text(&target)?.ok_or_else(|| {
        Diagnostic::error("toc-missing", "there is no such file to refresh")
            .at(Location::file(shown))
            .help("create it with `<!-- tracebook:begin runbooks -->` and `<!-- tracebook:end runbooks -->` in it, or take it out of `toc:`")
    })?;
    let edited = regions::edited(&existing).map_err(|damage| damage_diagnostic(shown, &damage))?;
    let updated = regions::stamp(&update(&regions::unstamp(&existing))?);
    // An edit that says what would be generated anyway is none.
    let same = regions::unstamp(&existing) == regions::unstamp(&updated);
    let edits: Vec<Edit> = edited
        .into_iter()
        .filter(|_| !same)
        .map(|(region, line)| Edit { region, line, diff: unified("generated", "in the file", &updated, &existing) })
        .collect();
    let left_alone = !edits.is_empty() && !overwrite;
    let state = if left_alone || updated == existing {
        State::Unchanged
    } else {
        State::Changed { diff: unified(shown, shown, &existing, &updated) }
    };
    Ok(FileComparison { path: shown.to_owned(), state, edits, adopted: 0, target, text: updated })
}

fn file(path: String, target: PathBuf, existing: Option<&str>, new: &str, overwrite: bool) -> FileComparison {
    let markdown = Path::new(&path).extension().is_some_and(|e| e.eq_ignore_ascii_case("md"));
    let merged = if markdown {
        regions::merge(existing, new, overwrite)
    } else {
        regions::Merged { text: new.to_owned(), ..regions::Merged::default() }
    };
    let state = match (merged.damage, existing) {
        (Some(damage), _) => State::Damaged(damage),
        (None, None) => State::Missing,
        (None, Some(old)) if old == merged.text => State::Unchanged,
        // A checkout that turns line ends around changes nothing; pages are merged with the line ends they have.
        (None, Some(old)) if !markdown && regions::lf(old) == merged.text => State::Unchanged,
        (None, Some(old)) => State::Changed { diff: unified(&path, &path, old, &merged.text) },
    };
    FileComparison { path, state, edits: merged.edits, adopted: merged.adopted, target, text: merged.text }
}

/// The place of a document; refuses to leave the directory by `..`, by an absolute path or through a link.
fn target_in(dir: &Path, path: &str) -> Result<PathBuf, Diagnostic> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|c| matches!(c, Component::Normal(_))) {
        return Err(Diagnostic::error(
            "output-path",
            format!("the document `{path}` would lie outside the output directory"),
        ));
    }
    let mut target = dir.to_owned();
    for part in relative.components() {
        target.push(part);
        if fs::symlink_metadata(&target).is_ok_and(|m| m.is_symlink()) {
            return Err(Diagnostic::error("output-symlink", "a symbolic link stands where a file is to be written")
                .at(Location::file(target.display().to_string()))
                .help("remove the link, or choose another directory with --output"));
        }
    }
    Ok(target)
}

/// Largest text that is read: that of a snapshot, the largest of our files.
const MOST_BYTES: u64 = 512 << 20;

/// A text file, or `None` when there is none.
///
/// # Errors
/// `output-not-a-file`, `output-not-text` when it is no UTF-8, `output-not-a-directory` and others as the file system says.
pub fn read_text(path: &Path) -> Result<Option<String>, Diagnostic> {
    // A pipe would wait for its writer, a device never end.
    match fs::metadata(path) {
        Ok(meta) if !meta.is_file() => {
            return Err(Diagnostic::error("output-not-a-file", "something else than a file stands where one belongs")
                .at(Location::file(path.display().to_string()))
                .help("move it away, or choose another directory with --output"));
        }
        Ok(meta) if meta.len() > MOST_BYTES => {
            let message = format!("this file is larger than {} MiB", MOST_BYTES >> 20);
            return Err(Diagnostic::error("output-failed", message)
                .at(Location::file(path.display().to_string()))
                .help("nothing of ours is that large: move it away"));
        }
        _ => {}
    }
    match fs::read(path) {
        Ok(bytes) => String::from_utf8(bytes).map(Some).map_err(|_| {
            Diagnostic::error(
                "output-not-text",
                "this file is not UTF-8 text, so what people wrote in it cannot be kept",
            )
            .at(Location::file(path.display().to_string()))
            .help("save it as UTF-8, or move it away")
        }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(diagnose(path, "read this file", &e)),
    }
}

/// Whether the directory holds pages that were written before.
///
/// # Errors
/// As the file system says.
pub fn holds_pages(dir: &Path) -> Result<bool, Diagnostic> {
    pages_in(dir).map(|pages| !pages.is_empty())
}

/// Names of files in the directory that look like pages of ours: `RB-<digits>…​.md` with a marker inside.
fn pages_in(dir: &Path) -> Result<Vec<String>, Diagnostic> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(diagnose(dir, "list the output directory", &e)),
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let digits = name.strip_prefix("RB-").map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
            digits >= 3 && Path::new(name).extension().is_some_and(|e| e == "md")
        })
        .filter(|name| read_text(&dir.join(name)).ok().flatten().is_some_and(|t| t.contains("<!-- tracebook:begin ")))
        .collect();
    names.sort();
    Ok(names)
}

/// A unified diff with three lines of context; empty when the texts are equal.
#[must_use]
pub fn unified(old_name: &str, new_name: &str, old: &str, new: &str) -> String {
    similar::TextDiff::from_lines(old, new).unified_diff().context_radius(3).header(old_name, new_name).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    const PAGE: &str = "<!-- tracebook:begin a -->\n\none\n\n<!-- tracebook:end a -->\n";

    #[test]
    fn missing_changed_unchanged_edited_and_unexpected_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        put("RB-002-same.md", &regions::stamp(PAGE));
        put("RB-003-old.md", &regions::stamp(&PAGE.replace("one", "zero")));
        put("RB-004-edited.md", &regions::stamp(PAGE).replace("one", "uno"));
        put("RB-005-gone.md", &regions::stamp(PAGE));
        put("RB-006-foreign.md", "somebody else's");
        put("notes.md", "mine");
        let docs: Vec<Document> = ["RB-001-new", "RB-002-same", "RB-003-old", "RB-004-edited"]
            .iter()
            .map(|n| doc(&format!("{n}.md"), PAGE))
            .chain([doc("runbooks.lock.yaml", "version: 1\n")])
            .collect();
        let comparison = compare(dir.path(), &docs, false).unwrap();
        let states: Vec<(&str, &str)> = comparison
            .files
            .iter()
            .map(|f| {
                let state = match &f.state {
                    State::Unchanged => "unchanged",
                    State::Missing => "missing",
                    State::Changed { .. } => "changed",
                    State::Damaged(_) => "damaged",
                    State::Unexpected => "unexpected",
                };
                (f.path.as_str(), state)
            })
            .collect();
        assert_eq!(
            states,
            [
                ("RB-001-new.md", "missing"),
                ("RB-002-same.md", "unchanged"),
                ("RB-003-old.md", "changed"),
                ("RB-004-edited.md", "unchanged"),
                ("RB-005-gone.md", "unexpected"),
                ("runbooks.lock.yaml", "missing"),
            ]
        );
        assert_eq!(comparison.files[3].edits.len(), 1);
        assert_eq!(comparison.writes().len(), 3);
        assert!(!comparison.up_to_date());
    }

    #[test]
    fn documents_cannot_leave_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["../x.md", "/etc/x.md", "", "a/../../x"] {
            assert_eq!(compare(dir.path(), &[doc(path, "x")], false).unwrap_err().code, "output-path", "{path}");
        }
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/etc/hostname", dir.path().join("RB-001-x.md")).unwrap();
            assert_eq!(compare(dir.path(), &[doc("RB-001-x.md", "x")], false).unwrap_err().code, "output-symlink");
        }
    }

    #[test]
    fn a_file_in_place_of_the_directory_and_text_that_is_no_text_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert_eq!(compare(&file, &[], false).unwrap_err().code, "output-not-a-directory");
        assert_eq!(compare(dir.path(), &[doc("file", "x")], false).unwrap_err().code, "output-not-text");
    }

    #[test]
    fn regions_of_a_users_file_are_refreshed_and_edits_in_them_are_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ops.md");
        let update = |text: &str| Ok(text.replace("old", "new"));
        assert_eq!(compare_file(&path, "ops.md", false, update).unwrap_err().code, "toc-missing");
        let text = "# Ops\n\n<!-- tracebook:begin runbooks -->\n\nold\n\n<!-- tracebook:end runbooks -->\n\nmine\n";
        fs::write(&path, text).unwrap();
        let first = compare_file(&path, "ops.md", false, update).unwrap();
        assert_eq!(first.text, regions::stamp(&text.replace("old", "new")));
        assert!(first.edits.is_empty() && matches!(first.state, State::Changed { .. }));
        fs::write(&path, &first.text).unwrap();
        assert_eq!(compare_file(&path, "ops.md", false, update).unwrap().state, State::Unchanged);
        fs::write(&path, first.text.replace("new", "old, edited")).unwrap();
        let edited = compare_file(&path, "ops.md", false, update).unwrap();
        assert_eq!((edited.state, edited.edits.len()), (State::Unchanged, 1));
        let over = compare_file(&path, "ops.md", true, |_| Ok(text.replace("old", "new"))).unwrap();
        assert!(matches!(over.state, State::Changed { .. }));
    }
}
