//! The traces themselves: in bulk, and by id what bulk cannot give.
//!
//! Output: whole traces, pushed. Must not: push a trace twice, or part of one without saying so.

use std::collections::BTreeSet;

use super::{FETCHES_AT_ONCE, Pull, Requests, SEARCHES_AT_ONCE, pause};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::pool::{Pool, Step};
use crate::source::tempo::answer::{self, Found};
use crate::source::tempo::jobs::{Bulk, Census, narrower};
use crate::source::tempo::trouble::Trouble;
use crate::source::tempo::whole::Whole;
use crate::spans::TraceId;

/// Rounds of reading a trace again when fewer spans come by id than the search counted.
const SHORT_READS: u32 = 2;
/// The same when the server was away in between: after a restart it answers before it knows all its blocks.
const SHORT_READS_AFTER_TROUBLE: u32 = 8;
/// Traces that are tried before the bulk is read: one may have vanished by itself.
const TRIED: usize = 3;
/// Rows in a batch made of traces that came by id.
const ROWS: usize = 8_192;

impl Pull<'_> {
    /// Learns how this Tempo tells parents.
    pub(super) async fn parents(&mut self) -> Result<(), Diagnostic> {
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
    pub(super) async fn bulk(&mut self, jobs: Vec<Bulk>, by_id: &mut BTreeSet<TraceId>) -> Result<(), Diagnostic> {
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
                Err(trouble) => return narrower(trouble, job, |job| job.halves(false)),
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

    /// Tries some of those that must come by id, so that a pull of hours does not find out at its end that none does.
    pub(super) async fn can_fetch(&mut self, by_id: &BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let tried: Vec<TraceId> = by_id.iter().copied().take(TRIED).collect();
        let mut round = 0;
        while !tried.is_empty() && !self.ask.http.gave() {
            for id in tried.iter().copied() {
                let whole = self.patiently(move |ask| ask.http.trace(id)).await?;
                // Slow is not gone: it is waited for when its turn comes.
                if whole.is_none_or(|whole| whole.spans() > 0) {
                    return Ok(());
                }
            }
            if round >= self.short_reads() {
                return Err(self.ask.http.none_of(tried.len()));
            }
            tokio::time::sleep(pause(round)).await;
            round += 1;
        }
        Ok(())
    }

    fn short_reads(&self) -> u32 {
        if self.tally.troubled { SHORT_READS_AFTER_TROUBLE } else { SHORT_READS }
    }

    /// Fetches traces whole. One that has fewer spans than were counted is read again before it is called partial.
    pub(super) async fn fetch(&mut self, mine: &Census, by_id: BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let mut pool = Pool::new(FETCHES_AT_ONCE, self.timeout);
        let mut ids: Vec<TraceId> = by_id.into_iter().collect();
        let asked = ids.len();
        let mut unknown = BTreeSet::new();
        for round in 0.. {
            let last = round >= self.short_reads();
            let mut short = Vec::new();
            let http = self.ask.http.clone();
            let get = |id: TraceId| http.clone().trace(id);
            let settle = |id: TraceId, answer: Result<Whole, Trouble>| {
                let whole = match answer {
                    Ok(whole) => whole,
                    Err(Trouble::Slow(why)) => return Ok(Step::Wait(why)),
                    Err(other) => return Err(other.diagnostic()),
                };
                let known = mine.get(&id).map_or(0, |b| u64::from(b.spans));
                let missing = whole.spans() == 0 || whole.spans() < known;
                if missing && !last {
                    if whole.spans() == 0 {
                        unknown.insert(id);
                    }
                    short.push(id);
                    return Ok(Step::Done);
                }
                if whole.spans() > 0 && unknown.remove(&id) {
                    // Known after all: one server of several does not know it, or has just come back.
                    self.tally.troubled = true;
                }
                self.tally.lost = self.tally.lost.saturating_add(known.saturating_sub(whole.spans()));
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
        if self.tally.vanished > 0 && !self.ask.http.gave() {
            return Err(self.ask.http.none_of(asked));
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
            self.tally.partial_by_limit = self.tally.partial_by_limit.saturating_add(u64::from(whole.partial));
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
}
