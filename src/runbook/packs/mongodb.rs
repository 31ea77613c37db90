//! MongoDB, in `mongosh`. No facts needed.

use super::Page::{Dependency, Failover, ReplicaLag};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "mongodb", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Database && facts.system() == "mongodb";
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "Look at connections",
        command: "db.serverStatus().connections",
        language: "javascript",
        expect: "current far below current plus available.",
        otherwise: "Hardly any available: a caller leaks connections or its pool is too large.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "List operations that run for more than five seconds",
        command: "db.currentOp({ active: true, secs_running: { $gte: 5 } }).inprog.map(o => ({ opid: o.opid, ns: o.ns, secs: o.secs_running, waiting: o.waitingForLock, plan: o.planSummary }))",
        language: "javascript",
        expect: "An empty list.",
        otherwise: "COLLSCAN: an index is missing. waiting true: another operation holds the lock.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency, ReplicaLag, Failover],
        title: "Look at the replica set",
        command: "rs.status().members.map(m => ({ name: m.name, state: m.stateStr, optime: m.optimeDate, health: m.health }))",
        language: "javascript",
        expect: "One PRIMARY, the others SECONDARY with nearly the same optime, all health 1.",
        otherwise: "No PRIMARY: an election is under way or a majority is lost; writes fail until then. An optime behind: that member lags.",
        ..Recipe::BLANK
    },
];
