//! Rules of the configuration, seen from the snapshot.

use super::cfg::{Alias, Caller, DatabaseBy, DatabaseIdentity, Dimension, Gateway, Preset, TopologyConfig, Treat};
use super::codec::encode;
use super::fixture::{S, batch, edges, s, snapshot, snapshot_with};
use super::{Builder, Edge, Intake, Shard, Snapshot, merge};
use crate::spans::SpanKind::{Client, Consumer, Internal, Producer, Server};
use crate::spans::{PeerKind, SpanKind};
use proptest::prelude::*;

fn aliases(list: &[(&str, &str)]) -> TopologyConfig {
    let aliases = list.iter().map(|(p, n)| Alias { pattern: (*p).into(), name: (*n).into() }).collect();
    TopologyConfig { aliases, ..TopologyConfig::default() }
}

fn gateways(list: &[(&str, Treat)]) -> TopologyConfig {
    let gateways = list.iter().map(|(p, treat)| Gateway { pattern: (*p).into(), treat: *treat }).collect();
    TopologyConfig { gateways, ..TopologyConfig::default() }
}

fn merged() -> TopologyConfig {
    gateways(&[("*gw*", Treat::Merged)])
}

fn databases(list: &[(&str, DatabaseBy)]) -> TopologyConfig {
    let rule = |(system, by): &(&str, DatabaseBy)| DatabaseIdentity { system: (*system).into(), by: *by };
    TopologyConfig { database_identity: list.iter().map(rule).collect(), ..TopologyConfig::default() }
}

fn per_environment() -> TopologyConfig {
    TopologyConfig { identity_dimensions: vec![Dimension::Environment], ..TopologyConfig::default() }
}

fn edge<'a>(snapshot: &'a Snapshot, source: &str, target: &str) -> &'a Edge {
    snapshot.edges.iter().find(|e| e.source.0 == source && e.target.0 == target).unwrap()
}

fn external(span: S, host: &str) -> S {
    span.peer(PeerKind::External, "", "", host)
}

// Databases.

#[test]
fn databases_are_told_apart_by_what_the_policy_of_their_system_says() {
    let call = |id, system, name, address| {
        s(id, 0, "api", Client).trace(id.into()).peer(PeerKind::Database, system, name, address)
    };
    let spans = [
        call(1, "postgresql", "orders", "db-1"),
        call(2, "postgresql", "orders", "db-2"),
        call(3, "postgresql", "", "db-2"),
        call(4, "redis", "0", "cache-1"),
        call(5, "redis", "0", ""),
        call(6, "mongodb", "shop", "m-1"),
    ];
    let targets = |cfg| {
        let got = snapshot_with(cfg, &spans);
        got.edges.iter().map(|e| format!("{} {}", e.target, e.n)).collect::<Vec<_>>()
    };
    assert_eq!(
        targets(TopologyConfig::default()),
        ["database:mongodb:shop 1", "database:postgresql:db-2 1", "database:postgresql:orders 2", "database:redis:0 2"]
    );
    use DatabaseBy::{Address, Both, Namespace, System};
    assert_eq!(
        targets(databases(&[("postgresql", Both), ("redis", Address), ("mongodb", Namespace), ("*", System)])),
        [
            "database:mongodb:shop 1",
            "database:postgresql:db-1/orders 1",
            "database:postgresql:db-2 1",
            "database:postgresql:db-2/orders 1",
            "database:redis:0 1",
            "database:redis:cache-1 1"
        ]
    );
    assert_eq!(
        targets(databases(&[("*", System)])),
        ["database:mongodb 1", "database:postgresql 3", "database:redis 2"]
    );
}

#[test]
fn a_database_that_answers_with_spans_of_its_own_is_one_service_and_an_alias_takes_in_calls_it_did_not_answer() {
    let spans = [
        s(1, 0, "api", Client).db("postgresql", "orders"),
        s(2, 1, "pg", Server).db("postgresql", "orders"),
        s(3, 0, "api", Client).trace(2).db("postgresql", "orders"),
    ];
    assert_eq!(edges(&snapshot(&spans[..2])), ["api -> pg call paired 1"]);
    let named = snapshot_with(aliases(&[("database:postgresql:orders", "pg")]), &spans);
    assert_eq!(edges(&named), ["api -> pg call paired 2"]);
    assert_eq!(edge(&named, "api", "pg").known_by.len(), 2);
    assert_eq!(named.nodes.len(), 2, "no database beside the service");
}

