use super::*;
use crate::diff::testing::{edge, millis, node, operation, snapshot, stats};
use crate::findings::evaluate;
use crate::slo::{Comparison, Objective, ObjectiveStatus, Sli};
use crate::spans::Weight;
use crate::topology::{EdgeKind, Snapshot};

fn found(snapshot: &Snapshot, objectives: &[ObjectiveStatus]) -> Vec<Finding> {
    evaluate(&Facts { snapshot, objectives })
}

/// Codes with subject, but for the note on sampling that every test snapshot earns.
fn codes(findings: &[Finding]) -> Vec<(&'static str, String)> {
    let told = findings.iter().filter(|f| f.code != "sampling-not-adjustable");
    told.map(|f| {
        let target = f.target.as_ref().map(|t| format!(" → {t}")).unwrap_or_default();
        (f.code, format!("{}{target}", f.subject))
    })
    .collect()
}

fn quiet() -> Snapshot {
    snapshot(
        vec![node("api", stats(1_000, 0, 50.0)), node("cart", stats(1_000, 0, 9.0))],
        vec![operation("api", "GET /", stats(1_000, 0, 50.0)), operation("cart", "Get", stats(1_000, 0, 9.0))],
        vec![edge("api", "cart", 1_000, 0, 10.0, 9.0)],
    )
}

#[test]
fn codes_are_unique_sorted_and_each_has_a_heading_in_the_documentation() {
    let docs = include_str!("../../../docs/findings.md");
    for pair in RULES.windows(2) {
        assert!(pair[0].code < pair[1].code, "{} {}", pair[0].code, pair[1].code);
    }
    let headings: Vec<&str> = docs.lines().filter_map(|l| l.strip_prefix("## `")?.strip_suffix('`')).collect();
    let codes: Vec<&str> = RULES.iter().map(|r| r.code).collect();
    assert_eq!(headings, codes, "docs/findings.md has one `## `code`` heading per rule, in order");
    assert!(RULES.iter().all(|r| !r.description.is_empty()));
}

#[test]
fn a_quiet_system_yields_only_the_note_on_sampling() {
    assert_eq!(codes(&found(&quiet(), &[])), []);
    assert_eq!(found(&quiet(), &[]).len(), 1);
}

#[test]
fn errors_are_told_at_their_origin_before_where_they_are_handed_on() {
    let mut failing = quiet();
    failing.nodes = vec![node("api", stats(1_000, 100, 50.0)), node("cart", stats(1_000, 100, 9.0))];
    failing.operations =
        vec![operation("api", "GET /", stats(1_000, 100, 50.0)), operation("cart", "Get", stats(1_000, 100, 9.0))];
    failing.edges = vec![edge("api", "cart", 1_000, 100, 10.0, 9.0)];
    let findings = found(&failing, &[]);
    let expected = [("error-hotspot", "cart".to_owned()), ("error-hotspot", "api".to_owned())];
    assert_eq!(codes(&findings), expected);
    assert_eq!((findings[0].severity, findings[1].severity), (Severity::Error, Severity::Warning));
    assert_eq!(findings[0].context["error_ratio"], 0.1);
    assert_eq!((findings[0].n, findings[0].exemplars.len()), (1_000, 1));
}

#[test]
fn a_dependency_without_spans_fails_on_its_edge() {
    let mut failing = quiet();
    failing.nodes.push(node("database:pg:shop", stats(500, 60, 2.0)));
    failing.edges.push(edge("cart", "database:pg:shop", 500, 60, 2.0, 0.0));
    assert_eq!(codes(&found(&failing, &[])), [("error-hotspot", "cart → database:pg:shop".into())]);
    let mut rare = quiet();
    rare.nodes.push(node("database:pg:shop", stats(10, 5, 2.0)));
    rare.edges.push(edge("cart", "database:pg:shop", 10, 5, 2.0, 0.0));
    assert_eq!(codes(&found(&rare, &[])), [], "ten calls prove nothing");
}

#[test]
fn time_spent_elsewhere_is_told_by_edge() {
    let mut slow = quiet();
    slow.edges = vec![edge("api", "cart", 1_000, 0, 30.0, 9.0)];
    let expected = [("network-gap", "api → cart".to_owned()), ("slow-dependency", "api → cart".to_owned())];
    assert_eq!(codes(&found(&slow, &[])), expected);
    slow.edges = vec![edge("api", "cart", 1_000, 0, 9.0, 0.0)];
    slow.edges[0].server = millis((0..1_000).map(|_| 25.0));
    assert_eq!(codes(&found(&slow, &[])), [("caller-gave-up", "api → cart".into())]);
    slow.edges = vec![edge("api", "cart", 12_000, 0, 0.5, 0.4)];
    assert_eq!(codes(&found(&slow, &[])), [("retry-or-n-plus-one", "api → cart".into())]);
}

