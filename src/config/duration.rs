//! Lengths of time as people write them: `7d`, `36h`, `1d12h`, `90m`.

/// Seconds of a length of time; `None` unless it is whole numbers with the units `w`, `d`, `h`, `m`, `s`, and above zero.
#[must_use]
pub fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut digits = String::new();
    for c in text.trim().chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'w' => 604_800,
            'd' => 86_400,
            'h' => 3_600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        let number: u64 = std::mem::take(&mut digits).parse().ok()?;
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (digits.is_empty() && total > 0).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn lengths_of_time_are_read_or_refused() {
        for (text, want) in [("7d", 604_800), ("168h", 604_800), ("1d12h", 129_600), ("90m", 5_400), ("1w", 604_800)] {
            assert_eq!(seconds(text), Some(want), "{text}");
        }
        for text in ["", "7", "d", "0s", "1y", "-1d", "1.5h", "99999999999999999999d", "18446744073709551615w", "1d 2"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
