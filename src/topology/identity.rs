//! Who is who: node ids, what ignore rules and caps leave out, and canonical numbers for everything rows refer to.
//!
//! Made once all batches are in, so that every choice (which names are kept, whether a peer's name is a service that was
//! seen) rests on all spans and not on those that happened to come first. Numbers follow the sorted order of names.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cfg::TopologyConfig;
use super::dict::OTHER;
use super::dicts::Dicts;
use super::glob;
use super::snapshot::NodeKind;
use crate::spans::{ErrorClass, Peer, PeerKind};

/// No node.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Most operations kept over all services: totals of an operation take about a kilobyte.
pub(super) const MOST_OPERATIONS: usize = 100_000;
/// Name of a service that did not say its name.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";
const UNNAMED: &str = "(unnamed)";

/// A node before anything was counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) kind: NodeKind,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) system: String,
    pub(super) instrumented: bool,
}

/// What becomes of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is used.
    Kept,
    /// An ignore rule leaves it out.
    Ignored,
    /// Its service is beyond the cap.
    Beyond,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ServiceRef {
    pub(super) node: u32,
    pub(super) fate: Fate,
    pub(super) hash: u64,
    pub(super) other_op: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct OpRef {
    /// Canonical number; 0 for the stand-in, whose number depends on the service.
    pub(super) number: u32,
    pub(super) ignored: bool,
    pub(super) hash: u64,
    /// Whether the name was replaced by `(other)`.
    pub(super) beyond: bool,
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
    /// For a logical service name without namespace: the name, to be looked up in the caller's namespace first.
    lookup: Option<String>,
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
    pub(super) user: u32,
    pub(super) unnamed_topic: u32,
    by_name: BTreeMap<String, BTreeMap<String, u32>>,
}

/// The id of a service. The first `/` ends the namespace and a prefix before the first `:` is a kind, so both are
/// escaped where they belong to a name: two services never share an id.
pub(super) fn service_id(namespace: &str, name: &str) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('/', "%2F");
    let id = match namespace {
        "" if name.contains(['/', '%']) => escape(name),
        "" => name.to_owned(),
        _ => format!("{}/{name}", escape(namespace)),
    };
    let reserved = ["database:", "messaging:", "external:", "entry:"].iter().any(|prefix| id.starts_with(prefix));
    if reserved { id.replacen(':', "%3A", 1) } else { id }
}

fn topic(system: &str, name: &str) -> (String, Seed) {
    let system = if system.is_empty() { "unknown" } else { system };
    let name = if name.is_empty() { UNNAMED } else { name };
    (format!("messaging:{system}:{name}"), seed(NodeKind::Messaging, "", name, system))
}

fn seed(kind: NodeKind, namespace: &str, name: &str, system: &str) -> Seed {
    Seed {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        system: system.to_owned(),
        instrumented: false,
    }
}

/// The node a peer names: a table of which attribute wins, by kind.
///
/// - database: `db.namespace`, else the address, else only the system. The namespace first, because replicas and
///   fail-overs change the address and not what is in it.
/// - messaging: the destination; `(unnamed)` without one.
/// - service: the logical name given by the caller.
/// - external: the address.
fn peer_node(peer: &Peer) -> Option<(String, Seed)> {
    match peer.kind {
        PeerKind::None => None,
        PeerKind::Database => {
            let system = if peer.system.is_empty() { "unknown" } else { &peer.system };
            let name = if peer.name.is_empty() { &peer.address } else { &peer.name };
            let (id, name) = match name.as_str() {
                "" | OTHER => (format!("database:{system}"), system),
                name => (format!("database:{system}:{name}"), name),
            };
            Some((id, seed(NodeKind::Database, "", name, system)))
        }
        PeerKind::Messaging => Some(topic(&peer.system, &peer.name)),
        PeerKind::Service if peer.name.is_empty() => None,
        PeerKind::Service => {
            let id = service_id(&peer.namespace, &peer.name);
            Some((id, seed(NodeKind::Service, &peer.namespace, &peer.name, "")))
        }
        PeerKind::External if peer.address.is_empty() => None,
        PeerKind::External => {
            Some((format!("external:{}", peer.address), seed(NodeKind::External, "", &peer.address, "")))
        }
    }
}

