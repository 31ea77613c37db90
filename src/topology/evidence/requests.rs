//! Where requests from outside spend their time, by how long they took.
//!
//! Purpose: who holds the time in the tail, compared with the normal request, without a second pass over the spans: the
//! time on the critical path is summed by latency band, four to a power of two, and which bands are the tail is decided
//! when everything is counted. Input: critical paths of whole requests. Output: per operation that requests enter by the
//! time of each part, and which nodes its requests touch. Bounded: [`MOST_ENTRIES`] operations, [`MOST_PARTS`] parts each;
//! what is beyond is missing from the parts and still in the total.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spans::{SpanKind, Weight};
use crate::topology::capmap::CapMap;
use crate::topology::contents::Contents;
use crate::topology::hash;
use crate::topology::kind_name;
use crate::topology::snapshot::NodeId;
use crate::topology::{Spread, TimeSum};

/// Operations that requests enter by.
const MOST_ENTRIES: usize = 2048;
/// Parts told apart of one of them while counting.
const MOST_PARTS: usize = 512;
/// Parts published of one of them.
const MOST_PUBLISHED: usize = 64;
/// Parts of one of them that merging still tells apart.
const MOST_WIDE: usize = 4096;
/// Nodes its requests are told to touch.
const MOST_NODES: usize = 4096;

/// What kind of time a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// An operation at work itself.
    Work,
    /// Between a calling span and the operation that answers it: network, queues, connections. The operation is the one
    /// that answers.
    Between,
    /// A call that nobody answers with a span: a database, an address outside. The operation is the one that calls.
    Call,
}

/// The time of one part of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPart {
    /// What kind of time.
    pub part: PartKind,
    /// Whose operation.
    pub service: NodeId,
    /// Its name. Untrusted text.
    pub operation: String,
    /// What a call goes to, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<NodeId>,
    /// Time on the critical path by latency band of the request.
    pub time: Bands<TimeSum>,
}

/// Requests that enter by one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requests {
    /// Whose operation.
    pub service: NodeId,
    /// SERVER, or CONSUMER where a trace starts with a message.
    #[serde(with = "kind_name")]
    pub kind: SpanKind,
    /// Its name. Untrusted text.
    pub operation: String,
    /// Requests by latency band.
    pub calls: Bands<Weight>,
    /// Their durations together, by latency band: what the parts are parts of.
    pub time: Bands<TimeSum>,
    /// Most time first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<RequestPart>,
    /// Requests that touch a node anywhere.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<NodeId, Weight>,
}

/// Sums by latency band. A band is two bins of a [`Spread`]: a fifth wide. Serialised as `band:sum` separated by blanks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bands<T>(Vec<(u16, T)>);

impl<T> Default for Bands<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

/// The band of a duration in nanoseconds.
#[must_use]
pub fn band(nanos: u64) -> u16 {
    Spread::index(nanos) / 2
}

impl<T: Copy + Default> Bands<T> {
    #[inline]
    fn at(&mut self, band: u16) -> &mut T {
        let at = match self.0.binary_search_by_key(&band, |(band, _)| *band) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, (band, T::default()));
                at
            }
        };
        // Just found or made.
        &mut self.0[at].1
    }

    /// Bands and sums in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, T)> + '_ {
        self.0.iter().copied()
    }

    /// The sum of the bands that pass.
    pub fn sum(&self, pass: impl Fn(u16) -> bool, add: impl Fn(T, T) -> T) -> T {
        self.iter().filter(|(band, _)| pass(*band)).fold(T::default(), |sum, (_, more)| add(sum, more))
    }

    fn merge(&mut self, other: &Self, add: impl Fn(&mut T, T)) {
        for (band, more) in &other.0 {
            add(self.at(*band), *more);
        }
    }
}

impl<T: std::fmt::Display> Serialize for Bands<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bands: Vec<String> = self.0.iter().map(|(band, sum)| format!("{band}:{sum}")).collect();
        serializer.serialize_str(&bands.join(" "))
    }
}

