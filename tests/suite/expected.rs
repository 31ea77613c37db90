//! What the tests on other people's expected results share: their files, a snapshot of them, and the named rules by
//! which results differ on purpose.

use std::fs;
use std::path::{Path, PathBuf};

use tracebook::topology::{Edge, Snapshot, codec};

use crate::harness::Case;

/// A path below `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A JSON file below `tests/data`.
pub fn json(name: &str) -> serde_json::Value {
    let text = fs::read_to_string(data(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The snapshot that `capture` makes of a file's contents.
pub fn captured(contents: impl AsRef<[u8]>) -> Snapshot {
    captured_all(Case::empty().file("in/traces.json", contents))
}

/// The snapshot that `capture` makes of the files below `in/`.
pub fn captured_all(case: Case) -> Snapshot {
    let case = case.run("capture --from in --output s.snapshot.json").expect_exit(0);
    codec::decode(case.text("s.snapshot.json").as_bytes()).unwrap()
}

/// The edge from one node to another.
#[track_caller]
pub fn edge<'a>(snapshot: &'a Snapshot, source: &str, target: &str) -> &'a Edge {
    let ends = |e: &&Edge| e.source.0 == source && e.target.0 == target;
    snapshot.edges.iter().find(ends).unwrap_or_else(|| panic!("no {source} -> {target} in {:#?}", edges(snapshot)))
}

/// Each edge as `source -> target kind calls`.
pub fn edges(snapshot: &Snapshot) -> Vec<String> {
    let line = |e: &Edge| format!("{} -> {} {} {}", e.source, e.target, e.kind.name(), e.calls);
    snapshot.edges.iter().map(line).collect()
}

/// States that what follows differs on purpose: the rule must be a row of a table in `docs/topology.md`.
#[track_caller]
pub fn on_purpose(rule: &str) {
    let docs = fs::read_to_string(data("../../docs/topology.md")).unwrap();
    assert!(docs.contains(&format!("\n| `{rule}` |")), "docs/topology.md has no rule `{rule}`");
}
