//! The head of a page, the index, and where the numbers come from.

use crate::claims::claim::{Claim, count, said};
use crate::claims::numbers::Value;
use crate::claims::objectives;
use crate::claims::pattern::{Pattern, cell, says};

pub fn patterns() -> Vec<Pattern> {
    vec![
        // In a title that of this page, in a link that of a page: where a link leads elsewhere it is not read as one.
        says("RB-{q}", |c| {
            let id = c.text();
            let own = c.place.text.starts_with(id) && !c.place.text.starts_with('[');
            let mut pages = c.pages.iter().filter(|p| !own || p.file == c.page.file);
            pages.any(|p| p.file.starts_with(&format!("{id}-"))).then(|| vec![said(&id[3..])])
        }),
        cell(&["number"], "", "{c}", |c| Some(vec![said(c.row(0))])),
        says(
            "<p{q} latency|Mean latency|Error rate|Throughput|p{q} message lag> of {x}<, operation {x}|> <misses its target|keeps its target in this window>: {v} <(n {c}, 95 % interval {v} to {v})|(only few requests were seen, n {c})|(only few messages were seen, n {c})>, target {x}",
            objectives::headline,
        ),
        says(" Missed as well: {c} more of its objectives.", objectives::missed_besides),
        cell(&[""], "Window", "{d} from {t}", |c| {
            let [start, _] = c.window();
            Some(vec![Value::Exactly(c.facts.seconds()), start])
        }),
        cell(&[""], "n", "{c} spans, {c} traces", seen),
        says("Seen: {c} spans in {c} traces", seen),
        says("{c} spans in {c} traces. Counts are", seen),
        says("Window: {t} to {t} ({d})", |c| {
            let [start, end] = c.window();
            Some(vec![start, end, Value::Exactly(c.facts.seconds())])
        }),
        says("Made by tracebook {q}", |_| Some(vec![said(env!("CARGO_PKG_VERSION"))])),
        says("{c} breached, {c} OK, {c} unknown, over {d} from {t} to {t}.", |c| {
            let starts = |state: &str| {
                let pages = c.pages.iter().filter(|p| p.places.iter().any(|p| p.text.starts_with(state)));
                count(pages.count() as u64)
            };
            let [start, end] = c.window();
            let counts = [starts("Breached. "), starts("OK. "), starts("Unknown. ")];
            Some(counts.into_iter().chain([Value::Exactly(c.facts.seconds()), start, end]).collect())
        }),
        says("{c} nodes, {c} edges.", |c| {
            Some(vec![count(c.facts.nodes.len() as u64), count(c.facts.edges.len() as u64)])
        }),
        says("Without {x} other services cannot reach each other; {%} of the requests from outside touch it.", |c| {
            let node = c.of(c.node_id(0)?)?;
            Some(vec![Value::Exactly(node.touched / c.facts.coverage.entries)])
        }),
    ]
}

fn seen(c: &Claim<'_>) -> Option<Vec<Value>> {
    Some(vec![count(c.facts.spans.len() as u64), count(c.facts.coverage.traces)])
}
