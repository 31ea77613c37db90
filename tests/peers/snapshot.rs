//! `tracebook capture` as people run it, and the snapshot it writes.

use std::process::Command;

use serde_json::Value;

/// The snapshot of a source, or what was said instead.
pub(crate) fn capture(arguments: &[&str]) -> Result<Value, String> {
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("s.snapshot.json");
    let answer = Command::new(env!("CARGO_BIN_EXE_tracebook"))
        .arg("capture")
        .args(arguments)
        .arg("--output")
        .arg(&snapshot)
        .env_clear()
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8(answer.stderr).unwrap();
    if answer.status.success() {
        return Ok(serde_json::from_slice(&std::fs::read(&snapshot).unwrap()).unwrap());
    }
    assert_eq!(answer.status.code(), Some(2), "{said}");
    assert!(!snapshot.exists(), "a failed run wrote a snapshot: {said}");
    Err(said)
}

/// The snapshot of a file.
pub(crate) fn of_file(name: &str) -> Value {
    capture(&["--from", &crate::otlp::path(name)]).unwrap()
}

/// All but where it comes from and the window that was asked for, which a file has not.
pub(crate) fn facts(snapshot: &Value) -> Value {
    let mut facts = snapshot.clone();
    facts["provenance"].as_object_mut().unwrap().remove("sources").unwrap();
    facts.as_object_mut().unwrap().remove("window").unwrap();
    facts
}

/// The edges as `source kind target: calls`, in order.
pub(crate) fn edges(snapshot: &Value) -> Vec<String> {
    let text = |edge: &Value, key: &str| edge[key].as_str().unwrap().to_owned();
    let edge = |e: &Value| format!("{} {} {}: {}", text(e, "source"), text(e, "kind"), text(e, "target"), e["n"]);
    snapshot["edges"].as_array().unwrap().iter().map(edge).collect()
}
