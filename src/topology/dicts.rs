//! The dictionaries shared by all batches of a run.

use super::dict::{Bounds, Candidate, Dict, Load, OTHER};
use super::{hash, scope};
use crate::spans::{ErrorClass, Peer, PeerKind, Resource};

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
    /// Content hash of the service. The service itself may have been pushed out before or since: what operations are kept
    /// must not depend on it.
    owner: u64,
    pub(super) name: Box<str>,
}

/// Attributes of a resource, for one service.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) service: u32,
    /// Content hash of the service.
    owner: u64,
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

/// What a resource stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    /// Position of the service.
    pub(super) service: u32,
    /// Content hash of the service.
    pub(super) hash: u64,
    /// Position of the attributes.
    pub(super) resource: u32,
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
        const BYTES: usize = 48 << 20;
        let all = |items| Bounds { all: Load { items, bytes: BYTES }, group: Load::UNBOUNDED };
        let of_service = Load { items: max_operations.saturating_mul(16).max(4096), bytes: BYTES / 32 };
        let mut dicts = Self {
            services: Dict::new(all(1 << 18)),
            ops: Dict::new(Bounds { group: of_service, ..all(1 << 18) }),
            resources: Dict::new(all(1 << 16)),
            peers: Dict::new(all(1 << 16)),
            errors: Dict::new(all(1 << 14)),
            dimensions,
        };
        dicts.service("", OTHER, "");
        dicts.ops.pin(&Candidate {
            hash: 0,
            group: 0,
            bytes: 0,
            same: &|op| op.service == NONE && &*op.name == OTHER,
            make: &|| OpName { service: NONE, owner: 0, name: OTHER.into() },
        });
        dicts.attributes(NONE, 0, &[]);
        dicts.peer(&Peer::default());
        for kind in PEER_KINDS {
            let (system, name) = (OTHER.to_owned(), if kind == PeerKind::Database { "" } else { OTHER }.to_owned());
            dicts.peer(&Peer { kind, system, name, address: OTHER.to_owned(), ..Peer::default() });
        }
        dicts.error(&ErrorClass::default());
        dicts.error(&ErrorClass { error_type: OTHER.to_owned(), ..ErrorClass::default() });
        dicts
    }

    /// What a resource stands for, taken over if it is new.
    pub(super) fn resource(&mut self, resource: &Resource) -> Owner {
        let (namespace, name) = (clip(&resource.namespace, VALUE_BYTES), clip(&resource.name, VALUE_BYTES));
        let scope = scope::of(&self.dimensions, &resource.attributes);
        let (service, hash) = self.service(namespace, name, clip(&scope, VALUE_BYTES));
        Owner { service, hash, resource: self.attributes(service, hash, &resource.attributes) }
    }

    fn service(&mut self, namespace: &str, name: &str, scope: &str) -> (u32, u64) {
        let plain = hash::text(hash::text(1, namespace), name);
        let hash = if scope.is_empty() { plain } else { hash::text(plain, scope) };
        let wanted = Candidate {
            hash,
            group: 0,
            bytes: namespace.len() + name.len() + scope.len(),
            same: &|s: &ServiceName| s.namespace == namespace && s.name == name && s.scope == scope,
            make: &|| {
                let [namespace, name, scope] = [namespace, name, scope].map(str::to_owned);
                ServiceName { namespace, name, scope }
            },
        };
        let first = self.services.slots().is_empty();
        (if first { self.services.pin(&wanted) } else { self.services.intern(&wanted, NONE) }, hash)
    }

    /// The position of an operation of a service.
    pub(super) fn op(&mut self, owner: Owner, name: &str) -> u32 {
        let name = clip(name, NAME_BYTES);
        let Owner { service, hash: owner, .. } = owner;
        let wanted = Candidate {
            hash: hash::text(hash::mix(2, owner), name),
            group: owner,
            bytes: name.len(),
            same: &|op: &OpName| op.owner == owner && &*op.name == name,
            make: &|| OpName { service, owner, name: name.into() },
        };
        self.ops.intern(&wanted, NONE)
    }

    fn attributes(&mut self, service: u32, owner: u64, values: &[(&'static str, String)]) -> u32 {
        let mut hash = hash::mix(3, owner);
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
                a.owner == owner
                    && a.values.len() == values.len()
                    && both.all(|(mine, new)| mine.0 == new.0 && mine.1 == clip(&new.1, VALUE_BYTES))
            },
            make: &|| Attributes {
                service,
                owner,
                values: values.iter().map(|(k, v)| (*k, clip(v, VALUE_BYTES).to_owned())).collect(),
            },
        };
        if self.resources.slots().is_empty() {
            self.resources.pin(&wanted)
        } else {
            self.resources.intern(&wanted, NONE)
        }
    }

    /// The position of a peer.
    pub(super) fn peer(&mut self, peer: &Peer) -> u32 {
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
        self.peers.intern(&wanted, peer_stand_in(peer.kind))
    }

    /// The position of an error class.
    pub(super) fn error(&mut self, error: &ErrorClass) -> u32 {
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
        if self.errors.slots().len() < 2 { self.errors.pin(&wanted) } else { self.errors.intern(&wanted, 1) }
    }
}
