//! Azure Container Apps, by `az`. Facts: `azure.resource_group` and `azure.containerapp.name`.

use super::Page::{Custom, Dependency, Errors, Latency, Oom, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "azure-container-apps", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    let seen = facts.is("cloud.platform", "azure_container_apps") || facts.is("cloud.platform", "azure.container_apps");
    Relevance::of_a_service(facts, page, seen || facts.has("azure.containerapp.name"))
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See its revisions",
        command: "az containerapp revision list --name {{azure.containerapp.name}} --resource-group {{azure.resource_group}} --query '[].{name:name,active:properties.active,created:properties.createdTime,traffic:properties.trafficWeight,health:properties.healthState}' -o table",
        expect: "The active revision is Healthy and older than the trouble.",
        otherwise: "A revision of that time is the first suspect: give the traffic back to the one before it.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        title: "Look at its replicas",
        command: "az containerapp replica list --name {{azure.containerapp.name}} --resource-group {{azure.resource_group}} --query '[].{name:name,state:properties.runningState,created:properties.createdTime}' -o table",
        expect: "All Running, created before the trouble.",
        otherwise: "NotRunning or just created: read the log for the reason.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Errors, Dependency, Pipeline, Oom, Custom],
        title: "Read its log",
        command: "az containerapp logs show --name {{azure.containerapp.name}} --resource-group {{azure.resource_group}} --tail 200",
        expect: "No errors that did not occur before.",
        otherwise: "Take the first new error, not the most frequent.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Restart the latest revision",
        command: "az containerapp revision restart --name {{azure.containerapp.name}} --resource-group {{azure.resource_group}} --revision \"$(az containerapp show --name {{azure.containerapp.name}} --resource-group {{azure.resource_group}} --query properties.latestRevisionName -o tsv)\"",
        expect: "New replicas are Running, and the figures of Verification recover.",
        precondition: "The cause lies in the state of the replicas, not in what they call; the log is kept.",
        undo: "None needed: the same revision starts again.",
        ..Recipe::BLANK
    },
];
