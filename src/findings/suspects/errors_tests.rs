//! Where failures begin, by literal origins.

use super::*;
use crate::diff::testing::{edge, node, operation, snapshot, stats};
use crate::findings::suspects::below::Calls;

fn origin(kind: &str, service: &str, name: &str, target: Option<&str>, calls: u64, more: serde_json::Value) -> Origin {
    let mut json = serde_json::json!({
        "kind": kind, "service": service, "operation": name, "target": target, "n": calls, "calls": calls.to_string(),
        "reached_entry": "0",
    });
    for (key, value) in more.as_object().unwrap() {
        json[key] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

fn step(service: &str, name: &str, calls: u64) -> serde_json::Value {
    serde_json::json!({"service": service, "operation": name, "calls": calls.to_string()})
}

/// user → api → cart → database; api → ads. `cart` fails 40 times of its database, once by itself; `api` copes with `ads`,
/// gives up on `cart` 9 times.
fn shop() -> Snapshot {
    let ids = [("api", 50), ("cart", 41), ("ads", 30), ("database:pg:x", 40)];
    let nodes = ids.iter().map(|(id, failed)| node(id, stats(1_000, *failed, 10.0))).collect();
    let operations = [("api", "GET /", 50), ("cart", "Get", 41), ("ads", "Ads", 30)];
    let operations =
        operations.iter().map(|(s, name, failed)| operation(s, name, stats(1_000, *failed, 10.0))).collect();
    let calls = |a: &str, b: &str| edge(a, b, 1_000, 0, 2.0, 1.0);
    let mut shop =
        snapshot(nodes, operations, vec![calls("api", "cart"), calls("api", "ads"), calls("cart", "database:pg:x")]);
    let climbed = |list: Vec<serde_json::Value>| serde_json::json!({"climbed": list, "reached_entry": "40"});
    shop.origins = vec![
        origin("failed", "ads", "Ads", None, 30, serde_json::json!({"coped": [step("api", "GET /", 30)]})),
        origin("failed", "cart", "Get", None, 1, serde_json::json!({"climbed": [step("api", "GET /", 1)]})),
        origin(
            "timed_out",
            "cart",
            "Get",
            None,
            9,
            serde_json::json!({
                "climbed": [step("api", "GET /", 9)], "gave_up": [step("api", "GET /", 9)], "reached_entry": "9"
            }),
        ),
        origin(
            "unanswered",
            "cart",
            "SELECT",
            Some("database:pg:x"),
            40,
            climbed(vec![step("cart", "Get", 40), step("api", "GET /", 40), step("cart", "internal", 40)]),
        ),
    ];
    shop
}

fn of<'a>(shop: &'a Snapshot, id: &str) -> Failures<'a> {
    let id = NodeId(id.into());
    about(shop, &id, &Calls::of(shop).below(&id, &[])).unwrap()
}

fn told(list: &[Suspect<'_>]) -> Vec<(OriginKind, Place, f64)> {
    list.iter().map(|s| (s.origin.kind, s.place, s.failures)).collect()
}

#[test]
fn origins_behind_the_failures_of_a_node_come_by_how_many_they_explain() {
    let shop = shop();
    let api = of(&shop, "api");
    assert_eq!(
        told(&api.suspects),
        [
            (OriginKind::Unanswered, Place::Below, 40.0),
            (OriginKind::TimedOut, Place::Below, 9.0),
            (OriginKind::Failed, Place::Below, 1.0)
        ]
    );
    assert_eq!((api.suspects[0].share, api.unexplained, api.unseen.len()), (0.8, 0.0, 0));
    assert_eq!(api.suspects[1].gave_up().map(|s| s.operation.as_str()), Some("GET /"));
    assert!(api.suspects[0].gave_up().is_none());
    assert_eq!((api.coped.len(), api.coped[0].calls, &api.coped[0].origin.service.0), (1, 30.0, &"ads".to_owned()));
}

#[test]
fn what_a_node_does_not_see_itself_is_kept_apart() {
    let shop = shop();
    let cart = of(&shop, "cart");
    assert_eq!(
        told(&cart.suspects),
        [(OriginKind::Unanswered, Place::Own, 40.0), (OriginKind::Failed, Place::Own, 1.0)],
        "an INTERNAL span that failed as well counts no failure twice"
    );
    assert_eq!(told(&cart.unseen), [(OriginKind::TimedOut, Place::Own, 9.0)]);
    let database = of(&shop, "database:pg:x");
    assert_eq!(told(&database.unseen), [(OriginKind::Unanswered, Place::Way, 40.0)]);
}

#[test]
fn failures_without_origins_are_told_as_not_measured_and_none_need_none() {
    let mut shop = shop();
    shop.origins.clear();
    let ask = |id: &str| about(&shop, &NodeId(id.into()), &Below::default());
    assert_eq!(ask("api"), Err(Untold::NotMeasured));
    assert_eq!(ask("gone"), Err(Untold::NotTouched));
    let mut quiet = shop.clone();
    quiet.nodes.iter_mut().for_each(|n| n.handled.errors = Weight::ZERO);
    assert_eq!(about(&quiet, &NodeId("api".into()), &Below::default()), Ok(Failures::default()));
}
