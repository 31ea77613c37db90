//! Who is charged with a symptom. Where it shows is not always where it comes from.
//!
//! - Time between a call and its answer belongs to the callee (network, queues, saturation) until proven otherwise: until
//!   the caller works slower itself, or its other calls are late as well, and that says more than what speaks
//!   against the callee (its own work, the calls of others to it). The same for calls that nobody answers.
//! - What an operation does next after a call changes when the call no longer gives what it used to. If the operation called
//!   shows a change of its own, the charge lies deeper. If it shows none, but operations of several services stop after
//!   calls to the same service, it lies with that service; else with the operation itself.
//! - The same after a call that nobody answers: where calls to that database or address clearly take another time than
//!   before, longer or (refused at once) shorter, the charge lies there.
//! - An operation that starts something that fails waits between attempts: its self time counts for little.
//! - An operation that is asked for in another mix than before (its calls per request changed) does other things for that
//!   reason alone: such a change of flow counts for little.

use std::collections::{BTreeMap, BTreeSet};

use super::latency;
use super::limits;
use super::symptom::{Kind, Symptom};
use crate::diff::compare::Comparison;
use crate::topology::{NodeId, Operation, Snapshot};

/// A share of a symptom charged to a node.
#[derive(Debug, Clone, Copy)]
pub(super) struct Charge<'a> {
    pub(super) node: &'a NodeId,
    /// Position of the symptom.
    pub(super) symptom: usize,
    /// 0..=1.
    pub(super) share: f64,
}

/// Charges every symptom.
pub(super) fn charges<'a>(comparison: &Comparison<'a>, symptoms: &[Symptom<'a>]) -> Vec<Charge<'a>> {
    let known = Known::of(comparison, symptoms);
    let mut charges = Vec::new();
    for (at, symptom) in symptoms.iter().enumerate() {
        let mut charge = |node: &'a NodeId, share: f64| charges.push(Charge { node, symptom: at, share });
        match symptom.kind {
            Kind::SelfTime => charge(symptom.service, if known.retries(symptom) { limits::RESIDUE } else { 1.0 }),
            Kind::Failure => match symptom.target {
                Some(target) => {
                    charge(target, 1.0);
                    charge(symptom.service, limits::RESIDUE);
                }
                None => charge(symptom.service, if known.deeper(symptom) { limits::RESIDUE } else { 1.0 }),
            },
            Kind::Gap | Kind::Call => {
                let Some(target) = symptom.target else { continue };
                let caller = known.beside(symptom.service, target, true);
                let callee = known.beside(target, symptom.service, false);
                let callers = caller > callee && caller >= limits::RESIDUE * symptom.strength;
                charge(target, if callers { limits::RESIDUE } else { 1.0 });
                charge(symptom.service, if callers { 1.0 } else { limits::RESIDUE });
            }
            Kind::Flow => known.flow(symptom, &mut charge),
        }
    }
    charges
}

/// What is known of nodes and operations.
struct Known<'a> {
    /// Strongest self-time symptom by node.
    own: BTreeMap<&'a NodeId, f64>,
    /// Strength on every edge that was compared, 0 where it shows nothing: by node, with the other end.
    edges: BTreeMap<&'a NodeId, Vec<Beside<'a>>>,
    /// Strongest change of failures of an operation.
    failing: BTreeMap<Op<'a>, f64>,
    /// Strongest change of flow of an operation that is asked for what it was asked for before.
    turning: BTreeMap<Op<'a>, f64>,
    /// What each operation starts, on either side.
    starts: BTreeMap<Op<'a>, BTreeSet<Op<'a>>>,
    /// What a call that nobody answers goes to, and how far its durations moved, either way.
    leads: BTreeMap<Op<'a>, Vec<(&'a NodeId, f64)>>,
    /// By service: services that change course after calls to it, without a deeper reason.
    turned: BTreeMap<&'a NodeId, BTreeSet<&'a NodeId>>,
    /// Operations whose calls per request changed.
    exposed: BTreeSet<Op<'a>>,
}

/// Service and name of an operation.
type Op<'a> = (&'a NodeId, &'a str);
/// Operations looked at below one.
const MOST_BELOW: usize = 1000;

/// An edge of a node.
struct Beside<'a> {
    other: &'a NodeId,
    /// Whether the node makes the calls.
    made: bool,
    n: f64,
    strength: f64,
}

