//! OTLP from files, directories and standard input.
//!
//! Input: JSON documents in any layout, or protobuf in any framing, plain, gzip or zstd, whole or message by message; told by
//! content, not by name.
//! Output: batches pushed into a sink, and what there is to say about them in the end.
//! Must not: take a part for the whole. Whatever is cut short, corrupt or of another kind fails.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::feed::Tally;
use super::files;
use super::reading::{self, Stream};
use super::{Progress, SourceOptions, SourceReport, SpanSink, SpanSource};
use crate::diag::{Diagnostic, Location};

/// Where the bytes come from.
#[derive(Debug)]
enum Input {
    File(PathBuf),
    Directory(PathBuf),
    /// These files of a directory and no others.
    Files(PathBuf, Vec<PathBuf>),
}

/// A source of OTLP in files.
#[derive(Debug)]
pub(super) struct OtlpFile {
    input: Input,
    options: SourceOptions,
}

/// A source of OTLP in a stream that is open already, read once.
pub(super) struct OtlpStream<'r> {
    name: String,
    reader: Option<Box<dyn Read + 'r>>,
    options: SourceOptions,
}

impl<'r> OtlpStream<'r> {
    /// The source; `name` is what messages call the stream.
    pub(super) fn new(name: &str, reader: Box<dyn Read + 'r>, options: &SourceOptions) -> Self {
        Self { name: name.to_owned(), reader: Some(reader), options: options.clone() }
    }
}

/// A source of OTLP in memory.
pub(super) struct OtlpBytes {
    bytes: Arc<[u8]>,
    options: SourceOptions,
}

/// What messages call bytes in memory.
const IN_MEMORY: &str = "(memory)";

impl OtlpBytes {
    /// The source.
    pub(super) fn new(bytes: Arc<[u8]>, options: &SourceOptions) -> Self {
        Self { bytes, options: options.clone() }
    }
}

impl SpanSource for OtlpBytes {
    fn describe(&self) -> String {
        DESCRIPTION.to_owned()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let (tally, bytes) = reading::bytes(&self.bytes, IN_MEMORY, &self.options, sink, progress)?;
        report(tally, bytes, None, IN_MEMORY)
    }
}

/// The source a path names.
///
/// # Errors
/// `source-not-found` when nothing is there.
pub(super) fn open(path: &str, options: &SourceOptions) -> Result<OtlpFile, Diagnostic> {
    let options = options.clone();
    let found = PathBuf::from(path);
    let input = match std::fs::metadata(&found) {
        Ok(data) if data.is_dir() => Input::Directory(found),
        Ok(_) => Input::File(found),
        Err(error) => {
            let (code, text, help) = if error.kind() == io::ErrorKind::NotFound {
                ("source-not-found", "there is no such file or directory".to_owned(), not_found_help(path))
            } else {
                ("source-unreadable", format!("it cannot be read: {error}"), "check its permissions".to_owned())
            };
            return Err(Diagnostic::error(code, text).at(Location::file(path)).help(help));
        }
    };
    Ok(OtlpFile { input, options })
}

/// Files of a directory as one source: it is no matter that one of them holds nothing.
pub(super) fn of(directory: &Path, files: &[PathBuf], options: &SourceOptions) -> OtlpFile {
    OtlpFile { input: Input::Files(directory.to_owned(), files.to_owned()), options: options.clone() }
}

/// `tempo:9095` is taken for a path, but was hardly meant as one.
fn not_found_help(path: &str) -> String {
    // A relative path may have been joined to a directory: the last part is what looks like an endpoint.
    let last = path.rsplit('/').next().unwrap_or(path);
    match last.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            format!("check the path; if a Tempo is meant, write tempo://{last}")
        }
        _ => "check the path".to_owned(),
    }
}

/// What goes into the provenance. No path: the same spans must give the same snapshot wherever they lie.
const DESCRIPTION: &str = "trace file";

