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
        let all = seen.saturating_add(around).saturating_add(self.tally.lost);
        if let Some(n) = total.filter(|n| left.is_none() && *n > all) {
            say(Diagnostic::warning(
                "tempo-spans-missing",
                format!("Tempo counts {n} spans in the window, but its traces hold only {seen}: some came late or lie in pieces"),
            )
            .help("run this again later, or raise Tempo's ingestion_time_range_slack"));
        }
        // None at all is the answer of who does not count.
        if let Some(n) = total.filter(|n| *n > 0 && *n < self.tally.within) {
            say(Diagnostic::warning(
                "tempo-late-spans",
                format!("Tempo counts {n} spans in the window, but its traces hold {seen}: some came late, others may be hidden"),
            )
            .help("ask for a window that ends earlier, or raise Tempo's ingestion_time_range_slack"));
        }
        let (partial, by_limit, lost) = (self.tally.partial, self.tally.partial_by_limit, self.tally.lost);
        if by_limit > 0 {
            say(Diagnostic::warning("tempo-traces-partial", format!("Tempo gave {by_limit} traces only in part"))
                .help("raise max_bytes_per_trace in Tempo if its traces are that large"));
        }
        if partial > by_limit {
            let fewer = format!(
                "{} traces came by id with fewer spans than a search counted",
                partial.saturating_sub(by_limit)
            );
            say(Diagnostic::warning("tempo-traces-partial", fewer).help(
                "run this again later, and look whether ?http= leads to the same Tempo and tenant, with all servers behind it",
            ));
        }
        if self.tally.vanished > 0 {
            let said = self.ask.http.unknown();
            let gone = format!("{} traces were found by search, but are not there by id{said}", self.tally.vanished);
            say(Diagnostic::warning("tempo-traces-vanished", format!("{gone}; up to {lost} spans are missing")).help(
                "look whether all servers behind ?http= are the same Tempo, and the tenant is the same there; where the window reaches back to what Tempo deletes, ask for a \
                 later start",
            ));
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
