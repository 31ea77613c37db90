//! Links to where a trace or a query can be opened, built from the configured bases.
//!
//! Grafana: the `panes` format of Explore (schemaVersion 1). Jaeger: `/trace/{id}`.
//! Must not: build a link from a base that is not an absolute http(s) URL.

use serde::Serialize;

use super::cfg::LinksConfig;
use super::document::TraceRef;
use super::quote::percent;
use crate::topology::{Exemplar, Exemplars, Sketch};

#[derive(Serialize)]
struct Panes<'a> {
    tb: Pane<'a>,
}

#[derive(Serialize)]
struct Pane<'a> {
    datasource: &'a str,
    queries: [Query<'a>; 1],
    range: Range,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Query<'a> {
    ref_id: &'a str,
    datasource: Datasource<'a>,
    query_type: &'a str,
    query: &'a str,
    limit: u32,
    table_type: &'a str,
}

#[derive(Serialize)]
struct Datasource<'a> {
    r#type: &'a str,
    uid: &'a str,
}

#[derive(Serialize)]
struct Range {
    from: String,
    to: String,
}

/// The base without its final slash, when it is one we may link to.
fn base(url: Option<&String>) -> Option<&str> {
    let url = url?.trim_end_matches('/');
    (url.starts_with("https://") || url.starts_with("http://")).then_some(url)
}

/// A Grafana Explore URL for a TraceQL query or a trace id between two times (`now-1h`, or Unix milliseconds).
fn grafana(links: &LinksConfig, query: &str, from: String, to: String) -> Option<String> {
    let (base, uid) = (base(links.grafana.as_ref())?, links.tempo_datasource.as_deref()?);
    let query = Query {
        ref_id: "A",
        datasource: Datasource { r#type: "tempo", uid },
        query_type: "traceql",
        query,
        limit: 20,
        table_type: "traces",
    };
    let panes = Panes { tb: Pane { datasource: uid, queries: [query], range: Range { from, to } } };
    let json = serde_json::to_string(&panes).ok()?;
    Some(format!("{base}/explore?schemaVersion=1&panes={}&orgId=1", percent(&json)))
}

/// A TraceQL query over the last hour in Grafana.
pub(super) fn explore(links: &LinksConfig, query: &str) -> Option<String> {
    grafana(links, query, "now-1h".into(), "now".into())
}

/// One exemplar as a trace to open. Half an hour on both sides finds it whatever the trace's length.
pub(super) fn trace_ref(links: &LinksConfig, class: &str, exemplar: &Exemplar) -> TraceRef {
    const HALF_HOUR_MS: u64 = 30 * 60 * 1000;
    let id = exemplar.trace_id.to_string();
    let start = exemplar.start.0 / 1_000_000;
    let (from, to) = (start.saturating_sub(HALF_HOUR_MS), start.saturating_add(HALF_HOUR_MS));
    let mut urls = Vec::new();
    if let Some(url) = grafana(links, &id, from.to_string(), to.to_string()) {
        urls.push(("Grafana".to_owned(), url));
    }
    if let Some(base) = base(links.jaeger.as_ref()) {
        urls.push(("Jaeger".to_owned(), format!("{base}/trace/{id}")));
    }
    TraceRef {
        class: class.to_owned(),
        trace_id: id,
        span_id: exemplar.span_id.to_string(),
        start: exemplar.start,
        #[allow(clippy::cast_precision_loss, reason = "for display")]
        duration_seconds: exemplar.duration_ns as f64 / 1e9,
        links: urls,
    }
}

/// Typical exemplars shown, of those nearest to the median.
const MOST_TYPICAL: usize = 3;

/// Exemplars of the given classes (`slow`, `failed`, `typical`), in that order; `durations` tells the median.
pub(super) fn traces(
    links: &LinksConfig,
    exemplars: &Exemplars,
    durations: &Sketch,
    classes: &[&str],
) -> Vec<TraceRef> {
    let of = |class: &str| match class {
        "slow" => exemplars.slow.iter().collect(),
        "failed" => exemplars.failed.iter().collect(),
        _ => {
            let mut typical = exemplars.typical_by_nearness(durations.quantile(0.5).unwrap_or(0.0));
            typical.truncate(MOST_TYPICAL);
            typical
        }
    };
    classes.iter().flat_map(|class| of(class).into_iter().map(|e| trace_ref(links, class, e))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spans::{SpanId, TraceId, UnixNanos};

    fn bases() -> LinksConfig {
        LinksConfig {
            grafana: Some("https://grafana.example.com/".into()),
            tempo_datasource: Some("te\"mpo".into()),
            jaeger: Some("https://jaeger.example.com".into()),
        }
    }

    #[test]
    fn an_exemplar_opens_in_grafana_and_in_jaeger() {
        let exemplar = Exemplar {
            trace_id: TraceId(0xab),
            span_id: SpanId(1),
            start: UnixNanos(3_600_000_000_000),
            duration_ns: 5,
        };
        let exemplars = Exemplars { slow: vec![exemplar], ..Exemplars::default() };
        let refs = traces(&bases(), &exemplars, &Sketch::default(), &["slow", "failed"]);
        assert_eq!(refs.len(), 1);
        assert_eq!(refs[0].links[1].1, "https://jaeger.example.com/trace/000000000000000000000000000000ab");
        let url = &refs[0].links[0].1;
        let start = "https://grafana.example.com/explore?schemaVersion=1&panes=%7B%22tb%22%3A%7B%22datasource%22%3A%22te%5C%22mpo%22";
        assert!(url.starts_with(start) && url.ends_with("&orgId=1"), "{url}");
        assert!(url.contains("%22from%22%3A%221800000%22%2C%22to%22%3A%225400000%22"), "{url}");
    }

    #[test]
    fn a_base_that_is_no_web_address_yields_no_link() {
        let links = LinksConfig { jaeger: Some("javascript:alert(1)".into()), grafana: None, tempo_datasource: None };
        assert_eq!(explore(&links, "{ }"), None);
        let exemplar = Exemplar { trace_id: TraceId(1), span_id: SpanId(1), start: UnixNanos(0), duration_ns: 0 };
        assert!(trace_ref(&links, "slow", &exemplar).links.is_empty());
    }
}
