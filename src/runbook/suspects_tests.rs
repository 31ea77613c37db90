//! What pages say where the snapshot knows who holds the time and where failures begin.

use serde_json::{Value, json};

use super::cfg::{LinksConfig, Settings};
use super::testing::{dump, objectives, outside_literals, shop, status, words};
use super::{Ledger, Plan, Runbook, plan};
use crate::findings::{Facts, evaluate};
use crate::slo::{ObjectiveStatus, Sli};
use crate::topology::{NodeId, Snapshot, band};

const MS: u64 = 1_000_000;

fn made(snapshot: &Snapshot, statuses: &[ObjectiveStatus]) -> Plan {
    let findings = evaluate(&Facts { snapshot, objectives: statuses });
    let links = LinksConfig {
        grafana: Some("https://grafana.example.com".into()),
        tempo_datasource: Some("tempo".into()),
        jaeger: Some("https://jaeger.example.com".into()),
    };
    plan(snapshot, statuses, &findings, &Settings { links, ..Settings::default() }, &Ledger::default()).unwrap()
}

fn page<'a>(plan: &'a Plan, key: &str) -> &'a Runbook {
    plan.runbooks.iter().find(|r| r.key == key).unwrap()
}

fn titles(page: &Runbook) -> Vec<String> {
    page.diagnosis.iter().map(|step| words(&step.title)).collect()
}

/// The shop, with evidence: 950 requests of 100 ms and 50 of 3 s, which wait 2.5 s longer for the bank.
fn known() -> Snapshot {
    let mut shop = shop();
    let (normal, slow) = (band(100 * MS), band(3_000 * MS));
    let times = |n: u64, s: u64| format!("{normal}:{} {slow}:{}", 950 * n * MS, 50 * s * MS);
    let part = |kind: &str, service: &str, operation: &str, target: Option<&str>, n: u64, s: u64| json!({"part": kind, "service": service, "operation": operation, "target": target, "time": times(n, s)});
    let requests = json!([{
        "service": "shop/frontend", "kind": "server", "operation": "POST /buy",
        "calls": format!("{normal}:950 {slow}:50"), "time": times(100, 3_000),
        "parts": [
            part("call", "shop/payment", "POST", Some("external:api.bank.example"), 30, 2_530),
            part("between", "shop/payment", "Charge", None, 10, 310),
            part("work", "shop/checkout", "POST /checkout", None, 50, 150),
            part("work", "shop/frontend", "POST /buy", None, 10, 10),
        ],
        "nodes": {
            "shop/frontend": "1000", "shop/checkout": "1000", "shop/payment": "1000",
            "external:api.bank.example": "1000", "database:postgresql:orders": "1000",
        },
    }]);
    shop.requests = serde_json::from_value(requests).unwrap();
    let step = |service: &str, operation: &str, calls: u64| json!({"service": service, "operation": operation, "calls": calls.to_string()});
    let origin = |kind: &str, service: &str, operation: &str, target: Option<&str>, calls: u64, more: Value| {
        let mut json = json!({
            "kind": kind, "service": service, "operation": operation, "target": target, "n": calls,
            "calls": calls.to_string(), "reached_entry": calls.to_string(),
            "classes": [{"http_status": 503, "calls": calls.to_string()}],
            "exemplars": [{"trace_id": "0".repeat(31) + "f", "span_id": "0".repeat(15) + "f", "start": "2026-03-02T10:01:00Z", "duration_ns": 5_000_000}],
        });
        more.as_object().unwrap().iter().for_each(|(key, value)| json[key] = value.clone());
        json
    };
    let origins = json!([
        origin("failed", "shop/checkout", "POST /checkout", None, 20, json!({})),
        origin(
            "timed_out",
            "shop/payment",
            "Charge",
            None,
            40,
            json!({
                "climbed": [step("shop/checkout", "POST /checkout", 40)],
                "gave_up": [step("shop/checkout", "POST /checkout", 40)],
            })
        ),
        origin(
            "unanswered",
            "shop/payment",
            "POST",
            Some("external:api.bank.example"),
            100,
            json!({
                "climbed": [step("shop/checkout", "POST /checkout", 100)],
                "coped": [step("shop/payment", "Charge", 30)],
            })
        ),
    ]);
    shop.origins = serde_json::from_value(origins).unwrap();
    let instance = |pod: &str, version: &str, n: u64, errors: u64| {
        json!({
            "service": "shop/checkout", "attributes": {"k8s.pod.name": pod, "service.version": version}, "n": n,
            "calls": n.to_string(), "errors": errors.to_string(), "durations": format!("200:{n}"),
        })
    };
    let instances = json!([
        instance("checkout-578fcf766-9csqn", "1.4.0", 1_800, 10),
        instance("checkout-578fcf766-x2wzd", "1.5.0", 1_800, 170)
    ]);
    shop.instances = serde_json::from_value(instances).unwrap();
    let summary = |class: &str, id: char, end: u64, status: &str| {
        json!({
            "service": "shop/checkout", "class": class, "trace_id": "0".repeat(31) + &id.to_string(),
            "span_id": "0".repeat(15) + &id.to_string(), "start": "2026-03-02T10:01:00Z",
            "spans": [
                format!("0 server 0 {} {} {status}\tshop/checkout\tPOST /checkout", end * MS, 50 * MS),
                format!("1 client {} {} {} {status}\tshop/checkout\tCharge", 40 * MS, (end - 50) * MS, (end - 50) * MS),
            ],
        })
    };
    let traces = json!([
        summary("slow", 'a', 4_000, "ok"),
        summary("failed", 'b', 300, "error"),
        summary("typical", 'c', 90, "ok"),
        summary("typical", 'd', 410, "ok"),
    ]);
    shop.traces = serde_json::from_value(traces).unwrap();
    shop
}

