//! Who is hit when a node is slow or down.
//!
//! Input: a node and its place in the topology. Output: sentences, most important first.
//! Must not: claim more than calls and reach prove: "can be hit", not "is hit".

use super::callers;
use super::context::{Context, Target, name_of};
use super::document::{Piece, Text};
use super::phrase::items;
use super::quote::label;
use crate::topology::{Edge, EdgeKind, NodeKind};

/// Callers named one by one.
const NAMED: usize = 5;

/// Who is hit in one short sentence, the first of every list.
fn hit(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let waiting = context.entries_reaching(&target.id, true);
    if waiting.iter().any(|e| *e.service == target.id) {
        return None; // Said with its rate below.
    }
    if let Some(first) = waiting.first() {
        let entering: f64 = waiting.iter().map(|e| e.calls).sum::<f64>() / context.entry_calls.max(f64::MIN_POSITIVE);
        let share = context.entry_share(&target.id).min(entering);
        let text = Text::words("Requests that enter at ").code(name_of(context, first.service));
        let text = match waiting.len() - 1 {
            0 => text,
            more => text.and(" and ").piece(items(more)).and(" more places"),
        };
        let text = match context.exact_entry_share(&target.id) {
            Some(exact) if exact <= 0.0 => {
                return Some(text.and(" may need it, though none whose trace is whole did in this window."));
            }
            Some(_) => text.and(" and need it: "),
            None => text.and(" and need it: up to "),
        };
        return Some(text.ratio(share).and(" of all that enters."));
    }
    if !context.entries_reaching(&target.id, false).is_empty() {
        return Some(Text::words("No request waits for it, but what was accepted earlier is finished late."));
    }
    let callers = context.callers(&target.id);
    let first = callers.iter().find(|e| e.kind != EdgeKind::Entry)?;
    Some(Text::default().code(name_of(context, &first.source)).and(" and whoever waits for it."))
}

/// All that is known about who is hit.
pub(super) fn impact(context: &Context<'_>, target: &Target<'_>) -> Vec<Text> {
    if target.node.is_none() {
        let text = Text::words("Who calls ").code(target.label()).and(" is not known: it was not seen in this window.");
        return [Some(text), criticality_line(target)].into_iter().flatten().collect();
    }
    let mut out: Vec<Text> = hit(context, target).into_iter().collect();
    entries(context, target, &mut out);
    let callers: Vec<&Edge> = context.callers(&target.id).into_iter().filter(|e| e.kind != EdgeKind::Entry).collect();
    out.extend(callers.iter().take(NAMED).map(|edge| caller(context, edge)));
    if callers.len() > NAMED {
        out.push(Text::default().piece(items(callers.len() - NAMED)).and(" more callers are in the table below."));
    }
    out.extend(callers::unseen(context, target));
    out.extend(further_up(context, target));
    out.extend(on_the_way(context, target));
    downstream(context, target, &mut out);
    out.extend(criticality_line(target));
    if out.is_empty() {
        out.push(Text::words("Nobody is seen to call ").code(target.label()).and(" in this window."));
    }
    out
}

fn criticality_line(target: &Target<'_>) -> Option<Text> {
    criticality(target).map(|c| Text::words("Criticality: ").code(label(c)).and("."))
}

/// As configured, else as the spans say.
fn criticality<'a>(target: &'a Target<'_>) -> Option<&'a str> {
    let configured = target.config.map(|c| c.criticality.as_str()).filter(|c| !c.is_empty());
    configured.or_else(|| target.node.and_then(|n| n.attribute("service.criticality")))
}

