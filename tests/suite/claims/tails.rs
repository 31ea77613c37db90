//! Slow requests against normal ones, as a node sees them: what src/findings/suspects/latency.rs says of itself.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::Facts;
use super::paths::{self, Doing, Part, Request};
use super::spans::Kind;

/// Seconds in slow requests, and those the same number of normal ones takes.
pub type Time = (f64, f64);

/// Slow and normal requests that enter by one operation. Times are sums over the slow ones.
pub struct Entry {
    pub name: (String, Kind, String),
    pub calls: f64,
    pub slow: f64,
    pub normal: f64,
    pub time: Time,
    pub parts: BTreeMap<(Part, String), Time>,
}

/// One part as the node sees it. Times are those of one slow request.
pub struct Suspect {
    pub part: Part,
    pub here: bool,
    pub time: Time,
    pub share: f64,
    /// What takes most longer of it, and its share of that.
    pub operation: (String, f64),
    /// Of the calls to it those that stem from the node.
    pub from_here: f64,
}

/// All of it.
pub struct Tail {
    pub calls: f64,
    pub slow: f64,
    pub normal: f64,
    pub touching: f64,
    pub time: Time,
    pub suspects: Vec<Suspect>,
    pub elsewhere: f64,
    /// Whether shares are of the time, and not of what slow requests take longer.
    pub by_time: bool,
}

fn excess((slow, normal): Time) -> f64 {
    slow - normal
}

