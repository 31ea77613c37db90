//! The generator is deterministic, its truth agrees with its spans, and its tables are sound.
//!
//! The checks below recount everything from the emitted bytes, knowing nothing of the simulation.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::Value as Json;

use crate::model::laps::Laps;
use crate::model::system::{ARRIVALS, TIGHT, USUAL, WILD, quantile};
use crate::model::truth::Truth;
use crate::model::{Format, Generator, Incident, Options, SYSTEMS, system};

fn generate(name: &str, options: Options, format: Format) -> (Vec<u8>, Truth) {
    let mut generator = Generator::new(system(name).unwrap(), options).unwrap();
    let mut writer = generator.writer(format, Vec::new());
    for record in generator.by_ref() {
        writer.write(&record).unwrap();
    }
    (writer.into_inner(), generator.truth())
}

fn every_defect() -> Options {
    Options {
        seed: 7,
        traces: 400,
        gap: 100_000_000,
        sample: Some(0.25),
        skew: 3_000_000,
        orphans: 0.1,
        rootless: 0.05,
        duplicates: 0.02,
        ..Options::default()
    }
}

/// One span as read back from JSON.
struct Seen {
    service: String,
    parent: String,
    kind: u64,
    start: u64,
    end: u64,
    error: bool,
    links: Vec<(String, String)>,
    attributes: BTreeMap<String, String>,
}

fn text(value: &Json) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn pairs(list: &Json) -> BTreeMap<String, String> {
    let pairs = list.as_array().into_iter().flatten();
    pairs
        .map(|p| {
            let value = &p["value"];
            (
                text(&p["key"]),
                text(if value["intValue"].is_null() { &value["stringValue"] } else { &value["intValue"] }),
            )
        })
        .collect()
}

/// Spans by (trace, span), and how many were there twice.
fn read(bytes: &[u8]) -> (HashMap<(String, String), Seen>, u64) {
    let (mut spans, mut copies) = (HashMap::new(), 0);
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        let request: Json = serde_json::from_slice(line).unwrap();
        for resource in request["resourceSpans"].as_array().unwrap() {
            let of_resource = pairs(&resource["resource"]["attributes"]);
            let service = match of_resource.get("service.namespace") {
                Some(space) => format!("{space}/{}", of_resource["service.name"]),
                None => of_resource["service.name"].clone(),
            };
            for scope in resource["scopeSpans"].as_array().unwrap() {
                for span in scope["spans"].as_array().unwrap() {
                    let seen = Seen {
                        service: service.clone(),
                        parent: text(&span["parentSpanId"]),
                        kind: span["kind"].as_u64().unwrap(),
                        start: text(&span["startTimeUnixNano"]).parse().unwrap(),
                        end: text(&span["endTimeUnixNano"]).parse().unwrap(),
                        error: span["status"]["code"] == 2,
                        links: span["links"]
                            .as_array()
                            .into_iter()
                            .flatten()
                            .map(|l| (text(&l["traceId"]), text(&l["spanId"])))
                            .collect(),
                        attributes: pairs(&span["attributes"]),
                    };
                    assert!(seen.start <= seen.end);
                    let id = (text(&span["traceId"]), text(&span["spanId"]));
                    assert_eq!((id.0.len(), id.1.len()), (32, 16));
                    copies += u64::from(spans.insert(id, seen).is_some());
                }
            }
        }
    }
    (spans, copies)
}

