//! Every sort of fault occurs, shows where its label says, and nowhere before its time.

use std::collections::BTreeSet;

use super::*;
use crate::world::choose::choose;
use crate::world::convention::client_name;
use crate::world::fault::{Kind as Sort, Place};
use crate::world::label::label;
use crate::world::load::Load;
use crate::world::plan;
use crate::world::system::{Step, walk};
use crate::world::wire::rng::Rng;
use crate::world::wire::span::Value;

/// A fault of this sort that is on during all [`requests`], or before all of them.
fn fault(system: &System, sort: Sort, on: bool) -> Option<Fault> {
    let mut fault = choose(system, &Load::of(system), sort, NOON, &mut Rng::new(system.seed, 77))?;
    (fault.from, fault.until) = if on { (NOON - SECOND, u64::MAX) } else { (NOON - 2 * SECOND, NOON - SECOND) };
    Some(fault)
}

/// An entry that reaches an operation, if one is enough to see it in a few hundred requests.
fn entry_to(system: &System, operation: usize) -> Option<usize> {
    let expected = |entry: usize| {
        let mut only = system.clone();
        only.entries.retain(|e| e.operation == entry);
        Load::of(&only).calls[operation]
    };
    system.entries.iter().map(|e| e.operation).max_by(|a, b| expected(*a).total_cmp(&expected(*b)))
}

#[test]
fn every_sort_is_dealt() {
    let mut sorts = BTreeSet::new();
    for (number, system) in some_systems(2).iter().enumerate() {
        for incident in (0..5).filter_map(|i| plan::incident(5, system, (number, 5, i), None)) {
            assert!(incident.from + 60 * SECOND <= incident.fault.from);
            assert!(incident.fault.until <= incident.until);
            assert_eq!(incident.fault.until - incident.fault.from, 180 * SECOND);
            let world = World::new(system, Some(incident.fault.clone()), &incident.unrelated);
            let label = label(system, &incident, &world.fleet, "x".to_owned(), Default::default());
            assert_eq!(label.fault_type, incident.fault.kind.name());
            match incident.fault.place {
                Place::Service(s) => assert_eq!(label.service.rsplit('/').next(), Some(system.services[s].name)),
                Place::Database(_) => assert!(label.service.starts_with("database:")),
                Place::External(_) => assert!(label.service.starts_with("external:")),
            }
            sorts.insert(label.fault_type);
        }
    }
    assert_eq!(sorts.len(), 10, "{sorts:?}");
}

#[test]
fn rare_services_are_hit_like_busy_ones() {
    let system = grow::system(5, 1);
    let load = Load::of(&system);
    let mut hits = vec![0; system.services.len()];
    for stream in 0..2000 {
        let fault = choose(&system, &load, Sort::CpuContention, NOON, &mut Rng::new(1, stream)).unwrap();
        let Place::Service(service) = fault.place else { panic!("{:?}", fault.place) };
        hits[service] += 1;
    }
    let hit: Vec<u32> = hits.into_iter().filter(|h| *h > 0).collect();
    let even = 2000 / u32::try_from(hit.len()).unwrap();
    assert!(hit.len() > 3 && hit.iter().all(|h| *h > even / 2 && *h < even * 2), "{hit:?}");
}

#[test]
fn nothing_happens_outside_of_its_time() {
    for system in some_systems(3) {
        for sort in Sort::ALL.into_iter().filter(|s| !matches!(s, Sort::BadVersion | Sort::RetryStorm)) {
            let Some(early) = fault(&system, sort, false) else { continue };
            assert_eq!(requests(&system, Some(early), None, 12), requests(&system, None, None, 12), "{sort:?}");
        }
    }
}

/// Names of the spans that the steps make in their own service.
fn names(system: &System, world: &World<'_>, steps: &[Step]) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    walk(steps, 1.0, true, &mut |step, _| {
        names.extend(match step {
            Step::Call(call) => {
                let made = &system.operations[call.operation];
                Some(client_name(world.style, made.via, made.name))
            }
            Step::Query(query) => Some(query.name),
            Step::Publish(topic) => Some(system.topics[*topic].publish),
            Step::Inner { name, .. } => Some(*name),
            _ => None,
        });
    });
    names
}

