//! Addresses of backends that listen at one port: `kind://host`, `kind+http://host:PORT/prefix`, `kind+https://host`.
//!
//! Input: a URL and how this kind of backend is addressed. Output: where to connect. Must not: show a user or a password.

use url::Url;

use super::address;
use crate::diag::Diagnostic;

/// Port of HTTPS.
const TLS_PORT: u16 = 443;

/// How a kind of backend is addressed.
pub(in crate::source) struct Manner {
    /// What comes first in its URLs.
    pub(in crate::source) scheme: &'static str,
    /// Its port without TLS.
    pub(in crate::source) port: u16,
    /// Whether the bare scheme means TLS.
    pub(in crate::source) tls: bool,
    /// Whether a user and password may be in the URL.
    pub(in crate::source) user: bool,
    /// Parameters that there may be.
    pub(in crate::source) parameters: &'static [&'static str],
    /// What to write instead of a URL that cannot be understood.
    pub(in crate::source) help: &'static str,
}

/// Where to connect.
pub(in crate::source) struct Place {
    /// As it was given, but with a scheme that tells how to connect.
    pub(in crate::source) url: Url,
    /// The same without user and parameters: base of an HTTP API, with a path prefix if there is one.
    pub(in crate::source) http: Url,
    /// User and password of the URL.
    pub(in crate::source) basic: Option<(String, String)>,
    /// For people: scheme, host and port, nothing else.
    pub(in crate::source) shown: String,
}

impl Manner {
    /// Whether a URL is of this kind.
    pub(in crate::source) fn claims(&self, from: &str) -> bool {
        self.split(from).is_some()
    }

    /// Whether with TLS, what the scheme is, and what follows it.
    fn split<'a>(&self, from: &'a str) -> Option<(bool, String, &'a str)> {
        let (scheme, rest) = from.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let tls = match scheme.strip_prefix(self.scheme)? {
            "" => self.tls,
            "+http" => false,
            "+https" => true,
            _ => return None,
        };
        Some((tls, scheme, rest))
    }

    /// What to say of a URL that cannot be understood.
    pub(in crate::source) fn bad(&self, why: &str) -> Diagnostic {
        Diagnostic::error("source-url", format!("the {} address {why}", self.scheme)).help(self.help)
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// `source-url` for anything that cannot be understood.
    pub(in crate::source) fn parse(&self, from: &str) -> Result<Place, Diagnostic> {
        let (tls, scheme, rest) = self.split(from).ok_or_else(|| self.bad("has no scheme that is known"))?;
        let (plain, usual) = if tls { ("https", TLS_PORT) } else { ("http", self.port) };
        // The url crate treats unknown schemes as opaque; http and https give hosts and ports their usual meaning.
        let url = Url::parse(&format!("{plain}://{rest}")).map_err(|e| self.bad(&format!("cannot be read: {e}")))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| self.bad("names no host"))?.to_owned();
        if !self.user && (!url.username().is_empty() || url.password().is_some()) {
            return Err(self.bad("holds a user or a key, which would be seen in process lists"));
        }
        // Which one is not repeated: it may be a key that was put there.
        let known = url.query_pairs().all(|(key, _)| self.parameters.contains(&key.as_ref()));
        if !known || url.fragment().is_some() {
            return Err(self.bad("has a parameter that is not known"));
        }
        let port = address::explicit_port(rest, url.port()).unwrap_or(usual);
        let http = address::base(&url, port).ok_or_else(|| self.bad("cannot be used"))?;
        Ok(Place { basic: address::basic(&url), shown: format!("{scheme}://{host}:{port}"), http, url })
    }
}
