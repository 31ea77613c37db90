//! Who is at the other end of a span, from its attributes and name alone.

use std::borrow::Cow;

use super::mapper::MAX_VALUE;
use super::view::{Known, Value};
use crate::spans::semconv::{self, Slot};
use crate::spans::{Peer, PeerKind, SpanKind, normalize};

/// Fills `peer` (reused, to spare allocations) and says whether there is one.
///
/// A SERVER span has a peer only where it names its caller: its `server.address` is its own. INTERNAL spans have none.
pub(super) fn derive(name: &str, kind: SpanKind, known: &Known<'_>, peer: &mut Peer) -> bool {
    if !kind.calls_out() && !kind.is_called() {
        return false;
    }
    peer.kind = PeerKind::None;
    for text in [&mut peer.system, &mut peer.name, &mut peer.address, &mut peer.namespace] {
        text.clear();
    }
    let order = if kind == SpanKind::Server { &[PeerKind::Service][..] } else { &semconv::PEER_ORDER[..] };
    let found = order.iter().any(|candidate| match candidate {
        PeerKind::Database => database(known, peer),
        PeerKind::Messaging => messaging(name, kind, known, peer),
        PeerKind::Service => service(known, peer),
        PeerKind::External | PeerKind::None => false,
    });
    if kind != SpanKind::Server {
        address(known, &mut peer.address);
    }
    if !found && !peer.address.is_empty() {
        peer.kind = PeerKind::External;
    }
    peer.kind != PeerKind::None
}

/// What [`derive`] looks at, for spans that call out or receive.
const LOOKED_AT: u32 = CALLER
    | Known::bit(Slot::DbSystem)
    | Known::bit(Slot::DbNamespace)
    | Known::bit(Slot::MessagingSystem)
    | Known::bit(Slot::MessagingDestination)
    | Known::bit(Slot::MessagingAnonymous)
    | Known::bit(Slot::MessagingTemporary)
    | Known::bit(Slot::Address)
    | Known::bit(Slot::Url);
/// The same for SERVER spans.
const CALLER: u32 = Known::bit(Slot::PeerService) | Known::bit(Slot::PeerNamespace);

/// Makes `key` hold all that [`derive`] decides by, so that spans with equal keys have the same peer. Gives the slots that went
/// into it, one bit each; `None` when there can be no peer.
pub(super) fn key(key: &mut Vec<u8>, name: &[u8], kind: SpanKind, known: &Known<'_>) -> Option<u32> {
    let (class, slots) = match kind {
        SpanKind::Server => (0, CALLER),
        SpanKind::Client => (1, LOOKED_AT),
        SpanKind::Producer | SpanKind::Consumer => (2, LOOKED_AT),
        SpanKind::Internal | SpanKind::Unspecified => return None,
    };
    let mut slots = known.of_these(slots);
    if slots == 0 && class != 2 {
        return None;
    }
    key.clear();
    key.push(class);
    let is_set = |slot| slots & Known::bit(slot) != 0;
    if !is_set(Slot::MessagingDestination) && (class == 2 || class == 1 && is_set(Slot::MessagingSystem)) {
        Value::Raw(name).push_to(key, u8::MAX);
    }
    if is_set(Slot::Address) {
        // Of a URL only the host matters, and only where there is no address.
        slots &= !Known::bit(Slot::Url);
    } else if is_set(Slot::Url)
        && let Some(url) = known.get(Slot::Url)
    {
        url.as_str().map_or(url, |url| Value::Str(host_of(url))).push_to(key, Slot::Url as u8);
    }
    for (slot, value) in known.each(slots & !Known::bit(Slot::Url)) {
        value.push_to(key, slot);
    }
    Some(slots)
}

fn database(known: &Known<'_>, peer: &mut Peer) -> bool {
    let (system, namespace) = (known.text(Slot::DbSystem), known.text(Slot::DbNamespace));
    if system.is_none() && namespace.is_none() {
        return false;
    }
    peer.kind = PeerKind::Database;
    if let Some(system) = system {
        push_lower(&mut peer.system, &system);
        if let Some((_, now)) = semconv::DB_SYSTEM_RENAMED.iter().find(|(old, _)| *old == peer.system) {
            peer.system.clear();
            peer.system.push_str(now);
        }
    }
    peer.name.push_str(&normalize::attribute(&namespace.unwrap_or_default(), MAX_VALUE));
    true
}

