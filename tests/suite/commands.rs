//! The smaller commands, exit codes, streams.

use std::io::{Error, ErrorKind, Write};

use tracebook::cli::{Surroundings, run_in};

use crate::harness::Case;
use crate::shop;

fn with_snapshots() -> Case {
    Case::empty()
        .file("base.snapshot.json", shop::snapshot_bytes(true))
        .file("head.snapshot.json", shop::snapshot_bytes(false))
}

#[test]
fn capture_writes_the_same_snapshot_to_a_file_and_to_standard_output() {
    let case = with_snapshots().run("capture --from base.snapshot.json --output sub/copy.snapshot.json").expect_exit(0);
    assert_eq!(case.text("sub/copy.snapshot.json"), case.text("base.snapshot.json"));
    let case = case.run("capture --from base.snapshot.json").expect_exit(0);
    assert_eq!(case.stdout(), case.text("base.snapshot.json").replace(env!("CARGO_PKG_VERSION"), "[VERSION]"));
}

// Holds once the codec reads zstd.
#[test]
fn a_compressed_snapshot_is_read_back() {
    let case = with_snapshots()
        .run("capture --from base.snapshot.json --output small.snapshot.json.zst")
        .expect_exit(0)
        .run("capture --from small.snapshot.json.zst --output again.snapshot.json")
        .expect_exit(0);
    assert_eq!(case.text("again.snapshot.json"), case.text("base.snapshot.json"));
    assert!(std::fs::read(case.path("small.snapshot.json.zst")).unwrap().starts_with(&[0x28, 0xb5, 0x2f, 0xfd]));
}

#[test]
fn diff_of_a_snapshot_with_itself_is_nothing() {
    with_snapshots().run("diff base.snapshot.json base.snapshot.json --fail-on info").expect_exit(0);
}

// Holds once the diff stage is there.
#[test]
fn diff_names_the_service_that_is_gone() {
    with_snapshots()
        .run("diff base.snapshot.json head.snapshot.json --fail-on info")
        .expect_exit(1)
        .expect_stdout("cart")
        .run("diff base.snapshot.json head.snapshot.json --fail-on never --format json")
        .expect_exit(0)
        .expect_stdout("\"node-removed\"");
}

#[test]
fn diff_against_a_damaged_file_is_exit_2() {
    with_snapshots()
        .file("bad.snapshot.json", "{ \"schema\": \"tracebook.snapshot/1\", ")
        .run("diff base.snapshot.json bad.snapshot.json")
        .expect_exit(2)
        .expect_stderr("error[snapshot-damaged]")
        .expect_stderr("bad.snapshot.json");
}

// Holds once the render stage is there.
#[test]
fn graph_prints_every_format() {
    with_snapshots()
        .run("graph --from base.snapshot.json")
        .expect_exit(0)
        .expect_stdout("flowchart")
        .expect_stdout("cart")
        .run("graph --from base.snapshot.json --format dot")
        .expect_stdout("digraph")
        .run("graph --from base.snapshot.json --format json")
        .expect_stdout("\"database:redis:cart\"");
}

// Holds once the SLO stage is there.
#[test]
fn slo_exits_1_on_a_missed_objective_and_says_when_objectives_are_defaults() {
    with_snapshots()
        .run("slo --from base.snapshot.json")
        .expect_exit(0)
        .expect_stderr("default objectives")
        .file(
            "tracebook.yaml",
            "objectives: [ { service: cart, sli: latency_p99, target: '< 1ms', severity: ticket } ]\n",
        )
        .run("slo --from base.snapshot.json --format json")
        .expect_exit(1)
        .expect_stdout("\"breached\"")
        .expect_not_said("default objectives")
        .run("slo --from base.snapshot.json --fail-on error")
        .expect_exit(0)
        .run("slo --from base.snapshot.json --format markdown")
        .expect_stdout("| ");
}

#[test]
fn init_writes_a_starter_that_can_be_read_and_never_overwrites() {
    let case = with_snapshots().run("init --from base.snapshot.json --output tracebook.yaml").expect_exit(0);
    let text = case.text("tracebook.yaml");
    assert!(text.contains("  - { service: cart, sli: latency_p99, target: \"< 200ms\", severity: ticket }"), "{text}");
    assert!(text.contains("#   database:redis:cart  from cart\n"), "{text}");
    case.run("init --from base.snapshot.json --output tracebook.yaml")
        .expect_exit(2)
        .expect_stderr("output-exists")
        .run("generate --from base.snapshot.json --output out")
        .expect_exit(0);
}

#[test]
fn names_from_traces_cannot_break_the_starter() {
    let mut snapshot = shop::snapshot(false);
    for (i, name) in ["a: b # c", "x\n- evil: 1", "\u{2028}y", "*anchor", "{}"].iter().enumerate() {
        let mut node = snapshot.nodes[1].clone();
        node.id.0 = format!("{name}{i}");
        snapshot.nodes.push(node);
    }
    snapshot.nodes.sort_by(|a, b| a.id.cmp(&b.id));
    let bytes = tracebook::topology::codec::encode(&snapshot).unwrap();
    let case = Case::empty().file("s.snapshot.json", bytes).run("init --from s.snapshot.json").expect_exit(0);
    let text = case.stdout();
    let config = tracebook::config::parse(&text, "x", std::path::Path::new("."));
    let problems = config.err().unwrap_or_default();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    assert!(!text.contains("\n- evil"), "{text}");
}

#[test]
fn completions_and_manual_pages_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        Case::empty().run(&format!("completions {shell}")).expect_exit(0).expect_stdout("tracebook");
    }
    Case::empty().run("man").expect_exit(0).expect_stdout(".TH tracebook 1");
    Case::empty().run("man generate").expect_exit(0).expect_stdout("overwrite");
    Case::empty().run("man nothing").expect_exit(2).expect_stderr("command-unknown");
}

#[test]
fn a_reader_that_goes_away_is_success_and_a_full_disk_is_not() {
    struct Broken(ErrorKind);
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(Error::from(self.0))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    for (kind, want) in [(ErrorKind::BrokenPipe, 0), (ErrorKind::StorageFull, 2)] {
        for args in [&["tracebook", "man"][..], &["tracebook", "--help"]] {
            let mut err = Vec::new();
            let code = run_in(&Surroundings::default(), args, &mut std::io::empty(), &mut Broken(kind), &mut err);
            assert_eq!(code, want, "{kind} {args:?}");
        }
    }
}

#[test]
fn control_characters_in_messages_do_not_reach_the_terminal() {
    let case = Case::empty()
        .run_args(&["generate", "--runbook", "RB-\u{1b}[31m", "--from", "no\u{1b}]0;x\u{7}such"])
        .expect_exit(2);
    assert!(!case.stderr().contains('\u{1b}') && !case.stderr().contains('\u{7}'), "{}", case.stderr());
}

#[test]
fn standard_input_may_hold_a_snapshot_or_spans_plain_or_packed() {
    let snapshot = shop::snapshot_bytes(true);
    let spans = shop::traces().join("\n").into_bytes();
    for (name, bytes) in [("s.snapshot.json", snapshot), ("t.jsonl", spans)] {
        let case = Case::empty().file(name, &bytes).run(&format!("graph --from {name}")).expect_exit(0);
        let want = case.stdout();
        for input in [zstd::stream::encode_all(&bytes[..], 3).unwrap(), bytes] {
            assert_eq!(Case::empty().stdin(input).run("graph --from -").expect_exit(0).stdout(), want, "{name}");
        }
    }
}
