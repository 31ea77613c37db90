//! What answers come to: calls, errors, durations and times by population and values of its keys.
//!
//! Input: series of answers. Output: [`Counted`]. Must not: know what a population means for the topology.

use std::collections::{BTreeMap, BTreeSet};

use super::failure;
use super::population::{Meaning, Population};
use super::question::Of;
use super::series::SECONDS;
use super::sums::Sums;
use crate::source::tempo::window::Window;
use crate::source::tempo::wire::any_value::Value as Any;
use crate::source::tempo::wire::{InstantSeries, KeyValue, TimeSeries};
use crate::spans::ErrorClass;
use crate::spans::aggregate::AggregateService;

/// Where Tempo puts a duration: above half of this bound, up to it, in seconds.
const BUCKET: &str = "__bucket";

/// What is counted so far: by population and values of its keys.
#[derive(Debug, Default)]
pub(super) struct Counted(pub(super) BTreeMap<(usize, Vec<String>), Sums>);

impl Counted {
    /// Adds an answer to [`Population::count`], or to [`Population::count_if`] of those that failed silently.
    pub(super) fn count(&mut self, at: usize, population: &Population, of: Of, series: &[InstantSeries]) {
        for one in series {
            let (calls, errors) = figures(population, of, &one.labels, whole(one.value));
            let sums = self.sums(at, population, &one.labels);
            sums.calls = sums.calls.saturating_add(calls);
            sums.errors = sums.errors.saturating_add(errors);
        }
    }

    /// Adds an answer to [`Population::count_if`] of one failure, by exception.
    pub(super) fn class(&mut self, at: usize, population: &Population, class: &ErrorClass, series: &[InstantSeries]) {
        for one in series {
            let exception_type = failure::word(&label(&one.labels, failure::EXCEPTION));
            let class = ErrorClass { exception_type, ..class.clone() };
            let n = whole(one.value);
            let calls = self.sums(at, population, &one.labels).classes.entry(class).or_default();
            *calls = calls.saturating_add(n);
        }
    }

    /// Adds an answer to [`Population::durations`].
    pub(super) fn durations(&mut self, at: usize, population: &Population, series: &[InstantSeries]) {
        for one in series {
            let bound =
                one.labels.iter().find(|l| l.key == BUCKET).and_then(|l| match l.value.as_ref()?.value.as_ref()? {
                    Any::DoubleValue(seconds) => Some(whole(seconds * 1e9)),
                    _ => None,
                });
            let Some(upper) = bound else { continue };
            let n = whole(one.value);
            let calls = self.sums(at, population, &one.labels).buckets.entry(upper).or_default();
            *calls = calls.saturating_add(n);
        }
    }

    /// Adds an answer to [`Population::count`] of a part of one bucket.
    pub(super) fn part(
        &mut self,
        at: usize,
        population: &Population,
        (of, bucket): (Of, u64),
        series: &[InstantSeries],
    ) {
        for one in series {
            self.at(at, population, &one.labels, bucket, (of, whole(one.value)));
        }
    }

    /// The same over whole buckets. What lies outside of them, as the step that Tempo puts
    /// before, is left out.
    pub(super) fn buckets(
        &mut self,
        at: usize,
        population: &Population,
        (of, window): (Of, Window),
        series: &[TimeSeries],
    ) {
        for one in series {
            for sample in &one.samples {
                // Named by the end of the step.
                let end = u32::try_from(sample.timestamp_ms / 1000).unwrap_or(0);
                let n = whole(sample.value);
                if n > 0 && end > window.start && end <= window.end {
                    self.at(at, population, &one.labels, u64::from((end - 1) / SECONDS), (of, n));
                }
            }
        }
    }

    fn at(&mut self, at: usize, population: &Population, labels: &[KeyValue], bucket: u64, (of, n): (Of, u64)) {
        let (more, failed) = figures(population, of, labels, n);
        let (calls, errors) = self.sums(at, population, labels).series.entry(bucket).or_default();
        *calls = calls.saturating_add(more);
        *errors = errors.saturating_add(failed);
    }

    /// How many things are told apart.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// What was seen of a population.
    fn of(&self, at: usize) -> impl Iterator<Item = (&Vec<String>, &Sums)> {
        self.0.range((at, Vec::new())..(at.saturating_add(1), Vec::new())).map(|((_, values), sums)| (values, sums))
    }

    /// Whether anything of a population was seen.
    pub(super) fn holds(&self, at: usize) -> bool {
        self.of(at).next().is_some()
    }

    /// Whether any of a population failed.
    pub(super) fn fails(&self, at: usize) -> bool {
        self.of(at).any(|(_, sums)| sums.errors > 0)
    }