/// Edges by (source, target): n, errors, sum of client and of server durations.
fn edges(spans: &HashMap<(String, String), Seen>) -> BTreeMap<(String, String), (u64, u64, u128, u128)> {
    let mut edges: BTreeMap<(String, String), (u64, u64, u128, u128)> = BTreeMap::new();
    let mut add = |source: &str, target: String, error: bool, client: u64, server: u64| {
        let edge = edges.entry((source.to_owned(), target)).or_default();
        edge.0 += 1;
        edge.1 += u64::from(error);
        edge.2 += u128::from(client);
        edge.3 += u128::from(server);
    };
    let mut called: HashMap<(&str, &str), &Seen> = HashMap::new();
    for ((trace, _), span) in spans {
        if span.kind == 2 {
            called.insert((trace.as_str(), span.parent.as_str()), span);
        }
    }
    let first = |span: &Seen, keys: &[&str]| keys.iter().find_map(|k| span.attributes.get(*k).cloned());
    for ((trace, id), span) in spans {
        let time = span.end - span.start;
        let topic = || first(span, &["messaging.destination.name", "messaging.destination"]).unwrap();
        match span.kind {
            2 if span.parent.is_empty() => add("entry:user", span.service.clone(), span.error, 0, time),
            2 => {
                // Without a CLIENT span between, the parent belongs to the caller itself.
                let parent = spans.get(&(trace.clone(), span.parent.clone())).filter(|p| p.kind != 3);
                if let Some(parent) = parent {
                    add(&parent.service, span.service.clone(), span.error, 0, time);
                }
            }
            3 => match called.get(&(trace.as_str(), id.as_str())) {
                Some(server) => add(
                    &span.service,
                    server.service.clone(),
                    span.error || server.error,
                    time,
                    server.end - server.start,
                ),
                None => {
                    let address = first(span, &["server.address", "net.peer.name"]).unwrap();
                    let target = match first(span, &["db.system.name", "db.system"]) {
                        Some(db) => {
                            format!("database:{db}:{}", first(span, &["db.namespace", "db.name"]).unwrap_or(address))
                        }
                        None => format!("external:{address}"),
                    };
                    add(&span.service, target, span.error, time, 0);
                }
            },
            4 => add(&span.service, format!("messaging:kafka:{}", topic()), span.error, time, 0),
            5 => add(&format!("messaging:kafka:{}", topic()), span.service.clone(), span.error, 0, time),
            _ => {}
        }
    }
    edges
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    for name in ["shop", "aisoc"] {
        let bytes = |seed| generate(name, Options { seed, ..every_defect() }, Format::Jsonl).0;
        assert_eq!(bytes(3), bytes(3));
        assert_ne!(bytes(3), bytes(4));
    }
}

#[test]
fn a_fault_changes_nothing_before_it_starts() {
    let quiet = Options { traces: 100, ..Options::default() };
    let from = quiet.start + 50 * quiet.gap;
    let fault = Some(Incident { name: "payment-latency".into(), from, until: u64::MAX });
    let (before, _) = read(&generate("shop", quiet.clone(), Format::Jsonl).0);
    let (after, _) = read(&generate("shop", Options { fault, ..quiet }, Format::Jsonl).0);
    let ends = |spans: &HashMap<(String, String), Seen>| -> BTreeMap<(String, String), u64> {
        spans.iter().filter(|(_, s)| s.end < from).map(|(id, s)| (id.clone(), s.end)).collect()
    };
    assert_eq!(ends(&before), ends(&after));
    let slowest = |spans: &HashMap<(String, String), Seen>| {
        spans.values().filter(|s| s.service.ends_with("/payment")).map(|s| s.end - s.start).max()
    };
    assert!(slowest(&after) > slowest(&before));
}

