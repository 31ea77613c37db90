use super::super::fixture::{S, s, snapshot};
use super::super::snapshot::NodeId;
use super::*;
use crate::spans::SpanKind::{Client, Producer, Server};

/// user → web → {cart → redis, ads}; ads ⇄ bids; cart → topic → mail.
fn shop() -> Snapshot {
    let spans: Vec<S> = vec![
        s(1, 0, "web", Server),
        s(2, 1, "web", Client),
        s(3, 2, "cart", Server),
        s(4, 3, "cart", Client).db("redis", ""),
        s(5, 1, "web", Client),
        s(6, 5, "ads", Server),
        s(7, 6, "ads", Client),
        s(8, 7, "bids", Server),
        s(9, 8, "bids", Client),
        s(10, 9, "ads", Server),
        s(11, 3, "cart", Producer).topic("t"),
        s(12, 11, "mail", crate::spans::SpanKind::Consumer),
    ];
    snapshot(&spans)
}

fn id(text: &str) -> NodeId {
    NodeId(text.to_owned())
}

fn texts(ids: &[NodeId]) -> Vec<&str> {
    ids.iter().map(|id| id.0.as_str()).collect()
}

#[test]
fn callers_and_callees_come_by_the_least_number_of_hops() {
    let snapshot = shop();
    let graph = Graph::new(&snapshot);
    let callers = graph.callers(&id("database:redis"));
    assert_eq!(
        callers.values().map(|ids| texts(ids)).collect::<Vec<_>>(),
        [vec!["cart"], vec!["web"], vec!["entry:user"]]
    );
    assert_eq!(texts(&graph.callees(&id("web"))[&1]), ["ads", "cart"]);
    assert_eq!(texts(&graph.reachable(&id("cart"))), ["cart", "database:redis", "mail", "messaging:kafka:t"]);
    assert!(graph.callers(&id("nobody")).is_empty());
}

#[test]
fn circles_single_points_and_dominators_are_found() {
    let snapshot = shop();
    let graph = Graph::new(&snapshot);
    assert_eq!(graph.cycles(), [[id("ads"), id("bids")]]);
    assert_eq!(texts(&graph.single_points_of_failure()), ["ads", "cart", "web"]);
    assert_eq!(texts(&graph.dominators(&id("mail"))), ["messaging:kafka:t", "cart", "web", "entry:user"]);
}

#[test]
fn the_longest_synchronous_chain_stops_at_messages_and_counts_a_circle_once() {
    let snapshot = shop();
    assert_eq!(texts(&Graph::new(&snapshot).longest_synchronous_chain()), ["web", "cart", "database:redis"]);
}

#[test]
fn the_entry_share_is_read_from_the_traces() {
    let snapshot = shop();
    let graph = Graph::new(&snapshot);
    assert_eq!(graph.entry_share(&id("mail")), Some(1.0));
    assert_eq!(graph.entry_share(&id("nobody")), None);
}
