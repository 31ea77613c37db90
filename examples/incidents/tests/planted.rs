//! Planted errors begin and end where their truth says, found again from the bytes alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use crate::world::origins::{Planted, Plot, planted};

struct Seen {
    service: String,
    name: String,
    kind: u64,
    parent: String,
    error: bool,
    start: u64,
    end: u64,
}

/// Spans by id, by trace.
fn read(bytes: &[u8]) -> BTreeMap<String, BTreeMap<String, Seen>> {
    let mut traces: BTreeMap<String, BTreeMap<String, Seen>> = BTreeMap::new();
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let request: Json = serde_json::from_slice(line).unwrap();
        for resource in request["resourceSpans"].as_array().unwrap() {
            let service = resource["resource"]["attributes"][0]["value"]["stringValue"].as_str().unwrap();
            for span in resource["scopeSpans"].as_array().unwrap().iter().flat_map(|s| s["spans"].as_array().unwrap()) {
                let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                let seen = Seen {
                    service: service.to_owned(),
                    name: text("name"),
                    kind: span["kind"].as_u64().unwrap(),
                    parent: text("parentSpanId"),
                    error: span["status"]["code"] == 2,
                    start: text("startTimeUnixNano").parse().unwrap(),
                    end: text("endTimeUnixNano").parse().unwrap(),
                };
                traces.entry(text("traceId")).or_default().insert(text("spanId"), seen);
            }
        }
    }
    traces
}

/// The failing span below which no span fails.
fn deepest(trace: &BTreeMap<String, Seen>) -> &Seen {
    let parents: BTreeSet<&str> = trace.values().filter(|s| s.error).map(|s| s.parent.as_str()).collect();
    let first: Vec<&Seen> =
        trace.iter().filter(|(id, s)| s.error && !parents.contains(id.as_str())).map(|x| x.1).collect();
    assert_eq!(first.len(), 1, "{:?}", first.iter().map(|s| &s.name).collect::<Vec<_>>());
    first[0]
}

fn check(one: &Planted) {
    let (base, head) = (read(&one.base), read(&one.head));
    assert!(base.values().flat_map(|t| t.values()).all(|s| !s.error), "{}: errors before", one.name);
    assert_eq!(head.len() as u64, one.requests);
    let failed: Vec<_> = head.values().filter(|t| t.values().any(|s| s.error)).collect();
    assert_eq!(failed.len() as u64, one.failed, "{}", one.name);
    assert!(one.failed > 5);
    for trace in failed {
        let origin = deepest(trace);
        assert_eq!((origin.service.as_str(), origin.name.as_str()), (one.service, one.span), "{}", one.name);
        let server = |s: &&Seen| s.kind == 2 && s.error;
        let services: BTreeSet<&str> = trace.values().filter(server).map(|s| s.service.as_str()).collect();
        let above = services.iter().filter(|s| **s != one.service).count();
        assert_eq!(above, one.climbed, "{}: {services:?}", one.name);
        assert_eq!(services.contains(one.services[0]), one.reaches_user, "{}", one.name);
        assert!(trace.values().any(|s| s.service == one.service && s.name == one.operation && s.error));
        let calls = |name: &str| trace.values().filter(|s| s.service == name && s.kind == 2).count();
        let last = one.services[one.services.len() - 1];
        assert_eq!(calls(last), if one.plot == Plot::Retried { 2 } else { 1 });
        assert_eq!(calls("defaults"), usize::from(one.plot == Plot::Fallback));
        if let Some(slow) = one.slow {
            let runs = trace.values().find(|s| s.service == slow && s.kind == 2).unwrap();
            assert!(!runs.error && runs.end > origin.end && runs.start > origin.start, "{}", one.name);
        }
        let client = trace.values().filter(|s| s.kind == 3 && s.error).count();
        assert_eq!(client == 0, one.plot == Plot::ChildOnly, "{}", one.name);
    }
}

#[test]
fn origins_are_where_they_are_said_to_be() {
    let mut names = BTreeSet::new();
    for one in planted(7) {
        let one = one.unwrap();
        check(&one);
        names.insert(one.name);
    }
    assert_eq!(names.len(), Plot::ALL.len() * 3 * 3);
}
