//! Which traces a search cannot be trusted with: those of sampled spans, and those that lie in pieces.
//!
//! Of a trace whose spans came at different times Tempo may hold several pieces, and a search gives the largest as if it were
//! all. Only a count of spans tells that there are more, and then short windows tell where.
//!
//! Output: ids of traces to fetch whole. Must not: push anything.

use std::collections::BTreeSet;

use super::census::{Counted, spans};
use super::{FETCHES_AT_ONCE, Pull, SEARCHES_AT_ONCE};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::pool::{Pool, Step};
use crate::source::tempo::answer::{self, Found};
use crate::source::tempo::jobs::{Bulk, Census, bulks, narrower, stretch};
use crate::source::tempo::trouble::Trouble;
use crate::source::tempo::whole::Whole;
use crate::source::{Keep, Sample};
use crate::spans::TraceId;

/// Up to so many traces are read whole where nothing tells whether some lie in pieces.
const FEW: usize = 200;
/// Up to so many traces that match are read whole where some trace of the window lies in pieces.
const MANY: usize = 2_000;
/// Of more, so many are looked at.
const LOOKED_AT: u64 = 64;
/// Spans of a window up to which all of its traces are counted to learn of those that a filter lets through.
const CHECKED: u64 = 5_000_000;

impl Pull<'_> {
    /// Whether some trace lies in pieces: where Tempo counts more spans than its searches find; `None` where nothing tells.
    pub(super) async fn in_pieces(&mut self, total: Option<u64>, found: &Counted) -> Result<Option<bool>, Diagnostic> {
        if self.ask.queries.everything() {
            let known = more(total, found);
            if known.is_some() || total.is_none_or(|total| total == 0) {
                return Ok(known);
            }
            // Spans may have come after they were counted and before traces were looked for.
            return Ok(more(self.total().await?, found));
        }
        let wanted = self.sample.map_or(u64::MAX, |sample| sample.most).min(found.mine.len() as u64);
        if wanted <= FEW as u64 {
            return Ok(None);
        }
        // Spans that a filter lets through tell nothing about the others of their traces.
        let unfiltered = self.ask.queries.unfiltered();
        let filtered = std::mem::replace(&mut self.ask.queries, unfiltered);
        let all = self.all_in_pieces().await;
        self.ask.queries = filtered;
        // It is not what was asked for: where it fails, nothing is known.
        Ok(all.unwrap_or_default())
    }

    async fn all_in_pieces(&mut self) -> Result<Option<bool>, Diagnostic> {
        if self.total().await?.is_none_or(|total| total > CHECKED) {
            return Ok(None);
        }
        let (total, found) = self.settled().await?;
        Ok(more(total, &found))
    }

    /// Where some trace lies in pieces: finds out which those may be. Behind a filter that would be looked for among all others.
    pub(super) async fn found_in_pieces(
        &mut self,
        mine: &Census,
        by_id: &mut BTreeSet<TraceId>,
    ) -> Result<(), Diagnostic> {
        let filtered = !self.ask.queries.everything();
        if filtered && mine.len() <= MANY {
            by_id.extend(mine.keys());
            return Ok(());
        }
        match self.scout(mine, by_id).await {
            Err(_) if filtered => self.uncounted(mine, by_id).await,
            outcome => outcome,
        }
    }

    /// Where nothing tells whether traces lie in pieces: a few are read whole anyway; of many some are looked at, and if
    /// one of them does, all are read whole.
    pub(super) async fn uncounted(&mut self, mine: &Census, by_id: &mut BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let mut some = mine.clone();
        let most = if mine.len() > FEW { LOOKED_AT } else { 1 };
        _ = Sample { most, keep: Keep::Hash }.apply(&mut some, |brief| brief.start);
        let seen = match self.look(&some).await {
            Ok((_, true)) => None,
            Ok((_, false)) if mine.len() <= FEW => None,
            Ok((seen, false)) => Some(format!("of {seen} looked at none did")),
            // What needs no HTTP side otherwise must not need it for a doubt.
            Err(why) if by_id.is_empty() && why.code.starts_with("tempo-http-") => Some(why.message),
            Err(other) => return Err(other),
        };
        let Some(seen) = seen else {
            by_id.extend(mine.keys());
            return Ok(());
        };
        let what = format!(
            "nothing tells whether spans are missing: of a trace that came in pieces only the largest is read ({seen})"
        );
        self.tally.diagnostics.push(
            Diagnostic::warning("tempo-uncounted", what).at(Location::file(self.at.clone())).help(
                "write ?traces=by-id to read each trace whole, which takes long; Tempo 2 counts with the local-blocks processor of its \
                 metrics-generator, for as long as that holds spans",
            ),
        );
        Ok(())
    }

    /// Reads traces whole and throws them away: how many there are, and whether one of them has more spans than was known.
    async fn look(&self, some: &Census) -> Result<(u64, bool), Diagnostic> {
        let (mut seen, mut pieces) = (0u64, false);
        let fetch = |id: TraceId| self.ask.http.clone().trace(id);
        let settle = |id: TraceId, answer: Result<Whole, Trouble>| {
            let known = some.get(&id).map_or(0, |brief| u64::from(brief.spans));
            let whole = answer.map_or(0, |whole| whole.spans());
            seen = seen.saturating_add(u64::from(whole > 0));
            pieces |= whole > known;
            Ok(Step::Done)
        };
        let ids = some.keys().copied().collect();
        Pool::new(FETCHES_AT_ONCE, self.timeout).run(ids, fetch, settle).await?;
        if seen == 0 && !self.ask.http.gave() {
            return Err(self.ask.http.none_of(some.len()));
        }
        Ok((seen, pieces))
    }

    /// Whether spans carry sampling thresholds in their trace state, which no search can select.
    pub(super) async fn sampled(&mut self, samples: &[TraceId]) -> Result<bool, Diagnostic> {
        let (mut sampled, mut known, mut why) = (false, samples.is_empty(), None);
        let http = self.ask.http.clone();
        let fetch = |id: TraceId| http.clone().trace(id);
        let mut settle = |_, answer: Result<Whole, Trouble>| {
            match answer {
                Ok(whole) => {
                    sampled |= whole.sampled();
                    known |= whole.spans() > 0;
                }
                Err(trouble) => why = Some(trouble.diagnostic()),
            }
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
        let why = why.unwrap_or_else(|| self.ask.http.none_of(samples.len()));
        match outcome.and(if known { Ok(sampled) } else { Err(why) }) {
            Err(d) if matches!(d.code, "tempo-http-unreachable" | "tempo-http-refused") => {
                let unknown = "whether spans were sampled (trace state `ot=th`) is not known, and each counts once";
                self.tally.diagnostics.push(
                    Diagnostic::warning("tempo-sampling-unknown", format!("{unknown}: {}", d.message))
                        .at(Location::file(self.at.clone()))
                        .help("let ?http= in the address name the HTTP side of this Tempo (without it: port 3200 of the same host)"),
                );
                Ok(false)
            }
            other => other,
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
    pub(super) async fn scout(&self, mine: &Census, by_id: &mut BTreeSet<TraceId>) -> Result<(), Diagnostic> {
        let mut jobs = bulks(mine, self.ask.client.limit());
        stretch(&mut jobs, self.ask.seconds);
        let queries = self.ask.queries.unfiltered();
        let search = |job: Bulk| {
            let (ask, queries) = (self.ask.clone(), queries.clone());
            async move {
                let found = ask.client.search(queries.census(None), job.window, ask.client.spans_per_set()).await?;
                let counted = ask.client.count(queries.count(), job.window).await?;
                Ok((found, counted))
            }
        };
        let settle = |job: Bulk, answer: Result<(Found, Option<u64>), Trouble>| {
            let (found, counted) = match answer {
                Ok(answer) => answer,
                Err(Trouble::Refused(_)) => return Ok(Step::Done),
                Err(trouble) => return narrower(trouble, job, |job| job.halves(true)),
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
}

/// Whether there are more spans than the traces found hold. Fewer than those that lie within the window are no count at all: spans
/// came late, or who counts does not know all of them.
fn more(total: Option<u64>, found: &Counted) -> Option<bool> {
    let most = spans(&found.mine).saturating_add(found.around);
    total.filter(|total| *total >= found.inside).map(|total| total > most)
}
