//! `--aggregate`: Tempo's own queriers count, and only totals come over.
//!
//! Purpose: calls, errors and durations of every operation, and the edges TraceQL can see, at a cost that follows the
//! number of services and operations, not of spans.
//! Input: a connected client and a window. Output: an [`Aggregate`]. Must not: read a span, or take a partial answer.
//!
//! What TraceQL cannot see is left out: links between traces, callers of spans that are cut off from their root, calls from
//! spans that are not CLIENT, sampling. Totals are exact; durations lie in buckets whose bounds are powers of two.

mod population;
mod reading;

use std::time::Duration;

use self::population::Population;
use self::reading::Counted;
use super::client::Client;
use super::endpoint::{self, Endpoint};
use super::window::Window;
use super::wire::InstantSeries;
use crate::diag::{Diagnostic, Location};
use crate::source::backend::pool::{Pool, Step};
use crate::source::backend::run;
use crate::source::backend::trouble::Trouble;
use crate::source::{AggregateSource, Progress, SourceOptions, SourceReport};
use crate::spans::aggregate::Aggregate;

/// Tempo spreads one query over its queriers by itself.
const AT_ONCE: usize = 2;

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
}

/// The Tempo that a URL behind `aggregate+` names; nothing is tried yet.
///
/// # Errors
/// `aggregate-unknown` for a source that cannot count; `aggregate-query` for a filter; `ingest-port` and `source-url` for a
/// URL that cannot work.
pub(in crate::source) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn AggregateSource>, Diagnostic> {
    let from = from.strip_prefix(PREFIX).unwrap_or(from);
    if !endpoint::claims(from) {
        return Err(Diagnostic::error("aggregate-unknown", "this source cannot count for itself: only a Tempo can")
            .help("leave out --aggregate; Prometheus counts without being told"));
    }
    if options.query.is_some() {
        return Err(Diagnostic::error(
            "aggregate-query",
            "--query chooses whole traces, and --aggregate counts spans: together they would answer another question",
        )
        .help("leave out one of them"));
    }
    Ok(Box::new(TempoCounts { endpoint: endpoint::parse(from)?, options: options.clone() }))
}

impl AggregateSource for TempoCounts {
    fn describe(&self) -> String {
        self.endpoint.shown.clone()
    }

    fn read(&mut self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        let (aggregate, diagnostics) = run::run(self.options.threads, self.all(progress))?;
        let report = SourceReport { window: Some(aggregate.window), diagnostics, ..SourceReport::default() };
        Ok((aggregate, report))
    }
}

impl TempoCounts {
    async fn all(&self, progress: &dyn Progress) -> Result<(Aggregate, Vec<Diagnostic>), Diagnostic> {
        let (endpoint, options) = (&self.endpoint, &self.options);
        let (_, seconds) = super::windows(endpoint, options)?;
        progress.note("connecting");
        let (client, _) = super::connect(endpoint, options).await?;
        let (aggregate, (all, cut_off)) = count(&client, seconds, options.timeout, progress).await?;
        let lost = Diagnostic::warning(
            "tempo-cut-off",
            format!("{cut_off} of {all} span(s) do not lead up to a root: TraceQL cannot follow their calls, so edges miss them"),
        )
        .at(Location::file(endpoint.shown.as_str()))
        .help("operations are complete; read traces (without --aggregate) for complete edges");
        Ok((aggregate, (cut_off > 0).then_some(lost).into_iter().collect()))
    }
}

/// One query.
#[derive(Debug, Clone)]
struct Job {
    population: usize,
    durations: bool,
    query: String,
    window: Window,
}

/// Counts everything in a window. Also says how many spans there are, and how many of them are cut off from their root.
///
/// # Errors
/// What kept Tempo from answering, and `tempo-series-partial` where an answer was cut off.
pub(super) async fn count(
    client: &Client,
    seconds: Window,
    timeout: Duration,
    progress: &dyn Progress,
) -> Result<(Aggregate, (u64, u64)), Diagnostic> {
    let mut populations = population::known();
    let mut counted = Counted::default();
    progress.note("counting operations");
    ask(client, &populations, 0, seconds, timeout, progress, &mut counted).await?;
    let known = populations.len();
    for caller in counted.callers(&populations) {
        populations.extend(population::calls(&caller));
    }
    progress.note("counting calls");
    ask(client, &populations, known, seconds, timeout, progress, &mut counted).await?;
    let mut aggregate = Aggregate { window: seconds.nanos(), ..Aggregate::default() };
    let cut_off = counted.cut_off(&populations);
    counted.aggregate(&populations, &mut aggregate);
    Ok((aggregate, cut_off))
}

/// Asks for all populations from `first` on.
async fn ask(
    client: &Client,
    populations: &[Population],
    first: usize,
    seconds: Window,
    timeout: Duration,
    progress: &dyn Progress,
    counted: &mut Counted,
) -> Result<(), Diagnostic> {
    let mut jobs = Vec::new();
    for (at, population) in populations.iter().enumerate().skip(first) {
        for window in seconds.for_metrics() {
            let job = |durations, query| Job { population: at, durations, query, window };
            jobs.push(job(false, population.count()));
            jobs.push(job(true, population.durations()));
        }
    }
    progress.total(jobs.len() as u64);
    let settle = |job: Job, answer: Result<Vec<InstantSeries>, Trouble>| match answer {
        Ok(series) => {
            if let Some(population) = populations.get(job.population) {
                if job.durations {
                    counted.durations(job.population, population, &series);
                } else {
                    counted.count(job.population, population, &series);
                }
            }
            progress.advance(1);
            Ok(Step::Done)
        }
        // Totals of two halves add up to those of the whole.
        Err(Trouble::TooMuch(why) | Trouble::Slow(why)) => match job.window.halves() {
            Some(halves) => Ok(Step::Instead(halves.map(|window| Job { window, ..job.clone() }).to_vec())),
            None => Err(why),
        },
        Err(other) => Err(other.diagnostic()),
    };
    let work = |job: Job| {
        let client = client.clone();
        async move { client.totals(job.query, job.window).await }
    };
    Pool::new(AT_ONCE, timeout).run(jobs, work, settle).await
}
