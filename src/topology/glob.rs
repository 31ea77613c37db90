//! Wildcard patterns of the rules: `*` stands for any text, everything else for itself.

/// What each `*` of the pattern stands for, when the whole of `text` matches: the shortest that will do, from the left.
/// Linear in practice, never worse than pattern × text.
pub(super) fn captures<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut found = Vec::new();
    walk(pattern, text, |part| found.push(part)).then_some(found)
}

/// Whether the whole of `text` matches.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    walk(pattern, text, |_| {})
}

fn walk<'t>(pattern: &str, text: &'t str, mut star: impl FnMut(&'t str)) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The leftmost place for each middle part is always good enough.
    for part in parts {
        let Some((before, after)) = rest.split_once(part) else { return false };
        star(before);
        rest = after;
    }
    let Some(before) = rest.strip_suffix(last) else { return false };
    star(before);
    true
}

/// Whether any pattern matches.
pub(super) fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

/// Whether a pattern for services matches: against the name, and against `namespace/name` where there is a namespace.
pub(super) fn service(pattern: &str, namespace: &str, name: &str) -> bool {
    matches(pattern, name) || (!namespace.is_empty() && matches(pattern, &format!("{namespace}/{name}")))
}

#[cfg(test)]
mod tests {
    use super::{captures, matches};

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text) in [
            ("GET /healthz*", "GET /healthz"),
            ("GET /healthz*", "GET /healthz/live"),
            ("*", ""),
            ("*probe*", "kube-probe/1"),
            ("a*b*c", "a-b-b-c"),
            ("exact", "exact"),
            ("a**b", "ab"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("GET /healthz*", "POST /healthz"), ("a*a", "a"), ("exact", "exactly"), ("", "x")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_star_captures_the_shortest_text_that_will_do() {
        let dns = captures("external:*.*.svc*", "external:checkout.shop.svc.cluster.local").unwrap();
        assert_eq!(dns, ["checkout", "shop", ".cluster.local"]);
        assert_eq!(captures("*", "x"), Some(vec!["x"]));
        assert_eq!(captures("x", "x"), Some(vec![]));
        assert_eq!(captures("a*a", "a"), None);
    }
}