impl SpanSource for OtlpStream<'_> {
    fn describe(&self) -> String {
        DESCRIPTION.to_owned()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let reader = self.reader.take().unwrap_or_else(|| Box::new(io::empty()));
        let stream: Stream<'_> = (self.name.clone(), Ok(reader));
        let (tally, bytes) = reading::streams(std::iter::once(stream), &self.options, sink, progress)?;
        report(tally, bytes, None, &self.name)
    }
}

impl SpanSource for OtlpFile {
    fn describe(&self) -> String {
        DESCRIPTION.to_owned()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let (paths, note) = match &self.input {
            Input::File(path) => (vec![path.clone()], None),
            Input::Directory(path) => files::below(path)?,
            Input::Files(_, files) => (files.clone(), None),
        };
        progress.total(paths.iter().filter_map(|p| p.metadata().ok()).map(|data| data.len()).sum());
        let streams = paths.iter().map(|path| -> Stream<'_> {
            let reader = File::open(path).map(|file| Box::new(file) as Box<dyn Read>);
            (path.to_string_lossy().into_owned(), reader)
        });
        let (Input::File(whole) | Input::Directory(whole) | Input::Files(whole, _)) = &self.input;
        let (tally, bytes) = reading::streams(streams, &self.options, sink, progress)?;
        report(tally, bytes, note, &whole.to_string_lossy())
    }
}

/// The report of a whole reading, or why nothing was found.
fn report(tally: Tally, bytes: u64, note: Option<Diagnostic>, whole: &str) -> Result<SourceReport, Diagnostic> {
    if tally.spans == 0 {
        return Err(nothing(&tally, bytes).at(Location::file(whole)));
    }
    let mut diagnostics: Vec<_> = tally.examples.into_values().flatten().map(|(_, example)| example).collect();
    for (code, n) in tally.repaired {
        let text = match code {
            "self-parent" => format!("{n} spans name themselves as their parent and are taken for roots"),
            "link-invalid" => format!("{n} links have no valid ids and are left out"),
            "links-over-limit" => format!("{n} links beyond the first 1,024 of their span are left out"),
            "outside-window" => format!("{n} spans start outside the window asked for and are left out"),
            _ => format!("{n} spans were set right"),
        };
        diagnostics.push(Diagnostic::info(code, text));
    }
    for (what, (n, _, file)) in tally.others {
        let text = format!("{n} documents hold {what} and are left out");
        diagnostics.push(Diagnostic::warning("not-traces", text).at(Location::file(file)));
    }
    diagnostics.extend(note);
    Ok(SourceReport { rejected: tally.rejected, diagnostics, ..SourceReport::default() })
}

/// Why there are no spans.
fn nothing(tally: &Tally, bytes: u64) -> Diagnostic {
    let refused: u64 = tally.rejected.values().fold(0, |sum, n| sum.saturating_add(*n));
    if refused > 0 {
        let codes: Vec<_> = tally.rejected.iter().map(|(code, n)| format!("{n} {code}")).collect();
        let text = format!("all {refused} spans were refused: {}", codes.join(", "));
        return Diagnostic::error("no-spans-in-input", text)
            .help("the input may be OTLP logs or metrics, or its exporter writes ids or times in an unknown form");
    }
    if let Some(n) = tally.repaired.get("outside-window") {
        return Diagnostic::error("no-spans-in-window", format!("all {n} spans start outside the window asked for"))
            .help("widen --lookback, --start or --end, or leave them out");
    }
    if let Some((what, (n, ..))) = tally.others.first_key_value() {
        return Diagnostic::error("not-traces", format!("there are no traces in it: {n} documents hold {what}"))
            .help("give traces: OTLP as JSON with `resourceSpans` or as protobuf, Jaeger JSON or Zipkin v2 JSON");
    }
    if bytes == 0 {
        return Diagnostic::error("empty-input", "the input is empty").help(
            "check that the exporter has written and closed the file, or that the pipe's first command succeeded",
        );
    }
    Diagnostic::error("no-spans-in-input", "the input holds no spans")
        .help("check the exporter's filters; an empty answer is never taken for a system without services")
}

#[cfg(test)]
#[path = "otlp_file_tests.rs"]
mod tests;
