//! Every trace of a window, once: count, take a census, pull in bulk, fetch by id what bulk cannot give.
//!
//! A trace belongs to the window in which its first span starts, so consecutive windows neither lose nor repeat one.
//! The census fixes which traces that are; each of them is then either pushed whole or the pull fails. Nothing that came
//! from a failed request is ever used, and a window that succeeded is not asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use super::answer::{self, Found};
use super::client::Client;
use super::http::Http;
use super::jobs::{Bulk, Census, Count, SAMPLED_SERVICES, bulks, narrower, note, stretch, thin};
use super::select::Queries;
use super::trouble::Trouble;
use super::whole::Whole;
use super::window::{Window, plan};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::pool::{Pool, Step};
use crate::source::mapper::Mapper;
use crate::source::sample::Left;
use crate::source::{Progress, Sample, SpanSink};
use crate::spans::{TraceId, UnixNanos};

/// Spans in one census window; each trace costs little there.
const CENSUS_SPANS: u64 = 150_000;
/// First window when Tempo cannot count.
const BLIND_SECONDS: u32 = 300;
const SEARCHES_AT_ONCE: usize = 3;
const FETCHES_AT_ONCE: usize = 4;
/// Rounds of reading a trace again when fewer spans come by id than the search counted.
const SHORT_READS: u32 = 2;
/// The same when the server was away in between: after a restart it answers before it knows all its blocks.
const SHORT_READS_AFTER_TROUBLE: u32 = 8;
/// Rounds of counting anew when the server was away, until two say the same.
const CENSUSES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Rows in a batch made of traces that came by id.
const ROWS: usize = 8_192;

/// Who to ask and for what. Clones share connections.
#[derive(Clone)]
pub(super) struct Requests {
    pub(super) client: Client,
    pub(super) http: Http,
    pub(super) queries: Queries,
    /// The whole seconds around the window.
    pub(super) seconds: Window,
}

/// One pull; made by `TempoSource`.
pub(super) struct Pull<'a> {
    pub(super) ask: Requests,
    /// Nothing in bulk.
    pub(super) all_by_id: bool,
    /// Not all traces of the census, if so.
    pub(super) sample: Option<Sample>,
    /// As asked for, in nanoseconds.
    pub(super) window: (UnixNanos, UnixNanos),
    /// Deadline of one request.
    pub(super) timeout: Duration,
    pub(super) at: String,
    pub(super) mapper: Mapper,
    pub(super) sink: &'a dyn SpanSink,
    pub(super) progress: &'a dyn Progress,
    pub(super) tally: Tally,
}

/// What was seen, for the report.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Spans pushed that start within the window.
    within: u64,
    /// Traces of which Tempo gave only a part.
    pub(super) partial: u64,
    /// Traces that were found, but not there any more by id.
    pub(super) vanished: u64,
    /// Whether the server was away or overloaded for a while.
    troubled: bool,
    /// What a sample leaves out.
    pub(super) left: Option<Left>,
    pub(super) diagnostics: Vec<Diagnostic>,
}

/// The outcome of the census.
#[derive(Debug, Default)]
struct Counted {
    /// Traces that start in the window.
    mine: Census,
    /// Spans of traces that only reach into it.
    around: u64,
    /// One trace of each of some services.
    samples: Vec<TraceId>,
}

/// Spans of a census.
fn spans(census: &Census) -> u64 {
    census.values().fold(0, |sum, brief| sum.saturating_add(u64::from(brief.spans)))
}

/// Growing pauses, for what a server that was away has to catch up on.
fn pause(round: u32) -> Duration {
    PAUSE.saturating_mul(1 << round.min(6)).min(LONGEST_PAUSE)
}

