//! Numbers that are part of our words: text, and why no span can prove it.

/// Looked for only where no pattern claims the number.
pub const FIXED: &[(&str, &str)] = &[
    ("p50", "names the median, of a column or of a figure elsewhere on the page"),
    ("p95", "names the 95th percentile of a column"),
    ("p99", "names the 99th percentile, of a column or of a figure elsewhere on the page"),
    ("95 % interval", "names the interval of a column"),
    ("99th percentile", "explains the labels of the diagram"),
    ("5xx and UNAVAILABLE", "a class of HTTP status codes"),
    ("4xx: what its callers send", "a class of HTTP status codes"),
    ("for 15 minutes", "how long a figure must hold before an incident is over: a constant"),
    ("k8s.namespace.name", "an attribute to set where the spans do not say it"),
    ("k8s.deployment.name", "an attribute to set where the spans do not say it"),
    ("0 means the previous release", "explains an argument of `helm rollback`"),
    ("with - 1 instead of + 1", "says how to undo a command"),
    ("all health 1", "what a healthy MongoDB replica set shows"),
];
