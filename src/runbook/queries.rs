//! Queries to paste: TraceQL, PromQL and our own commands.
//!
//! Purpose: select in a backend exactly what a figure on the page was computed from.
//! Metric names are those of Tempo's metrics generator (span metrics and service graphs).
//! Must not: hold a number that is not from the objective or the snapshot.

use std::fmt::Write as _;

use super::context::{Context, Target};
use super::quote::{fits, matches, shell};
use crate::topology::{Node, NodeKind, SnapshotKind};

const EQ: &str = " = ";

/// Conditions on the resource that select a service.
fn resource(target: &Target<'_>) -> String {
    let sent = target.node.map(sent_names).unwrap_or_default();
    let names: Vec<String> = sent.iter().map(|name| matches("resource.service.name", name, EQ)).collect();
    let mut out = match names.as_slice() {
        [] => matches("resource.service.name", &target.name, EQ),
        [name] => name.clone(),
        names => format!("({})", names.join(" || ")),
    };
    // An alias may have changed the namespace too.
    if !target.namespace.is_empty() && names.is_empty() {
        let _ = write!(out, " && {}", matches("resource.service.namespace", &target.namespace, EQ));
    }
    for (key, value) in target.node.map(scope).unwrap_or_default() {
        let _ = write!(out, " && {}", matches(&format!("resource.{key}"), value, EQ));
    }
    out
}

/// The names a service sent, where an alias gave it another.
fn sent_names(node: &Node) -> Vec<&str> {
    let sent = node.attributes.get("service.name").into_iter().flat_map(|names| names.keys());
    let sent: Vec<&str> = sent.map(String::as_str).filter(|name| !name.starts_with('(')).collect();
    if sent.iter().all(|name| *name == node.name) { Vec::new() } else { sent }
}

/// The attributes that are part of its identity (`cart@prod`), as far as they have one value.
fn scope(node: &Node) -> Vec<(&str, &str)> {
    let Some((_, scope)) = node.id.0.rsplit_once('@') else { return Vec::new() };
    let value = |key: &'static str| {
        let values = node.attributes.get(key).filter(|values| values.len() == 1)?;
        let value = values.keys().next()?;
        scope.split(',').any(|part| part == value).then_some((key, value.as_str()))
    };
    ["cloud.region", "deployment.environment.name", "k8s.cluster.name", "k8s.namespace.name"]
        .into_iter()
        .filter_map(value)
        .collect()
}

/// Any of several spellings of one attribute.
fn any_of(keys: &[&str], value: &str) -> String {
    let parts: Vec<String> = keys.iter().map(|k| matches(k, value, EQ)).collect();
    if parts.len() == 1 { parts.concat() } else { format!("({})", parts.join(" || ")) }
}

/// Conditions that select what a node handled: its own SERVER and CONSUMER spans, or, where it has none, its clients'.
pub(super) fn handled(context: &Context<'_>, target: &Target<'_>) -> String {
    match target.kind {
        NodeKind::Service if target.node.is_none_or(|n| n.instrumented) => {
            let kinds =
                if context.consumes(&target.id) { "(kind = server || kind = consumer)" } else { "kind = server" };
            format!("{} && {kinds}", resource(target))
        }
        _ => format!(
            "kind = {} && {}",
            if target.kind == NodeKind::Messaging { "consumer" } else { "client" },
            peer(target)
        ),
    }
}

/// The same for those of its operations that fit a pattern; for all of them without one.
pub(super) fn handled_operation(context: &Context<'_>, target: &Target<'_>, operation: Option<&str>) -> String {
    let all = handled(context, target);
    match operation {
        Some(operation) => format!("{all} && {}", fits("name", operation, EQ)),
        None => all,
    }
}

