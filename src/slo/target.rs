//! SLI names and targets: text → what is measured, which side is good, and the number in the SLI's unit.

use super::cfg::{Comparison, Sli, Unit};
use super::names::nearest;
use super::units::{Decimal, clip, nanos, per_second, ratio};

/// A target, read.
#[derive(Debug)]
pub(super) struct Goal {
    /// Good side.
    pub(super) comparison: Comparison,
    /// Seconds, ratio, or calls per second; 0 for an `external` one that is a text.
    pub(super) value: f64,
    /// As written, trimmed.
    pub(super) text: String,
}

const SLIS: [&str; 9] = [
    "latency_p50",
    "latency_p95",
    "latency_p99",
    "latency_p99.9",
    "latency_mean",
    "error_rate",
    "throughput",
    "messaging_lag_p99",
    "external",
];

/// Reads the name of an SLI. The error is what to write instead.
pub(super) fn parse_sli(name: &str) -> Result<Sli, String> {
    let percentile = |text: &str| Decimal::parse(text).map(Decimal::as_f64).filter(|p| *p > 0.0 && *p < 100.0);
    if let Some(percentile) = name.strip_prefix("latency_p").and_then(percentile) {
        return Ok(Sli::Latency { percentile });
    }
    if let Some(percentile) = name.strip_prefix("messaging_lag_p").and_then(percentile) {
        return Ok(Sli::MessagingLag { percentile });
    }
    match name {
        "latency_mean" => Ok(Sli::LatencyMean),
        "error_rate" => Ok(Sli::ErrorRate),
        "throughput" => Ok(Sli::Throughput),
        "external" => Ok(Sli::External),
        _ => {
            let meant = nearest(name, SLIS.into_iter()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
            Err(format!(
                "{meant}expected `latency_p99` (any percentile between 0 and 100), `latency_mean`, `error_rate`, \
                 `throughput`, `messaging_lag_p99` or `external`"
            ))
        }
    }
}

/// Reads a target for an SLI. The error is (what is wrong, what to write instead).
pub(super) fn parse_target(sli: Sli, written: &str) -> Result<Goal, (String, String)> {
    let text = written.trim();
    let (operator, number) = split_operator(text);
    let goal = |comparison, value| Goal { comparison, value, text: text.to_owned() };
    let form = match sli {
        Sli::Latency { .. } | Sli::LatencyMean | Sli::MessagingLag { .. } => "`< 500ms`, `<= 2s`",
        Sli::ErrorRate => "`< 0.5 %`, `<= 0.005`",
        Sli::Throughput => "`> 10/s`, `>= 5/min`",
        Sli::External => "a number `> 99 %`, `< 30s`, `>= 3`, or any text a person understands",
    };
    let wrong = |why: &str| (format!("`{}` {why}", clip(text)), format!("write it like {form}"));
    if text.is_empty() {
        return Err(wrong("is empty"));
    }
    if number.contains(',') && sli != Sli::External {
        return Err(wrong("has a comma; decimals are written with a point"));
    }
    // Without an operator the number itself is still good: "at most", and for throughput "at least".
    let upper = operator.unwrap_or(Comparison::AtMost);
    let is_upper = matches!(upper, Comparison::Below | Comparison::AtMost);
    let value = match sli {
        Sli::External => {
            return Ok(goal(operator.unwrap_or(Comparison::AtLeast), plain(number).map_or(0.0, |(value, _)| value)));
        }
        Sli::Throughput => {
            let value = per_second(number).map_err(|why| wrong(&why))?;
            return Ok(goal(operator.unwrap_or(Comparison::AtLeast), value));
        }
        _ if !is_upper => {
            return Err(wrong("describes the bad side; a target says what is good"));
        }
        Sli::ErrorRate => ratio(number).map_err(|why| wrong(&why))?.as_f64(),
        Sli::Latency { .. } | Sli::LatencyMean | Sli::MessagingLag { .. } => {
            #[allow(clippy::cast_precision_loss, reason = "exact below 104 days")]
            let seconds = nanos(number).map(|n| n as f64 / 1e9);
            seconds.ok_or_else(|| wrong("is not a duration with its unit (`ms`, `s`, `min`, …)"))?
        }
    };
    if value <= 0.0 && upper == Comparison::Below {
        return Err(wrong("can never be met: nothing is below zero"));
    }
    Ok(goal(upper, value))
}

/// The number of an external target and the unit its query should have: a ratio of a percentage, seconds of a duration, things
/// per second of a rate; `None` where it is a text for people.
pub(super) fn external(written: &str) -> Option<(f64, Unit)> {
    plain(split_operator(written.trim()).1)
}

#[allow(clippy::cast_precision_loss, reason = "exact below 104 days")]
fn plain(number: &str) -> Option<(f64, Unit)> {
    let bare = Decimal::parse(number).map(|n| (n.as_f64(), Unit::Number));
    bare.or_else(|| ratio(number).ok().map(|n| (n.as_f64(), Unit::Ratio)))
        .or_else(|| nanos(number).map(|n| (n as f64 / 1e9, Unit::Seconds)))
        .or_else(|| per_second(number).ok().map(|n| (n, Unit::PerSecond)))
}

/// The comparison at the front, if there is one, and the rest.
fn split_operator(text: &str) -> (Option<Comparison>, &str) {
    // Two-character operators first.
    let operators = [
        ("<=", Comparison::AtMost),
        ("≤", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("≥", Comparison::AtLeast),
        ("<", Comparison::Below),
        (">", Comparison::Above),
    ];
    for (sign, comparison) in operators {
        if let Some(rest) = text.strip_prefix(sign) {
            return (Some(comparison), rest.trim());
        }
    }
    (None, text)
}
