//! Platform command packs: the only place commands come from.
//!
//! Purpose: fill the steps of a platform with facts seen in the traces or given in the configuration.
//! Input: a node and the page it is for. Output: [`Step`]s, and what is missing for the steps that were left out.
//! Must not: guess a value, or put one into a command unquoted: `{{fact}}` is the only way in, and it quotes.

mod aws;
mod azure_container_apps;
mod clickhouse;
mod docker_compose;
mod facts;
mod helm;
mod kafka;
mod kubernetes;
mod mongodb;
mod mysql;
mod network;
mod postgresql;
mod rabbitmq;
mod redis;
mod systemd;
mod tls;

use std::collections::BTreeSet;

use super::context::{Context, Target};
use super::document::{Step, Text};
use super::quote::shell;
use crate::topology::NodeKind;
pub(super) use facts::{Fact, Facts};

/// What the reader is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    Latency,
    Errors,
    Dependency,
    Pipeline,
    Oom,
    Certificate,
    ReplicaLag,
    Failover,
    /// A scenario of the team's own.
    Custom,
}

/// Where on the page a step belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    /// Diagnosis: what changed.
    Changed,
    /// Diagnosis: what the platform says.
    Look,
    /// Remediation.
    Fix,
}

/// Whether a pack has something to say about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relevance {
    /// Nothing.
    No,
    /// Only when the configuration names the pack.
    IfListed,
    /// The traces or the facts show that this platform is in use.
    Yes,
}

impl Relevance {
    /// A platform that runs services; `seen` says that the facts show it. Certificates have packs of their own.
    fn of_a_service(facts: &Facts<'_>, page: Page, seen: bool) -> Self {
        match facts.kind() {
            NodeKind::Service if page == Page::Certificate => Self::No,
            NodeKind::Service if seen => Self::Yes,
            NodeKind::Service => Self::IfListed,
            _ => Self::No,
        }
    }

    /// A platform that may run anything: where the facts show it the page does not matter.
    fn of_any_node(facts: &Facts<'_>, page: Page, seen: bool) -> Self {
        match facts.kind() {
            NodeKind::Entry => Self::No,
            _ if seen => Self::Yes,
            _ => Self::of_a_service(facts, page, false),
        }
    }
}

/// One platform.
struct Pack {
    /// As in `packs:`.
    name: &'static str,
    relevance: fn(&Facts<'_>, Page) -> Relevance,
    recipes: &'static [Recipe],
}

/// One step before its facts are known.
struct Recipe {
    on: &'static [Page],
    slot: Slot,
    title: &'static str,
    /// With `{{fact}}` where a fact belongs.
    command: &'static str,
    language: &'static str,
    expect: &'static str,
    otherwise: &'static str,
    precondition: &'static str,
    /// Present exactly when the step changes state.
    undo: &'static str,
}

impl Recipe {
    /// What the recipes are written over.
    const BLANK: Self = Self {
        on: &[],
        slot: Slot::Look,
        title: "",
        command: "",
        language: "bash",
        expect: "",
        otherwise: "",
        precondition: "",
        undo: "",
    };
}

/// Every pack there is. Those that explain most come first.
static PACKS: &[&Pack] = &[
    &kubernetes::PACK,
    &helm::PACK,
    &docker_compose::PACK,
    &systemd::PACK,
    &aws::PACK,
    &azure_container_apps::PACK,
    &postgresql::PACK,
    &mysql::PACK,
    &mongodb::PACK,
    &clickhouse::PACK,
    &redis::PACK,
    &kafka::PACK,
    &rabbitmq::PACK,
    &tls::PACK,
    &network::PACK,
];

/// Names of all packs, for diagnostics and documentation.
pub(super) fn names() -> Vec<&'static str> {
    PACKS.iter().map(|p| p.name).collect()
}

/// The name as packs are called: `docker_compose` is `docker-compose`.
pub(super) fn canonical(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('_', "-")
}

/// What the packs have for one node on one page.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) changed: Vec<Step>,
    pub(super) look: Vec<Step>,
    pub(super) fix: Vec<Step>,
    pub(super) unknowns: Vec<Text>,
}

impl Collected {
    pub(super) fn extend(&mut self, other: Self) {
        self.changed.extend(other.changed);
        self.look.extend(other.look);
        self.fix.extend(other.fix);
        self.unknowns.extend(other.unknowns);
    }
}

