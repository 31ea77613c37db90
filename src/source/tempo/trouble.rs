//! What went wrong, and whether waiting, asking for less or giving up is the answer.
//!
//! Purpose: one place that knows how Tempo and proxies spell their errors, and what failed connections mean to people.
//! Input: a gRPC status, a transport error or an HTTP answer. Output: [`Trouble`] with a coded diagnostic.
//! Must not: show credentials or more than a line of a server's text.

use std::error::Error;

use tonic::{Code, Status};

use crate::diag::{Diagnostic, Location};
use crate::source::backend::transport::{Unconnected, tls_setup};
pub(super) use crate::source::backend::trouble::{Fault, Trouble, chain, fault, line};

/// What a failed gRPC call means. `at` is the endpoint as shown to people.
pub(super) fn of_status(status: &Status, at: &str) -> Trouble {
    let text = status.message();
    let chain = chain(status.source());
    let say = |code: &'static str, what: &str, help: &str| {
        let quoted = line(text);
        let message = if quoted.is_empty() { what.to_owned() } else { format!("{what}: {quoted}") };
        Diagnostic::error(code, message).at(Location::file(at)).help(help)
    };
    let has = |needle: &str| text.contains(needle);
    if let Some(trouble) = sizes(text, &say) {
        return trouble;
    }
    if has("no org id") {
        return Trouble::Fatal(say(
            "tempo-tenant-missing",
            "Tempo serves several tenants and wants to know which",
            TENANT,
        ));
    }
    if has("multiple org IDs") {
        return Trouble::Fatal(say("tempo-tenant-invalid", "Tempo answers for one tenant at a time", ONE_TENANT));
    }
    if has("tenant ID") || has("org id") {
        return Trouble::Fatal(say("tempo-tenant-invalid", "Tempo refuses the tenant", TENANT));
    }
    if has("parse error")
        || has("compiling query")
        || has("invalid TraceQL query")
        || has("TraceQL expression exceeds")
        || has("not a metrics query")
    {
        return Trouble::Refused(say("tempo-query-refused", "Tempo does not understand the query", QUERY));
    }
    if has("time range must be within last") {
        // A live-store that is asked for counts of more time than it keeps: the traces can still be searched.
        return Trouble::Refused(say("tempo-request-refused", "Tempo does not count that far back", RANGE));
    }
    if has("finding generators") || has("localblocks processor not found") {
        // Tempo 2 without the part that answers TraceQL metrics: waiting does not bring it.
        return Trouble::Refused(say("tempo-request-refused", "this Tempo does not count spans", GENERATORS));
    }
    if has("empty ring") {
        return Trouble::Busy(say("tempo-stores-absent", "Tempo has no store to ask for recent spans", STORES));
    }
    if let Some(transport) = of_transport(&chain, at) {
        return transport;
    }
    match status.code() {
        Code::Unauthenticated => {
            Trouble::Fatal(say("tempo-unauthenticated", "the server wants other credentials", CREDENTIALS))
        }
        Code::PermissionDenied => {
            Trouble::Fatal(say("tempo-forbidden", "the credentials do not allow this", CREDENTIALS))
        }
        Code::Unimplemented => {
            Trouble::Fatal(say("tempo-unimplemented", "what answers is no Tempo query service", NOT_TEMPO))
        }
        Code::Unavailable if has("http1.x") => {
            Trouble::Fatal(say("tempo-not-grpc", "a server without gRPC answers", NOT_GRPC))
        }
        Code::ResourceExhausted => Trouble::Busy(say("tempo-overloaded", "Tempo has too much to do", OVERLOAD)),
        Code::Unavailable => Trouble::Busy(say("tempo-unavailable", "Tempo is not available", DOWN)),
        Code::DeadlineExceeded => Trouble::Slow(say("tempo-deadline", "Tempo did not answer in time", SLOW)),
        Code::Internal | Code::Cancelled | Code::Aborted | Code::Unknown | Code::DataLoss => {
            Trouble::Busy(say("tempo-stream-cut", "Tempo broke the answer off", CUT))
        }
        Code::InvalidArgument if has("exceeds the maximum allowed duration") => {
            Trouble::Refused(say("tempo-request-refused", "Tempo refuses the time range", RANGE))
        }
        Code::InvalidArgument => Trouble::Fatal(say("tempo-request-refused", "Tempo refuses the request", RANGE)),
        other => Trouble::Fatal(say("tempo-error", &format!("Tempo answers with {other:?}"), DOWN)),
    }
}