#[test]
fn the_truth_equals_a_recount_of_the_emitted_spans() {
    for name in ["shop", "aisoc"] {
        let defects = Options { traces: 1500, orphans: 0.3, ..every_defect() };
        for options in [defects, Options { traces: 300, rollout: 1.0, ..Options::default() }] {
            let (bytes, truth) = generate(name, options, Format::Jsonl);
            let (spans, copies) = read(&bytes);
            let traces: BTreeSet<&String> = spans.keys().map(|(trace, _)| trace).collect();
            let rooted: BTreeSet<&String> =
                spans.iter().filter(|(_, s)| s.parent.is_empty()).map(|((trace, _), _)| trace).collect();
            assert_eq!((truth.spans, truth.duplicates), (spans.len() as u64, copies));
            assert_eq!(truth.traces, traces.len() as u64);
            assert_eq!(truth.rootless_traces, (traces.len() - rooted.len()) as u64);
            assert_eq!(truth.error_spans, spans.values().filter(|s| s.error).count() as u64);
            let parent = |trace: &String, s: &Seen| spans.get(&(trace.clone(), s.parent.clone()));
            let count = |wanted: &dyn Fn(&String, &Seen) -> bool| {
                spans.iter().filter(|((trace, _), s)| wanted(trace, s)).count() as u64
            };
            assert_eq!(truth.orphans, count(&|t, s| !s.parent.is_empty() && parent(t, s).is_none()));
            assert_eq!(
                truth.skewed,
                count(&|t, s| parent(t, s).is_some_and(|p| p.service != s.service && s.start < p.start))
            );
            let links: Vec<&(String, String)> = spans.values().flat_map(|s| &s.links).collect();
            assert_eq!(truth.links, links.len() as u64);
            assert_eq!(truth.unresolved_links, links.iter().filter(|l| !spans.contains_key(**l)).count() as u64);
            assert!(truth.links > truth.unresolved_links, "{name} has links that lead somewhere");

            let expected: BTreeMap<_, _> = truth
                .edges
                .iter()
                .map(|e| ((e.source.clone(), e.target.clone()), (e.n, e.errors_n, e.client.sum_ns, e.server.sum_ns)))
                .collect();
            assert_eq!(expected, edges(&spans));
        }
    }
}

#[test]
fn defects_and_sampling_are_there_when_asked_for() {
    let (_, truth) = generate("shop", every_defect(), Format::Jsonl);
    assert!(truth.orphans > 0 && truth.rootless_traces > 0 && truth.duplicates > 0 && truth.skewed > 0);
    assert!(truth.unresolved_links > 0, "a batch links to messages of traces that were not kept");
    assert_eq!((truth.weight, truth.sampled), (4.0, truth.spans));
    // A quarter of 400 requests, give or take five standard deviations.
    assert!((57..=143).contains(&truth.edges[0].n), "{}", truth.edges[0].n);
    assert_eq!(truth.edges[0].calls, truth.edges[0].n as f64 * 4.0);
}

#[test]
fn every_format_carries_the_same_spans() {
    let options = || Options { traces: 60, record: 100, ..Options::default() };
    let (json, truth) = generate("shop", options(), Format::Jsonl);
    let ids = |request: &ExportTraceServiceRequest| -> Vec<Vec<u8>> {
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        scopes.flat_map(|s| &s.spans).map(|s| s.span_id.clone()).collect()
    };
    let whole = ExportTraceServiceRequest::decode(&*generate("shop", options(), Format::Proto).0).unwrap();
    assert_eq!(ids(&whole).len() as u64, truth.spans);
    assert_eq!(read(&json).0.len() as u64, truth.spans);

    let (delimited, _) = generate("shop", options(), Format::Delimited);
    let (mut rest, mut found) = (&*delimited, Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        found.extend(ids(&ExportTraceServiceRequest::decode(message).unwrap()));
        rest = tail;
    }
    assert_eq!(found, ids(&whole));

    let (varint, _) = generate("shop", options(), Format::Varint);
    let (mut rest, mut found) = (&*varint, Vec::new());
    while !rest.is_empty() {
        found.extend(ids(&ExportTraceServiceRequest::decode_length_delimited(&mut rest).unwrap()));
    }
    assert_eq!(found, ids(&whole));
}

