//! What an operation does one after the other: after which call which call follows.
//!
//! Purpose: notice calls that vanish, appear or repeat, even where one operation stands for many different requests: of
//! an operation that stops early the average number of calls hardly moves, but what used to follow a call follows it no
//! more. Input: spans with their children. Output: for each operation a table of steps, first-order transitions between
//! the things it starts. Must not: grow without bound: an operation with more steps than [`MOST_STEPS`] has no table at
//! all, whatever came first, so that parts of a run add up to the whole.
//!
//! A thing started is named by who does it: a call that is answered by the operation that answers, since many clients call
//! every span `GET`; all else by its own name. Messages sent are steps, messages received are not: nobody waits for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::spans::{SpanKind, Weight};
use crate::topology::capmap::CapMap;
use crate::topology::contents::Contents;
use crate::topology::snapshot::NodeId;

/// Steps told apart of one operation.
const MOST_STEPS: usize = 512;
/// Steps kept in all while counting: some 16 megabytes.
const MOST: usize = 1 << 19;
/// Steps found without hashing: a power of two.
const RECENT: usize = 2048;

/// One thing an operation starts: an operation of its own or of another service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowItem {
    /// Whose operation.
    pub service: NodeId,
    /// Its name. Untrusted text.
    pub name: String,
}

/// From what to what: a position in [`Flow::items`] plus one, and whether that failed; 0 is the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FlowState {
    /// Position among the items plus one; 0 for the start of the operation.
    pub item: u16,
    /// Whether the thing started failed.
    pub failed: bool,
}

impl FlowState {
    /// Where every operation begins.
    pub const START: Self = Self { item: 0, failed: false };
}

/// The steps of one operation. How often it ended after a state is not written: it is what led there less what went on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flow {
    /// Everything it starts, sorted.
    pub items: Vec<FlowItem>,
    /// How often one followed the other.
    pub steps: BTreeMap<(FlowState, FlowState), Weight>,
    /// There were more steps than are told apart, so none is known.
    pub beyond: bool,
}

/// A step by name: before, whether that failed, after, whether that failed, how often.
type NamedStep = (Option<FlowItem>, bool, Option<FlowItem>, bool, Weight);

impl Flow {
    /// Whether the operation starts nothing that is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && !self.beyond
    }

    /// The item of a state; `None` for the start.
    #[must_use]
    pub fn item(&self, state: FlowState) -> Option<&FlowItem> {
        self.items.get(usize::from(state.item).checked_sub(1)?)
    }

    /// How often it came to each state, the start `calls` times.
    #[must_use]
    pub fn visits(&self, calls: Weight) -> BTreeMap<FlowState, Weight> {
        let mut visits = BTreeMap::from([(FlowState::START, calls)]);
        for ((_, to), weight) in &self.steps {
            *visits.entry(*to).or_default() += *weight;
        }
        visits
    }

    /// Adds another table of the same operation.
    pub(in crate::topology) fn merge(&mut self, other: &Self) {
        self.beyond |= other.beyond;
        if self.beyond {
            (self.items, self.steps) = (Vec::new(), BTreeMap::new());
            return;
        }
        if other.steps.is_empty() {
            return;
        }
        let both: Vec<NamedStep> = self.named().chain(other.named()).collect();
        *self = Self::of(both.into_iter());
    }

    /// The same with other items.
    pub(in crate::topology) fn renamed(&self, rename: impl Fn(&FlowItem) -> FlowItem) -> Self {
        let steps = self.named().map(|(a, x, b, y, w)| (a.as_ref().map(&rename), x, b.as_ref().map(&rename), y, w));
        Self { beyond: self.beyond, ..Self::of(steps) }
    }

    fn named(&self) -> impl Iterator<Item = NamedStep> + '_ {
        let steps = self.steps.iter();
        steps.map(|((a, b), w)| (self.item(*a).cloned(), a.failed, self.item(*b).cloned(), b.failed, *w))
    }

    /// A table of steps by name, of which several may be the same.
    fn of(steps: impl Iterator<Item = NamedStep>) -> Self {
        let mut all: BTreeMap<_, Weight> = BTreeMap::new();
        for (from, from_failed, to, to_failed, weight) in steps {
            *all.entry((from, from_failed, to, to_failed)).or_default() += weight;
        }
        if all.len() > MOST_STEPS {
            return Self { beyond: true, ..Self::default() };
        }
        let mut items: Vec<FlowItem> = all.keys().flat_map(|(from, _, to, _)| [from, to]).flatten().cloned().collect();
        items.sort_unstable();
        items.dedup();
        let state = |item: &Option<FlowItem>, failed: bool| {
            let found = item.as_ref().and_then(|item| items.binary_search(item).ok());
            FlowState { item: found.and_then(|at| u16::try_from(at + 1).ok()).unwrap_or(0), failed }
        };
        let steps = all.iter().map(|((from, a, to, b), weight)| ((state(from, *a), state(to, *b)), *weight)).collect();
        Self { items, steps, beyond: false }
    }
}

/// `items` as `service<TAB>name`, `steps` as `from>to:weight` separated by blanks, a failed state with `!`.
#[derive(Serialize, Deserialize)]
struct Wire {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    items: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    steps: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    beyond: bool,
}

