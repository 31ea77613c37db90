//! `--aggregate`: Tempo's own queriers count, and only totals come over.
//!
//! Purpose: calls, errors and durations of every operation, and the edges TraceQL can see, at a cost that follows the
//! number of services and operations, not of spans.
//! Input: a connected client and a window. Output: an [`Aggregate`]. Must not: read a span, or take a partial answer.
//!
//! What TraceQL cannot see is left out: links between traces, callers of spans that are cut off from their root, calls from
//! spans that are not CLIENT, sampling. Totals are exact; durations lie in buckets whose bounds are powers of two.

mod counted;
mod examples;
mod failure;
mod filter;
mod parts;
mod plan;
mod population;
mod query;
mod question;
mod reading;
mod series;
mod sums;

use self::counted::Counted;
use self::examples::{Hints, Reading};
use self::plan::{classes, classes_of_calls, further, of_failures, over_time, silently, totals};
use self::population::Population;
use self::question::Asking;
use super::endpoint::{self, Endpoint};
use super::window::Window;
use crate::diag::{Diagnostic, Location};
use crate::source::backend::run;
use crate::source::mapper::Mapper;
use crate::source::{AggregateSource, Progress, SourceOptions, SourceReport, SpanSink};
use crate::spans::aggregate::Aggregate;

/// What `--aggregate` puts before a source.
const PREFIX: &str = "aggregate+";

/// Whether a source is to be counted where it is.
pub(in crate::source) fn claims(from: &str) -> bool {
    from.starts_with(PREFIX)
}

/// A Tempo that counts.
struct TempoCounts {
    endpoint: Endpoint,
    options: SourceOptions,
    /// What holds for every span that is counted.
    filter: Option<String>,
    /// What was counted says where to look for examples.
    hints: Option<Hints>,
}

/// The Tempo that a URL behind `aggregate+` names; nothing is tried yet.
///
/// # Errors
/// `aggregate-unknown` for a source that cannot count; `aggregate-query` for more than a filter of spans; `ingest-port` and `source-url` for a
/// URL that cannot work.
pub(in crate::source) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn AggregateSource>, Diagnostic> {
    let from = from.strip_prefix(PREFIX).unwrap_or(from);
    if !endpoint::claims(from) {
        return Err(Diagnostic::error("aggregate-unknown", "this source cannot count for itself: only a Tempo can")
            .help("leave out --aggregate; Prometheus counts without being told"));
    }
    let filter = options.query.as_deref().map(filter::condition).transpose()?.flatten();
    Ok(Box::new(TempoCounts { endpoint: endpoint::parse(from)?, options: options.clone(), filter, hints: None }))
}

impl AggregateSource for TempoCounts {
    fn describe(&self) -> String {
        let filtered = if self.filter.is_some() { " (filtered spans)" } else { "" };
        format!("{}{filtered}", self.endpoint.shown)
    }

    fn read(&mut self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        let Outcome { aggregate, diagnostics, hints } = run::run(self.options.threads, self.all(progress))?;
        self.hints = Some(hints);
        let report = SourceReport { window: Some(aggregate.window), diagnostics, ..SourceReport::default() };
        Ok((aggregate, report))
    }

    fn examples(
        &mut self,
        most: Option<u64>,
        sink: &dyn SpanSink,
        progress: &dyn Progress,
    ) -> Result<SourceReport, Diagnostic> {
        let most = most.unwrap_or(examples::DEFAULT);
        let (Some(hints), true) = (self.hints.as_ref(), most > 0) else { return Ok(SourceReport::default()) };
        let mut report = run::run(self.options.threads, self.some(hints, most, sink, progress))?;
        if most > examples::MOST {
            let fewer = format!("{most} examples were asked for: at most {} are read", examples::MOST);
            report.diagnostics.push(
                Diagnostic::warning("examples-fewer", fewer)
                    .at(Location::file(self.endpoint.shown.as_str()))
                    .help("read a sample instead of counts for more: leave out --aggregate"),
            );
        }
        Ok(report)
    }
}

impl TempoCounts {
    async fn all(&self, progress: &dyn Progress) -> Result<Outcome, Diagnostic> {
        let (endpoint, options) = (&self.endpoint, &self.options);
        let (_, seconds) = super::windows(endpoint, options)?;
        progress.note("connecting");
        let (client, _) = super::connect(endpoint, options).await?;
        let asking = Asking { client: &client, timeout: options.timeout, progress };
        let mut outcome = count(&asking, seconds, self.filter.as_deref()).await?;
        for diagnostic in &mut outcome.diagnostics {
            diagnostic.location = Location::file(endpoint.shown.as_str());
        }
        Ok(outcome)
    }
}

