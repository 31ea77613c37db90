//! The ledger `runbooks.lock.yaml`: a number once given is never given to anything else.

use serde::{Deserialize, Serialize};

/// Active or retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryState {
    /// Generated.
    Active,
    /// No longer generated; its page is a tombstone that points on.
    Retired,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// `RB-001`.
    pub id: String,
    /// What it was given to.
    pub key: String,
    /// File name part.
    pub slug: String,
    /// State.
    pub state: EntryState,
}

/// All numbers ever given, sorted by number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Format version, 1.
    pub version: u32,
    /// Sorted by number.
    pub runbooks: Vec<Entry>,
}

/// Why a ledger cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Two entries share an id.
    #[error("{0} is given twice")]
    DuplicateId(String),
    /// Two entries share a key.
    #[error("the key `{0}` has two ids")]
    DuplicateKey(String),
    /// Not `RB-` and at least three digits.
    #[error("`{0}` is not an id of the form RB-001")]
    BadId(String),
}
