//! From open streams, or bytes in memory, to batches in a sink, on as many threads as there are.
//!
//! Input: streams in order. Output: what was read and what was not. The calling thread reads and, whenever the others have
//! enough to do, decodes as well; with one thread there are no others. Memory is bounded.
//! The first trouble in the order of the input is the one reported, whatever the number of threads.
//! Must not: take a part for the whole.

use std::io::{self, BufReader, Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::compression::{self, Packing};
use super::detect::{self, Format};
use super::feed::{Feed, Tally};
use super::mapper::Mapper;
use super::queue::{Offer, Queue};
use super::record::{CutError, Cutter, Part, Slice, Slices};
use super::{Progress, SourceOptions, SpanSink, scan};
use crate::diag::{Diagnostic, Location};

/// Bytes of an unpacked stream that its format is told from.
const HEAD: usize = 64 << 10;
/// Bytes read at once where messages are packed one by one.
const BUFFER: usize = 256 << 10;

/// What to do about a JSON document that is too large.
const SPLIT_JSON: &str = "split it, one resource a line: \
    `jq -c '.resourceSpans[] | {resourceSpans: [.]}' FILE > traces.jsonl`, or where jq runs out of memory \
    `jq -cn --stream 'fromstream(2|truncate_stream(inputs)) | {resourceSpans: [.]}' FILE > traces.jsonl`; \
    of Jaeger one trace a line, `.data[] | {data: [.]}`; of Zipkin 1,000 spans a line, `_nwise(1000)` \
    (unpack with `zstdcat` or `zcat` first); a single resource that large is split in docs/sources.md";
/// What to do about a message of another form.
const SMALLER_BATCHES: &str = "write it again in smaller messages: `send_batch_max_size: 8192` of the Collector's batch \
    processor bounds them";

/// The name of a stream, and the stream if it could be opened.
pub(super) type Stream<'r> = (String, io::Result<Box<dyn Read + 'r>>);

/// Reads streams one after the other into one sink. Gives what was found and whether there were any bytes.
///
/// # Errors
/// The first trouble in the order of the input.
pub(super) fn streams<'r>(
    streams: impl Iterator<Item = Stream<'r>>,
    options: &SourceOptions,
    sink: &dyn SpanSink,
    progress: &dyn Progress,
) -> Result<(Tally, u64), Diagnostic> {
    let helpers = options.threads.max(1) - 1;
    // One record may be as large as the limit; a second one can wait while it is decoded.
    let queue = Queue::new(2 * helpers, options.max_record_bytes.saturating_mul(2));
    let outcome = Mutex::new(Outcome::default());
    let bytes = std::thread::scope(|scope| {
        for _ in 0..helpers {
            scope.spawn(|| {
                let mut feed = feed(options, sink);
                help(&mut feed, &queue, &outcome);
                finish(feed, &outcome);
            });
        }
        let (records, bytes) = (0, 0);
        let mut reading =
            Reading { queue: &queue, outcome: &outcome, options, progress, feed: feed(options, sink), records, bytes };
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
        let Reading { mut feed, bytes, .. } = reading;
        help(&mut feed, &queue, &outcome);
        finish(feed, &outcome);
        bytes
    });
    ended(outcome).map(|tally| (tally, bytes))
}

/// Reads bytes in memory into a sink, without copying them where they are not packed. Each thread takes the next part as it
/// has done with one.
///
/// # Errors
/// The first trouble in the order of the input.
pub(super) fn bytes(
    bytes: &[u8],
    name: &str,
    options: &SourceOptions,
    sink: &dyn SpanSink,
    progress: &dyn Progress,
) -> Result<(Tally, u64), Diagnostic> {
    progress.total(bytes.len() as u64);
    let packed = !matches!(compression::unpack(Box::new(bytes)), Ok((_, Packing::Plain)));
    let head = bytes.get(..HEAD.min(bytes.len())).unwrap_or_default();
    let format = detect::format(head, head.len() == bytes.len());
    if packed || !matches!(format, Format::Json | Format::Protobuf | Format::ProtobufFixed | Format::ProtobufVarint) {
        let stream: Stream<'_> = (name.to_owned(), Ok(Box::new(bytes)));
        return streams(std::iter::once(stream), options, sink, progress);
    }
    let outcome = Mutex::new(Outcome::default());
    let shared = Mutex::new(Parts { slices: Some(Slices::new(bytes, format, options.max_record_bytes)), number: 0 });
    let work = || {
        let mut feed = feed(options, sink);
        let mut messages = Vec::new();
        loop {
            let next = shared.lock().unwrap_or_else(PoisonError::into_inner).next(&mut messages);
            let (number, slice) = match next {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err((number, error)) => {
                    let error = explain(error, Packing::Plain, format, options.max_record_bytes);
                    lock(&outcome).fail(number, error.at_file(name));
                    break;
                }
            };
            let Slice { bytes, line, message, marks } = slice;
            let mended = (!marks.is_empty()).then(|| {
                let mut mended = bytes.to_vec();
                scan::blank(&mut mended, &marks);
                mended
            });
            let seen = mended.as_deref().unwrap_or(bytes);
            let is_json = format == Format::Json;
            let part = Part { number, file: name, is_json, bytes: seen, messages: &messages, line, message };
            if !decode(&mut feed, part, &outcome) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).slices = None;
            }
            progress.advance(bytes.len() as u64);
        }
        finish(feed, &outcome);
    };
    std::thread::scope(|scope| {
        for _ in 1..options.threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    ended(outcome).map(|tally| (tally, bytes.len() as u64))
}

/// What is left of bytes in memory, for whichever thread comes next.
struct Parts<'a> {
    /// `None` when no more are wanted.
    slices: Option<Slices<'a>>,
    number: u64,
}

