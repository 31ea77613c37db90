//! `error-origin`: most failures that reach a request from outside begin here.
//!
//! Why it matters: failures climb, and every service on the way looks ill; this is where they begin. Remedy: open a trace and
//! read how it failed there. A warning while significantly many requests from outside fail, else a note.

use std::collections::BTreeMap;

use super::{Rule, Severity, take};
use crate::findings::{Facts, Finding, limits, words};
use crate::slo::interval::wilson;
use crate::spans::Weight;
use crate::topology::{Origin, OriginKind, OriginStep};

pub(super) static RULE: Rule =
    Rule { code: "error-origin", description: "most failures that reach a request from outside begin here", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let origins = &facts.snapshot.origins;
    let all: Weight = origins.iter().map(|o| o.reached_entry).sum();
    if all.is_zero() {
        return Vec::new();
    }
    let requests = facts.snapshot.coverage.entry_traces.as_f64();
    let failing = if requests > 0.0 { (all.as_f64() / requests).min(1.0) } else { 0.0 };
    let (low, _) = wilson(failing, requests);
    let severity = if low > limits::HOTSPOT_RATIO { Severity::Warning } else { Severity::Info };
    let most = origins.iter().filter(|o| o.n >= limits::MIN_N && o.reached_entry.ratio_of(all) >= limits::ORIGIN_SHARE);
    most.map(|origin| finding(origin, all, failing, severity)).collect()
}

fn finding(origin: &Origin, all: Weight, failing: f64, severity: Severity) -> Finding {
    let share = origin.reached_entry.ratio_of(all);
    let target = origin.target.as_ref().map(|t| format!(" to `{}`", words::name(t))).unwrap_or_default();
    let step = |s: &OriginStep| format!("`{}` of `{}`", words::text(&s.operation), words::name(&s.service));
    let how = match origin.kind {
        OriginKind::Failed => "it fails by itself".to_owned(),
        OriginKind::Unanswered => format!("its call{target} fails, and no span answers it"),
        OriginKind::Rejected => format!("its call{target} fails although it is answered without a failure"),
        OriginKind::TimedOut => match origin.gave_up.first() {
            Some(first) => format!("it is still at work when {} gives up", step(first)),
            None => "it is still at work when its caller gives up".to_owned(),
        },
    };
    Finding {
        code: RULE.code,
        severity,
        subject: origin.service.clone(),
        target: origin.target.clone(),
        operation: Some(origin.operation.clone()),
        message: format!(
            "{} of the failures that reach a request from outside begin at `{}` of `{}` (n = {}): {how}",
            words::percent(share),
            words::text(&origin.operation),
            words::name(&origin.service),
            origin.n
        ),
        context: BTreeMap::from([
            ("share", share),
            ("failures", origin.calls.as_f64()),
            ("reached_entry", origin.reached_entry.as_f64()),
            ("failing_requests", failing),
        ]),
        n: origin.n,
        exemplars: take(&origin.exemplars),
    }
}
