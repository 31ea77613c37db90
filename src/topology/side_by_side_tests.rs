use super::super::cfg::{Dimension, TopologyConfig};
use super::super::fixture::{S, edges, s, snapshot_with};
use super::*;
use crate::spans::SpanKind::{Client, Server};

fn by_version(spans: &[S]) -> Snapshot {
    snapshot_with(TopologyConfig { identity_dimensions: vec![Dimension::Version], ..TopologyConfig::default() }, spans)
}

fn span(trace: u128, id: u64, parent: u64, service: &'static str, version: &'static str, kind: SpanKind) -> S {
    S { version, ..s(id, parent, service, kind).trace(trace).named(&format!("{service} work")) }
}

/// A request to `web` of one version that calls `api` of another, which fails where told so.
fn request(trace: u128, web: &'static str, api: &'static str, fails: bool) -> Vec<S> {
    let answer = span(trace, 3, 2, "api", api, Server);
    vec![
        span(trace, 1, 0, "web", web, Server),
        span(trace, 2, 1, "web", web, Client).named("GET"),
        if fails { answer.failed("timeout") } else { answer },
    ]
}

fn requests(of: &[(&'static str, &'static str, bool)]) -> Snapshot {
    by_version(
        &(1..).zip(of).flat_map(|(trace, (web, api, fails))| request(trace, web, api, *fails)).collect::<Vec<_>>(),
    )
}

fn nodes(snapshot: &Snapshot) -> Vec<String> {
    snapshot.nodes.iter().map(|n| format!("{} {}", n.id, n.handled.n)).collect()
}

#[test]
fn the_greatest_value_is_head_all_others_are_base_and_what_has_one_is_in_both() {
    let versions = [("7", "1.9.0", false), ("7", "1.2.0", false), ("7", "1.10.0", true), ("7", "1.9.0", false)];
    let (base, head) = side_by_side(&requests(&versions)).unwrap();
    assert_eq!(nodes(&base), ["api 3", "entry:user 0", "web 4"]);
    assert_eq!(nodes(&head), ["api 1", "entry:user 0", "web 4"]);
    assert_eq!(edges(&base), ["entry:user -> web entry inferred 4", "web -> api call paired 3"]);
    assert_eq!(edges(&head), ["entry:user -> web entry inferred 4", "web -> api call paired 1"]);
    let operations = |s: &Snapshot| {
        s.operations.iter().map(|o| format!("{} {} {}", o.service, o.name, o.stats.n)).collect::<Vec<_>>()
    };
    assert_eq!(operations(&base), ["api api work 3", "web web work 4", "web GET 4"]);
    assert_eq!(operations(&head), ["api api work 1", "web web work 4", "web GET 4"]);
}

#[test]
fn evidence_loses_the_value_too_and_goes_with_its_service() {
    let versions = [("1", "1", false), ("1", "2", true), ("1", "2", true), ("1", "1", false)];
    let (base, head) = side_by_side(&requests(&versions)).unwrap();
    for side in [&base, &head] {
        let flow = &side.operations.iter().find(|o| o.name == "web work").unwrap().flow;
        assert_eq!(
            flow.items.iter().map(|i| i.service.0.as_str()).collect::<Vec<_>>(),
            ["api"],
            "one item of both values"
        );
        let all = flow.steps.values().copied().sum::<crate::spans::Weight>();
        assert_eq!(all, crate::spans::Weight::whole(4), "web has one value: all its steps are in both");
        assert!(side.requests.is_empty() && side.traces.is_empty(), "requests have no side");
        let text = serde_json::to_string(side).unwrap();
        assert!(!text.contains('@'), "{text}");
    }
    let origins =
        |s: &Snapshot| s.origins.iter().map(|o| format!("{} {} {}", o.service, o.operation, o.n)).collect::<Vec<_>>();
    assert_eq!(origins(&base), Vec::<String>::new());
    assert_eq!(origins(&head), ["api api work 2"]);
    // Who coped, under both its values, is one.
    let versions = [("1", "1", false), ("1", "2", true), ("2", "2", true), ("", "2", true)];
    let (_, mixed) = side_by_side(&requests(&versions)).unwrap();
    let coped =
        mixed.origins.iter().flat_map(|o| &o.coped).map(|s| format!("{} {} {}", s.service, s.operation, s.calls));
    assert_eq!(coped.collect::<Vec<_>>(), ["web web work 3"]);
    let instances = |s: &Snapshot| {
        s.instances
            .iter()
            .map(|i| (i.service.0.clone(), i.attributes["service.version"].clone(), i.n))
            .collect::<Vec<_>>()
    };
    assert_eq!(instances(&base), [("api".into(), "1".into(), 2), ("web".into(), "1".into(), 4)]);
    assert_eq!(instances(&head), [("api".into(), "2".into(), 2), ("web".into(), "1".into(), 4)]);
}

