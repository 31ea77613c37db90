use std::collections::BTreeMap;

use super::*;
use crate::diag::{Diagnostic, Location};
use crate::diff::{Change, Diff, DiffCoverage, Side, Subject};
use crate::findings::Finding;
use crate::slo::{Comparison, Objective, ObjectiveState, ObjectiveStatus, Sli};
use crate::topology::{Coverage, NodeId};

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
    STATE     OBJECTIVE    SERVICE  OPERATION  SLI          TARGET   VALUE            95 %           N      BUDGET LEFT
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
