use super::super::cfg::TopologyConfig;
use super::super::fixture::{S, SECOND, edges, s, snapshot, snapshot_with};
use super::super::{Edge, NodeKind, Snapshot};
use crate::spans::SpanKind::{Client, Consumer, Internal, Producer, Server};
use crate::spans::{PeerKind, SpanFlags, Weight};

fn edge<'a>(snapshot: &'a Snapshot, source: &str, target: &str) -> &'a Edge {
    snapshot.edges.iter().find(|e| e.source.0 == source && e.target.0 == target).unwrap()
}

#[test]
fn a_client_and_its_server_child_are_one_call_with_both_sides_and_the_gap_between() {
    let snapshot = snapshot(&[
        s(1, 0, "web", Server).at(0, 100),
        s(2, 1, "web", Internal).at(5, 95),
        s(3, 2, "web", Client).at(10, 90),
        s(4, 3, "api", Server).at(20, 50).failed("timeout"),
    ]);
    assert_eq!(edges(&snapshot), ["entry:user -> web entry inferred 1", "web -> api call paired 1"]);
    let call = edge(&snapshot, "web", "api");
    assert_eq!((call.client.mean(), call.server.mean(), call.gap.mean()), (Some(80.0), Some(30.0), Some(50.0)));
    assert_eq!((call.errors, call.error_classes[0].class.error_type.as_str()), (Weight::ONE, "timeout"));
    assert_eq!((call.operations[0].source.as_str(), call.operations[0].target.as_str()), ("web client", "api server"));
    assert_eq!(call.exemplars.failed[0].span_id.0, 3);
    assert_eq!(snapshot.operations.iter().filter(|o| o.entry).count(), 1);
    assert_eq!(snapshot.node(&call.target).unwrap().handled.n, 1);
}

#[test]
fn client_and_server_pairs_with_messaging_or_database_attributes_stay_one_plain_call() {
    // The Collector connector's `extra-dimensions-queue-db` case.
    let spans = [s(1, 0, "foo-server", Client).topic(""), s(2, 1, "bar-requester", Server).db("postgresql", "")];
    assert_eq!(edges(&snapshot(&spans)), ["foo-server -> bar-requester call paired 1"]);
}

#[test]
fn a_lone_client_that_names_nothing_is_unpaired_and_not_a_node_called_unknown() {
    // The Collector connector's `virtual-node-label` case; both differences are on purpose.
    let snapshot = snapshot(&[
        s(1, 0, "foo-server", Client),
        s(1, 0, "bar-requester", Server).trace(2).peer(PeerKind::Service, "", "external-platform", ""),
    ]);
    assert_eq!(edges(&snapshot), ["external-platform -> bar-requester call inferred 1"]);
    assert_eq!(snapshot.coverage.unpaired, 1);
    let caller = snapshot.nodes.iter().find(|n| n.id.0 == "external-platform").unwrap();
    assert_eq!((caller.kind, caller.instrumented), (NodeKind::Service, false));
}

#[test]
fn an_orphan_is_counted_linked_to_nothing_and_never_called_by_user() {
    let snapshot = snapshot(&[s(2, 1, "api", Server), s(3, 1, "api", Internal), s(4, 1, "db-proxy", Server)]);
    assert_eq!(edges(&snapshot), Vec::<String>::new());
    assert_eq!((snapshot.coverage.orphans, snapshot.coverage.rootless_traces), (3, 1));
}

#[test]
fn a_child_in_another_service_is_called_even_without_client_or_server_spans() {
    let missing_client = [s(1, 0, "web", Server), s(2, 1, "api", Server)];
    assert_eq!(edges(&snapshot(&missing_client))[1], "web -> api call parent 1");
    let missing_server =
        [s(1, 0, "web", Client).at(0, 9), s(2, 1, "api", Internal), s(3, 1, "api", Client).db("redis", "")];
    let got = snapshot(&missing_server);
    assert_eq!(edges(&got), ["api -> database:redis database inferred 1", "web -> api call parent 1"]);
    assert_eq!(edge(&got, "web", "api").client.mean(), Some(9.0));
    let explained = [s(1, 0, "web", Client), s(2, 1, "api", Internal), s(3, 1, "api", Server)];
    assert_eq!(edges(&snapshot(&explained)), ["web -> api call paired 1"]);
}

