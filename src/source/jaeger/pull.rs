//! Every trace of a window, once: each service asked for its traces, in windows short enough that nothing is left out.
//!
//! A search names one service and gives at most so many traces; which ones is up to the storage. So a window whose answer
//! reaches that number is halved, and the answer thrown away. A trace is found under each of its services; it is taken
//! in the window in which its first span starts, the first time it comes, and never again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Pairs};
use super::client::Client;
use super::trouble::not_grpc;
use super::window::Window;
use crate::diag::{Diagnostic, Location};
use crate::source::backend::early;
use crate::source::backend::pool::{Pool, Step};
use crate::source::backend::trouble::Trouble;
use crate::source::mapper::Mapper;
use crate::source::{Progress, SpanSink};
use crate::spans::{TraceId, UnixNanos, normalize};

const SEARCHES_AT_ONCE: usize = 3;
/// Where a trace is looked for again, after its start.
const AGAIN_MICROS: u64 = 1_000_000;
/// A window that took too long is not halved below this: then the server is slow, not the window long.
const SHORTEST_SLOW_MICROS: u64 = 60_000_000;
/// Pairs of services named in one note.
const PAIRS_NAMED: usize = 5;

/// One search.
#[derive(Debug, Clone)]
struct Job {
    service: Arc<str>,
    window: Window,
}

/// One pull; made by `JaegerSource`.
pub(super) struct Pull<'a> {
    pub(super) client: Client,
    /// As asked for, in nanoseconds.
    pub(super) window: (UnixNanos, UnixNanos),
    /// Deadline of one request.
    pub(super) timeout: Duration,
    pub(super) at: String,
    pub(super) mapper: Mapper,
    pub(super) sink: &'a dyn SpanSink,
    pub(super) progress: &'a dyn Progress,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) seen: Seen,
}

/// What has come so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Traces taken.
    traces: HashSet<TraceId>,
    /// Whether a trace reached into the window that starts outside of it.
    around: bool,
    /// Those of them that start long before.
    early: HashSet<TraceId>,
    pairs: Pairs,
    /// Of each service the earliest and the latest trace, and the search that gave it.
    ends: BTreeMap<Arc<str>, [Known; 2]>,
}

/// A trace that was found, and the search that gave it.
#[derive(Debug, Clone)]
struct Known {
    id: TraceId,
    /// Unix nanoseconds.
    start: u64,
    latest: bool,
    job: Job,
}

