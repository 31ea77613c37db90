//! What is to be said while spans come in: from wherever it happens to whoever can say it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::diag::Diagnostic;

/// Clones share the notes.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Diagnostic>,
    /// Codes with their advice, of which there are few: the next request would say the same again, but metrics that come to
    /// a wrong path must not hide that spans do.
    told: BTreeSet<(&'static str, String)>,
    /// Whether the last write failed, which was told then.
    failing: bool,
}

impl Notes {
    /// Leaves a note, unless there was one of this code with the same advice.
    pub(super) fn leave(&self, note: Diagnostic) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.told.insert((note.code, note.help.clone())) {
            inner.waiting.push(note);
        }
    }

    /// Says once that writing fails, until it goes well again.
    pub(super) fn written(&self, result: Result<(), Diagnostic>) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = std::mem::replace(&mut inner.failing, result.is_err());
        inner.waiting.extend(result.err().filter(|_| !known));
    }

    /// What was not taken yet.
    pub(super) fn take(&self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).waiting)
    }
}
