use super::super::fixture::{S, s, snapshot, snapshot_with};
use super::super::{Edge, Snapshot, cfg::TopologyConfig};
use super::*;
use crate::spans::SpanKind::{Client, Consumer, Producer, Server};
use crate::spans::Weight;

impl S {
    fn version(self, version: &'static str) -> Self {
        Self { version, ..self }
    }
}

fn edge<'a>(snapshot: &'a Snapshot, source: &str, target: &str) -> &'a Edge {
    snapshot.edges.iter().find(|e| e.source.0 == source && e.target.0 == target).unwrap()
}

/// Each pair of versions as `source>target calls errors`.
fn versions(edge: &Edge) -> Vec<String> {
    let pairs = edge.dimensions.get("service.version").map_or(&[][..], Vec::as_slice);
    pairs.iter().map(|p| format!("{}>{} {} {}", p.source, p.target, p.calls, p.errors)).collect()
}

/// A call from `web` of one version to `api` of another.
fn call(n: u64, from: &'static str, to: &'static str) -> [S; 2] {
    let trace = u128::from(n) + 1;
    [
        s(1, 0, "web", Client).trace(trace).version(from).weight(2),
        s(2, 1, "api", Server).trace(trace).version(to).weight(2),
    ]
}

#[test]
fn calls_and_errors_are_counted_by_the_versions_of_both_ends() {
    let mut spans = Vec::new();
    for (n, (from, to)) in [("1", "1"), ("1", "1"), ("1", "2"), ("", "2"), ("", "")].into_iter().enumerate() {
        let [client, server] = call(n as u64, from, to);
        spans.extend([client, if to == "2" { server.failed("timeout") } else { server }]);
    }
    let snapshot = snapshot(&spans);
    let call = edge(&snapshot, "web", "api");
    assert_eq!(versions(call), ["> 2 0", ">2 2 2", "1>1 4 0", "1>2 2 2"]);
    assert_eq!(call.dimensions.len(), 1, "of the other keys nobody says anything");
}

#[test]
fn a_topic_a_database_and_a_user_say_nothing_of_themselves() {
    let snapshot = snapshot(&[
        s(1, 0, "web", Server).version("1"),
        s(2, 1, "web", Producer).topic("t").version("1"),
        s(3, 2, "mail", Consumer).version("7"),
        s(4, 1, "web", Client).db("redis", "").version("1"),
        s(5, 1, "mail", Consumer).topic("t").version("8"),
    ]);
    assert_eq!(versions(edge(&snapshot, "entry:user", "web")), [">1 1 0"]);
    assert_eq!(versions(edge(&snapshot, "web", "messaging:kafka:t")), ["1> 2 0"]);
    assert_eq!(versions(edge(&snapshot, "messaging:kafka:t", "mail")), [">7 1 0", ">8 1 0"]);
    assert_eq!(versions(edge(&snapshot, "web", "database:redis")), ["1> 1 0"]);
}

fn name(n: u64) -> &'static str {
    Box::leak(format!("v{n:04}").into_boxed_str())
}

#[test]
fn the_pairs_with_the_most_calls_are_kept_and_the_rest_is_summed_whatever_came_first() {
    // Of 2,000 versions the first 50 make two calls.
    let spans: Vec<S> = (0..2_050).flat_map(|n| call(n, name(n % 2_000), "1")).collect();
    let forward = snapshot(&spans);
    let pairs = versions(edge(&forward, "web", "api"));
    assert_eq!(
        (pairs.len(), pairs[0].as_str()),
        (65, pairs.iter().find(|p| p.starts_with("(other)")).unwrap().as_str())
    );
    let backward: Vec<S> = spans.into_iter().rev().collect();
    assert_eq!(snapshot_with(TopologyConfig::default(), &backward), forward);
    let few: Vec<S> = (0..1_050).flat_map(|n| call(n, name(n % 1_000), "1")).collect();
    let pairs = versions(edge(&snapshot(&few), "web", "api"));
    assert_eq!(
        (pairs[0].as_str(), pairs[1].as_str(), pairs[50].as_str()),
        ("(other)>(other) 1872 0", "v0000>1 4 0", "v0049>1 4 0")
    );
}

fn pair(source: &str, target: &str, calls: u64, errors: u64) -> EdgeDimension {
    let (calls, errors) = (Weight::whole(calls), Weight::whole(errors));
    EdgeDimension { source: source.into(), target: target.into(), calls, errors }
}

fn by(pairs: Vec<EdgeDimension>) -> ByKey {
    ByKey::from([("service.version".to_owned(), pairs)])
}

fn sums(calls: u64, errors: u64) -> (Weight, Weight) {
    (Weight::whole(calls), Weight::whole(errors))
}

#[test]
fn two_parts_add_up_and_a_part_that_says_nothing_counts_as_silent() {
    let mut mine = by(vec![pair("1", "1", 3, 1), pair("1", "2", 4, 0)]);
    unite(&mut mine, sums(7, 1), &by(vec![pair("", "2", 1, 1), pair("1", "2", 1, 1)]), sums(2, 2));
    assert_eq!(mine["service.version"], [pair("", "2", 1, 1), pair("1", "1", 3, 1), pair("1", "2", 5, 1)]);
    unite(&mut mine, sums(9, 3), &ByKey::new(), sums(5, 0));
    assert_eq!(mine["service.version"][0], pair("", "", 5, 0));
    assert_eq!(check(&mine, Weight::whole(14), Weight::whole(3)), Ok(()));
    let mut silent = ByKey::new();
    unite(&mut silent, sums(5, 0), &by(vec![pair("", "1", 9, 3)]), sums(9, 3));
    assert_eq!(silent["service.version"], [pair("", "", 5, 0), pair("", "1", 9, 3)]);
    let mut none = ByKey::new();
    unite(&mut none, sums(5, 0), &ByKey::new(), sums(5, 0));
    assert!(none.is_empty());
}

#[test]
fn cutting_again_what_was_cut_adds_to_the_rest() {
    let mut pairs: Vec<EdgeDimension> = (0..10).map(|n| pair(name(n), "1", n + 1, 1)).collect();
    cut_pairs(&mut pairs, 4);
    assert_eq!(pairs[0], pair(OTHER, OTHER, 21, 6));
    pairs.extend((10..12).map(|n| pair(name(n), "1", 30, 0)));
    cut_pairs(&mut pairs, 4);
    let kept: Vec<&str> = pairs.iter().map(|p| p.source.as_str()).collect();
    assert_eq!((pairs[0].calls, kept), (Weight::whole(36), vec![OTHER, "v0008", "v0009", "v0010", "v0011"]));
}

#[test]
fn what_does_not_add_up_is_refused() {
    let (calls, errors) = sums(3, 1);
    assert_eq!(check(&by(vec![pair("1", "1", 3, 1)]), calls, errors), Ok(()));
    for wrong in [
        vec![],
        vec![pair("1", "1", 2, 1)],
        vec![pair("1", "1", 3, 0)],
        vec![pair("1", "2", 1, 0), pair("1", "1", 2, 1)],
        vec![pair("1", "1", 3, 1), pair("1", "1", 0, 0)],
        vec![pair("1", "1", 3, 0), pair("1", "2", 0, 1)],
    ] {
        assert!(check(&by(wrong.clone()), calls, errors).is_err(), "{wrong:?}");
    }
}
