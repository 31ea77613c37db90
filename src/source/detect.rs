//! What the unpacked bytes of a file are, told by their content.

use super::{compression, wire};

/// How spans are written in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// JSON documents: one a line, one over many lines, or one after the other.
    Json,
    /// One protobuf message.
    Protobuf,
    /// Protobuf messages, each after its length as 4 bytes, most significant first (the Collector's file exporter).
    ProtobufFixed,
    /// Messages in JSON or protobuf, each packed with zstd by itself after its packed length as 4 bytes (the Collector's
    /// file exporter with `compression: zstd`).
    PackedFixed,
    /// Protobuf messages, each after its length as a varint.
    ProtobufVarint,
    /// Nothing but white space.
    Empty,
    /// Nothing that could hold spans; with what it looks like, where that is known.
    Unknown(Option<&'static str>),
}

/// Starts of things that are no traces, and what to call them.
const OTHERS: &[(&[u8], &str)] = &[
    (b"PAR1", "a Parquet file"),
    (b"PK\x03\x04", "a zip archive: unpack it first"),
    (b"BZh", "bzip2 data: unpack it with `bzip2 -dc`"),
    (b"\xfd7zXZ\0", "xz data: unpack it with `xz -dc`"),
    (b"\x04\x22\x4d\x18", "lz4 data: unpack it with `lz4 -dc`"),
    (b"\xff\xfe", "UTF-16 text: convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "UTF-16 text: convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"<", "HTML or XML: perhaps the answer of a login page or a proxy"),
];

/// Tells the format from the first bytes (a few KiB are plenty); `whole` says that these are all there are.
pub(super) fn format(head: &[u8], whole: bool) -> Format {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let visible = skip_space(text);
    if visible.is_empty() && whole {
        return Format::Empty;
    }
    // JSON first, but only where the text goes on like JSON: the first bytes of a protobuf message of 123 bytes are a
    // line break and a brace.
    if is_json(visible) {
        return Format::Json;
    }
    // First as if everything were there; failing that, as if the file had been cut short, so that the error can say so.
    let format = match (framing(head, whole), framing(head, false)) {
        // The first bytes of a long length are no empty messages.
        (Some(Format::ProtobufVarint), Some(cut @ Format::ProtobufFixed)) if head.first() == Some(&0) => Some(cut),
        (format, cut) => format.or(cut),
    };
    if let Some(format) = format {
        return format;
    }
    if matches!(visible.first(), Some(b'{' | b'[')) || visible.is_empty() {
        return Format::Json;
    }
    Format::Unknown(OTHERS.iter().find(|(start, _)| head.starts_with(start)).map(|(_, what)| *what))
}

fn skip_space(text: &[u8]) -> &[u8] {
    // The record separator of JSON text sequences counts as space.
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x1e)).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// `{` or `[{`, followed by a key in quotes without control characters, or closed at once.
fn is_json(text: &[u8]) -> bool {
    match text.split_first() {
        Some((b'[', rest)) => {
            let rest = skip_space(rest);
            rest.first() == Some(&b']') || rest.first() == Some(&b'{') && is_json(rest)
        }
        Some((b'{', rest)) => match skip_space(rest).split_first() {
            Some((b'}', _)) => true,
            Some((b'"', key)) => {
                let end = key.iter().position(|b| *b == b'"').unwrap_or(key.len());
                end > 0 && key.iter().take(end).all(|b| *b >= 0x20)
            }
            _ => false,
        },
        _ => false,
    }
}

/// How messages are framed. The framings cannot be confused: a first byte of 10 is either the tag of field 1 or a
/// length under which no known field can follow.
fn framing(head: &[u8], whole: bool) -> Option<Format> {
    if is_message(head, whole.then_some(head.len())) {
        return Some(Format::Protobuf);
    }
    let fits = |length: usize, rest: &[u8]| is_message(rest, Some(length)) && !(whole && length > rest.len());
    let mut at = 0;
    while let Some((length, rest)) = head.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) {
        match usize::try_from(u32::from_be_bytes(*length)) {
            // An empty message tells nothing.
            Ok(0) => at += 4,
            Ok(length) if fits(length, rest) => return Some(Format::ProtobufFixed),
            // A length that would fit zstd's mark as well is no text and, as protobuf, no known field.
            Ok(length) if rest.starts_with(&compression::ZSTD_MAGIC) && !(whole && length > rest.len()) => {
                return Some(Format::PackedFixed);
            }
            _ => break,
        }
    }
    let mut at = 0;
    while let Some((length, size)) = head.get(at..).and_then(wire::varint) {
        let rest = head.get(at + size..).unwrap_or_default();
        match usize::try_from(length) {
            Ok(0) => at += size,
            Ok(length) if fits(length, rest) => return Some(Format::ProtobufVarint),
            _ => break,
        }
    }
    None
}

