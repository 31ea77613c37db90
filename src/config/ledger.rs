//! The ledger `runbooks.lock.yaml` as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::tree::Document;
use crate::diag::{Diagnostic, Location};
use crate::runbook::{Entry, EntryState, Ledger, LedgerError};

/// File name of the ledger in the runbook directory.
pub const FILE: &str = "runbooks.lock.yaml";

const HEADER: &str = "\
# Runbook numbers, given once and for ever. Written by tracebook; commit it.
# A retired number stays listed and is never given to anything else.
";

/// Reads a ledger.
///
/// # Errors
/// `ledger-damaged` with file and line: not YAML, an unknown key or version, an id given twice, a key with two ids.
pub fn parse(text: &str, file: &str) -> Result<Ledger, Diagnostic> {
    let damaged = |problem: Diagnostic| {
        Diagnostic::error("ledger-damaged", problem.message)
            .at(problem.location)
            .help("restore the ledger from version control: numbers in it must never change")
    };
    let document = Document::parse(file, text).map_err(damaged)?;
    document.only(&["version", "runbooks"]);
    let version: Option<u32> = document.take("version");
    let runbooks: Vec<(usize, Entry)> = document.list("runbooks");
    if version != Some(1) {
        let found = version.map_or_else(|| "no version".to_owned(), |v| format!("version {v}"));
        document.report(
            Diagnostic::error("ledger-damaged", format!("expected `version: 1`, found {found}"))
                .at(Location::default().at_key("version")),
        );
    }
    let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
    for (i, entry) in &runbooks {
        let fault = if number(&entry.id).is_none() {
            Some((LedgerError::BadId(entry.id.clone()), "id"))
        } else if !ids.insert(number(&entry.id)) {
            Some((LedgerError::DuplicateId(entry.id.clone()), "id"))
        } else if !keys.insert(entry.key.as_str()) {
            Some((LedgerError::DuplicateKey(entry.key.clone()), "key"))
        } else {
            None
        };
        if let Some((error, key)) = fault {
            document.report(
                Diagnostic::error("ledger-damaged", error.to_string())
                    .at(Location::default().at_key(format!("runbooks[{i}].{key}"))),
            );
        }
    }
    let mut entries: Vec<Entry> = runbooks.into_iter().map(|(_, entry)| entry).collect();
    if let Some(first) = document.into_problems().into_iter().next() {
        return Err(damaged(first));
    }
    entries.sort_by_key(|e| number(&e.id));
    Ok(Ledger { version: 1, runbooks: entries })
}