// Aliases.

#[test]
fn services_of_one_alias_are_one_service_with_all_their_operations_edges_and_statistics() {
    let spans = [
        s(1, 0, "shop/web", Client).at(0, 100),
        s(2, 1, "shop/cart-v1", Server).named("Get").at(10, 50),
        s(3, 2, "shop/cart-v1", Client).at(15, 45),
        s(4, 3, "shop/cart-v2", Server).named("Get").at(20, 40).failed("timeout"),
        s(5, 4, "shop/cart-v2", Internal),
        s(6, 0, "eu/cart-v1", Server).trace(2).named("Get"),
    ];
    let got = snapshot_with(aliases(&[("shop/cart-*", "cart")]), &spans);
    let expected = [
        "entry:user -> eu/cart-v1 entry inferred 1",
        "shop/cart -> shop/cart call paired 1",
        "shop/web -> shop/cart call paired 1",
    ];
    assert_eq!(edges(&got), expected);
    let cart = got.nodes.iter().find(|n| n.id.0 == "shop/cart").unwrap();
    assert_eq!((cart.namespace.as_str(), cart.name.as_str(), cart.handled.n), ("shop", "cart", 2));
    assert_eq!(cart.attributes["service.name"].keys().collect::<Vec<_>>(), ["cart-v1", "cart-v2"]);
    let operation = got.operations.iter().find(|o| o.service.0 == "shop/cart" && o.name == "Get").unwrap();
    assert_eq!((operation.stats.n, operation.stats.durations.max()), (2, Some(40)));
    // The cap counts what is left after merging, by all its spans.
    let one = TopologyConfig { max_services: 1, ..aliases(&[("shop/cart-*", "cart")]) };
    let kept = snapshot_with(one, &spans);
    assert_eq!(
        kept.operations.iter().map(|o| o.service.0.as_str()).collect::<std::collections::BTreeSet<_>>(),
        ["shop/cart"].into()
    );
}

#[test]
fn a_peers_address_becomes_the_service_behind_it_or_a_readable_name() {
    let call = |id, host| external(s(id, 0, "shop/web", Client).trace(id.into()), host);
    let spans = [
        call(1, "10.0.0.7"),
        call(2, "10.0.0.8"),
        call(3, "checkout.shop.svc.cluster.local"),
        call(4, "checkout.eu.svc.cluster.local"),
        s(5, 0, "shop/payments", Server).trace(5),
        s(6, 0, "shop/checkout", Server).trace(6),
        s(7, 0, "shop/web", Client).trace(7).peer(PeerKind::Service, "", "payments-legacy", ""),
    ];
    let rules = [
        ("external:10.0.0.7", "payments"),
        ("external:10.*", "external:the office"),
        ("external:*.*.svc.cluster.local", "{2}/{1}"),
        ("payments-*", "payments"),
    ];
    let got = snapshot_with(aliases(&rules), &spans);
    let expected = [
        "entry:user -> shop/checkout entry inferred 1",
        "entry:user -> shop/payments entry inferred 1",
        "shop/web -> eu/checkout call inferred 1",
        "shop/web -> external:the office external inferred 1",
        "shop/web -> shop/checkout call inferred 1",
        "shop/web -> shop/payments call inferred 2",
    ];
    assert_eq!(edges(&got), expected);
    // Nothing is guessed from the looks of an address: without a rule it stays one.
    assert!(edges(&snapshot(&spans)).iter().any(|e| e.contains("external:checkout.shop.svc.cluster.local")));
}

