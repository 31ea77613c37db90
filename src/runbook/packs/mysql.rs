//! MySQL and MariaDB, in `mysql`. No facts needed.

use super::Page::{Dependency, Failover, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "mysql", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Database && matches!(facts.system(), "mysql" | "mariadb");
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "Compare connections with their limit",
        command: "SHOW GLOBAL STATUS WHERE Variable_name IN ('Threads_connected', 'Threads_running', 'Max_used_connections', 'Aborted_connects');\nSHOW GLOBAL VARIABLES LIKE 'max_connections';",
        language: "sql",
        expect: "Threads_connected far below max_connections, Threads_running around the number of cores.",
        otherwise: "Near the limit: a caller leaks connections or its pool is too large. Many running: slow statements or locks, next steps.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "List the longest running statements",
        command: "SELECT id, user, db, time, state, LEFT(info, 100) AS query\nFROM information_schema.processlist WHERE command <> 'Sleep' ORDER BY time DESC LIMIT 10;",
        language: "sql",
        expect: "Nothing that runs longer than the p99 of the calls on this page.",
        otherwise: "A statement that never took long: its plan changed, or a lock holds it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "See who blocks whom",
        command: "SELECT waiting_pid, wait_age, blocking_pid, LEFT(waiting_query, 100) AS waiting, LEFT(blocking_query, 100) AS blocking\nFROM sys.innodb_lock_waits;",
        language: "sql",
        expect: "No rows.",
        otherwise: "blocking_pid holds up the others: find out what it does before ending it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[ReplicaLag, Failover],
        title: "Measure the lag, on the replica",
        command: "SHOW REPLICA STATUS;",
        language: "sql",
        expect: "Replica_IO_Running and Replica_SQL_Running are Yes, Seconds_Behind_Source below the target.",
        otherwise: "One of them No: Last_IO_Error or Last_SQL_Error says why. Both Yes and far behind: replay is slower than the writes.",
        ..Recipe::BLANK
    },
];
