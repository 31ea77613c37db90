//! Jaeger's own fixtures: what its dependency graph, its conversion and its self times say of them.
//!
//! Jaeger's UI format is read as it is; [`to_otlp`] says the same in OTLP, and mends the made-up ids of some fixtures.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tracebook::topology::{EdgeKind, NodeId, NodeKind, Snapshot, codec, query::Graph};

use crate::expected::{captured, captured_all, data, json as file, on_purpose};
use crate::harness::{Case, tree};

/// The traces of an answer: `{data: [...]}`, `{data: {...}}` or a bare one.
fn traces(answer: &Value) -> Vec<&Value> {
    match &answer["data"] {
        Value::Null => vec![answer],
        Value::Array(traces) => traces.iter().collect(),
        trace => vec![trace],
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn tag<'a>(span: &'a Value, key: &str) -> &'a Value {
    list(&span["tags"]).iter().find(|t| t["key"] == key).map_or(&Value::Null, |t| &t["value"])
}

/// The span a span is a child of: as Jaeger decides, the first CHILD_OF of its own trace, else the first FOLLOWS_FROM.
fn parent_of<'a>(trace: &Value, span: &'a Value) -> Option<&'a str> {
    let own = |r: &&Value| r["traceID"].is_null() || r["traceID"] == trace["traceID"];
    let first = |kind: &str| list(&span["references"]).iter().filter(own).find(|r| r["refType"] == kind);
    let parent = first("CHILD_OF").or_else(|| first("FOLLOWS_FROM"));
    parent.map_or_else(|| span["parentSpanID"].as_str(), |r| r["spanID"].as_str())
}

/// Ids that are no hex digits ("span-6", "A") get one made of their bytes.
fn id(text: &str, digits: usize) -> String {
    let hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let text = if hex { text.to_owned() } else { text.bytes().map(|b| format!("{b:02x}")).collect() };
    let kept = &text[text.len().saturating_sub(digits)..];
    format!("{kept:0>digits$}")
}

fn attribute(tag: &Value) -> Value {
    let value = match &tag["value"] {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(yes) => json!({ "boolValue": yes }),
        Value::Number(n) if n.is_i64() => json!({ "intValue": n.to_string() }),
        other => json!({ "doubleValue": other }),
    };
    json!({ "key": tag["key"], "value": value })
}

/// An answer of Jaeger's query API as OTLP JSON.
fn to_otlp(answer: &Value) -> Value {
    let mut resource_spans = Vec::new();
    for trace in traces(answer) {
        for span in list(&trace["spans"]) {
            let process = &trace["processes"][span["processID"].as_str().unwrap()];
            let micros = |key: &str| span[key].as_u64().unwrap();
            let kinds = ["", "internal", "server", "client", "producer", "consumer"];
            let kind = kinds.iter().position(|k| tag(span, "span.kind") == k).unwrap_or(0);
            let parent = parent_of(trace, span);
            let own = |r: &Value| r["traceID"].is_null() || r["traceID"] == trace["traceID"];
            let others = list(&span["references"]).iter().filter(|r| !own(r) || r["spanID"].as_str() != parent);
            let link = |r: &Value| {
                let trace = r["traceID"].as_str().or(trace["traceID"].as_str()).unwrap();
                json!({ "traceId": id(trace, 32), "spanId": id(r["spanID"].as_str().unwrap(), 16) })
            };
            let mut resource = vec![attribute(&json!({ "key": "service.name", "value": process["serviceName"] }))];
            resource.extend(list(&process["tags"]).iter().map(attribute));
            resource_spans.push(json!({
                "resource": { "attributes": resource },
                "scopeSpans": [{ "spans": [{
                    "traceId": id(trace["traceID"].as_str().unwrap(), 32),
                    "spanId": id(span["spanID"].as_str().unwrap(), 16),
                    "parentSpanId": parent.map_or(String::new(), |p| id(p, 16)),
                    "links": others.map(link).collect::<Vec<_>>(),
                    "name": span["operationName"],
                    "kind": kind,
                    "startTimeUnixNano": (micros("startTime") * 1000).to_string(),
                    "endTimeUnixNano": ((micros("startTime") + micros("duration")) * 1000).to_string(),
                    "attributes": list(&span["tags"]).iter().map(attribute).collect::<Vec<_>>(),
                    "status": if tag(span, "error") == true { json!({ "code": 2 }) } else { json!({}) },
                }] }],
            }));
        }
    }
    json!({ "resourceSpans": resource_spans })
}

