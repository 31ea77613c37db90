//! How pages write numbers, written once more: what a number is expected to be, and whether a text says so.

/// What a recomputation gives.
#[derive(Debug, Clone)]
pub enum Value {
    /// Seconds, ratio, number of things or things a second: shown as any number that rounds to this.
    Exactly(f64),
    /// What is documented to be near: anything from here to there.
    Between(f64, f64),
    /// One of several.
    OneOf(Vec<f64>),
    /// A text as it is.
    Said(String),
}

/// Kinds of numbers on pages, by how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `12.3 ms`
    Duration,
    /// `0.05 %`
    Ratio,
    /// `4,210`
    Count,
    /// `3.2/s`
    Rate,
    /// `2022-08-23 14:30:39 UTC`
    Time,
    /// `99.9`, `001`, `1.2.3`: digits and points as they are.
    Digits,
    /// `30d`
    Length,
    /// `2 h 59 min`
    Spelled,
    /// `340 ms` and `12 %` in the messages of findings, which are written for terminals.
    TerminalDuration,
    /// See [`Kind::TerminalDuration`].
    TerminalRatio,
    /// A name in backticks.
    Name,
    /// The name of an attribute as a word.
    Word,
    /// All of a row that is drawn.
    Line,
}

impl Kind {
    /// Whether it is proved by its value; names are looked up.
    pub fn is_number(self) -> bool {
        !matches!(self, Self::Name | Self::Word)
    }
}

/// A quantile is within this of the true one (README, "Limits").
pub const NEAR: f64 = 0.008;

impl Value {
    /// As near as a quantile is documented to be.
    pub fn near(value: f64) -> Self {
        Self::Between(value * (1.0 - NEAR), value * (1.0 + NEAR))
    }

    /// Whether a text of this kind says this.
    pub fn is_said_by(&self, kind: Kind, shown: &str) -> bool {
        let says = |x: f64| say(kind, x) == shown;
        match self {
            Self::Said(text) => text == shown,
            // A sum in another order differs in its last digits.
            Self::Exactly(x) => [1.0, 1.0 - 1e-9, 1.0 + 1e-9].iter().any(|f| says(x * f)),
            Self::Between(low, high) => {
                says(*low) || says(*high) || read(kind, shown).is_some_and(|x| *low <= x && x <= *high && says(x))
            }
            Self::OneOf(all) => all.iter().any(|x| says(*x)),
        }
    }

    /// For messages.
    pub fn told(&self, kind: Kind) -> String {
        match self {
            Self::Said(text) => text.clone(),
            Self::Exactly(x) => say(kind, *x),
            Self::Between(low, high) => format!("{} to {}", say(kind, *low), say(kind, *high)),
            Self::OneOf(all) => all.iter().map(|x| say(kind, *x)).collect::<Vec<_>>().join(" or "),
        }
    }
}

const TIMES: [(&str, f64, f64); 7] = [
    ("ns", 1e-9, 999.5),
    ("µs", 1e-6, 999.5),
    ("ms", 1e-3, 999.5),
    ("s", 1.0, 119.5),
    ("min", 60.0, 119.5),
    ("h", 3_600.0, 47.95),
    ("d", 86_400.0, f64::INFINITY),
];
const RATES: [(&str, f64, f64); 4] =
    [("s", 1.0, 0.0995), ("min", 60.0, 0.995), ("h", 3_600.0, 0.995), ("d", 86_400.0, 0.0995)];

