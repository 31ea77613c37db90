//! Numbers with units as people write them, read exactly: `500ms`, `1h30m`, `0.5 %`, `10/s`.
//!
//! Input: text. Output: integers of the smallest unit (nanoseconds, billionths), so that `0.5 %` is 0.005 and a budget is
//! never 0.09999999999999432. Must not: know objectives or keys.

/// A ratio in billionths, 0..=1: exact complements, one division when a float is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u64);

impl Ratio {
    const ONE: u64 = 1_000_000_000;

    /// From billionths; `None` above one.
    #[must_use]
    pub fn from_billionths(billionths: u64) -> Option<Self> {
        (billionths <= Self::ONE).then_some(Self(billionths))
    }

    /// The ratio nearest to a percentage, e.g. 99.9; `None` outside 0..=100.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 0..=100")]
    pub fn from_percent(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then(|| Self((percent * 1e7).round() as u64))
    }

    /// What is left to one, exactly: 99.9 % → 0.1 %.
    #[must_use]
    pub fn complement(self) -> Self {
        Self(Self::ONE.saturating_sub(self.0))
    }

    /// As a float in 0..=1, correctly rounded.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "at most 1e9")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// A decimal number as digits ÷ 10^`scale`, exact.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decimal {
    digits: u64,
    scale: u32,
}

impl Decimal {
    /// Reads `12`, `0.005`, `.5`; `None` for signs, exponents, more than 15 digits or 12 decimals.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{part}");
        let plain = !digits.is_empty() && digits.len() <= 15 && part.len() <= 12;
        if !plain || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { digits: digits.parse().ok()?, scale: u32::try_from(part.len()).ok()? })
    }

    /// `self × factor`, rounded to the nearest integer; `None` when it does not fit.
    fn times(self, factor: u64) -> Option<u64> {
        let ten = 10u128.pow(self.scale);
        let product = u128::from(self.digits).checked_mul(u128::from(factor))?;
        u64::try_from((product + ten / 2) / ten).ok()
    }

    /// As a float, correctly rounded.
    #[allow(clippy::cast_precision_loss, reason = "15 digits fit")]
    pub(super) fn as_f64(self) -> f64 {
        self.digits as f64 / 10u64.pow(self.scale) as f64
    }
}

/// Splits `500ms` into the number and the rest, both trimmed.
pub(super) fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number, rest.trim())
}

/// Nanoseconds of one unit of time.
fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" | "sec" => 1_000_000_000,
        "m" | "min" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        "d" => 86_400_000_000_000,
        "w" => 604_800_000_000_000,
        _ => return None,
    })
}

/// A duration in nanoseconds: numbers each with its unit (`500ms`, `1h30m`, `1.5 s`); `None` otherwise.
pub(super) fn nanos(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        total = total.checked_add(Decimal::parse(number)?.times(unit_nanos(unit)?)?)?;
        rest = next.trim();
    }
    Some(total)
}

/// A duration of at least a second, in whole seconds.
pub(super) fn whole_seconds(text: &str) -> Option<u64> {
    nanos(text).filter(|n| *n >= 1_000_000_000 && n % 1_000_000_000 == 0).map(|n| n / 1_000_000_000)
}

/// `0.5 %` or a bare ratio `0.005`. The error says what is wrong.
pub(super) fn ratio(text: &str) -> Result<Ratio, String> {
    let (number, unit) = split_number(text);
    let decimal = Decimal::parse(number).ok_or_else(|| "is not a number".to_owned())?;
    let factor = match unit {
        "%" => 10_000_000,
        "" => Ratio::ONE,
        other => return Err(format!("has the unit `{}`; an error rate is a percentage or a ratio", clip(other))),
    };
    decimal.times(factor).and_then(Ratio::from_billionths).ok_or_else(|| {
        if unit.is_empty() { "is above 1; write a percentage with `%`".to_owned() } else { "is above 100 %".to_owned() }
    })
}

/// `10/s`, `5/min`, `100/h`, `2000/d` as calls per second. The error says what is wrong.
pub(super) fn per_second(text: &str) -> Result<f64, String> {
    let (number, unit) = split_number(text);
    let decimal = Decimal::parse(number).ok_or_else(|| "is not a number".to_owned())?;
    let seconds = match unit.strip_prefix('/').map(str::trim) {
        Some("s" | "sec" | "second") => 1.0,
        Some("m" | "min" | "minute") => 60.0,
        Some("h" | "hour") => 3_600.0,
        Some("d" | "day") => 86_400.0,
        _ if unit.is_empty() => return Err("has no unit".to_owned()),
        _ => return Err(format!("has the unit `{}`; a throughput is a number per time", clip(unit))),
    };
    Ok(decimal.as_f64() / seconds)
}

/// An estimate to six significant digits: more would be dust of binary fractions. Never NaN.
pub(super) fn tidy(value: f64) -> f64 {
    // Adding zero turns -0 into 0.
    if value.is_finite() { format!("{value:.5e}").parse().unwrap_or(value) + 0.0 } else { 0.0 }
}

/// Text for a message: at most 60 characters, no control characters.
pub(super) fn clip(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(60).collect();
    if text.chars().nth(60).is_some() { format!("{clean}…") } else { clean }
}

/// Seconds as people say them, in at most two units: `5 min`, `1 h 30 min`, `30 d`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
pub(super) fn say_seconds(seconds: f64) -> String {
    let total = seconds.max(0.0).round() as u64;
    let parts = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = total;
    let mut said = Vec::new();
    for (size, unit) in parts {
        if rest / size > 0 && said.len() < 2 {
            said.push(format!("{} {unit}", rest / size));
        }
        rest %= size;
    }
    if said.is_empty() { format!("{seconds:.3} s") } else { said.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_any_usual_spelling_are_exact() {
        let cases = [
            ("500ms", 500_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5 s", 1_500_000_000),
            ("30d", 2_592_000_000_000_000),
            ("250 µs", 250_000),
        ];
        for (text, expected) in cases {
            assert_eq!(nanos(text), Some(expected), "{text}");
        }
        for text in ["", "5", "ms", "5 parsecs", "-5s", "1e3s", "5s5", "999999999999999w", "1.2.3s"] {
            assert_eq!(nanos(text), None, "{text}");
        }
        assert_eq!(whole_seconds("500ms"), None);
    }

    #[test]
    fn percentages_have_no_binary_dust() {
        assert_eq!(ratio("0.5 %").map(Ratio::as_f64), Ok(0.005));
        assert_eq!(ratio("0.005").map(Ratio::as_f64), Ok(0.005));
        assert_eq!(Ratio::from_percent(99.9).map(|r| r.complement().as_f64()), Some(0.001));
        assert_eq!(Ratio::from_percent(f64::NAN), None);
        assert!(ratio("5").unwrap_err().contains('%'));
        assert!(ratio("101 %").is_err());
        assert!(ratio("5 ms").unwrap_err().contains("`ms`"));
    }

    #[test]
    fn throughput_is_per_time() {
        assert_eq!(per_second("10/s"), Ok(10.0));
        assert_eq!(per_second("5/min"), Ok(5.0 / 60.0));
        assert!(per_second("10").is_err() && per_second("10ms").is_err());
    }

    #[test]
    fn seconds_are_said_in_two_units() {
        assert_eq!(say_seconds(300.0), "5 min");
        assert_eq!(say_seconds(90_061.0), "1 d 1 h");
        assert_eq!(say_seconds(0.25), "0.250 s");
    }
}
