//! `tail-holder`: one part of the requests holds most of what slow ones take longer than normal ones.
//!
//! Why it matters: making anything else faster leaves slow requests slow. Remedy: look there first. The part is an operation
//! at work, the way to one, or a call nobody answers with a span. A warning while the service that requests enter by misses
//! a latency objective, else a note.

use std::collections::BTreeMap;

use super::{Rule, Severity, misses_latency, take};
use crate::findings::suspects::latency::{EntryTail, PartKey, PartTime, Tails};
use crate::findings::{Facts, Finding, limits, words};
use crate::topology::PartKind;

pub(super) static RULE: Rule =
    Rule { code: "tail-holder", description: "one part holds most of what slow requests take longer", apply };

fn apply(facts: &Facts<'_>) -> Vec<Finding> {
    let tails = Tails::of(facts.snapshot);
    tails.entries.iter().filter_map(|entry| holder(facts, entry)).collect()
}

fn holder(facts: &Facts<'_>, entry: &EntryTail<'_>) -> Option<Finding> {
    let excess = entry.time.excess();
    if entry.calls < limits::HOLDER_REQUESTS || excess < limits::HOLDER_SECONDS * entry.tail {
        return None;
    }
    let parts = entry.parts.iter();
    let (key, part) = parts.max_by(|a, b| a.1.time.excess().total_cmp(&b.1.time.excess()).then(b.0.cmp(a.0)))?;
    let share = (part.time.excess() / excess).min(1.0);
    if share < limits::HOLDER_SHARE {
        return None;
    }
    let service = &entry.requests.service;
    let each = |seconds: f64| seconds / entry.tail;
    let message = format!(
        "the slowest {:.0} of {:.0} requests to `{}` of `{}` take {} longer than normal ones; {} of that is {}",
        entry.tail,
        entry.calls,
        words::text(&entry.requests.operation),
        words::name(service),
        words::seconds(each(excess)),
        words::percent(share),
        what(key, part)
    );
    let context = BTreeMap::from([
        ("share_of_excess", share),
        ("tail_seconds", each(part.time.tail)),
        ("normal_seconds", each(part.time.normal)),
        ("request_tail_seconds", each(entry.time.tail)),
        ("request_normal_seconds", each(entry.time.normal)),
        ("tail_requests", entry.tail),
        ("normal_requests", entry.normal),
    ]);
    let slow = facts.snapshot.node(service).map(|n| take(&n.handled.exemplars.slow)).unwrap_or_default();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests; saturates")]
    let n = entry.calls as u64;
    Some(Finding {
        code: RULE.code,
        severity: if misses_latency(facts, service) { Severity::Warning } else { Severity::Info },
        subject: key.service.clone(),
        target: key.target.cloned(),
        operation: part.top_operation().map(|(operation, _)| operation.to_owned()),
        message,
        context,
        n,
        exemplars: slow,
    })
}

/// `work of cart, mostly in GetCart`.
fn what(key: &PartKey<'_>, part: &PartTime<'_>) -> String {
    let service = words::name(key.service);
    let mostly = part.top_operation().map(|(o, _)| format!(", mostly in `{}`", words::text(o))).unwrap_or_default();
    match (key.kind, key.target) {
        (PartKind::Work, _) => format!("work of `{service}` itself{mostly}"),
        (PartKind::Between, _) => format!("the way to `{service}`, not its work{mostly}"),
        (PartKind::Call, Some(target)) => format!("calls from `{service}` to `{}`", words::name(target)),
        (PartKind::Call, None) => format!("calls of `{service}` that nobody answers with a span{mostly}"),
    }
}
