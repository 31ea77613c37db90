use std::collections::BTreeMap;

use super::*;
use crate::diag::{Diagnostic, Location};
use crate::diff::{Change, Culprit, CulpritAttribute, CulpritPart, Diff, DiffCoverage, Side, Subject};
use crate::findings::Finding;
use crate::slo::{Comparison, Objective, ObjectiveState, ObjectiveStatus, Sli};
use crate::spans::{SpanId, TraceId, UnixNanos};
use crate::topology::{Coverage, Exemplar, NodeId};

fn side(p50: f64, errors: f64) -> Side {
    Side {
        n: 1_204,
        calls_per_second: 1.34,
        error_ratio: Some(errors),
        mean_seconds: Some(p50),
        p50_seconds: Some(p50),
        p95_seconds: Some(p50 * 2.0),
        p99_seconds: Some(p50 * 3.0),
    }
}

fn sample() -> Diff {
    let edge = Subject::Edge { source: NodeId("frontend".into()), target: NodeId("cart|service".into()) };
    let coverage = |spans| Coverage { spans, traces: 1_204, ..Coverage::default() };
    let change =
        |code, severity, subject, before, after| Change { code, severity, subject, before, after, p_value: None };
    Diff {
        changes: vec![
            Change {
                p_value: Some(0.000_1),
                ..change("slower", Severity::Error, edge, Some(side(0.012, 0.0)), Some(side(0.5, 0.0)))
            },
            change(
                "node-added",
                Severity::Info,
                Subject::Node { node: NodeId("new".into()) },
                None,
                Some(side(0.1, 0.0)),
            ),
        ],
        culprits: Vec::new(),
        coverage: DiffCoverage { before: coverage(48_123), after: coverage(47_000) },
    }
}

fn part(reason: &'static str, service: &str, figures: (f64, f64), effect: f64) -> CulpritPart {
    CulpritPart {
        reason,
        score: 1.5,
        service: NodeId(service.into()),
        operation: None,
        target: None,
        after: None,
        strength: 2.0,
        impact: 0.5,
        before: figures.0,
        after_value: figures.1,
        n_before: 310,
        n_after: 1_420,
        effect,
        interval: (effect - 0.08, effect + 0.07),
        p_value: 1e-9,
    }
}

fn culprit(rank: usize, service: &str, reported: bool, part: CulpritPart) -> Culprit {
    Culprit {
        rank,
        service: NodeId(service.into()),
        operation: part.operation.clone(),
        edge: None,
        attribute: None,
        reason: part.reason,
        score: 2.25 / rank as f64,
        reported,
        n: part.n_after,
        interval: Some(part.interval),
        evidence: BTreeMap::from([(part.reason, 1.5), ("network-gap", 0.4)]),
        parts: vec![part],
        exemplars: (1..=if reported { 3 } else { 0 })
            .map(|i| Exemplar {
                trace_id: TraceId(0xabc_0000 + i),
                span_id: SpanId(7),
                start: UnixNanos(1),
                duration_ns: 480_000_000,
            })
            .collect(),
    }
}

/// One of each kind.
fn suspects() -> Vec<Culprit> {
    let node = |id: &str| Some(NodeId(id.into()));
    let slow = part("self-time", "cart", (0.001_2, 0.48), 0.78);
    let gap = part("network-gap", "frontend", (0.001, 0.09), 0.6);
    let call = part("dependency-time", "ad", (0.001, 0.09), 0.6);
    let flow = part("call-structure", "frontend", (0.0, 0.9), 0.9);
    let fails = part("own-failures", "payment", (0.005, 0.15), 0.145);
    let apart = |key: &str, value: &str, reason, (others, this)| {
        let (key, value) = (key.into(), value.into());
        Some(CulpritAttribute { key, value, reason, strength: 2.0, others, this, n_others: 1_300, n_this: 120 })
    };
    let mut all = vec![
        culprit(1, "cart", true, CulpritPart { operation: Some("GET /x|`y`\u{1b}[2J".into()), ..slow.clone() }),
        culprit(2, "shipping", true, CulpritPart { target: node("shipping"), ..gap.clone() }),
        culprit(3, "frontend", true, CulpritPart { target: node("cart"), ..gap }),
        culprit(4, "database:redis:ads", false, CulpritPart { target: node("database:redis:ads"), ..call }),
        culprit(
            5,
            "checkout",
            true,
            CulpritPart {
                operation: Some("POST /cart".into()),
                after: Some("checkout PlaceOrder".into()),
                ..flow.clone()
            },
        ),
        culprit(6, "frontend", true, CulpritPart { operation: Some("GET /".into()), ..flow }),
        culprit(7, "payment", true, CulpritPart { operation: Some("Charge".into()), ..fails.clone() }),
        culprit(
            8,
            "external:bank",
            true,
            CulpritPart { operation: Some("POST".into()), target: node("external:bank"), ..fails },
        ),
        culprit(9, "email", true, CulpritPart { service: NodeId("email".into()), ..slow }),
        culprit(10, "we|ird*", false, part("self-time", "we|ird*", (0.0, 1.0), 0.1)),
    ];
    all[0].attribute = apart("service.version", "1.5|\u{1b}[0m`", "slower", (0.001_3, 0.5));
    all[6].attribute = apart("k8s.pod.name", "payment-7", "failing-more", (0.0, 0.9));
    all
}