#[test]
fn what_comes_after_an_early_end_vanishes() {
    let mut seen = 0;
    for system in some_systems(8) {
        for sort in [Sort::Return, Sort::Exception] {
            let Some(mut on) = fault(&system, sort, true) else { continue };
            on.share = 1.0;
            let (operation, position) = (on.operation.unwrap(), on.position);
            let world = World::new(&system, None, &Unrelated::default());
            let program = &system.operations[operation].program;
            let allowed = names(&system, &world, &program[..position]);
            let gone: BTreeSet<_> = names(&system, &world, &program[position..]);
            let gone: BTreeSet<_> = gone.difference(&allowed).copied().collect();
            let made = |fault: Option<Fault>| {
                let mut names = BTreeSet::new();
                for spans in requests(&system, fault, entry_to(&system, operation), 80) {
                    let mut within: BTreeSet<u64> =
                        handled(&system, &world, &spans, operation).iter().map(|s| s.span_id).collect();
                    // Parents come before their children.
                    for span in &spans {
                        if within.contains(&span.parent_id) && !matches!(span.kind, Kind::Server | Kind::Consumer) {
                            within.insert(span.span_id);
                            names.insert(span.name);
                        }
                    }
                }
                names
            };
            let (without, with) = (made(None), made(Some(on)));
            assert!(with.is_disjoint(&gone), "{}: {with:?} although {gone:?} are cut off", system.name);
            seen += usize::from(!without.is_disjoint(&gone));
        }
    }
    assert!(seen >= 6, "only {seen} early ends cut something off");
}

#[test]
fn errors_are_marked_where_the_system_marks_them() {
    let (mut marked, mut unmarked) = (0, 0);
    for mut system in some_systems(10) {
        for operation in &mut system.operations {
            (operation.fails, operation.missing) = (0.0, 0.0);
        }
        let Some(mut on) = fault(&system, Sort::Exception, true) else { continue };
        on.share = 1.0;
        let operation = on.operation.unwrap();
        let world = World::new(&system, None, &Unrelated::default());
        for spans in requests(&system, Some(on), entry_to(&system, operation), 60) {
            let hit = handled(&system, &world, &spans, operation);
            if system.traits.marks_errors {
                let ids = by_id(&spans);
                for span in &hit {
                    assert!(span.error.is_some(), "{}", span.name);
                    if let Some(caller) = ids.get(&span.parent_id).filter(|c| c.kind == Kind::Client) {
                        assert!(caller.error.is_some(), "the caller of {}", span.name);
                    }
                }
                let origins = spans.iter().filter(|s| s.exception.is_some()).count();
                let timeouts = spans.iter().filter(|s| s.error == Some("deadline exceeded")).count();
                assert!(origins <= hit.len() + timeouts, "an exception is told once");
                marked += hit.len();
            } else {
                let coded = |s: &Span| s.attributes.iter().any(|(key, _)| key.contains("status_code"));
                assert!(spans.iter().all(|s| s.error.is_none() && s.exception.is_none() && !coded(s)));
                unmarked += hit.len();
            }
        }
    }
    assert!(marked > 50 && unmarked > 50, "{marked} {unmarked}");
}

#[allow(clippy::cast_precision_loss, reason = "durations")]
fn mean(times: &[u64]) -> f64 {
    times.iter().sum::<u64>() as f64 / times.len().max(1) as f64
}

