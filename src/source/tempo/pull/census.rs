//! Which traces there are in a window, and how many spans.
//!
//! Output: a [`Counted`]. Must not: take what a server says that has just come back for all it has.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use super::{Pull, Requests, SEARCHES_AT_ONCE, pause};
use crate::diag::Diagnostic;
use crate::source::backend::early;
use crate::source::backend::pool::{Pool, Step};
use crate::source::tempo::answer::Found;
use crate::source::tempo::jobs::{Census, Count, SAMPLED_SERVICES, narrower, note};
use crate::source::tempo::trouble::Trouble;
use crate::source::tempo::window::plan;
use crate::spans::TraceId;

/// Spans in one census window; each trace costs little there.
const CENSUS_SPANS: u64 = 150_000;
/// First window when Tempo cannot count.
const BLIND_SECONDS: u32 = 300;
/// Rounds of counting anew when the server was away, until two say the same.
const CENSUSES: u32 = 8;

/// The outcome of the census.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Traces that start in the window.
    pub(super) mine: Census,
    /// Spans of those of them that end in the window too: no count of its spans is smaller.
    pub(super) inside: u64,
    /// Spans of traces that only reach into it.
    pub(super) around: u64,
    /// Those of these traces that begin long before.
    pub(super) early: usize,
    /// One trace of each of some services.
    pub(super) samples: Vec<TraceId>,
}

/// Spans of a census.
pub(super) fn spans(census: &Census) -> u64 {
    census.values().fold(0, |sum, brief| sum.saturating_add(u64::from(brief.spans)))
}

impl Pull<'_> {
    /// The number of spans, and the census. A server that was away meanwhile is asked again until it says the same twice:
    /// just after a restart it answers, but does not know all its blocks yet.
    pub(super) async fn settled(&mut self) -> Result<(Option<u64>, Counted), Diagnostic> {
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
    pub(super) async fn total(&mut self) -> Result<Option<u64>, Diagnostic> {
        if !self.ask.queries.everything() {
            return Ok(None);
        }
        let counted =
            self.patiently(|ask| async move { ask.client.count(ask.queries.count(), ask.seconds).await }).await?;
        Ok(counted.flatten())
    }

    /// One optional request, repeated while the server is busy; `None` when it is refused or too much to ask.
    pub(super) async fn patiently<T, F>(&mut self, request: impl Fn(Requests) -> F) -> Result<Option<T>, Diagnostic>
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
        let settle = |job: Count, answer: Result<Found, Trouble>| {
            let trouble = match answer {
                Ok(found) => {
                    note(&mut all, &mut services, &found);
                    return Ok(Step::Done);
                }
                Err(trouble) => trouble,
            };
            narrower(trouble, job, |job| job.narrower())
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
        let inside = mine.values().filter(|b| b.end <= last).map(|b| u64::from(b.spans)).sum();
        let early = others.values().filter(|brief| early::is(brief.start, self.window.0)).count();
        let around = others.values().filter(|b| b.start < last).map(|b| u64::from(b.spans)).sum();
        let samples: BTreeSet<TraceId> = services.into_values().filter(|id| mine.contains_key(id)).collect();
        Ok(Counted { mine, inside, around, early, samples: samples.into_iter().take(SAMPLED_SERVICES).collect() })
    }
}
