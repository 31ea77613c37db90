//! Which runbooks exist.
//!
//! Input: topology, statuses, settings and the ledger. Output: [`Item`]s, what the ledger needs of each, and warnings about
//! configuration that matched nothing.
//! Must not: give numbers or fill pages.

use std::collections::{BTreeMap, BTreeSet};

use super::cfg::{Pin, ScenarioConfig};
use super::context::{Context, Target};
use super::document::RunbookKind;
use super::kinds::{Item, slug_ending};
use super::ledger::{EntryState, Ledger, Wanted, is_slug, slug_with_ending, slugify};
use super::packs;
use crate::diag::{Diagnostic, Location};
use crate::slo::{ObjectiveStatus, Sli};
use crate::topology::{EdgeKind, Node, NodeId, NodeKind};

/// What `plan` numbers and fills.
pub(super) struct Catalogue<'a> {
    pub(super) items: Vec<Item<'a>>,
    pub(super) wanted: Vec<Wanted>,
    /// Keys the ledger knows under a shorter spelling that a pin used: short → full.
    pub(super) renamed: BTreeMap<String, String>,
    pub(super) warnings: Vec<Diagnostic>,
}

/// The ledger key of a kind.
pub(super) fn prefix(kind: RunbookKind) -> &'static str {
    match kind {
        RunbookKind::Latency => "latency",
        RunbookKind::Errors => "errors",
        RunbookKind::Dependency => "dependency",
        RunbookKind::Pipeline => "pipeline",
        RunbookKind::Scenario => "scenario",
    }
}

/// The kind and the rest of a key; `None` when it starts with no kind.
pub(super) fn split_key(key: &str) -> Option<(RunbookKind, &str)> {
    let (first, rest) = key.split_once(':')?;
    let kind = match first {
        "latency" => RunbookKind::Latency,
        "errors" => RunbookKind::Errors,
        "dependency" => RunbookKind::Dependency,
        "pipeline" => RunbookKind::Pipeline,
        "scenario" => RunbookKind::Scenario,
        _ => return None,
    };
    (!rest.is_empty()).then_some((kind, rest))
}

/// Decides what exists.
///
/// # Errors
/// Pins whose key is not of a known kind.
pub(super) fn catalogue<'a>(context: &Context<'a>, ledger: &Ledger) -> Result<Catalogue<'a>, Vec<Diagnostic>> {
    let mut keys: BTreeMap<String, (RunbookKind, NodeId)> = BTreeMap::new();
    let mut found = observed(context);
    found.extend(kept(context, ledger));
    for (kind, id) in found {
        keys.insert(format!("{}:{id}", prefix(kind)), (kind, id.clone()));
    }
    let (mut warnings, mut errors) = (Vec::new(), Vec::new());
    let mut renamed = BTreeMap::new();
    let mut pins: BTreeMap<String, (usize, &'a Pin)> = BTreeMap::new();
    for (i, pin) in context.settings.runbooks.pinned.iter().enumerate() {
        match resolve_pin(context, ledger, i, pin, &mut warnings) {
            Ok((key, kind, id)) => {
                if key != pin.key {
                    renamed.insert(pin.key.clone(), key.clone());
                }
                if let Some((first, _)) = pins.get(&key) {
                    errors.push(
                        Diagnostic::error("key-twice", format!("`{}` is pinned twice", pin.key))
                            .at(Location::default().at_key(format!("runbooks.pinned[{i}].key")))
                            .help(format!("it is the same as runbooks.pinned[{first}].key; keep one")),
                    );
                }
                keys.insert(key.clone(), (kind, id));
                pins.insert(key, (i, pin));
            }
            Err(problem) => errors.push(problem),
        }
    }
    let (mut items, mut wanted) = (Vec::new(), Vec::new());
    for (key, (kind, id)) in keys {
        let target = context.target(&id);
        let pin = pins.get(&key).copied();
        let statuses = statuses(context, kind, &target);
        wanted.push(Wanted {
            key: key.clone(),
            kind,
            id: pin.and_then(|(_, p)| p.id.clone()),
            slug: pin.and_then(|(_, p)| p.slug.clone()),
            fallback_slug: fallback_slug(kind, &target),
            place: pin.map_or_else(|| "runbooks".to_owned(), |(i, _)| format!("runbooks.pinned[{i}]")),
        });
        let nodes = vec![target.clone()];
        items.push(Item { key, kind, target, nodes, statuses, pin: pin.map(|(_, p)| p), scenario: None });
    }
    for (i, scenario) in context.settings.scenarios.iter().enumerate() {
        let (item, want) = declared(context, i, scenario, &mut warnings, &mut errors);
        items.push(item);
        wanted.push(want);
    }
    unused(context, &mut warnings);
    if errors.is_empty() { Ok(Catalogue { items, wanted, renamed, warnings }) } else { Err(errors) }
}