impl<'a> Parts<'a> {
    fn next(&mut self, messages: &mut Vec<(usize, usize)>) -> Result<Option<(u64, Slice<'a>)>, (u64, CutError)> {
        let Some(slices) = &mut self.slices else { return Ok(None) };
        let number = self.number;
        self.number += 1;
        match slices.next(messages) {
            Ok(slice) => Ok(slice.map(|slice| (number, slice))),
            Err(error) => {
                self.slices = None;
                Err((number, error))
            }
        }
    }
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

fn lock(outcome: &Mutex<Outcome>) -> MutexGuard<'_, Outcome> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

fn feed<'s>(options: &SourceOptions, sink: &'s dyn SpanSink) -> Feed<'s> {
    let window = options.window.map(|(from, to)| (from.0, to.0));
    Feed::new(Mapper::new(options.rate_attribute.clone()).within(window), sink)
}

/// Decodes one record; `false` when it has failed. After a failure the records before it are still decoded: one of them
/// may fail, too, and is then the one to report.
fn decode(feed: &mut Feed<'_>, part: Part<'_>, outcome: &Mutex<Outcome>) -> bool {
    let behind = lock(outcome).failure.as_ref().is_some_and(|(first, _)| part.number > *first);
    if !behind && let Err(failure) = feed.record(part) {
        lock(outcome).fail(part.number, failure);
        return false;
    }
    true
}

/// Decodes what waits in the queue, until it is closed and empty.
fn help(feed: &mut Feed<'_>, queue: &Queue, outcome: &Mutex<Outcome>) {
    while let Some(record) = queue.pop() {
        if !decode(feed, record.part(), outcome) {
            queue.close();
        }
        queue.done(record);
    }
}

fn finish(feed: Feed<'_>, outcome: &Mutex<Outcome>) {
    if lock(outcome).failure.is_some() {
        return;
    }
    match feed.finish() {
        Ok(tally) => lock(outcome).tally.join(tally),
        Err(failure) => lock(outcome).fail(u64::MAX, failure),
    }
}

fn ended(outcome: Mutex<Outcome>) -> Result<Tally, Diagnostic> {
    let Outcome { failure, tally } = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    failure.map_or(Ok(tally), |(_, failure)| Err(failure))
}

/// The reading side.
struct Reading<'a> {
    queue: &'a Queue,
    outcome: &'a Mutex<Outcome>,
    options: &'a SourceOptions,
    progress: &'a dyn Progress,
    feed: Feed<'a>,
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
        let mut reader: Box<dyn Read + '_> = Box::new(Cursor::new(head).chain(unpacked));
        if format == Format::PackedFixed {
            reader = Box::new(BufReader::with_capacity(BUFFER, reader));
        }
        let max = self.options.max_record_bytes;
        let mut cutter = Cutter::new(reader, format, max);
        let file: Arc<str> = Arc::from(name);
        loop {
            let mut record = self.queue.spare();
            if !cutter.next(&mut record).map_err(|error| explain(error, packing, format, max))? {
                return Ok(true);
            }
            (record.number, record.file) = (self.records, file.clone());
            self.records = self.records.saturating_add(1);
            match self.queue.offer(record) {
                Offer::Taken => {}
                Offer::Closed => return Ok(false),
                Offer::Full(record) => {
                    if !decode(&mut self.feed, record.part(), self.outcome) {
                        return Ok(false);
                    }
                    self.queue.give_back(record);
                }
            }
        }
    }
}

fn explain(error: CutError, packing: Packing, format: Format, max: usize) -> Diagnostic {
    let what = match format {
        Format::Json => "JSON document",
        Format::PackedFixed => "packed message",
        _ => "protobuf message",
    };
    match error {
        CutError::Read(error) => compression::read_error(&error, packing),
        CutError::TooLarge { line, offset } => {
            let limit = max >> 20;
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
            Diagnostic::error("input-corrupt", text)
                .help("the file is damaged or not from the Collector's file exporter: copy it again or write it anew")
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
