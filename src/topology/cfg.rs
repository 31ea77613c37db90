//! The topology section of the configuration: limits, and the rules that say who is who and what is left out.
//!
//! Purpose: the rules as they are written, what is wrong with them, and a fingerprint of what they mean. They are
//! compiled and applied once per dictionary entry (`identity.rs`), never per span.

use serde::Deserialize;

use crate::diag::{Diagnostic, Location};

/// How spans become nodes and edges. `Default` is what runs without a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TopologyConfig {
    /// Most services kept; the rest is counted in `coverage.overflow`.
    pub max_services: usize,
    /// Most operations kept per service; the rest goes into the operation `(other)`.
    pub max_operations: usize,
    /// Most edges kept.
    pub max_edges: usize,
    /// What is left out by ready-made rules.
    pub ignore: Vec<Preset>,
    /// Services left out altogether (`name` or `namespace/name`, `*` as a wildcard): probes, load generators. Inferred
    /// databases and addresses by their id.
    pub ignore_services: Vec<String>,
    /// Operations left out (`*` as a wildcard): health checks.
    pub ignore_operations: Vec<String>,
    /// Other names for services and for what callers name; the first that matches counts.
    pub aliases: Vec<Alias>,
    /// Gateways and proxies; the first that matches counts.
    pub gateways: Vec<Gateway>,
    /// Names for requests from outside, by what they call; the first that matches counts.
    pub callers: Vec<Caller>,
    /// What tells databases apart, by system; the first that matches counts, else [`DatabaseBy::Namespace`].
    pub database_identity: Vec<DatabaseIdentity>,
    /// Resource attributes that are part of a node's identity.
    pub identity_dimensions: Vec<Dimension>,
    /// Whether evidence for a diagnosis is collected besides the topology: critical paths, origins of failures, what
    /// follows what, instances, traces in short.
    pub evidence: bool,
    /// Bytes of spans held in memory before they spill to temporary files.
    pub memory_bytes: usize,
}

impl Default for TopologyConfig {
    fn default() -> Self {
        Self {
            max_services: 10_000,
            max_operations: 500,
            max_edges: 100_000,
            ignore: Vec::new(),
            ignore_services: Vec::new(),
            ignore_operations: Vec::new(),
            aliases: Vec::new(),
            gateways: Vec::new(),
            callers: Vec::new(),
            database_identity: Vec::new(),
            identity_dimensions: Vec::new(),
            evidence: true,
            memory_bytes: 128 << 20,
        }
    }
}

/// A ready-made ignore rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Probes: `/healthz`, `grpc.health.v1.Health/Check`, `/actuator/health` and their like.
    HealthChecks,
    /// Prometheus scrapes: `/metrics`, `/actuator/prometheus`.
    MetricsScrapes,
}

/// Another name for a service, or for what callers name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alias {
    /// `name` or `namespace/name` of a service, or the id of an inferred node (`external:10.0.0.7`,
    /// `database:postgresql:orders`); `*` as a wildcard.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What it is called: `name` (in the namespace it had), `namespace/name`, or an id with its kind. `{1}` is what the
    /// first `*` stood for.
    pub name: String,
}

/// A gateway, proxy or sidecar that has spans of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// `name` or `namespace/name` of the service, `*` as a wildcard.
    #[serde(rename = "match")]
    pub pattern: String,
    /// What becomes of it.
    #[serde(rename = "as")]
    pub treat: Treat,
}

/// What becomes of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Treat {
    /// Its spans are looked through: who calls through it calls what is behind it.
    Merged,
    /// It is a service like any other.
    Shown,
}

/// A name for requests from outside.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Caller {
    /// The service called: `name` or `namespace/name`, `*` as a wildcard; any without it.
    #[serde(default)]
    pub service: Option<String>,
    /// The operation called, `*` as a wildcard; any without it.
    #[serde(default)]
    pub operation: Option<String>,
    /// Who calls: the node is `entry:NAME`.
    pub name: String,
}

/// What tells the databases of a system apart.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseIdentity {
    /// `db.system.name`, `*` as a wildcard.
    pub system: String,
    /// What counts.
    pub by: DatabaseBy,
}

/// What tells databases apart. What is not there falls back on the next: namespace, address, system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DatabaseBy {
    /// `db.namespace`: replicas and fail-overs change the address and not what is in it.
    #[default]
    Namespace,
    /// The address: many databases of one name, one for each server.
    Address,
    /// Both, as `ADDRESS/NAMESPACE`.
    Both,
    /// Neither: one node for the whole system.
    System,
}

