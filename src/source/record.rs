//! Cutting a stream into records that can be decoded apart.
//!
//! A record is a run of whole JSON documents or of whole protobuf messages, about [`TARGET`] bytes of them where they are
//! small, one where it is large. It is read straight into its own room, which is used again; only what belongs to the next
//! record is moved. Messages packed one by one are unpacked; nothing else is decoded here. No record is larger than the
//! limit given, and what comes before a trouble is handed out before the trouble.

use std::io::{self, Read};
use std::sync::Arc;

use super::compression;
use super::detect::{self, Format};
use super::scan::{self, Lines, MAX_MESSAGES, Stop, TARGET};

/// Some whole documents or messages, as they lie in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Position among all records of the source, from 0.
    pub(super) number: u64,
    /// The file's name, for messages.
    pub(super) file: &'a str,
    /// Whether the bytes are JSON or protobuf.
    pub(super) is_json: bool,
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// Where each message in them begins and ends; none for a run of JSON documents.
    pub(super) messages: &'a [(usize, usize)],
    /// 1-based line at which a JSON record starts.
    pub(super) line: u64,
    /// 1-based number of the first message.
    pub(super) message: u64,
}

/// A record that owns its bytes.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) file: Arc<str>,
    pub(super) is_json: bool,
    /// Room for bytes; the first [`Record::length`] belong to the record. Kept from record to record, and so never cleared:
    /// that would touch all of it.
    room: Vec<u8>,
    length: usize,
    messages: Vec<(usize, usize)>,
    line: u64,
    message: u64,
}

impl Record {
    /// The record as a decoder takes it.
    pub(super) fn part(&self) -> Part<'_> {
        Part {
            number: self.number,
            file: &self.file,
            is_json: self.is_json,
            bytes: self.room.get(..self.length).unwrap_or_default(),
            messages: &self.messages,
            line: self.line,
            message: self.message,
        }
    }

    /// Bytes of the record.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Bytes it takes up.
    pub(super) fn room(&self) -> usize {
        self.room.len()
    }

    fn reset(&mut self, line: u64, message: u64) {
        (self.is_json, self.length, self.line, self.message) = (false, 0, line, message);
        self.messages.clear();
    }

    /// Appends bytes.
    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.room.len() < end {
            self.room.resize(end, 0);
        }
        if let Some(room) = self.room.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }
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
    reader: Box<dyn Read + 'r>,
    format: Format,
    max: usize,
    line: u64,
    /// Where the next record starts in the unpacked stream.
    offset: u64,
    message: u64,
    /// What was read too far: the start of the next record.
    ahead: Vec<u8>,
    /// Why no more can be read.
    failed: Option<io::Error>,
    ended: bool,
    /// An unpacked message read too far: the start of the next record.
    held: Option<Message>,
}

/// A message that was packed by itself.
struct Message {
    /// Whether it is JSON rather than protobuf; unknown of an empty one.
    is_json: Option<bool>,
    bytes: Vec<u8>,
    number: u64,
}

impl<'r> Cutter<'r> {
    /// A cutter of a stream of this format, with the largest size of a single document or message in bytes.
    pub(super) fn new(reader: Box<dyn Read + 'r>, format: Format, max: usize) -> Self {
        let (ahead, failed, held) = (Vec::new(), None, None);
        Self { reader, format, max, line: 1, offset: 0, message: 1, ahead, failed, ended: false, held }
    }

    /// Makes the next record in the room of an old one; `false` at the end. Its `number` and `file` are left as they are.
    ///
    /// # Errors
    /// See [`CutError`]; the stream is at its end then.
    pub(super) fn next(&mut self, record: &mut Record) -> Result<bool, CutError> {
        record.reset(self.line, self.message);
        match self.format {
            Format::Json => self.json(record),
            Format::Protobuf | Format::ProtobufFixed | Format::ProtobufVarint => self.messages(record),
            Format::PackedFixed => self.packed(record),
            Format::Empty | Format::Unknown(_) => Ok(false),
        }
    }

