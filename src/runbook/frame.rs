//! From what a kind says to the whole page: the team's own text, owner, escalation, evidence, related pages.
//!
//! Must not: know the kinds apart, beyond what an [`Item`] says.

use std::collections::BTreeSet;

use super::catalogue::{prefix, split_key};
use super::cfg::{EscalationConfig, TeamText};
use super::context::{Context, Target};
use super::document::{Diagram, EscalationStep, Evidence, Runbook, RunbookKind, RunbookState, Text};
use super::kinds::{self, Item};
use super::ledger::{Entry, moved_key};
use super::{evidence, missed, phrase, steps, unknowns};
use crate::diag::Severity;
use crate::slo::{ObjectiveState, ObjectiveStatus, Sli};
use crate::topology::{EdgeKind, NodeId};

/// Most related runbooks on a page.
const RELATED: usize = 12;

/// The page of an active runbook.
pub(super) fn page(context: &Context<'_>, item: &Item<'_>, entry: &Entry) -> Runbook {
    let body = kinds::fill(context, item);
    let empty = TeamText::default();
    let team = item.pin.map(|p| &p.steps).or(item.scenario.map(|s| &s.steps)).unwrap_or(&empty);
    let urgency = urgency(item);
    let mut summary = body.headline;
    if let Some(text) = elsewhere(context, item, body.state) {
        summary = summary.and(" ").append(text);
    } else if !body.first.is_empty() {
        summary = summary.and(" ").append(body.first);
    }
    let mut unknowns = body.unknowns;
    unknowns.extend(item.nodes.iter().flat_map(|node| unknowns::of_node(context, node)));
    let escalation = escalation(context, item, team);
    if escalation.is_empty() {
        unknowns.push(
            Text::words("Whom to call: no escalation path is configured. Add ")
                .code("escalation")
                .and(" to ")
                .code("tracebook.yaml")
                .and("."),
        );
    }
    if body.remediation.is_empty() && team.remediation.is_empty() {
        unknowns.push(
            Text::words("What to do about it: no command pack fits and the team wrote no steps. Add them under ")
                .code(if item.scenario.is_some() { "scenarios" } else { "runbooks.pinned" })
                .and(" in ")
                .code("tracebook.yaml")
                .and(", or between the keep markers of this page."),
        );
    }
    unknowns.extend(unknowns::of_snapshot(context));
    let mut impact = body.impact;
    impact.extend(team.impact.iter().map(Text::markdown));
    if let Some(url) = item
        .target
        .config
        .map(|c| c.dashboard.as_str())
        .filter(|u| u.starts_with("https://") || u.starts_with("http://"))
    {
        impact.push(Text::words("Dashboard: ").piece(super::Piece::Link(item.target.label(), url.to_owned())).and("."));
    }
    let focus: Vec<&NodeId> = item.nodes.iter().map(|n| &n.id).collect();
    let mut tables: Vec<_> = body.tables.into_iter().flatten().collect();
    tables.extend(item.nodes.iter().filter_map(|n| evidence::findings(context, n)));
    let with = |mut own: Vec<super::Step>, team: &[super::cfg::StepConfig]| {
        own.extend(steps::team(team));
        own
    };
    Runbook {
        id: entry.id.clone(),
        slug: entry.slug.clone(),
        key: item.key.clone(),
        kind: item.kind,
        title: item.pin.and_then(|p| p.title.as_ref()).map_or(body.title, Text::markdown),
        summary,
        state: body.state,
        severity: severity(context, item, body.state, &urgency),
        urgency,
        owner: owner(item),
        focus: item.target.node.map(|n| n.id.clone()),
        trigger: item.pin.and_then(|p| p.trigger.as_ref()).map_or(body.trigger, Text::markdown),
        trigger_detail: body.trigger_detail.into_iter().chain(missed::also(context, item)).collect(),
        impact,
        diagnosis: with(body.diagnosis, &team.diagnosis),
        remediation: with(body.remediation, &team.remediation),
        verification: with(body.verification, &team.verification),
        escalation,
        evidence: Evidence {
            diagram: evidence::diagram(context, &focus),
            tables,
            traces: body.traces,
            waterfalls: body.waterfalls,
            unknowns,
            sources: sources(context, item),
            ..blank_evidence(context)
        },
        related: related(context, item, &entry.id),
        successor: None,
    }
}