impl<'a> Known<'a> {
    #[allow(clippy::cast_precision_loss, reason = "sample sizes")]
    fn of(comparison: &Comparison<'a>, symptoms: &[Symptom<'a>]) -> Self {
        let mut known = Self {
            own: BTreeMap::new(),
            edges: BTreeMap::new(),
            failing: BTreeMap::new(),
            turning: BTreeMap::new(),
            starts: starts(comparison),
            leads: leads(comparison),
            turned: BTreeMap::new(),
            exposed: exposed(comparison),
        };
        let mut on_edges: BTreeMap<(&NodeId, &NodeId), f64> = BTreeMap::new();
        let strongest = |best: &mut f64, strength: f64| *best = best.max(strength);
        for symptom in symptoms {
            match (symptom.kind, symptom.target, symptom.operation) {
                (Kind::SelfTime, ..) => strongest(known.own.entry(symptom.service).or_default(), symptom.strength),
                (Kind::Gap | Kind::Call, Some(target), _) => {
                    strongest(on_edges.entry((symptom.service, target)).or_default(), symptom.strength);
                }
                (Kind::Failure, _, Some(operation)) => {
                    strongest(known.failing.entry((symptom.service, operation)).or_default(), symptom.strength);
                }
                (Kind::Flow, _, Some(operation)) if !known.exposed.contains(&(symptom.service, operation)) => {
                    strongest(known.turning.entry((symptom.service, operation)).or_default(), symptom.strength);
                }
                _ => {}
            }
        }
        for edge in &comparison.head.snapshot.edges {
            let both = comparison.base.same_edge(edge).is_some_and(|before| before.n.min(edge.n) >= 4);
            let timed = !edge.gap.is_empty() || !edge.client.is_empty();
            if both && timed && edge.source != edge.target {
                let strength = on_edges.get(&(&edge.source, &edge.target)).copied().unwrap_or(0.0);
                let side = |other, made| Beside { other, made, n: edge.n as f64, strength };
                known.edges.entry(&edge.source).or_default().push(side(&edge.target, true));
                known.edges.entry(&edge.target).or_default().push(side(&edge.source, false));
            }
        }
        for symptom in symptoms.iter().filter(|s| s.kind == Kind::Flow) {
            if let Some((service, _)) = symptom.after.filter(|(service, _)| *service != symptom.service)
                && symptom.strength >= limits::REPORTED
                && !known.deeper(symptom)
            {
                known.turned.entry(service).or_default().insert(symptom.service);
            }
        }
        known
    }

    /// What speaks against a node besides its calls with one other: its own work, or its other edges, each weighted by its
    /// calls. Of a caller the other calls it makes count: that calls to it wait longer may be for want of workers, which
    /// the callee keeps busy. Only where it calls nobody else are these all there is.
    fn beside(&self, node: &NodeId, other: &NodeId, calls: bool) -> f64 {
        let mean = |made: &dyn Fn(bool) -> bool| {
            let others = self.edges.get(node).into_iter().flatten().filter(|b| b.other != other && made(b.made));
            let (sum, n) = others.fold((0.0, 0.0), |(sum, n), b| (sum + b.n * b.strength, n + b.n));
            (n > 0.0).then(|| sum / n)
        };
        let edges = if calls { mean(&|made| made).or_else(|| mean(&|_| true)) } else { mean(&|_| true) };
        self.own.get(node).copied().unwrap_or(0.0).max(edges.unwrap_or(0.0))
    }

    /// Whether an operation starts something that fails clearly more often: it waits between attempts, or works on a
    /// substitute.
    fn retries(&self, symptom: &Symptom<'a>) -> bool {
        let own = symptom.operation.and_then(|operation| self.starts.get(&(symptom.service, operation)));
        own.into_iter().flatten().any(|op| self.failing.get(op).is_some_and(|strength| *strength >= limits::CLEAR))
    }

    /// Whether an operation further down shows a change of its own that says as much: for a flow below what it changed after,
    /// for a failure below the operation that failed.
    fn deeper(&self, symptom: &Symptom<'a>) -> bool {
        let own = symptom.operation.map(|operation| (symptom.service, operation));
        let first: Vec<Op<'a>> = match (symptom.kind, symptom.after) {
            (_, Some(after)) => vec![after],
            (Kind::Failure, None) => own.and_then(|own| self.starts.get(&own)).into_iter().flatten().copied().collect(),
            _ => Vec::new(),
        };
        let mut seen: BTreeSet<Op<'a>> = own.into_iter().collect();
        let mut stack = first;
        while let Some(op) = stack.pop().filter(|_| seen.len() < MOST_BELOW) {
            if !seen.insert(op) {
                continue;
            }
            let enough = (symptom.strength / 2.0).min(limits::CLEAR);
            if [&self.failing, &self.turning].iter().any(|of| of.get(&op).is_some_and(|strength| *strength >= enough)) {
                return true;
            }
            stack.extend(self.starts.get(&op).into_iter().flatten());
        }
        false
    }

    fn flow(&self, symptom: &Symptom<'a>, charge: &mut impl FnMut(&'a NodeId, f64)) {
        let Some(operation) = symptom.operation else { return };
        let remote = symptom.after.map(|(service, _)| service).filter(|service| *service != symptom.service);
        let exposed = self.exposed.contains(&(symptom.service, operation));
        if self.deeper(symptom) {
            return charge(symptom.service, limits::RESIDUE);
        }
        match remote {
            Some(callee) if self.turned.get(callee).is_some_and(|callers| callers.len() >= 2) => {
                charge(callee, 1.0);
                charge(symptom.service, limits::RESIDUE);
            }
            Some(callee) => {
                charge(symptom.service, if exposed { limits::RESIDUE } else { 1.0 });
                charge(callee, 2.0 * limits::RESIDUE);
            }
            None => {
                let own = if exposed { limits::RESIDUE } else { 1.0 };
                match symptom.after.and_then(|after| self.odd(&after)) {
                    Some(target) => {
                        charge(target, own);
                        charge(symptom.service, 2.0 * limits::RESIDUE);
                    }
                    None => charge(symptom.service, own),
                }
            }
        }
    }

    /// What an unanswered call goes to, where calls to it clearly take another time than before: refused at once, or late.
    fn odd(&self, call: &Op<'a>) -> Option<&'a NodeId> {
        let targets = self.leads.get(call)?.iter().filter(|(_, moved)| *moved >= limits::CLEAR);
        targets.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(target, _)| *target)
    }
}

