//! Who is at the other end of a calling span, from its attributes (docs/topology.md, "Nodes").

use super::spans::Span;

const ADDRESS: &[&str] =
    &["server.address", "net.peer.name", "network.peer.address", "net.sock.peer.addr", "net.peer.ip", "http.host"];

/// The node and the kind of the edge to it.
pub fn named(span: &Span) -> Option<(String, &'static str)> {
    let database = span.attribute(&["db.system.name", "db.system"]);
    let within =
        span.attribute(&["db.namespace", "db.name", "db.redis.database_index", "db.cassandra.keyspace", "db.instance"]);
    if let Some(system) = database.or(within.map(|_| "unknown")) {
        let name = within.or(address(span));
        return Some((name.map_or(format!("database:{system}"), |n| format!("database:{system}:{n}")), "database"));
    }
    if let Some(topic) = topic(span) {
        return Some((topic, "messaging"));
    }
    assert!(span.attribute(&["service.peer.name", "peer.service"]).is_none(), "no logical names in this data");
    let url = span.attribute(&["url.full", "http.url"]).and_then(|u| u.split("://").nth(1)?.split('/').next());
    let host = address(span).or(url)?;
    Some((format!("external:{}", host.split(':').next()?), "external"))
}

fn address(span: &Span) -> Option<&str> {
    span.attribute(ADDRESS)
}

/// The topic a span names.
pub fn topic(span: &Span) -> Option<String> {
    let system = span.attribute(&["messaging.system"])?;
    let keys = &["messaging.destination.template", "messaging.destination.name", "messaging.destination"];
    let name = span.attribute(keys).or_else(|| span.name.strip_suffix(" publish"))?;
    Some(format!("messaging:{system}:{name}"))
}
