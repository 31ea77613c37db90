//! `--query` with `--aggregate`: the condition of one `{ … }`, which then holds for every span that is counted.
//!
//! Input: what was typed. Output: the condition. Must not: take what chooses traces or pipes results, which would be another
//! question than the one asked.

use crate::diag::Diagnostic;

/// The condition between the braces; `None` where it holds for every span.
///
/// # Errors
/// `aggregate-query` for anything but one span filter.
pub(super) fn condition(query: &str) -> Result<Option<String>, Diagnostic> {
    let inner = query.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).filter(|inner| is_plain(inner));
    let Some(inner) = inner else {
        return Err(Diagnostic::error(
            "aggregate-query",
            "with --aggregate spans are counted, and --query is more than a filter of spans",
        )
        .help("give one pair of braces, such as { resource.service.namespace = \"shop\" }, or leave out --aggregate"));
    };
    let inner = inner.trim();
    Ok((!inner.is_empty() && inner != "true").then(|| format!("({inner})")))
}

/// Whether there is no brace and no comment outside of quotes, all quotes are closed, and so are parentheses.
fn is_plain(inner: &str) -> bool {
    let (mut quote, mut depth, mut chars) = (None, 0i32, inner.chars().peekable());
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => _ = chars.next(),
            (Some(open), _) => quote = (open != c).then_some(open),
            (None, '"' | '`') => quote = Some(c),
            (None, '{' | '}') => return false,
            (None, '/') if matches!(chars.peek(), Some('/' | '*')) => return false,
            (None, '(') => depth = depth.saturating_add(1),
            (None, ')') if depth == 0 => return false,
            (None, ')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    quote.is_none() && depth == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_of_one_filter_is_taken_as_it_is() {
        let of = |query: &str| condition(query).unwrap();
        assert_eq!(of(" { name = \"}|{\" || kind = server } "), Some("(name = \"}|{\" || kind = server)".to_owned()));
        assert_eq!(of(r#"{ name = "a\"}" }"#), Some(r#"(name = "a\"}")"#.to_owned()));
        assert_eq!([of("{}"), of("{ true }")], [None, None]);
    }

    #[test]
    fn what_is_more_than_a_filter_of_spans_is_refused() {
        for query in [
            "{ kind = server } > { kind = client }",
            "{ name = \"a\" } | count() > 2",
            "{ name = \"a } ",
            "{ true) || (kind = server }",
            "{ true // }",
            "name = \"a\"",
            "({ kind = server })",
        ] {
            assert_eq!(condition(query).unwrap_err().code, "aggregate-query", "{query}");
        }
    }
}
