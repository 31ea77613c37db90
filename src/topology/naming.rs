//! What things are called: the names and ids of services and of what callers name, with the rules of the configuration.
//!
//! Input: services and peers as their spans tell them. Output: the node each is, and whether a rule means it. Everything
//! here is decided once per dictionary entry; every rule is a pure function of names. Must not: know what else was seen.

use super::aliases;
use super::cfg::{Caller, DatabaseBy, TopologyConfig, Treat, id_kind};
use super::dict::OTHER;
use super::dicts::ServiceName;
use super::snapshot::NodeKind;
use super::{glob, presets, scope};
use crate::spans::{Peer, PeerKind};

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
    /// Number of its scope; 0 is the empty one where no scopes are configured.
    pub(super) scope: u32,
}

/// What becomes of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is used.
    Kept,
    /// An ignore rule leaves it out.
    Ignored,
    /// It belongs to a gateway that is looked through.
    Merged,
    /// Its service is beyond the cap.
    Beyond,
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

pub(super) fn topic(system: &str, name: &str) -> (String, Seed) {
    let system = if system.is_empty() { "unknown" } else { system };
    let name = if name.is_empty() { UNNAMED } else { name };
    (format!("messaging:{system}:{name}"), seed(NodeKind::Messaging, "", name, system))
}

pub(super) fn seed(kind: NodeKind, namespace: &str, name: &str, system: &str) -> Seed {
    Seed {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        system: system.to_owned(),
        instrumented: false,
        scope: 0,
    }
}

/// What tells databases of this system apart.
fn database_by(cfg: &TopologyConfig, system: &str) -> DatabaseBy {
    let rule = cfg.database_identity.iter().find(|rule| glob::matches(&rule.system, system));
    rule.map(|rule| rule.by).unwrap_or_default()
}

/// The name of a database within its system, empty for the system itself.
///
/// By default the namespace, else the address: replicas and fail-overs change the address and not what is in it.
fn database_name(by: DatabaseBy, namespace: &str, address: &str) -> String {
    let known = |text: &str| !text.is_empty() && text != OTHER;
    match by {
        DatabaseBy::System => String::new(),
        DatabaseBy::Both if known(namespace) && known(address) => format!("{address}/{namespace}"),
        DatabaseBy::Address if known(address) => address.to_owned(),
        _ if known(namespace) => namespace.to_owned(),
        _ if known(address) => address.to_owned(),
        _ => String::new(),
    }
}