#[test]
fn pages_with_evidence_read_as_recorded() {
    let plan = made(&known(), &objectives());
    insta::assert_snapshot!("known-latency-shop-checkout", dump(page(&plan, "latency:shop/checkout")));
    insta::assert_snapshot!("known-errors-shop-checkout", dump(page(&plan, "errors:shop/checkout")));
}

#[test]
fn steps_come_in_the_order_of_the_evidence_and_what_stands_apart_next() {
    let plan = made(&known(), &objectives());
    let latency = titles(page(&plan, "latency:shop/checkout"));
    let bank = "Check the calls from `payment` to `api.bank.example`: 86.21 % of what slow requests take longer";
    assert_eq!(latency[0], bank);
    assert!(latency.iter().any(|t| t.starts_with("Check the way to `payment`: 10.34 %")), "{latency:?}");
    let errors = titles(page(&plan, "errors:shop/checkout"));
    assert_eq!(
        errors[0],
        "Check the calls from `payment` to `api.bank.example`: 55.56 % of the failures here begin there"
    );
    let apart = "Look at `service.version` `1.5.0` alone: 9.44 % of its calls fail, of all others 0.56 %";
    assert_eq!(errors[1], apart);
    assert!(errors[2].starts_with("Confirm"));
    assert!(errors.iter().any(|t| t.contains("of the failures here are time-outs while it was still at work")));
    for page in &plan.runbooks {
        // Four of them are of the platform.
        assert!(page.diagnosis.len() <= 13, "{}: {:?}", page.id, titles(page));
    }
}

#[test]
fn the_page_of_a_service_says_what_passes_on_the_way_to_it_and_what_lies_elsewhere() {
    let mut statuses = objectives();
    statuses[3].value = Some(0.06);
    let plan = made(&known(), &statuses);
    let payment = page(&plan, "latency:shop/payment");
    assert!(words(&payment.summary).contains("Look first at the calls to `api.bank.example`: 86.21 % of what slow"));
    let mut elsewhere = known();
    let parts = &mut elsewhere.requests[0].parts;
    parts.swap(0, 3);
    (parts[0].service, parts[0].target) = (NodeId("shop/frontend".into()), None);
    let time = parts[3].time.clone();
    parts[3].time = std::mem::replace(&mut parts[0].time, time);
    let plan = made(&elsewhere, &statuses);
    let payment = page(&plan, "latency:shop/payment");
    let step =
        payment.diagnosis.iter().find(|s| words(&s.title).starts_with("See whether requests are slow for another"));
    let detail = words(&step.unwrap().detail);
    assert!(detail.contains("`frontend` itself 86.21 %"), "{detail}");
    assert!(
        payment.evidence.unknowns.iter().any(|t| words(t).contains("slow requests from outside hardly wait for it"))
    );
}

