//! What was typed as an address.

use url::Url;

use crate::diag::Diagnostic;
use crate::source::backend::address;

/// How to connect to one port.
pub(super) struct Endpoint {
    pub(super) grpc: Url,
    pub(super) http: Url,
    pub(super) basic: Option<(String, String)>,
    /// For people: scheme, host and port, nothing else.
    pub(super) shown: String,
}

/// A host, and what was said besides.
#[derive(Clone)]
pub(super) struct Address {
    /// Name or address; IPv6 in brackets.
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// Port of the same host that `?http=` names.
    pub(super) beside: Option<u16>,
    /// `host:port` that `?http=` names where it is another host.
    pub(super) elsewhere: Option<String>,
    path: String,
    basic: Option<(String, String)>,
}

pub(super) fn unreadable(why: &str) -> Diagnostic {
    Diagnostic::error("source-url", format!("the address {why}"))
        .help("write host, host:port, or a URL such as https://tempo.example.com")
}

impl Address {
    /// Reads `host`, `host:port` or a URL of any scheme.
    ///
    /// # Errors
    /// `source-url`.
    pub(super) fn parse(text: &str) -> Result<Self, Diagnostic> {
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let scheme = scheme.to_ascii_lowercase();
        let tls = scheme.ends_with("https") || scheme.ends_with("grpcs");
        // Only http and https give hosts and ports their usual meaning in this crate.
        let url = Url::parse(&format!("http://{rest}")).map_err(|e| unreadable(&format!("cannot be read: {e}")))?;
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| unreadable("names no host"))?.to_owned();
        let usual = match scheme.as_str() {
            "http" => Some(80),
            _ if tls => Some(443),
            _ => None,
        };
        let port = address::explicit_port(rest, url.port()).or(usual);
        let other = url.query_pairs().find(|(key, _)| key == "http").and_then(|(_, value)| {
            let value = value.split_once("://").map_or(&*value, |(_, rest)| rest);
            let url = Url::parse(&format!("http://{value}")).ok()?;
            Some((url.host_str()?.to_owned(), url.port()))
        });
        let (beside, elsewhere) = match other {
            Some((name, port)) if name == host => (port, None),
            Some((name, port)) => (None, Some(port.map_or_else(|| name.clone(), |port| format!("{name}:{port}")))),
            None => (None, None),
        };
        Ok(Self { host, port, beside, elsewhere, path: url.path().to_owned(), basic: address::basic(&url) })
    }

    /// How tracebook would connect to a port of it.
    pub(super) fn endpoint(&self, scheme: &str, port: u16) -> Option<Endpoint> {
        let grpc = Url::parse(&format!("{scheme}://{}:{port}/", self.host)).ok()?;
        let mut http = grpc.clone();
        http.set_path(&self.path);
        let shown = format!("{scheme}://{}:{port}", self.host);
        Some(Endpoint { grpc, http, basic: self.basic.clone(), shown })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_ports_and_urls_are_read() {
        for (text, host, port) in [
            ("tempo", "tempo", None),
            ("tempo:3200", "tempo", Some(3200)),
            ("http://tempo", "tempo", Some(80)),
            ("http://tempo:80", "tempo", Some(80)),
            ("https://tempo/prefix", "tempo", Some(443)),
            ("tempo+https://tempo", "tempo", Some(443)),
            ("tempo://tempo", "tempo", None),
            ("jaeger://10.0.0.1:16685", "10.0.0.1", Some(16685)),
            ("[::1]:4317", "[::1]", Some(4317)),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
        }
        assert_eq!(Address::parse("http://").err().unwrap().code, "source-url");
        assert_eq!(Address::parse("").err().unwrap().code, "source-url");
    }

    #[test]
    fn a_second_port_of_the_same_host_is_looked_at_too() {
        let beside = |text: &str| Address::parse(text).unwrap().beside;
        assert_eq!(beside("tempo://tempo:9095?http=tempo:3201"), Some(3201));
        assert_eq!(beside("tempo+https://tempo?http=https://tempo:3201/prefix"), Some(3201));
        assert_eq!([beside("tempo://tempo:9095?http=other:3201"), beside("tempo:9095")], [None, None]);
        let elsewhere = |text: &str| Address::parse(text).unwrap().elsewhere;
        assert_eq!(elsewhere("tempo://tempo:9095?http=other:3201").as_deref(), Some("other:3201"));
        assert_eq!(elsewhere("tempo://tempo:9095?http=https://me:word@other/x").as_deref(), Some("other"));
        assert_eq!([elsewhere("tempo://tempo:9095?http=tempo:3201"), elsewhere("tempo:9095")], [None, None]);
    }

    #[test]
    fn a_password_is_used_and_not_shown() {
        let endpoint = Address::parse("https://me:secret@tempo/x").unwrap().endpoint("https", 443).unwrap();
        assert_eq!(endpoint.basic, Some(("me".to_owned(), "secret".to_owned())));
        assert_eq!(endpoint.shown, "https://tempo:443");
        assert!(!endpoint.http.as_str().contains("secret"));
    }
}
