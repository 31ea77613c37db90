//! ClickHouse, in `clickhouse-client`. No facts needed.

use super::Page::{Dependency, Failover, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "clickhouse", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Database && facts.system() == "clickhouse";
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "List the longest running queries",
        command: "SELECT query_id, user, elapsed, read_rows, formatReadableSize(memory_usage) AS memory, substring(query, 1, 100) AS query\nFROM system.processes ORDER BY elapsed DESC LIMIT 10;",
        language: "sql",
        expect: "Nothing that runs longer than the p99 of the calls on this page.",
        otherwise: "One query with far more rows or memory than the others slows them all: find who sends it before ending it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "See which tables have most active parts",
        command: "SELECT database, table, count() AS parts, sum(rows) AS rows\nFROM system.parts WHERE active GROUP BY database, table ORDER BY parts DESC LIMIT 10;",
        language: "sql",
        expect: "About as many parts as on an ordinary day.",
        otherwise: "Far more: many small inserts outrun the merges, and inserts are slowed down and at last refused. Find the writer that stopped batching.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency, ReplicaLag, Failover],
        title: "See whether a replica lags behind or takes no writes",
        command: "SELECT database, table, is_readonly, is_session_expired, absolute_delay, queue_size, active_replicas, total_replicas\nFROM system.replicas ORDER BY absolute_delay DESC LIMIT 10;",
        language: "sql",
        expect: "is_readonly and is_session_expired 0 everywhere, absolute_delay near 0 seconds, active_replicas equal to total_replicas. No rows: nothing is replicated on this server.",
        otherwise: "is_readonly 1: it has lost its coordination service, look at Keeper or ZooKeeper. A long delay with a long queue: fetches or merges are slower than the inserts.",
        ..Recipe::BLANK
    },
];
