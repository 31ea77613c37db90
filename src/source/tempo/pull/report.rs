//! What is to be said of a pull.

use super::Pull;
use crate::diag::{Diagnostic, Location};

impl Pull<'_> {
    /// Holds what was pushed against what Tempo counts.
    pub(super) fn reconcile(&mut self, total: Option<u64>, around: u64) {
        let rejected: u64 = self.mapper.rejected.values().sum();
        let seen = self.tally.within.saturating_add(rejected);
        let place = Location::file(self.at.clone());
        let left = self.tally.left;
        let mut say = |d: Diagnostic| self.tally.diagnostics.push(d.at(place.clone()));
        if let Some(left) = left {
            say(left.said(&self.at));
        }
        // In pieces can also be a trace that was left out: of a sample the sum tells nothing.
        if let Some(n) = total.filter(|n| left.is_none() && *n > seen.saturating_add(around)) {
            say(Diagnostic::warning(
                "tempo-spans-missing",
                format!("Tempo counts {n} spans in the window, but its traces hold only {seen}: some came late or lie in pieces"),
            )
            .help("run this again later, or raise Tempo's ingestion_time_range_slack"));
        }
        if let Some(n) = total.filter(|n| *n < self.tally.within) {
            say(Diagnostic::warning(
                "tempo-late-spans",
                format!("Tempo counts {n} spans in the window, but its traces hold {seen}: some came late, others may be hidden"),
            )
            .help("ask for a window that ends earlier, or raise Tempo's ingestion_time_range_slack"));
        }
        if self.tally.partial > 0 {
            say(Diagnostic::warning(
                "tempo-traces-partial",
                format!("Tempo gave {} traces only in part", self.tally.partial),
            )
            .help("raise max_bytes_per_trace in Tempo if its traces are that large"));
        }
        if self.tally.vanished > 0 {
            say(Diagnostic::warning(
                "tempo-traces-vanished",
                format!("{} traces were found by search, but are not there by id", self.tally.vanished),
            )
            .help("the window may reach back to where Tempo deletes old traces; ask for a later start"));
        }
    }

    pub(super) fn nothing(&self, total: Option<u64>, around: u64) -> Diagnostic {
        let (start, end) = self.window;
        let also = match (total, around) {
            (Some(n), _) if n > 0 => format!("; it counts {n} spans there, but none of a trace that starts in it"),
            (_, n) if n > 0 => "; only traces that began earlier reach into it".to_owned(),
            _ => String::new(),
        };
        Diagnostic::error("no-traces-in-window", format!("Tempo has no trace that starts between {start} and {end}{also}"))
            .at(Location::file(self.at.clone()))
            .help(
                "look at the tenant (an unknown one answers with nothing), the filter, the window, the last 30 s that Tempo \
                 leaves out, and spans that came more than 2 minutes late (ingestion_time_range_slack)",
            )
    }
}
