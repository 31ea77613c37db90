//! `check`: up to date, drift, cannot tell; as text and as JSON.

use crate::harness::Case;
use crate::shop;

fn generated() -> Case {
    Case::empty()
        .file("s.snapshot.json", shop::snapshot_bytes(true))
        .run("generate --from s.snapshot.json --output runbooks")
        .expect_exit(0)
}

#[test]
fn a_fresh_directory_is_up_to_date_in_both_formats() {
    generated()
        .run("check")
        .expect_exit(0)
        .expect_stderr("up to date")
        .run("check --format json")
        .expect_exit(0)
        .expect_stdout("{\n  \"findings\": []\n}\n");
}

#[test]
fn a_missing_service_is_drift() {
    generated()
        .file("other.snapshot.json", shop::snapshot_bytes(false))
        .run("check --from other.snapshot.json")
        .expect_exit(1)
        .expect_stdout("page-outdated");
}

#[test]
fn missing_and_edited_files_are_drift_with_their_place() {
    generated()
        .remove_file("runbooks/README.md")
        .run("check --format json")
        .expect_exit(1)
        .expect_stdout("\"code\": \"page-missing\"")
        .expect_stdout("\"file\": \"README.md\"")
        .run("check --fail-on never")
        .expect_exit(0);
}

#[test]
fn without_the_ledger_check_cannot_tell_and_generate_gives_no_ids_anew() {
    let case = generated().remove_file("runbooks/runbooks.lock.yaml");
    let before = case.tree();
    case.run("check")
        .expect_exit(2)
        .expect_stderr("error[ledger-missing]")
        .run("generate")
        .expect_exit(2)
        .expect_stderr("error[ledger-missing]")
        .expect_tree(&before);
}

#[test]
fn a_checkout_with_other_line_ends_is_up_to_date() {
    let mut case = generated();
    for name in case.tree().into_keys().filter(|n| n.starts_with("runbooks/")).collect::<Vec<_>>() {
        case = case.change_file(&name, |t| t.replace('\n', "\r\n"));
    }
    let before = case.tree();
    case.run("check").expect_exit(0).run("generate --from s.snapshot.json").expect_exit(0).expect_tree(&before);
}

#[test]
fn an_objective_that_fits_nothing_is_a_finding_with_its_line_and_a_warning_of_generate() {
    let config = "objectives:\n  - { service: nobody, sli: error_rate, target: '< 1 %' }\n";
    generated()
        .file("tracebook.yaml", config)
        .run("generate --from s.snapshot.json")
        .expect_exit(0)
        .expect_stderr("warning[objective-unmatched]")
        .expect_stderr("tracebook.yaml:2:5 (objectives[0])")
        .run("check")
        .expect_exit(1)
        .expect_stdout("error[objective-unmatched]");
}

#[test]
fn damaged_markers_are_drift_for_check_and_stop_generate_before_it_writes() {
    let case = generated().change_file("runbooks/README.md", |t| t.replace("<!-- tracebook:end index -->\n", ""));
    let before = case.tree();
    case.run("check")
        .expect_exit(1)
        .expect_stdout("region-damaged")
        .file("tracebook.yaml", "project: New\n")
        .run("generate --from s.snapshot.json")
        .expect_exit(2)
        .expect_stderr("error[region-damaged]")
        .expect_stderr("README.md:1")
        .remove_file("tracebook.yaml")
        .expect_tree(&before);
}

#[test]
fn what_cannot_be_told_is_exit_2_and_json_says_why() {
    Case::empty().run("check").expect_exit(2).expect_stderr("no-snapshot");
    generated()
        .file("runbooks/topology.snapshot.json", "{}")
        .run("check --format json")
        .expect_exit(2)
        .expect_stdout("\"code\": \"snapshot-damaged\"");
    generated().file("tracebook.yaml", "nope: 1\n").run("check").expect_exit(2).expect_stderr("config-unknown-key");
    generated()
        .file("runbooks/runbooks.lock.yaml", "version: 1\nrunbooks: 7\n")
        .run("check")
        .expect_exit(2)
        .expect_stderr("ledger-damaged");
}

// Holds once the SLO stage is there.
#[test]
fn an_objective_on_a_service_nobody_saw_is_drift() {
    let config = "objectives: [ { service: nowhere, sli: error_rate, target: '< 1 %' } ]\n";
    generated()
        .file("tracebook.yaml", config)
        .run("generate --from s.snapshot.json")
        .run("check")
        .expect_exit(1)
        .expect_stdout("objective-unmatched");
}

// Holds once the render stage is there.
#[test]
fn a_dead_link_in_human_text_is_found() {
    generated()
        .change_file("runbooks/README.md", |t| {
            format!("{t}\n<!-- tracebook:keep -->\n\nSee [this](no-such-page.md).\n\n<!-- tracebook:end keep -->\n")
        })
        .run("check")
        .expect_exit(1)
        .expect_stdout("no-such-page.md")
        .file("runbooks/no-such-page.md", "# there")
        .run("check")
        .expect_exit(0);
}
