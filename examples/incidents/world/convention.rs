//! Span names and attributes as instrumentations write them, in the current and in the older semantic conventions.
//!
//! Purpose: what a reader sees of a call. Input: how an operation is reached, and how it ended. Output: attributes. Codes
//! are left out where a system marks no failures. Must not: decide names of operations (`grow` does).
//! Source: <https://opentelemetry.io/docs/specs/semconv/>.

use super::failure::Failure;
use super::system::{Database, External, Query, Topic, Via};
use super::wire::span::{Attributes, Value};

use Value::{Int, Static, Text};

/// How one system writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) old: bool,
    pub(crate) marks: bool,
}

/// Name of the CLIENT span of a call.
pub(crate) fn client_name(style: Style, via: Via, operation: &'static str) -> &'static str {
    match via {
        Via::Http { method, .. } => http_client_name(style, method),
        Via::Grpc { .. } | Via::Message { .. } => operation,
    }
}

pub(crate) fn http_client_name(style: Style, method: &'static str) -> &'static str {
    match (style.old, method) {
        (false, _) => method,
        (true, "GET") => "HTTP GET",
        (true, "POST") => "HTTP POST",
        (true, "PUT") => "HTTP PUT",
        (true, "DELETE") => "HTTP DELETE",
        (true, _) => "HTTP",
    }
}

fn http_status(style: Style, failure: Option<&Failure>, all: &mut Attributes) {
    if style.marks {
        let key = if style.old { "http.status_code" } else { "http.response.status_code" };
        all.push((key, Int(failure.map_or(200, |f| f.http).into())));
    }
}

/// Attributes of a SERVER span. A catch-all route is no route.
pub(crate) fn server(style: Style, via: Via, name: &str, id: u64, failure: Option<&Failure>) -> Attributes {
    match via {
        Via::Http { method, route } => {
            let path = Text(route.replace("{id}", &id.to_string()));
            let keys = if style.old { ["http.method", "http.target"] } else { ["http.request.method", "url.path"] };
            let mut all = vec![(keys[0], Static(method)), (keys[1], path)];
            if name.ends_with(route) {
                all.push(("http.route", Static(route)));
            }
            http_status(style, failure, &mut all);
            all
        }
        Via::Grpc { service, method } => grpc(style, service, method, failure),
        Via::Message { .. } => Vec::new(),
    }
}

fn grpc(style: Style, service: &'static str, method: &'static str, failure: Option<&Failure>) -> Attributes {
    let mut all =
        vec![("rpc.system", Static("grpc")), ("rpc.service", Static(service)), ("rpc.method", Static(method))];
    if style.marks {
        all.push(("rpc.grpc.status_code", Int(failure.map_or(0, |f| f.grpc).into())));
    }
    all
}

fn address(style: Style, host: &'static str, port: u16) -> [(&'static str, Value); 2] {
    let keys = if style.old { ["net.peer.name", "net.peer.port"] } else { ["server.address", "server.port"] };
    [(keys[0], Static(host)), (keys[1], Int(port.into()))]
}

/// Attributes of a CLIENT span.
pub(crate) fn client(style: Style, via: Via, host: &'static str, id: u64, failure: Option<&Failure>) -> Attributes {
    match via {
        Via::Http { method, route } => http_client(style, method, route, (host, 8080), id, failure),
        Via::Grpc { service, method } => {
            let mut all = grpc(style, service, method, failure);
            all.extend(address(style, host, 9090));
            all
        }
        Via::Message { .. } => Vec::new(),
    }
}

fn http_client(
    style: Style,
    method: &'static str,
    route: &str,
    (host, port): (&'static str, u16),
    id: u64,
    failure: Option<&Failure>,
) -> Attributes {
    let url = format!("http://{host}:{port}{}", route.replace("{id}", &id.to_string()));
    let keys = if style.old { ["http.method", "http.url"] } else { ["http.request.method", "url.full"] };
    let mut all = vec![(keys[0], Static(method)), (keys[1], Text(url))];
    all.extend(address(style, host, port));
    // A refused connection has no status.
    if failure.is_none_or(|f| f.exception != super::failure::REFUSED.exception) {
        http_status(style, failure, &mut all);
    }
    all
}

pub(crate) fn outside(style: Style, it: &External, id: u64, failure: Option<&Failure>) -> Attributes {
    http_client(style, it.method, it.path, (it.host, 443), id, failure)
}

pub(crate) fn query(style: Style, database: &Database, query: &Query) -> Attributes {
    let keys = if style.old {
        ["db.system", "db.operation", "db.name", "db.sql.table"]
    } else {
        ["db.system.name", "db.operation.name", "db.namespace", "db.collection.name"]
    };
    let mut all = vec![(keys[0], Static(database.system)), (keys[1], Static(query.verb))];
    if !database.namespace.is_empty() {
        all.push((keys[2], Static(database.namespace)));
    }
    if !query.table.is_empty() {
        all.push((keys[3], Static(query.table)));
    }
    all.extend(address(style, database.host, database.port));
    all
}

/// Publishing, or processing by this consumer group.
pub(crate) fn message(style: Style, topic: &Topic, group: Option<&'static str>) -> Attributes {
    let keys = if style.old {
        ["messaging.destination", "messaging.operation", "messaging.kafka.consumer.group"]
    } else {
        ["messaging.destination.name", "messaging.operation.type", "messaging.consumer.group.name"]
    };
    let verb = match (group, style.old) {
        (Some(_), _) => "process",
        (None, true) => "publish",
        (None, false) => "send",
    };
    let mut all = vec![("messaging.system", Static("kafka")), (keys[0], Static(topic.name)), (keys[1], Static(verb))];
    all.extend(address(style, topic.host, 9092));
    all.extend(group.map(|group| (keys[2], Static(group))));
    all
}