/// A number as a page writes it.
pub fn say(kind: Kind, x: f64) -> String {
    let sign = if x < 0.0 { "-" } else { "" };
    let size = x.abs();
    match kind {
        Kind::Duration if size == 0.0 => "0 s".to_owned(),
        Kind::Duration if size < 0.5e-9 => "< 1 ns".to_owned(),
        Kind::Duration => {
            let (unit, one, _) = TIMES.iter().find(|(_, one, most)| size / one < *most).unwrap();
            format!("{sign}{} {unit}", three(size / one))
        }
        Kind::Rate if size == 0.0 => "0/s".to_owned(),
        Kind::Rate => match RATES.iter().find(|(_, seconds, least)| size * seconds >= *least) {
            Some((unit, seconds, _)) => format!("{sign}{}/{unit}", three(size * seconds)),
            None => "< 0.1/d".to_owned(),
        },
        Kind::Ratio => match size * 100.0 {
            0.0 => "0 %".to_owned(),
            p if p < 0.01 => format!("< {sign}0.01 %"),
            p if p > 99.99 && p < 100.0 => format!("> {sign}99.99 %"),
            p if p < 9.995 || (p > 99.0 && p < 100.0) => format!("{sign}{} %", rounded(p, 2)),
            p if p < 100.0 => format!("{sign}{} %", rounded(p, 1)),
            p => format!("{sign}{} %", three(p)),
        },
        Kind::Count if size > 0.0 && size < 0.01 => "< 0.01".to_owned(),
        Kind::Count if size.fract() == 0.0 => format!("{sign}{}", grouped(&format!("{size:.0}"))),
        Kind::Count => format!("{sign}{}", three(size)),
        Kind::TerminalRatio if x * 100.0 >= 10.0 => format!("{:.0} %", x * 100.0),
        Kind::TerminalRatio => format!("{:.2} %", x * 100.0),
        Kind::TerminalDuration => {
            let (unit, one) = match x {
                x if x < 1e-3 => ("µs", 1e-6),
                x if x < 1.0 => ("ms", 1e-3),
                _ => ("s", 1.0),
            };
            if x / one >= 100.0 { format!("{:.0} {unit}", x / one) } else { format!("{:.1} {unit}", x / one) }
        }
        Kind::Spelled => spelled(x),
        Kind::Length => length(x),
        Kind::Digits => format!("{x}"),
        Kind::Time | Kind::Name | Kind::Word | Kind::Line => String::new(),
    }
}

/// The number a page writes, where it is one.
fn read(kind: Kind, shown: &str) -> Option<f64> {
    let number = |text: &str| text.replace(',', "").parse::<f64>().ok();
    match kind {
        Kind::Duration | Kind::TerminalDuration => {
            let (digits, unit) = shown.split_once(' ')?;
            let one = TIMES.iter().find(|(name, _, _)| *name == unit)?.1;
            Some(number(digits)? * one)
        }
        Kind::Ratio | Kind::TerminalRatio => Some(number(shown.strip_suffix(" %")?)? / 100.0),
        Kind::Rate => {
            let (digits, unit) = shown.split_once('/')?;
            Some(number(digits)? / RATES.iter().find(|(name, _, _)| *name == unit)?.1)
        }
        Kind::Count | Kind::Digits => number(shown),
        _ => None,
    }
}

/// Three digits that mean something, and all before the point.
fn three(x: f64) -> String {
    match x {
        x if x < 0.0995 => rounded(x, 3),
        x if x < 9.995 => rounded(x, 2),
        x if x < 99.95 => rounded(x, 1),
        x => grouped(&format!("{x:.0}")),
    }
}

fn rounded(x: f64, decimals: usize) -> String {
    let text = format!("{x:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(digits: &str) -> String {
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",")
}

/// `2 h 59 min`: at most two units.
fn spelled(seconds: f64) -> String {
    let mut left = seconds.round();
    let mut said = Vec::new();
    for (unit, one) in [("d", 86_400.0), ("h", 3_600.0), ("min", 60.0), ("s", 1.0)] {
        let many = (left / one).floor();
        left -= many * one;
        if many > 0.0 && said.len() < 2 {
            said.push(format!("{many} {unit}"));
        }
    }
    said.join(" ")
}

/// `30d`: the largest unit that goes into it.
fn length(seconds: f64) -> String {
    let units = [("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)];
    let (unit, one) = units.iter().find(|(_, one)| seconds >= *one && seconds % one == 0.0).unwrap_or(&units[3]);
    format!("{}{unit}", seconds / one)
}

/// A moment as a page writes it.
pub fn time(nanos: u64) -> String {
    let second = jiff::Timestamp::from_second(i64::try_from(nanos / 1_000_000_000).unwrap()).unwrap();
    second.to_string().replace('T', " ").replace('Z', " UTC")
}
