//! Who is who: node ids, what ignore rules and caps leave out, and canonical numbers for everything rows refer to.
//!
//! Made once all batches are in, so that every choice (which names are kept, whether a peer's name is a service that was
//! seen) rests on all spans and not on those that happened to come first. Numbers follow the sorted order of names.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::cfg::{Caller, TopologyConfig};
use super::dict::OTHER;
use super::dicts::{Dicts, is_peer_stand_in};
use super::dimensions::Dimensions;
use super::glob;
pub(super) use super::naming::{Fate, Seed, UNKNOWN_SERVICE};
use super::naming::{Named, NamedPeer, display_name, means, operation_ignored, seed, topic};
use super::scope::{self, Usage};
use super::snapshot::NodeKind;
use crate::spans::{ErrorClass, PeerKind};

/// No node.
pub(super) const NOWHERE: u32 = u32::MAX;
/// What a peer names is a service that an ignore rule leaves out.
pub(super) const IGNORED: u32 = u32::MAX - 1;
/// Most operations kept over all services: totals of an operation take about a kilobyte.
pub(super) const MOST_OPERATIONS: usize = 100_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceRef {
    pub(super) node: u32,
    pub(super) fate: Fate,
    pub(super) hash: u64,
    pub(super) other_op: u32,
    /// Where its requests from outside come from, for operations beyond the cap.
    pub(super) entry: u32,
    /// Whether an alias gave it another name.
    pub(super) renamed: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OpRef {
    /// Canonical number; 0 for the stand-in, whose number depends on the service.
    pub(super) number: u32,
    pub(super) ignored: bool,
    pub(super) hash: u64,
    /// Whether the name was replaced by `(other)`.
    pub(super) beyond: bool,
    /// Where its requests from outside come from.
    pub(super) entry: u32,
}

#[derive(Debug, Clone)]
pub(super) struct PeerRef {
    pub(super) kind: PeerKind,
    /// The node it names, [`NOWHERE`] for none or for one that is ignored.
    pub(super) node: u32,
    pub(super) ignored: bool,
    pub(super) hash: u64,
    /// A messaging peer that names its destination.
    pub(super) named: bool,
    /// Whether it stands for peers beyond the cap.
    pub(super) beyond: bool,
    /// For a logical service name without namespace: the name, to be looked up in the caller's namespace first.
    lookup: Option<String>,
    /// The node it names by the caller's scope, sorted; empty where no scopes are configured.
    scoped: Vec<(u32, u32)>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Identity {
    /// Sorted by id.
    pub(super) nodes: Vec<(String, Seed)>,
    pub(super) services: Vec<ServiceRef>,
    pub(super) ops: Vec<OpRef>,
    /// By canonical number: node and name. Number 0 is "not seen".
    pub(super) op_names: Vec<(u32, String)>,
    pub(super) peers: Vec<PeerRef>,
    /// By position of the store: canonical number and hash.
    pub(super) errors: Vec<(u32, u64)>,
    /// By canonical number; 0 is "not known".
    pub(super) classes: Vec<ErrorClass>,
    pub(super) resource_hashes: Vec<u64>,
    pub(super) dimensions: Dimensions,
    pub(super) user: u32,
    /// Whether any span may be ignored or looked through: whole traces are then looked at once more.
    pub(super) has_rules: bool,
    /// By scope.
    unnamed_topics: Vec<u32>,
    by_name: ByName,
}

impl Identity {
    /// Decides everything. `usage` says which peers are named in which scope; it may be empty of peers where no identity
    /// dimensions are configured.
    pub(super) fn new(dicts: &Dicts, cfg: &TopologyConfig, usage: &Usage) -> Self {
        let named: Vec<Option<Named>> = dicts
            .services
            .slots()
            .iter()
            .zip(0..)
            .map(|(slot, at): (_, u32)| Some(Named::of(slot.item.as_ref()?, usage.of_service(at), cfg)))
            .collect();
        let named_peers: Vec<Option<NamedPeer>> =
            dicts.peers.slots().iter().map(|slot| Some(NamedPeer::of(slot.item.as_ref()?, cfg))).collect();
        let fates = service_fates(dicts, cfg, &named);
        let scoped = if cfg.identity_dimensions.is_empty() { BTreeMap::new() } else { usage.by_peer() };
        let nodes = collect_nodes(cfg, &named, &fates, &named_peers, &scoped, usage.scopes());
        let position = |id: &str| nodes.binary_search_by(|(n, _)| n.as_str().cmp(id)).map_or(NOWHERE, to_u32);
        let by_name = by_name(dicts, &named, &fates, &position);
        let dimensions = !cfg.identity_dimensions.is_empty();
        let user = position("entry:user");
        let entry = |rule: Option<&Caller>| rule.map_or(user, |rule| position(&format!("entry:{}", rule.name)));
        let services = dicts.services.slots().iter().zip(&named).zip(&fates).map(|((slot, named), fate)| {
            let shown = named.as_ref().filter(|_| matches!(fate, Fate::Kept | Fate::Merged));
            let any_operation = cfg.callers.iter().filter(|rule| rule.operation.is_none());
            let mut mine =
                any_operation.filter(|rule| slot.item.as_ref().zip(shown).is_some_and(|(s, n)| means(rule, s, n)));
            ServiceRef {
                node: shown.map_or(NOWHERE, |named| position(&named.id)),
                fate: *fate,
                hash: slot.hash,
                other_op: 0,
                entry: entry(mine.next()),
                renamed: shown.is_some_and(|named| named.renamed),
            }
        });
        let mut services: Vec<ServiceRef> = services.collect();
        let (mut ops, op_names) = number_operations(dicts, cfg, &services);
        for (op, slot) in ops.iter_mut().zip(dicts.ops.slots()) {
            let Some(name) = &slot.item else { continue };
            let service = dicts.services.slots().get(name.service as usize).and_then(|s| s.item.as_ref());
            let named = named.get(name.service as usize).and_then(Option::as_ref);
            let Some((service, named)) = service.zip(named) else { continue };
            op.entry = entry(cfg.callers.iter().find(|rule| {
                means(rule, service, named) && rule.operation.as_ref().is_none_or(|o| glob::matches(o, &name.name))
            }));
        }
        let others: BTreeMap<u32, u32> =
            op_names.iter().zip(0..).filter(|((_, name), _)| name == OTHER).map(|((node, _), n)| (*node, n)).collect();
        for service in &mut services {
            service.other_op = others.get(&service.node).copied().unwrap_or(0);
        }
        let peers = (0..to_u32(dicts.peers.slots().len())).map(|id| {
            let found = dicts
                .peers
                .resolve(id)
                .and_then(|(at, slot, _)| Some((at, slot.hash, named_peers.get(at as usize)?.as_ref()?)));
            let Some((at, hash, peer)) = found else { return PeerRef::none() };
            let scopes = scoped.get(&at).map_or(&[][..], Vec::as_slice);
            let scopes = scopes.iter().filter_map(|n| Some((*n, usage.scopes().get(*n as usize)?.as_str())));
            let position = |id: &str, scope: &str| position(&scope::id(id.to_owned(), scope, dimensions));
            PeerRef { beyond: is_peer_stand_in(at), ..peer_ref(peer, hash, scopes, &by_name, &position) }
        });
        let (errors, classes) = number_errors(dicts);
        let resource_hashes = (0..to_u32(dicts.resources.slots().len()))
            .map(|id| dicts.resources.resolve(id).map_or(0, |(_, slot, _)| slot.hash));
        let unnamed = topic("", "").0;
        Self {
            user,
            has_rules: fates.iter().any(|f| matches!(f, Fate::Ignored | Fate::Merged))
                || ops.iter().any(|op| op.ignored),
            unnamed_topics: usage
                .scopes()
                .iter()
                .map(|s| position(&scope::id(unnamed.clone(), s, dimensions)))
                .collect(),
            peers: peers.collect(),
            resource_hashes: resource_hashes.collect(),
            dimensions: Dimensions::new(dicts),
            services,
            ops,
            op_names,
            errors,
            classes,
            nodes,
            by_name,
        }
    }

    /// The node a peer names when `caller` names it: a logical name without namespace means the caller's own namespace
    /// if there is such a service, then the only service of that name anywhere (in the caller's scope), then one nobody
    /// instrumented. [`IGNORED`] when it names a service that an ignore rule leaves out.
    pub(super) fn peer_node(&self, peer: &PeerRef, caller: u32) -> u32 {
        if peer.lookup.is_none() && peer.scoped.is_empty() {
            return peer.node;
        }
        let Some((_, caller)) = self.nodes.get(caller as usize) else { return peer.node };
        let near = || self.by_name.get(peer.lookup.as_deref()?)?.get(&caller.scope)?.get(&caller.namespace).copied();
        let scoped = || {
            let at = peer.scoped.binary_search_by_key(&caller.scope, |(scope, _)| *scope).ok()?;
            peer.scoped.get(at).map(|(_, node)| *node)
        };
        near().or_else(scoped).unwrap_or(peer.node)
    }

    /// The topic of a message that nobody names, sent or received by `near`.
    pub(super) fn unnamed_topic(&self, near: u32) -> u32 {
        let scope = self.nodes.get(near as usize).map_or(0, |(_, seed)| seed.scope);
        self.unnamed_topics.get(scope as usize).copied().unwrap_or(NOWHERE)
    }

    /// Where a request from outside comes from, by what it calls.
    pub(super) fn entry_to(&self, op: u32, service: u32) -> u32 {
        let op = self.ops.get(op as usize).filter(|op| op.entry != NOWHERE).map(|op| op.entry);
        op.or_else(|| self.services.get(service as usize).map(|s| s.entry)).unwrap_or(self.user)
    }
}

impl PeerRef {
    fn none() -> Self {
        let (kind, node) = (PeerKind::None, NOWHERE);
        Self { kind, node, ignored: false, hash: 0, named: false, beyond: false, lookup: None, scoped: Vec::new() }
    }
}

#[allow(clippy::cast_possible_truncation, reason = "dictionaries hold fewer than 2^32 entries")]
fn to_u32(n: usize) -> u32 {
    n as u32
}

/// Which services are used: not those ignored, and of the rest the ones with the most spans (ties by id).
fn service_fates(dicts: &Dicts, cfg: &TopologyConfig, named: &[Option<Named>]) -> Vec<Fate> {
    // Position 0 stands for services beyond the dictionary's cap.
    let each = || dicts.services.slots().iter().zip(named).skip(1);
    let fates = each().map(|(slot, named)| match (&slot.item, named) {
        (Some(sent), Some(named)) => named.fate(sent, cfg),
        _ => Fate::Beyond,
    });
    let mut fates: Vec<Fate> = std::iter::once(Fate::Beyond).chain(fates).collect();
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for ((slot, named), _) in each().zip(fates.iter().skip(1)).filter(|(_, fate)| **fate == Fate::Kept) {
        if let Some(named) = named {
            *wanted.entry(&named.id).or_default() += slot.count;
        }
    }
    if wanted.len() > cfg.max_services {
        let mut wanted: Vec<(Reverse<u64>, &str)> = wanted.into_iter().map(|(id, n)| (Reverse(n), id)).collect();
        wanted.sort_unstable();
        let kept: BTreeSet<&str> = wanted.iter().take(cfg.max_services).map(|(_, id)| *id).collect();
        for (fate, named) in fates.iter_mut().zip(named).filter(|(fate, _)| **fate == Fate::Kept) {
            if named.as_ref().is_none_or(|named| !kept.contains(named.id.as_str())) {
                *fate = Fate::Beyond;
            }
        }
    }
    fates
}

/// Services that sent spans by name, scope and namespace: their node, or [`IGNORED`].
type ByName = BTreeMap<String, BTreeMap<u32, BTreeMap<String, u32>>>;

/// Every node there could be, sorted by id.
fn collect_nodes(
    cfg: &TopologyConfig,
    named: &[Option<Named>],
    fates: &[Fate],
    peers: &[Option<NamedPeer>],
    scoped: &BTreeMap<u32, Vec<u32>>,
    scopes: &[String],
) -> Vec<(String, Seed)> {
    let dimensions = !cfg.identity_dimensions.is_empty();
    let within = |(id, seed): &(String, Seed), number: u32, scope: &str| {
        (scope::id(id.clone(), scope, dimensions), Seed { scope: number, ..seed.clone() })
    };
    let mut nodes: BTreeMap<String, Seed> = BTreeMap::new();
    for (at, node) in (0..).zip(peers).filter_map(|(at, peer): (u32, _)| Some((at, peer.as_ref()?.node.as_ref()?))) {
        nodes.extend([within(node, 0, "")]);
        let mine = scoped.get(&at).map_or(&[][..], Vec::as_slice);
        nodes.extend(mine.iter().filter_map(|n| Some(within(node, *n, scopes.get(*n as usize)?))));
    }
    let unnamed = topic("", "");
    nodes.extend((0..).zip(scopes).map(|(number, scope): (u32, _)| within(&unnamed, number, scope)));
    let callers = cfg.callers.iter().map(|caller| caller.name.as_str());
    nodes.extend(
        std::iter::once("user").chain(callers).map(|n| (format!("entry:{n}"), seed(NodeKind::Entry, "", n, ""))),
    );
    for (named, fate) in named.iter().zip(fates) {
        if let (Some(named), Fate::Kept | Fate::Merged) = (named, fate) {
            nodes.insert(named.id.clone(), named.seed.clone());
        }
    }
    nodes.into_iter().collect()
}

/// The services that sent spans by name. A name that an alias replaced still leads to its service, unless another has it.
fn by_name(dicts: &Dicts, named: &[Option<Named>], fates: &[Fate], position: &dyn Fn(&str) -> u32) -> ByName {
    let mut by_name = ByName::new();
    let each = || dicts.services.slots().iter().zip(named).zip(fates);
    let all = || each().filter_map(|((slot, named), fate)| Some((slot.item.as_ref()?, named.as_ref()?, *fate)));
    let mut add = |scope: u32, namespace: &str, name: &str, node: u32| {
        let namespaces = by_name.entry(name.to_owned()).or_default().entry(scope).or_default();
        namespaces.entry(namespace.to_owned()).or_insert(node);
    };
    let shown = |fate| matches!(fate, Fate::Kept | Fate::Merged);
    for (_, named, _) in all().filter(|(.., fate)| shown(*fate)) {
        add(named.seed.scope, &named.seed.namespace, &named.seed.name, position(&named.id));
    }
    for (sent, named, fate) in
        all().filter(|(_, named, fate)| (shown(*fate) && named.renamed) || *fate == Fate::Ignored)
    {
        let node = if fate == Fate::Ignored { IGNORED } else { position(&named.id) };
        add(named.seed.scope, &sent.namespace, display_name(&sent.name), node);
    }
    by_name
}

fn peer_ref<'s>(
    named: &NamedPeer,
    hash: u64,
    scopes: impl Iterator<Item = (u32, &'s str)>,
    by_name: &ByName,
    at: &dyn Fn(&str, &str) -> u32,
) -> PeerRef {
    let peer = &named.peer;
    let same_name = by_name.get(&peer.name).filter(|_| peer.kind == PeerKind::Service && peer.namespace.is_empty());
    // The only service of that name.
    let only = |scope: u32| {
        let services = same_name?.get(&scope)?;
        let first = *services.first_key_value()?.1;
        (services.len() == 1 || (first != IGNORED && services.values().all(|node| *node == first))).then_some(first)
    };
    let own = |scope: &str| named.node.as_ref().map_or(NOWHERE, |(id, _)| at(id, scope));
    let scoped: Vec<(u32, u32)> =
        scopes.map(|(number, scope)| (number, only(number).unwrap_or_else(|| own(scope)))).collect();
    PeerRef {
        kind: peer.kind,
        node: if scoped.is_empty() { only(0).unwrap_or_else(|| own("")) } else { own("") },
        ignored: named.ignored,
        hash,
        named: peer.kind == PeerKind::Messaging && !peer.name.is_empty(),
        beyond: false,
        lookup: same_name.map(|_| peer.name.clone()),
        scoped,
    }
}

/// Keeps the most frequent operation names of each service and numbers them by (service, name).
fn number_operations(dicts: &Dicts, cfg: &TopologyConfig, services: &[ServiceRef]) -> (Vec<OpRef>, Vec<(u32, String)>) {
    let node_of = |service: u32| services.get(service as usize).map_or(NOWHERE, |s| s.node);
    let mut counts: BTreeMap<u32, BTreeMap<&str, u64>> = BTreeMap::new();
    let kept = |service: u32| services.get(service as usize).is_some_and(|s| s.fate == Fate::Kept);
    for service in services.iter().filter(|s| s.fate == Fate::Kept) {
        counts.entry(service.node).or_default();
    }
    let ignored = |name: &str| operation_ignored(cfg, name);
    for slot in dicts.ops.slots().iter().skip(1) {
        let Some(op) = slot.item.as_ref().filter(|op| kept(op.service) && !ignored(&op.name)) else {
            continue;
        };
        *counts.entry(node_of(op.service)).or_default().entry(&op.name).or_default() += slot.count;
    }
    let mut kept: Vec<(Reverse<u64>, u32, &str)> = Vec::new();
    for (node, names) in &counts {
        let mut names: Vec<_> = names.iter().map(|(name, count)| (Reverse(*count), *node, *name)).collect();
        names.sort_unstable();
        kept.extend(names.into_iter().take(cfg.max_operations));
    }
    kept.sort_unstable();
    kept.truncate(MOST_OPERATIONS);
    let mut names: Vec<(u32, &str)> = kept.into_iter().map(|(_, node, name)| (node, name)).collect();
    names.extend(counts.keys().map(|node| (*node, OTHER)));
    names.sort_unstable();
    names.dedup();
    // Number 0 means "not seen".
    names.insert(0, (NOWHERE, ""));
    let number = |node: u32, name: &str| {
        let after_none = names.get(1..).unwrap_or(&[]);
        after_none.binary_search_by(|probe| (probe.0, probe.1).cmp(&(node, name))).map_or(0, |at| to_u32(at + 1))
    };
    let ops =
        dicts.ops.slots().iter().zip(0..).map(|(slot, id): (_, u32)| match slot.item.as_ref().filter(|_| id > 0) {
            Some(op) => {
                let number = number(node_of(op.service), &op.name);
                OpRef { number, ignored: ignored(&op.name), hash: slot.hash, beyond: number == 0, entry: NOWHERE }
            }
            None => OpRef { number: 0, ignored: false, hash: 0, beyond: true, entry: NOWHERE },
        });
    (ops.collect(), names.iter().map(|(node, name)| (*node, (*name).to_owned())).collect())
}

fn number_errors(dicts: &Dicts) -> (Vec<(u32, u64)>, Vec<ErrorClass>) {
    let mut classes: Vec<ErrorClass> = dicts.errors.slots().iter().filter_map(|slot| slot.item.clone()).collect();
    classes.sort_unstable();
    let errors = (0..to_u32(dicts.errors.slots().len())).map(|id| {
        let Some((_, slot, class)) = dicts.errors.resolve(id) else { return (0, 0) };
        (classes.binary_search(class).map_or(0, to_u32), slot.hash)
    });
    (errors.collect(), classes)
}