    fn json(&mut self, record: &mut Record) -> Result<bool, CutError> {
        record.is_json = true;
        record.push(&self.ahead);
        self.ahead.clear();
        let mut lines = Lines::default();
        // Room for the rest of a line beyond the target.
        let mut want = TARGET + TARGET / 4;
        let end = loop {
            let ended = self.fill(record, want);
            match lines.scan(record.part().bytes, self.max, ended && self.failed.is_none()) {
                Ok(end) => break end,
                Err(Stop::Short(_)) if !ended => {}
                Err(Stop::Short(_)) => match (lines.stop_here(), self.failed.take()) {
                    (Some(end), failed) => {
                        self.failed = failed;
                        break end;
                    }
                    (None, error) => return Err(CutError::Read(error.unwrap_or_else(|| io::ErrorKind::Other.into()))),
                },
                Err(_) => {
                    let offset = self.offset.saturating_add(lines.start as u64);
                    return Err(CutError::TooLarge { line: Some(self.line.saturating_add(lines.skipped)), offset });
                }
            }
            self.drop_blank(record, &mut lines);
            want = record.length.saturating_mul(2).max(want).min(self.max.saturating_add(TARGET));
        };
        scan::blank(record.room.get_mut(..end).unwrap_or_default(), &lines.marks);
        self.ahead.extend_from_slice(record.room.get(end..record.length).unwrap_or_default());
        record.length = end;
        self.drop_blank(record, &mut lines);
        self.offset = self.offset.saturating_add(record.length as u64);
        (record.line, self.line) = (self.line, self.line.saturating_add(lines.lines));
        Ok(record.length > 0)
    }

    /// Takes blank lines in front away.
    fn drop_blank(&mut self, record: &mut Record, lines: &mut Lines) {
        if lines.start > 0 {
            record.room.copy_within(lines.start..record.length, 0);
            record.length -= lines.start;
            self.offset = self.offset.saturating_add(lines.start as u64);
            self.line = self.line.saturating_add(std::mem::take(&mut lines.skipped));
            lines.shift();
        }
    }

    /// Messages after their lengths, or the fields of one message.
    fn messages(&mut self, record: &mut Record) -> Result<bool, CutError> {
        record.push(&self.ahead);
        self.ahead.clear();
        let mut want = TARGET;
        loop {
            let ended = self.fill(record, want);
            record.messages.clear();
            let bytes = record.room.get(..record.length).unwrap_or_default();
            let scan = scan::frames(self.format, bytes, self.max, &mut record.messages);
            let offset = self.offset.saturating_add(scan.taken as u64);
            if record.messages.is_empty() {
                match scan.stop {
                    Stop::Short(needed) if !ended => {
                        want = needed;
                        continue;
                    }
                    Stop::Short(_) if self.failed.is_some() => {
                        return Err(self.failed.take().map_or(CutError::CutShort { offset }, CutError::Read));
                    }
                    Stop::Short(_) if record.length == 0 => return Ok(false),
                    Stop::Short(_) => return Err(CutError::CutShort { offset }),
                    Stop::TooLarge => return Err(CutError::TooLarge { line: None, offset }),
                    Stop::Broken => return Err(CutError::Broken { offset }),
                    Stop::Full => return Ok(false),
                }
            }
            self.ahead.extend_from_slice(bytes.get(scan.taken..).unwrap_or_default());
            self.offset = offset;
            self.message = self.message.saturating_add(record.messages.len() as u64);
            record.length = scan.taken;
            if self.format == Format::Protobuf {
                record.messages.clear();
                record.messages.push((0, scan.taken));
            }
            return Ok(true);
        }
    }

    /// Reads until the record has so many bytes; `true` when there are no more, or none can be read.
    fn fill(&mut self, record: &mut Record, want: usize) -> bool {
        if record.room.len() < want {
            // Larger than needed, so that a record a little larger than the one before fits.
            record.room.resize(want.next_multiple_of(1 << 16), 0);
        }
        while record.length < want && !self.ended {
            let room = record.room.get_mut(record.length..want).unwrap_or_default();
            match self.reader.read(room) {
                Ok(0) => self.ended = true,
                Ok(read) => record.length += read.min(room.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => (self.failed, self.ended) = (Some(error), true),
            }
        }
        self.ended
    }

    /// Messages, each packed after its length. Those of one record are of one kind.
    fn packed(&mut self, record: &mut Record) -> Result<bool, CutError> {
        while record.length < TARGET && record.messages.len() < MAX_MESSAGES {
            let Some(message) = self.held.take().map_or_else(|| self.unpacked(), |held| Ok(Some(held)))? else { break };
            if record.messages.is_empty() {
                record.message = message.number;
            }
            let is_json = message.is_json.unwrap_or(record.is_json);
            if record.length == 0 {
                record.is_json = is_json;
            } else if is_json != record.is_json || record.length.saturating_add(message.bytes.len()) > self.max {
                self.held = Some(message);
                break;
            }
            let start = record.length;
            record.push(&message.bytes);
            record.messages.push((start, record.length));
        }
        Ok(!record.messages.is_empty())
    }

    /// The next packed message.
    fn unpacked(&mut self) -> Result<Option<Message>, CutError> {
        let offset = self.offset;
        let mut length = Vec::with_capacity(4);
        self.reader.by_ref().take(4).read_to_end(&mut length)?;
        let Some(length) = length.first_chunk::<4>() else {
            return if length.is_empty() { Ok(None) } else { Err(CutError::CutShort { offset }) };
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > self.max {
            return Err(CutError::TooLarge { line: None, offset });
        }
        let mut packed = Vec::new();
        self.reader.by_ref().take(length as u64).read_to_end(&mut packed)?;
        if packed.len() < length {
            return Err(CutError::CutShort { offset });
        }
        self.offset = self.offset.saturating_add(4 + length as u64);
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
        Ok(Some(Message { is_json, bytes, number }))
    }
}

/// Cuts bytes that are in memory already, and neither copies nor changes them.
#[derive(Debug)]
pub(super) struct Slices<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) format: Format,
    pub(super) max: usize,
    at: usize,
    line: u64,
    message: u64,
}

