//! The text of a starter configuration: observed services, suggested objectives, dependencies.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::config::ledger::scalar;
use crate::slo::cfg::derived_id;
use crate::topology::{EdgeKind, Node, NodeKind, Snapshot};

/// Services listed at most; a starter is for reading.
const MOST: usize = 50;

/// Rules that say who is who; commented out, since none of them can be guessed.
const TOPOLOGY: &str = "\
# topology:                  # how spans become nodes and edges: docs/topology.md
#   ignore: [health_checks, metrics_scrapes]
#   aliases:                 # {1} is what the first * stood for
#     - { match: \"cart-v*\", name: cart }
#     - { match: \"external:*.*.svc.cluster.local\", name: \"{2}/{1}\" }
#   gateways: [ { match: \"istio-ingress*\", as: merged } ]
#   callers: [ { service: mobile-bff, name: mobile } ]
#   database_identity: [ { system: postgresql, by: both } ]
#   identity_dimensions: [deployment.environment.name]

";

/// A commented `tracebook.yaml`. `from` is put into it when given.
pub(super) fn text(snapshot: &Snapshot, from: Option<&str>) -> String {
    let mut out = String::from(
        "# tracebook.yaml: how runbooks are made from traces. Every key may be left out; unknown keys are errors.\n\
         # Reference: docs/config.md\n\nproject: \"\"                 # shown in titles\n",
    );
    match from {
        Some(from) => {
            let _ = writeln!(out, "from: {}", scalar(from));
        }
        None => out.push_str("# from: tempo://tempo:9095   # default source; OTEL_ENDPOINT and --from win\n"),
    }
    out.push_str("output: runbooks\nlookback: 7d\n\n");
    objectives(&mut out, snapshot);
    dependencies(&mut out, snapshot);
    services(&mut out, snapshot);
    out.push_str(TOPOLOGY);
    out.push_str(
        "# escalation:\n#   - { who: On-call SRE, contact: PagerDuty }\n#   - { after: 15m, who: Engineering lead }\n\n\
         # links: { grafana: https://grafana.example.com, tempo_datasource: tempo }\n\n\
         # scenarios:                # runbooks that traces cannot decide on\n\
         #   - { name: certificate-expiry, kind: certificate-expiry, title: TLS certificate expires, trigger: expires in < 14 days }\n\n\
         # toc: [ { file: docs/operations.md } ]   # refreshed by `tracebook generate --update-toc`\n",
    );
    out
}

fn observed(snapshot: &Snapshot) -> Vec<&Node> {
    let mut nodes: Vec<&Node> = snapshot.services().filter(|n| n.instrumented && n.handled.n > 0).collect();
    nodes.sort_by(|a, b| b.handled.calls.cmp(&a.handled.calls).then_with(|| a.id.cmp(&b.id)));
    nodes
}

fn objectives(out: &mut String, snapshot: &Snapshot) {
    let seconds = snapshot.window.seconds();
    let from = match snapshot.coverage.spans {
        0 => "a backend's aggregates".to_owned(),
        spans => format!("{spans} span(s)"),
    };
    let _ = writeln!(
        out,
        "# Objectives: suggested from {from} over {:.0} minute(s), with head-room. Set what your users need.",
        (seconds / 60.0).max(1.0)
    );
    if snapshot.provenance.calls_only {
        // Any figure put in here would be a guess.
        out.push_str("# (None: calls alone were counted here, not how they failed and how long they took.)\n\n");
        return;
    }
    let nodes = observed(snapshot);
    if nodes.is_empty() {
        out.push_str("objectives:\n  - { service: \"*\", sli: error_rate, target: \"< 1 %\", severity: ticket }\n");
    } else {
        out.push_str("objectives:\n");
    }
    let mut ids = BTreeSet::new();
    for node in nodes.iter().take(MOST) {
        let service = scalar(&node.id.0);
        if node.id.0.contains('*') {
            let _ = writeln!(out, "  # {}: left out, an asterisk stands for several services", comment(&node.id.0));
            continue;
        }
        let p99 = node.handled.durations.quantile(0.99).map(|nanos| nanos / 1e9);
        let ratio = node.handled.error_ratio().unwrap_or(0.0);
        let latency = p99.map_or_else(|| "unknown".to_owned(), |s| format!("{:.1} ms", s * 1e3));
        let _ = writeln!(
            out,
            "  # {}: {} call(s), p99 {latency}, {:.2} % failed",
            comment(&node.id.0),
            node.handled.n,
            ratio * 100.0
        );
        if let Some(target) = p99.and_then(latency_target) {
            let _ = writeln!(
                out,
                "  - {{ {}service: {service}, sli: latency_p99, target: \"< {target}\", severity: ticket }}",
                id(&mut ids, &node.id.0, "latency_p99")
            );
        }
        let _ = writeln!(
            out,
            "  - {{ {}service: {service}, sli: error_rate, target: \"< {}\", severity: ticket }}",
            id(&mut ids, &node.id.0, "error_rate"),
            error_target(ratio)
        );
    }
    if nodes.len() > MOST {
        let _ = writeln!(out, "  # and {} more service(s)", nodes.len().saturating_sub(MOST));
    }
    out.push('\n');
}

