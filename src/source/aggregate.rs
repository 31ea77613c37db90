//! Sources that count by themselves: a backend's engine does the work, and what comes over is totals.
//!
//! A new one is a file that offers `claims` and `open`, and a line in [`KINDS`].

use super::{Progress, SourceOptions, SourceReport, SpanSink, honeycomb, prometheus, tempo};
use crate::diag::Diagnostic;
use crate::spans::aggregate::Aggregate;

/// One source of aggregates.
pub trait AggregateSource {
    /// What goes into the snapshot's provenance: `prometheus://host:9090`. No user, no token, no query.
    fn describe(&self) -> String;

    /// Everything the backend counted in the window, and what it has to say besides.
    ///
    /// # Errors
    /// A coded diagnostic when the whole answer cannot be had.
    fn read(&mut self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic>;

    /// Pushes some whole traces of what [`Self::read`] counted, at most `most`, or as many as suits the source: examples to
    /// look at, chosen so that slow and failed requests are among them, and no sample to count. Nothing where there are none.
    ///
    /// # Errors
    /// What kept the backend from giving them. What was pushed before must then be thrown away.
    fn examples(
        &mut self,
        _most: Option<u64>,
        _sink: &dyn SpanSink,
        _progress: &dyn Progress,
    ) -> Result<SourceReport, Diagnostic> {
        Ok(SourceReport::default())
    }
}

type Opened = Result<Box<dyn AggregateSource>, Diagnostic>;

/// A kind of source: whether a URL names one, and how to open it. Nothing is connected to by opening.
struct Kind {
    claims: fn(&str) -> bool,
    open: fn(&str, &SourceOptions) -> Opened,
}

const KINDS: &[Kind] = &[
    Kind { claims: honeycomb::claims, open: honeycomb::open },
    Kind { claims: prometheus::claims, open: prometheus::open },
    Kind { claims: tempo::counts, open: tempo::open_counts },
];

fn kind(from: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| (kind.claims)(from))
}

/// A source that takes a key of its own: the environment variable that holds it, and the header in which it goes.
#[must_use]
pub fn credential(from: &str) -> Option<(&'static str, &'static str)> {
    honeycomb::credential(from)
}

/// Whether this names a source of aggregates.
#[must_use]
pub fn counts(from: &str) -> bool {
    kind(from).is_some()
}

/// Whether it also has traces to give as examples.
#[must_use]
pub fn exemplifies(from: &str) -> bool {
    tempo::counts(from)
}

/// The source of aggregates a URL names; `None` when it names something else.
///
/// # Errors
/// `source-url` for a URL that cannot work.
pub fn open_aggregate(from: &str, options: &SourceOptions) -> Option<Result<Box<dyn AggregateSource>, Diagnostic>> {
    kind(from).map(|kind| (kind.open)(from, options))
}
