//! What answers at an address: which services, with TLS or not, and what keeps tracebook from reading there.
//!
//! Purpose: turn "it does not work" into the right `--from`, or into what has to be changed first.
//! Input: a URL or `host[:port]` and [`SourceOptions`]. Output: an [`Examination`].
//! Must not: send spans, change anything, try a port that no trace backend uses unless it was named, or show a credential.

mod address;
mod grpc;
mod honeycomb;
mod http;
mod knock;
mod verdict;

use std::time::Duration;

use serde::Serialize;

use self::address::{Address, Endpoint};
use super::SourceOptions;
use super::backend::run;
use super::backend::transport::{self, Unconnected};
use super::backend::trouble::chain;
use crate::diag::{Diagnostic, Location};

/// Nobody waits longer than this for one answer; a backend that needs more is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where trace backends listen by default, besides the port that was named. In the order in which they are shown.
const USUAL_PORTS: [u16; 7] = [3200, 9095, 16685, 16686, 9090, 4317, 4318];

/// What was found at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// Host as given, without user or password.
    pub host: String,
    /// What can be given as `--from` now, best first.
    pub sources: Vec<String>,
    /// Every port that was tried: the one that was named first; usual ones where nobody listens are left out.
    pub doors: Vec<Door>,
    /// What is wrong, and what to do.
    pub findings: Vec<Diagnostic>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Door {
    /// Port.
    pub port: u16,
    /// Whether it was named, rather than tried because backends use it.
    pub named: bool,
    /// Whether anything listens, and how it talks.
    pub state: DoorState,
    /// Services found behind it, in the order in which they were asked for.
    pub answers: Vec<Answer>,
}

/// How a port behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DoorState {
    /// Nobody listens.
    Refused,
    /// No answer to the connection in time: a firewall, or a host that is down.
    Silent,
    /// Plaintext HTTP/1.1; it may speak HTTP/2 too.
    Http,
    /// Plaintext HTTP/2 only, as gRPC servers do.
    Http2,
    /// TLS.
    Tls,
    /// Connected, and then nothing that HTTP or TLS would say.
    Unknown,
    /// Connected, and then not a word in time, whatever was said.
    Mute,
}

/// One service behind a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What it is.
    pub service: Service,
    /// Whether it lets us in.
    pub access: Access,
    /// Version, or the server's own words, in one line; empty if it said nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// What can be told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Tempo's HTTP API.
    TempoHttp,
    /// `tempopb.StreamingQuerier`: what `tempo://` asks.
    TempoGrpc,
    /// `jaeger.api_v3.QueryService`: what `jaeger://` asks.
    JaegerGrpc,
    /// Jaeger's user interface and HTTP API.
    JaegerHttp,
    /// A Prometheus, or what speaks its API.
    Prometheus,
    /// OTLP over gRPC: spans go in.
    OtlpGrpc,
    /// OTLP over HTTP: spans go in.
    OtlpHttp,
    /// Zipkin's API.
    Zipkin,
    /// Grafana: a data source proxy at best.
    Grafana,
    /// Honeycomb's API: what `honeycomb://` asks.
    Honeycomb,
    /// Some other HTTP server, such as a proxy.
    Http,
    /// A gRPC server with none of the services above.
    Grpc,
}

impl Service {
    /// For people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::TempoHttp => "Tempo, HTTP API",
            Self::TempoGrpc => "Tempo, query service (gRPC)",
            Self::JaegerGrpc => "Jaeger, query service (gRPC)",
            Self::JaegerHttp => "Jaeger, user interface (HTTP)",
            Self::Prometheus => "Prometheus API",
            Self::OtlpGrpc => "OTLP ingest (gRPC)",
            Self::OtlpHttp => "OTLP ingest (HTTP)",
            Self::Zipkin => "Zipkin API",
            Self::Grafana => "Grafana",
            Self::Honeycomb => "Honeycomb, API",
            Self::Http => "a web server",
            Self::Grpc => "a gRPC server",
        }
    }
}

/// Whether a service lets us in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// It answers.
    Open,
    /// It wants to know the tenant.
    TenantMissing,
    /// It wants a key, and was not asked without one.
    KeyMissing,
    /// It wants other credentials.
    Denied,
    /// It is there and cannot answer now: starting, overloaded, or a proxy without a server behind it.
    NotReady,
}

/// Looks at an address.
///
/// # Errors
/// `source-url` for an address that cannot be read; `transport-header` and `tls-file` for credentials that cannot be used.
/// Whatever is wrong with the server is a finding, not an error.
pub fn examine(address: &str, options: &SourceOptions) -> Result<Examination, Diagnostic> {
    run::run(1, look(address, options))
}

/// The source that an address alone names: `https://api.honeycomb.io` is `honeycomb://api.honeycomb.io`. Any other address
/// is given back as it is.
#[must_use]
pub fn meant(address: &str) -> String {
    super::honeycomb::endpoint::meant(address).unwrap_or_else(|| address.to_owned())
}

