//! Appending fields to a protobuf message.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// Wire types.
const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const DELIMITED: u32 = 2;
const FIXED32: u32 = 5;

fn number(mut n: u64, put: &mut dyn FnMut(u8)) {
    while n >= 0x80 {
        put((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    put(n as u8);
}

fn tag(out: &mut Vec<u8>, field: u32, kind: u32) {
    number(u64::from(field << 3 | kind), &mut |byte| out.push(byte));
}

pub(super) fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    number(value, &mut |byte| out.push(byte));
}

pub(super) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, DELIMITED);
    number(value.len() as u64, &mut |byte| out.push(byte));
    out.extend_from_slice(value);
}

/// Where a message inside begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    /// Before its tag.
    before: usize,
    /// Before its content; its length goes there.
    content: usize,
}

/// Begins a message inside; its fields come next.
pub(super) fn begin(out: &mut Vec<u8>, field: u32) -> Begun {
    let before = out.len();
    tag(out, field, DELIMITED);
    Begun { before, content: out.len() }
}

/// Ends it: only now its length is known, so what it holds makes room for it.
pub(super) fn end(out: &mut Vec<u8>, begun: Begun) {
    let length = out.len().saturating_sub(begun.content) as u64;
    let (mut encoded, mut size) = ([0; 10], 0);
    number(length, &mut |byte| {
        if let Some(place) = encoded.get_mut(size) {
            *place = byte;
        }
        size += 1;
    });
    out.splice(begun.content..begun.content, encoded.into_iter().take(size));
}

/// Takes it back.
pub(super) fn forget(out: &mut Vec<u8>, begun: Begun) {
    out.truncate(begun.before);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_inside_has_its_length_ahead_whatever_it_is() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = vec![9];
            let begun = begin(&mut out, 2);
            bytes(&mut out, 1, &vec![7; length]);
            end(&mut out, begun);
            let mut inner = Vec::new();
            bytes(&mut inner, 1, &vec![7; length]);
            let mut want = vec![9];
            bytes(&mut want, 2, &inner);
            assert_eq!(out, want);
            forget(&mut out, begun);
            assert_eq!(out, [9]);
        }
    }

    #[test]
    fn numbers_are_written_as_protobuf_has_them() {
        let mut out = Vec::new();
        varint(&mut out, 1, 150);
        varint(&mut out, 1_000, u64::MAX);
        fixed32(&mut out, 16, 1);
        fixed64(&mut out, 7, 2);
        let mut want = vec![0x08, 0x96, 0x01, 0xc0, 0x3e];
        want.extend([0xff; 9]);
        want.extend([1, 0x85, 0x01, 1, 0, 0, 0, 0x39, 2, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(out, want);
    }
}
