//! The queries: which fields a bulk search asks for, and how a user's filter is wrapped.
//!
//! Everything the mapper reads must be listed here, or a trace that came in bulk would differ from the same trace in a
//! file. What no query can select (trace state, events, all but the first link) is fetched by id where it matters.

use crate::spans::semconv::{self, RESOURCE_ATTRIBUTES};

/// Span attributes to select: whatever the mapper reads, so that a bulk answer says no less than a file.
fn span_attributes() -> impl Iterator<Item = &'static str> {
    semconv::SPAN_ATTRIBUTES.iter().flat_map(|(_, spellings)| spellings.iter().copied())
}

/// Whether a key in an answer is a resource attribute (answers carry no scope; the two lists share no key).
pub(super) fn is_resource_key(key: &str) -> bool {
    matches!(key, "service.name" | "service.namespace")
        || RESOURCE_ATTRIBUTES.iter().any(|(_, spellings)| spellings.contains(&key))
}

/// The TraceQL texts of one pull.
#[derive(Debug, Clone)]
pub(super) struct Queries {
    filter: Option<String>,
    rate_attribute: Option<String>,
    /// Tempo before 2.8 cannot select a parent's id, but numbers that say the same.
    numbered: bool,
}

impl Queries {
    pub(super) fn new(filter: Option<&str>, rate_attribute: Option<&str>) -> Self {
        let filter = filter.map(str::trim).filter(|f| !f.is_empty() && !is_everything(f)).map(str::to_owned);
        Self { filter, rate_attribute: rate_attribute.map(str::to_owned), numbered: false }
    }

    /// Whether every span of the window is asked for, so that counts can be held against each other.
    pub(super) fn everything(&self) -> bool {
        self.filter.is_none()
    }

    /// The same without a filter.
    pub(super) fn unfiltered(&self) -> Self {
        Self { filter: None, ..self.clone() }
    }

    /// Which traces there are. `duration` narrows to traces that last `[2^from, 2^to)` ns.
    pub(super) fn census(&self, duration: Option<(u32, u32)>) -> String {
        let all = self.filter.clone().unwrap_or_else(|| "{}".to_owned());
        let Some((from, to)) = duration else { return all };
        let lower = if from == 0 { 0 } else { 1u64 << from.min(62) };
        let upper = if to >= 63 { String::new() } else { format!(" && traceDuration < {}ns", 1u64 << to) };
        format!("({all}) && ({{ traceDuration >= {lower}ns{upper} }})")
    }

    /// Asks whether the parent's id can be selected.
    pub(super) fn parents(&self) -> String {
        format!("{} | select(span:parentID)", self.filter.as_deref().unwrap_or("{}"))
    }

    /// Selects the place in the tree of spans instead of the parent's id from now on.
    pub(super) fn number(&mut self) {
        self.numbered = true;
    }

    /// All spans of the traces that match, with the fields the mapper reads. `A && {}` keeps the spans of both sides.
    pub(super) fn bulk(&self) -> String {
        let all = self.filter.as_ref().map_or_else(|| "{}".to_owned(), |f| format!("({f}) && ({{}})"));
        let tree: &[&str] = if self.numbered { &["nestedSetParent", "nestedSetLeft"] } else { &["span:parentID"] };
        let mut fields: Vec<String> = tree.iter().map(|field| (*field).to_owned()).collect();
        let always = [
            "span:kind",
            "span:status",
            "span:name",
            "link:traceID",
            "resource.service.name",
            "resource.service.namespace",
        ];
        fields.extend(always.map(str::to_owned));
        for (_, spellings) in RESOURCE_ATTRIBUTES {
            fields.extend(spellings.iter().map(|key| format!("resource.{key}")));
        }
        fields.extend(span_attributes().map(|key| format!("span.{key}")));
        let known = |rate: &str| is_resource_key(rate) || span_attributes().any(|key| key == rate);
        if let Some(rate) = self.rate_attribute.as_deref().filter(|rate| !known(rate)) {
            let quoted = quote(rate);
            fields.push(format!("span.{quoted}"));
            fields.push(format!("resource.{quoted}"));
        }
        let mut query = format!("{all} | select(");
        for (i, field) in fields.iter().enumerate() {
            let comma = if i + 1 < fields.len() { "," } else { ")" };
            keep_clear(&mut query, field.len() + 1);
            query.push_str(field);
            query.push_str(comma);
        }
        query
    }

    /// How many spans there are.
    pub(super) fn count(&self) -> String {
        format!("{} | count_over_time()", self.filter.as_deref().unwrap_or("{}"))
    }

