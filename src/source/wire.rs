//! The protobuf wire format, as far as it takes to find where fields begin and end.
//!
//! Used to cut a file into records and to save the good spans of a message that has a bad one; never to read values.
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// One field of a message: its number, and its bytes where it is length-delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) number: u64,
    pub(super) bytes: Option<&'a [u8]>,
}

/// The framing is broken: the data is cut short or is no protobuf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

/// Walks over the fields of a message; ends after the first break.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    broken: bool,
}

/// The fields of a message in wire order.
pub(super) fn fields(message: &[u8]) -> Fields<'_> {
    Fields { rest: message, broken: false }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Broken>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.broken {
            return None;
        }
        let field = self.field();
        self.broken = field.is_none();
        Some(field.ok_or(Broken))
    }
}

impl<'a> Fields<'a> {
    /// What has not been walked over.
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    fn field(&mut self) -> Option<Field<'a>> {
        let tag = self.varint()?;
        let number = tag >> 3;
        let bytes = match tag & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => self.take(4).map(|_| None)?,
            // Groups were gone before OTLP began.
            _ => return None,
        };
        (number > 0).then_some(Field { number, bytes })
    }

    fn varint(&mut self) -> Option<u64> {
        let (number, length) = varint(self.rest)?;
        self.rest = self.rest.get(length..)?;
        Some(number)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

/// A varint at the start of the bytes: its value and its length. `None` when it is cut short or longer than 10 bytes.
#[inline]
pub(super) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    // Tags, and lengths below 16 KiB.
    match bytes {
        [first @ ..0x80, ..] => Some((u64::from(*first), 1)),
        [first, second @ ..0x80, ..] => Some((u64::from(first & 0x7f) | u64::from(*second) << 7, 2)),
        _ => long_varint(bytes),
    }
}

fn long_varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    for (i, (b, shift)) in bytes.iter().zip((0..=63).step_by(7)).enumerate() {
        number |= u64::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Some((number, i + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_of_every_wire_type_are_stepped_over() {
        let message = [0x08, 0x96, 0x01, 0x12, 2, 7, 8, 0x19, 0, 0, 0, 0, 0, 0, 0, 0, 0x25, 0, 0, 0, 0];
        let seen: Vec<_> = fields(&message).map(Result::unwrap).map(|f| (f.number, f.bytes)).collect();
        assert_eq!(seen, [(1, None), (2, Some(&[7, 8][..])), (3, None), (4, None)]);
    }

    #[test]
    fn a_field_cut_short_is_broken_once() {
        let seen: Vec<_> = fields(&[0x12, 5, 1]).collect();
        assert_eq!(seen, [Err(Broken)]);
        assert_eq!(varint(&[0x80; 11]), None);
        assert_eq!(varint(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Some((u64::MAX, 10)));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(fields(&bytes).count() <= bytes.len());
        }
    }
}
