//! A window of which most is empty: its rates are right for it and misleading for whoever reads them.

use crate::diag::{Diagnostic, Location};
use crate::topology::{Snapshot, seen_only};

/// The warning, where a backend was asked for more time than it knows of.
pub(super) fn mostly_empty(snapshot: &Snapshot) -> Option<Diagnostic> {
    let seen = seen_only(snapshot).filter(|_| snapshot.shard.is_none())?;
    let window = snapshot.window;
    let message = format!(
        "calls were seen from {} to {} only, of the window from {} to {}: rates are of the whole window",
        seen.start, seen.end, window.start, window.end
    );
    let at = snapshot.provenance.sources.first().map_or_else(Location::default, Location::file);
    let help = format!(
        "if that is all the backend holds, give its time: --start {} --end {}",
        seen.start.0 / 1_000_000_000,
        seen.end.0.div_ceil(1_000_000_000)
    );
    Some(Diagnostic::warning("window-mostly-empty", message).at(at).help(help))
}