fn snapshot_of(answer: &Value) -> Snapshot {
    captured(to_otlp(answer).to_string())
}

/// Calls by caller and callee.
type Links = BTreeMap<(String, String), u64>;

/// What Jaeger's dependency calculation counts: every span whose parent is there and belongs to another service.
fn jaeger_links(answer: &Value) -> Links {
    let mut links = Links::new();
    for trace in traces(answer) {
        let service = |span: &Value| {
            trace["processes"][span["processID"].as_str().unwrap()]["serviceName"].as_str().unwrap().to_owned()
        };
        for span in list(&trace["spans"]) {
            let parent = parent_of(trace, span);
            let parent = list(&trace["spans"]).iter().find(|s| parent.is_some() && s["spanID"].as_str() == parent);
            if let Some(parent) = parent.filter(|p| service(p) != service(span)) {
                *links.entry((service(parent), service(span))).or_default() += 1;
            }
        }
    }
    links
}

/// Our calls from one instrumented service to another.
fn our_links(snapshot: &Snapshot) -> Links {
    let seen = |id: &NodeId| snapshot.node(id).is_some_and(|n| n.kind == NodeKind::Service && n.instrumented);
    let calls = snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Call && e.source != e.target);
    let calls = calls.filter(|e| seen(&e.source) && seen(&e.target));
    calls.map(|e| ((e.source.to_string(), e.target.to_string()), e.n)).collect()
}

/// Of one trace: its file, the services, and the numbers below.
type Messages = (&'static str, (&'static str, &'static str), u64, u64, u64);

/// Files whose messages Jaeger counts as calls: the pair, Jaeger's calls, our calls, our messages by way of a topic.
const MESSAGES: [Messages; 8] = [
    ("testTrace.json", ("service1", "service2"), 2, 1, 1),
    // One PRODUCER span with several CLIENT spans of another service below it.
    ("traceWithOverlappingChildren.json", ("service-one", "service-two"), 2, 0, 1),
    ("traceWithOverlappingChildrenLongerThanParent.json", ("service-one", "service-two"), 3, 0, 1),
    ("traceWithSingleChildLongerThanParentAndStartsAfterParent.json", ("service-one", "service-two"), 1, 0, 1),
    ("traceWithThreeShortChildren.json", ("service-one", "service-two"), 3, 0, 1),
    ("traceWithThreeShortOverlappingChildren.json", ("service-one", "service-two"), 3, 0, 1),
    ("traceWithTwoChildrenStartedAtTraceStart.json", ("service-one", "service-two"), 2, 0, 1),
    ("traceWithTwoNonOverlappingChildren.json", ("service-one", "service-two"), 2, 0, 1),
];

#[test]
fn calls_between_services_are_the_dependencies_jaeger_counts() {
    let mut equal = 0;
    for (name, bytes) in tree(&data("jaeger/ui")) {
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        let (jaeger, snapshot) = (jaeger_links(&answer), snapshot_of(&answer));
        let ours = our_links(&snapshot);
        let Some((_, (from, to), theirs, calls, messages)) = MESSAGES.iter().find(|(file, ..)| *file == name) else {
            assert_eq!(ours, jaeger, "{name}");
            equal += 1;
            continue;
        };
        on_purpose("topics");
        on_purpose("one-call-per-calling-span");
        let pair = (from.to_string(), to.to_string());
        assert_eq!(jaeger, Links::from([(pair.clone(), *theirs)]), "{name}");
        assert_eq!(ours.get(&pair).copied().unwrap_or(0), *calls, "{name}");
        let hops = snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Messaging);
        let hops: Vec<_> = hops.map(|e| (e.source.0.as_str(), e.target.0.as_str(), e.n)).collect();
        let topic = "messaging:unknown:(unnamed)";
        assert_eq!(hops, [(topic, *to, *messages), (*from, topic, *messages)], "{name}");
    }
    assert_eq!(equal, 9);
}

