//! What queries come to over a window, for objectives that traces cannot answer: replica lag, certificates, pods.
//!
//! Input: queries of the configuration, a window. Output: an [`Answer`] for each, or why there is none. Must not: take a value
//! that is no number for one, or ask for more than [`STEPS`] points of a series.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Series;
use super::{connect, endpoint};
use crate::diag::{Diagnostic, Location};
use crate::source::SourceOptions;
use crate::source::backend::run;

/// Points of a series at most, but for the first.
const STEPS: u64 = 300;
/// Prometheus is rarely asked to look more often: milliseconds.
const SHORTEST: u64 = 15_000;

/// The values of a query at steps across a window. Of several series the least and the greatest at each step count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Steps that were asked for.
    pub steps: u64,
    /// Steps at which every series with a value had a finite one.
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

/// Asks a Prometheus for each query over the window of the options. Queries that it refuses or that have no value are told
/// one by one; they cost no other.
///
/// # Errors
/// `source-url`, `window-missing`, and what keeps from connecting at all.
pub fn answers(
    from: &str,
    options: &SourceOptions,
    queries: &[String],
) -> Result<Vec<Result<Answer, Diagnostic>>, Diagnostic> {
    let endpoint = endpoint::parse(from)?;
    let (start, end) = run::window(options, &endpoint.shown)?;
    let (start, end) = (start.0 / 1_000_000, end.0 / 1_000_000);
    // Whole seconds, so that the same window has the same steps.
    let step = (end.saturating_sub(start) / STEPS).max(SHORTEST).div_ceil(1_000).saturating_mul(1_000);
    run::run(1, async {
        let api = connect(&endpoint, options).await?;
        let mut all = Vec::with_capacity(queries.len());
        for query in queries {
            let answered = api.range(query, (start, end, step)).await;
            let steps = end.saturating_sub(start) / step + 1;
            all.push(answered.and_then(|series| {
                summed(&series, steps).ok_or_else(|| {
                    Diagnostic::error("external-unanswered", "the query has no value in the window")
                        .at(Location::file(endpoint.shown.as_str()))
                        .help("try it in Prometheus over the same window; a query must not end in a range such as [5m]")
                })
            }));
        }
        Ok(all)
    })
}

/// `None` without a single number. A step with an infinite value, or one that is no number, counts as one without a value.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "times in milliseconds, few steps")]
fn summed(series: &[Series], asked: u64) -> Option<Answer> {
    let mut steps: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    let mut odd = BTreeSet::new();
    for (time, text) in series.iter().flat_map(|one| &one.values) {
        let at = (time * 1e3).round() as i64;
        let Some(value) = text.parse::<f64>().ok().filter(|value| value.is_finite()) else {
            odd.insert(at);
            continue;
        };
        let step = steps.entry(at).or_insert((value, value));
        *step = (step.0.min(value), step.1.max(value));
    }
    steps.retain(|at, _| !odd.contains(at));
    let n = steps.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| steps.values().map(of).sum::<f64>() / n;
    let (low, high) = (mean(|step| step.0), mean(|step| step.1));
    let min = steps.values().map(|step| step.0).min_by(f64::total_cmp)?;
    let max = steps.values().map(|step| step.1).max_by(f64::total_cmp)?;
    (low.is_finite() && high.is_finite()).then_some(Answer {
        steps: asked.max(steps.len() as u64),
        n: steps.len() as u64,
        min,
        // A sum of many may be off by the last digit.
        low: low.clamp(min, max),
        high: high.clamp(min, max),
        max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[(f64, &str)]) -> Series {
        Series { values: values.iter().map(|(at, text)| (*at, (*text).to_owned())).collect(), ..Series::default() }
    }

    #[test]
    fn of_several_series_the_least_and_the_greatest_count_at_each_step() {
        let all =
            [series(&[(10.0, "1"), (25.0, "3"), (40.0, "NaN")]), series(&[(10.0, "5"), (25.0, "2"), (40.0, "9")])];
        assert_eq!(summed(&all, 5), Some(Answer { steps: 5, n: 2, min: 1.0, low: 1.5, high: 4.0, max: 5.0 }));
        assert_eq!(summed(&[series(&[(10.0, "NaN"), (25.0, "+Inf"), (40.0, "x")])], 3), None);
        assert_eq!(summed(&[], 3), None);
    }
}