/// What topology and objectives ask for.
fn observed<'a>(context: &Context<'a>) -> BTreeSet<(RunbookKind, &'a NodeId)> {
    let config = &context.settings.runbooks;
    let mut out = BTreeSet::new();
    for node in &context.snapshot.nodes {
        let has = |kind| context.statuses(&node.id).iter().any(|s| belongs(s, kind));
        match node.kind {
            NodeKind::Service => {
                // What was only named by others has no spans an objective could be held against.
                if config.latency && node.instrumented && has(RunbookKind::Latency) {
                    out.insert((RunbookKind::Latency, &node.id));
                }
                if config.errors && node.instrumented && has(RunbookKind::Errors) {
                    out.insert((RunbookKind::Errors, &node.id));
                }
                // An errors page speaks of the service's failures already; what half of all requests need deserves both.
                let spoken_of = node.instrumented && config.errors && has(RunbookKind::Errors);
                let central = || context.entry_share(&node.id) >= config.critical_service_share;
                if config.dependencies && critical(context, &node.id) && (!spoken_of || central()) {
                    out.insert((RunbookKind::Dependency, &node.id));
                }
            }
            NodeKind::Database | NodeKind::External => {
                if config.dependencies && critical(context, &node.id) {
                    out.insert((RunbookKind::Dependency, &node.id));
                }
            }
            NodeKind::Messaging => {
                let consumed = context.callees(&node.id).iter().any(|e| e.kind == EdgeKind::Messaging);
                if config.pipelines && consumed {
                    out.insert((RunbookKind::Pipeline, &node.id));
                }
            }
            NodeKind::Entry => {}
        }
    }
    out
}

/// What has a page already and keeps it: its node is still there, and nobody switched its kind off or removed its
/// objectives. Without this a page would come and go with the traffic.
fn kept<'a>(context: &Context<'a>, ledger: &Ledger) -> BTreeSet<(RunbookKind, &'a NodeId)> {
    let config = &context.settings.runbooks;
    let active = ledger.runbooks.iter().filter(|e| e.state == EntryState::Active);
    let of = active.filter_map(|e| split_key(&e.key));
    of.filter_map(|(kind, name)| {
        let node = context.snapshot.node(&NodeId(name.to_owned()))?;
        let wanted = match kind {
            RunbookKind::Latency => config.latency && promised(context, node, kind),
            RunbookKind::Errors => config.errors && promised(context, node, kind),
            RunbookKind::Dependency => {
                config.dependencies && !matches!(node.kind, NodeKind::Entry | NodeKind::Messaging)
            }
            RunbookKind::Pipeline => config.pipelines && node.kind == NodeKind::Messaging,
            RunbookKind::Scenario => false,
        };
        wanted.then_some((kind, &node.id))
    })
    .collect()
}

/// Whether an objective still asks for a page about a service. A wildcard passes over services that send no spans, but
/// one that fell silent still has its promise to keep.
fn promised(context: &Context<'_>, node: &Node, kind: RunbookKind) -> bool {
    let of_it = context.statuses(&node.id).iter().any(|s| belongs(s, kind));
    let wild = || context.objectives.iter().any(|s| s.objective.service.contains('*') && belongs(s, kind));
    node.kind == NodeKind::Service && (of_it || (!node.instrumented && wild()))
}

/// Whether enough depends on a node: at least the configured share of some caller's requests, or of all that enters.
fn critical(context: &Context<'_>, id: &NodeId) -> bool {
    let share = context.settings.runbooks.critical_share;
    let edges = context.callers(id);
    let calls = edges.iter().filter(|e| matches!(e.kind, EdgeKind::Call | EdgeKind::Database | EdgeKind::External));
    let mut total = 0.0;
    for edge in calls {
        if context.share_of_caller(edge) >= share {
            return true;
        }
        total += edge.calls.as_f64();
    }
    total > 0.0 && context.entry_calls > 0.0 && total / context.entry_calls >= share
}

