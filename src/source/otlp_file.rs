//! OTLP from files, directories and standard input.
//!
//! Input: JSON documents in any layout, or protobuf in any framing, plain, gzip or zstd, whole or message by message; told by
//! content, not by name.
//! Output: batches pushed into a sink, in bounded memory: reading on the calling thread, decoding on others.
//! The first trouble in the order of the input is the one reported, whatever the number of threads.
//! Must not: take a part for the whole. Whatever is cut short, corrupt or of another kind fails.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::compression::{self, Packing};
use super::detect::{self, Format};
use super::feed::{Feed, Tally};
use super::files;
use super::mapper::Mapper;
use super::queue::Queue;
use super::record::{CutError, Cutter};
use super::{Progress, SourceOptions, SourceReport, SpanSink, SpanSource};
use crate::diag::{Diagnostic, Location};

/// Bytes of an unpacked stream that its format is told from.
const HEAD: usize = 64 << 10;
/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// What to do about a JSON document that is too large.
const SPLIT_JSON: &str = "split it, one resource a line: \
    `jq -c '.resourceSpans[] | {resourceSpans: [.]}' FILE > traces.jsonl`, or where jq runs out of memory \
    `jq -cn --stream 'fromstream(2|truncate_stream(inputs)) | {resourceSpans: [.]}' FILE > traces.jsonl` \
    (unpack with `zstdcat` or `zcat` first); a single resource that large is split in docs/sources.md";
/// What to do about a message of another form.
const SMALLER_BATCHES: &str = "write it again in smaller messages: `send_batch_max_size: 8192` of the Collector's batch \
    processor bounds them";

/// Where the bytes come from.
#[derive(Debug)]
enum Input {
    File(PathBuf),
    Directory(PathBuf),
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
const DESCRIPTION: &str = "otlp file";

impl SpanSource for OtlpStream<'_> {
    fn describe(&self) -> String {
        DESCRIPTION.to_owned()
    }

    fn read(&mut self, sink: &dyn SpanSink, progress: &dyn Progress) -> Result<SourceReport, Diagnostic> {
        let reader = self.reader.take().unwrap_or_else(|| Box::new(io::empty()));
        let stream: Stream<'_> = (self.name.clone(), Ok(reader));
        read_streams(std::iter::once(stream), &self.name, None, &self.options, sink, progress)
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
        };
        progress.total(paths.iter().filter_map(|p| p.metadata().ok()).map(|data| data.len()).sum());
        let streams = paths.iter().map(|path| -> Stream<'_> {
            let reader = File::open(path).map(|file| Box::new(file) as Box<dyn Read>);
            (path.to_string_lossy().into_owned(), reader)
        });
        let (Input::File(whole) | Input::Directory(whole)) = &self.input;
        read_streams(streams, &whole.to_string_lossy(), note, &self.options, sink, progress)
    }
}

/// The name of a stream, and the stream if it could be opened.
type Stream<'r> = (String, io::Result<Box<dyn Read + 'r>>);

/// Reads streams one after the other into one sink.
fn read_streams<'r>(
    streams: impl Iterator<Item = Stream<'r>>,
    whole: &str,
    note: Option<Diagnostic>,
    options: &SourceOptions,
    sink: &dyn SpanSink,
    progress: &dyn Progress,
) -> Result<SourceReport, Diagnostic> {
    // One record may be as large as the limit; a second one can wait while it is decoded.
    let queue = Queue::new(options.max_record_bytes.saturating_mul(2));
    let outcome = Mutex::new(Outcome::default());
    let window = options.window.map(|(from, to)| (from.0, to.0));
    let bytes = std::thread::scope(|scope| {
        for _ in 0..options.threads.max(1) {
            scope.spawn(|| {
                let mapper = Mapper::new(options.rate_attribute.clone()).within(window);
                decode(Feed::new(mapper, sink), &queue, &outcome);
            });
        }
        let mut reading = Reading { queue: &queue, options, progress, records: 0, bytes: 0 };
        for (name, stream) in streams {
            match reading.stream(&name, stream) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    lock(&outcome).fail(reading.records, error.at_file(&name));
                    break;
                }
            }
        }
        queue.close();
        reading.bytes
    });
    let Outcome { failure, tally } = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, failure)) = failure {
        return Err(failure);
    }
    report(tally, bytes, note, whole)
}

/// What the threads have to say in the end.
#[derive(Default)]
struct Outcome {
    /// The trouble at the smallest record number.
    failure: Option<(u64, Diagnostic)>,
    tally: Tally,
}

impl Outcome {
    fn fail(&mut self, record: u64, diagnostic: Diagnostic) {
        if self.failure.as_ref().is_none_or(|(first, _)| record < *first) {
            self.failure = Some((record, diagnostic));
        }
    }
}

