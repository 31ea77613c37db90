//! A sink that remembers what came, and how to pull.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tracebook::diag::Diagnostic;
use tracebook::source::{NoProgress, SourceOptions, SourceReport, SpanSink, open};
use tracebook::spans::{SpanBatch, SpanId, TraceId, UnixNanos};

/// Spans as text, so that answers of different origin can be compared: by trace and span id.
#[derive(Default)]
pub(crate) struct Collected {
    rows: BTreeMap<(TraceId, SpanId), Vec<String>>,
}

/// Short, for failed assertions.
impl std::fmt::Debug for Collected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} spans of {} traces", self.spans(), self.traces().len())
    }
}

impl Collected {
    pub(crate) fn spans(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn duplicates(&self) -> usize {
        self.rows.values().map(|copies| copies.len() - 1).sum()
    }

    pub(crate) fn traces(&self) -> BTreeSet<TraceId> {
        self.rows.keys().map(|(trace, _)| *trace).collect()
    }

    pub(crate) fn spans_of(&self, trace: TraceId) -> Vec<&str> {
        let spans = (trace, SpanId(0))..=(trace, SpanId(u64::MAX));
        self.rows.range(spans).flat_map(|(_, copies)| copies).map(String::as_str).collect()
    }
}

/// Collects every row, resolved to text.
#[derive(Default)]
pub(crate) struct Sink(Mutex<Collected>);

impl Sink {
    pub(crate) fn into_inner(self) -> Collected {
        self.0.into_inner().unwrap()
    }
}

impl SpanSink for Sink {
    fn push(&self, batch: &SpanBatch) -> Result<(), Diagnostic> {
        let mut all = self.0.lock().unwrap();
        for (i, row) in batch.rows.iter().enumerate() {
            let links: Vec<_> =
                batch.links.iter().filter(|l| l.row as usize == i).map(|l| (l.trace_id, l.span_id)).collect();
            let text = format!(
                "{} {} {}..{} {:?} {:?} w{} {:?} {:?} {:?} {links:?}",
                batch.strings.get(row.name),
                row.parent_id,
                row.start,
                row.end,
                row.kind,
                row.flags,
                row.weight,
                batch.resources().get(row.resource.0 as usize),
                batch.peers().get(row.peer.0 as usize),
                batch.errors().get(row.error.0 as usize),
            );
            all.rows.entry((row.trace_id, row.span_id)).or_default().push(text);
        }
        Ok(())
    }
}

/// Options for a window in unix seconds.
pub(crate) fn options(window: (u64, u64)) -> SourceOptions {
    let nanos = |seconds: u64| UnixNanos(seconds * 1_000_000_000);
    SourceOptions { window: Some((nanos(window.0), nanos(window.1))), threads: 2, ..SourceOptions::default() }
}

/// The same with little patience, for servers that are meant to fail.
pub(crate) fn hasty(window: (u64, u64)) -> SourceOptions {
    SourceOptions { timeout: Duration::from_millis(1500), ..options(window) }
}

/// Pulls everything.
pub(crate) fn pull(url: &str, options: &SourceOptions) -> Result<(Collected, SourceReport), Diagnostic> {
    let sink = Sink::default();
    let report = open(url, options)?.read(&sink, &NoProgress)?;
    Ok((sink.into_inner(), report))
}