#[test]
fn a_service_between_others_is_a_single_point_of_failure_and_worse_with_one_instance() {
    let calls = |source: &str, target: &str| edge(source, target, 1_000, 0, 10.0, 9.0);
    let mut line = quiet();
    line.nodes.insert(1, node("bff", stats(1_000, 0, 20.0)));
    line.edges = vec![calls("api", "bff"), calls("bff", "cart")];
    line.edges.iter_mut().for_each(|e| e.client = e.server.clone());
    let point = |s: &Snapshot| {
        let found = found(s, &[]);
        let points = found.into_iter().filter(|f| f.code == "single-point-of-failure");
        points.map(|f| (f.subject.0, f.severity, f.message)).collect::<Vec<_>>()
    };
    let message = "without `bff` other services cannot reach each other".to_owned();
    assert_eq!(point(&line), [("bff".to_owned(), Severity::Info, message.clone())]);
    line.coverage.entry_traces = Weight::whole(100);
    line.nodes[1].entry_traces = Weight::whole(60);
    line.nodes[1].attributes.insert("k8s.pod.name".into(), [("bff-1".to_owned(), 1_000)].into());
    let told = format!("{message}; 60 % of the requests from outside touch it; 1 instance seen");
    assert_eq!(point(&line), [("bff".to_owned(), Severity::Warning, told)]);
    // Spans that do not say where they come from may come from a second one.
    line.nodes[1].attributes.insert("k8s.pod.name".into(), [("bff-1".to_owned(), 900)].into());
    assert_eq!(point(&line)[0].1, Severity::Info);
    line.edges.push(calls("api", "cart"));
    line.edges.sort_by(|a, b| (&a.source, &a.target).cmp(&(&b.source, &b.target)));
    assert_eq!(point(&line), [], "there is another way");
}

#[test]
fn a_circle_of_calls_is_told_once_and_one_closed_by_messages_is_a_note() {
    let mut round = quiet();
    let mut back = edge("cart", "api", 30, 0, 0.5, 0.4);
    round.edges.push(back.clone());
    let of = |s: &Snapshot| found(s, &[]).into_iter().filter(|f| f.code == "call-cycle").collect::<Vec<_>>();
    let told = of(&round);
    assert_eq!((told.len(), told[0].severity, told[0].n), (1, Severity::Warning, 1_030));
    assert_eq!(
        told[0].message,
        "`api`, `cart` call each other in a circle and wait for it; the rarest call is from `cart` to `api` (n = 30)"
    );
    back.kind = EdgeKind::Messaging;
    round.edges[1] = back;
    assert_eq!(of(&round)[0].severity, Severity::Info);
    round.edges[1].target = NodeId("cart".into());
    assert_eq!(of(&round).len(), 0, "a service that calls itself is no circle");
}

#[test]
fn objectives_are_told_as_sure_as_they_are() {
    let objective = |service: &str, target: f64| Objective {
        id: format!("{service}-{target}"),
        service: service.into(),
        operation: None,
        sli: Sli::ErrorRate,
        sli_name: "error_rate".into(),
        comparison: Comparison::Below,
        target,
        target_text: format!("< {target}"),
        window_seconds: None,
        severity: "page".into(),
        query: None,
        description: String::new(),
    };
    let mut failing = quiet();
    failing.nodes = vec![node("api", stats(1_000, 20, 50.0)), node("cart", stats(1_000, 0, 9.0))];
    let objectives = [objective("api", 0.005), objective("api", 0.019), objective("api", 0.1), objective("gone", 0.1)];
    let statuses = crate::slo::evaluate(&objectives, &failing);
    let findings = found(&failing, &statuses);
    let about: Vec<_> = findings.iter().filter(|f| f.code.starts_with("objective")).collect();
    let got: Vec<_> = about.iter().map(|f| (f.code, f.severity)).collect();
    let expected = [
        ("objective-breached", Severity::Error),
        ("objective-no-data", Severity::Warning),
        ("objective-uncertain", Severity::Warning),
    ];
    assert_eq!(got, expected);
    assert_eq!((about[0].context["value"], about[0].exemplars.len()), (0.02, 1));
    assert!(about[0].message.contains("n = 1000"), "{}", about[0].message);
}

