//! systemd. Fact: `systemd.unit`.

use super::Page::{Custom, Dependency, Errors, Latency, Oom, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance, Slot};

pub(super) static PACK: Pack = Pack { name: "systemd", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, page: Page) -> Relevance {
    Relevance::of_any_node(facts, page, facts.has("systemd.unit"))
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        slot: Slot::Changed,
        title: "See since when the unit runs, on its host",
        command: "systemctl status --no-pager {{systemd.unit}}\nsystemctl show -p NRestarts,ActiveEnterTimestamp,MemoryCurrent {{systemd.unit}}",
        expect: "Active since before the trouble began, and no restarts.",
        otherwise: "Restarted when the trouble began: a release or a crash; its journal tells which.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom, Custom],
        title: "Read its journal, on its host",
        command: "journalctl -u {{systemd.unit}} --since -15min --no-pager | tail -n 200",
        expect: "No errors that did not occur before.",
        otherwise: "Take the first new error, not the most frequent. \"oom-kill\" means memory.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Latency, Errors, Dependency, Pipeline, Oom],
        slot: Slot::Fix,
        title: "Restart the unit, on its host",
        command: "sudo systemctl restart {{systemd.unit}}\nsystemctl status --no-pager {{systemd.unit}}",
        expect: "Active (running), and the figures of Verification recover.",
        precondition: "A short outage of this instance is acceptable, and the cause lies in the state of the process, not in what it calls.",
        undo: "None needed: the same unit starts again.",
        ..Recipe::BLANK
    },
];