fn messaging(name: &str, kind: SpanKind, known: &Known<'_>, peer: &mut Peer) -> bool {
    let system = known.text(Slot::MessagingSystem);
    let destination = known.text(Slot::MessagingDestination);
    let is_set = |slot| known.text(slot).is_some_and(|text| text.eq_ignore_ascii_case("true"));
    let sends_or_receives = matches!(kind, SpanKind::Producer | SpanKind::Consumer);
    let destination = if is_set(Slot::MessagingAnonymous) {
        Some(Cow::Borrowed("(anonymous)"))
    } else if is_set(Slot::MessagingTemporary) {
        Some(Cow::Borrowed("(temporary)"))
    } else if destination.is_none() && (system.is_some() || sends_or_receives) {
        destination_in_name(name).map(Cow::Borrowed)
    } else {
        destination
    };
    if system.is_none() && destination.is_none() {
        return false;
    }
    peer.kind = PeerKind::Messaging;
    push_lower(&mut peer.system, &system.unwrap_or_default());
    peer.name.push_str(&normalize::operation(&destination.unwrap_or_default()));
    true
}

fn service(known: &Known<'_>, peer: &mut Peer) -> bool {
    let Some(name) = known.text(Slot::PeerService) else { return false };
    peer.kind = PeerKind::Service;
    peer.name.push_str(&normalize::attribute(&name, MAX_VALUE));
    peer.namespace.push_str(&normalize::attribute(&known.text(Slot::PeerNamespace).unwrap_or_default(), MAX_VALUE));
    true
}

fn address(known: &Known<'_>, out: &mut String) {
    if let Some(address) = known.text(Slot::Address) {
        // A gRPC target, `dns:///ad:8080`, or a whole URL.
        let target = address.rsplit_once(":///").map_or(&*address, |(_, target)| target);
        push_lower(out, if target.contains("://") { host_of(target) } else { without_port(target) });
    } else if let Some(url) = known.get(Slot::Url).and_then(Value::as_str) {
        push_lower(out, host_of(url));
    }
}

/// The destination in a span name of the older convention, `orders publish` or `publish orders`.
fn destination_in_name(name: &str) -> Option<&str> {
    let name = name.trim();
    let is_word = |word: &str| semconv::MESSAGING_WORDS.iter().any(|w| w.eq_ignore_ascii_case(word));
    let last = name.rsplit_once(' ').filter(|(_, word)| is_word(word)).map(|(rest, _)| rest);
    let first = || name.split_once(' ').filter(|(word, _)| is_word(word)).map(|(_, rest)| rest);
    last.or_else(first).map(str::trim).filter(|rest| !rest.is_empty())
}

/// The host of a URL, without scheme, user info, port, path or query; empty when there is none.
fn host_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return "" };
    let host = rest.split(['/', '?', '#']).next().unwrap_or("");
    without_port(host.rsplit_once('@').map_or(host, |(_, host)| host))
}

/// `host` of `host:port`, `::1` of `[::1]:80`; a bare IPv6 address and a bare `:port` as they are.
fn without_port(address: &str) -> &str {
    if let Some((host, _)) = address.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return host;
    }
    match address.split_once(':') {
        Some((host, port)) if !host.is_empty() && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => address,
    }
}

