//! Who may import whom, which crates stay behind which door, and how long a file may be. Reads `src/**`; test code is
//! exempt. The table is that of `docs/architecture.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Module → modules it may import. `spans` and `diag` are leaves: ids, instants, weights and diagnostics serve everybody.
const IMPORTS: &[(&str, &[&str])] = &[
    ("diag", &[]),
    ("spans", &["diag"]),
    ("source", &["spans", "diag"]),
    ("topology", &["spans", "diag"]),
    ("slo", &["topology", "spans", "diag"]),
    ("diff", &["topology", "spans", "diag"]),
    ("findings", &["topology", "slo", "diff", "spans", "diag"]),
    ("runbook", &["topology", "slo", "findings", "diff", "spans", "diag"]),
    ("render", &["runbook", "findings", "diff", "slo", "topology", "spans", "diag"]),
    ("output", &["render", "diag"]),
    ("config", &["topology", "slo", "runbook", "source", "findings", "render", "diag"]),
    (
        "cli",
        &["config", "output", "render", "runbook", "findings", "diff", "slo", "topology", "source", "spans", "diag"],
    ),
];

/// Importing module, imported module → what of it may be named. Elsewhere: anything public.
const ONLY: &[(&str, &str, &[&str])] = &[
    ("output", "render", &["Document"]),
    ("config", "topology", &["cfg"]),
    ("config", "slo", &["cfg"]),
    ("config", "source", &["cfg"]),
    ("config", "findings", &["cfg"]),
    ("config", "render", &["cfg"]),
    // The ledger's text is YAML, and YAML lives in `config`.
    ("config", "runbook", &["cfg", "Ledger", "LedgerError", "Entry", "EntryState"]),
];