    /// Whether operations of this kind failed so at a service of which calls of a population failed. Operations come first.
    pub(super) fn met(&self, at: usize, kind: &str, class: &ErrorClass) -> bool {
        let callers: BTreeSet<AggregateService> =
            self.of(at).filter(|(_, sums)| sums.errors > 0).map(|(values, _)| service(values)).collect();
        let so = |sums: &Sums| {
            sums.classes.keys().any(|c| ErrorClass { exception_type: String::new(), ..c.clone() } == *class)
        };
        self.of(0).any(|(values, sums)| {
            values.get(3).is_some_and(|k| k == kind) && so(sums) && callers.contains(&service(values))
        })
    }

    /// Calls of a population by the values of its keys.
    pub(super) fn calls(&self, at: usize) -> impl Iterator<Item = (&Vec<String>, u64)> {
        self.of(at).map(|(values, sums)| (values, sums.calls))
    }

    /// Takes out what was counted by time where that does not add up to what was counted at once, and says where: what a
    /// service handled is the sum of its operations, so one of them leaves nothing of the others; of edges nothing at all.
    pub(super) fn settle(&mut self, populations: &[Population]) -> Option<String> {
        let is = |at: &usize, meaning: Meaning| populations.get(*at).is_some_and(|p| p.meaning == meaning);
        let in_time = |at: &usize, values: &[String]| populations.get(*at).is_some_and(|p| p.is_in_time(values));
        let (mut services, mut edges) = (BTreeSet::new(), false);
        for ((at, values), _) in self.0.iter().filter(|((at, values), sums)| in_time(at, values) && !sums.add_up()) {
            if is(at, Meaning::Operation) {
                services.insert(service(values));
            } else {
                edges = true;
            }
        }
        for ((at, values), sums) in &mut self.0 {
            let operation = is(at, Meaning::Operation);
            if operation && services.contains(&service(values)) || !operation && edges {
                sums.series.clear();
            }
        }
        match (services.len(), edges) {
            (0, false) => None,
            (0, true) => Some("edges".to_owned()),
            (n, false) => Some(format!("{n} service(s)")),
            (n, true) => Some(format!("{n} service(s) and edges")),
        }
    }

    fn sums(&mut self, at: usize, population: &Population, labels: &[KeyValue]) -> &mut Sums {
        let values = population.keys.iter().map(|key| label(labels, key)).collect();
        self.0.entry((at, values)).or_default()
    }

    /// Adds calls that failed for the caller to those of the population before, of which there is how long both took.
    pub(super) fn put_together(&mut self, populations: &[Population]) {
        let all = std::mem::take(&mut self.0);
        for ((at, values), sums) in all {
            let failed = populations.get(at).is_some_and(|p| p.failed);
            let into = self.0.entry((at.saturating_sub(usize::from(failed)), values)).or_default();
            into.add(sums);
        }
    }

    /// Services that call something, sorted: whose calls are still to be asked for.
    pub(super) fn callers(&self, populations: &[Population]) -> Vec<AggregateService> {
        let mut callers: Vec<AggregateService> = self
            .0
            .keys()
            .filter(|(at, values)| {
                populations.get(*at).is_some_and(|p| p.meaning == Meaning::Operation)
                    && values.get(3).is_some_and(|kind| kind == "client")
            })
            .map(|(_, values)| service(values))
            .collect();
        callers.dedup();
        callers
    }

    /// How many spans there are, and how many of them do not lead up to a root.
    pub(super) fn cut_off(&self, populations: &[Population]) -> (u64, u64) {
        let sum = |meaning: Meaning| {
            let of = |at: &usize| populations.get(*at).is_some_and(|p| p.meaning == meaning);
            self.0.iter().filter(|((at, _), _)| of(at)).fold(0u64, |sum, (_, sums)| sum.saturating_add(sums.calls))
        };
        let all = sum(Meaning::Operation);
        (all, all.saturating_sub(sum(Meaning::Connected)))
    }
}

/// Calls and errors that an answer stands for.
fn figures(population: &Population, of: Of, labels: &[KeyValue], n: u64) -> (u64, u64) {
    match of {
        Of::Silent => (0, n),
        Of::All if population.failed || label(labels, "status") == "error" => (n, n),
        Of::All => (n, 0),
    }
}

/// The service that the first two keys name.
pub(super) fn service(values: &[String]) -> AggregateService {
    let value = |i: usize| values.get(i).cloned().unwrap_or_default();
    AggregateService { namespace: value(0), name: value(1) }
}