/// Where calls that nobody answers lead, by the operation that makes them.
fn leads<'a>(comparison: &Comparison<'a>) -> BTreeMap<Op<'a>, Vec<(&'a NodeId, f64)>> {
    let mut leads: BTreeMap<Op<'a>, Vec<(&'a NodeId, f64)>> = BTreeMap::new();
    for after in comparison.head.snapshot.edges.iter().filter(|edge| edge.server.is_empty()) {
        let Some(before) = comparison.base.same_edge(after) else { continue };
        let moved = latency::moved_either_way(before, after);
        for pair in after.operations.iter().filter(|pair| !pair.source.is_empty()) {
            leads.entry((&after.source, &pair.source)).or_default().push((&after.target, moved));
        }
    }
    leads
}

fn starts<'a>(comparison: &Comparison<'a>) -> BTreeMap<Op<'a>, BTreeSet<Op<'a>>> {
    let mut starts: BTreeMap<Op<'a>, BTreeSet<Op<'a>>> = BTreeMap::new();
    let sides = [comparison.base.snapshot, comparison.head.snapshot];
    for operation in sides.into_iter().flat_map(|snapshot| &snapshot.operations) {
        let items = operation.flow.items.iter().map(|item| (&item.service, item.name.as_str()));
        starts.entry((&operation.service, &operation.name)).or_default().extend(items);
    }
    starts
}

/// Operations that are asked for more or less often per request from outside than before, by more than the mix of requests
/// does. Asking again at once is not asking for something else.
#[allow(clippy::cast_precision_loss, reason = "sample sizes")]
fn exposed<'a>(comparison: &Comparison<'a>) -> BTreeSet<Op<'a>> {
    let asked = (asked(comparison.base.snapshot), asked(comparison.head.snapshot));
    let mut exposed = BTreeSet::new();
    for (before, after) in comparison.operations_of_both() {
        let op: Op<'a> = (&after.service, &after.name);
        let of = |asked: &BTreeMap<Op<'_>, f64>, o: &Operation| {
            asked.get(&op).copied().unwrap_or_else(|| o.stats.calls.as_f64())
        };
        let (b, h) = (of(&asked.0, before) / comparison.entry.0, of(&asked.1, after) / comparison.entry.1);
        let n = |o: &Operation| (o.stats.n as f64).max(1.0);
        // Of few calls any number of calls per request is chance.
        let chance = 3.0 * (1.0 / n(before) + 1.0 / n(after)).sqrt();
        let moved = (h / b).ln().abs();
        if !after.entry && moved > limits::EXPOSURE.ln().max(chance) {
            exposed.insert(op);
        }
    }
    exposed
}

/// How often each operation is started by others after something else than itself.
fn asked(snapshot: &Snapshot) -> BTreeMap<Op<'_>, f64> {
    let mut asked: BTreeMap<Op<'_>, f64> = BTreeMap::new();
    for flow in snapshot.operations.iter().map(|operation| &operation.flow) {
        for ((_, to), weight) in flow.steps.iter().filter(|((from, to), _)| from.item != to.item) {
            if let Some(item) = flow.item(*to) {
                *asked.entry((&item.service, item.name.as_str())).or_default() += weight.as_f64();
            }
        }
    }
    asked
}