#[test]
fn a_name_that_an_alias_replaced_still_leads_to_the_service() {
    let spans =
        [s(1, 0, "web", Client).peer(PeerKind::Service, "", "cart-v1", ""), s(2, 0, "shop/cart-v1", Server).trace(2)];
    let got = snapshot_with(aliases(&[("shop/cart-*", "basket")]), &spans);
    assert_eq!(edges(&got)[1], "web -> shop/basket call inferred 1");
}

#[test]
fn topics_of_one_alias_are_one_topic() {
    let spans =
        [s(1, 0, "a", Producer).topic("orders-eu"), s(2, 1, "b", Consumer), s(3, 0, "a", Producer).topic("orders-us")];
    let got = snapshot_with(aliases(&[("messaging:kafka:orders-*", "messaging:kafka:orders")]), &spans);
    let expected = ["a -> messaging:kafka:orders messaging paired 2", "messaging:kafka:orders -> b messaging paired 1"];
    assert_eq!(edges(&got), expected);
}

// Gateways.

/// web → gateway → api, the gateway with a SERVER and a CLIENT span.
fn through(gateway: &'static str) -> Vec<S> {
    vec![
        s(1, 0, "web", Server).at(0, 100),
        s(2, 1, "web", Client).at(10, 90),
        s(3, 2, gateway, Server).at(20, 80),
        s(4, 3, gateway, Client).at(30, 70),
        s(5, 4, "api", Server).at(40, 60).failed("timeout"),
    ]
}

#[test]
fn a_merged_gateway_lets_the_caller_call_what_is_behind_it() {
    let got = snapshot_with(merged(), &through("gw"));
    assert_eq!(edges(&got), ["entry:user -> web entry inferred 1", "web -> api call paired 1"]);
    let call = edge(&got, "web", "api");
    assert_eq!((call.client.mean(), call.server.mean(), call.gap.mean()), (Some(80.0), Some(20.0), Some(60.0)));
    assert_eq!(
        (call.operations[0].source.as_str(), call.operations[0].errors),
        ("web client", crate::spans::Weight::ONE)
    );
    assert_eq!(
        (got.coverage.spans, got.coverage.transparent, got.coverage.orphans, got.coverage.unpaired),
        (3, 2, 0, 0)
    );
    assert!(got.nodes.iter().all(|n| n.id.0 != "gw") && got.operations.iter().all(|o| o.service.0 != "gw"));
    // Shown, by default or by a rule that comes first.
    let shown = gateways(&[("edge-gw", Treat::Shown), ("*gw*", Treat::Merged)]);
    for cfg in [TopologyConfig::default(), shown] {
        let got = snapshot_with(cfg, &through("edge-gw"));
        assert_eq!(edges(&got)[1..], ["entry:user -> web entry inferred 1", "web -> edge-gw call paired 1"]);
        assert_eq!(got.coverage.transparent, 0);
    }
}

#[test]
fn a_merged_gateway_at_the_root_makes_what_is_behind_it_the_entry() {
    let spans =
        [s(1, 0, "gw", Server), s(2, 1, "gw", Client), s(3, 2, "api", Server).weight(5), s(4, 1, "auth", Server)];
    let got = snapshot_with(merged(), &spans);
    assert_eq!(edges(&got), ["entry:user -> api entry inferred 1", "entry:user -> auth entry inferred 1"]);
    assert_eq!((got.coverage.rootless_traces, got.coverage.orphans), (0, 0));
    assert!(got.operations.iter().all(|o| o.entry));
    let lost = [s(2, 1, "gw", Client), s(3, 2, "api", Server)];
    let got = snapshot_with(merged(), &lost);
    assert_eq!((edges(&got).len(), got.coverage.orphans), (0, 1), "what hangs below lost spans stays an orphan");
}