/// Everything that is about too much: limits the server states, and answers that do not fit.
fn sizes(text: &str, say: &dyn Fn(&'static str, &str, &str) -> Diagnostic) -> Option<Trouble> {
    let number_after = |needle: &str| -> Option<u32> {
        let rest = text.split_once(needle)?.1.trim_start();
        rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok().filter(|n| *n > 0)
    };
    if let Some(limit) = number_after("exceeds max limit") {
        return Some(Trouble::Limit(limit, say("tempo-limit", "Tempo allows fewer traces in one search", LIMITS)));
    }
    if let Some(spans) = number_after("spans per span set exceeds") {
        return Some(Trouble::SpansPerSet(spans, say("tempo-limit", "Tempo allows fewer spans in one set", LIMITS)));
    }
    let too_much = text.contains("range specified by start and end exceeds")
        || text.contains("response larger than the max")
        || text.contains("larger than max")
        || text.contains("message length too large");
    too_much.then(|| {
        Trouble::TooMuch(say("tempo-too-much", "one second of traces is more than Tempo gives in one answer", RANGE))
    })
}

/// What a failed connection means, from the texts of the error and its causes; `None` if they tell nothing.
pub(super) fn of_transport(chain: &str, at: &str) -> Option<Trouble> {
    let say =
        |code: &'static str, what: &str, help: &str| Diagnostic::error(code, what).at(Location::file(at)).help(help);
    Some(match fault(chain)? {
        Fault::HostUnknown => {
            Trouble::Fatal(say("tempo-host-unknown", "the host name of the Tempo is not known here", HOST))
        }
        Fault::Certificate(why) => Trouble::Fatal(say(
            "tempo-tls-certificate",
            &format!("the TLS certificates do not fit: {why}"),
            CERTIFICATE,
        )),
        Fault::NoTls => {
            Trouble::Fatal(say("tempo-tls-mismatch", "TLS was spoken to a port that does not speak it", PLAIN))
        }
        Fault::TlsRefused(why) => Trouble::Fatal(say(
            "tempo-tls-refused",
            &format!("the server broke the TLS handshake off: {why}"),
            CERTIFICATE,
        )),
        Fault::TlsUnavailable => Trouble::Fatal(say("tempo-tls-refused", "TLS could not be set up", CERTIFICATE)),
        Fault::NotGrpc => {
            Trouble::Fatal(say("tempo-not-grpc", "a server without gRPC (HTTP/1.1, or TLS) answers", NOT_GRPC))
        }
        Fault::Refused => {
            Trouble::Busy(say("tempo-unreachable", "nothing listens there: the connection was refused", REFUSED))
        }
        Fault::TimedOut => Trouble::Slow(say("tempo-deadline", "no answer in time", SLOW)),
        Fault::NoRoute => Trouble::Busy(say("tempo-unreachable", "no route leads there", REFUSED)),
        Fault::Lost => Trouble::Busy(say("tempo-connection-lost", "the connection was closed in the middle", LOST)),
    })
}

/// What a connection that could not be made means.
pub(super) fn of_connect(failed: Unconnected, at: &str) -> Trouble {
    match failed {
        Unconnected::Setup(diagnostic) => Trouble::Fatal(diagnostic),
        Unconnected::Tls(chain) => of_transport(&chain, at).unwrap_or_else(|| Trouble::Fatal(tls_setup(at))),
        Unconnected::Failed(chain) => of_transport(&chain, at).unwrap_or_else(|| {
            Trouble::Busy(
                Diagnostic::error("tempo-unreachable", "the connection could not be made")
                    .at(Location::file(at))
                    .help("check host, port and TLS, and that the Tempo is reachable from here"),
            )
        }),
    }
}

/// What a refused or failed HTTP answer about a trace means.
pub(super) fn of_http(status: u16, body: &str, at: &str) -> Trouble {
    let say = |code: &'static str, what: &str, help: &str| {
        let quoted = line(body);
        let tail = if quoted.is_empty() { String::new() } else { format!(": {quoted}") };
        Diagnostic::error(code, format!("{what} (HTTP {status}){tail}")).at(Location::file(at)).help(help)
    };
    match status {
        401 if body.contains("no org id") => {
            Trouble::Fatal(say("tempo-tenant-missing", "Tempo serves several tenants and wants to know which", TENANT))
        }
        401 => Trouble::Fatal(say("tempo-unauthenticated", "the server wants other credentials", CREDENTIALS)),
        403 => Trouble::Fatal(say("tempo-forbidden", "the credentials do not allow this", CREDENTIALS)),
        429 => Trouble::Busy(say("tempo-overloaded", "Tempo has too much to do", OVERLOAD)),
        408 | 500 | 502 | 503 | 504 => {
            Trouble::Busy(say("tempo-unavailable", "Tempo's HTTP side is not available", DOWN))
        }
        _ => Trouble::Fatal(say("tempo-http-refused", "the HTTP side does not give whole traces", HTTP_SIDE)),
    }
}

