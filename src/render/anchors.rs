//! Names of places: anchors of headings, ids in tags, parts of file names.
//!
//! Input: text. Output: text fit for the part after `#`, or for a path. Must not: know documents.

/// The value of `id` (of any element) or `name` (of an `a`) in the inside of a tag.
pub(super) fn explicit_id(tag: &str) -> Option<String> {
    let (element, attributes) = tag.split_once(char::is_whitespace)?;
    for name in ["id", "name"] {
        if name == "name" && !element.eq_ignore_ascii_case("a") {
            continue;
        }
        let Some(value) = attribute(attributes, name) else { continue };
        return Some(value.to_owned());
    }
    None
}

fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    while let Some((key, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (value, next) = match quote {
            Some(quote) => after.get(1..)?.split_once(quote)?,
            None => after.split_once(char::is_whitespace).unwrap_or((after.trim_end_matches('/'), "")),
        };
        if key.split_whitespace().next_back().is_some_and(|k| k.eq_ignore_ascii_case(name)) {
            return Some(value);
        }
        rest = next;
    }
    None
}

/// The anchor GitHub derives from a heading's text: lower case, blanks to hyphens, punctuation dropped.
///
/// <https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links>
#[must_use]
pub fn anchor(heading: &str) -> String {
    heading
        .trim()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c if c.is_alphanumeric() => Some(c),
            _ => None,
        })
        .flat_map(char::to_lowercase)
        .collect()
}

/// Text as a part of a file name: lower-case ASCII letters, digits and single hyphens.
#[must_use]
pub fn slugify(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(200) {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}
