//! Numbers for people: the only module that decides on units, digits and signs.
//!
//! Input: raw numbers in SI units. Output: short text (`12.3 ms`, `0.05 %`, `4,210`, `3.2/s`).
//! Must not: know Markdown, templates or where the text lands.

use crate::spans::UnixNanos;

/// What stands for a number that is none (NaN, infinite).
const NOT_A_NUMBER: &str = "n/a";

/// Units of time: (seconds in one, name, from how many of them the next unit is used).
const TIME_UNITS: [(f64, &str, f64); 7] = [
    (1e-9, "ns", 999.5),
    (1e-6, "µs", 999.5),
    (1e-3, "ms", 999.5),
    (1.0, "s", 119.5),
    (60.0, "min", 119.5),
    (3_600.0, "h", 47.95),
    (86_400.0, "d", f64::INFINITY),
];

/// A duration in seconds with three significant digits: `850 ns`, `12.3 ms`, `1.5 s`, `15 min`, `7 d`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    if seconds == 0.0 {
        return "0 s".to_owned();
    }
    let size = seconds.abs();
    if size < 0.5e-9 {
        return "< 1 ns".to_owned();
    }
    let unit = TIME_UNITS.iter().find(|(one, _, next)| size / one < *next);
    let (one, name, _) = unit.copied().unwrap_or((86_400.0, "d", 0.0));
    format!("{}{} {name}", sign(seconds), three_digits(size / one))
}

/// A ratio in 0..=1 as a percentage: `0.05 %`, `12.3 %`. Only zero is `0 %` and only one is `100 %`.
#[must_use]
pub fn ratio(ratio: f64) -> String {
    if !ratio.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    let percent = ratio.abs() * 100.0;
    let text = if percent == 0.0 {
        "0".to_owned()
    } else if percent < 0.01 {
        return format!("< {}0.01 %", sign(ratio));
    } else if percent > 99.99 && percent < 100.0 {
        return format!("> {}99.99 %", sign(ratio));
    } else if percent < 9.995 || (percent > 99.0 && percent < 100.0) {
        trim_zeros(&format!("{percent:.2}"))
    } else if percent < 100.0 {
        trim_zeros(&format!("{percent:.1}"))
    } else {
        three_digits(percent)
    };
    format!("{}{text} %", sign(ratio))
}

/// A number of things: `4,210`; adjusted counts keep a digit or two while they are small: `3.33`.
#[must_use]
pub fn count(number: f64) -> String {
    if !number.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    let size = number.abs();
    if size > 0.0 && size < 0.01 {
        return "< 0.01".to_owned();
    }
    format!(
        "{}{}",
        sign(number),
        if size < 1e15 && size == size.trunc() { group(&format!("{size:.0}")) } else { three_digits(size) }
    )
}

/// Things per second: `12.3/s`; seldom ones per minute, hour or day: `3/min`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    if !per_second.is_finite() {
        return NOT_A_NUMBER.to_owned();
    }
    if per_second == 0.0 {
        return "0/s".to_owned();
    }
    let size = per_second.abs();
    for (seconds, unit, least) in
        [(1.0, "s", 0.0995), (60.0, "min", 0.995), (3_600.0, "h", 0.995), (86_400.0, "d", 0.0995)]
    {
        if size * seconds >= least {
            return format!("{}{}/{unit}", sign(per_second), three_digits(size * seconds));
        }
    }
    "< 0.1/d".to_owned()
}

/// An instant in UTC to the second: `2022-08-23 17:00:05 UTC`. Zero, which stands for "not given", is `unknown`.
#[must_use]
pub fn time(instant: UnixNanos) -> String {
    if instant.0 == 0 { "unknown".to_owned() } else { rfc3339_to_text(&instant.to_string()) }
}

/// The same from RFC 3339 in UTC, as serialised instants come; anything else is returned as it is.
#[must_use]
pub fn rfc3339_to_text(text: &str) -> String {
    let Some((date, rest)) = text.split_once('T') else { return text.to_owned() };
    let Some(clock) = rest.strip_suffix('Z') else { return text.to_owned() };
    let seconds = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    format!("{date} {seconds} UTC")
}

/// A whole number with thousands separated.
#[must_use]
pub fn integer(number: u64) -> String {
    group(&number.to_string())
}

fn sign(number: f64) -> &'static str {
    if number < 0.0 { "-" } else { "" }
}

/// Three significant digits of a non-negative number, whole digits always kept, no trailing zeros.
fn three_digits(size: f64) -> String {
    if size >= 1e15 {
        return format!("{size:.2e}");
    }
    let decimals = if size < 0.0995 {
        3
    } else if size < 9.995 {
        2
    } else {
        usize::from(size < 99.95)
    };
    let text = trim_zeros(&format!("{size:.decimals$}"));
    match text.split_once('.') {
        Some((whole, part)) => format!("{}.{part}", group(whole)),
        None => group(&text),
    }
}

fn trim_zeros(text: &str) -> String {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

/// Commas between groups of three digits.
fn group(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_pick_the_unit_a_person_would() {
        let cases = [
            (0.0, "0 s"),
            (1e-10, "< 1 ns"),
            (42e-9, "42 ns"),
            (0.000_123_4, "123 µs"),
            (0.012_345, "12.3 ms"),
            (0.9994, "999 ms"),
            (0.9996, "1 s"),
            (1.5, "1.5 s"),
            (61.26, "61.3 s"),
            (119.0, "119 s"),
            (900.0, "15 min"),
            (7_200.0, "2 h"),
            (604_800.0, "7 d"),
            (-0.25, "-250 ms"),
            (f64::NAN, "n/a"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn percentages_never_round_to_nothing_or_to_everything() {
        let cases = [
            (0.0, "0 %"),
            (0.000_001, "< 0.01 %"),
            (0.0005, "0.05 %"),
            (0.005, "0.5 %"),
            (0.012_34, "1.23 %"),
            (0.123_4, "12.3 %"),
            (0.9995, "99.95 %"),
            (0.999_999, "> 99.99 %"),
            (1.0, "100 %"),
            (12.5, "1,250 %"),
            (f64::INFINITY, "n/a"),
        ];
        for (value, text) in cases {
            assert_eq!(ratio(value), text, "{value}");
        }
    }

    #[test]
    fn counts_have_thousands_separators_and_rates_a_fitting_period() {
        let counts = [
            (0.0, "0"),
            (7.0, "7"),
            (4210.0, "4,210"),
            (1_234_567.0, "1,234,567"),
            (3.333, "3.33"),
            (0.001, "< 0.01"),
            (1.5e20, "1.50e20"),
        ];
        for (value, text) in counts {
            assert_eq!(count(value), text, "{value}");
        }
        let rates = [
            (0.0, "0/s"),
            (12.34, "12.3/s"),
            (4210.4, "4,210/s"),
            (0.5, "0.5/s"),
            (0.05, "3/min"),
            (0.001, "3.6/h"),
            (1e-9, "< 0.1/d"),
        ];
        for (value, text) in rates {
            assert_eq!(rate(value), text, "{value}");
        }
        assert_eq!(integer(48_123), "48,123");
    }

    #[test]
    fn instants_are_shown_in_utc_to_the_second() {
        assert_eq!(time(UnixNanos(1_544_712_660_000_000_001)), "2018-12-13 14:51:00 UTC");
        assert_eq!(time(UnixNanos(0)), "unknown");
        assert_eq!(rfc3339_to_text("soon"), "soon");
    }
}
