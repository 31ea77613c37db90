//! Which address a URL means: gRPC for searches, HTTP for whole traces.
//!
//! | URL | gRPC | HTTP |
//! |---|---|---|
//! | `tempo://host` | plaintext, 9095 | `http://host:3200` |
//! | `tempo://host:PORT` | plaintext, PORT | `http://host:3200` |
//! | `tempo://host:3200`, `tempo+http://host:PORT` | plaintext, PORT | the same port (`stream_over_http_enabled: true`) |
//! | `tempo+https://host[:PORT]` | TLS, PORT (443) | `https://`, the same port |
//! | `…:9095` with TLS or `tempo+http` | 9095 | port 3200 of the same host |
//! | `http://host:3200`, `https://host:9095` … | as `tempo+http`, `tempo+https` | |
//!
//! `?http=host:port` or `?http=https://host/prefix` names the HTTP side; `?limit=N` lowers the search limit;
//! `?traces=by-id` fetches every trace over HTTP (slow, for comparison and for servers without `select`). A user and
//! password in the URL become Basic authentication and are never shown.

use url::Url;

use crate::diag::{Diagnostic, Location};
use crate::source::backend::address::{base, basic, explicit_port};

const GRPC_PORT: u16 = 9095;
const HTTP_PORT: u16 = 3200;

/// Where to connect.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// `http://host:port` or `https://host:port` for tonic.
    pub(super) grpc: Url,
    /// Base of the HTTP API, with a path prefix if there is one.
    pub(super) http: Url,
    /// User and password of the URL.
    pub(super) basic: Option<(String, String)>,
    /// `?limit=`: the most traces to ask for in one search.
    pub(super) limit: Option<u32>,
    /// `?traces=by-id`: fetch every trace over HTTP, none in bulk.
    pub(super) by_id: bool,
    /// For people: scheme, host and port, nothing else.
    pub(super) shown: String,
}

/// Whether this source names a Tempo, or an address that people mistake for one.
pub(super) fn claims(from: &str) -> bool {
    let scheme = from.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    match scheme.as_deref() {
        Some("tempo" | "tempo+http" | "tempo+https" | "tempo+grpc" | "tempo+grpcs" | "http" | "https" | "grpc") => true,
        Some(_) => false,
        // `tempo:4317` without a scheme: an endpoint as OTEL_EXPORTER_OTLP_ENDPOINT holds it.
        None => from.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && !host.contains(['/', '\\']) && ingest_port(port.parse().ok())
        }),
    }
}

fn ingest_port(port: Option<u16>) -> bool {
    matches!(port, Some(4317 | 4318))
}

/// Reads a URL.
///
/// # Errors
/// `ingest-port` for 4317 and 4318, `source-url` for anything that cannot be understood.
pub(super) fn parse(from: &str) -> Result<Endpoint, Diagnostic> {
    let (scheme, rest) = from.split_once("://").unwrap_or(("tempo", from));
    let scheme = scheme.to_ascii_lowercase();
    let tls = matches!(scheme.as_str(), "https" | "tempo+https" | "tempo+grpcs");
    let bad = |why: &str| {
        Diagnostic::error("source-url", format!("the Tempo address {why}"))
            .help("write tempo://host:9095, tempo+http://host:3200 or tempo+https://host")
    };
    // The url crate treats unknown schemes as opaque; http and https give hosts and ports their usual meaning.
    let plain = format!("{}://{rest}", if tls { "https" } else { "http" });
    let url = Url::parse(&plain).map_err(|e| bad(&format!("cannot be read: {e}")))?;
    let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| bad("names no host"))?.to_owned();
    let explicit = explicit_port(rest, url.port());
    let port = explicit.unwrap_or(match scheme.as_str() {
        "tempo+http" => HTTP_PORT,
        _ if tls => 443,
        "http" => 80,
        _ => GRPC_PORT,
    });
    let shown_scheme = match scheme.as_str() {
        "http" => "tempo+http",
        "https" => "tempo+https",
        "grpc" => "tempo",
        other => other,
    };
    let shown = format!("{shown_scheme}://{host}:{port}");
    if ingest_port(Some(port)) {
        return Err(ingest(&shown, &host));
    }
    if matches!(scheme.as_str(), "http" | "https" | "grpc") && !matches!(port, GRPC_PORT | HTTP_PORT) {
        return Err(Diagnostic::error(
            "source-unknown",
            format!("`{scheme}://{host}:{port}` does not say which kind of backend answers there"),
        )
        .at(Location::file(shown.clone()))
        .help(match port {
            16685 | 16686 => format!("for a Jaeger write jaeger://{host}:16685 instead"),
            9090 => format!("for a Prometheus write prometheus://{host}:{port} instead"),
            _ => format!(
                "`tracebook doctor {host}:{port}` finds out; for a Tempo write {shown} instead, for a Prometheus prometheus://{host}:{port}"
            ),
        }));
    }
    let mut http = None;
    let mut limit = None;
    let mut by_id = false;
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "http" => http = Some(http_base(&value, tls).ok_or_else(|| bad("has an `http=` that is no address"))?),
            "limit" => {
                let n = value.parse().ok().filter(|n| *n > 0);
                limit = Some(n.ok_or_else(|| bad("has a `limit=` that is no positive number"))?);
            }
            "traces" if value == "by-id" => by_id = true,
            "traces" => return Err(bad("has a `traces=` that is not by-id")),
            other => return Err(bad(&format!("has the unknown parameter `{}`", other.escape_debug()))),
        }
    }
    let one_port = port == HTTP_PORT || (port != GRPC_PORT && scheme != "tempo" && scheme != "tempo+grpc");
    let mut grpc = base(&url, port).ok_or_else(|| bad("cannot be used"))?;
    grpc.set_path("");
    let beside = base(&url, if one_port { port } else { HTTP_PORT }).ok_or_else(|| bad("cannot be used"))?;
    Ok(Endpoint { grpc, http: http.unwrap_or(beside), basic: basic(&url), limit, by_id, shown })
}