fn service_ignored(cfg: &TopologyConfig, namespace: &str, name: &str) -> bool {
    !cfg.ignore_services.is_empty()
        && (glob::any(&cfg.ignore_services, name)
            || (!namespace.is_empty() && glob::any(&cfg.ignore_services, &format!("{namespace}/{name}"))))
}

fn display_name(name: &str) -> &str {
    if name.is_empty() { UNKNOWN_SERVICE } else { name }
}

impl Identity {
    /// Decides everything.
    pub(super) fn new(dicts: &Dicts, cfg: &TopologyConfig) -> Self {
        let fates = service_fates(dicts, cfg);
        let (nodes, by_name) = collect_nodes(dicts, &fates);
        let position = |id: &str| nodes.binary_search_by(|(n, _)| n.as_str().cmp(id)).map_or(NOWHERE, to_u32);
        let services = dicts.services.slots().iter().zip(&fates).map(|(slot, fate)| ServiceRef {
            node: match (&slot.item, fate) {
                (Some(s), Fate::Kept) => position(&service_id(&s.namespace, display_name(&s.name))),
                _ => NOWHERE,
            },
            fate: *fate,
            hash: slot.hash,
            other_op: 0,
        });
        let mut services: Vec<ServiceRef> = services.collect();
        let (ops, op_names) = number_operations(dicts, cfg, &services);
        let others: BTreeMap<u32, u32> =
            op_names.iter().zip(0..).filter(|((_, name), _)| name == OTHER).map(|((node, _), n)| (*node, n)).collect();
        for service in &mut services {
            service.other_op = others.get(&service.node).copied().unwrap_or(0);
        }
        let peers = (0..to_u32(dicts.peers.slots().len())).map(|id| {
            let (hash, peer) = dicts.peers.resolve(id).map_or((0, None), |(_, slot, peer)| (slot.hash, Some(peer)));
            peer.map_or(
                PeerRef { kind: PeerKind::None, node: NOWHERE, ignored: false, hash, named: false, lookup: None },
                |peer| peer_ref(peer, hash, cfg, &by_name, &position),
            )
        });
        let (errors, classes) = number_errors(dicts);
        let resource_hashes = (0..to_u32(dicts.resources.slots().len()))
            .map(|id| dicts.resources.resolve(id).map_or(0, |(_, slot, _)| slot.hash));
        Self {
            user: position("entry:user"),
            unnamed_topic: position(&topic("", "").0),
            peers: peers.collect(),
            resource_hashes: resource_hashes.collect(),
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
    /// if there is such a service, then the only service of that name anywhere, then one nobody instrumented.
    pub(super) fn peer_node(&self, peer: &PeerRef, caller: u32) -> u32 {
        let near = || {
            let (_, caller) = self.nodes.get(caller as usize)?;
            self.by_name.get(peer.lookup.as_deref()?)?.get(&caller.namespace).copied()
        };
        near().unwrap_or(peer.node)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "dictionaries hold fewer than 2^32 entries")]
fn to_u32(n: usize) -> u32 {
    n as u32
}

/// Which services are used: not those ignored, and of the rest the ones with the most spans (ties by name).
fn service_fates(dicts: &Dicts, cfg: &TopologyConfig) -> Vec<Fate> {
    let slots = dicts.services.slots();
    let mut fates = vec![Fate::Beyond; slots.len()];
    let mut wanted: Vec<_> = Vec::new();
    for (at, slot) in slots.iter().enumerate().skip(1) {
        let Some(service) = &slot.item else { continue };
        if service_ignored(cfg, &service.namespace, display_name(&service.name)) {
            if let Some(fate) = fates.get_mut(at) {
                *fate = Fate::Ignored;
            }
        } else {
            wanted.push((Reverse(slot.count), service, at));
        }
    }
    wanted.sort_unstable();
    for (_, _, at) in wanted.iter().take(cfg.max_services) {
        if let Some(fate) = fates.get_mut(*at) {
            *fate = Fate::Kept;
        }
    }
    fates
}

type ByName = BTreeMap<String, BTreeMap<String, u32>>;

/// Every node there could be, sorted by id, and the instrumented services by name and namespace.
fn collect_nodes(dicts: &Dicts, fates: &[Fate]) -> (Vec<(String, Seed)>, ByName) {
    let mut nodes: BTreeMap<String, Seed> = BTreeMap::new();
    for peer in dicts.peers.slots().iter().filter_map(|slot| slot.item.as_ref()) {
        nodes.extend(peer_node(peer));
    }
    nodes.extend([("entry:user".to_owned(), seed(NodeKind::Entry, "", "user", "")), topic("", "")]);
    for (slot, fate) in dicts.services.slots().iter().zip(fates) {
        if let (Some(s), Fate::Kept) = (&slot.item, fate) {
            let name = display_name(&s.name);
            let seed = Seed { instrumented: true, ..seed(NodeKind::Service, &s.namespace, name, "") };
            nodes.insert(service_id(&s.namespace, name), seed);
        }
    }
    let nodes: Vec<(String, Seed)> = nodes.into_iter().collect();
    let mut by_name = ByName::new();
    for ((_, node), at) in nodes.iter().zip(0..).filter(|((_, node), _)| node.instrumented) {
        by_name.entry(node.name.clone()).or_default().insert(node.namespace.clone(), at);
    }
    (nodes, by_name)
}

fn peer_ref(peer: &Peer, hash: u64, cfg: &TopologyConfig, by_name: &ByName, position: &dyn Fn(&str) -> u32) -> PeerRef {
    let ignored = peer.kind == PeerKind::Service && service_ignored(cfg, &peer.namespace, &peer.name);
    let mut node = peer_node(peer).map_or(NOWHERE, |(id, _)| position(&id));
    let mut lookup = None;
    if peer.kind == PeerKind::Service && peer.namespace.is_empty() {
        let same_name = by_name.get(&peer.name);
        if let Some((_, only)) = same_name.filter(|s| s.len() == 1).and_then(|s| s.first_key_value()) {
            node = *only;
        }
        lookup = same_name.map(|_| peer.name.clone());
    }
    let named = peer.kind == PeerKind::Messaging && !peer.name.is_empty();
    PeerRef { kind: peer.kind, node, ignored, hash, named, lookup }
}

/// Keeps the most frequent operation names of each service and numbers them by (service, name).
fn number_operations(dicts: &Dicts, cfg: &TopologyConfig, services: &[ServiceRef]) -> (Vec<OpRef>, Vec<(u32, String)>) {
    let node_of = |service: u32| services.get(service as usize).map_or(NOWHERE, |s| s.node);
    let mut counts: BTreeMap<u32, BTreeMap<&str, u64>> = BTreeMap::new();
    for service in services.iter().filter(|s| s.node != NOWHERE) {
        counts.entry(service.node).or_default();
    }
    let ignored = |name: &str| glob::any(&cfg.ignore_operations, name);
    for slot in dicts.ops.slots().iter().skip(1) {
        let Some(op) = slot.item.as_ref().filter(|op| node_of(op.service) != NOWHERE && !ignored(&op.name)) else {
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
                OpRef { number, ignored: ignored(&op.name), hash: slot.hash, beyond: number == 0 }
            }
            None => OpRef { number: 0, ignored: false, hash: 0, beyond: true },
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_never_share_an_id() {
        let all = [("", "a"), ("a", "b"), ("", "a/b"), ("a/b", "c"), ("a", "b/c"), ("", "a%2Fb"), ("", "entry:user")];
        let ids: std::collections::BTreeSet<String> = all.iter().map(|(ns, n)| service_id(ns, n)).collect();
        assert_eq!(ids.len(), all.len(), "{ids:?}");
        assert!(ids.contains("a/b") && ids.contains("a%2Fb") && ids.contains("entry%3Auser"));
    }

    #[test]
    fn a_database_is_named_by_namespace_then_address_then_system() {
        let peer = |name: &str, address: &str| Peer {
            kind: PeerKind::Database,
            system: "mysql".into(),
            name: name.into(),
            address: address.into(),
            namespace: String::new(),
        };
        let id = |p: &Peer| peer_node(p).unwrap().0;
        assert_eq!(id(&peer("ts", "db-1")), "database:mysql:ts");
        assert_eq!(id(&peer("", "db-1")), "database:mysql:db-1");
        assert_eq!(id(&peer("", "")), "database:mysql");
    }
}