fn lock(outcome: &Mutex<Outcome>) -> std::sync::MutexGuard<'_, Outcome> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One decoding thread. After a failure the records before it are still decoded: one of them may fail, too, and is then
/// the one to report.
fn decode(mut feed: Feed<'_>, queue: &Queue, outcome: &Mutex<Outcome>) {
    while let Some(record) = queue.pop() {
        let behind = lock(outcome).failure.as_ref().is_some_and(|(first, _)| record.number > *first);
        if !behind && let Err(failure) = feed.record(&record) {
            lock(outcome).fail(record.number, failure);
            queue.close();
        }
        queue.done(record.bytes.len());
    }
    if lock(outcome).failure.is_some() {
        return;
    }
    match feed.finish() {
        Ok(tally) => lock(outcome).tally.join(tally),
        Err(failure) => lock(outcome).fail(u64::MAX, failure),
    }
}

/// The reading side.
struct Reading<'a> {
    queue: &'a Queue,
    options: &'a SourceOptions,
    progress: &'a dyn Progress,
    /// Records handed on so far.
    records: u64,
    /// Unpacked bytes so far, as far as they matter: whether there were any.
    bytes: u64,
}

impl Reading<'_> {
    /// Cuts one stream into records; `false` when a decoder has failed and no more are wanted.
    fn stream(&mut self, name: &str, stream: io::Result<Box<dyn Read + '_>>) -> Result<bool, Diagnostic> {
        self.progress.note(name);
        let unreadable = |error: &io::Error| {
            Diagnostic::error("source-unreadable", format!("the file cannot be opened: {error}"))
                .help("check its permissions")
        };
        let raw = Counted { inner: stream.map_err(|error| unreadable(&error))?, progress: self.progress };
        let raw: Box<dyn Read + '_> = Box::new(raw);
        let (mut unpacked, packing) =
            compression::unpack(raw).map_err(|error| compression::read_error(&error, Packing::Plain))?;
        let head = compression::head(&mut unpacked, HEAD).map_err(|error| compression::read_error(&error, packing))?;
        let format = detect::format(&head, head.len() < HEAD);
        self.bytes = self.bytes.saturating_add(head.len() as u64);
        if let Format::Unknown(what) = format {
            let what =
                what.map_or_else(|| "neither JSON nor OTLP protobuf".to_owned(), |w| format!("not OTLP but {w}"));
            return Err(Diagnostic::error("format-unknown", format!("the input is {what}")).help(
                "give OTLP as JSON or protobuf, plain or packed with gzip or zstd, e.g. from the Collector's file exporter",
            ));
        }
        let reader = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(unpacked));
        let mut cutter = Cutter::new(Box::new(reader), format, self.options.max_record_bytes);
        let file: Arc<str> = Arc::from(name);
        loop {
            let cut = cutter.next().map_err(|error| self.explain(error, packing, format));
            let Some(mut record) = cut? else { return Ok(true) };
            (record.number, record.file) = (self.records, file.clone());
            self.records = self.records.saturating_add(1);
            if !self.queue.push(record) {
                return Ok(false);
            }
        }
    }

    fn explain(&self, error: CutError, packing: Packing, format: Format) -> Diagnostic {
        let what = match format {
            Format::Json => "JSON document",
            Format::PackedFixed => "packed message",
            _ => "protobuf message",
        };
        match error {
            CutError::Read(error) => compression::read_error(&error, packing),
            CutError::TooLarge { line, offset } => {
                let limit = self.options.max_record_bytes >> 20;
                let text = format!("a single {what} (from byte {offset}) is larger than {limit} MiB");
                let place = Location { line, ..Location::default() };
                let help = if format == Format::Json { SPLIT_JSON } else { SMALLER_BATCHES };
                Diagnostic::error("record-too-large", text).at(place).help(help)
            }
            CutError::CutShort { offset } => {
                let text = format!("the input ends in the middle of the {what} at byte {offset}");
                Diagnostic::error("input-truncated", text).help(
                    "the file was cut short: copy or download it again; a partial file is never taken for a whole one",
                )
            }
            CutError::Broken { offset } => {
                Diagnostic::error("protobuf-malformed", format!("there is no protobuf message at byte {offset}"))
                    .help("the file is damaged or not OTLP: write it anew")
            }
            CutError::Packed { offset, error } => {
                let text = format!("the packed message at byte {offset} cannot be unpacked: {error}");
                Diagnostic::error("input-corrupt", text).help(
                    "the file is damaged or not from the Collector's file exporter: copy it again or write it anew",
                )
            }
        }
    }
}

/// A trouble of reading gets the name of the file it was met in.
trait AtFile {
    fn at_file(self, name: &str) -> Self;
}

impl AtFile for Diagnostic {
    fn at_file(mut self, name: &str) -> Self {
        self.location.file.get_or_insert_with(|| name.to_owned());
        self
    }
}

/// Tells the progress of every byte read.
struct Counted<'a, R> {
    inner: R,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.progress.advance(n as u64);
        Ok(n)
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
            .help("give OTLP traces: JSON with `resourceSpans`, or protobuf");
    }
    if bytes == 0 {
        return Diagnostic::error("empty-input", "the input is empty").help(
            "check that the exporter has written and closed the file, or that the pipe's first command succeeded",
        );
    }
    Diagnostic::error("no-spans-in-input", "the input is OTLP but holds no spans")
        .help("check the exporter's filters; an empty answer is never taken for a system without services")
}

#[cfg(test)]
#[path = "otlp_file_tests.rs"]
mod tests;