/// A resource attribute that may be part of a node's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Dimension {
    /// Environment.
    #[serde(rename = "deployment.environment.name")]
    Environment,
    /// Cluster.
    #[serde(rename = "k8s.cluster.name")]
    Cluster,
    /// Kubernetes namespace.
    #[serde(rename = "k8s.namespace.name")]
    Namespace,
    /// Region.
    #[serde(rename = "cloud.region")]
    Region,
    /// Version: for comparing versions seen side by side, not for configurations. A node would be another one with every
    /// release.
    #[serde(skip_deserializing)]
    Version,
}

impl Dimension {
    /// All.
    pub const ALL: [Self; 5] = [Self::Environment, Self::Cluster, Self::Namespace, Self::Region, Self::Version];

    /// The attribute.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Environment => "deployment.environment.name",
            Self::Cluster => "k8s.cluster.name",
            Self::Namespace => "k8s.namespace.name",
            Self::Region => "cloud.region",
            Self::Version => "service.version",
        }
    }
}

/// The kind a node id starts with, `None` for services.
pub(super) fn id_kind(id: &str) -> Option<&'static str> {
    ["database:", "messaging:", "external:", "entry:"].into_iter().find(|kind| id.starts_with(kind))
}

impl TopologyConfig {
    /// What is wrong with the rules, each with its key path under `topology`.
    #[must_use]
    pub fn problems(&self) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let mut say = |key: String, message: &str, help: &str| {
            let at = Location::default().at_key(format!("topology.{key}"));
            found.push(Diagnostic::error("config-value", message.to_owned()).at(at).help(help.to_owned()));
        };
        // A limit of nothing would replace every page by nothing.
        let limits = [
            ("max_services", self.max_services),
            ("max_operations", self.max_operations),
            ("max_edges", self.max_edges),
        ];
        for (name, _) in limits.iter().filter(|(_, limit)| *limit == 0) {
            say(
                (*name).to_owned(),
                &format!("`{name}` is zero: nothing would be kept"),
                "give it a number, or take it out",
            );
        }
        for (at, alias) in self.aliases.iter().enumerate() {
            if let Err((key, message, help)) = check_alias(alias) {
                say(format!("aliases[{at}].{key}"), message, help);
            }
        }
        for (at, gateway) in self.gateways.iter().enumerate() {
            if blank(&gateway.pattern) || id_kind(&gateway.pattern).is_some() {
                say(
                    format!("gateways[{at}].match"),
                    "a gateway is a service with spans of its own",
                    "give its `name` or `namespace/name`; `aliases` rename what callers name",
                );
            }
        }
        for (at, caller) in self.callers.iter().enumerate() {
            if blank(&caller.name) {
                say(format!("callers[{at}].name"), "the caller has no name", "give it one, e.g. `mobile`");
            }
            if caller.service.is_none() && caller.operation.is_none() {
                say(format!("callers[{at}]"), "nothing says which requests are meant", "add `service` or `operation`");
            }
        }
        for (at, _) in self.database_identity.iter().enumerate().filter(|(_, rule)| blank(&rule.system)) {
            say(format!("database_identity[{at}].system"), "the system is empty", "name one, or write `*` for all");
        }
        found
    }

    /// Keys of the attributes that are part of a node's identity, each once, in the configured order.
    pub(super) fn dimensions(&self) -> Vec<&'static str> {
        let mut keys: Vec<&'static str> = Vec::new();
        for key in self.identity_dimensions.iter().map(|dimension| dimension.key()) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// What the rules mean, as 32 hex digits: equal configurations of equal rules, and only those, give snapshots that may
    /// be merged. Limits and memory are not part of it. Empty when there is no rule at all.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        let mut rule = |parts: &[&str]| {
            // Lengths make the text unambiguous whatever the parts hold.
            parts.iter().for_each(|part| text.push_str(&format!("{}:{part},", part.len())));
            text.push('\n');
        };
        let mut presets = self.ignore.clone();
        presets.sort_unstable();
        presets.dedup();
        presets.iter().for_each(|p| rule(&["ignore", &format!("{p:?}")]));
        let sorted = |list: &[String]| list.iter().cloned().collect::<std::collections::BTreeSet<String>>();
        sorted(&self.ignore_services).iter().for_each(|s| rule(&["ignore_service", s]));
        sorted(&self.ignore_operations).iter().for_each(|s| rule(&["ignore_operation", s]));
        self.aliases.iter().for_each(|a| rule(&["alias", &a.pattern, &a.name]));
        self.gateways.iter().for_each(|g| rule(&["gateway", &g.pattern, &format!("{:?}", g.treat)]));
        self.callers.iter().for_each(|c| {
            let any = |text: &Option<String>| text.clone().unwrap_or_else(|| "*".to_owned());
            rule(&["caller", &any(&c.service), &any(&c.operation), &c.name]);
        });
        self.database_identity.iter().for_each(|d| rule(&["database", &d.system, &format!("{:?}", d.by)]));
        self.dimensions().iter().for_each(|key| rule(&["dimension", key]));
        if text.is_empty() { text } else { format!("{:032x}", fnv(&text)) }
    }
}

