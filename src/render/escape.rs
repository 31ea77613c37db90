//! Untrusted text made harmless for the place where it lands.
//!
//! Input: names from traces (Markdown, HTML, newlines, control characters, megabytes) and texts of people.
//! Output: text that shows as itself in Markdown, a table cell, a code fence, Mermaid, DOT, or a terminal.
//! Must not: know documents or templates. Every function is bounded in the size of what it returns.

/// Longest name shown, in characters.
pub(super) const NAME_LIMIT: usize = 120;
/// Longest name or query shown as code in a paragraph, in characters.
pub(super) const QUERY_LIMIT: usize = 400;
/// Longest run of plain words shown, in characters.
pub(super) const WORDS_LIMIT: usize = 2_000;
/// Longest command or query shown, in characters.
const FENCE_LIMIT: usize = 20_000;

/// One line of at most `limit` characters: line breaks and tabs become blanks, control characters and those that turn the
/// direction of writing or have no width become `�`, a longer text ends in `…`.
#[must_use]
pub(super) fn clean(text: &str, limit: usize) -> String {
    let mut out: String = text.trim().chars().take(limit.saturating_add(1)).map(visible).collect();
    if let Some((end, _)) = out.char_indices().nth(limit) {
        out.truncate(end);
        out.pop();
        out.push('…');
    }
    out
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\r' | '\t' | '\u{0b}' | '\u{0c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        c if is_hidden(c) => '\u{fffd}',
        c => c,
    }
}

/// Control characters, bidirectional controls ("Trojan Source", CVE-2021-42574), and characters without width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Words as Markdown text: no emphasis, code, link, autolink, HTML, entity, maths, heading attribute or MDX expression can
/// come out of them. Entities are used where some Markdown dialects do not know the backslash.
#[must_use]
pub(super) fn markdown(words: &str) -> String {
    let chars: Vec<char> = words.chars().take(WORDS_LIMIT).map(visible).collect();
    let mut out = String::with_capacity(chars.len() + 8);
    for (i, c) in chars.iter().copied().enumerate() {
        let before = i.checked_sub(1).and_then(|j| chars.get(j)).copied();
        let after = chars.get(i + 1).copied();
        let inside_word = before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric);
        match c {
            '\\' | '`' | '*' | '[' | ']' | '|' => {
                out.push('\\');
                out.push(c);
            }
            '_' if !inside_word => out.push_str("\\_"),
            '!' if after.is_none() => out.push_str("\\!"),
            '#' if before.is_none() || after.is_none() || after == Some('#') => out.push_str("\\#"),
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            '{' => out.push_str("&#123;"),
            '}' => out.push_str("&#125;"),
            '~' => out.push_str("&#126;"),
            '$' => out.push_str("&#36;"),
            ':' if after == Some('/') => out.push_str("&#58;"),
            '@' if inside_word => out.push_str("&#64;"),
            '.' if before.is_some_and(|b| b.eq_ignore_ascii_case(&'w')) && inside_word => out.push_str("&#46;"),
            c => out.push(c),
        }
    }
    if words.chars().nth(WORDS_LIMIT).is_some() {
        out.push('…');
    }
    out
}

/// Rendered inline Markdown that may begin a line: what would open a list, quote, heading or rule there is escaped.
#[must_use]
pub(super) fn line_start(inline: String) -> String {
    let digits = inline.bytes().take_while(u8::is_ascii_digit).count();
    let ends_word = matches!(inline.as_bytes().get(digits + 1), None | Some(b' '));
    let at = match inline.as_bytes().get(digits) {
        Some(b'.' | b')') if digits > 0 && ends_word => digits,
        Some(b'-' | b'+' | b'=' | b'>' | b':' | b'#') if digits == 0 => 0,
        _ => return inline,
    };
    let (head, tail) = inline.split_at(at);
    format!("{head}\\{tail}")
}

/// A name as a code span, fenced by more backticks than it holds; `cell` also hides `|` from the table around it.
#[must_use]
pub(super) fn code(name: &str, cell: bool) -> String {
    code_up_to(name, NAME_LIMIT, cell)
}

