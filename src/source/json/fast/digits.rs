//! Numbers in ASCII: hex ids and whole decimal numbers.
//!
//! Input: bytes. Output: the number, or `None` where it is not in the usual form.
//! Must not: accept what the reference would read otherwise.

/// The same byte eight times.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// A number of exactly `N` hex digits of either case, `N` a multiple of 8 up to 32.
#[inline(always)]
pub(super) fn hex<const N: usize>(digits: &[u8; N]) -> Option<u128> {
    const { assert!(N <= 32 && N.is_multiple_of(8)) };
    let (mut number, mut is_hex) = (0u128, true);
    for word in digits.as_chunks::<8>().0 {
        let (part, good) = eight_hex(*word);
        number = number << 32 | u128::from(part);
        is_hex &= good;
    }
    is_hex.then_some(number)
}

/// Eight hex digits, one in each byte of a word, and whether they are that.
#[inline(always)]
fn eight_hex(digits: [u8; 8]) -> (u64, bool) {
    let word = u64::from_be_bytes(digits);
    // `0`–`9` are 0x30–0x39, `A`–`F` 0x41–0x46, `a`–`f` 0x61–0x66: letters have bit 6, and 9 more than their low half.
    let letters = word >> 6 & all(1);
    let values = (word & all(0x0f)) + letters * 9;
    let high_is_right =
        word & all(0xd0) == all(0x10) + letters * 0x30 && (word | letters << 5) & all(0x20) == all(0x20);
    let low_is_right = (values + all(6)) & all(0x10) == letters << 4 && values & all(0xf0) == 0;
    // Join the halves two by two.
    let bytes = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    ((pairs | pairs >> 16) & 0xffff_ffff, high_is_right & low_is_right)
}

/// A whole number at the start of the bytes and how many digits it has: 1 to 19, no leading zero but of 0 itself.
#[inline(always)]
pub(super) fn whole(bytes: &[u8]) -> Option<(u64, usize)> {
    let (mut number, mut length, mut rest) = (0u64, 0, bytes);
    while length < 16
        && let Some((word, after)) = rest.split_first_chunk::<8>()
        && let Some(eight) = eight_digits(*word)
    {
        (number, length, rest) = (number * 100_000_000 + eight, length + 8, after);
    }
    // 19 digits always fit into 64 bits.
    for byte in rest.iter().take(20 - length) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    let is_usual = (1..=19).contains(&length) && (length == 1 || bytes.first() != Some(&b'0'));
    is_usual.then_some((number, length))
}

/// Eight decimal digits.
#[inline(always)]
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    let word = u64::from_le_bytes(digits);
    let are_digits = word & all(0xf0) == all(0x30) && (word & all(0x0f)) + all(6) & all(0xf0) == 0;
    if !are_digits {
        return None;
    }
    // Join neighbours two by two: digits, hundreds, ten thousands. The first digit is the lowest byte.
    let pairs = (word & all(0x0f)).wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    Some(fours.wrapping_mul(10_000 << 32 | 1) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_have_1_to_19_digits_and_no_leading_zero() {
        for (text, want) in [
            ("0", Some((0, 1))),
            ("0,", Some((0, 1))),
            ("1544712660000000001\"", Some((1_544_712_660_000_000_001, 19))),
            ("9999999999999999999", Some((9_999_999_999_999_999_999, 19))),
            ("10000000000000000000", None),
            ("12345678", Some((12_345_678, 8))),
            ("1234567890123456,", Some((1_234_567_890_123_456, 16))),
            ("1234567:", Some((1_234_567, 7))),
            ("1234/678", Some((1_234, 4))),
            ("01", None),
            ("", None),
            ("-1", None),
            (" 1", None),
        ] {
            assert_eq!(whole(text.as_bytes()), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn hex_of_either_case_and_nothing_else(id in any::<u128>(), at in 0usize..32, byte in any::<u8>()) {
            let (lower, upper) = (format!("{id:032x}"), format!("{id:032X}"));
            let mut bytes: [u8; 32] = lower.as_bytes().try_into().unwrap();
            prop_assert_eq!(hex(&bytes), Some(id));
            prop_assert_eq!(hex::<32>(upper.as_bytes().try_into().unwrap()), Some(id));
            prop_assert_eq!(hex::<16>(&bytes[16..].try_into().unwrap()), Some(id & u128::from(u64::MAX)));
            bytes[at] = byte;
            let want = std::str::from_utf8(&bytes).ok().filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()));
            prop_assert_eq!(hex(&bytes), want.and_then(|t| u128::from_str_radix(t, 16).ok()));
        }

        #[test]
        fn whole_numbers_are_read_as_the_standard_library_does(number in any::<u64>(), tail in "[^0-9]{0,3}") {
            let text = number.to_string();
            let want = (text.len() < 20).then_some((number, text.len()));
            prop_assert_eq!(whole(format!("{text}{tail}").as_bytes()), want);
        }
    }
}
