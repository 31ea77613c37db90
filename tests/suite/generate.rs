//! `generate`: what is written, what is left alone, what never changes bytes.

use std::collections::BTreeMap;

use crate::harness::{Case, tree};
use crate::shop;

fn from_snapshot() -> Case {
    Case::empty().file("s.snapshot.json", shop::snapshot_bytes(true))
}

fn out(case: &Case) -> BTreeMap<String, Vec<u8>> {
    tree(&case.path("out"))
}

#[test]
fn a_second_run_changes_no_file_and_touches_none() {
    let case =
        from_snapshot().run("generate --from s.snapshot.json --output out").expect_exit(0).expect_stderr("written");
    let (before, time) = (case.tree(), case.path("out/README.md").metadata().unwrap().modified().unwrap());
    let case =
        case.run("generate --from s.snapshot.json --output out").expect_exit(0).expect_stderr("0 file(s) written");
    assert_eq!(case.path("out/README.md").metadata().unwrap().modified().unwrap(), time);
    case.expect_tree(&before)
        // The directory's own snapshot is the source when nothing else is named.
        .run("generate --output out")
        .expect_exit(0)
        .expect_tree(&before)
        .run("check out")
        .expect_exit(0);
}

#[test]
fn the_directory_holds_pages_ledger_and_snapshot_and_nothing_hidden() {
    let case = from_snapshot().run("generate --from s.snapshot.json --output out").expect_exit(0);
    let files = out(&case);
    for name in ["README.md", "runbooks.lock.yaml", "topology.snapshot.json"] {
        assert!(files.contains_key(name), "{name}");
    }
    assert!(files.keys().all(|n| n.starts_with("RB-") || !n.starts_with('.')), "{:?}", files.keys());
    assert!(!String::from_utf8_lossy(&files["README.md"]).contains(&case.path("").display().to_string()));
}

#[test]
fn dry_run_shows_the_diff_and_writes_nothing_and_check_exits_1() {
    let case = from_snapshot();
    let before = case.tree();
    let case = case
        .run("generate --from s.snapshot.json --output out --dry-run")
        .expect_exit(0)
        .expect_stdout("+++ README.md")
        .expect_stderr("to write")
        .expect_tree(&before)
        .run("generate --from s.snapshot.json --output out --check")
        .expect_exit(1)
        .expect_tree(&before)
        .run("generate --from s.snapshot.json --output out")
        .expect_exit(0);
    let after = case.tree();
    case.run("generate --from s.snapshot.json --output out --check").expect_exit(0).expect_tree(&after);
}

#[test]
fn text_around_the_regions_is_adopted_and_edits_inside_are_left_until_told() {
    let case = from_snapshot()
        .run("generate --from s.snapshot.json --output out")
        .change_file("out/README.md", |t| format!("Ask Ann.\n\n{t}\nBob knows too.\n"))
        .run("check out")
        .expect_exit(1)
        .expect_stdout("page-outdated")
        .run("generate --output out")
        .expect_exit(0)
        .check_file("out/README.md", "<!-- tracebook:keep -->\n\nAsk Ann.\n\n<!-- tracebook:end keep -->")
        .check_file("out/README.md", "Bob knows too.")
        .run("check out")
        .expect_exit(0);
    let clean = case.text("out/README.md");
    let case = case.change_file("out/README.md", |t| {
        t.replacen("<!-- tracebook:end index -->", "an edit\n<!-- tracebook:end index -->", 1)
    });
    let edited = case.tree();
    let case = case
        .run("generate --output out")
        .expect_exit(1)
        .expect_stderr("warning[page-edited]")
        .expect_stderr("+an edit")
        .expect_tree(&edited)
        .run("check out")
        .expect_exit(1)
        .expect_stdout("error[page-edited]")
        .run("generate --output out --overwrite-edits")
        .expect_exit(0);
    assert_eq!(case.text("out/README.md"), clean);
}

#[test]
fn foreign_files_are_not_touched_and_pages_without_runbook_are_pointed_out() {
    let case = from_snapshot()
        .run("generate --from s.snapshot.json --output out")
        .expect_exit(0)
        .file("out/notes.md", "mine")
        .file("out/RB-999-old.md", "<!-- tracebook:begin page -->\n\nx\n\n<!-- tracebook:end page -->\n")
        .run("generate --from s.snapshot.json --output out")
        .expect_exit(0)
        .expect_stderr("warning[page-unexpected]");
    assert_eq!(case.text("out/notes.md"), "mine");
    case.check_file("out/RB-999-old.md", "\nx\n");
}