/// When whole traces are needed and the HTTP side cannot be had.
pub(super) fn http_unreachable(why: &str, at: &str) -> Diagnostic {
    Diagnostic::error(
        "tempo-http-unreachable",
        format!("some traces must be fetched whole over HTTP (links, errors, more than 100 spans), and that side does not answer: {why}"),
    )
    .at(Location::file(at))
    .help(HTTP_SIDE)
}

const TENANT: &str = "give --tenant ID or set TRACEBOOK_TENANT (X-Scope-OrgID); several are joined by `|`";
const ONE_TENANT: &str = "give one tenant, and join what each gives: tracebook capture --merge; or set multi_tenant_queries_enabled in Tempo";
const QUERY: &str = "check the TraceQL filter; it must be one spanset such as { resource.service.name = \"cart\" }";
const STORES: &str = "wait until the Tempo is ready (GET /ready), or look at its live-stores or ingesters";
const GENERATORS: &str =
    "in Tempo 2 the metrics-generator counts: enable its `local-blocks` processor; without --aggregate traces are read";
const CREDENTIALS: &str =
    "check the bearer token, or user and password, and whether the gateway lets gRPC through with them";
const NOT_TEMPO: &str = "give the query port of a Tempo 2.2 or later: 9095 of the single binary or the query-frontend, or 3200 with \
     stream_over_http_enabled; 4317 takes spans in (otlp:// would listen there), 16685 is Jaeger; `tracebook doctor HOST:PORT` says what answers there";
const NOT_GRPC: &str = "give port 9095, set stream_over_http_enabled: true in Tempo for 3200, or use tempo+https:// if the port speaks TLS; \
     `tracebook doctor HOST:PORT` says what answers there";
const OVERLOAD: &str = "try again later, with a shorter window, or raise Tempo's query limits";
const DOWN: &str = "look whether the Tempo is running and ready (GET /ready), then run this again";
const SLOW: &str = "raise --timeout, shorten the window, or look at what keeps Tempo busy (search.query_timeout); where nothing was ever \
     answered: `tracebook doctor HOST:PORT`";
const CUT: &str = "use port 9095 instead of 3200 (which cuts streams after 30 s), or look into Tempo's log";
const LIMITS: &str =
    "name a limit that this Tempo allows (?limit=N), or raise max_result_limit or max_spans_per_span_set there";
const RANGE: &str = "shorten the window";
const HOST: &str = "check the spelling of the host, or whether this machine can resolve it";
const CERTIFICATE: &str = "give the certificate authority that signed the server's certificate, the expected server name, or a client certificate";
const PLAIN: &str = "use tempo:// or tempo+http:// for a port without TLS";
const REFUSED: &str = "check host and port (9095 or 3200), and that the Tempo is running and reachable from here; `tracebook doctor HOST` tries \
     the usual ports";
const LOST: &str = "run this again; if it persists: give port 9095 in case this one takes HTTP/1.1 only, use tempo+https:// if it \
     speaks TLS, give a client certificate if the server wants one, or look at proxies in between; `tracebook doctor HOST:PORT` says what answers there";