#[test]
fn what_was_not_seen_is_told() {
    let mut lossy = quiet();
    lossy.nodes.push(node("unknown_service:java", stats(10, 0, 1.0)));
    let coverage = &mut lossy.coverage;
    (coverage.spans, coverage.orphans, coverage.duplicates, coverage.unpaired) = (1_000, 200, 3, 100);
    (coverage.skewed, coverage.partial_traces, coverage.sampled) = (1, 1, 1_000);
    coverage.overflow.insert("operations".into(), 7);
    coverage.rejected.insert("span-id".into(), 2);
    let findings = found(&lossy, &[]);
    let mut got: Vec<_> = findings.iter().map(|f| f.code).collect();
    got.sort_unstable();
    let expected = [
        "clock-skew",
        "coverage-duplicates",
        "coverage-orphans",
        "coverage-partial",
        "coverage-rejected",
        "coverage-unpaired",
        "overflow",
        "unknown-service",
    ];
    assert_eq!(got, expected);
    let orphans = findings.iter().find(|f| f.code == "coverage-orphans").unwrap();
    assert_eq!((orphans.subject.0.as_str(), orphans.context["share"], orphans.severity), ("*", 0.2, Severity::Warning));
    lossy.coverage.sampled = 5;
    let mixed = found(&lossy, &[]).into_iter().find(|f| f.code == "sampling-not-adjustable").unwrap();
    assert_eq!(mixed.severity, Severity::Warning);
}

/// Requests to `GET /` of `api`: 190 of 10 ms and 10 of 200 ms, which wait for `cart`.
fn with_evidence() -> Snapshot {
    let mut slow = quiet();
    let bands = |n: u64, s: u64| {
        let (normal, tail) = (crate::topology::band(10_000_000), crate::topology::band(200_000_000));
        format!("{normal}:{n} {tail}:{s}")
    };
    let part = |service: &str, n: u64, s: u64| {
        let time = bands(190 * n * 1_000_000, 10 * s * 1_000_000);
        serde_json::json!({"part": "work", "service": service, "operation": "Get", "time": time})
    };
    slow.requests = vec![
        serde_json::from_value(serde_json::json!({
            "service": "api", "kind": "server", "operation": "GET /", "calls": bands(190, 10),
            "time": bands(1_900_000_000, 2_000_000_000), "parts": [part("cart", 4, 150), part("api", 6, 50)],
            "nodes": {"api": "200", "cart": "200"},
        }))
        .unwrap(),
    ];
    slow.coverage.entry_traces = Weight::whole(200);
    let origin = |service: &str, name: &str, n: u64| {
        serde_json::json!({
            "kind": "failed", "service": service, "operation": name, "n": n, "calls": n.to_string(),
            "reached_entry": n.to_string(),
        })
    };
    let origins = serde_json::json!([origin("api", "GET /", 5), origin("cart", "Get", 25)]);
    slow.origins = serde_json::from_value(origins).unwrap();
    slow
}

#[test]
fn who_holds_the_tail_and_where_failures_begin_is_told_as_it_matters() {
    let slow = with_evidence();
    let of = |snapshot: &Snapshot, code: &str| {
        let found = found(snapshot, &[]).into_iter().filter(|f| f.code == code);
        found.map(|f| (f.subject.0, f.severity, f.message)).collect::<Vec<_>>()
    };
    let holder = "the slowest 10 of 200 requests to `GET /` of `api` take 190 ms longer than normal ones; 77 % of that is work of `cart` itself, mostly in `Get`";
    assert_eq!(of(&slow, "tail-holder"), [("cart".to_owned(), Severity::Info, holder.to_owned())]);
    let begin =
        "83 % of the failures that reach a request from outside begin at `Get` of `cart` (n = 25): it fails by itself";
    assert_eq!(of(&slow, "error-origin"), [("cart".to_owned(), Severity::Warning, begin.to_owned())]);
    let mut rarely = slow.clone();
    rarely.coverage.entry_traces = Weight::whole(100_000);
    assert_eq!(of(&rarely, "error-origin")[0].1, Severity::Info, "three in ten thousand fail");
    rarely.origins.iter_mut().for_each(|o| o.n = 19);
    assert_eq!(of(&rarely, "error-origin"), []);
}

#[test]
fn no_context_value_is_nan_and_no_rule_needs_traffic() {
    for snapshot in [snapshot(Vec::new(), Vec::new(), Vec::new()), quiet(), with_evidence()] {
        for finding in found(&snapshot, &[]) {
            assert!(finding.context.values().all(|v| v.is_finite()), "{finding:?}");
        }
    }
}
