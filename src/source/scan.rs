//! Where records, messages and documents begin and end in bytes that lie in memory.
//!
//! Works on as much as has been read so far, and says how much more it takes to go on. Reads lengths and the ends of lines,
//! nothing else.

use std::io::BufRead as _;

use super::detect::Format;
use super::wire;

/// Records grow to about this many bytes before they are handed on.
pub(super) const TARGET: usize = 256 << 10;
/// Messages in one record, at most: empty ones have no bytes to count.
pub(super) const MAX_MESSAGES: usize = 16_384;

/// Why a scan has stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// A record is full.
    Full,
    /// The next message needs this many bytes in all, as far as can be seen.
    Short(usize),
    /// The next message is larger than allowed.
    TooLarge,
    /// There is no message.
    Broken,
}

/// How far the whole messages go, and why no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) taken: usize,
    pub(super) stop: Stop,
}

/// Finds the messages at the start of a framed stream and appends where each begins and ends.
pub(super) fn frames(format: Format, bytes: &[u8], max: usize, messages: &mut Vec<(usize, usize)>) -> Scan {
    let mut taken = 0;
    let mut found = 0;
    let stop = loop {
        if taken >= TARGET || found >= MAX_MESSAGES {
            break Stop::Full;
        }
        let rest = bytes.get(taken..).unwrap_or_default();
        match frame(format, rest) {
            Ok((_, length)) if length > max as u64 => break Stop::TooLarge,
            Ok((head, length)) => {
                let end = taken.saturating_add(head).saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
                if end > bytes.len() {
                    break Stop::Short(end);
                }
                messages.push((taken + head, end));
                (taken, found) = (end, found + 1);
            }
            Err(Stop::Short(more)) => break Stop::Short(taken.saturating_add(more)),
            Err(stop) => break stop,
        }
    };
    Scan { taken, stop }
}

/// The length of what stands before a message, and that of the message.
fn frame(format: Format, bytes: &[u8]) -> Result<(usize, u64), Stop> {
    match format {
        Format::ProtobufVarint => varint(bytes).map(|(length, head)| (head, length)),
        // Each field of the one message is a message of its own.
        Format::Protobuf => {
            let (tag, at) = varint(bytes)?;
            let rest = bytes.get(at..).unwrap_or_default();
            let after = |stop| if let Stop::Short(more) = stop { Stop::Short(more + at) } else { stop };
            match tag & 7 {
                0 => varint(rest).map(|(_, size)| (at + size, 0)).map_err(after),
                1 => Ok((at, 8)),
                2 => varint(rest).map(|(length, size)| (at + size, length)).map_err(after),
                5 => Ok((at, 4)),
                _ => Err(Stop::Broken),
            }
        }
        _ => match bytes.first_chunk::<4>() {
            Some(length) => Ok((4, u64::from(u32::from_be_bytes(*length)))),
            None => Err(Stop::Short(4)),
        },
    }
}

fn varint(bytes: &[u8]) -> Result<(u64, usize), Stop> {
    let broken = || if bytes.len() < 10 { Stop::Short(bytes.len() + 1) } else { Stop::Broken };
    wire::varint(bytes).ok_or_else(broken)
}

/// Finds the end of a record of JSON documents, line by line.
///
/// It lies between a line that ends in `}` or `]` and one that starts with `{` or `[`. Inside a document a comma must stand
/// between the two, and a string cannot hold a line break, so this is always the border of two documents.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where the record starts: blank lines before a document are no part of it.
    pub(super) start: usize,
    /// Lines before it.
    pub(super) skipped: u64,
    /// Lines in the record up to `at`.
    pub(super) lines: u64,
    /// Where the line looked at starts.
    at: usize,
    /// No line ends between `at` and here.
    searched: usize,
    /// Whether the last visible byte closes something.
    closed: bool,
    /// The last border so far, and the lines before it.
    border: Option<(usize, u64)>,
    /// Starts of lines with marks to be blanked.
    pub(super) marks: Vec<usize>,
}

/// What stands at the start of a line without being part of it: a byte-order mark, as files may be joined ones, or a record
/// separator.
fn mark(line: &[u8]) -> usize {
    if line.starts_with(b"\xef\xbb\xbf") { 3 } else { usize::from(line.first() == Some(&0x1e)) }
}

/// Turns marks into spaces.
pub(super) fn blank(bytes: &mut [u8], marks: &[usize]) {
    for start in marks {
        if let Some(line) = bytes.get_mut(*start..) {
            let length = mark(line);
            line.iter_mut().take(length).for_each(|b| *b = b' ');
        }
    }
}

