//! Spans as Parquet: the archive a capture can leave behind and read again (feature `archive`).
//!
//! One row a span, dictionaries resolved, so that any Parquet reader can use it. Ids are lower-case hex. What the mapper
//! dropped is not here either: an archive is as fit to keep as a snapshot.

use std::collections::BTreeSet;
use std::io::Cursor;

use polars::prelude::{Column, DataFrame, NamedFrom, PolarsError, PolarsResult, Series};
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::{ParquetCompression, ParquetWriter};

use super::{
    ErrorClass, Link, Peer, PeerKind, Resource, SpanBatch, SpanFlags, SpanId, SpanKind, SpanRow, TraceId, Weight,
    semconv,
};
use crate::diag::Diagnostic;

/// Rows after which a writer should start the next file: some 50 MB while it is made, 2 MB once compressed.
pub const ROWS_PER_FILE: usize = 65_536;

const PEER_KINDS: [(PeerKind, &str); 5] = [
    (PeerKind::None, ""),
    (PeerKind::Database, "database"),
    (PeerKind::Messaging, "messaging"),
    (PeerKind::Service, "service"),
    (PeerKind::External, "external"),
];

/// Textual columns in file order.
const TEXT: [&str; 18] = [
    "source",
    "trace_id",
    "span_id",
    "parent_span_id",
    "kind",
    "name",
    "service_namespace",
    "service_name",
    "resource_attributes",
    "peer_kind",
    "peer_system",
    "peer_name",
    "peer_address",
    "peer_namespace",
    "grpc_status",
    "error_type",
    "exception_type",
    "links",
];

/// Numeric columns in file order.
const NUMBERS: [&str; 5] = ["start_unix_nano", "end_unix_nano", "weight_micro", "flags", "http_status"];

/// Spans on their way into one Parquet file.
#[derive(Debug, Default)]
pub struct ArchivePart {
    source: String,
    text: [Vec<String>; TEXT.len()],
    numbers: [Vec<u64>; NUMBERS.len()],
}

impl ArchivePart {
    /// An empty part for spans of a source, named as in a snapshot's provenance.
    #[must_use]
    pub fn new(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    /// Spans so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.numbers[0].len()
    }

    /// Adds every span of a batch.
    pub fn push(&mut self, batch: &SpanBatch) {
        let mut links = batch.links.iter().peekable();
        for (position, row) in batch.rows.iter().enumerate() {
            let mut linked = Vec::new();
            while let Some(link) = links.next_if(|l| l.row as usize <= position) {
                linked.push(format!("{}:{}", link.trace_id, link.span_id));
            }
            self.push_row(batch, row, linked.join(" "));
        }
    }

    fn push_row(&mut self, batch: &SpanBatch, row: &SpanRow, links: String) {
        let (no_resource, no_peer, no_error) = (Resource::default(), Peer::default(), ErrorClass::default());
        let resource = batch.resources().get(row.resource.0 as usize).unwrap_or(&no_resource);
        let peer = batch.peers().get(row.peer.0 as usize).unwrap_or(&no_peer);
        let error = batch.errors().get(row.error.0 as usize).unwrap_or(&no_error);
        let peer_kind = PEER_KINDS.iter().find(|(k, _)| *k == peer.kind).map_or("", |(_, name)| *name);
        let attributes = serde_json::to_string(&resource.attributes).unwrap_or_default();
        let text = [
            self.source.clone(),
            row.trace_id.to_string(),
            row.span_id.to_string(),
            if row.parent_id.is_none() { String::new() } else { row.parent_id.to_string() },
            row.kind.name().to_owned(),
            batch.strings.get(row.name).to_owned(),
            resource.namespace.clone(),
            resource.name.clone(),
            attributes,
            peer_kind.to_owned(),
            peer.system.clone(),
            peer.name.clone(),
            peer.address.clone(),
            peer.namespace.clone(),
            error.grpc_status.clone(),
            error.error_type.clone(),
            error.exception_type.clone(),
            links,
        ];
        let numbers = [row.start, row.end, row.weight.micro(), u64::from(row.flags.0), u64::from(error.http_status)];
        self.text.iter_mut().zip(text).for_each(|(column, value)| column.push(value));
        self.numbers.iter_mut().zip(numbers).for_each(|(column, value)| column.push(value));
    }