fn status(state: ObjectiveState) -> ObjectiveStatus {
    let has_data = state != ObjectiveState::NoData;
    ObjectiveStatus {
        id: "api-latency".into(),
        objective: Objective {
            id: "api-latency".into(),
            service: "api".into(),
            operation: None,
            sli: Sli::Latency { percentile: 99.0 },
            sli_name: "latency_p99".into(),
            comparison: Comparison::Below,
            target: 0.5,
            target_text: "< 500ms".into(),
            window_seconds: Some(2_592_000),
            severity: "page".into(),
            query: None,
            description: String::new(),
        },
        service: NodeId("api".into()),
        operation: None,
        state,
        value: has_data.then_some(0.812),
        interval: has_data.then_some((0.764, 0.93)),
        n: if has_data { 1_204 } else { 0 },
        certain: has_data,
        budget_remaining: has_data.then_some(-1.5),
        note: String::new(),
        burn: Vec::new(),
        reason: if has_data { String::new() } else { "no spans of api".into() },
    }
}

#[test]
fn a_diff_reads_well_in_a_terminal() {
    insta::assert_snapshot!(diff_text(&sample(), false), @r"
    SEVERITY  CHANGE      SUBJECT                  BEFORE                AFTER                  N              P
    error     slower      frontend → cart|service  p50 12 ms, p99 36 ms  p50 500 ms, p99 1.5 s  1,204 → 1,204  < 0.001
    info      node-added  new                      absent                1.34/s                 0 → 1,204

    BASE  48,123 spans in 1,204 traces
    HEAD  47,000 spans in 1,204 traces
    ");
}

#[test]
fn a_diff_reads_well_in_a_pull_request() {
    insta::assert_snapshot!(diff_markdown(&sample()), @r"
    ## Topology changes

    | Severity | Change | Subject | Before | After | n | p |
    | --- | --- | --- | --- | --- | --- | --- |
    | **error** | slower | `frontend → cart\|service` | p50 12 ms, p99 36 ms | p50 500 ms, p99 1.5 s | 1,204 → 1,204 | &lt; 0.001 |
    | info | node-added | `new` | absent | 1.34/s | 0 → 1,204 |  |

    Base: 48,123 spans in 1,204 traces. Head: 47,000 spans in 1,204 traces.
    ");
}

#[test]
fn suspects_are_told_in_words_and_the_weak_ones_only_named() {
    let diff = Diff { culprits: suspects(), ..sample() };
    let text = diff_text(&diff, false);
    let (_, told) = text.split_once("\nSuspects\n").unwrap();
    insta::assert_snapshot!(told);
    assert!(!text.contains('\u{1b}'), "names are untrusted");
    assert!(told.lines().all(|line| line.chars().count() <= 100), "{told}");
    assert!(diff_text(&diff, true).contains("\u{1b}[1mcart\u{1b}[0m"));
    let mut weak = Diff { changes: Vec::new(), culprits: suspects().split_off(9), ..sample() };
    assert!(diff_text(&weak, false).contains("Suspects\n    None stands out.\nWeak"), "{}", diff_text(&weak, false));
    // Something got worse: the first is told all the same.
    weak.changes = sample().changes;
    weak.culprits[0].rank = 1;
    let text = diff_text(&weak, false);
    assert!(text.contains(" 1  we|ird*  works longer itself (self-time), weak, score "), "{text}");
    assert!(text.contains("\n    self time of ") && !text.contains("Weak"), "{text}");
}

#[test]
fn suspects_in_a_pull_request_are_a_table() {
    let text = diff_markdown(&Diff { culprits: suspects(), ..sample() });
    let (_, told) = text.split_once("### Suspects\n\n").unwrap();
    insta::assert_snapshot!(told);
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(told.lines().filter(|line| line.starts_with('|')).all(|line| bars(line) == 7), "{told}");
    let weak = Diff { changes: Vec::new(), culprits: suspects().split_off(9), ..sample() };
    assert!(diff_markdown(&weak).contains("### Suspects\n\nNone stands out.\n\nWeak"), "{}", diff_markdown(&weak));
}

#[test]
fn no_change_is_said_in_words() {
    let none = Diff { changes: Vec::new(), ..sample() };
    assert!(diff_text(&none, true).starts_with("No changes.\n"));
    assert!(diff_markdown(&none).contains("No changes."));
}

#[test]
fn the_json_of_a_diff_has_the_published_keys() {
    let json: serde_json::Value = serde_json::from_str(&diff_json(&sample())).unwrap();
    assert_eq!(json["changes"][0]["code"], "slower");
    assert_eq!(json["changes"][0]["severity"], "error");
    assert_eq!(json["changes"][0]["subject"]["source"], "frontend");
    assert_eq!(json["changes"][0]["after"]["p50_seconds"], 0.5);
    assert_eq!(json["changes"][0]["p_value"], 0.000_1);
    assert!(
        json["changes"][1]["before"].is_null() && json["culprits"].is_array() && json["coverage"]["before"].is_object()
    );
}

#[test]
fn objectives_read_well_and_colour_only_where_asked_for() {
    let all = [status(ObjectiveState::Breached), status(ObjectiveState::NoData)];
    insta::assert_snapshot!(slo_text(&all, false), @r"
    STATE     OBJECTIVE    SERVICE  OPERATION  SLI          TARGET   VALUE            INTERVAL       N      BUDGET LEFT
    breached  api-latency  api                 latency_p99  < 500ms  812 ms           764 ms–930 ms  1,204  -150 %
    no data   api-latency  api                 latency_p99  < 500ms  no spans of api                 0

    0 met, 1 breached, 1 without data.
    ");
    assert!(!slo_text(&all, false).contains('\u{1b}'));
    assert!(slo_text(&all, true).contains("\u{1b}[31mbreached\u{1b}[0m"));
    assert!(slo_markdown(&all).contains("| **breached** | `api-latency` | `api` |"));
}

#[test]
fn the_json_of_objectives_has_the_published_keys() {
    let json: serde_json::Value = serde_json::from_str(&slo_json(&[status(ObjectiveState::Breached)])).unwrap();
    let objective = &json["objectives"][0];
    for key in [
        "id",
        "service",
        "operation",
        "sli",
        "target",
        "window",
        "state",
        "value",
        "n",
        "interval",
        "budget_remaining",
        "burn",
    ] {
        assert!(objective.get(key).is_some(), "{key}");
    }
    assert_eq!((objective["state"].as_str(), objective["value"].as_f64()), (Some("breached"), Some(0.812)));
    assert_eq!(objective["interval"], serde_json::json!([0.764, 0.93]));
    assert_eq!((objective["unit"].as_str(), objective["window_seconds"].as_u64()), (Some("seconds"), Some(2_592_000)));
}

#[test]
fn what_check_finds_is_told_as_compilers_do() {
    let diagnostics = [Diagnostic::error("link-broken", "the link leads to \u{1b}[31mno file")
        .at(Location::file("RB-001.md").at_line(7))
        .help("correct it")];
    insta::assert_snapshot!(check_text(&diagnostics, false), @r"
    error[link-broken]: the link leads to �[31mno file
      --> RB-001.md:7
      help: correct it

    1 errors, 0 warnings, 0 notes.
    ");
    assert!(check_text(&diagnostics, true).starts_with("\u{1b}[1;31merror[link-broken]\u{1b}[0m: the"));
    let json: serde_json::Value = serde_json::from_str(&check_json(&diagnostics)).unwrap();
    assert_eq!(
        (json["findings"][0]["file"].as_str(), json["findings"][0]["line"].as_u64()),
        (Some("RB-001.md"), Some(7))
    );
    assert!(check_markdown(&diagnostics).contains("| **error** | link-broken | `RB-001.md:7` |"));
    assert_eq!(check_text(&[], true), "Nothing to report.\n");
}

#[test]
fn findings_show_their_subject_and_n() {
    let finding = Finding {
        code: "single-point",
        severity: Severity::Warning,
        subject: NodeId("a".into()),
        target: Some(NodeId("b".into())),
        operation: None,
        message: "everything passes\nthrough".into(),
        context: BTreeMap::from([("share", 0.9)]),
        n: 12,
        exemplars: Vec::new(),
    };
    insta::assert_snapshot!(findings_text(std::slice::from_ref(&finding), false), @r"
    SEVERITY  CODE          SUBJECT  N   FINDING
    warning   single-point  a → b    12  everything passes through
    ");
    let json: serde_json::Value = serde_json::from_str(&findings_json(&[finding])).unwrap();
    assert_eq!(json["findings"][0]["context"]["share"], 0.9);
    assert_eq!(findings_markdown(&[]), "## Findings\n\nNone.\n");
}