#[test]
fn a_copy_of_the_snapshot_goes_where_it_is_wanted() {
    let case = from_snapshot()
        .run("generate --from s.snapshot.json --output out --snapshot archive/1.snapshot.json")
        .expect_exit(0);
    assert_eq!(case.text("archive/1.snapshot.json"), case.text("out/topology.snapshot.json"));
}

#[test]
fn the_summary_can_be_had_as_json_and_output_comes_from_the_configuration() {
    from_snapshot()
        .file("conf/tracebook.yaml", "output: pages\nfrom: ../s.snapshot.json\n")
        .run("generate --config conf/tracebook.yaml --format json")
        .expect_exit(0)
        .expect_stdout("\"written\": [")
        .expect_stderr("")
        .check_file("conf/pages/README.md", "tracebook:begin index sha256:")
        .check_absent("runbooks");
}

#[test]
fn an_interrupted_publish_stops_everything_until_recovered() {
    let case = from_snapshot().run("generate --from s.snapshot.json --output out").expect_exit(0);
    let good = case.text("out/README.md");
    let case = case
        .file("out/README.md", "yesterday\n")
        .file("out/.tracebook-staging/0", &good)
        .file("out/.tracebook-staging/journal.json", "{\"version\":1,\"targets\":[\"README.md\"]}");
    let before = case.tree();
    let case = case
        .run("generate --output out")
        .expect_exit(2)
        .expect_stderr("error[publish-interrupted]")
        .expect_stderr("--recover")
        .run("check out")
        .expect_exit(2)
        .expect_tree(&before)
        .run("generate --output out --recover")
        .expect_exit(0)
        .expect_stderr("1 file(s) put into place")
        .check_absent("out/.tracebook-staging");
    assert_eq!(case.text("out/README.md"), good);
}

// From here on: hold once all stages are there.

fn from_traces(lines: &[String]) -> Case {
    Case::empty().file("traces.jsonl", lines.join("\n") + "\n")
}

#[test]
fn traces_become_runbooks_and_check_agrees() {
    let case = from_traces(&shop::traces()).run("generate --from traces.jsonl --output out").expect_exit(0);
    let pages: Vec<String> = out(&case).into_keys().filter(|n| n.starts_with("RB-")).collect();
    assert!(pages.len() >= 2, "{pages:?}");
    let case = case.check_file("out/README.md", "RB-001").run("check out").expect_exit(0);
    let page = format!("out/{}", pages[0]);
    let before = case.text(&page);
    let case = case
        .change_file(&page, |t| t.replacen("<!-- tracebook:end header -->", "edit\n<!-- tracebook:end header -->", 1))
        .run("check out")
        .expect_exit(1)
        .expect_stdout("page-edited")
        .file(&page, before)
        .remove_file(&format!("out/{}", pages[1]))
        .run("check out")
        .expect_exit(1)
        .expect_stdout("page-missing")
        .remove_file("out/topology.snapshot.json")
        .run("check out")
        .expect_exit(2);
    drop(case);
}

/// `TRACEBOOK_TESTS=overwrite` accepts a change of the pages.
#[test]
fn the_directory_of_the_shop_is_as_reviewed() {
    Case::new("generate/shop")
        .file("traces.jsonl", shop::traces().join("\n") + "\n")
        .run("generate --from traces.jsonl --output runbooks")
        .expect_exit(0)
        .check_dir("runbooks");
}

#[test]
fn bytes_do_not_depend_on_threads_order_or_whether_traces_or_their_snapshot_are_read() {
    let lines = shop::traces();
    let reference =
        out(&from_traces(&lines).run("generate --from traces.jsonl --output out --threads 1").expect_exit(0));
    let mut reversed = lines.clone();
    reversed.reverse();
    let others = [
        from_traces(&lines).run("generate --from traces.jsonl --output out --threads 2").expect_exit(0),
        from_traces(&reversed).run("generate --from traces.jsonl --output out").expect_exit(0),
        from_traces(&[])
            .file("a.jsonl", lines[..20].join("\n"))
            .file("b.jsonl", lines[20..].join("\n"))
            .run_args(&["generate", "--from", "b.jsonl", "--from", "a.jsonl", "--output", "out"]),
        from_traces(&lines)
            .run("capture --from traces.jsonl --output s.snapshot.json.zst")
            .expect_exit(0)
            .run("generate --from s.snapshot.json.zst --output out")
            .expect_exit(0),
    ];
    for case in &others {
        assert!(out(case) == reference, "{:?}\n{}", out(case).keys(), case.stderr());
    }
}

