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
fn doctor_is_not_for_files() {
    for from in ["s.snapshot.json", "-"] {
        fails(case(), &format!("doctor {from}"), "source-url", &["capture --from"]);
    }
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

#[test]
fn flags_that_could_not_be_obeyed_are_refused() {
    for flag in [
        "--lookback 1h",
        "--lookback-hours 1",
        "--start 2020-01-01T00:00:00Z",
        "--query {}",
        "--max-traces 5",
        "--rate-attribute x",
    ] {
        let name = flag.split(' ').next().unwrap();
        fails(case(), &format!("generate --from s.snapshot.json {flag}"), "flag-without-effect", &[name]);
    }
    for flag in ["--query {}", "--max-traces 5 --sample most-recent"] {
        let traces = case().file("t.jsonl", shop::traces().join("\n"));
        let name = flag.split(' ').next().unwrap();
        fails(traces, &format!("generate --from t.jsonl {flag}"), "flag-without-effect", &[name, "trace files"]);
    }
    for (flags, says) in [
        ("--from tempo://127.0.0.1:1 --max-traces 0", "leaves no trace"),
        ("--aggregate --from tempo://127.0.0.1:1 --max-traces 5 --sample most-recent", "--sample"),
        ("--aggregate --from tempo://127.0.0.1:1 --shard 1/2", "--shard"),
        ("--from prometheus://127.0.0.1:1 --max-traces 5", "--max-traces"),
        ("--aggregate --from tempo://127.0.0.1:1 --from prometheus://127.0.0.1:1 --query {}", "--query"),
    ] {
        let command = format!("capture {flags} --output s.json");
        fails(case(), &command, "flag-without-effect", &[says]);
    }
    let both = "capture --aggregate --from tempo://127.0.0.1:1 --from tempo://127.0.0.1:2 --output s.json";
    fails(case(), both, "from-mixed", &["one Prometheus"]);
}

#[test]
fn standard_input_can_be_read_once() {
    let twice = case().stdin(shop::snapshot_bytes(true));
    fails(twice, "diff - -", "stdin-twice", &[]);
    let both = case().stdin(shop::snapshot_bytes(true)).file("t.jsonl", shop::traces().join("\n"));
    fails(both, "graph --from - --from t.jsonl", "from-mixed", &[]);
    let damaged = case().stdin(&shop::snapshot_bytes(true)[..900]);
    fails(damaged, "graph --from -", "snapshot-damaged", &["--> -:"]);
}

#[test]
fn limits_of_nothing_and_entries_of_later_stages_have_their_line() {
    for (config, code, place) in [
        ("project: x\ntopology: { max_services: 0 }\n", "config-value", "tracebook.yaml:2"),
        ("runbooks:\n  pinned:\n    - { key: nonsense }\n", "pin-key-malformed", "tracebook.yaml:3"),
    ] {
        fails(case().file("tracebook.yaml", config), "generate --from s.snapshot.json", code, &[place]);
    }
}

#[test]
fn notes_say_which_templates_are_the_teams_and_a_slip_in_a_name_is_a_warning() {
    case()
        .file("tracebook.yaml", "templates: own\n")
        .file("own/runbook/notice.md", "<!-- ours -->\n")
        .file("own/runbook/notcie.md", "x\n")
        .run("generate --from s.snapshot.json -v")
        .expect_exit(0)
        .expect_stderr("info[template-shadowed]: the team's `runbook/notice.md`")
        .expect_stderr("warning[template-unused]: `runbook/notcie.md`")
        .expect_stderr("--> own/runbook/notcie.md");
}

#[test]
fn an_empty_page_never_takes_the_place_of_a_good_one() {
    let case = case().file("tracebook.yaml", "templates: own\n").file("own/index/README.md", "\n");
    fails(case, "generate --from s.snapshot.json", "template-render", &["own/index/README.md", "empty page"]);
}

#[cfg(unix)]
#[test]
fn pipes_and_devices_in_place_of_files_are_neither_waited_for_nor_replaced() {
    let case = case();
    std::os::unix::fs::symlink("/dev/zero", case.path("runbooks/runbooks.lock.yaml")).unwrap();
    let case = case.run("generate --from s.snapshot.json").expect_exit(2).expect_stderr("error[output-not-a-file]");
    let case = case.run("capture --from s.snapshot.json --output /dev/null").expect_exit(0);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    case.run("capture --from s.snapshot.json --output runbooks").expect_exit(2).expect_stderr("output-not-a-file");
}
