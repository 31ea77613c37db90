//! What metrics made from spans are called.
//!
//! | | spelling |
//! |---|---|
//! | service graph | `traces_service_graph_request_total`, `_request_failed_total`, `_request_{client,server}_seconds` (Tempo's metrics-generator, the Collector's servicegraph connector, Beyla) |
//! | span metrics of Tempo and Beyla | `traces_spanmetrics_calls_total`, `traces_spanmetrics_latency` |
//! | of the Collector's spanmetrics connector | `traces_span_metrics_calls_total`, `traces_span_metrics_duration_{milliseconds,seconds}`; before v0.109 without `traces_span_metrics_` |

/// Nanoseconds in a second and in a millisecond.
const SECONDS: f64 = 1e9;
const MILLISECONDS: f64 = 1e6;

/// Everything a backend is asked for: a matcher of names.
pub(super) const NAMES: &str = "{__name__=~\"traces_service_graph_request_.+|traces_spanmetrics_.+|traces_span_metrics_.+|calls_total|duration_(milliseconds|seconds).*\"";

pub(super) const REQUESTS: &str = "traces_service_graph_request_total";
pub(super) const FAILED: &str = "traces_service_graph_request_failed_total";
const CLIENT: &str = "traces_service_graph_request_client_seconds";
const SERVER: &str = "traces_service_graph_request_server_seconds";

/// Calls, and the histograms that may go with them.
const SPANS: [(&str, &[(&str, f64)]); 3] = [
    ("traces_spanmetrics_calls_total", &[("traces_spanmetrics_latency", SECONDS)]),
    (
        "traces_span_metrics_calls_total",
        &[
            ("traces_span_metrics_duration_milliseconds", MILLISECONDS),
            ("traces_span_metrics_duration_seconds", SECONDS),
        ],
    ),
    ("calls_total", &[("duration_milliseconds", MILLISECONDS), ("duration_seconds", SECONDS)]),
];

/// A histogram and the form it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Histogram {
    pub(super) name: &'static str,
    /// Nanoseconds in its unit.
    pub(super) scale: f64,
    /// Exponential buckets in one series, or a series for each bucket.
    pub(super) native: bool,
}

/// What of it all is there.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Present {
    pub(super) requests: bool,
    pub(super) failed: bool,
    pub(super) client: Option<Histogram>,
    pub(super) server: Option<Histogram>,
    /// Counter of spans.
    pub(super) spans: Option<&'static str>,
    pub(super) latency: Option<Histogram>,
    /// Another counter of the same spans, which is left aside: adding the two up would count twice.
    pub(super) aside: Option<&'static str>,
}

impl Present {
    /// Chooses among the names that exist.
    pub(super) fn among(names: &[String]) -> Self {
        let has = |name: &str| names.iter().any(|known| known == name);
        let histogram = |name: &'static str, scale: f64| {
            if has(&format!("{name}_bucket")) {
                Some(Histogram { name, scale, native: false })
            } else {
                has(name).then_some(Histogram { name, scale, native: true })
            }
        };
        let mut families = SPANS.iter().filter(|(calls, _)| has(calls));
        let chosen = families.next();
        Self {
            requests: has(REQUESTS),
            failed: has(FAILED),
            client: histogram(CLIENT, SECONDS),
            server: histogram(SERVER, SECONDS),
            spans: chosen.map(|(calls, _)| *calls),
            latency: chosen.and_then(|(_, all)| all.iter().find_map(|(name, scale)| histogram(name, *scale))),
            // `calls_total` may be anybody's.
            aside: families.map(|(calls, _)| *calls).find(|calls| *calls != "calls_total"),
        }
    }

    /// How many metrics are to be read.
    pub(super) fn count(&self) -> u64 {
        let histogram = |h: &Option<Histogram>| h.map_or(0, |h| if h.native { 1 } else { 2 });
        u64::from(self.requests)
            + u64::from(self.failed)
            + u64::from(self.spans.is_some())
            + [&self.client, &self.server, &self.latency].into_iter().map(histogram).sum::<u64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn among(names: &[&str]) -> Present {
        Present::among(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn each_spelling_is_known() {
        let tempo = among(&["traces_spanmetrics_calls_total", "traces_spanmetrics_latency_bucket", "calls_total"]);
        let latency = Histogram { name: "traces_spanmetrics_latency", scale: SECONDS, native: false };
        assert_eq!((tempo.spans, tempo.latency), (Some("traces_spanmetrics_calls_total"), Some(latency)));
        assert_eq!(tempo.aside, None);
        let collector = among(&["traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket"]);
        assert_eq!(collector.latency.map(|h| (h.scale, h.native)), Some((MILLISECONDS, false)));
        let old = among(&["calls_total", "duration_seconds"]);
        assert_eq!(old.latency.map(|h| (h.name, h.native)), Some(("duration_seconds", true)));
        let both = among(&["traces_spanmetrics_calls_total", "traces_span_metrics_calls_total"]);
        assert_eq!(both.aside, Some("traces_span_metrics_calls_total"));
        assert_eq!(among(&["up"]), Present::default());
    }
}
