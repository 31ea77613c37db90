//! What went wrong, and whether waiting, asking for less or giving up is the answer.
//!
//! Purpose: one place that knows how the transport spells its errors. What a backend makes of them is its own affair.
//! Input: a transport error. Output: a [`Fault`], of which each backend makes a [`Trouble`] with its code and advice.
//! Must not: show credentials or more than a line of a server's text.

use std::error::Error;

use crate::diag::Diagnostic;

/// A failure, by what to do about it. Each holds what to say if that does not help.
#[derive(Debug, Clone)]
pub(in crate::source) enum Trouble {
    /// The answer would be too big: ask for less, repeating is useless.
    TooMuch(Diagnostic),
    /// No answer in time: ask for less if possible, else wait and repeat.
    Slow(Diagnostic),
    /// Overload, restart or a cut connection: wait and repeat the whole request.
    Busy(Diagnostic),
    /// The server allows no more traces in one search than this.
    Limit(u32, Diagnostic),
    /// The server allows no more spans in one set than this.
    SpansPerSet(u32, Diagnostic),
    /// The query itself is not understood: an older Tempo, or a mistake in `--query`.
    Refused(Diagnostic),
    /// Nothing to be done by repeating.
    Fatal(Diagnostic),
}

impl Trouble {
    pub(in crate::source) fn diagnostic(self) -> Diagnostic {
        match self {
            Self::TooMuch(d)
            | Self::Slow(d)
            | Self::Busy(d)
            | Self::Limit(_, d)
            | Self::SpansPerSet(_, d)
            | Self::Refused(d)
            | Self::Fatal(d) => d,
        }
    }
}

impl From<Diagnostic> for Trouble {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Fatal(diagnostic)
    }
}

/// What became of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source) enum Fault {
    HostUnknown,
    /// The certificates do not fit, and why.
    Certificate(String),
    /// TLS was spoken to a port that does not speak it.
    NoTls,
    /// The server broke the TLS handshake off, and why.
    TlsRefused(String),
    TlsUnavailable,
    /// HTTP/1.1, or TLS where none was expected.
    NotGrpc,
    Refused,
    TimedOut,
    NoRoute,
    /// Closed in the middle.
    Lost,
}

/// What a failed connection means, from the texts of the error and its causes; `None` if they tell nothing.
pub(in crate::source) fn fault(chain: &str) -> Option<Fault> {
    let has = |needle: &str| chain.contains(needle);
    let fault = if has("dns error") || has("failed to lookup address") {
        Fault::HostUnknown
    } else if has("UnknownIssuer")
        || has("invalid peer certificate")
        || has("InvalidCertificate")
        || has("CertificateRequired")
    {
        Fault::Certificate(reason(chain, "invalid peer certificate"))
    } else if has("InvalidContentType") || has("received corrupt message") || has("HTTP request to an HTTPS server") {
        Fault::NoTls
    } else if has("received fatal alert") || has("tls handshake") || has("handshake failure") {
        Fault::TlsRefused(reason(chain, "received fatal alert"))
    } else if has("HttpsUriWithoutTlsSupport") {
        Fault::TlsUnavailable
    } else if has("frame with invalid size") || has("FRAME_SIZE_ERROR") || has("http1.x") || has("invalid HTTP version")
        // A server of HTTP/2 speaks first.
        || has("unexpected message from connection")
    {
        Fault::NotGrpc
    } else if has("Connection refused") || has("connection refused") {
        Fault::Refused
    } else if has("timed out") || has("deadline has elapsed") || has("Timeout expired") {
        Fault::TimedOut
    } else if has("unreachable") {
        Fault::NoRoute
    } else if has("reset")
        || has("closed")
        || has("broken pipe")
        || has("Broken pipe")
        || has("eof")
        || has("EOF")
        || has("REFUSED_STREAM")
        || has("GOAWAY")
        || has("not a result of an error")
    {
        Fault::Lost
    } else {
        return None;
    };
    Some(fault)
}

/// The texts of an error and all its causes, for [`fault`].
pub(in crate::source) fn chain(error: Option<&(dyn Error + 'static)>) -> String {
    let mut text = String::new();
    let mut next = error;
    for _ in 0..16 {
        let Some(error) = next else { break };
        text.push_str(&error.to_string());
        text.push_str(&format!(" {error:?}; "));
        next = error.source();
    }
    text
}

/// One printable line of at most 300 characters of a server's text.
pub(in crate::source) fn line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    clean.trim().to_owned()
}

fn reason(chain: &str, from: &str) -> String {
    if chain.contains("CaUsedAsEndEntity") {
        return "the server shows the certificate of an authority (CA:TRUE) instead of one signed by it".to_owned();
    }
    let tail = chain.split_once(from).map_or(chain, |(_, tail)| tail);
    let end: String = tail
        .trim_start_matches([':', ' '])
        .chars()
        .take_while(|c| !matches!(c, ';' | '"' | '{' | '\n'))
        .take(120)
        .collect();
    if end.trim().is_empty() { from.to_owned() } else { end.trim().to_owned() }
}