#[test]
fn self_times_are_those_jaeger_expects() {
    let expected = file("jaeger/self-time-expected.json");
    assert_eq!(expected["unit"], "milliseconds");
    let cases = list(&expected["cases"]);
    assert_eq!(cases.len(), 6);
    let mut exact = Vec::new();
    for case in cases {
        let name = case["trace"].as_str().unwrap();
        let snapshot = snapshot_of(&file(&format!("jaeger/{name}")));
        let service = NodeId(case["service"].as_str().unwrap().to_owned());
        let micros: u128 = snapshot.operations_of(&service).map(|o| o.self_ns.unwrap().micro() / 1_000_000_000).sum();
        // Its table shows hundredths of a millisecond, half rounded up.
        let shown = (micros as f64 / 10.0).round() / 100.0;
        assert_eq!(shown, case["selfTotal"].as_f64().unwrap(), "{name}");
        exact.push(micros);
    }
    assert_eq!(exact, [30, 30, 3, 40, 5, 0], "microseconds");
}

#[test]
fn a_message_takes_no_self_time_from_its_sender() {
    // As Jaeger's two non-overlapping children of a PRODUCER span, but these receive: Jaeger counts 0.03 ms.
    on_purpose("messages-are-not-awaited");
    let mut answer = file("jaeger/ui/traceWithTwoNonOverlappingChildren.json");
    for span in answer["spans"].as_array_mut().unwrap() {
        for tag in span["tags"].as_array_mut().unwrap().iter_mut().filter(|t| t["value"] == "client") {
            tag["value"] = json!("consumer");
        }
    }
    let snapshot = snapshot_of(&answer);
    let own: Vec<_> =
        snapshot.operations.iter().map(|o| (o.name.as_str(), o.self_ns == Some(o.stats.durations.sum()))).collect();
    assert_eq!(own.len(), 3);
    assert!(own.iter().all(|(_, whole)| *whole), "{own:?}");
}

#[test]
fn the_ten_services_of_an_agent_are_linked_as_in_jaeger() {
    let ours = our_links(&snapshot_of(&file("jaeger/ui/genaiTestTrace.json")));
    let expected = [
        ("api-edge", "graphql-gateway", 1),
        ("coding-agent", "mcp-gateway", 7),
        ("coding-agent", "vector-store", 3),
        ("graphql-gateway", "coding-agent", 1),
        ("mcp-gateway", "auth-service", 7),
        ("mcp-gateway", "metrics-backend", 3),
        ("mcp-gateway", "summarizer-agent", 1),
        ("mcp-gateway", "trace-store", 3),
        ("trace-store", "k8s-api", 3),
    ];
    let expected: Links = expected.iter().map(|(from, to, n)| ((from.to_string(), to.to_string()), *n)).collect();
    assert_eq!(ours, expected);
}

/// Every OTLP storage fixture at once, as a backend would hold them.
fn storage() -> Snapshot {
    let files = tree(&data("jaeger/otlp"));
    let case = files.iter().fold(Case::empty(), |case, (name, bytes)| case.file(&format!("in/{name}"), bytes));
    captured_all(case)
}

/// Every span with a time in the storage fixtures, with its service.
fn storage_spans() -> Vec<(String, Value)> {
    let mut spans = Vec::new();
    for (_, bytes) in tree(&data("jaeger/otlp")) {
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        let file = if file["result"].is_null() { &file } else { &file["result"] };
        for resource in list(&file["resourceSpans"]) {
            let service = list(&resource["resource"]["attributes"]).iter().find(|a| a["key"] == "service.name");
            let service = service.map_or("unknown_service", |a| a["value"]["stringValue"].as_str().unwrap());
            let all = list(&resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"]));
            let all = all.filter(|span| span["startTimeUnixNano"].is_string());
            spans.extend(all.map(|span| (service.to_owned(), span.clone())));
        }
    }
    spans
}

fn ids<'a>(value: &'a Value, span: &str) -> (&'a str, &'a str) {
    (value["traceId"].as_str().unwrap(), value[span].as_str().unwrap_or(""))
}

