//! Operation names and other free text, made safe to group by.
//!
//! Purpose: replace what differs from call to call (ids, e-mail addresses, secrets, query strings) by a placeholder, so
//! that names can be counted and shown. Input: text as sent, at most trusted to be UTF-8. Output: the same text, borrowed
//! where nothing changes, at most [`MAX_NAME`] or the given number of bytes, without control characters.
//! Must not: touch what is a name: `HTTP GET`, `pkg.Service/Method`, `SELECT ts.orders`, `v1`, `s3`, `us-east-1`.
//!
//! The passes, in order: [`clean`] first, because the others split at white space; then per word the URL passes (user
//! info, query), because what they cut must not be looked at; then each segment of a word, secrets before ids, because a
//! token may look like an id.

mod segment;

use std::borrow::Cow;

pub use segment::is_secret;

/// Longest operation name, in bytes.
pub const MAX_NAME: usize = 200;

/// Bytes that separate segments inside a word.
const SEPARATORS: &[u8] = b"/:,=;&()[]<>\"'`|";

/// An operation name with ids, addresses and secrets replaced, query strings dropped, bounded to [`MAX_NAME`] bytes.
#[must_use]
pub fn operation(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_NAME && !suspicious(name) {
        return Cow::Borrowed(name);
    }
    // Work is bounded too: what lies far beyond the cut can only matter to a word that straddles it.
    let name = clean(name, 4 * MAX_NAME);
    let name = if is_sql(&name) { Cow::Owned(without_literals(&name)) } else { name };
    let mut out = String::with_capacity(name.len());
    let mut after_bearer = false;
    for (i, word) in name.split(' ').enumerate() {
        if i > 0 {
            out.push(' ');
        }
        // `Bearer Token` is a phrase, `Bearer` and something long or with digits is not.
        if after_bearer && (word.len() >= 16 || word.bytes().any(|b| b.is_ascii_digit())) {
            out.push_str("{secret}");
        } else {
            push_word(&mut out, word);
        }
        after_bearer = word.trim_end_matches(':').eq_ignore_ascii_case("bearer");
    }
    if out == *name && name.len() <= MAX_NAME { name } else { Cow::Owned(cut(&out, MAX_NAME).into_owned()) }
}

/// Whether a name is a statement with literals in it; conventions forbid that, instrumentations do it.
fn is_sql(name: &str) -> bool {
    const VERBS: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "CALL", "MERGE"];
    let verb = name.split(' ').next().unwrap_or("");
    name.contains('\'') && VERBS.iter().any(|v| v.eq_ignore_ascii_case(verb))
}

/// The statement with every quoted literal as `?`.
fn without_literals(name: &str) -> String {
    let parts = name.split('\'').enumerate();
    parts.map(|(i, part)| if i % 2 == 0 { part } else { "?" }).collect()
}

/// Text without control or text-direction characters (each becomes a space), cut to `max` bytes.
#[must_use]
pub fn clean(text: &str, max: usize) -> Cow<'_, str> {
    let text = cut(text, max);
    let plain = |b: u8| (0x20..0x7f).contains(&b);
    if text.bytes().all(plain) || !text.chars().any(unprintable) {
        return text;
    }
    Cow::Owned(text.chars().map(|c| if unprintable(c) { ' ' } else { c }).collect())
}

/// Cleaned text in which every secret-looking word is replaced by `{secret}`.
#[must_use]
pub fn attribute(text: &str, max: usize) -> Cow<'_, str> {
    let text = clean(text, max);
    if !text.split([' ', '=', ',', ';']).any(is_secret) {
        return text;
    }
    let safe = |word| if is_secret(word) { "{secret}" } else { word };
    Cow::Owned(
        text.split(' ').map(|w| w.split('=').map(safe).collect::<Vec<_>>().join("=")).collect::<Vec<_>>().join(" "),
    )
}

fn unprintable(c: char) -> bool {
    // Direction overrides and zero-width characters can make a name read as another.
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The text cut to at most `max` bytes at a character boundary, with an ellipsis where something was cut.
fn cut(text: &str, max: usize) -> Cow<'_, str> {
    const DOTS: char = '…';
    if text.len() <= max {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(max.saturating_sub(DOTS.len_utf8()));
    let mut short = text.get(..end).unwrap_or_default().to_owned();
    short.push(DOTS);
    Cow::Owned(short)
}

/// Whether a name could hold anything to replace: digits, the marks of queries, e-mail and literals, or a long word.
fn suspicious(name: &str) -> bool {
    let mut run = 0usize;
    for b in name.bytes() {
        match b {
            b'0'..=b'9' | b'@' | b'?' | b'#' | b'=' | b'\'' | ..0x20 | 0x7f.. => return true,
            b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' => {
                run += 1;
                if run >= 40 {
                    return true;
                }
            }
            _ => run = 0,
        }
    }
    // Prefixes of secrets short enough to pass.
    ["_live_", "_test_", "earer "].iter().any(|mark| name.contains(mark))
}

/// Appends one white-space-separated word, its URL parts cut and its segments replaced.
fn push_word(out: &mut String, word: &str) {
    let mut word = word;
    if let Some((scheme, rest)) = word.split_once("://") {
        out.push_str(scheme);
        out.push_str("://");
        let host_end = rest.find('/').unwrap_or(rest.len());
        let (host, path) = rest.split_at(host_end);
        // User info never leaves.
        push_segments(out, host.rsplit_once('@').map_or(host, |(_, host)| host).split(['?', '#']).next().unwrap_or(""));
        word = path;
    }
    if word.contains('/') {
        // A query or fragment; `?` alone is a placeholder of SQL.
        word = word.find(['?', '#']).and_then(|at| word.get(..at)).unwrap_or(word);
    }
    push_segments(out, word);
}

