//! What standard input holds: a snapshot or spans, told by its first bytes.

use std::io::{Cursor, Read};

use super::io::{Io, Stop};
use crate::diag::{Diagnostic, Location};
use crate::topology::{Snapshot, codec};

/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes looked at: a compressed stream gives nothing before its first block, of up to 128 KiB, is whole.
const HEAD: u64 = 256 << 10;
/// Bytes of text in which a snapshot has said its schema.
const TEXT: u64 = 512;

/// Standard input, opened.
pub(super) enum Piped<'a> {
    /// A snapshot, read.
    Snapshot(Box<Snapshot>),
    /// Anything else, from its first byte.
    Spans(Box<dyn Read + 'a>),
}

/// Opens standard input.
///
/// # Errors
/// `stdin-twice` when it was opened before, `input-unreadable`, or as the snapshot in it is damaged.
pub(super) fn open<'a>(io: &mut Io<'a>) -> Result<Piped<'a>, Stop> {
    let Some(stdin) = io.take_stdin() else { return Err(twice().into()) };
    let mut head = Vec::new();
    stdin.take(HEAD).read_to_end(&mut head).map_err(|e| {
        Diagnostic::error("input-unreadable", format!("the input cannot be read: {e}"))
            .at(Location::file("-"))
            .help("check what standard input is connected to")
    })?;
    let is_snapshot = says_snapshot(&head);
    let mut whole = Cursor::new(head).chain(stdin);
    if !is_snapshot {
        return Ok(Piped::Spans(Box::new(whole)));
    }
    let snapshot = codec::read(&mut whole).and_then(super::input::whole).map_err(|mut e| {
        e.location.file.get_or_insert("-".to_owned());
        e
    })?;
    Ok(Piped::Snapshot(Box::new(snapshot)))
}

/// Standard input is wanted once more.
pub(super) fn twice() -> Diagnostic {
    Diagnostic::error("stdin-twice", "standard input is named twice, and can be read only once")
        .at(Location::file("-"))
        .help("write one of the two into a file")
}

/// Whether bytes, through zstd if need be, begin like a snapshot.
pub(super) fn says_snapshot(head: &[u8]) -> bool {
    let mut text = Vec::new();
    if head.starts_with(&ZSTD) {
        let Ok(decoder) = zstd::stream::read::Decoder::new(head) else { return false };
        // A cut-off stream still yields its beginning.
        let _ = decoder.take(TEXT).read_to_end(&mut text);
    } else {
        text.extend(head.iter().take(TEXT as usize));
    }
    let text = String::from_utf8_lossy(&text);
    text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{')
        && text.contains("\"tracebook.snapshot/")
}

/// Bytes of a file that [`says_snapshot`] wants to see.
pub(super) fn head_of(file: &mut dyn Read) -> Vec<u8> {
    let mut head = Vec::new();
    // What cannot be read is no snapshot; whoever reads it as something else will say why.
    let _ = file.take(TEXT).read_to_end(&mut head);
    if head.starts_with(&ZSTD) {
        let _ = file.take(HEAD).read_to_end(&mut head);
    }
    head
}