    /// The Parquet file (zstd) of everything pushed; the part is empty afterwards.
    ///
    /// # Errors
    /// `archive-encode` with polars' own words.
    pub fn encode(&mut self) -> Result<Vec<u8>, Diagnostic> {
        let mut bytes = Vec::new();
        let empty = Self::new(&self.source);
        let part = std::mem::replace(self, empty);
        part.frame()
            .and_then(|mut frame| {
                ParquetWriter::new(&mut bytes).with_compression(ParquetCompression::Zstd(None)).finish(&mut frame)
            })
            .map_err(|e| Diagnostic::error("archive-encode", format!("the span archive cannot be encoded: {e}")))?;
        Ok(bytes)
    }

    fn frame(self) -> PolarsResult<DataFrame> {
        let height = self.rows();
        let text = TEXT.iter().zip(self.text).map(|(name, values)| Column::from(Series::new((*name).into(), values)));
        let numbers =
            NUMBERS.iter().zip(self.numbers).map(|(name, values)| Column::from(Series::new((*name).into(), values)));
        DataFrame::new(height, text.chain(numbers).collect())
    }
}

/// The spans of one Parquet file written by [`ArchivePart::encode`], and the names of the sources they came from.
///
/// # Errors
/// `archive-damaged` when it is no Parquet file, or lacks a column or an id.
pub fn decode(bytes: &[u8]) -> Result<(SpanBatch, BTreeSet<String>), Diagnostic> {
    let damaged = |why: String| {
        Diagnostic::error("archive-damaged", format!("this is not a span archive of tracebook: {why}"))
            .help("Capture again with `tracebook capture --spans DIR`, or read the traces themselves with --from.")
    };
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(|e| damaged(e.to_string()))?;
    batch_of(&frame).map_err(|e| damaged(e.to_string()))
}

fn batch_of(frame: &DataFrame) -> PolarsResult<(SpanBatch, BTreeSet<String>)> {
    let text = TEXT.iter().map(|name| frame.column(name)?.str()).collect::<PolarsResult<Vec<_>>>()?;
    let numbers = NUMBERS.iter().map(|name| frame.column(name)?.u64()).collect::<PolarsResult<Vec<_>>>()?;
    let (mut batch, mut sources) = (SpanBatch::default(), BTreeSet::new());
    for position in 0..frame.height() {
        let text: Vec<&str> = text.iter().map(|column| column.get(position).unwrap_or("")).collect();
        let numbers: Vec<u64> = numbers.iter().map(|column| column.get(position).unwrap_or(0)).collect();
        let (source, text) = text.split_first().unwrap_or((&"", &[]));
        if !sources.contains(*source) {
            sources.insert((*source).to_owned());
        }
        row_of(&mut batch, text, &numbers)
            .ok_or_else(|| PolarsError::ComputeError(format!("row {position} is malformed").into()))?;
    }
    Ok((batch, sources))
}

