//! Span metrics as operations.

use std::collections::BTreeMap;

use super::gather::{self, Labels, Sum};
use super::metrics::Present;
use super::reader::{Metric, Reader};
use crate::diag::Diagnostic;
use crate::spans::aggregate::{AggregateOperation, AggregateService};
use crate::spans::{ErrorClass, SpanKind};

/// Only what is made from spans: other counters may have the same name.
const OF_SPANS: &str = "span_kind!=\"\"";

/// What tells operations apart.
type Key = (AggregateService, SpanKind, String);

fn key(labels: &Labels) -> Option<Key> {
    let first = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).filter(|text| !text.is_empty());
    let kind = match labels.get("span_kind")?.trim_start_matches("SPAN_KIND_") {
        "SERVER" => SpanKind::Server,
        "CLIENT" => SpanKind::Client,
        "PRODUCER" => SpanKind::Producer,
        "CONSUMER" => SpanKind::Consumer,
        "INTERNAL" => SpanKind::Internal,
        _ => SpanKind::Unspecified,
    };
    let service = AggregateService {
        namespace: first(&["service_namespace"]).cloned().unwrap_or_default(),
        name: first(&["service_name", "service"])?.clone(),
    };
    Some((service, kind, first(&["span_name"])?.clone()))
}

fn failed(labels: &Labels) -> bool {
    labels.get("status_code").is_some_and(|status| status == "STATUS_CODE_ERROR")
}

#[derive(Default)]
struct Parts {
    calls: Sum,
    errors: Sum,
    classes: BTreeMap<ErrorClass, f64>,
}

/// The operations, and what is to be said about their counter.
pub(super) async fn operations(
    reader: &Reader<'_>,
    present: &Present,
) -> Result<(Vec<AggregateOperation>, Metric), Diagnostic> {
    let Some(spans) = present.spans else { return Ok((Vec::new(), Metric::default())) };
    let counted = reader.read(spans, OF_SPANS, 1e9).await?;
    let mut durations = gather::durations(reader, present.latency, OF_SPANS, key).await?;
    let mut all: BTreeMap<Key, Parts> = BTreeMap::new();
    for one in &counted.series {
        let Some(key) = key(&one.labels) else { continue };
        let parts = all.entry(key).or_default();
        parts.calls.add(one);
        if failed(&one.labels) {
            parts.errors.add(one);
            if let Some(class) = gather::class(&one.labels) {
                *parts.classes.entry(class).or_default() += one.total;
            }
        }
    }
    let series = super::timely(&counted);
    let operations = all.into_iter().map(|(key, parts)| {
        let durations = durations.remove(&key);
        let (service, kind, name) = key;
        let totals = gather::totals(&parts.calls, &parts.errors, parts.classes, series);
        AggregateOperation { service, kind, name, entry: false, totals, durations }
    });
    Ok((operations.collect(), counted))
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Found, read};
    use super::*;

    #[test]
    fn every_recorded_span_metric_of_a_real_tempo_names_an_operation() {
        let text = include_bytes!("../../../tests/data/tempo/prometheus/spanmetrics_calls_total.json");
        let found: Found = read(200, text, "p").unwrap();
        let keys: Vec<Key> = found.result.iter().filter_map(|series| key(&series.metric)).collect();
        assert_eq!(keys.len(), 82);
        assert!(keys.iter().all(|(_, kind, _)| *kind != SpanKind::Unspecified));
        assert_eq!(found.result.iter().filter(|series| failed(&series.metric)).count(), 22);
    }

    #[test]
    fn the_collector_spells_the_service_otherwise() {
        let labels = [("service_name", "a"), ("service", "b"), ("span_kind", "SPAN_KIND_CLIENT"), ("span_name", "x")];
        let (service, kind, name) = key(&labels.map(|(k, v)| (k.to_owned(), v.to_owned())).into()).unwrap();
        assert_eq!((service.name.as_str(), kind, name.as_str()), ("a", SpanKind::Client, "x"));
    }
}
