//! Wildcard patterns of the ignore rules: `*` stands for any text, everything else for itself.

/// Whether the whole of `text` matches. Linear in practice, never worse than pattern × text.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    // The leftmost place for each middle part is always good enough.
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

/// Whether any pattern matches.
pub(super) fn any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::matches;

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
}