#[test]
fn no_call_through_a_merged_gateway_is_lost_or_counted_twice() {
    // Fan-out and retries: each request that arrives is a call, as with any CLIENT span with several children.
    let mut spans = through("gw");
    spans.extend([s(6, 3, "gw", Client), s(7, 6, "api", Server), s(8, 3, "gw", Client), s(9, 8, "auth", Server)]);
    assert_eq!(edges(&snapshot_with(merged(), &spans))[1..], ["web -> api call paired 2", "web -> auth call paired 1"]);
    // Nobody instrumented behind it: what the gateway's span names, once; not also the gateway's own address.
    let caller = || external(s(2, 1, "web", Client), "gw.internal");
    let behind = [s(1, 0, "web", Server), caller(), s(3, 2, "gw", Server), external(s(4, 3, "gw", Client), "legacy")];
    let got = snapshot_with(merged(), &behind);
    assert_eq!(edges(&got)[1..], ["web -> external:legacy external inferred 1"]);
    assert_eq!(got.coverage.unpaired, 0);
    // The gateway answers by itself: its caller's attributes say where the call went.
    let cached = [s(1, 0, "web", Server), caller(), s(3, 2, "gw", Server)];
    assert_eq!(edges(&snapshot_with(merged(), &cached))[1..], ["web -> external:gw.internal external inferred 1"]);
    let unnamed = [s(1, 0, "web", Server), s(2, 1, "web", Client), s(3, 2, "gw", Server), s(4, 3, "gw", Client)];
    assert_eq!(snapshot_with(merged(), &unnamed).coverage.unpaired, 1);
    // Neither before it nor behind it anybody instrumented.
    let alone =
        [s(1, 0, "gw", Server), external(s(2, 1, "gw", Client), "legacy"), external(s(3, 2, "gw", Client), "legacy")];
    let got = snapshot_with(
        TopologyConfig { ignore_services: vec![], ..merged() },
        &[&alone[..], &[s(9, 0, "web", Server).trace(2)]].concat(),
    );
    assert_eq!(
        edges(&got),
        ["entry:user -> external:legacy external inferred 1", "entry:user -> web entry inferred 1"]
    );
    // A caller without a CLIENT span.
    let bare = [s(1, 0, "web", Server), s(2, 1, "gw", Client), s(3, 2, "api", Server)];
    assert_eq!(edges(&snapshot_with(merged(), &bare))[1..], ["web -> api call parent 1"]);
    // A message sent through a proxy.
    let sent = [s(1, 0, "web", Client), s(2, 1, "gw", Producer).topic("t"), s(3, 2, "mail", Consumer).topic("t")];
    let expected = ["messaging:kafka:t -> mail messaging paired 1", "web -> messaging:kafka:t messaging paired 1"];
    assert_eq!(edges(&snapshot_with(merged(), &sent)), expected);
}

#[test]
fn gateways_behind_gateways_in_long_chains_and_cycles_take_linear_time() {
    let long = 100_000u64;
    let mut spans = vec![s(1, 0, "web", Client)];
    spans.extend((2..long).map(|id| s(id, id - 1, "gw", if id % 2 == 0 { Server } else { Client })));
    spans.extend((0..long).map(|n| s(long + n, long - 1, "api", Server)));
    let got = snapshot_with(merged(), &spans);
    assert_eq!(edges(&got), [format!("web -> api call paired {long}")]);
    let mut cycle: Vec<S> = (1..=1000).map(|id| s(id, id % 1000 + 1, "gw", Client)).collect();
    cycle.push(s(2000, 500, "api", Server));
    cycle.push(s(2001, 2002, "api", Server));
    cycle.push(s(2002, 2001, "gw", Client));
    let got = snapshot_with(merged(), &cycle);
    assert_eq!((edges(&got).len(), got.coverage.orphans, got.coverage.transparent), (0, 2, 1001));
}

// Ignore rules.

#[test]
fn ignored_probes_vanish_with_the_spans_that_asked_for_them() {
    let cfg = TopologyConfig { ignore: vec![Preset::HealthChecks], ..TopologyConfig::default() };
    let spans = [
        s(1, 0, "watch", Internal),
        external(s(2, 1, "watch", Client).named("GET"), "api"),
        external(s(3, 2, "watch", Client).named("GET"), "api"),
        s(4, 3, "api", Server).named("GET /healthz"),
        s(5, 4, "api", Client).db("mysql", "ts"),
        s(6, 0, "api", Server).trace(2).named("grpc.health.v1.Health/Check"),
        s(7, 1, "watch", Client).named("GET"),
        s(8, 7, "api", Server).named("GET /cart"),
    ];
    let got = snapshot_with(cfg, &spans);
    let expected = ["api -> database:mysql:ts database inferred 1", "watch -> api call paired 1"];
    assert_eq!(edges(&got), expected);
    assert_eq!((got.coverage.ignored, got.coverage.unpaired, got.coverage.orphans), (4, 0, 0));
    assert_eq!(got.operations.iter().find(|o| o.service.0 == "watch" && o.kind == Client).unwrap().stats.n, 1);
}

