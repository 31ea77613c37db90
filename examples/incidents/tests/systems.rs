//! Systems are as varied as promised, their traces are sane, and everything is the same the second time.

use std::collections::BTreeSet;

use super::*;
use crate::world::capture::capture;
use crate::world::load::Load;
use crate::world::maths::{exp, ln, normal};
use crate::world::plan;
use crate::world::pools::Pools;
use crate::world::wire::rng::Rng;

#[test]
fn functions_agree_with_the_standard_library() {
    for step in 1..4000_u32 {
        let x = f64::from(step) / 100.0;
        assert!((exp(x - 20.0) / (x - 20.0).exp() - 1.0).abs() < 1e-13, "e^{x}");
        assert!((ln(x) - x.ln()).abs() < 1e-13, "ln {x}");
    }
    let mut rng = Rng::new(1, 1);
    let numbers: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
    let mean = numbers.iter().sum::<f64>() / 20_000.0;
    let square = numbers.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
    assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.04, "{mean} {square}");
    let beyond = numbers.iter().filter(|x| x.abs() > 1.96).count();
    assert!((800..1200).contains(&beyond), "{beyond} of 20,000 beyond 1.96");
}

#[test]
fn same_seed_same_bytes() {
    let bytes = |seed: u64| {
        let system = grow::system(seed, 2);
        let incident = plan::incident(seed, &system, (2, 5, 1), None).unwrap();
        let fault = incident.fault.clone();
        let window = (fault.from - 5 * SECOND, fault.from + 5 * SECOND);
        let world = World::new(&system, Some(fault), &incident.unrelated);
        capture(&world, incident.seed, window, Vec::new()).unwrap().0
    };
    let first = bytes(7);
    assert!(first.len() > 10_000);
    assert!(first == bytes(7), "the second run differs");
    assert!(first != bytes(8), "the seed does nothing");
}

#[test]
fn systems_differ() {
    let systems: Vec<System> = (0..60).map(|number| grow::system(2, number)).collect();
    let mut namings = BTreeSet::new();
    for system in &systems {
        let load = Load::of(system);
        assert!((8..=40).contains(&system.services.len()), "{}", system.services.len());
        assert!((6.0..=38.0).contains(&load.spans), "{}: {} spans a request", system.name, load.spans);
        assert!((5.0..=30.0).contains(&system.rate), "{}", system.rate);
        let depth = 1 + system.services.iter().map(|s| s.level).max().unwrap();
        assert!((3..=6).contains(&depth));
        let names: BTreeSet<&str> = system.services.iter().map(|s| s.name).collect();
        assert_eq!(names.len(), system.services.len(), "names are unique");
        // Nothing is there that nobody uses.
        for (operation, calls) in load.calls.iter().enumerate() {
            let consumer = crate::world::load::is_consumer(system, operation);
            assert!(*calls > 0.0 || consumer, "{}: {operation} is never called", system.name);
        }
        namings.insert(system.traits.naming);
    }
    assert_eq!(namings, BTreeSet::from(["grpc", "http", "java", "mixed"]));
    let share = |has: fn(&System) -> bool| systems.iter().filter(|s| has(s)).count();
    for (what, count) in [
        ("one name for all entries", share(|s| s.traits.catch_all)),
        ("no error marks", share(|s| !s.traits.marks_errors)),
        ("shared stores", share(|s| s.traits.shared_stores)),
        ("callers stop without data", share(|s| s.traits.empty_stops)),
        ("namespaces", share(|s| s.traits.namespace.is_some())),
        ("limited workers", share(|s| s.services.iter().any(|s| s.workers.is_some()))),
        ("linked consumers", share(|s| s.traits.linked && !s.topics.is_empty())),
        ("instrumentation gaps", share(|s| s.services.iter().any(|s| !s.client_spans))),
        ("duplicates", share(|s| s.traits.duplicates > 0.0)),
        ("skewed clocks", share(|s| s.traits.skew > 0.0)),
    ] {
        assert!((3..57).contains(&count), "{what}: {count} of 60");
    }
}

#[test]
fn traces_are_trees() {
    for system in some_systems(6) {
        let world = World::new(&system, None, &Unrelated::default());
        for spans in requests(&system, None, None, 40) {
            let ids = by_id(&spans);
            assert_eq!(ids.len(), spans.len(), "ids are unique");
            let mut traces: BTreeSet<u128> = BTreeSet::new();
            for span in &spans {
                assert!(span.start <= span.end, "{}", span.name);
                if span.parent_id == 0 {
                    assert!(traces.insert(span.trace_id), "one root a trace");
                    assert!(matches!(span.kind, Kind::Server | Kind::Consumer), "{}", span.name);
                    continue;
                }
                let parent = ids[&span.parent_id];
                assert_eq!(parent.trace_id, span.trace_id);
                assert!(span.start >= parent.start, "{} begins before {}", span.name, parent.name);
                let service = |s: &Span| world.fleet.pods[s.process as usize].service;
                let same = service(parent) == service(span);
                match span.kind {
                    Kind::Internal | Kind::Client | Kind::Producer => {
                        assert!(same && span.process == parent.process, "{}", span.name);
                        assert!(span.end <= parent.end, "{} ends after {}", span.name, parent.name);
                    }
                    Kind::Consumer => assert!(!same),
                    Kind::Server if parent.kind == Kind::Client => assert!(!same),
                    Kind::Server => assert!(!same && !system.services[service(parent)].client_spans),
                }
            }
            for link in spans.iter().flat_map(|s| &s.links) {
                assert_eq!(ids[&link.1].kind, Kind::Producer);
            }
        }
    }
}

#[test]
fn workers_are_given_in_order_of_time() {
    let mut pools = Pools::new(1);
    let mut serve = |at: u64, lasts: u64| {
        let start = pools.start(0, 2, at, 0);
        pools.take(0, start, start + lasts);
        start
    };
    assert_eq!([serve(0, 100), serve(10, 100)], [0, 10]);
    assert_eq!(serve(20, 100), 100, "the first worker is free at 100");
    assert_eq!(serve(30, 10), 110, "the second at 110");
    assert_eq!(serve(500, 100), 500);
    assert_eq!(serve(300, 10), 300, "what is taken later does not block");
    assert_eq!([serve(510, 10), serve(515, 10)], [510, 520]);
}

#[test]
fn expected_loads_come_out() {
    for system in some_systems(3) {
        let load = Load::of(&system);
        let world = World::new(&system, None, &Unrelated::default());
        let window = (NOON, NOON + 60 * SECOND);
        let (bytes, counts) = capture(&world, 9, window, Vec::new()).unwrap();
        assert!(bytes.ends_with(b"\n"));
        #[allow(clippy::cast_precision_loss, reason = "counts")]
        let found = counts.spans as f64;
        let wanted = load.spans * system.rate * 60.0;
        assert!((0.6..1.5).contains(&(found / wanted)), "{}: {found} spans, {wanted} expected", system.name);
        assert_eq!((counts.bites, counts.met), (0, 0), "nothing is wrong");
    }
}
