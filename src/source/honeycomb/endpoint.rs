//! Which address a URL means: `honeycomb://api.honeycomb.io` and `honeycomb://api.eu1.honeycomb.io` are HTTPS, 443 by default;
//! `honeycomb+http://host:PORT` is for a proxy on this machine.

use url::Url;

use crate::diag::Diagnostic;
use crate::source::backend::address;

/// Where Honeycomb's API is.
const HOSTS: [&str; 2] = ["api.honeycomb.io", "api.eu1.honeycomb.io"];

/// Where to connect.
pub(in crate::source) struct Endpoint {
    /// Base of the HTTP API.
    pub(in crate::source) http: Url,
    /// For people: scheme, host and port, nothing else.
    pub(in crate::source) shown: String,
}

/// Whether this names a Honeycomb.
pub(super) fn claims(from: &str) -> bool {
    let scheme = from.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("honeycomb" | "honeycomb+http" | "honeycomb+https"))
}

/// The source that an address names: a Honeycomb's own form, or any other of a host that is known to be its API.
pub(in crate::source) fn meant(address: &str) -> Option<String> {
    let address = address.trim();
    if claims(address) {
        return Some(address.to_owned());
    }
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = Url::parse(&format!("https://{rest}")).ok()?.host_str()?.to_owned();
    HOSTS.contains(&host.as_str()).then(|| format!("honeycomb://{host}"))
}

/// Reads a URL.
///
/// # Errors
/// `source-url` for anything that cannot be understood, and for a key in it.
pub(in crate::source) fn parse(from: &str) -> Result<Endpoint, Diagnostic> {
    let bad = |why: &str| {
        Diagnostic::error("source-url", format!("the Honeycomb address {why}"))
            .help("write honeycomb://api.honeycomb.io, or honeycomb://api.eu1.honeycomb.io for the EU; the key goes into HONEYCOMB_API_KEY")
    };
    let (scheme, rest) = from.split_once("://").ok_or_else(|| bad("has no scheme"))?;
    let scheme = scheme.to_ascii_lowercase();
    let (plain, standard) = if scheme == "honeycomb+http" { ("http", 80) } else { ("https", 443) };
    // The url crate treats unknown schemes as opaque; http and https give hosts and ports their usual meaning.
    let url = Url::parse(&format!("{plain}://{rest}")).map_err(|e| bad(&format!("cannot be read: {e}")))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?.to_owned();
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("holds a user or a key, which would be seen in process lists"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("takes no parameters"));
    }
    let port = address::explicit_port(rest, url.port()).unwrap_or(standard);
    let http = address::base(&url, port).ok_or_else(|| bad("cannot be used"))?;
    Ok(Endpoint { http, shown: format!("{scheme}://{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_form_gives_its_address_and_a_key_in_it_is_refused() {
        for (from, http, shown) in [
            ("honeycomb://api.honeycomb.io", "https://api.honeycomb.io/", "honeycomb://api.honeycomb.io:443"),
            ("HONEYCOMB+HTTP://[::1]:81", "http://[::1]:81/", "honeycomb+http://[::1]:81"),
        ] {
            let endpoint = parse(from).unwrap();
            assert!(claims(from));
            assert_eq!((endpoint.http.as_str(), endpoint.shown.as_str()), (http, shown), "{from}");
        }
        for from in ["honeycomb://", "honeycomb://s3cret@h", "honeycomb://h?key=s3cret"] {
            let refused = parse(from).err().unwrap();
            assert!(refused.code == "source-url" && !refused.to_string().contains("s3cret"), "{from}");
        }
        assert!(!claims("tempo://h") && !claims("honeycomb"));
    }

    #[test]
    fn an_address_of_honeycomb_is_known_whatever_its_form() {
        for (address, from) in [
            ("honeycomb+http://h:1", Some("honeycomb+http://h:1")),
            ("https://api.honeycomb.io", Some("honeycomb://api.honeycomb.io")),
            ("https://API.eu1.honeycomb.io:443/1/events/x", Some("honeycomb://api.eu1.honeycomb.io")),
            ("api.honeycomb.io:443", Some("honeycomb://api.honeycomb.io")),
            ("https://api.honeycomb.io.example.com", None),
            ("https://example.com/api.honeycomb.io", None),
            ("tempo", None),
        ] {
            assert_eq!(meant(address).as_deref(), from, "{address}");
        }
    }
}
