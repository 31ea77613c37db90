//! What had to match to be read, for the provenance of a snapshot.

use super::Request;
use super::named::is_local;
use crate::topology::MOST_FILTER;

/// The filter of `--query` as it is kept, sorted: a line of text, and an empty one where files, which it does not hold for, are
/// read too. None where it lets everything through.
pub(super) fn filter(froms: &[String], request: &Request<'_>) -> Vec<String> {
    let Some(query) = request.connection.query.as_deref().map(line).filter(|q| !q.is_empty()) else {
        return Vec::new();
    };
    if froms.iter().all(|from| is_local(from)) {
        return Vec::new();
    }
    let whole = froms.iter().any(|from| is_local(from)).then(String::new);
    whole.into_iter().chain([query]).collect()
}

fn line(query: &str) -> String {
    // Blanks of any kind, and whatever else moves the cursor.
    let words: Vec<&str> =
        query.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    if words.concat() == "{}" {
        return String::new();
    }
    let line = words.join(" ");
    match line.char_indices().nth(MOST_FILTER) {
        None => line,
        Some(_) => line.chars().take(MOST_FILTER - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_one_bounded_line_and_one_that_lets_all_through_is_none() {
        assert_eq!(line(" { status =\n\u{1b} error }\t"), "{ status = error }");
        assert_eq!([line("{}"), line("{ }"), line(" ")], [const { String::new() }; 3]);
        let long = line(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.chars().last()), (MOST_FILTER, Some('…')));
        assert_eq!(line(&"x".repeat(MOST_FILTER)).len(), MOST_FILTER);
    }
}