async fn look(address: &str, options: &SourceOptions) -> Result<Examination, Diagnostic> {
    let patience = options.timeout.min(PATIENCE);
    if let Some(from) = super::honeycomb::endpoint::meant(address) {
        return honeycomb::examine(&from, options, patience).await;
    }
    let address = Address::parse(address)?;
    if let Err(unknown) = knock::resolve(&address.host, patience).await {
        let findings = vec![unknown];
        return Ok(Examination { host: address.host, sources: Vec::new(), doors: Vec::new(), findings });
    }
    let mut doors = Vec::new();
    let mut findings = Vec::new();
    let typed: Vec<u16> = address.port.into_iter().chain(address.beside).collect();
    let usual = USUAL_PORTS.into_iter().filter(|port| !typed.contains(port));
    for port in typed.iter().copied().chain(usual) {
        let named = typed.contains(&port);
        // The named port may be all that is needed, and nobody likes to be tried at every door.
        if !named && doors.iter().any(|door: &Door| door.named && verdict::complete(&address, door, &doors)) {
            break;
        }
        let (door, found) = at_port(&address, port, named, options, patience).await?;
        if named || !matches!(door.state, DoorState::Refused | DoorState::Silent) {
            doors.push(door);
            findings.extend(found);
        }
    }
    let sources = doors.iter().flat_map(|door| verdict::sources(&address, door, &doors)).collect::<Vec<_>>();
    findings = verdict::findings(&address, &doors, &sources, findings);
    if let Some(other) = &address.elsewhere {
        let apart = format!("`?http=` names another host, {other}, which was not looked at");
        let help = format!("tracebook doctor {other} looks there");
        findings.push(Diagnostic::info("doctor-elsewhere", apart).at(Location::file(other.as_str())).help(help));
    }
    Ok(Examination { host: address.host, sources, doors, findings })
}

/// One port: how it talks, and who answers.
async fn at_port(
    address: &Address,
    port: u16,
    named: bool,
    options: &SourceOptions,
    patience: Duration,
) -> Result<(Door, Option<Diagnostic>), Diagnostic> {
    let state = knock::knock(&address.host, port, patience).await;
    let mut door = Door { port, named, state, answers: Vec::new() };
    if matches!(state, DoorState::Refused | DoorState::Silent) {
        return Ok((door, None));
    }
    let unusable = || address::unreadable("cannot be used");
    let mut endpoint = address.endpoint("https", port).ok_or_else(unusable)?;
    let headers = transport::headers(&options.transport, endpoint.basic.as_ref(), "x-scope-orgid")?;
    // Some servers that want TLS just hang up on anything else.
    if matches!(state, DoorState::Tls | DoorState::Unknown | DoorState::Mute) {
        match handshake(&endpoint, &headers, options, patience, state).await {
            Ok(true) => door.state = DoorState::Tls,
            Ok(false) => {}
            Err(found) => return Ok((Door { state: DoorState::Tls, ..door }, Some(found))),
        }
    }
    if door.state != DoorState::Tls {
        endpoint = address.endpoint("http", port).ok_or_else(unusable)?;
    }
    if !matches!(door.state, DoorState::Http2 | DoorState::Mute) {
        let client = transport::http(&endpoint.http, &options.transport, &headers, patience).await;
        let (client, base) = client.map_err(|failed| failed.plainly(&endpoint.shown))?;
        door.answers.extend(http::ask(&client, &base).await);
    }
    let mut found = None;
    match transport::channel(&endpoint.grpc, &endpoint.shown, &options.transport, patience).await {
        Ok(channel) => {
            let answers = grpc::ask(channel, &transport::metadata(&headers), patience).await;
            // Of what never said a word nobody knows what it is.
            let spoke = |a: &Answer| door.state != DoorState::Mute || a.access != Access::NotReady;
            door.answers.extend(answers.into_iter().filter(spoke));
        }
        // A server that speaks gRPC alone breaks off with a client of HTTP/1.1 before it shows its certificate.
        Err(Unconnected::Failed(chain)) if door.state == DoorState::Tls && door.answers.is_empty() => {
            found = knock::tls_trouble(&chain).map(|trouble| tls(&trouble, &endpoint));
        }
        Err(_) => {}
    }
    verdict::settle(&mut door.answers);
    Ok((door, found))
}

/// Whether TLS comes about with what was given; an error when it is spoken, but not with us.
async fn handshake(
    endpoint: &Endpoint,
    headers: &reqwest::header::HeaderMap,
    options: &SourceOptions,
    patience: Duration,
    state: DoorState,
) -> Result<bool, Diagnostic> {
    let client = transport::http(&endpoint.http, &options.transport, headers, patience).await;
    let (client, base) = client.map_err(|failed| failed.plainly(&endpoint.shown))?;
    let Err(error) = client.get(base).send().await else { return Ok(true) };
    match knock::tls_trouble(&chain(Some(&error))) {
        Some(trouble) if trouble.certain || state == DoorState::Tls => Err(tls(&trouble, endpoint)),
        Some(_) => Ok(false),
        // TLS came about, and then something that is not HTTP/1.1.
        None => Ok(state == DoorState::Tls),
    }
}

fn tls(trouble: &knock::TlsTrouble, endpoint: &Endpoint) -> Diagnostic {
    Diagnostic::error("doctor-tls", format!("TLS is spoken here, but {}", trouble.what))
        .at(Location::file(endpoint.shown.as_str()))
        .help(trouble.help)
}
