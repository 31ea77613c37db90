//! Which instances of a culprit it is about: a version, a pod, a zone that stands apart from the others in HEAD.
//!
//! Input: the instances of one service. Output: the attribute value whose calls are slower or fail more than those of all
//! other values of the same key, where that is clear; `None` where all are alike or there is only one.

use std::collections::{BTreeMap, BTreeSet};

use super::limits;
use super::shift::{self, Shift};
use super::{CulpritAttribute, tidy};
use crate::diff::significance::proportions;
use crate::topology::{Instance, NodeId, Snapshot, Spread};

/// Values of one key that are compared; a key with more names single requests, not instances.
const MOST_VALUES: usize = 50;
/// Whom a thing belongs to says nothing about how it does.
const NEVER: [&str; 2] = ["service.owner.name", "service.criticality"];

/// Keys that explain more than the names of single instances.
const FIRST: [&str; 5] =
    ["service.version", "deployment.environment.name", "cloud.region", "cloud.availability_zone", "k8s.cluster.name"];

/// What some instances handled together.
#[derive(Default)]
struct Sum {
    n: u64,
    calls: f64,
    errors: f64,
    durations: Spread,
}

impl Sum {
    fn of<'a>(instances: impl Iterator<Item = &'a Instance>) -> Self {
        instances.fold(Self::default(), |mut sum, instance| {
            sum.n = sum.n.saturating_add(instance.n);
            sum.calls += instance.calls.as_f64();
            sum.errors += instance.errors.as_f64();
            sum.durations.merge(&instance.durations);
            sum
        })
    }

    /// Mean seconds, as coarse as the bins.
    fn mean(&self) -> f64 {
        let time: f64 = self.durations.bins().map(|(bin, w)| seconds(bin) * w.as_f64()).sum();
        time / self.durations.weight().as_f64().max(1e-9)
    }
}

#[allow(clippy::cast_precision_loss, reason = "seconds")]
fn seconds(bin: u16) -> f64 {
    Spread::lower(bin) as f64 / 1e9
}

/// The value that stands apart most.
pub(super) fn apart(head: &Snapshot, service: &NodeId) -> Option<CulpritAttribute> {
    let instances: Vec<&Instance> = head.instances.iter().filter(|i| i.service == *service).collect();
    let keys: BTreeSet<&String> = instances.iter().flat_map(|i| i.attributes.keys()).collect();
    // Where several keys single out the same instances, the first says most.
    let mut keys: Vec<&String> = keys.into_iter().filter(|key| !NEVER.contains(&key.as_str())).collect();
    keys.sort_by_key(|key| FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len()));
    let mut best: Option<CulpritAttribute> = None;
    for key in keys {
        let mut by_value: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
        for instance in &instances {
            by_value.entry(instance.attributes.get(key).map_or("", String::as_str)).or_default().push(instance);
        }
        if !(2..=MOST_VALUES).contains(&by_value.len()) {
            continue;
        }
        for value in by_value.keys().filter(|value| !value.is_empty()) {
            let of = |same: bool| {
                let chosen = by_value.iter().filter(move |(other, _)| (*other == value) == same);
                Sum::of(chosen.flat_map(|(_, instances)| instances.iter().copied()))
            };
            let found = contrast(key, value, &of(true), &of(false));
            if found.as_ref().is_some_and(|f| best.as_ref().is_none_or(|b| f.strength > b.strength)) {
                best = found;
            }
        }
    }
    best
}

/// How far one value stands apart from the rest, in time or in failures.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn contrast(key: &str, value: &str, own: &Sum, rest: &Sum) -> Option<CulpritAttribute> {
    let logs = (shift::of_spread(&rest.durations), shift::of_spread(&own.durations));
    let means = (rest.mean(), own.mean());
    let slower = Shift::of(&logs.0, &logs.1, means, (rest.n, own.n), limits::USUAL_DEVIATION)
        .filter(|shift| shift.p_value() <= limits::CHANCE / 10.0)
        .map(|shift| ("slower", shift.strength(), means));
    let share = |sum: &Sum| if sum.calls > 0.0 { (sum.errors / sum.calls).min(1.0) } else { 0.0 };
    let chance = proportions((share(rest), share(own)), (rest.n as f64, own.n as f64));
    let failing = super::failures::divergence(rest.errors, rest.calls, share(own), (rest.n, own.n))
        .filter(|_| chance <= limits::CHANCE / 10.0)
        .map(|strength| ("failing-more", strength, (share(rest), share(own))));
    let (reason, strength, (others, this)) = slower.into_iter().chain(failing).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (strength >= limits::REPORTED).then(|| CulpritAttribute {
        key: key.to_owned(),
        value: value.to_owned(),
        reason,
        strength: tidy(strength),
        others: tidy(others),
        this: tidy(this),
        n_others: rest.n,
        n_this: own.n,
    })
}