/// Crate or path → modules that may name it.
const FENCES: &[(&str, &[&str])] = &[
    ("tonic", &["source"]),
    ("tonic_prost", &["source"]),
    ("http_body", &["source"]),
    ("prost", &["source"]),
    ("opentelemetry_proto", &["source"]),
    ("reqwest", &["source"]),
    ("rustls", &["source"]),
    ("tokio", &["source"]),
    ("futures_util", &["source"]),
    ("url", &["source"]),
    ("base64", &["source"]),
    ("flate2", &["source"]),
    ("zstd", &["source", "topology", "cli"]),
    ("petgraph", &["topology"]),
    ("tera", &["render"]),
    ("pulldown_cmark", &["render"]),
    ("similar", &["output"]),
    ("serde_saphyr", &["config"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("indicatif", &["cli"]),
    ("polars", &["spans", "source"]),
    ("polars_io", &["spans", "source"]),
    // Topology spills to unnamed temporary files; everything else that writes is `output`.
    ("tempfile", &["output", "topology"]),
    ("std::net", &["source"]),
    ("std::process", &["main"]),
    // The clock and the environment. (`source` measures deadlines with tokio's clock.)
    ("SystemTime", &["cli"]),
    ("Instant::now", &["cli"]),
    ("Timestamp::now", &["cli"]),
    ("Zoned::now", &["cli"]),
    ("env::var", &["cli"]),
    ("env::vars_os", &["cli"]),
    ("env::args_os", &["main"]),
    // Writing and printing.
    ("fs::write", &["output"]),
    ("fs::rename", &["output"]),
    ("fs::copy", &["output"]),
    ("fs::remove_file", &["output"]),
    ("fs::remove_dir", &["output"]),
    ("fs::remove_dir_all", &["output"]),
    ("fs::create_dir", &["output"]),
    ("fs::create_dir_all", &["output"]),
    ("File::create", &["output"]),
    ("File::create_new", &["output"]),
    ("OpenOptions", &["output"]),
    ("io::stdout", &["cli", "main"]),
    ("io::stderr", &["cli", "main"]),
];

/// Lines of a file without its tests.
const MOST_LINES: usize = 600;

/// A source file without comments and tests.
struct Source {
    path: PathBuf,
    /// Module path: `["cli", "input"]`; `["lib"]` and `["main"]` for the roots.
    module: Vec<String>,
    code: String,
    lines: usize,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The text up to its test module, comments and string contents blanked.
fn code_of(text: &str) -> (String, usize) {
    let end = text.find("\n#[cfg(test)]\nmod tests").unwrap_or(text.len());
    let text = &text[..end];
    let mut code = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => {
                for c in chars.by_ref() {
                    if c == '\n' {
                        code.push('\n');
                        break;
                    }
                }
            }
            'r' if !code.chars().next_back().is_some_and(is_word) && raw_hashes(&chars).is_some() => {
                let hashes = raw_hashes(&chars).unwrap_or(0);
                let close = format!("\"{}", "#".repeat(hashes));
                let rest: String = chars.by_ref().skip(hashes + 1).collect();
                let after = rest.split_once(close.as_str()).map_or("", |(_, after)| after).to_owned();
                code.push_str("\"\"");
                return (code + &code_of(&after).0, text.lines().count());
            }
            '"' => {
                code.push_str("\"\"");
                let mut escaped = false;
                for c in chars.by_ref() {
                    match c {
                        '\\' if !escaped => escaped = true,
                        '"' if !escaped => break,
                        _ => escaped = false,
                    }
                }
            }
            '\'' => {
                // A character literal, not a lifetime.
                let rest: String = chars.clone().take(4).collect();
                let mut it = rest.chars();
                let (a, b, c) = (it.next(), it.next(), it.next());
                let skip = match (a, b, c) {
                    (Some('\\'), Some(_), Some('\'')) => 3,
                    (Some(_), Some('\''), _) => 2,
                    _ => 0,
                };
                for _ in 0..skip {
                    chars.next();
                }
                code.push('\'');
            }
            c => code.push(c),
        }
    }
    (code, text.lines().count())
}

/// How many `#` stand between an `r` just read and the quote of a raw string; `None` when it is none.
fn raw_hashes(rest: &std::iter::Peekable<std::str::Chars<'_>>) -> Option<usize> {
    let mut rest = rest.clone();
    let hashes = std::iter::from_fn(|| rest.next_if_eq(&'#')).count();
    (rest.next() == Some('"')).then_some(hashes)
}

/// Files of modules declared under `#[cfg(test)]`.
fn test_files(all: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut tests = BTreeSet::new();
    for path in all {
        let text = fs::read_to_string(path).unwrap();
        for rest in text.split("#[cfg(test)]\n").skip(1) {
            let line = rest.lines().next().unwrap_or_default().trim();
            if let Some(name) = line.strip_prefix("#[path = \"").and_then(|l| l.strip_suffix("\"]")) {
                tests.insert(path.parent().unwrap().join(name));
                continue;
            }
            let name =
                line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
            let Some(name) = name.strip_prefix("mod ").and_then(|l| l.strip_suffix(';')) else { continue };
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let parent = path.parent().unwrap();
            let dir = if ["mod", "lib", "main"].contains(&stem) { parent.to_owned() } else { parent.join(stem) };
            tests.insert(dir.join(format!("{name}.rs")));
            tests.insert(dir.join(name).join("mod.rs"));
        }
    }
    tests
}

fn sources() -> Vec<Source> {
    let mut all = Vec::new();
    files(&root(), &mut all);
    all.sort();
    let tests = test_files(&all);
    all.into_iter()
        .filter(|path| !tests.contains(path) && !tests.iter().any(|t| path.starts_with(t.with_extension(""))))
        .map(|path| {
            let relative = path.strip_prefix(root()).unwrap().with_extension("");
            let mut module: Vec<String> = relative.iter().map(|p| p.to_string_lossy().into_owned()).collect();
            if module.len() > 1 && module.last().is_some_and(|m| m == "mod") {
                module.pop();
            }
            let (code, lines) = code_of(&fs::read_to_string(&path).unwrap());
            Source { path, module, code, lines }
        })
        .collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every path that starts at the crate root, as segments: `crate::a::b`, `super::super::a` and grouped `use`s.
fn crate_paths(source: &Source) -> Vec<Vec<String>> {
    let code = &source.code;
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| !is_word(c) && c != '$') {
            read_path(&code[at + "crate::".len()..], &mut Vec::new(), &mut found);
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let mut rest = &code[at..];
        let mut ups = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            rest = next;
            ups += 1;
        }
        let mut prefix: Vec<String> = source.module.clone();
        prefix.truncate(source.module.len().saturating_sub(ups));
        read_path(rest, &mut prefix, &mut found);
    }
    found
}

