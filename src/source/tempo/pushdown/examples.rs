//! A few whole traces beside the counts, so that there is something to open and to draw.
//!
//! Input: what was counted. Output: whole traces, pushed. Must not: touch a count, or cost more where there are more spans:
//! there is no census here. Windows so short that few traces are to be expected in them are spread over the time asked
//! for, and of what a search gives there the trace of the least hash is taken; failed and slow requests are searched for
//! apart. The same counts and the same answers give the same traces.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::counted::{Counted, service};
use super::population::{Meaning, Population, equals, quoted};
use crate::diag::Diagnostic;
use crate::source::SpanSink;
use crate::source::backend::pool::{Pool, Step};
use crate::source::backend::trouble::Trouble;
use crate::source::mapper::Mapper;
use crate::source::tempo::answer::{self, Found};
use crate::source::tempo::client::Client;
use crate::source::tempo::http::Http;
use crate::source::tempo::whole::Whole;
use crate::source::tempo::window::Window;
use crate::spans::{TraceId, hash};

/// Traces that are read when nobody says how many.
pub(in crate::source) const DEFAULT: u64 = 24;
/// Traces that are read at most, whatever is asked for: this is for looking, not for counting.
pub(super) const MOST: u64 = 200;
/// Spans of a trace: a longer one is nobody's example.
const MOST_SPANS: u32 = 500;
/// Up to so many matches are searched for at once, in all of the time; where there are more, in short windows.
const FEW: u32 = 12;
/// How many a short window is meant to hold: so many that it hardly ever holds none.
const EXPECTED: u32 = 4;
/// The most that a search of a short window gives: one, and another should that be too long or found already. Its answer is
/// then as long where even the shortest window holds hundreds.
const GIVEN: u32 = 2;
const AT_ONCE: usize = 4;

/// What is known of a window before it is searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hints {
    /// Requests from outside, or spans where none come from outside.
    requests: u64,
    /// Failed spans.
    failed: u64,
    /// Operations that requests enter by: a condition for their slowest calls, and how many these are. Those of most calls
    /// first.
    slow: Vec<(String, u64)>,
}

impl Hints {
    /// From what was counted of populations.
    pub(super) fn of(counted: &Counted, populations: &[Population]) -> Self {
        let mut hints = Self::default();
        let mut entries = Vec::new();
        let mut spans = 0u64;
        for ((at, values), sums) in &counted.0 {
            match populations.get(*at).map(|p| &p.meaning) {
                Some(Meaning::Operation) => {
                    hints.failed = hints.failed.saturating_add(sums.errors);
                    spans = spans.saturating_add(sums.calls);
                }
                Some(Meaning::Entry) => {
                    hints.requests = hints.requests.saturating_add(sums.calls);
                    entries.extend(sums.slowest(EXPECTED.into()).map(|slowest| (Reverse(sums.calls), values, slowest)));
                }
                _ => {}
            }
        }
        if hints.requests == 0 {
            hints.requests = spans;
        }
        entries.sort();
        let slow = entries.into_iter().map(|(_, values, (above, n))| {
            let (own, name) = (service(values), values.get(2).map_or("", String::as_str));
            let which = format!(
                "nestedSetParent < 0 && kind = server && resource.service.name {} && resource.service.namespace {}",
                equals(&own.name),
                equals(&own.namespace)
            );
            (format!("{which} && name = {} && duration > {above}ns", quoted(name)), n)
        });
        hints.slow = slow.collect();
        hints
    }

    /// The searches that give `most` traces: a query and a window each. The slow and the failed come first.
    fn searches(&self, most: u64, seconds: Window, filter: Option<&str>) -> Vec<(String, Window)> {
        let quarter = most.div_ceil(4);
        let of = |condition: &str, matching: u64, wanted: u64| {
            let both: Vec<&str> = [condition].into_iter().chain(filter).filter(|c| !c.is_empty()).collect();
            let query = format!("{{ {} }}", if both.is_empty() { "true".to_owned() } else { both.join(" && ") });
            windows(matching, seconds, wanted).into_iter().map(move |window| (query.clone(), window))
        };
        let operations = usize::try_from(quarter).unwrap_or(usize::MAX);
        let slow = self.slow.iter().take(operations).flat_map(|(condition, n)| of(condition, *n, 1));
        let failed = of("status = error", self.failed, if self.failed > 0 { quarter } else { 0 });
        slow.chain(failed).chain(of("", self.requests, most.saturating_sub(quarter))).collect()
    }
}

/// Windows that together hold about [`EXPECTED`] matches for each trace wanted: short ones spread evenly where there are
/// many, all of it where there are few.
fn windows(matching: u64, seconds: Window, wanted: u64) -> Vec<Window> {
    let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(seconds.seconds());
    if wanted == 0 {
        return Vec::new();
    }
    if matching <= u64::from(FEW) {
        return seconds.for_search();
    }
    let apart = seconds.seconds() / wanted;
    let width = u64::from(seconds.seconds()).saturating_mul(EXPECTED.into()) / matching;
    let width = u32::try_from(width).unwrap_or(u32::MAX).clamp(1, apart.max(1));
    let at = |i: u32| {
        let start =
            seconds.start.saturating_add(apart.saturating_mul(i)).saturating_add(apart.saturating_sub(width) / 2);
        Window { start, end: start.saturating_add(width) }
    };
    (0..wanted).map(at).flat_map(Window::for_search).collect()
}

