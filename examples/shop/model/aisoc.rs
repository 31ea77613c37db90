//! A security operations platform: API, ingest, enrichment, alert fusion and agents in two regions.

use super::system::{
    Batch, CACHE, Convention, DATABASE, Entry, External, Failure, Fault, Group, INTERNAL, Latency, Operation, Place,
    Service, Shape, Statement, Step, Store, System, Topic, UNAVAILABLE, Via, tight, usual,
};

const MODEL_BUSY: Failure = Failure {
    exception: "openai.RateLimitError",
    message: "429 Too Many Requests",
    http: 429,
    grpc: 8,
    server_fault: true,
};

/// Search over events: mostly quick, now and then a scan of everything.
const SCAN: &Shape =
    &[(0.0, 0.5), (0.5, 1.0), (0.75, 1.6), (0.9, 3.2), (0.95, 6.0), (0.99, 12.0), (0.999, 20.0), (1.0, 30.0)];
/// Waiting in the topic: short, but never above a few seconds.
const QUEUE: &Shape = &[(0.0, 0.2), (0.5, 1.0), (0.9, 2.5), (0.99, 6.0), (1.0, 9.0)];

const ALERTS: Statement = Statement {
    name: "SELECT alerts",
    operation: "SELECT",
    collection: "alerts",
    text: "SELECT * FROM alerts WHERE tenant_id = $1 ORDER BY created_at DESC LIMIT 100",
};
const CASE: Statement = Statement {
    name: "SELECT cases",
    operation: "SELECT",
    collection: "cases",
    text: "SELECT * FROM cases WHERE id = $1",
};
const SAVE_ALERT: Statement = Statement {
    name: "INSERT alerts",
    operation: "INSERT",
    collection: "alerts",
    text: "INSERT INTO alerts (tenant_id, severity, body) VALUES ($1, $2, $3)",
};
const SAVE_RUN: Statement = Statement {
    name: "UPDATE agent_runs",
    operation: "UPDATE",
    collection: "agent_runs",
    text: "UPDATE agent_runs SET state = $2 WHERE id = $1",
};
const SEARCH: Statement = Statement {
    name: "SELECT events_dist",
    operation: "SELECT",
    collection: "events_dist",
    text: "SELECT ts, source, body FROM events_dist WHERE tenant = ? AND ts > ? LIMIT 500",
};
const STORE_EVENTS: Statement = Statement {
    name: "INSERT events_dist",
    operation: "INSERT",
    collection: "events_dist",
    text: "INSERT INTO events_dist FORMAT Native",
};
const GET: Statement = Statement { name: "GET", operation: "GET", collection: "", text: "GET ?" };
const INCR: Statement = Statement { name: "INCR", operation: "INCR", collection: "", text: "INCR ?" };

macro_rules! http {
    ($method:literal, $route:literal, $own:expr, $fails:literal, $inner:literal, $steps:expr) => {
        Operation {
            name: concat!($method, " ", $route),
            via: Via::Http { method: $method, route: $route },
            inner: $inner,
            own: $own,
            fails: $fails,
            failure: &INTERNAL,
            steps: $steps,
        }
    };
}

