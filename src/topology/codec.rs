//! The snapshot as bytes: canonical JSON, readable in a diff.
//!
//! One-space indentation, keys in the order of the types, a final newline. Reading accepts zstd by its magic number and
//! refuses whatever is damaged: half a snapshot would pass for a system that lost half its services.

use std::io::Read;

use serde::{Deserialize, Serialize};

use super::invariants;
use super::snapshot::{SCHEMA, Snapshot};
use crate::diag::{Diagnostic, Location};

/// The first bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
/// Largest snapshot that is read, unpacked. Real ones hold a few megabytes, one of 10,000 services some hundred.
const MOST_BYTES: u64 = 512 << 20;

/// The canonical bytes: pretty-printed JSON with a final newline.
///
/// # Errors
/// `snapshot-encode`, which would be a fault of ours.
pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    snapshot
        .serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, formatter))
        .map_err(|e| Diagnostic::error("snapshot-encode", e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a snapshot from a stream, plain or zstd-compressed, in bounded memory.
///
/// # Errors
/// `snapshot-unreadable` when the stream fails, otherwise as [`decode`].
pub fn read(stream: &mut dyn Read) -> Result<Snapshot, Diagnostic> {
    let mut bytes = Vec::new();
    stream.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|e| {
        Diagnostic::error("snapshot-unreadable", format!("cannot read the snapshot: {e}"))
            .help("check that it is a file you may read")
    })?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(too_large("it is larger"));
    }
    decode(&bytes)
}

/// Reads a snapshot, plain or zstd-compressed.
///
/// # Errors
/// `snapshot-damaged` with line and column; `snapshot-version` for a schema this build does not know.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, Diagnostic> {
    let unpacked;
    let text = if bytes.starts_with(&ZSTD_MAGIC) {
        unpacked = unpack(bytes)?;
        &unpacked
    } else {
        bytes
    };
    let head: Head = serde_json::from_slice(text).map_err(|e| damaged_json(&e))?;
    if head.schema != SCHEMA {
        return Err(Diagnostic::error(
            "snapshot-version",
            format!("the snapshot's schema is {:?}; this build reads {SCHEMA:?}", shorten(&head.schema)),
        )
        .help("capture it again with this version, or read it with the version that wrote it"));
    }
    let snapshot: Snapshot = serde_json::from_slice(text).map_err(|e| damaged_json(&e))?;
    invariants::check(&snapshot).map_err(|what| damaged(what).help(AGAIN))?;
    Ok(snapshot)
}

const AGAIN: &str = "restore the file from version control, or capture it again";

/// What is read first, so that a snapshot of another version is not called damaged.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

fn shorten(text: &str) -> &str {
    super::dicts::clip(text, 80)
}

fn damaged(what: impl std::fmt::Display) -> Diagnostic {
    Diagnostic::error("snapshot-damaged", format!("this is not a whole snapshot: {what}"))
}

fn too_large(how: &str) -> Diagnostic {
    damaged(format!("{how} than {} MiB", MOST_BYTES >> 20)).help(AGAIN)
}

fn damaged_json(error: &serde_json::Error) -> Diagnostic {
    let place = Location {
        line: u64::try_from(error.line()).ok().filter(|line| *line > 0),
        column: u64::try_from(error.column()).ok().filter(|column| *column > 0),
        ..Location::default()
    };
    damaged(error).at(place).help(AGAIN)
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, Diagnostic> {
    let failed = |e: std::io::Error| damaged(format!("zstd: {e}")).help(AGAIN);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(failed)?;
    decoder.window_log_max(30).map_err(failed)?;
    let mut text = Vec::new();
    let read = decoder.take(MOST_BYTES + 1).read_to_end(&mut text).map_err(failed)?;
    if read as u64 > MOST_BYTES {
        return Err(too_large("it unpacks to more"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{s, snapshot};
    use super::*;
    use crate::spans::SpanKind::{Client, Server};

    fn bytes() -> Vec<u8> {
        encode(&snapshot(&[s(1, 0, "web", Client).failed("timeout"), s(2, 1, "api", Server)])).unwrap()
    }

    fn edited(from: &str, to: &str) -> Diagnostic {
        let text = String::from_utf8(bytes()).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        decode(text.replacen(from, to, 1).as_bytes()).unwrap_err()
    }

    #[test]
    fn a_snapshot_survives_its_file_plain_and_packed() {
        let plain = bytes();
        let packed = zstd::stream::encode_all(plain.as_slice(), 3).unwrap();
        assert_eq!(decode(&plain).unwrap(), decode(&packed).unwrap());
        assert_eq!(encode(&decode(&plain).unwrap()).unwrap(), plain);
        assert!(plain.ends_with(b"}\n"));
    }

    #[test]
    fn every_cut_of_a_file_is_refused() {
        let plain = bytes();
        let packed = zstd::stream::encode_all(plain.as_slice(), 3).unwrap();
        for cut in (0..plain.len() - 2).step_by(7) {
            assert_eq!(decode(&plain[..cut]).unwrap_err().code, "snapshot-damaged", "{cut}");
        }
        for cut in 0..packed.len() {
            assert_eq!(decode(&packed[..cut]).unwrap_err().code, "snapshot-damaged", "{cut}");
        }
    }

    #[test]
    fn damage_is_named_with_line_and_column() {
        let error = edited("\"calls\": 1,", "\"calls\": oops,");
        assert_eq!(error.code, "snapshot-damaged");
        assert!(error.location.line > Some(1) && error.location.column > Some(1), "{error}");
    }

    #[test]
    fn another_version_is_not_called_damaged() {
        assert_eq!(edited("tracebook.snapshot/1", "tracebook.snapshot/9").code, "snapshot-version");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (from, to) in [
            ("\"source\": \"web\"", "\"source\": \"nobody\""),
            ("\"id\": \"web\"", "\"id\": \"aaa\""),
            ("\"errors\": 1", "\"errors\": 5"),
            ("\"paired\": 1", "\"paired\": 2"),
            ("\"bins\": \"", "\"bins\": \"3:1 "),
        ] {
            assert_eq!(edited(from, to).code, "snapshot-damaged", "{from}");
        }
    }
}
