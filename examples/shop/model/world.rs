//! A system's table with every name resolved, and the processes that emit its spans.

use super::Incident;
use super::rng::Rng;
use super::span::{Attributes, Value};
use super::system::{Fault, Service, Statement, System, Target};

/// The two releases that run side by side.
const VERSIONS: [&str; 2] = ["1.4.0", "1.5.0"];

/// What a step calls, by position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    Operation(usize, usize),
    Store(usize, &'static Statement),
    Topic(usize),
    External(usize),
}

/// One pod.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) service: usize,
    pub(super) version: usize,
    /// OTLP resource attributes.
    pub(crate) attributes: Attributes,
}

/// What a simulation needs to know.
#[derive(Debug)]
pub(crate) struct World {
    pub(super) system: &'static System,
    /// Ids of all nodes in the spelling of tracebook's answers: the user, then services, stores, topics, externals.
    pub(super) nodes: Vec<String>,
    /// Steps of each operation of each service.
    pub(super) goals: Vec<Vec<Vec<Goal>>>,
    pub(super) entries: Vec<(usize, usize)>,
    /// Consumer groups of each topic.
    pub(super) groups: Vec<Vec<(usize, usize)>>,
    pub(crate) processes: Vec<Process>,
    /// DNS names of the services.
    pub(super) hosts: Vec<String>,
    pub(super) skewed: usize,
    pub(super) fault: Option<(&'static Fault, Incident)>,
    /// Spans and resources have eight attributes each.
    pub(super) wide: bool,
}

impl World {
    pub(super) fn new(system: &'static System, incident: Option<Incident>, wide: bool) -> Result<Self, String> {
        let find = |service: &str, operation: &str| find_operation(system, service, operation);
        let mut goals = Vec::new();
        for service in system.services {
            let of_service: Result<Vec<Vec<Goal>>, String> = service
                .operations
                .iter()
                .map(|o| o.steps.iter().map(|step| resolve(system, &step.target)).collect())
                .collect();
            goals.push(of_service?);
        }
        let entries = system.entries.iter().map(|e| find(e.service, e.operation)).collect::<Result<_, _>>()?;
        let groups = system
            .topics
            .iter()
            .map(|topic| topic.groups.iter().map(|g| find(g.service, g.operation)).collect())
            .collect::<Result<_, _>>()?;
        let fault = match incident {
            None => None,
            Some(incident) => {
                let names: Vec<&str> = system.faults.iter().map(|f| f.name).collect();
                let fault = system.faults.iter().find(|f| f.name == incident.name).ok_or_else(|| {
                    format!("{} has no fault `{}`; it has {}", system.name, incident.name, names.join(", "))
                })?;
                Some((fault, incident))
            }
        };
        Ok(Self {
            system,
            nodes: nodes(system),
            goals,
            entries,
            groups,
            processes: processes(system, wide),
            hosts: system.services.iter().map(|s| format!("{}.{}.svc", s.name, system.k8s_namespace)).collect(),
            skewed: system.services.iter().position(|s| s.name == system.skewed).unwrap_or(usize::MAX),
            fault,
            wide,
        })
    }

    pub(super) fn service(&self, service: usize) -> &'static Service {
        &self.system.services[service]
    }

    /// A pod of a service: (region, version, pod) → position in `processes`.
    pub(super) fn process(&self, service: usize, region: usize, version: usize, pod: usize) -> usize {
        let mut base = 0;
        for earlier in &self.system.services[..service] {
            base += earlier.pods as usize * VERSIONS.len() * self.system.regions.len();
        }
        base + (region * VERSIONS.len() + version) * self.service(service).pods as usize + pod
    }

    /// Whether a version filter of a fault names this version.
    pub(super) fn is_version(version: Option<usize>, wanted: &str) -> bool {
        version.is_some_and(|v| VERSIONS[v] == wanted)
    }

    // Nodes by position.

    pub(super) const USER: usize = 0;

    pub(super) fn service_node(service: usize) -> usize {
        1 + service
    }

    pub(super) fn store_node(&self, store: usize) -> usize {
        1 + self.system.services.len() + store
    }

