//! What a failed call to Jaeger means, and what to do about it.
//!
//! Input: a gRPC status or a connection that could not be made. Output: [`Trouble`] with a coded diagnostic.
//! Must not: show credentials or more than a line of a server's text.

use std::error::Error;

use tonic::{Code, Status};

use crate::diag::{Diagnostic, Location};
use crate::source::backend::transport::{Unconnected, tls_setup};
use crate::source::backend::trouble::{Fault, Trouble, chain, fault, line};

/// What a failed gRPC call means. `at` is the endpoint as shown to people.
pub(super) fn of_status(status: &Status, at: &str) -> Trouble {
    let text = status.message();
    let say = |code: &'static str, what: &str, help: &str| {
        let quoted = line(text);
        let message = if quoted.is_empty() { what.to_owned() } else { format!("{what}: {quoted}") };
        Diagnostic::error(code, message).at(Location::file(at)).help(help)
    };
    let has = |needle: &str| text.contains(needle);
    if has("message larger than max") || has("message length too large") {
        return Trouble::TooMuch(say("jaeger-too-much", "an answer of Jaeger is larger than can be taken", TOO_MUCH));
    }
    // Storages word their limits as they like; whatever the limit is, less of it may do.
    if has("search depth") {
        return Trouble::Limit(0, say("jaeger-depth-refused", "Jaeger refuses the search depth", DEPTH));
    }
    if has("tenant") {
        return Trouble::Fatal(say("jaeger-tenant", "Jaeger wants another tenant", TENANT));
    }
    let chain = chain(status.source());
    if chain.contains("ENHANCE_YOUR_CALM") || has("too_many_data_frames") {
        return Trouble::TooMuch(say(
            "jaeger-too-much",
            "an answer of Jaeger has more traces than can be taken",
            TOO_MUCH,
        ));
    }
    if let Some(transport) = fault(&chain) {
        return of_fault(transport, at);
    }
    match status.code() {
        Code::Unauthenticated => {
            Trouble::Fatal(say("jaeger-unauthenticated", "the server wants other credentials", CREDENTIALS))
        }
        Code::PermissionDenied => {
            Trouble::Fatal(say("jaeger-forbidden", "the credentials do not allow this", CREDENTIALS))
        }
        Code::Unimplemented => {
            Trouble::Fatal(say("jaeger-unimplemented", "what answers is no Jaeger query service", NOT_JAEGER))
        }
        Code::Unavailable | Code::Unknown if has("http1.x") => not_grpc(at),
        Code::ResourceExhausted => Trouble::Busy(say("jaeger-overloaded", "Jaeger has too much to do", OVERLOAD)),
        Code::Unavailable => Trouble::Busy(say("jaeger-unavailable", "Jaeger is not available", DOWN)),
        Code::DeadlineExceeded => Trouble::Slow(say("jaeger-deadline", "Jaeger did not answer in time", SLOW)),
        // A failing storage comes as UNKNOWN with the storage's own words.
        Code::Internal | Code::Cancelled | Code::Aborted | Code::Unknown | Code::DataLoss => {
            Trouble::Busy(say("jaeger-failed", "Jaeger could not answer", FAILED))
        }
        other => Trouble::Fatal(say("jaeger-error", &format!("Jaeger answers with {other:?}"), DOWN)),
    }
}

/// What a connection that could not be made means.
pub(super) fn of_connect(failed: Unconnected, at: &str) -> Trouble {
    match failed {
        Unconnected::Setup(diagnostic) => Trouble::Fatal(diagnostic),
        Unconnected::Tls(chain) => {
            fault(&chain).map_or_else(|| Trouble::Fatal(tls_setup(at)), |fault| of_fault(fault, at))
        }
        Unconnected::Failed(chain) => of_fault(fault(&chain).unwrap_or(Fault::NoRoute), at),
    }
}

fn of_fault(fault: Fault, at: &str) -> Trouble {
    let say =
        |code: &'static str, what: &str, help: &str| Diagnostic::error(code, what).at(Location::file(at)).help(help);
    match fault {
        Fault::HostUnknown => Trouble::Fatal(say("jaeger-host-unknown", "the host name is not known here", HOST)),
        Fault::Certificate(why) => {
            Trouble::Fatal(say("jaeger-tls", &format!("the TLS certificates do not fit: {why}"), CERTIFICATE))
        }
        Fault::NoTls => Trouble::Fatal(say(
            "jaeger-tls",
            "TLS was spoken to a port that does not speak it",
            "use jaeger:// for a port without TLS",
        )),
        Fault::TlsRefused(why) => {
            Trouble::Fatal(say("jaeger-tls", &format!("the server broke the TLS handshake off: {why}"), CERTIFICATE))
        }
        Fault::TlsUnavailable => Trouble::Fatal(say("jaeger-tls", "TLS could not be set up", CERTIFICATE)),
        Fault::NotGrpc => not_grpc(at),
        Fault::Refused => {
            Trouble::Busy(say("jaeger-unreachable", "nothing listens there: the connection was refused", REFUSED))
        }
        Fault::NoRoute => Trouble::Busy(say("jaeger-unreachable", "the connection could not be made", REFUSED)),
        Fault::TimedOut => Trouble::Slow(say("jaeger-deadline", "no answer in time", SLOW)),
        Fault::Lost => Trouble::Busy(say("jaeger-connection-lost", "the connection was closed in the middle", LOST)),
    }
}