#[test]
fn a_client_with_a_server_child_in_its_own_service_calls_itself() {
    let spans = [s(1, 0, "api", Client), s(2, 1, "api", Server), s(3, 2, "api", Server)];
    assert_eq!(edges(&snapshot(&spans)), ["api -> api call paired 1"]);
}

#[test]
fn zipkin_spans_that_share_an_id_pair_with_each_other_and_are_not_duplicates() {
    let snapshot = snapshot(&[
        s(1, 0, "web", Server),
        s(2, 1, "web", Client),
        s(2, 1, "api", Server),
        s(3, 2, "api", Client).db("mysql", "ts"),
    ]);
    let expected = [
        "api -> database:mysql:ts database inferred 1",
        "entry:user -> web entry inferred 1",
        "web -> api call paired 1",
    ];
    assert_eq!(edges(&snapshot), expected);
    assert_eq!((snapshot.coverage.duplicates, snapshot.coverage.orphans), (0, 0));
}

#[test]
fn of_duplicates_the_one_that_ended_last_survives_whichever_came_first() {
    let (short, long) = (s(1, 0, "api", Server).at(0, 5), s(1, 0, "api", Server).at(0, 9));
    for spans in [[short.clone(), long.clone(), short.clone()], [long, short.clone(), short]] {
        let snapshot = snapshot(&spans);
        assert_eq!((snapshot.coverage.spans, snapshot.coverage.duplicates), (1, 2));
        assert_eq!(snapshot.operations[0].stats.durations.max(), Some(9));
    }
}

#[test]
fn a_span_without_a_remote_child_calls_what_its_attributes_name() {
    let snapshot = snapshot(&[
        s(1, 0, "api", Internal),
        s(2, 1, "api", Client).db("postgresql", "orders"),
        s(3, 1, "api", Client).peer(PeerKind::Database, "redis", "", "cache-1"),
        s(4, 1, "api", Client).peer(PeerKind::External, "", "", "api.example.com"),
        s(5, 1, "api", Client).peer(PeerKind::Service, "", "payments", ""),
        s(6, 1, "api", Producer).topic("orders"),
        s(7, 1, "api", Client).db("postgresql", "orders"),
        s(8, 7, "db-proxy", Server),
    ]);
    let expected = [
        "api -> database:postgresql:orders database inferred 1",
        "api -> database:redis:cache-1 database inferred 1",
        "api -> db-proxy call paired 1",
        "api -> external:api.example.com external inferred 1",
        "api -> messaging:kafka:orders messaging inferred 1",
        "api -> payments call inferred 1",
    ];
    assert_eq!(edges(&snapshot), expected);
    let redis = snapshot.nodes.iter().find(|n| n.id.0 == "database:redis:cache-1").unwrap();
    assert_eq!((redis.system.as_str(), redis.handled.n, redis.instrumented), ("redis", 1, false));
}

#[test]
fn a_logical_name_finds_the_service_in_the_callers_namespace_first() {
    let call = |id, caller| s(id, 0, caller, Client).trace(id.into()).peer(PeerKind::Service, "", "cart", "");
    let spans = [call(1, "eu/web"), call(2, "us/web"), call(3, "asia/web"), s(4, 0, "eu/cart", Server).trace(4)];
    let only = snapshot(&spans);
    assert!(edges(&only).contains(&"asia/web -> eu/cart call inferred 1".to_owned()), "{:?}", edges(&only));
    let both = snapshot(&[&spans[..], &[s(5, 0, "us/cart", Server).trace(5)]].concat());
    let expected = ["asia/web -> cart call", "eu/web -> eu/cart call", "us/web -> us/cart call"];
    for call in expected {
        assert!(edges(&both).contains(&format!("{call} inferred 1")), "{:?}", edges(&both));
    }
}

