use super::super::arbitrary::{caps, rules, spans};
use super::super::cfg::{Alias, Caller, Dimension, Gateway, Treat};
use super::super::fixture::{S, SECOND, batch, edges, s, snapshot};
use super::super::{Builder, External, Intake, Shard, codec};
use super::*;
use crate::spans::SpanKind::{Client, Consumer, Producer, Server};
use crate::spans::{PeerKind, Weight};
use proptest::prelude::*;

fn shard(cfg: &TopologyConfig, spans: &[S], shard: Shard, intake: Intake) -> Snapshot {
    let builder = Builder::sharded(cfg.clone(), Some(shard));
    spans.chunks(7).for_each(|spans| builder.push(&batch(spans)).unwrap());
    builder.finish(intake, 1).unwrap()
}

fn shards(cfg: &TopologyConfig, spans: &[S], count: u32) -> Vec<Snapshot> {
    (1..=count).map(|i| shard(cfg, spans, Shard::new(i, count).unwrap(), intake())).collect()
}

fn intake() -> Intake {
    Intake {
        sources: vec!["trace file".into()],
        rejected: BTreeMap::from([("span-without-id".to_owned(), 3)]),
        partial_traces: 2,
        left_out_traces: 5,
        ..Intake::default()
    }
}

fn once(cfg: &TopologyConfig, spans: &[S]) -> Result<Vec<u8>, Diagnostic> {
    let builder = Builder::new(cfg.clone());
    builder.push(&batch(spans)).unwrap();
    codec::encode(&builder.finish(intake(), 2)?)
}

/// Through its file, as it comes from another job.
fn carried(snapshot: &Snapshot) -> Snapshot {
    codec::decode(&codec::encode(snapshot).unwrap()).unwrap()
}

/// Merges neighbours, again and again, those that `picks` says, until one is left.
fn merged(
    mut parts: Vec<Snapshot>,
    picks: &[prop::sample::Index],
    cfg: &TopologyConfig,
) -> Result<Snapshot, Diagnostic> {
    let mut picks = picks.iter();
    while parts.len() > 1 {
        let at = picks.next().map_or(0, |pick| pick.index(parts.len() - 1));
        let next = parts.remove(at + 1);
        parts[at] = carried(&merge(vec![next, parts[at].clone()], cfg)?);
    }
    Ok(parts.remove(0))
}