impl Pull<'_> {
    /// Does it all.
    pub(super) async fn run(&mut self) -> Result<(), Diagnostic> {
        self.progress.note("counting the traces of the window");
        let (total, mut counted) = self.settled().await?;
        if counted.mine.is_empty() {
            return Err(self.nothing(total, counted.around));
        }
        let expected = spans(&counted.mine);
        // More spans than the census knows: some trace lies in pieces.
        let pieces = total.is_some_and(|n| n > expected.saturating_add(counted.around));
        let all = self.sample.map(|_| counted.mine.clone());
        self.tally.left = self.sample.and_then(|sample| sample.apply(&mut counted.mine, |brief| brief.start));
        // The spans of what is left out are around what is read.
        counted.around = counted.around.saturating_add(expected.saturating_sub(spans(&counted.mine)));
        self.progress.total(counted.mine.len() as u64);
        self.progress.note("reading traces");
        let most = self.ask.client.spans_per_set();
        let suspicious = counted.mine.iter().filter(|(_, b)| b.failed || b.spans > most);
        let mut by_id: BTreeSet<TraceId> = suspicious.map(|(id, _)| *id).collect();
        if self.all_by_id || self.sampled(&counted.samples).await? {
            by_id.extend(counted.mine.keys());
        }
        if pieces {
            self.scout(&counted.mine, &mut by_id).await?;
        }
        self.parents().await?;
        let jobs = bulks(all.as_ref().unwrap_or(&counted.mine), self.ask.client.limit());
        self.bulk(thin(jobs, &counted.mine, &mut by_id), &mut by_id).await?;
        self.fetch(&counted.mine, by_id).await?;
        self.reconcile(total, counted.around);
        Ok(())
    }

    /// The number of spans, and the census. A server that was away meanwhile is asked again until it says the same twice:
    /// just after a restart it answers, but does not know all its blocks yet.
    async fn settled(&mut self) -> Result<(Option<u64>, Counted), Diagnostic> {
        let (mut total, mut counted) = (self.total().await?, self.census().await?);
        let mut before = None;
        for round in 0..CENSUSES {
            if !self.tally.troubled {
                break;
            }
            let now = (total, counted.mine.len(), spans(&counted.mine));
            if before.replace(now) == Some(now) {
                break;
            }
            tokio::time::sleep(pause(round)).await;
            (total, counted) = (self.total().await?, self.census().await?);
        }
        Ok((total, counted))
    }

    /// The exact number of spans, if every span is asked for and Tempo can count.
    async fn total(&mut self) -> Result<Option<u64>, Diagnostic> {
        if !self.ask.queries.everything() {
            return Ok(None);
        }
        let counted =
            self.patiently(|ask| async move { ask.client.count(ask.queries.count(), ask.seconds).await }).await?;
        Ok(counted.flatten())
    }

    /// One optional request, repeated while the server is busy; `None` when it is refused or too much to ask.
    async fn patiently<T, F>(&mut self, request: impl Fn(Requests) -> F) -> Result<Option<T>, Diagnostic>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        let mut outcome = None;
        let settle = |(), answer: Result<T, Trouble>| {
            outcome = answer.ok();
            Ok(Step::Done)
        };
        let mut pool = Pool::new(1, self.timeout);
        pool.run(vec![()], |()| request(self.ask.clone()), settle).await?;
        self.tally.troubled |= pool.troubled();
        Ok(outcome)
    }

    /// Which traces there are: windows planned by counts where Tempo can count, else short ones; halved where needed.
    async fn census(&mut self) -> Result<Counted, Diagnostic> {
        let whole = self.ask.seconds;
        let counts = self
            .patiently(|ask| async move { ask.client.counts(ask.queries.count_by_time(), ask.seconds).await })
            .await?
            .filter(|counts| !counts.is_empty());
        let windows = match counts {
            // A trace has at least one span, so this many spans are at most this many traces.
            Some(counts) => plan(whole, &counts, CENSUS_SPANS.min(u64::from(self.ask.client.limit()))),
            None => whole.cut(BLIND_SECONDS),
        };
        let jobs = windows.into_iter().map(|window| Count { window, duration: None }).collect();
        let mut all = Census::new();
        let mut services: BTreeMap<String, TraceId> = BTreeMap::new();
        let mut pool = Pool::new(SEARCHES_AT_ONCE, self.timeout);
        let ask = &self.ask;
        let settle = |job: Count, answer: Result<Found, Trouble>| {
            let trouble = match answer {
                Ok(found) => {
                    note(&mut all, &mut services, &found);
                    return Ok(Step::Done);
                }
                Err(trouble) => trouble,
            };
            narrower(ask, trouble, job, |job| job.narrower())
        };
        let search = |job: Count| {
            let ask = self.ask.clone();
            async move { ask.client.search(ask.queries.census(job.duration), job.window, 1).await }
        };
        pool.run(jobs, search, settle).await?;
        self.tally.troubled |= pool.troubled();
        let (mine, others): (Census, Census) =
            all.into_iter().partition(|(_, b)| b.start >= self.window.0.0 && b.start < self.window.1.0);
        let last = whole.nanos().1.0;
        let around = others.values().filter(|b| b.start < last).map(|b| u64::from(b.spans)).sum();
        let samples: BTreeSet<TraceId> = services.into_values().filter(|id| mine.contains_key(id)).collect();
        Ok(Counted { mine, around, samples: samples.into_iter().take(SAMPLED_SERVICES).collect() })
    }

    /// Whether spans carry sampling thresholds in their trace state, which no search can select.
    async fn sampled(&mut self, samples: &[TraceId]) -> Result<bool, Diagnostic> {
        let mut sampled = false;
        let ask = self.ask.clone();
        let fetch = |id: TraceId| {
            let http = ask.http.clone();
            async move { http.trace(id).await }
        };
        let mut settle = |_, answer: Result<Whole, Trouble>| {
            sampled |= answer.is_ok_and(|whole| whole.sampled());
            Ok(Step::Done)
        };
        let mut pool = Pool::new(FETCHES_AT_ONCE, self.timeout);
        let outcome = match pool.run(samples.to_vec(), &fetch, &mut settle).await {
            // Only if the other side is away as well, it is worth waiting for this one.
            Err(d) if d.code == "tempo-http-unreachable" && self.away().await? => {
                pool.run(samples.to_vec(), &fetch, &mut settle).await
            }
            other => other,
        };
        match outcome {
            Ok(()) => Ok(sampled),
            Err(d) if matches!(d.code, "tempo-http-unreachable" | "tempo-http-refused") => {
                self.tally.diagnostics.push(
                    Diagnostic::info(
                        "tempo-sampling-unknown",
                        "whether the spans were sampled (trace state `ot=th`) could not be read, since Tempo's HTTP side does not answer",
                    )
                    .at(Location::file(self.at.clone()))
                    .help("name Tempo's HTTP port with ?http=host:3200 in the address"),
                );
                Ok(false)
            }
            Err(other) => Err(other),
        }
    }

    /// Waits for the gRPC side, and tells whether it was away.
    async fn away(&mut self) -> Result<bool, Diagnostic> {
        let before = std::mem::take(&mut self.tally.troubled);
        let window = self.ask.seconds.for_search().first().copied().unwrap_or(self.ask.seconds);
        self.patiently(|ask| async move { ask.client.probe(ask.queries.census(None), window).await }).await?;
        let away = self.tally.troubled;
        self.tally.troubled |= before;
        Ok(away)
    }

    /// When there are more spans than the census knows, some trace lies in pieces: finds those that may.
    async fn scout(&self, mine: &Census, by_id: &mut BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let mut jobs = bulks(mine, self.ask.client.limit());
        stretch(&mut jobs, self.ask.seconds);
        let search = |job: Bulk| {
            let ask = self.ask.clone();
            async move {
                let found = ask.client.search(ask.queries.census(None), job.window, ask.client.spans_per_set()).await?;
                let counted = ask.client.count(ask.queries.count(), job.window).await?;
                Ok((found, counted))
            }
        };
        let ask = &self.ask;
        let settle = |job: Bulk, answer: Result<(Found, Option<u64>), Trouble>| {
            let (found, counted) = match answer {
                Ok(answer) => answer,
                Err(Trouble::Refused(_)) => return Ok(Step::Done),
                Err(trouble) => return narrower(ask, trouble, job, |job| job.halves(true)),
            };
            let (start, end) = job.window.nanos();
            let (within, cut) = answer::spans_within(&found, start.0, end.0);
            let short = counted.is_some_and(|n| n > within.saturating_add(cut));
            for (id, trace) in &found {
                let moved = mine.get(id).is_some_and(|known| known.start != trace.start_time_unix_nano);
                if mine.contains_key(id) && (short || moved) {
                    by_id.insert(*id);
                }
            }
            Ok(Step::Done)
        };
        Pool::new(SEARCHES_AT_ONCE, self.timeout).run(jobs, search, settle).await
    }

    /// Learns how this Tempo tells parents.
    async fn parents(&mut self) -> Result<(), Diagnostic> {
        let window = self.ask.seconds.for_search().first().copied().unwrap_or(self.ask.seconds);
        let known = |ask: Requests| async move {
            match ask.client.probe(ask.queries.parents(), window).await {
                Err(Trouble::Refused(_)) => Ok(false),
                other => other.map(|()| true),
            }
        };
        if self.patiently(known).await? == Some(false) {
            self.ask.queries.number();
        }
        Ok(())
    }

    /// Pulls windows with all fields and pushes the traces that came whole; the others go to `by_id`.
    async fn bulk(&mut self, jobs: Vec<Bulk>, by_id: &mut BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let ask = self.ask.clone();
        let mut refused = None;
        let mut pool = Pool::new(SEARCHES_AT_ONCE, self.timeout);
        let search = |job: Bulk| {
            let ask = ask.clone();
            async move { ask.client.search(ask.queries.bulk(), job.window, ask.client.spans_per_set()).await }
        };
        let settle = |job: Bulk, answer: Result<Found, Trouble>| {
            let found = match answer {
                Ok(found) => found,
                Err(Trouble::Refused(why)) => {
                    by_id.extend(job.traces.iter().map(|(id, _)| *id));
                    refused.get_or_insert(why);
                    return Ok(Step::Done);
                }
                Err(Trouble::TooMuch(_) | Trouble::Slow(_)) if job.halves(false).is_none() => {
                    by_id.extend(job.traces.iter().map(|(id, _)| *id));
                    return Ok(Step::Done);
                }
                Err(trouble) => return narrower(&ask, trouble, job, |job| job.halves(false)),
            };
            let mut pushed = 0;
            for (id, known) in job.traces.iter().filter(|(id, _)| !by_id.contains(id)).collect::<Vec<_>>() {
                match found.get(id) {
                    Some(trace) if answer::is_whole(trace, *known) => {
                        answer::map(&mut self.mapper, *id, trace);
                        pushed += 1;
                    }
                    _ => {
                        by_id.insert(*id);
                    }
                }
            }
            self.flush()?;
            self.progress.advance(pushed);
            Ok(Step::Done)
        };
        pool.run(jobs, search, settle).await?;
        self.tally.troubled |= pool.troubled();
        if let Some(why) = refused {
            let message = format!("every trace was fetched by id, which takes long: {}", why.message);
            let note = Diagnostic::info("tempo-select-refused", message).at(Location::file(self.at.clone()));
            self.tally.diagnostics.push(note.help("look whether this Tempo can select attributes in a search"));
        }
        Ok(())
    }

    /// Fetches traces whole. One that has fewer spans than were counted is read again before it is called partial.
    async fn fetch(&mut self, mine: &Census, by_id: BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let mut pool = Pool::new(FETCHES_AT_ONCE, self.timeout);
        let mut ids: Vec<TraceId> = by_id.into_iter().collect();
        for round in 0.. {
            let most = if self.tally.troubled { SHORT_READS_AFTER_TROUBLE } else { SHORT_READS };
            let last = round >= most;
            let mut short = Vec::new();
            let ask = self.ask.clone();
            let get = |id: TraceId| {
                let http = ask.http.clone();
                async move { http.trace(id).await }
            };
            let settle = |id: TraceId, answer: Result<Whole, Trouble>| {
                let whole = match answer {
                    Ok(whole) => whole,
                    Err(Trouble::Slow(why)) => return Ok(Step::Wait(why)),
                    Err(other) => return Err(other.diagnostic()),
                };
                let known = mine.get(&id).map_or(0, |b| u64::from(b.spans));
                let missing = whole.spans() == 0 || whole.spans() < known;
                if missing && !last {
                    short.push(id);
                    return Ok(Step::Done);
                }
                self.take(&whole, missing)?;
                self.progress.advance(1);
                Ok(Step::Done)
            };
            pool.run(ids, get, settle).await?;
            self.tally.troubled |= pool.troubled();
            if short.is_empty() {
                break;
            }
            ids = short;
            tokio::time::sleep(pause(round)).await;
        }
        self.flush()
    }

    fn take(&mut self, whole: &Whole, missing: bool) -> Result<(), Diagnostic> {
        let Some(start) = whole.start() else {
            self.tally.vanished = self.tally.vanished.saturating_add(1);
            return Ok(());
        };
        if start < self.window.0.0 {
            // Only a later piece lies in this window: the trace belongs to an earlier one.
            return Ok(());
        }
        if missing || whole.partial {
            self.tally.partial = self.tally.partial.saturating_add(1);
        }
        whole.map(&mut self.mapper);
        if self.mapper.batch.rows.len() >= ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Diagnostic> {
        let within = self.mapper.batch.rows.iter().filter(|row| self.ask.seconds.holds(row.start)).count();
        self.tally.within = self.tally.within.saturating_add(within as u64);
        if !self.mapper.batch.rows.is_empty() {
            self.sink.push(&self.mapper.batch)?;
        }
        self.mapper.batch.clear_rows();
        self.mapper.trim(&mut |batch| self.sink.push(batch))
    }

    /// Holds what was pushed against what Tempo counts.
    fn reconcile(&mut self, total: Option<u64>, around: u64) {
        let rejected: u64 = self.mapper.rejected.values().sum();
        let seen = self.tally.within.saturating_add(rejected);
        let place = Location::file(self.at.clone());
        let left = self.tally.left;
        let mut say = |d: Diagnostic| self.tally.diagnostics.push(d.at(place.clone()));
        if let Some(left) = left {
            say(left.said(&self.at));
        }
        // In pieces can also be a trace that was left out: of a sample the sum tells nothing.
        if let Some(n) = total.filter(|n| left.is_none() && *n > seen.saturating_add(around)) {
            say(Diagnostic::warning(
                "tempo-spans-missing",
                format!("Tempo counts {n} spans in the window, but its traces hold only {seen}: some came late or lie in pieces"),
            )
            .help("run this again later, or raise Tempo's ingestion_time_range_slack"));
        }
        if let Some(n) = total.filter(|n| *n < self.tally.within) {
            say(Diagnostic::warning(
                "tempo-late-spans",
                format!("Tempo counts {n} spans in the window, but its traces hold {seen}: some came late, others may be hidden"),
            )
            .help("ask for a window that ends earlier, or raise Tempo's ingestion_time_range_slack"));
        }
        if self.tally.partial > 0 {
            say(Diagnostic::warning(
                "tempo-traces-partial",
                format!("Tempo gave {} traces only in part", self.tally.partial),
            )
            .help("raise max_bytes_per_trace in Tempo if its traces are that large"));
        }
        if self.tally.vanished > 0 {
            say(Diagnostic::warning(
                "tempo-traces-vanished",
                format!("{} traces were found by search, but are not there by id", self.tally.vanished),
            )
            .help("the window may reach back to where Tempo deletes old traces; ask for a later start"));
        }
    }

    fn nothing(&self, total: Option<u64>, around: u64) -> Diagnostic {
        let (start, end) = self.window;
        let also = match (total, around) {
            (Some(n), _) if n > 0 => format!("; it counts {n} spans there, but none of a trace that starts in it"),
            (_, n) if n > 0 => "; only traces that began earlier reach into it".to_owned(),
            _ => String::new(),
        };
        Diagnostic::error("no-traces-in-window", format!("Tempo has no trace that starts between {start} and {end}{also}"))
            .at(Location::file(self.at.clone()))
            .help(
                "look at the tenant (an unknown one answers with nothing), the filter, the window, the last 30 s that Tempo \
                 leaves out, and spans that came more than 2 minutes late (ingestion_time_range_slack)",
            )
    }
}
