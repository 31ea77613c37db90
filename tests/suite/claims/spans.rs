//! Spans, read from OTLP JSON lines as plainly as can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

pub type Attributes = BTreeMap<String, String>;

/// One span, and what its process says of itself.
#[derive(Debug, Clone)]
pub struct Span {
    pub trace: String,
    pub id: String,
    /// Empty for none.
    pub parent: String,
    pub name: String,
    pub kind: Kind,
    /// Nanoseconds since the epoch.
    pub start: u64,
    pub end: u64,
    pub attributes: Attributes,
    pub resource: Arc<Attributes>,
    /// `namespace/name`.
    pub service: String,
    pub status: u64,
    /// Type of the first exception event.
    pub exception: String,
    /// Trace and span ids.
    pub links: Vec<(String, String)>,
    /// Calls it stands for.
    pub weight: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Other,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Span {
    pub fn calls(&self) -> bool {
        matches!(self.kind, Kind::Client | Kind::Producer)
    }

    pub fn is_called(&self) -> bool {
        matches!(self.kind, Kind::Server | Kind::Consumer)
    }

    /// Nanoseconds, where there is a usable end.
    pub fn duration(&self) -> Option<u64> {
        (self.start > 0 && self.end >= self.start).then(|| self.end - self.start)
    }

    /// The first of these attributes it has, if not empty.
    pub fn attribute(&self, keys: &[&str]) -> Option<&str> {
        keys.iter().find_map(|k| self.attributes.get(*k)).map(String::as_str).filter(|v| !v.is_empty())
    }

    fn http(&self) -> u64 {
        let code = self.attribute(&["http.response.status_code", "http.status_code"]);
        code.and_then(|c| c.parse().ok()).unwrap_or(0)
    }

    fn grpc(&self) -> String {
        let code = self.attribute(&["rpc.grpc.status_code", "rpc.response.status_code"]).unwrap_or_default();
        let name = code.parse::<usize>().ok().and_then(|n| GRPC.get(n));
        name.map_or_else(|| code.to_owned(), |n| (*n).to_owned())
    }

    /// ERROR is a failure and OK is none; unset, what blames the server is.
    pub fn failed(&self) -> bool {
        let blames = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
        match self.status {
            2 => true,
            1 => false,
            _ => self.http() >= 500 || blames.contains(&self.grpc().as_str()),
        }
    }

    /// How it failed, as pages say it: `HTTP 503, ProviderError`. Empty when nothing is known.
    pub fn class(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        parts.extend((self.http() > 0).then(|| format!("HTTP {}", self.http())));
        parts.extend(Some(self.grpc()).filter(|g| !g.is_empty()).map(|g| format!("gRPC {g}")));
        for text in [self.attribute(&["error.type"]).unwrap_or_default(), &self.exception] {
            if !text.is_empty() && !parts.iter().any(|p| p.ends_with(text)) {
                parts.push(text.to_owned());
            }
        }
        parts.join(", ")
    }
}

const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Every span of some lines of OTLP JSON, copies included.
pub fn read(lines: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for line in lines.lines().filter(|l| !l.trim().is_empty()) {
        let request: Value = serde_json::from_str(line).unwrap();
        for of_process in list(&request["resourceSpans"]) {
            let resource = Arc::new(attributes(&of_process["resource"]["attributes"]));
            for scope in list(&of_process["scopeSpans"]) {
                spans.extend(list(&scope["spans"]).iter().map(|s| span(s, &resource)));
            }
        }
    }
    spans
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn attributes(list_of_them: &Value) -> Attributes {
    let value = |v: &Value| v.as_object().and_then(|o| o.values().next()).map(text).unwrap_or_default();
    list(list_of_them).iter().map(|a| (text(&a["key"]), value(&a["value"]))).collect()
}

fn span(json: &Value, resource: &Arc<Attributes>) -> Span {
    let of = |key: &str| resource.get(key).map(String::as_str).unwrap_or_default();
    let service = match (of("service.namespace"), of("service.name")) {
        ("", name) => name.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    };
    let number = |key: &str| text(&json[key]).parse::<u64>().unwrap_or(0);
    let exception = list(&json["events"]).iter().find(|e| e["name"] == "exception");
    let link = |l: &Value| (text(&l["traceId"]), text(&l["spanId"]));
    Span {
        trace: text(&json["traceId"]),
        id: text(&json["spanId"]),
        parent: text(&json["parentSpanId"]),
        name: text(&json["name"]),
        kind: match number("kind") {
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Other,
        },
        start: number("startTimeUnixNano"),
        end: number("endTimeUnixNano"),
        attributes: attributes(&json["attributes"]),
        resource: Arc::clone(resource),
        service,
        status: json["status"]["code"].as_u64().unwrap_or(0),
        exception: exception.and_then(|e| attributes(&e["attributes"]).remove("exception.type")).unwrap_or_default(),
        links: list(&json["links"]).iter().map(link).collect(),
        weight: threshold(&text(&json["traceState"])).map_or(1.0, |share| 1.0 / share),
    }
}

/// The share of traces kept by `ot=th:c`: what lies above the threshold of 56 bits.
fn threshold(trace_state: &str) -> Option<f64> {
    let digits = trace_state.strip_prefix("ot=th:")?;
    let threshold = u64::from_str_radix(&format!("{digits:0<14}"), 16).unwrap();
    Some(1.0 - threshold as f64 / (1_u64 << 56) as f64)
}
