//! Rules of the configuration reach the graph of real traces, and calls are neither lost nor doubled by them.

use super::harness::Case;
use std::collections::BTreeMap;
use std::path::Path;

fn sample() -> Case {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/onlineboutique/before.otlp.jsonl.zst");
    Case::empty().file("traces.jsonl.zst", std::fs::read(file).unwrap())
}

/// (source, target) → calls.
fn edges(case: &Case) -> BTreeMap<(String, String), u64> {
    let graph: serde_json::Value = serde_json::from_str(&case.stdout()).unwrap();
    let text = |edge: &serde_json::Value, key: &str| edge[key].as_str().unwrap().to_owned();
    let edges = graph["edges"].as_array().unwrap().iter();
    edges.map(|e| ((text(e, "source"), text(e, "target")), e["calls"].as_u64().unwrap())).collect()
}

#[test]
fn a_merged_gateway_and_aliases_keep_every_call_of_real_traces() {
    let plain = sample().run("graph --from traces.jsonl.zst --format json").expect_exit(0);
    let rules = "topology:\n  gateways: [ { match: frontend, as: merged } ]\n  aliases: [ { match: '*service', name: '{1}' } ]\n";
    let ruled =
        sample().file("tracebook.yaml", rules).run("graph --from traces.jsonl.zst --format json").expect_exit(0);
    let renamed = |id: String| match id.as_str() {
        "hipster/frontend" => "entry:user".to_owned(),
        id => id.strip_suffix("service").unwrap_or(id).to_owned(),
    };
    let mut expected = BTreeMap::new();
    for ((source, target), calls) in edges(&plain).into_iter().filter(|((_, target), _)| target != "hipster/frontend") {
        expected.insert((renamed(source), renamed(target)), calls);
    }
    assert_eq!(edges(&ruled), expected);
    assert!(expected.len() > 10, "{expected:?}");
    assert!(ruled.stdout().contains("\"transparent\""));
}

#[test]
fn a_diff_over_different_filters_says_that_what_is_missing_may_not_have_been_let_through() {
    let case = sample().run("capture --from traces.jsonl.zst --output base.snapshot.json").expect_exit(0);
    let mut head: serde_json::Value = serde_json::from_str(&case.text("base.snapshot.json")).unwrap();
    head["provenance"]["filter"] = serde_json::json!(["{ resource.service.name = \"cart\" }"]);
    let case = case
        .file("head.snapshot.json", head.to_string())
        .run("diff base.snapshot.json head.snapshot.json")
        .expect_stderr("warning[diff-filters]: what was read differs: everything before, { resource.service.name = \"cart\" } after");
    case.run("diff head.snapshot.json head.snapshot.json").expect_exit(0).expect_not_said("diff-filters");
}

#[test]
fn a_diff_over_different_rules_says_that_names_may_only_have_changed() {
    let case = sample()
        .run("capture --from traces.jsonl.zst --output base.snapshot.json")
        .expect_exit(0)
        .file("tracebook.yaml", "topology: { aliases: [ { match: cartservice, name: basket } ] }\n")
        .run("capture --from traces.jsonl.zst --output head.snapshot.json")
        .expect_exit(0)
        .run("diff base.snapshot.json head.snapshot.json")
        .expect_stderr("diff-rules");
    case.run("diff head.snapshot.json head.snapshot.json").expect_exit(0).expect_not_said("diff-rules");
}
