//! Every trace of a window, once: count, take a census, pull in bulk, fetch by id what bulk cannot give.
//!
//! A trace belongs to the window in which its first span starts, so consecutive windows neither lose nor repeat one.
//! The census fixes which traces that are; each of them is then either pushed whole or the pull fails. Nothing that came
//! from a failed request is ever used, and a window that succeeded is not asked for again.

mod census;
mod doubts;
mod report;
mod traces;

use std::collections::BTreeSet;
use std::time::Duration;

use self::census::spans;
use super::client::Client;
use super::http::Http;
use super::jobs::{bulks, thin};
use super::select::Queries;
use super::window::Window;
use crate::diag::Diagnostic;
use crate::source::backend::early;
use crate::source::mapper::Mapper;
use crate::source::sample::Left;
use crate::source::{Progress, Sample, SpanSink};
use crate::spans::{TraceId, UnixNanos};

const SEARCHES_AT_ONCE: usize = 3;
const FETCHES_AT_ONCE: usize = 4;
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

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
    /// Those of them that Tempo itself said are only a part.
    partial_by_limit: u64,
    /// Traces that were found, but not there any more by id.
    pub(super) vanished: u64,
    /// Spans that a search counted in traces that came without them, or not at all.
    lost: u64,
    /// Whether the server was away or overloaded for a while.
    troubled: bool,
    /// What a sample leaves out.
    pub(super) left: Option<Left>,
    pub(super) diagnostics: Vec<Diagnostic>,
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
        self.tally.diagnostics.extend(early::told(counted.early, &self.at));
        // Nothing in bulk, of which a part could pass for the whole.
        let whole = self.all_by_id || self.sampled(&counted.samples).await?;
        let pieces = if whole { Some(false) } else { self.in_pieces(total, &counted).await? };
        let all = self.sample.map(|_| counted.mine.clone());
        self.tally.left = self.sample.and_then(|sample| sample.apply(&mut counted.mine, |brief| brief.start));
        // The spans of what is left out are around what is read.
        counted.around = counted.around.saturating_add(expected.saturating_sub(spans(&counted.mine)));
        self.progress.total(counted.mine.len() as u64);
        self.progress.note("reading traces");
        let most = self.ask.client.spans_per_set();
        let suspicious = counted.mine.iter().filter(|(_, b)| b.failed || b.spans > most);
        let mut by_id: BTreeSet<TraceId> = suspicious.map(|(id, _)| *id).collect();
        if whole {
            by_id.extend(counted.mine.keys());
        }
        match pieces {
            Some(true) => self.found_in_pieces(&counted.mine, &mut by_id).await?,
            Some(false) => {}
            None => self.uncounted(&counted.mine, &mut by_id).await?,
        }
        self.can_fetch(&by_id).await?;
        self.parents().await?;
        let jobs = bulks(all.as_ref().unwrap_or(&counted.mine), self.ask.client.limit());
        self.bulk(thin(jobs, &counted.mine, &mut by_id), &mut by_id).await?;
        self.fetch(&counted.mine, by_id).await?;
        self.reconcile(total, counted.around);
        Ok(())
    }
}
