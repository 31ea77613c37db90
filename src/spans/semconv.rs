//! OpenTelemetry semantic conventions as data: attribute keys old and new, in pinned order of preference.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/> (1.39) and the deprecated names it lists.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

/// Resource attributes that are kept: (key as kept, spellings in order of preference).
///
/// `service.name` and `service.namespace` are the identity and live apart. Anything not listed is dropped at the door.
pub const RESOURCE_ATTRIBUTES: &[(&str, &[&str])] = &[
    ("aws.ecs.cluster.arn", &["aws.ecs.cluster.arn"]),
    ("aws.ecs.task.family", &["aws.ecs.task.family"]),
    ("cloud.availability_zone", &["cloud.availability_zone"]),
    ("cloud.platform", &["cloud.platform"]),
    ("cloud.provider", &["cloud.provider"]),
    ("cloud.region", &["cloud.region"]),
    ("container.name", &["container.name"]),
    ("deployment.environment.name", &["deployment.environment.name", "deployment.environment"]),
    ("host.name", &["host.name", "k8s.node.name"]),
    ("k8s.cluster.name", &["k8s.cluster.name"]),
    ("k8s.container.name", &["k8s.container.name"]),
    ("k8s.cronjob.name", &["k8s.cronjob.name"]),
    ("k8s.daemonset.name", &["k8s.daemonset.name"]),
    ("k8s.deployment.name", &["k8s.deployment.name"]),
    ("k8s.namespace.name", &["k8s.namespace.name"]),
    ("k8s.pod.name", &["k8s.pod.name"]),
    ("k8s.statefulset.name", &["k8s.statefulset.name"]),
    ("service.criticality", &["service.criticality"]),
    ("service.instance.id", &["service.instance.id"]),
    ("service.owner.name", &["service.owner.name"]),
    ("service.version", &["service.version"]),
    ("telemetry.sdk.language", &["telemetry.sdk.language"]),
];

/// What a span attribute is good for. One span has at most one value for each, from the first spelling it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Slot {
    /// The database product.
    DbSystem,
    /// The database within the product.
    DbNamespace,
    /// The messaging product.
    MessagingSystem,
    /// The topic or queue.
    MessagingDestination,
    /// Set when the destination has a generated name.
    MessagingAnonymous,
    /// Set when the destination lives no longer than its session.
    MessagingTemporary,
    /// The logical name of the service at the other end.
    PeerService,
    /// The namespace of that service.
    PeerNamespace,
    /// The host at the other end.
    Address,
    /// The URL called, of which only the host is read.
    Url,
    /// HTTP status number.
    HttpStatus,
    /// gRPC status, number or name.
    GrpcStatus,
    /// What kind of error.
    ErrorType,
    /// Exception class, on `exception` events.
    ExceptionType,
    /// Probability with which the span was kept.
    SamplingProbability,
    /// "One in N", under the key the user has configured.
    Rate,
}

impl Slot {
    /// How many slots there are.
    pub const COUNT: usize = 16;
}

/// Span attributes that are read, and the spellings of each in order of preference: the current one first, then the
/// deprecated ones from young to old. `peer.service.name` and `db.instance` are in no convention but in real files.
///
/// `server.*` leads the addresses because it is the logical name that was dialled; `network.peer.address` and its
/// forerunners are the numeric address it resolved to and change with every pod. `rpc.service` is no peer: it names an
/// interface, which many services may implement.
pub const SPAN_ATTRIBUTES: &[(Slot, &[&str])] = &[
    (Slot::DbSystem, &["db.system.name", "db.system"]),
    (
        Slot::DbNamespace,
        &["db.namespace", "db.name", "db.redis.database_index", "db.cassandra.keyspace", "db.instance"],
    ),
    (Slot::MessagingSystem, &["messaging.system"]),
    (
        Slot::MessagingDestination,
        &["messaging.destination.template", "messaging.destination.name", "messaging.destination"],
    ),
    (Slot::MessagingAnonymous, &["messaging.destination.anonymous"]),
    (Slot::MessagingTemporary, &["messaging.destination.temporary", "messaging.temp_destination"]),
    (Slot::PeerService, &["service.peer.name", "peer.service", "peer.service.name"]),
    (Slot::PeerNamespace, &["service.peer.namespace"]),
    (
        Slot::Address,
        &["server.address", "net.peer.name", "network.peer.address", "net.sock.peer.addr", "net.peer.ip", "http.host"],
    ),
    (Slot::Url, &["url.full", "http.url"]),
    (Slot::HttpStatus, &["http.response.status_code", "http.status_code"]),
    (Slot::GrpcStatus, &["rpc.grpc.status_code", "rpc.response.status_code"]),
    (Slot::ErrorType, &["error.type"]),
    (Slot::ExceptionType, &["exception.type"]),
    (Slot::SamplingProbability, &["sampling.probability"]),
];

