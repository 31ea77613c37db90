//! Compressed input, told by its first bytes.

use std::io::{self, Cursor, Read};

use crate::diag::Diagnostic;

/// The first bytes of a zstd frame.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Archives packed with `--long` need 128 MiB; a frame that claims more would break the memory bound.
const WINDOW_LOG_MAX: u32 = 27;

/// How the bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// gzip, one or many members.
    Gzip,
    /// zstd, one or many frames.
    Zstd,
}

/// The stream unpacked. Nothing is read ahead but the first few bytes.
///
/// # Errors
/// From reading those bytes or starting the decoder.
pub(super) fn unpack<'r>(mut raw: Box<dyn Read + 'r>) -> io::Result<(Box<dyn Read + 'r>, Packing)> {
    let head = head(&mut raw, 4)?;
    let packing = match head.as_slice() {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        head if head == ZSTD_MAGIC => Packing::Zstd,
        // A skippable frame, as pzstd and seekable archives write in front.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Packing::Zstd,
        _ => Packing::Plain,
    };
    let whole = Cursor::new(head).chain(raw);
    Ok(match packing {
        Packing::Plain => (Box::new(whole), packing),
        Packing::Gzip => (Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::new(whole))), packing),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::new(whole)?;
            decoder.window_log_max(WINDOW_LOG_MAX)?;
            (Box::new(decoder), packing)
        }
    })
}

/// One message that is packed with zstd by itself, unpacked; `None` when it would have more than `max` bytes. A frame that
/// says its size is refused before a byte of it is unpacked.
///
/// # Errors
/// When it is no zstd frame, or an incomplete one.
pub(super) fn unpack_message(packed: &[u8], max: usize) -> io::Result<Option<Vec<u8>>> {
    let mut out = Vec::new();
    if packed.is_empty() {
        return Ok(Some(out));
    }
    let max = max as u64;
    if let Ok(Some(size)) = zstd::zstd_safe::get_frame_content_size(packed)
        && size > max
    {
        return Ok(None);
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    // One byte more than allowed tells a message that just fits from one that does not.
    let read = decoder.take(max.saturating_add(1)).read_to_end(&mut out)?;
    Ok((read as u64 <= max).then_some(out))
}

/// The first bytes of a stream, fewer only where it ends.
pub(super) fn head(reader: &mut dyn Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(1 << 16));
    reader.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A failed read as a diagnostic: cut short, corrupt, or a fault of the system.
pub(super) fn read_error(error: &io::Error, packing: Packing) -> Diagnostic {
    let what = match packing {
        Packing::Plain => "input",
        Packing::Gzip => "gzip input",
        Packing::Zstd => "zstd input",
    };
    if error.raw_os_error().is_some() || packing == Packing::Plain {
        return Diagnostic::error("input-unreadable", format!("the {what} cannot be read: {error}"))
            .help("check that it is a readable file and try again");
    }
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Diagnostic::error("input-truncated", format!("the {what} ends in the middle of its data"))
            .help("the file was cut short: copy or download it again; a partial file is never taken for a whole one");
    }
    Diagnostic::error("input-corrupt", format!("the {what} cannot be unpacked: {error}"))
        .help("copy or download it again, and test it with `gzip -t` or `zstd -t`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(data: &[u8]) -> Result<Vec<u8>, Diagnostic> {
        let (mut reader, packing) = unpack(Box::new(data)).unwrap();
        let mut out = Vec::new();
        reader.read_to_end(&mut out).map_err(|error| read_error(&error, packing))?;
        Ok(out)
    }

    #[test]
    fn members_and_frames_follow_each_other() {
        let frame = |data: &[u8]| zstd::encode_all(data, 1).unwrap();
        let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &frame(b"c")].concat();
        assert_eq!(unpacked(b"plain").unwrap(), b"plain");
        assert_eq!(unpacked(b"").unwrap(), b"");
        assert_eq!(unpacked(&[gzip(b"a"), gzip(b"b")].concat()).unwrap(), b"ab");
        assert_eq!(unpacked(&[frame(b"a"), frame(b"b"), skippable].concat()).unwrap(), b"abc");
    }

    #[test]
    fn a_packed_message_is_bounded_in_what_it_unpacks_to() {
        let data = vec![b'x'; 1 << 20];
        let sized = zstd::bulk::compress(&data, 1).unwrap();
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.write_all(&data).unwrap();
        let unsized_ = encoder.finish().unwrap();
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&unsized_).unwrap(), None);
        for packed in [&sized, &unsized_, &[&sized[..], &unsized_].concat()] {
            assert!(packed.len() < 1_000);
            assert_eq!(unpack_message(packed, (1 << 20) - 1).unwrap(), None);
        }
        for packed in [&sized, &unsized_] {
            assert_eq!(unpack_message(packed, 1 << 20).unwrap().as_ref(), Some(&data));
            assert!(unpack_message(&packed[..packed.len() - 1], 1 << 20).is_err());
        }
        assert_eq!(unpack_message(b"", 9).unwrap(), Some(Vec::new()));
        assert!(unpack_message(b"plain", 9).is_err());
    }

    #[test]
    fn what_is_cut_short_or_corrupt_says_so() {
        let data = vec![b'x'; 100_000];
        for packed in [gzip(&data), zstd::encode_all(&data[..], 1).unwrap()] {
            for cut in [5, packed.len() / 2, packed.len() - 1] {
                assert_eq!(unpacked(&packed[..cut]).unwrap_err().code, "input-truncated", "{cut}");
            }
            let garbage = [&packed[..], b"this is not another member or frame"].concat();
            assert_eq!(unpacked(&garbage).unwrap_err().code, "input-corrupt");
        }
    }
}