#[test]
fn storage_fixtures_are_read_whole_and_hold_no_dependency_for_jaeger_and_for_us() {
    let (snapshot, spans) = (storage(), storage_spans());
    let unique: BTreeSet<_> = spans.iter().map(|(_, s)| ids(s, "spanId")).collect();
    assert_eq!(snapshot.coverage.spans, unique.len() as u64);
    assert_eq!(snapshot.coverage.duplicates, (spans.len() - unique.len()) as u64);
    assert_eq!(snapshot.coverage.traces, unique.iter().map(|(trace, _)| trace).collect::<BTreeSet<_>>().len() as u64);
    // The answer of Jaeger's query API has a span without start and end.
    on_purpose("spans-without-time");
    assert_eq!(snapshot.coverage.rejected, BTreeMap::from([("span-without-time".to_owned(), 1)]));
    // Jaeger's rule: a span whose parent is there, in another service. There is none.
    let service = |at: (&str, &str)| spans.iter().find(|(_, s)| ids(s, "spanId") == at).map(|(service, _)| service);
    let mut orphans = 0;
    for (own, span) in &spans {
        let (trace, parent) = ids(span, "parentSpanId");
        match service((trace, parent)) {
            Some(other) => assert_eq!(own, other),
            None => orphans += u64::from(!parent.is_empty()),
        }
    }
    assert_eq!(our_links(&snapshot), Links::new());
    // One of them is the copy of a span that two files have.
    assert_eq!((snapshot.coverage.orphans, snapshot.coverage.duplicates), (orphans - 1, 1));
    // What Jaeger does not draw: requests from outside, and what attributes name.
    on_purpose("inferred-peers");
    let user = NodeId("entry:user".into());
    let entries: Vec<&str> = snapshot.edges_from(&user).map(|e| e.target.0.as_str()).collect();
    assert_eq!(entries, ["example-service-1"]);
}

#[test]
fn links_of_storage_fixtures_are_followed_between_files_and_those_that_lead_nowhere_are_counted() {
    let (snapshot, spans) = (storage(), storage_spans());
    let there: BTreeSet<_> = spans.iter().map(|(_, s)| ids(s, "spanId")).collect();
    // The two copies of a span are told apart by their kind.
    let links: BTreeSet<_> = spans
        .iter()
        .flat_map(|(_, s)| {
            list(&s["links"]).iter().map(move |l| (s["kind"].as_u64(), ids(s, "spanId"), ids(l, "spanId")))
        })
        .collect();
    let lost = links.iter().filter(|(.., to)| !there.contains(to)).count();
    assert_eq!((links.len(), lost, snapshot.coverage.unresolved_links), (14, 7, 7));
    // A CONSUMER that links to a PRODUCER span of another trace: a message, by way of a topic.
    on_purpose("links");
    let delivered = snapshot.edges.iter().filter(|e| e.kind == EdgeKind::Messaging);
    let delivered: Vec<_> =
        delivered.map(|e| (e.source.0.as_str(), e.target.0.as_str(), e.strongest().name(), e.n)).collect();
    let topic = "messaging:unknown:(unnamed)";
    assert_eq!(delivered, [(topic, "service-x", "link", 1), ("service-x", topic, "link", 1)]);
}

/// A snapshot without what tells one source from another, and with durations as far as microseconds tell.
fn comparable(snapshot: &Snapshot) -> (Vec<String>, Vec<String>, Value) {
    let micros = |sketch: &tracebook::topology::Sketch| sketch.min().map(|ns| ns / 1000);
    let nodes = snapshot.nodes.iter().map(|n| format!("{} {} {:?}", n.id, n.handled.n, n.attributes)).collect();
    let operations = snapshot
        .operations
        .iter()
        .map(|o| format!("{} {} {} {} {:?}", o.service, o.kind.name(), o.name, o.stats.n, micros(&o.stats.durations)));
    (nodes, operations.collect(), serde_json::to_value(&snapshot.coverage).unwrap())
}

#[test]
fn conversion_pairs_are_the_same_spans_both_ways() {
    for (otlp, jaeger, spans, duplicates) in [
        ("otlp2jaeger-in.json", "otlp2jaeger-out.json", 1, 1),
        ("ui_otlp2jaeger-in.json", "ui_otlp2jaeger-out.json", 1, 1),
        ("ui_otlp2jaeger-multi-in-combined.json", "ui_oltp2jaeger-multi-out.json", 4, 0),
    ] {
        let ours = captured(file(&format!("jaeger/convert/{otlp}")).to_string());
        let theirs = captured(file(&format!("jaeger/convert/{jaeger}")).to_string());
        assert_eq!(comparable(&ours), comparable(&theirs), "{otlp}");
        // Jaeger keeps a span that arrived twice.
        on_purpose("duplicates");
        assert_eq!((ours.coverage.spans, ours.coverage.duplicates), (spans, duplicates), "{otlp}");
    }
}

/// A snapshot without where it comes from.
fn content(snapshot: &Snapshot) -> Value {
    let mut all = serde_json::to_value(snapshot).unwrap();
    all.as_object_mut().unwrap().remove("provenance").unwrap();
    all
}