#[test]
fn a_wide_system_has_eight_attributes_everywhere_and_is_otherwise_the_same() {
    for name in ["shop", "aisoc"] {
        let options = |wide| Options { wide, ..every_defect() };
        let (narrow, wide) =
            (generate(name, options(false), Format::Jsonl), generate(name, options(true), Format::Jsonl));
        assert_eq!(narrow.1, wide.1, "the truth does not depend on it");
        for line in wide.0.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let request: Json = serde_json::from_slice(line).unwrap();
            for resource in request["resourceSpans"].as_array().unwrap() {
                assert_eq!(pairs(&resource["resource"]["attributes"]).len(), 8);
                let scopes = resource["scopeSpans"].as_array().unwrap().iter();
                for span in scopes.flat_map(|s| s["spans"].as_array().unwrap()) {
                    assert_eq!(pairs(&span["attributes"]).len(), 8, "{span}");
                }
            }
        }
    }
    let each = |format| {
        let (bytes, truth) = generate("shop", Options { wide: true, traces: 2000, ..Options::default() }, format);
        bytes.len() as u64 / truth.spans
    };
    let (protobuf, json) = (each(Format::Delimited), each(Format::Jsonl));
    assert!((420..=460).contains(&protobuf), "{protobuf} bytes a span");
    assert!((870..=920).contains(&json), "{json} bytes a span");
}

/// The lines or messages of three laps, and the truth about them.
fn three_laps(format: Format) -> (Vec<u8>, Truth) {
    let mut generator = Generator::new(system("shop").unwrap(), Options { sample: None, ..every_defect() }).unwrap();
    let mut writer = generator.writer(format, Vec::new());
    for record in generator.by_ref() {
        writer.write(&record).unwrap();
    }
    let period = generator.period();
    let mut laps = Laps::new(writer.into_inner(), format, period);
    let mut bytes = Vec::new();
    for lap in 0..3 {
        if lap > 0 {
            laps.advance();
        }
        laps.write(&mut bytes).unwrap();
    }
    (bytes, generator.truth().times(3, period))
}

#[test]
fn laps_are_new_traces_with_the_same_truth_in_every_format() {
    let (bytes, truth) = three_laps(Format::Jsonl);
    let (spans, copies) = read(&bytes);
    assert_eq!((truth.spans, truth.duplicates), (spans.len() as u64, copies));
    assert_eq!(truth.traces, spans.keys().map(|(trace, _)| trace).collect::<BTreeSet<_>>().len() as u64);
    let missing =
        |(t, s): (&String, &Seen)| !s.parent.is_empty() && !spans.contains_key(&(t.clone(), s.parent.clone()));
    assert_eq!(truth.orphans, spans.iter().filter(|((t, _), s)| missing((t, s))).count() as u64);
    let links = spans.values().flat_map(|s| &s.links);
    assert_eq!(truth.unresolved_links, links.filter(|l| !spans.contains_key(*l)).count() as u64);
    assert_eq!(truth.start_unix_nano, spans.values().map(|s| s.start).min().unwrap());
    assert_eq!(truth.end_unix_nano, spans.values().map(|s| s.end).max().unwrap());
    let expected: BTreeMap<_, _> = truth
        .edges
        .iter()
        .map(|e| ((e.source.clone(), e.target.clone()), (e.n, e.errors_n, e.client.sum_ns, e.server.sum_ns)))
        .collect();
    assert_eq!(expected, edges(&spans));

    // The other formats hold the same spans, lap for lap.
    type Ids = Vec<(Vec<u8>, Vec<u8>, Vec<u8>, u64, u64, Vec<Vec<u8>>, Vec<u64>)>;
    let ids = |request: &ExportTraceServiceRequest| -> Ids {
        let scopes = request.resource_spans.iter().flat_map(|r| &r.scope_spans);
        scopes
            .flat_map(|s| s.spans.clone())
            .map(|s| {
                let links = s.links.into_iter().flat_map(|l| [l.trace_id, l.span_id]).collect();
                let events = s.events.iter().map(|e| e.time_unix_nano).collect();
                (s.trace_id, s.span_id, s.parent_span_id, s.start_time_unix_nano, s.end_time_unix_nano, links, events)
            })
            .collect()
    };
    let whole = ids(&ExportTraceServiceRequest::decode(&*three_laps(Format::Proto).0).unwrap());
    let known: BTreeSet<(u128, u64, u64)> = spans
        .iter()
        .map(|((t, i), s)| (u128::from_str_radix(t, 16).unwrap(), u64::from_str_radix(i, 16).unwrap(), s.start))
        .collect();
    let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |all, byte| all << 8 | u128::from(*byte));
    let found = whole.iter().map(|s| (number(&s.0), number(&s.1) as u64, s.3)).collect::<BTreeSet<_>>();
    assert_eq!(found, known);
    assert_eq!(whole.len() as u64, truth.spans + truth.duplicates);
    let delimited = three_laps(Format::Delimited).0;
    let (mut rest, mut framed) = (&*delimited, Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk::<4>() {
        let (message, tail) = tail.split_at(u32::from_be_bytes(*length) as usize);
        framed.extend(ids(&ExportTraceServiceRequest::decode(message).unwrap()));
        rest = tail;
    }
    assert_eq!(framed, whole);
    let varint = three_laps(Format::Varint).0;
    let (mut rest, mut framed) = (&*varint, Vec::new());
    while !rest.is_empty() {
        framed.extend(ids(&ExportTraceServiceRequest::decode_length_delimited(&mut rest).unwrap()));
    }
    assert_eq!(framed, whole);
}

