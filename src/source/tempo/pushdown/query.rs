//! A TraceQL metrics query: of which spans, and what is to be known of them.
//!
//! Must not: know what a population means.

use std::fmt;

/// A query. Two are the same when they ask the same, whatever the time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Query {
    /// TraceQL that selects spans; the last braces hold those that are counted.
    selector: String,
    /// What is made of them, such as `count_over_time()`.
    metric: &'static str,
    /// Keys by which they are told apart.
    by: Vec<&'static str>,
    /// Whether Tempo is to leave out exemplars, which would only cost.
    bare: bool,
}

impl Query {
    pub(super) fn new(selector: impl Into<String>, metric: &'static str, by: Vec<&'static str>) -> Self {
        Self { selector: selector.into(), metric, by, bare: false }
    }

    /// Only of those for which a further condition holds.
    pub(super) fn only(&self, condition: &str) -> Self {
        Self { selector: selector_if(&self.selector, condition), ..self.clone() }
    }

    /// The same, telling nobody apart.
    pub(super) fn altogether(&self) -> Self {
        Self { by: Vec::new(), ..self.clone() }
    }

    /// The same without exemplars.
    pub(super) fn bare(self) -> Self {
        Self { bare: true, ..self }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} | {}", self.selector, self.metric)?;
        if !self.by.is_empty() {
            write!(f, " by ({})", self.by.join(", "))?;
        }
        if self.bare { write!(f, " with (exemplars=false)") } else { Ok(()) }
    }
}

/// A further condition on the spans that are counted: those of the last braces.
pub(super) fn selector_if(selector: &str, condition: &str) -> String {
    let selector = selector.trim_end().trim_end_matches('}').trim_end();
    let and = if selector.ends_with('{') { "" } else { " &&" };
    format!("{selector}{and} {condition} }}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_question_asks_the_same_of_fewer_spans() {
        let query = Query::new("{ kind = client } > { kind = server }", "count_over_time()", vec!["name", "status"]);
        let part = query.only("name < \"}\"").only("name >= \"a\"");
        let selector = "{ kind = client } > { kind = server && name < \"}\" && name >= \"a\" }";
        assert_eq!(part.to_string(), format!("{selector} | count_over_time() by (name, status)"));
        assert_eq!(part.altogether().to_string(), format!("{selector} | count_over_time()"));
        assert!(part.bare().to_string().ends_with(" by (name, status) with (exemplars=false)"));
        assert_eq!(Query::new("{ }", "rate()", vec![]).only("true").to_string(), "{ true } | rate()");
    }
}