#[test]
fn a_client_that_also_reached_somebody_else_stays() {
    let cfg = TopologyConfig { ignore_services: vec!["mirror".into()], ..TopologyConfig::default() };
    let spans = [s(1, 0, "web", Client), s(2, 1, "mirror", Server), s(3, 1, "api", Server)];
    assert_eq!(edges(&snapshot_with(cfg.clone(), &spans)), ["web -> api call paired 1"]);
    let mut sent = vec![s(1, 0, "web", Producer).topic("t"), s(2, 1, "mirror", Consumer)];
    let got = snapshot_with(cfg, &sent);
    assert_eq!((got.coverage.ignored, got.coverage.spans), (1, 1), "what is published is published, whoever reads it");
    sent.push(external(s(9, 0, "web", Client).trace(3), "169.254.169.254"));
    let metadata = TopologyConfig { ignore_services: vec!["external:169.254.*".into()], ..TopologyConfig::default() };
    let got = snapshot_with(metadata, &sent[2..]);
    assert_eq!((edges(&got).len(), got.coverage.unpaired), (0, 0));
}

// Callers.

#[test]
fn requests_from_outside_are_named_by_what_they_call() {
    let rule = |service: Option<&str>, operation: Option<&str>, name: &str| Caller {
        service: service.map(Into::into),
        operation: operation.map(Into::into),
        name: name.into(),
    };
    let callers = vec![
        rule(None, Some("POST /hooks/stripe*"), "stripe"),
        rule(Some("mobile-*"), None, "app"),
        rule(Some("web"), Some("GET *"), "browser"),
    ];
    let cfg = TopologyConfig { callers, ..TopologyConfig::default() };
    let spans = [
        s(1, 0, "web", Server).trace(1).named("POST /hooks/stripe"),
        s(1, 0, "web", Server).trace(2).named("GET /"),
        s(1, 0, "web", Server).trace(3).named("PUT /"),
        s(1, 0, "mobile-bff", Server).trace(4).named("GET /"),
        s(1, 0, "mobile-bff", Server).trace(5).peer(PeerKind::Service, "", "kiosk", ""),
    ];
    let got = snapshot_with(cfg, &spans);
    let expected = [
        "entry:app -> mobile-bff entry inferred 1",
        "entry:browser -> web entry inferred 1",
        "entry:stripe -> web entry inferred 1",
        "entry:user -> web entry inferred 1",
        "kiosk -> mobile-bff call inferred 1",
    ];
    assert_eq!(edges(&got), expected);
}

// Scopes.