#[test]
fn a_system_in_many_copies_has_as_many_services_and_operations_as_asked_for_and_the_same_traffic() {
    let options = |services, operations| Options { services, operations, traces: 600, ..Options::default() };
    let (plain, many) =
        (generate("shop", options(0, 0), Format::Jsonl), generate("shop", options(100, 500), Format::Jsonl));
    assert_eq!(Truth { cells: 1, ..many.1.clone() }, plain.1);
    assert_eq!(many.1.cells, 9);
    let (spans, _) = read(&many.0);
    let services: BTreeSet<&String> = spans.values().map(|s| &s.service).collect();
    assert!((90..=108).contains(&services.len()), "{}", services.len());
    assert!(
        services.contains(&"online-shop/frontend".to_owned()) && services.contains(&"online-shop/cart-8".to_owned())
    );
    let text = String::from_utf8(many.0).unwrap();
    // `products` and `profiles` are tables; no made-up word begins so.
    let words: BTreeSet<&str> = text
        .split("\"name\":\"")
        .filter_map(|rest| rest.split('"').next()?.rsplit_once(' ').map(|(_, word)| word))
        .filter(|word| word.len() == 8 && word.bytes().all(|b| b.is_ascii_lowercase()) && !word.starts_with("pro"))
        .collect();
    assert_eq!(words.len(), 500);
}

#[test]
fn every_fault_of_every_system_can_be_asked_for_and_an_unknown_one_is_refused() {
    for system in SYSTEMS {
        for fault in system.faults {
            let incident = Incident { name: fault.name.into(), from: 0, until: u64::MAX };
            let options = Options { traces: 20, fault: Some(incident), ..Options::default() };
            assert!(Generator::new(system, options).unwrap().count() > 0);
        }
        let unknown = Some(Incident { name: "nothing".into(), from: 0, until: 1 });
        let refused = Generator::new(system, Options { fault: unknown, ..Options::default() });
        assert!(refused.unwrap_err().contains(system.faults[0].name));
    }
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let mut generator =
        Generator::new(system("shop").unwrap(), Options { traces: 3000, ..Options::default() }).unwrap();
    let mut most = 0;
    while generator.next().is_some() {
        most = most.max(generator.held());
    }
    assert!(most < 3 * 512, "{most} spans were held");
}

#[test]
fn a_shape_is_a_quantile_function() {
    for shape in [ARRIVALS, TIGHT, USUAL, WILD] {
        let mut last = -1.0;
        for step in 0..=1000 {
            let value = quantile(shape, f64::from(step) / 1000.0);
            assert!(value >= last);
            last = value;
        }
        assert_eq!((shape[0].0, shape[shape.len() - 1].0), (0.0, 1.0));
    }
}