#[test]
fn layers_of_one_call_count_once_but_nested_database_spans_as_given() {
    let external = |id, parent| s(id, parent, "api", Client).peer(PeerKind::External, "", "", "s3.example.com");
    assert_eq!(
        edges(&snapshot(&[external(1, 0), external(2, 1), external(3, 1)])),
        ["api -> external:s3.example.com external inferred 2"]
    );
    let transport = [s(1, 0, "api", Client).db("elasticsearch", "logs"), external(2, 1)];
    assert_eq!(edges(&snapshot(&transport)), ["api -> database:elasticsearch:logs database inferred 1"]);
    let bare = snapshot(&[external(1, 0), s(2, 1, "api", Client)]);
    assert_eq!((edges(&bare).len(), bare.coverage.unpaired), (1, 0));
    let wrapper =
        [s(1, 0, "api", Client).peer(PeerKind::Service, "", "pay", ""), s(2, 1, "api", Client), s(3, 2, "pay", Server)];
    assert_eq!(edges(&snapshot(&wrapper)), ["api -> pay call paired 1"]);
    let driver = [s(1, 0, "api", Client).db("mysql", ""), s(2, 1, "api", Client).db("mysql", "")];
    assert_eq!(edges(&snapshot(&driver)), ["api -> database:mysql database inferred 2"]);
}

#[test]
fn a_message_goes_by_way_of_its_topic_with_publish_dwell_and_process_apart() {
    let snapshot = snapshot(&[
        s(1, 0, "shop", Producer).topic("orders").at(0, 10),
        s(2, 1, "billing", Consumer).at(40, 100),
        s(3, 1, "mail", Consumer).topic("other name").at(5, 6),
        s(4, 2, "billing", Consumer).topic("orders"),
    ]);
    let expected = [
        "messaging:kafka:orders -> billing messaging paired 1",
        "messaging:kafka:orders -> mail messaging paired 1",
        "shop -> messaging:kafka:orders messaging paired 1",
    ];
    assert_eq!(edges(&snapshot), expected);
    let (topic, billing) = ("messaging:kafka:orders", edge(&snapshot, "messaging:kafka:orders", "billing"));
    assert_eq!((billing.server.mean(), billing.dwell.mean()), (Some(60.0), Some(30.0)));
    assert_eq!(edge(&snapshot, topic, "mail").dwell.mean(), Some(0.0), "never negative");
    assert_eq!(edge(&snapshot, "shop", topic).client.mean(), Some(10.0));
    let unnamed = [s(1, 0, "a", Producer), s(2, 1, "b", Consumer)];
    let names = edges(&super::super::fixture::snapshot(&unnamed));
    assert_eq!(names[1], "messaging:unknown:(unnamed) -> b messaging paired 1");
}

#[test]
fn a_batch_of_100_linked_messages_is_100_deliveries_in_any_order() {
    let mut spans: Vec<S> = (0..100u64)
        .map(|i| s(7, 0, "shop", Producer).trace(100 + u128::from(i)).topic("orders").at(i, i + 1))
        .collect();
    let batch = (0..100u128)
        .fold(s(1, 0, "billing", Consumer).trace(9).topic("orders").at(500, 900), |c, i| c.link(100 + i, 7));
    spans.insert(0, batch.clone());
    // The process span inside the batch links again: the same message, trace and service.
    spans.push(s(2, 1, "billing", Consumer).trace(9).topic("orders").at(600, 700).link(150, 7));
    let got = snapshot(&spans);
    let expected =
        ["messaging:kafka:orders -> billing messaging link 100", "shop -> messaging:kafka:orders messaging link 100"];
    assert_eq!(edges(&got), expected);
    let delivery = edge(&got, "messaging:kafka:orders", "billing");
    assert_eq!(
        (delivery.server.mean(), delivery.dwell.max(), delivery.dwell.min()),
        (Some(400.0), Some(499), Some(400))
    );
    let node = got.nodes.iter().find(|n| n.id.0 == "billing").unwrap();
    assert_eq!((node.handled.n, got.coverage.unresolved_links), (2, 0));
    spans.reverse();
    assert_eq!(snapshot(&spans), got);
}

#[test]
fn a_parent_and_a_link_to_the_same_producer_are_one_delivery() {
    let spans = [s(1, 0, "shop", Producer).topic("t"), s(2, 1, "billing", Consumer).link(1, 1)];
    let expected = ["messaging:kafka:t -> billing messaging paired 1", "shop -> messaging:kafka:t messaging paired 1"];
    assert_eq!(edges(&snapshot(&spans)), expected);
}

