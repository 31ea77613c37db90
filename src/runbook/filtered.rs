//! That only a part of what there is was read: every number of a page is of that part.

use super::document::Text;
use super::phrase::items;
use crate::topology::Provenance;

/// Filters named one by one.
const NAMED: usize = 5;

/// `Only what matches { status = error } was read.` of what had to match; `None` where all was read.
#[must_use]
pub fn filtered(provenance: &Provenance) -> Option<Text> {
    let named: Vec<&String> = provenance.filter.iter().filter(|filter| !filter.is_empty()).collect();
    if named.is_empty() {
        return None;
    }
    let everywhere = named.len() == provenance.filter.len();
    let mut text = Text::words(match (everywhere, named.len()) {
        (true, 1) => "Only what matches ",
        (true, _) => "Of each part, only what matches ",
        (false, _) => "Of a part, only what matches ",
    });
    for (at, filter) in named.iter().take(NAMED).enumerate() {
        text = text.and(if at == 0 { "" } else { " or " }).code(filter.as_str());
    }
    if named.len() > NAMED {
        text = text.and(" or ").piece(items(named.len() - NAMED)).and(" more");
    }
    let rest = if everywhere { " was read." } else { " was read, and everything of the rest." };
    Some(text.and(rest).and(" Counts, rates and shares of errors are of that, not of all traffic."))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{shop, words};
    use super::*;

    #[test]
    fn what_had_to_match_is_said_and_of_a_sum_that_it_held_for_a_part() {
        let said = |filters: &[&str]| {
            let mut provenance = shop().provenance;
            provenance.filter = filters.iter().map(|f| (*f).to_owned()).collect();
            filtered(&provenance).map(|text| words(&text))
        };
        assert_eq!(said(&[]), None);
        let rest = "Counts, rates and shares of errors are of that, not of all traffic.";
        let one = said(&["{ status = error }"]).unwrap();
        assert_eq!(one, format!("Only what matches `{{ status = error }}` was read. {rest}"));
        let two = said(&["{ a }", "{ b }"]).unwrap();
        assert_eq!(two, format!("Of each part, only what matches `{{ a }}` or `{{ b }}` was read. {rest}"));
        let part = said(&["", "{ b }"]).unwrap();
        assert_eq!(
            part,
            format!("Of a part, only what matches `{{ b }}` was read, and everything of the rest. {rest}")
        );
    }
}
