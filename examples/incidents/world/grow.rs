//! A random system from a seed.
//!
//! Purpose: systems that differ in what makes diagnosis hard: size, depth, naming, gaps, what is shared. Input: a seed and
//! the number of the system. Output: a [`System`]. Must not: know of faults, or of how incidents are diagnosed: what is
//! drawn here is what systems are like, not what a method can do.

use super::load::Load;
use super::maths::{log_uniform, mix, uniform};
use super::names::{DOORS, NOUNS, OUTSIDE, SYSTEMS, VERBS, below, capital, keep, one, shuffled};
use super::program::{Parts, program};
use super::stores::{self, Stores};
use super::system::{Call, Entry, External, Latency, Naming, Operation, Service, System, Traits, Via};
use super::wire::rng::Rng;

/// Spans per request that a system may have on average.
const SPANS: std::ops::RangeInclusive<f64> = 6.0..=38.0;
/// Every system stores something and needs somebody outside, in at least this share of its requests.
const NEEDED: f64 = 0.02;

/// System number `number` of a seed.
pub(crate) fn system(seed: u64, number: usize) -> System {
    let seed = mix(seed, number as u64);
    let mut attempt = 0;
    loop {
        let mut system = draft(&mut Rng::new(seed, attempt), number);
        system.seed = seed;
        let load = Load::of(&system);
        attempt += 1;
        // After many attempts whatever comes is taken; none has come so far.
        let needs = |uses: &[f64]| uses.iter().any(|u| *u >= NEEDED);
        let whole = SPANS.contains(&load.spans) && needs(&load.queries) && needs(&load.outside);
        if whole || attempt > 500 {
            let mut rng = Rng::new(seed, u64::MAX);
            let most = (190.0 / load.spans).clamp(5.0, 30.0);
            let least = (19.0 / load.spans).clamp(5.0, most);
            system.rate = log_uniform(&mut rng, least, most);
            return system;
        }
    }
}

fn traits(rng: &mut Rng, number: usize) -> Traits {
    Traits {
        naming: ["grpc", "http", "java", "mixed"][rng.pick([30, 30, 25, 15].into_iter())],
        catch_all: rng.chance(0.3),
        marks_errors: rng.chance(0.65),
        empty_stops: rng.chance(0.5),
        namespace: rng.chance(0.6).then(|| SYSTEMS[number % SYSTEMS.len()]),
        old: rng.chance(0.4),
        linked: rng.chance(0.25),
        pooled: rng.chance(0.5),
        shared_stores: rng.chance(0.45),
        duplicates: if rng.chance(0.4) { uniform(rng, 0.001, 0.01) } else { 0.0 },
        lost: 0.005,
        skew: if rng.chance(0.6) { uniform(rng, 0.5e6, 5e6) } else { 0.0 },
        network: Latency { median: log_uniform(rng, 80e3, 500e3), sigma: uniform(rng, 0.2, 0.6) },
    }
}

fn draft(rng: &mut Rng, number: usize) -> System {
    let traits = traits(rng, number);
    let services = services(rng, &traits);
    let stores = Stores::new(rng, &traits, &services);
    let topics = rng.between(0, 3);
    let externals = externals(rng, &services);
    let mut system = System {
        name: format!("s{number:02}-{}", SYSTEMS[number % SYSTEMS.len()]),
        seed: 0,
        traits,
        operations: Vec::new(),
        databases: stores.databases.clone(),
        topics: Vec::new(),
        externals,
        entries: Vec::new(),
        rate: 5.0,
        services,
    };
    operations(rng, &mut system);
    for topic in 0..usize::try_from(topics).unwrap_or(0) {
        stores::topic(rng, &mut system, topic);
    }
    let parts = wiring(rng, &mut system, &stores);
    for (operation, parts) in parts.iter().enumerate() {
        system.operations[operation].program = program(parts, rng);
    }
    entries(rng, &mut system);
    system
}

