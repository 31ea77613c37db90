//! Objectives as configured: raw text in, valid values out, all problems collected.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::names::slug;
use super::question;
use super::target::{parse_sli, parse_target};
use super::units::{clip, whole_seconds};
use crate::diag::{Diagnostic, Location};

/// An objective as written in `tracebook.yaml` under `objectives:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObjectiveConfig {
    /// Stable id; derived from service, operation and SLI when absent.
    #[serde(default)]
    pub id: Option<String>,
    /// `name`, `namespace/name`, or `*` for every service.
    pub service: String,
    /// One operation, `*` as a wildcard inside; all requests of the service when absent.
    #[serde(default)]
    pub operation: Option<String>,
    /// `latency_p99`, `latency_p99.9`, `latency_mean`, `error_rate`, `throughput`, `messaging_lag_p99`, or `external`.
    pub sli: String,
    /// `< 500ms`, `<= 0.5 %`, `> 10/s`, `< 30s`; for `external` a number with or without one of these
    /// units, or any text a person understands.
    pub target: String,
    /// What the objective covers, e.g. `30d`; the snapshot's window when absent.
    #[serde(default)]
    pub window: Option<String>,
    /// `page` or `ticket`.
    #[serde(default)]
    pub severity: Option<String>,
    /// For `external`: the Prometheus query that answers it. In values of labels `{service}` and `{namespace}` stand for those
    /// of the service.
    #[serde(default)]
    pub query: Option<String>,
    /// For people.
    #[serde(default)]
    pub description: Option<String>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub enum Sli {
    /// A latency percentile of handled requests in seconds; percentile in (0, 100).
    Latency {
        /// E.g. 99 or 99.9.
        percentile: f64,
    },
    /// Mean latency of handled requests in seconds.
    LatencyMean,
    /// Failed ÷ handled requests, 0..=1.
    ErrorRate,
    /// Handled requests per second.
    Throughput,
    /// A percentile of the time messages wait before this service receives them, in seconds.
    MessagingLag {
        /// E.g. 99.
        percentile: f64,
    },
    /// Nothing traces can answer (pod readiness, replica lag, certificate expiry): comes from elsewhere.
    External,
}

/// Which side of the target is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Value < target.
    Below,
    /// Value ≤ target.
    AtMost,
    /// Value > target.
    Above,
    /// Value ≥ target.
    AtLeast,
}

/// A valid objective.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// Stable id, unique in the configuration.
    pub id: String,
    /// `name`, `namespace/name` or `*`.
    pub service: String,
    /// One operation (pattern), or all.
    pub operation: Option<String>,
    /// What is measured.
    pub sli: Sli,
    /// The SLI as written (`latency_p99`).
    pub sli_name: String,
    /// Good side.
    pub comparison: Comparison,
    /// Target in seconds, ratio or calls per second; 0 for an `external` one that is a text.
    pub target: f64,
    /// The target as written, for pages (`< 500ms`).
    pub target_text: String,
    /// What the objective covers, in seconds; the snapshot's window when absent.
    pub window_seconds: Option<u64>,
    /// `page` or `ticket`.
    pub severity: String,
    /// The Prometheus query of an `external` objective; in a status that for its service.
    pub query: Option<String>,
    /// For people; may be empty.
    pub description: String,
}

/// What a value or target is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds.
    Seconds,
    /// 0..=1, shown as a percentage.
    Ratio,
    /// Calls, or other things, per second.
    PerSecond,
    /// A number of whatever a query counts.
    Number,
}

impl Objective {
    /// Its target as a number; `None` for a text for people.
    #[must_use]
    pub fn target_number(&self) -> Option<f64> {
        let text = self.sli == Sli::External && super::target::external(&self.target_text).is_none();
        (!text).then_some(self.target)
    }

