use std::collections::BTreeSet;

use super::*;
use crate::render::sample;
use crate::runbook::DiagramNode;
use crate::topology::NodeKind;

#[test]
fn the_flowchart_reads_as_approved() {
    insta::assert_snapshot!(mermaid(&sample::snapshot()), @r#"
    flowchart LR
      n0["checkoutservice"]
      n1[("ts")]
      n2["frontend"]
      n3[/"orders"/]
      n0 -->|"28/h · p99 1 ms"| n1
      n0 -.->|"20/h · p99 1 ms"| n3
      n2 -->|"36/h · p99 1 ms"| n0
    "#);
}

#[test]
fn dot_quotes_every_name() {
    let mut snapshot = sample::snapshot();
    snapshot.nodes[0].name = "a\"];\nevil -> \\b".into();
    let dot = dot(&snapshot);
    assert!(dot.contains(r#"n0 [label="a\"]; evil -> \\b", tooltip="checkoutservice", shape=box];"#), "{dot}");
    assert!(dot.contains(r#"n0 -> n3 [label="20/h · p99 1 ms", style=dashed];"#), "{dot}");
}

#[test]
fn json_has_the_published_keys_with_seconds_as_numbers() {
    let graph: serde_json::Value = serde_json::from_str(&json(&sample::snapshot())).unwrap();
    let edge = &graph["edges"][2];
    assert_eq!((edge["source"].as_str(), edge["target"].as_str()), (Some("frontend"), Some("checkoutservice")));
    assert_eq!((edge["kind"].as_str(), edge["known_by"].as_str()), (Some("call"), Some("paired")));
    assert_eq!(edge["known_by_calls"], serde_json::json!({"paired": 9, "link": 1}));
    assert_eq!(
        (edge["calls"].as_u64(), edge["errors"].as_u64(), edge["client"]["n"].as_u64()),
        (Some(9), Some(0), Some(9))
    );
    assert_eq!(edge["client"]["mean_seconds"], 0.001_000_004);
    assert!(edge["client"]["p99_seconds"].as_f64().is_some_and(|s| (s - 0.001).abs() < 1e-5));
    assert!(edge["server"]["mean_seconds"].is_null());
    let node = &graph["nodes"][1];
    assert_eq!((node["id"].as_str(), node["kind"].as_str()), (Some("database:mysql:ts"), Some("database")));
    assert_eq!(graph["coverage"]["spans"], 48_123);
    assert_eq!(graph["window"]["start"], "2022-08-23T17:00:05Z");
}

#[test]
fn json_tells_which_version_calls_which() {
    let mut snapshot = sample::snapshot();
    let pair = crate::topology::EdgeDimension {
        source: "2.3.0".into(),
        target: String::new(),
        calls: snapshot.edges[2].calls,
        errors: snapshot.edges[2].errors,
    };
    snapshot.edges[2].dimensions.insert("service.version".into(), vec![pair]);
    let graph: serde_json::Value = serde_json::from_str(&json(&snapshot)).unwrap();
    let expected = serde_json::json!({"service.version": [{"source": "2.3.0", "calls": 9, "errors": 0}]});
    assert_eq!(graph["edges"][2]["dimensions"], expected);
    assert!(graph["edges"][0].get("dimensions").is_none(), "nobody says anything");
}

#[test]
fn a_graph_beyond_what_mermaid_draws_is_cut_to_its_busiest_edges_and_says_so() {
    let chart = mermaid(&sample::star(2_000, &|i| format!("service-{i}")));
    assert_eq!(chart.matches(" -->|").count(), GRAPH_EDGES);
    assert!(chart.contains("note[\"1,550 edges with fewer calls and 1,550 nodes are not drawn\"]"));
    let long = mermaid(&sample::star(2_000, &|_| "\"".repeat(10_000)));
    assert!(long.len() <= GRAPH_CHARS, "{}", long.len());
}

/// As a merge of one that counted failures with one that did not has it.
#[test]
fn where_failures_were_not_counted_no_drawing_and_no_answer_tells_of_them() {
    let mut snapshot = sample::snapshot();
    snapshot.edges[2].errors = snapshot.edges[2].calls;
    snapshot.nodes[0].handled.errors = snapshot.nodes[0].handled.calls;
    assert!(mermaid(&snapshot).contains(" err") && dot(&snapshot).contains(" err"), "{}", dot(&snapshot));
    let pair = crate::topology::EdgeDimension {
        source: "2.3.0".into(),
        target: String::new(),
        calls: snapshot.edges[2].calls,
        errors: snapshot.edges[2].errors,
    };
    snapshot.edges[2].dimensions.insert("service.version".into(), vec![pair]);
    snapshot.provenance.calls_only = true;
    let (chart, dot) = (mermaid(&snapshot), dot(&snapshot));
    assert!(!chart.contains(" err") && chart.contains("note[\"failures were not counted\"]"), "{chart}");
    assert!(!dot.contains(" err") && dot.contains("label=\"failures were not counted\";"), "{dot}");
    let graph: serde_json::Value = serde_json::from_str(&json(&snapshot)).unwrap();
    for thing in graph["nodes"].as_array().unwrap().iter().chain(graph["edges"].as_array().unwrap()) {
        assert!(thing["errors"].is_null() && thing["error_ratio"].is_null() && thing["calls"].is_number(), "{thing}");
    }
    assert!(graph["edges"][2]["dimensions"]["service.version"][0]["errors"].is_null());
    let star = mermaid(&{
        let mut star = sample::star(600, &|i| format!("service-{i}"));
        star.provenance.calls_only = true;
        star
    });
    assert!(
        star.contains("note[\"failures were not counted · ") && star.contains(" are not drawn\"]"),
        "both are said"
    );
}

#[test]
fn a_neighbourhood_fits_the_strictest_host() {
    let mut diagram = sample::runbook().evidence.diagram;
    assert!(neighbourhood(&diagram, 900.0).len() < PAGE_CHARS);
    for i in 0..23 {
        let mut node = diagram.nodes[0].clone();
        node.id = NodeId(format!("z{i}"));
        node.label = format!("a-service-with-a-rather-long-name-{i}");
        let mut edge = diagram.edges[0].clone();
        edge.target = node.id.clone();
        diagram.nodes.push(node);
        diagram.edges.push(edge);
    }
    assert!(neighbourhood(&diagram, 900.0).len() <= 2_000, "{}", neighbourhood(&diagram, 900.0).len());
    assert_eq!(neighbourhood(&Diagram::default(), 900.0), "");
}

#[test]
fn the_overview_marks_what_is_alarmed_and_stays_small() {
    let alarmed = BTreeSet::from([NodeId("frontend".into())]);
    assert!(overview(&sample::snapshot(), &alarmed).contains("class n2 alarmed"));
    assert!(overview(&sample::star(500, &|i| format!("service-{i}")), &alarmed).len() <= 2 * PAGE_CHARS);
}

/// Labels that have a meaning somewhere in Mermaid's grammar, in HTML or in a shell.
const HOSTILE: &[&str] = &[
    "plain",
    "quote \" and ' and `tick`",
    "`markdown **string**`",
    "brackets ] ) } > [ ( { <",
    "end",
    "subgraph graph flowchart click style classDef a:b#c;",
    "%% comment %%{init: {\"theme\":\"x\"}}%%",
    "semi;colon; n1 --> n2",
    "<b>html</b><script>alert(1)</script><br/>",
    "line\nbreak\r\nand \\n backslash",
    "entity &amp; #quot; #35; &#60;",
    "pipe | double || arrow -->|x| -.-> ==>",
    "ünïcödé 漢字 🙂 \u{202e}rtl",
    "@{ shape: cyl }",
    ":::class --- ~~~ $$x$$",
    "---\ntitle: x\n---",
    "",
    "   ",
];

/// The Mermaid check under `tests/mermaid` gives these files to the real parser.
#[test]
fn the_cases_given_to_the_real_mermaid_parser_are_what_we_write() {
    let names = |i: usize| HOSTILE[i % HOSTILE.len()].to_owned();
    let mut diagram = sample::runbook().evidence.diagram;
    diagram.nodes = (0..HOSTILE.len())
        .map(|i| DiagramNode {
            id: NodeId(format!("s{i:05}")),
            kind: [NodeKind::Service, NodeKind::Database, NodeKind::Messaging, NodeKind::External, NodeKind::Entry]
                [i % 5],
            label: names(i),
            focus: i == 0,
            alarmed: i % 2 == 0,
        })
        .collect();
    diagram.edges = (1..HOSTILE.len())
        .map(|i| DiagramEdge {
            source: NodeId("s00000".into()),
            target: NodeId(format!("s{i:05}")),
            ..diagram.edges[i % 6].clone()
        })
        .collect();
    let alarmed = BTreeSet::from([NodeId("frontend".into())]);
    let cases = [
        ("hostile-neighbourhood.mmd", neighbourhood(&diagram, 900.0)),
        ("hostile-whole.mmd", mermaid(&sample::star(HOSTILE.len(), &names))),
        ("too-large.mmd", mermaid(&sample::star(600, &names))),
        ("overview.mmd", overview(&sample::snapshot(), &alarmed)),
    ];
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mermaid/cases");
    for (name, text) in cases {
        let path = directory.join(name);
        if std::env::var_os("INSTA_UPDATE").is_some_and(|v| v == "always") {
            std::fs::write(&path, format!("{text}\n")).unwrap();
        }
        let approved = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            approved == format!("{text}\n"),
            "{name} changed: run `INSTA_UPDATE=always cargo test --lib render::graph`"
        );
    }
}