/// Which traces to read of what each search found: one of each in turn, those of least hash first.
fn choose(found: Vec<Found>, most: u64, seconds: Window) -> Vec<TraceId> {
    let ranked = |found: Found| {
        let mut ids: Vec<(u64, TraceId)> = found
            .iter()
            .map(|(id, trace)| (*id, answer::brief(trace)))
            .filter(|(_, brief)| brief.spans <= MOST_SPANS && seconds.holds(brief.start))
            .map(|(id, _)| (hash::trace(id.0), id))
            .collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id)
    };
    let mut queues: Vec<_> = found.into_iter().map(ranked).collect();
    let (mut chosen, mut order) = (BTreeSet::new(), Vec::new());
    while !queues.is_empty() {
        for queue in &mut queues {
            if let Some(id) = queue.find(|id| !chosen.contains(id))
                && (order.len() as u64) < most
            {
                chosen.insert(id);
                order.push(id);
            }
        }
        queues.retain(|queue| queue.len() > 0 && (order.len() as u64) < most);
    }
    order
}

/// Whom to ask for traces.
pub(super) struct Reading<'a> {
    pub(super) client: &'a Client,
    pub(super) http: &'a Http,
    pub(super) timeout: std::time::Duration,
    pub(super) sink: &'a dyn SpanSink,
}

impl Reading<'_> {
    /// Reads at most `most` whole traces and pushes them.
    ///
    /// # Errors
    /// What kept Tempo from giving them; what was pushed before must then be thrown away.
    pub(super) async fn read(
        &self,
        hints: &Hints,
        most: u64,
        (seconds, filter): (Window, Option<&str>),
        mapper: &mut Mapper,
    ) -> Result<(), Diagnostic> {
        let most = most.min(MOST);
        let searches: Vec<_> = hints.searches(most, seconds, filter).into_iter().enumerate().collect();
        let mut found: BTreeMap<usize, Found> = BTreeMap::new();
        let settle = |(at, _): (usize, (String, Window)), answer: Result<Found, Trouble>| match answer {
            Ok(answer) => {
                found.insert(at, answer);
                Ok(Step::Done)
            }
            // An example less.
            Err(Trouble::TooMuch(_) | Trouble::Slow(_)) => Ok(Step::Done),
            Err(other) => Err(other.diagnostic()),
        };
        let search = |(_, (query, window)): (usize, (String, Window))| {
            let client = self.client.clone();
            let limit = if window.seconds() == seconds.seconds() { FEW } else { GIVEN };
            async move { client.some(query, window, limit).await }
        };
        Pool::new(AT_ONCE, self.timeout).run(searches, search, settle).await?;
        let chosen = choose(found.into_values().collect(), most, seconds);
        let mut traces: BTreeMap<TraceId, Whole> = BTreeMap::new();
        let (asked, mut unknown) = (chosen.len(), 0);
        let settle = |id: TraceId, answer: Result<Whole, Trouble>| {
            match answer {
                Ok(whole) if whole.spans() == 0 => unknown += 1,
                Ok(whole) if !whole.partial => _ = traces.insert(id, whole),
                Ok(_) | Err(Trouble::TooMuch(_) | Trouble::Slow(_)) => {}
                Err(other) => return Err(other.diagnostic()),
            }
            Ok(Step::Done)
        };
        let get = |id: TraceId| self.http.clone().trace(id);
        Pool::new(AT_ONCE, self.timeout).run(chosen, get, settle).await?;
        if asked > 0 && unknown == asked && !self.http.gave() {
            return Err(self.http.none_of(asked));
        }
        traces.values().for_each(|whole| whole.map(mapper));
        if mapper.batch.rows.is_empty() { Ok(()) } else { self.sink.push(&mapper.batch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tempo::wire::{ServiceStats, TraceSearchMetadata};

    const HOUR: Window = Window { start: 1_795_177_800, end: 1_795_181_400 };

    #[test]
    fn windows_get_shorter_where_there_is_more_and_searches_no_more() {
        let seconds = |matching| windows(matching, HOUR, 12).iter().map(|w| w.seconds()).collect::<Vec<_>>();
        assert_eq!(seconds(10), [3600]);
        assert_eq!(seconds(100), [144; 12]);
        assert_eq!(seconds(1_000_000), [1; 12]);
        let spread = windows(1_000, HOUR, 4);
        assert!(spread.iter().all(|w| w.start >= HOUR.start && w.end <= HOUR.end && w.seconds() == 14), "{spread:?}");
        assert!(windows(0, HOUR, 0).is_empty());
        let hints = Hints { requests: 500, failed: 0, slow: vec![("name = \"a\"".to_owned(), 3)] };
        let searches = hints.searches(8, HOUR, Some("(kind = server)"));
        assert_eq!(searches.len(), 1 + 6);
        assert_eq!(searches[0], ("{ name = \"a\" && (kind = server) }".to_owned(), HOUR));
        assert_eq!(searches[1].0, "{ (kind = server) }");
    }

    #[test]
    fn each_search_gives_one_in_turn_and_no_trace_comes_twice() {
        let trace = |spans| TraceSearchMetadata {
            start_time_unix_nano: u64::from(HOUR.start) * 1_000_000_000,
            service_stats: [("a".to_owned(), ServiceStats { span_count: spans, error_count: 0 })].into(),
            ..TraceSearchMetadata::default()
        };
        let found = |ids: &[u128]| ids.iter().map(|id| (TraceId(*id), trace(2))).collect::<Found>();
        let mut slow = found(&[1]);
        slow.insert(TraceId(9), trace(MOST_SPANS + 1));
        let before = TraceSearchMetadata { start_time_unix_nano: 1, ..trace(1) };
        let mut any = found(&[1, 2, 3, 4]);
        any.insert(TraceId(8), before);
        let all = choose(vec![slow.clone(), any.clone()], 24, HOUR);
        assert_eq!((all[0], all.len()), (TraceId(1), 4));
        assert!(all.iter().all(|id| id.0 < 5));
        assert_eq!(choose(vec![slow, any], 2, HOUR), all[..2]);
    }
}
