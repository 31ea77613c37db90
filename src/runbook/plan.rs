//! Snapshot, objectives, findings and settings → every runbook, and the new ledger.

use std::collections::BTreeMap;

use super::cfg::Settings;
use super::context::Context;
use super::kinds::Item;
use super::missed::{self, Missed};
use super::{EntryState, Ledger, Runbook, catalogue, frame, ledger};
use crate::diag::Diagnostic;
use crate::findings::Finding;
use crate::slo::ObjectiveStatus;
use crate::topology::Snapshot;

/// What the stage makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Active and retired runbooks, sorted by number.
    pub runbooks: Vec<Runbook>,
    /// Pages under the names runbooks had before: retired, each its own runbook's id as successor. They are in no list.
    pub signposts: Vec<Runbook>,
    /// Missed objectives that decide the state of no page, sorted by id: whoever reads the pages alone would not see them.
    pub missed: Vec<Missed>,
    /// The ledger with the numbers just given.
    pub ledger: Ledger,
    /// Warnings: configuration entries that matched nothing.
    pub diagnostics: Vec<Diagnostic>,
}

/// Decides which runbooks there are, numbers them and fills them.
///
/// # Errors
/// Every problem that makes a number ambiguous: ids pinned twice, a pinned id the ledger gave to another key, a damaged ledger.
pub fn plan(
    snapshot: &Snapshot,
    objectives: &[ObjectiveStatus],
    findings: &[Finding],
    settings: &Settings,
    ledger: &Ledger,
) -> Result<Plan, Vec<Diagnostic>> {
    let mut context = Context::new(snapshot, objectives, findings, settings);
    let catalogue = catalogue::catalogue(&context, ledger)?;
    let ledger = ledger::allocate(&renamed(ledger, &catalogue.renamed), &catalogue.wanted)?;
    context.ids = ledger
        .runbooks
        .iter()
        .filter(|e| e.state == EntryState::Active)
        .map(|e| (e.key.clone(), e.id.clone()))
        .collect();
    context.missed = missed::uncovered(objectives, &catalogue.items);
    let items: BTreeMap<&str, &Item<'_>> = catalogue.items.iter().map(|i| (i.key.as_str(), i)).collect();
    let runbooks: Vec<Runbook> = ledger
        .runbooks
        .iter()
        .map(|entry| match items.get(entry.key.as_str()).filter(|_| entry.state == EntryState::Active) {
            Some(item) => frame::page(&context, item, entry),
            None => frame::tombstone(&context, entry),
        })
        .collect();
    let signposts =
        runbooks.iter().zip(&ledger.runbooks).flat_map(|(page, entry)| frame::signposts(page, entry)).collect();
    let missed = context.missed.iter().map(|status| Missed::new(status)).collect();
    Ok(Plan { runbooks, signposts, missed, ledger, diagnostics: catalogue.warnings })
}

/// The ledger with keys a pin spelt short written in full: `latency:api` of a run that had not seen `shop/api` yet.
fn renamed(ledger: &Ledger, names: &BTreeMap<String, String>) -> Ledger {
    let mut ledger = ledger.clone();
    for (short, full) in names {
        if ledger.entry(full).is_none()
            && let Some(entry) = ledger.runbooks.iter_mut().find(|e| e.key == *short)
        {
            entry.key.clone_from(full);
        }
    }
    ledger
}

#[cfg(test)]
mod tests {
    use super::super::cfg::{EscalationConfig, LinksConfig, Pin, RunbooksConfig, ScenarioConfig, ServiceConfig};
    use super::super::testing::{dump, edge, node, objectives, outside_literals, shop, snapshot, stats, words};
    use super::super::{RunbookState, Step, Text};
    use super::*;
    use crate::slo::ObjectiveState;
    use crate::spans::Weight;
    use crate::topology::{EdgeKind, NodeKind};

    fn made(settings: &Settings, ledger: &Ledger) -> Plan {
        plan(&shop(), &objectives(), &[], settings, ledger).unwrap()
    }

