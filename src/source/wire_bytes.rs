//! Reading the values of protobuf fields in place, in the plain form that every exporter writes.
//!
//! Input: the bytes of a message. Output: its fields one after the other, or [`Odd`] for whatever is not worth deciding here
//! because the reference decides it. Nothing is copied, and nothing that is not asked for is looked at.

use super::wire;

/// Not the plain form: for the reference to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Odd;

/// An enum's number: the low 32 bits, as protobuf has it.
#[allow(clippy::cast_possible_truncation, reason = "meant")]
#[inline]
pub(super) fn enumeration(n: u64) -> i32 {
    n as i32
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32,
}

/// The rest of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next byte: the tag of a field below 16.
    #[inline]
    pub(super) fn peek(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// Steps over a tag of one byte.
    #[inline]
    pub(super) fn skip_tag(&mut self) -> &mut Self {
        self.0 = self.0.split_first().map_or(&[], |(_, rest)| rest);
        self
    }

    /// A length-delimited field with this tag of one byte, if it is the next one and whole.
    #[inline(always)]
    pub(super) fn plain(&mut self, tag: u8) -> Option<&'a [u8]> {
        let mut rest = *self;
        if rest.peek() != Some(tag) {
            return None;
        }
        let bytes = rest.skip_tag().bytes().ok()?;
        *self = rest;
        Some(bytes)
    }

    /// A field of any number and wire type but groups.
    pub(super) fn field(&mut self) -> Result<(u64, Payload<'a>), Odd> {
        let tag = self.varint()?;
        // The reference takes numbers of 29 bits.
        if tag > u64::from(u32::MAX) || tag < 8 {
            return Err(Odd);
        }
        let payload = match tag & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => {
                self.fixed64()?;
                Payload::Fixed64
            }
            2 => Payload::Bytes(self.bytes()?),
            5 => {
                let (_, rest) = self.0.split_first_chunk::<4>().ok_or(Odd)?;
                self.0 = rest;
                Payload::Fixed32
            }
            _ => return Err(Odd),
        };
        Ok((tag >> 3, payload))
    }

    /// A field; those of these numbers must be length-delimited.
    #[inline]
    pub(super) fn known_field(&mut self, delimited: &[u64]) -> Result<(u64, Payload<'a>), Odd> {
        let field = self.field()?;
        if delimited.contains(&field.0) && !matches!(field.1, Payload::Bytes(_)) { Err(Odd) } else { Ok(field) }
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Odd> {
        match self.0.split_first() {
            Some((&first, rest)) if first < 0x80 => {
                self.0 = rest;
                Ok(u64::from(first))
            }
            Some((&first, [second @ ..0x80, rest @ ..])) => {
                self.0 = rest;
                Ok(u64::from(first & 0x7f) | u64::from(*second) << 7)
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Odd> {
        let (number, length) = wire::varint(self.0).ok_or(Odd)?;
        // Ten bytes hold 70 bits; the reference refuses those beyond 64.
        let (read, rest) = self.0.split_at_checked(length).ok_or(Odd)?;
        if length == 10 && read.last().is_some_and(|last| *last > 1) {
            return Err(Odd);
        }
        self.0 = rest;
        Ok(number)
    }

    #[inline]
    pub(super) fn enumeration(&mut self) -> Result<i32, Odd> {
        self.varint().map(enumeration)
    }

    #[inline]
    pub(super) fn fixed64(&mut self) -> Result<u64, Odd> {
        let (bytes, rest) = self.0.split_first_chunk::<8>().ok_or(Odd)?;
        self.0 = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Odd> {
        let length = usize::try_from(self.varint()?).map_err(|_| Odd)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Odd)?;
        self.0 = rest;
        Ok(bytes)
    }
}