#[test]
fn network_delay_lies_between_client_and_server() {
    let mut seen = 0;
    for system in some_systems(8) {
        let Some(on) = fault(&system, Sort::NetworkDelay, true) else { continue };
        let Place::Service(service) = on.place else { panic!("{:?}", on.place) };
        let add = on.add;
        let world = World::new(&system, None, &Unrelated::default());
        let gaps = |fault: Option<Fault>| {
            let (mut gaps, mut own) = (Vec::new(), Vec::new());
            for spans in requests(&system, fault, None, 200) {
                let ids = by_id(&spans);
                for span in spans.iter().filter(|s| s.kind == Kind::Server) {
                    let Some(caller) = ids.get(&span.parent_id).filter(|c| c.kind == Kind::Client) else { continue };
                    let calls = spans.iter().any(|s| s.parent_id == span.span_id && s.kind != Kind::Internal);
                    // Who gave up did not see the delay.
                    let called = world.fleet.pods[span.process as usize].service;
                    if called == service && caller.end > span.end {
                        gaps.push((caller.end - caller.start).saturating_sub(span.end - span.start));
                        own.extend((!calls).then(|| span.end - span.start));
                    }
                }
            }
            (gaps, own)
        };
        let ((before, _), (after, _)) = (gaps(None), gaps(Some(on)));
        if before.len() < 20 || after.len() < 20 {
            continue;
        }
        let more = mean(&after) - mean(&before);
        assert!((0.5..1.6).contains(&(more / add)), "{}: {more} ns more, {add} added", system.name);
        seen += 1;
    }
    assert!(seen >= 2, "{seen}");
}

#[test]
fn a_bad_version_is_told_by_its_pods() {
    let mut seen = 0;
    for system in some_systems(6) {
        let Some(on) = fault(&system, Sort::BadVersion, true) else { continue };
        let world = World::new(&system, Some(on.clone()), &Unrelated::default());
        let resources = world.fleet.resources(&system);
        let version = |pod: usize| resources[pod].iter().find(|(key, _)| *key == "service.version").unwrap().1.clone();
        let fresh: Vec<usize> = (0..world.fleet.pods.len()).filter(|p| world.fleet.pods[*p].fresh).collect();
        assert_eq!(fresh.len(), on.fresh_pods);
        let (fresh, old): (BTreeSet<String>, BTreeSet<String>) = {
            let text = |v: Value| format!("{v:?}");
            let mine = (0..world.fleet.pods.len()).filter(|p| on.place == Place::Service(world.fleet.pods[*p].service));
            let (fresh, old): (Vec<usize>, Vec<usize>) = mine.partition(|p| world.fleet.pods[*p].fresh);
            (fresh.into_iter().map(|p| text(version(p))).collect(), old.into_iter().map(|p| text(version(p))).collect())
        };
        assert!(fresh.len() == 1 && old.len() == 1 && fresh != old, "{fresh:?} {old:?}");
        seen += 1;
    }
    assert!(seen >= 4);
}

#[test]
fn retries_multiply_calls_and_a_dead_dependency_answers_at_once() {
    let (mut storms, mut deaths) = (0, 0);
    for system in some_systems(8) {
        if let Some(on) = fault(&system, Sort::RetryStorm, true) {
            let operation = on.operation.unwrap();
            let world = World::new(&system, None, &Unrelated::default());
            let calls = |fault: Option<Fault>| {
                let all = requests(&system, fault, entry_to(&system, operation), 150);
                all.iter().map(|spans| handled(&system, &world, spans, operation).len()).sum::<usize>()
            };
            let (before, after) = (calls(None), calls(Some(on)));
            storms += usize::from(before > 30 && after * 10 > before * 14);
        }
        if let Some(on) = fault(&system, Sort::DependencyDown, true) {
            let Place::External(external) = on.place else { panic!("{:?}", on.place) };
            let host = Value::Static(system.externals[external].host);
            for span in requests(&system, Some(on), None, 100).concat() {
                if span.attributes.iter().any(|(_, value)| *value == host) {
                    assert!(span.end - span.start < 4_000_000);
                    assert_eq!(span.error.is_some(), system.traits.marks_errors);
                    deaths += 1;
                }
            }
        }
    }
    assert!(storms >= 3 && deaths >= 20, "{storms} {deaths}");
}