/// Whether an objective decides the state of a kind of page.
fn belongs(status: &ObjectiveStatus, kind: RunbookKind) -> bool {
    matches!(
        (kind, status.objective.sli),
        (RunbookKind::Latency, Sli::Latency { .. } | Sli::LatencyMean)
            | (RunbookKind::Errors, Sli::ErrorRate | Sli::Throughput)
            | (RunbookKind::Dependency, Sli::ErrorRate)
            | (RunbookKind::Pipeline, Sli::MessagingLag { .. })
    )
}

/// The objectives of a page, those that page first.
fn statuses<'a>(context: &Context<'a>, kind: RunbookKind, target: &Target<'a>) -> Vec<&'a ObjectiveStatus> {
    let ids: Vec<&NodeId> = match kind {
        RunbookKind::Pipeline => {
            let edges = context.callees(&target.id);
            edges.into_iter().filter(|e| e.kind == EdgeKind::Messaging).map(|e| &e.target).collect()
        }
        // What its callers promise is what the dependency has to keep.
        RunbookKind::Dependency => context.callers(&target.id).into_iter().map(|e| &e.source).collect(),
        _ => vec![&target.id],
    };
    let ids: BTreeSet<&NodeId> = ids.into_iter().collect();
    let of = |id: &&NodeId| context.statuses(id).to_vec();
    let mut out: Vec<&'a ObjectiveStatus> = ids.iter().flat_map(of).filter(|s| belongs(s, kind)).collect();
    out.sort_by(|a, b| (a.objective.severity != "page", &a.id).cmp(&(b.objective.severity != "page", &b.id)));
    out
}

fn fallback_slug(kind: RunbookKind, target: &Target<'_>) -> String {
    let system = if target.system == target.name { "" } else { target.system.as_str() };
    slug_with_ending(&[system, &target.name], slug_ending(kind))
}

/// The full key of a pin: `latency:api` is `latency:shop/api` when only one service is called `api`.
fn resolve_pin(
    context: &Context<'_>,
    ledger: &Ledger,
    index: usize,
    pin: &Pin,
    warnings: &mut Vec<Diagnostic>,
) -> Result<(String, RunbookKind, NodeId), Diagnostic> {
    let place = Location::default().at_key(format!("runbooks.pinned[{index}].key"));
    let Some((kind, name)) = split_key(&pin.key).filter(|(kind, _)| *kind != RunbookKind::Scenario) else {
        return Err(Diagnostic::error("pin-key-malformed", format!("`{}` names no runbook", pin.key))
            .at(place)
            .help("write `latency:`, `errors:`, `dependency:` or `pipeline:` and a node, e.g. `latency:api`; scenarios carry their id themselves"));
    };
    let kinds: &[NodeKind] = match kind {
        RunbookKind::Latency | RunbookKind::Errors => &[NodeKind::Service],
        RunbookKind::Pipeline => &[NodeKind::Messaging],
        _ => &[NodeKind::Service, NodeKind::Database, NodeKind::External],
    };
    let full = |id: &NodeId| (format!("{}:{id}", prefix(kind)), kind, id.clone());
    match context.resolve(name, kinds).as_slice() {
        [id] => return Ok(full(id)),
        [] => {}
        several => {
            let names: Vec<String> = several.iter().map(|id| format!("`{}:{id}`", prefix(kind))).collect();
            warnings.push(
                Diagnostic::warning("pin-ambiguous", format!("`{}` may mean {}", pin.key, names.join(" or ")))
                    .at(place)
                    .help("write the one that is meant in full"),
            );
            return Ok(full(&NodeId(name.to_owned())));
        }
    }
    // Not seen this time: the ledger still knows what it meant when it was.
    let ending = format!("/{name}");
    let mut known = ledger
        .runbooks
        .iter()
        .filter_map(|e| split_key(&e.key))
        .filter(|(k, rest)| *k == kind && rest.ends_with(&ending));
    let id = match (known.next(), known.next()) {
        (Some((_, rest)), None) => NodeId(rest.to_owned()),
        _ => NodeId(name.to_owned()),
    };
    warnings.push(
        Diagnostic::warning(
            "pin-unmatched",
            format!("nothing in this window is called `{name}`, so the page of `{}` has no numbers", pin.key),
        )
        .at(place)
        .help("check the name against `tracebook graph`, widen the window, or remove the pin"),
    );
    Ok(full(&id))
}

