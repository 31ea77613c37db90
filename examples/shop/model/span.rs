//! One span as the simulation makes it, before any wire format.

use std::rc::Rc;

/// OTLP `SpanKind` by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// An attribute value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Static(&'static str),
    Text(String),
    Int(i64),
}

/// Attributes in the order they are written.
pub(crate) type Attributes = Vec<(&'static str, Value)>;

/// An `exception` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exception {
    pub(crate) time: u64,
    pub(crate) class: &'static str,
    pub(crate) message: &'static str,
}

/// One span. Times are Unix nanoseconds, 0 is "no parent".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) trace_id: u128,
    pub(crate) span_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Position in `World::processes`.
    pub(crate) process: u32,
    /// Which copy of the system; 0 is the system itself.
    pub(crate) cell: u32,
    /// Told apart from spans of the same name by a word, unless 0.
    pub(crate) variant: u64,
    /// Instrumentation library.
    pub(crate) scope: &'static str,
    pub(crate) attributes: Attributes,
    /// Status is ERROR, with this message.
    pub(crate) error: Option<&'static str>,
    pub(crate) exception: Option<Exception>,
    pub(crate) links: Vec<(u128, u64)>,
    pub(crate) trace_state: Option<Rc<str>>,
}

impl Span {
    /// A span that has begun at `start` and carries nothing yet.
    pub(crate) const fn new(
        trace_id: u128,
        (span_id, parent_id): (u64, u64),
        (name, kind): (&'static str, Kind),
        start: u64,
        process: u32,
        scope: &'static str,
    ) -> Self {
        Self {
            trace_id,
            span_id,
            parent_id,
            name,
            kind,
            start,
            end: start,
            process,
            cell: 0,
            variant: 0,
            scope,
            attributes: Vec::new(),
            error: None,
            exception: None,
            links: Vec::new(),
            trace_state: None,
        }
    }
}
