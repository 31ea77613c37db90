//! Hashes of what canonical numbers stand for, the same in every run.
//!
//! Numbers follow the sorted order of what one run saw; a shard of it sees less and numbers differently. Whatever is
//! chosen by hash is chosen by these.

use super::EdgeKind;
use super::hash;
use super::identity::Identity;

/// By canonical number.
#[derive(Debug, Default)]
pub(super) struct Contents {
    nodes: Vec<u64>,
    operations: Vec<u64>,
    classes: Vec<u64>,
}

fn at(hashes: &[u64], number: u32) -> u64 {
    hashes.get(number as usize).copied().unwrap_or(0)
}

fn of_node(id: &str) -> u64 {
    hash::text(8, id)
}

fn of_ends(source: u64, target: u64, kind: EdgeKind) -> u64 {
    hash::mix(hash::mix(source, target), kind as u64)
}

/// Of an edge, from the ids of its nodes.
pub(super) fn of_edge(source: &str, target: &str, kind: EdgeKind) -> u64 {
    of_ends(of_node(source), of_node(target), kind)
}

impl Contents {
    /// Of everything there is a number for.
    pub(super) fn of(identity: &Identity) -> Self {
        let nodes: Vec<u64> = identity.nodes.iter().map(|(id, _)| of_node(id)).collect();
        let operation = |(node, name): &(u32, String)| hash::text(hash::mix(9, at(&nodes, *node)), name);
        let class = |class: &crate::spans::ErrorClass| {
            let texts = [&class.grpc_status, &class.error_type, &class.exception_type];
            texts.iter().fold(hash::mix(10, u64::from(class.http_status)), |hash, text| hash::text(hash, text))
        };
        Self {
            operations: identity.op_names.iter().map(operation).collect(),
            classes: identity.classes.iter().map(class).collect(),
            nodes,
        }
    }

    /// Of a node's id.
    pub(super) fn node(&self, number: u32) -> u64 {
        at(&self.nodes, number)
    }

    /// Of an operation.
    pub(super) fn operation(&self, number: u32) -> u64 {
        at(&self.operations, number)
    }

    /// Of an error class.
    pub(super) fn class(&self, number: u32) -> u64 {
        at(&self.classes, number)
    }

    /// Of an edge.
    pub(super) fn edge(&self, source: u32, target: u32, kind: EdgeKind) -> u64 {
        of_ends(self.node(source), self.node(target), kind)
    }

    /// Of a pair of operations.
    pub(super) fn pair(&self, source: u32, target: u32) -> u64 {
        hash::mix(hash::mix(11, at(&self.operations, source)), at(&self.operations, target))
    }
}