impl Lines {
    /// Goes on where the last call stopped. `Ok` is the end of the record, which is its start where nothing visible is left.
    pub(super) fn scan(&mut self, bytes: &[u8], max: usize, ended: bool) -> Result<usize, Stop> {
        loop {
            let mut rest = bytes.get(self.searched..).unwrap_or_default();
            let length = rest.skip_until(b'\n').unwrap_or(0);
            let end = self.searched + length;
            let whole = end > self.at && bytes.get(end - 1) == Some(&b'\n');
            let line = bytes.get(self.at..end).unwrap_or_default();
            if line.is_empty() && ended {
                return Ok(end);
            }
            let marked = mark(line);
            let visible = line.get(marked..).unwrap_or_default();
            let first = visible.iter().find(|b| !b.is_ascii_whitespace()).copied();
            if self.closed && matches!(first, Some(b'{' | b'[')) {
                if self.at - self.start >= TARGET {
                    return Ok(self.at);
                }
                self.border = Some((self.at, self.lines));
            }
            if !whole && !ended {
                self.searched = end;
                // A few bytes more than allowed: by then a mark is there as a whole.
                return if end - self.start > max.saturating_add(3) { self.over() } else { Err(Stop::Short(end + 1)) };
            }
            if end - self.start > max {
                return self.over();
            }
            if marked > 0 {
                self.marks.push(self.at);
            }
            match visible.iter().rfind(|b| !b.is_ascii_whitespace()) {
                Some(last) => self.closed = matches!(last, b'}' | b']'),
                None if self.is_blank() => {
                    (self.start, self.skipped) = (end, self.skipped + u64::from(whole));
                    self.marks.clear();
                }
                None => {}
            }
            if self.start < end {
                self.lines += u64::from(whole);
            }
            (self.at, self.searched) = (end, end);
        }
    }

    /// The record is over the limit, unless documents before the last border are enough for one.
    fn over(&mut self) -> Result<usize, Stop> {
        let (at, lines) = self.border.ok_or(Stop::TooLarge)?;
        self.lines = lines;
        self.marks.retain(|mark| *mark < at);
        Ok(at)
    }

    /// The border to stop at if no more can be read.
    pub(super) fn stop_here(&mut self) -> Option<usize> {
        self.over().ok()
    }

    /// Whether nothing visible has come yet.
    pub(super) fn is_blank(&self) -> bool {
        self.start == self.at
    }

    /// What was before the start is no longer there.
    pub(super) fn shift(&mut self) {
        let by = std::mem::take(&mut self.start);
        self.at -= by;
        self.searched -= by;
        self.marks.iter_mut().for_each(|mark| *mark -= by);
        self.border = self.border.map(|(at, lines)| (at - by, lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_says_how_much_it_needs() {
        for (format, bytes, taken, stop) in [
            (Format::ProtobufFixed, &[0, 0, 0, 1, 9, 0, 0][..], 5, Stop::Short(9)),
            (Format::ProtobufFixed, &[0, 0, 0, 2, 9], 0, Stop::Short(6)),
            (Format::ProtobufFixed, &[0, 0, 1, 0], 0, Stop::TooLarge),
            (Format::ProtobufVarint, &[1, 9, 0x80], 2, Stop::Short(4)),
            (Format::ProtobufVarint, &[0xff; 11], 0, Stop::Broken),
            (Format::Protobuf, &[0x0a, 1, 9, 0x0a, 5, 9], 3, Stop::Short(10)),
            (Format::Protobuf, &[0x0a], 0, Stop::Short(2)),
            (Format::Protobuf, &[8, 0x80], 0, Stop::Short(3)),
            (Format::Protobuf, &[0x0b, 1], 0, Stop::Broken),
            (Format::Protobuf, &[0x0d, 1, 2, 3, 4, 9], 5, Stop::Short(14)),
        ] {
            assert_eq!(frames(format, bytes, 99, &mut Vec::new()), Scan { taken, stop }, "{bytes:?}");
        }
        let empty = vec![0; MAX_MESSAGES + 1];
        let mut messages = Vec::new();
        let want = Scan { taken: MAX_MESSAGES, stop: Stop::Full };
        assert_eq!(frames(Format::ProtobufVarint, &empty, 99, &mut messages), want);
        assert_eq!(messages.len(), MAX_MESSAGES);
    }

    proptest! {
        #[test]
        fn lines_end_at_the_same_place_however_the_bytes_arrive(
            text in "([{}\\[\\]\",\na\u{feff}\u{1e}]|\\{\"a\":1\\}\n){0,60}", max in 1usize..200, step in 1usize..9,
        ) {
            let bytes = text.as_bytes();
            let at_once = Lines::default().scan(bytes, max, true);
            let mut lines = Lines::default();
            let mut read = 0;
            let bit_by_bit = loop {
                read = (read + step).min(bytes.len());
                match lines.scan(&bytes[..read], max, read == bytes.len()) {
                    Err(Stop::Short(_)) if read < bytes.len() => {}
                    done => break done,
                }
            };
            prop_assert_eq!(at_once, bit_by_bit);
        }
    }
}
