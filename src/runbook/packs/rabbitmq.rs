//! RabbitMQ, by `rabbitmqctl` on a node of the cluster. No facts needed.

use super::Page::{Failover, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "rabbitmq", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Messaging && facts.system() == "rabbitmq";
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Pipeline],
        title: "List queues that hold messages, on a broker",
        command: "rabbitmqctl list_queues name messages_ready messages_unacknowledged consumers state",
        expect: "Few messages ready, at least one consumer on each queue, state running.",
        otherwise: "No consumers: nobody reads. Many unacknowledged: consumers take messages and do not finish them.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Pipeline, Failover],
        title: "See whether the broker stopped its publishers",
        command: "rabbitmq-diagnostics alarms\nrabbitmqctl cluster_status",
        expect: "No alarms, every node running, no partitions.",
        otherwise: "A memory or disk alarm blocks all publishers until it is gone.",
        ..Recipe::BLANK
    },
];
