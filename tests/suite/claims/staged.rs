//! A small system in which everything happens that pages speak of and the simulated systems seldom show: a version that
//! fails and is slow, callers that give up, calls that are tried again, two ways in.
//!
//! `web` and `admin` call `api`, which reads a database and calls `store`.

use std::fmt::Write;

/// What the team promises.
pub const CONFIG: &str = r#"
project: Staged
objectives:
  - { service: "*", sli: error_rate, target: "< 1 %" }
  - { service: "*", sli: latency_p99, target: "< 60ms", severity: page }
"#;

const START: u64 = 1_767_225_600_000_000_000;

/// Spans of one trace.
struct Trace {
    id: u64,
    spans: u64,
    out: String,
}

/// Where one span stands: who it is of, what it is called, what it is below, from when to when in milliseconds.
struct At<'a> {
    of: &'a str,
    name: &'a str,
    kind: u8,
    parent: u64,
    from: u64,
    to: u64,
}

impl Trace {
    /// Adds a span; gives its id.
    fn span(&mut self, at: &At<'_>, failed: bool, attributes: &[(&str, &str)]) -> u64 {
        self.spans += 1;
        let id = self.id * 100 + self.spans;
        let pairs = |all: &[(&str, &str)]| {
            let pair = |(k, v): &(&str, &str)| format!(r#"{{"key":"{k}","value":{{"stringValue":"{v}"}}}}"#);
            all.iter().map(pair).collect::<Vec<_>>().join(",")
        };
        let version = if at.of == "api" && !self.id.is_multiple_of(2) { "2.0.0" } else { "1.9.0" };
        let pod = format!("{}-{}", at.of, self.id % 3);
        let resource = pairs(&[("service.name", at.of), ("service.version", version), ("service.instance.id", &pod)]);
        let time = |ms: u64| START + self.id * 20_000_000_000 + ms * 1_000_000 + self.id * 1_003;
        let parent = if at.parent == 0 { String::new() } else { format!("{:016x}", at.parent) };
        writeln!(
            self.out,
            r#"{{"resourceSpans":[{{"resource":{{"attributes":[{resource}]}},"scopeSpans":[{{"spans":[{{"traceId":"{:032x}","spanId":"{id:016x}","parentSpanId":"{parent}","name":"{}","kind":{},"startTimeUnixNano":"{}","endTimeUnixNano":"{}","attributes":[{}],"status":{{"code":{}}}}}]}}]}}]}}"#,
            u128::from(self.id).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) | 1,
            at.name,
            at.kind,
            time(at.from),
            time(at.to),
            pairs(attributes),
            u8::from(failed) * 2
        )
        .unwrap();
        id
    }
}

/// 360 requests as OTLP JSON lines, a span a line.
pub fn lines() -> String {
    (1..=360).map(request).collect()
}

fn request(id: u64) -> String {
    let mut trace = Trace { id, spans: 0, out: String::new() };
    // One version is slow and fails one time in five; one request in eight gives the store up, half of these fail of it;
    // one in eight tries the database again.
    let (new, extra) = (id % 2 == 1, id % 7);
    let fails = new && matches!(id % 10, 1 | 9);
    let gives_up = !new && id % 8 == 2;
    let hurts = gives_up && id % 16 == 2;
    let again = !new && id % 8 == 4;
    let failed = fails || hurts;
    let end = 40 + extra + if new { 45 } else { 0 };
    let way_in = if id % 4 == 3 { "admin" } else { "web" };
    let root = At { of: way_in, name: "GET /", kind: 2, parent: 0, from: 0, to: end + 10 };
    let root = trace.span(&root, failed, &[]);
    let call = At { of: way_in, name: "GET", kind: 3, parent: root, from: 1, to: end + 8 };
    let call = trace.span(&call, failed, &[("server.address", "api")]);
    let name = if id.is_multiple_of(3) { "GET /item" } else { "GET /items" };
    let api = At { of: "api", name, kind: 2, parent: call, from: 3, to: end + 5 };
    let status: &[_] = if failed { &[("http.response.status_code", "500")] } else { &[] };
    let api = trace.span(&api, failed, status);
    let database = [("db.system.name", "postgresql"), ("db.namespace", "items")];
    if again {
        let first = At { of: "api", name: "SELECT", kind: 3, parent: api, from: 4, to: 6 };
        trace.span(&first, true, &[database.as_slice(), &[("error.type", "ConnectionError")]].concat());
    }
    trace.span(&At { of: "api", name: "SELECT", kind: 3, parent: api, from: 7, to: 9 + extra }, false, &database);
    let load = At { of: "api", name: "load", kind: 3, parent: api, from: 18, to: 30 + extra };
    let load = trace.span(&load, gives_up, &[("error.type", if gives_up { "timeout" } else { "" })]);
    let to = if gives_up { 85 } else { 28 + extra };
    trace.span(&At { of: "store", name: "load", kind: 2, parent: load, from: 20, to }, false, &[]);
    trace.out
}
