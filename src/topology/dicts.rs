//! The dictionaries shared by all batches of a run, and the way a batch's own numbers turn into theirs.

use super::dict::{Bounds, Candidate, Dict, OTHER};
use super::{hash, scope};
use crate::spans::{ErrorClass, Peer, PeerKind, Resource, SpanBatch, Sym};
use hashbrown::HashMap;

/// Identity of a service: namespace and name as sent; the name is empty when missing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ServiceName {
    pub(super) namespace: String,
    pub(super) name: String,
    /// Values of the configured identity dimensions, see [`super::scope`]; empty without any.
    pub(super) scope: String,
}

/// An operation name within a service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpName {
    pub(super) service: u32,
    pub(super) name: Box<str>,
}

/// Attributes of a resource, for one service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) service: u32,
    pub(super) values: Vec<(&'static str, String)>,
}

/// Position 0 of every dictionary: nothing, or what stands for everything beyond the cap.
pub(super) const NONE: u32 = 0;

/// All dictionaries.
#[derive(Debug)]
pub(super) struct Dicts {
    /// Position 0 stands for services beyond the cap.
    pub(super) services: Dict<ServiceName>,
    /// Position 0 stands for operations beyond the cap, of any service.
    pub(super) ops: Dict<OpName>,
    /// Position 0 has no attributes.
    pub(super) resources: Dict<Attributes>,
    /// Position 0 is no peer; 1 to 4 stand for peers beyond the cap, by kind.
    pub(super) peers: Dict<Peer>,
    /// Position 0 is no error class, 1 stands for classes beyond the cap.
    pub(super) errors: Dict<ErrorClass>,
    /// Resource attributes that are part of a service's identity.
    dimensions: Vec<&'static str>,
}

/// A batch's numbers → the run's.
#[derive(Debug, Default)]
pub(super) struct Remap {
    /// By row of the batch: position in `pairs`.
    pub(super) row_pair: Vec<u32>,
    /// Distinct (resource, name) of the batch: service, resource and operation of the run.
    pub(super) pairs: Vec<(u32, u32, u32)>,
    /// By peer of the batch.
    pub(super) peers: Vec<u32>,
    /// By error of the batch.
    pub(super) errors: Vec<u32>,
}

/// How long a text may get: the longest start of at most `bytes` bytes that ends at a character.
pub(super) fn clip(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or("")
}

const NAME_BYTES: usize = 512;
const VALUE_BYTES: usize = 256;

const PEER_KINDS: [PeerKind; 4] = [PeerKind::Database, PeerKind::Messaging, PeerKind::Service, PeerKind::External];

fn peer_stand_in(kind: PeerKind) -> u32 {
    match kind {
        PeerKind::None => NONE,
        PeerKind::Database => 1,
        PeerKind::Messaging => 2,
        PeerKind::Service => 3,
        PeerKind::External => 4,
    }
}

/// Whether a position among the peers stands for peers beyond the cap.
pub(super) fn is_peer_stand_in(peer: u32) -> bool {
    (1..=4).contains(&peer)
}

impl Dicts {
    /// Empty dictionaries. `max_operations` is what will be kept per service in the end; many more names than that are
    /// remembered, so that the most frequent can be chosen.
    pub(super) fn new(max_operations: usize, dimensions: Vec<&'static str>) -> Self {
        let all = |items, per_group| Bounds { items, bytes: 48 << 20, per_group };
        let mut dicts = Self {
            services: Dict::new(all(1 << 18, usize::MAX)),
            ops: Dict::new(all(1 << 18, max_operations.saturating_mul(16).max(4096))),
            resources: Dict::new(all(1 << 16, usize::MAX)),
            peers: Dict::new(all(1 << 16, usize::MAX)),
            errors: Dict::new(all(1 << 14, usize::MAX)),
            dimensions,
        };
        dicts.service("", OTHER, "", 0);
        dicts.ops.pin(&Candidate {
            hash: 0,
            group: 0,
            bytes: 0,
            same: &|op| op.service == NONE && &*op.name == OTHER,
            make: &|| OpName { service: NONE, name: OTHER.into() },
        });
        dicts.attributes(NONE, 0, &[], 0);
        dicts.peer(&Peer::default(), 0);
        for kind in PEER_KINDS {
            let (system, name) = (OTHER.to_owned(), if kind == PeerKind::Database { "" } else { OTHER }.to_owned());
            dicts.peer(&Peer { kind, system, name, address: OTHER.to_owned(), ..Peer::default() }, 0);
        }
        dicts.error(&ErrorClass::default(), 0);
        dicts.error(&ErrorClass { error_type: OTHER.to_owned(), ..ErrorClass::default() }, 0);
        dicts
    }