/// The number in `RB-001`; `None` unless it is `RB-` and at least three digits.
fn number(id: &str) -> Option<u64> {
    let digits = id.strip_prefix("RB-")?;
    (digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// The canonical text: header comment, entries sorted by number, every text quoted so that no name can become YAML.
#[must_use]
pub fn to_text(ledger: &Ledger) -> String {
    let mut entries: Vec<&Entry> = ledger.runbooks.iter().collect();
    entries.sort_by(|a, b| (number(&a.id), &a.id).cmp(&(number(&b.id), &b.id)));
    let mut out = format!("{HEADER}version: 1\n");
    out.push_str(if entries.is_empty() { "runbooks: []\n" } else { "runbooks:\n" });
    for entry in entries {
        let state = match entry.state {
            EntryState::Active => "active",
            EntryState::Retired => "retired",
        };
        let _ = writeln!(
            out,
            "  - id: {}\n    key: {}\n    slug: {}\n    state: {state}",
            scalar(&entry.id),
            scalar(&entry.key),
            scalar(&entry.slug)
        );
        if !entry.former.is_empty() {
            let former: Vec<String> = entry.former.iter().map(|s| scalar(s)).collect();
            let _ = writeln!(out, "    former: [{}]", former.join(", "));
        }
    }
    out
}

/// A text as a YAML scalar: plain where that is safe, else quoted as JSON quotes it, which is YAML too.
#[must_use]
pub fn scalar(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/.".contains(&b))
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Line and paragraph separators and control characters break lines in YAML, or editors; the last two YAML
            // forbids (YAML 1.2, 5.1).
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(id: &str, key: &str, state: EntryState) -> Entry {
        Entry { id: id.into(), key: key.into(), slug: "a-slug".into(), state, former: Vec::new() }
    }

    #[test]
    fn a_ledger_is_written_sorted_and_read_back() {
        let ledger = Ledger {
            version: 1,
            runbooks: vec![
                entry("RB-1000", "errors:shop/api", EntryState::Active),
                entry("RB-002", "latency:a: \"b\" # c", EntryState::Retired),
            ],
        };
        let text = to_text(&ledger);
        assert_eq!(
            text,
            format!(
                "{HEADER}version: 1\nrunbooks:\n  - id: RB-002\n    key: \"latency:a: \\\"b\\\" # c\"\n    slug: a-slug\n    state: retired\n  - id: RB-1000\n    key: \"errors:shop/api\"\n    slug: a-slug\n    state: active\n"
            )
        );
        let back = parse(&text, FILE).unwrap();
        assert_eq!(to_text(&back), text);
        assert_eq!(back.runbooks[0].id, "RB-002");
        assert_eq!(parse(&to_text(&Ledger::default()), FILE).unwrap().runbooks, []);
        let mut renamed = ledger;
        renamed.runbooks[0].former = vec!["old".into(), "older".into()];
        let text = to_text(&renamed);
        assert!(text.ends_with("    state: active\n    former: [old, older]\n"), "{text}");
        assert_eq!(to_text(&parse(&text, FILE).unwrap()), text);
    }

    #[test]
    fn a_damaged_ledger_says_where() {
        let e = |id: &str, key: &str| format!("  - {{ id: {id}, key: {key}, slug: s, state: active }}\n");
        for (text, line, word) in [
            (format!("version: 1\nrunbooks:\n{}{}", e("RB-001", "a"), e("RB-001", "b")), 4, "RB-001 is given twice"),
            (format!("version: 1\nrunbooks:\n{}{}", e("RB-001", "a"), e("RB-002", "a")), 4, "has two ids"),
            (format!("version: 1\nrunbooks:\n{}", e("RB-1", "a")), 3, "not an id"),
            ("version: 2\nrunbooks: []\n".to_owned(), 1, "version 2"),
            ("version: 1\nrunbook: []\n".to_owned(), 2, "`runbook`"),
            ("version: 1\nrunbooks: [\n".to_owned(), 2, "unclosed bracket '['"),
            (
                "version: 1\nrunbooks:\n  - { id: RB-001, key: a, slug: s, state: gone }\n".to_owned(),
                3,
                "not one of active, retired",
            ),
            (
                "version: 1\nrunbooks:\n  - { id: RB-001, key: a, slug: s, state: active, former: s }\n".to_owned(),
                3,
                "expected a list",
            ),
            (String::new(), 1, "no version"),
        ] {
            let error = parse(&text, FILE).unwrap_err();
            assert_eq!(error.code, "ledger-damaged");
            assert!(error.message.contains(word), "{text}: {error}");
            assert_eq!(error.location.file.as_deref(), Some(FILE));
            assert!(error.location.line.is_none_or(|l| l == line), "{text}: {error}");
        }
    }

    #[test]
    fn a_ledger_of_tens_of_thousands_is_read_back() {
        let runbooks: Vec<Entry> =
            (1..=30_000).map(|i| entry(&format!("RB-{i:03}"), &format!("errors:s{i}"), EntryState::Active)).collect();
        let text = to_text(&Ledger { version: 1, runbooks });
        assert_eq!(parse(&text, FILE).unwrap().runbooks.len(), 30_000);
    }

    proptest! {
        #[test]
        fn any_key_survives_the_ledger(keys in prop::collection::btree_set("\\PC{0,12}|[\u{fffe}\u{ffff}\u{feff}\u{85}a]{1,3}|[\\x00-\\x20:#\"'\\\\{}]{0,8}", 1..5)) {
            let runbooks = keys.iter().enumerate().map(|(i, k)| entry(&format!("RB-{:03}", i + 1), k, EntryState::Active)).collect();
            let ledger = Ledger { version: 1, runbooks };
            prop_assert_eq!(parse(&to_text(&ledger), FILE).unwrap(), ledger);
        }
    }
}
