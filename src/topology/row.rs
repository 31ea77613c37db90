//! Spans and links as fixed-size records of bytes, for partitions in memory and in spill files.
//!
//! Little-endian, no padding. The numbers that stand for names are positions in the store's dictionaries, so a record
//! means something only within its run.

use crate::spans::{SpanFlags, SpanKind};

/// A span as it is kept until its trace is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StoredSpan {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) parent: u64,
    pub(super) start: u64,
    pub(super) end: u64,
    /// Millionths of a call.
    pub(super) weight: u64,
    pub(super) service: u32,
    /// Position of (service, operation name).
    pub(super) op: u32,
    pub(super) resource: u32,
    pub(super) peer: u32,
    pub(super) error: u32,
    pub(super) kind: SpanKind,
    pub(super) flags: SpanFlags,
}

/// A link, kept with the linked trace: which span is linked, and everything needed of the span that links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct StoredLink {
    pub(super) linked_trace: u128,
    pub(super) linked_span: u64,
    pub(super) from: StoredSpan,
}

/// Takes fixed-size numbers off the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }
}

impl StoredSpan {
    /// Bytes of a record.
    pub(super) const BYTES: usize = 16 + 5 * 8 + 5 * 4 + 2;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let mut record = [0; Self::BYTES];
        let mut rest = record.as_mut_slice();
        let mut put = |bytes: &[u8]| {
            if let Some((head, tail)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                head.copy_from_slice(bytes);
                rest = tail;
            }
        };
        put(&self.trace.to_le_bytes());
        for word in [self.span, self.parent, self.start, self.end, self.weight] {
            put(&word.to_le_bytes());
        }
        for word in [self.service, self.op, self.resource, self.peer, self.error] {
            put(&word.to_le_bytes());
        }
        put(&[self.kind as u8, self.flags.0]);
        out.extend_from_slice(&record);
    }

    pub(super) fn get(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Cursor(bytes);
        Some(Self {
            trace: bytes.u128()?,
            span: bytes.u64()?,
            parent: bytes.u64()?,
            start: bytes.u64()?,
            end: bytes.u64()?,
            weight: bytes.u64()?,
            service: bytes.u32()?,
            op: bytes.u32()?,
            resource: bytes.u32()?,
            peer: bytes.u32()?,
            error: bytes.u32()?,
            kind: SpanKind::from_otlp(i32::from(bytes.take::<1>()?[0])),
            flags: SpanFlags(bytes.take::<1>()?[0]),
        })
    }
}

impl StoredLink {
    /// Bytes of a record.
    pub(super) const BYTES: usize = 16 + 8 + StoredSpan::BYTES;

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.linked_trace.to_le_bytes());
        out.extend_from_slice(&self.linked_span.to_le_bytes());
        self.from.put(out);
    }

    pub(super) fn get(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let (linked_trace, linked_span) = (cursor.u128()?, cursor.u64()?);
        Some(Self { linked_trace, linked_span, from: StoredSpan::get(cursor.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_survives_its_record() {
        let from = StoredSpan {
            trace: u128::MAX - 1,
            span: 2,
            parent: 3,
            start: 4,
            end: u64::MAX,
            weight: 6,
            service: 77,
            op: 7,
            resource: 8,
            peer: 9,
            error: u32::MAX,
            kind: SpanKind::Consumer,
            flags: SpanFlags(0b1010),
        };
        let link = StoredLink { linked_trace: 11, linked_span: 12, from };
        let mut bytes = Vec::new();
        link.put(&mut bytes);
        assert_eq!(bytes.len(), StoredLink::BYTES);
        assert_eq!(StoredLink::get(&bytes), Some(link));
        assert_eq!(StoredLink::get(&bytes[1..]), None);
    }
}