/// The node a peer names: a table of which attribute wins, by kind.
///
/// - database: `db.namespace`, else the address, else only the system, unless `database_identity` says otherwise.
/// - messaging: the destination; `(unnamed)` without one.
/// - service: the logical name given by the caller.
/// - external: the address.
fn peer_node(peer: &Peer, by: DatabaseBy) -> Option<(String, Seed)> {
    match peer.kind {
        PeerKind::None => None,
        PeerKind::Database => {
            let system = if peer.system.is_empty() { "unknown" } else { &peer.system };
            let (id, name) = match database_name(by, &peer.name, &peer.address) {
                name if name.is_empty() => (format!("database:{system}"), system.to_owned()),
                name => (format!("database:{system}:{name}"), name),
            };
            Some((id, seed(NodeKind::Database, "", &name, system)))
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
    cfg.ignore_services.iter().any(|pattern| glob::service(pattern, namespace, name))
}

pub(super) fn operation_ignored(cfg: &TopologyConfig, name: &str) -> bool {
    glob::any(&cfg.ignore_operations, name) || cfg.ignore.iter().any(|preset| presets::ignores(*preset, name))
}

pub(super) fn display_name(name: &str) -> &str {
    if name.is_empty() { UNKNOWN_SERVICE } else { name }
}

/// A service under the name that counts.
pub(super) struct Named {
    pub(super) id: String,
    pub(super) seed: Seed,
    pub(super) renamed: bool,
}

impl Named {
    /// The name, the id and the node of a service.
    pub(super) fn of(service: &ServiceName, scope: u32, cfg: &TopologyConfig) -> Self {
        let (namespace, name) = aliases::service(&cfg.aliases, &service.namespace, display_name(&service.name));
        let id = scope::id(service_id(&namespace, &name), &service.scope, !cfg.identity_dimensions.is_empty());
        let renamed = namespace != service.namespace || name != display_name(&service.name);
        let seed = Seed { instrumented: true, scope, ..seed(NodeKind::Service, &namespace, &name, "") };
        Self { id, seed, renamed }
    }

    /// Whether a rule means it: by the name it sent, or by the one it is given.
    fn is(&self, sent: &ServiceName, rule: impl Fn(&str, &str) -> bool) -> bool {
        rule(&sent.namespace, display_name(&sent.name)) || (self.renamed && rule(&self.seed.namespace, &self.seed.name))
    }

    /// What rules make of its spans.
    pub(super) fn fate(&self, sent: &ServiceName, cfg: &TopologyConfig) -> Fate {
        if self.is(sent, |namespace, name| service_ignored(cfg, namespace, name)) {
            return Fate::Ignored;
        }
        let gateway = cfg.gateways.iter().find(|g| self.is(sent, |ns, name| glob::service(&g.pattern, ns, name)));
        if gateway.is_some_and(|g| g.treat == Treat::Merged) { Fate::Merged } else { Fate::Kept }
    }
}

/// A peer as it counts: what its alias makes of it, whether an ignore rule means it, and the node it names outside any
/// scope.
pub(super) struct NamedPeer {
    pub(super) peer: Peer,
    pub(super) node: Option<(String, Seed)>,
    pub(super) ignored: bool,
}

impl NamedPeer {
    /// Applies aliases, the database identity policy and ignore rules.
    pub(super) fn of(sent: &Peer, cfg: &TopologyConfig) -> Self {
        let node = |peer: &Peer| peer_node(peer, database_by(cfg, &peer.system));
        // The name of an alias says all: it is not taken apart again.
        let by_name = |peer: &Peer| peer_node(peer, DatabaseBy::Namespace);
        let ignored = |peer: &Peer, id: &str| match peer.kind {
            PeerKind::Service => service_ignored(cfg, &peer.namespace, &peer.name),
            PeerKind::Database | PeerKind::External => {
                cfg.ignore_services.iter().any(|p| id_kind(p).is_some() && glob::matches(p, id))
            }
            PeerKind::None | PeerKind::Messaging => false,
        };
        let own = node(sent);
        let id = own.as_ref().map_or("", |(id, _)| id.as_str());
        let sent_ignored = ignored(sent, id);
        let renamed = match sent.kind {
            _ if cfg.aliases.is_empty() => None,
            PeerKind::Service => {
                let (namespace, name) = aliases::service(&cfg.aliases, &sent.namespace, &sent.name);
                let same = namespace == sent.namespace && name == sent.name;
                (!same).then(|| Peer { namespace: namespace.into_owned(), name: name.into_owned(), ..sent.clone() })
            }
            _ => aliases::peer(&cfg.aliases, id),
        };
        match renamed {
            Some(peer) => {
                let node = by_name(&peer);
                let id = node.as_ref().map_or("", |(id, _)| id.as_str());
                let ignored = sent_ignored || ignored(&peer, id);
                Self { ignored, node, peer }
            }
            None => Self { ignored: sent_ignored, node: own, peer: sent.clone() },
        }
    }
}

/// Whether a rule about callers is about this service.
pub(super) fn means(rule: &Caller, sent: &ServiceName, named: &Named) -> bool {
    rule.service.as_ref().is_none_or(|pattern| named.is(sent, |ns, name| glob::service(pattern, ns, name)))
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
        let id = |p: &Peer| peer_node(p, DatabaseBy::Namespace).unwrap().0;
        assert_eq!(id(&peer("ts", "db-1")), "database:mysql:ts");
        assert_eq!(id(&peer("", "db-1")), "database:mysql:db-1");
        assert_eq!(id(&peer("", "")), "database:mysql");
    }
}