/// A page that is fine must not read as if the service were: what else the service misses, and where that is spoken of.
fn elsewhere(context: &Context<'_>, item: &Item<'_>, state: RunbookState) -> Option<Text> {
    if !matches!(item.kind, RunbookKind::Latency | RunbookKind::Errors) || state == RunbookState::Breached {
        return None;
    }
    let own = |s: &ObjectiveStatus| item.statuses.iter().any(|o| o.id == s.id);
    let missed = context.statuses(&item.target.id).iter();
    let with_page = missed.filter(|s| s.state == ObjectiveState::Breached && !own(s)).find_map(|status| {
        let id = match status.objective.sli {
            Sli::Latency { .. } | Sli::LatencyMean => context.runbook_of(&item.target.id, &["latency"]),
            Sli::ErrorRate | Sli::Throughput => context.runbook_of(&item.target.id, &["errors"]),
            Sli::MessagingLag { .. } => {
                let topics = context.callers(&item.target.id).into_iter().filter(|e| e.kind == EdgeKind::Messaging);
                topics.into_iter().find_map(|e| context.runbook_of(&e.source, &["pipeline"]))
            }
            Sli::External => None,
        }?;
        Some(Text::words(format!("Its {} misses a target: see ", phrase::sli(&status.objective))).runbook(id).and("."))
    });
    let without_page = || {
        let status = context.missed.iter().find(|s| s.service == item.target.id)?;
        Some(Text::words("It misses ").code(super::quote::label(&status.id)).and(", see the trigger condition."))
    };
    with_page.or_else(without_page)
}

/// Where the page's numbers come from: of an answered external objective from a Prometheus too.
fn sources(context: &Context<'_>, item: &Item<'_>) -> Vec<String> {
    let provenance = &context.snapshot.provenance;
    let answered = item.statuses.iter().any(|s| s.objective.sli == Sli::External && s.value.is_some());
    let more = provenance.external.iter().filter(|from| answered && !provenance.sources.contains(from));
    provenance.sources.iter().chain(more).cloned().collect()
}

/// What every page's evidence starts from.
fn blank_evidence(context: &Context<'_>) -> Evidence {
    let snapshot = context.snapshot;
    Evidence {
        window: snapshot.window,
        coverage: snapshot.coverage.clone(),
        diagram: Diagram::default(),
        tables: Vec::new(),
        traces: Vec::new(),
        waterfalls: Vec::new(),
        unknowns: Vec::new(),
        sources: snapshot.provenance.sources.clone(),
        filtered: super::filtered(&snapshot.provenance),
        spans_digest: snapshot.provenance.spans_digest.clone(),
    }
}

fn urgency(item: &Item<'_>) -> String {
    if let Some(severity) = item.scenario.and_then(|s| s.severity.clone()) {
        return severity;
    }
    let pages = item.statuses.iter().any(|s| s.objective.severity == "page");
    if pages { "page".into() } else { "ticket".into() }
}

fn severity(context: &Context<'_>, item: &Item<'_>, state: RunbookState, urgency: &str) -> Severity {
    let found = || item.nodes.iter().flat_map(|n| context.findings(&n.id)).map(|f| f.severity).max();
    match (state, urgency) {
        (RunbookState::Breached, "page") => Severity::Error,
        (RunbookState::Breached, _) => Severity::Warning,
        // A finding about something else of the same node does not make a page that is fine look bad.
        (RunbookState::Ok | RunbookState::Retired, _) => Severity::Info,
        (RunbookState::Unknown, _) => found().unwrap_or(Severity::Info).min(Severity::Warning),
    }
}

fn owner(item: &Item<'_>) -> String {
    let decided = item.pin.and_then(|p| p.owner.clone()).or(item.scenario.and_then(|s| s.owner.clone()));
    decided.unwrap_or_else(|| owner_of(&item.target))
}

fn owner_of(target: &Target<'_>) -> String {
    let configured = target.config.map(|c| c.owner.clone()).filter(|o| !o.is_empty());
    let observed = || target.node.and_then(|n| n.attribute("service.owner.name")).map(super::quote::label);
    configured.or_else(observed).unwrap_or_default()
}

/// The configured path, and the owner of the node after those who are called at once. Nothing is invented.
fn escalation(context: &Context<'_>, item: &Item<'_>, team: &TeamText) -> Vec<EscalationStep> {
    let path: &[EscalationConfig] =
        if team.escalation.is_empty() { &context.settings.escalation } else { &team.escalation };
    let mut out: Vec<EscalationStep> = path
        .iter()
        .map(|e| EscalationStep { after: e.after.clone(), who: e.who.clone(), contact: e.contact.clone() })
        .collect();
    if team.escalation.is_empty()
        && let Some(config) = item.target.config.filter(|c| !c.owner.is_empty() && !c.contact.is_empty())
        && !out.iter().any(|e| e.who == config.owner)
    {
        let at = out.iter().take_while(|e| e.after.is_empty()).count();
        let step = EscalationStep { after: String::new(), who: config.owner.clone(), contact: config.contact.clone() };
        out.insert(at, step);
    }
    out
}

