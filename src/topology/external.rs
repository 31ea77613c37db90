//! What a Prometheus answered to objectives that traces cannot answer, and how answers over several windows add up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::snapshot::Window;
use crate::diag::Diagnostic;

/// The values of a query at steps across the window, in whatever unit it has. Of several series the least and the greatest
/// at each step count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct External {
    /// The query as it was asked.
    pub query: String,
    /// Steps that were asked for.
    pub steps: u64,
    /// Steps with a value; those with an infinite one are none.
    pub n: u64,
    /// Least value of all.
    pub min: f64,
    /// Mean over the steps of the least value.
    pub low: f64,
    /// Mean over the steps of the greatest value.
    pub high: f64,
    /// Greatest value of all.
    pub max: f64,
}

/// The answers a snapshot holds, and the window it asked for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) window: Window,
    pub(super) answers: Vec<External>,
}

/// Queries named before the rest is only counted, and characters shown of each.
const MOST_NAMED: usize = 5;
const MOST_SHOWN: usize = 80;

/// One query's answers, each with the seconds it covers.
type Pieces<'a> = Vec<(f64, &'a External)>;

/// Answers over the window around all. Of windows that follow each other the means are weighted by time; time for which nobody
/// answered counts as steps without a value. Shards asked the same: there the fullest answer counts, and nothing adds up.
pub(super) fn unite(asked: &[Asked], around: Window, shards: bool) -> Vec<External> {
    by_query(asked, shards).values().filter_map(|pieces| sum(pieces, around.seconds())).collect()
}

/// Warns of answers that do not cover the window around all.
pub(super) fn in_part(asked: &[Asked], around: Window, shards: bool) -> Option<Diagnostic> {
    let whole = around.seconds();
    let by_query = by_query(asked, shards);
    let short: Vec<(&&str, f64)> = by_query
        .iter()
        .filter(|(_, pieces)| unanswered(pieces, whole) > 0)
        .map(|(query, pieces)| (query, covered(pieces) / whole))
        .collect();
    let mut named: Vec<String> = short
        .iter()
        .take(MOST_NAMED)
        .map(|(query, share)| format!("`{}` {:.1} %", super::dicts::clip(query, MOST_SHOWN), share * 100.0))
        .collect();
    let more = short.len().saturating_sub(MOST_NAMED);
    named.extend((more > 0).then(|| format!("and {more} more")));
    (!short.is_empty()).then(|| {
        let message = format!(
            "of the merged window the answers of external objectives cover only a part ({}); the rest counts as without a value",
            named.join(", ")
        );
        Diagnostic::warning("external-merged-in-part", message)
            .help("ask for the whole window: tracebook capture --from MERGED --prometheus URL --output MERGED")
    })
}

fn by_query(asked: &[Asked], shards: bool) -> BTreeMap<&str, Pieces<'_>> {
    let mut all: BTreeMap<&str, Pieces<'_>> = BTreeMap::new();
    for one in asked {
        // A window of no length was asked for at one step all the same.
        let seconds = one.window.seconds().max(1.0);
        for answer in &one.answers {
            all.entry(&answer.query).or_default().push((seconds, answer));
        }
    }
    for pieces in all.values_mut() {
        // Any order of the snapshots gives the same: sums of floats depend on theirs.
        pieces.sort_by(|(a, x), (b, y)| {
            let numbers = |e: &External| [e.min, e.low, e.high, e.max];
            let floats = || numbers(x).iter().zip(numbers(y)).map(|(x, y)| x.total_cmp(&y)).find(|o| o.is_ne());
            b.total_cmp(a)
                .then(y.n.cmp(&x.n))
                .then(x.steps.cmp(&y.steps))
                .then_with(|| floats().unwrap_or(a.total_cmp(b)))
        });
        if shards {
            pieces.truncate(1);
        }
    }
    all
}

fn covered(pieces: &Pieces<'_>) -> f64 {
    pieces.iter().map(|(seconds, _)| seconds).sum()
}

/// Seconds from step to step.
#[allow(clippy::cast_precision_loss, reason = "few steps")]
fn width(seconds: f64, answer: &External) -> f64 {
    seconds / answer.steps.max(1) as f64
}

/// The shortest width: so the longest answers are counted in more steps, not the shortest in none.
fn finest(pieces: &Pieces<'_>) -> f64 {
    pieces.iter().map(|(seconds, answer)| width(*seconds, answer)).min_by(f64::total_cmp).unwrap_or(1.0)
}