#[test]
fn with_the_environment_in_the_identity_every_edge_stays_in_its_own() {
    let mut spans = Vec::new();
    for (trace, environment) in [(1, "prod"), (2, "staging"), (3, "")] {
        let mut add = |span: S| spans.push(S { environment, ..span.trace(trace) });
        add(s(1, 0, "shop/web", Server));
        add(s(2, 1, "shop/web", Client));
        add(s(3, 2, "shop/cart", Server));
        add(s(4, 3, "shop/cart", Client).db("redis", "0"));
        add(external(s(5, 3, "shop/cart", Client), "api.example.com"));
        add(s(6, 3, "shop/cart", Client).peer(PeerKind::Service, "", "web", ""));
        add(s(7, 3, "shop/cart", Client).peer(PeerKind::Service, "", "mailer", ""));
        add(s(8, 3, "shop/cart", Producer).topic("orders"));
        add(s(9, 8, "billing", Consumer));
        add(s(10, 3, "shop/cart", Producer));
        add(s(11, 10, "billing", Consumer));
    }
    let got = snapshot_with(per_environment(), &spans);
    let scope = |id: &str| id.split_once('@').map_or("", |(_, scope)| scope).to_owned();
    for edge in got.edges.iter().filter(|e| e.source.0 != "entry:user") {
        assert_eq!(scope(&edge.source.0), scope(&edge.target.0), "{} {}", edge.source, edge.target);
    }
    let of = |environment: &str| {
        let mine = edges(&got).into_iter().filter(|e| match environment {
            "" => !e.contains('@'),
            _ => e.contains(&format!("@{environment}")),
        });
        mine.map(|e| e.replace(&format!("@{environment}"), "")).collect::<Vec<_>>()
    };
    let expected = [
        "entry:user -> shop/web entry inferred 1",
        "messaging:kafka:orders -> billing messaging paired 1",
        "messaging:unknown:(unnamed) -> billing messaging paired 1",
        "shop/cart -> database:redis:0 database inferred 1",
        "shop/cart -> external:api.example.com external inferred 1",
        "shop/cart -> mailer call inferred 1",
        "shop/cart -> messaging:kafka:orders messaging paired 1",
        "shop/cart -> messaging:unknown:(unnamed) messaging paired 1",
        "shop/cart -> shop/web call inferred 1",
        "shop/web -> shop/cart call paired 1",
    ];
    for environment in ["prod", "staging", ""] {
        let mut mine = of(environment);
        mine.sort();
        assert_eq!(mine, expected, "{environment}");
    }
    let cart = got.nodes.iter().find(|n| n.id.0 == "shop/cart@prod").unwrap();
    assert_eq!((cart.namespace.as_str(), cart.name.as_str(), cart.handled.n), ("shop", "cart", 1));
    // By default all three are one system.
    assert!(edges(&snapshot(&spans)).contains(&"shop/web -> shop/cart call paired 3".to_owned()));
}

#[test]
fn a_call_from_one_environment_into_another_is_shown_as_one() {
    let spans = [
        S { environment: "staging", ..s(1, 0, "web", Client) },
        S { environment: "prod", ..s(2, 1, "cart@home", Server) },
    ];
    assert_eq!(edges(&snapshot_with(per_environment(), &spans)), ["web@staging -> cart%40home@prod call paired 1"]);
}

// Whatever the spans.