#[test]
fn a_receiver_whose_sender_is_not_known_is_fed_by_its_topic() {
    let root = [s(1, 0, "billing", Consumer).topic("t")];
    assert_eq!(edges(&snapshot(&root)), ["messaging:kafka:t -> billing messaging inferred 1"]);
    let polled = [s(1, 0, "billing", Internal), s(2, 1, "billing", Consumer).topic("t")];
    assert_eq!(edges(&snapshot(&polled)), ["messaging:kafka:t -> billing messaging inferred 1"]);
    let lost = snapshot(&[s(1, 0, "billing", Consumer).topic("t").link(77, 7).link(78, 7)]);
    assert_eq!(edges(&lost), ["messaging:kafka:t -> billing messaging inferred 2"]);
    assert_eq!(lost.coverage.unresolved_links, 2);
}

#[test]
fn ignored_spans_are_counted_and_their_children_are_neither_orphans_nor_entries() {
    let cfg = TopologyConfig {
        ignore_operations: vec!["GET /healthz*".into()],
        ignore_services: vec!["load*".into()],
        ..TopologyConfig::default()
    };
    let snapshot = snapshot_with(
        cfg,
        &[
            s(1, 0, "loadgenerator", Client),
            s(2, 1, "web", Server),
            s(3, 2, "web", Client).peer(PeerKind::External, "", "", "api"),
            s(4, 3, "api", Server).named("GET /healthz/live"),
            s(5, 4, "api", Client).db("mysql", "ts"),
            s(6, 2, "web", Client).peer(PeerKind::Service, "", "loadgenerator", ""),
        ],
    );
    assert_eq!(edges(&snapshot), ["api -> database:mysql:ts database inferred 1"]);
    let coverage = &snapshot.coverage;
    assert_eq!((coverage.spans, coverage.ignored, coverage.orphans, coverage.rootless_traces), (3, 3, 0, 0));
}

#[test]
fn weights_count_calls_and_the_callers_weight_wins() {
    let snapshot = snapshot(&[s(1, 0, "web", Client).weight(4), s(2, 1, "api", Server).weight(2)]);
    let call = edge(&snapshot, "web", "api");
    assert_eq!((call.n, call.calls), (1, Weight::whole(4)));
    assert_eq!((snapshot.coverage.sampled, snapshot.coverage.adjustable()), (2, true));
}

#[test]
fn a_span_without_an_end_counts_as_a_call_and_not_in_latencies() {
    let mut open = s(2, 1, "api", Server);
    open.flags.set(SpanFlags::NO_DURATION);
    let snapshot = snapshot(&[s(1, 0, "web", Client).at(0, 5), open]);
    let call = edge(&snapshot, "web", "api");
    assert_eq!((call.n, call.client.n(), call.server.n(), call.gap.n()), (1, 1, 0, 0));
    assert_eq!(snapshot.coverage.no_duration, 1);
}

#[test]
fn clocks_that_differ_are_counted_and_never_give_a_negative_number() {
    let snapshot = snapshot(&[s(1, 0, "web", Client).at(10, 20), s(2, 1, "api", Server).at(5, 40)]);
    assert_eq!((snapshot.coverage.skewed, edge(&snapshot, "web", "api").gap.max()), (1, Some(0)));
}

#[test]
fn requests_from_outside_are_counted_for_every_node_their_trace_touches() {
    let mut spans = Vec::new();
    for trace in 1..=4u128 {
        spans.push(s(1, 0, "web", Server).trace(trace).weight(10));
        spans.push(s(2, 1, "web", Client).trace(trace));
        spans.push(s(3, 2, if trace == 1 { "cart" } else { "ads" }, Server).trace(trace));
    }
    spans.push(s(3, 0, "cron", Internal).trace(9));
    let snapshot = snapshot(&spans);
    let touched = |id: &str| snapshot.nodes.iter().find(|n| n.id.0 == id).unwrap().entry_traces;
    assert_eq!(snapshot.coverage.entry_traces, Weight::whole(40));
    assert_eq!(["web", "cart", "ads", "cron"].map(touched), [40, 10, 30, 0].map(Weight::whole));
}

#[test]
fn a_service_that_does_not_say_its_name_is_kept_and_marked() {
    let snapshot = snapshot(&[s(1, 0, "", Server), s(1, 0, "unknown_service:java", Server).trace(2)]);
    let ids: Vec<(&str, bool)> = snapshot.nodes.iter().map(|n| (n.id.0.as_str(), n.unnamed())).collect();
    assert_eq!(ids, [("entry:user", false), ("unknown_service", true), ("unknown_service:java", true)]);
    assert_eq!(snapshot.nodes[1].attributes["service.name"]["(missing)"], 1);
}