fn services(rng: &mut Rng, traits: &Traits) -> Vec<Service> {
    let count = below_f(log_uniform(rng, 8.0, 41.0));
    let depth = 3 + below(4, rng);
    let doors = if count > 12 && rng.chance(0.35) { 2 } else { 1 };
    let nouns = shuffled(NOUNS, rng);
    let names = shuffled(DOORS, rng);
    let style = below(4, rng);
    let (gap, door_gap) = (rng.chance(0.3), rng.chance(0.1));
    (0..count)
        .map(|position| {
            let door = position < doors;
            let level = match position {
                p if p < doors => 0,
                p if p < doors + depth - 1 => p - doors + 1,
                _ => 1 + below(depth - 1, rng),
            };
            let noun = nouns[position];
            let name = match style {
                0 => format!("{noun}s"),
                1 => format!("{noun}-service"),
                2 => format!("{noun}service"),
                _ => format!("{noun}-svc"),
            };
            let naming = match traits.naming {
                "grpc" if !door => Naming::Grpc,
                "java" => Naming::Java,
                "mixed" => one(&[Naming::Grpc, Naming::Http, Naming::Java], rng),
                _ => Naming::Http,
            };
            // Front doors take HTTP, whatever is behind them.
            let naming = if door && naming == Naming::Grpc { Naming::Http } else { naming };
            let language = if naming == Naming::Java { "java" } else { one(&["go", "nodejs", "python", "java"], rng) };
            let collects = if language == "java" { 0.5 } else { 0.15 };
            Service {
                name: if door { names[position] } else { keep(name) },
                noun,
                level,
                naming,
                language,
                pods: 1 + below(4, rng),
                busy: log_uniform(rng, 0.005, 0.3),
                workers: (traits.pooled && rng.chance(0.7)).then(|| 6 + below(27, rng)),
                waits_inside: rng.chance(0.2),
                client_spans: !(gap && rng.chance(if door { 0.0 } else { 0.15 }) || door && door_gap),
                drift: if rng.chance(0.4) { uniform(rng, 0.1, 0.3) } else { 0.03 },
                pauses: rng
                    .chance(collects)
                    .then(|| (rng.between(4_000_000_000, 60_000_000_000), rng.between(15_000_000, 200_000_000))),
            }
        })
        .collect()
}

/// A whole number from a drawn one.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small and positive")]
fn below_f(x: f64) -> usize {
    x as usize
}

/// One to three; the first may be a service of their own that nobody instrumented.
fn externals(rng: &mut Rng, services: &[Service]) -> Vec<External> {
    let outside = shuffled(OUTSIDE, rng);
    let own = rng.chance(0.5);
    (0..1 + below(3, rng))
        .map(|position| {
            let (host, method, path) = outside[position];
            let host = match services.last() {
                Some(last) if own && position == 0 => keep(format!("legacy-{}.internal", last.noun)),
                _ => host,
            };
            External {
                host,
                method,
                path,
                latency: Latency { median: log_uniform(rng, 3e6, 120e6), sigma: uniform(rng, 0.3, 0.9) },
            }
        })
        .collect()
}

/// What each service offers. Who calls it is drawn later.
fn operations(rng: &mut Rng, system: &mut System) {
    let catch_all = one(&["Recv.", "HTTP GET", "GET /**"], rng);
    let noisy = rng.chance(0.7);
    for (position, service) in system.services.iter().enumerate() {
        let door = service.level == 0;
        let count = if door { 3 + below(6, rng) } else { 1 + below(4, rng) };
        let verbs = shuffled(VERBS, rng);
        let nouns = shuffled(NOUNS, rng);
        for number in 0..count {
            let (verb, method, single, suffix) = verbs[number];
            let noun = if door { nouns[number] } else { service.noun };
            let route = keep(format!("/{noun}s{}{suffix}", if single { "/{id}" } else { "" }));
            let inside = format!("{verb}{}", capital(noun));
            let (via, name) = if service.naming == Naming::Grpc {
                let space = system.traits.namespace.unwrap_or("api");
                let api = keep(format!("{space}.{}Service", capital(noun)));
                let name = keep(format!("{api}/{inside}"));
                (Via::Grpc { service: api, method: keep(inside.clone()) }, name)
            } else {
                (Via::Http { method, route }, keep(format!("{method} {route}")))
            };
            let mut letters = inside.chars();
            let camel: String = letters.next().map(|c| c.to_ascii_lowercase()).into_iter().chain(letters).collect();
            let controller =
                (service.naming == Naming::Java).then(|| keep(format!("{}Controller.{camel}", capital(noun))));
            let name = if door && system.traits.catch_all { catch_all } else { name };
            system.operations.push(Operation {
                service: position,
                via,
                name,
                controller,
                program: Vec::new(),
                fails: if noisy && rng.chance(0.3) { log_uniform(rng, 0.0002, 0.02) } else { 0.0 },
                missing: if method == "GET" && rng.chance(0.2) { log_uniform(rng, 0.001, 0.02) } else { 0.0 },
            });
        }
    }
}

