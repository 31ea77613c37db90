//! Who is to blame: what got worse where, charged to whom it comes from, ranked.
//!
//! Input: two snapshots, compared. Output: [`Culprit`]s, worst first, each with the symptoms its score is made of. The score
//! of a symptom is its strength (how unlike before, in nats) times the fourth root of its impact (how much of a request it
//! concerns), so that rare operations count too; that of a node is the root of the sum of squares of what it is charged
//! with. `docs/diff.md` explains it with an example.

mod attribute;
mod charge;
mod failures;
mod fallback;
mod flow;
mod latency;
mod limits;
mod shift;
mod symptom;

use std::collections::BTreeMap;

use super::compare::Comparison;
use super::{Change, Culprit, CulpritAttribute, CulpritPart, Subject};
use crate::topology::{Exemplar, NodeId, NodeKind};
use charge::Charge;
use symptom::{Kind, Symptom};

/// Parts told of one culprit.
const MOST_PARTS: usize = 5;
/// Traces to open of one culprit.
const MOST_EXEMPLARS: usize = 3;

/// Ranks the suspects.
#[allow(clippy::cast_precision_loss, reason = "a count of figures")]
pub(super) fn rank(comparison: &Comparison<'_>, changes: &[Change]) -> Vec<Culprit> {
    let mut symptoms = latency::symptoms(comparison);
    // What only one side knows would look as if it had just begun.
    if [comparison.base, comparison.head].iter().all(|side| fallback::has_evidence(side.snapshot)) {
        symptoms.extend(flow::symptoms(comparison));
        symptoms.extend(failures::symptoms(comparison));
    } else {
        symptoms.extend(fallback::symptoms(comparison, latency::usual(comparison)));
    }
    let chance = limits::CHANCE / symptoms.len().max(1) as f64;
    symptoms.retain(|symptom| symptom.score() > 0.0);
    let mut by_node: BTreeMap<&NodeId, Vec<(f64, Charge<'_>)>> = BTreeMap::new();
    for charge in charge::charges(comparison, &symptoms) {
        let entry = comparison.head.snapshot.node(charge.node).is_some_and(|node| node.kind == NodeKind::Entry);
        let Some(symptom) = symptoms.get(charge.symptom).filter(|_| !entry) else { continue };
        by_node.entry(charge.node).or_default().push((symptom.score() * charge.share, charge));
    }
    let mut suspects: Vec<Culprit> =
        by_node.into_iter().filter_map(|(node, charges)| culprit(node, charges, &symptoms, chance)).collect();
    suspects.retain(|culprit| culprit.score >= limits::LISTED);
    suspects.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.service.cmp(&b.service)));
    suspects.truncate(limits::MOST);
    for (index, culprit) in suspects.iter_mut().enumerate() {
        culprit.rank = index + 1;
        culprit.attribute = attribute::apart(comparison.head.snapshot, &culprit.service);
        if culprit.operation.is_none() {
            culprit.operation = changes.iter().find_map(|change| worse_operation(change, &culprit.service));
        }
    }
    suspects
}

fn culprit(
    node: &NodeId,
    mut charges: Vec<(f64, Charge<'_>)>,
    symptoms: &[Symptom<'_>],
    chance: f64,
) -> Option<Culprit> {
    charges.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.symptom.cmp(&b.1.symptom)));
    let score = charges.iter().map(|(score, _)| score * score).sum::<f64>().sqrt();
    let parts: Vec<CulpritPart> = charges
        .iter()
        .take(MOST_PARTS)
        .filter_map(|(score, charge)| Some(part(symptoms.get(charge.symptom)?, *score)))
        .collect();
    let first = symptoms.get(charges.first()?.1.symptom)?;
    // A mere residue of what another one explains accuses nobody.
    let plain = |charge: &Charge<'_>| {
        charge.share > limits::RESIDUE && symptoms.get(charge.symptom).is_some_and(|s| s.p_value <= chance)
    };
    let counts = |(score, charge): &&(f64, Charge<'_>)| {
        let flow = symptoms.get(charge.symptom).is_some_and(|s| s.kind == Kind::Flow);
        if flow { score * limits::DRIFT } else { *score }
    };
    let accused: f64 = charges.iter().filter(|(_, charge)| plain(charge)).map(|c| counts(&c).powi(2)).sum();
    let own = charges.iter().filter_map(|(_, charge)| symptoms.get(charge.symptom)).find(|s| s.service == node);
    let mut exemplars: Vec<Exemplar> = Vec::new();
    for symptom in charges.iter().filter_map(|(_, charge)| symptoms.get(charge.symptom)) {
        for exemplar in symptom.exemplars {
            if exemplars.len() < MOST_EXEMPLARS && !exemplars.iter().any(|e| e.trace_id == exemplar.trace_id) {
                exemplars.push(exemplar.clone());
            }
        }
    }
    let sum = |kind: Kind| {
        let of_kind = charges.iter().filter(|(_, c)| symptoms.get(c.symptom).is_some_and(|s| s.kind == kind));
        of_kind.map(|(score, _)| score * score).sum::<f64>().sqrt()
    };
    let evidence = [Kind::SelfTime, Kind::Gap, Kind::Call, Kind::Flow, Kind::Failure]
        .into_iter()
        .map(|kind| (kind.reason(), tidy(sum(kind))))
        .filter(|(_, score)| *score > 0.0)
        .collect();
    Some(Culprit {
        rank: 0,
        service: node.clone(),
        operation: own.and_then(|s| s.operation).map(str::to_owned),
        edge: first.target.filter(|_| first.kind != Kind::SelfTime).map(|t| (first.service.clone(), t.clone())),
        attribute: None,
        reason: first.kind.reason(),
        score: tidy(score),
        reported: accused.sqrt() >= limits::REPORTED,
        n: first.n.1,
        interval: Some((tidy(first.interval.0), tidy(first.interval.1))),
        evidence,
        parts,
        exemplars,
    })
}

/// The operation of the first (worst) change about one of this service's operations.
fn worse_operation(change: &Change, id: &NodeId) -> Option<String> {
    match &change.subject {
        Subject::Operation { service, operation, .. }
            if service == id && matches!(change.code, "slower" | "failing-more") =>
        {
            Some(operation.clone())
        }
        _ => None,
    }
}

fn part(symptom: &Symptom<'_>, score: f64) -> CulpritPart {
    CulpritPart {
        reason: symptom.kind.reason(),
        score: tidy(score),
        service: symptom.service.clone(),
        operation: symptom.operation.map(str::to_owned),
        target: symptom.target.cloned(),
        after: symptom.after.map(|(service, name)| format!("{service} {name}")),
        strength: tidy(symptom.strength),
        impact: tidy(symptom.impact),
        before: tidy(symptom.figures.0),
        after_value: tidy(symptom.figures.1),
        n_before: symptom.n.0,
        n_after: symptom.n.1,
        effect: tidy(symptom.effect),
        interval: (tidy(symptom.interval.0), tidy(symptom.interval.1)),
        p_value: super::significance::rounded(symptom.p_value),
    }
}

/// Six significant digits: no binary dust in answers.
fn tidy(value: f64) -> f64 {
    // Adding zero turns -0 into 0.
    if value.is_finite() { format!("{value:.5e}").parse().unwrap_or(value) + 0.0 } else { 0.0 }
}
