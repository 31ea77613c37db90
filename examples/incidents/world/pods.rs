//! The pods of a system during one capture: versions, clocks, pauses, and who is there when.
//!
//! Purpose: which pod answers, and what its resource says. Input: a system, and releases that bring pods of a new version.
//! Output: [`Fleet`]. Must not: depend on the capture's traffic: pods of one system are the same in each capture.

use super::maths::{mix, nanos, normal};
use super::system::{Service, System};
use super::wire::rng::Rng;
use super::wire::span::{Attributes, Value};

/// Pods of a new version take the place of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    pub(crate) service: usize,
    /// How many.
    pub(crate) pods: usize,
    /// For how long; else they have always been there.
    pub(crate) time: Option<(u64, u64)>,
    /// The version that a fault is about.
    pub(crate) bad: bool,
}

/// One pod.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) service: usize,
    /// Position among the pods of its service.
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) version: &'static str,
    /// Of the version that a fault is about.
    pub(crate) fresh: bool,
    /// Takes requests within, or without, this time.
    only: Option<(u64, u64)>,
    never: Option<(u64, u64)>,
    /// Its clock is ahead by this.
    pub(crate) skew: i64,
    seed: u64,
}

impl Pod {
    fn serves(&self, at: u64) -> bool {
        let within = |(from, until): (u64, u64)| (from..until).contains(&at);
        self.only.is_none_or(within) && !self.never.is_some_and(within)
    }

    /// How long work of this length is held up by pauses of the whole process.
    pub(crate) fn pause(&self, service: &Service, at: u64, work: u64) -> u64 {
        let Some((period, length)) = service.pauses else { return 0 };
        let number = at / period;
        let random = mix(self.seed, number);
        let begin = number * period + random % (period / 2);
        let length = length / 2 + mix(random, 1) % length;
        let end = begin + length;
        if at >= begin {
            end.saturating_sub(at)
        } else if at + work > begin {
            length
        } else {
            0
        }
    }
}

/// All pods.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) pods: Vec<Pod>,
    of: Vec<Vec<usize>>,
}

impl Fleet {
    pub(crate) fn new(system: &System, releases: &[Release]) -> Self {
        let mut fleet = Self { pods: Vec::new(), of: Vec::new() };
        for (position, service) in system.services.iter().enumerate() {
            let mut rng = Rng::new(mix(system.seed, 0x90d5), position as u64);
            let set = rng.bits() >> 28;
            let versions = version(&mut rng);
            let mut mine = Vec::new();
            for number in 0..service.pods {
                let name = format!("{}-{set:09x}-{:05x}", service.name, rng.bits() >> 44);
                mine.push(pod(system, &mut rng, position, number, name, versions.0));
            }
            for release in releases.iter().filter(|r| r.service == position) {
                roll_out(system, release, &mut mine, versions.1, &mut rng);
            }
            fleet.of.push((fleet.pods.len()..fleet.pods.len() + mine.len()).collect());
            fleet.pods.extend(mine);
        }
        fleet
    }

    /// A pod that takes a request now.
    pub(crate) fn pick(&self, service: usize, at: u64, rng: &mut Rng) -> usize {
        let serving = || self.of[service].iter().copied().filter(|p| self.pods[*p].serves(at));
        let count = serving().count() as u64;
        let chosen = usize::try_from(rng.between(0, count.saturating_sub(1))).unwrap_or(0);
        serving().nth(chosen).unwrap_or(self.of[service][0])
    }

    /// Resource attributes by position.
    pub(crate) fn resources(&self, system: &System) -> Vec<Attributes> {
        self.pods.iter().map(|pod| resource(system, pod)).collect()
    }
}

/// The version that runs, and the one that comes next.
fn version(rng: &mut Rng) -> (&'static str, &'static str) {
    let list = [("1.4.0", "1.5.0"), ("2.0.3", "2.0.4"), ("0.9.1", "0.10.0"), ("2026.10.1", "2026.10.2")];
    super::names::one(&list, rng)
}

fn pod(system: &System, rng: &mut Rng, service: usize, number: usize, name: String, version: &'static str) -> Pod {
    let off = (system.traits.skew * normal(rng) / 2.0).clamp(-system.traits.skew, system.traits.skew);
    let size = i64::try_from(nanos(off.abs())).unwrap_or(0);
    Pod {
        service,
        number,
        name,
        version,
        fresh: false,
        only: None,
        never: None,
        skew: if off < 0.0 { -size } else { size },
        seed: rng.bits(),
    }
}

/// Replaces pods by pods of the next version: for a time, or from the beginning on.
fn roll_out(system: &System, release: &Release, pods: &mut Vec<Pod>, version: &'static str, rng: &mut Rng) {
    let set = rng.bits() >> 28;
    for number in 0..release.pods.min(pods.len()) {
        let name = format!("{}-{set:09x}-{:05x}", system.services[release.service].name, rng.bits() >> 44);
        let mut fresh = pod(system, rng, release.service, pods.len(), name, version);
        fresh.fresh = release.bad;
        fresh.only = release.time;
        pods[number].never = Some(release.time.unwrap_or((0, u64::MAX)));
        pods.push(fresh);
    }
}

fn resource(system: &System, pod: &Pod) -> Attributes {
    let service = &system.services[pod.service];
    let mut all = vec![("service.name", Value::Static(service.name))];
    all.extend(system.traits.namespace.map(|space| ("service.namespace", Value::Static(space))));
    all.extend([
        ("service.version", Value::Static(pod.version)),
        ("service.instance.id", Value::Text(pod.name.clone())),
        ("k8s.namespace.name", Value::Static(system.traits.namespace.unwrap_or("default"))),
        ("k8s.deployment.name", Value::Static(service.name)),
        ("k8s.pod.name", Value::Text(pod.name.clone())),
        ("telemetry.sdk.language", Value::Static(service.language)),
    ]);
    all
}
