//! What series of one thing add up to: a thing is whatever a key made of labels says.

use std::collections::BTreeMap;

use super::fold::{Counted, scaled};
use super::metrics::Histogram;
use super::reader::Reader;
use crate::diag::Diagnostic;
use crate::spans::aggregate::{DurationBucket, Durations, Totals};
use crate::spans::{ErrorClass, Weight};

/// Labels of a series.
pub(super) type Labels = BTreeMap<String, String>;

/// Calls or errors of one thing.
#[derive(Debug, Default)]
pub(super) struct Sum {
    total: f64,
    buckets: BTreeMap<u64, f64>,
}

impl Sum {
    pub(super) fn add(&mut self, counted: &Counted) {
        self.total += counted.total;
        for (at, n) in &counted.buckets {
            *self.buckets.entry(*at).or_default() += n;
        }
    }
}

/// Calls and errors together. Without `series` the time of each is not known well enough.
pub(super) fn totals(calls: &Sum, errors: &Sum, classes: BTreeMap<ErrorClass, f64>, series: bool) -> Totals {
    let mut by_time: BTreeMap<u64, (Weight, Weight)> = BTreeMap::new();
    if series {
        for (at, n) in &calls.buckets {
            by_time.entry(*at).or_default().0 = Weight::from_f64(*n);
        }
        for (at, n) in &errors.buckets {
            by_time.entry(*at).or_default().1 = Weight::from_f64(*n);
        }
    }
    Totals {
        calls: Weight::from_f64(calls.total),
        errors: Weight::from_f64(errors.total),
        series: by_time,
        classes: classes.into_iter().map(|(class, n)| (class, Weight::from_f64(n))).collect(),
    }
}

/// How a failed call failed, where a label says so.
pub(super) fn class(labels: &Labels) -> Option<ErrorClass> {
    let first = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).filter(|value| !value.is_empty());
    let class = ErrorClass {
        http_status: first(&["http_response_status_code", "http_status_code"])
            .and_then(|text| text.parse().ok())
            .filter(|status| (100..1000).contains(status))
            .unwrap_or(0),
        error_type: first(&["error_type"])
            .map(|text| crate::spans::normalize::attribute(text, 200).into_owned())
            .unwrap_or_default(),
        ..ErrorClass::default()
    };
    (class != ErrorClass::default()).then_some(class)
}

/// Buckets of one thing while they are added up.
#[derive(Debug, Default)]
struct Adding {
    buckets: BTreeMap<(u64, Option<u64>), f64>,
    sum: Option<f64>,
}

/// The durations of each thing. Buckets are taken apart series by series, since those of two layouts cannot be added up
/// while they are cumulative.
pub(super) async fn durations<K: Ord>(
    reader: &Reader<'_>,
    histogram: Option<Histogram>,
    more: &str,
    key: impl Fn(&Labels) -> Option<K>,
) -> Result<BTreeMap<K, Durations>, Diagnostic> {
    let Some(histogram) = histogram else { return Ok(BTreeMap::new()) };
    let Histogram { name, scale, native } = histogram;
    let mut all: BTreeMap<K, Adding> = BTreeMap::new();
    if native {
        for counted in reader.read(name, more, scale).await?.series {
            let Some(key) = key(&counted.labels) else { continue };
            let adding = all.entry(key).or_default();
            for ((lower, upper), n) in counted.native {
                *adding.buckets.entry((lower, Some(upper))).or_default() += n;
            }
            *adding.sum.get_or_insert(0.0) += counted.sum;
        }
    } else {
        let found = reader.read(&format!("{name}_bucket"), more, scale).await?;
        for (labels, cumulative) in apart(found.series, scale) {
            let Some(key) = key(&labels) else { continue };
            let adding = all.entry(key).or_default();
            let (mut lower, mut below) = (0, 0.0);
            for (upper, n) in cumulative {
                // Buckets of one scrape never fall; those read over a restart may by what was lost.
                if n > below {
                    *adding.buckets.entry((lower, (upper < u64::MAX).then_some(upper))).or_default() += n - below;
                    below = n;
                }
                lower = upper;
            }
        }
        for counted in reader.read(&format!("{name}_sum"), more, scale).await?.series {
            if let Some(adding) = key(&counted.labels).and_then(|key| all.get_mut(&key)) {
                *adding.sum.get_or_insert(0.0) += counted.total;
            }
        }
    }
    Ok(all.into_iter().map(|(key, adding)| (key, finish(adding, scale))).collect())
}

/// The cumulative buckets of each series by upper bound; the last has none.
fn apart(series: Vec<Counted>, scale: f64) -> BTreeMap<Labels, BTreeMap<u64, f64>> {
    let mut all: BTreeMap<Labels, BTreeMap<u64, f64>> = BTreeMap::new();
    for mut counted in series {
        let Some(le) = counted.labels.remove("le").and_then(|le| le.parse::<f64>().ok()) else { continue };
        let upper = if le.is_finite() { scaled(le, scale) } else { u64::MAX };
        *all.entry(counted.labels).or_default().entry(upper).or_default() += counted.total;
    }
    all
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "float casts saturate, which is meant")]
fn finish(adding: Adding, scale: f64) -> Durations {
    let bucket =
        |((lower, upper), n): ((u64, Option<u64>), f64)| DurationBucket { lower, upper, calls: Weight::from_f64(n) };
    Durations {
        buckets: adding.buckets.into_iter().map(bucket).collect(),
        sum_micro: adding.sum.map(|sum| (sum * scale * 1e6).round() as u128),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cumulative_buckets_come_apart_by_series_and_in_order() {
        let le = |instance: &str, le: &str, total: f64| {
            let labels = [("instance", instance), ("le", le)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            Counted::of(labels.into(), total)
        };
        let apart = apart(vec![le("a", "+Inf", 3.0), le("a", "0.2", 2.0), le("b", "0.1", 1.0), le("b", "x", 9.0)], 1e9);
        let all: Vec<Vec<(u64, f64)>> = apart.into_values().map(|buckets| buckets.into_iter().collect()).collect();
        assert_eq!(all, [vec![(200_000_000, 2.0), (u64::MAX, 3.0)], vec![(100_000_000, 1.0)]]);
    }

    #[test]
    fn a_failure_is_classed_by_what_labels_say() {
        let labels = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert_eq!(class(&labels("http_status_code", "503")).map(|c| c.http_status), Some(503));
        assert_eq!(class(&labels("error_type", "timeout")).map(|c| c.error_type), Some("timeout".to_owned()));
        assert_eq!(class(&labels("http_status_code", "0")), None);
    }
}