#[test]
fn a_service_that_is_gone_leaves_a_tombstone_with_what_people_wrote() {
    let lines = shop::traces();
    let case = from_traces(&lines)
        .file("tracebook.yaml", "objectives: [ { service: '*', sli: latency_p99, target: '< 1s' } ]\n")
        .run("generate --from traces.jsonl --output out")
        .expect_exit(0);
    let page = out(&case).into_keys().find(|n| n.starts_with("RB-") && n.contains("cart")).expect("a page on cart");
    let page = format!("out/{page}");
    case.change_file(&page, |t| format!("{t}\nThe cart keys are in the safe.\n"))
        .file("small.snapshot.json", shop::snapshot_bytes(false))
        .run("check out --from small.snapshot.json")
        .expect_exit(1)
        .run("generate --from small.snapshot.json --output out")
        .expect_exit(0)
        .check_file(&page, "The cart keys are in the safe.")
        .check_file("out/runbooks.lock.yaml", "state: retired")
        .run("check out")
        .expect_exit(0);
}

#[test]
fn one_runbook_alone_can_be_written() {
    let case =
        from_traces(&shop::traces()).run("generate --from traces.jsonl --output out --runbook RB-001").expect_exit(0);
    let files: Vec<String> = out(&case).into_keys().collect();
    assert_eq!(files.len(), 2, "{files:?}");
    case.run("generate --from traces.jsonl --output out --runbook RB-777")
        .expect_exit(2)
        .expect_stderr("runbook-unknown");
}

#[test]
fn the_regions_of_a_users_document_are_refreshed_in_place() {
    let doc = "# Operations\n\n## Runbooks\n\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n\n## Contact\n\nAnn.\n";
    let case = from_traces(&shop::traces())
        .file("tracebook.yaml", "output: docs/runbooks\ntoc: [ { file: docs/operations.md } ]\n")
        .file("docs/operations.md", doc)
        .run("generate --from traces.jsonl --update-toc")
        .expect_exit(0)
        .check_file("docs/operations.md", "RB-001")
        .check_file("docs/operations.md", "](runbooks/RB-001-")
        .check_file("docs/operations.md", "## Contact\n\nAnn.\n")
        .run("check")
        .expect_exit(0);
    let before = case.tree();
    case.run("generate --update-toc").expect_exit(0).expect_tree(&before);
}

#[test]
fn a_renamed_page_leaves_a_signpost_with_what_people_wrote() {
    let pinned =
        |slug: &str| format!("runbooks: {{ pinned: [ {{ key: 'errors:cart', slug: {slug}, title: Cart fails }} ] }}\n");
    let kept = "<!-- tracebook:keep -->\n\nThe cart keys are in the safe.\n\n<!-- tracebook:end keep -->";
    let case = from_traces(&shop::traces()).run("generate --from traces.jsonl --output out").expect_exit(0);
    let pages = |case: &Case| -> Vec<String> { out(case).into_keys().filter(|n| n.starts_with("RB-003-")).collect() };
    assert_eq!(pages(&case), ["RB-003-cart-errors.md"]);
    let case = case
        .change_file("out/RB-003-cart-errors.md", |t| format!("{t}\nThe cart keys are in the safe.\n"))
        .file("tracebook.yaml", pinned("broken-cart"))
        .run("generate --output out")
        .expect_exit(0)
        .expect_not_said("page-unexpected")
        .check_file("out/runbooks.lock.yaml", "slug: broken-cart\n    state: active\n    former: [cart-errors]\n")
        .check_file("out/RB-003-cart-errors.md", "(moved)")
        .check_file("out/RB-003-cart-errors.md", "](RB-003-broken-cart.md)")
        .check_file("out/RB-003-cart-errors.md", kept)
        .check_file("out/RB-003-broken-cart.md", "## Diagnosis steps")
        .run("check out")
        .expect_exit(0);
    assert_eq!(pages(&case), ["RB-003-broken-cart.md", "RB-003-cart-errors.md"]);
    assert!(!case.text("out/README.md").contains("cart-errors"), "only the page itself is listed");
    // Back again: the first name is the page, the second one points on.
    let case = case
        .file("tracebook.yaml", pinned("cart-errors"))
        .run("generate --output out --runbook RB-003")
        .expect_exit(0)
        .check_file("out/RB-003-cart-errors.md", "## Diagnosis steps")
        .check_file("out/RB-003-cart-errors.md", kept)
        .check_file("out/RB-003-broken-cart.md", "](RB-003-cart-errors.md)")
        .run("generate --output out")
        .expect_exit(0)
        .run("check out")
        .expect_exit(0);
    let before = case.tree();
    case.run("generate --output out").expect_exit(0).expect_tree(&before);
}
