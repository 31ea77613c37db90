//! What must hold for any bytes: nothing panics, and however they are read the answer is the same.

use std::io::Read;
use std::sync::{Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tracebook::diag::Diagnostic;
use tracebook::source::{self, NoProgress, SourceOptions, SpanSink, SpanSource};
use tracebook::spans::{SpanBatch, SpanFlags, Sym};
use tracebook::topology::{codec, merge};

/// Everything a source told, in an order that does not depend on threads.
#[derive(Debug, Default, PartialEq)]
pub struct Told {
    /// One text a span.
    pub spans: Vec<String>,
    /// Refused spans by code, or the code of the failure.
    pub end: String,
}

#[derive(Default)]
struct Rows(Mutex<Vec<String>>);

impl SpanSink for Rows {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let links =
            |at: usize| batch.links.iter().filter(move |link| link.row as usize == at).map(|l| (l.trace_id, l.span_id));
        let rows = batch.rows.iter().enumerate().map(|(at, row)| {
            let name = batch.strings.get(Sym(row.name.0));
            let resource = batch.resources().get(row.resource.0 as usize);
            let (peer, error) = (batch.peers().get(row.peer.0 as usize), batch.errors().get(row.error.0 as usize));
            assert!(resource.is_some() && peer.is_some() && error.is_some(), "a row points nowhere");
            assert!(row.end >= row.start || row.flags.has(SpanFlags::NO_DURATION), "a span ends before it starts");
            let ids = (row.trace_id, row.span_id, row.parent_id, row.start, row.end);
            let rest = (row.weight, row.kind, row.flags, links(at).collect::<Vec<_>>());
            format!("{ids:?} {name:?} {resource:?} {peer:?} {error:?} {rest:?}")
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(rows);
        Ok(())
    }
}

fn told(source: &mut dyn SpanSource) -> Told {
    let rows = Rows::default();
    let end = match source.read(&rows, &NoProgress) {
        Ok(report) => format!("{:?}", report.rejected),
        Err(error) => error.code.to_string(),
    };
    let mut spans = rows.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    spans.sort_unstable();
    // What was pushed before a failure is thrown away by whoever called.
    let failed = !end.starts_with('{');
    Told { spans: if failed { Vec::new() } else { spans }, end }
}

fn options(threads: usize) -> SourceOptions {
    SourceOptions { threads, max_record_bytes: 1 << 20, ..SourceOptions::default() }
}

/// A reader that hands out a few bytes at a time.
struct Trickle<'a>(&'a [u8], usize);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.1 = self.1 * 5 % 31 + 1;
        let n = self.1.min(self.0.len()).min(out.len());
        let (head, rest) = self.0.split_at(n);
        out[..n].copy_from_slice(head);
        self.0 = rest;
        Ok(n)
    }
}

fn stream(bytes: &[u8], threads: usize) -> Told {
    told(&mut *source::stream(Box::new(bytes), &options(threads)))
}

/// Reads the bytes in every way there is; all must agree.
fn every_way(bytes: &[u8]) -> Told {
    let one = stream(bytes, 1);
    assert_eq!(one, stream(bytes, 2), "two threads");
    assert_eq!(one, told(&mut *source::stream(Box::new(Trickle(bytes, 7)), &options(1))), "in small parts");
    for threads in 1..3 {
        assert_eq!(one, told(&mut *source::bytes(bytes, &options(threads))), "in memory, {threads} thread(s)");
    }
    one
}

/// Bytes as OTLP protobuf: also against what prost makes of the same message, written again as protobuf and as JSON.
pub fn protobuf(bytes: &[u8]) {
    let own = every_way(bytes);
    let Ok(message) = ExportTraceServiceRequest::decode(bytes) else { return };
    // The first bytes tell the format: some messages look like something else, or like several after their lengths.
    let one = |message: &[u8]| {
        let mut framed = Vec::new();
        prost::encoding::encode_varint(message.len() as u64, &mut framed);
        framed.extend_from_slice(message);
        framed
    };
    if message.resource_spans.is_empty() {
        return;
    }
    let (raw, again) = (stream(&one(bytes), 1), stream(&one(&message.encode_to_vec()), 1));
    if raw.end.starts_with('{') && again.end.starts_with('{') {
        assert_eq!(raw, again, "a message and what prost makes of it");
    }
    if own.end.starts_with('{') && raw.end.starts_with('{') && own.spans.len() == raw.spans.len() {
        assert_eq!(own, raw, "a message alone and after its length");
    }
    // JSON takes shortened ids, as some tools write them; protobuf does not.
    let spans = message.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    let whole = |trace: &[u8], span: &[u8]| matches!((trace.len(), span.len()), (0 | 16, 0 | 8));
    let mut spans = spans.map(|s| {
        let links = s.links.iter().all(|link| whole(&link.trace_id, &link.span_id));
        links && whole(&s.trace_id, &s.span_id) && whole(&[], &s.parent_span_id)
    });
    if !spans.all(|whole| whole) {
        return;
    }
    let Ok(text) = serde_json::to_vec(&message) else { return };
    let json = stream(&text, 1);
    if again.end == "{}" && json.end == "{}" {
        assert_eq!(again, json, "protobuf and JSON of one message: {}", String::from_utf8_lossy(&text));
    }
}

/// Bytes as OTLP JSON.
pub fn json(bytes: &[u8]) {
    every_way(bytes);
}

/// Bytes as a snapshot: what is accepted is written the same again, and merges with nothing into itself.
pub fn snapshot(bytes: &[u8]) {
    let Ok(read) = codec::decode(bytes) else { return };
    let Ok(written) = codec::encode(&read) else { return };
    let again = codec::decode(&written).map(|again| codec::encode(&again).unwrap_or_default());
    assert_eq!(again.ok().as_deref(), Some(written.as_slice()), "a snapshot that was read is written the same again");
    let _ = merge(vec![read.clone(), read], &tracebook::topology::cfg::TopologyConfig::default());
}