/// Rules and caps of every kind.
fn cfgs() -> impl Strategy<Value = TopologyConfig> {
    (prop_oneof![rules(), caps()], any::<[bool; 4]>()).prop_map(|(cfg, [scopes, aliases, gateways, callers])| {
        let text = str::to_owned;
        let alias = |(pattern, name): (&str, &str)| Alias { pattern: text(pattern), name: text(name) };
        let caller = Caller { service: Some(text("web")), operation: None, name: text("phones") };
        TopologyConfig {
            identity_dimensions: if scopes { vec![Dimension::Environment] } else { vec![] },
            aliases: [("us/cart", "eu/cart"), ("external:x*", "api"), ("database:mysql:*", "database:mysql:one")]
                .map(alias)
                .into_iter()
                .filter(|_| aliases)
                .collect(),
            gateways: if gateways { vec![Gateway { pattern: text("api"), treat: Treat::Merged }] } else { vec![] },
            callers: if callers { vec![caller] } else { vec![] },
            ..cfg
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shards_merged_in_any_order_and_in_any_tree_give_the_bytes_of_one_run(
        spans in spans(),
        salt in any::<u64>(),
        environments in prop::collection::vec(prop::sample::select(vec!["", "prod", "test"]), 1..9),
        count in 2..6u32,
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 4),
        cfg in cfgs(),
    ) {
        // Which trace falls into which shard is left to chance.
        let salted = |trace: u128| u128::from(salt) << 64 | trace;
        let mut environments = environments.iter().cycle();
        let spans: Vec<S> = spans.into_iter().map(|mut span| {
            span.links.iter_mut().for_each(|(trace, _)| *trace = salted(*trace));
            span.environment = environments.next().copied().unwrap_or_default();
            span.version = ["", "1", "2"][(span.id % 3) as usize];
            let trace = salted(span.trace);
            span.trace(trace)
        }).collect();
        let shards = shards(&cfg, &spans, count);
        let parts = order.iter().filter_map(|at| shards.get(*at)).map(carried).collect();
        let whole = merged(parts, &picks, &cfg).map(|whole| String::from_utf8(codec::encode(&whole).unwrap()).unwrap());
        match (whole, once(&cfg, &spans)) {
            (Ok(whole), Ok(once)) => prop_assert_eq!(whole, String::from_utf8(once).unwrap()),
            (whole, once) => prop_assert_eq!(whole.unwrap_err(), once.unwrap_err()),
        }
    }
}

/// A trace that shard `index` of `count` counts.
fn trace_of(index: u32, count: u32) -> u128 {
    let shard = Shard::new(index, count).unwrap();
    (1..).find(|trace| shard.owns(crate::spans::TraceId(*trace))).unwrap()
}

#[test]
fn a_message_between_two_shards_is_one_publish_and_one_delivery_with_its_dwell_time() {
    let (sent, received) = (trace_of(1, 2), trace_of(2, 2));
    let spans = [
        s(1, 0, "shop", Server).trace(sent).weight(4),
        s(7, 1, "shop", Producer).trace(sent).topic("orders").at(0, 10),
        s(1, 0, "billing", Consumer).trace(received).topic("orders").at(40, 90).link(sent, 7),
        // Of no shard: this one stays unresolved.
        s(2, 0, "billing", Consumer).trace(received).topic("orders").at(40, 90).link(sent, 99),
    ];
    let cfg = TopologyConfig::default();
    let whole = merge(shards(&cfg, &spans, 2), &cfg).unwrap();
    assert_eq!(
        edges(&whole),
        [
            "entry:user -> shop entry inferred 1",
            "messaging:kafka:orders -> billing messaging link 2",
            "shop -> messaging:kafka:orders messaging link 1",
        ]
    );
    let delivery = whole.edges.iter().find(|e| e.target.0 == "billing").unwrap();
    assert_eq!((delivery.dwell.mean(), whole.coverage.unresolved_links), (Some(30.0), 1));
    let touched: Vec<Weight> = whole.nodes.iter().filter(|n| n.id.0 == "billing").map(|n| n.entry_traces).collect();
    assert_eq!(touched, [Weight::whole(4)], "the request that sent the message touches who receives it");
    assert_eq!(codec::encode(&whole).unwrap(), once(&cfg, &spans).unwrap());
}

#[test]
fn a_logical_name_means_the_service_that_only_another_shard_counts() {
    let (here, there) = (trace_of(1, 2), trace_of(2, 2));
    let call = s(1, 0, "eu/web", Client).trace(here).peer(PeerKind::Service, "", "cart", "");
    let spans = [call, s(1, 0, "us/cart", Server).trace(there)];
    let cfg = TopologyConfig::default();
    let parts = shards(&cfg, &spans, 2);
    assert_eq!(edges(&parts[0]), ["eu/web -> us/cart call inferred 1"]);
    assert_eq!(codec::encode(&merge(parts, &cfg).unwrap()).unwrap(), once(&cfg, &spans).unwrap());
}

#[test]
fn lists_are_cut_when_all_shards_are_there_and_not_before() {
    let spans: Vec<S> = (0..3_000u64)
        .map(|i| {
            let of = |n: u64| n.isqrt();
            let mut span = s(1, 0, "api", Server).trace(u128::from(i) + 1).failed(&format!("e{}", of(i)));
            span.pod = Box::leak(format!("pod-{}", of(i * 2)).into_boxed_str());
            span
        })
        .collect();
    let cfg = TopologyConfig::default();
    let parts = shards(&cfg, &spans, 3);
    assert!(parts.iter().all(|part| part.operations[0].stats.error_classes.len() > 40));
    let whole = merge(parts, &cfg).unwrap();
    assert_eq!(whole.operations[0].stats.error_classes.len(), 20);
    assert_eq!(codec::encode(&whole).unwrap(), once(&cfg, &spans).unwrap());
}

#[test]
fn a_shard_may_be_empty_but_a_run_may_not() {
    let cfg = TopologyConfig::default();
    let spans = [s(1, 0, "api", Server)];
    let parts = shards(&cfg, &spans, 5);
    assert_eq!(parts.iter().filter(|part| part.coverage.spans == 0).count(), 4);
    assert_eq!(codec::encode(&merge(parts, &cfg).unwrap()).unwrap(), once(&cfg, &spans).unwrap());
    let nothing = Builder::sharded(cfg.clone(), Shard::new(1, 5)).finish(Intake::default(), 1).unwrap_err();
    assert_eq!(nothing.code, "no-spans");
    let ignoring = TopologyConfig { ignore_services: vec!["api".into()], ..cfg };
    let error = merge(shards(&ignoring, &spans, 2), &ignoring).unwrap_err();
    assert!(error.code == "no-spans" && error.help.contains("ignore_services"), "{error}");
}

#[test]
fn some_shards_make_a_snapshot_that_says_which_are_missing() {
    let cfg = TopologyConfig::default();
    let spans: Vec<S> = (1..50).map(|trace| s(1, 0, "api", Server).trace(trace)).collect();
    let parts = shards(&cfg, &spans, 4);
    let some = merge(vec![parts[3].clone(), parts[1].clone()], &cfg).unwrap();
    let held = some.shard.as_ref().unwrap();
    assert_eq!((held.shards.as_slice(), held.missing()), ([2, 4].as_slice(), vec![1, 3]));
    assert_eq!(held.spans_read, 49);
    let twice = merge(vec![some, parts[1].clone()], &cfg).unwrap_err();
    assert_eq!((twice.code, twice.message.contains("2/4")), ("merge-repeated", true), "{twice}");
}

#[test]
fn shards_of_different_runs_are_refused_and_the_difference_is_named() {
    let cfg = TopologyConfig::default();
    let spans = [s(1, 0, "api", Server), s(1, 0, "web", Server).trace(2)];
    let of = |index, count| Shard::new(index, count).unwrap();
    let asked = |end| Intake { window: Some((UnixNanos(5), UnixNanos(end))), ..intake() };
    let first = shard(&cfg, &spans, of(1, 2), intake());
    let others = [
        ("numbers", shard(&cfg, &spans, of(2, 3), intake())),
        ("sources", shard(&cfg, &spans, of(2, 2), Intake { sources: vec![], ..intake() })),
        ("windows", shard(&cfg, &spans, of(2, 2), asked(9))),
        ("settings", shard(&cfg, &spans, of(2, 2), Intake { settings: "other".into(), ..intake() })),
        ("settings", shard(&TopologyConfig { max_edges: 7, ..cfg.clone() }, &spans, of(2, 2), intake())),
        ("spans they read", shard(&cfg, &spans[..1], of(2, 2), intake())),
        ("spans they read", shard(&cfg, &[spans[0].clone(), spans[0].clone()], of(2, 2), intake())),
    ];
    for (what, other) in others {
        for pair in [[first.clone(), other.clone()], [other, first.clone()]] {
            let error = merge(pair.into(), &cfg).unwrap_err();
            assert!(error.code == "merge-shards" && error.message.contains(what), "{what}: {error}");
        }
    }
    let error = merge(vec![first, snapshot(&spans)], &cfg).unwrap_err();
    assert_eq!(error.code, "merge-mixed");
    let windows = [asked(9), asked(10)].map(|intake| shard(&cfg, &spans, of(1, 2), intake));
    assert_eq!(merge(windows.into(), &cfg).unwrap_err().code, "merge-shards");
}

/// A day's spans: calls from one service to another, with an operation of each day.
fn day(number: u64) -> Vec<S> {
    let at = number * 86_400 * SECOND;
    (1..=10u64)
        .flat_map(|i| {
            let trace = u128::from(number * 100 + i);
            let call = s(2, 1, "web", Client).trace(trace).at(at + i, at + i + 50).named(&format!("call {number}"));
            [
                s(1, 0, "web", Server).trace(trace).at(at, at + 100),
                call,
                s(3, 2, "api", Server).trace(trace).at(at + i, at + i + 10),
            ]
        })
        .collect()
}

#[test]
fn successive_windows_add_up_to_the_run_over_both() {
    let cfg = TopologyConfig::default();
    let days = [snapshot(&day(1)), snapshot(&day(2)), snapshot(&day(3))];
    let all = snapshot(&[day(1), day(2), day(3)].concat());
    for order in [[0, 1, 2], [2, 0, 1]] {
        let sum = merge(order.iter().map(|at| days[*at].clone()).collect(), &cfg).unwrap();
        assert_eq!(sum, all);
    }
    assert_eq!(merge(vec![days[0].clone()], &cfg).unwrap(), days[0], "one alone is left as it is");
    let error = merge(vec![all, days[1].clone()], &cfg).unwrap_err();
    assert_eq!(error.code, "merge-overlap");
}

#[test]
fn a_sum_holds_the_filters_of_all_its_parts_and_says_which_had_none() {
    let cfg = TopologyConfig::default();
    let filtered = |at: usize, filter: &[&str]| {
        let mut snapshot = snapshot(&day(at.try_into().unwrap()));
        snapshot.provenance.filter = filter.iter().map(|f| (*f).to_owned()).collect();
        carried(&snapshot)
    };
    let sum = |a: &[&str], b: &[&str]| {
        let sum = merge(vec![filtered(2, b), filtered(1, a)], &cfg).unwrap();
        carried(&sum).provenance.filter
    };
    assert_eq!(sum(&["{ b }"], &["{ b }"]), ["{ b }"]);
    assert_eq!(sum(&["{ b }"], &["{ a }"]), ["{ a }", "{ b }"]);
    assert_eq!(sum(&["{ b }"], &[]), ["", "{ b }"]);
    assert!(sum(&[], &[]).is_empty());
    let mut odd = snapshot(&day(1));
    for filter in ["a\nb".to_owned(), "x".repeat(401)] {
        odd.provenance.filter = vec![filter];
        assert_eq!(codec::decode(&codec::encode(&odd).unwrap()).unwrap_err().code, "snapshot-damaged");
    }
}

#[test]
fn caps_hold_for_a_sum_of_windows_and_what_is_beyond_them_is_counted() {
    let cfg = TopologyConfig { max_operations: 2, max_edges: 1, max_services: 1, ..TopologyConfig::default() };
    let days = vec![snapshot(&day(1)), snapshot(&day(2)), snapshot(&day(3))];
    let loose = TopologyConfig { max_operations: 2, ..TopologyConfig::default() };
    let sum = merge(days.clone(), &loose).unwrap();
    let web = NodeId("web".into());
    let names: Vec<&str> = sum.operations_of(&web).map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["web server", "(other)", "call 1"]);
    assert_eq!(sum.coverage.overflow["operations"], 20);
    let call = sum.edges.iter().find(|e| e.target.0 == "api").unwrap();
    let pairs: Vec<(&str, u64)> = call.operations.iter().map(|o| (o.source.as_str(), o.n)).collect();
    assert_eq!((pairs, call.n), (vec![("(other)", 20), ("call 1", 10)], 30));
    let tight = merge(days, &cfg).unwrap();
    assert_eq!((tight.services().count(), tight.edges.len()), (1, 1), "{:?}", edges(&tight));
    assert_eq!(tight.coverage.overflow["services"], 30);
    assert_eq!(codec::decode(&codec::encode(&tight).unwrap()).unwrap(), tight);
}

#[test]
fn a_damaged_shard_section_is_refused() {
    let cfg = TopologyConfig::default();
    let text = String::from_utf8(codec::encode(&shards(&cfg, &[s(1, 0, "api", Server)], 4)[2]).unwrap()).unwrap();
    assert_eq!(codec::decode(text.as_bytes()).unwrap().shard.unwrap().shards, [3]);
    for (from, to) in [
        ("\"of\": 4", "\"of\": 4294967295"),
        ("\"of\": 4", "\"of\": 2"),
        ("   3\n", "   0\n"),
        ("   3\n", "   3,\n   3\n"),
        ("   3\n", "   1, 2, 3, 4\n"),
        ("   3\n", ""),
        ("\"input\": \"", "\"input\": \"x"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        let error = codec::decode(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert_eq!(error.code, "snapshot-damaged", "{to}");
    }
}

#[test]
fn what_a_prometheus_answered_is_merged_and_what_it_did_not_is_told() {
    let lag = |n| External { query: "lag".into(), steps: 2, n, min: 1.0, low: 1.0, high: 4.0, max: 4.0 };
    let day = |at: u64, answers: Vec<External>| {
        let mut day = snapshot(&[s(1, 0, "web", Server)]);
        let at = at * 60 * SECOND;
        day.window = Window { start: UnixNanos(at), end: UnixNanos(at + 60 * SECOND) };
        day.external = answers;
        day
    };
    let sum = |days: &[Snapshot]| {
        let mut merger = Merger::default();
        days.iter().for_each(|day| merger.add(carried(day)).unwrap());
        let doubts: Vec<&str> = merger.doubts().iter().map(|d| d.code).collect();
        let sum = carried(&merger.finish(&TopologyConfig::default()).unwrap());
        (sum.external.iter().map(|e| (e.steps, e.n, e.high)).collect::<Vec<_>>(), doubts)
    };
    let [mon, tue] = [day(1, vec![lag(2)]), day(2, vec![External { high: 2.0, ..lag(2) }])];
    assert_eq!(sum(&[mon.clone(), tue.clone()]), (vec![(4, 4, 3.0)], vec![]));
    assert_eq!(sum(&[tue, mon.clone()]), (vec![(4, 4, 3.0)], vec![]));
    assert_eq!(sum(&[mon.clone(), day(2, vec![])]), (vec![(4, 2, 4.0)], vec!["external-merged-in-part"]));
    // All shards of a run: the run, with the answer of whichever of them asked.
    let cfg = TopologyConfig::default();
    let mut parts = shards(&cfg, &[s(1, 0, "web", Server), s(2, 0, "web", Server).trace(2)], 2);
    let asked = parts.iter().map(|part| part.window.seconds()).fold(0.0, f64::max);
    let longest = parts.iter().position(|part| part.window.seconds() >= asked).unwrap();
    parts[longest].external = vec![lag(1)];
    assert_eq!(merge(parts, &cfg).unwrap().external, [lag(1)]);
}