/// Conditions on a calling span that select calls to a node without spans of its own.
pub(super) fn peer(target: &Target<'_>) -> String {
    match target.kind {
        NodeKind::Database => {
            let mut parts = Vec::new();
            if !target.system.is_empty() {
                parts.push(any_of(&["span.db.system.name", "span.db.system"], &target.system));
            }
            if !target.name.is_empty() && target.name != target.system {
                parts.push(any_of(
                    &["span.db.namespace", "span.db.name", "span.server.address", "span.peer.service"],
                    &target.name,
                ));
            }
            parts.join(" && ")
        }
        NodeKind::Messaging => any_of(&["span.messaging.destination.name", "span.messaging.destination"], &target.name),
        _ => any_of(
            &["span.server.address", "span.service.peer.name", "span.peer.service", "span.net.peer.name"],
            &target.name,
        ),
    }
}

/// Calling spans of one edge; with `more`, further conditions.
pub(super) fn edge(caller: &Target<'_>, callee: &Target<'_>, more: &str) -> String {
    let more = if more.is_empty() { String::new() } else { format!(" && {more}") };
    let source = resource(caller);
    match callee.kind {
        NodeKind::Service if callee.node.is_some_and(|n| n.instrumented) => {
            format!("{{ {source} && kind = client{more} }} > {{ {} && kind = server }}", resource(callee))
        }
        NodeKind::Messaging => format!("{{ {source} && kind = producer && {}{more} }}", peer(callee)),
        _ => format!("{{ {source} && kind = client && {}{more} }}", peer(callee)),
    }
}

/// Calling spans of a service, whatever they call; with further conditions.
pub(super) fn made(caller: &Target<'_>, more: &str) -> String {
    select(&format!("{} && (kind = client || kind = producer) && {more}", resource(caller)))
}

/// Conditions that select the spans of one operation, whatever their kind. Names were normalised: where an id stood in one,
/// anything fits; what collects the rest has no name.
pub(super) fn named(target: &Target<'_>, operation: &str) -> String {
    let pattern = operation.replace("{id}", "*").replace("{secret}", "*");
    match operation {
        "(other)" => resource(target),
        _ => format!("{} && {}", resource(target), fits("name", &pattern, EQ)),
    }
}

/// `{ … }`
pub(super) fn select(conditions: &str) -> String {
    format!("{{ {conditions} }}")
}

/// A duration as TraceQL reads it: `500ms`, `1.5s`, `80us`.
pub(super) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 1.0 => (s, "s"),
        s if s >= 1e-3 => (s * 1e3, "ms"),
        s => (s * 1e6, "us"),
    };
    format!("{}{unit}", number(value))
}

