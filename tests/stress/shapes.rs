//! Traces of awkward shape: long, wide, circular, too large.

use tracebook::topology::Snapshot;

use crate::program::{Out, large, small};
use crate::wire::{CLIENT, CONSUMER, INTERNAL, PRODUCER, SERVER, Span};

/// Most spans of one trace that are used.
const MOST_PER_TRACE: u64 = 1 << 20;
const LIMIT_MIB: u64 = 640;

fn service(at: u64) -> &'static str {
    if at.is_multiple_of(2) { "even" } else { "odd" }
}

fn calls(snapshot: &Snapshot, source: &str, target: &str) -> u64 {
    snapshot.edges.iter().find(|e| e.source.0 == source && e.target.0 == target).map_or(0, |e| e.n)
}

/// A trace whose span `i` of 1..=n hangs below `parent(i)`; an odd multiplier scatters their order.
fn one_trace(out: &mut Out, n: u64, kind: u64, service: impl Fn(u64) -> &'static str, parent: impl Fn(u64) -> u64) {
    let scatter = 7_919 % n;
    for step in 0..n {
        let i = if gcd(scatter, n) == 1 { step * scatter % n + 1 } else { step + 1 };
        out.span(service(i), &Span { trace: 1, id: i, parent: parent(i), kind, name: "work", ..Span::default() });
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn chain(out: &mut Out, n: u64) {
    one_trace(out, n, SERVER, service, |i| i - 1);
}

fn star(out: &mut Out, n: u64) {
    one_trace(out, n, SERVER, |i| if i == 1 { "hub" } else { "leaf" }, |i| u64::from(i > 1));
}

/// A spine of odd ids with one tooth each.
fn comb(out: &mut Out, n: u64) {
    one_trace(
        out,
        n,
        SERVER,
        |i| if i % 2 == 1 { "spine" } else { "tooth" },
        |i| if i % 2 == 1 { i.saturating_sub(2) } else { i - 1 },
    );
}

fn circle(out: &mut Out, n: u64) {
    one_trace(out, n, SERVER, service, |i| if i == 1 { n } else { i - 1 });
}

fn pairs_of_parents(out: &mut Out, n: u64) {
    one_trace(out, n, SERVER, service, |i| if i % 2 == 1 { i + 1 } else { i - 1 });
}

fn own_parents(out: &mut Out, n: u64) {
    one_trace(out, n, SERVER, service, |i| i);
}

/// One call in n layers that name nothing, in a circle if told so.
fn layers(out: &mut Out, n: u64, circle: bool) {
    one_trace(out, n, CLIENT, |_| "even", |i| if circle && i == 1 { n } else { i - 1 });
}

/// Children in another service that are neither SERVER nor CONSUMER below one CLIENT span.
fn strangers(out: &mut Out, n: u64) {
    one_trace(out, n, INTERNAL, service, |i| u64::from(i > 1));
}

/// One message, received by n consumers in traces of their own.
fn fan_out(out: &mut Out, n: u64) {
    let topic = [("messaging.system", "kafka"), ("messaging.destination.name", "orders")];
    let sent = Span { trace: 1, id: 1, kind: PRODUCER, name: "send", attributes: &topic, ..Span::default() };
    out.span("shop", &sent);
    for i in 1..n {
        let trace = u128::from(i) << 40;
        let links = [(1, 1)];
        let span = Span { trace, id: 1, kind: CONSUMER, name: "take", at: 5_000_000, links: &links, ..Span::default() };
        out.span("billing", &span);
    }
}

/// Batches of a thousand messages each.
fn batches(out: &mut Out, n: u64) {
    for batch in 0..n / 1_000 {
        let links: Vec<(u128, u64)> = (0..1_000).map(|i| (u128::from(batch * 1_000 + i + 1) << 30, 1)).collect();
        for (trace, id) in &links {
            out.span("shop", &Span { trace: *trace, id: *id, kind: PRODUCER, name: "send", ..Span::default() });
        }
        let trace = u128::from(batch + 1);
        out.span("billing", &Span { trace, id: 1, kind: CONSUMER, name: "take", links: &links, ..Span::default() });
    }
}

fn check_chain(s: &Snapshot, n: u64) {
    assert_eq!((calls(s, "even", "odd") + calls(s, "odd", "even"), calls(s, "entry:user", "odd")), (n - 1, 1));
    assert_eq!((s.coverage.spans, s.coverage.traces, s.coverage.orphans, s.coverage.rootless_traces), (n, 1, 0, 0));
}

fn check_star(s: &Snapshot, n: u64) {
    assert_eq!((calls(s, "hub", "leaf"), s.coverage.orphans, s.edges.len()), (n - 1, 0, 2));
}

fn check_comb(s: &Snapshot, n: u64) {
    assert_eq!((calls(s, "spine", "tooth"), s.coverage.orphans, s.coverage.spans), (n / 2, 0, n));
}

fn check_circle(s: &Snapshot, n: u64) {
    assert_eq!(calls(s, "even", "odd") + calls(s, "odd", "even"), n);
    assert_eq!((s.coverage.spans, s.coverage.orphans, s.coverage.rootless_traces, s.edges.len()), (n, 0, 1, 2));
}

/// The mapper takes them for roots.
fn check_own_parents(s: &Snapshot, n: u64) {
    let entries = calls(s, "entry:user", "even") + calls(s, "entry:user", "odd");
    assert_eq!((s.coverage.spans, s.coverage.orphans, entries, s.edges.len()), (n, 0, n, 2));
}

fn check_layers(s: &Snapshot, circle: bool) {
    assert_eq!((s.edges.len(), s.coverage.unpaired), (0, u64::from(!circle)));
}

fn check_strangers(s: &Snapshot, n: u64) {
    // The root is odd: its children of the other service count one call each.
    assert_eq!((calls(s, "odd", "even"), s.edges.len(), s.coverage.orphans), (n / 2, 1, 0));
}

fn check_fan_out(s: &Snapshot, n: u64) {
    let topic = "messaging:kafka:orders";
    assert_eq!((calls(s, "shop", topic), calls(s, topic, "billing"), s.coverage.unresolved_links), (1, n - 1, 0));
    assert_eq!(s.edges.iter().find(|e| e.source.0 == topic).unwrap().dwell.max(), Some(4_000_000));
}

fn check_batches(s: &Snapshot, n: u64) {
    let topic = "messaging:unknown:(unnamed)";
    assert_eq!((calls(s, "shop", topic), calls(s, topic, "billing"), s.coverage.unresolved_links), (n, n, 0));
}

#[test]
fn long_wide_and_circular_traces_are_counted_exactly() {
    let n = 4_000;
    check_chain(&small(|out| chain(out, n)), n);
    check_star(&small(|out| star(out, n)), n);
    check_comb(&small(|out| comb(out, n)), n);
    check_circle(&small(|out| circle(out, n)), n);
    check_circle(&small(|out| pairs_of_parents(out, n)), n);
    check_own_parents(&small(|out| own_parents(out, n)), n);
    check_layers(&small(|out| layers(out, n, false)), false);
    check_layers(&small(|out| layers(out, n, true)), true);
    check_strangers(&small(|out| strangers(out, n)), n);
    check_fan_out(&small(|out| fan_out(out, n)), n);
    check_batches(&small(|out| batches(out, n)), n);
}

#[test]
#[ignore = "large: optimised builds"]
fn a_trace_of_a_million_spans_of_any_shape_takes_linear_time() {
    // Five times the 200,000 asked for, and below what is thinned.
    let n = 1_000_000;
    check_chain(&large("chain", n, LIMIT_MIB, chain), n);
    check_star(&large("star", n, LIMIT_MIB, star), n);
    check_comb(&large("comb", n, LIMIT_MIB, comb), n);
    check_circle(&large("circle of parents", n, LIMIT_MIB, circle), n);
    check_circle(&large("pairs that are each other's parent", n, LIMIT_MIB, pairs_of_parents), n);
    check_own_parents(&large("own parents", n, LIMIT_MIB, own_parents), n);
    check_layers(&large("layers", n, LIMIT_MIB, |out, n| layers(out, n, false)), false);
    check_layers(&large("circle of layers", n, LIMIT_MIB, |out, n| layers(out, n, true)), true);
    check_strangers(&large("strangers", n, LIMIT_MIB, strangers), n);
    check_fan_out(&large("one message for a million", n, LIMIT_MIB, fan_out), n);
    check_batches(&large("batches of a thousand", n, LIMIT_MIB, batches), n);
}

#[test]
#[ignore = "large: optimised builds"]
fn one_trace_id_for_everything_is_thinned_and_what_is_left_out_is_counted() {
    let n = 20_000_000;
    let snapshot = large("one trace id", n, LIMIT_MIB, chain);
    let coverage = &snapshot.coverage;
    let left_out = coverage.overflow["trace_spans"];
    assert_eq!(coverage.spans + left_out, n);
    assert!(coverage.spans <= MOST_PER_TRACE && coverage.spans > MOST_PER_TRACE / 8, "{}", coverage.spans);
    assert_eq!((coverage.traces, coverage.duplicates), (1, 0));
    let operations: u64 = snapshot.operations.iter().map(|o| o.stats.n).sum();
    assert_eq!(operations, coverage.spans);
}