fn push_segments(out: &mut String, word: &str) {
    let mut rest = word;
    let mut before = b' ';
    let mut key = "";
    loop {
        let end = rest.bytes().position(|b| SEPARATORS.contains(&b)).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(end);
        if before == b'=' && segment::names_a_secret(key) && !text.is_empty() {
            out.push_str("{secret}");
        } else {
            // `HTTP/2` is a protocol.
            segment::push(out, text, before == b'/' && !key.eq_ignore_ascii_case("http"));
        }
        let Some(&separator) = tail.as_bytes().first() else { break };
        out.push(char::from(separator));
        (before, key) = (separator, text);
        rest = tail.get(1..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_left_alone_and_borrowed() {
        for name in [
            "HTTP GET",
            "GET /api/v1/cart",
            "hipstershop.CurrencyService/Convert",
            "/hipstershop.RecommendationService/ListRecommendations",
            "SELECT ts.orders",
            "SELECT * FROM t WHERE id = ? AND x = $1",
            "orders publish",
            "s3.GetObject",
            "GET /users/{id}",
            "GET /users/:id",
            "HTTP 200",
            "hipstershop.Frontend/Recv.",
            "sha256 us-east-1 oauth2 p99 orders-0",
            "X509CertificateValidationFilter/doFilter",
            "BasicErrorController.error",
            "prepareOrderItemsAndShippingQuoteFromCartAndALotMore",
            "org.springframework.web.servlet.DispatcherServlet.doDispatch",
            "поиск/заказы",
            "localhost:8080",
            "HTTP/2 POST",
            "Validate Bearer Token",
            "get_v1_users_v2_items_v3",
            "",
        ] {
            let got = operation(name);
            assert_eq!(got, name);
            assert!(matches!(got, Cow::Borrowed(_)), "{name}");
        }
    }

    #[test]
    fn ids_in_segments_become_a_placeholder() {
        for (name, want) in [
            ("GET /users/5", "GET /users/{id}"),
            ("GET /users/5/orders/77?x=1#top", "GET /users/{id}/orders/{id}"),
            ("GET /o/550e8400-e29b-41d4-a716-446655440000", "GET /o/{id}"),
            ("job-550E8400-E29B-41D4-A716-446655440000 run", "job-{id} run"),
            ("GET /blob/9f86d081884c7d65/raw", "GET /blob/{id}/raw"),
            ("lookup 9f86d081884c7d65", "lookup {id}"),
            ("GET /a1b2c3d4", "GET /{id}"),
            ("GET /orders/ORD-12345", "GET /orders/ORD-{id}"),
            ("GET /img/12345.png", "GET /img/{id}.png"),
            ("GET /by-day/2024-01-31", "GET /by-day/{id}"),
            ("GET http://10.1.2.3:8080/x", "GET http://{id}:8080/x"),
            ("GET https://bob:pw@shop.example/x?token=abc", "GET https://shop.example/x"),
            ("mail bob.smith@example.com", "mail {id}"),
            ("process order 1234567", "process order {id}"),
            ("HGET cart:1234567", "HGET cart:{id}"),
            ("GET /k/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET /k/{id}"),
            ("exec frontend-5d4f9c7b6-x2x9k", "exec {id}"),
            ("SELECT x FROM t WHERE n = 'bob smith' AND m='x''y'", "SELECT x FROM t WHERE n = ? AND m=??"),
        ] {
            assert_eq!(operation(name), want);
        }
    }

    #[test]
    fn secrets_never_stay() {
        for (name, want) in [
            ("GET /cb/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "GET /cb/{secret}"),
            ("auth Bearer abcdef1", "auth Bearer {secret}"),
            ("auth Bearer AbcdefghijklmnOp", "auth Bearer {secret}"),
            ("use AKIAIOSFODNN7EXAMPLE now", "use {secret} now"),
            ("call sk_live_abcdefghij", "call {secret}"),
            ("call token=hunter two", "call token={secret} two"),
            ("GET /t/ghp_16C7e42F292c6912E7710c838347Ae178B4a", "GET /t/{secret}"),
        ] {
            assert_eq!(operation(name), want);
        }
        assert_eq!(attribute("key=ghp_16C7e42F292c6912E7710c838347Ae178B4a x", 256), "key={secret} x");
        assert!(matches!(attribute("checkout-140-5d4f9", 256), Cow::Borrowed(_)));
    }

    #[test]
    fn long_names_and_control_characters_are_bounded() {
        let long = operation(&"é".repeat(1_000_000)).into_owned();
        assert!(long.len() <= MAX_NAME && long.ends_with('…'));
        assert_eq!(operation("a\nb\u{202e}c\u{0}"), "a b c ");
        assert_eq!(clean("naïve", 4), "n…");
    }

    proptest! {
        #[test]
        fn any_text_stays_bounded_and_a_second_pass_changes_nothing(name in "\\PC{0,300}|[a-z0-9/?=:@'. -]{0,300}") {
            let once = operation(&name).into_owned();
            prop_assert!(once.len() <= MAX_NAME);
            prop_assert!(!once.chars().any(char::is_control));
            prop_assert!(attribute(&name, 64).len() <= 64 + 64 * 8);
        }
    }
}
