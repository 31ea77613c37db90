//! The answers of `/api/v1`, and what its errors mean.
//!
//! Input: status and body of an HTTP answer. Output: the data, or a coded diagnostic and whether to try again. Must not:
//! take an answer with warnings for a whole one, or show more than a line of a server's text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::diag::{Diagnostic, Location};
use crate::source::backend::trouble::{Trouble, line};

/// `{"status":"success","data":…}` or `{"status":"error","errorType":…,"error":…}`.
#[derive(Deserialize)]
struct Envelope<T> {
    status: String,
    data: Option<T>,
    #[serde(default, rename = "errorType")]
    kind: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

/// A vector or a matrix.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    #[serde(default)]
    pub(super) result: Vec<Series>,
}

/// One series: of a vector `value` or `histogram`, of a matrix `values` and `histograms`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Series {
    pub(super) metric: BTreeMap<String, String>,
    pub(super) value: Option<(f64, String)>,
    pub(super) values: Vec<(f64, String)>,
    pub(super) histogram: Option<(f64, Native)>,
    pub(super) histograms: Vec<(f64, Native)>,
}

/// A native histogram: buckets are `[which bounds belong to it, lower, upper, count]`, not cumulative.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Native {
    pub(super) count: String,
    pub(super) sum: String,
    pub(super) buckets: Vec<(u8, String, String, String)>,
}

/// Reads an answer. `at` is the endpoint as shown to people.
pub(super) fn read<T: DeserializeOwned>(status: u16, body: &[u8], at: &str) -> Result<T, Trouble> {
    let say = |code: &'static str, what: &str, text: &str, help: &str| {
        let quoted = line(text);
        let message = if quoted.is_empty() { what.to_owned() } else { format!("{what}: {quoted}") };
        Diagnostic::error(code, message).at(Location::file(at)).help(help)
    };
    let text = || String::from_utf8_lossy(body.get(..2_000).unwrap_or(body)).into_owned();
    // Gateways and Mimir answer in plain text before anybody looked at the query.
    match status {
        401 if text().contains("no org id") => {
            let what = "the backend serves several tenants and wants to know which";
            return Err(Trouble::Fatal(say("prometheus-tenant-missing", what, "", TENANT)));
        }
        401 | 403 => {
            let what = format!("the backend wants other credentials (HTTP {status})");
            return Err(Trouble::Fatal(say("prometheus-unauthenticated", &what, &text(), CREDENTIALS)));
        }
        429 => {
            return Err(Trouble::Busy(say("prometheus-overloaded", "the backend has too much to do", &text(), WAIT)));
        }
        _ => {}
    }
    let envelope: Envelope<T> = match serde_json::from_slice(body) {
        Ok(envelope) => envelope,
        Err(_) if matches!(status, 500 | 502 | 503 | 504) => {
            let what = format!("the backend is not available (HTTP {status})");
            return Err(Trouble::Busy(say("prometheus-unavailable", &what, &text(), WAIT)));
        }
        Err(_) => {
            let what = format!("what answers does not speak Prometheus' API (HTTP {status})");
            return Err(Trouble::Fatal(say("prometheus-answer-malformed", &what, "", ADDRESS)));
        }
    };
    if envelope.status != "success" {
        return Err(refused(&envelope.kind, &envelope.error, &say));
    }
    if let Some(warning) = envelope.warnings.first() {
        let what = "the backend says that its answer may lack something";
        return Err(Trouble::Fatal(say("prometheus-partial", what, warning, PARTIAL)));
    }
    envelope
        .data
        .ok_or_else(|| Trouble::Fatal(say("prometheus-answer-malformed", "the answer holds no data", "", ADDRESS)))
}