fn http_base(value: &str, tls: bool) -> Option<Url> {
    let text = if value.contains("://") {
        value.to_owned()
    } else {
        format!("{}://{value}", if tls { "https" } else { "http" })
    };
    let url = Url::parse(&text).ok()?;
    let port = url.port_or_known_default()?;
    matches!(url.scheme(), "http" | "https").then_some(())?;
    url.host_str().filter(|h| !h.is_empty())?;
    base(&url, port)
}

fn ingest(shown: &str, host: &str) -> Diagnostic {
    Diagnostic::error(
        "ingest-port",
        "ports 4317 and 4318 take spans in (OTLP); no questions can be asked there, so nothing was tried".to_owned(),
    )
    .at(Location::file(shown))
    .help(format!(
        "ask Tempo at its query port: tempo://{host}:9095 (gRPC) or tempo+http://{host}:3200 (one port for both); to take spans in \
         yourself: tracebook capture --from otlp://HOST:PORT"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(from: &str) -> (String, String) {
        let e = parse(from).unwrap();
        (e.grpc.to_string(), e.http.to_string())
    }

    #[test]
    fn each_url_form_gives_its_two_addresses() {
        for (from, grpc, http) in [
            ("tempo://t", "http://t:9095/", "http://t:3200/"),
            ("tempo://t:19095?http=t:13200", "http://t:19095/", "http://t:13200/"),
            ("tempo://t:3200", "http://t:3200/", "http://t:3200/"),
            ("tempo+http://t:8080", "http://t:8080/", "http://t:8080/"),
            ("tempo+http://t:9095", "http://t:9095/", "http://t:3200/"),
            ("tempo+https://t", "https://t/", "https://t/"),
            ("tempo+https://t:9095?http=https://x/tempo", "https://t:9095/", "https://x/tempo"),
            ("tempo+https://[::1]:9095", "https://[::1]:9095/", "https://[::1]:3200/"),
            ("http://t:3200", "http://t:3200/", "http://t:3200/"),
        ] {
            assert_eq!(urls(from), (grpc.to_owned(), http.to_owned()), "{from}");
        }
    }

    #[test]
    fn an_ingest_port_is_refused_before_anything_is_tried() {
        for from in [
            "http://tempo:4317",
            "tempo://tempo:4317",
            "tempo:4317",
            "https://t:4318",
            "tempo+https://t:4318/v1/traces",
        ] {
            assert!(claims(from), "{from}");
            let refused = parse(from).err().unwrap();
            assert_eq!(refused.code, "ingest-port", "{from}");
            assert!(refused.help.contains("9095") && refused.help.contains("3200"));
        }
    }

    #[test]
    fn other_sources_are_left_to_others() {
        for from in
            ["traces.jsonl", "-", "/var/traces", "jaeger://h:16685", "otlp://0.0.0.0:4317", "dir:name", "a/b:4317"]
        {
            assert!(!claims(from), "{from}");
        }
    }

    #[test]
    fn credentials_in_the_url_are_used_and_never_shown() {
        let e = parse("tempo+https://us%40er:p%3Aw+d@t:3200?limit=100").unwrap();
        assert_eq!(e.basic, Some(("us@er".to_owned(), "p:w+d".to_owned())));
        assert_eq!(e.limit, Some(100));
        assert_eq!(e.shown, "tempo+https://t:3200");
        assert!(!e.grpc.as_str().contains("p%3Aw") && !e.http.as_str().contains("p%3Aw"));
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        assert_eq!(parse("tempo://").err().unwrap().code, "source-url");
        assert_eq!(parse("tempo://t?htpp=x").err().unwrap().code, "source-url");
        assert_eq!(parse("tempo://t?limit=0").err().unwrap().code, "source-url");
        assert_eq!(parse("tempo://t?http=ftp://x").err().unwrap().code, "source-url");
        assert_eq!(parse("tempo://t?traces=byid").err().unwrap().code, "source-url");
        assert!(!parse("tempo://t").unwrap().by_id && parse("tempo://t?traces=by-id").unwrap().by_id);
        for (from, help) in [
            ("http://t:8080", "tracebook doctor t:8080"),
            ("http://t:9090", "prometheus://t:9090"),
            ("http://t:16686", "jaeger://t:16685"),
        ] {
            let unknown = parse(from).err().unwrap();
            assert!(unknown.code == "source-unknown" && unknown.help.contains(help), "{unknown}");
        }
    }
}
