//! Slow against normal requests, by literal evidence: read as JSON, as the snapshot writes it.

use super::*;
use crate::diff::testing::{edge, node, snapshot, stats};
use crate::findings::suspects::below::Calls;
use crate::spans::Weight;
use crate::topology::band;

const MS: u64 = 1_000_000;

/// 90 requests of 10 ms and 10 of 110 ms to `GET /` of `api`: the slow ones wait 90 ms longer for the database of `stock`
/// and 10 ms longer on the way to `ads`.
fn shop() -> Snapshot {
    let nodes = ["entry:user", "api", "stock", "ads", "other", "database:pg:x"];
    let nodes = nodes.iter().map(|id| node(id, stats(100, 0, 10.0))).collect();
    let mut shop = snapshot(
        nodes,
        vec![],
        vec![
            edge("entry:user", "api", 100, 0, 10.0, 10.0),
            edge("api", "stock", 75, 0, 5.0, 4.0),
            edge("api", "ads", 100, 0, 5.0, 4.0),
            edge("ads", "stock", 25, 0, 5.0, 4.0),
            edge("stock", "database:pg:x", 100, 0, 3.0, 0.0),
        ],
    );
    let (normal, slow) = (band(10 * MS), band(110 * MS));
    let times = |n: u64, s: u64| format!("{normal}:{} {slow}:{}", 90 * n * MS, 10 * s * MS);
    let part = |kind: &str, service: &str, operation: &str, target: Option<&str>, n: u64, s: u64| {
        serde_json::json!({
            "part": kind, "service": service, "operation": operation, "target": target, "time": times(n, s),
        })
    };
    let requests = serde_json::json!({
        "service": "api", "kind": "server", "operation": "GET /",
        "calls": format!("{normal}:90 {slow}:10"), "time": times(10, 110),
        "parts": [
            part("call", "stock", "SELECT", Some("database:pg:x"), 2, 92),
            part("work", "api", "GET /", None, 5, 5),
            part("between", "ads", "GetAds", None, 3, 13),
        ],
        "nodes": {"api": "100", "stock": "60", "ads": "100", "database:pg:x": "60", "entry:user": "100"},
    });
    shop.requests = vec![serde_json::from_value(requests).unwrap()];
    shop
}

fn about<'a>(shop: &'a Snapshot, id: &str, by: By) -> Result<Tail<'a>, Untold> {
    let up = [NodeId("entry:user".into()), NodeId("api".into())];
    let up = if id == "api" { &up[..1] } else { &up[..] };
    let below = Calls::of(shop).below(&NodeId(id.into()), up);
    Tails::of(shop).about(&NodeId(id.into()), &below, by)
}

fn told(list: &[Suspect<'_>]) -> Vec<(PartKind, String, Place, u64)> {
    let row = |s: &Suspect<'_>| (s.key.kind, s.key.service.0.clone(), s.place, (s.share * 1000.0).round() as u64);
    list.iter().map(row).collect()
}

#[test]
fn the_part_that_takes_longer_in_slow_requests_comes_first_with_its_share() {
    let shop = shop();
    let tail = about(&shop, "api", By::Excess).unwrap();
    assert_eq!((tail.calls, tail.tail, tail.normal, tail.touching), (100.0, 10.0, 90.0, 1.0));
    assert!((tail.time.tail - 0.11).abs() < 1e-9 && (tail.time.normal - 0.01).abs() < 1e-9);
    assert_eq!(
        told(&tail.suspects),
        [(PartKind::Call, "stock".into(), Place::Below, 900), (PartKind::Between, "ads".into(), Place::Below, 100)]
    );
    let first = &tail.suspects[0];
    assert!((first.time.tail - 0.092).abs() < 1e-9 && (first.time.normal - 0.002).abs() < 1e-9);
    assert_eq!((first.operation, first.key.target), (Some(("SELECT", 1.0)), Some(&NodeId("database:pg:x".into()))));
    assert_eq!((tail.elsewhere.len(), tail.elsewhere_share, tail.on_path), (0, 0.0, true));
}

#[test]
fn where_normal_requests_hold_the_cause_too_parts_come_by_their_time() {
    let shop = shop();
    let tail = about(&shop, "api", By::Time).unwrap();
    let first: Vec<u64> = told(&tail.suspects).iter().map(|row| row.3).collect();
    assert_eq!(first, [836, 118, 45], "92, 13 and 5 of 110 ms");
}

#[test]
fn of_a_part_that_is_shared_only_what_stems_from_the_node_is_its_own() {
    let shop = shop();
    let tail = about(&shop, "ads", By::Excess).unwrap();
    assert_eq!(
        told(&tail.suspects),
        [(PartKind::Call, "stock".into(), Place::Below, 225), (PartKind::Between, "ads".into(), Place::Way, 100)]
    );
    assert_eq!(told(&tail.elsewhere), [(PartKind::Call, "stock".into(), Place::Elsewhere, 675)]);
    assert!((tail.elsewhere_share - 0.675).abs() < 1e-9);
    assert_eq!(tail.suspects[0].from_here, 0.25);
}

#[test]
fn what_nobody_measured_nobody_touches_or_is_too_rare_is_told_apart() {
    let mut shop = shop();
    assert_eq!(about(&shop, "other", By::Excess), Err(Untold::NotTouched));
    let requests = std::mem::take(&mut shop.requests);
    assert_eq!(about(&shop, "api", By::Excess), Err(Untold::NotMeasured));
    shop.requests = requests;
    shop.requests[0].calls = serde_json::from_value(serde_json::json!(format!("{}:100", band(10 * MS)))).unwrap();
    assert_eq!(about(&shop, "api", By::Excess), Err(Untold::Alike(100.0)));
    shop.requests[0].nodes.insert(NodeId("api".into()), Weight::whole(3));
    assert_eq!(about(&shop, "api", By::Excess), Err(Untold::Few(3.0)));
}
