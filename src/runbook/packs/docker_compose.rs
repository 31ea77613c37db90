//! Docker Compose. Facts: `docker.compose.project` and `docker.compose.service`.

use super::Page::{Custom, Dependency, Errors, Latency, Oom, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "docker-compose", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    Relevance::of_any_node(facts, page, facts.has_prefix("docker.compose."))
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See when its containers were created and from which image",
        command: "docker compose -p {{docker.compose.project}} ps -a {{docker.compose.service}}\ndocker compose -p {{docker.compose.project}} images {{docker.compose.service}}",
        expect: "All containers up since before the trouble began, healthy where a health check is defined.",
        otherwise: "Created when the trouble began: a new image or configuration is the first suspect. Restarting or exited: read its log.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        title: "Look at CPU and memory by container",
        command: "docker compose -p {{docker.compose.project}} stats --no-stream {{docker.compose.service}}",
        expect: "CPU and memory well below their limits.",
        otherwise: "At the limit: it is saturated, look at what raised the load.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        title: "Read its log",
        command: "docker compose -p {{docker.compose.project}} logs --since 15m --tail 200 {{docker.compose.service}}",
        expect: "No errors that did not occur before.",
        otherwise: "Take the first new error, not the most frequent.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Restart it",
        command: "docker compose -p {{docker.compose.project}} restart {{docker.compose.service}}",
        expect: "The containers are up again, and the figures of Verification recover.",
        precondition: "Its log is kept, a short outage is acceptable, and the cause lies in the state of the process, not in what it calls.",
        undo: "None needed: the same containers start again.",
        ..Recipe::BLANK
    },
];