    /// Takes over what the rows of a batch use.
    pub(super) fn remap(&mut self, batch: &SpanBatch, usage: &Usage) -> Remap {
        let services: Vec<(u32, u64, u32)> = batch
            .resources()
            .iter()
            .zip(&usage.resources)
            .map(|(resource, count)| if *count == 0 { (NONE, 0, NONE) } else { self.resource(resource, *count) })
            .collect();
        let pairs = usage.pairs.iter().map(|(resource, name, count)| {
            let (service, hash, resource) = services.get(*resource as usize).copied().unwrap_or_default();
            (service, resource, self.op(service, hash, batch.strings.get(Sym(*name)), *count))
        });
        Remap {
            row_pair: usage.row_pair.clone(),
            pairs: pairs.collect(),
            peers: batch
                .peers()
                .iter()
                .zip(&usage.peers)
                .map(|(p, n)| if *n == 0 { NONE } else { self.peer(p, *n) })
                .collect(),
            errors: batch
                .errors()
                .iter()
                .zip(&usage.errors)
                .map(|(e, n)| if *n == 0 { NONE } else { self.error(e, *n) })
                .collect(),
        }
    }

    fn resource(&mut self, resource: &Resource, count: u64) -> (u32, u64, u32) {
        let (namespace, name) = (clip(&resource.namespace, VALUE_BYTES), clip(&resource.name, VALUE_BYTES));
        let scope = scope::of(&self.dimensions, &resource.attributes);
        let service = self.service(namespace, name, clip(&scope, VALUE_BYTES), count);
        let hash = self.services.slots().get(service as usize).map_or(0, |slot| slot.hash);
        (service, hash, self.attributes(service, hash, &resource.attributes, count))
    }

    fn service(&mut self, namespace: &str, name: &str, scope: &str, count: u64) -> u32 {
        let plain = hash::text(hash::text(1, namespace), name);
        let wanted = Candidate {
            hash: if scope.is_empty() { plain } else { hash::text(plain, scope) },
            group: 0,
            bytes: namespace.len() + name.len() + scope.len(),
            same: &|s: &ServiceName| s.namespace == namespace && s.name == name && s.scope == scope,
            make: &|| {
                let [namespace, name, scope] = [namespace, name, scope].map(str::to_owned);
                ServiceName { namespace, name, scope }
            },
        };
        if self.services.slots().is_empty() {
            self.services.pin(&wanted)
        } else {
            self.services.intern(&wanted, count, NONE)
        }
    }

    fn op(&mut self, service: u32, service_hash: u64, name: &str, count: u64) -> u32 {
        let name = clip(name, NAME_BYTES);
        let wanted = Candidate {
            hash: hash::text(hash::mix(2, service_hash), name),
            group: service,
            bytes: name.len(),
            same: &|op: &OpName| op.service == service && &*op.name == name,
            make: &|| OpName { service, name: name.into() },
        };
        self.ops.intern(&wanted, count, NONE)
    }

