//! Numbers in ASCII: hex ids and whole decimal numbers.
//!
//! Input: bytes. Output: the number, or `None` where it is not in the usual form.
//! Must not: accept what the reference would read otherwise.

/// Value of a hex digit of either case; 0xff for everything else.
const HEX: [u8; 256] = {
    let mut table = [0xff; 256];
    let mut byte = 0usize;
    while byte < 256 {
        table[byte] = match byte as u8 {
            digit @ b'0'..=b'9' => digit - b'0',
            digit @ b'a'..=b'f' => digit - b'a' + 10,
            digit @ b'A'..=b'F' => digit - b'A' + 10,
            _ => 0xff,
        };
        byte += 1;
    }
    table
};

/// A number of exactly `N` hex digits, at most 32.
#[inline(always)]
pub(super) fn hex<const N: usize>(digits: &[u8; N]) -> Option<u128> {
    const { assert!(N <= 32) };
    let (halves, _) = digits.as_chunks::<16>();
    let (mut number, mut seen) = (0u128, 0u8);
    for half in halves {
        let mut word = 0u64;
        for byte in half {
            let digit = HEX[usize::from(*byte)];
            seen |= digit;
            word = word << 4 | u64::from(digit & 15);
        }
        number = number << 64 | u128::from(word);
    }
    (seen <= 15).then_some(number)
}

/// A whole number at the start of the bytes and how many digits it has: 1 to 19, no leading zero but of 0 itself.
#[inline(always)]
pub(super) fn whole(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0u64;
    let mut length = 0;
    // 19 digits always fit into 64 bits.
    for byte in bytes.iter().take(20) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
        length += 1;
    }
    let usual = (1..=19).contains(&length) && (length == 1 || bytes.first() != Some(&b'0'));
    usual.then_some((number, length))
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