#[test]
fn traces_are_read_in_jaegers_own_form_as_in_otlp() {
    let mut read = 0;
    for (name, bytes) in tree(&data("jaeger/ui")) {
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        let hex = |id: &Value| id.as_str().unwrap().bytes().all(|byte| byte.is_ascii_hexdigit());
        let spans = || traces(&answer).into_iter().flat_map(|trace| list(&trace["spans"]));
        if !spans().all(|span| hex(&span["traceID"]) && hex(&span["spanID"])) {
            continue;
        }
        let ours = captured(&bytes);
        assert_eq!(content(&ours), content(&snapshot_of(&answer)), "{name}");
        assert!(ours.coverage.rejected.is_empty(), "{name}");
        // One trace, a list of them, a line each.
        let lines: Vec<String> = traces(&answer).into_iter().map(Value::to_string).collect();
        assert_eq!(content(&captured(lines.join("\n"))), content(&ours), "{name}");
        assert_eq!(content(&captured(json!({ "data": traces(&answer), "errors": [] }).to_string())), content(&ours));
        read += 1;
    }
    assert!(read >= 12, "{read}");
}

#[test]
fn a_resource_that_says_nothing_which_jaeger_cannot_convert_is_kept_as_an_unnamed_service() {
    let snapshot = captured(file("jaeger/convert/ui_otlp2jaeger-in-error.json").to_string());
    on_purpose("unnamed-services");
    let [node] = snapshot.nodes.as_slice() else { panic!("{:?}", snapshot.nodes) };
    assert_eq!((node.id.0.as_str(), node.unnamed()), ("unknown_service", true));
    // Its parent is not there: nobody called it.
    assert_eq!((snapshot.coverage.orphans, snapshot.edges.len()), (1, 0));
}

/// The dependency graph as a snapshot: services that nobody calls are where requests come from.
fn large() -> Snapshot {
    let links = file("jaeger/dependency-links-large.json");
    let text = |link: &Value, end: &str| link[end].as_str().unwrap().to_owned();
    let called: BTreeSet<String> = list(&links).iter().map(|l| text(l, "child")).collect();
    let all: BTreeSet<String> = list(&links).iter().map(|l| text(l, "parent")).chain(called.iter().cloned()).collect();
    let nothing = json!({ "n": 0, "sum_ns": "0", "min_ns": 0, "max_ns": 0, "bins": "" });
    let stats = json!({ "n": 0, "calls": 0, "errors": 0, "durations": nothing, "series": "" });
    let nodes = all.iter().map(|name| {
        json!({ "id": name, "kind": "service", "namespace": "", "name": name, "instrumented": called.contains(name), "handled": stats })
    });
    let mut edges: Vec<(String, String, u64)> =
        list(&links).iter().map(|l| (text(l, "parent"), text(l, "child"), l["callCount"].as_u64().unwrap())).collect();
    edges.sort();
    let edges = edges.iter().map(|(source, target, n)| {
        json!({ "source": source, "target": target, "kind": "call", "known_by": { "aggregate": n }, "n": n, "calls": n, "errors": 0, "series": "" })
    });
    let mut whole = serde_json::to_value(captured(file("jaeger/otlp/default.json").to_string())).unwrap();
    whole["nodes"] = nodes.collect();
    whole["edges"] = edges.collect();
    whole["operations"] = json!([]);
    codec::decode(whole.to_string().as_bytes()).unwrap()
}

/// Successors by position.
fn successors(snapshot: &Snapshot) -> Vec<Vec<usize>> {
    let at = |id: &NodeId| snapshot.nodes.binary_search_by(|n| n.id.cmp(id)).unwrap();
    let mut next = vec![Vec::new(); snapshot.nodes.len()];
    snapshot.edges.iter().for_each(|e| next[at(&e.source)].push(at(&e.target)));
    next
}

/// What can be reached from `starts` without passing `without`.
fn reach(next: &[Vec<usize>], starts: &[usize], without: Option<usize>) -> Vec<bool> {
    let mut seen = vec![false; next.len()];
    let mut todo = starts.to_vec();
    while let Some(node) = todo.pop() {
        if Some(node) != without && !std::mem::replace(&mut seen[node], true) {
            todo.extend(&next[node]);
        }
    }
    seen
}