/// A label as text; empty when absent, which Tempo also spells `nil`.
pub(super) fn label(labels: &[KeyValue], key: &str) -> String {
    let value = labels.iter().find(|l| l.key == key).and_then(|l| l.value.as_ref()?.value.as_ref());
    match value {
        Some(Any::StringValue(text)) if text != "nil" => text.clone(),
        Some(Any::IntValue(n)) => n.to_string(),
        Some(Any::DoubleValue(x)) => x.to_string(),
        Some(Any::BoolValue(b)) => b.to_string(),
        _ => String::new(),
    }
}

/// A count that came as a float.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
pub(super) fn whole(value: f64) -> u64 {
    if value.is_finite() { value.round() as u64 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::tempo::wire::{AnyValue, Sample};

    const START: u32 = 1_795_177_800;

    fn labels(values: [&str; 4]) -> Vec<KeyValue> {
        let keys = ["resource.service.name", "name", "kind", "status"];
        let label = |(key, value): (&str, &str)| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(Any::StringValue(value.to_owned())) }),
        };
        keys.into_iter().zip(values).map(label).collect()
    }

    fn instant(values: [&str; 4], value: f64) -> InstantSeries {
        InstantSeries { labels: labels(values), value }
    }

    fn operations() -> Vec<Population> {
        super::super::population::known()
    }

    /// 5 calls of which 2 failed: one in the part of a bucket before, one in that after, three in a step.
    fn counted(in_step: f64) -> Counted {
        let (all, mut counted) = (operations(), Counted::default());
        let (ok, failed) = (["a", "get", "server", "unset"], ["a", "get", "server", "error"]);
        counted.count(0, &all[0], Of::All, &[instant(ok, 3.0), instant(failed, 2.0)]);
        counted.count(0, &all[0], Of::All, &[instant(["a", "put", "server", "unset"], 1.0)]);
        counted.count(0, &all[0], Of::All, &[instant(["b", "get", "server", "unset"], 1.0)]);
        let first = u64::from(START / SECONDS);
        counted.part(0, &all[0], (Of::All, first), &[instant(ok, 1.0), instant(["a", "put", "server", "unset"], 1.0)]);
        counted.part(0, &all[0], (Of::All, first), &[instant(["b", "get", "server", "unset"], 1.0)]);
        counted.part(0, &all[0], (Of::All, first + 2), &[instant(failed, 1.0)]);
        let at = |seconds: u32, value| Sample { value, timestamp_ms: i64::from(START + seconds) * 1000 };
        let window = Window { start: START + 300, end: START + 600 };
        // The step that Tempo puts before the window holds what the part has already.
        let steps = |labels, samples| TimeSeries { labels, samples };
        let series = [
            steps(labels(ok), vec![at(300, 1.0), at(600, in_step)]),
            steps(labels(failed), vec![at(300, 0.0), at(600, 1.0), at(900, 7.0)]),
        ];
        counted.buckets(0, &all[0], (Of::All, window), &series);
        counted
    }

    fn series(counted: &Counted, service: &str, name: &str) -> Vec<(u64, u64, u64)> {
        let key = ["", service, name, "server"].map(str::to_owned).to_vec();
        let first = u64::from(START / SECONDS);
        counted.0[&(0, key)].series.iter().map(|(at, (calls, errors))| (at - first, *calls, *errors)).collect()
    }

    #[test]
    fn parts_and_steps_add_up_and_what_lies_outside_is_left_out() {
        let mut counted = counted(2.0);
        assert_eq!(counted.settle(&operations()), None);
        assert_eq!(series(&counted, "a", "get"), [(0, 1, 0), (1, 3, 1), (2, 1, 1)]);
        assert_eq!(series(&counted, "a", "put"), [(0, 1, 0)]);
    }

    #[test]
    fn calls_that_failed_for_their_caller_join_the_others() {
        let caller = AggregateService { namespace: String::new(), name: "web".to_owned() };
        let all = super::super::population::calls(&caller, true);
        let (ok, failed) = (["a", "get", "server", "unset"], ["a", "get", "server", "error"]);
        let mut counted = Counted::default();
        counted.count(0, &all[0], Of::All, &[instant(ok, 3.0), instant(failed, 1.0)]);
        counted.count(1, &all[1], Of::All, &[instant(ok, 2.0)]);
        counted.put_together(&all);
        let got: Vec<_> = counted.0.iter().map(|((at, _), sums)| (*at, sums.calls, sums.errors)).collect();
        assert_eq!(got, [(0, 6, 3)]);
    }

    #[test]
    fn times_that_do_not_add_up_cost_the_service_its_times_and_no_other() {
        let mut counted = counted(1.0);
        assert_eq!(counted.settle(&operations()).as_deref(), Some("1 service(s)"));
        assert!(series(&counted, "a", "get").is_empty() && series(&counted, "a", "put").is_empty());
        assert_eq!(series(&counted, "b", "get"), [(0, 1, 0)]);
    }
}
