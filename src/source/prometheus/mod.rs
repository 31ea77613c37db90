//! Prometheus, or what speaks its API (Mimir, Thanos, VictoriaMetrics), as a source of aggregates.
//!
//! Purpose: the service graph and the operations that a Tempo, a Collector or an eBPF agent counted from spans.
//! Input: a URL and [`SourceOptions`] with a window. Output: an [`Aggregate`]. Must not: take an answer with warnings for
//! a whole one, ask for an unbounded amount, read a clock, or show a credential.
//!
//! Counters are read as samples and subtracted here, not with `increase()`, which extrapolates to the ends of the window
//! and misses what a new series counted before its first sample (see `fold.rs`).

mod answer;
mod api;
mod endpoint;
mod external;
mod fold;
mod gather;
mod graph;
mod metrics;
mod operations;
mod reader;

use std::collections::BTreeSet;

use self::api::Api;
use self::metrics::Present;
use self::reader::{Metric, Reader};
use super::aggregate::AggregateSource;
use super::backend::place::Place;
use super::backend::run;
use super::backend::transport;
use super::{Progress, SourceOptions, SourceReport};
use crate::diag::{Diagnostic, Location};
use crate::spans::aggregate::{Aggregate, AggregateService};

pub use self::external::{Answer, Answers, answers};

/// Longest step, in milliseconds, at which calls can still be told apart by 5 minutes.
const TIMELY: u64 = 300_000;

/// Whether this names a Prometheus.
#[must_use]
pub fn claims(from: &str) -> bool {
    endpoint::MANNER.claims(from)
}

/// The Prometheus a URL names; nothing is tried yet.
///
/// # Errors
/// `source-url` for a URL that cannot work, `prometheus-filter` for a `--query` that is no label matchers.
pub(super) fn open(from: &str, options: &SourceOptions) -> Result<Box<dyn AggregateSource>, Diagnostic> {
    let endpoint = endpoint::MANNER.parse(from)?;
    let matchers = matchers(options.query.as_deref().unwrap_or_default())?;
    Ok(Box::new(Prometheus { endpoint, matchers, options: options.clone() }))
}

/// The label matchers of `{…}`, without the braces.
fn matchers(query: &str) -> Result<String, Diagnostic> {
    let query = query.trim();
    let inner = match query {
        "" => Some(""),
        _ => query.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')),
    };
    let inner = inner.map(|inner| inner.trim().trim_end_matches(','));
    inner.filter(|inner| !outside_quotes(inner).contains(['{', '}', '(', '['])).map(str::to_owned).ok_or_else(|| {
        Diagnostic::error(
            "prometheus-filter",
            "for a Prometheus, --query holds label matchers in braces and nothing else",
        )
        .help("write it like --query '{cluster=\"eu\", source=\"tempo\"}'")
    })
}

/// The text without what is in double quotes.
fn outside_quotes(text: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            c => out.push(c),
        }
    }
    out
}

/// What asks at an endpoint; nothing is sent yet.
async fn connect(endpoint: &Place, options: &SourceOptions) -> Result<Api, Diagnostic> {
    let at = endpoint.shown.as_str();
    let headers = transport::headers(&options.transport, endpoint.basic.as_ref(), "x-scope-orgid")?;
    let (client, base) = transport::http(&endpoint.http, &options.transport, &headers, options.timeout)
        .await
        .map_err(|failed| failed.plainly(at))?;
    Ok(Api { client, base, at: at.into(), largest: options.max_record_bytes })
}

struct Prometheus {
    endpoint: Place,
    matchers: String,
    options: SourceOptions,
}

impl AggregateSource for Prometheus {
    fn describe(&self) -> String {
        self.endpoint.shown.clone()
    }

    fn read(&mut self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        run::run(1, self.pull(progress))
    }
}