/// The kinds of peer in order of preference, when a span carries the attributes of several.
///
/// A database or broker is more telling than the logical name that instrumentations derive from its host, and any name
/// is better than an address.
pub const PEER_ORDER: [super::PeerKind; 4] =
    [super::PeerKind::Database, super::PeerKind::Messaging, super::PeerKind::Service, super::PeerKind::External];

/// Values of `db.system` that `db.system.name` spells otherwise, so that one database stays one node while its callers
/// move to the newer convention.
pub const DB_SYSTEM_RENAMED: &[(&str, &str)] = &[
    ("adabas", "softwareag.adabas"),
    ("cosmosdb", "azure.cosmosdb"),
    ("db2", "ibm.db2"),
    ("dynamodb", "aws.dynamodb"),
    ("firebird", "firebirdsql"),
    ("h2", "h2database"),
    ("hanadb", "sap.hana"),
    ("informix", "ibm.informix"),
    ("ingres", "actian.ingres"),
    ("maxdb", "sap.maxdb"),
    ("mssql", "microsoft.sql_server"),
    ("netezza", "ibm.netezza"),
    ("oracle", "oracle.db"),
    ("redshift", "aws.redshift"),
    ("spanner", "gcp.spanner"),
];

/// Words that old messaging span names carry before or after the destination: `orders publish`, `process orders`.
pub const MESSAGING_WORDS: &[&str] =
    &["publish", "send", "create", "receive", "process", "deliver", "consume", "poll", "settle", "ack"];

/// The slot of a span attribute and the rank of its spelling (0 is best); `None` for what is never read.
#[must_use]
pub fn slot(key: &str) -> Option<(Slot, u8)> {
    static INDEX: LazyLock<HashMap<&str, (Slot, u8), FixedState>> = LazyLock::new(|| {
        let ranked = |(slot, keys): &(Slot, &'static [&'static str])| {
            let slot = *slot;
            keys.iter().zip(0u8..).map(move |(key, rank)| (*key, (slot, rank)))
        };
        SPAN_ATTRIBUTES.iter().flat_map(ranked).collect()
    });
    INDEX.get(key).copied()
}

/// The kept key of a resource attribute and the rank of its spelling (0 is best); `None` for what is dropped.
#[must_use]
pub fn resource_attribute(key: &str) -> Option<(&'static str, usize)> {
    RESOURCE_ATTRIBUTES
        .iter()
        .find_map(|(kept, spellings)| spellings.iter().position(|s| *s == key).map(|rank| (*kept, rank)))
}

/// The name of a gRPC status given as a number or (any case) as a name; `None` when it is neither.
#[must_use]
pub fn grpc_status(text: &str) -> Option<&'static str> {
    let text = text.trim();
    if let Ok(number) = text.parse::<usize>() {
        return GRPC_STATUS.get(number).copied();
    }
    let same = |name: &&&str| {
        name.bytes().filter(|b| *b != b'_').eq(text.bytes().filter(|b| *b != b'_').map(|b| b.to_ascii_uppercase()))
    };
    if text.eq_ignore_ascii_case("canceled") { Some("CANCELLED") } else { GRPC_STATUS.iter().find(same).copied() }
}