/// Other pages about the same nodes, then those of callers and callees, busiest first; sorted by id.
fn related(context: &Context<'_>, item: &Item<'_>, own: &str) -> Vec<String> {
    let mut out: BTreeSet<String> = BTreeSet::new();
    let all = ["latency", "errors", "dependency", "pipeline"];
    let mut add = |id: &NodeId, kinds: &[&str]| {
        for kind in kinds {
            if let Some(found) = context.runbook_of(id, &[kind]).filter(|id| *id != own && out.len() < RELATED) {
                out.insert(found.to_owned());
            }
        }
    };
    for node in &item.nodes {
        add(&node.id, &all);
    }
    let own_kind = [prefix(item.kind)];
    let near: &[&str] =
        if matches!(item.kind, RunbookKind::Latency | RunbookKind::Errors) { &own_kind } else { &["errors"] };
    for node in &item.nodes {
        for edge in context.callees(&node.id) {
            add(&edge.target, near);
            add(&edge.target, &["dependency", "pipeline"]);
        }
        for edge in context.callers(&node.id) {
            add(&edge.source, near);
        }
    }
    out.into_iter().collect()
}

/// The tombstone of a number that is no longer used: it says so and points on.
pub(super) fn tombstone(context: &Context<'_>, entry: &Entry) -> Runbook {
    let key = moved_key(&entry.key).unwrap_or(&entry.key);
    let (kind, name) = split_key(key).unwrap_or((RunbookKind::Scenario, key));
    let target = context.target(&NodeId(name.to_owned()));
    let successor = successor(context, entry, kind, name);
    let summary = Text::words("This runbook is retired: ").code(super::quote::label(key));
    let summary = match (&successor, moved_key(&entry.key)) {
        (Some(id), Some(_)) => summary.and(" has another number now, ").runbook(id).and("."),
        (Some(id), None) => summary.and(" is no longer generated. Go on with ").runbook(id).and("."),
        (None, _) => summary.and(" is no longer generated. The table of contents lists what there is."),
    };
    Runbook {
        id: entry.id.clone(),
        slug: entry.slug.clone(),
        key: entry.key.clone(),
        kind,
        title: Text::words("Retired: ").code(target.label()),
        summary,
        state: RunbookState::Retired,
        severity: Severity::Info,
        urgency: "ticket".into(),
        owner: String::new(),
        focus: target.node.map(|n| n.id.clone()),
        trigger: Text::words("Nothing leads here any more"),
        trigger_detail: Vec::new(),
        impact: Vec::new(),
        diagnosis: Vec::new(),
        remediation: Vec::new(),
        verification: Vec::new(),
        escalation: Vec::new(),
        evidence: blank_evidence(context),
        related: Vec::new(),
        successor,
    }
}

/// What stays under the names a page had before: a page that points on.
pub(super) fn signposts(page: &Runbook, entry: &Entry) -> Vec<Runbook> {
    let former: BTreeSet<&String> = entry.former.iter().filter(|slug| **slug != entry.slug).collect();
    let signpost = |slug: &String| Runbook {
        slug: slug.clone(),
        summary: Text::words("This page has another name now: ").runbook(page.id.clone()).and("."),
        state: RunbookState::Retired,
        severity: Severity::Info,
        trigger: Text::words("Nothing leads here any more"),
        successor: Some(page.id.clone()),
        trigger_detail: Vec::new(),
        impact: Vec::new(),
        diagnosis: Vec::new(),
        remediation: Vec::new(),
        verification: Vec::new(),
        escalation: Vec::new(),
        evidence: Evidence {
            diagram: Diagram::default(),
            tables: Vec::new(),
            traces: Vec::new(),
            waterfalls: Vec::new(),
            unknowns: Vec::new(),
            ..page.evidence.clone()
        },
        related: Vec::new(),
        ..page.clone()
    };
    former.into_iter().map(signpost).collect()
}

/// Where a retired page points: its own key under a new number, else another page about the same node, else another of
/// the same kind about a node of the same name.
fn successor(context: &Context<'_>, entry: &Entry, kind: RunbookKind, name: &str) -> Option<String> {
    if let Some(id) = moved_key(&entry.key).and_then(|key| context.ids.get(key)) {
        return Some(id.clone());
    }
    let kinds = [prefix(kind), "errors", "latency", "dependency", "pipeline"];
    if let Some(id) = context.runbook_of(&NodeId(name.to_owned()), &kinds) {
        return Some(id.to_owned());
    }
    let bare = name.rsplit(['/', ':']).next().unwrap_or(name);
    context.ids.iter().find_map(|(key, id)| {
        let (other, rest) = split_key(key)?;
        (other == kind && rest.rsplit(['/', ':']).next() == Some(bare)).then(|| id.clone())
    })
}
