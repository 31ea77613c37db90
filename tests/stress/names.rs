//! More names than anything should have: operations, services, peers, errors, attributes, moments.

use tracebook::topology::{NodeKind, Series, Snapshot};

use crate::program::{Out, large, small};
use crate::wire::{CLIENT, SERVER, Span, word};

const LIMIT_MIB: u64 = 640;
/// Limits of the default configuration.
const OPERATIONS: u64 = 500;
const SERVICES: u64 = 10_000;

fn trace(i: u64) -> u128 {
    u128::from(i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
}

/// Every span has another name; a quiet service has 50 of its own.
fn operations(out: &mut Out, n: u64) {
    for i in 0..n {
        let name = format!("get {}", word(i));
        out.span("noisy", &Span { trace: trace(i), id: 1, kind: SERVER, name: &name, ..Span::default() });
        if i % (n / 50) == 0 {
            let name = format!("op {}", word(i));
            out.span(
                "quiet",
                &Span { trace: trace(i), id: 2, parent: 1, kind: SERVER, name: &name, ..Span::default() },
            );
        }
    }
}

fn check_operations(s: &Snapshot, n: u64) {
    let of =
        |service: &str| s.operations.iter().filter(|o| o.service.0 == service).map(|o| o.stats.n).collect::<Vec<_>>();
    assert_eq!((of("noisy").len() as u64, of("noisy").iter().sum::<u64>()), (OPERATIONS + 1, n));
    assert_eq!(of("quiet"), vec![1; 50], "a noisy service pushes out no name of a quiet one");
    assert_eq!(s.coverage.overflow["operations"], n - OPERATIONS);
    assert_eq!((s.coverage.spans, s.coverage.traces, s.edges.len()), (n + 50, n, 2));
}

/// Every span belongs to another service.
fn services(out: &mut Out, n: u64) {
    for i in 0..n {
        out.span(&word(i), &Span { trace: trace(i), id: 1, kind: SERVER, name: "get", ..Span::default() });
    }
}

fn check_services(s: &Snapshot, n: u64) {
    let services = s.services().count() as u64;
    assert_eq!(services, n.min(SERVICES));
    assert_eq!(s.coverage.overflow.get("services").copied().unwrap_or(0), n - services);
    let entries: u64 = s.edges.iter().map(|e| e.n).sum();
    assert_eq!((s.coverage.spans, s.coverage.orphans, entries), (n, 0, services));
}

/// Every call goes to another address, every other one to another database.
fn peers(out: &mut Out, n: u64) {
    for i in 0..n {
        let name = word(i);
        let external = [("server.address", name.as_str())];
        let database = [("db.system.name", "mysql"), ("db.namespace", name.as_str())];
        let attributes: &[(&str, &str)] = if i % 2 == 0 { &external } else { &database };
        out.span("web", &Span { trace: trace(i), id: 1, kind: CLIENT, name: "call", attributes, ..Span::default() });
    }
}

fn check_peers(s: &Snapshot, n: u64) {
    let other: u64 = s
        .edges
        .iter()
        .filter(|e| e.target.0 == "external:(other)" || e.target.0 == "database:(other)")
        .map(|e| e.n)
        .sum();
    let all: u64 = s.edges.iter().map(|e| e.n).sum();
    assert_eq!((all, s.coverage.unpaired, s.coverage.spans), (n, 0, n));
    assert_eq!(s.coverage.overflow.get("peers").copied().unwrap_or(0), other);
    let named =
        s.nodes.iter().filter(|node| matches!(node.kind, NodeKind::External | NodeKind::Database)).count() as u64;
    assert!(named <= (1 << 16) + 2, "{named}");
    assert!(n <= 1 << 16 || other > 0);
}

/// Every service calls every other: more edges than are kept.
fn edges(out: &mut Out, n: u64) {
    let services = n.isqrt();
    for i in 0..n {
        let (from, to) = (word(i / services), word(i % services));
        out.span(&from, &Span { trace: trace(i), id: 1, kind: CLIENT, name: "call", ..Span::default() });
        out.span(&to, &Span { trace: trace(i), id: 2, parent: 1, kind: SERVER, name: "get", ..Span::default() });
    }
}

fn check_edges(s: &Snapshot, n: u64) {
    let told: u64 = s.edges.iter().map(|e| e.n).sum();
    assert_eq!(told + s.coverage.overflow.get("edges").copied().unwrap_or(0), n);
    assert!(s.edges.len() <= 100_000 && s.edges.len() as u64 >= n.min(25_000), "{}", s.edges.len());
    assert_eq!((s.coverage.spans, s.coverage.unpaired), (2 * n, 0));
}

/// Every span fails in another way, on another pod, with another version.
fn errors(out: &mut Out, n: u64) {
    for i in 0..n {
        let name = word(i);
        let pod = [("k8s.pod.name", name.as_str()), ("service.version", name.as_str())];
        let attributes = [("error.type", name.as_str())];
        let span = Span {
            trace: trace(i),
            id: 1,
            kind: SERVER,
            name: "get",
            attributes: &attributes,
            failed: true,
            ..Span::default()
        };
        out.span_of("web", &pod, &span);
    }
}

fn check_errors(s: &Snapshot, n: u64) {
    let web = s.nodes.iter().find(|node| node.id.0 == "web").unwrap();
    assert_eq!((web.handled.n, web.handled.errors.micro()), (n, n * 1_000_000));
    assert!(web.handled.error_classes.len() <= 20 && web.attributes["k8s.pod.name"].len() <= 21);
    assert!(web.attributes["k8s.pod.name"].values().sum::<u64>() <= n);
}

/// A span every five minutes, backwards, for decades.
fn moments(out: &mut Out, n: u64) {
    for i in (0..n).rev() {
        let at = i * Series::SECONDS * 1_000_000_000;
        out.span("web", &Span { trace: trace(i), id: 1, kind: SERVER, name: "get", at, ..Span::default() });
    }
}

fn check_moments(s: &Snapshot, n: u64) {
    let web = s.nodes.iter().find(|node| node.id.0 == "web").unwrap();
    assert_eq!((web.handled.n, web.handled.series.0.len() as u64), (n, n.min(35 * 288)));
    let first = web.handled.series.0.keys().next().unwrap();
    let last = web.handled.series.0.keys().last().unwrap();
    assert_eq!(last - first + 1, n.min(35 * 288), "the latest are kept");
}

/// Requests of every operation of 40 services by way of everything: more ways in, more parts of a request, more that follows
/// what and more ways to fail than are told apart.
fn evidence(out: &mut Out, n: u64) {
    const SERVICES: u64 = 40;
    const CALLS: u64 = 9;
    let requests = n / (CALLS + 1);
    for i in 0..requests {
        let mix = |k: u64| (i * CALLS + k).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
        let name = |m: u64| format!("in {}", word(m / SERVICES % 490));
        let root = Span { trace: trace(i), id: 1, kind: SERVER, name: &name(mix(0)), failed: true, ..Span::default() };
        out.span(&format!("s {}", word(mix(0) % SERVICES)), &root);
        for k in 1..=CALLS {
            let (service, name) = (format!("s {}", word(mix(k) % SERVICES)), name(mix(k)));
            let failed = k % 2 == 0;
            let span =
                Span { trace: trace(i), id: k + 1, parent: 1, kind: SERVER, name: &name, failed, ..Span::default() };
            out.span(&service, &span);
        }
    }
}

fn check_evidence(s: &Snapshot, n: u64) {
    let requests = n / 10;
    assert_eq!((s.coverage.spans, s.coverage.traces), (requests * 10, requests));
    assert!(s.requests.len() <= 2048 && s.requests.iter().all(|r| r.parts.len() <= 64 && r.nodes.len() <= 41));
    assert!(!s.requests.is_empty() && s.origins.len() <= 1000 && s.traces.len() <= 40 * 5);
    assert!(s.operations.iter().all(|o| o.flow.steps.len() <= 512));
}

#[test]
fn more_names_than_the_caps_allow_are_summed_and_counted() {
    check_evidence(&small(|out| evidence(out, 50_000)), 50_000);
    check_operations(&small(|out| operations(out, 5_000)), 5_000);
    check_services(&small(|out| services(out, 12_000)), 12_000);
    check_peers(&small(|out| peers(out, 5_000)), 5_000);
    check_edges(&small(|out| edges(out, 4_900)), 4_900);
    check_errors(&small(|out| errors(out, 5_000)), 5_000);
    check_moments(&small(|out| moments(out, 12_000)), 12_000);
}

#[test]
#[ignore = "large: optimised builds"]
fn ten_million_operation_names_take_bounded_memory_and_linear_time() {
    let n = 10_000_000;
    check_operations(&large("operation names", n, LIMIT_MIB, operations), n);
}

#[test]
#[ignore = "large: optimised builds"]
fn a_million_services_take_bounded_memory_and_linear_time() {
    let n = 1_000_000;
    check_services(&large("services", n, LIMIT_MIB, services), n);
}

#[test]
#[ignore = "large: optimised builds"]
fn a_million_peers_edges_errors_pods_and_moments_take_bounded_memory_and_linear_time() {
    let n = 1_000_000;
    check_peers(&large("peers", n, LIMIT_MIB, peers), n);
    check_edges(&large("edges", n, LIMIT_MIB, edges), n);
    check_errors(&large("errors, pods and versions", n, LIMIT_MIB, errors), n);
    check_moments(&large("moments", n, LIMIT_MIB, moments), n);
}

#[test]
#[ignore = "large: optimised builds"]
fn evidence_at_all_its_bounds_takes_bounded_memory_and_linear_time() {
    let n = 4_000_000;
    let found = large("evidence", n, LIMIT_MIB, evidence);
    check_evidence(&found, n);
    assert!(found.operations.iter().any(|o| o.flow.beyond), "some operation is beyond its bound");
}
