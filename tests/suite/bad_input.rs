//! Bad input: a coded diagnostic that says what, where, why and what next; exit 2; nothing on the disk changed.

use crate::harness::Case;
use crate::shop;

fn case() -> Case {
    Case::empty().file("s.snapshot.json", shop::snapshot_bytes(true)).file("runbooks/README.md", "yesterday\n")
}

/// Runs a command that must fail with a code, say something helpful, and change nothing.
#[track_caller]
fn fails(case: Case, line: &str, code: &str, parts: &[&str]) {
    let before = case.tree();
    let mut case = case.run(line).expect_exit(2).expect_stderr(&format!("error[{code}]")).expect_stderr("help: ");
    for part in parts {
        case = case.expect_stderr(part);
    }
    assert_eq!(case.stdout(), "");
    case.expect_tree(&before);
}

#[test]
fn an_unknown_configuration_key_has_line_and_suggestion() {
    let config = "project: x\nobjectives: []\nrunbooks:\n  latencies: true\nlook_back: 7d\n";
    fails(
        case().file("tracebook.yaml", config),
        "generate --from s.snapshot.json",
        "config-unknown-key",
        &[
            "tracebook.yaml:4:3 (runbooks.latencies)",
            "did you mean `latency`?",
            "tracebook.yaml:5:1",
            "did you mean `lookback`?",
        ],
    );
}

#[test]
fn a_configuration_that_is_no_yaml_or_not_there() {
    fails(
        case().file("tracebook.yaml", "project: [\n"),
        "generate --from s.snapshot.json",
        "config-syntax",
        &["tracebook.yaml:1"],
    );
    fails(case(), "generate --from s.snapshot.json --config other.yaml", "config-not-found", &["other.yaml"]);
}

// Holds once the SLO stage is there.
#[test]
fn an_objective_that_cannot_be_read_has_its_line() {
    let config = "objectives:\n  - { service: api, sli: latency_p99, target: '< 500 parsecs' }\n";
    fails(
        case().file("tracebook.yaml", config),
        "slo --from s.snapshot.json",
        "objective-target",
        &["tracebook.yaml:2"],
    );
}

#[test]
fn nothing_to_read_from() {
    fails(case(), "generate", "no-source", &["--from", "OTEL_ENDPOINT"]);
    fails(case(), "capture", "no-source", &[]);
    fails(
        case().file("b.snapshot.json", shop::snapshot_bytes(false)),
        "generate --from s.snapshot.json --from b.snapshot.json",
        "from-mixed",
        &[],
    );
}

#[test]
fn a_damaged_or_truncated_snapshot_is_called_so() {
    let bytes = shop::snapshot_bytes(true);
    for damaged in [&b""[..], b"{}", &bytes[..bytes.len() / 2], b"\xff\xfe"] {
        let before = case().file("bad.snapshot.json", damaged);
        let tree = before.tree();
        before
            .run("generate --from bad.snapshot.json")
            .expect_exit(2)
            .expect_stderr("error[snapshot-damaged]")
            .expect_stderr("bad.snapshot.json")
            .expect_tree(&tree);
    }
}

#[test]
fn an_output_that_is_a_file_or_below_one() {
    for output in ["file", "file/below"] {
        fails(
            case().file("file", "x"),
            &format!("generate --from s.snapshot.json --output {output}"),
            "output-not-a-directory",
            &["file"],
        );
    }
    fails(
        case().file("file", "x"),
        "capture --from s.snapshot.json --output file/x.snapshot.json",
        "output-not-a-directory",
        &[],
    );
}

