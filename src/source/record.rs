//! Cutting a stream into records that can be decoded apart.
//!
//! A record is a run of whole JSON documents or of whole protobuf messages, about [`TARGET`] bytes of them where they are
//! small, one where it is large. Messages packed one by one are unpacked; nothing else is decoded here. No record is larger than the limit given.

use std::io::{self, BufRead, Read as _};
use std::sync::Arc;

use super::detect::{self, Format};
use super::{compression, wire};

/// Records grow to about this many bytes before they are handed on.
const TARGET: usize = 256 << 10;
/// Messages in one record, at most: empty ones have no bytes to count.
const MAX_MESSAGES: usize = 16_384;

/// Some whole documents or messages.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Position among all records of the source, from 0.
    pub(super) number: u64,
    /// The file's name, for messages.
    pub(super) file: Arc<str>,
    /// Whether the bytes are JSON or protobuf.
    pub(super) is_json: bool,
    /// The bytes.
    pub(super) bytes: Vec<u8>,
    /// Where each message ends in them; none for a run of JSON documents.
    pub(super) ends: Vec<usize>,
    /// 1-based line at which a JSON record starts.
    pub(super) line: u64,
    /// 1-based number of the first message.
    pub(super) message: u64,
    /// Where the record starts in the unpacked stream.
    pub(super) offset: u64,
}

/// Why no further record can be cut.
#[derive(Debug)]
pub(super) enum CutError {
    /// The stream cannot be read.
    Read(io::Error),
    /// A single document or message is larger than allowed; where it starts.
    TooLarge { line: Option<u64>, offset: u64 },
    /// The stream ends within a message, which starts at this offset.
    CutShort { offset: u64 },
    /// There is no message at this offset.
    Broken { offset: u64 },
    /// The message at this offset cannot be unpacked.
    Packed { offset: u64, error: io::Error },
}

impl From<io::Error> for CutError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// Cuts one stream.
pub(super) struct Cutter<'r> {
    reader: Box<dyn BufRead + 'r>,
    format: Format,
    max: usize,
    line: u64,
    offset: u64,
    message: u64,
    /// A line read too far: the start of the next JSON record.
    ahead: Vec<u8>,
    /// An unpacked message read too far: the start of the next record.
    held: Option<Message>,
}

/// A message that was packed by itself.
struct Message {
    /// Whether it is JSON rather than protobuf; unknown of an empty one.
    is_json: Option<bool>,
    bytes: Vec<u8>,
    number: u64,
    offset: u64,
}

impl<'r> Cutter<'r> {
    /// A cutter of a stream of this format, with the largest size of a single document or message in bytes.
    pub(super) fn new(reader: Box<dyn BufRead + 'r>, format: Format, max: usize) -> Self {
        Self { reader, format, max, line: 1, offset: 0, message: 1, ahead: Vec::new(), held: None }
    }

    /// The next record, or `None` at the end. Its `number` and `file` are left for the caller to fill.
    ///
    /// # Errors
    /// See [`CutError`]; the stream is at its end then.
    pub(super) fn next(&mut self) -> Result<Option<Record>, CutError> {
        match self.format {
            Format::Json => self.json(),
            Format::Protobuf => self.fields(),
            Format::ProtobufFixed | Format::ProtobufVarint => self.messages(),
            Format::PackedFixed => self.packed(),
            Format::Empty | Format::Unknown(_) => Ok(None),
        }
    }

    /// Cuts between a line that ends in `}` or `]` and one that starts with `{` or `[`. Inside a document a comma must
    /// stand between the two, and a string cannot hold a line break, so this is always the border of two documents.
    fn json(&mut self) -> Result<Option<Record>, CutError> {
        let mut record = Record { is_json: true, line: self.line, offset: self.offset, ..Record::default() };
        let mut closed = false;
        loop {
            let mut line = std::mem::take(&mut self.ahead);
            if line.is_empty() {
                // One byte more than allowed tells a line that just fits from one that does not.
                let room = self.max.saturating_add(1).saturating_sub(record.bytes.len());
                self.reader.by_ref().take(room as u64).read_until(b'\n', &mut line)?;
            }
            if line.is_empty() {
                return Ok((!record.bytes.is_empty()).then_some(record));
            }
            // A line longer than there was room for comes in pieces.
            let whole_line = record.bytes.last().is_none_or(|b| *b == b'\n');
            if whole_line {
                blank_marks(&mut line);
            }
            let first = line.iter().find(|b| !b.is_ascii_whitespace()).copied();
            let border = closed && whole_line && matches!(first, Some(b'{' | b'['));
            if border && (record.bytes.len() >= TARGET || record.bytes.len().saturating_add(line.len()) > self.max) {
                self.ahead = line;
                return Ok(Some(record));
            }
            if record.bytes.len().saturating_add(line.len()) > self.max {
                return Err(CutError::TooLarge { line: Some(record.line), offset: record.offset });
            }
            if let Some(last) = line.iter().rfind(|b| !b.is_ascii_whitespace()) {
                closed = matches!(last, b'}' | b']');
            }
            self.offset = self.offset.saturating_add(line.len() as u64);
            self.line = self.line.saturating_add(u64::from(line.ends_with(b"\n")));
            if record.bytes.is_empty() {
                if first.is_none() {
                    // Blank lines before a document are no part of it.
                    (record.line, record.offset) = (self.line, self.offset);
                } else {
                    record.bytes = line;
                }
            } else {
                record.bytes.append(&mut line);
            }
        }
    }

