//! What a page's claims rest on: neighbourhood diagram and tables of numbers.
//!
//! Bounded: at most 30 nodes and 15 rows a table, chosen by calls, errors or time, then by name.

use std::collections::{BTreeMap, BTreeSet};

use super::context::{Context, Target, name_of};
use super::document::{Diagram, DiagramEdge, DiagramNode, EvidenceRow, EvidenceTable, Text};
use super::phrase::{FEW, count, error_class, items, nanos, seconds};
use super::quote::label;
use crate::findings::Finding;
use crate::slo::interval;
use crate::spans::Weight;
use crate::topology::{Edge, EdgeKind, ErrorCount, NodeId, Operation, Sketch};

/// Most nodes of a diagram.
const NODES: usize = 30;
/// Most rows of a table.
const ROWS: usize = 15;
/// With fewer nodes than this, callers of callers are drawn too.
const SMALL: usize = 10;

/// Focus, callers and callees, and callers of callers while that stays small.
pub(super) fn diagram(context: &Context<'_>, focus: &[&NodeId]) -> Diagram {
    let mut chosen: BTreeSet<&NodeId> = BTreeSet::new();
    let mut omitted: BTreeSet<&NodeId> = BTreeSet::new();
    let known: Vec<&NodeId> = focus.iter().filter_map(|id| context.snapshot.node(id)).map(|n| &n.id).collect();
    let mut add = |id, chosen: &mut BTreeSet<_>| {
        if chosen.len() < NODES {
            chosen.insert(id);
        } else if !chosen.contains(id) {
            omitted.insert(id);
        }
    };
    for id in &known {
        add(*id, &mut chosen);
    }
    let mut near: Vec<&Edge> =
        known.iter().flat_map(|id| [context.callers(id), context.callees(id)].concat()).collect();
    near.sort_by(|a, b| b.calls.cmp(&a.calls).then((&a.source, &a.target).cmp(&(&b.source, &b.target))));
    for edge in &near {
        add(&edge.source, &mut chosen);
        add(&edge.target, &mut chosen);
    }
    if chosen.len() < SMALL {
        let first: Vec<&NodeId> = known.iter().flat_map(|id| context.callers(id)).map(|e| &e.source).collect();
        for edge in first.iter().flat_map(|id| context.callers(id)) {
            add(&edge.source, &mut chosen);
        }
    }
    let nodes = chosen.iter().filter_map(|id| context.snapshot.node(id)).map(|n| DiagramNode {
        id: n.id.clone(),
        kind: n.kind,
        label: context.target(&n.id).label(),
        focus: known.contains(&&n.id),
        alarmed: context.alarmed(&n.id),
    });
    let edges =
        chosen.iter().flat_map(|id| context.callees(id)).filter(|e| chosen.contains(&e.target)).map(|e| DiagramEdge {
            source: e.source.clone(),
            target: e.target.clone(),
            kind: e.kind,
            calls: e.calls.as_f64(),
            p99_seconds: seconds(e.latency(), 0.99),
            error_ratio: e.error_ratio().unwrap_or(0.0),
        });
    let mut edges: Vec<DiagramEdge> = edges.collect();
    edges.sort_by(|a, b| (&a.source, &a.target, a.kind).cmp(&(&b.source, &b.target, b.kind)));
    Diagram { nodes: nodes.collect(), edges, omitted: omitted.len() }
}

/// By what a table is ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Time,
    Errors,
    Calls,
}