/// The same with a limit of its own, in characters.
pub(super) fn code_up_to(name: &str, limit: usize, cell: bool) -> String {
    let mut text = clean(name, limit);
    if text.trim().is_empty() {
        return "(empty)".to_owned();
    }
    // Python-Markdown looks for the end of a folded block before it looks for code.
    if let Some(at) = text.to_ascii_lowercase().find("</details") {
        let (head, tail) = text.split_at(at);
        text = format!("{head}{}", tail.replace('<', "‹"));
    }
    if cell {
        // A backslash before a pipe cannot be written inside a cell: the bar is replaced by its look-alike there.
        text = text.replace("\\|", "\\¦").replace('|', "\\|");
    }
    let fence = "`".repeat(longest_run(&text, '`') + 1);
    let edge = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let pad = if edge { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A block of code, fenced by more backticks than it holds, every line indented by `indent` blanks. No final line break.
#[must_use]
pub(super) fn fence(text: &str, language: &str, indent: usize) -> String {
    let language: String =
        language.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+')).take(20).collect();
    let language = if language.is_empty() { "text".to_owned() } else { language };
    let text: String = text.chars().take(FENCE_LIMIT).filter(|c| *c != '\r').collect();
    let text = hide_markers(&text);
    let pad = " ".repeat(indent.min(16));
    let ticks = "`".repeat((longest_run(&text, '`') + 1).max(3));
    let mut out = format!("{pad}{ticks}{language}");
    for line in text.trim_matches('\n').split('\n') {
        let line: String = line.chars().map(|c| if c == '\t' { c } else { visible(c) }).collect();
        out.push('\n');
        if !line.trim().is_empty() {
            out.push_str(&pad);
            out.push_str(line.trim_end());
        }
    }
    out.push('\n');
    out.push_str(&pad);
    out.push_str(&ticks);
    out
}

/// Text of the team, kept as it is but for line ends, outer blank lines and trailing blanks; further lines are indented.
#[must_use]
pub(super) fn team(markdown: &str, indent: usize) -> String {
    let pad = " ".repeat(indent.min(16));
    let text = hide_markers(&markdown.replace("\r\n", "\n"));
    let mut out = String::with_capacity(text.len());
    let mut fence = None;
    for (i, line) in text.trim().split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
            if !line.trim().is_empty() {
                out.push_str(&pad);
            }
        }
        out.push_str(line.trim_end());
        fence = next_fence(fence, line);
    }
    if let Some((sign, length)) = fence {
        out.push('\n');
        out.push_str(&pad);
        out.extend(std::iter::repeat_n(sign, length));
    }
    out
}

/// The code fence that is open after a line, as (sign, length), given the one open before it.
pub(super) fn next_fence(open: Option<(char, usize)>, line: &str) -> Option<(char, usize)> {
    let mut line = line.trim();
    if open.is_none() {
        // A fence may open behind the marks of the list or quote it stands in.
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(". ");
        line = number.unwrap_or(line).trim_start_matches([' ', '-', '*', '+', '>']);
    }
    let sign = line.chars().next().filter(|c| matches!(c, '`' | '~'));
    let length = sign.map_or(0, |s| line.chars().take_while(|c| *c == s).count());
    match (open, sign) {
        (Some((was, least)), Some(sign)) if sign == was && length >= least && line.chars().all(|c| c == sign) => None,
        (None, Some(sign)) if length >= 3 && !(sign == '`' && line.chars().skip(length).any(|c| c == '`')) => {
            Some((sign, length))
        }
        _ => open,
    }
}

