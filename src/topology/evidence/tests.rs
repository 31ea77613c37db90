//! The rules of the evidence, by literal traces, and the critical paths that Jaeger's own tests expect.

use serde::Deserialize;

use super::children::Children;
use super::critical_path::CriticalPath;
use super::{Origin, OriginKind, PartKind, SummaryClass};
use crate::spans::SpanKind::{self, Client, Consumer, Internal, Producer, Server};
use crate::spans::Weight;
use crate::topology::fixture::{S, s, snapshot};
use crate::topology::trace::{Parent, Span};
use crate::topology::{Snapshot, identity::Fate, row::StoredSpan};

/// A span in place, as pairing hands it over.
fn span(row: StoredSpan, parent: Parent) -> Span<'static> {
    Span { row, luck: 0, node: row.service, fate: Fate::Kept, beyond: false, op: 1, error: 0, peer: None, parent }
}

mod jaeger {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        case: String,
        trace: Trace,
        #[serde(rename = "criticalPathSections")]
        sections: Vec<Section>,
    }

    #[derive(Deserialize)]
    struct Trace {
        spans: Vec<JaegerSpan>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct JaegerSpan {
        #[serde(rename = "spanID")]
        span_id: String,
        start_time: u64,
        duration: u64,
        #[serde(default)]
        references: Vec<Reference>,
        #[serde(default)]
        tags: Vec<Tag>,
        #[serde(rename = "processID")]
        process: String,
    }

    #[derive(Deserialize)]
    struct Reference {
        #[serde(rename = "spanID")]
        span_id: String,
    }

    #[derive(Deserialize)]
    struct Tag {
        key: String,
        value: serde_json::Value,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Section {
        #[serde(rename = "spanID")]
        span_id: String,
        section_start: u64,
        section_end: u64,
    }

    fn kind(span: &JaegerSpan) -> SpanKind {
        let named = span.tags.iter().find(|tag| tag.key == "span.kind").and_then(|tag| tag.value.as_str());
        match named {
            Some("producer") => Producer,
            Some("consumer") => Consumer,
            Some("client") => Client,
            Some("server") => Server,
            _ => Internal,
        }
    }

    #[test]
    fn the_critical_paths_of_jaegers_tests_are_ours() {
        let text = include_str!("../../../tests/data/jaeger/critical-path-cases.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let all = &case.trace.spans;
            let at = |id: &str| all.iter().position(|s| s.span_id == id);
            let spans: Vec<Span<'_>> = all
                .iter()
                .map(|one| {
                    let row = StoredSpan {
                        span: at(&one.span_id).unwrap() as u64 + 1,
                        start: one.start_time,
                        end: one.start_time + one.duration,
                        service: u32::from(one.process != "p1"),
                        kind: kind(one),
                        ..StoredSpan::default()
                    };
                    let above = one.references.first().and_then(|r| at(&r.span_id));
                    span(row, above.map_or(Parent::Root, Parent::At))
                })
                .collect();
            let root = spans.iter().position(|s| s.parent == Parent::Root).unwrap();
            let mut children = Children::default();
            children.find(&spans);
            let mut found = Vec::new();
            CriticalPath::default().walk(&spans, &children, root, |at, from, to| {
                let span_id = all[at].span_id.clone();
                found.push(Section { span_id, section_start: from, section_end: to });
            });
            assert_eq!(found, case.sections, "{}", case.case);
        }
    }
}

/// Milliseconds in nanoseconds.
const MS: u64 = 1_000_000;

fn at(span: S, from: u64, to: u64) -> S {
    span.at(from * MS, to * MS)
}

/// The parts of the only request as `service operation kind` and milliseconds.
fn parts(snapshot: &Snapshot) -> Vec<(String, PartKind, u64)> {
    let [requests] = snapshot.requests.as_slice() else { panic!("{:?}", snapshot.requests) };
    let time = |part: &super::RequestPart| part.time.iter().map(|(_, t)| (t.seconds() * 1000.0).round() as u64).sum();
    let mut all: Vec<_> =
        requests.parts.iter().map(|p| (format!("{} {}", p.service, p.operation), p.part, time(p))).collect();
    all.sort();
    all
}

#[test]
fn a_request_is_the_sum_of_its_parts_and_each_moment_belongs_to_one() {
    let found = snapshot(&[
        at(s(1, 0, "web", Server).named("GET /"), 0, 100),
        at(s(2, 1, "web", Client).named("GET"), 10, 60),
        at(s(3, 2, "api", Server).named("Get"), 20, 50),
        at(s(4, 3, "api", Client).named("SELECT").db("mysql", "shop"), 30, 45),
        // Beside the call that ends later: on nobody's critical path.
        at(s(5, 1, "web", Client).named("GET"), 10, 40),
        at(s(6, 5, "ads", Server).named("Ads"), 12, 38),
    ]);
    assert_eq!(
        parts(&found),
        [
            ("api Get".into(), PartKind::Work, 15),
            ("api Get".into(), PartKind::Between, 20),
            ("api SELECT".into(), PartKind::Call, 15),
            ("web GET /".into(), PartKind::Work, 50),
        ]
    );
    assert_eq!(found.requests[0].nodes.len(), 5, "what is off the path is touched all the same");
    let target = |p: &super::RequestPart| p.target.as_ref().map(|t| t.0.clone());
    assert!(found.requests[0].parts.iter().any(|p| target(p).as_deref() == Some("database:mysql:shop")));
}

#[test]
fn clocks_that_differ_hide_no_work_and_messages_are_not_awaited() {
    let found = snapshot(&[
        at(s(1, 0, "web", Server).named("GET /"), 0, 100),
        at(s(2, 1, "web", Client).named("GET"), 10, 60),
        // Fits into its caller, but its clock is an hour ahead.
        at(s(3, 2, "api", Server).named("Get"), 3_600_000, 3_600_030),
        at(s(4, 3, "api", Internal).named("think"), 3_600_005, 3_600_025),
        at(s(5, 1, "web", Producer).named("send").topic("orders"), 70, 75),
        at(s(6, 5, "mail", Consumer).named("process").topic("orders"), 72, 99),
    ]);
    let found = parts(&found);
    assert!(found.contains(&("api think".into(), PartKind::Work, 20)), "{found:?}");
    assert!(found.contains(&("api Get".into(), PartKind::Between, 20)), "{found:?}");
    assert!(found.iter().all(|(name, ..)| !name.starts_with("mail")), "{found:?}");
    assert_eq!(found.iter().map(|(.., ms)| ms).sum::<u64>(), 100);
}

/// Steps of an operation as `before > after` and how often.
fn steps(snapshot: &Snapshot, service: &str, name: &str) -> Vec<(String, Weight)> {
    let operation = snapshot.operations.iter().find(|o| o.service.0 == service && o.name == name).unwrap();
    let shown = |state| match operation.flow.item(state) {
        Some(item) => format!("{} {}{}", item.service, item.name, if state.failed { "!" } else { "" }),
        None => "start".to_owned(),
    };
    operation.flow.steps.iter().map(|((a, b), w)| (format!("{} > {}", shown(*a), shown(*b)), *w)).collect()
}

#[test]
fn a_flow_names_calls_by_who_answers_and_keeps_failures_apart() {
    let found = snapshot(&[
        at(s(1, 0, "web", Server).named("GET /"), 0, 100),
        at(s(2, 1, "web", Client).named("GET"), 10, 20),
        at(s(3, 2, "cart", Server).named("GET /cart").failed("timeout"), 11, 19),
        at(s(4, 1, "web", Client).named("GET"), 20, 30),
        at(s(5, 4, "cart", Server).named("GET /cart"), 21, 29),
        at(s(6, 1, "web", Client).named("SELECT").db("mysql", "shop"), 30, 40),
    ]);
    let one = Weight::ONE;
    assert_eq!(
        steps(&found, "web", "GET /"),
        [
            ("start > cart GET /cart!".into(), one),
            ("cart GET /cart > web SELECT".into(), one),
            ("cart GET /cart! > cart GET /cart".into(), one),
        ]
    );
    let flow = &found.operations.iter().find(|o| o.name == "GET /").unwrap().flow;
    assert_eq!(flow.visits(one).values().copied().sum::<Weight>(), Weight::whole(4));
    let text = serde_json::to_string(flow).unwrap();
    assert_eq!(serde_json::from_str::<crate::topology::Flow>(&text).unwrap(), *flow, "{text}");
}

#[test]
fn an_operation_with_too_many_steps_has_none_whatever_came_first() {
    let mut spans = vec![at(s(1, 0, "web", Server).named("GET /"), 0, 1000)];
    spans.extend((0..600).map(|i| at(s(i + 2, 1, "web", Internal).named(&format!("step {}", letters(i))), i, i + 1)));
    let flow = |spans: &[S]| {
        let found = snapshot(spans);
        let root = found.operations.iter().find(|o| o.name == "GET /").unwrap();
        (root.flow.beyond, root.flow.steps.len())
    };
    assert_eq!(flow(&spans), (true, 0));
    spans.reverse();
    assert_eq!(flow(&spans), (true, 0));
    assert_eq!(flow(&spans[200..]), (false, 400));
}

/// A name without digits, which would be taken for an id.
fn letters(mut n: u64) -> String {
    let mut text = String::new();
    for _ in 0..3 {
        text.push(char::from(b'a' + (n % 26) as u8));
        n /= 26;
    }
    text
}

fn told(origins: &[Origin]) -> Vec<(String, OriginKind, Vec<String>, Vec<String>)> {
    let names = |steps: &[super::OriginStep]| steps.iter().map(|s| format!("{} {}", s.service, s.operation)).collect();
    origins
        .iter()
        .map(|o| {
            let coped = if o.gave_up.is_empty() { &o.coped } else { &o.gave_up };
            (format!("{} {}", o.service, o.operation), o.kind, names(&o.climbed), names(coped))
        })
        .collect()
}

/// web → api → db service, in which spans fail as told.
fn chain(failed: [&str; 5]) -> Vec<S> {
    let spans = [
        at(s(1, 0, "web", Server).named("GET /"), 0, 100),
        at(s(2, 1, "web", Client).named("call"), 10, 90),
        at(s(3, 2, "api", Server).named("Get"), 20, 80),
        at(s(4, 3, "api", Client).named("call"), 30, 70),
        at(s(5, 4, "store", Server).named("Read"), 40, 60),
    ];
    let fail = |(span, how): (S, &str)| if how.is_empty() { span } else { span.failed(how) };
    spans.into_iter().zip(failed).map(fail).collect()
}

#[test]
fn the_deepest_failure_is_the_origin_and_who_copes_is_told() {
    let all = snapshot(&chain(["500", "500", "500", "500", "boom"]));
    let climbed = vec!["api Get".to_owned(), "api call".into(), "web GET /".into(), "web call".into()];
    assert_eq!(told(&all.origins), [("store Read".into(), OriginKind::Failed, climbed, Vec::new())]);
    assert_eq!(all.origins[0].reached_entry, Weight::ONE);
    // Only the child marks it.
    let child = snapshot(&chain(["", "", "", "", "boom"]));
    assert_eq!(
        told(&child.origins),
        [("store Read".into(), OriginKind::Failed, Vec::new(), vec!["api Get".to_owned()])]
    );
    // Swallowed further up.
    let swallowed = snapshot(&chain(["", "500", "500", "500", "boom"]));
    assert_eq!(told(&swallowed.origins)[0].3, ["web GET /"]);
    assert!(swallowed.origins[0].reached_entry.is_zero());
}

#[test]
fn a_retry_that_succeeds_explains_nothing_further_up() {
    let mut spans = chain(["", "", "", "500", "boom"]);
    spans.push(at(s(6, 3, "api", Client).named("call"), 71, 75));
    spans.push(at(s(7, 6, "store", Server).named("Read"), 72, 74));
    assert_eq!(told(&snapshot(&spans).origins)[0].3, ["api Get"]);
    // The request fails all the same: by itself.
    spans[2] = spans[2].clone().failed("500");
    let found = told(&snapshot(&spans).origins);
    let names: Vec<&str> = found.iter().map(|o| o.0.as_str()).collect();
    assert_eq!(names, ["api Get", "store Read"], "{found:?}");
}

#[test]
fn a_time_out_begins_at_the_work_that_took_too_long_and_the_first_to_give_up_is_named() {
    // web gives up after 30 ms, api after 60 ms; store works for 100 ms and succeeds.
    let found = snapshot(&[
        at(s(1, 0, "web", Server).named("GET /").failed("504"), 0, 35),
        at(s(2, 1, "web", Client).named("call").failed("timeout"), 5, 35),
        at(s(3, 2, "api", Server).named("Get").failed("timeout"), 8, 70),
        at(s(4, 3, "api", Client).named("call").failed("timeout"), 10, 70),
        at(s(5, 4, "store", Server).named("Read"), 12, 112),
    ]);
    let told = told(&found.origins);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((told[0].0.as_str(), told[0].1), ("store Read", OriginKind::TimedOut));
    assert_eq!(told[0].3, ["web GET /"], "the first to give up");
}

#[test]
fn a_call_nobody_answers_begins_at_what_it_calls_and_a_rejected_one_at_the_caller() {
    let found = snapshot(&[
        at(s(1, 0, "web", Server).named("GET /").failed("500"), 0, 50),
        at(s(2, 1, "web", Client).named("SELECT").db("mysql", "shop").failed("refused"), 5, 10),
    ]);
    assert_eq!(told(&found.origins)[0].1, OriginKind::Unanswered);
    assert_eq!(found.origins[0].target.as_ref().unwrap().0, "database:mysql:shop");
    let found = snapshot(&chain(["", "404", "", "", ""]));
    assert_eq!(told(&found.origins), [("web call".into(), OriginKind::Rejected, Vec::new(), vec!["web GET /".into()])]);
    assert_eq!(found.origins[0].target.as_ref().unwrap().0, "api");
}

#[test]
fn instances_are_told_apart_and_traces_are_kept_in_short() {
    let mut spans = Vec::new();
    for i in 0..40u64 {
        let mut web = at(s(1, 0, "web", Server).named("GET /"), 0, 10 + i).trace(u128::from(i) + 1);
        web.pod = if i % 2 == 0 { "web-a" } else { "web-b" };
        if i == 7 {
            web = web.failed("boom");
        }
        spans.push(web);
        spans.push(at(s(2, 1, "web", Internal).named("render"), 2, 6).trace(u128::from(i) + 1));
    }
    let found = snapshot(&spans);
    let pods: Vec<_> = found.instances.iter().map(|i| (i.attributes["k8s.pod.name"].as_str(), i.n, i.errors)).collect();
    assert_eq!(pods, [("web-a", 20, Weight::ZERO), ("web-b", 20, Weight::ONE)]);
    let classes: Vec<SummaryClass> = found.traces.iter().map(|t| t.class).collect();
    use SummaryClass::{Failed, Slow, Typical};
    assert_eq!(classes, [Slow, Failed, Typical, Typical, Typical]);
    assert_eq!((found.traces[0].duration_ns(), found.traces[0].spans.len()), (49 * MS, 2));
    assert_eq!(found.traces[1].trace_id.0, 8);
    let own: u64 = found.traces[0].spans.iter().map(|s| s.critical_ns).sum();
    assert_eq!(own, 49 * MS, "the critical path covers the request");
}
