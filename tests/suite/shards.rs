//! A capture spread over several jobs, and successive windows: what merging them gives.

use std::fs;
use std::path::Path;

use crate::harness::Case;
use crate::schemas::model;

/// Traces with every defect there is, in two files: messages between traces, orphans, duplicates, skew, sampling.
fn shop(case: Case) -> Case {
    let options = model::Options {
        seed: 11,
        traces: 400,
        gap: 3_000_000_000,
        sample: Some(0.5),
        skew: 3_000_000,
        orphans: 0.1,
        rootless: 0.05,
        duplicates: 0.02,
        ..model::Options::default()
    };
    let mut generator = model::Generator::new(model::system("shop").unwrap(), options).unwrap();
    let mut files = [Vec::new(), Vec::new()].map(|out| generator.writer(model::Format::Jsonl, out));
    for (at, record) in generator.by_ref().enumerate() {
        files[at % 2].write(&record).unwrap();
    }
    let [a, b] = files.map(|file| file.into_inner());
    case.file("traces/a.jsonl", a).file("traces/b.jsonl", b)
}

fn bytes(case: &Case, name: &str) -> Vec<u8> {
    fs::read(case.path(name)).unwrap()
}

/// Captures `from` at once and in four shards, and holds what merging makes of these against the first.
fn sharded(case: Case, from: &str) -> Case {
    let mut case = case.run(&format!("capture --from {from} --output whole.snapshot.json")).expect_exit(0);
    for i in 1..=4 {
        // Some plain, some packed.
        let zst = if i % 2 == 0 { ".zst" } else { "" };
        case = case
            .run(&format!("capture --from {from} --shard {i}/4 --threads {i} --output parts/{i}.snapshot.json{zst}"))
            .expect_exit(0)
            .expect_stderr(&format!("shard {i} of 4"));
    }
    let case = case.run("capture --merge parts --output merged.snapshot.json").expect_exit(0);
    assert!(bytes(&case, "whole.snapshot.json") == bytes(&case, "merged.snapshot.json"), "from {from}");
    let case = case
        .run("capture --merge parts/4.snapshot.json.zst parts/1.snapshot.json --output some.snapshot.json.zst")
        .expect_exit(0)
        .expect_stderr("shard 1, 4 of 4; missing: 2, 3")
        .run("capture --merge parts/3.snapshot.json some.snapshot.json.zst parts/2.snapshot.json.zst")
        .expect_exit(0);
    assert_eq!(case.stdout(), case.text("whole.snapshot.json").replace(env!("CARGO_PKG_VERSION"), "[VERSION]"));
    case
}

#[test]
fn four_shards_of_a_shop_with_every_defect_merge_to_the_bytes_of_one_run() {
    let case = sharded(shop(Case::empty()), "traces");
    let whole: serde_json::Value = serde_json::from_str(&case.text("whole.snapshot.json")).unwrap();
    let linked =
        |edge: &serde_json::Value| edge["known_by"]["link"].is_number() || edge["known_by"]["link"].is_string();
    assert!(whole["edges"].as_array().unwrap().iter().any(linked), "messages cross traces");
    let coverage = &whole["coverage"];
    assert!(
        ["orphans", "duplicates", "skewed", "sampled"].iter().all(|c| coverage[c].as_u64() > Some(0)),
        "{coverage}"
    );
}

#[test]
fn four_shards_of_real_traces_merge_to_the_bytes_of_one_run() {
    let before = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/onlineboutique/before.otlp.jsonl.zst");
    let case = Case::empty().file("before.jsonl.zst", fs::read(before).unwrap());
    sharded(case, "before.jsonl.zst");
}

#[test]
fn part_of_a_run_is_taken_for_the_whole_by_no_command() {
    let case = shop(Case::empty()).run("capture --from traces --shard 2/3 --output p.snapshot.json").expect_exit(0);
    let part = bytes(&case, "p.snapshot.json");
    let case = case
        .run("graph --from p.snapshot.json")
        .expect_exit(2)
        .expect_stderr("snapshot-part")
        .expect_stderr("missing: 1, 3")
        .run("generate --from p.snapshot.json --output out")
        .expect_exit(2)
        .check_absent("out")
        .run("diff p.snapshot.json p.snapshot.json")
        .expect_exit(2)
        .run("capture --merge p.snapshot.json p.snapshot.json")
        .expect_exit(2)
        .expect_stderr("merge-repeated")
        // Which window would be asked for? The sum is asked for once it is there.
        .run("capture --merge p.snapshot.json --prometheus prometheus://127.0.0.1:1")
        .expect_exit(2)
        .expect_stderr("--prometheus")
        .run("capture --from p.snapshot.json --shard 1/2")
        .expect_exit(2)
        .expect_stderr("--shard");
    case.stdin(part).run("graph --from -").expect_exit(2).expect_stderr("snapshot-part");
}

#[test]
fn shards_are_refused_when_a_job_read_something_else() {
    shop(Case::empty())
        .run("capture --from traces --shard 1/2 --output 1.snapshot.json")
        .expect_exit(0)
        .run("capture --from traces/a.jsonl --shard 2/2 --output 2.snapshot.json")
        .expect_exit(0)
        .run("capture --merge 1.snapshot.json 2.snapshot.json --output all.snapshot.json")
        .expect_exit(2)
        .expect_stderr("merge-shards")
        .expect_stderr("2.snapshot.json")
        .check_absent("all.snapshot.json");
}

#[test]
fn successive_windows_merge_and_overlapping_ones_do_not() {
    let case = shop(Case::empty()).run("capture --from traces --output whole.snapshot.json").expect_exit(0);
    let whole: serde_json::Value = serde_json::from_str(&case.text("whole.snapshot.json")).unwrap();
    let case = case
        .run("capture --merge whole.snapshot.json --output same.snapshot.json")
        .expect_exit(0)
        .run("capture --merge whole.snapshot.json same.snapshot.json")
        .expect_exit(2)
        .expect_stderr("merge-overlap");
    assert!(bytes(&case, "whole.snapshot.json") == bytes(&case, "same.snapshot.json"));
    let later = |text: String| {
        // The same spans, some hours later.
        let day = whole["window"]["start"].as_str().unwrap()[..10].to_owned();
        let next = day.replace(&day[8..10], &format!("{:02}", day[8..10].parse::<u8>().unwrap() + 1));
        text.replace(&day, &next)
    };
    let case = case.change_file("same.snapshot.json", later).run("capture --merge . --output sum.snapshot.json");
    let sum: serde_json::Value = serde_json::from_str(&case.expect_exit(0).text("sum.snapshot.json")).unwrap();
    assert_eq!(sum["coverage"]["spans"].as_u64(), whole["coverage"]["spans"].as_u64().map(|n| 2 * n));
    assert_eq!(sum["window"]["start"], whole["window"]["start"]);
}

#[test]
fn what_cannot_be_merged_or_sharded_is_said() {
    Case::empty()
        .run("capture --merge .")
        .expect_exit(2)
        .expect_stderr("merge-nothing")
        .run("capture --merge missing.snapshot.json")
        .expect_exit(2)
        .expect_stderr("snapshot-unreadable")
        .run("capture --from traces --shard 5/4")
        .expect_exit(2)
        .expect_stderr("number/count")
        .run("capture --merge a --shard 1/4")
        .expect_exit(2)
        .expect_stderr("cannot be used with")
        .run("capture --merge a --lookback 1d")
        .expect_exit(2)
        .expect_stderr("cannot be used with");
}
