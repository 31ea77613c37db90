//! Redis and Valkey, by `redis-cli`. Fact: `redis.host`.

use super::Page::{Dependency, Failover, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "redis", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Database && matches!(facts.system(), "redis" | "valkey");
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "Look at memory, evictions and clients",
        command: "redis-cli -h {{redis.host}} INFO memory | grep -E 'used_memory_human|maxmemory_human|maxmemory_policy'\nredis-cli -h {{redis.host}} INFO stats | grep -E 'evicted_keys|rejected_connections|instantaneous_ops'\nredis-cli -h {{redis.host}} INFO clients | grep -E 'connected_clients|blocked_clients'",
        expect: "Memory below maxmemory, no rejected connections, evictions only where a cache is meant to evict.",
        otherwise: "Memory at its limit with noeviction: every write fails. Clients rising: a caller leaks connections.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "Read the slow log",
        command: "redis-cli -h {{redis.host}} SLOWLOG GET 10",
        expect: "No entries since the trouble began.",
        otherwise: "KEYS, large ranges or scripts block all other clients while they run: find the caller.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency, ReplicaLag, Failover],
        title: "Look at replication",
        command: "redis-cli -h {{redis.host}} INFO replication",
        expect: "role:master where writes go, every replica state=online with a lag of 0 or 1.",
        otherwise: "role:slave where writes go: a failover took place and the callers hold the old address.",
        ..Recipe::BLANK
    },
];