    pub(super) fn topic_node(&self, topic: usize) -> usize {
        self.store_node(self.system.stores.len()) + topic
    }

    pub(super) fn external_node(&self, external: usize) -> usize {
        self.topic_node(self.system.topics.len()) + external
    }
}

fn nodes(system: &System) -> Vec<String> {
    let service = |name: &str| system.namespace.map_or_else(|| name.to_owned(), |space| format!("{space}/{name}"));
    let store = |s: &super::system::Store| {
        format!("database:{}:{}", s.system, if s.namespace.is_empty() { s.address } else { s.namespace })
    };
    std::iter::once("entry:user".to_owned())
        .chain(system.services.iter().map(|s| service(s.name)))
        .chain(system.stores.iter().map(store))
        .chain(system.topics.iter().map(|t| format!("messaging:kafka:{}", t.name)))
        .chain(system.externals.iter().map(|e| format!("external:{}", e.host)))
        .collect()
}

fn find_operation(system: &System, service: &str, operation: &str) -> Result<(usize, usize), String> {
    let at = system.services.iter().position(|s| s.name == service);
    let at = at.ok_or_else(|| format!("{}: no service `{service}`", system.name))?;
    let of = system.services[at].operations.iter().position(|o| o.name == operation);
    Ok((at, of.ok_or_else(|| format!("{}: {service} has no operation `{operation}`", system.name))?))
}

fn resolve(system: &System, target: &Target) -> Result<Goal, String> {
    let missing = |what: &str| format!("{}: nothing is called `{what}`", system.name);
    Ok(match *target {
        Target::Service { service, operation } => {
            let (service, operation) = find_operation(system, service, operation)?;
            Goal::Operation(service, operation)
        }
        Target::Store { store, statement } => {
            Goal::Store(system.stores.iter().position(|s| s.name == store).ok_or_else(|| missing(store))?, statement)
        }
        Target::Topic(topic) => {
            Goal::Topic(system.topics.iter().position(|t| t.name == topic).ok_or_else(|| missing(topic))?)
        }
        Target::External { external } => {
            Goal::External(system.externals.iter().position(|e| e.name == external).ok_or_else(|| missing(external))?)
        }
    })
}

/// The pods have the same names whatever the seed, so that two runs differ in traffic only.
fn processes(system: &System, wide: bool) -> Vec<Process> {
    let mut rng = Rng::new(0, 0);
    let mut all = Vec::new();
    for (position, service) in system.services.iter().enumerate() {
        for (region, _) in system.regions {
            for (number, version) in VERSIONS.iter().enumerate() {
                let set = rng.bits() >> 28;
                for pod in 0..service.pods {
                    let pod_name = format!("{}-{set:09x}-{:05x}", service.name, rng.bits() >> 44);
                    let zone = format!("{region}{}", if pod % 2 == 0 { 'a' } else { 'b' });
                    let mut attributes = vec![("service.name", Value::Static(service.name))];
                    attributes.extend(system.namespace.map(|n| ("service.namespace", Value::Static(n))));
                    attributes.extend([
                        ("service.version", Value::Static(version)),
                        ("service.instance.id", Value::Text(pod_name.clone())),
                        ("deployment.environment.name", Value::Static("production")),
                        ("cloud.provider", Value::Static("aws")),
                        ("cloud.region", Value::Static(region)),
                        ("cloud.availability_zone", Value::Text(zone)),
                        ("k8s.cluster.name", Value::Text(format!("{}-{region}", system.cluster))),
                        ("k8s.namespace.name", Value::Static(system.k8s_namespace)),
                        ("k8s.deployment.name", Value::Static(service.name)),
                        ("k8s.pod.name", Value::Text(pod_name)),
                        ("telemetry.sdk.name", Value::Static("opentelemetry")),
                        ("telemetry.sdk.language", Value::Static(service.language)),
                    ]);
                    if wide {
                        super::wide::resource(&mut attributes);
                    }
                    all.push(Process { service: position, version: number, attributes });
                }
            }
        }
    }
    all
}
