//! Generations of dictionaries: as long as the number stays, positions mean the same.

use std::sync::atomic::{AtomicU64, Ordering};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Which generation of a batch's dictionaries this is: one number for each of them, unique in the process.
///
/// Dictionaries only grow. Whoever remembers what positions stood for may go on doing so while the epoch is the same. The
/// numbers say nothing else and never reach a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(pub(super) [u64; 4]);

/// The generation of one dictionary.
#[derive(Debug)]
pub(super) struct Generation {
    number: u64,
    /// A copy means the same as its original until one of them grows; the original keeps the number.
    copied: bool,
}

impl Default for Generation {
    fn default() -> Self {
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), copied: false }
    }
}

impl Clone for Generation {
    fn clone(&self) -> Self {
        Self { number: self.number, copied: true }
    }
}

impl Generation {
    /// The number.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// To be called before something is added.
    pub(super) fn grow(&mut self) {
        if self.copied {
            *self = Self::default();
        }
    }
}