/// FNV-1a, 128 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): the fingerprint must not change when the hashes of the
/// engine do.
fn fnv(text: &str) -> u128 {
    text.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash: u128, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    })
}

fn blank(text: &str) -> bool {
    text.trim().is_empty()
}

type Wrong = (&'static str, &'static str, &'static str);

/// Which kinds may take which names: spans have a service, so a service stays one; a topic stays one, since what goes
/// through it is told apart from calls.
fn check_alias(alias: &Alias) -> Result<(), Wrong> {
    if blank(&alias.pattern) {
        return Err(("match", "nothing to match", "give a name, or `*` for any"));
    }
    if blank(&alias.name) {
        return Err(("name", "the alias is empty", "give it a name"));
    }
    let (from, to) = (id_kind(&alias.pattern), id_kind(&alias.name));
    if from == Some("entry:") {
        return Err(("match", "requests from outside have no name to replace", "name them by `callers`"));
    }
    let fits = match from {
        None => to.is_none(),
        Some("messaging:") => to == from,
        Some("database:") => to.is_none() || to == from,
        _ => !matches!(to, Some("entry:" | "messaging:")),
    };
    if !fits {
        let help = "a service can only be called a service, a topic a topic; a database a database or service; an \
                    address also `external:…`";
        return Err(("name", "the name is of another kind", help));
    }
    let stars = alias.pattern.matches('*').count();
    if placeholders(&alias.name).any(|n| n == 0 || n > stars) {
        return Err((
            "name",
            "`{n}` stands for the n-th `*` of `match`, and there are fewer",
            "add a `*`, or take it out",
        ));
    }
    Ok(())
}

/// The numbers in `{1}`, `{2}`, … of an alias's name.
fn placeholders(name: &str) -> impl Iterator<Item = usize> + '_ {
    name.split('{').skip(1).filter_map(|rest| rest.split_once('}')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias(pattern: &str, name: &str) -> Alias {
        Alias { pattern: pattern.into(), name: name.into() }
    }

    #[test]
    fn an_alias_may_not_change_what_kind_of_thing_it_names() {
        for (pattern, name) in [
            ("cart-*", "cart"),
            ("cart-*", "shop/cart"),
            ("*-*", "{2}-{1}"),
            ("external:10.0.0.7", "payments"),
            ("external:10.0.0.7", "external:payments"),
            ("external:10.0.0.9", "database:postgresql:orders"),
            ("database:mysql:*", "mysql"),
            ("messaging:kafka:orders-*", "messaging:kafka:orders"),
        ] {
            assert_eq!(check_alias(&alias(pattern, name)), Ok(()), "{pattern} {name}");
        }
        for (pattern, name, key) in [
            ("", "x", "match"),
            ("x", " ", "name"),
            ("entry:user", "x", "match"),
            ("cart", "external:x", "name"),
            ("messaging:kafka:a", "b", "name"),
            ("database:mysql:a", "external:b", "name"),
            ("external:a", "entry:b", "name"),
            ("cart-*", "{2}", "name"),
            ("cart", "{1}", "name"),
            ("*", "{0}", "name"),
        ] {
            assert_eq!(check_alias(&alias(pattern, name)).unwrap_err().0, key, "{pattern} {name}");
        }
    }

    #[test]
    fn the_fingerprint_is_of_the_rules_and_not_of_limits_or_of_the_order_of_a_set() {
        let none = TopologyConfig { max_edges: 1, memory_bytes: 1, ..TopologyConfig::default() };
        assert_eq!(none.fingerprint(), "");
        let ignoring = |list: &[&str]| TopologyConfig {
            ignore_services: list.iter().map(|s| (*s).to_owned()).collect(),
            ..TopologyConfig::default()
        };
        assert_eq!(ignoring(&["a", "b"]).fingerprint(), ignoring(&["b", "a", "b"]).fingerprint());
        assert_ne!(ignoring(&["a", "b"]).fingerprint(), ignoring(&["a,1:b"]).fingerprint());
        let renaming = |list: &[(&str, &str)]| TopologyConfig {
            aliases: list.iter().map(|(p, n)| alias(p, n)).collect(),
            ..TopologyConfig::default()
        };
        let (ab, ba) = (renaming(&[("a*", "x"), ("ab", "y")]), renaming(&[("ab", "y"), ("a*", "x")]));
        assert_ne!(ab.fingerprint(), ba.fingerprint(), "the first that matches counts");
        // Pinned: snapshots written by one version must merge with those of the next.
        assert_eq!(ignoring(&["a"]).fingerprint(), format!("{:032x}", fnv("14:ignore_service,1:a,\n")));
        assert_eq!(fnv(""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
    }
}