/// The same on one line, fit for a table cell when `cell`.
#[must_use]
pub(super) fn team_line(markdown: &str, cell: bool) -> String {
    let text = hide_markers(markdown);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !cell {
        return line;
    }
    let mut out = String::with_capacity(line.len());
    let mut escaped = false;
    for c in line.chars() {
        if c == '|' && !escaped {
            out.push('\\');
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    out
}

/// Region markers are ours: text that imitates one, or would comment one out, is made to show instead.
fn hide_markers(text: &str) -> String {
    let last_is_open = || text.rfind("<!--").is_some_and(|at| !text.get(at..).unwrap_or_default().contains("-->"));
    if text.contains("<!--") && (text.contains("tracebook:") || last_is_open()) {
        text.replace("<!--", "&lt;!--")
    } else {
        text.to_owned()
    }
}

/// An absolute `http`, `https` or `mailto` address fit for `(…)` of a Markdown link; `None` for anything else.
#[must_use]
pub(super) fn url(address: &str) -> Option<String> {
    let address = address.trim();
    let scheme = address.split_once(':')?.0.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https" | "mailto") || address.len() > 4_000 {
        return None;
    }
    Some(percent(address))
}

/// Percent-encodes what could end a link destination or start something else.
pub(super) fn percent(address: &str) -> String {
    let mut out = String::with_capacity(address.len());
    for c in address.chars() {
        let plain = c.is_ascii_alphanumeric() || "-._/:?#@!&',=+%~*".contains(c) || (!c.is_ascii() && !is_hidden(c));
        if plain && !c.is_whitespace() {
            // Without a `;`, which is encoded, no `&` begins an entity.
            out.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

/// A label for a quoted Mermaid string: everything but letters, digits and a few signs becomes an entity code.
#[must_use]
pub(super) fn mermaid(label: &str, limit: usize) -> String {
    let mut out = String::new();
    for c in clean(label, limit).chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !" -_./,".contains(c) {
            out.push_str(&format!("#{};", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    if out.is_empty() { "(empty)".to_owned() } else { out }
}

/// Text inside an HTML element on one line.
#[must_use]
pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    for c in clean(text, NAME_LIMIT).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' | '>' | '"' | '\'' | '{' | '}' | '`' => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

/// The inside of a quoted DOT string.
#[must_use]
pub(super) fn dot(label: &str) -> String {
    clean(label, NAME_LIMIT).replace('\\', "\\\\").replace('"', "\\\"")
}

/// One line for a terminal or a text file: nothing that a terminal would obey.
#[must_use]
pub(super) fn terminal(text: &str) -> String {
    clean(text, NAME_LIMIT)
}

/// One line of any sensible length for a terminal, its leading blanks kept.
#[must_use]
pub(super) fn clean_line(text: &str) -> String {
    text.chars().take(WORDS_LIMIT).map(visible).collect()
}

fn longest_run(text: &str, wanted: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for c in text.chars() {
        run = if c == wanted { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_of_name_becomes_a_short_line() {
        let cleaned = clean(&"x".repeat(1_000_000), NAME_LIMIT);
        assert_eq!(cleaned.chars().count(), NAME_LIMIT);
        assert!(cleaned.ends_with('…'));
        assert_eq!(clean("a\nb\u{202e}c\u{7}", 10), "a b\u{fffd}c\u{fffd}");
    }

    #[test]
    fn code_spans_outlast_the_backticks_inside_and_keep_pipes_out_of_cells() {
        assert_eq!(code("GET /a", false), "`GET /a`");
        assert_eq!(code("a``b", false), "```a``b```");
        assert_eq!(code("`", false), "`` ` ``");
        assert_eq!(code("a|b", true), "`a\\|b`");
        assert_eq!(code(" \n ", false), "(empty)");
        assert_eq!(code("List<A></Details><b>", false), "`List<A>‹/Details>‹b>`");
    }

    #[test]
    fn words_keep_readable_where_nothing_needs_an_escape() {
        assert_eq!(markdown("p99 > 500 ms of snake_case, 50 % (n = 3)"), "p99 > 500 ms of snake_case, 50 % (n = 3)");
        assert_eq!(markdown("<b> [x](y) *z*"), "&lt;b> \\[x\\](y) \\*z\\*");
        assert_eq!(line_start("1. x".into()), "1\\. x");
        assert_eq!(line_start("- x".into()), "\\- x");
        assert_eq!(line_start("12.3 ms".into()), "12.3 ms");
    }

    #[test]
    fn fences_are_longer_than_what_they_hold_and_hide_imitated_markers() {
        assert_eq!(fence("kubectl get pods\r\n", "bash", 0), "```bash\nkubectl get pods\n```");
        assert!(fence("```\nx", "", 4).starts_with("    ````text\n    ```\n    x\n    ````"));
        assert!(!fence("<!-- tracebook:end page -->", "bash", 0).contains("<!-- tracebook"));
    }

    #[test]
    fn only_absolute_web_and_mail_addresses_become_links() {
        assert_eq!(url("https://a.example/x?y=(1)").as_deref(), Some("https://a.example/x?y=%281%29"));
        assert_eq!(url("javascript:alert(1)"), None);
        assert_eq!(url("/etc/passwd"), None);
    }

    #[test]
    fn mermaid_labels_hold_no_character_with_a_meaning() {
        assert_eq!(mermaid("a\"b];%%#", 40), "a#34;b#93;#59;#37;#37;#35;");
    }

    proptest::proptest! {
        #[test]
        fn a_mermaid_label_is_letters_digits_and_entity_codes_whatever_it_was(label: String) {
            let mut rest = mermaid(&label, 48);
            proptest::prop_assert!(rest.chars().count() <= 48 * 6);
            for part in rest.clone().split('#').skip(1) {
                let code: String = part.chars().take_while(|c| *c != ';').collect();
                proptest::prop_assert!(code.parse::<u8>().is_ok(), "{}", rest);
                rest = rest.replacen(&format!("#{code};"), "", 1);
            }
            let harmless = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || " -_./,()".contains(c);
            proptest::prop_assert!(rest.chars().all(harmless), "{}", rest);
        }
    }
}
