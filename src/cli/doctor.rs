//! `doctor`: what answers at an address, and why it does not answer as hoped.

use std::fmt::Write as _;

use clap::Args;

use super::args::{ConnectionArgs, FromArgs, Global, TextOrJson, WindowArgs};
use super::io::{Io, Stop, clean, shown};
use super::{Exit, Surroundings, input};
use crate::config;
use crate::diag::{Diagnostic, Location};
use crate::source::doctor::{self, Access, Door, DoorState, Examination};

const AFTER: &str = "\
Examples:
  tracebook doctor tempo.monitoring.svc            # the ports that backends use
  tracebook doctor https://tempo.example.com
  tracebook doctor localhost:4317 --format json
  tracebook doctor https://api.honeycomb.io        # whose HONEYCOMB_API_KEY is

It asks each port that answers which services it knows. It sends no spans and changes nothing. The named port is tried
first; the usual ports of Tempo, Jaeger, Prometheus and OTLP only if that one is no source.

Exit codes:
  0  something there can be read: see the `--from` it names
  1  nothing there can be read as things are";

/// Say what answers at an address, which --from would work, and what is wrong
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct DoctorArgs {
    /// Host, host:port or URL [default: OTEL_ENDPOINT, else `from` of the configuration]
    #[arg(value_name = "ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
    /// Format of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = TextOrJson::Text, help_heading = "Report")]
    format: TextOrJson,
}

pub(super) fn run(args: &DoctorArgs, global: &Global, around: &Surroundings, io: &mut Io<'_>) -> Result<Exit, Stop> {
    let config = config::load(global.config.as_deref(), &around.dir)?;
    let window = WindowArgs::default();
    let request = input::Request::of(around, global, &config, (&window, &args.connection));
    let address = match &args.address {
        Some(address) => address.clone(),
        None => configured(&config, around)?,
    };
    if address == "-" || around.dir.join(&address).is_file() {
        return Err(Diagnostic::error("source-url", "doctor looks at servers, and this is a file")
            .at(Location::file(&address))
            .help(format!("read it: tracebook capture --from {address} --output topology.snapshot.json"))
            .into());
    }
    let address = doctor::meant(&address);
    let options = input::keyed(&address, &request, input::unwindowed(&request)?);
    let examination = doctor::examine(&address, &options)?;
    io.data(&match args.format {
        TextOrJson::Text => text(&examination, io.color_data),
        TextOrJson::Json => json(&examination)?,
    })?;
    Ok(Exit::findings_if(examination.sources.is_empty()))
}

/// The first backend that would be read.
fn configured(config: &config::Config, around: &Surroundings) -> Result<String, Diagnostic> {
    let sources = input::sources(&FromArgs { from: Vec::new(), aggregate: false }, config, around);
    sources.into_iter().find(|s| s.contains("://") || s.contains(':')).ok_or_else(|| {
        Diagnostic::error("no-source", "nothing says which address to look at")
            .help("give one: tracebook doctor tempo.example.com")
    })
}

fn json(examination: &Examination) -> Result<String, Diagnostic> {
    let findings: Vec<_> = examination
        .findings
        .iter()
        .map(|d| {
            serde_json::json!({
                "code": d.code, "severity": d.severity, "file": d.location.file, "line": d.location.line,
                "message": d.message, "help": d.help,
            })
        })
        .collect();
    let answer = serde_json::json!({
        "host": examination.host, "sources": examination.sources, "doors": examination.doors, "findings": findings,
    });
    serde_json::to_string_pretty(&answer)
        .map(|text| text + "\n")
        .map_err(|e| Diagnostic::error("internal", format!("the answer cannot be written as JSON: {e}")))
}

fn text(examination: &Examination, color: bool) -> String {
    let mut out = String::new();
    for door in &examination.doors {
        let _ = writeln!(out, "{}:{}  {}", clean(&examination.host), door.port, manner(door));
        for answer in &door.answers {
            let access = match answer.access {
                Access::Open => "",
                Access::TenantMissing => ", wants a tenant",
                Access::KeyMissing => ", wants a key",
                Access::Denied => ", wants credentials",
                Access::NotReady => ", not ready",
            };
            let detail = if answer.detail.is_empty() { String::new() } else { format!(": {}", clean(&answer.detail)) };
            let _ = writeln!(out, "  {}{access}{detail}", answer.service.title());
        }
    }
    for finding in &examination.findings {
        let _ = writeln!(out, "{}", shown(finding, color));
    }
    if !examination.sources.is_empty() {
        let _ = writeln!(out, "what can be read:");
    }
    for source in &examination.sources {
        let _ = writeln!(out, "  --from {}", clean(source));
    }
    out
}

fn manner(door: &Door) -> &'static str {
    match door.state {
        DoorState::Refused => "nobody listens",
        DoorState::Silent => "no answer",
        DoorState::Http => "plaintext, HTTP",
        DoorState::Http2 => "plaintext, HTTP/2 only",
        DoorState::Tls => "TLS",
        DoorState::Unknown => "connected",
        DoorState::Mute => "connected, and not a word",
    }
}
