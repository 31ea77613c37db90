//! One decoding thread's way to the sink: a mapper, and what it has to report.

use std::collections::BTreeMap;

use super::SpanSink;
use super::json::{self, Kinds, Trouble};
use super::mapper::{MAX_EXAMPLES, Mapper};
use super::otlp_wire::Walker;
use super::record::Part;
use super::view::{Attributes, Rows, SpanView};
use super::wire::Broken;
use crate::diag::{Diagnostic, Location};
use crate::spans::semconv::Slot;
use crate::spans::{ResourceId, SpanId, TraceId};

/// Rows after which a batch goes to the sink.
const BATCH_ROWS: usize = 8_192;

/// What was read and what was not. Joined from all threads; the same whatever thread read what.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Spans accepted.
    pub(super) spans: u64,
    /// Spans refused, by code.
    pub(super) rejected: BTreeMap<String, u64>,
    /// Things set right, by code.
    pub(super) repaired: BTreeMap<&'static str, u64>,
    /// The first refusals of each code: record number, diagnostic.
    pub(super) examples: BTreeMap<&'static str, Vec<(u64, Diagnostic)>>,
    /// JSON documents without spans, by what they are: how many, and the first record and file with one.
    pub(super) others: BTreeMap<&'static str, (u64, u64, String)>,
}

impl Tally {
    /// Adds what another thread has read.
    pub(super) fn join(&mut self, other: Self) {
        self.spans = self.spans.saturating_add(other.spans);
        for (code, n) in other.rejected {
            let sum = self.rejected.entry(code).or_default();
            *sum = sum.saturating_add(n);
        }
        for (code, n) in other.repaired {
            let sum = self.repaired.entry(code).or_default();
            *sum = sum.saturating_add(n);
        }
        for (code, found) in other.examples {
            let all = self.examples.entry(code).or_default();
            all.extend(found);
            // Stable: within a record the order of the file stays.
            all.sort_by_key(|(record, _)| *record);
            all.truncate(MAX_EXAMPLES);
        }
        for (what, (n, record, file)) in other.others {
            self.other(what, n, record, &file);
        }
    }

    fn other(&mut self, what: &'static str, n: u64, record: u64, file: &str) {
        let entry = self.others.entry(what).or_insert_with(|| (0, record, file.to_owned()));
        entry.0 = entry.0.saturating_add(n);
        if record < entry.1 {
            (entry.1, entry.2) = (record, file.to_owned());
        }
    }
}

/// Decodes records into batches and pushes them.
pub(super) struct Feed<'s> {
    mapper: Mapper,
    sink: &'s dyn SpanSink,
    tally: Tally,
    failure: Option<Diagnostic>,
    /// Room for the links of a span.
    links: Vec<(TraceId, SpanId)>,
}

impl<'s> Feed<'s> {
    pub(super) fn new(mapper: Mapper, sink: &'s dyn SpanSink) -> Self {
        Self { mapper, sink, tally: Tally::default(), failure: None, links: Vec::new() }
    }

    /// Decodes one record.
    ///
    /// # Errors
    /// Broken JSON or protobuf, documents of another kind, or the sink's own error.
    pub(super) fn record(&mut self, record: Part<'_>) -> Result<(), Diagnostic> {
        self.mapper.place = Location::file(record.file);
        let result = if record.is_json { self.json(record) } else { self.protobuf(record) };
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        result?;
        for example in std::mem::take(&mut self.mapper.examples) {
            let all = self.tally.examples.entry(example.code).or_default();
            // Records come in rising order, so the first ones stay.
            if all.len() < MAX_EXAMPLES {
                all.push((record.number, example));
            }
        }
        self.mapper.trim(&mut |batch| self.sink.push(batch))
    }

    /// Pushes what is left and gives the report.
    ///
    /// # Errors
    /// The sink's own.
    pub(super) fn finish(mut self) -> Result<Tally, Diagnostic> {
        self.flush()?;
        self.tally.rejected = self.mapper.rejected;
        self.tally.repaired = self.mapper.repaired;
        Ok(self.tally)
    }

    fn flush(&mut self) -> Result<(), Diagnostic> {
        if self.mapper.batch.rows.is_empty() {
            return Ok(());
        }
        let result = self.sink.push(&self.mapper.batch);
        self.mapper.batch.clear_rows();
        result
    }

    fn json(&mut self, record: Part<'_>) -> Result<(), Diagnostic> {
        if record.messages.is_empty() {
            let place = |at: Option<(usize, usize)>| Location {
                line: Some(record.line.saturating_add(at.map_or(0, |(line, _)| line.saturating_sub(1)) as u64)),
                column: at.map(|(_, column)| column as u64),
                ..Location::file(record.file)
            };
            return self.documents(record.bytes, record, &place);
        }
        for (message, number) in messages(record).filter(|(message, _)| !message.is_empty()) {
            // The file is packed: a line is one of the message, not of the file.
            let place = |at: Option<(usize, usize)>| {
                let at = at.map_or_else(String::new, |(line, column)| format!(", line {line}, column {column}"));
                Location::file(record.file).at_key(format!("message {number}{at}"))
            };
            self.documents(message, record, &place)?;
        }
        Ok(())
    }