/// The operations a service handles.
pub(super) fn operations(context: &Context<'_>, target: &Target<'_>, order: Order) -> Option<EvidenceTable> {
    let mut all: Vec<&Operation> = context.handled_operations(&target.id);
    all.sort_by(|a, b| {
        let key = |o: &Operation| match order {
            Order::Time => o.stats.durations.sum_seconds(),
            Order::Errors => o.stats.errors.as_f64(),
            Order::Calls => o.stats.calls.as_f64(),
        };
        key(b)
            .total_cmp(&key(a))
            .then(b.stats.calls.cmp(&a.stats.calls))
            .then((a.kind, &a.name).cmp(&(b.kind, &b.name)))
    });
    let total: f64 = all.iter().map(|o| o.stats.durations.sum_seconds()).sum();
    let rows = all.iter().take(ROWS).map(|o| {
        let mut cells = vec![Text::default().code(label(&o.name)), Text::words(o.kind.name())];
        cells.extend(numbers(context, o.stats.n, o.stats.calls, o.stats.errors, &o.stats.durations));
        cells.push(Text::default().ratio(o.stats.durations.sum_seconds() / total.max(f64::MIN_POSITIVE)));
        EvidenceRow { cells }
    });
    let columns = ["Operation", "Kind", "n", "Calls", "Errors", "p50", "p95", "p99 (95 % interval)", "Share of time"];
    table("Operations", &columns, rows.collect(), all.len())
}

/// Who calls the node.
pub(super) fn callers(context: &Context<'_>, target: &Target<'_>) -> Option<EvidenceTable> {
    let edges = context.callers(&target.id);
    let rows = edges.iter().take(ROWS).map(|e| {
        let mut cells = vec![Text::default().code(name_of(context, &e.source))];
        cells.extend(numbers(context, e.n, e.calls, e.errors, e.latency()));
        cells.push(Text::words(e.strongest().name()));
        EvidenceRow { cells }
    });
    let columns = ["Caller", "n", "Calls", "Errors", "p50", "p95", "p99 (95 % interval)", "Known by"];
    table("Callers", &columns, rows.collect(), edges.len())
}

/// Whom the node calls.
pub(super) fn dependencies(context: &Context<'_>, target: &Target<'_>) -> Option<EvidenceTable> {
    let edges = context.callees(&target.id);
    let rows = edges.iter().take(ROWS).map(|e| {
        let mut cells = vec![Text::default().code(name_of(context, &e.target)), Text::words(e.kind.name())];
        cells.extend(numbers(context, e.n, e.calls, e.errors, e.latency()));
        cells.push(quantile(&e.server, 0.99));
        cells.push(quantile(&e.gap, 0.99));
        EvidenceRow { cells }
    });
    let columns = [
        "Dependency",
        "Kind",
        "n",
        "Calls",
        "Errors",
        "p50",
        "p95",
        "p99 (95 % interval)",
        "p99 in the callee",
        "p99 between",
    ];
    let mut table = table("Dependencies", &columns, rows.collect(), edges.len())?;
    // Some backends count what the called side took and nothing else.
    let waited = edges.iter().any(|e| !e.client.is_empty());
    let unknown = edges.iter().any(|e| e.client.is_empty() && !e.server.is_empty());
    table.note = table.note.and(match (waited, unknown) {
        (_, false) => "Latencies are what the caller waits for; \"between\" is what neither side accounts for: network, queues, connection set-up.",
        (true, true) => "Latencies are what the caller waits for or, where nobody measured that (no p99 between), how long the called side took; \"between\" is what neither side accounts for: network, queues, connection set-up.",
        (false, true) => "Latencies are how long the called side took: nobody measured how long the caller waits.",
    });
    Some(table)
}

/// Who handles the messages of a topic.
pub(super) fn consumers(context: &Context<'_>, target: &Target<'_>) -> Option<EvidenceTable> {
    let edges: Vec<&Edge> = context.callees(&target.id).into_iter().filter(|e| e.kind == EdgeKind::Messaging).collect();
    let rows = edges.iter().take(ROWS).map(|e| {
        let mut cells = vec![Text::default().code(name_of(context, &e.target))];
        cells.extend([
            Text::default().piece(count(e.n)),
            Text::default().rate(context.rate(e.calls.as_f64())),
            errors(e.errors, e.calls),
        ]);
        cells.extend([
            quantile(&e.dwell, 0.5),
            quantile(&e.dwell, 0.99),
            quantile(&e.server, 0.5),
            quantile(&e.server, 0.99),
        ]);
        EvidenceRow { cells }
    });
    let columns = ["Consumer", "n", "Messages", "Errors", "p50 wait", "p99 wait", "p50 processing", "p99 processing"];
    table("Consumers", &columns, rows.collect(), edges.len())
}