#[test]
fn operations_beyond_the_cap_are_summed_and_the_most_frequent_stay() {
    let cfg = TopologyConfig { max_operations: 2, ..TopologyConfig::default() };
    let names = ["a", "a", "b", "b", "c", "d"];
    let spans: Vec<S> =
        names.iter().zip(1..).map(|(name, trace)| s(1, 0, "api", Server).named(name).trace(trace)).collect();
    let snapshot = snapshot_with(cfg, &spans);
    let kept: Vec<(&str, u64)> = snapshot.operations.iter().map(|o| (o.name.as_str(), o.stats.n)).collect();
    assert_eq!(kept, [("(other)", 2), ("a", 2), ("b", 2)]);
    assert_eq!(snapshot.coverage.overflow["operations"], 2);
}

#[test]
fn services_beyond_the_cap_leave_no_false_orphans_behind() {
    let cfg = TopologyConfig { max_services: 1, ..TopologyConfig::default() };
    let spans = [
        s(1, 0, "rare", Server),
        s(2, 1, "rare", Client),
        s(3, 2, "busy", Server),
        s(4, 3, "busy", Internal),
        s(5, 3, "busy", Internal),
    ];
    let snapshot = snapshot_with(cfg, &spans);
    assert_eq!((snapshot.nodes.len(), edges(&snapshot).len(), snapshot.coverage.orphans), (1, 0, 0));
    assert_eq!((snapshot.coverage.spans, snapshot.coverage.overflow["services"]), (5, 2));
}

#[test]
fn calls_fall_into_five_minute_buckets_by_the_callers_start() {
    let mut late = s(2, 1, "api", Server);
    late.start += 300 * SECOND;
    late.end = late.start + 1;
    let snapshot = snapshot(&[s(1, 0, "web", Client), late]);
    let series = &edge(&snapshot, "web", "api").series.0;
    assert_eq!(series.keys().copied().collect::<Vec<_>>(), [1000 / 300]);
}

#[test]
fn a_long_chain_a_cycle_of_parents_and_a_wide_fan_take_no_quadratic_time() {
    let n = 30_000u64;
    let chain = (1..=n).map(|i| s(i, i - 1, if i % 2 == 0 { "a" } else { "b" }, Server));
    let fan = (1..=n).map(|i| s(n + i, 1, "c", Internal));
    let cycle = [
        s(3 * n + 1, 3 * n + 2, "x", Server),
        s(3 * n + 2, 3 * n + 1, "y", Client),
        s(3 * n + 3, 3 * n + 3, "z", Server),
    ];
    let snapshot = snapshot(&chain.chain(fan).chain(cycle).collect::<Vec<_>>());
    assert_eq!(edge(&snapshot, "b", "c").n, n);
    assert_eq!(edge(&snapshot, "a", "b").n + edge(&snapshot, "b", "a").n, n - 1);
    assert_eq!(edge(&snapshot, "y", "x").n, 1);
    assert_eq!(snapshot.coverage.orphans, 1, "a span that is its own parent has none");
}

#[test]
fn self_time_is_weighted_and_leaves_out_what_children_do_but_not_what_receivers_do() {
    let snapshot = snapshot(&[
        s(1, 0, "web", Server).at(0, 100).weight(4),
        s(2, 1, "web", Client).at(10, 60).weight(4),
        s(3, 2, "api", Server).at(20, 50).weight(4),
        s(4, 1, "web", Producer).at(55, 80).topic("t").weight(4),
        s(5, 4, "mail", Consumer).at(60, 200).weight(4),
        s(6, 0, "mail", Internal).at(0, 50).trace(2).weight(4),
        s(7, 6, "mail", Consumer).at(10, 20).trace(2).weight(4),
    ]);
    let own = |service: &str, kind| {
        let of = snapshot.operations.iter().find(|o| o.service.0 == service && o.kind == kind).unwrap();
        of.self_ns.unwrap().to_string()
    };
    assert_eq!([own("web", Server), own("web", Client), own("api", Server)], ["120", "80", "120"]);
    assert_eq!([own("web", Producer), own("mail", Internal), own("mail", Consumer)], ["100", "160", "600"]);
}