const HTTP_SIDE: &str = "let ?http= in the address name Tempo's HTTP port (without it: 3200 of the same host), or write tempo+http:// where one port speaks both; \
     `tracebook doctor HOST:PORT` says what answers there";

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Recorded {
        grpc_status: String,
        message: String,
    }

    fn code(name: &str) -> Code {
        match name {
            "INVALID_ARGUMENT" => Code::InvalidArgument,
            "INTERNAL" => Code::Internal,
            "UNKNOWN" => Code::Unknown,
            "UNAVAILABLE" => Code::Unavailable,
            "RESOURCE_EXHAUSTED" => Code::ResourceExhausted,
            "UNIMPLEMENTED" => Code::Unimplemented,
            "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
            other => panic!("{other}"),
        }
    }

    fn kind(code: Code, text: &str) -> (&'static str, &'static str) {
        match of_status(&Status::new(code, text), "tempo://t:9095") {
            Trouble::TooMuch(d) => ("too much", d.code),
            Trouble::Slow(d) => ("slow", d.code),
            Trouble::Busy(d) => ("busy", d.code),
            Trouble::Limit(_, d) => ("limit", d.code),
            Trouble::SpansPerSet(_, d) => ("spans", d.code),
            Trouble::Refused(d) => ("refused", d.code),
            Trouble::Fatal(d) => ("fatal", d.code),
        }
    }

    #[test]
    fn every_recorded_error_of_a_real_tempo_is_understood() {
        let recorded: Vec<Recorded> =
            serde_json::from_str(include_str!("../../../tests/data/tempo/errors.json")).unwrap();
        assert!(recorded.len() > 20);
        for Recorded { grpc_status, message } in recorded {
            let (what, diag) = kind(code(&grpc_status), &message);
            assert_ne!(diag, "tempo-error", "{grpc_status} {message}");
            if message.contains("larger than the max") {
                assert_eq!(what, "too much");
            }
        }
    }

    #[test]
    fn each_row_of_the_error_table_leads_to_its_remedy() {
        for (code, text, want) in [
            (Code::InvalidArgument, "limit 262145 exceeds max limit 262144", ("limit", "tempo-limit")),
            (Code::InvalidArgument, "spans per span set exceeds 100. received 101", ("spans", "tempo-limit")),
            (
                Code::InvalidArgument,
                "range specified by start and end exceeds 168h0m0s. received",
                ("too much", "tempo-too-much"),
            ),
            (
                Code::InvalidArgument,
                "http parameter start must be before end. received",
                ("fatal", "tempo-request-refused"),
            ),
            (
                Code::InvalidArgument,
                "invalid TraceQL query: parse error at line 1, col 27",
                ("refused", "tempo-query-refused"),
            ),
            (Code::Unknown, "parse error at line 1, col 3", ("refused", "tempo-query-refused")),
            (Code::Internal, "response larger than the max (20508767 vs 16777216)", ("too much", "tempo-too-much")),
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (5 vs 4)",
                ("too much", "tempo-too-much"),
            ),
            (
                Code::OutOfRange,
                "Error, decoded message length too large: found 9 bytes",
                ("too much", "tempo-too-much"),
            ),
            (
                Code::ResourceExhausted,
                "rpc error: code = ResourceExhausted desc = grpc: received message after decompression larger than max 16777216",
                ("too much", "tempo-too-much"),
            ),
            (Code::ResourceExhausted, "job queue full", ("busy", "tempo-overloaded")),
            (Code::Unknown, "no org id", ("fatal", "tempo-tenant-missing")),
            (
                Code::InvalidArgument,
                "tenant ID 'a b' contains unsupported character",
                ("fatal", "tempo-tenant-invalid"),
            ),
            (Code::Internal, "error finding partition ring replicas: empty ring", ("busy", "tempo-stores-absent")),
            (
                Code::Internal,
                "error querying generators in Querier.queryRangeRecent: error finding generators: empty ring",
                ("refused", "tempo-request-refused"),
            ),
            (Code::Internal, "localblocks processor not found", ("refused", "tempo-request-refused")),
            (Code::Unknown, "time range must be within last 20m0s", ("refused", "tempo-request-refused")),
            (Code::Unavailable, "Trying to connect an http1.x server", ("fatal", "tempo-not-grpc")),
            (Code::Unimplemented, "unknown service tempopb.StreamingQuerier", ("fatal", "tempo-unimplemented")),
            (Code::DeadlineExceeded, "", ("slow", "tempo-deadline")),
            (Code::PermissionDenied, "", ("fatal", "tempo-forbidden")),
            (Code::Unauthenticated, "", ("fatal", "tempo-unauthenticated")),
            (Code::Internal, "", ("busy", "tempo-stream-cut")),
        ] {
            assert_eq!(kind(code, text), want, "{code:?} {text}");
        }
    }

    #[test]
    fn a_server_text_is_cut_to_one_clean_line() {
        let d =
            of_status(&Status::new(Code::NotFound, format!("a\nb\u{1b}[31m{}", "x".repeat(9999))), "t").diagnostic();
        assert!(d.message.len() < 400 && !d.message.contains(['\n', '\u{1b}']));
    }
}
