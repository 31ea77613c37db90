//! The embedded sample of real traces: what the README promises, held by a test.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::Case;

/// A file of `examples/`.
fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name).display().to_string()
}

fn sample(name: &str) -> String {
    example(&format!("onlineboutique/{name}.otlp.jsonl.zst"))
}

fn json(case: &Case) -> Value {
    serde_json::from_str(&case.stdout()).unwrap()
}

#[test]
fn the_topology_of_the_sample_is_the_known_one() {
    let case = Case::empty().run(&format!("graph --format json --from {}", sample("before"))).expect_exit(0);
    let graph = json(&case);
    let edges: Vec<String> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| {
            format!(
                "{} {} {}",
                e["source"].as_str().unwrap(),
                e["target"].as_str().unwrap(),
                e["kind"].as_str().unwrap()
            )
        })
        .map(|line| line.replace("hipster/", ""))
        .collect();
    assert_eq!(
        edges,
        [
            "entry:user frontend entry",
            "adservice database:mysql:addatabase database",
            "checkoutservice cartservice call",
            "checkoutservice emailservice call",
            "checkoutservice paymentservice call",
            "checkoutservice productcatalogservice call",
            "checkoutservice shippingservice call",
            "frontend adservice call",
            "frontend cartservice call",
            "frontend checkoutservice call",
            "frontend currencyservice call",
            "frontend productcatalogservice call",
            "frontend recommendationservice call",
            "frontend shippingservice call",
            "productcatalogservice database:mysql database",
            "recommendationservice productcatalogservice call",
        ]
    );
    assert_eq!(graph["coverage"]["spans"], 9045);
    assert_eq!(graph["coverage"]["traces"], 200);
}

#[test]
fn the_comparison_around_the_fault_names_the_service_and_the_edge_that_changed() {
    let case = Case::empty()
        .run(&format!("diff {} {} --format json --fail-on never", sample("before"), sample("after")))
        .expect_exit(0);
    let diff = json(&case);
    let first = &diff["changes"][0];
    assert_eq!(first["code"], "slower");
    assert_eq!(first["subject"]["target"], "hipster/productcatalogservice");
    assert_eq!(diff["culprits"][0]["service"], "hipster/productcatalogservice");
    Case::empty()
        .run(&format!("diff {} {}", sample("before"), sample("after")))
        .expect_exit(1)
        .run(&format!("diff {0} {0} --fail-on info", sample("after")))
        .expect_exit(0);
}

#[test]
fn the_sample_gives_runbooks_that_name_the_dependency_behind_the_breach() {
    let config = example("onlineboutique/tracebook.yaml");
    let case = Case::empty()
        .run(&format!("generate --config {config} --output rb"))
        .expect_exit(0)
        .run(&format!("check rb --config {config}"))
        .expect_exit(0);
    let index = case.text("rb/README.md");
    let frontend = index.lines().find(|l| l.starts_with("| [") && l.contains("frontend-high-latency.md")).unwrap();
    assert!(frontend.contains("**Breached**"), "{frontend}");
    let file = frontend.split("](").nth(1).unwrap().split(')').next().unwrap();
    let page = case.text(&format!("rb/{file}"));
    let (steps, _) = page.split_once("## Remediation steps").unwrap();
    let named = |service: &str| steps.find(&format!("**Check the way to `{service}`"));
    assert!(
        named("productcatalogservice").is_some() && named("productcatalogservice") < named("currencyservice"),
        "the dependency that holds most time comes first: the network before it was delayed"
    );
    assert!(page.contains("### Where slow requests spend their time") && page.contains("**slow**: `0233879133071bdd"));
    for section in [
        "Trigger condition",
        "Impact assessment",
        "Diagnosis steps",
        "Remediation steps",
        "Verification steps",
        "Escalation path",
    ] {
        assert!(page.contains(&format!("\n## {section}\n")), "{section}");
    }
}

#[test]
fn aisoc_gets_its_six_runbooks_and_its_document_refreshed_in_place() {
    let case = Case::copy_of(Path::new(&example("aisoc")));
    let before = case.text("docs/operations/multi-region.md");
    let case = case.run("generate --update-toc --from traces.otlp.jsonl.zst --config tracebook.yaml").expect_exit(0);
    let after = case.text("docs/operations/multi-region.md");
    let rows = [
        ("RB-001", "api-high-latency", "http_request_duration_p99 > 500ms"),
        ("RB-002", "postgres-replica-lag", "Replication lag > 30 s"),
        ("RB-003", "region-failover", "Region health check failure"),
        ("RB-004", "ingest-pipeline-stall", "Ingest lag > 30 s"),
        ("RB-005", "agent-runner-oom", "OOMKilled in agents pods"),
        ("RB-006", "cert-expiry", "TLS cert expires in < 14 days"),
    ];
    for (id, slug, trigger) in rows {
        let row =
            after.lines().find(|l| l.contains(&format!("{id}-{slug}.md"))).unwrap_or_else(|| panic!("no row of {id}"));
        let plain = row.replace("&lt;", "<").replace("&gt;", ">").replace(['\\', '`'], "");
        assert!(plain.contains(trigger), "{row}");
        assert!(case.text(&format!("docs/operations/runbooks/{id}-{slug}.md")).contains(&format!("# {id}: ")));
    }
    let pages = std::fs::read_dir(case.path("docs/operations/runbooks")).unwrap();
    let pages = pages.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with("RB-")).count();
    assert_eq!(pages, rows.len());
    assert!(after.contains("(#runbooks)") || after.contains("(#7-runbooks)"), "section links");
    let human = |text: &str| text.lines().filter(|l| l.starts_with("## ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(human(&before), human(&after));
    case.run("generate --update-toc --config tracebook.yaml --check --from traces.otlp.jsonl.zst").expect_exit(0);
}

#[test]
fn the_binary_publishes_into_a_relative_directory() {
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_tracebook"))
            .args(args)
            .current_dir(dir.path())
            .env_remove("OTEL_ENDPOINT")
            .output()
            .unwrap()
    };
    let made = run(&["generate", "--from", &sample("before"), "--output", "rb"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(dir.path().join("rb/README.md").is_file() && !dir.path().join("rb/rb").exists());
    let checked = run(&["check", "rb"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[cfg(feature = "archive")]
#[test]
fn archived_spans_give_the_same_snapshot_again() {
    let case = Case::empty()
        .run(&format!("capture --from {} --spans spans --output first.snapshot.json", sample("after")))
        .expect_exit(0)
        .file("spans/other.jsonl", "{}")
        .run("capture --from spans --output second.snapshot.json")
        .expect_exit(0)
        .expect_stderr("warning[file-passed-over]")
        .run("capture --from spans/part-00000.parquet --output third.snapshot.json")
        .expect_exit(0);
    assert_eq!(case.text("first.snapshot.json"), case.text("second.snapshot.json"));
    assert_eq!(case.text("first.snapshot.json"), case.text("third.snapshot.json"));
    case.run(&format!("capture --from {} --spans spans", sample("after")))
        .expect_exit(2)
        .expect_stderr("error[output-exists]");
}