/// One cut: the bytes, and what else a [`Part`] needs to know of them.
#[derive(Debug)]
pub(super) struct Slice<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) line: u64,
    pub(super) message: u64,
    /// Starts of lines with marks to be [blanked](scan::blank).
    pub(super) marks: Vec<usize>,
}

impl<'a> Slices<'a> {
    /// A cutter of bytes of this format.
    pub(super) fn new(bytes: &'a [u8], format: Format, max: usize) -> Self {
        Self { bytes, format, max, at: 0, line: 1, message: 1 }
    }

    /// The next record, its messages put where the last one's were; `None` at the end.
    ///
    /// # Errors
    /// See [`CutError`].
    pub(super) fn next(&mut self, messages: &mut Vec<(usize, usize)>) -> Result<Option<Slice<'a>>, CutError> {
        messages.clear();
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let offset = self.at as u64;
        let cut = |range: std::ops::Range<usize>| rest.get(range).unwrap_or_default();
        if self.format == Format::Json {
            let mut lines = Lines::default();
            let end = lines.scan(rest, self.max, true).map_err(|_| CutError::TooLarge {
                line: Some(self.line.saturating_add(lines.skipped)),
                offset: offset.saturating_add(lines.start as u64),
            })?;
            let line = self.line.saturating_add(lines.skipped);
            (self.at, self.line) = (self.at + end, line.saturating_add(lines.lines));
            let marks = lines.marks.iter().map(|mark| mark - lines.start).collect();
            let slice = Slice { bytes: cut(lines.start..end), line, message: 1, marks };
            return Ok((lines.start < end).then_some(slice));
        }
        let scan = scan::frames(self.format, rest, self.max, messages);
        let offset = offset.saturating_add(scan.taken as u64);
        if messages.is_empty() {
            return match scan.stop {
                Stop::Short(_) if rest.is_empty() => Ok(None),
                Stop::Short(_) => Err(CutError::CutShort { offset }),
                Stop::TooLarge => Err(CutError::TooLarge { line: None, offset }),
                Stop::Broken => Err(CutError::Broken { offset }),
                Stop::Full => Ok(None),
            };
        }
        let message = self.message;
        (self.at, self.message) = (self.at + scan.taken, message.saturating_add(messages.len() as u64));
        if self.format == Format::Protobuf {
            messages.clear();
            messages.push((0, scan.taken));
        }
        Ok(Some(Slice { bytes: cut(0..scan.taken), line: 1, message, marks: Vec::new() }))
    }
}

