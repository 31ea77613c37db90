//! Credentials and TLS, once for both sides: gRPC metadata and channel, HTTP headers and client.
//!
//! Must not: put a secret, or a header's value, into any message.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use url::Url;

use super::trouble::chain;
use crate::diag::{Diagnostic, Location};
use crate::source::Transport;

/// Tempo refuses pings more often than every 10 s.
const KEEPALIVE: Duration = Duration::from_secs(20);
const MOST_REDIRECTS: usize = 3;
const CONNECT: Duration = Duration::from_secs(10);

/// What every request carries. `basic` are the credentials of the URL, which those of the environment win over.
///
/// # Errors
/// `transport-header` for a name or value that HTTP does not allow.
pub(in crate::source) fn headers(
    transport: &Transport,
    basic: Option<&(String, String)>,
    tenant_header: &str,
) -> Result<HeaderMap, Diagnostic> {
    let mut headers = HeaderMap::new();
    let mut put = |name: &str, value: &str, secret: bool| {
        let bad = || {
            Diagnostic::error(
                "transport-header",
                format!("the header `{}` cannot be sent as given", name.escape_debug()),
            )
            .help("header names are letters, digits and `-`; values are printable ASCII")
        };
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()).map_err(|_| bad())?;
        let ascii = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        let mut value = HeaderValue::from_str(value).ok().filter(|_| ascii).ok_or_else(bad)?;
        value.set_sensitive(secret);
        headers.insert(name, value);
        Ok::<(), Diagnostic>(())
    };
    let basic = transport.basic.as_ref().or(basic);
    if let Some(token) = &transport.bearer {
        put("authorization", &format!("Bearer {}", token.trim()), true)?;
    } else if let Some((user, password)) = basic {
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        put("authorization", &format!("Basic {encoded}"), true)?;
    }
    if let Some(tenant) = &transport.tenant {
        put(tenant_header, tenant, false)?;
    }
    for (name, value) in &transport.headers {
        put(name, value, true)?;
    }
    Ok(headers)
}

/// The same as gRPC metadata.
pub(in crate::source) fn metadata(headers: &HeaderMap) -> MetadataMap {
    MetadataMap::from_headers(headers.clone())
}

fn pem(path: &Path, what: &str) -> Result<Vec<u8>, Diagnostic> {
    let fail = |why: String| {
        Diagnostic::error("tls-file", format!("the {what} cannot be used: {why}"))
            .at(Location::file(path.display().to_string()))
            .help("give a PEM file that can be read")
    };
    let text = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    let is_pem = text.windows(11).any(|w| w == b"-----BEGIN ");
    if is_pem { Ok(text) } else { Err(fail("it is not PEM".to_owned())) }
}

/// Why there is no connection; the backend says it in its own words.
#[derive(Debug)]
pub(in crate::source) enum Unconnected {
    /// What was given cannot be used, and is said already.
    Setup(Diagnostic),
    /// TLS could not be set up: the texts of the error and its causes.
    Tls(String),
    /// The connection could not be made: the texts of the error and its causes.
    Failed(String),
}

impl From<Diagnostic> for Unconnected {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Setup(diagnostic)
    }
}

/// Bytes of one answer that may be on their way.
const STREAM_WINDOW: u32 = 8 << 20;
/// Bytes of all answers that may be on their way. The h2 crate takes half of it as its budget for the overhead of small frames, a
/// hundred bytes each, and ends a connection that goes over it: a Jaeger sends each trace in a frame of its own, so hundreds
/// of small traces at once are too many for the window that connections begin with.
const CONNECTION_WINDOW: u32 = 32 << 20;