#[test]
fn queries_of_a_real_graph_of_1238_services_and_4271_links_are_right() {
    let snapshot = large();
    assert_eq!((snapshot.nodes.len(), snapshot.edges.len()), (1238, 4271));
    let calls: f64 = snapshot.edges.iter().map(|e| e.calls.as_f64()).sum();
    assert_eq!(calls, 2_985_281.0);
    let (graph, next) = (Graph::new(&snapshot), successors(&snapshot));
    let all = 0..next.len();
    let id = |at: usize| &snapshot.nodes[at].id;
    let at = |id: &NodeId| snapshot.nodes.binary_search_by(|n| n.id.cmp(id)).unwrap();
    let set = |ids: &mut dyn Iterator<Item = &NodeId>| ids.map(at).collect::<BTreeSet<usize>>();
    let everywhere: Vec<Vec<bool>> = all.clone().map(|n| reach(&next, &[n], None)).collect();

    // Circles: those who reach each other.
    let mates = |n: usize| all.clone().filter(|m| everywhere[n][*m] && everywhere[*m][n]).collect::<Vec<usize>>();
    let circles: BTreeSet<Vec<NodeId>> = all
        .clone()
        .map(mates)
        .filter(|mates| mates.len() > 1)
        .map(|mates| mates.into_iter().map(|m| id(m).clone()).collect())
        .collect();
    assert_eq!(graph.cycles(), circles.into_iter().collect::<Vec<_>>());

    // Callers and callees: who is reached; each layer one hop further than some node of the layer before.
    for node in all.clone().step_by(97) {
        let reached = all.clone().filter(|n| everywhere[node][*n]).collect();
        assert_eq!(set(&mut graph.reachable(id(node)).iter()), reached);
        let callers = all.clone().filter(|n| *n != node && everywhere[*n][node]).collect();
        assert_eq!(set(&mut graph.callers(id(node)).values().flatten()), callers);
        let mut before = BTreeSet::from([node]);
        for (depth, layer) in graph.callees(id(node)) {
            let layer = set(&mut layer.iter());
            assert!(layer.iter().all(|n| before.iter().any(|b| next[*b].contains(n))), "{depth}");
            before = layer;
        }
    }

    // Dominators: exactly the nodes without which no way leads from outside to the node.
    let starts: Vec<usize> = all.clone().filter(|n| !snapshot.nodes[*n].instrumented).collect();
    let whole = reach(&next, &starts, None);
    let mut dominated = 0;
    for node in all.clone().step_by(103) {
        let dominators = set(&mut graph.dominators(id(node)).iter());
        for other in dominators.iter().copied().chain(all.clone().step_by(29)).filter(|other| *other != node) {
            let cut = whole[node] && !reach(&next, &starts, Some(other))[node];
            assert_eq!(dominators.contains(&other), cut, "{} for {}", id(other), id(node));
        }
        dominated += dominators.len();
    }
    assert!(dominated > 0, "the test sees too little");

    // Single points of failure: exactly those without which there are more pieces.
    let mut undirected = next.clone();
    next.iter().enumerate().for_each(|(from, to)| to.iter().for_each(|to| undirected[*to].push(from)));
    let pieces = |without: Option<usize>| {
        let mut seen = vec![false; next.len()];
        let firsts = all.clone().filter(|n| {
            let first = Some(*n) != without && !seen[*n];
            if first {
                reach(&undirected, &[*n], without).iter().zip(&mut seen).for_each(|(here, seen)| *seen |= here);
            }
            first
        });
        firsts.count()
    };
    let points = set(&mut graph.single_points_of_failure().iter());
    assert!(points.len() > 10, "{points:?}");
    let connected = pieces(None);
    for node in all.clone().step_by(61).chain(points.iter().copied().step_by(9)) {
        assert_eq!(points.contains(&node), pieces(Some(node)) > connected, "{}", id(node));
    }

    // The longest chain: each waits for the next, and nobody waits for somebody before.
    let chain: Vec<usize> = graph.longest_synchronous_chain().iter().map(at).collect();
    assert!(chain.len() > 5, "{chain:?}");
    for pair in chain.windows(2) {
        assert!(mates(pair[0]).iter().any(|m| next[*m].iter().any(|n| mates(pair[1]).contains(n))), "{pair:?}");
        assert!(!everywhere[pair[1]][pair[0]], "{pair:?}");
    }
}

#[test]
fn every_format_draws_the_real_graph_of_1238_services() {
    let bytes = codec::encode(&large()).unwrap();
    let mut case = Case::empty().file("s.snapshot.json", bytes);
    for (format, shown) in [("json", "Service574"), ("dot", "Service574"), ("mermaid", "edges with fewer calls and")] {
        case = case.run(&format!("graph --from s.snapshot.json --format {format}")).expect_exit(0).expect_stdout(shown);
    }
}
