//! What one request of a pull is about, and what to ask instead when it is too much.
//!
//! Input: the census. Output: windows for counting and for pulling. Pure: nothing here talks to anyone.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::{self, Brief, Found};
use super::trouble::Trouble;
use super::window::Window;
use crate::diag::Diagnostic;
use crate::source::backend::pool::Step;
use crate::spans::TraceId;

/// Spans in one bulk window: with every field about 5 to 8 MB, well under Tempo's 16 MiB for one job.
const BULK_SPANS: u64 = 5_000;
/// A trace by id costs Tempo about as much as this many in bulk (12 to 20 measured, more in large blocks).
const SPARSE: usize = 12;
/// Services of which one trace is looked at for sampling information.
pub(super) const SAMPLED_SERVICES: usize = 32;
/// Longest bulk window: a day less than what Tempo allows.
const MAX_BULK_NANOS: u64 = 144 * 3600 * 1_000_000_000;

pub(super) type Census = BTreeMap<TraceId, Brief>;

/// Part of the census: a window, or within one second the traces of some durations.
#[derive(Debug, Clone, Copy)]
pub(super) struct Count {
    pub(super) window: Window,
    pub(super) duration: Option<(u32, u32)>,
}

/// Part of the bulk: traces by start, and the window that overlaps them all.
#[derive(Debug, Clone)]
pub(super) struct Bulk {
    pub(super) window: Window,
    pub(super) traces: Vec<(TraceId, Brief)>,
}

/// Enters an answer into the census. A trace that shows up in several windows keeps its earliest start.
pub(super) fn note(all: &mut Census, services: &mut BTreeMap<String, TraceId>, found: &Found) {
    for (id, trace) in found {
        let now = answer::brief(trace);
        all.entry(*id)
            .and_modify(|known| {
                known.start = known.start.min(now.start);
                known.end = known.end.max(now.end);
                known.spans = known.spans.max(now.spans);
                known.failed |= now.failed;
            })
            .or_insert(now);
        for service in trace.service_stats.keys() {
            if let Some(first) = services.get_mut(service) {
                *first = (*first).min(*id);
            } else if services.len() < SAMPLED_SERVICES {
                services.insert(service.clone(), *id);
            }
        }
    }
}

/// What to do about trouble that waiting does not mend: ask for less, or give up.
pub(super) fn narrower<J>(
    trouble: Trouble,
    job: J,
    narrow: impl Fn(&J) -> Option<Vec<J>>,
) -> Result<Step<J>, Diagnostic> {
    match trouble {
        Trouble::TooMuch(why) => narrow(&job).map(Step::Instead).ok_or(why),
        Trouble::Slow(why) => Ok(narrow(&job).map_or(Step::Wait(why), Step::Instead)),
        other => Err(other.diagnostic()),
    }
}

impl Count {
    /// Halves of the window; of a single second, halves of the range of durations.
    pub(super) fn narrower(&self) -> Option<Vec<Self>> {
        if let Some(halves) = self.window.halves() {
            return Some(halves.map(|window| Self { window, ..*self }).to_vec());
        }
        let (from, to) = self.duration.unwrap_or((0, 63));
        let middle = from.saturating_add(to) / 2;
        (middle > from)
            .then(|| [(from, middle), (middle, to)].map(|range| Self { duration: Some(range), ..*self }).to_vec())
    }
}

impl Bulk {
    fn of(traces: Vec<(TraceId, Brief)>) -> Option<Self> {
        let second = |(_, brief): &(TraceId, Brief)| u32::try_from(brief.start / 1_000_000_000).ok();
        let start = second(traces.first()?)?;
        let end = second(traces.last()?)?.saturating_add(1);
        Some(Self { window: Window { start, end }, traces })
    }

    /// Two halves in time; of a stretched window the halves together still cover it.
    pub(super) fn halves(&self, stretched: bool) -> Option<Vec<Self>> {
        let [first, second] = self.window.halves()?;
        let (early, late): (Vec<_>, Vec<_>) = self.traces.iter().partition(|(_, b)| first.holds(b.start));
        if stretched {
            return Some(vec![Self { window: first, traces: early }, Self { window: second, traces: late }]);
        }
        Some([early, late].into_iter().filter_map(Self::of).collect())
    }
}

/// Bulk windows over a census: each holds about [`BULK_SPANS`] spans, whether all of its traces are wanted or not.
pub(super) fn bulks(all: &Census, limit: u32) -> Vec<Bulk> {
    let mut by_start: Vec<(TraceId, Brief)> = all.iter().map(|(id, brief)| (*id, *brief)).collect();
    by_start.sort_unstable_by_key(|(id, brief)| (brief.start, *id));
    let most = (limit as usize / 2).max(1);
    let mut jobs = Vec::new();
    let mut traces: Vec<(TraceId, Brief)> = Vec::new();
    let mut spans = 0u64;
    for entry in by_start {
        let more = spans.saturating_add(u64::from(entry.1.spans));
        let longest = traces.first().is_some_and(|first| entry.1.start.saturating_sub(first.1.start) > MAX_BULK_NANOS);
        if !traces.is_empty() && (more > BULK_SPANS || traces.len() >= most || longest) {
            jobs.extend(Bulk::of(std::mem::take(&mut traces)));
            spans = 0;
        }
        spans = spans.saturating_add(u64::from(entry.1.spans));
        traces.push(entry);
    }
    jobs.extend(Bulk::of(traces));
    jobs
}

