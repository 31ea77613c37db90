//! Quoting of untrusted names for the language they land in.
//!
//! Purpose: the only place where a name becomes part of a query, a command or a URL.
//! Input: any text. Output: a literal of that language that means exactly this text.
//! Must not: shorten silently: a name too long to match as a whole is matched by its beginning, visibly.

use std::fmt::Write as _;

/// Names longer than this (characters) are matched by their beginning instead.
const LONGEST: usize = 300;

/// A double-quoted literal of TraceQL and PromQL. Both read Go's escapes, so no quote, backslash, newline or control
/// character is left as it is.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // U+2028, U+2029 and the direction marks can make a line look like another one.
            c if c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}') => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `left = "value"` with the given operator text for equality (`" = "` in TraceQL, `"="` in PromQL), or a match on the
/// beginning when the value is too long for a page.
pub(super) fn matches(left: &str, value: &str, equals: &str) -> String {
    if value.chars().count() <= LONGEST {
        return format!("{left}{equals}{}", literal(value));
    }
    let start: String = value.chars().take(LONGEST).collect();
    expression(left, &format!("{}.*", escaped(&start)), equals)
}

/// The same for a name in which `*` stands for anything.
pub(super) fn fits(left: &str, pattern: &str, equals: &str) -> String {
    if !pattern.contains('*') || pattern.chars().count() > LONGEST {
        return matches(left, pattern, equals);
    }
    let parts: Vec<String> = pattern.split('*').map(escaped).collect();
    expression(left, &parts.join(".*"), equals)
}

fn expression(left: &str, regex: &str, equals: &str) -> String {
    format!("{left}{}{}", equals.replace('=', "=~"), literal(regex))
}

/// A regular expression of RE2 that matches this very text. RE2 lets every ASCII punctuation be escaped, and nothing else.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !matches!(c, ' ' | '_' | '/' | ':' | '-') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// One word of a POSIX shell: bare where every character is harmless, else single-quoted.
pub(super) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | ':' | '@' | '%' | '+' | ',' | '-');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Whether a value may stand in a command at all. Quoting makes it one word; this keeps out what would still mislead the
/// program (an option) or the reader (control characters, invisible characters, endless names).
pub(super) fn fit_for_command(value: &str) -> bool {
    let visible = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    !value.is_empty()
        && value.len() <= 253
        && !value.starts_with('-')
        && value.trim() == value
        && value.chars().all(visible)
}

/// Percent-encoding of everything but RFC 3986 unreserved characters.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// A name as it is shown: at most 120 characters, cut visibly.
pub(super) fn label(name: &str) -> String {
    const SHOWN: usize = 120;
    if name.chars().count() <= SHOWN {
        return name.to_owned();
    }
    name.chars().take(SHOWN - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &[&str] = &[
        "a\" || true || \"b",
        "back\\slash\\",
        "line\nbreak\r\tand tab",
        "'; rm -rf / #",
        "$(reboot) `id` ${HOME} !! \\",
        "]( javascript:alert(1) ) <script>",
        "\u{202e}gnp.exe\u{2028}x\u{0}\u{7f}",
        "",
    ];

    /// What Go's `strconv.Unquote` would read, or nothing when the literal ends early.
    fn unquote(literal: &str) -> Option<String> {
        let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
        let (mut out, mut chars) = (String::new(), inner.chars());
        while let Some(c) = chars.next() {
            match c {
                '"' | '\n' | '\r' => return None,
                '\\' => match chars.next()? {
                    'n' => out.push('\n'),
                    'r' => out.push('\r'),
                    't' => out.push('\t'),
                    'u' => {
                        let hex: String = chars.by_ref().take(4).collect();
                        out.push(char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?);
                    }
                    c @ ('"' | '\\') => out.push(c),
                    _ => return None,
                },
                c => out.push(c),
            }
        }
        Some(out)
    }

    #[test]
    fn a_hostile_name_comes_back_whole_from_a_query_literal() {
        for name in HOSTILE {
            let text = literal(name);
            assert_eq!(unquote(&text).as_deref(), Some(*name));
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_shell_gives_back_the_very_word_it_was_given() {
        for name in HOSTILE.iter().filter(|n| !n.contains('\0')) {
            let out =
                std::process::Command::new("sh").arg("-c").arg(format!("printf %s {}", shell(name))).output().unwrap();
            assert_eq!(out.stdout, name.as_bytes(), "{name:?}");
        }
        assert_eq!(shell("shop/api-1.2"), "shop/api-1.2");
    }

    #[test]
    fn a_value_that_could_be_taken_for_an_option_or_hides_something_stays_out_of_commands() {
        for bad in ["", "-n", "--all", "a\nb", "x\u{202e}y", " x", &"a".repeat(254)] {
            assert!(!fit_for_command(bad), "{bad:?}");
        }
        assert!(fit_for_command("it's-ok"));
    }

    #[test]
    fn a_name_too_long_for_a_page_is_matched_by_its_beginning() {
        let query = matches("name", &"a.b".repeat(1_000), " = ");
        assert!(query.starts_with("name =~ \"a\\\\.ba\\\\.b") && query.ends_with(".*\""), "{query}");
        assert!(query.len() < 900);
        assert_eq!(matches("name", "a.b", " = "), "name = \"a.b\"");
        assert_eq!(label(&"é".repeat(500)).chars().count(), 120);
    }

    #[test]
    fn a_star_in_a_pattern_is_the_only_thing_that_matches_more_than_itself() {
        assert_eq!(fits("span_name", "GET /cart", "="), "span_name=\"GET /cart\"");
        assert_eq!(fits("span_name", "GET /c.rt/*é→", " = "), "span_name =~ \"GET /c\\\\.rt/.*é→\"");
        assert_eq!(fits("name", "a\"*|b", "="), "name=~\"a\\\\\\\".*\\\\|b\"");
    }

    #[test]
    fn percent_encoding_leaves_nothing_for_a_url_parser_to_trip_over() {
        assert_eq!(percent("a b&c=\"{}é"), "a%20b%26c%3D%22%7B%7D%C3%A9");
    }
}