#[cfg(test)]
impl Record {
    /// Some bytes.
    pub(super) fn fill_with(&mut self, length: usize) {
        self.reset(1, 1);
        self.push(&vec![b' '; length]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Cut {
        is_json: bool,
        bytes: Vec<u8>,
        messages: Vec<Vec<u8>>,
        line: u64,
        message: u64,
    }

    fn taken(part: &Part<'_>) -> Cut {
        Cut {
            is_json: part.is_json,
            bytes: part.bytes.to_vec(),
            messages: part.messages.iter().map(|(start, end)| part.bytes[*start..*end].to_vec()).collect(),
            line: part.line,
            message: part.message,
        }
    }

    /// The records of a stream that gives a few bytes at a time; the same bytes in memory are cut likewise.
    fn cut(bytes: &[u8], format: Format, max: usize) -> (Vec<Cut>, Option<CutError>) {
        struct Drops<'a>(&'a [u8]);
        impl Read for Drops<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                let length = room.len().min(7_777);
                self.0.read(&mut room[..length])
            }
        }
        let mut cutter = Cutter::new(Box::new(Drops(bytes)), format, max);
        let (mut records, mut record) = (Vec::new(), Record::default());
        let error = loop {
            match cutter.next(&mut record) {
                Ok(true) => records.push(taken(&record.part())),
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
        };
        if format != Format::PackedFixed {
            let (in_memory, same) = cut_in_memory(bytes, format, max);
            assert_eq!(format!("{error:?}"), format!("{same:?}"));
            assert_eq!(in_memory.len(), records.len());
            for (one, other) in in_memory.iter().zip(&records) {
                assert_eq!((&one.messages, one.line, one.message), (&other.messages, other.line, other.message));
                assert!(format == Format::Protobuf || one.bytes == other.bytes);
            }
        }
        (records, error)
    }

    fn cut_in_memory(bytes: &[u8], format: Format, max: usize) -> (Vec<Cut>, Option<CutError>) {
        let mut slices = Slices::new(bytes, format, max);
        let (mut records, mut messages) = (Vec::new(), Vec::new());
        loop {
            let Slice { bytes, line, message, marks } = match slices.next(&mut messages) {
                Ok(Some(slice)) => slice,
                Ok(None) => return (records, None),
                Err(error) => return (records, Some(error)),
            };
            let mut bytes = bytes.to_vec();
            scan::blank(&mut bytes, &marks);
            let is_json = format == Format::Json;
            let part = Part { number: 0, file: "", is_json, bytes: &bytes, messages: &messages, line, message };
            records.push(taken(&part));
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
        assert_eq!(records[0].messages, [&[8, 1][..], &[], &[9]]);
        let (records, error) = cut(&[2, 8, 1, 0x81, 0, 9], Format::ProtobufVarint, 99);
        assert!(error.is_none());
        assert_eq!(records[0].messages, [&[8, 1][..], &[9]]);
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
    fn what_is_whole_comes_before_the_trouble_behind_it() {
        struct Fails<'a>(&'a [u8]);
        impl Read for Fails<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                if self.0.is_empty() { Err(io::ErrorKind::InvalidData.into()) } else { self.0.read(room) }
            }
        }
        for (bytes, format) in [
            (&[0, 0, 0, 1, 9, 0, 0][..], Format::ProtobufFixed),
            (&[1, 9, 2], Format::ProtobufVarint),
            (&[8, 1, 0x0a], Format::Protobuf),
            (b"{}\n{}", Format::Json),
        ] {
            let mut cutter = Cutter::new(Box::new(Fails(bytes)), format, 99);
            let mut record = Record::default();
            assert!(cutter.next(&mut record).unwrap(), "{format:?}");
            assert!(matches!(cutter.next(&mut record), Err(CutError::Read(_))), "{format:?}");
        }
    }

    #[test]
    fn a_small_document_does_not_make_its_large_neighbour_too_large() {
        let text = format!("{{}}\n\n{{\n\"a\":\"{}\"}}\n{{}}\n", "x".repeat(80));
        let (records, error) = cut(text.as_bytes(), Format::Json, 92);
        assert!(error.is_none());
        assert_eq!(records.iter().map(|r| (r.line, r.bytes.len())).collect::<Vec<_>>(), [(1, 4), (3, 90), (5, 3)]);
    }

    #[test]
    fn packed_messages_of_one_kind_share_a_record() {
        let stream = [&packed(&[b"{}", b"", b" []"])[..], &[0; 4], &packed(&[&[8, 1], b"{}"])].concat();
        let (records, error) = cut(&stream, Format::PackedFixed, 99);
        assert!(error.is_none());
        let seen: Vec<_> = records.iter().map(|r| (r.is_json, r.message, &r.bytes[..], r.messages.len())).collect();
        assert_eq!(seen, [(true, 1, &b"{} []"[..], 4), (false, 5, &[8, 1], 1), (true, 6, b"{}", 1)]);
        assert_eq!(records[0].messages, [&b"{}"[..], b"", b" []", b""]);
        assert_eq!(cut(&packed(&[&b"{}"[..]; 9]), Format::PackedFixed, 20).0[0].messages.len(), 9);
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
