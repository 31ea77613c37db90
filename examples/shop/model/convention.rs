//! Span attributes as instrumentations write them, in the current and in the older semantic conventions.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/> and the attribute names it lists as deprecated.

use super::span::{Attributes, Value};
use super::system::{Convention, External, Failure, Statement, Store, Topic};

use Convention::{New, Old};
use Value::{Int, Static, Text};

/// HTTP status of an answer.
fn http_status(failure: Option<&Failure>) -> u16 {
    failure.map_or(200, |f| if f.http == 0 { 500 } else { f.http })
}

/// gRPC status of an answer.
fn grpc_status(failure: Option<&Failure>) -> u8 {
    failure.map_or(0, |f| if f.grpc == 0 { 13 } else { f.grpc })
}

fn path(route: &str, id: u64) -> String {
    route.replace("{id}", &id.to_string())
}

pub(super) fn http_server(
    convention: Convention,
    (method, route): (&'static str, &'static str),
    id: u64,
    failure: Option<&Failure>,
) -> Attributes {
    let status = http_status(failure);
    let agent = Static("Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0");
    match convention {
        New => {
            let mut all = vec![
                ("http.request.method", Static(method)),
                ("http.route", Static(route)),
                ("url.path", Text(path(route, id))),
                ("url.scheme", Static("http")),
                ("http.response.status_code", Int(status.into())),
                ("network.protocol.version", Static("1.1")),
                ("user_agent.original", agent),
            ];
            if status >= 500 {
                all.push(("error.type", Text(status.to_string())));
            }
            all
        }
        Old => vec![
            ("http.method", Static(method)),
            ("http.route", Static(route)),
            ("http.target", Text(path(route, id))),
            ("http.scheme", Static("http")),
            ("http.status_code", Int(status.into())),
            ("http.flavor", Static("1.1")),
            ("http.user_agent", agent),
        ],
    }
}

pub(super) fn http_client(
    convention: Convention,
    (method, route): (&'static str, &str),
    (host, port): (&str, u16),
    id: u64,
    failure: Option<&Failure>,
) -> Attributes {
    let status = http_status(failure);
    let url = format!("http://{host}:{port}{}", path(route, id));
    match convention {
        New => {
            let mut all = vec![
                ("http.request.method", Static(method)),
                ("url.full", Text(url)),
                ("server.address", Text(host.to_owned())),
                ("server.port", Int(port.into())),
                ("http.response.status_code", Int(status.into())),
            ];
            if status >= 400 {
                all.push(("error.type", Text(status.to_string())));
            }
            all
        }
        Old => vec![
            ("http.method", Static(method)),
            ("http.url", Text(url)),
            ("net.peer.name", Text(host.to_owned())),
            ("net.peer.port", Int(port.into())),
            ("http.status_code", Int(status.into())),
        ],
    }
}

/// Span name of an HTTP client.
pub(super) fn http_client_name(convention: Convention, method: &'static str) -> &'static str {
    match (convention, method) {
        (New, _) => method,
        (Old, "GET") => "HTTP GET",
        (Old, "POST") => "HTTP POST",
        (Old, _) => "HTTP",
    }
}

pub(super) fn external(convention: Convention, external: &External, id: u64, failure: Option<&Failure>) -> Attributes {
    http_client(convention, (external.method, external.path), (external.host, 443), id, failure)
}

/// `host` is given on the calling side only.
pub(super) fn grpc(
    convention: Convention,
    (service, method): (&'static str, &'static str),
    host: Option<&str>,
    failure: Option<&Failure>,
) -> Attributes {
    let mut all = vec![
        ("rpc.system", Static("grpc")),
        ("rpc.service", Static(service)),
        ("rpc.method", Static(method)),
        ("rpc.grpc.status_code", Int(grpc_status(failure).into())),
    ];
    if let Some(host) = host {
        let (name, port) = match convention {
            New => ("server.address", "server.port"),
            Old => ("net.peer.name", "net.peer.port"),
        };
        all.extend([(name, Text(host.to_owned())), (port, Int(8080))]);
    }
    all
}

pub(super) fn store(
    convention: Convention,
    store: &'static Store,
    statement: &Statement,
    failure: Option<&'static Failure>,
) -> Attributes {
    let (system, space, operation, collection, text, host, port) = match convention {
        New => (
            "db.system.name",
            "db.namespace",
            "db.operation.name",
            "db.collection.name",
            "db.query.text",
            "server.address",
            "server.port",
        ),
        Old => (
            "db.system",
            "db.name",
            "db.operation",
            if store.system == "mongodb" { "db.mongodb.collection" } else { "db.sql.table" },
            "db.statement",
            "net.peer.name",
            "net.peer.port",
        ),
    };
    let mut all = vec![(system, Static(store.system)), (operation, Static(statement.operation))];
    if !store.namespace.is_empty() {
        all.push((space, Static(store.namespace)));
    }
    if !statement.collection.is_empty() {
        all.push((collection, Static(statement.collection)));
    }
    all.extend([(text, Static(statement.text)), (host, Static(store.address)), (port, Int(store.port.into()))]);
    if let (New, Some(failure)) = (convention, failure) {
        all.push(("error.type", Static(failure.exception)));
    }
    all
}

/// Publishing when `group` is not given, processing otherwise. `messages` is the size of a batch, if it is one.
pub(super) fn messaging(
    convention: Convention,
    topic: &'static Topic,
    partition: u64,
    group: Option<&'static str>,
    messages: Option<usize>,
) -> Attributes {
    let mut all = match convention {
        New => vec![
            ("messaging.system", Static("kafka")),
            ("messaging.destination.name", Static(topic.name)),
            ("messaging.operation.type", Static(if group.is_some() { "process" } else { "send" })),
            ("messaging.destination.partition.id", Text(partition.to_string())),
            ("server.address", Static(topic.address)),
        ],
        Old => vec![
            ("messaging.system", Static("kafka")),
            ("messaging.destination", Static(topic.name)),
            ("messaging.destination_kind", Static("topic")),
            ("messaging.operation", Static(if group.is_some() { "process" } else { "publish" })),
            ("messaging.kafka.partition", Text(partition.to_string())),
            ("net.peer.name", Static(topic.address)),
        ],
    };
    if let Some(group) = group {
        let key = if convention == New { "messaging.consumer.group.name" } else { "messaging.kafka.consumer.group" };
        all.push((key, Static(group)));
    }
    if let Some(messages) = messages {
        all.push(("messaging.batch.message_count", Int(i64::try_from(messages).unwrap_or(i64::MAX))));
    }
    all
}

/// The instrumentation library that makes such spans.
pub(super) fn scope(language: &str, what: &str) -> &'static str {
    match (language, what) {
        ("go", "grpc") => "go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
        ("go", "http") => "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
        ("nodejs", "grpc") => "@opentelemetry/instrumentation-grpc",
        ("nodejs", "http") => "@opentelemetry/instrumentation-http",
        ("java", "http") => "io.opentelemetry.tomcat-10.0",
        ("java", "messaging") => "io.opentelemetry.kafka-clients-0.11",
        ("python", "http") => "opentelemetry.instrumentation.fastapi",
        ("python", "database") => "opentelemetry.instrumentation.dbapi",
        ("dotnet", "grpc") => "OpenTelemetry.Instrumentation.AspNetCore",
        ("dotnet", "database") => "OpenTelemetry.Instrumentation.StackExchangeRedis",
        (_, "inner") => "app",
        _ => "opentelemetry",
    }
}