fn push_lower(out: &mut String, text: &str) {
    let text = normalize::attribute(text, MAX_VALUE);
    if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) {
        out.push_str(&text.to_lowercase());
    } else {
        out.push_str(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str, kind: SpanKind, attributes: &[(&str, &str)]) -> Peer {
        let attributes: Vec<_> = attributes.iter().map(|(k, v)| (*k, Value::Str(v))).collect();
        let known = Known::of(&attributes);
        let mut peer = Peer { kind: PeerKind::External, address: "left over".into(), ..Peer::default() };
        let found = derive(name, kind, &known, &mut peer);
        assert!(key(&mut Vec::new(), name.as_bytes(), kind, &known).is_some() || !found);
        assert!(found || !(kind.calls_out() || kind.is_called()) || peer == Peer::default());
        if found { peer } else { Peer::default() }
    }

    fn is(kind: PeerKind, system: &str, name: &str, address: &str) -> Peer {
        Peer { kind, system: system.into(), name: name.into(), address: address.into(), namespace: String::new() }
    }

    #[test]
    fn old_and_new_conventions_name_the_same_database() {
        use SpanKind::Client;
        let new = [
            ("db.system.name", "postgresql"),
            ("db.namespace", "catalog"),
            ("server.address", "postgres-catalog.shop.svc"),
        ];
        let old = [("db.system", "PostgreSQL"), ("db.name", "catalog"), ("net.peer.name", "Postgres-Catalog.shop.svc")];
        let want = is(PeerKind::Database, "postgresql", "catalog", "postgres-catalog.shop.svc");
        assert_eq!(peer("SELECT products", Client, &new), want);
        assert_eq!(peer("SELECT products", Client, &old), want);
        let redis = [("db.system", "redis"), ("db.namespace", "3"), ("peer.service", "cart-cache")];
        assert_eq!(peer("HGET", Client, &redis), is(PeerKind::Database, "redis", "3", ""));
        assert_eq!(
            peer("q", Client, &[("db.system", "mssql")]),
            peer("q", Client, &[("db.system.name", "microsoft.sql_server")])
        );
    }

    #[test]
    fn a_destination_comes_from_attributes_or_the_old_span_name() {
        use SpanKind::{Client, Consumer, Internal, Producer};
        let kafka = ("messaging.system", "kafka");
        for (name, kind, attributes, want) in [
            ("x", Producer, &[kafka, ("messaging.destination.name", "orders")][..], Some(("kafka", "orders"))),
            ("x", Consumer, &[kafka, ("messaging.destination", "orders")], Some(("kafka", "orders"))),
            (
                "x",
                Producer,
                &[("messaging.destination.name", "c-1"), ("messaging.destination.template", "c-{customer}")],
                Some(("", "c-{customer}")),
            ),
            ("x", Producer, &[kafka, ("messaging.destination.temporary", "true")], Some(("kafka", "(temporary)"))),
            ("orders publish", Producer, &[], Some(("", "orders"))),
            ("publish orders", Producer, &[], Some(("", "orders"))),
            ("orders process", Consumer, &[kafka], Some(("kafka", "orders"))),
            ("receive orders", Client, &[kafka], Some(("kafka", "orders"))),
            ("send mail", Client, &[], None),
            ("publish", Producer, &[], None),
            ("orders publish", Internal, &[kafka], None),
        ] {
            let want = want.map(|(system, topic)| is(PeerKind::Messaging, system, topic, ""));
            assert_eq!(peer(name, kind, attributes), want.unwrap_or_default(), "{name} {kind:?} {attributes:?}");
        }
    }

    #[test]
    fn a_logical_name_beats_an_address_and_only_the_logical_name_is_a_caller() {
        let both = [("peer.service", "ad"), ("server.address", "10.0.0.7")];
        assert_eq!(peer("GetAds", SpanKind::Client, &both), is(PeerKind::Service, "", "ad", "10.0.0.7"));
        assert_eq!(peer("GetAds", SpanKind::Server, &both), is(PeerKind::Service, "", "ad", ""));
        assert_eq!(peer("GetAds", SpanKind::Server, &both[1..]), Peer::default());
        let named = [("peer.service", "old"), ("service.peer.name", "ad"), ("service.peer.namespace", "shop")];
        let want = Peer { namespace: "shop".into(), ..is(PeerKind::Service, "", "ad", "") };
        assert_eq!(peer("GetAds", SpanKind::Client, &named), want);
        assert_eq!(peer("x", SpanKind::Client, &[("rpc.service", "shop.Ads")]), Peer::default());
    }

    #[test]
    fn an_address_loses_port_user_and_path() {
        for (key, value, want) in [
            ("http.host", "API.example.com:8443", "api.example.com"),
            ("http.host", ":8080", ":8080"),
            ("url.full", "https://bob:secret@api.example.com:443/v1?token=x", "api.example.com"),
            ("http.url", "http://[::1]:80/", "::1"),
            ("http.url", "/relative", ""),
            ("net.peer.ip", "2001:db8::1", "2001:db8::1"),
            ("server.address", "/var/run/db.sock", "/var/run/db.sock"),
            ("server.address", "dns:///ad:8080", "ad"),
            ("net.peer.name", "http://quote:8090/x", "quote"),
        ] {
            let want = if want.is_empty() { Peer::default() } else { is(PeerKind::External, "", "", want) };
            assert_eq!(peer("GET", SpanKind::Client, &[(key, value)]), want, "{value}");
        }
        let empty_first = [("server.address", ""), ("net.peer.name", "quote")];
        assert_eq!(peer("POST", SpanKind::Client, &empty_first).address, "quote");
    }
}
