//! The fast path of OTLP JSON: what exporters write, read without serde.
//!
//! Input: the text of a record. Output: its spans in a [`Target`], exactly as the reference (the serde visitors beside this
//! module) would give them, or a doubt. It reads the whole grammar, but of what OTLP can look like only what is common: a
//! span or resource with anything else in it (escapes in a wanted string, a float, a wrong type) is found to its end and
//! given to the reference by itself; in all other doubts the caller gives the document to the reference, which skips
//! the spans handed over before.
//! Must not: explain an error, hand over a span before it is read to its end, or hand one over that the reference would not.

mod attributes;
mod digits;
mod envelope;
mod scan;
mod span;

use super::envelope::{Kinds, Target};
use scan::{Scanner, Unsure};

/// Why the fast path ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// The reference has to read the text again, skipping the spans seen.
    Unsure,
    /// The receiver wants no more; how many bytes were read by then.
    Stopped(usize),
}

impl From<Unsure> for Halt {
    fn from(_: Unsure) -> Self {
        Self::Unsure
    }
}

/// Reads all documents of a text, and says of each what it was found to hold.
pub(super) fn documents(text: &str, target: &mut Target<'_>) -> Result<Vec<Kinds>, Halt> {
    envelope::documents(Scanner::new(text), target)
}

#[cfg(test)]
mod tests;
