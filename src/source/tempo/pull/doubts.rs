//! Which traces a search cannot be trusted with: those of sampled spans, and those that lie in pieces.
//!
//! Output: ids of traces to fetch whole. Must not: push anything.

use std::collections::BTreeSet;

use super::{FETCHES_AT_ONCE, Pull, SEARCHES_AT_ONCE};
use crate::diag::{Diagnostic, Location};
use crate::source::backend::pool::{Pool, Step};
use crate::source::tempo::answer::{self, Found};
use crate::source::tempo::jobs::{Bulk, Census, bulks, narrower, stretch};
use crate::source::tempo::trouble::Trouble;
use crate::source::tempo::whole::Whole;
use crate::spans::TraceId;

impl Pull<'_> {
    /// Whether spans carry sampling thresholds in their trace state, which no search can select.
    pub(super) async fn sampled(&mut self, samples: &[TraceId]) -> Result<bool, Diagnostic> {
        let (mut sampled, mut known) = (false, samples.is_empty());
        let ask = self.ask.clone();
        let fetch = |id: TraceId| {
            let http = ask.http.clone();
            async move { http.trace(id).await }
        };
        let mut settle = |_, answer: Result<Whole, Trouble>| {
            if let Ok(whole) = answer {
                sampled |= whole.sampled();
                known |= whole.spans() > 0;
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
        match outcome.and_then(|()| if known { Ok(sampled) } else { Err(self.ask.http.none_of(samples.len())) }) {
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
}