/// Whether bytes start like a `TracesData` of at most this length: field 1, then a known field of `ResourceSpans` inside
/// it, with lengths that fit into each other.
fn is_message(bytes: &[u8], limit: Option<usize>) -> bool {
    const RESOURCE: u64 = 0x0a;
    const SCOPE_SPANS: u64 = 0x12;
    const SCHEMA_URL: u64 = 0x1a;
    const LIBRARY_SPANS: u64 = 1_000 << 3 | 2;
    let delimited = |bytes: &[u8]| -> Option<(u64, usize, usize)> {
        let (tag, tag_size) = wire::varint(bytes)?;
        let (length, size) = wire::varint(bytes.get(tag_size..)?)?;
        Some((tag, tag_size + size, usize::try_from(length).ok()?))
    };
    let Some((0x0a, start, length)) = delimited(bytes) else { return false };
    let end = start.saturating_add(length);
    if limit.is_some_and(|limit| end > limit) {
        return false;
    }
    if length == 0 {
        return true;
    }
    let inner = bytes.get(start..).and_then(delimited);
    inner.is_some_and(|(tag, start, inner)| {
        matches!(tag, RESOURCE | SCOPE_SPANS | SCHEMA_URL | LIBRARY_SPANS) && start.saturating_add(inner) <= length
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(tag: u8, inner: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        let mut n = inner.len();
        while n >= 0x80 {
            out.push((n & 0x7f) as u8 | 0x80);
            n >>= 7;
        }
        out.push(n as u8);
        out.extend_from_slice(inner);
        out
    }

    /// A message whose one `ResourceSpans` has a resource attribute of this length.
    fn message(length: usize) -> Vec<u8> {
        let key = field(0x0a, &vec![b'k'; length]);
        field(0x0a, &field(0x0a, &field(0x0a, &key)))
    }

    #[test]
    fn json_is_told_from_its_first_key() {
        for text in [
            r#"{"resourceSpans":[]}"#,
            "\u{feff}{\n  \"resourceSpans\": []}",
            "[]",
            "{}",
            " \n[ {\"traceId\":1}]",
            "\u{1e}{\"resourceSpans\":[]}",
            "{resourceSpans: []}",
            "{",
        ] {
            assert_eq!(format(text.as_bytes(), true), Format::Json, "{text}");
        }
        assert_eq!(format(b" \r\n", true), Format::Empty);
        assert_eq!(format(b"", true), Format::Empty);
    }

    #[test]
    fn every_framing_is_told_apart_whatever_the_length() {
        for length in 1..20_000usize {
            if length > 400 && length % 97 != 0 {
                continue;
            }
            let one = message(length);
            let size = (one.len() as u32).to_be_bytes();
            assert_eq!(format(&one, true), Format::Protobuf, "{length}");
            assert_eq!(format(&[&size[..], &one].concat(), true), Format::ProtobufFixed, "{length}");
            assert_eq!(format(&field(0, &one)[1..], true), Format::ProtobufVarint, "{length}");
            if one.len() > 4_096 {
                assert_eq!(format(&one[..4_096], false), Format::Protobuf, "{length}");
                assert_eq!(format(&[&size[..], &one[..4_000]].concat(), false), Format::ProtobufFixed, "{length}");
            }
        }
        assert_eq!(format(&[&[0; 4][..], &[0, 0, 0, 9], &message(1)].concat(), true), Format::ProtobufFixed);
    }

    #[test]
    fn packed_messages_are_told_by_the_mark_after_their_length() {
        for length in [0usize, 1, 300, 70_000] {
            let packed = zstd::encode_all(&message(length)[..], 1).unwrap();
            let framed = [&(packed.len() as u32).to_be_bytes()[..], &packed].concat();
            assert_eq!(format(&framed, true), Format::PackedFixed, "{length}");
            assert_eq!(format(&framed[..9], false), Format::PackedFixed, "{length}");
            assert_eq!(format(&framed[..framed.len() - 1], true), Format::PackedFixed, "cut short, {length}");
            assert_eq!(format(&[&[0; 4][..], &framed].concat(), true), Format::PackedFixed, "after an empty one");
        }
    }

    #[test]
    fn a_message_that_starts_with_the_field_of_2022_is_known() {
        let spans = [&[0xc2, 0x3e, 2][..], &[0x12, 0]].concat();
        assert_eq!(format(&field(0x0a, &spans), true), Format::Protobuf);
    }

    #[test]
    fn other_things_are_named() {
        for (bytes, what) in [
            (&b"PAR1...."[..], Some("Parquet")),
            (b"PK\x03\x04", Some("zip")),
            (b"\xff\xfe{\0", Some("UTF-16")),
            (b"<html>", Some("HTML")),
            (b"hello world", None),
            (b"\x08\x01\x02", None),
        ] {
            let Format::Unknown(found) = format(bytes, true) else { panic!("{bytes:?}") };
            assert_eq!(found.is_some(), what.is_some());
            assert!(found.unwrap_or("").contains(what.unwrap_or("")));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_format(bytes in proptest::collection::vec(any::<u8>(), 0..100), whole in any::<bool>()) {
            let _ = format(&bytes, whole);
        }
    }
}