    /// One message over the whole stream: each of its fields is a message of its own.
    fn fields(&mut self) -> Result<Option<Record>, CutError> {
        let mut record = Record { message: self.message, offset: self.offset, ..Record::default() };
        while record.bytes.len() < TARGET {
            let start = self.offset;
            let Some(tag) = self.varint(&mut record.bytes, start)? else { break };
            let cut_short = CutError::CutShort { offset: start };
            let length = match tag & 7 {
                0 => {
                    self.varint(&mut record.bytes, start)?.ok_or(cut_short)?;
                    0
                }
                1 => 8,
                2 => self.varint(&mut record.bytes, start)?.ok_or(cut_short)?,
                5 => 4,
                _ => return Err(CutError::Broken { offset: start }),
            };
            self.body(&mut record.bytes, length, start)?;
            self.message = self.message.saturating_add(1);
        }
        record.ends.push(record.bytes.len());
        Ok((!record.bytes.is_empty()).then_some(record))
    }

    /// Messages, each after its length.
    fn messages(&mut self) -> Result<Option<Record>, CutError> {
        let mut record = Record { message: self.message, offset: self.offset, ..Record::default() };
        while record.bytes.len() < TARGET && record.ends.len() < MAX_MESSAGES {
            let start = self.offset;
            let length = if self.format == Format::ProtobufVarint {
                self.varint(&mut Vec::new(), start)?
            } else {
                self.length(start)?
            };
            let Some(length) = length else { break };
            self.body(&mut record.bytes, length, start)?;
            record.ends.push(record.bytes.len());
            self.message = self.message.saturating_add(1);
        }
        Ok((!record.ends.is_empty()).then_some(record))
    }

    /// Messages, each packed after its length. Those of one record are of one kind.
    fn packed(&mut self) -> Result<Option<Record>, CutError> {
        let mut record = Record::default();
        while record.bytes.len() < TARGET && record.ends.len() < MAX_MESSAGES {
            let Some(message) = self.held.take().map_or_else(|| self.unpacked(), |held| Ok(Some(held)))? else { break };
            if record.ends.is_empty() {
                (record.message, record.offset) = (message.number, message.offset);
            }
            let is_json = message.is_json.unwrap_or(record.is_json);
            if record.bytes.is_empty() {
                record.is_json = is_json;
            } else if is_json != record.is_json || record.bytes.len().saturating_add(message.bytes.len()) > self.max {
                self.held = Some(message);
                break;
            }
            record.bytes.extend_from_slice(&message.bytes);
            record.ends.push(record.bytes.len());
        }
        Ok((!record.ends.is_empty()).then_some(record))
    }

    /// The next packed message.
    fn unpacked(&mut self) -> Result<Option<Message>, CutError> {
        let offset = self.offset;
        let Some(length) = self.length(offset)? else { return Ok(None) };
        let mut packed = Vec::new();
        self.body(&mut packed, length, offset)?;
        let unpacked = compression::unpack_message(&packed, self.max);
        let unpacked = unpacked.map_err(|error| CutError::Packed { offset, error })?;
        let mut bytes = unpacked.ok_or(CutError::TooLarge { line: None, offset })?;
        let is_json = match detect::format(&bytes, true) {
            Format::Json => Some(true),
            Format::Empty => {
                bytes.clear();
                None
            }
            _ => Some(false),
        };
        let number = self.message;
        self.message = self.message.saturating_add(1);
        Ok(Some(Message { is_json, bytes, number, offset }))
    }

    /// Reads a length in 4 bytes, most significant first; `None` at the end of the stream.
    fn length(&mut self, start: u64) -> Result<Option<u64>, CutError> {
        let mut bytes = Vec::with_capacity(4);
        self.reader.by_ref().take(4).read_to_end(&mut bytes)?;
        self.offset = self.offset.saturating_add(bytes.len() as u64);
        match <[u8; 4]>::try_from(bytes.as_slice()) {
            Ok(length) => Ok(Some(u64::from(u32::from_be_bytes(length)))),
            Err(_) if bytes.is_empty() => Ok(None),
            Err(_) => Err(CutError::CutShort { offset: start }),
        }
    }

