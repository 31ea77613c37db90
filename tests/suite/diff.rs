//! `diff`: one capture split at a time, versions side by side, and who is named.

use serde_json::Value;

use crate::harness::Case;
use crate::schemas::{model, traces};
use crate::shop;

/// 2026-11-02T09:00:00Z, when the simulated requests begin.
const START: u64 = 1_793_610_000;
const SECOND: u64 = 1_000_000_000;

fn options(traces: u64) -> model::Options {
    model::Options { seed: 5, traces, gap: SECOND / 2, ..model::Options::default() }
}

/// Five minutes of the shop, the payment service 800 ms slower from the middle on.
fn incident() -> Case {
    let from = (START + 150) * SECOND;
    let fault = model::Incident { name: "payment-latency".to_owned(), from, until: u64::MAX };
    Case::empty().file("t.jsonl", traces("shop", model::Options { fault: Some(fault), ..options(600) }))
}

/// Two versions of everything side by side, the newer checkout a bad release.
fn rollout(share: f64, requests: u64) -> Case {
    let fault = model::Incident { name: "bad-release".to_owned(), from: 0, until: u64::MAX };
    let options = model::Options { rollout: share, fault: Some(fault), ..options(requests) };
    Case::empty().file("t.jsonl", traces("shop", options))
}

fn first(case: &Case) -> Value {
    case.answer()["culprits"][0].clone()
}

#[test]
fn a_capture_split_where_a_fault_begins_names_the_faulty_service_first() {
    let case = incident().run_valid(1, "diff --from t.jsonl --at 2026-11-02T09:02:30Z --format json", "diff");
    let (answer, suspect) = (case.answer(), first(&case));
    let named = suspect["service"].as_str().unwrap();
    assert!(named.ends_with("payment"), "{answer:#}");
    assert_eq!((&suspect["reported"], suspect["reason"].as_str()), (&Value::Bool(true), Some("self-time")));
    // A part of the time is the operation's, a part that of the work inside it.
    let own = suspect["parts"].as_array().unwrap().iter().filter(|part| part["reason"] == "self-time");
    let added: f64 = own.map(|part| part["now"].as_f64().unwrap() - part["before"].as_f64().unwrap()).sum();
    assert!((0.75..0.85).contains(&added), "{added} s more is told of 800 ms");
    assert!(suspect["exemplars"][0]["start"].as_str().unwrap() >= "2026-11-02T09:02:30", "of the worse side");
    // No trace is lost or counted twice.
    let spans = |side: &str| answer["coverage"][side]["spans"].as_u64().unwrap();
    let whole = case.run("graph --from t.jsonl --format json").answer()["coverage"]["spans"].as_u64().unwrap();
    assert_eq!(spans("before") + spans("after"), whole);
}

