//! Span archives: the Parquet files that `capture --spans` leaves behind (feature `archive`).
//!
//! Input: one such file, or a directory that holds some. Output: the spans as they were when the archive was written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Progress, SourceOptions, SourceReport, SpanSink, SpanSource};
use crate::diag::{Diagnostic, Location};
use crate::spans::archive;

/// A source of archived spans.
#[derive(Debug)]
pub(super) struct Archive {
    files: Vec<PathBuf>,
    /// Files beside them that are none.
    others: usize,
    options: SourceOptions,
    sources: BTreeSet<String>,
}

/// The archive a path names, if it names one: told by content for a file, by `*.parquet` for a directory.
pub(super) fn open(path: &str, options: &SourceOptions) -> Option<Archive> {
    let path = Path::new(path);
    // A part of a directory that is no Parquet any more is damage, to be met on reading: it must not be passed over.
    let (mut files, others) = if path.is_dir() { parts_of(path) } else { (vec![path.to_owned()], 0) };
    if !path.is_dir() {
        files.retain(|file| is_parquet(file));
    }
    files.sort();
    (!files.is_empty()).then(|| Archive { files, others, options: options.clone(), sources: BTreeSet::new() })
}

/// The parts of a directory, and how many other visible files lie there.
fn parts_of(dir: &Path) -> (Vec<PathBuf>, usize) {
    let visible = |path: &Path| !path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let (parts, others): (Vec<_>, Vec<_>) = entries
        .filter(|path| path.is_file() && visible(path))
        .partition(|path| path.extension().is_some_and(|e| e == "parquet"));
    (parts, others.len())
}

fn is_parquet(path: &Path) -> bool {
    let mut magic = [0; 4];
    path.is_file() && File::open(path).is_ok_and(|mut file| file.read_exact(&mut magic).is_ok()) && magic == *b"PAR1"
}

impl SpanSource for Archive {
    fn describe(&self) -> String {
        let sources: Vec<&str> = self.sources.iter().map(String::as_str).collect();
        sources.join(", ")
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let mut report = SourceReport::default();
        let mut outside: u64 = 0;
        if self.others > 0 {
            let text = format!("{} other file(s) lie beside the Parquet files and are left out", self.others);
            let help = "read them too with a --from of their own, or move them away";
            report.diagnostics.push(Diagnostic::warning("file-passed-over", text).help(help));
        }
        progress.total(self.files.len() as u64);
        for file in &self.files {
            let place = || Location::file(file.display().to_string());
            let bytes = fs::read(file).map_err(|e| {
                Diagnostic::error("source-unreadable", format!("it cannot be read: {e}"))
                    .at(place())
                    .help("check its permissions")
            })?;
            let (mut batch, sources) = archive::decode(&bytes).map_err(|problem| problem.at(place()))?;
            if let Some((start, end)) = self.options.window {
                outside = outside.saturating_add(batch.keep(|row| (start.0..end.0).contains(&row.start)));
            }
            sink.push(&batch)?;
            self.sources.extend(sources);
            progress.advance(1);
        }
        if outside > 0 {
            let message = format!("{outside} spans start outside the window asked for and are left out");
            report.diagnostics.push(Diagnostic::info("outside-window", message));
        }
        Ok(report)
    }
}
