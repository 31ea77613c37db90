//! OpenTelemetry semantic conventions as data: attribute keys old and new, in pinned order of preference.
//!
//! Source: <https://opentelemetry.io/docs/specs/semconv/> (1.39) and the deprecated names it lists.

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
    slot_of(key.as_bytes())
}

/// [`slot`] of a key that may not be UTF-8. Almost every key of almost every span passes here and is none of ours, so only
/// its length and last eight bytes are looked at before it is sent away.
#[must_use]
#[inline]
pub fn slot_of(key: &[u8]) -> Option<(Slot, u8)> {
    let tail = tail(key);
    let entry = INDEX.entries.get(place(tail, key.len(), INDEX.factor))?;
    (entry.tail == tail && entry.key.as_bytes() == key).then_some((entry.slot, entry.rank))
}

/// A perfect hash of [`SPAN_ATTRIBUTES`].
struct Index {
    factor: u64,
    entries: [Spelling; PLACES],
}

#[derive(Clone, Copy)]
struct Spelling {
    tail: u64,
    key: &'static str,
    slot: Slot,
    rank: u8,
}

const PLACES: usize = 128;
static INDEX: Index = index();

/// The last eight bytes, or all of a shorter key.
#[inline]
const fn tail(key: &[u8]) -> u64 {
    if let Some(last) = key.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    let (mut tail, mut rest) = (0, key);
    while let Some((first, others)) = rest.split_first() {
        tail = tail << 8 | *first as u64;
        rest = others;
    }
    tail
}

#[inline]
const fn place(tail: u64, length: usize, factor: u64) -> usize {
    ((tail ^ length as u64).wrapping_mul(factor) >> (u64::BITS - PLACES.trailing_zeros())) as usize
}

/// Tries one factor after the other until no two spellings meet. Runs in the compiler.
#[allow(clippy::indexing_slicing, reason = "an index out of bounds does not compile here")]
const fn index() -> Index {
    const EMPTY: Spelling = Spelling { tail: u64::MAX, key: "", slot: Slot::Rate, rank: 0 };
    let mut factor: u64 = 0x9e37_79b9_7f4a_7c15;
    loop {
        let (mut entries, mut met, mut s) = ([EMPTY; PLACES], false, 0);
        while s < SPAN_ATTRIBUTES.len() && !met {
            let (slot, keys) = SPAN_ATTRIBUTES[s];
            let mut rank = 0;
            while rank < keys.len() {
                let (key, tail) = (keys[rank], tail(keys[rank].as_bytes()));
                let at = place(tail, key.len(), factor);
                met |= !entries[at].key.is_empty();
                entries[at] = Spelling { tail, key, slot, rank: rank as u8 };
                rank += 1;
            }
            s += 1;
        }
        if !met {
            return Index { factor, entries };
        }
        factor = factor.wrapping_mul(0xd129_0ba2_9f8a_3a65) | 1;
    }
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
        // Most are `OK` or not given, shorter than any fault.
        _ => http_status >= 500 || (grpc_status.len() > 2 && SERVER_FAULTS.contains(&grpc_status)),
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
    fn every_spelling_has_its_slot_and_nothing_near_it_has() {
        for (slot, keys) in SPAN_ATTRIBUTES {
            for (key, rank) in keys.iter().zip(0..) {
                assert_eq!(super::slot(key), Some((*slot, rank)), "{key}");
                for near in [key.to_uppercase(), format!("{key}."), format!("x{key}"), key[1..].to_owned()] {
                    let listed = SPAN_ATTRIBUTES.iter().any(|(_, keys)| keys.contains(&near.as_str()));
                    assert_eq!(super::slot(&near).is_some(), listed, "{near}");
                }
            }
        }
        for key in ["", "db", "http.route", "\u{fffd}"] {
            assert_eq!(slot(key), None, "{key}");
        }
        assert_eq!(slot_of(b"\xffrver.address"), None);
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
