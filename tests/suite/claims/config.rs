//! What the configuration promises: objectives, and which services each is about.

use std::collections::BTreeSet;

use serde_json::Value;

/// What an objective measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sli {
    /// With its percentile as written: `99.9`.
    Latency(String),
    Mean,
    ErrorRate,
    Throughput,
    Lag(String),
    External,
}

#[derive(Debug, Clone)]
pub struct Objective {
    pub id: String,
    pub service: String,
    pub operation: String,
    pub sli: Sli,
    /// As written.
    pub target: String,
    /// Seconds, share, or things a second.
    pub value: f64,
    /// Seconds.
    pub window: Option<f64>,
    pub pages: bool,
}

pub struct Config {
    pub objectives: Vec<Objective>,
    pub json: Value,
}

impl Config {
    pub fn read(yaml: &str) -> Self {
        let json: Value = serde_saphyr::from_str(yaml).unwrap();
        let objectives = json["objectives"].as_array().into_iter().flatten().map(Objective::read).collect();
        Self { objectives, json }
    }

    /// Every text in it but the targets and windows of objectives: those are claims.
    pub fn texts(&self) -> BTreeSet<String> {
        let (mut out, mut todo) = (BTreeSet::new(), vec![&self.json]);
        while let Some(next) = todo.pop() {
            match next {
                Value::Array(all) => todo.extend(all),
                Value::Object(all) => {
                    let claims = ["target", "window", "after"];
                    todo.extend(all.iter().filter(|(key, _)| !claims.contains(&key.as_str())).map(|(_, value)| value));
                    out.extend(all.keys().cloned());
                }
                other => out.extend(other.as_str().map(|text| text.trim().to_owned())),
            }
        }
        out
    }
}

impl Objective {
    fn read(json: &Value) -> Self {
        let of = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        let sli = match of("sli").as_str() {
            "latency_mean" => Sli::Mean,
            "error_rate" => Sli::ErrorRate,
            "throughput" => Sli::Throughput,
            "external" => Sli::External,
            other => match (other.strip_prefix("latency_p"), other.strip_prefix("messaging_lag_p")) {
                (Some(p), _) => Sli::Latency(p.to_owned()),
                (_, Some(p)) => Sli::Lag(p.to_owned()),
                _ => panic!("an SLI called {other}"),
            },
        };
        let value =
            if sli == Sli::External { 0.0 } else { amount(of("target").trim_start_matches(['<', '>', '=', ' '])) };
        let window = Some(of("window")).filter(|w| !w.is_empty()).map(|w| amount(&w));
        let derived = || format!("{}-{}", of("service").replace('*', "all-services"), of("sli").replace('_', "-"));
        let id = Some(of("id")).filter(|id| !id.is_empty()).unwrap_or_else(derived);
        let pages = of("severity") == "page";
        Self { id, service: of("service"), operation: of("operation"), sli, target: of("target"), value, window, pages }
    }

    /// How pages say what it measures.
    pub fn words(&self) -> String {
        match &self.sli {
            Sli::Latency(p) => format!("p{p} latency"),
            Sli::Mean => "mean latency".to_owned(),
            Sli::ErrorRate => "error rate".to_owned(),
            Sli::Throughput => "throughput".to_owned(),
            Sli::Lag(p) => format!("p{p} message lag"),
            Sli::External => "value".to_owned(),
        }
    }

    /// Whether a value is on the good side.
    pub fn is_kept_by(&self, value: f64) -> bool {
        match self.target.trim_start_matches(|c: char| !"<>=".contains(c)).split(|c: char| !"<>=".contains(c)).next() {
            Some("<") => value < self.value,
            Some("<=") => value <= self.value,
            Some(">") => value > self.value,
            Some(">=") => value >= self.value,
            other => panic!("a target with the operator {other:?}"),
        }
    }

    /// The bad side, as pages say it.
    pub fn bad_side(&self) -> &'static str {
        match (self.target.starts_with('<'), self.target.contains('=')) {
            (true, false) => "at or above",
            (true, true) => "above",
            (false, false) => "at or below",
            (false, true) => "below",
        }
    }

    /// Whether it is about this service, by id or name.
    pub fn is_about(&self, id: &str) -> bool {
        let name = id.rsplit('/').next().unwrap_or(id);
        fits(&self.service, id) || fits(&self.service, name)
    }

    /// Whether it is about this operation of the service.
    pub fn covers(&self, operation: &str) -> bool {
        self.operation.is_empty() || fits(&self.operation, operation)
    }
}

/// `*` at either end stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, end)) => {
            assert!(!end.contains('*'), "one star at most in this data");
            text.len() >= start.len() + end.len() && text.starts_with(start) && text.ends_with(end)
        }
        None => pattern == text,
    }
}

/// `500ms`, `30d`, `0.5 %`, `2/min`: in seconds, as a share, a second.
fn amount(text: &str) -> f64 {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().unwrap();
    number
        * match text[end..].trim() {
            "ms" => 1e-3,
            "s" | "/s" => 1.0,
            "m" => 60.0,
            "/min" => 1.0 / 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            "%" => 0.01,
            other => panic!("the unit {other}"),
        }
}
