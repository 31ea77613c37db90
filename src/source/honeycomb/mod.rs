//! Honeycomb as a source of aggregates: who calls whom, and how often, by its service map.
//!
//! Purpose: the dependencies that Honeycomb's service map shows, counted by Honeycomb.
//! Input: a URL and [`SourceOptions`] with a window and a key. Output: an [`Aggregate`] that knows calls alone. Must not: take
//! a list that was cut off for a whole one, wait without end, read a clock, or show the key.
//!
//! A request is made and waited for (`POST /1/maps/dependencies/requests`, then `GET` of its id, by pages), as Honeycomb's API
//! reference has it under "Service Maps" (<https://docs.honeycomb.io/api/service-maps>).

mod answer;
mod api;
pub(super) mod endpoint;
#[cfg(test)]
mod tests;

use self::answer::{Dependency, MOST};
use self::api::Api;
use super::aggregate::AggregateSource;
use super::backend::place::Place;
use super::backend::run;
use super::backend::transport;
use super::{Progress, SourceOptions, SourceReport};
use crate::diag::{Diagnostic, Location};
use crate::spans::aggregate::{Aggregate, AggregateCall, AggregateEdge, AggregateService, Party, Totals};
use crate::spans::{UnixNanos, Weight};

/// The header that carries the key.
pub(super) const KEY_HEADER: &str = "X-Honeycomb-Team";
/// The environment variable that holds it.
pub(super) const KEY_VARIABLE: &str = "HONEYCOMB_API_KEY";
const SECOND: u64 = 1_000_000_000;

/// Whether this names a Honeycomb.
pub(super) fn claims(from: &str) -> bool {
    endpoint::MANNER.claims(from)
}

/// Which environment variable holds the key for this source, and the header in which it goes.
pub(super) fn credential(from: &str) -> Option<(&'static str, &'static str)> {
    claims(from).then_some((KEY_VARIABLE, KEY_HEADER))
}

/// The Honeycomb a URL names; nothing is tried yet.
///
/// # Errors
/// `source-url` for a URL that cannot work, `honeycomb-query` for a filter, `honeycomb-key-missing` without a key.
pub(super) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn AggregateSource>, Diagnostic> {
    let endpoint = endpoint::MANNER.parse(from)?;
    let at = || Location::file(endpoint.shown.as_str());
    if options.query.is_some() {
        return Err(Diagnostic::error("honeycomb-query", "Honeycomb's service map takes no filter of this kind")
            .at(at())
            .help("leave out --query; the key chooses the environment"));
    }
    if !options.transport.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(KEY_HEADER)) {
        return Err(Diagnostic::error("honeycomb-key-missing", "Honeycomb is asked with a key, and none was given")
            .at(at())
            .help("set HONEYCOMB_API_KEY to a key of the environment with the permission to read service maps"));
    }
    Ok(Box::new(Honeycomb { endpoint, options: options.clone() }))
}

struct Honeycomb {
    endpoint: Place,
    options: SourceOptions,
}

impl AggregateSource for Honeycomb {
    fn describe(&self) -> String {
        self.endpoint.shown.clone()
    }

    fn read(&mut self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        run::run(1, self.pull(progress))
    }
}

impl Honeycomb {
    async fn pull(&self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        let at = self.endpoint.shown.as_str();
        let (start, end) = run::window(&self.options, at)?;
        // Whole seconds around the window, which is then that of the snapshot.
        let seconds = (start.0 / SECOND, end.0.div_ceil(SECOND));
        let window = (UnixNanos(seconds.0.saturating_mul(SECOND)), UnixNanos(seconds.1.saturating_mul(SECOND)));
        let headers = transport::headers(&self.options.transport, None, "x-scope-orgid")?;
        let (client, base) =
            transport::http(&self.endpoint.http, &self.options.transport, &headers, self.options.timeout)
                .await
                .map_err(|failed| failed.plainly(at))?;
        let api = Api { client, base, at: at.into(), largest: self.options.max_record_bytes };
        progress.note("waiting for the service map");
        let id = api.request(seconds).await?;
        let dependencies = api.dependencies(&id, self.options.timeout, progress).await?;
        if dependencies.len() >= MOST {
            return Err(Diagnostic::error(
                "honeycomb-too-much",
                format!("the service map holds {MOST} dependencies or more: Honeycomb gives no more of them"),
            )
            .at(Location::file(at))
            .help("shorten the window; captures of windows that follow each other merge: tracebook capture --merge"));
        }
        let edges = dependencies.iter().map(edge).collect();
        let aggregate = Aggregate { window, edges, calls_only: true, ..Aggregate::default() };
        let told = Diagnostic::warning(
            "aggregate-calls-only",
            "Honeycomb's service map counts calls alone: whether they failed and how long they took is unknown",
        )
        .at(Location::file(at))
        .help("good for `graph` and `diff`; for objectives and runbooks read traces or metrics");
        let report = SourceReport { window: Some(window), diagnostics: vec![told], ..SourceReport::default() };
        Ok((aggregate, report))
    }
}

/// Nodes are services; the API knows no other type.
fn edge(dependency: &Dependency) -> AggregateEdge {
    let service = |name: &str| Party::Service(AggregateService { namespace: String::new(), name: name.to_owned() });
    AggregateEdge {
        source: service(&dependency.parent_node.name),
        target: service(&dependency.child_node.name),
        call: AggregateCall::Call,
        source_operation: String::new(),
        target_operation: String::new(),
        totals: Totals { calls: Weight::whole(dependency.call_count), ..Totals::default() },
        client: None,
        server: None,
    }
}