/// A number with at most three decimals, as queries read it.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A ratio or a number of seconds with up to six decimals.
fn threshold(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Label matchers of span metrics for what a service handled, or for those of its operations that fit a pattern.
fn span_labels(target: &Target<'_>, operation: Option<&str>, more: &str) -> String {
    let operation = operation.map(|o| format!(", {}", fits("span_name", o, "="))).unwrap_or_default();
    let service = matches("service", &target.name, "=");
    format!("{service}, span_kind=~\"SPAN_KIND_SERVER|SPAN_KIND_CONSUMER\"{operation}{more}")
}

/// A latency quantile of a service (of an operation) in seconds, from span metrics.
pub(super) fn prom_latency(target: &Target<'_>, operation: Option<&str>, quantile: f64) -> String {
    format!(
        "histogram_quantile({}, sum by (le) (rate(traces_spanmetrics_latency_bucket{{{}}}[5m])))",
        threshold(quantile),
        span_labels(target, operation, "")
    )
}

/// Failed ÷ handled requests of a service (of an operation), from span metrics.
pub(super) fn prom_error_rate(target: &Target<'_>, operation: Option<&str>) -> String {
    format!(
        "sum(rate(traces_spanmetrics_calls_total{{{}}}[5m]))\n  / sum(rate(traces_spanmetrics_calls_total{{{}}}[5m]))",
        span_labels(target, operation, ", status_code=\"STATUS_CODE_ERROR\""),
        span_labels(target, operation, "")
    )
}

/// Handled requests per second of a service (of an operation), from span metrics.
pub(super) fn prom_throughput(target: &Target<'_>, operation: Option<&str>) -> String {
    format!("sum(rate(traces_spanmetrics_calls_total{{{}}}[5m]))", span_labels(target, operation, ""))
}

/// Failed ÷ all calls to a node by caller, from service-graph metrics.
pub(super) fn prom_edge_errors(callee: &Target<'_>) -> String {
    let server = matches("server", &callee.name, "=");
    format!(
        "sum by (client) (rate(traces_service_graph_request_failed_total{{{server}}}[5m]))\n  / sum by (client) (rate(traces_service_graph_request_total{{{server}}}[5m]))"
    )
}

/// The p99 latency of calls to a node by caller, client side, from service-graph metrics.
pub(super) fn prom_edge_latency(callee: &Target<'_>) -> String {
    let server = matches("server", &callee.name, "=");
    format!(
        "histogram_quantile(0.99, sum by (client, le) (rate(traces_service_graph_request_client_seconds_bucket{{{server}}}[5m])))"
    )
}

/// An alert condition: the expression, a comparison and the threshold.
pub(super) fn alert(expression: &str, comparison: &str, limit: f64) -> String {
    let one_line: Vec<&str> = expression.split_whitespace().collect();
    format!("{} {comparison} {}", one_line.join(" "), threshold(limit))
}

/// Our own comparison of now with the committed snapshot, which must be of the same kind.
pub(super) fn what_changed(context: &Context<'_>) -> String {
    format!(
        "tracebook capture --lookback 1h{} --output \"${{TMPDIR:-/tmp}}/now.snapshot.json\"\n\
         tracebook diff topology.snapshot.json \"${{TMPDIR:-/tmp}}/now.snapshot.json\"",
        counted(context)
    )
}

/// The flag with which a Tempo counts, where it did, and the filter there was: the same question as that of the snapshot.
fn counted(context: &Context<'_>) -> String {
    let provenance = &context.snapshot.provenance;
    let tempo = provenance.sources.iter().any(|source| source.starts_with("tempo"));
    let counts = if provenance.kind == SnapshotKind::Aggregate && tempo { " --aggregate" } else { "" };
    match provenance.filter.as_slice() {
        // One that was cut cannot be asked again.
        [filter] if !filter.is_empty() && !filter.ends_with('…') => format!("{counts} --query {}", shell(filter)),
        _ => counts.to_owned(),
    }
}

/// Our own evaluation of the objectives over the last hour.
pub(super) fn slo_now(context: &Context<'_>) -> String {
    format!("tracebook slo --lookback 1h{}", counted(context))
}

#[cfg(test)]
mod tests {
    use super::super::cfg::Settings;
    use super::super::testing::shop;
    use super::*;

    #[test]
    fn what_a_tempo_counted_is_compared_with_what_it_counts_now() {
        let settings = Settings::default();
        let mut snapshot = shop();
        let said = |snapshot: &crate::topology::Snapshot| {
            let context = Context::new(snapshot, &[], &[], &settings);
            (what_changed(&context).contains(" --aggregate "), slo_now(&context).ends_with(" --aggregate"))
        };
        snapshot.provenance.sources = vec!["tempo://tempo:9095".to_owned()];
        assert_eq!(said(&snapshot), (false, false));
        snapshot.provenance.kind = SnapshotKind::Aggregate;
        assert_eq!(said(&snapshot), (true, true));
        snapshot.provenance.sources = vec!["prometheus://p:9090".to_owned()];
        assert_eq!(said(&snapshot), (false, false));
        let slo = |snapshot: &crate::topology::Snapshot| slo_now(&Context::new(snapshot, &[], &[], &settings));
        snapshot.provenance.filter = vec!["{ name = 'x' }".to_owned()];
        assert_eq!(slo(&snapshot), r"tracebook slo --lookback 1h --query '{ name = '\''x'\'' }'");
        snapshot.provenance.filter.insert(0, String::new());
        assert_eq!(slo(&snapshot), "tracebook slo --lookback 1h");
    }
}
