//! Which sources are named, and which of them are on this machine.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cli::Surroundings;
use crate::cli::args::FromArgs;
use crate::cli::piped;
use crate::config::Config;
use crate::diag::Diagnostic;
use crate::source;

/// File name of the snapshot in a runbook directory.
pub(in crate::cli) const SNAPSHOT: &str = "topology.snapshot.json";

/// Whether the source is a file or directory, not a URL or standard input.
fn is_path(from: &str) -> bool {
    from != "-" && !from.contains("://")
}

/// Whether the source is on this machine: a file, a directory or standard input.
pub(super) fn is_local(from: &str) -> bool {
    from == "-" || is_path(from)
}

/// A source named in some directory, as seen from where the process runs.
fn in_dir(from: &str, dir: &Path) -> String {
    if is_path(from) { dir.join(from).display().to_string() } else { from.to_owned() }
}

/// What to read: flags, else the environment, else the configuration. Empty when nothing says so.
pub(in crate::cli) fn sources(args: &FromArgs, config: &Config, around: &Surroundings) -> Vec<String> {
    let named = named(args, config, around);
    // A source that counts for itself is another kind of source, whatever its address.
    let counting = |from: String| if source::counts(&from) { from } else { format!("aggregate+{from}") };
    if args.aggregate { named.into_iter().map(counting).collect() } else { named }
}

fn named(args: &FromArgs, config: &Config, around: &Surroundings) -> Vec<String> {
    if !args.from.is_empty() {
        return args.from.iter().map(|f| in_dir(f, &around.dir)).collect();
    }
    if let Some(endpoint) = around.env.get("OTEL_ENDPOINT").filter(|e| !e.trim().is_empty()) {
        return vec![in_dir(endpoint.trim(), &around.dir)];
    }
    config.from.iter().map(|f| in_dir(f, &config.base)).collect()
}

/// Nothing says what to read.
pub(in crate::cli) fn no_source() -> Diagnostic {
    Diagnostic::error("no-source", "nothing says where to read traces from")
        .help("give --from tempo://host:9095 or --from FILE, set OTEL_ENDPOINT, or put `from:` into tracebook.yaml")
}

/// The snapshot file a source names: a file that is one, or a runbook directory that holds one.
pub(super) fn snapshot_file(from: &str) -> Option<PathBuf> {
    if !is_path(from) {
        return None;
    }
    let path = PathBuf::from(from);
    if path.is_dir() {
        return Some(path.join(SNAPSHOT)).filter(|p| p.is_file());
    }
    // By name too: a damaged snapshot must be called a damaged snapshot, not a file without spans.
    let named = from.ends_with(".snapshot.json") || from.ends_with(".snapshot.json.zst");
    (named || looks_like_snapshot(&path)).then_some(path)
}

/// Looks at the first bytes, through zstd if need be.
fn looks_like_snapshot(path: &Path) -> bool {
    // Opening a pipe would wait for its writer, and what is read here would be lost to the source.
    path.is_file() && File::open(path).is_ok_and(|mut file| piped::says_snapshot(&piped::head_of(&mut file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_layered_flag_over_environment_over_file() {
        let config = Config { from: Some("file.jsonl".into()), base: "base".into(), ..Config::default() };
        let mut around = Surroundings { dir: "here".into(), ..Surroundings::default() };
        let flags = |from: &[&str]| FromArgs { from: from.iter().map(|f| (*f).to_owned()).collect(), aggregate: false };
        assert_eq!(sources(&flags(&[]), &config, &around), ["base/file.jsonl"]);
        around.env.insert("OTEL_ENDPOINT".into(), "http://tempo:4317".into());
        assert_eq!(sources(&flags(&[]), &config, &around), ["http://tempo:4317"]);
        assert_eq!(sources(&flags(&["a", "-"]), &config, &around), ["here/a", "-"]);
    }

    #[test]
    fn snapshots_are_known_by_content_name_or_directory() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path.display().to_string()
        };
        let json = b"\n{ \"schema\": \"tracebook.snapshot/1\" }";
        assert!(snapshot_file(&put("a.json", json)).is_some());
        assert!(snapshot_file(&put("a.bin", &zstd::encode_all(&json[..], 3).unwrap())).is_some());
        assert!(snapshot_file(&put("b.snapshot.json", b"")).is_some());
        assert!(snapshot_file(&put("c.json", b"{\"resourceSpans\":[]}")).is_none());
        assert!(snapshot_file(&dir.path().display().to_string()).is_none());
        put(SNAPSHOT, b"");
        assert!(snapshot_file(&dir.path().display().to_string()).is_some());
    }
}