/// Leaves in the windows the traces that are wanted of them. A window with few of those is dropped: its traces go to `by_id`,
/// since a search would send all the others as well.
pub(super) fn thin(jobs: Vec<Bulk>, wanted: &Census, by_id: &mut BTreeSet<TraceId>) -> Vec<Bulk> {
    let mut dense = Vec::new();
    for job in jobs {
        let all = job.traces.len();
        let mine = |(id, _): &(TraceId, Brief)| wanted.contains_key(id) && !by_id.contains(id);
        let traces: Vec<_> = job.traces.into_iter().filter(mine).collect();
        if traces.len().saturating_mul(SPARSE) < all {
            by_id.extend(traces.iter().map(|(id, _)| *id));
        } else {
            dense.push(Bulk { traces, ..job });
        }
    }
    dense
}

/// Widens windows until they cover the whole without gaps.
pub(super) fn stretch(jobs: &mut [Bulk], whole: Window) {
    let starts: Vec<u32> = jobs.iter().map(|job| job.window.start).collect();
    let count = jobs.len();
    for (i, job) in jobs.iter_mut().enumerate() {
        if i == 0 {
            job.window.start = whole.start;
        }
        let next = starts.get(i + 1).copied().unwrap_or(whole.end);
        job.window.end = if i + 1 == count { whole.end } else { job.window.end.max(next) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn census(n: u64, spans: u32) -> Census {
        (0..n)
            .map(|i| {
                (TraceId(u128::from(n - i)), Brief { start: i * SECOND / 2, end: i * SECOND / 2, spans, failed: false })
            })
            .collect()
    }

    #[test]
    fn bulk_windows_hold_every_trace_once_and_leave_out_what_is_fetched_anyway() {
        let all = census(1_000, 40);
        let jobs = bulks(&all, 100);
        assert!(jobs.iter().all(|j| j.traces.len() <= 50 && j.traces.iter().all(|(_, b)| j.window.holds(b.start))));
        assert_eq!(jobs.iter().flat_map(|j| &j.traces).map(|(id, _)| *id).collect::<BTreeSet<_>>().len(), 1_000);
        assert!(thin(jobs, &all, &mut all.keys().copied().collect()).is_empty());
    }

    #[test]
    fn a_window_of_which_little_is_wanted_goes_by_id_and_every_wanted_trace_once_in_all() {
        let all = census(1_000, 40);
        let early = all.iter().filter(|(_, b)| b.start < 100 * SECOND).map(|(id, b)| (*id, *b));
        let wanted: Census = early.chain(all.iter().step_by(20).map(|(id, b)| (*id, *b))).collect();
        let mut by_id = BTreeSet::new();
        let jobs = thin(bulks(&all, 100), &wanted, &mut by_id);
        assert_eq!((jobs.len(), jobs.iter().map(|job| job.traces.len()).sum::<usize>()), (4, 200));
        let bulk = jobs.iter().flat_map(|job| &job.traces).map(|(id, _)| *id);
        assert!(bulk.clone().all(|id| !by_id.contains(&id)));
        assert!(bulk.chain(by_id.iter().copied()).collect::<BTreeSet<_>>().iter().eq(wanted.keys()));
    }

    #[test]
    fn stretched_windows_cover_the_whole_without_gaps() {
        let whole = Window { start: 0, end: 5_000 };
        let mut jobs = bulks(&census(500, 40), 100);
        stretch(&mut jobs, whole);
        assert_eq!((jobs[0].window.start, jobs.last().unwrap().window.end), (0, 5_000));
        assert!(jobs.windows(2).all(|w| w[0].window.end >= w[1].window.start));
    }

    #[test]
    fn halving_loses_no_trace_and_ends() {
        let mut open = bulks(&census(64, 1), 1_000);
        let mut left = BTreeSet::new();
        while let Some(job) = open.pop() {
            match job.halves(false) {
                Some(halves) => open.extend(halves),
                None => left.extend(job.traces.into_iter().map(|(id, _)| id)),
            }
        }
        assert_eq!(left.len(), 64);
        let mut open = vec![Count { window: Window { start: 7, end: 8 }, duration: None }];
        let mut leaves = 0;
        while let Some(job) = open.pop() {
            match job.narrower() {
                Some(parts) => open.extend(parts),
                None => leaves += 1,
            }
        }
        assert_eq!(leaves, 63);
    }
}
