//! Whether one version, place or instance of a service does worse than the others, as a step.
//!
//! Input: what stands out in the window, and which values were seen. Output: one read-only [`Step`].

use super::context::{Context, Target};
use super::document::{Step, Text};
use super::phrase::{FEW, count};
use super::quote::label;
use super::{queries, steps};
use crate::findings::suspects::contrast::{Contrast, Respect};
use crate::topology::Node;

/// Attributes by which a node may be split, most telling first, and what it means when one value stands out.
const SPREAD: &[(&str, &str)] = &[
    ("service.version", "One version apart: the release is the cause, roll it back."),
    ("cloud.region", "One region apart: take it out of rotation before looking further."),
    ("cloud.availability_zone", "One zone apart: look at that zone's network and nodes."),
    ("deployment.environment.name", "Several environments send under one name: make sure you look at the right one."),
    ("k8s.pod.name", "One pod apart: it or its node is ill, the service is not."),
    ("host.name", "One host apart: look at that host."),
    ("service.instance.id", "One instance apart: it is ill, the service is not."),
];

/// Values that stand out and are told.
const TOLD: usize = 3;

/// What stood out in the window, the worst value in the title; `None` when nothing did.
pub(super) fn stands_out(context: &Context<'_>, target: &Target<'_>, respect: Respect) -> Option<Step> {
    let found = context.contrasts(&target.id, respect);
    let worst = *found.first()?;
    let handled = queries::handled(context, target);
    let query = match respect {
        Respect::Failing => format!("{} | rate()", queries::select(&format!("{handled} && status = error"))),
        Respect::Slow => format!("{} | quantile_over_time(duration, .5, .95)", queries::select(&handled)),
    };
    let title = Text::words("Look at ").code(worst.key).and(" ").code(label(worst.value)).and(" alone: ");
    let mut step =
        steps::traceql(context, title.append(differs(worst)), format!("{query} by (resource.{})", worst.key));
    let mut text = Text::words("n ").piece(count(worst.this.n)).and(" and ").piece(count(worst.rest.n)).and(".");
    for (i, (key, value)) in worst.also.iter().take(TOLD).enumerate() {
        let words = if i == 0 { " The very same calls: " } else { ", " };
        text = text.and(words).code(*key).and(" ").code(label(value));
    }
    text = text.and(if worst.also.is_empty() { "" } else { "." });
    for other in found.iter().skip(1).take(TOLD - 1) {
        text = text.and(" Apart as well: ").code(other.key).and(" ").code(label(other.value)).and(", ");
        text = text.append(differs(other)).and(" (n ").piece(count(other.this.n)).and(").");
    }
    step.detail = step.detail.append(text);
    step.expect = Text::words("About the same for every value.");
    let meaning = SPREAD.iter().find(|(key, _)| *key == worst.key).map_or("", |(_, meaning)| *meaning);
    step.otherwise =
        Text::words(if meaning.is_empty() { "Still apart: it is ill, the service is not." } else { meaning });
    step.otherwise = std::mem::take(&mut step.otherwise)
        .and(" All alike now: it has spread or has passed. Make sure that it handles the same requests as the others.");
    Some(step)
}

/// `34 % of its calls fail, of all others 0.2 %`.
fn differs(contrast: &Contrast<'_>) -> Text {
    let text = Text::default().ratio(contrast.this.share);
    let text = match contrast.respect {
        Respect::Failing => text.and(" of its calls fail"),
        Respect::Slow => text.and(" of its calls take ").duration(contrast.slow_seconds()).and(" or longer"),
    };
    text.and(", of all others ").ratio(contrast.rest.share)
}

/// Whether one version, region or instance stands out, where more than one was seen. `measure` is the TraceQL function.
pub(super) fn spread(context: &Context<'_>, target: &Target<'_>, measure: &str) -> Option<Step> {
    const VALUES: usize = 4;
    let node = target.node?;
    let split: Vec<_> = SPREAD.iter().filter(|(key, _)| distinct(node, key) > 1).take(3).collect();
    let (first, _) = split.first()?;
    let query = format!("{} | {measure} by (resource.{first})", queries::select(&queries::handled(context, target)));
    let title = Text::words("See whether one version, place or instance stands out");
    let mut step = steps::traceql(context, title, query);
    let (mut seen, mut meanings) = (Text::words("Spans seen by "), Text::default());
    for (i, (key, meaning)) in split.iter().enumerate() {
        seen = seen.and(if i == 0 { "" } else { "; by " }).code(*key).and(": ");
        let mut values: Vec<_> = node.attributes.get(*key).into_iter().flatten().collect();
        values.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let total: u64 = values.iter().fold(0, |sum, (_, n)| sum.saturating_add(**n));
        for (j, (value, n)) in values.iter().take(VALUES).enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "a share for display")]
            let share = **n as f64 / total.max(1) as f64;
            seen = seen.and(if j == 0 { "" } else { ", " }).code(label(value)).and(" ").ratio(share);
        }
        if values.len() > VALUES {
            seen = seen.and(" and more");
        }
        meanings = meanings.and(if i == 0 { "" } else { " " }).and(*meaning);
    }
    step.detail = step.detail.append(seen).and(".");
    let n =
        context.snapshot.instances.iter().filter(|i| i.service == target.id).map(|i| i.n).fold(0, u64::saturating_add);
    let apart =
        [Respect::Failing, Respect::Slow].iter().any(|respect| !context.contrasts(&target.id, *respect).is_empty());
    if n >= 2 * FEW && !apart {
        step.detail = step.detail.and(" None stood out in the window (n ").piece(count(n)).and(").");
    }
    step.expect = Text::words("About the same for every value.");
    step.otherwise = meanings;
    Some(step)
}

fn distinct(node: &Node, key: &str) -> usize {
    node.attributes.get(key).map_or(0, std::collections::BTreeMap::len)
}