/// The steps of every pack in use.
pub(super) fn collect(context: &Context<'_>, target: &Target<'_>, page: Page) -> Collected {
    let facts = Facts::new(context, target);
    let listed: Vec<String> = context.settings.packs.iter().map(|p| canonical(p)).collect();
    let mut out = Collected::default();
    let mut in_use = false;
    for pack in PACKS {
        let named = listed.iter().any(|l| l == pack.name);
        let relevance = (pack.relevance)(&facts, page);
        let wanted = if listed.is_empty() { relevance == Relevance::Yes } else { named && relevance != Relevance::No };
        if !wanted {
            continue;
        }
        in_use = true;
        let (mut missing, mut derived) = (BTreeSet::new(), BTreeSet::new());
        for recipe in pack.recipes.iter().filter(|r| r.on.contains(&page)) {
            match fill(recipe, &facts, &mut derived) {
                Ok(step) => match recipe.slot {
                    Slot::Changed => out.changed.push(step),
                    Slot::Look => out.look.push(step),
                    Slot::Fix => out.fix.push(step),
                },
                Err(why) => missing.extend(why),
            }
        }
        if !missing.is_empty() {
            out.unknowns.push(left_out(pack.name, target, &missing));
        }
        for name in derived {
            out.unknowns.push(
                Text::words("Whether the deployment is really called ")
                    .code(name)
                    .and(": its name is derived from the names of its pods. Set ")
                    .code("k8s.deployment.name")
                    .and(" under ")
                    .code(format!("services.{}.facts", target.config_key()))
                    .and(" to be sure."),
            );
        }
    }
    if !in_use && target.kind == crate::topology::NodeKind::Service {
        out.unknowns.push(
            Text::words("On which platform ")
                .code(target.label())
                .and(" runs: neither its traces nor the configuration say so, so no platform commands are offered. Add facts such as ")
                .code("k8s.namespace.name")
                .and(" and ")
                .code("k8s.deployment.name")
                .and(" under ")
                .code(format!("services.{}.facts", target.config_key()))
                .and(" in ")
                .code("tracebook.yaml")
                .and("."),
        );
    }
    out
}

fn left_out(pack: &str, target: &Target<'_>, missing: &BTreeSet<(String, String)>) -> Text {
    let mut why = Text::default();
    for (key, reason) in missing {
        why = why.sep(", ").code(key.as_str()).and(format!(" {reason}"));
    }
    Text::words("Commands of the pack ")
        .code(pack)
        .and(" for ")
        .code(target.label())
        .and(" are left out: ")
        .append(why)
        .and(". Add it under ")
        .code(format!("services.{}.facts", target.config_key()))
        .and(" in ")
        .code("tracebook.yaml")
        .and(".")
}

/// A step with its facts in place, or why there is none.
fn fill(
    recipe: &Recipe,
    facts: &Facts<'_>,
    derivations: &mut BTreeSet<String>,
) -> Result<Step, BTreeSet<(String, String)>> {
    let (mut command, mut missing) = (String::new(), BTreeSet::new());
    let mut rest = recipe.command;
    while let Some((before, after)) = rest.split_once("{{") {
        command.push_str(before);
        let Some((key, tail)) = after.split_once("}}") else { break };
        rest = tail;
        match facts.get(key) {
            Fact::Known { value, derived } => {
                command.push_str(&shell(&value));
                derivations.extend(derived);
            }
            Fact::Missing { key, why } => {
                missing.insert((key, why));
            }
        }
    }
    command.push_str(rest);
    if !missing.is_empty() {
        return Err(missing);
    }
    let words = |s: &str| if s.is_empty() { Text::default() } else { Text::words(s) };
    Ok(Step {
        title: words(recipe.title).and(" (").code(facts.label()).and(")"),
        detail: Text::default(),
        command,
        language: recipe.language.to_owned(),
        expect: words(recipe.expect),
        otherwise: words(recipe.otherwise),
        changes_state: !recipe.undo.is_empty(),
        precondition: words(recipe.precondition),
        undo: words(recipe.undo),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recipe_is_complete_and_only_remediation_changes_state() {
        for pack in PACKS {
            assert_eq!(canonical(pack.name), pack.name);
            for recipe in pack.recipes {
                let what = format!("{}: {}", pack.name, recipe.title);
                assert!(!recipe.title.is_empty() && !recipe.on.is_empty() && !recipe.command.is_empty(), "{what}");
                assert!(!recipe.expect.is_empty(), "{what}: says what one should see");
                assert_eq!(recipe.slot == Slot::Fix, !recipe.undo.is_empty(), "{what}: fixes say how to undo");
                assert_eq!(recipe.slot == Slot::Fix, !recipe.precondition.is_empty(), "{what}: and what must hold");
                assert!(recipe.slot == Slot::Fix || !recipe.otherwise.is_empty(), "{what}: says where to go next");
                // JMESPath may end in }} of its own.
                assert!(recipe.command.matches("{{").count() <= recipe.command.matches("}}").count(), "{what}");
                let placeholder =
                    recipe.command.split('<').skip(1).any(|s| s.starts_with(|c: char| c.is_ascii_alphabetic()));
                assert!(!placeholder, "{what}: no placeholder");
                // Only the shell's quoting is known here.
                assert!(recipe.language == "bash" || !recipe.command.contains("{{"), "{what}");
                // A fact inside quotes would be quoted twice.
                assert!(!recipe.command.contains("'{{") && !recipe.command.contains("\"{{"), "{what}");
            }
        }
    }
}
