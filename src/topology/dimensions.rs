//! Dimensions of an edge: which version, environment, cluster and region calls which.
//!
//! Input: the resources of a run, and calls as pairs of resources. Output: per edge and attribute, calls and errors by
//! what either end says. Must not: hold more of an edge than a fixed number of pairs, or lose a call: what is beyond the
//! bound is summed under `(other)`, so that the calls of every list add up to those of the edge.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::capmap::CapMap;
use super::dict::OTHER;
use super::dicts::Dicts;
use super::hash;
use crate::spans::Weight;

/// Resource attributes that edges are counted by, sorted.
pub(super) const KEYS: [&str; 4] =
    ["cloud.region", "deployment.environment.name", "k8s.cluster.name", "service.version"];

/// Pairs of resources told apart per edge while counting, by what both say of [`KEYS`].
const MOST_PAIRS: usize = 1024;
/// Pairs that are found without hashing.
const FEW: usize = 8;
/// Pairs of values published of one key.
const MOST_VALUES: usize = 64;
/// Pairs of values of one key that merging still tells apart.
const MOST_WIDE_VALUES: usize = 4096;

/// Calls of an edge by what one resource attribute says at either end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeDimension {
    /// The caller's value; empty when it says nothing. Untrusted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The callee's value; empty when it says nothing, and of inferred nodes. Untrusted text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
    /// Calls.
    pub calls: Weight,
    /// Failed calls.
    #[serde(default, skip_serializing_if = "super::snapshot::is_nothing")]
    pub errors: Weight,
}

/// By key (sorted): pairs of values (sorted by source and target). A key of which neither end ever says anything is absent.
pub(super) type ByKey = BTreeMap<String, Vec<EdgeDimension>>;

/// Calls and errors.
type Sums = (Weight, Weight);

/// What the resources of a run say of [`KEYS`], each distinct answer by its number.
#[derive(Debug, Default)]
pub(super) struct Dimensions {
    by_resource: Vec<u32>,
    /// Sorted; number 0 says nothing.
    answers: Vec<[String; KEYS.len()]>,
}

impl Dimensions {
    pub(super) fn new(dicts: &Dicts) -> Self {
        let answer = |id: u32| -> [String; KEYS.len()] {
            let values = dicts.resources.resolve(id).map_or(&[][..], |(_, _, resource)| resource.values.as_slice());
            KEYS.map(|key| values.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone()).unwrap_or_default())
        };
        let all: Vec<_> = (0..).zip(dicts.resources.slots()).map(|(id, _)| answer(id)).collect();
        let distinct: BTreeSet<_> = all.iter().cloned().chain([<[String; KEYS.len()]>::default()]).collect();
        let answers: Vec<_> = distinct.into_iter().collect();
        let number = |answer| answers.binary_search(answer).ok().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
        Self { by_resource: all.iter().map(number).collect(), answers }
    }

    /// What a resource of the store says.
    pub(super) fn of(&self, resource: u32) -> u32 {
        self.by_resource.get(resource as usize).copied().unwrap_or(0)
    }

    fn value(&self, answer: u32, key: usize) -> &str {
        self.answers.get(answer as usize).and_then(|values| values.get(key)).map_or("", String::as_str)
    }

    /// The dimensions of an edge with so many calls and errors.
    pub(super) fn name(&self, tally: EndTally, all: Sums) -> ByKey {
        let pairs = tally.into_sorted();
        let counted = pairs.values().fold(Sums::default(), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let beyond = (less(all.0, counted.0), less(all.1, counted.1));
        let mut by_key = ByKey::new();
        for (at, key) in KEYS.iter().enumerate() {
            let mut sums: BTreeMap<(&str, &str), Sums> = BTreeMap::new();
            for ((source, target), pair) in &pairs {
                add(sums.entry((self.value(*source, at), self.value(*target, at))).or_default(), *pair);
            }
            if sums.keys().any(|ends| *ends != ("", "")) {
                if beyond != Sums::default() {
                    add(sums.entry((OTHER, OTHER)).or_default(), beyond);
                }
                by_key.insert((*key).to_owned(), sums.into_iter().map(entry).collect());
            }
        }
        by_key
    }
}

fn add(sums: &mut Sums, more: Sums) {
    sums.0 += more.0;
    sums.1 += more.1;
}

fn less(all: Weight, part: Weight) -> Weight {
    Weight::from_micro(all.micro().saturating_sub(part.micro()))
}

fn entry(((source, target), (calls, errors)): ((&str, &str), Sums)) -> EdgeDimension {
    EdgeDimension { source: source.to_owned(), target: target.to_owned(), calls, errors }
}

/// The calls of an edge by the answers of both ends, while counting.
#[derive(Debug, Clone)]
pub(super) struct EndTally {
    /// The pairs that came first; what is kept in the end does not depend on which those are.
    few: Vec<((u32, u32), Sums)>,
    many: CapMap<(u32, u32), Sums>,
}

