//! What the top of a page claims, and that it claims no more than was seen.

use super::testing::{edge, node, objectives, shop, snapshot, stats, status, words};
use super::{Ledger, Plan, Runbook, RunbookState, cfg::Settings, plan};
use crate::findings::{Facts, evaluate};
use crate::slo::{BurnRate, ObjectiveStatus, Sli};
use crate::topology::{EdgeKind, NodeKind, Snapshot};

fn made(snapshot: &Snapshot, statuses: &[ObjectiveStatus]) -> Plan {
    let findings = evaluate(&Facts { snapshot, objectives: statuses });
    plan(snapshot, statuses, &findings, &Settings::default(), &Ledger::default()).unwrap()
}

fn page<'a>(plan: &'a Plan, key: &str) -> &'a Runbook {
    plan.runbooks.iter().find(|r| r.key == key).unwrap()
}

fn details(page: &Runbook) -> String {
    page.trigger_detail.iter().map(words).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_fast_service_whose_callers_wait_says_so_first() {
    let mut statuses = objectives();
    statuses[3].value = Some(0.06);
    let plan = made(&shop(), &statuses);
    let payment = page(&plan, "latency:shop/payment");
    assert_eq!(payment.state, RunbookState::Ok);
    let summary = words(&payment.summary);
    assert!(summary.contains("keeps its target in this window: 60 ms"), "{summary}");
    assert!(summary.contains("But `checkout` waits longer for it: p50 300 ms"), "{summary}");
    assert!(
        summary.contains("80 % of which passes outside of `payment`. Look first at the way to `payment`"),
        "{summary}"
    );
    assert_eq!(words(&payment.diagnosis[0].title), "See whether callers wait longer than `payment` takes");
}

#[test]
fn a_page_that_is_fine_names_the_page_of_the_same_service_that_is_not() {
    let mut statuses = objectives();
    statuses[1] = status("checkout-latency", "shop/checkout", statuses[1].objective.sli, 9.0, "< 9s", Some(4.0));
    let plan = made(&shop(), &statuses);
    let (latency, errors) = (page(&plan, "latency:shop/checkout"), page(&plan, "errors:shop/checkout"));
    let says = format!("Its error rate misses a target: see [{}].", errors.id);
    assert!(words(&latency.summary).ends_with(&says), "{}", words(&latency.summary));
    assert!(!words(&errors.summary).contains("misses a target"));
}

#[test]
fn a_target_that_is_kept_only_perhaps_is_told_as_such() {
    let mut statuses = objectives();
    statuses[1] = status("checkout-latency", "shop/checkout", statuses[1].objective.sli, 9.0, "< 9s", Some(4.0));
    let latency =
        |statuses: &[ObjectiveStatus]| words(&page(&made(&shop(), statuses), "latency:shop/checkout").summary);
    assert!(!latency(&statuses).contains("may be missed"));
    statuses[1].certain = false;
    statuses[1].interval = Some((3.0, 10.0));
    assert!(latency(&statuses).contains("; the interval reaches beyond the target, so it may be missed."));
    statuses[1].interval = Some((3.0, 5.0));
    assert!(latency(&statuses).contains("; too few were seen to be sure."));
}

#[test]
fn few_requests_are_told_as_few_without_interval_budget_or_chance() {
    let mut statuses = objectives();
    statuses[1].n = 6;
    statuses[1].certain = false;
    let plan = made(&shop(), &statuses);
    let latency = page(&plan, "latency:shop/checkout");
    let summary = words(&latency.summary);
    assert!(
        summary.contains("misses its target: 4 s (only few requests were seen, n 6), target `< 500ms`."),
        "{summary}"
    );
    assert!(!details(latency).contains("interval") && !details(latency).contains("as allowed"), "{}", details(latency));
}

#[test]
fn the_trigger_tells_what_limits_a_value_how_fast_it_burns_and_the_alert_of_one_operation() {
    let mut statuses = objectives();
    statuses[0].note = "the snapshot covers 2 h of the objective's 30 d".into();
    let rate = BurnRate {
        severity: "page".into(),
        long_seconds: 3_600,
        short_seconds: 300,
        factor: 14.4,
        long: 20.0,
        short: 18.0,
        firing: true,
    };
    let slow = BurnRate {
        long_seconds: 21_600,
        short_seconds: 1_800,
        factor: 6.0,
        long: 2.0,
        short: 0.0,
        firing: false,
        ..rate.clone()
    };
    statuses[0].burn = vec![rate, slow];
    statuses[0].operation = Some("POST /c*".into());
    statuses[1].operation = Some("POST /checkout".into());
    let plan = made(&shop(), &statuses);
    let errors = details(page(&plan, "errors:shop/checkout"));
    assert!(
        errors.contains("; 5 times as many failed requests as allowed. Mind that the snapshot covers 2 h of"),
        "{errors}"
    );
    assert!(
        errors.contains(
            "20 over 1h, 18 over 5m (both above 14.4: pages); 2 over 6h, 0 over 30m (pages when both are above 6)."
        ),
        "{errors}"
    );
    assert!(errors.contains("span_name=~\"POST /c.*\", status_code"), "{errors}");
    let latency = page(&plan, "latency:shop/checkout");
    assert!(details(latency).contains("span_name=\"POST /checkout\"}[5m]"), "{}", details(latency));
    let confirm = latency.diagnosis.iter().find(|s| words(&s.title).starts_with("Confirm")).unwrap();
    assert!(confirm.command.contains("&& name = \"POST /checkout\" }"), "{}", confirm.command);
}

#[test]
fn what_is_breached_starts_with_where_and_what_is_fine_with_whether() {
    let plan = made(&shop(), &objectives());
    let first = |key: &str| words(&page(&plan, key).diagnosis[0].title);
    assert!(first("latency:shop/checkout").starts_with("Check the calls to `payment`"));
    assert!(first("errors:shop/checkout").starts_with("Check the calls to `payment`"));
    assert!(first("dependency:database:postgresql:orders").starts_with("Confirm"));
    for page in &plan.runbooks {
        // A number's point is followed by a digit, a sentence's by a blank.
        let sentences = format!("{} ", words(&page.summary)).matches(". ").count();
        assert!((1..=3).contains(&sentences), "{}: {}", page.id, words(&page.summary));
    }
}

#[test]
fn failures_that_the_service_does_not_see_are_looked_for_on_the_way() {
    let api = node("api", NodeKind::Service, stats(1_000, 0, 50));
    let ads = node("ads", NodeKind::Service, stats(1_000, 8, 5));
    let calls = edge("api", "ads", EdgeKind::Call, 1_000, 40, 6, 5);
    let plan = made(
        &snapshot(vec![api, ads], vec![calls], vec![]),
        &[status("e", "api", Sli::ErrorRate, 0.01, "< 1 %", Some(0.0))],
    );
    let summary = words(&page(&plan, "dependency:ads").summary);
    assert!(summary.contains("of what it handles it fails only 0.8 %"), "{summary}");
}

#[test]
fn a_missed_objective_without_a_page_is_named_on_those_of_its_service_and_listed() {
    let of = |id: &str, service: &str, value| {
        let mut status = status(id, service, Sli::External, 5.0, "< 5", Some(value));
        status.objective.severity = "page".into();
        status
    };
    let mut all = objectives();
    all.extend([of("lagging", "shop/payment", 42.0), of("kept", "shop/payment", 1.0), of("elsewhere", "ingress", 7.0)]);
    let plan = made(&shop(), &all);
    let missed: Vec<(&str, &str)> = plan.missed.iter().map(|m| (m.id.as_str(), m.service.0.as_str())).collect();
    assert_eq!(missed, [("lagging", "shop/payment"), ("elsewhere", "ingress")]);
    let payment = page(&plan, "latency:shop/payment");
    assert!(details(payment).contains("Also missed: `lagging` is at 42 ("), "{}", details(payment));
    assert!(
        words(&payment.summary).ends_with("It misses `lagging`, see the trigger condition."),
        "{}",
        words(&payment.summary)
    );
    assert!(!details(page(&plan, "latency:shop/checkout")).contains("Also missed"));
    // The others are what their own pages are about.
    assert!(made(&shop(), &objectives()).missed.is_empty());
}