#[test]
fn a_call_from_one_side_to_the_other_is_in_neither() {
    let (base, head) =
        side_by_side(&requests(&[("1", "1", false), ("1", "2", false), ("2", "1", false), ("2", "2", false)])).unwrap();
    assert_eq!(edges(&base), ["entry:user -> web entry inferred 2", "web -> api call paired 1"]);
    assert_eq!(edges(&head), ["entry:user -> web entry inferred 2", "web -> api call paired 1"]);
}

#[test]
fn one_value_is_an_error_and_a_missing_value_is_none() {
    for versions in [vec![("1", "2", false)], vec![("", "1", false), ("", "", false)], vec![("", "", false)]] {
        assert_eq!(side_by_side(&requests(&versions)).unwrap_err().code, "one-value", "{versions:?}");
    }
}

#[test]
fn spans_without_a_value_belong_to_base_where_their_service_has_two() {
    let (base, head) = side_by_side(&requests(&[("", "1", false), ("", "2", false), ("", "", false)])).unwrap();
    assert_eq!(nodes(&base), ["api 2", "entry:user 0", "web 3"]);
    assert_eq!(nodes(&head), ["api 1", "entry:user 0", "web 3"]);
    // With one value and spans without, both halves are one node again.
    let (base, _) = side_by_side(&requests(&[("1", "1", false), ("", "2", false)])).unwrap();
    assert_eq!(nodes(&base), ["api 1", "entry:user 0", "web 2"]);
}

#[test]
fn names_with_an_at_sign_keep_it_and_databases_of_both_sides_are_one() {
    let call = |trace, version| {
        let api = span(trace, 1, 0, "a@b/api", version, Server);
        [api.clone(), S { id: 2, parent: 1, kind: Client, ..api }.named("HGET").db("redis", "c@d")]
    };
    let spans: Vec<S> = [(1, "1"), (2, "2"), (3, "2")].into_iter().flat_map(|(trace, v)| call(trace, v)).collect();
    let (base, head) = side_by_side(&by_version(&spans)).unwrap();
    let ids = |s: &Snapshot| s.nodes.iter().map(|n| n.id.0.clone()).collect::<Vec<_>>();
    let plain = snapshot_with(TopologyConfig::default(), &spans);
    assert_eq!((ids(&base), ids(&head)), (ids(&plain), ids(&plain)));
    let calls = |s: &Snapshot| s.edges.iter().filter(|e| e.kind == EdgeKind::Database).map(|e| e.n).collect::<Vec<_>>();
    assert_eq!((calls(&base), calls(&head)), (vec![1], vec![2]));
}

#[test]
fn versions_compare_by_their_numbers_and_a_release_is_newer_than_its_candidates() {
    let rising = [
        "",
        "0.9",
        "1.4.0-rc2",
        "1.4.0-rc10",
        "1.4.0",
        "1.4.1",
        "1.9",
        "1.10.0-beta",
        "1.10.0",
        "v9.0",
        "v10.0",
        "2026-01-02",
        "2026-11-02",
    ];
    for (at, lower) in rising.iter().enumerate() {
        for higher in &rising[at + 1..] {
            assert_eq!(by_numbers(lower, higher), Ordering::Less, "{lower} {higher}");
            assert_eq!(by_numbers(higher, lower), Ordering::Greater, "{higher} {lower}");
        }
        assert_eq!(by_numbers(lower, lower), Ordering::Equal);
    }
    // Other names have an order too, always the same.
    assert_ne!(by_numbers("3f9ac01-dirty", "8c01b2e"), Ordering::Equal);
    assert_eq!(by_numbers("build.99999999999999999999", "build.100000000000000000000"), Ordering::Less);
}