    /// The same over time; exemplars would only cost.
    pub(super) fn count_by_time(&self) -> String {
        format!("{} with (exemplars=false)", self.count())
    }
}

/// Bytes that Tempo's lexer reads at a time.
const LEXER_BYTES: usize = 1024;
/// Room it needs before the end of them: more than it ever looks ahead.
const LEXER_AHEAD: usize = 24;

/// Blanks before the next `more` bytes, if those would lie where Tempo's lexer takes in the next part of a query.
///
/// To tell a scope it looks ahead with a copy of its scanner. Where the copy meets the end of the buffer, it takes the next
/// part from the reader that both share, and the query ends there for the original: "syntax error: unexpected $end" at
/// column 1025. Blanks are passed over without looking ahead.
fn keep_clear(query: &mut String, more: usize) {
    let end = query.len().next_multiple_of(LEXER_BYTES).max(LEXER_BYTES);
    if query.len() + more + LEXER_AHEAD > end {
        let blanks = end + LEXER_AHEAD - query.len();
        query.push_str(&" ".repeat(blanks));
    }
}

/// The same query with blanks where Tempo's lexer takes in the next part of it. Blanks within quotes are left alone.
pub(super) fn spread(query: &str) -> String {
    let (mut out, mut quoted, mut escaped) = (String::with_capacity(query.len()), false, false);
    let word = |c: char| {
        (quoted, escaped) = match c {
            '"' if !escaped => (!quoted, false),
            '\\' => (quoted, !escaped),
            _ => (quoted, false),
        };
        c == ' ' && !quoted
    };
    for part in query.split_inclusive(word) {
        keep_clear(&mut out, part.len());
        out.push_str(part);
    }
    out
}

fn is_everything(filter: &str) -> bool {
    let compact: String = filter.chars().filter(|c| !c.is_whitespace()).collect();
    matches!(compact.as_str(), "{}" | "{true}")
}

/// An attribute name as TraceQL takes any: in quotes.
fn quote(name: &str) -> String {
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_both_a_resource_and_a_span_attribute() {
        assert!(span_attributes().all(|key| !is_resource_key(key)));
    }

    #[test]
    fn a_filter_selects_traces_and_keeps_all_their_spans() {
        let queries = Queries::new(Some(r#"{ resource.service.name = "cart" }"#), Some("Sample\"Rate"));
        assert!(queries.bulk().starts_with(r#"({ resource.service.name = "cart" }) && ({}) | select(span:parentID"#));
        assert!(queries.bulk().contains(r#"span."Sample\"Rate",resource."Sample\"Rate""#));
        assert_eq!(queries.count(), r#"{ resource.service.name = "cart" } | count_over_time()"#);
        assert!(!queries.everything());
        assert!(Queries::new(Some(" { } "), None).everything());
    }

    #[test]
    fn no_field_lies_where_the_lexer_of_tempo_takes_in_the_next_part() {
        for filter in ["{}".to_owned(), format!("{{ name = \"{}\" }}", "x".repeat(900)), "{ name = \"ä\" }".to_owned()]
        {
            let query = Queries::new(Some(&filter), Some("SampleRate")).bulk();
            assert!(query.len() > LEXER_BYTES && query.ends_with(")"));
            for end in (LEXER_BYTES..query.len()).step_by(LEXER_BYTES) {
                let around = &query.as_bytes()[end - LEXER_AHEAD..end + 4];
                assert!(around.iter().all(|b| *b == b' '), "{}", String::from_utf8_lossy(around));
            }
        }
    }

    #[test]
    fn a_long_query_says_the_same_with_blanks_where_the_lexer_takes_in_the_next_part() {
        let one = "span.a = \"two  words \\\" of one\" && ";
        let query = format!("{{ {}true }}", one.repeat(80));
        let spread = spread(&query);
        assert_eq!(spread.matches("two  words \\\" of one").count(), 80);
        for end in (LEXER_BYTES..spread.len()).step_by(LEXER_BYTES) {
            assert!(spread.as_bytes()[end - LEXER_AHEAD..end].iter().all(|b| *b == b' '));
        }
        assert_eq!(super::spread("{ true }"), "{ true }");
    }

    #[test]
    fn a_second_that_holds_too_many_traces_is_cut_by_their_duration() {
        let queries = Queries::new(None, None);
        assert_eq!(queries.census(None), "{}");
        assert_eq!(queries.census(Some((0, 20))), "({}) && ({ traceDuration >= 0ns && traceDuration < 1048576ns })");
        assert_eq!(queries.census(Some((20, 63))), "({}) && ({ traceDuration >= 1048576ns })");
    }
}