/// An explicit id where the one derived from the names is taken: `shop/api` and `shop-api` give the same.
fn id(taken: &mut BTreeSet<String>, service: &str, sli: &str) -> String {
    let derived = derived_id(service, "", sli);
    if taken.insert(derived.clone()) {
        return String::new();
    }
    let mut numbered = (2..u64::MAX).map(|n| format!("{derived}.{n}"));
    let free = numbered.find(|id| taken.insert(id.clone())).unwrap_or(derived);
    format!("id: {free}, ")
}

fn dependencies(out: &mut String, snapshot: &Snapshot) {
    let found: Vec<&Node> = snapshot
        .nodes
        .iter()
        .filter(|n| matches!(n.kind, NodeKind::Database | NodeKind::Messaging | NodeKind::External))
        .collect();
    if !found.is_empty() {
        out.push_str("# Dependencies that were seen (each critical one gets a runbook, see `runbooks:`):\n");
    }
    for node in found.iter().take(MOST) {
        let mut callers: Vec<String> =
            snapshot.edges_to(&node.id).filter(|e| e.kind != EdgeKind::Entry).map(|e| comment(&e.source.0)).collect();
        callers.sort();
        let more = callers.len().saturating_sub(5);
        callers.truncate(5);
        let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "#   {}  from {}{tail}", comment(&node.id.0), callers.join(", "));
    }
    out.push_str(
        "runbooks: { latency: true, errors: true, dependencies: true, pipelines: true, critical_share: 0.05, critical_service_share: 0.5 }\n\n",
    );
}

fn services(out: &mut String, snapshot: &Snapshot) {
    out.push_str("# What traces do not hold:\n# services:\n");
    for node in observed(snapshot).iter().take(3) {
        let _ =
            writeln!(out, "#   {}: {{ owner: \"\", contact: \"#team\", dashboard: https://… }}", scalar(&node.id.0));
    }
    out.push('\n');
}

/// A name inside a comment: one line, nothing that ends it.
fn comment(name: &str) -> String {
    name.chars()
        .take(120)
        .map(|c| if c.is_control() || matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

/// The observed p99 with half as much again, up to the next of 1, 2, 5 × 10^k, as text with its unit.
fn latency_target(p99: f64) -> Option<String> {
    let wanted = (p99 * 1.5).max(0.001);
    if !wanted.is_finite() {
        return None;
    }
    let mut step = 0.001;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle().take(30) {
        if step >= wanted {
            break;
        }
        step *= factor;
    }
    Some(if step < 0.999 { format!("{:.0}ms", step * 1e3) } else { format!("{step:.0}s") })
}

/// Twice the observed share of failures, at least 1 %, in whole per cent.
fn error_target(ratio: f64) -> String {
    format!("{:.0} %", (ratio * 200.0).ceil().clamp(1.0, 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_whose_names_differ_only_in_signs_get_ids_of_their_own() {
        let mut taken = BTreeSet::new();
        let ids: Vec<String> =
            ["shop/api", "shop-api", "shop.api"].map(|s| id(&mut taken, s, "error_rate")).into_iter().collect();
        assert_eq!(ids, ["", "id: shop-api-error-rate.2, ", "id: shop-api-error-rate.3, "]);
    }

    #[test]
    fn where_failures_were_not_counted_no_objective_is_made_up() {
        let mut snapshot = crate::diff::testing::snapshot(Vec::new(), Vec::new(), Vec::new());
        snapshot.provenance.calls_only = true;
        let text = text(&snapshot, None);
        assert!(!text.contains("error_rate") && text.contains("calls alone were counted"), "{text}");
    }

    #[test]
    fn suggested_targets_are_round_and_leave_head_room() {
        for (p99, want) in
            [(0.0, "1ms"), (0.001, "2ms"), (0.12, "200ms"), (0.4, "1s"), (0.67, "2s"), (3.0, "5s"), (40.0, "100s")]
        {
            assert_eq!(latency_target(p99).as_deref(), Some(want), "{p99}");
        }
        assert_eq!(latency_target(f64::NAN).as_deref(), Some("1ms"));
        assert_eq!(latency_target(f64::INFINITY), None);
        for (ratio, want) in [(0.0, "1 %"), (0.004, "1 %"), (0.02, "4 %"), (0.9, "100 %")] {
            assert_eq!(error_target(ratio), want);
        }
    }
}
