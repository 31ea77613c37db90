//! One segment of a name: is it an id, a secret, or a word to keep?

/// Appends a segment, replaced where it is or holds an id or a secret. `in_path` is set right after a slash, where even
/// short numbers are ids.
pub(super) fn push(out: &mut String, text: &str, in_path: bool) {
    if text.is_empty() || plain_word(text) {
        out.push_str(text);
    } else if is_secret(text) {
        out.push_str("{secret}");
    } else if let Some((head, tail)) = around_uuid(text) {
        // Before the other ids: what stands around a UUID is worth keeping.
        out.push_str(head);
        out.push_str("{id}");
        out.push_str(tail);
    } else if is_email(text) || is_id(text, in_path) {
        out.push_str("{id}");
    } else if let Some((_, extension)) = file_name(text).filter(|(stem, _)| is_id(stem, in_path)) {
        out.push_str("{id}.");
        out.push_str(extension);
    } else if let Some(head) = before_number(text, in_path) {
        out.push_str(head);
        out.push_str("{id}");
    } else {
        out.push_str(text);
    }
}

/// Letters, dots and underscores only, and not long: never an id.
fn plain_word(text: &str) -> bool {
    text.len() < 20
        && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'.' || b == b'_')
        && !text.contains("_live_")
}

/// Whether a word looks like a credential, by the prefixes their issuers give them or the shape of a JWT.
#[must_use]
pub fn is_secret(text: &str) -> bool {
    const PREFIXES: &[(&str, usize)] = &[
        ("AKIA", 20),
        ("ASIA", 20),
        ("AIza", 30),
        ("ghp_", 20),
        ("gho_", 20),
        ("ghs_", 20),
        ("ghu_", 20),
        ("github_pat_", 20),
        ("glpat-", 15),
        ("npm_", 30),
        ("sk-", 24),
        ("sk_live_", 12),
        ("sk_test_", 12),
        ("pk_live_", 12),
        ("rk_live_", 12),
        ("xoxb-", 12),
        ("xoxp-", 12),
        ("xoxa-", 12),
        ("ya29.", 12),
        ("hvs.", 20),
    ];
    // Most words are short, or start with another letter: this runs for every attribute kept.
    let text = text.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if text.len() < 12 || !text.starts_with(['A', 'g', 'h', 'n', 's', 'p', 'r', 'x', 'y', 'e']) {
        return false;
    }
    let token = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+' | b'/' | b'=');
    if PREFIXES.iter().any(|(p, min)| text.starts_with(p) && text.len() >= *min) {
        return text.bytes().all(token);
    }
    text.starts_with("eyJ") && text.len() >= 20 && text.bytes().all(token)
}

/// Whether a key says that its value is a secret.
pub(super) fn names_a_secret(key: &str) -> bool {
    const WORDS: &[&str] =
        &["password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "api-key", "signature", "credential"];
    let key = key.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).to_ascii_lowercase();
    WORDS.iter().any(|word| key.ends_with(word))
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

fn is_id(text: &str, in_path: bool) -> bool {
    let (mut digits, mut hex, mut other) = (0usize, true, false);
    for b in text.bytes() {
        match b {
            b'0'..=b'9' => digits += 1,
            b'A'..=b'Z' | b'a'..=b'z' => {}
            _ => other = true,
        }
        hex &= b.is_ascii_hexdigit();
    }
    if digits == text.len() {
        return digits >= if in_path { 1 } else { 5 };
    }
    if digits == 0 {
        return false;
    }
    if hex && text.len() >= if in_path { 8 } else { 16 } {
        return true;
    }
    let only = |marks: &[u8]| text.bytes().all(|b| b.is_ascii_digit() || marks.contains(&b));
    // 2024-01-31, 4-1234; an IPv4 address; otherwise a long token in which letters and digits keep changing (ULID, KSUID,
    // base64, names of pods).
    in_path && other && digits >= 4 && only(b"-_")
        || text.split('.').count() == 4 && text.split('.').all(|p| p.parse::<u8>().is_ok())
        || text.len() >= 20 && text.split(['-', '_']).all(is_alphanumeric) && text.split(['-', '_']).any(is_jumble)
}

fn is_alphanumeric(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Letters and digits in turn, at least four changes: no word is spelt like that.
fn is_jumble(part: &str) -> bool {
    let (from, to) = (part.bytes(), part.bytes().skip(1));
    part.len() >= 8 && from.zip(to).filter(|(a, b)| a.is_ascii_digit() != b.is_ascii_digit()).count() >= 4
}

/// `12345.png` as stem and extension.
fn file_name(text: &str) -> Option<(&str, &str)> {
    text.rsplit_once('.').filter(|(stem, extension)| {
        !stem.is_empty() && (1..=5).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphabetic())
    })
}

/// What stands before and after the first UUID of a text.
fn around_uuid(text: &str) -> Option<(&str, &str)> {
    const LENGTH: usize = 36;
    let bytes = text.as_bytes();
    let is_uuid = |window: &[u8]| {
        window.iter().enumerate().all(|(i, b)| match i {
            8 | 13 | 18 | 23 => *b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
    };
    let edge = |at: Option<usize>| !at.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_alphanumeric);
    let start = bytes
        .windows(LENGTH)
        .enumerate()
        .find(|(i, w)| is_uuid(w) && edge(i.checked_sub(1)) && edge(Some(i + LENGTH)))
        .map(|(i, _)| i)?;
    Some((text.get(..start)?, text.get(start + LENGTH..)?))
}

/// `ORD-` of `ORD-12345`: a number joined to a word by `-` or `_`.
fn before_number(text: &str, in_path: bool) -> Option<&str> {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = text.len() - head.len();
    let enough = digits >= if in_path { 4 } else { 5 };
    (enough && head.ends_with(['-', '_'])).then_some(head)
}