/// What to say of a port where something answers that is no gRPC.
pub(super) fn not_grpc(at: &str) -> Trouble {
    Trouble::Fatal(
        Diagnostic::error("jaeger-not-grpc", "a server without gRPC (HTTP/1.1, or TLS) answers")
            .at(Location::file(at))
            .help(NOT_GRPC),
    )
}

const TOO_MUCH: &str = "ask for fewer traces at once with ?depth=N";
const DEPTH: &str = "name a search depth the storage allows, e.g. ?depth=100";
const TENANT: &str =
    "give the tenant with --tenant (sent as x-tenant), or in the header your Jaeger expects: --header NAME=VALUE";
const CREDENTIALS: &str =
    "check the bearer token, or user and password, and whether the gateway lets gRPC through with them";
const NOT_JAEGER: &str = "give the gRPC port of Jaeger's query service, 16685 by default; 14250 and 4317 take spans in (otlp:// would listen there), 16686 is \
     the page for people, 9095 is Tempo";
const NOT_GRPC: &str = "give the gRPC port of Jaeger's query service, 16685 by default (16686 is the page for people), or use jaeger+https:// \
     if the port speaks TLS";
const OVERLOAD: &str = "try again later, or with a shorter window";
const DOWN: &str = "look whether the Jaeger and its storage are running, then run this again";
const SLOW: &str = "raise the timeout, shorten the window, or ask for fewer traces at once with ?depth=N";
const FAILED: &str = "look into the log of Jaeger's query service: usually its storage does not answer";
const HOST: &str = "check the spelling of the host, or whether this machine can resolve it";
const CERTIFICATE: &str = "give the certificate authority that signed the server's certificate, the expected server name, or a client certificate";
const REFUSED: &str = "check host and port (16685), and that the Jaeger is running and reachable from here; `tracebook doctor HOST` tries \
     the usual ports";
const LOST: &str =
    "run this again; if it persists: give a client certificate if the server wants one, or look at proxies in between";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_leads_to_its_remedy() {
        for (code, text, want) in [
            (
                Code::Unknown,
                "search depth must be greater than 0 and less than max traces",
                "limit jaeger-depth-refused",
            ),
            (Code::ResourceExhausted, "grpc: received message larger than max (5 vs 4)", "much jaeger-too-much"),
            (Code::OutOfRange, "Error, decoded message length too large: found 9 bytes", "much jaeger-too-much"),
            (Code::ResourceExhausted, "too many requests", "busy jaeger-overloaded"),
            (Code::Unavailable, "", "busy jaeger-unavailable"),
            (Code::Unknown, "elastic: Error 503", "busy jaeger-failed"),
            (Code::Internal, "", "busy jaeger-failed"),
            (Code::DeadlineExceeded, "", "slow jaeger-deadline"),
            (Code::Unimplemented, "unknown service jaeger.api_v3.QueryService", "fatal jaeger-unimplemented"),
            (Code::Unauthenticated, "missing tenant header", "fatal jaeger-tenant"),
            (Code::Unauthenticated, "", "fatal jaeger-unauthenticated"),
            (Code::PermissionDenied, "", "fatal jaeger-forbidden"),
            (Code::InvalidArgument, "missing query", "fatal jaeger-error"),
        ] {
            let (kind, d) = match of_status(&Status::new(code, text), "jaeger://j:16685") {
                Trouble::TooMuch(d) => ("much", d),
                Trouble::Slow(d) => ("slow", d),
                Trouble::Busy(d) => ("busy", d),
                Trouble::Limit(_, d) => ("limit", d),
                Trouble::SpansPerSet(_, d) => ("spans", d),
                Trouble::Refused(d) => ("refused", d),
                Trouble::Fatal(d) => ("fatal", d),
            };
            assert_eq!(format!("{kind} {}", d.code), want, "{code:?} {text}");
        }
    }
}