impl Default for EndTally {
    fn default() -> Self {
        Self { few: Vec::new(), many: CapMap::new(MOST_PAIRS) }
    }
}

/// Numbers follow the sorted answers of all resources, which every shard of a run sees: they are the same in each.
fn content(ends: (u32, u32)) -> u64 {
    hash::mix(hash::mix(12, u64::from(ends.0)), u64::from(ends.1))
}

impl EndTally {
    pub(super) fn add(&mut self, ends: (u32, u32), calls: Weight, failed: bool) {
        let sums = (calls, if failed { calls } else { Weight::ZERO });
        if let Some((_, known)) = self.few.iter_mut().find(|(known, _)| *known == ends) {
            add(known, sums);
        } else if self.few.len() < FEW {
            self.few.push((ends, sums));
        } else if let Some(known) = self.many.at(ends, || content(ends)) {
            add(known, sums);
        }
    }

    fn into_map(mut self) -> CapMap<(u32, u32), Sums> {
        for (ends, sums) in self.few.drain(..) {
            if let Some(known) = self.many.at(ends, || content(ends)) {
                add(known, sums);
            }
        }
        self.many
    }

    pub(super) fn merge(&mut self, other: Self) {
        let mut all = std::mem::take(self).into_map();
        all.merge(other.into_map(), add);
        self.many = all;
    }

    fn into_sorted(self) -> BTreeMap<(u32, u32), Sums> {
        self.into_map().into_sorted()
    }
}

/// Adds the dimensions of two parts of an edge, each with its calls and errors. Where only one part has a key, the other's
/// ends said nothing.
pub(super) fn unite(mine: &mut ByKey, mine_all: Sums, other: &ByKey, other_all: Sums) {
    let keys: BTreeSet<String> = mine.keys().chain(other.keys()).cloned().collect();
    for key in keys {
        let silent =
            |all: Sums| EdgeDimension { source: String::new(), target: String::new(), calls: all.0, errors: all.1 };
        let part = |part: &ByKey, all: Sums| part.get(&key).cloned().unwrap_or_else(|| vec![silent(all)]);
        let both = [part(mine, mine_all), part(other, other_all)].concat();
        mine.insert(key, sorted(both));
    }
}

/// Sorted by source and target, each pair once.
fn sorted(mut pairs: Vec<EdgeDimension>) -> Vec<EdgeDimension> {
    pairs.sort_unstable_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    pairs.dedup_by(|next, first| {
        let same = (&next.source, &next.target) == (&first.source, &first.target);
        if same {
            first.calls += next.calls;
            first.errors += next.errors;
        }
        same
    });
    pairs
}

/// Cuts every list to what is published.
pub(super) fn cut(dimensions: &mut ByKey) {
    dimensions.values_mut().for_each(|pairs| cut_pairs(pairs, MOST_VALUES));
}

/// Cuts every list to what merging needs.
pub(super) fn cut_wide(dimensions: &mut ByKey) {
    dimensions.values_mut().for_each(|pairs| cut_pairs(pairs, MOST_WIDE_VALUES));
}

/// Leaves the pairs with the most calls (ties: the smaller names); the rest is summed.
fn cut_pairs(pairs: &mut Vec<EdgeDimension>, most: usize) {
    if pairs.len() <= most {
        return;
    }
    // What was summed before is no value.
    let is_other = |pair: &EdgeDimension| pair.source == OTHER && pair.target == OTHER;
    let (others, mut named): (Vec<_>, Vec<_>) = std::mem::take(pairs).into_iter().partition(is_other);
    named.sort_by_key(|pair| Reverse(pair.calls));
    let rest = named.split_off(most.min(named.len()));
    let other = |pair| EdgeDimension { source: OTHER.to_owned(), target: OTHER.to_owned(), ..pair };
    named.extend(others.into_iter().chain(rest).map(other));
    *pairs = sorted(named);
}

/// What is wrong with the dimensions of an edge with so many calls and errors.
pub(super) fn check(dimensions: &ByKey, calls: Weight, errors: Weight) -> Result<(), String> {
    for (key, pairs) in dimensions {
        if !pairs.is_sorted_by(|a, b| (&a.source, &a.target) < (&b.source, &b.target)) {
            return Err(format!("dimensions.{key} is out of order"));
        }
        let sum: (Weight, Weight) = (pairs.iter().map(|p| p.calls).sum(), pairs.iter().map(|p| p.errors).sum());
        if sum != (calls, errors) || pairs.iter().any(|p| p.errors > p.calls) {
            return Err(format!("dimensions.{key} does not add up to its calls and errors"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "dimensions_tests.rs"]
mod tests;
