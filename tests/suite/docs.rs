//! Documentation that is generated or must not drift.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::{Case, overwrite};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn docs_cli_md_is_what_help_says() {
    let mut text = String::from(
        "# Commands\n\nGenerated from the command line itself: change `src/cli/`, then run\n`TRACEBOOK_TESTS=overwrite cargo test --test suite docs_cli_md`.\n",
    );
    let help = |line: &str| Case::empty().run(line).expect_exit(0).stdout();
    text.push_str(&format!("\n## tracebook\n\n```text\n{}```\n", help("--help")));
    for command in tracebook::cli::command().get_subcommands() {
        let name = command.get_name();
        text.push_str(&format!("\n## tracebook {name}\n\n```text\n{}```\n", help(&format!("{name} --help"))));
    }
    let path = root().join("docs/cli.md");
    if overwrite() {
        fs::write(&path, &text).unwrap();
    }
    let have = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        have == text,
        "docs/cli.md is out of date: run `TRACEBOOK_TESTS=overwrite cargo test --test suite docs_cli_md`"
    );
}

fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The codes in `Diagnostic::error("…"`, `warning`, `info` and `new`, and those named by the helpers that take a code.
fn codes() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&root().join("src"), &mut files);
    let mut codes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
        for call in ["Diagnostic::error(", "Diagnostic::warning(", "Diagnostic::info(", "Diagnostic::new(", " problem("]
        {
            for rest in text.split(call).skip(1) {
                if let Some((code, _)) = rest.trim_start().strip_prefix('"').and_then(|r| r.split_once('"')) {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    codes
}

#[test]
fn every_diagnostic_code_has_a_heading_in_docs_diagnostics_md() {
    let text = fs::read_to_string(root().join("docs/diagnostics.md")).unwrap();
    let documented: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("### ")).map(|h| h.trim_matches('`')).collect();
    let unique: BTreeSet<&str> = documented.iter().copied().collect();
    assert_eq!(unique.len(), documented.len(), "a code is documented twice");
    let codes = codes();
    let missing: Vec<&String> = codes.iter().filter(|c| !unique.contains(c.as_str())).collect();
    assert!(missing.is_empty(), "docs/diagnostics.md has no `### ` heading for {missing:?}");
    for code in &codes {
        let kebab = code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        assert!(kebab, "`{code}` is not kebab-case");
    }
}

#[test]
fn every_configuration_key_is_in_docs_config_md() {
    let text = fs::read_to_string(root().join("docs/config.md")).unwrap();
    // The help of an unknown key lists the known ones.
    let problems = tracebook::config::parse("zzzzzzzzzzzzzzzz: 1\n", "x", Path::new(".")).unwrap_err();
    let keys = problems[0].help.strip_prefix("known here: ").unwrap().to_owned();
    for key in keys.split(", ") {
        assert!(text.contains(&format!("`{key}`")), "docs/config.md does not mention `{key}`");
    }
}