/// How calls failed.
pub(super) fn error_classes(classes: &[ErrorCount], errors: Weight) -> Option<EvidenceTable> {
    let rows = classes.iter().take(ROWS).map(|c| {
        let cells = vec![
            Text::default().code(error_class(&c.class)),
            Text::default().count(c.calls.as_f64()),
            Text::default().ratio(c.calls.ratio_of(errors).min(1.0)),
        ];
        EvidenceRow { cells }
    });
    table("Errors by class", &["Class", "Calls", "Share of errors"], rows.collect(), classes.len())
}

/// How often each class of errors occurs on the edges into a node.
pub(super) fn caller_error_classes(context: &Context<'_>, target: &Target<'_>) -> (Vec<ErrorCount>, Weight) {
    let (mut sums, mut errors) = (BTreeMap::new(), Weight::ZERO);
    for edge in context.callers(&target.id) {
        errors += edge.errors;
        for c in &edge.error_classes {
            *sums.entry(c.class.clone()).or_insert(Weight::ZERO) += c.calls;
        }
    }
    let mut classes: Vec<ErrorCount> = sums.into_iter().map(|(class, calls)| ErrorCount { class, calls }).collect();
    classes.sort_by(|a, b| b.calls.cmp(&a.calls).then(a.class.cmp(&b.class)));
    (classes, errors)
}

/// Which versions, environments, clusters or regions of the node take the errors of its callers: attributes of which more
/// than one value was called. `None` where nothing failed.
pub(super) fn dimensions(context: &Context<'_>, target: &Target<'_>) -> Option<EvidenceTable> {
    let mut sums: BTreeMap<&str, BTreeMap<&str, (Weight, Weight)>> = BTreeMap::new();
    for edge in context.callers(&target.id) {
        for (key, pairs) in &edge.dimensions {
            for pair in pairs {
                let (calls, errors) = sums.entry(key).or_default().entry(&pair.target).or_default();
                *calls += pair.calls;
                *errors += pair.errors;
            }
        }
    }
    let failed = |values: &BTreeMap<&str, (Weight, Weight)>| values.values().map(|(_, errors)| *errors).sum::<Weight>();
    let mut rows = Vec::new();
    for (key, values) in sums.iter().filter(|(_, values)| values.len() > 1 && !failed(values).is_zero()) {
        let mut values: Vec<_> = values.iter().collect();
        values.sort_by_key(|(value, (calls, failed))| (std::cmp::Reverse((*failed, *calls)), **value));
        let all: Weight = values.iter().map(|(_, (_, failed))| *failed).sum();
        rows.extend(values.into_iter().map(|(value, (calls, failed))| EvidenceRow {
            cells: vec![
                Text::default().code(*key),
                if value.is_empty() { unknown() } else { Text::default().code(label(value)) },
                Text::default().count(calls.as_f64()),
                errors(*failed, *calls),
                Text::default().ratio(failed.ratio_of(all).min(1.0)),
            ],
        }));
    }
    let all = rows.len();
    rows.truncate(ROWS);
    let columns = ["Attribute of the called", "Value", "Calls", "Errors", "Share of errors"];
    table("Errors by version and place", &columns, rows, all)
}

/// What the rules found about the node or its edges.
pub(super) fn findings(context: &Context<'_>, target: &Target<'_>) -> Option<EvidenceTable> {
    // Objectives are spoken of under the trigger.
    let findings = context.findings(&target.id).iter();
    let all: Vec<&Finding> = findings.copied().filter(|f| !f.code.starts_with("objective-")).collect();
    let rows = all.iter().take(ROWS).map(|f| EvidenceRow {
        cells: vec![
            Text::words(f.severity.name()),
            Text::default().code(f.code),
            Text::words(f.message.chars().take(400).collect::<String>()),
            Text::default().piece(count(f.n)),
        ],
    });
    table("Findings", &["Severity", "Code", "What", "n"], rows.collect(), all.len())
}

