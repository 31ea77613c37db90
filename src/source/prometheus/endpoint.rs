//! Which address a URL means.
//!
//! | URL | HTTP |
//! |---|---|
//! | `prometheus://host` | `http://host:9090` |
//! | `prometheus://host:PORT/prefix` | `http://host:PORT/prefix` (Mimir: `/prometheus`) |
//! | `prometheus+https://host[:PORT][/prefix]` | `https://`, 443 or PORT |
//!
//! A user and password in the URL become Basic authentication and are never shown.

use url::Url;

use crate::diag::Diagnostic;
use crate::source::backend::address;

const PORT: u16 = 9090;

/// Where to connect.
pub(super) struct Endpoint {
    /// Base of the HTTP API, with a path prefix if there is one.
    pub(super) http: Url,
    /// User and password of the URL.
    pub(super) basic: Option<(String, String)>,
    /// For people: scheme, host and port, nothing else.
    pub(super) shown: String,
}

/// Whether this names a Prometheus, or what speaks its API.
pub(super) fn claims(from: &str) -> bool {
    let scheme = from.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("prometheus" | "prometheus+http" | "prometheus+https"))
}

/// Reads a URL.
///
/// # Errors
/// `source-url` for anything that cannot be understood.
pub(super) fn parse(from: &str) -> Result<Endpoint, Diagnostic> {
    let bad = |why: &str| {
        Diagnostic::error("source-url", format!("the Prometheus address {why}"))
            .help("write prometheus://host:9090, or prometheus+https://host/prefix; Mimir's prefix is /prometheus")
    };
    let (scheme, rest) = from.split_once("://").ok_or_else(|| bad("has no scheme"))?;
    let scheme = scheme.to_ascii_lowercase();
    let tls = scheme == "prometheus+https";
    // The url crate treats unknown schemes as opaque; http and https give hosts and ports their usual meaning.
    let plain = format!("{}://{rest}", if tls { "https" } else { "http" });
    let url = Url::parse(&plain).map_err(|e| bad(&format!("cannot be read: {e}")))?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad("names no host"))?.to_owned();
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("takes no parameters"));
    }
    let port = address::explicit_port(rest, url.port()).unwrap_or(if tls { 443 } else { PORT });
    let http = address::base(&url, port).ok_or_else(|| bad("cannot be used"))?;
    let basic = address::basic(&url);
    let shown = format!("{scheme}://{host}:{port}");
    Ok(Endpoint { http, basic, shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_form_gives_its_address() {
        for (from, http, shown) in [
            ("prometheus://p", "http://p:9090/", "prometheus://p:9090"),
            ("prometheus://p:80/prometheus", "http://p/prometheus", "prometheus://p:80"),
            ("prometheus+https://m/prometheus/", "https://m/prometheus/", "prometheus+https://m:443"),
            ("PROMETHEUS+HTTP://[::1]:1", "http://[::1]:1/", "prometheus+http://[::1]:1"),
        ] {
            let endpoint = parse(from).unwrap();
            assert!(claims(from));
            assert_eq!((endpoint.http.as_str(), endpoint.shown.as_str()), (http, shown), "{from}");
        }
        assert!(!claims("tempo://p") && !claims("prometheus") && !claims("-"));
    }

    #[test]
    fn credentials_are_used_and_never_shown_and_nonsense_is_refused() {
        let endpoint = parse("prometheus+https://us%40er:p+w@p/x").unwrap();
        assert_eq!(endpoint.basic, Some(("us@er".to_owned(), "p+w".to_owned())));
        assert!(!endpoint.http.as_str().contains("p+w") && !endpoint.shown.contains("p+w"));
        for from in ["prometheus://", "prometheus://h:x", "prometheus://h?x=1"] {
            assert_eq!(parse(from).err().unwrap().code, "source-url", "{from}");
        }
    }
}