/// One declared scenario.
fn declared<'a>(
    context: &Context<'a>,
    index: usize,
    scenario: &'a ScenarioConfig,
    warnings: &mut Vec<Diagnostic>,
    errors: &mut Vec<Diagnostic>,
) -> (Item<'a>, Wanted) {
    let place = format!("scenarios[{index}]");
    let mut nodes: Vec<Target<'a>> = Vec::new();
    let mut unmatched: Vec<String> = Vec::new();
    for name in &scenario.nodes {
        let found = context.resolve(name, &[]);
        if found.is_empty() {
            unmatched.push(format!("`{name}`"));
            nodes.push(context.target(&NodeId(name.clone())));
        }
        nodes.extend(found.into_iter().map(|id| context.target(id)));
    }
    if !unmatched.is_empty() {
        let message = format!("nothing in this window is called {}", unmatched.join(" or "));
        warnings.push(
            Diagnostic::warning("scenario-node-unmatched", message)
                .at(Location::default().at_key(format!("{place}.nodes")))
                .help("check the names against `tracebook graph` or widen the window"),
        );
    }
    if let Some(kind) = scenario.kind.as_deref().filter(|k| !super::kinds_of_scenarios().contains(k)) {
        errors.push(
            Diagnostic::error("scenario-kind-unknown", format!("`{kind}` is not a kind of scenario"))
                .at(Location::default().at_key(format!("{place}.kind")))
                .help(format!("one of: {}", super::kinds_of_scenarios().join(", "))),
        );
    }
    let statuses: Vec<&ObjectiveStatus> = match &scenario.objective {
        Some(wanted) => context.objectives.iter().filter(|s| s.id == *wanted || s.objective.id == *wanted).collect(),
        None => Vec::new(),
    };
    // A bare name that is no objective is a slip; anything else is taken for a Prometheus query.
    if let Some(name) =
        scenario.objective.as_deref().filter(|n| statuses.is_empty() && (is_slug(n) || n.trim().is_empty()))
    {
        warnings.push(
            Diagnostic::warning("scenario-objective-unmatched", format!("there is no objective with the id `{name}`"))
                .at(Location::default().at_key(format!("{place}.objective")))
                .help("name an objective of this file, or write a Prometheus query"),
        );
    }
    let target = nodes.first().cloned().unwrap_or_else(|| context.target(&NodeId(scenario.name.clone())));
    let fallback = slugify(&[&scenario.name]);
    let want = Wanted {
        key: format!("scenario:{}", scenario.name),
        kind: RunbookKind::Scenario,
        id: scenario.id.clone(),
        slug: scenario.slug.clone(),
        fallback_slug: if fallback.is_empty() { "scenario".into() } else { fallback },
        place,
    };
    let item = Item {
        key: want.key.clone(),
        kind: RunbookKind::Scenario,
        target,
        nodes,
        statuses,
        pin: None,
        scenario: Some(scenario),
    };
    (item, want)
}

/// Configuration that matched nothing.
fn unused(context: &Context<'_>, warnings: &mut Vec<Diagnostic>) {
    let known = packs::names();
    for (i, name) in context.settings.packs.iter().enumerate() {
        if !known.contains(&packs::canonical(name).as_str()) {
            warnings.push(
                Diagnostic::warning("pack-unknown", format!("there is no command pack `{name}`"))
                    .at(Location::default().at_key(format!("packs[{i}]")))
                    .help(format!("one of: {}", known.join(", "))),
            );
        }
    }
    for key in context.settings.services.keys() {
        if context.resolve(key, &[]).is_empty() {
            warnings.push(
                Diagnostic::info("service-unmatched", format!("nothing in this window is called `{key}`"))
                    .at(Location::default().at_key(format!("services.{key}")))
                    .help("check the name against `tracebook graph` or widen the window"),
            );
        }
    }
}
