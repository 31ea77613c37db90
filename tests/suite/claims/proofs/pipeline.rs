//! A topic: what goes in, what comes out, and how long it waits.

use crate::claims::claim::{Claim, count, p50_p99};
use crate::claims::facts::Edge;
use crate::claims::numbers::Value;
use crate::claims::objectives;
use crate::claims::pattern::{Pattern, listed, says};

use super::impact::rate;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says("all consumers wait about as long (p50 {d})", |c| {
            let consumers = c.facts.out_of(c.focus()?);
            let waits = consumers.iter().filter_map(|(_, e)| e.dwell.exact("50"));
            Some(vec![Value::near(waits.min_by(f64::total_cmp)?)])
        }),
        says(
            "Look first at {x}, <where messages wait longest|its only consumer|its largest consumer>: whether it runs, and how long one message takes it (p50 {d}).",
            |c| Some(vec![c.call_to(c.node_id(0)?)?.server.quantile("50")?]),
        ),
        listed("In the window published: ", "{x} {r}", |c| {
            let taken = c.place.text[..c.from].contains("; taken: ") || c.text().contains("; taken: ");
            let topic = c.focus().filter(|id| id.starts_with("messaging:"));
            let edge = match (taken, topic) {
                (false, Some(topic)) => c.facts.edge(c.node_id(0)?, topic)?,
                (true, Some(topic)) => c.facts.edge(topic, c.node_id(0)?)?,
                // A scenario goes through the topics of its nodes: one whose rate this is.
                (taken, None) => return one_of_topics(c, taken),
            };
            Some(vec![rate(c, edge.sums.calls)])
        }),
        listed("In the window: ", "{x} {r}", |c| match c.focus().filter(|id| id.starts_with("messaging:")) {
            Some(topic) => Some(vec![rate(c, c.facts.edge(c.node_id(0)?, topic)?.sums.calls)]),
            None => one_of_topics(c, false),
        })
        .in_step("See whether a producer sends more than usual"),
        says("Messages wait p50 {d}, p99 {d} (n {c}).", |c| {
            let dwell = &consumed(c)?.dwell;
            let mut out: Vec<Value> = p50_p99(dwell)?.into();
            out.push(count(dwell.n()));
            Some(out)
        }),
        says("Processing one takes p50 {d}, p99 {d}.", |c| Some(p50_p99(&consumed(c)?.server)?.into())),
        says("Of them fail {%}.", |c| Some(vec![Value::Exactly(consumed(c)?.sums.error_ratio())])),
        says("Processing p99 about {d}.", |c| Some(vec![consumed(c)?.server.quantile("99")?])),
        says("Waiting below {d}.", |c| {
            let consumer = c.titled()?;
            let all = objectives::Status::ranked(c.facts, &[consumer], |sli| {
                matches!(sli, crate::claims::config::Sli::Lag(_))
            });
            Some(vec![Value::Exactly(all.first()?.objective.value)])
        }),
        says("the wait below {d} for 15 minutes.", |c| {
            Some(vec![Value::Exactly(objectives::of_page(c).first()?.objective.value)])
        }),
    ]
}

/// The deliveries to the consumer a step is about: from the page's topic, else from the only one it reads.
fn consumed<'a>(c: &Claim<'a>) -> Option<&'a Edge> {
    let consumer = c.titled()?;
    let topic = c.focus().filter(|id| id.starts_with("messaging:"));
    let mut into = c.facts.into(consumer).into_iter().filter(|(_, e)| e.kind == "messaging");
    into.find(|(from, _)| topic.is_none_or(|t| t == *from)).map(|(_, e)| e)
}

fn one_of_topics(c: &Claim<'_>, taken: bool) -> Option<Vec<Value>> {
    let node = c.node_id(0)?;
    let edges = if taken { c.facts.into(node) } else { c.facts.out_of(node) };
    let rates = edges.iter().filter(|(_, e)| e.kind == "messaging").map(|(_, e)| c.facts.rate(e.sums.calls));
    Some(vec![Value::OneOf(rates.collect())])
}