/// Whether a span failed.
///
/// The status decides where it is set (1 OK, 2 ERROR). Where it is unset, an HTTP status of 500 or more or a gRPC status
/// that blames the server does: instrumentations that never set a status still report these, and 4xx or `NOT_FOUND` are
/// ordinary answers.
#[must_use]
pub fn is_failure(status_code: i32, http_status: u16, grpc_status: &str) -> bool {
    const SERVER_FAULTS: [&str; 6] =
        ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
    match status_code {
        2 => true,
        1 => false,
        _ => http_status >= 500 || SERVER_FAULTS.contains(&grpc_status),
    }
}

/// Keys of attributes whose values are secrets or personal data by convention: never read, never kept.
pub const NEVER_READ: &[&str] =
    &["http.request.header.authorization", "http.request.header.cookie", "enduser.id", "user.email"];

/// The gRPC status names by number (<https://grpc.io/docs/guides/status-codes/>).
pub const GRPC_STATUS: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::PeerKind;

    #[test]
    fn the_order_of_spellings_is_pinned() {
        // New before old: during a migration both are sent, and the new one is what the team will keep. The logical name
        // before the numeric address: node names must survive a restart of the pod behind them.
        let order = |slot: Slot| SPAN_ATTRIBUTES.iter().find(|(s, _)| *s == slot).unwrap().1;
        assert_eq!(order(Slot::DbSystem), ["db.system.name", "db.system"]);
        assert_eq!(order(Slot::DbNamespace)[..2], ["db.namespace", "db.name"]);
        // The template first: a topic per customer is one node.
        assert_eq!(
            order(Slot::MessagingDestination),
            ["messaging.destination.template", "messaging.destination.name", "messaging.destination"]
        );
        assert_eq!(order(Slot::PeerService), ["service.peer.name", "peer.service", "peer.service.name"]);
        assert_eq!(
            order(Slot::Address),
            [
                "server.address",
                "net.peer.name",
                "network.peer.address",
                "net.sock.peer.addr",
                "net.peer.ip",
                "http.host"
            ]
        );
        assert_eq!(order(Slot::Url), ["url.full", "http.url"]);
        // A database with a logical name is a database, not an uninstrumented service.
        assert_eq!(PEER_ORDER, [PeerKind::Database, PeerKind::Messaging, PeerKind::Service, PeerKind::External]);
        assert_eq!(slot("rpc.service"), None);
    }

    #[test]
    fn every_slot_is_listed_once_at_its_own_position() {
        // The rate's key is the user's.
        assert_eq!((SPAN_ATTRIBUTES.len(), Slot::Rate as usize), (Slot::COUNT - 1, Slot::COUNT - 1));
        for (position, (slot, _)) in SPAN_ATTRIBUTES.iter().enumerate() {
            assert_eq!(*slot as usize, position);
        }
        assert!(RESOURCE_ATTRIBUTES.is_sorted());
        assert!(NEVER_READ.iter().all(|key| slot(key).is_none() && resource_attribute(key).is_none()));
    }

    #[test]
    fn a_grpc_status_is_a_number_or_a_name() {
        for (text, name) in [
            ("14", Some("UNAVAILABLE")),
            ("Unavailable", Some("UNAVAILABLE")),
            ("DEADLINE_EXCEEDED", Some("DEADLINE_EXCEEDED")),
            ("DeadlineExceeded", Some("DEADLINE_EXCEEDED")),
            ("Canceled", Some("CANCELLED")),
            ("99", None),
            ("", None),
        ] {
            assert_eq!(grpc_status(text), name, "{text}");
        }
    }

    #[test]
    fn the_status_decides_and_protocol_codes_only_where_it_is_unset() {
        for (status, http, grpc, failed) in [
            (2, 200, "OK", true),
            (1, 503, "UNAVAILABLE", false),
            (0, 500, "", true),
            (0, 404, "", false),
            (0, 0, "INTERNAL", true),
            (0, 0, "NOT_FOUND", false),
        ] {
            assert_eq!(is_failure(status, http, grpc), failed, "{status} {http} {grpc}");
        }
    }
}