fn entries(context: &Context<'_>, target: &Target<'_>, out: &mut Vec<Text>) {
    let all = |waiting| context.entries_reaching(&target.id, waiting);
    // A single entry elsewhere is what the first sentence already says.
    if all(true).len() + all(false).len() == 1 && !all(true).iter().any(|e| *e.service == target.id) {
        return;
    }
    for waiting in [true, false] {
        for entry in all(waiting).iter().take(NAMED) {
            let text = if *entry.service == target.id {
                Text::words("Requests enter the system here: ")
            } else {
                Text::words("Requests that enter at ").code(name_of(context, entry.service)).and(": ")
            };
            let text = text
                .rate(context.rate(entry.calls))
                .and(", ")
                .ratio(entry.calls / context.entry_calls.max(f64::MIN_POSITIVE))
                .and(" of all that enters; ");
            out.push(text.and(match (*entry.service == target.id, waiting) {
                (true, _) => "users notice at once.",
                (false, true) => "those that need it wait for it or fail with it.",
                (false, false) => "accepted at once, but their effect is late or missing.",
            }));
        }
    }
}

fn caller(context: &Context<'_>, edge: &Edge) -> Text {
    let text = Text::default().code(name_of(context, &edge.source));
    if edge.kind == EdgeKind::Messaging {
        let topic = context.snapshot.node(&edge.source).is_some_and(|n| n.kind == NodeKind::Messaging);
        let (what, rest) = if topic {
            (" hands messages to it (", "); they wait in the topic meanwhile.")
        } else {
            (" publishes to it (", "); it is not blocked as long as the broker takes the messages.")
        };
        return text.and(what).rate(context.rate(edge.calls.as_f64())).and(rest);
    }
    let share = context.share_of_caller(edge);
    let text = text.and(" calls it ").rate(context.rate(edge.calls.as_f64()));
    let text = match share {
        s if s > 1.05 => {
            text.and(", ").piece(Piece::Count((s * 10.0).round() / 10.0)).and(" times for each request it handles")
        }
        s if s > 0.0 => text.and(", in ").ratio(s.min(1.0)).and(" of the requests it handles"),
        _ => text,
    };
    text.and(match share {
        s if s >= 0.9 => ": down with it, unless it has a fallback.",
        s if s > 0.0 => ": degraded, the rest of its requests does not need this call.",
        _ => ".",
    })
}

/// Callers of the callers.
fn further_up(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let all = context.indirect_callers(&target.id);
    let (first, rest) = all.split_at(all.len().min(NAMED));
    let mut text = Text::words("Further up, through these callers: ");
    for (i, (depth, id)) in first.iter().enumerate() {
        text =
            text.and(if i == 0 { "" } else { ", " }).code(name_of(context, id)).and(format!(" ({depth} calls away)"));
    }
    if !rest.is_empty() {
        text = text.and(" and ").piece(items(rest.len())).and(" more");
    }
    (!first.is_empty()).then(|| text.and("."))
}

/// What has to work for any request to get here.
fn on_the_way(context: &Context<'_>, target: &Target<'_>) -> Option<Text> {
    let passed = context.passed_on_the_way(&target.id);
    let mut text = Text::words("Every way here from outside that was seen leads through ");
    for (i, id) in passed.iter().take(NAMED).enumerate() {
        text = text.and(if i == 0 { "" } else { ", then " }).code(name_of(context, id));
    }
    if passed.len() > NAMED {
        text = text.and(" and ").piece(items(passed.len() - NAMED)).and(" more");
    }
    (!passed.is_empty()).then(|| text.and(": if fewer calls arrive than usual, look there first."))
}

fn downstream(context: &Context<'_>, target: &Target<'_>, out: &mut Vec<Text>) {
    let callees = context.callees(&target.id);
    if callees.is_empty() || target.kind == NodeKind::Messaging {
        return;
    }
    let mut text = Text::words("Behind it, less traffic is an effect and not the cause: ");
    for (i, edge) in callees.iter().take(NAMED).enumerate() {
        text = text.and(if i == 0 { "" } else { ", " }).code(name_of(context, &edge.target));
    }
    let rest = callees.len().saturating_sub(NAMED);
    if rest > 0 {
        text = text.and(" and ").piece(items(rest)).and(" more");
    }
    out.push(text.and("."));
}