    /// The unit of its target and of every value held against it.
    #[must_use]
    pub fn unit(&self) -> Unit {
        match self.sli {
            Sli::Latency { .. } | Sli::LatencyMean | Sli::MessagingLag { .. } => Unit::Seconds,
            Sli::ErrorRate => Unit::Ratio,
            Sli::Throughput => Unit::PerSecond,
            Sli::External => super::target::external(&self.target_text).map_or(Unit::Number, |(_, unit)| unit),
        }
    }
}

impl ObjectiveConfig {
    /// Checks everything and converts once. `index` is the position in the list, for key paths `objectives[index].…`.
    ///
    /// # Errors
    /// Every problem found, each with its key path and the expected form.
    pub fn validate(&self, index: usize) -> Result<Objective, Vec<Diagnostic>> {
        let mut problems = Problems { index, found: Vec::new() };
        let sli_name = self.sli.trim().to_owned();
        let sli = parse_sli(&sli_name).map_err(|help| {
            problems.add("objective-sli", "sli", format!("`{}` is not an SLI", clip(&self.sli)), help);
        });
        let goal = sli.and_then(|sli| {
            parse_target(sli, &self.target)
                .map_err(|(message, help)| problems.add("objective-target", "target", message, help))
        });
        if self.service.trim().is_empty() {
            let help = "name a service (`api`, `shop/api`), or `*` for every service";
            problems.add("objective-service", "service", "the service is empty", help);
        }
        if self.operation.as_ref().is_some_and(|o| o.is_empty()) {
            let help = "name a span (`GET /cart`, `*` as a wildcard), or leave the key out for all requests";
            problems.add("objective-operation", "operation", "the operation is empty", help);
        }
        if self.operation.is_some() && matches!(sli, Ok(Sli::MessagingLag { .. })) {
            let message = "a messaging lag is measured per service, not per operation";
            problems.add("objective-operation", "operation", message, "leave `operation` out");
        }
        if self.query.is_some() && sli.is_ok_and(|sli| sli != Sli::External) {
            let message = "a query only answers an objective with `sli: external`; this one is answered by traces";
            problems.add("objective-query", "query", message, "leave `query` out, or set `sli: external`");
        } else if let Some(query) = &self.query
            && let Err((message, help)) = question::check(query, self.service.contains('*'))
        {
            problems.add("objective-query", "query", message, help);
        }
        let window_seconds = self.window.as_ref().and_then(|text| {
            let seconds = whole_seconds(text);
            if seconds.is_none() {
                let message = format!("`{}` is not a window", clip(text));
                problems.add(
                    "objective-window",
                    "window",
                    message,
                    "write whole seconds or more: `30d`, `7d`, `1h30m`",
                );
            }
            seconds
        });
        let severity = self.severity.as_deref().unwrap_or("ticket");
        if !matches!(severity, "page" | "ticket") {
            let message = format!("`{}` is not a severity", clip(severity));
            problems.add("objective-severity", "severity", message, "write `page` or `ticket`");
        }
        let id = self.id.clone().unwrap_or_else(|| self.derived_id(&sli_name));
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if id.is_empty() || id.len() > 100 || !id.chars().all(plain) {
            let message = format!("`{}` cannot be an id", clip(&id));
            problems.add(
                "objective-id",
                "id",
                message,
                "write 1 to 100 letters, digits, `-`, `_` or `.`: `api-latency`",
            );
        }
        match (sli, goal) {
            (Ok(sli), Ok(goal)) if problems.found.is_empty() => Ok(Objective {
                id,
                service: self.service.trim().to_owned(),
                operation: self.operation.clone(),
                sli,
                sli_name,
                comparison: goal.comparison,
                target: goal.value,
                target_text: goal.text,
                window_seconds,
                severity: severity.to_owned(),
                query: self.query.clone(),
                description: self.description.clone().unwrap_or_default(),
            }),
            _ => Err(problems.found),
        }
    }

    fn derived_id(&self, sli: &str) -> String {
        derived_id(&self.service, self.operation.as_deref().unwrap_or_default(), sli)
    }
}

