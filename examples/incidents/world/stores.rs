//! Databases, caches and topics of a random system.
//!
//! Purpose: who stores where and who tells whom; some systems share a database, in others each service has its own.
//! Input: the services. Output: databases, statements, topics with their consumers. Must not: place steps in programs.

use super::maths::{log_uniform, uniform};
use super::names::{below, keep, one, shuffled};
use super::program::Parts;
use super::system::{Database, Latency, Operation, Query, Service, System, Topic, Traits, Via};
use super::wire::rng::Rng;

/// Databases, and which of them each service uses.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) databases: Vec<Database>,
    /// (database, table) by service.
    of: Vec<Option<(usize, &'static str)>>,
    cache: Vec<Option<usize>>,
}

impl Stores {
    pub(crate) fn new(rng: &mut Rng, traits: &Traits, services: &[Service]) -> Self {
        let mut databases = Vec::new();
        let shared = if traits.shared_stores { 1 + below(2, rng) } else { 0 };
        for number in 0..shared {
            databases.push(database(rng, ["main", "core"][number]));
        }
        let mut of = Vec::new();
        for service in services {
            let stores = service.level > 0 && rng.chance(0.65);
            let table = keep(format!("{}s", service.noun));
            of.push(match stores {
                true if shared > 0 && rng.chance(0.7) => Some((below(shared, rng), table)),
                true => {
                    databases.push(database(rng, table));
                    Some((databases.len() - 1, table))
                }
                false => None,
            });
        }
        let mut shared_cache = None;
        let cached = rng.chance(0.6);
        let cache = services
            .iter()
            .zip(&of)
            .map(|(service, stored)| {
                if !cached || stored.is_none() || !rng.chance(0.35) {
                    return None;
                }
                if traits.shared_stores
                    && let Some(known) = shared_cache
                {
                    return Some(known);
                }
                databases.push(Database {
                    system: "redis",
                    namespace: "",
                    host: keep(format!("{}-cache", service.noun)),
                    port: 6379,
                    latency: Latency { median: log_uniform(rng, 100e3, 900e3), sigma: uniform(rng, 0.3, 0.8) },
                });
                shared_cache = Some(databases.len() - 1);
                shared_cache
            })
            .collect();
        Self { databases, of, cache }
    }

    /// Statements of one operation of a service, each with the cache that is asked first.
    pub(crate) fn queries(&self, rng: &mut Rng, service: usize) -> Vec<(Option<Query>, Query)> {
        let Some((database, table)) = self.of[service] else { return Vec::new() };
        let count = [0, 1, 1, 1, 2, 3][below(6, rng)];
        let document = self.databases[database].system == "mongodb";
        let statement = |verb: &'static str| {
            let name = format!("{verb} {table}");
            Query { database, name: keep(name), verb, table }
        };
        let verbs = if document { ["find", "insert", "update"] } else { ["SELECT", "INSERT", "UPDATE"] };
        let mut all = vec![];
        for number in 0..count {
            let verb = if number == 0 || rng.chance(0.6) { verbs[0] } else { verbs[1 + below(2, rng)] };
            let cache = self.cache[service].filter(|_| number == 0).map(|cache| Query {
                database: cache,
                name: "GET",
                verb: "GET",
                table: "",
            });
            all.push((cache, statement(verb)));
        }
        all
    }
}

fn database(rng: &mut Rng, namespace: &'static str) -> Database {
    let (system, port) = one(&[("mysql", 3306), ("postgresql", 5432), ("postgresql", 5432), ("mongodb", 27017)], rng);
    Database {
        system,
        namespace,
        host: keep(format!("{namespace}-db")),
        port,
        latency: Latency { median: log_uniform(rng, 250e3, 8e6), sigma: uniform(rng, 0.4, 0.9) },
    }
}

/// One more topic, and the operations that handle its messages.
pub(crate) fn topic(rng: &mut Rng, system: &mut System, number: usize) {
    let readers: Vec<usize> = (0..system.services.len()).filter(|s| system.services[*s].level > 0).collect();
    let readers = shuffled(&readers, rng);
    let name = keep(format!("{}-events", system.services[readers[0]].noun));
    let old = system.traits.old;
    let mut consumers = Vec::new();
    for &service in readers.iter().skip(1).take(1 + below(2, rng)) {
        consumers.push(system.operations.len());
        system.operations.push(Operation {
            service,
            via: Via::Message { topic: number },
            name: keep(if old { format!("{name} process") } else { format!("process {name}") }),
            controller: None,
            program: Vec::new(),
            fails: 0.0,
            missing: 0.0,
        });
    }
    system.topics.push(Topic {
        name,
        publish: keep(if old { format!("{name} publish") } else { format!("publish {name}") }),
        host: "kafka-bootstrap",
        dwell: Latency { median: log_uniform(rng, 1e6, 300e6), sigma: uniform(rng, 0.3, 0.9) },
        consumers,
    });
}

/// One or two operations publish on each topic. Its consumers' services lie deeper or on the same level, and consumers
/// publish nothing: no message causes itself.
pub(crate) fn publishers(rng: &mut Rng, system: &System, parts: &mut [Parts]) {
    for (topic, it) in system.topics.iter().enumerate() {
        let highest = it.consumers.iter().map(|c| system.service_of(*c).level).min().unwrap_or(0);
        let fits = |o: &usize| {
            let operation = &system.operations[*o];
            system.services[operation.service].level <= highest
                && !matches!(operation.via, Via::Message { .. })
                && parts[*o].publish.is_none()
                && it.consumers.iter().all(|c| system.operations[*c].service != operation.service)
        };
        let fitting: Vec<usize> = (0..parts.len()).filter(fits).collect();
        for operation in shuffled(&fitting, rng).into_iter().take(1 + below(2, rng)) {
            parts[operation].publish = Some(topic);
        }
    }
}