pub(crate) const SYSTEM: System = System {
    name: "aisoc",
    about: "security operations platform: 5 services, PostgreSQL, ClickHouse, Redis, Kafka, two regions",
    namespace: None,
    k8s_namespace: "aisoc",
    cluster: "aisoc",
    regions: &[("us-east-1", 6), ("eu-west-1", 4)],
    entries: &[
        Entry { service: "api", operation: "GET /api/alerts", share: 30 },
        Entry { service: "api", operation: "GET /api/cases/{id}", share: 18 },
        Entry { service: "api", operation: "POST /api/search", share: 16 },
        Entry { service: "api", operation: "POST /api/cases/{id}/investigate", share: 5 },
        Entry { service: "ingest", operation: "POST /v1/events", share: 31 },
    ],
    services: &[
        Service {
            name: "api",
            language: "python",
            convention: Convention::New,
            pods: 2,
            operations: &[
                http!(
                    "GET",
                    "/api/alerts",
                    usual(9000),
                    0.002,
                    "",
                    &[Step::query("cache", &GET).optional(), Step::query("postgres", &ALERTS),]
                ),
                http!(
                    "GET",
                    "/api/cases/{id}",
                    usual(6000),
                    0.002,
                    "",
                    &[
                        Step::query("cache", &GET).optional(),
                        Step::query("postgres", &CASE),
                        Step::query("clickhouse", &SEARCH).chance(0.15),
                    ]
                ),
                http!(
                    "POST",
                    "/api/search",
                    usual(8000),
                    0.003,
                    "run_search",
                    &[Step::query("cache", &GET).optional(), Step::query("clickhouse", &SEARCH).times(1, 2),]
                ),
                http!(
                    "POST",
                    "/api/cases/{id}/investigate",
                    usual(7000),
                    0.002,
                    "",
                    &[Step::query("postgres", &CASE), Step::call("agents", "POST /runs").detached().optional(),]
                ),
            ],
        },
        Service {
            name: "ingest",
            language: "go",
            convention: Convention::New,
            pods: 3,
            operations: &[http!(
                "POST",
                "/v1/events",
                tight(2500),
                0.001,
                "",
                &[Step::query("cache", &INCR).optional(), Step::publish("events").times(1, 2),]
            )],
        },
        Service {
            name: "enrichment",
            language: "python",
            convention: Convention::Old,
            pods: 2,
            operations: &[Operation {
                name: "events process",
                via: Via::Messages { topic: "events" },
                inner: "",
                own: usual(12_000),
                fails: 0.002,
                failure: &INTERNAL,
                steps: &[
                    Step::query("cache", &GET).times(1, 3).optional(),
                    Step::external("threat-intel").chance(0.4).optional(),
                    Step::query("clickhouse", &STORE_EVENTS),
                ],
            }],
        },
        Service {
            name: "alert-fusion",
            language: "java",
            convention: Convention::New,
            pods: 2,
            operations: &[Operation {
                name: "process events",
                via: Via::Messages { topic: "events" },
                inner: "correlate",
                own: usual(60_000),
                fails: 0.002,
                failure: &INTERNAL,
                steps: &[
                    Step::query("cache", &GET).optional(),
                    Step::query("postgres", &SAVE_ALERT).chance(0.5),
                    Step::call("agents", "POST /runs").chance(0.05).detached().optional(),
                ],
            }],
        },
        Service {
            name: "agents",
            language: "python",
            convention: Convention::New,
            pods: 2,
            operations: &[http!(
                "POST",
                "/runs",
                usual(400_000),
                0.004,
                "agent.run",
                &[
                    Step::external("model").times(1, 4).retries(1),
                    Step::query("clickhouse", &SEARCH).times(0, 2),
                    Step::query("postgres", &SAVE_RUN),
                ]
            )],
        },
    ],
    stores: &[
        Store {
            name: "postgres",
            system: "postgresql",
            namespace: "aisoc",
            address: "postgres.aisoc.svc",
            port: 5432,
            latency: usual(4500),
            fails: 0.0005,
            failure: &DATABASE,
        },
        Store {
            name: "clickhouse",
            system: "clickhouse",
            namespace: "events_dist",
            address: "clickhouse.aisoc.svc",
            port: 9000,
            latency: Latency { median_us: 58_000, shape: SCAN },
            fails: 0.0005,
            failure: &DATABASE,
        },
        Store {
            name: "cache",
            system: "redis",
            namespace: "",
            address: "redis.aisoc.svc",
            port: 6379,
            latency: usual(400),
            fails: 0.0002,
            failure: &CACHE,
        },
    ],
    topics: &[Topic {
        name: "events",
        address: "kafka.aisoc.svc",
        partitions: 12,
        names: ["send events", "process events", "events publish", "events process"],
        publish: usual(3000),
        dwell: Latency { median_us: 180_000, shape: QUEUE },
        groups: &[
            Group { service: "alert-fusion", operation: "process events", batch: None },
            Group {
                service: "enrichment",
                operation: "events process",
                batch: Some(Batch { size: (2, 10), linger_ms: 400 }),
            },
        ],
    }],
    externals: &[
        External {
            name: "threat-intel",
            host: "intel.example.com",
            method: "GET",
            path: "/v3/indicators",
            latency: usual(90_000),
            fails: 0.01,
            failure: &UNAVAILABLE,
        },
        External {
            name: "model",
            host: "llm.example.com",
            method: "POST",
            path: "/v1/chat/completions",
            latency: usual(2_200_000),
            fails: 0.01,
            failure: &MODEL_BUSY,
        },
    ],
    faults: &[
        Fault::new("postgres-slow", "PostgreSQL `aisoc` takes 500 ms longer", Place::Store("postgres"))
            .slower(1.0, 500.0),
        Fault::new("ingest-stall", "messages of topic `events` wait 45 s longer", Place::Topic("events"))
            .slower(1.0, 45_000.0),
        Fault::new(
            "agents-failing",
            "agents fail 3 runs in 10, as when they run out of memory",
            Place::Service("agents"),
        )
        .failing(0.3),
        Fault::new("region-failing", "everything in us-east-1 fails half of the time", Place::Everywhere)
            .slower(2.0, 0.0)
            .failing(0.5)
            .in_region("us-east-1"),
        Fault::new("bad-release", "version 1.5.0 of api fails 5 % of its calls", Place::Service("api"))
            .failing(0.05)
            .in_version("1.5.0"),
    ],
    skewed: "alert-fusion",
};