/// The id of an objective that is given none: `<service>[-<operation>]-<sli>` as a slug; `all-services` for `*`. Names
/// that differ only in signs give the same.
#[must_use]
pub fn derived_id(service: &str, operation: &str, sli: &str) -> String {
    let service = if service.trim() == "*" { "all-services" } else { service };
    let sli = slug(sli);
    let mut id = slug(&format!("{service}-{operation}"));
    // The end tells ids apart, so it is the middle that is cut.
    id.truncate(100usize.saturating_sub(sli.len() + 1));
    format!("{}-{sli}", id.trim_end_matches('-')).trim_start_matches('-').to_owned()
}

/// Validates a whole list of entries with their positions in the configuration, uniqueness of ids included.
///
/// # Errors
/// Every problem of every entry.
pub fn validate_all(configs: &[(usize, ObjectiveConfig)]) -> Result<Vec<Objective>, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut valid = Vec::new();
    for (index, config) in configs {
        match config.validate(*index) {
            Err(found) => problems.extend(found),
            Ok(objective) => {
                if let Some(first) = seen.get(&objective.id) {
                    problems.push(duplicate(*index, *first, &objective.id));
                } else {
                    seen.insert(objective.id.clone(), *index);
                }
                valid.push(objective);
            }
        }
    }
    if problems.is_empty() { Ok(valid) } else { Err(problems) }
}

fn duplicate(index: usize, first: usize, id: &str) -> Diagnostic {
    Diagnostic::error("objective-duplicate", format!("the id `{id}` is already that of objectives[{first}]"))
        .at(Location::default().at_key(format!("objectives[{index}].id")))
        .help("give one of the two an `id` of its own; ids name alerts and pages and must not change later")
}

/// Collects what is wrong with one entry.
struct Problems {
    index: usize,
    found: Vec<Diagnostic>,
}