#[test]
fn the_time_may_be_that_of_an_alert_and_the_time_after_it_bounded() {
    let case = incident();
    let mut answers = Vec::new();
    let (seconds, nanos) = ((START + 150).to_string(), ((START + 150) * SECOND).to_string());
    let mut case = case;
    for at in ["2026-11-02T10:02:30+01:00", &seconds, &format!("{seconds}000"), &nanos] {
        case = case.run(&format!("diff --from t.jsonl --at {at} --format json")).expect_exit(1);
        answers.push(case.stdout());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    let all = case.answer();
    let case = case.run_valid(1, &format!("diff --from t.jsonl --at {seconds} --for 1m --format json"), "diff");
    let short = case.answer();
    assert_eq!(short["coverage"]["before"], all["coverage"]["before"]);
    let spans = |answer: &Value| answer["coverage"]["after"]["spans"].as_u64().unwrap();
    assert!(spans(&short) * 2 < spans(&all), "a minute of two and a half");
    assert!(first(&case)["service"].as_str().unwrap().ends_with("payment"));
}

#[test]
fn who_is_to_blame_is_told_in_text_and_for_a_pull_request() {
    let case = incident()
        .run("diff --from t.jsonl --at 2026-11-02T09:02:30Z --for 2m")
        .expect_exit(1)
        .expect_stdout("\nSuspects\n 1  ")
        .expect_stdout("payment  works longer itself (self-time), score ")
        .expect_stdout("    self time of ")
        .expect_stdout("    traces ");
    let text = case.stdout();
    let (_, suspects) = text.split_once("\nSuspects\n").unwrap();
    assert!(suspects.lines().all(|line| line.chars().count() <= 100), "{suspects}");
    case.run("diff --from t.jsonl --at 2026-11-02T09:02:30Z --for 2m --format markdown")
        .expect_exit(1)
        .expect_stdout("### Suspects\n\n| Rank | Service | Reason | Evidence | Score | Traces |")
        .expect_stdout("works longer itself (self-time) | self time of `");
}

#[test]
fn a_split_that_leaves_one_side_empty_says_which_and_when_the_traces_are() {
    incident()
        .run("diff --from t.jsonl --at 2026-11-02T08:00:00Z")
        .expect_exit(2)
        .expect_stderr("error[no-spans-before]: no trace starts before 2026-11-02T08:00:00Z: those read are from 2026-11-02T09:00:00")
        .run("diff --from t.jsonl --at 2026-11-02T19:00:00Z")
        .expect_exit(2)
        .expect_stderr("error[no-spans-after]")
        // Between two requests.
        .run("diff --from t.jsonl --at 2026-11-02T19:00:00Z --for 1s")
        .expect_exit(2)
        .expect_stderr("error[no-spans-after]");
}

#[test]
fn a_snapshot_cannot_be_split() {
    Case::empty()
        .file("s.snapshot.json", shop::snapshot_bytes(true))
        .file("t.jsonl", shop::traces().join("\n"))
        .run("diff --from s.snapshot.json --at 2026-01-01T00:01:00Z")
        .expect_exit(2)
        .expect_stderr("error[split-snapshot]")
        .run("diff --from t.jsonl --from s.snapshot.json --at 2026-01-01T00:01:00Z")
        .expect_exit(2)
        .expect_stderr("error[split-snapshot]")
        .stdin(shop::snapshot_bytes(true))
        .run("diff --from - --at 2026-01-01T00:01:00Z")
        .expect_exit(2)
        .expect_stderr("error[split-snapshot]")
        .run("diff --at 2026-01-01T00:01:00Z")
        .expect_exit(2)
        .expect_stderr("error[no-source]");
}

#[test]
fn flags_that_contradict_each_other_are_mistakes_of_the_command_line() {
    let case = Case::empty();
    let before = case.tree();
    let mut case = case;
    for (line, says) in [
        ("diff a b --at 2026-01-01T00:01:00Z", "cannot be used with"),
        ("diff a b --by service.version", "cannot be used with"),
        ("diff a b --from c", "cannot be used with"),
        ("diff --from t --at 2026-01-01T00:01:00Z --by service.version", "cannot be used with"),
        ("diff --from t --by service.version --for 3m", "cannot be used with"),
        ("diff --from t --for 3m", "--at <TIME>"),
        ("diff a", "<HEAD>"),
        ("diff", "required"),
        ("diff --from t --at noon", "2026-08-23T17:00:00Z"),
        ("diff --from t --at 20260823", "Unix seconds, milliseconds or nanoseconds"),
        ("diff --from t --by host.name", "service.version"),
    ] {
        case = case.run(line).expect_exit(2).expect_stderr(says).expect_tree(&before);
    }
}

#[test]
fn of_two_versions_side_by_side_the_newer_one_with_the_fault_is_named() {
    let case = rollout(0.5, 3000).run_valid(1, "diff --from t.jsonl --by service.version --format json", "diff");
    let answer = case.answer();
    let suspect = first(&case);
    assert!(suspect["service"].as_str().unwrap().ends_with("checkout"), "{:#}", answer["culprits"]);
    assert_eq!(suspect["reason"], "own-failures");
    assert!(suspect["exemplars"].as_array().unwrap().len() > 1);
    // Versions are no part of any name.
    assert!(!case.stdout().contains('@'), "{}", case.stdout());
    // Nothing came or went: both sides have every service.
    let codes: Vec<&str> = answer["changes"].as_array().unwrap().iter().map(|c| c["code"].as_str().unwrap()).collect();
    assert!(!codes.iter().any(|code| code.starts_with("node-")), "{codes:?}");
}

#[test]
fn the_version_that_fails_is_named_beside_its_service() {
    // All at once, without anybody saying which attribute to look at: BASE is the time before the release was rolled out.
    let fault = model::Incident { name: "bad-release".to_owned(), from: (START + 750) * SECOND, until: u64::MAX };
    let options = model::Options { rollout: 0.5, fault: Some(fault), ..options(3000) };
    let case = Case::empty().file("t.jsonl", traces("shop", options));
    let case =
        case.run_valid(0, &format!("diff --fail-on never --from t.jsonl --at {} --format json", START + 750), "diff");
    let suspect = first(&case);
    assert!(suspect["service"].as_str().unwrap().ends_with("checkout"), "{suspect:#}");
    let apart = &suspect["attribute"];
    assert_eq!((&apart["key"], &apart["value"]), (&"service.version".into(), &"1.5.0".into()), "{suspect:#}");
    assert_eq!(apart["reason"], "failing-more");
    case.run(&format!("diff --from t.jsonl --at {} --fail-on never", START + 750))
        .expect_exit(0)
        .expect_stdout("service.version=1.5.0 stands apart: fails ");
}

#[test]
fn one_version_alone_cannot_be_held_against_another() {
    rollout(0.0, 50)
        .run("diff --from t.jsonl --by service.version")
        .expect_exit(2)
        .expect_stderr("error[one-value]")
        .run("diff --from t.jsonl --by deployment.environment.name")
        .expect_exit(2)
        .expect_stderr("error[one-value]");
}

#[test]
fn without_evidence_whole_services_are_suspects() {
    incident()
        .file("tracebook.yaml", "topology: { evidence: false }\n")
        .run("capture --from t.jsonl --output s.snapshot.json")
        .expect_exit(0)
        .run_valid(1, "diff --from t.jsonl --at 2026-11-02T09:02:30Z --format json", "diff")
        .run("diff --from t.jsonl --at 2026-11-02T09:02:30Z")
        .expect_stdout("payment  works longer itself (self-time)");
    let case = incident()
        .file("tracebook.yaml", "topology: { evidence: false }\n")
        .run("capture --from t.jsonl --output without.snapshot.json")
        .file("tracebook.yaml", "topology: { evidence: true }\n")
        .run("capture --from t.jsonl --output with.snapshot.json");
    let [with, without] = ["with", "without"].map(|name| case.text(&format!("{name}.snapshot.json")));
    for key in ["\"self_times\"", "\"flow\"", "\"requests\"", "\"origins\"", "\"instances\"", "\"traces\": ["] {
        assert!(with.contains(key) && !without.contains(key), "{key}");
    }
    // The topology is the same.
    let mut with: Value = serde_json::from_str(&with).unwrap();
    for key in ["requests", "origins", "instances", "traces"] {
        with.as_object_mut().unwrap().remove(key);
    }
    for operation in with["operations"].as_array_mut().unwrap() {
        operation.as_object_mut().unwrap().remove("self_times");
        operation.as_object_mut().unwrap().remove("flow");
    }
    assert_eq!(with, serde_json::from_str::<Value>(&without).unwrap());
}