#[cfg(unix)]
#[test]
fn a_read_only_output_where_permissions_count() {
    use std::os::unix::fs::PermissionsExt as _;
    let case = case();
    let dir = case.path("runbooks");
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere: then there is nothing to see here.
    let ignored = std::fs::write(dir.join("probe"), "").is_ok();
    if !ignored {
        fails(case, "generate --from s.snapshot.json", "output-read-only", &["runbooks"]);
        return;
    }
    // A place that is read-only even for root.
    if std::path::Path::new("/proc/self").is_dir() {
        let said = case.run("generate --from s.snapshot.json --output /proc/self/runbooks").expect_exit(2);
        assert!(said.stderr().contains("error[output-"), "{}", said.stderr());
    }
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_in_place_of_a_page_is_not_followed() {
    let case = case().file("outside.md", "precious").remove_file("runbooks/README.md");
    std::os::unix::fs::symlink(case.path("outside.md"), case.path("runbooks/README.md")).unwrap();
    let case = case.run("generate --from s.snapshot.json").expect_exit(2).expect_stderr("error[output-symlink]");
    assert_eq!(case.text("outside.md"), "precious");
    assert!(case.path("runbooks/runbooks.lock.yaml").metadata().is_err());
}

#[test]
fn a_ledger_that_was_tampered_with() {
    let entry = "  - { id: RB-001, key: a, slug: a, state: active }\n";
    fails(
        case().file("runbooks/runbooks.lock.yaml", format!("version: 1\nrunbooks:\n{entry}{entry}")),
        "generate --from s.snapshot.json",
        "ledger-damaged",
        &["runbooks.lock.yaml:4", "RB-001 is given twice", "version control"],
    );
}

#[test]
fn update_toc_without_anything_to_update() {
    fails(case(), "generate --from s.snapshot.json --update-toc", "toc-none", &["toc:"]);
    fails(
        case().file("tracebook.yaml", "toc: [ { file: docs/none.md } ]\n"),
        "generate --from s.snapshot.json --update-toc",
        "toc-missing",
        &["docs/none.md"],
    );
}

#[test]
fn credentials_never_appear_in_what_is_said() {
    for line in ["capture --from tempo://nowhere.invalid:1 --header s3cret", "capture --from tempo://nowhere.invalid:1"]
    {
        case()
            .env("TRACEBOOK_BASIC_AUTH", "s3cret")
            .run(line)
            .expect_exit(2)
            .expect_stderr("malformed]")
            .expect_not_said("s3cret");
    }
}

// From here on: hold once the sources are there.

#[test]
fn zero_spans_change_nothing() {
    let before = case().file("empty.jsonl", "").file("none.jsonl", "{\"resourceSpans\":[]}\n");
    let tree = before.tree();
    before
        .run("generate --from empty.jsonl")
        .expect_exit(2)
        .expect_stderr("help: ")
        .run("generate --from none.jsonl")
        .expect_exit(2)
        .expect_stderr("help: ")
        .expect_tree(&tree);
    let past = case().file("t.jsonl", shop::traces().join("\n"));
    fails(past, "generate --from t.jsonl --end 2020-01-01T00:00:00Z", "no-spans-in-window", &["--lookback"]);
}

#[test]
fn an_ingest_port_given_for_a_query_port_is_told_from_a_query_port() {
    let before = case();
    let tree = before.tree();
    before
        .env("OTEL_ENDPOINT", "http://tempo:4317")
        .run("generate")
        .expect_exit(2)
        .expect_stderr("4317")
        .expect_stderr("help: ")
        .expect_tree(&tree);
}

#[test]
fn sources_that_are_not_there_or_not_traces() {
    for (name, contents) in [("page.html", "<html></html>"), ("cut.json", "{\"resourceSpans\":[{"), ("x.zst", "\u{0}")]
    {
        let before = case().file(name, contents);
        let tree = before.tree();
        before
            .run(&format!("generate --from {name}"))
            .expect_exit(2)
            .expect_stderr("error[")
            .expect_stderr(name)
            .expect_tree(&tree);
    }
    let before = case();
    let tree = before.tree();
    before.run("generate --from nothing.jsonl").expect_exit(2).expect_stderr("nothing.jsonl").expect_tree(&tree);
}

// Holds once the render stage is there.
#[test]
fn a_template_that_fails_says_where() {
    for (template, code) in [("{{ nothing.here }}", "template-render"), ("{% if %}", "template-syntax")] {
        let before = case().file("tracebook.yaml", "templates: t\n").file("t/index/README.md", template);
        let tree = before.tree();
        before
            .run("generate --from s.snapshot.json")
            .expect_exit(2)
            .expect_stderr(&format!("error[{code}]"))
            .expect_stderr("index/README.md")
            .expect_tree(&tree);
    }
}
