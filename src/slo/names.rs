//! Names: patterns with `*`, slugs, and the nearest known name for a mistyped one.
//!
//! Must not: allocate or take time beyond the product of two bounded names.

/// Whether `text` fits `pattern`, in which `*` stands for any run of characters. Linear in practice, never recursive.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    if !pattern.contains('*') {
        return pattern == text;
    }
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

/// Lower-case letters, digits and single dashes; at most 80 of them.
pub(super) fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if out.len() >= 80 {
            break;
        }
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}

/// The known name with the smallest edit distance, if it is near enough to be meant; ties: the first in order.
pub(super) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + wanted.chars().count() / 4;
    known
        .map(|name| (distance(wanted, name), name))
        .filter(|(d, _)| *d <= limit)
        .min_by(|a, b| a.cmp(b))
        .map(|(_, name)| name)
}

/// Levenshtein distance over the first 64 characters, ignoring case.
fn distance(a: &str, b: &str) -> usize {
    let chars = |t: &str| t.chars().take(64).flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (a, b) = (chars(a), chars(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let above = *cell;
            let substitute = diagonal + usize::from(x != y);
            left = substitute.min(above + 1).min(left + 1);
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        for (pattern, text) in
            [("*", ""), ("GET /a*", "GET /a/b"), ("*/b", "GET /a/b"), ("G*a*b", "GET /a/b"), ("x", "x")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("GET", "GET /"), ("a*a", "a"), ("*b*", "GET"), ("G*x*b", "GET /a/b")] {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbour_and_a_strange_one_nothing() {
        let known = ["cart", "checkout", "frontend"];
        assert_eq!(nearest("frontent", known.into_iter()), Some("frontend"));
        assert_eq!(nearest("Checkout", known.into_iter()), Some("checkout"));
        assert_eq!(nearest("billing", known.into_iter()), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("shop/API-latency_p99.9"), "shop-api-latency-p99-9");
        assert_eq!(slug("—"), "");
    }
}
