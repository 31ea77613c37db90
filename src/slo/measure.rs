//! One SLI on one set of requests: value, interval, n, and what is left of the error budget.
//!
//! Input: statistics of the snapshot. Output: a [`Measure`], or a sentence why there is none. Never NaN.

use super::interval;
use super::units::Ratio;
use super::{Comparison, Objective, Sli};
use crate::topology::{Bucket, Edge, EdgeKind, Series, Sketch, Snapshot, Stats};

/// What was observed.
#[derive(Debug)]
pub(super) struct Measure {
    /// In the unit of the objective.
    pub(super) value: f64,
    /// 95 %.
    pub(super) interval: (f64, f64),
    /// Which ends of it hold.
    pub(super) ends: Ends,
    /// Spans behind it.
    pub(super) n: u64,
    /// Share of the error budget left, where there is one.
    pub(super) budget_remaining: Option<f64>,
}

impl Measure {
    /// Whether the whole interval lies on one side of the target. Beyond an end that is not proven lies everything.
    pub(super) fn certain(&self, objective: &Objective) -> bool {
        let good = keeps(objective, self.value);
        let low = if self.ends.low { self.interval.0 } else { f64::NEG_INFINITY };
        let high = if self.ends.high { self.interval.1 } else { f64::INFINITY };
        keeps(objective, low) == good && keeps(objective, high) == good
    }
}

/// Which ends of an interval are proven by the sample; the others are only what happened to be seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) low: bool,
    pub(super) high: bool,
}

impl Ends {
    pub(super) const NONE: Self = Self { low: false, high: false };
    pub(super) const BOTH: Self = Self { low: true, high: true };
}

/// The requests an objective is about, summed.
#[derive(Debug, Default)]
pub(super) struct Requests {
    n: u64,
    calls: f64,
    errors: f64,
    durations: Sketch,
    /// Calls and errors per 5 minutes.
    pub(super) series: Series,
}

impl Requests {
    /// Adds the statistics of a service or operation.
    pub(super) fn add(&mut self, stats: &Stats) {
        self.n = self.n.saturating_add(stats.n);
        self.calls += stats.calls.as_f64();
        self.errors += stats.errors.as_f64();
        self.durations.merge(&stats.durations);
        for (at, bucket) in &stats.series.0 {
            let sum: &mut Bucket = self.series.0.entry(*at).or_default();
            sum.calls += bucket.calls;
            sum.errors += bucket.errors;
        }
    }

    /// Sample size for intervals: spans seen, or, in aggregates that know no spans, the calls.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    fn sample(&self) -> f64 {
        if self.n > 0 { self.n as f64 } else { self.calls }
    }

    /// Measures an SLI of handled requests. The error says why there is no value.
    pub(super) fn measure(&self, objective: &Objective, snapshot: &Snapshot) -> Result<Measure, &'static str> {
        if self.calls <= 0.0 {
            return Err("handled no request in the window");
        }
        match objective.sli {
            // Of a merge a part may have been measured, which is not all that was handled.
            Sli::Latency { .. } | Sli::LatencyMean if snapshot.provenance.calls_only => {
                Err("handled requests of which nobody measured how long they took")
            }
            Sli::Latency { percentile } => quantile(&self.durations, percentile, objective),
            Sli::LatencyMean => mean(&self.durations),
            Sli::ErrorRate if snapshot.provenance.calls_only => Err("handled requests whose failures nobody counted"),
            Sli::ErrorRate => Ok(self.error_rate(objective)),
            Sli::Throughput => self.throughput(snapshot.window.seconds()),
            Sli::MessagingLag { .. } | Sli::External => Err("is not measured on requests"),
        }
    }

    fn error_rate(&self, objective: &Objective) -> Measure {
        let value = (self.errors / self.calls).clamp(0.0, 1.0);
        let budget_remaining = (objective.target > 0.0).then(|| 1.0 - value / objective.target);
        let interval = interval::wilson(value, self.sample());
        Measure { value, interval, ends: Ends::BOTH, n: self.n, budget_remaining }
    }

    fn throughput(&self, seconds: f64) -> Result<Measure, &'static str> {
        if seconds <= 0.0 {
            return Err("was seen in a window without length, so no rate can be told");
        }
        let (low, high) = interval::poisson(self.sample());
        let per_span = self.calls / self.sample() / seconds;
        let interval = (low * per_span, high * per_span);
        Ok(Measure { value: self.calls / seconds, interval, ends: Ends::BOTH, n: self.n, budget_remaining: None })
    }
}

const NO_DURATION: &str = "has no usable durations in the window";

fn quantile(durations: &Sketch, percentile: f64, objective: &Objective) -> Result<Measure, &'static str> {
    let q = percentile / 100.0;
    let value = durations.quantile(q).ok_or(NO_DURATION)? / 1e9;
    let (interval, ends) = interval::of_quantile(durations, q).ok_or(NO_DURATION)?;
    let budget_remaining = budget(durations, percentile, objective).map(|left| {
        // Value and share are read from bins of finite width: they may not contradict each other.
        if keeps(objective, value) { left.max(0.0) } else { left.min(0.0) }
    });
    let interval = (interval.0 / 1e9, interval.1 / 1e9);
    let ends = Ends { low: ends.0, high: ends.1 };
    Ok(Measure { value, interval, ends, n: durations.n(), budget_remaining })
}

/// 1 − (share of calls slower than the target ÷ share that may be).
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
fn budget(durations: &Sketch, percentile: f64, objective: &Objective) -> Option<f64> {
    let allowed = Ratio::from_percent(percentile)?.complement().as_f64();
    let fast = durations.share_at_most((objective.target * 1e9).round() as u64)?;
    (allowed > 0.0).then(|| 1.0 - (1.0 - fast).max(0.0) / allowed)
}

#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn mean(durations: &Sketch) -> Result<Measure, &'static str> {
    let value = durations.mean().ok_or(NO_DURATION)?;
    let weight = durations.weight().as_f64();
    let squares: f64 = durations.bins().map(|(at, w)| w.as_f64() * (at - value) * (at - value)).sum();
    let deviation = (squares / weight).max(0.0).sqrt();
    let (low, high) = interval::mean(value, deviation, durations.n() as f64);
    let interval = (low / 1e9, high / 1e9);
    Ok(Measure { value: value / 1e9, interval, ends: Ends::BOTH, n: durations.n(), budget_remaining: None })
}

/// The time messages wait before this service receives them, from all its topics. The error says why there is none.
pub(super) fn messaging_lag<'a>(
    into: impl Iterator<Item = &'a Edge>,
    percentile: f64,
    objective: &Objective,
) -> Result<Measure, &'static str> {
    let mut dwell = Sketch::default();
    let mut messages = false;
    for edge in into.filter(|e| e.kind == EdgeKind::Messaging) {
        messages |= !edge.calls.is_zero();
        dwell.merge(&edge.dwell);
    }
    if dwell.is_empty() {
        let unlinked = "receives messages whose sending spans were not seen, so their waiting time is unknown";
        return Err(if messages { unlinked } else { "receives no messages in the window" });
    }
    quantile(&dwell, percentile, objective)
}

/// Whether a value lies on the good side.
pub(super) fn keeps(objective: &Objective, value: f64) -> bool {
    match objective.comparison {
        Comparison::Below => value < objective.target,
        Comparison::AtMost => value <= objective.target,
        Comparison::Above => value > objective.target,
        Comparison::AtLeast => value >= objective.target,
    }
}
