//! Helm. Facts: `helm.release` and `k8s.namespace.name`.

use super::Page::{Custom, Dependency, Errors, Latency, Oom, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "helm", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    Relevance::of_a_service(facts, page, facts.has("helm.release"))
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See the last releases of the chart",
        command: "helm -n {{k8s.namespace.name}} history {{helm.release}} --max 5",
        expect: "The last revision is deployed and older than the trouble.",
        otherwise: "A revision of that time is the first suspect: see Remediation.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Roll back to the previous release of the chart",
        command: "helm -n {{k8s.namespace.name}} rollback {{helm.release}} 0 --wait --timeout 5m",
        expect: "The history shows a new revision \"Rollback to\" the previous one, and the figures of Verification recover.",
        precondition: "The last release came shortly before the trouble, and the one before it still fits the present schema. 0 means the previous release; all services of the chart go back together.",
        undo: "Roll back once more to the revision the history showed as deployed before.",
        ..Recipe::BLANK
    },
];
