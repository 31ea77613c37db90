//! How the instances of a service do: what each resource (pod, version, region, host…) handled, failed, and how long it took.
//!
//! Purpose: attributes over-represented among slow or failing spans, without asking about spans again. Input: called spans.
//! Output: per service one entry for each distinct set of resource attributes. Bounded by the dictionary of resources;
//! [`MOST_PUBLISHED`] a service are published, the rest is summed in one without attributes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spans::Weight;
use crate::topology::Spread;
use crate::topology::snapshot::NodeId;

/// Instances published of one service.
const MOST_PUBLISHED: usize = 32;
/// Instances of one service that merging still tells apart.
const MOST_WIDE: usize = 4096;

/// What one set of resource attributes handled: the SERVER and CONSUMER spans that carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Which service.
    pub service: NodeId,
    /// Resource attributes: key → value. Empty for the sum of those beyond the cap. Untrusted text.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Spans seen.
    pub n: u64,
    /// Calls they stand for.
    pub calls: Weight,
    /// Failed ones.
    #[serde(default, skip_serializing_if = "crate::topology::snapshot::is_nothing")]
    pub errors: Weight,
    /// Durations.
    pub durations: Spread,
}

impl Instance {
    fn key(&self) -> (&NodeId, &BTreeMap<String, String>) {
        (&self.service, &self.attributes)
    }

    fn merge(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.calls += other.calls;
        self.errors += other.errors;
        self.durations.merge(&other.durations);
    }
}

/// Adds lists sorted by service and attributes.
pub(in crate::topology) fn unite(mine: &mut Vec<Instance>, other: &[Instance]) {
    for instance in other {
        match mine.binary_search_by(|m| m.key().cmp(&instance.key())) {
            Ok(at) => mine.iter_mut().skip(at).take(1).for_each(|m| m.merge(instance)),
            Err(at) => mine.insert(at, instance.clone()),
        }
    }
}

/// Leaves the instances of each service that handled most; the rest is summed.
pub(in crate::topology) fn cut(all: &mut Vec<Instance>) {
    cut_to(all, MOST_PUBLISHED);
}

/// The same with room for merging.
pub(in crate::topology) fn cut_wide(all: &mut Vec<Instance>) {
    cut_to(all, MOST_WIDE);
}

fn cut_to(all: &mut Vec<Instance>, most: usize) {
    let mut left = Vec::new();
    for of_service in std::mem::take(all).chunk_by(|a, b| a.service == b.service) {
        // Those without attributes are the sum of what was cut before, or of resources that say nothing.
        let (rest, mut named): (Vec<&Instance>, Vec<&Instance>) =
            of_service.iter().partition(|instance| instance.attributes.is_empty());
        if named.len() <= most {
            left.extend_from_slice(of_service);
            continue;
        }
        named.sort_by(|a, b| (Reverse(a.calls), a.key()).cmp(&(Reverse(b.calls), b.key())));
        let beyond = named.split_off(most);
        let mut sum: Option<Instance> = None;
        for instance in rest.into_iter().chain(beyond) {
            let part = Instance { attributes: BTreeMap::new(), ..instance.clone() };
            match &mut sum {
                Some(sum) => sum.merge(&part),
                None => sum = Some(part),
            }
        }
        left.extend(sum);
        named.sort_by(|a, b| a.key().cmp(&b.key()));
        left.extend(named.into_iter().cloned());
    }
    *all = left;
}

/// What is wrong with a list that was read.
pub(in crate::topology) fn check(all: &[Instance]) -> Result<(), String> {
    if !all.is_sorted_by(|a, b| a.key() < b.key()) {
        return Err("instances are out of order".to_owned());
    }
    let wrong = |i: &Instance| i.errors > i.calls || i.durations.weight() > i.calls;
    if all.iter().any(wrong) {
        return Err("instances do not add up".to_owned());
    }
    Ok(())
}

/// What one resource handled, while counting.
#[derive(Debug, Clone, Default)]
pub(in crate::topology) struct InstanceTally {
    n: u64,
    calls: Weight,
    errors: Weight,
    durations: Spread,
}

impl InstanceTally {
    #[inline]
    pub(super) fn add(&mut self, weight: Weight, failed: bool, duration: Option<u64>) {
        self.n += 1;
        self.calls += weight;
        if failed {
            self.errors += weight;
        }
        if let Some(nanos) = duration {
            self.durations.add(nanos, weight);
        }
    }

    pub(in crate::topology) fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.calls += other.calls;
        self.errors += other.errors;
        self.durations.merge(&other.durations);
    }

    /// Under its name; `None` when it handled nothing.
    pub(in crate::topology) fn named(&self, service: NodeId, attributes: BTreeMap<String, String>) -> Option<Instance> {
        let Self { n, calls, errors, durations } = self.clone();
        (n > 0).then_some(Instance { service, attributes, n, calls, errors, durations })
    }
}