    /// Reads a varint, appending its bytes; `None` at the end of the stream.
    fn varint(&mut self, out: &mut Vec<u8>, start: u64) -> Result<Option<u64>, CutError> {
        let from = out.len();
        loop {
            let Some(byte) = self.reader.by_ref().bytes().next().transpose()? else {
                return if out.len() == from { Ok(None) } else { Err(CutError::CutShort { offset: start }) };
            };
            out.push(byte);
            self.offset = self.offset.saturating_add(1);
            if byte & 0x80 == 0 {
                let number = out.get(from..).and_then(wire::varint);
                return number.map(|(n, _)| Some(n)).ok_or(CutError::Broken { offset: start });
            }
            if out.len().saturating_sub(from) >= 10 {
                return Err(CutError::Broken { offset: start });
            }
        }
    }

    fn body(&mut self, out: &mut Vec<u8>, length: u64, start: u64) -> Result<(), CutError> {
        if length > self.max as u64 {
            return Err(CutError::TooLarge { line: None, offset: start });
        }
        let read = self.reader.by_ref().take(length).read_to_end(out)? as u64;
        self.offset = self.offset.saturating_add(read);
        if read < length { Err(CutError::CutShort { offset: start }) } else { Ok(()) }
    }
}

/// Turns a byte-order mark or a record separator at the start of a line into spaces: files may be joined ones.
fn blank_marks(line: &mut [u8]) {
    if line.starts_with(b"\xef\xbb\xbf") {
        line.iter_mut().take(3).for_each(|b| *b = b' ');
    } else if let Some(first @ 0x1e) = line.first_mut() {
        *first = b' ';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(bytes: &[u8], format: Format, max: usize) -> (Vec<Record>, Option<CutError>) {
        let mut cutter = Cutter::new(Box::new(bytes), format, max);
        let mut records = Vec::new();
        loop {
            match cutter.next() {
                Ok(Some(record)) => records.push(record),
                Ok(None) => return (records, None),
                Err(error) => return (records, Some(error)),
            }
        }
    }

    #[test]
    fn small_lines_share_a_record_and_lines_are_counted() {
        let line = format!("{{\"x\":\"{}\"}}\n", "y".repeat(100_000));
        let (records, error) = cut(line.repeat(7).as_bytes(), Format::Json, 1 << 20);
        assert!(error.is_none());
        assert_eq!(
            records.iter().map(|r| (r.line, r.bytes.len() / line.len())).collect::<Vec<_>>(),
            [(1, 3), (4, 3), (7, 1)]
        );
    }

    #[test]
    fn a_document_over_many_lines_is_never_cut() {
        let pad = "y".repeat(TARGET);
        let one = format!("{{\n\"a\": [\n{{\"b\":\"{pad}\"}},\n{{}}\n]\n}}\n");
        let (records, error) = cut(one.repeat(3).as_bytes(), Format::Json, 1 << 20);
        assert!(error.is_none());
        assert_eq!(records.iter().map(|r| r.line).collect::<Vec<_>>(), [1, 7, 13]);
        assert!(records.iter().all(|r| r.bytes == one.as_bytes()));
    }

    #[test]
    fn a_document_over_the_limit_is_refused_where_it_starts() {
        let (records, error) = cut(b"{}\n{}\n{\"a\":\"12345\"}\n", Format::Json, 10);
        assert_eq!((records.len(), records[0].bytes.len()), (1, 6));
        assert!(matches!(error, Some(CutError::TooLarge { line: Some(3), offset: 6 })), "{error:?}");
        assert!(cut(b"{\"a\":1234}", Format::Json, 10).1.is_none());
        assert!(cut(b"{\"a\":12345}", Format::Json, 10).1.is_some());
        assert!(matches!(
            cut(&[0, 0, 1, 0, 1], Format::ProtobufFixed, 255).1,
            Some(CutError::TooLarge { offset: 0, .. })
        ));
    }

    #[test]
    fn marks_at_the_start_of_a_line_are_blanked() {
        let (records, _) = cut("\u{feff}{}\n\u{feff}{}\n\u{1e}{}\n".as_bytes(), Format::Json, 99);
        assert_eq!(records[0].bytes, b"   {}\n   {}\n {}\n");
        assert!(cut(b"\n \n", Format::Json, 99).0.is_empty());
        let (records, error) = cut(format!("{}{{}}", "\n".repeat(500)).as_bytes(), Format::Json, 99);
        assert!(error.is_none());
        assert_eq!((records[0].line, &records[0].bytes[..]), (501, &b"{}"[..]));
    }

    #[test]
    fn framed_messages_keep_their_borders() {
        let (records, error) = cut(&[0, 0, 0, 2, 8, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9], Format::ProtobufFixed, 99);
        assert!(error.is_none());
        assert_eq!((&records[0].bytes[..], &records[0].ends[..]), (&[8, 1, 9][..], &[2, 2, 3][..]));
        let (records, error) = cut(&[2, 8, 1, 0x81, 0, 9], Format::ProtobufVarint, 99);
        assert!(error.is_none());
        assert_eq!((&records[0].bytes[..], &records[0].ends[..]), (&[8, 1, 9][..], &[2, 3][..]));
        for (bytes, format, at) in [
            (&[0, 0, 0, 1, 9, 0, 0][..], Format::ProtobufFixed, 5),
            (&[0, 0, 0, 2, 9], Format::ProtobufFixed, 0),
            (&[1, 9, 0x80], Format::ProtobufVarint, 2),
            (&[0x0a, 1, 9, 0x0a, 5, 9], Format::Protobuf, 3),
            (&[0x0a], Format::Protobuf, 0),
        ] {
            let error = cut(bytes, format, 99).1;
            assert!(matches!(error, Some(CutError::CutShort { offset }) if offset == at), "{bytes:?} {error:?}");
        }
        assert!(matches!(cut(&[0x0b, 1], Format::Protobuf, 99).1, Some(CutError::Broken { offset: 0 })));
    }

    fn packed(messages: &[&[u8]]) -> Vec<u8> {
        let pack = |message: &&[u8]| {
            let packed = zstd::bulk::compress(message, 1).unwrap();
            [&(packed.len() as u32).to_be_bytes()[..], &packed].concat()
        };
        messages.iter().flat_map(pack).collect()
    }

    #[test]
    fn packed_messages_of_one_kind_share_a_record() {
        let stream = [&packed(&[b"{}", b"", b" []"])[..], &[0; 4], &packed(&[&[8, 1], b"{}"])].concat();
        let (records, error) = cut(&stream, Format::PackedFixed, 99);
        assert!(error.is_none());
        let seen: Vec<_> = records.iter().map(|r| (r.is_json, r.message, &r.bytes[..], &r.ends[..])).collect();
        assert_eq!(
            seen,
            [(true, 1, &b"{} []"[..], &[2, 2, 5, 5][..]), (false, 5, &[8, 1], &[2]), (true, 6, b"{}", &[2])]
        );
        assert_eq!(cut(&packed(&[&b"{}"[..]; 9]), Format::PackedFixed, 20).0[0].ends.len(), 9);
    }

    #[test]
    fn packed_messages_are_cut_short_too_large_or_corrupt_where_they_start() {
        let stream = packed(&[b"{}", b"[]"]);
        for length in stream.len() / 2 + 1..stream.len() {
            let (records, error) = cut(&stream[..length], Format::PackedFixed, 99);
            assert!(records.is_empty());
            let want = stream.len() as u64 / 2;
            assert!(matches!(error, Some(CutError::CutShort { offset }) if offset == want), "{length} {error:?}");
        }
        let bomb = packed(&[&vec![b' '; 1 << 20]]);
        assert!(bomb.len() < 1_000);
        let error = cut(&bomb, Format::PackedFixed, (1 << 20) - 1).1;
        assert!(matches!(error, Some(CutError::TooLarge { line: None, offset: 0 })), "{error:?}");
        assert!(cut(&bomb, Format::PackedFixed, 1 << 20).1.is_none());
        for broken in [&[0, 0, 0, 3, 1, 2, 3][..], &[0, 0, 0, 5, 0x28, 0xb5, 0x2f, 0xfd, 0]] {
            assert!(matches!(cut(broken, Format::PackedFixed, 99).1, Some(CutError::Packed { offset: 0, .. })));
        }
    }

    fn visible(bytes: &[u8]) -> Vec<u8> {
        bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect()
    }

    proptest! {
        #[test]
        fn no_byte_of_json_is_lost(text in "([{}\\[\\]\",\n a]|\\{\"a\":1\\}\n){0,200}", max in 1usize..400) {
            let (records, error) = cut(text.as_bytes(), Format::Json, max);
            let joined: Vec<u8> = records.iter().flat_map(|r| r.bytes.clone()).collect();
            let (joined, text) = (visible(&joined), visible(text.as_bytes()));
            prop_assert!(text.starts_with(&joined));
            prop_assert!(records.iter().all(|r| r.bytes.len() <= max));
            prop_assert!(error.is_some() || joined == text);
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for format in
                [Format::Protobuf, Format::ProtobufFixed, Format::ProtobufVarint, Format::PackedFixed, Format::Json]
            {
                let _ = cut(&bytes, format, 64);
            }
        }
    }
}
