//! Aliases: another name for a service, or for what its callers name.
//!
//! Input: names and ids as they came. Output: names and peers as they count. The first rule that matches is applied, once:
//! what it makes is not matched again, so no list of rules runs in circles.

use std::borrow::Cow;

use super::cfg::{Alias, id_kind};
use super::glob;
use crate::spans::{Peer, PeerKind};

/// Namespace and name of a service under its alias. An alias without `/` keeps the namespace: services of different
/// namespaces become one only where the rule says so.
pub(super) fn service<'a>(aliases: &[Alias], namespace: &'a str, name: &'a str) -> (Cow<'a, str>, Cow<'a, str>) {
    let mut found = aliases.iter().filter(|alias| id_kind(&alias.pattern).is_none());
    let whole = if namespace.is_empty() { String::new() } else { format!("{namespace}/{name}") };
    let alias = found.find_map(|alias| {
        let stars = glob::captures(&alias.pattern, name);
        let stars = stars.or_else(|| glob::captures(&alias.pattern, &whole).filter(|_| !namespace.is_empty()));
        Some(fill(&alias.name, &stars?))
    });
    let Some(alias) = alias else { return (Cow::Borrowed(namespace), Cow::Borrowed(name)) };
    match alias.split_once('/') {
        Some((namespace, name)) => (Cow::Owned(namespace.to_owned()), Cow::Owned(name.to_owned())),
        None => (Cow::Borrowed(namespace), Cow::Owned(alias)),
    }
}

/// What a peer with this id is under its alias; `None` when no rule matches.
pub(super) fn peer(aliases: &[Alias], id: &str) -> Option<Peer> {
    let mut found = aliases.iter().filter(|alias| id_kind(&alias.pattern).is_some());
    let name = found.find_map(|alias| {
        let stars = glob::captures(&alias.pattern, id)?;
        Some(fill(&alias.name, &stars))
    })?;
    Some(parse(&name))
}

/// The name with `{n}` replaced by what the n-th star stood for.
fn fill(name: &str, stars: &[&str]) -> String {
    let mut out = String::new();
    let mut parts = name.split('{');
    out.push_str(parts.next().unwrap_or(""));
    for part in parts {
        let number = part.split_once('}').and_then(|(n, rest)| Some((n.parse::<usize>().ok()?.checked_sub(1)?, rest)));
        match number.and_then(|(n, rest)| Some((stars.get(n)?, rest))) {
            Some((star, rest)) => {
                out.push_str(star);
                out.push_str(rest);
            }
            None => {
                out.push('{');
                out.push_str(part);
            }
        }
    }
    out
}

/// An alias's name as a peer: `database:SYSTEM:NAME`, `messaging:SYSTEM:NAME`, `external:NAME`, else a logical service
/// name with or without namespace.
fn parse(name: &str) -> Peer {
    let two = |rest: &str| match rest.split_once(':') {
        Some((system, name)) => (system.to_owned(), name.to_owned()),
        None => (rest.to_owned(), String::new()),
    };
    let rest = |kind: &str| name.strip_prefix(kind);
    if let Some((system, name)) = rest("database:").map(two) {
        return Peer { kind: PeerKind::Database, system, name, ..Peer::default() };
    }
    if let Some((system, name)) = rest("messaging:").map(two) {
        return Peer { kind: PeerKind::Messaging, system, name, ..Peer::default() };
    }
    if let Some(address) = rest("external:") {
        return Peer { kind: PeerKind::External, address: address.to_owned(), ..Peer::default() };
    }
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    Peer { kind: PeerKind::Service, name: name.to_owned(), namespace: namespace.to_owned(), ..Peer::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(list: &[(&str, &str)]) -> Vec<Alias> {
        list.iter().map(|(p, n)| Alias { pattern: (*p).into(), name: (*n).into() }).collect()
    }

    #[test]
    fn the_first_rule_that_matches_renames_once_and_keeps_the_namespace() {
        let rules = rules(&[
            ("shop/cart-*", "cart"),
            ("*-canary", "{1}"),
            ("legacy-*", "old/{1}"),
            ("pay", "/payments"),
            ("cart", "never"),
            ("external:*", "x"),
        ]);
        for (namespace, name, want) in [
            ("shop", "cart-v2", ("shop", "cart")),
            ("", "cart-v2", ("", "cart-v2")),
            ("eu", "api-canary", ("eu", "api")),
            ("eu", "legacy-api", ("old", "api")),
            ("eu", "pay", ("", "payments")),
            ("", "web", ("", "web")),
        ] {
            let (got_namespace, got_name) = service(&rules, namespace, name);
            assert_eq!((&*got_namespace, &*got_name), want, "{namespace}/{name}");
        }
    }

    #[test]
    fn an_id_becomes_a_service_or_a_readable_name() {
        let rules = rules(&[
            ("external:10.0.0.7", "payments"),
            ("external:*.*.svc.cluster.local", "{2}/{1}"),
            ("external:10.*", "external:the office"),
            ("external:db-*", "database:postgresql:shard {1}"),
            ("messaging:kafka:orders-*", "messaging:kafka:orders"),
            ("database:mysql", "database:mysql"),
            ("web*", "never"),
        ]);
        let of = |kind, system: &str, namespace: &str, name: &str, address: &str| {
            let text = str::to_owned;
            Some(Peer {
                kind,
                system: text(system),
                name: text(name),
                address: text(address),
                namespace: text(namespace),
            })
        };
        use PeerKind::{Database, External, Messaging, Service};
        for (id, want) in [
            ("external:10.0.0.7", of(Service, "", "", "payments", "")),
            ("external:cart.shop.svc.cluster.local", of(Service, "", "shop", "cart", "")),
            ("external:10.0.0.8", of(External, "", "", "", "the office")),
            ("external:db-3", of(Database, "postgresql", "", "shard 3", "")),
            ("messaging:kafka:orders-eu", of(Messaging, "kafka", "", "orders", "")),
            ("database:mysql", of(Database, "mysql", "", "", "")),
            ("web", None),
        ] {
            assert_eq!(peer(&rules, id), want, "{id}");
        }
    }

    #[test]
    fn braces_that_are_no_number_stay() {
        assert_eq!(fill("{x} {9} {1}{1} {", &["a"]), "{x} {9} aa {");
    }
}
