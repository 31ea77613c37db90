//! What the rules about objectives share.

use std::collections::BTreeMap;

use super::Severity;
use crate::findings::{Finding, limits, words};
use crate::slo::{ObjectiveStatus, Sli, Unit};
use crate::topology::{Exemplar, Snapshot};

/// How sure the sentence may sound.
pub(super) enum Certainty {
    Sure,
    Unsure,
}

pub(super) fn finding(
    code: &'static str,
    severity: Severity,
    status: &ObjectiveStatus,
    snapshot: &Snapshot,
    certainty: Certainty,
) -> Finding {
    let say = |value: f64| match status.objective.unit() {
        Unit::Ratio => words::percent(value),
        Unit::PerSecond => format!("{value:.2}/s"),
        Unit::Seconds => words::seconds(value),
        Unit::Number => value.to_string(),
    };
    let value = status.value.unwrap_or_default();
    let (low, high) = status.interval.unwrap_or((value, value));
    let external = status.objective.sli == Sli::External;
    let (what, span) = match external {
        true => (words::text(&status.objective.id), "values from"),
        false => (words::text(&status.objective.sli_name), "95 % interval"),
    };
    let (against, verdict) = match certainty {
        Certainty::Sure => ("misses its target", ""),
        Certainty::Unsure if external => {
            ("is held against", "not every value is on the same side, or some are missing; ")
        }
        Certainty::Unsure => ("is held against", "too few requests to tell; "),
    };
    let mut context =
        BTreeMap::from([("value", value), ("target", status.objective.target), ("low", low), ("high", high)]);
    if let Some(budget) = status.budget_remaining {
        context.insert("budget_remaining", budget);
    }
    if let Some(rate) = status.burn.iter().filter(|b| b.firing).map(|b| b.long).max_by(f64::total_cmp) {
        context.insert("burn_rate", rate);
    }
    Finding {
        code,
        severity,
        subject: status.service.clone(),
        target: None,
        operation: status.operation.clone(),
        message: format!(
            "{what} of `{}` {against} {}: {} ({verdict}{span} {} to {}, n = {})",
            words::name(&status.service),
            words::text(&status.objective.target_text),
            say(value),
            say(low),
            say(high),
            status.n
        ),
        context,
        n: status.n,
        exemplars: exemplars(status, snapshot),
    }
}

/// Failed requests for an error rate, slow ones else.
fn exemplars(status: &ObjectiveStatus, snapshot: &Snapshot) -> Vec<Exemplar> {
    if matches!(status.objective.sli, Sli::Throughput | Sli::External) {
        return Vec::new();
    }
    let failed = status.objective.sli == Sli::ErrorRate;
    let lag = matches!(status.objective.sli, Sli::MessagingLag { .. });
    let mut found: Vec<Exemplar> = if lag {
        snapshot.edges_to(&status.service).flat_map(|e| e.exemplars.slow.iter().cloned()).collect()
    } else {
        let handled = snapshot.node(&status.service).map(|n| &n.handled.exemplars);
        let pick = |e: &crate::topology::Exemplars| if failed { e.failed.clone() } else { e.slow.clone() };
        handled.map(pick).unwrap_or_default()
    };
    found.truncate(limits::EXEMPLARS);
    found
}