impl Prometheus {
    async fn pull(&self, progress: &dyn Progress) -> Result<(Aggregate, SourceReport), Diagnostic> {
        let at = self.endpoint.shown.as_str();
        let (start, end) = run::window(&self.options, at)?;
        let api = connect(&self.endpoint, &self.options).await?;
        let window = (start.0 / 1_000_000, end.0 / 1_000_000);
        progress.note("looking for metrics made from spans");
        let comma = if self.matchers.is_empty() { "" } else { "," };
        let names = metrics::NAMES.trim_end_matches('}');
        let names = api.names(&format!("{names}{comma}{}}}", self.matchers), window).await?;
        let present = Present::among(&names);
        if !present.requests && present.spans.is_none() {
            return Err(Diagnostic::error("prometheus-no-metrics", "there are no metrics made from spans in the window")
                .at(Location::file(at))
                .help("check the window, the tenant and --query, and that service graphs are generated (Tempo's metrics-generator, the Collector's servicegraph and spanmetrics connectors)"));
        }
        progress.total(present.count());
        let reader = Reader { api: &api, window, matchers: self.matchers.clone(), progress };
        let (operations, spans) = operations::operations(&reader, &present).await?;
        let services: BTreeSet<AggregateService> = operations.iter().map(|o| o.service.clone()).collect();
        let (edges, requests) = if present.requests {
            graph::edges(&reader, &present, &services).await?
        } else {
            (Vec::new(), Metric::default())
        };
        for metric in [&spans, &requests] {
            one_maker(metric, at)?;
        }
        let diagnostics = self.notes(&present, &spans, &requests);
        let report = SourceReport { window: Some((start, end)), diagnostics, ..SourceReport::default() };
        Ok((Aggregate { window: (start, end), operations, edges, ..Aggregate::default() }, report))
    }

    /// What people should know about the numbers.
    fn notes(&self, present: &Present, spans: &Metric, requests: &Metric) -> Vec<Diagnostic> {
        let at = || Location::file(self.endpoint.shown.as_str());
        let mut notes = Vec::new();
        if !present.requests {
            notes.push(
                Diagnostic::warning(
                    "prometheus-no-graph",
                    "there are no service-graph metrics: who calls whom is unknown",
                )
                .at(at())
                .help("let Tempo's metrics-generator or the Collector's servicegraph connector make them"),
            );
        }
        if present.spans.is_none() {
            notes.push(
                Diagnostic::warning(
                    "prometheus-no-operations",
                    "there are no span metrics: what services do is unknown",
                )
                .at(at())
                .help("let Tempo's metrics-generator or the Collector's spanmetrics connector make them"),
            );
        }
        if let Some(aside) = present.aside {
            let message = format!("{aside} counts spans too and is left aside: adding both up would count twice");
            notes.push(Diagnostic::warning("prometheus-two-counters", message).at(at()));
        }
        let doubt = spans.doubt.max(requests.doubt);
        if doubt > 0.0 {
            let message = format!(
                "the counters begin in the window: what they held by then, up to {doubt:.0} calls, is taken as of this window"
            );
            notes.push(Diagnostic::warning("prometheus-beginning", message).at(at()).help(
                "choose a window that starts after the first samples if the services are older than the backend's data",
            ));
        }
        if let Some(step) = spans.step.max(requests.step) {
            let message = format!("too many samples to read one by one: counters are taken every {} s", step / 1000);
            notes.push(Diagnostic::warning("prometheus-steps", message).at(at()).help(
                "what a process counted between the last step and its end is missing; a shorter window is exact",
            ));
        }
        notes
    }
}

/// Refuses counters of two makers: each counted the same calls.
fn one_maker(metric: &Metric, at: &str) -> Result<(), Diagnostic> {
    let makers: BTreeSet<&str> =
        metric.series.iter().filter_map(|counted| counted.labels.get("source")).map(String::as_str).collect();
    if makers.len() < 2 {
        return Ok(());
    }
    let names: Vec<&str> = makers.into_iter().take(5).collect();
    let message = format!(
        "metrics of several makers are there (source: {}): adding them up would count calls twice",
        names.join(", ")
    );
    Err(Diagnostic::error("prometheus-sources-mixed", message)
        .at(Location::file(at))
        .help("choose one: --query '{source=\"tempo\"}'"))
}

/// Whether a counter was read often enough to know its 5 minutes.
fn timely(metric: &Metric) -> bool {
    metric.step.is_none_or(|step| step <= TIMELY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_label_matchers_and_nothing_else() {
        assert_eq!(matchers("").unwrap(), "");
        assert_eq!(matchers(" { a=\"}{\", b=~\"x\\\"(y)\" , } ").unwrap(), "a=\"}{\", b=~\"x\\\"(y)\" ");
        for bad in ["a=\"b\"", "{a=\"b\"} or {c=\"d\"}", "{a=\"b\"}[5m]", "{ .x = 1 } | rate()"] {
            assert_eq!(matchers(bad).err().unwrap().code, "prometheus-filter", "{bad}");
        }
    }
}