impl TempoCounts {
    /// Reads a few whole traces.
    async fn some(
        &self,
        hints: &Hints,
        most: u64,
        sink: &dyn SpanSink,
        progress: &dyn Progress,
    ) -> Result<SourceReport, Diagnostic> {
        let (endpoint, options) = (&self.endpoint, &self.options);
        let (_, seconds) = super::windows(endpoint, options)?;
        progress.note("reading some traces");
        let (client, http) = super::both(endpoint, options).await?;
        let mut mapper = Mapper::new(options.rate_attribute.clone());
        let reading = Reading { client: &client, http: &http, timeout: options.timeout, sink };
        reading.read(hints, most, (seconds, self.filter.as_deref()), &mut mapper).await?;
        Ok(SourceReport { rejected: mapper.rejected, window: Some(seconds.nanos()), ..SourceReport::default() })
    }
}

/// What was counted, and what is to be said about it.
struct Outcome {
    aggregate: Aggregate,
    diagnostics: Vec<Diagnostic>,
    hints: Hints,
}

/// Counts everything in a window.
///
/// # Errors
/// What kept Tempo from answering, and `tempo-series-partial` where an answer was cut off for good.
async fn count(asking: &Asking<'_>, seconds: Window, filter: Option<&str>) -> Result<Outcome, Diagnostic> {
    let only = |population: Population| population.only(filter);
    let mut populations: Vec<Population> = population::known().into_iter().map(only).collect();
    let mut counted = Counted::default();
    asking.progress.note("counting operations");
    asking.ask(totals(&populations, 0, seconds), &populations, &mut counted).await?;
    let (kinds, mut failures) = (failure::kinds().map(only), Counted::default());
    asking.ask(of_failures(&kinds, seconds), &kinds, &mut failures).await?;
    let known = populations.len();
    let callers = counted.callers(&populations);
    for caller in &callers {
        let alone = callers.iter().filter(|other| other.name == caller.name).count() == 1;
        populations.extend(population::calls(caller, alone).map(only));
    }
    asking.progress.note("counting calls");
    let silent = failures.holds(1).then(failure::silent);
    let mut questions = totals(&populations, known, seconds);
    questions.extend(silent.iter().flat_map(|silent| silently(&populations, silent, seconds)));
    asking.ask(questions, &populations, &mut counted).await?;
    asking.progress.note("counting by time");
    let figures = counted.len().saturating_mul(series::buckets(seconds));
    let many = figures > series::MOST_FIGURES;
    let mut questions = further(&populations, &counted, seconds);
    if !many {
        questions.extend(over_time(&populations, &counted, seconds, silent.as_deref()));
    }
    let known = failure::known(&failures);
    questions.extend(classes(&populations, &counted, &known, seconds));
    asking.ask(questions, &populations, &mut counted).await?;
    let questions = classes_of_calls(&populations, &counted, &known, seconds);
    asking.ask(questions, &populations, &mut counted).await?;
    let mut diagnostics = Vec::new();
    let (all, cut_off) = counted.cut_off(&populations);
    if cut_off > 0 {
        let lost = format!(
            "{cut_off} of {all} span(s) do not lead up to a root: TraceQL cannot follow their calls, so edges miss them"
        );
        diagnostics.push(
            Diagnostic::warning("tempo-cut-off", lost)
                .help("operations are complete; read traces (without --aggregate) for complete edges"),
        );
    }
    if many {
        let much = format!("calls and errors over time would be {figures} figures: they were not asked for");
        diagnostics.push(
            Diagnostic::warning("tempo-series-long", much)
                .help("ask for a shorter window, and merge those that follow each other: tracebook capture --merge"),
        );
    } else if let Some(apart) = counted.settle(&populations) {
        let apart = format!("calls by time and their totals do not agree for {apart}: there the times are left out");
        diagnostics.push(
            Diagnostic::warning("tempo-series-apart", apart)
                .help("spans came late while they were counted: ask for a window that ends earlier"),
        );
    }
    let mut aggregate = Aggregate { window: seconds.nanos(), ..Aggregate::default() };
    let hints = Hints::of(&counted, &populations);
    counted.put_together(&populations);
    counted.aggregate(&populations, &mut aggregate);
    Ok(Outcome { aggregate, diagnostics, hints })
}
