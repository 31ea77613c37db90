//! Shards: one run cut by trace id, so that several jobs share its work.
//!
//! Every job reads the same input and sees all of it. What depends on the whole (which services and operations there
//! are, what a peer's name means, which names are beyond a cap) is therefore decided alike in each of them; only traces
//! are shared out. A link goes with the trace it points to, whichever shard counts the span that carries it: so no end
//! of a link is ever missing, and nothing has to be kept open until shards are merged.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::build::Intake;
use super::cfg::TopologyConfig;
use super::dict::Dict;
use super::dicts::Dicts;
use super::hash;
use crate::spans::TraceId;

/// One part of a run: number `index` (from 1) of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// Most shards of one run.
    pub const MOST: u32 = 4096;

    /// `None` unless 1 ≤ index ≤ count ≤ [`Self::MOST`].
    #[must_use]
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (1 <= index && index <= count && count <= Self::MOST).then_some(Self { index, count })
    }

    /// Whether a trace is counted here: each trace in exactly one shard of a run, the same one on every machine.
    #[must_use]
    pub fn owns(self, trace: TraceId) -> bool {
        // Other bits than those that choose the partition within a run.
        (hash::trace(trace.0) >> 32) % u64::from(self.count) == u64::from(self.index) - 1
    }

    /// Its number, from 1.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (index, count) = text.split_once('/').unwrap_or((text, ""));
        let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        number(index)
            .zip(number(count))
            .and_then(|(index, count)| Self::new(index, count))
            .ok_or_else(|| format!("write number/count like 1/4, the number from 1 and at most {} shards", Self::MOST))
    }
}

/// Which shards of a run a snapshot holds. Whole snapshots have none of this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// Shards of the run.
    pub of: u32,
    /// Those that are in, from 1, ascending; fewer than `of`.
    pub shards: Vec<u32>,
    /// Whether the window is what a backend was asked for, not what the spans cover.
    pub asked: bool,
    /// Spans every shard of the run read, its own and the others'.
    pub spans_read: u64,
    /// Fingerprint of names and counts of these spans, 16 hex digits.
    pub input: String,
    /// Fingerprint of the settings that decide what a snapshot says, 16 hex digits.
    pub settings: String,
    /// Most edges of the run.
    pub max_edges: u64,
    /// Edges were left out whose hash has fewer leading zeros than this.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub edge_threshold: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Parts {
    /// What a snapshot of one shard must say for the others to be added.
    pub(super) fn of_one(shard: Shard, dicts: &Dicts, cfg: &TopologyConfig, intake: &Intake, edges: u32) -> Self {
        let (spans_read, input) = input(dicts);
        Self {
            of: shard.count,
            shards: vec![shard.index],
            asked: intake.window.is_some(),
            spans_read,
            input,
            settings: settings(cfg, &intake.settings),
            max_edges: cfg.max_edges as u64,
            edge_threshold: edges,
        }
    }

    /// Numbers of the shards that are not in.
    #[must_use]
    pub fn missing(&self) -> Vec<u32> {
        (1..=self.of.min(Shard::MOST)).filter(|index| self.shards.binary_search(index).is_err()).collect()
    }
}

/// Spans read, and the fingerprint of their names and counts: the same in whatever order they came.
fn input(dicts: &Dicts) -> (u64, String) {
    fn sum<T>(dict: &Dict<T>) -> u64 {
        let kept = dict.slots().iter().filter(|slot| slot.item.is_some());
        kept.fold(0, |sum, slot| sum.wrapping_add(hash::mix(slot.hash, slot.count)))
    }
    let sums = [sum(&dicts.services), sum(&dicts.ops), sum(&dicts.resources), sum(&dicts.peers), sum(&dicts.errors)];
    let spans = dicts.services.slots().iter().fold(0u64, |sum, slot| sum.saturating_add(slot.count));
    (spans, format!("{:016x}", sums.into_iter().fold(11, hash::mix)))
}

/// Fingerprint of everything else two shards must agree on. `further` is what was set besides the configuration.
fn settings(cfg: &TopologyConfig, further: &str) -> String {
    // How much memory is used never shows in a result.
    let cfg = TopologyConfig { memory_bytes: 0, ..cfg.clone() };
    format!("{:016x}", hash::text(hash::text(12, &format!("{cfg:?}")), further))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_trace_belongs_to_exactly_one_shard_and_shards_are_about_equal() {
        let shards: Vec<Shard> = (1..=7).filter_map(|i| Shard::new(i, 7)).collect();
        let mut owned = [0; 7];
        for trace in 0..7_000u128 {
            let owners: Vec<usize> = (0..7).filter(|i| shards[*i].owns(TraceId(trace << 3))).collect();
            assert_eq!(owners.len(), 1);
            owned[owners[0]] += 1;
        }
        assert!(owned.iter().all(|n| (850..1150).contains(n)), "{owned:?}");
    }

    #[test]
    fn a_shard_is_written_as_number_and_count() {
        assert_eq!("3/12".parse::<Shard>().map(|s| (s.index(), s.count(), s.to_string())), Ok((3, 12, "3/12".into())));
        for bad in ["", "1", "0/4", "5/4", "1/4097", "+1/4", "1/4/4", "-1/4", "a/b", "1/"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }
}
