//! Dead links and doubtful anchors across a set of documents.
//!
//! Input: documents, and a question whether any other file exists. Output: coded diagnostics with file and line.
//! Must not: follow links to the outside, or read files.

use std::collections::{BTreeMap, BTreeSet};

use super::Document;
use super::markdown::{self, Link, Parsed};
use crate::diag::{Diagnostic, Location};

/// Checks every internal link and every explicit id. Paths are relative to the directory of the documents, `/` separated;
/// `exists` is asked about those that are not among them (they may begin with `../`). Sorted by file and line.
#[must_use]
pub fn check(docs: &[Document], exists: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    let parsed: BTreeMap<&str, Parsed> = docs.iter().map(|d| (d.path.as_str(), markdown::parse(&d.text))).collect();
    let mut diagnostics = Vec::new();
    for (path, document) in &parsed {
        diagnostics.extend(duplicates(path, document));
        let internal = document.links.iter().filter(|l| !l.is_external());
        diagnostics.extend(internal.filter_map(|link| check_link(path, link, &parsed, exists)));
    }
    diagnostics.sort_by(|a, b| (&a.location, a.code, &a.message).cmp(&(&b.location, b.code, &b.message)));
    diagnostics
}

fn duplicates(path: &str, document: &Parsed) -> Vec<Diagnostic> {
    let mut seen = BTreeSet::new();
    let again = document.explicit.iter().filter(|e| !seen.insert(e.id.as_str()));
    again
        .map(|e| {
            Diagnostic::error("anchor-duplicate", format!("the id `{}` is given twice in this document", shown(&e.id)))
                .at(Location::file(path).at_line(e.line))
                .help("links to it reach the first one only: rename or remove one")
        })
        .collect()
}

fn check_link(
    path: &str,
    link: &Link,
    parsed: &BTreeMap<&str, Parsed>,
    exists: &dyn Fn(&str) -> bool,
) -> Option<Diagnostic> {
    let (target, fragment) = link.destination.split_once('#').unwrap_or((&link.destination, ""));
    let target = target.split_once('?').map_or(target, |(t, _)| t);
    // A path from the root of some site: which, is not known here.
    if target.starts_with('/') {
        return None;
    }
    let target = if target.is_empty() { path.to_owned() } else { resolve(path, &decode(target)) };
    let place = Location::file(path).at_line(link.line);
    let Some(document) = parsed.get(target.as_str()) else {
        let found = exists(&target);
        return (!found).then(|| {
            Diagnostic::error("link-broken", format!("the link to `{}` leads to no file", shown(&link.destination)))
                .at(place)
                .help("correct the path, or remove the link")
        });
    };
    let fragment = decode(fragment);
    if fragment.is_empty() || fragment == "top" || document.anchors().contains(fragment.as_str()) {
        return None;
    }
    let message = format!("`{}` has no heading or id `{}`", shown(&target), shown(&fragment));
    Some(Diagnostic::error("anchor-missing", message).at(place).help(nearest(&fragment, document)))
}

/// The anchors that begin alike, so that a renamed heading is found again.
fn nearest(fragment: &str, document: &Parsed) -> String {
    let common = |a: &str| a.chars().zip(fragment.chars()).take_while(|(x, y)| x == y).count();
    let best = document.anchors().into_iter().max_by_key(|a| common(a)).filter(|a| common(a) >= 3);
    match best {
        Some(anchor) => format!("did you mean `#{}`?", shown(anchor)),
        None => "correct the part after `#`, or add the heading".to_owned(),
    }
}

fn shown(text: &str) -> String {
    super::escape::terminal(text)
}

/// `a/b.md` + `../c.md` → `c.md`; what climbs above the directory keeps its `../`.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|p| *p != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Percent-decoding; what does not decode stays.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(byte) = bytes.get(i) {
        let hex = text.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                i += 3;
            }
            (byte, _) => {
                out.push(*byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(path: &str, text: &str) -> Document {
        Document { path: path.into(), text: text.into() }
    }

    #[test]
    fn dead_links_and_missing_anchors_are_found_with_their_line() {
        let docs = [
            doc(
                "README.md",
                "# Index\n\n[a](RB-001-a.md#impact)\n[b](RB-009-gone.md)\n[c](RB-001-a.md#impakt)\n[d](../up.md)\n",
            ),
            doc(
                "RB-001-a.md",
                "# A\n\n<a id=\"impact\"></a>\n\n[up](README.md#index) [x](https://dead.example) [t](#a)\n",
            ),
        ];
        let found = check(&docs, &|path| path == "../up.md");
        let found: Vec<_> = found.iter().map(|d| (d.code, d.location.line, d.help.as_str())).collect();
        assert_eq!(
            found,
            [
                ("link-broken", Some(4), "correct the path, or remove the link"),
                ("anchor-missing", Some(5), "did you mean `#impact`?")
            ]
        );
    }

    #[test]
    fn an_id_given_twice_is_reported_at_the_second_place() {
        let found = check(&[doc("x.md", "<a id=\"a\"></a>\n\n# T {#b}\n\n<a name=\"a\"></a>\n")], &|_| false);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].code, found[0].location.line), ("anchor-duplicate", Some(5)));
    }

    #[test]
    fn links_inside_code_do_not_count() {
        assert!(check(&[doc("x.md", "`[a](b.md)`\n\n```\n[a](b.md)\n```\n")], &|_| false).is_empty());
    }

    #[test]
    fn encoded_paths_and_subdirectories_resolve() {
        assert_eq!(resolve("a/b.md", "../c%20d.md"), "c%20d.md");
        assert_eq!(decode("c%20d%zz"), "c d%zz");
        assert_eq!(resolve("b.md", "../../x"), "../../x");
    }
}
