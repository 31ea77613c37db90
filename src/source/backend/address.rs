//! Parts of the address of a backend.

use url::Url;

/// The port as written. The url crate hides one that equals the scheme's default; `rest` is what follows `://`.
pub(in crate::source) fn explicit_port(rest: &str, known: Option<u16>) -> Option<u16> {
    known.or_else(|| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok())
    })
}

/// User and password of a URL, decoded.
pub(in crate::source) fn basic(url: &Url) -> Option<(String, String)> {
    (!url.username().is_empty()).then(|| (decode(url.username()), decode(url.password().unwrap_or_default())))
}

fn decode(text: &str) -> String {
    // A query string decoder does percent-decoding; `+` is literal in user info, so it is protected first.
    let protected = text.replace('+', "%2B");
    url::form_urlencoded::parse(format!("x={protected}").as_bytes())
        .next()
        .map(|(_, v)| v.into_owned())
        .unwrap_or_default()
}

/// The same URL at a port, without credentials, query and fragment.
pub(in crate::source) fn base(url: &Url, port: u16) -> Option<Url> {
    let mut base = url.clone();
    base.set_username("").ok()?;
    base.set_password(None).ok()?;
    base.set_port(Some(port)).ok()?;
    base.set_query(None);
    base.set_fragment(None);
    Some(base)
}
