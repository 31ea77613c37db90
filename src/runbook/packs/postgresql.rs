//! PostgreSQL, in `psql`. No facts needed: the reader chooses the instance.

use super::Page::{Dependency, Failover, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "postgresql", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Database && matches!(facts.system(), "postgresql" | "postgres");
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "Count connections by state, on the writer",
        command: "SELECT state, wait_event_type, count(*), max(now() - state_change) AS longest,\n       current_setting('max_connections') AS limit\nFROM pg_stat_activity WHERE backend_type = 'client backend'\nGROUP BY state, wait_event_type ORDER BY count(*) DESC;",
        language: "sql",
        expect: "Far fewer connections than the limit, hardly any \"idle in transaction\".",
        otherwise: "Near the limit: a caller leaks connections or its pool is too large. Many waiting on Lock: next step. No connection possible at all: the server or the way to it is down.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "See who blocks whom, on the writer",
        command: "SELECT pid, pg_blocking_pids(pid) AS blocked_by, now() - query_start AS running, left(query, 100) AS query\nFROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0 ORDER BY query_start;",
        language: "sql",
        expect: "No rows.",
        otherwise: "The pid that appears in blocked_by but is not blocked itself holds up the others: find out what it does before ending it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "List the longest running statements, on the writer",
        command: "SELECT pid, usename, application_name, now() - query_start AS running, wait_event_type, left(query, 100) AS query\nFROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid()\nORDER BY query_start LIMIT 10;",
        language: "sql",
        expect: "Nothing that runs longer than the p99 of the calls on this page.",
        otherwise: "A statement that never took long: its plan changed, or a lock or the disk holds it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag, Failover],
        title: "Measure the lag of every replica, on the writer",
        command: "SELECT application_name, client_addr, state, sync_state,\n       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) AS bytes_behind, write_lag, flush_lag, replay_lag\nFROM pg_stat_replication ORDER BY application_name;",
        language: "sql",
        expect: "A row in state \"streaming\" for every replica, with a replay_lag below the target.",
        otherwise: "A row missing: the replica is not connected. write_lag large: network. flush_lag large: the replica's disk. Only replay_lag large: the replica is busy replaying, or a query there holds it up.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag, Failover],
        title: "Measure the lag as the replica sees it, on the replica",
        command: "SELECT pg_is_in_recovery() AS replica, now() - pg_last_xact_replay_timestamp() AS behind,\n       pg_last_wal_receive_lsn() AS received, pg_last_wal_replay_lsn() AS replayed;",
        language: "sql",
        expect: "replica is true, received and replayed are equal or close.",
        otherwise: "Without writes \"behind\" grows although nothing is missing: trust received against replayed.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag],
        title: "See how much the writer keeps for each replica, on the writer",
        command: "SELECT slot_name, active, wal_status, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) AS kept\nFROM pg_replication_slots ORDER BY slot_name;",
        language: "sql",
        expect: "Every slot active, little kept.",
        otherwise: "An inactive slot fills the writer's disk: decide soon whether the replica comes back or is rebuilt.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag],
        title: "Find queries that hold up replay, on the replica",
        command: "SELECT pid, usename, application_name, now() - xact_start AS running, left(query, 100) AS query\nFROM pg_stat_activity WHERE backend_type = 'client backend' AND xact_start IS NOT NULL\nORDER BY xact_start LIMIT 10;",
        language: "sql",
        expect: "Nothing older than the lag.",
        otherwise: "A transaction as old as the lag is the likely cause.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        slot: Slot::Fix,
        title: "End sessions that have been idle in a transaction for ten minutes, on the writer",
        command: "SELECT pid, application_name, pg_terminate_backend(pid)\nFROM pg_stat_activity\nWHERE state = 'idle in transaction' AND state_change < now() - interval '10 minutes' AND pid <> pg_backend_pid();",
        language: "sql",
        expect: "One row for each session ended; connections and blocked statements fall.",
        precondition: "The steps above show such sessions holding locks or connections. Their transactions are rolled back.",
        undo: "Cannot be undone; the callers reconnect and must repeat what was rolled back.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag],
        slot: Slot::Fix,
        title: "Cancel reads older than fifteen minutes, on the replica",
        command: "SELECT pid, application_name, pg_cancel_backend(pid)\nFROM pg_stat_activity\nWHERE pg_is_in_recovery() AND backend_type = 'client backend' AND state = 'active'\n  AND query_start < now() - interval '15 minutes' AND pid <> pg_backend_pid();",
        language: "sql",
        expect: "One row for each read cancelled, and the lag falls.",
        precondition: "Only replay lags, and the step above shows reads as old as the lag. Reports that run there are cut off.",
        undo: "Cannot be undone; the readers repeat their query.",
        ..Recipe::BLANK
    },
];