    fn attributes(&mut self, service: u32, service_hash: u64, values: &[(&'static str, String)], count: u64) -> u32 {
        let mut hash = hash::mix(3, service_hash);
        let mut bytes = 0;
        for (key, value) in values {
            let value = clip(value, VALUE_BYTES);
            hash = hash::text(hash::text(hash, key), value);
            bytes += value.len();
        }
        let wanted = Candidate {
            hash,
            group: 0,
            bytes,
            same: &|a: &Attributes| {
                let mut both = a.values.iter().zip(values);
                a.service == service
                    && a.values.len() == values.len()
                    && both.all(|(mine, new)| mine.0 == new.0 && mine.1 == clip(&new.1, VALUE_BYTES))
            },
            make: &|| Attributes {
                service,
                values: values.iter().map(|(k, v)| (*k, clip(v, VALUE_BYTES).to_owned())).collect(),
            },
        };
        if self.resources.slots().is_empty() {
            self.resources.pin(&wanted)
        } else {
            self.resources.intern(&wanted, count, NONE)
        }
    }

    fn peer(&mut self, peer: &Peer, count: u64) -> u32 {
        let texts = [&peer.system, &peer.name, &peer.address, &peer.namespace].map(|t| clip(t, VALUE_BYTES));
        let wanted = Candidate {
            hash: texts.iter().fold(hash::mix(4, peer.kind as u64), |hash, text| hash::text(hash, text)),
            group: 0,
            bytes: texts.iter().map(|t| t.len()).sum(),
            same: &|p: &Peer| p.kind == peer.kind && [p.system.as_str(), &p.name, &p.address, &p.namespace] == texts,
            make: &|| {
                let [system, name, address, namespace] = texts.map(str::to_owned);
                Peer { kind: peer.kind, system, name, address, namespace }
            },
        };
        if self.peers.slots().len() <= PEER_KINDS.len() {
            return self.peers.pin(&wanted);
        }
        self.peers.intern(&wanted, count, peer_stand_in(peer.kind))
    }

    fn error(&mut self, error: &ErrorClass, count: u64) -> u32 {
        let texts = [&error.grpc_status, &error.error_type, &error.exception_type].map(|t| clip(t, VALUE_BYTES));
        let wanted = Candidate {
            hash: texts.iter().fold(hash::mix(5, u64::from(error.http_status)), |hash, text| hash::text(hash, text)),
            group: 0,
            bytes: texts.iter().map(|t| t.len()).sum(),
            same: &|e: &ErrorClass| {
                e.http_status == error.http_status
                    && [e.grpc_status.as_str(), &e.error_type, &e.exception_type] == texts
            },
            make: &|| {
                let [grpc_status, error_type, exception_type] = texts.map(str::to_owned);
                ErrorClass { http_status: error.http_status, grpc_status, error_type, exception_type }
            },
        };
        if self.errors.slots().len() < 2 { self.errors.pin(&wanted) } else { self.errors.intern(&wanted, count, 1) }
    }
}

/// What the rows of a batch use, and how often: found without the lock.
#[derive(Debug, Default)]
pub(super) struct Usage {
    row_pair: Vec<u32>,
    pairs: Vec<(u32, u32, u64)>,
    resources: Vec<u64>,
    peers: Vec<u64>,
    errors: Vec<u64>,
}

impl Usage {
    #[allow(clippy::cast_possible_truncation, reason = "a batch holds fewer than 2^32 rows")]
    pub(super) fn of(batch: &SpanBatch) -> Self {
        let mut usage = Self {
            row_pair: Vec::with_capacity(batch.rows.len()),
            pairs: Vec::new(),
            resources: vec![0; batch.resources().len()],
            peers: vec![0; batch.peers().len()],
            errors: vec![0; batch.errors().len()],
        };
        let mut known: HashMap<(u32, u32), u32, foldhash::fast::FixedState> = HashMap::default();
        let count = |counts: &mut Vec<u64>, at: u32| {
            if let Some(count) = counts.get_mut(at as usize) {
                *count += 1;
            }
        };
        for row in &batch.rows {
            let pair = *known.entry((row.resource.0, row.name.0)).or_insert_with(|| {
                usage.pairs.push((row.resource.0, row.name.0, 0));
                usage.pairs.len() as u32 - 1
            });
            if let Some((_, _, count)) = usage.pairs.get_mut(pair as usize) {
                *count += 1;
            }
            usage.row_pair.push(pair);
            count(&mut usage.resources, row.resource.0);
            count(&mut usage.peers, row.peer.0);
            count(&mut usage.errors, row.error.0);
        }
        usage
    }
}