/// Who calls whom, in a directed graph without circles: calls lead to deeper levels only.
fn wiring(rng: &mut Rng, system: &mut System, stores: &Stores) -> Vec<Parts> {
    let deepest = system.services.iter().map(|s| s.level).max().unwrap_or(0);
    let served: Vec<usize> = (0..system.operations.len()).filter(|o| !super::load::is_consumer(system, *o)).collect();
    let mut parts: Vec<Parts> = Vec::new();
    let mut called = vec![false; system.operations.len()];
    for operation in 0..system.operations.len() {
        let it = &system.operations[operation];
        let (level, service) = (system.services[it.service].level, it.service);
        let mut mine = Parts::default();
        let wanted = match level {
            0 => 1 + below(4, rng),
            l if l == deepest => 0,
            1 => below(4, rng),
            _ => below(3, rng),
        };
        for _ in 0..wanted {
            let next = rng.chance(0.7);
            let fits = |o: &&usize| {
                let other = system.service_of(**o).level;
                if next { other == level + 1 } else { other > level }
            };
            let candidates: Vec<usize> = served.iter().filter(fits).copied().collect();
            if candidates.is_empty() {
                continue;
            }
            let chosen = one(&candidates, rng);
            if mine.calls.iter().all(|c| c.operation != chosen) {
                called[chosen] = true;
                mine.calls.push(call(rng, system, chosen));
            }
        }
        mine.queries = stores.queries(rng, service);
        if level > 0 && rng.chance(0.05) {
            mine.outside = Some(below(system.externals.len(), rng));
        }
        if system.services[service].naming == Naming::Java {
            mine.dotted = Some(format!("{}Service", capital(system.services[service].noun)));
        }
        parts.push(mine);
    }
    // Nothing is there in vain: what nobody calls yet is called once in a while.
    for &operation in &served {
        let level = system.service_of(operation).level;
        if level == 0 || called[operation] {
            continue;
        }
        let above: Vec<usize> = served.iter().filter(|o| system.service_of(**o).level < level).copied().collect();
        let caller = one(&above, rng);
        let made = call(rng, system, operation);
        parts[caller].rare.push(made);
    }
    // Every system has somebody outside whom it needs.
    for external in 0..system.externals.len() {
        if parts.iter().all(|p| p.outside != Some(external)) {
            let free: Vec<usize> =
                served.iter().filter(|o| parts[**o].outside.is_none() && called[**o]).copied().collect();
            if !free.is_empty() {
                parts[one(&free, rng)].outside = Some(external);
            }
        }
    }
    stores::publishers(rng, system, &mut parts);
    parts
}

fn call(rng: &mut Rng, system: &System, operation: usize) -> Call {
    let timeout = match rng.between(0, 9) {
        0 => Some(rng.between(300_000_000, 900_000_000)),
        1..=4 => Some(rng.between(1_000_000_000, 5_000_000_000)),
        _ => None,
    };
    Call {
        operation,
        needs: system.traits.empty_stops && rng.chance(0.6),
        optional: rng.chance(0.2),
        timeout,
        retries: if rng.chance(0.15) { u32::try_from(rng.between(1, 2)).unwrap_or(1) } else { 0 },
    }
}

/// Some pages are asked for all the time, some a few times a minute.
fn entries(rng: &mut Rng, system: &mut System) {
    let doors: Vec<usize> = (0..system.operations.len()).filter(|o| system.service_of(*o).level == 0).collect();
    for (rank, operation) in shuffled(&doors, rng).into_iter().enumerate() {
        #[allow(clippy::cast_precision_loss, reason = "small")]
        let common = 1.0 / (1.0 + rank as f64);
        let weight = if rank > 2 && rng.chance(0.25) { uniform(rng, 0.01, 0.05) } else { common };
        system.entries.push(Entry { operation, weight });
    }
}
