//! Which address a URL means.
//!
//! | URL | gRPC |
//! |---|---|
//! | `jaeger://host`, `jaeger://host:PORT` | plaintext, 16685 or PORT |
//! | `jaeger+https://host`, `jaeger+https://host:PORT` | TLS, 443 or PORT |
//!
//! `?depth=N` sets the search depth. A user and password in the URL become Basic authentication and are never shown.

use url::Url;

use crate::diag::{Diagnostic, Location};
use crate::source::backend::place::{Manner, Place};

/// Port of the query service's gRPC side.
pub(super) const GRPC_PORT: u16 = 16685;
/// Traces asked for at once. Jaeger's own page asks for at most 1,500.
const DEPTH: u32 = 1_000;

/// Where to connect.
pub(super) struct Endpoint {
    pub(super) grpc: Url,
    /// User and password of the URL.
    pub(super) basic: Option<(String, String)>,
    /// The most traces to ask for in one search.
    pub(super) depth: u32,
    /// For people: scheme, host and port, nothing else.
    pub(super) shown: String,
}

/// A Jaeger.
pub(super) const MANNER: Manner = Manner {
    scheme: "jaeger",
    port: GRPC_PORT,
    tls: false,
    user: true,
    parameters: &["depth"],
    help: "write jaeger://host:16685 or jaeger+https://host",
};

/// Reads a URL.
///
/// # Errors
/// `ingest-port` for ports that take spans in, `source-url` for anything that cannot be understood.
pub(super) fn parse(from: &str) -> Result<Endpoint, Diagnostic> {
    let Place { url, http: mut grpc, basic, shown } = MANNER.parse(from)?;
    let shown = shown.replacen("+http:", ":", 1);
    let (host, port) = (grpc.host_str().unwrap_or_default(), grpc.port_or_known_default().unwrap_or(GRPC_PORT));
    if matches!(port, 4317 | 4318 | 14250 | 14268) {
        return Err(Diagnostic::error(
            "ingest-port",
            format!("port {port} takes spans in; no questions can be asked there, so nothing was tried"),
        )
        .at(Location::file(shown))
        .help(format!(
            "ask Jaeger at the gRPC port of its query service: jaeger://{host}:{GRPC_PORT}; to take spans in yourself: \
             tracebook capture --from otlp://HOST:PORT"
        )));
    }
    let mut depth = DEPTH;
    for (_, value) in url.query_pairs() {
        let n = value.parse().ok().filter(|n| (2..=1_000_000).contains(n));
        depth = n.ok_or_else(|| MANNER.bad("has a `depth=` that is no number from 2 to 1000000"))?;
    }
    grpc.set_path("");
    Ok(Endpoint { grpc, basic, depth, shown })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_form_gives_its_address() {
        for (from, grpc, shown) in [
            ("jaeger://j", "http://j:16685/", "jaeger://j:16685"),
            ("jaeger://j:80", "http://j/", "jaeger://j:80"),
            ("JAEGER://j:26685?depth=20", "http://j:26685/", "jaeger://j:26685"),
            ("jaeger+https://u:p@j.example.com", "https://j.example.com/", "jaeger+https://j.example.com:443"),
            ("jaeger+https://[::1]:16685", "https://[::1]:16685/", "jaeger+https://[::1]:16685"),
        ] {
            assert!(MANNER.claims(from), "{from}");
            let endpoint = parse(from).ok().unwrap();
            assert_eq!((endpoint.grpc.as_str(), endpoint.shown.as_str()), (grpc, shown), "{from}");
        }
        assert_eq!(parse("jaeger://j?depth=20").ok().unwrap().depth, 20);
        assert_eq!(parse("jaeger+https://u:p%3Aw@j").ok().unwrap().basic, Some(("u".to_owned(), "p:w".to_owned())));
    }

    #[test]
    fn what_cannot_work_is_said_before_anything_is_tried() {
        for port in [4317, 4318, 14250, 14268] {
            let refused = parse(&format!("jaeger://j:{port}")).err().unwrap();
            assert_eq!(refused.code, "ingest-port");
            assert!(refused.help.contains("jaeger://j:16685"));
        }
        for from in
            ["jaeger://", "jaeger://j?limit=5", "jaeger://j?depth=0", "jaeger://j?depth=1", "jaeger://j?depth=x"]
        {
            assert_eq!(parse(from).err().unwrap().code, "source-url", "{from}");
        }
        for from in ["tempo://j:16685", "http://j:16685", "jaeger.json", "-"] {
            assert!(!MANNER.claims(from), "{from}");
        }
    }
}
