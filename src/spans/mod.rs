//! Spans as the rest of tracebook sees them.
//!
//! Purpose: ids, newtypes, the dictionary-coded span batch, and the tables of OpenTelemetry semantic conventions.
//! Input: what a source's mapper pushes. Output: [`SpanBatch`].
//! Must not: know any wire format, do IO, or aggregate.

pub mod aggregate;
#[cfg(feature = "archive")]
pub mod archive;
mod batch;
mod epoch;
pub(crate) mod hash;
mod ids;
pub mod normalize;
pub mod semconv;
mod strings;
mod weight;

pub use batch::{
    ErrorClass, ErrorId, Link, Peer, PeerId, PeerKind, Resource, ResourceId, SpanBatch, SpanFlags, SpanKind, SpanRow,
};
pub use epoch::Epoch;
pub use ids::{IdError, SpanId, TraceId, UnixNanos};
pub use strings::{Strings, Sym};
pub use weight::{Weight, joined};