impl Pull<'_> {
    /// Does it all.
    pub(super) async fn run(&mut self) -> Result<(), Diagnostic> {
        let whole = Window::covering(self.window)?;
        self.progress.note("asking for services");
        let services = self.services(true).await?;
        if services.is_empty() {
            return Err(self.nothing("Jaeger knows no service at all"));
        }
        self.progress.total((whole.micros() / 1_000).saturating_mul(services.len() as u64));
        self.progress.note("reading traces");
        self.search(&services, whole).await?;
        let late = self.still_there(&services).await?;
        self.search(&late, whole).await?;
        if self.seen.traces.is_empty() {
            let (start, end) = self.window;
            let also = if self.seen.around { "; only traces that began earlier reach into it" } else { "" };
            let n = services.len();
            let what = format!("Jaeger knows {n} services, but no trace that starts between {start} and {end}{also}");
            return Err(self.nothing(&what));
        }
        self.diagnostics.extend(early::told(self.seen.early.len(), &self.at));
        self.cross_check(whole).await;
        Ok(())
    }

    /// Every trace of some services.
    async fn search(&mut self, services: &[String], whole: Window) -> Result<(), Diagnostic> {
        let jobs = services.iter().map(|service| Job { service: service.as_str().into(), window: whole }).collect();
        let mut pool = Pool::new(SEARCHES_AT_ONCE, self.timeout);
        let client = self.client.clone();
        let search = |job: Job| find(client.clone(), job.service, job.window);
        pool.run(jobs, search, |job, answer| self.settle(&job, answer)).await
    }

    /// Asks again for some of what was found, the earliest and the latest trace of each service: a storage in memory begins anew
    /// when Jaeger is started again, and drops old traces for new ones, and both look like windows in which there is nothing.
    /// Gives the services that came meanwhile.
    async fn still_there(&mut self, before: &[String]) -> Result<Vec<String>, Diagnostic> {
        let now = self.services(false).await?;
        let ends = std::mem::take(&mut self.seen.ends);
        let narrow = |known: &Known| {
            let start = known.start / 1_000;
            (known.clone(), Window { start, end: start.saturating_add(AGAIN_MICROS).min(known.job.window.end) })
        };
        let jobs = ends.values().flatten().map(narrow).collect();
        let client = self.client.clone();
        let search = |(known, window): (Known, Window)| find(client.clone(), known.job.service, window);
        let (mut lost, mut latest) = (BTreeSet::new(), BTreeSet::new());
        let settle = |(known, window): (Known, Window), answer: Result<Answer, Trouble>| {
            let there = match answer {
                Ok(answer) => answer.starts().any(|(id, _)| id == known.id),
                Err(Trouble::Slow(why)) => return Ok(Step::Wait(why)),
                // More came meanwhile than one search gives.
                Err(Trouble::TooMuch(_) | Trouble::Limit(..)) => true,
                Err(other) => return Err(other.diagnostic()),
            };
            let wide = known.job.window;
            if !there && window != wide {
                // The service may have come late into its trace.
                return Ok(Step::Instead(vec![(known, wide)]));
            }
            if !there {
                latest.extend(known.latest.then(|| Arc::clone(&known.job.service)));
                lost.insert(known.job.service);
            }
            Ok(Step::Done)
        };
        Pool::new(SEARCHES_AT_ONCE, self.timeout).run(jobs, search, settle).await?;
        if let Some(service) = lost.first() {
            let service = normalize::clean(service, 100);
            let how = format!(
                "of {} of {} service(s), such as `{service}`, it gave traces which it did not know when asked again",
                lost.len(),
                ends.len()
            );
            let told = self.lost(&how);
            // Old ones go one after the other; that the newest of all services are gone means that all is.
            if latest.len() == ends.len() {
                return Err(told);
            }
            self.diagnostics.push(Diagnostic { severity: crate::diag::Severity::Warning, ..told });
        }
        Ok(now.into_iter().filter(|service| !before.contains(service)).collect())
    }

    fn lost(&self, how: &str) -> Diagnostic {
        Diagnostic::error("jaeger-traces-lost", format!("Jaeger lost traces while they were read: {how}"))
            .at(Location::file(self.at.clone()))
            .help(
                "others may be missing: a storage in memory drops old traces for new ones, and all when it is started again; give a later \
                 --start, a larger memory (max_traces), or a storage on disk",
            )
    }

    /// The services that Jaeger knows. At `first` what cannot be a Jaeger is told at once; later everything may pass.
    async fn services(&self, first: bool) -> Result<Vec<String>, Diagnostic> {
        let mut services = Vec::new();
        let settle = |(), answer: Result<Vec<String>, Trouble>| match answer {
            Ok(found) => {
                services = found;
                Ok(Step::Done)
            }
            Err(Trouble::Slow(why)) => Ok(Step::Wait(why)),
            Err(other) => Err(other.diagnostic()),
        };
        let ask = |()| {
            let (client, at) = (self.client.clone(), self.at.clone());
            async move {
                match client.services().await {
                    // Nothing ever answered here: a port that closes connections, as Jaeger's page does, will go on doing so.
                    Err(Trouble::Busy(why)) if first && why.code == "jaeger-connection-lost" => {
                        let plain = at.starts_with("jaeger://");
                        Err(if plain { not_grpc(&at) } else { Trouble::Fatal(why) })
                    }
                    other => other,
                }
            }
        };
        Pool::new(1, self.timeout).run(vec![()], ask, settle).await?;
        Ok(services)
    }

    fn settle(&mut self, job: &Job, answer: Result<Answer, Trouble>) -> Result<Step<Job>, Diagnostic> {
        let halves = |why: Diagnostic| match job.window.halves() {
            Some(halves) => Ok(Step::Instead(
                halves.into_iter().map(|window| Job { service: Arc::clone(&job.service), window }).collect(),
            )),
            None => Err(why),
        };
        match answer {
            Ok(answer) => {
                self.remember(job, &answer);
                self.take(job, &answer)?;
                self.progress.advance(job.window.micros() / 1_000);
                Ok(Step::Done)
            }
            Err(Trouble::TooMuch(why)) => halves(why),
            Err(Trouble::Slow(why)) if job.window.micros() > SHORTEST_SLOW_MICROS => halves(why),
            Err(Trouble::Slow(why)) => Ok(Step::Wait(why)),
            Err(Trouble::Limit(depth, why)) => {
                if self.client.lower_depth(depth) {
                    Ok(Step::Instead(vec![job.clone()]))
                } else {
                    Err(why)
                }
            }
            Err(other) => Err(other.diagnostic()),
        }
    }

    fn remember(&mut self, job: &Job, answer: &Answer) {
        let starts = || answer.starts().filter(|(_, start)| job.window.holds(*start)).map(|(id, start)| (start, id));
        let (Some(first), Some(last)) = (starts().min(), starts().max()) else { return };
        let known = |(start, id), latest| Known { id, start, latest, job: job.clone() };
        match self.seen.ends.entry(Arc::clone(&job.service)) {
            Entry::Vacant(entry) => _ = entry.insert([known(first, false), known(last, true)]),
            Entry::Occupied(mut entry) => {
                let [earliest, latest] = entry.get_mut();
                if first < (earliest.start, earliest.id) {
                    *earliest = known(first, false);
                }
                if last > (latest.start, latest.id) {
                    *latest = known(last, true);
                }
            }
        }
    }

    fn take(&mut self, job: &Job, answer: &Answer) -> Result<(), Diagnostic> {
        let mut mine = HashSet::new();
        for (id, start) in answer.starts() {
            if start < self.window.0.0 || start >= self.window.1.0 {
                self.seen.around = true;
                if early::is(start, self.window.0) {
                    self.seen.early.insert(id);
                }
            } else if job.window.holds(start) && self.seen.traces.insert(id) {
                mine.insert(id);
            }
        }
        self.seen.pairs.extend(answer.pairs());
        if mine.is_empty() {
            return Ok(());
        }
        answer.map(&mine, &mut self.mapper).map_err(|_| {
            Diagnostic::error("internal", "an answer could be read once but not twice").help("please report this")
        })?;
        if !self.mapper.batch.rows.is_empty() {
            self.sink.push(&self.mapper.batch)?;
        }
        self.mapper.batch.clear_rows();
        self.mapper.trim(&mut |batch| self.sink.push(batch))
    }

    /// Pairs of services that Jaeger's own account has and the traces have not. A note: that account may be of other times.
    async fn cross_check(&mut self, whole: Window) {
        if let Some(told) = self.client.dependencies(whole).await
            && let Some(note) = unseen(&told, &self.seen.pairs)
        {
            self.diagnostics.push(note.at(Location::file(self.at.clone())));
        }
    }

    fn nothing(&self, what: &str) -> Diagnostic {
        Diagnostic::error("no-traces-in-window", what)
            .at(Location::file(self.at.clone()))
            .help("look at the window, the tenant, and whether this Jaeger reads the storage that the spans go to")
    }
}

