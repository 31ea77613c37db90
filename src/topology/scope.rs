//! Scopes: the values of the resource attributes that are part of a node's identity (`topology.identity_dimensions`).
//!
//! Input: resources, and which service uses which peer. Output: the part of a node id behind `@`. Without configured
//! dimensions there is one scope, the empty one, and ids are as if this file were not there.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use super::hash;

/// Most pairs of peer and scope that become nodes of their own; beyond it, chosen by hash, they share one without a scope.
const MOST_PAIRS: usize = 1 << 18;

/// The values of `keys` in their order, e.g. `prod,eu-1`; a missing one is empty, and with none at all so is the scope.
pub(super) fn of(keys: &[&'static str], attributes: &[(&'static str, String)]) -> String {
    if keys.is_empty() {
        return String::new();
    }
    let value = |key: &&str| attributes.iter().find(|(k, _)| k == key).map_or("", |(_, v)| v.as_str());
    let values: Vec<String> = keys.iter().map(|key| escape(value(key)).replace(',', "%2C")).collect();
    if values.iter().all(String::is_empty) { String::new() } else { values.join(",") }
}

/// What would be taken for the parts of an id.
fn escape(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('@', "%40")
}

/// An id within a scope. `scoped` says whether scopes are in use: only then is an `@` of the id escaped.
pub(super) fn id(id: String, scope: &str, scoped: bool) -> String {
    let id = if scoped && id.contains('@') { id.replace('@', "%40") } else { id };
    if scope.is_empty() { id } else { format!("{id}@{scope}") }
}

/// Which peers are named by spans of which scope: a set that stays small whatever comes, and holds the same whatever comes
/// first (the pairs of smallest hash, as in [`super::dict`]).
#[derive(Debug, Default)]
pub(super) struct Usage {
    /// Scope by position among the services.
    of_service: Vec<u32>,
    /// Scopes by number, sorted.
    scopes: Vec<String>,
    /// (peer, scope) and their hash.
    pairs: HashMap<(u32, u32), u64, foldhash::fast::FixedState>,
    shift: u32,
}

impl Usage {
    /// For services with these scopes, by position.
    pub(super) fn new<'a>(of_services: impl Iterator<Item = &'a str> + Clone) -> Self {
        let scopes: BTreeSet<&str> = of_services.clone().collect();
        let number: BTreeMap<&str, u32> = scopes.iter().copied().zip(0..).collect();
        Self {
            of_service: of_services.map(|scope| number.get(scope).copied().unwrap_or(0)).collect(),
            scopes: scopes.into_iter().map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// All scopes by number.
    pub(super) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The scope of a service.
    pub(super) fn of_service(&self, service: u32) -> u32 {
        self.of_service.get(service as usize).copied().unwrap_or(0)
    }

    /// Notes a span of a service that names a peer. `hash` is the peer's content hash.
    pub(super) fn note(&mut self, peer: u32, hash: u64, service: u32) {
        let scope = self.of_service(service);
        if self.pairs.contains_key(&(peer, scope)) {
            return;
        }
        let hash = hash::text(hash, self.scopes.get(scope as usize).map_or("", String::as_str));
        if hash.leading_zeros() >= self.shift {
            self.pairs.insert((peer, scope), hash);
        }
        while self.pairs.len() > MOST_PAIRS && self.shift < 64 {
            self.shift += 1;
            self.pairs.retain(|_, hash| hash.leading_zeros() >= self.shift);
        }
    }

    /// The scopes a peer is named in, sorted.
    pub(super) fn by_peer(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut all: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (peer, scope) in self.pairs.keys() {
            all.entry(*peer).or_default().push(*scope);
        }
        all.values_mut().for_each(|scopes| scopes.sort_unstable());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_the_values_in_order_and_two_ids_never_meet() {
        let keys = ["deployment.environment.name", "k8s.cluster.name"];
        let with = |environment: &str, cluster: &str| {
            let both = [(keys[0], environment.to_owned()), (keys[1], cluster.to_owned())];
            of(&keys, &both.into_iter().filter(|(_, v)| !v.is_empty()).collect::<Vec<_>>())
        };
        assert_eq!(with("prod", "eu-1"), "prod,eu-1");
        assert_eq!(with("", "eu-1"), ",eu-1");
        assert_eq!(with("", ""), "");
        assert_eq!(with("a,b@c/d%", "x"), "a%2Cb%40c%2Fd%25,x");
        assert_eq!(of(&[], &[(keys[0], "prod".into())]), "");
        assert_eq!(id("cart".into(), "prod", true), "cart@prod");
        assert_eq!(id("cart@prod".into(), "", true), "cart%40prod");
        assert_eq!(id("cart@prod".into(), "", false), "cart@prod");
    }

    #[test]
    fn pairs_beyond_the_cap_are_the_same_whatever_came_first() {
        let scopes: Vec<String> = (0..600).map(|i| format!("env-{i}")).collect();
        let fill = |backwards: bool| {
            let mut usage = Usage::new(scopes.iter().map(String::as_str));
            for n in 0..600 * 600 {
                let n = if backwards { 600 * 600 - 1 - n } else { n };
                usage.note(n / 600, hash::mix(9, u64::from(n / 600)), n % 600);
            }
            usage.by_peer()
        };
        let all = fill(false);
        let pairs: usize = all.values().map(Vec::len).sum();
        assert!((MOST_PAIRS / 4..=MOST_PAIRS).contains(&pairs), "{pairs}");
        assert!(all == fill(true));
    }
}