fn row_of(batch: &mut SpanBatch, text: &[&str], numbers: &[u64]) -> Option<()> {
    let [
        trace,
        span,
        parent,
        kind,
        name,
        namespace,
        service,
        attributes,
        peer @ ..,
        grpc,
        error_type,
        exception,
        links,
    ] = text
    else {
        return None;
    };
    let [peer_kind, system, peer_name, address, peer_namespace] = peer else { return None };
    let [start, end, weight, flags, http_status] = numbers else { return None };
    let attributes: Vec<(String, String)> = serde_json::from_str(attributes).ok()?;
    let known = |key: &str| semconv::RESOURCE_ATTRIBUTES.iter().map(|(k, _)| *k).find(|k| *k == key);
    let resource = batch.resource_id(&Resource {
        namespace: (*namespace).to_owned(),
        name: (*service).to_owned(),
        attributes: attributes.into_iter().filter_map(|(k, v)| Some((known(&k)?, v))).collect(),
    });
    let peer = batch.peer_id(&Peer {
        kind: PEER_KINDS.iter().find(|(_, name)| name == peer_kind)?.0,
        system: (*system).to_owned(),
        name: (*peer_name).to_owned(),
        address: (*address).to_owned(),
        namespace: (*peer_namespace).to_owned(),
    });
    let error = batch.error_id(&ErrorClass {
        http_status: u16::try_from(*http_status).ok()?,
        grpc_status: (*grpc).to_owned(),
        error_type: (*error_type).to_owned(),
        exception_type: (*exception).to_owned(),
    });
    let parent_id = if parent.is_empty() { SpanId::NONE } else { span_id(parent)? };
    let name = batch.strings.intern(name);
    for link in links.split_whitespace() {
        let (linked_trace, linked_span) = link.split_once(':')?;
        let row = u32::try_from(batch.rows.len()).ok()?;
        batch.links.push(Link { row, trace_id: trace_id(linked_trace)?, span_id: span_id(linked_span)? });
    }
    batch.rows.push(SpanRow {
        trace_id: trace_id(trace)?,
        span_id: span_id(span)?,
        parent_id,
        start: *start,
        end: *end,
        weight: Weight::from_micro(*weight),
        name,
        resource,
        peer,
        error,
        kind: (0..=5).map(SpanKind::from_otlp).find(|k| k.name() == *kind)?,
        flags: SpanFlags(u8::try_from(*flags).ok()?),
    });
    Some(())
}

fn trace_id(hex: &str) -> Option<TraceId> {
    u128::from_str_radix(hex, 16).ok().map(TraceId)
}

fn span_id(hex: &str) -> Option<SpanId> {
    u64::from_str_radix(hex, 16).ok().map(SpanId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> SpanBatch {
        let mut batch = SpanBatch::default();
        let resource = batch.resource_id(&Resource {
            namespace: "shop".into(),
            name: "cart".into(),
            attributes: vec![("service.version", "1.5.0".into())],
        });
        let peer = batch.peer_id(&Peer { kind: PeerKind::Database, system: "redis".into(), ..Peer::default() });
        let error = batch.error_id(&ErrorClass { http_status: 503, ..ErrorClass::default() });
        for i in 1..=3u64 {
            let name = batch.strings.intern(&format!("HGET {i}"));
            batch.rows.push(SpanRow {
                trace_id: TraceId(7),
                span_id: SpanId(i),
                parent_id: SpanId(i - 1),
                start: 1_661_264_986_653_818_537 + i,
                end: 1_661_264_986_653_818_999,
                weight: Weight::from_probability(0.3).unwrap(),
                name,
                resource,
                peer,
                error,
                kind: SpanKind::Client,
                flags: SpanFlags::ERROR,
            });
        }
        batch.links.push(Link { row: 1, trace_id: TraceId(9), span_id: SpanId(11) });
        batch
    }

    #[test]
    fn spans_come_back_from_parquet_as_they_went_in() {
        let before = batch();
        let mut part = ArchivePart::new("trace file");
        part.push(&before);
        let (after, sources) = decode(&part.encode().unwrap()).unwrap();
        assert_eq!(sources, BTreeSet::from(["trace file".to_owned()]));
        assert_eq!(part.rows(), 0);
        assert_eq!(after.rows, before.rows);
        assert_eq!(after.links, before.links);
        assert_eq!(after.resources(), before.resources());
        assert_eq!(after.peers(), before.peers());
        assert_eq!(after.errors(), before.errors());
        assert_eq!(after.strings.get(after.rows[2].name), "HGET 3");
    }

    #[test]
    fn a_file_that_is_no_archive_is_refused() {
        assert_eq!(decode(b"PAR1 nothing PAR1").unwrap_err().code, "archive-damaged");
    }
}