    /// Decodes JSON documents; `place` says where in the input a line and column of theirs are.
    fn documents(
        &mut self,
        bytes: &[u8],
        record: Part<'_>,
        place: &dyn Fn(Option<(usize, usize)>) -> Location,
    ) -> Result<(), Diagnostic> {
        let documents = json::documents(bytes, self).map_err(|error| {
            let said = error.message;
            match error.trouble {
                Trouble::CutShort => Diagnostic::error("input-truncated", format!("a JSON document is cut short: {said}"))
                    .help("the file ends too early: copy it again, or cut off its unfinished last document yourself"),
                Trouble::Shape => Diagnostic::error("json-not-otlp", format!("this is JSON but not OTLP: {said}"))
                    .help("compare it with the OTLP/JSON form: {\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": […]}]}]}"),
                Trouble::Syntax | Trouble::Stopped => {
                    Diagnostic::error("json-malformed", format!("this is not valid JSON: {said}"))
                        .help("find and repair or remove the broken document; `jq -c . FILE` stops at the same place")
                }
            }
            .at(place(Some((error.line, error.column))))
        })?;
        for kinds in documents {
            self.classify(kinds, record).map_err(|foreign| foreign.at(place(None)))?;
        }
        Ok(())
    }

    fn classify(&mut self, kinds: Kinds, record: Part<'_>) -> Result<(), Diagnostic> {
        let foreign = if kinds.has(Kinds::PARTIAL) {
            Diagnostic::error(
                "jaeger-partial",
                "this answer of Jaeger lists errors: it does not hold all that was asked for",
            )
            .help("ask Jaeger again for what its `errors` name, or take `errors` out of the file to read what there is")
        } else if kinds.has(Kinds::ZIPKIN_V1) {
            Diagnostic::error("zipkin-v1", "this is JSON of Zipkin v1")
                .help("ask Zipkin for version 2 instead: GET /api/v2/traces of any server since 2.0 answers in it")
        } else if kinds.has(Kinds::SUMMARY) {
            Diagnostic::error(
                "search-summary",
                "this is the answer of a trace search: it lists traces without their spans",
            )
            .help("fetch each trace by its id (GET /api/traces/{id}), or read from Tempo itself: tempo://HOST:PORT")
        } else {
            if !kinds.has(Kinds::TRACES.and(Kinds::JAEGER).and(Kinds::ZIPKIN)) {
                for (kind, what) in [
                    (Kinds::LOGS, "OTLP logs"),
                    (Kinds::METRICS, "OTLP metrics"),
                    (Kinds::PROFILES, "OTLP profiles"),
                    (Kinds::OTHER, "JSON of another kind"),
                ] {
                    if kinds.has(kind) {
                        self.tally.other(what, 1, record.number, record.file);
                    }
                }
            }
            return Ok(());
        };
        Err(foreign)
    }

    fn protobuf(&mut self, record: Part<'_>) -> Result<(), Diagnostic> {
        let mut walker = Walker::new(std::mem::take(&mut self.links));
        for (message, number) in messages(record) {
            match walker.message(message, self) {
                Ok(true) => {}
                Ok(false) => break,
                Err(Broken) => return Err(broken(record, number)),
            }
        }
        self.links = walker.into_links();
        Ok(())
    }
}

fn broken(record: Part<'_>, message: u64) -> Diagnostic {
    let at = Location::file(record.file).at_key(format!("message {message}"));
    Diagnostic::error("protobuf-malformed", "a protobuf message is not an OTLP trace message").at(at).help(
        "write the file anew as OTLP: one TracesData message, or ExportTraceServiceRequest messages each after its length",
    )
}

/// The messages of a record with their 1-based numbers.
fn messages<'a>(record: Part<'a>) -> impl Iterator<Item = (&'a [u8], u64)> {
    let message = move |(start, end): &(usize, usize)| record.bytes.get(*start..*end).unwrap_or_default();
    record.messages.iter().map(message).zip(record.message..)
}

impl Rows for Feed<'_> {
    fn resource(&mut self, attributes: &Attributes<'_>) -> ResourceId {
        self.mapper.resource(attributes)
    }

    fn span(&mut self, resource: ResourceId, span: &SpanView<'_>) -> bool {
        let before = self.mapper.batch.rows.len();
        self.mapper.span(resource, span);
        if self.mapper.batch.rows.len() > before {
            self.tally.spans = self.tally.spans.saturating_add(1);
        }
        if self.mapper.batch.rows.len() >= BATCH_ROWS
            && let Err(failure) = self.flush()
        {
            self.failure = Some(failure);
            return false;
        }
        true
    }

    fn reject(&mut self, code: &'static str, why: &str) {
        self.mapper.reject(code, why);
    }

    fn classify_raw(&self, key: &[u8]) -> Option<(Slot, u8)> {
        self.mapper.classify_raw(key)
    }

    fn known_resource(&mut self, raw: &[u8]) -> Option<ResourceId> {
        self.mapper.known_resource(raw)
    }

    fn learn_resource(&mut self, raw: &[u8], id: ResourceId) {
        self.mapper.learn_resource(raw, id);
    }
}