impl Problems {
    fn add(&mut self, code: &'static str, key: &str, message: impl Into<String>, help: impl Into<String>) {
        let place = Location::default().at_key(format!("objectives[{}].{key}", self.index));
        self.found.push(Diagnostic::error(code, message).at(place).help(help));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(sli: &str, target: &str) -> ObjectiveConfig {
        ObjectiveConfig {
            id: None,
            service: "api".into(),
            operation: None,
            sli: sli.into(),
            target: target.into(),
            window: None,
            severity: None,
            query: None,
            description: None,
        }
    }

    fn only_problem(config: &ObjectiveConfig) -> Diagnostic {
        let mut found = config.validate(2).unwrap_err();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[test]
    fn every_sli_takes_targets_of_its_own_unit() {
        let cases = [
            ("latency_p99", "< 500ms", Comparison::Below, 0.5),
            ("latency_p99.9", "<=2s", Comparison::AtMost, 2.0),
            ("latency_mean", "≤ 1m30s", Comparison::AtMost, 90.0),
            ("latency_p50", "20ms", Comparison::AtMost, 0.02),
            ("error_rate", "< 0.5 %", Comparison::Below, 0.005),
            ("error_rate", "0.005", Comparison::AtMost, 0.005),
            ("throughput", "> 10/s", Comparison::Above, 10.0),
            ("throughput", ">=5/min", Comparison::AtLeast, 5.0 / 60.0),
            ("messaging_lag_p99", "< 2s", Comparison::Below, 2.0),
        ];
        for (sli, target, comparison, value) in cases {
            let objective = config(sli, target).validate(0).unwrap();
            assert_eq!((objective.comparison, objective.target), (comparison, value), "{sli} {target}");
            assert_eq!(objective.severity, "ticket");
        }
        assert_eq!(config("latency_p99.9", "< 1s").validate(0).unwrap().sli, Sli::Latency { percentile: 99.9 });
    }

    #[test]
    fn a_target_of_the_wrong_kind_names_its_key_and_the_expected_form() {
        for (sli, target) in [
            ("latency_p99", "< 5 %"),
            ("latency_p99", "< 500"),
            ("latency_p99", "> 500ms"),
            ("latency_p99", "< 0ms"),
            ("error_rate", "< 500ms"),
            ("error_rate", "< 5"),
            ("error_rate", "> 1 %"),
            ("error_rate", "< 0,5 %"),
            ("throughput", "> 10"),
            ("throughput", "> 1 %"),
            ("messaging_lag_p50", "soon"),
            ("latency_p99", ""),
        ] {
            let problem = only_problem(&config(sli, target));
            assert_eq!(problem.code, "objective-target", "{sli} {target}");
            assert_eq!(problem.location.key.as_deref(), Some("objectives[2].target"));
            assert!(!problem.help.is_empty(), "{sli} {target}");
        }
    }

    #[test]
    fn a_mistyped_sli_is_told_the_one_meant() {
        assert!(only_problem(&config("latncy_p99", "< 1s")).help.contains("latency_p99"));
        for sli in ["latency_p0", "latency_p100", "latency_p", "latency_p99x", "uptime", ""] {
            assert_eq!(only_problem(&config(sli, "< 1s")).code, "objective-sli", "{sli}");
        }
    }

    #[test]
    fn all_problems_of_an_entry_are_told_at_once() {
        let bad = ObjectiveConfig {
            id: Some("a b".into()),
            service: " ".into(),
            operation: Some(String::new()),
            window: Some("soon".into()),
            severity: Some("loud".into()),
            query: Some("up".into()),
            ..config("error_rate", "< 5 ms")
        };
        let codes: Vec<_> = bad.validate(0).unwrap_err().into_iter().map(|d| d.code).collect();
        let expected = ["target", "service", "operation", "query", "window", "severity", "id"];
        assert_eq!(codes, expected.map(|k| format!("objective-{k}")));
    }

    #[test]
    fn an_external_objective_takes_any_text_and_a_query() {
        let pods = ObjectiveConfig { query: Some("avg(up)".into()), ..config("external", "> 99 %") };
        let objective = pods.validate(0).unwrap();
        assert_eq!((objective.sli, objective.target, objective.target_text.as_str()), (Sli::External, 0.99, "> 99 %"));
        assert_eq!(objective.comparison, Comparison::Above);
        assert_eq!(only_problem(&config("external", " ")).code, "objective-target");
    }

    #[test]
    fn a_pattern_needs_a_query_that_names_the_service() {
        let pods = |service: &str, query: &str| ObjectiveConfig {
            service: service.into(),
            query: Some(query.into()),
            ..config("external", "> 99 %")
        };
        for (service, query) in [("*", "avg(up)"), ("shop/*", "up{job=\"x\"}"), ("api", "up{service}")] {
            let problem = only_problem(&pods(service, query));
            assert_eq!(
                (problem.code, problem.location.key.as_deref()),
                ("objective-query", Some("objectives[2].query"))
            );
            assert!(problem.help.contains("{service}"), "{problem}");
        }
        assert!(pods("*", "up{job=\"{service}\"}").validate(0).is_ok());
    }

    #[test]
    fn ids_are_derived_and_must_be_unique() {
        let every = ObjectiveConfig { service: "*".into(), ..config("error_rate", "< 1 %") };
        assert_eq!(every.validate(0).unwrap().id, "all-services-error-rate");
        let cart = ObjectiveConfig { operation: Some("GET /cart".into()), ..config("latency_p99.9", "< 1s") };
        assert_eq!(cart.validate(0).unwrap().id, "api-get-cart-latency-p99-9");
        let found = validate_all(&[(0, every.clone()), (1, cart), (2, every)]).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].location.key.as_deref(), Some("objectives[2].id"));
        assert!(found[0].message.contains("objectives[0]"));
    }

    #[test]
    fn a_window_is_kept_in_seconds() {
        let with = |w: &str| ObjectiveConfig { window: Some(w.into()), ..config("error_rate", "< 1 %") };
        assert_eq!(with("30d").validate(0).unwrap().window_seconds, Some(2_592_000));
        assert_eq!(with("1h30m").validate(0).unwrap().window_seconds, Some(5_400));
        assert_eq!(only_problem(&with("0d")).location.key.as_deref(), Some("objectives[2].window"));
    }
}