impl<'de, T: std::str::FromStr> Deserialize<'de> for Bands<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let band = |text: &str| {
            let (band, sum) = text.split_once(':')?;
            Some((band.parse().ok()?, sum.parse().ok()?))
        };
        let bands: Option<Vec<(u16, T)>> = text.split_whitespace().map(band).collect();
        let bands = bands.filter(|bands| bands.is_sorted_by(|a, b| a.0 < b.0));
        bands.map(Self).ok_or_else(|| serde::de::Error::custom("bands are not ascending band:sum"))
    }
}

impl Requests {
    fn key(&self) -> (&NodeId, SpanKind, &str) {
        (&self.service, self.kind, &self.operation)
    }

    /// The band at or below which lies a share `q` of the requests.
    #[must_use]
    pub fn quantile_band(&self, q: f64) -> Option<u16> {
        let all: f64 = self.calls.iter().map(|(_, calls)| calls.as_f64()).sum();
        let mut seen = 0.0;
        self.calls.iter().find_map(|(band, calls)| {
            seen += calls.as_f64();
            (seen >= q * all).then_some(band)
        })
    }

    fn merge(&mut self, other: &Self) {
        self.calls.merge(&other.calls, |sum, more| *sum += more);
        self.time.merge(&other.time, |sum, more| sum.merge(more));
        for part in &other.parts {
            match self.parts.iter_mut().find(|mine| same_part(mine, part)) {
                Some(mine) => mine.time.merge(&part.time, |sum, more| sum.merge(more)),
                None => self.parts.push(part.clone()),
            }
        }
        for (node, weight) in &other.nodes {
            *self.nodes.entry(node.clone()).or_default() += *weight;
        }
        sort_parts(&mut self.parts);
        self.parts.truncate(MOST_WIDE);
    }
}

fn part_key(part: &RequestPart) -> (PartKind, &NodeId, &str, Option<&NodeId>) {
    (part.part, &part.service, &part.operation, part.target.as_ref())
}

fn same_part(a: &RequestPart, b: &RequestPart) -> bool {
    part_key(a) == part_key(b)
}

fn total(time: &Bands<TimeSum>) -> TimeSum {
    time.sum(
        |_| true,
        |mut sum, more| {
            sum.merge(more);
            sum
        },
    )
}

/// Most time first, ties by name.
fn sort_parts(parts: &mut [RequestPart]) {
    parts.sort_by(|a, b| (Reverse(total(&a.time)), part_key(a)).cmp(&(Reverse(total(&b.time)), part_key(b))));
}

/// Adds lists sorted by service, kind and operation.
pub(in crate::topology) fn unite(mine: &mut Vec<Requests>, other: &[Requests]) {
    for requests in other {
        match mine.binary_search_by(|m| m.key().cmp(&requests.key())) {
            Ok(at) => mine.iter_mut().skip(at).take(1).for_each(|m| m.merge(requests)),
            Err(at) => mine.insert(at, requests.clone()),
        }
    }
}

/// Cuts every list to its published length.
pub(in crate::topology) fn cut(all: &mut [Requests]) {
    all.iter_mut().for_each(|requests| requests.parts.truncate(MOST_PUBLISHED));
}

/// What is wrong with a list that was read.
pub(in crate::topology) fn check(all: &[Requests]) -> Result<(), String> {
    if !all.is_sorted_by(|a, b| a.key() < b.key()) {
        return Err("requests are out of order".to_owned());
    }
    let more = |r: &Requests| r.parts.iter().any(|part| total(&part.time) > total(&r.time));
    if all.iter().any(more) {
        return Err("requests: a part takes longer than the whole".to_owned());
    }
    Ok(())
}

/// A part while counting: kind and operation, node of a target.
pub(super) type Part = (u32, u32);

/// Packs kind and canonical operation number.
pub(super) fn part(kind: PartKind, op: u32, target: u32) -> Part {
    (op << 2 | kind as u32, target)
}

