//! Which files a path stands for.

use std::path::{Path, PathBuf};

use crate::diag::{Diagnostic, Location};

/// Endings of names that can hold OTLP, after an ending of compression is taken off.
const ENDINGS: &[&str] = &["json", "jsonl", "ndjson", "pb", "binpb", "bin", "protobuf", "otlp"];
/// Endings of compressed files.
const PACKED: &[&str] = &["gz", "gzip", "zst", "zstd"];
/// Directories below directories that are looked into, at most.
const MAX_DIRECTORIES: usize = 100_000;

/// The files of a directory and those below it, sorted by path, and a note about what was passed over.
///
/// Hidden files, names that do not look like traces, snapshots of tracebook and linked directories are passed over.
///
/// # Errors
/// When a directory cannot be listed: a part of the files must not pass for all of them.
pub(super) fn below(directory: &Path) -> Result<(Vec<PathBuf>, Option<Diagnostic>), Diagnostic> {
    let mut waiting = vec![directory.to_path_buf()];
    let (mut files, mut passed) = (Vec::new(), Vec::new());
    let mut seen = 0usize;
    while let Some(directory) = waiting.pop() {
        let failed = |error: std::io::Error| {
            Diagnostic::error("source-unreadable", format!("the directory cannot be listed: {error}"))
                .at(Location::file(directory.to_string_lossy()))
                .help("check its permissions")
        };
        seen += 1;
        if seen > MAX_DIRECTORIES {
            return Err(failed(std::io::Error::other("it holds too many directories")));
        }
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            if name.starts_with('.') {
                continue;
            }
            // `file_type` does not follow links: a linked directory could lead back up.
            if entry.file_type().map_err(failed)?.is_dir() {
                waiting.push(path);
            } else if path.is_file() && looks_like_traces(&name) {
                files.push(path);
            } else {
                passed.push(path);
            }
        }
    }
    files.sort();
    passed.sort();
    Ok((files, note(&passed)))
}

fn note(passed: &[PathBuf]) -> Option<Diagnostic> {
    let first = passed.first()?;
    let more = passed.len() - 1;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!("not read, because the name does not look like traces: {}{more}", first.to_string_lossy());
    let endings = ENDINGS.join(", .");
    Some(Diagnostic::info("file-passed-over", text).help(format!("name trace files .{endings}, also with .gz or .zst")))
}

fn looks_like_traces(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let ending = |name: &str| name.rsplit_once('.').map(|(stem, ending)| (stem.to_owned(), ending.to_owned()));
    let Some((stem, last)) = ending(&name) else { return false };
    let (stem, last) = if PACKED.contains(&last.as_str()) {
        let Some(inner) = ending(&stem) else { return false };
        inner
    } else {
        (stem, last)
    };
    ENDINGS.contains(&last.as_str()) && !stem.ends_with(".snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_trace_files_are_known_by_their_ending() {
        for name in ["a.json", "A.JSONL", "a.jsonl.zst", "traces-2024-01-01T00.000.json.gz", "x.otlp", "x.binpb"] {
            assert!(looks_like_traces(name), "{name}");
        }
        for name in ["README.md", "counts.csv", "x.snapshot.json", "x.snapshot.json.zst", "a.gz", "LICENSE", "x.proto"]
        {
            assert!(!looks_like_traces(name), "{name}");
        }
    }

    #[test]
    fn a_directory_is_read_in_order_and_says_what_it_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for path in ["b.json", "a/z.jsonl.gz", "a/.hidden.json", ".git/x.json", "README.md"] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "{}").unwrap();
        }
        let (files, note) = below(root.path()).unwrap();
        let names: Vec<_> = files.iter().map(|f| f.strip_prefix(root.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a/z.jsonl.gz", "b.json"]);
        assert!(note.unwrap().message.ends_with("README.md"));
    }
}
