//! A stream without end from one simulated lap: its bytes again and again, each time with ids and times of their own.
//!
//! Simulating a span costs a microsecond or two, patching one a few nanoseconds: what feeds a benchmark must not be slower
//! than what is measured. Each lap follows the one before in time. Every trace of it is a new trace to whoever reads it,
//! so the truth about n laps is n times the truth about one ([`Truth::times`](super::truth::Truth::times)).

use std::io;

use super::emit::Format;
use super::rng::split_mix;

/// What changes from lap to lap, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spot {
    /// 16 bytes.
    Trace,
    /// 8 bytes.
    Span,
    /// 8 bytes, little-endian.
    Time,
    /// 32 and 16 digits.
    TraceHex,
    SpanHex,
    /// 19 digits.
    TimeText,
}

/// The bytes of one lap and the places to change.
#[derive(Debug)]
pub(crate) struct Laps {
    bytes: Vec<u8>,
    spots: Vec<(usize, Spot)>,
    /// How long one lap lasts, nanoseconds.
    period: u64,
    lap: u64,
    mask: (u64, u64, u64),
}

impl Laps {
    pub(crate) fn new(bytes: Vec<u8>, format: Format, period: u64) -> Self {
        let mut spots = Vec::new();
        match format {
            Format::Jsonl => json(&bytes, &mut spots),
            Format::Proto => protobuf(&bytes, 0, &mut spots),
            Format::Delimited | Format::Varint => {
                let mut at = 0;
                while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
                    let (length, prefix) = match (format, rest.first_chunk::<4>()) {
                        (Format::Delimited, Some(length)) => (u32::from_be_bytes(*length) as usize, 4),
                        _ => varint(rest),
                    };
                    let begin = at + prefix;
                    protobuf(bytes.get(begin..begin + length).unwrap_or_default(), begin, &mut spots);
                    at = begin + length;
                }
            }
        }
        Self { bytes, spots, period, lap: 0, mask: (0, 0, 0) }
    }

    /// The bytes of the lap at hand: at first those that were given.
    pub(crate) fn write(&self, out: &mut impl io::Write) -> io::Result<()> {
        out.write_all(&self.bytes)
    }

    /// Turns everything into the next lap.
    pub(crate) fn advance(&mut self) {
        self.lap += 1;
        let mut state = self.lap;
        let mask = (split_mix(&mut state), split_mix(&mut state), split_mix(&mut state));
        // What the last lap had put on comes off with it.
        let change = (mask.0 ^ self.mask.0, mask.1 ^ self.mask.1, mask.2 ^ self.mask.2);
        self.mask = mask;
        for &(at, spot) in &self.spots {
            let Some(rest) = self.bytes.get_mut(at..) else { continue };
            match spot {
                Spot::Trace => {
                    xor(rest, change.0);
                    xor(&mut rest[8..], change.1);
                }
                Spot::Span => xor(rest, change.2),
                Spot::Time => {
                    if let Some(time) = rest.first_chunk_mut::<8>() {
                        *time = u64::from_le_bytes(*time).wrapping_add(self.period).to_le_bytes();
                    }
                }
                Spot::TraceHex => {
                    xor_hex(rest, change.0);
                    xor_hex(&mut rest[16..], change.1);
                }
                Spot::SpanHex => xor_hex(rest, change.2),
                Spot::TimeText => add_text(rest, self.period),
            }
        }
    }
}

fn xor(bytes: &mut [u8], mask: u64) {
    if let Some(id) = bytes.first_chunk_mut::<8>() {
        *id = (u64::from_be_bytes(*id) ^ mask).to_be_bytes();
    }
}

fn xor_hex(digits: &mut [u8], mask: u64) {
    for (position, digit) in digits.iter_mut().take(16).enumerate() {
        let value = if *digit <= b'9' { *digit - b'0' } else { *digit - b'a' + 10 };
        let value = value ^ (mask >> (60 - 4 * position) & 15) as u8;
        *digit = if value < 10 { b'0' + value } else { b'a' + value - 10 };
    }
}

fn add_text(digits: &mut [u8], period: u64) {
    let digits = &mut digits[..19];
    let mut value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')) + period;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// Ids and times by their keys: the writer of this crate puts nothing else behind such a key.
fn json(bytes: &[u8], spots: &mut Vec<(usize, Spot)>) {
    let keys: [(&[u8], Spot); 3] =
        [(b"raceId\":\"", Spot::TraceHex), (b"panId\":\"", Spot::SpanHex), (b"imeUnixNano\":\"", Spot::TimeText)];
    let mut at = 0;
    // Every key ends in `":"`.
    while let Some(rest) = bytes.get(at..) {
        let Some(colon) = rest.iter().position(|byte| *byte == b':') else { return };
        let begin = at + colon + 2;
        if let Some((_, spot)) = keys.iter().find(|(key, _)| bytes.get(..begin).is_some_and(|b| b.ends_with(key))) {
            spots.push((begin, *spot));
        }
        at += colon + 1;
    }
}

/// (value, length).
fn varint(bytes: &[u8]) -> (usize, usize) {
    let mut value = 0;
    for (position, byte) in bytes.iter().take(10).enumerate() {
        value |= usize::from(byte & 127) << (7 * position);
        if *byte < 128 {
            return (value, position + 1);
        }
    }
    (0, bytes.len().max(1))
}

/// Which fields of a message lead on or are a spot.
#[derive(Debug, Clone, Copy)]
enum Level {
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
    Event,
    Link,
}

enum Field {
    Into(Level),
    Is(Spot),
    Skip,
}

fn field(level: Level, number: usize) -> Field {
    match (level, number) {
        (Level::Request, 1) => Field::Into(Level::ResourceSpans),
        (Level::ResourceSpans, 2) => Field::Into(Level::ScopeSpans),
        (Level::ScopeSpans, 2) => Field::Into(Level::Span),
        (Level::Span, 11) => Field::Into(Level::Event),
        (Level::Span, 13) => Field::Into(Level::Link),
        (Level::Span | Level::Link, 1) => Field::Is(Spot::Trace),
        (Level::Span | Level::Link, 2) | (Level::Span, 4) => Field::Is(Spot::Span),
        (Level::Span, 7 | 8) | (Level::Event, 1) => Field::Is(Spot::Time),
        _ => Field::Skip,
    }
}

/// Walks a request that begins at `base` of the lap.
fn protobuf(message: &[u8], base: usize, spots: &mut Vec<(usize, Spot)>) {
    let mut open = vec![(Level::Request, 0, message.len())];
    while let Some((level, mut at, end)) = open.pop() {
        while at < end {
            let (tag, length) = varint(&message[at..end]);
            at += length;
            let (size, length) = match tag & 7 {
                0 => (varint(&message[at..end]).1, 0),
                1 => (8, 0),
                5 => (4, 0),
                _ => varint(&message[at..end]),
            };
            at += length;
            match field(level, tag >> 3) {
                Field::Into(inner) => open.push((inner, at, at + size)),
                Field::Is(spot) if size > 0 => spots.push((base + at, spot)),
                _ => {}
            }
            at += size;
        }
    }
}