/// A connected channel to `grpc`, which is shown to people as `at`.
///
/// # Errors
/// What kept the connection from being made.
pub(in crate::source) async fn channel(
    grpc: &Url,
    at: &str,
    transport: &Transport,
    timeout: Duration,
) -> Result<Channel, Unconnected> {
    let unusable = |why: &dyn std::fmt::Display| {
        Diagnostic::error("source-url", format!("the address cannot be used: {why}")).at(Location::file(at))
    };
    let mut channel = Channel::from_shared(grpc.as_str().to_owned())
        .map_err(|e| unusable(&e))?
        .user_agent(concat!("tracebook/", env!("CARGO_PKG_VERSION")))
        .map_err(|e| unusable(&e))?
        .connect_timeout(CONNECT.min(timeout))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(CONNECT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    if grpc.scheme() == "https" {
        let mut tls = ClientTlsConfig::new();
        tls = match &transport.ca_file {
            Some(path) => tls.ca_certificate(Certificate::from_pem(pem(path, "certificate authority file")?)),
            None => tls.with_native_roots(),
        };
        if let Some((cert, key)) = &transport.client_cert {
            tls = tls.identity(Identity::from_pem(pem(cert, "client certificate")?, pem(key, "client key")?));
        }
        if let Some(name) = &transport.server_name {
            tls = tls.domain_name(name.clone());
        }
        channel = channel.tls_config(tls).map_err(|e| Unconnected::Tls(chain(Some(&e))))?;
    }
    channel.connect().await.map_err(|e| Unconnected::Failed(chain(Some(&e))))
}

/// What to say when TLS cannot be set up and nothing tells why.
pub(in crate::source) fn tls_setup(at: &str) -> Diagnostic {
    Diagnostic::error("tls-file", "the certificates or the key given for TLS cannot be used")
        .at(Location::file(at))
        .help("check that the files hold PEM certificates and the key that belongs to them")
}

impl Unconnected {
    /// What to say where failures of TLS need no words of their own.
    pub(in crate::source) fn plainly(self, at: &str) -> Diagnostic {
        match self {
            Self::Setup(diagnostic) => diagnostic,
            Self::Tls(_) | Self::Failed(_) => tls_setup(at),
        }
    }
}

/// Where a server sends us elsewhere. Every header goes along, a key in it too: so nowhere but on the same host, and never from
/// TLS to plaintext.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let same = attempt.previous().last().is_some_and(|from| {
        let to = attempt.url();
        from.host_str() == to.host_str() && (to.scheme() == "https" || from.scheme() == to.scheme())
    });
    if same && attempt.previous().len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
}

/// An HTTP client with the same transport, and the base URL to use with it (its host is the expected server name).
///
/// # Errors
/// `tls-file` when certificates cannot be used.
pub(in crate::source) async fn http(
    base: &Url,
    transport: &Transport,
    headers: &HeaderMap,
    timeout: Duration,
) -> Result<(reqwest::Client, Url), Unconnected> {
    // reqwest takes its TLS provider from the process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut base = base.clone();
    let mut builder = reqwest::Client::builder()
        .default_headers(headers.clone())
        .user_agent(concat!("tracebook/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::custom(follow))
        .timeout(timeout)
        .connect_timeout(CONNECT.min(timeout));
    if base.scheme() == "https" {
        if let Some(path) = &transport.ca_file {
            let text = pem(path, "certificate authority file")?;
            let authorities =
                reqwest::Certificate::from_pem_bundle(&text).map_err(|e| Unconnected::Tls(chain(Some(&e))))?;
            builder = builder.tls_certs_only(authorities);
        }
        if let Some((cert, key)) = &transport.client_cert {
            let mut both = pem(cert, "client certificate")?;
            both.push(b'\n');
            both.extend(pem(key, "client key")?);
            builder =
                builder.identity(reqwest::Identity::from_pem(&both).map_err(|e| Unconnected::Tls(chain(Some(&e))))?);
        }
        if let Some(name) = &transport.server_name {
            // reqwest expects the URL's host in the certificate: so the URL gets that name, and the name the address.
            let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let port = base.port_or_known_default().unwrap_or(443);
            if let Ok(addresses) = tokio::net::lookup_host((host.as_str(), port)).await {
                builder = builder.resolve_to_addrs(name, &addresses.collect::<Vec<_>>());
                let _ = base.set_host(Some(name));
            }
        }
    }
    let client = builder.build().map_err(|e| Unconnected::Tls(chain(Some(&e))))?;
    Ok((client, base))
}