/// Reads `a::b`, `a::{b, c::d}` behind a prefix.
fn read_path(text: &str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let depth = prefix.len();
    let mut rest = text;
    loop {
        if let Some(group) = rest.strip_prefix('{') {
            let mut level = 1;
            let mut item = 0;
            for (i, c) in group.char_indices() {
                match c {
                    '{' => level += 1,
                    '}' => level -= 1,
                    _ => {}
                }
                if (c == ',' && level == 1) || level == 0 {
                    read_path(group[item..i].trim(), prefix, found);
                    item = i + 1;
                }
                if level == 0 {
                    break;
                }
            }
            break;
        }
        let word: String = rest.chars().take_while(|c| is_word(*c)).collect();
        if word.is_empty() {
            break;
        }
        rest = &rest[word.len()..];
        prefix.push(word);
        match rest.strip_prefix("::") {
            Some(next) => rest = next,
            None => {
                found.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(depth);
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let allowed: BTreeMap<&str, &[&str]> = IMPORTS.iter().copied().collect();
    let mut violations = Vec::new();
    for source in sources() {
        let me = source.module[0].as_str();
        if ["lib", "main"].contains(&me) {
            continue;
        }
        let Some(mine) = allowed.get(me) else {
            violations.push(format!("{}: module `{me}` is not in the table", source.path.display()));
            continue;
        };
        for path in crate_paths(&source) {
            let target = path[0].as_str();
            if target == me || !allowed.contains_key(target) {
                continue;
            }
            if !mine.contains(&target) {
                violations.push(format!("{}: `{me}` imports `{}`", source.path.display(), path.join("::")));
            }
            let only = ONLY.iter().find(|(from, to, _)| *from == me && *to == target);
            if let Some((_, _, names)) = only
                && !path.get(1).is_some_and(|name| names.contains(&name.as_str()))
            {
                violations.push(format!(
                    "{}: of `{target}` `{me}` may name {names:?} only, not `{}`",
                    source.path.display(),
                    path.join("::")
                ));
            }
        }
    }
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn fenced_crates_the_clock_and_file_writes_stay_behind_their_doors() {
    let mut violations = Vec::new();
    for source in sources() {
        let me = source.module[0].as_str();
        for (name, modules) in FENCES.iter().filter(|(_, modules)| !modules.contains(&me)) {
            for (at, _) in source.code.match_indices(name) {
                let before = source.code[..at].chars().next_back();
                let after = &source.code[at + name.len()..];
                // A crate is named where a path begins with it; the other fences may end one.
                let is_crate = name.chars().all(|c| c.is_lowercase() || c == '_' || c.is_ascii_digit());
                let starts =
                    before.is_none_or(|c| !is_word(c) && c != '.') && !(is_crate && source.code[..at].ends_with("::"));
                let ends = if is_crate {
                    after.starts_with("::") || (source.code[..at].ends_with("use ") && after.starts_with(';'))
                } else {
                    !after.chars().next().is_some_and(is_word)
                };
                if starts && ends {
                    violations.push(format!("{}: `{name}` belongs to {modules:?}", source.path.display()));
                }
            }
        }
    }
    violations.dedup();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

#[test]
fn files_are_short_enough_to_hold_in_the_head() {
    let long: Vec<String> = sources()
        .iter()
        .filter(|s| s.lines > MOST_LINES)
        .map(|s| format!("{}: {} lines without tests, more than {MOST_LINES}", s.path.display(), s.lines))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|s| !fs::read_to_string(&s.path).unwrap().starts_with("//! "))
        .map(|s| s.path.display().to_string())
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}

#[test]
fn this_test_sees_what_it_should() {
    let source = |module: &[&str], text: &str| Source {
        path: PathBuf::new(),
        module: module.iter().map(|m| (*m).to_owned()).collect(),
        code: code_of(text).0,
        lines: 0,
    };
    let paths = |module: &[&str], text: &str| -> Vec<String> {
        crate_paths(&source(module, text)).iter().map(|p| p.join("::")).collect()
    };
    let text = "use crate::{diag::{self, Diagnostic}, slo};\n// crate::cli\nlet a = \"crate::cli\"; let c = '\"'; crate::render::graph::x();";
    assert_eq!(paths(&["render"], text), ["diag::self", "diag::Diagnostic", "slo", "render::graph::x"]);
    assert_eq!(paths(&["render", "graph"], "use super::super::cli::io; super::x()"), ["cli::io", "render::x"]);
    assert_eq!(code_of("x(r#\"a \" b\"#); r = 1; \"c\"").0, "x(\"\"); r = 1; \"\"");
    assert_eq!(code_of("a\n#[cfg(test)]\nmod tests { crate::cli }").0, "a");
}