/// Spans of a few traces, ids distinct within each, parents anywhere: roots, orphans, cycles.
fn any_traces() -> impl Strategy<Value = Vec<S>> {
    let services = prop::sample::select(vec!["web", "api", "shop/cart-v1", "shop/cart-v2", "eu/cart-v1"]);
    let kinds = (1..=5i32).prop_map(SpanKind::from_otlp);
    let one = (
        1..4u128,
        0..20u64,
        services,
        kinds,
        0..50u64,
        0..100u64,
        0..6usize,
        prop::sample::select(vec!["", "prod", "dev"]),
    );
    prop::collection::vec(one, 1..40).prop_map(|all| {
        let span = |(id, (trace, parent, service, kind, start, took, peer, environment)): (u64, _)| {
            let span = s(id, parent, service, kind).trace(trace).at(start, start + took);
            let span = match peer {
                0 => span.db("mysql", "ts"),
                1 => span.topic("orders"),
                2 => span.peer(PeerKind::Service, "", "cart-v1", ""),
                3 => external(span, "x.example"),
                4 => span.named("GET /healthz"),
                _ => span,
            };
            S { environment, ..span }
        };
        (1..).zip(all).map(span).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merged_gateways_put_anywhere_between_spans_change_nothing_but_the_count_of_their_spans(
        plain in any_traces(),
        between in prop::collection::vec(0..4usize, 40),
    ) {
        let mut with = Vec::new();
        let mut added = 0;
        for (span, hops) in plain.iter().zip(between) {
            let mut span = span.clone();
            for hop in 0..hops as u64 {
                let id = 1_000 + span.id * 10 + hop;
                let kind = [Server, Client, Internal][hop as usize % 3];
                with.push(S { parent: span.parent, ..s(id, 0, "gw", kind).trace(span.trace) });
                span.parent = id;
                added += 1;
            }
            with.push(span);
        }
        let (want, mut got) = (snapshot_with(merged(), &plain), snapshot_with(merged(), &with));
        prop_assert_eq!(got.coverage.transparent, added);
        got.coverage.transparent = 0;
        got.provenance.clone_from(&want.provenance);
        got.window = want.window;
        prop_assert_eq!(got, want);
    }

    #[test]
    fn with_every_kind_of_rule_any_order_and_any_split_give_the_same_bytes(
        (spans, shuffled) in any_traces().prop_flat_map(|v| (Just(v.clone()), Just(v).prop_shuffle())),
        cut in 0..40usize,
    ) {
        let cfg = TopologyConfig {
            gateways: vec![Gateway { pattern: "api".into(), treat: Treat::Merged }],
            ignore: vec![Preset::HealthChecks],
            max_services: 3,
            ..TopologyConfig { identity_dimensions: vec![Dimension::Environment], ..aliases(&[("shop/cart-*", "cart"), ("external:x*", "eu/{1}")]) }
        };
        let bytes = |parts: &[&[S]]| {
            let builder = Builder::new(cfg.clone());
            parts.iter().for_each(|spans| builder.push(&batch(*spans)).unwrap());
            builder.finish(Intake::default(), parts.len()).map(|snapshot| encode(&snapshot).unwrap()).map_err(|e| e.code)
        };
        let (head, tail) = shuffled.split_at(cut.min(shuffled.len()));
        prop_assert_eq!(bytes(&[&spans]), bytes(&[head, tail]));
    }

    #[test]
    fn with_the_environment_in_the_identity_each_environment_is_as_if_the_others_were_not_there(plain in any_traces()) {
        // Whole traces of one environment each.
        let spans: Vec<S> = plain.iter().map(|s| S { environment: ["", "prod", "dev"][(s.trace % 3) as usize], ..s.clone() }).collect();
        let all = edges(&snapshot_with(per_environment(), &spans));
        let mut apart: Vec<String> = Vec::new();
        for environment in ["", "prod", "dev"] {
            let mine: Vec<S> = spans.iter().filter(|s| s.environment == environment).cloned().collect();
            if !mine.is_empty() {
                apart.extend(edges(&snapshot_with(per_environment(), &mine)));
            }
        }
        let mut all = all;
        all.sort();
        apart.sort();
        prop_assert_eq!(all, apart);
    }
}

// Merging.

#[test]
fn snapshots_made_under_different_rules_are_not_merged_and_shards_of_one_run_are() {
    let day = |cfg: TopologyConfig, hour: u64| {
        let mut snapshot =
            snapshot_with(cfg, &[s(1, 0, "api", Server).trace(hour.into()).at(hour * 3_600_000_000_000, 1)]);
        snapshot.window.start.0 += hour;
        snapshot
    };
    let error = merge(vec![day(merged(), 1), day(TopologyConfig::default(), 2)], &merged()).unwrap_err();
    assert_eq!(error.code, "merge-mixed");
    assert!(error.message.contains("different rules"));

    let cfg = TopologyConfig { identity_dimensions: vec![Dimension::Environment], ..merged() };
    let spans: Vec<S> = (1..40)
        .flat_map(|t| {
            through("gw").into_iter().map(move |s| S { environment: ["prod", "dev"][t % 2], ..s.trace(t as u128) })
        })
        .collect();
    let shards = (1..=3).map(|i| {
        let builder = Builder::sharded(cfg.clone(), Shard::new(i, 3));
        builder.push(&batch(&spans)).unwrap();
        builder.finish(Intake::default(), 1).unwrap()
    });
    let whole = snapshot_with(cfg.clone(), &spans);
    assert_eq!(merge(shards.collect(), &cfg).unwrap(), whole);
    assert_eq!((whole.coverage.transparent, whole.provenance.rules.clone()), (78, cfg.fingerprint()));
}
