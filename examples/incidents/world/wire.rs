//! The parts of the shop's generator that know nothing of the shop: random numbers, spans, and how spans are written.
//!
//! Purpose: one writer of OTLP for both generators. Input: spans. Output: JSON lines. Must not: be a copy; the files are
//! taken in where they are, and the two small modules below are what they expect to find next to them.

#[path = "../../shop/model/emit.rs"]
#[allow(dead_code, reason = "the shop writes protobuf too")]
mod emit;
#[path = "../../shop/model/rng.rs"]
pub(crate) mod rng;
#[path = "../../shop/model/span.rs"]
pub(crate) mod span;

use std::io;
use std::rc::Rc;

use emit::{Format, Writer};
use span::{Attributes, Span};
use stream::Record;
use world::{Process, World};

/// Spans in one line, at most.
pub(crate) const RECORD: usize = 512;

mod stream {
    /// The spans of one line.
    #[derive(Debug)]
    pub(crate) struct Record {
        pub(crate) spans: Vec<super::span::Span>,
    }
}

mod world {
    /// A pod: what it says of itself.
    #[derive(Debug)]
    pub(crate) struct Process {
        pub(crate) attributes: super::span::Attributes,
    }

    /// All pods, by the position that spans carry.
    #[derive(Debug)]
    pub(crate) struct World {
        pub(crate) processes: Vec<Process>,
    }
}

/// Writes spans as OTLP JSON lines.
#[derive(Debug)]
pub(crate) struct Lines<W>(Writer<W>);

impl<W: io::Write> Lines<W> {
    /// `pods`: the resource attributes of each process that spans may name.
    pub(crate) fn new(pods: Vec<Attributes>, out: W) -> Self {
        let processes = pods.into_iter().map(|attributes| Process { attributes }).collect();
        Self(Writer::new(Rc::new(World { processes }), Format::Jsonl, out))
    }

    /// One line.
    pub(crate) fn write(&mut self, spans: Vec<Span>) -> io::Result<()> {
        self.0.write(&Record { spans })
    }

    /// Gives the output back.
    pub(crate) fn into_inner(self) -> W {
        self.0.into_inner()
    }
}