/// n, calls a second, error share, p50, p95, p99 with its interval.
fn numbers(context: &Context<'_>, n: u64, calls: Weight, failed: Weight, durations: &Sketch) -> [Text; 6] {
    let interval = interval::of_quantile(durations, 0.99).map(|(ends, _)| ends).filter(|_| durations.n() >= FEW);
    let p99 = match (durations.quantile(0.99), interval) {
        (Some(v), Some((low, high))) => {
            Text::default().piece(nanos(v)).and(" (").piece(nanos(low)).and(" to ").piece(nanos(high)).and(")")
        }
        (Some(v), None) => Text::default().piece(nanos(v)),
        _ => unknown(),
    };
    [
        Text::default().piece(count(n)),
        Text::default().rate(context.rate(calls.as_f64())),
        errors(failed, calls),
        quantile(durations, 0.5),
        quantile(durations, 0.95),
        p99,
    ]
}

fn errors(failed: Weight, calls: Weight) -> Text {
    if calls.is_zero() { unknown() } else { Text::default().ratio(failed.ratio_of(calls)) }
}

fn quantile(sketch: &Sketch, q: f64) -> Text {
    sketch.quantile(q).map_or_else(unknown, |v| Text::default().piece(nanos(v)))
}

fn unknown() -> Text {
    Text::words("–")
}

fn table(title: &str, columns: &[&str], rows: Vec<EvidenceRow>, all: usize) -> Option<EvidenceTable> {
    if rows.is_empty() {
        return None;
    }
    let more = all.saturating_sub(rows.len());
    let note = if more == 0 { Text::default() } else { Text::default().piece(items(more)).and(" more are left out. ") };
    Some(EvidenceTable { title: title.into(), note, columns: columns.iter().map(|c| (*c).to_owned()).collect(), rows })
}

#[cfg(test)]
mod tests {
    use super::super::cfg::Settings;
    use super::super::testing::{shop, words};
    use super::*;
    use crate::topology::EdgeDimension;

    #[test]
    fn the_version_that_takes_the_errors_is_named_first_and_one_version_alone_makes_no_table() {
        let mut shop = shop();
        let settings = Settings::default();
        let rows = |snapshot: &crate::topology::Snapshot| {
            let context = Context::new(snapshot, &[], &[], &settings);
            let table = dimensions(&context, &context.target(&NodeId("shop/checkout".into())));
            let row = |row: &EvidenceRow| row.cells.iter().map(words).collect::<Vec<_>>().join(" ");
            table.map_or(Vec::new(), |table| table.rows.iter().map(row).collect())
        };
        let pair = |target: &str, calls: u64, errors: u64| EdgeDimension {
            source: "9.9".into(),
            target: target.into(),
            calls: Weight::whole(calls),
            errors: Weight::whole(errors),
        };
        let edge = shop.edges.iter_mut().find(|e| e.target.0 == "shop/checkout").unwrap();
        let versions = vec![pair("1.4.0", 900, 1), pair("1.5.0-rc1", 100, 9)];
        edge.dimensions =
            BTreeMap::from([("cloud.region".into(), vec![pair("eu", 1000, 10)]), ("service.version".into(), versions)]);
        let expected = ["`service.version` `1.5.0-rc1` 100 9 % 90 %", "`service.version` `1.4.0` 900 0.11 % 10 %"];
        assert_eq!(rows(&shop), expected);
        let edge = shop.edges.iter_mut().find(|e| e.target.0 == "shop/checkout").unwrap();
        edge.dimensions.values_mut().flatten().for_each(|pair| pair.errors = Weight::ZERO);
        assert!(rows(&shop).is_empty(), "nothing failed");
    }
}
