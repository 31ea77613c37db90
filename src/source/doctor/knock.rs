//! The first words at a port: who connects, who talks TLS, who talks HTTP.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::DoorState;
use crate::diag::{Diagnostic, Location};

/// So much of an answer tells what speaks.
const ENOUGH: usize = 512;

/// Whether the name means an address at all.
pub(super) async fn resolve(host: &str, patience: Duration) -> Result<(), Diagnostic> {
    let name = host.trim_matches(['[', ']']);
    let found = timeout(patience, tokio::net::lookup_host((name, 0))).await;
    match found.map(|r| r.map(|mut addresses| addresses.next().is_some())) {
        Ok(Ok(true)) => Ok(()),
        _ => Err(Diagnostic::error(
            "doctor-name",
            format!("no address is known for the host `{}`", host.escape_debug()),
        )
        .at(Location::file(host))
        .help("check the spelling; a name inside a cluster is known there only: forward the port, or run this inside")),
    }
}

/// Connects and says a little HTTP/1.1. Every server answers that in its own way, and none takes harm.
pub(super) async fn knock(host: &str, port: u16, patience: Duration) -> DoorState {
    let name = host.trim_matches(['[', ']']);
    let mut stream = match timeout(patience, TcpStream::connect((name, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) => return DoorState::Refused,
        Err(_) => return DoorState::Silent,
    };
    let hello = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut heard = vec![0u8; ENOUGH];
    let answer = timeout(patience, async {
        stream.write_all(hello.as_bytes()).await.ok()?;
        let mut n = 0;
        while n < 9 {
            match stream.read(heard.get_mut(n..)?).await {
                Ok(0) | Err(_) => break,
                Ok(more) => n = n.saturating_add(more),
            }
        }
        Some(n)
    });
    match answer.await {
        Ok(Some(n)) => meaning(heard.get(..n).unwrap_or_default()),
        Ok(None) => DoorState::Unknown,
        Err(_) => DoorState::Mute,
    }
}

/// What the first bytes of an answer to plaintext HTTP/1.1 say about a server.
fn meaning(heard: &[u8]) -> DoorState {
    // A TLS alert record; Go's and nginx's HTTPS servers say it in words.
    let wants_tls = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        text.contains("HTTPS server") || text.contains("HTTPS port")
    };
    match heard {
        [0x15, 0x03, ..] => DoorState::Tls,
        h if h.starts_with(b"HTTP/1.") && wants_tls(h) => DoorState::Tls,
        h if h.starts_with(b"HTTP/1.") => DoorState::Http,
        // An HTTP/2 SETTINGS or GOAWAY frame: 3 bytes of length, then the type.
        [0, _, _, 4 | 7, ..] => DoorState::Http2,
        // gRPC servers hang up on anything but their preface, and so do some that want TLS.
        _ => DoorState::Unknown,
    }
}

/// What kept TLS from coming about.
pub(super) struct TlsTrouble {
    pub(super) what: &'static str,
    /// What to do.
    pub(super) help: &'static str,
    /// Whether only a server that speaks TLS can have caused it.
    pub(super) certain: bool,
}

/// What a failed request over TLS says; `None` if TLS was not what failed.
pub(super) fn tls_trouble(chain: &str) -> Option<TlsTrouble> {
    let text = chain.to_ascii_lowercase();
    let has = |needles: &[&str]| needles.iter().any(|needle| text.contains(needle));
    if has(&["applicationprotocol", "application protocol"]) {
        // TLS is well; HTTP/1.1 is what the server does not want.
        return None;
    }
    let certain = |what, help| Some(TlsTrouble { what, help, certain: true });
    if has(&["unknownissuer", "unknown issuer", "self-signed", "self signed"]) {
        return certain(
            "its certificate is signed by an authority that is not trusted here",
            "give that authority's PEM file: --ca-file",
        );
    }
    if has(&["notvalidforname", "not valid for name", "not valid for any names"]) {
        return certain(
            "its certificate is for another name",
            "use the name in the certificate, or give it: --server-name",
        );
    }
    if has(&["causedasendentity"]) {
        return certain(
            "its certificate is that of an authority (CA:TRUE), which a server must not show",
            "make the server a certificate of its own, signed by that authority, and give the authority: --ca-file",
        );
    }
    if has(&["expired"]) {
        return certain("its certificate has expired", "renew the server's certificate");
    }
    if has(&["certificaterequired", "certificate required"]) {
        return certain("it wants a client certificate", "give --client-cert and --client-key");
    }
    if has(&["certificate"]) {
        return certain("its certificate is refused", "check --ca-file and --server-name");
    }
    has(&["handshake", "alert", "tls", "corrupt message"]).then_some(TlsTrouble {
        what: "TLS does not come about",
        help: "check that the server allows TLS 1.2 or 1.3, and whether it wants a client certificate",
        certain: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell_who_speaks() {
        assert_eq!(meaning(b"HTTP/1.1 200 OK\r\n"), DoorState::Http);
        assert_eq!(
            meaning(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"),
            DoorState::Tls
        );
        assert_eq!(meaning(&[0x15, 3, 1, 0, 2, 2, 70]), DoorState::Tls);
        assert_eq!(meaning(&[0, 0, 6, 4, 0, 0, 0, 0, 0]), DoorState::Http2);
        assert_eq!(meaning(b""), DoorState::Unknown);
        assert_eq!(meaning(b"-ERR unknown command\r\n"), DoorState::Unknown);
    }

    #[test]
    fn tls_trouble_has_a_way_out() {
        let known = tls_trouble("invalid peer certificate: UnknownIssuer").unwrap();
        assert!(known.certain && known.what.contains("authority") && known.help.contains("--ca-file"));
        let name = tls_trouble("invalid peer certificate: certificate not valid for name \"x\"").unwrap();
        assert!(name.certain && name.help.contains("--server-name"));
        let own = tls_trouble("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))").unwrap();
        assert!(own.certain && own.what.contains("CA:TRUE"));
        assert!(!tls_trouble("tls handshake eof").unwrap().certain);
        assert!(tls_trouble("connection refused").is_none());
    }
}