/// One search, which outlives whoever asks for it.
async fn find(client: Client, service: Arc<str>, window: Window) -> Result<Answer, Trouble> {
    client.find(&service, window).await
}

fn unseen(told: &Pairs, seen: &Pairs) -> Option<Diagnostic> {
    // A service that calls itself is no edge.
    let pairs: Vec<_> = told.difference(seen).filter(|(parent, child)| parent != child).collect();
    let name = |text: &str| normalize::clean(text, 60).into_owned();
    let first = pairs.iter().take(PAIRS_NAMED).map(|(parent, child)| format!("{} → {}", name(parent), name(child)));
    let named = first.collect::<Vec<_>>().join(", ");
    let more = if pairs.len() > PAIRS_NAMED { ", …" } else { "" };
    let message = format!(
        "Jaeger's dependencies know pairs of services ({}) that no trace of the window shows: {named}{more}",
        pairs.len()
    );
    (!pairs.is_empty()).then(|| {
        Diagnostic::info("jaeger-dependencies-unseen", message)
            .help("nothing was made of them: they may be of other times; a longer window may hold their traces")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Pairs {
        list.iter().map(|(parent, child)| ((*parent).to_owned(), (*child).to_owned())).collect()
    }

    #[test]
    fn pairs_that_only_jaeger_knows_are_noted_and_nothing_else() {
        let seen = pairs(&[("a", "b"), ("b", "c")]);
        assert_eq!(unseen(&pairs(&[("a", "b"), ("c", "c")]), &seen), None);
        let told: Vec<_> = ["1", "2", "3", "4", "5", "6"].map(|child| ("a", child)).into();
        let note = unseen(&pairs(&told), &seen).unwrap();
        assert_eq!((note.code, note.severity), ("jaeger-dependencies-unseen", crate::diag::Severity::Info));
        assert!(note.message.contains("(6)") && note.message.ends_with("a → 5, …"), "{}", note.message);
    }
}
