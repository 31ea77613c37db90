//! Which version, place or instance of a service fails or is slow more than the others.
//!
//! Input: [`Instance`]s. Output: [`Contrast`]s: one value of one resource attribute against all other calls of the service,
//! where the difference is more than chance (over all tests of the snapshot together) and large enough to act on.
//! Must not: look at attributes that name people, or at those with so many values that they tell spans apart and not places.

use std::collections::BTreeMap;

use crate::diff::significance::{discovery_limit, proportions};
use crate::findings::limits::{
    APART_FACTOR, APART_FAILED, APART_HITS, APART_RATE, APART_SLOW, APART_VALUES, MIN_N, TAIL_SHARE,
};
use crate::spans::Weight;
use crate::topology::{Instance, NodeId, Snapshot, Spread};

/// Attributes that tell versions, places and instances apart, most telling first: of several that single out the very same
/// calls the first is named. What names an owner, a platform or a programming language is not among them.
pub(crate) const KEYS: &[&str] = &[
    "service.version",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "aws.ecs.cluster.arn",
    "aws.ecs.task.family",
    "k8s.pod.name",
    "container.name",
    "service.instance.id",
    "host.name",
];

/// In what respect a value stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Respect {
    /// Its calls fail.
    Failing,
    /// Its calls take longer than 95 % of all calls of the service.
    Slow,
}

/// A share of some calls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Share {
    /// Spans.
    pub(crate) n: u64,
    /// Of the calls, 0..=1.
    pub(crate) share: f64,
}

/// One value that stands out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contrast<'a> {
    pub(crate) service: &'a NodeId,
    pub(crate) respect: Respect,
    pub(crate) key: &'static str,
    /// Untrusted text.
    pub(crate) value: &'a str,
    /// Other attributes that single out the same calls, with their values. Untrusted text.
    pub(crate) also: Vec<(&'static str, &'a str)>,
    /// Calls with this value.
    pub(crate) this: Share,
    /// All other calls of the service.
    pub(crate) rest: Share,
    /// From which bin of its durations on a call counts as slow.
    slow_from: u16,
    pub(crate) p_value: f64,
}

/// Everything that stands out, by service, worst first.
pub(crate) fn all(snapshot: &Snapshot) -> Vec<Contrast<'_>> {
    let mut out: Vec<Contrast<'_>> = Vec::new();
    for respect in [Respect::Failing, Respect::Slow] {
        let mut tested: Vec<Contrast<'_>> = Vec::new();
        for of_service in snapshot.instances.chunk_by(|a, b| a.service == b.service) {
            service(of_service, respect, &mut tested);
        }
        let limit = discovery_limit(tested.iter().map(|c| c.p_value).collect(), APART_RATE);
        tested.retain(|c| c.p_value <= limit && is_large(c.respect, c.this, c.rest));
        for of_service in tested.chunk_by(|a, b| a.service == b.service) {
            out.extend(unexplained(snapshot, of_service, limit));
        }
    }
    out.sort_by(|a, b| (a.service, a.respect).cmp(&(b.service, b.respect)));
    out
}

/// The clearest first; of the others only those that another one, told before, does not explain: where a region is slow, its
/// zones and pods are too.
fn unexplained<'a>(snapshot: &'a Snapshot, found: &[Contrast<'a>], limit: f64) -> Vec<Contrast<'a>> {
    let mut ranked: Vec<&Contrast<'a>> = found.iter().collect();
    ranked.sort_by(|a, b| b.clearness().total_cmp(&a.clearness()).then((a.key, a.value).cmp(&(b.key, b.value))));
    let mut told: Vec<Contrast<'a>> = Vec::new();
    for contrast in ranked {
        let of_service = || snapshot.instances.iter().filter(|i| i.service == *contrast.service);
        // Its own calls lie mostly within, or mostly outside of, each one that was told: compared with others that do too.
        let side = |other: &Contrast<'a>| {
            let own: Vec<&Instance> = of_service().filter(|i| contrast.has(i)).collect();
            let (within, all) = own.iter().fold((Weight::ZERO, Weight::ZERO), |(within, all), instance| {
                (if other.has(instance) { within + instance.calls } else { within }, all + instance.calls)
            });
            within.ratio_of(all) >= 0.5
        };
        let sides: Vec<bool> = told.iter().map(side).collect();
        let (mut this, mut rest) = (Sum::default(), Sum::default());
        for instance in of_service().filter(|i| told.iter().zip(&sides).all(|(other, within)| other.has(i) == *within))
        {
            if contrast.has(instance) { &mut this } else { &mut rest }.add(instance, contrast.slow_from);
        }
        if this.n < MIN_N || rest.n < MIN_N {
            continue;
        }
        let (this, rest) = (this.share(contrast.respect), rest.share(contrast.respect));
        if is_large(contrast.respect, this, rest) && test(this, rest) <= limit {
            told.push(contrast.clone());
        }
    }
    told
}

