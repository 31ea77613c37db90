//! Trace and span ids as files spell them.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::spans::{IdError, SpanId, TraceId};

/// Standard base64, padded or not, as Tempo and Kiali write ids.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The URL-safe alphabet, as protobuf JSON also allows.
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A trace id from text: 1 to 32 hex digits of either case (shorter ones have lost leading zeros or are 64-bit ids), an
/// optional `0x`, or base64 of 16 or 8 bytes.
pub(super) fn trace_id(text: &str) -> Result<TraceId, IdError> {
    let text = text.trim();
    match hex(text, 32)? {
        Some(number) => nonzero(number).map(TraceId),
        None => trace_id_bytes(&base64(text)?),
    }
}

/// A span id from text: 1 to 16 hex digits, an optional `0x`, or base64 of 8 bytes.
pub(super) fn span_id(text: &str) -> Result<SpanId, IdError> {
    let text = text.trim();
    match hex(text, 16)? {
        Some(number) => nonzero(number).and_then(|n| u64::try_from(n).map(SpanId).map_err(|_| IdError::Malformed)),
        None => span_id_bytes(&base64(text)?),
    }
}

/// A trace id from protobuf: 16 bytes, or 8 for a 64-bit id.
pub(super) fn trace_id_bytes(bytes: &[u8]) -> Result<TraceId, IdError> {
    match bytes.len() {
        0 => Err(IdError::Empty),
        8 | 16 => nonzero(bytes.iter().fold(0, |n, b| n << 8 | u128::from(*b))).map(TraceId),
        _ => Err(IdError::Malformed),
    }
}

/// A span id from protobuf: 8 bytes.
pub(super) fn span_id_bytes(bytes: &[u8]) -> Result<SpanId, IdError> {
    match (bytes.len(), bytes.try_into().map(u64::from_be_bytes)) {
        (0, _) | (_, Ok(0)) => Err(IdError::Empty),
        (_, Ok(number)) => Ok(SpanId(number)),
        (_, Err(_)) => Err(IdError::Malformed),
    }
}

/// Bytes from base64 of either alphabet, padded or not.
pub(super) fn bytes(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).ok()
}

fn nonzero(number: u128) -> Result<u128, IdError> {
    if number == 0 { Err(IdError::Empty) } else { Ok(number) }
}

/// The number, or `None` when the text is not hex of at most `digits` digits.
fn hex(text: &str, digits: usize) -> Result<Option<u128>, IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if text.len() > digits {
        return Ok(None);
    }
    let mut number = 0u128;
    for b in text.bytes() {
        let Some(digit) = char::from(b).to_digit(16) else { return Ok(None) };
        number = number << 4 | u128::from(digit);
    }
    Ok(Some(number))
}

fn base64(text: &str) -> Result<Vec<u8>, IdError> {
    // 16 bytes are 24 characters; longer text cannot be an id.
    if text.len() > 24 {
        return Err(IdError::Malformed);
    }
    let bytes = BASE64.decode(text).or_else(|_| BASE64_URL.decode(text)).map_err(|_| IdError::Malformed)?;
    if bytes.len() == 16 || bytes.len() == 8 { Ok(bytes) } else { Err(IdError::Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_spelling_of_a_trace_id_is_read() {
        const ID: u128 = 0x0a6f_8898_263e_ec68_fafd_01ce_e4d4_5f03;
        for text in [
            "0a6f8898263eec68fafd01cee4d45f03",
            "0A6F8898263EEC68FAFD01CEE4D45F03",
            "a6f8898263eec68fafd01cee4d45f03",
            "0x0a6f8898263eec68fafd01cee4d45f03",
            " 0a6f8898263eec68fafd01cee4d45f03 ",
            "Cm+ImCY+7Gj6/QHO5NRfAw==",
            "Cm+ImCY+7Gj6/QHO5NRfAw",
            "Cm-ImCY-7Gj6_QHO5NRfAw==",
        ] {
            assert_eq!(trace_id(text), Ok(TraceId(ID)), "{text}");
        }
        assert_eq!(trace_id("fafd01cee4d45f03"), Ok(TraceId(0xfafd_01ce_e4d4_5f03)));
        assert_eq!(trace_id("A"), Ok(TraceId(10)));
    }

    #[test]
    fn every_spelling_of_a_span_id_is_read() {
        for text in ["eee19b7ec3c1b174", "EEE19B7EC3C1B174", "0xeee19b7ec3c1b174", "7uGbfsPBsXQ=", "7uGbfsPBsXQ"] {
            assert_eq!(span_id(text), Ok(SpanId(0xeee1_9b7e_c3c1_b174)), "{text}");
        }
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "  ", "0x", "0", "00000000000000000000000000000000", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert_eq!(trace_id(text), Err(IdError::Empty), "{text}");
        }
        for text in ["xyz", "0a6f8898263eec68fafd01cee4d45f03ff", "span-1", "é", "0a6f8898263eec68fafd01cee4d45f0g"] {
            assert_eq!(trace_id(text), Err(IdError::Malformed), "{text}");
        }
        assert_eq!(span_id("0a6f8898263eec68fafd01cee4d45f03"), Err(IdError::Malformed));
        assert_eq!(trace_id_bytes(&[1; 5]), Err(IdError::Malformed));
        assert_eq!(span_id_bytes(&[0; 8]), Err(IdError::Empty));
        assert_eq!(span_id_bytes(&[1; 16]), Err(IdError::Malformed));
    }

    proptest! {
        #[test]
        fn hex_base64_and_bytes_agree(id in 1u128.., text in ".{0,40}") {
            let bytes = id.to_be_bytes();
            prop_assert_eq!(trace_id(&format!("{id:032x}")), Ok(TraceId(id)));
            prop_assert_eq!(trace_id(&BASE64.encode(bytes)), Ok(TraceId(id)));
            prop_assert_eq!(trace_id_bytes(&bytes), Ok(TraceId(id)));
            let _ = (trace_id(&text), span_id(&text));
        }
    }
}
