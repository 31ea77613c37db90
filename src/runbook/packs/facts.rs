//! Facts about one node: what the configuration says, else what every span of it agrees on.

use super::super::context::{Context, Target};
use super::super::quote::{fit_for_command, label};
use crate::topology::NodeKind;

/// A value for a command.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::runbook) enum Fact {
    /// The value; `derived` is the name of a deployment that was read off the names of its pods.
    Known { value: String, derived: Option<String> },
    /// Which key is needed, and why there is no value.
    Missing { key: String, why: String },
}

/// The facts of one node.
pub(in crate::runbook) struct Facts<'a> {
    target: Target<'a>,
}

/// Keys of a workload and the word kubectl has for it, most common first.
const WORKLOADS: &[(&str, &str)] = &[
    ("k8s.deployment.name", "deployment"),
    ("k8s.statefulset.name", "statefulset"),
    ("k8s.daemonset.name", "daemonset"),
];

impl<'a> Facts<'a> {
    pub(in crate::runbook) fn new(_context: &Context<'a>, target: &Target<'a>) -> Self {
        Self { target: target.clone() }
    }

    pub(super) fn label(&self) -> String {
        self.target.label()
    }

    pub(super) fn kind(&self) -> NodeKind {
        self.target.kind
    }

    /// `db.system.name` or `messaging.system`, empty for services.
    pub(super) fn system(&self) -> &str {
        &self.target.system
    }

    /// Whether the configuration or the spans have the key, whatever the value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.target.config.is_some_and(|c| c.facts.contains_key(key))
            || self.target.node.is_some_and(|n| n.attributes.contains_key(key))
    }

    /// Whether any key starts like this.
    pub(super) fn has_prefix(&self, prefix: &str) -> bool {
        self.target.config.is_some_and(|c| c.facts.keys().any(|k| k.starts_with(prefix)))
            || self.target.node.is_some_and(|n| n.attributes.keys().any(|k| k.starts_with(prefix)))
    }

    /// Whether a key has exactly this value.
    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        matches!(self.get(key), Fact::Known { value: v, .. } if v == value)
    }

    /// The value of a key, or of one of the derived ones: `name`, `net.host`, `k8s.workload` (`deployment/api`),
    /// `k8s.scalable` (the same without daemon sets), `k8s.workload.name`.
    pub(in crate::runbook) fn get(&self, key: &str) -> Fact {
        match key {
            "name" => usable("name", &self.target.name, None),
            "net.host" => self.host(),
            "k8s.workload" => self.workload(true, true),
            "k8s.scalable" => self.workload(false, true),
            "k8s.workload.name" => self.workload(true, false),
            _ => self.plain(key),
        }
    }

    fn plain(&self, key: &str) -> Fact {
        if let Some(value) = self.target.config.and_then(|c| c.facts.get(key)) {
            return usable(key, value, None);
        }
        let Some(values) = self.target.node.and_then(|n| n.attributes.get(key)) else {
            return missing(key, "is not known");
        };
        let mut names = values.keys().filter(|v| *v != "(other)");
        match (names.next(), values.len()) {
            (Some(value), 1) => usable(key, value, None),
            // A command that changes the wrong one of two places is worse than no command.
            _ => missing(key, &format!("has {} values in the traces", values.len())),
        }
    }

    fn host(&self) -> Fact {
        let name = &self.target.name;
        let hostname = name.contains('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
        match self.plain("net.host") {
            Fact::Missing { .. } if hostname => usable("net.host", name, None),
            fact => fact,
        }
    }

    fn workload(&self, daemons: bool, with_kind: bool) -> Fact {
        for (key, kind) in WORKLOADS.iter().filter(|(_, kind)| daemons || *kind != "daemonset") {
            if self.has(key) {
                return match self.plain(key) {
                    Fact::Known { value, derived } if with_kind => {
                        Fact::Known { value: format!("{kind}/{value}"), derived }
                    }
                    fact => fact,
                };
            }
        }
        let pods = self.target.node.and_then(|n| n.attributes.get("k8s.pod.name"));
        let names: Vec<Option<&str>> = pods.into_iter().flatten().map(|(pod, _)| deployment_of(pod)).collect();
        match names.first() {
            Some(Some(name)) if names.iter().all(|n| n == &Some(*name)) => {
                let value = if with_kind { format!("deployment/{name}") } else { (*name).to_owned() };
                usable("k8s.deployment.name", &value, Some(label(name)))
            }
            _ => missing("k8s.deployment.name", "is not known"),
        }
    }
}

fn usable(key: &str, value: &str, derived: Option<String>) -> Fact {
    if fit_for_command(value) {
        return Fact::Known { value: value.to_owned(), derived };
    }
    missing(key, "has a value that cannot stand in a command")
}

fn missing(key: &str, why: &str) -> Fact {
    Fact::Missing { key: key.to_owned(), why: why.to_owned() }
}

/// The deployment of a pod `name-<replica set hash>-<pod hash>`. Kubernetes draws both from an alphabet without vowels
/// (k8s.io/apimachinery util/rand), which keeps ordinary words from being taken for hashes.
fn deployment_of(pod: &str) -> Option<&str> {
    const ALPHABET: &str = "bcdfghjklmnpqrstvwxz2456789";
    let is_hash = |s: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&s.len()) && s.chars().all(|c| ALPHABET.contains(c))
    };
    let (rest, pod_hash) = pod.rsplit_once('-')?;
    let (name, set_hash) = rest.rsplit_once('-')?;
    (is_hash(pod_hash, 5..=5) && is_hash(set_hash, 6..=10) && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_derived_only_from_a_pod_name_with_both_hashes() {
        assert_eq!(deployment_of("checkoutservice-578fcf766-9csqn"), Some("checkoutservice"));
        assert_eq!(deployment_of("redis-cart-67b4f4bbd8-6zw2f"), Some("redis-cart"));
        for other in ["kafka-0", "api", "order-worker-queue", "daemon-abcde", "-578fcf766-9csqn", ""] {
            assert_eq!(deployment_of(other), None, "{other}");
        }
    }
}
