//! Kafka, by its own scripts. Facts of the topic: `kafka.bootstrap`, `messaging.consumer.group.name`.

use super::Page::{Failover, Pipeline};
use super::{Facts, Pack, Page, Recipe, Relevance};
use crate::topology::NodeKind;

pub(super) static PACK: Pack = Pack { name: "kafka", relevance, recipes: RECIPES };

fn relevance(facts: &Facts<'_>, _: Page) -> Relevance {
    let ours = facts.kind() == NodeKind::Messaging && facts.system() == "kafka";
    if ours { Relevance::Yes } else { Relevance::No }
}

const RECIPES: &[Recipe] = &[
    Recipe {
        on: &[Pipeline, Failover],
        title: "Look at the topic's partitions",
        command: "kafka-topics.sh --bootstrap-server {{kafka.bootstrap}} --describe --topic {{name}}",
        expect: "Every partition has a leader, and as many in-sync replicas (Isr) as Replicas.",
        otherwise: "A partition without a leader takes no messages; a short Isr means that a broker is down or slow.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Pipeline],
        title: "Measure the lag of the consumer group by partition",
        command: "kafka-consumer-groups.sh --bootstrap-server {{kafka.bootstrap}} --describe --group {{messaging.consumer.group.name}}",
        expect: "LAG small and not growing between two runs a minute apart; a CONSUMER-ID on every partition.",
        otherwise: "One partition only: a message its consumer cannot get past, or a hot key. All partitions: too slow or down. No CONSUMER-ID: nobody reads.",
        ..Recipe::BLANK
    },
    Recipe {
        on: &[Pipeline],
        title: "See whether the group keeps rebalancing",
        command: "kafka-consumer-groups.sh --bootstrap-server {{kafka.bootstrap}} --describe --group {{messaging.consumer.group.name}} --state",
        expect: "STATE Stable with the number of members you run.",
        otherwise: "PreparingRebalance again and again: members take longer than max.poll.interval.ms, or restart.",
        ..Recipe::BLANK
    },
];
