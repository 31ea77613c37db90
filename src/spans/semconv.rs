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
