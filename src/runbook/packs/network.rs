//! What can be asked of an address nobody instrumented. Fact: `net.host`, or the address itself where it is a host name.

use super::Page::Dependency;
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "network", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    if facts.kind() == NodeKind::External { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Dependency],
        title: "Resolve its name, from where the caller runs",
        command: "getent ahosts {{net.host}}",
        expect: "The addresses the provider publishes.",
        otherwise: "Nothing: name resolution is broken there, not the provider.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Dependency],
        title: "Time a connection to it, from where the caller runs",
        command: "curl -sS -o /dev/null --max-time 10 -w 'status=%{http_code} dns=%{time_namelookup} connect=%{time_connect} tls=%{time_appconnect} first_byte=%{time_starttransfer}\\n' https://{{net.host}}/",
        expect: "A status of any kind within the p50 of the calls on this page.",
        otherwise: "Slow or failing before connect: network or firewall. Before tls: certificate or proxy. Before the first byte: the provider.",
        ..Recipe::BLANK
    },
];