    fn page<'a>(plan: &'a Plan, key: &str) -> &'a Runbook {
        plan.runbooks.iter().find(|r| r.key == key).unwrap()
    }

    fn keys(plan: &Plan) -> Vec<String> {
        plan.runbooks.iter().map(|r| format!("{} {}", r.id, r.key)).collect()
    }

    fn pin(key: &str) -> Pin {
        Pin {
            id: None,
            key: key.into(),
            slug: None,
            title: None,
            trigger: None,
            owner: None,
            steps: Default::default(),
        }
    }

    fn scenario(name: &str, kind: &str, nodes: &[&str]) -> ScenarioConfig {
        ScenarioConfig {
            name: name.into(),
            id: None,
            slug: None,
            title: format!("Scenario {name}"),
            trigger: format!("`{name}` fires"),
            kind: Some(kind.into()),
            severity: Some("page".into()),
            owner: Some("Platform".into()),
            nodes: nodes.iter().map(|n| (*n).to_owned()).collect(),
            objective: None,
            steps: Default::default(),
        }
    }

    /// A configured team: escalation, links, facts.
    fn settings() -> Settings {
        let facts = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let service = |pairs: &[(&str, &str)]| ServiceConfig { facts: facts(pairs), ..ServiceConfig::default() };
        Settings {
            project: "Shop".into(),
            services: BTreeMap::from([
                (
                    "checkout".into(),
                    ServiceConfig {
                        owner: "Checkout team".into(),
                        contact: "#checkout".into(),
                        criticality: "critical".into(),
                        ..service(&[])
                    },
                ),
                (
                    "messaging:kafka:orders".into(),
                    service(&[("kafka.bootstrap", "kafka:9092"), ("messaging.consumer.group.name", "it's fulfilment")]),
                ),
            ]),
            escalation: vec![
                EscalationConfig { after: String::new(), who: "On-call".into(), contact: "PagerDuty".into() },
                EscalationConfig { after: "15m".into(), who: "Lead".into(), contact: String::new() },
            ],
            links: LinksConfig {
                grafana: Some("https://grafana.example.com".into()),
                tempo_datasource: Some("tempo".into()),
                jaeger: Some("https://jaeger.example.com".into()),
            },
            ..Settings::default()
        }
    }

    #[test]
    fn a_page_of_each_kind_reads_as_recorded() {
        let mut settings = settings();
        settings.scenarios = vec![
            scenario("region-failover", "region-failover", &["checkout"]),
            scenario("replica-lag", "replica-lag", &["database:postgresql:orders"]),
            scenario("cert-expiry", "certificate-expiry", &["frontend"]),
        ];
        let plan = made(&settings, &Ledger::default());
        for key in [
            "latency:shop/checkout",
            "errors:shop/checkout",
            "dependency:database:postgresql:orders",
            "pipeline:messaging:kafka:orders",
            "scenario:region-failover",
            "scenario:replica-lag",
            "scenario:cert-expiry",
        ] {
            insta::assert_snapshot!(key.replace([':', '/'], "-"), dump(page(&plan, key)));
        }
    }

    #[test]
    fn topology_and_objectives_decide_which_runbooks_there_are() {
        assert_eq!(
            keys(&made(&Settings::default(), &Ledger::default())),
            [
                "RB-001 latency:shop/checkout",
                "RB-002 latency:shop/payment",
                "RB-003 errors:shop/checkout",
                "RB-004 dependency:database:postgresql:orders",
                "RB-005 dependency:external:api.bank.example",
                "RB-006 dependency:shop/checkout",
                "RB-007 dependency:shop/payment",
                "RB-008 pipeline:messaging:kafka:orders",
            ]
        );
        let rare = Settings {
            runbooks: RunbooksConfig {
                critical_share: 0.9,
                errors: false,
                pipelines: false,
                ..RunbooksConfig::default()
            },
            ..Settings::default()
        };
        let plan = made(&rare, &Ledger::default());
        // Half of the frontend's requests call the checkout; all of the checkout's call the database and the payment.
        assert!(
            !keys(&plan)
                .iter()
                .any(|k| k.ends_with("dependency:shop/checkout") || k.contains("errors:") || k.contains("pipeline:"))
        );
        assert!(keys(&plan).iter().any(|k| k.ends_with("dependency:shop/payment")));
    }

    #[test]
    fn a_service_with_an_errors_page_has_a_dependency_page_only_when_half_of_all_requests_touch_it() {
        let touched = |requests: u64| {
            let mut shop = shop();
            shop.coverage.entry_traces = Weight::whole(100);
            for node in &mut shop.nodes {
                node.entry_traces = Weight::whole(requests);
            }
            plan(&shop, &objectives(), &[], &Settings::default(), &Ledger::default()).unwrap()
        };
        let has = |plan: &Plan, key: &str| plan.runbooks.iter().any(|r| r.key == key);
        let (rare, central) = (touched(49), touched(50));
        assert!(!has(&rare, "dependency:shop/checkout") && has(&central, "dependency:shop/checkout"));
        // Nothing else speaks of these: the payment service has no error-rate objective here.
        assert!(has(&rare, "dependency:shop/payment") && has(&rare, "dependency:database:postgresql:orders"));
        let impact = |plan: &Plan| words(&page(plan, "errors:shop/checkout").impact[0]);
        assert_eq!(impact(&rare), "Requests that enter at `frontend` and need it: 49 % of all that enters.");
        assert!(impact(&touched(0)).ends_with("may need it, though none whose trace is whole did in this window."));
        // Without the count there is only a bound.
        let bound = made(&Settings::default(), &Ledger::default());
        assert!(impact(&bound).contains("up to 50 %"), "{}", impact(&bound));
    }

    /// `user → api → cache`, the cache asked in a share of the requests.
    fn api_and_cache(asked: u64) -> Snapshot {
        let api = node("api", NodeKind::Service, stats(1_000, 0, 50));
        let entry = node("entry:user", NodeKind::Entry, Default::default());
        let mut nodes = vec![entry, api];
        let mut edges = vec![edge("entry:user", "api", EdgeKind::Entry, 1_000, 0, 0, 50)];
        if asked > 0 {
            nodes.push(node("database:redis:cache", NodeKind::Database, stats(asked, 0, 1)));
            edges.push(edge("api", "database:redis:cache", EdgeKind::Database, asked, 0, 1, 0));
        }
        snapshot(nodes, edges, vec![])
    }

    #[test]
    fn a_page_outlives_a_falling_share_but_not_its_node_and_comes_back_under_its_number() {
        let run = |asked, ledger: &Ledger| plan(&api_and_cache(asked), &[], &[], &Settings::default(), ledger).unwrap();
        let state = |plan: &Plan| {
            plan.runbooks.iter().map(|r| (r.id.clone(), r.state == RunbookState::Retired)).collect::<Vec<_>>()
        };
        let (active, retired) = (vec![("RB-001".to_owned(), false)], vec![("RB-001".to_owned(), true)]);
        assert!(run(40, &Ledger::default()).runbooks.is_empty(), "4 % are not critical");
        let first = run(60, &Ledger::default());
        assert_eq!(state(&first), active);
        let fallen = run(40, &first.ledger);
        assert_eq!(state(&fallen), active);
        let gone = run(0, &fallen.ledger);
        assert_eq!(state(&gone), retired);
        // Retired, it takes the full share again to bring it back.
        assert_eq!(state(&run(40, &gone.ledger)), retired);
        assert_eq!(state(&run(60, &gone.ledger)), active);
        let off = RunbooksConfig { dependencies: false, ..RunbooksConfig::default() };
        let off = Settings { runbooks: off, ..Settings::default() };
        assert_eq!(state(&plan(&api_and_cache(60), &[], &[], &off, &first.ledger).unwrap()), retired);
    }

    #[test]
    fn the_pages_of_a_topic_without_consumers_and_of_a_silent_service_stay() {
        let first = made(&Settings::default(), &Ledger::default());
        let mut dead = shop();
        dead.edges.retain(|e| e.source.0 != "messaging:kafka:orders");
        dead.nodes.iter_mut().for_each(|n| n.instrumented &= n.id.0 != "shop/checkout");
        let latency = |service: &str| {
            let mut status = objectives().remove(3);
            status.objective.service = service.into();
            plan(&dead, &[status], &[], &Settings::default(), &first.ledger).unwrap()
        };
        let state = |plan: &Plan, key: &str| page(plan, key).state == RunbookState::Retired;
        let wild = latency("*");
        assert!(!state(&wild, "pipeline:messaging:kafka:orders") && !state(&wild, "latency:shop/checkout"));
        assert!(state(&wild, "errors:shop/checkout"), "no error-rate objective is left");
        assert!(state(&latency("payment"), "latency:shop/checkout"), "no latency objective is left for it");
    }

    #[test]
    fn a_short_pin_means_the_one_service_of_that_name_before_and_after_it_is_seen() {
        let pinned = Pin {
            id: Some("RB-050".into()),
            slug: Some("slow-front".into()),
            trigger: Some("`p99 > 1s`".into()),
            ..pin("latency:frontend")
        };
        let settings = Settings {
            runbooks: RunbooksConfig { pinned: vec![pinned], ..RunbooksConfig::default() },
            ..Settings::default()
        };
        let unseen = plan(&snapshot(vec![], vec![], vec![]), &[], &[], &settings, &Ledger::default()).unwrap();
        assert_eq!(keys(&unseen), ["RB-050 latency:frontend"]);
        assert_eq!(unseen.diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), ["pin-unmatched"]);
        assert_eq!(unseen.runbooks[0].state, RunbookState::Unknown);
        assert!(words(&unseen.runbooks[0].summary).contains("was not seen in this window"));

        let seen = made(&settings, &unseen.ledger);
        let page = page(&seen, "latency:shop/frontend");
        assert_eq!((page.file_name().as_str(), words(&page.trigger).as_str()), ("RB-050-slow-front.md", "`p99 > 1s`"));
        assert!(seen.diagnostics.is_empty());

        let gone = plan(&snapshot(vec![], vec![], vec![]), &[], &[], &settings, &seen.ledger).unwrap();
        let active: Vec<String> =
            gone.runbooks.iter().filter(|r| r.state != RunbookState::Retired).map(|r| r.key.clone()).collect();
        assert_eq!(active, ["latency:shop/frontend"]);
    }

    #[test]
    fn configuration_that_matches_nothing_is_reported_and_what_is_wrong_is_refused() {
        let two = snapshot(
            vec![node("a/api", NodeKind::Service, stats(10, 0, 1)), node("b/api", NodeKind::Service, stats(10, 0, 1))],
            vec![],
            vec![],
        );
        let mut settings = Settings {
            runbooks: RunbooksConfig { pinned: vec![pin("latency:api")], ..RunbooksConfig::default() },
            scenarios: vec![ScenarioConfig {
                objective: Some("no-such".into()),
                ..scenario("x", "custom", &["nobody"])
            }],
            services: BTreeMap::from([("ghost".into(), ServiceConfig::default())]),
            packs: vec!["kubernetes".into(), "vax".into()],
            ..Settings::default()
        };
        let plan_of = |s: &Settings| plan(&two, &[], &[], s, &Ledger::default());
        let codes: Vec<_> = plan_of(&settings).unwrap().diagnostics.iter().map(|d| d.code).collect();
        let expected = [
            "pin-ambiguous",
            "scenario-node-unmatched",
            "scenario-objective-unmatched",
            "pack-unknown",
            "service-unmatched",
        ];
        assert_eq!(codes, expected);

        settings.runbooks.pinned = vec![pin("api"), pin("scenario:x")];
        settings.scenarios = vec![scenario("x", "flood", &[])];
        let codes: Vec<_> = plan_of(&settings).unwrap_err().iter().map(|d| d.code).collect();
        assert_eq!(codes, ["pin-key-malformed", "pin-key-malformed", "scenario-kind-unknown"]);
    }

    #[test]
    fn a_retired_runbook_points_to_a_page_about_the_same_node_and_comes_back_under_its_number() {
        let first = made(&Settings::default(), &Ledger::default());
        let healthy: Vec<ObjectiveStatus> = objectives().into_iter().filter(|s| s.id != "checkout-errors").collect();
        let second = plan(&shop(), &healthy, &[], &Settings::default(), &first.ledger).unwrap();
        let tombstone = page(&second, "errors:shop/checkout");
        assert_eq!((tombstone.id.as_str(), tombstone.state), ("RB-003", RunbookState::Retired));
        assert_eq!(tombstone.successor.as_deref(), Some("RB-001"));
        let third = made(&Settings::default(), &second.ledger);
        assert_eq!(keys(&third), keys(&first));
    }

    #[test]
    fn the_six_runbooks_of_aisoc_have_their_ids_slugs_and_triggers() {
        let fixed = |id: &str, name: &str, kind: &str, trigger: &str| ScenarioConfig {
            id: Some(id.into()),
            trigger: trigger.into(),
            ..scenario(name, kind, &["api"])
        };
        let off = RunbooksConfig {
            latency: false,
            errors: false,
            dependencies: false,
            pipelines: false,
            ..RunbooksConfig::default()
        };
        let api = Pin {
            id: Some("RB-001".into()),
            slug: Some("api-high-latency".into()),
            trigger: Some("`http_request_duration_p99 > 500ms`".into()),
            ..pin("latency:api")
        };
        let settings = Settings {
            runbooks: RunbooksConfig { pinned: vec![api], ..off },
            scenarios: vec![
                fixed("RB-006", "cert-expiry", "certificate-expiry", "TLS cert expires in < 14 days"),
                fixed("RB-002", "postgres-replica-lag", "replica-lag", "Replication lag > 30 s"),
                fixed("RB-003", "region-failover", "region-failover", "Region health check failure"),
                fixed("RB-004", "ingest-pipeline-stall", "pipeline-stall", "Ingest lag > 30 s"),
                fixed("RB-005", "agent-runner-oom", "oom", "`OOMKilled` in agents pods"),
            ],
            ..Settings::default()
        };
        let plan = made(&settings, &Ledger::default());
        let rows: Vec<String> =
            plan.runbooks.iter().map(|r| format!("{} {}", r.file_name(), words(&r.trigger))).collect();
        assert_eq!(
            rows,
            [
                "RB-001-api-high-latency.md `http_request_duration_p99 > 500ms`",
                "RB-002-postgres-replica-lag.md Replication lag > 30 s",
                "RB-003-region-failover.md Region health check failure",
                "RB-004-ingest-pipeline-stall.md Ingest lag > 30 s",
                "RB-005-agent-runner-oom.md `OOMKilled` in agents pods",
                "RB-006-cert-expiry.md TLS cert expires in < 14 days",
            ]
        );
        assert!(plan.runbooks.iter().all(|r| !r.diagnosis.is_empty() && !r.verification.is_empty()));
    }

    const HOSTILE: &[&str] = &[
        "a\" } || { true } | select(\"",
        "x'; rm -rf / #",
        "$(reboot)`id`",
        "-o yaml",
        "line\nbreak ```\n# heading",
        "<script>alert(1)</script>",
        "\u{202e}evil\u{0}",
    ];

    #[test]
    fn a_hostile_name_is_never_plain_text_and_never_leaves_its_quotes_in_a_command() {
        for name in HOSTILE {
            let mut service = node(name, NodeKind::Service, stats(5_000, 50, 20));
            service.namespace.clear();
            service.name = (*name).to_owned();
            for key in ["k8s.namespace.name", "k8s.deployment.name", "service.version"] {
                service.attributes.insert(key.into(), BTreeMap::from([((*name).to_owned(), 1)]));
            }
            let caller = node("caller", NodeKind::Service, stats(5_000, 50, 30));
            let external = node(&format!("external:{name}"), NodeKind::External, stats(5_000, 10, 5));
            let edges = vec![
                edge("caller", name, EdgeKind::Call, 5_000, 50, 25, 20),
                edge(name, &external.id.0, EdgeKind::External, 5_000, 10, 5, 0),
            ];
            let snapshot = snapshot(vec![service, caller, external], edges, vec![]);
            let settings = Settings {
                runbooks: RunbooksConfig {
                    pinned: vec![pin(&format!("latency:{name}")), pin(&format!("errors:{name}"))],
                    ..RunbooksConfig::default()
                },
                ..Settings::default()
            };
            let plan = plan(&snapshot, &[], &[], &settings, &Ledger::default()).unwrap();
            assert!(plan.runbooks.len() >= 4);
            for page in &plan.runbooks {
                let plain = |text: &Text| {
                    text.0.iter().all(|p| !matches!(p, super::super::Piece::Words(w) if w.contains(name)))
                };
                let steps: Vec<&Step> =
                    [&page.diagnosis, &page.remediation, &page.verification].into_iter().flatten().collect();
                for step in &steps {
                    assert!(
                        [&step.title, &step.detail, &step.expect, &step.otherwise].into_iter().all(plain),
                        "{name:?}"
                    );
                    assert!(!step.command.contains(|c: char| c.is_control() && c != '\n'), "{:?}", step.command);
                    match step.language.as_str() {
                        // Every name sits in a double-quoted literal: outside of those, nothing of it is left.
                        "traceql" | "promql" => {
                            assert!(!outside_literals(&step.command).contains(name), "{}", step.command)
                        }
                        _ if step.command.contains(name) => {
                            assert!(step.command.contains(&super::super::quote::shell(name)), "{}", step.command)
                        }
                        _ => {}
                    }
                }
                assert!(plain(&page.title) && plain(&page.summary) && plain(&page.trigger), "{name:?}");
                assert!(
                    page.trigger_detail.iter().chain(&page.impact).chain(&page.evidence.unknowns).all(plain),
                    "{name:?}"
                );
                assert!(page.file_name().chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.'));
            }
        }
    }

    #[test]
    fn the_same_facts_give_the_same_pages_and_an_empty_snapshot_gives_none() {
        let settings = settings();
        let first = made(&settings, &Ledger::default());
        assert_eq!(made(&settings, &Ledger::default()), first);
        assert_eq!(made(&settings, &first.ledger).ledger, first.ledger);
        let empty =
            plan(&snapshot(vec![], vec![], vec![]), &[], &[], &Settings::default(), &Ledger::default()).unwrap();
        assert!(empty.runbooks.is_empty());
    }

    #[test]
    fn no_contact_is_invented_and_the_owner_is_called_with_those_called_at_once() {
        let plan = made(&Settings::default(), &Ledger::default());
        assert!(plan.runbooks.iter().all(|r| r.escalation.is_empty()));
        let with = made(&settings(), &Ledger::default());
        let path: Vec<String> =
            page(&with, "errors:shop/checkout").escalation.iter().map(|e| format!("{} {}", e.after, e.who)).collect();
        assert_eq!(path, [" On-call", " Checkout team", "15m Lead"]);
    }

    #[test]
    fn an_objective_without_data_leaves_the_state_unknown() {
        let mut statuses = objectives();
        for status in &mut statuses {
            status.state = ObjectiveState::NoData;
            status.value = None;
            status.interval = None;
        }
        let plan = plan(&shop(), &statuses, &[], &Settings::default(), &Ledger::default()).unwrap();
        assert_eq!(page(&plan, "latency:shop/checkout").state, RunbookState::Unknown);
    }

    #[test]
    fn a_thousand_services_cost_as_much_as_their_neighbourhoods() {
        let name = |i: usize| format!("s{i:04}");
        let nodes = (0..1_000).map(|i| node(&name(i), NodeKind::Service, stats(50, 1, 5))).collect();
        let edges = (0..4_000)
            .map(|i| edge(&name(i * 7 % 1_000), &name((i * 13 + 1) % 1_000), EdgeKind::Call, 50, 1, 5, 4))
            .collect();
        let plan = plan(&snapshot(nodes, edges, vec![]), &[], &[], &Settings::default(), &Ledger::default()).unwrap();
        assert!(plan.runbooks.len() > 900);
        assert!(plan.runbooks.iter().all(|r| r.evidence.diagram.nodes.len() <= 30));
    }
}