/// Requests of one entry while counting.
#[derive(Debug, Clone)]
pub(super) struct RequestTally {
    calls: Bands<Weight>,
    time: Bands<TimeSum>,
    parts: CapMap<Part, Bands<TimeSum>>,
    nodes: CapMap<u32, Weight>,
}

impl Default for RequestTally {
    fn default() -> Self {
        Self {
            calls: Bands::default(),
            time: Bands::default(),
            parts: CapMap::new(MOST_PARTS),
            nodes: CapMap::new(MOST_NODES),
        }
    }
}

impl RequestTally {
    pub(super) fn request(&mut self, band: u16, nanos: u64, weight: Weight) {
        *self.calls.at(band) += weight;
        self.time.at(band).add(nanos, weight);
    }

    pub(super) fn spend(&mut self, part: Part, band: u16, nanos: u64, weight: Weight, contents: &Contents) {
        let content = || hash::mix(contents.operation(part.0 >> 2), contents.node(part.1) ^ u64::from(part.0 & 3));
        if let Some(time) = self.parts.at(part, content) {
            time.at(band).add(nanos, weight);
        }
    }

    pub(super) fn touch(&mut self, node: u32, weight: Weight, contents: &Contents) {
        if let Some(sum) = self.nodes.at(node, || contents.node(node)) {
            *sum += weight;
        }
    }

    fn merge(&mut self, other: Self) {
        self.calls.merge(&other.calls, |sum, more| *sum += more);
        self.time.merge(&other.time, |sum, more| sum.merge(more));
        self.parts.merge(other.parts, |mine, more| mine.merge(&more, |sum, more| sum.merge(more)));
        self.nodes.merge(other.nodes, |mine, more| *mine += more);
    }
}

/// All entries while counting, by operation and kind.
#[derive(Debug)]
pub(in crate::topology) struct RequestTallies(CapMap<u32, RequestTally>);

/// Whose operation a number is and its name; the id of a node.
pub(in crate::topology) trait Names {
    fn operation(&self, number: u32) -> Option<(NodeId, String)>;
    fn node(&self, number: u32) -> Option<NodeId>;
}

impl RequestTallies {
    pub(in crate::topology) fn new() -> Self {
        Self(CapMap::new(MOST_ENTRIES))
    }

    pub(super) fn at(&mut self, op: u32, kind: SpanKind, contents: &Contents) -> Option<&mut RequestTally> {
        self.0.at(op << 3 | kind as u32, || contents.operation(op))
    }

    pub(in crate::topology) fn merge(&mut self, other: Self) {
        self.0.merge(other.0, RequestTally::merge);
    }

    /// Sorted by service, kind and operation.
    pub(in crate::topology) fn finish(self, names: &impl Names) -> Vec<Requests> {
        let mut all: Vec<Requests> =
            self.0.into_sorted().into_iter().filter_map(|(key, tally)| finish(key, tally, names)).collect();
        all.sort_by(|a, b| a.key().cmp(&b.key()));
        all
    }
}

fn finish(key: u32, tally: RequestTally, names: &impl Names) -> Option<Requests> {
    let (service, operation) = names.operation(key >> 3)?;
    let named = |((op, target), time): (Part, Bands<TimeSum>)| {
        let part = match op & 3 {
            0 => PartKind::Work,
            1 => PartKind::Between,
            _ => PartKind::Call,
        };
        let (service, operation) = names.operation(op >> 2)?;
        Some(RequestPart { part, service, operation, target: names.node(target), time })
    };
    let mut parts: Vec<RequestPart> = tally.parts.into_sorted().into_iter().filter_map(named).collect();
    sort_parts(&mut parts);
    let nodes = tally.nodes.into_sorted().into_iter().filter_map(|(node, w)| Some((names.node(node)?, w))).collect();
    let kind = i32::try_from(key & 7).map_or(SpanKind::Unspecified, SpanKind::from_otlp);
    Some(Requests { service, kind, operation, calls: tally.calls, time: tally.time, parts, nodes })
}