#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn test(this: Share, rest: Share) -> f64 {
    proportions((this.share, rest.share), (this.n as f64, rest.n as f64))
}

impl Contrast<'_> {
    /// From how many seconds on a call counts as slow.
    #[allow(clippy::cast_precision_loss, reason = "for display")]
    pub(crate) fn slow_seconds(&self) -> f64 {
        Spread::lower(self.slow_from) as f64 / 1e9
    }

    fn has(&self, instance: &Instance) -> bool {
        instance.attributes.get(self.key).is_some_and(|value| value == self.value)
    }

    /// The difference in units of what chance would make of it.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    fn clearness(&self) -> f64 {
        let (n, m) = (self.this.n as f64, self.rest.n as f64);
        let pooled = (self.this.share * n + self.rest.share * m) / (n + m).max(1.0);
        let error = (pooled * (1.0 - pooled) * (1.0 / n.max(1.0) + 1.0 / m.max(1.0))).sqrt();
        (self.this.share - self.rest.share) / error.max(f64::MIN_POSITIVE)
    }
}

fn is_large(respect: Respect, this: Share, rest: Share) -> bool {
    let least = if respect == Respect::Failing { APART_FAILED } else { APART_SLOW };
    this.share >= least && this.share >= APART_FACTOR * rest.share
}

/// What calls of one value add up to.
#[derive(Default, Clone, Copy)]
struct Sum {
    n: u64,
    calls: Weight,
    errors: Weight,
    timed: Weight,
    slow: Weight,
}

impl Sum {
    fn add(&mut self, instance: &Instance, slow_from: u16) {
        self.n = self.n.saturating_add(instance.n);
        self.calls += instance.calls;
        self.errors += instance.errors;
        self.timed += instance.durations.weight();
        self.slow += instance.durations.bins().filter(|(bin, _)| *bin >= slow_from).map(|(_, w)| w).sum();
    }

    fn merge(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.calls += other.calls;
        self.errors += other.errors;
        self.timed += other.timed;
        self.slow += other.slow;
    }

    /// Failed or slow calls, as far as spans were seen of them.
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    fn hits(&self, respect: Respect) -> f64 {
        self.share(respect).share * self.n as f64
    }

    fn share(&self, respect: Respect) -> Share {
        let (part, whole) = match respect {
            Respect::Failing => (self.errors, self.calls),
            Respect::Slow => (self.slow, self.timed),
        };
        Share { n: self.n, share: if whole.is_zero() { 0.0 } else { part.ratio_of(whole) } }
    }
}

/// Every test of one service, those of the very same calls once.
fn service<'a>(instances: &'a [Instance], respect: Respect, tested: &mut Vec<Contrast<'a>>) {
    let Some(Instance { service, .. }) = instances.first() else { return };
    let slow_from = slow_from(instances);
    let mut all = Sum::default();
    instances.iter().for_each(|instance| all.add(instance, slow_from));
    // Of fewer no test can tell anything, whatever their distribution: testing them would only blunt the others.
    if all.hits(respect) < APART_HITS {
        return;
    }
    let first = tested.len();
    for key in KEYS {
        let mut values: BTreeMap<Option<&str>, Sum> = BTreeMap::new();
        for instance in instances {
            let value = instance.attributes.get(*key).map(String::as_str);
            values.entry(value).or_default().add(instance, slow_from);
        }
        if values.len() < 2 || values.len() > APART_VALUES {
            continue;
        }
        for (value, this) in values.iter().filter_map(|(value, sum)| Some(((*value)?, sum))) {
            let mut rest = Sum::default();
            values.iter().filter(|(other, _)| **other != Some(value)).for_each(|(_, other)| rest.merge(other));
            if this.n < MIN_N || rest.n < MIN_N {
                continue;
            }
            let (this, rest) = (this.share(respect), rest.share(respect));
            let own = tested.get_mut(first..).unwrap_or_default();
            if let Some(known) = own.iter_mut().find(|c| (c.this, c.rest) == (this, rest)) {
                known.also.push((key, value));
                continue;
            }
            let (also, p_value) = (Vec::new(), test(this, rest));
            tested.push(Contrast { service, respect, key, value, also, this, rest, slow_from, p_value });
        }
    }
}

/// The first bin beyond which lie at most 5 % of all calls of the service: those above its 95th percentile.
fn slow_from(instances: &[Instance]) -> u16 {
    let mut bins: BTreeMap<u16, Weight> = BTreeMap::new();
    for (bin, weight) in instances.iter().flat_map(|i| i.durations.bins()) {
        *bins.entry(bin).or_default() += weight;
    }
    let all: f64 = bins.values().map(|w| w.as_f64()).sum();
    let mut beyond = 0.0;
    let mut first = u16::MAX;
    for (bin, weight) in bins.iter().rev() {
        beyond += weight.as_f64();
        if beyond > all * TAIL_SHARE {
            break;
        }
        first = *bin;
    }
    first
}

#[cfg(test)]
#[path = "contrast_tests.rs"]
mod tests;