fn refused(kind: &str, error: &str, say: &dyn Fn(&'static str, &str, &str, &str) -> Diagnostic) -> Trouble {
    match kind {
        "bad_data" => {
            Trouble::Fatal(say("prometheus-query-refused", "the backend does not understand the query", error, QUERY))
        }
        "timeout" | "canceled" => {
            Trouble::Busy(say("prometheus-deadline", "the backend did not finish in time", error, SHORTER))
        }
        "unavailable" | "internal" => {
            Trouble::Busy(say("prometheus-unavailable", "the backend is not available", error, WAIT))
        }
        // Too many samples, series or chunks for the backend's limits.
        "execution" | "too_many_requests" => {
            Trouble::Fatal(say("prometheus-too-much", "the backend refuses to read so much", error, SHORTER))
        }
        _ => Trouble::Fatal(say("prometheus-query-refused", "the backend refuses the query", error, QUERY)),
    }
}

/// What a failed connection means, from the texts of the error and its causes.
pub(super) fn unreachable(chain: &str, at: &str) -> Trouble {
    let has = |needles: &[&str]| needles.iter().any(|needle| chain.contains(needle));
    let say =
        |code: &'static str, what: &str, help: &str| Diagnostic::error(code, what).at(Location::file(at)).help(help);
    if has(&["dns error", "failed to lookup address"]) {
        Trouble::Fatal(say("prometheus-unreachable", "the host name is not known here", ADDRESS))
    } else if has(&[
        "certificate",
        "Certificate",
        "UnknownIssuer",
        "fatal alert",
        "InvalidContentType",
        "corrupt message",
    ]) {
        Trouble::Fatal(say("prometheus-tls", "TLS could not be agreed on", TLS))
    } else if has(&["refused", "unreachable"]) {
        Trouble::Fatal(say("prometheus-unreachable", "nothing answers there", ADDRESS))
    } else if has(&["timed out", "deadline has elapsed", "Timeout", "TimedOut"]) {
        Trouble::Busy(say("prometheus-deadline", "no answer in time", SHORTER))
    } else {
        Trouble::Busy(say("prometheus-unreachable", "the connection broke off", ADDRESS))
    }
}

const TENANT: &str = "give the tenant id (--tenant or TRACEBOOK_TENANT)";
const CREDENTIALS: &str = "check TRACEBOOK_BEARER_TOKEN or TRACEBOOK_BASIC_AUTH, and the tenant";
const WAIT: &str = "look whether the backend is running and ready, then run this again";
const ADDRESS: &str = "check host, port and path prefix: prometheus://host:9090, Mimir under /prometheus; `tracebook doctor HOST:PORT` says \
     what answers there";
const QUERY: &str = "check --query: label matchers in braces, such as {cluster=\"eu\"}";
const SHORTER: &str =
    "shorten the window, narrow it down with --query, raise --timeout, or raise the backend's query limits";
const PARTIAL: &str =
    "look after the store it names, or shorten the window; part of an answer would pass for all of it";
const TLS: &str = "give the authority with --ca-file, the name with --server-name or a client certificate; prometheus:// is without TLS";

#[cfg(test)]
mod tests {
    use super::*;

    fn code(status: u16, body: &str) -> (&'static str, bool) {
        match read::<Found>(status, body.as_bytes(), "prometheus://p:9090").unwrap_err() {
            Trouble::Busy(d) => (d.code, true),
            other => (other.diagnostic().code, false),
        }
    }

    #[test]
    fn recorded_answers_are_read() {
        let vector = include_bytes!("../../../tests/data/tempo/prometheus/service_graph_request_total.json");
        let found: Found = read(200, vector, "p").unwrap();
        assert_eq!((found.result.len(), found.result[0].value.as_ref().unwrap().1.as_str()), (24, "294"));
        let matrix = include_bytes!("../../../tests/data/tempo/prometheus/service_graph_request_total_range.json");
        let found: Found = read(200, matrix, "p").unwrap();
        assert!(found.result.iter().all(|series| series.values.len() == 13 && series.value.is_none()));
        let error = include_str!("../../../tests/data/tempo/prometheus/error_bad_promql.json");
        assert_eq!(code(400, error), ("prometheus-query-refused", false));
    }

    #[test]
    fn every_way_to_fail_has_a_code_and_a_part_is_no_answer() {
        let error = |kind: &str| format!(r#"{{"status":"error","errorType":"{kind}","error":"x"}}"#);
        for (status, body, want) in [
            (422, error("execution"), ("prometheus-too-much", false)),
            (503, error("timeout"), ("prometheus-deadline", true)),
            (503, error("unavailable"), ("prometheus-unavailable", true)),
            (400, error("bad_data"), ("prometheus-query-refused", false)),
            (401, "no org id".to_owned(), ("prometheus-tenant-missing", false)),
            (403, String::new(), ("prometheus-unauthenticated", false)),
            (429, String::new(), ("prometheus-overloaded", true)),
            (502, "<html>".to_owned(), ("prometheus-unavailable", true)),
            (200, "<html>".to_owned(), ("prometheus-answer-malformed", false)),
            (200, r#"{"status":"success"}"#.to_owned(), ("prometheus-answer-malformed", false)),
            (
                200,
                r#"{"status":"success","data":{"result":[]},"warnings":["store 10.0.0.7: unreachable"]}"#.to_owned(),
                ("prometheus-partial", false),
            ),
        ] {
            assert_eq!(code(status, &body), want, "{status} {body}");
        }
    }
}