fn add(sum: &mut Time, more: Time) {
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

/// Requests by the operation they enter by, where there are at least twenty and not all take as long as the median.
pub fn entries(all: &[Request]) -> Vec<Entry> {
    let mut by_name: BTreeMap<_, Vec<&Request>> = BTreeMap::new();
    all.iter().for_each(|r| by_name.entry(&r.entry).or_default().push(r));
    by_name.values().filter_map(|requests| entry(requests)).collect()
}

fn entry(requests: &[&Request]) -> Option<Entry> {
    let weigh = |of: &dyn Fn(&Request) -> bool| requests.iter().filter(|r| of(r)).map(|r| r.weight).sum::<f64>();
    let calls = weigh(&|_| true);
    let bands: BTreeSet<u64> = requests.iter().map(|r| paths::band(r.nanos)).collect();
    // The first band at or below which lie so many.
    let reach = |q: f64| bands.iter().copied().find(|b| weigh(&|r| paths::band(r.nanos) <= *b) >= q * calls);
    let (median, high) = (reach(0.5)?, reach(0.95)?);
    let first = high.max(bands.iter().copied().find(|b| *b > median)?);
    let is_slow = |r: &Request| paths::band(r.nanos) >= first;
    let is_normal = |r: &Request| paths::band(r.nanos) <= median;
    let (slow, normal) = (weigh(&is_slow), weigh(&is_normal));
    let time = |of: &dyn Fn(&Request) -> f64| {
        let sum =
            |is: &dyn Fn(&Request) -> bool| requests.iter().filter(|r| is(r)).map(|r| r.weight * of(r)).sum::<f64>();
        (sum(&is_slow), sum(&is_normal) * slow / normal)
    };
    let all: BTreeSet<&(Part, String)> = requests.iter().flat_map(|r| r.parts.keys()).collect();
    let parts = all.into_iter().map(|key| (key.clone(), time(&|r| r.parts.get(key).copied().unwrap_or(0.0)))).collect();
    let (name, time) = (requests[0].entry.clone(), time(&|r| r.nanos as f64 / 1e9));
    (calls >= 20.0).then_some(Entry { name, calls, slow, normal, time, parts })
}

/// What a node waits for, with the share of the calls to each that stem from it.
pub fn below(facts: &Facts, node: &str) -> BTreeMap<String, f64> {
    let mut reached = vec![node.to_owned()];
    let mut at = 0;
    while let Some(id) = reached.get(at).cloned() {
        at += 1;
        for (target, edge) in facts.out_of(&id) {
            assert!(target != node, "nothing here calls in a circle");
            if edge.kind != "messaging" && !reached.iter().any(|r| r == target) {
                reached.push(target.to_owned());
            }
        }
    }
    let mut shares: BTreeMap<String, f64> = reached.iter().map(|id| (id.clone(), 0.0)).collect();
    for _ in 0..24 {
        for id in &reached {
            let into = facts.into(id);
            let all: f64 = into.iter().map(|(_, e)| e.sums.calls).sum();
            let mine = into.iter().filter(|(_, e)| e.kind != "messaging");
            let mine: f64 = mine.map(|(from, e)| shares.get(*from).copied().unwrap_or(0.0) * e.sums.calls).sum();
            shares.insert(id.clone(), if id == node { 1.0 } else { mine / all });
        }
    }
    shares
}

impl Tail {
    /// `None` where no request can be told slow.
    pub fn new(facts: &Facts, node: &str, by_time: bool) -> Option<Self> {
        let touch = |entry: &Entry| {
            let touching = facts.requests.iter().filter(|r| r.entry == entry.name && r.nodes.contains(node));
            touching.map(|r| r.weight).sum::<f64>()
        };
        let entries: Vec<&Entry> = facts.entries.iter().filter(|e| touch(e) > 0.0).collect();
        let sum = |of: fn(&Entry) -> f64| entries.iter().map(|e| of(e)).sum::<f64>();
        let (calls, slow, normal) = (sum(|e| e.calls), sum(|e| e.slow), sum(|e| e.normal));
        let whole = (sum(|e| e.time.0), sum(|e| e.time.1));
        let mut parts: BTreeMap<Part, BTreeMap<String, Time>> = BTreeMap::new();
        for ((part, operation), time) in entries.iter().flat_map(|e| &e.parts) {
            add(parts.entry(part.clone()).or_default().entry(operation.clone()).or_default(), *time);
        }
        let below = below(facts, node);
        let measure = |time: Time| if by_time { time.0 } else { excess(time) };
        let (mut suspects, mut known) = (Vec::new(), 0.0);
        for (part, operations) in parts {
            let mut time = (0.0, 0.0);
            operations.values().for_each(|t| add(&mut time, *t));
            let most = operations.iter().max_by(|a, b| excess(*a.1).total_cmp(&excess(*b.1)).then(b.0.cmp(a.0)))?;
            let of_it = if excess(time) > 0.0 { excess(*most.1) / excess(time) } else { 1.0 };
            let operation = (most.0.clone(), of_it.clamp(0.0, 1.0));
            let share = below.get(&part.service).copied();
            let from_here = share.unwrap_or(0.0);
            for (here, portion) in [(true, from_here), (false, 1.0 - from_here)] {
                let own = (time.0 * portion, time.1 * portion);
                let share = (measure(own) / measure(whole)).min(1.0);
                known += if here { share.max(0.0) } else { 0.0 };
                let time = (own.0 / slow, own.1 / slow);
                let (part, operation) = (part.clone(), operation.clone());
                suspects.extend((share > 0.0).then_some(Suspect { part, here, time, share, operation, from_here }));
            }
        }
        suspects.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.part.cmp(&b.part)));
        let touching = (entries.iter().map(|e| touch(e)).sum::<f64>() / calls).min(1.0);
        let time = (whole.0 / slow, whole.1 / slow);
        let elsewhere = (1.0 - known).clamp(0.0, 1.0);
        (slow > 0.0).then_some(Self { calls, slow, normal, touching, time, suspects, elsewhere, by_time })
    }

    /// What a text speaks of: `the calls from a to b`, `the way to a`, `a itself`, with `(elsewhere)` or not.
    pub fn meant(&self, facts: &Facts, focus: &str, text: &str, here: bool) -> Option<&Suspect> {
        let names: Vec<&str> = text.split('`').skip(1).step_by(2).collect();
        let node = |i: usize| facts.node(names.get(i)?).map(str::to_owned);
        let (doing, service, target) = if text.contains("the way to `") {
            (Doing::Between, node(0)?, None)
        } else if text.contains("the calls to `") {
            (Doing::Call, focus.to_owned(), Some(node(0)?))
        } else if text.contains("the calls from `") {
            (Doing::Call, node(0)?, Some(node(1)?))
        } else if text.contains("that nobody answers with a span") {
            (Doing::Call, node(0)?, None)
        } else {
            (Doing::Work, node(0)?, None)
        };
        let part = Part { doing, service, target };
        self.suspects.iter().find(|s| s.part == part && s.here == here)
    }
}