/// Steps of the whole for which nobody answered.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
fn unanswered(pieces: &Pieces<'_>, whole: f64) -> u64 {
    ((whole - covered(pieces)).max(0.0) / finest(pieces)).round() as u64
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "few steps; float casts saturate, which is meant"
)]
fn sum(pieces: &Pieces<'_>, whole: f64) -> Option<External> {
    let (_, first) = pieces.first()?;
    let finest = finest(pieces);
    let steps = |seconds: f64, answer: &External, n: u64| (n as f64 * (width(seconds, answer) / finest)).round() as u64;
    let with: Vec<u64> = pieces.iter().map(|(seconds, answer)| steps(*seconds, answer, answer.n)).collect();
    let n = with.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
    let without = pieces.iter().map(|(seconds, answer)| steps(*seconds, answer, answer.steps.saturating_sub(answer.n)));
    let all = without.fold(n.saturating_add(unanswered(pieces, whole)), u64::saturating_add);
    let min = pieces.iter().map(|(_, answer)| answer.min).min_by(f64::total_cmp)?;
    let max = pieces.iter().map(|(_, answer)| answer.max).max_by(f64::total_cmp)?;
    let mean = |of: fn(&External) -> f64| -> f64 {
        let parts = pieces.iter().zip(&with).map(|((_, answer), with)| of(answer) * (*with as f64 / n as f64));
        // A sum of many may be off by the last digit.
        parts.sum::<f64>().clamp(min, max)
    };
    let (low, high) = (mean(|answer| answer.low), mean(|answer| answer.high));
    Some(External { query: first.query.clone(), steps: all, n, min, low, high, max })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::UnixNanos;

    const HOUR: u64 = 3_600;

    fn window(from: u64, to: u64) -> Window {
        Window { start: UnixNanos(from * 1_000_000_000), end: UnixNanos(to * 1_000_000_000) }
    }

    fn lag(steps: u64, n: u64, low: f64, high: f64) -> External {
        External { query: "lag".into(), steps, n, min: low - 1.0, low, high, max: high + 1.0 }
    }

    fn asked(from: u64, to: u64, answers: &[External]) -> Asked {
        Asked { window: window(from, to), answers: answers.to_vec() }
    }

    #[test]
    fn equal_windows_add_up_step_by_step() {
        let all = [asked(0, HOUR, &[lag(241, 241, 1.0, 2.0)]), asked(HOUR, 2 * HOUR, &[lag(241, 200, 2.0, 8.0)])];
        let got = unite(&all, window(0, 2 * HOUR), false).remove(0);
        assert_eq!((got.steps, got.n, got.min, got.max), (482, 441, 0.0, 9.0));
        // Weighted by the steps that have a value.
        assert!((got.high - (241.0 * 2.0 + 200.0 * 8.0) / 441.0).abs() < 1e-12, "{got:?}");
        assert_eq!(in_part(&all, window(0, 2 * HOUR), false), None);
    }

    #[test]
    fn an_hour_counts_an_hour_beside_a_day() {
        // A day has 301 steps, an hour 241: by steps the hour would count 19 times too much.
        let all = [
            asked(0, 24 * HOUR, &[lag(301, 301, 2.0, 2.0)]),
            asked(24 * HOUR, 25 * HOUR, &[lag(241, 241, 90.0, 90.0)]),
        ];
        let got = unite(&all, window(0, 25 * HOUR), false).remove(0);
        assert_eq!(got.n, got.steps);
        assert!((got.high - (24.0 * 2.0 + 90.0) / 25.0).abs() < 0.01, "{got:?}");
    }

    #[test]
    fn time_for_which_nobody_answered_is_without_a_value_and_told() {
        let silent = [asked(0, HOUR, &[lag(240, 240, 1.0, 2.0)]), asked(HOUR, 3 * HOUR, &[])];
        let got = unite(&silent, window(0, 3 * HOUR), false).remove(0);
        assert_eq!((got.steps, got.n, got.low, got.high), (720, 240, 1.0, 2.0));
        let told = in_part(&silent, window(0, 3 * HOUR), false).unwrap();
        assert_eq!(told.code, "external-merged-in-part");
        assert!(told.message.contains("`lag` 33.3 %"), "{told}");
        let gap = [asked(0, HOUR, &[lag(240, 240, 1.0, 2.0)]), asked(2 * HOUR, 3 * HOUR, &[lag(240, 240, 1.0, 2.0)])];
        assert_eq!(unite(&gap, window(0, 3 * HOUR), false)[0].steps, 720);
        // Between the last span of a day and the first of the next there is always a little time.
        let near = [asked(0, HOUR, &[lag(240, 240, 1.0, 2.0)]), asked(HOUR + 5, 2 * HOUR, &[lag(240, 240, 1.0, 2.0)])];
        assert_eq!(in_part(&near, window(0, 2 * HOUR), false), None);
    }

    #[test]
    fn shards_asked_the_same_and_the_fullest_answer_counts_once() {
        let all = [
            asked(0, HOUR, &[]),
            asked(0, HOUR, &[lag(241, 240, 1.0, 2.0)]),
            asked(0, HOUR, &[lag(241, 241, 1.0, 3.0)]),
        ];
        assert_eq!(unite(&all, window(0, HOUR), true), [lag(241, 241, 1.0, 3.0)]);
        assert_eq!(in_part(&all, window(0, HOUR), true), None);
    }

    #[test]
    fn no_order_and_no_number_breaks_the_invariants() {
        let vast = External {
            query: "q".into(),
            steps: u64::MAX,
            n: u64::MAX,
            min: -1e308,
            low: -1e308,
            high: 1.7e308,
            max: 1.7e308,
        };
        let odd = External { query: "q".into(), steps: 3, n: 1, min: 0.1, low: 0.2, high: 0.3, max: 0.4 };
        let mut all = vec![
            asked(0, 0, &[vast]),
            asked(10, 11, std::slice::from_ref(&odd)),
            asked(20, 90, std::slice::from_ref(&odd)),
        ];
        let first = unite(&all, window(0, 90), false);
        all.reverse();
        assert_eq!(unite(&all, window(0, 90), false), first);
        let got = &first[0];
        assert!(got.n >= 1 && got.n <= got.steps, "{got:?}");
        assert!(got.min <= got.low && got.low <= got.high && got.high <= got.max && got.max.is_finite(), "{got:?}");
    }
}
