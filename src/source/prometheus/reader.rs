//! How much of a metric is read, and in which pieces.
//!
//! Raw samples where there are few enough (a range selector gives them as they were stored), else one value a step. Every
//! question is bounded before it is asked; a metric that is too large even in hourly steps is refused.

use super::answer::Series;
use super::api::Api;
use super::fold::{Counted, Fold};
use crate::diag::{Diagnostic, Location};
use crate::source::Progress;

/// Most raw samples of one metric.
const RAW: u64 = 3_000_000;
/// Most points of one metric in steps.
const STEPPED: u64 = 4_000_000;
/// About so many samples come in one answer: some 30 bytes each.
const ANSWER: u64 = 400_000;
/// Points of one series in one answer; servers allow 11,000.
const POINTS: u64 = 10_000;
/// Steps in milliseconds, finest first.
const STEPS: [u64; 4] = [60_000, 300_000, 900_000, 3_600_000];
/// How long before the window a counter is looked for, in milliseconds, so that its first increase is known.
const BEFORE: u64 = 600_000;
/// Most series of one metric.
const SERIES: usize = 1_000_000;

/// Reads metrics over one window.
pub(super) struct Reader<'a> {
    pub(super) api: &'a Api,
    /// Start and end in milliseconds.
    pub(super) window: (u64, u64),
    /// Label matchers of `--query`, without braces; may be empty.
    pub(super) matchers: String,
    pub(super) progress: &'a dyn Progress,
}

/// What a metric counted.
#[derive(Debug, Default)]
pub(super) struct Metric {
    pub(super) series: Vec<Counted>,
    /// Counted before the first sample, see [`Fold::finish`].
    pub(super) doubt: f64,
    /// Milliseconds between two values, where raw samples were too many.
    pub(super) step: Option<u64>,
}

impl Reader<'_> {
    /// What a counter or native histogram counted in the window; nothing where it has no samples. `scale` is nanoseconds in
    /// the unit of a native histogram.
    pub(super) async fn read(&self, name: &str, more: &str, scale: f64) -> Result<Metric, Diagnostic> {
        self.progress.note(name);
        let (start, end) = self.window;
        let selector = self.selector(name, more);
        let from = start.saturating_sub(BEFORE);
        let length = end.saturating_sub(from);
        let samples = self.number(&format!("sum(count_over_time({selector}[{length}ms]))")).await?;
        let mut fold = Fold::new(start, scale);
        let step = if samples <= RAW {
            if samples > 0 {
                self.raw(&selector, from, samples, &mut fold).await?;
            }
            None
        } else {
            let series = self.number(&format!("count(count_over_time({selector}[{length}ms]))")).await?;
            let points = |step: u64| series.saturating_mul(end.saturating_sub(start) / step + 2);
            let step = STEPS.into_iter().find(|step| points(*step) <= STEPPED);
            let step = step.ok_or_else(|| self.too_much(name))?;
            self.stepped(&selector, step, series, &mut fold).await?;
            Some(step)
        };
        self.progress.advance(1);
        let (series, doubt) = fold.finish();
        Ok(Metric { series, doubt, step })
    }

    fn selector(&self, name: &str, more: &str) -> String {
        let matchers: Vec<&str> = [more, &self.matchers].into_iter().filter(|part| !part.is_empty()).collect();
        format!("{name}{{{}}}", matchers.join(","))
    }

    /// The one number an expression gives; 0 without any.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
    async fn number(&self, query: &str) -> Result<u64, Diagnostic> {
        let found = self.api.query(query, self.window.1).await?;
        let value = found.first().and_then(|series| series.value.as_ref()).and_then(|(_, text)| text.parse().ok());
        Ok(value.unwrap_or(0.0_f64) as u64)
    }

    async fn raw(&self, selector: &str, from: u64, samples: u64, fold: &mut Fold) -> Result<(), Diagnostic> {
        let end = self.window.1;
        let pieces = samples.div_ceil(ANSWER).max(1);
        let length = end.saturating_sub(from).div_ceil(pieces).max(1_000);
        let mut at = from;
        while at < end {
            let next = at.saturating_add(length).min(end);
            // A little more than the piece: servers differ in whether a range holds its first instant.
            let range = next.saturating_sub(at).saturating_add(1);
            let found = self.api.query(&format!("{selector}[{range}ms]"), next).await?;
            self.take(found, fold)?;
            at = next;
        }
        Ok(())
    }

    async fn stepped(&self, selector: &str, step: u64, series: u64, fold: &mut Fold) -> Result<(), Diagnostic> {
        let (start, end) = self.window;
        let points = (ANSWER / series.max(1)).clamp(1, POINTS);
        let mut at = start;
        while at <= end {
            let last = at.saturating_add(step.saturating_mul(points.saturating_sub(1))).min(end);
            let found = self.api.range(selector, (at, last, step)).await?;
            self.take(found, fold)?;
            let done = last.saturating_sub(at) / step;
            at = at.saturating_add(step.saturating_mul(done + 1));
        }
        // The end of the window need not be on a step.
        let found = self.api.range(selector, (end, end, step)).await?;
        self.take(found, fold)
    }

    fn take(&self, found: Vec<Series>, fold: &mut Fold) -> Result<(), Diagnostic> {
        found.into_iter().for_each(|series| fold.add(series));
        if fold.len() > SERIES { Err(self.too_much("a metric")) } else { Ok(()) }
    }

    fn too_much(&self, name: &str) -> Diagnostic {
        Diagnostic::error("prometheus-too-much", format!("{name} has more series and samples than can be read"))
            .at(Location::file(&*self.api.at))
            .help("shorten the window, or narrow it down with --query")
    }
}