impl Serialize for Flow {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = |state: &FlowState| format!("{}{}", state.item, if state.failed { "!" } else { "" });
        let items = self.items.iter().map(|item| format!("{}\t{}", item.service, item.name)).collect();
        let steps =
            crate::spans::joined(self.steps.iter().map(|((a, b), w)| (format!("{}>{}", state(a), state(b)), [*w])));
        Wire { items, steps, beyond: self.beyond }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Flow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let item = |text: &String| {
            let (service, name) = text.split_once('\t')?;
            Some(FlowItem { service: NodeId(service.to_owned()), name: name.to_owned() })
        };
        let items: Option<Vec<FlowItem>> = wire.items.iter().map(item).collect();
        let items = items.filter(|items| items.is_sorted_by(|a, b| a < b));
        let items = items.ok_or_else(|| D::Error::custom("items are not sorted service<TAB>name"))?;
        let state = |text: &str| {
            let item: u16 = text.trim_end_matches('!').parse().ok()?;
            (usize::from(item) <= items.len()).then_some(FlowState { item, failed: text.ends_with('!') })
        };
        let step = |text: &str| {
            let (states, weight) = text.rsplit_once(':')?;
            let (from, to) = states.split_once('>')?;
            Some(((state(from)?, state(to)?), weight.parse().ok()?))
        };
        let steps: Option<BTreeMap<_, Weight>> = wire.steps.split_whitespace().map(step).collect();
        let steps = steps.ok_or_else(|| D::Error::custom("steps are not from>to:weight"))?;
        Ok(Self { items, steps, beyond: wire.beyond })
    }
}

/// A state while counting: the canonical number of the operation, doubled, and whether it failed.
fn state(op: u32, failed: bool) -> u32 {
    op << 1 | u32::from(failed)
}

/// Steps while they are counted, of all operations.
#[derive(Debug)]
pub(in crate::topology) struct Flows {
    /// (operation and kind, state before, state after).
    steps: CapMap<(u32, u32, u32), Weight>,
    recent: Vec<((u32, u32, u32), u32)>,
}

impl Flows {
    pub(in crate::topology) fn new() -> Self {
        Self { steps: CapMap::new(MOST), recent: vec![((0, 0, 0), u32::MAX); RECENT] }
    }

    /// Counts one step of an operation; returns the state it leads to. `before` is 0 at the start.
    #[inline]
    pub(super) fn step(
        &mut self,
        (op, kind): (u32, SpanKind),
        before: u32,
        (item, failed): (u32, bool),
        weight: Weight,
        contents: &Contents,
    ) -> u32 {
        let after = state(item, failed);
        let key = (op << 3 | kind as u32, before, after);
        let slot = slot(key);
        let known = self.recent.get(slot).filter(|(known, _)| *known == key).map(|(_, at)| *at);
        if let Some(sum) = known.or_else(|| self.find(key, slot, contents)).and_then(|at| self.steps.value(at)) {
            *sum += weight;
        }
        after
    }

    #[inline(never)]
    fn find(&mut self, key: (u32, u32, u32), slot: usize, contents: &Contents) -> Option<u32> {
        let before = self.steps.threshold();
        let found = self.steps.position(key, || contents.operation(key.0 >> 3));
        if before != self.steps.threshold() {
            self.recent.fill(((0, 0, 0), u32::MAX));
        }
        if let (Some(at), Some(recent)) = (found, self.recent.get_mut(slot)) {
            *recent = (key, at);
        }
        found
    }

    pub(in crate::topology) fn merge(&mut self, other: Self) {
        self.steps.merge(other.steps, |mine, weight| *mine += weight);
        self.recent.fill(((0, 0, 0), u32::MAX));
    }

    /// Operations whose hash has fewer leading zeros were left out.
    pub(in crate::topology) fn threshold(&self) -> u32 {
        self.steps.threshold()
    }

    /// The table of each operation by number and kind. `named` says whose operation a number is, and its name.
    pub(in crate::topology) fn finish(
        self,
        named: impl Fn(u32) -> Option<FlowItem>,
    ) -> BTreeMap<(u32, SpanKind), Flow> {
        let mut by_operation: BTreeMap<u32, Vec<(u32, u32, Weight)>> = BTreeMap::new();
        for ((op, before, after), weight) in self.steps.into_sorted() {
            by_operation.entry(op).or_default().push((before, after, weight));
        }
        let table = |steps: Vec<(u32, u32, Weight)>| {
            if steps.len() > MOST_STEPS {
                return Flow { beyond: true, ..Flow::default() };
            }
            let item = |state: u32| if state < 2 { None } else { named(state >> 1) };
            Flow::of(steps.into_iter().map(|(a, b, w)| (item(a), a & 1 == 1, item(b), b & 1 == 1, w)))
        };
        let kind = |op: u32| i32::try_from(op & 7).map_or(SpanKind::Unspecified, SpanKind::from_otlp);
        by_operation.into_iter().map(|(op, steps)| ((op >> 3, kind(op)), table(steps))).collect()
    }
}

/// Where a step is remembered.
#[allow(clippy::cast_possible_truncation, reason = "eleven bits of it")]
#[inline]
fn slot((op, before, after): (u32, u32, u32)) -> usize {
    let mixed = (u64::from(op) << 32 | u64::from(before)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        ^ u64::from(after).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    (mixed >> 48) as usize % RECENT
}