#[test]
fn an_older_snapshot_falls_back_and_says_so() {
    let plan = made(&shop(), &objectives());
    let unknown = |key: &str| page(&plan, key).evidence.unknowns.iter().map(words).collect::<Vec<_>>().join("\n");
    assert!(unknown("latency:shop/checkout").contains("the snapshot holds no critical paths"));
    assert!(unknown("errors:shop/checkout").contains("Where failures begin: the snapshot does not hold it"));
    assert!(
        titles(page(&plan, "latency:shop/checkout"))[0].starts_with("Check the calls to `payment`: 75 % of the time")
    );
    assert!(page(&plan, "latency:shop/checkout").evidence.waterfalls.is_empty());
}

#[test]
fn where_half_of_the_requests_are_too_slow_parts_come_by_their_time() {
    let statuses = [status("l", "shop/checkout", Sli::Latency { percentile: 99.0 }, 0.3, "< 300ms", Some(4.0))];
    let plan = made(&known(), &statuses);
    assert!(titles(page(&plan, "latency:shop/checkout"))[0].ends_with("84.33 % of the time of slow requests"));
}

#[test]
fn the_normal_request_beside_an_ill_one_is_the_one_nearest_to_the_median() {
    let plan = made(&known(), &objectives());
    let shown = |key: &str| {
        let all = page(&plan, key).evidence.waterfalls.iter();
        all.map(|w| (w.trace.class.clone(), w.trace.duration_seconds, w.trace.links.len())).collect::<Vec<_>>()
    };
    assert_eq!(shown("latency:shop/checkout"), [("slow".to_owned(), 4.0, 2), ("typical".to_owned(), 0.41, 2)]);
    assert_eq!(shown("errors:shop/checkout"), [("failed".to_owned(), 0.3, 2), ("typical".to_owned(), 0.41, 2)]);
}

#[test]
fn what_an_operation_or_an_instance_leaves_out_is_said() {
    let mut odd = known();
    odd.operations.iter_mut().for_each(|o| o.flow.beyond = true);
    odd.instances[0].attributes.clear();
    let plan = made(&odd, &objectives());
    let said: Vec<String> = page(&plan, "latency:shop/checkout").evidence.unknowns.iter().map(words).collect();
    assert!(said.iter().any(|t| t.contains("50 % of its calls do not say which handled them")), "{said:?}");
    assert!(said.iter().any(|t| t.starts_with("In which order `GET /cart/{id}` does things, and 1 more")), "{said:?}");
}

#[test]
fn hostile_names_in_the_evidence_stay_names() {
    for name in ["a\" } || { true } | select(\"", "x'; rm -rf / #", "line\nbreak ```\n# heading", "<script>", "{id}*\\"]
    {
        let mut shop = known();
        for part in &mut shop.requests[0].parts {
            part.operation = name.to_owned();
        }
        for origin in &mut shop.origins {
            origin.operation = name.to_owned();
            origin.gave_up.iter_mut().chain(&mut origin.coped).for_each(|step| step.operation = name.to_owned());
        }
        for instance in &mut shop.instances {
            instance.attributes.values_mut().for_each(|value| *value = format!("{name}{value}"));
        }
        let plan = made(&shop, &objectives());
        for page in &plan.runbooks {
            let plain =
                |text: &super::Text| text.0.iter().all(|p| !matches!(p, super::Piece::Words(w) if w.contains(name)));
            for step in &page.diagnosis {
                assert!([&step.title, &step.detail, &step.expect, &step.otherwise].into_iter().all(plain), "{name:?}");
                if matches!(step.language.as_str(), "traceql" | "promql") {
                    assert!(!outside_literals(&step.command).contains(name), "{}", step.command);
                    assert!(!step.command.contains(|c: char| c.is_control() && c != '\n'), "{}", step.command);
                }
            }
            // The one-line messages of findings are escaped as words.
            let own = page.evidence.tables.iter().filter(|table| table.title != "Findings");
            let cells = own.flat_map(|table| &table.rows).flat_map(|row| &row.cells);
            assert!(cells.chain(&page.evidence.unknowns).chain([&page.summary]).all(plain), "{name:?}");
        }
    }
}
