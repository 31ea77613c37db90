//! Everything that can be wrong before the first answer, each with its own code.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tonic::Status;
use tracebook::source::SourceOptions;

use crate::play::{START, Script, Server, tls_file, traces};
use crate::support::{hasty, pull};

fn options() -> SourceOptions {
    let mut options = hasty((START, START + 60));
    options.transport.tenant = Some("team-a".to_owned());
    options
}

fn code(url: &str) -> &'static str {
    let failed = pull(url, &options()).unwrap_err();
    assert!(!failed.help.is_empty(), "{failed}");
    failed.code
}

/// A server that answers and closes at once can be noticed by its answer or, where the close wins, by the lost connection;
/// the help of both must name the possibility.
fn no_grpc(url: &str) {
    let failed = pull(url, &options()).unwrap_err();
    assert!(["tempo-not-grpc", "tempo-connection-lost"].contains(&failed.code), "{failed}");
    assert!(failed.help.contains("9095") && failed.help.contains("tempo+https://"), "{failed}");
}

/// A server that says one thing to everybody and closes.
pub(crate) fn says(text: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0u8; 1024]);
            let _ = socket.write_all(text);
            // Closing with unread bytes would reset the connection and could take the answer with it.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut socket, &mut std::io::sink());
        }
    });
    address.to_string()
}

/// How servers that are no Tempo answer any path: in words of Go, of an ingress, as JSON, as a page, and without a word, which is
/// also how a Tempo answers for a trace that it does not know. The last one calls everything an empty trace.
pub(crate) const NOT_FOUND: [&str; 7] = [
    "HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 21\r\nConnection: close\r\n\r\ndefault backend - 404",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nNot Found",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\nConnection: close\r\n\r\n{\"detail\":\"Not Found\"}",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 22\r\nConnection: close\r\n\r\n<html>Not Found</html>",
    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
];

#[test]
fn nothing_listening_an_unknown_host_and_an_ingest_port_are_told_apart() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(code(&format!("tempo://{free}")), "tempo-unreachable");
    assert_eq!(code("tempo://no-such-host.invalid:9095"), "tempo-host-unknown");
    assert_eq!(pull("http://tempo:4317", &options()).unwrap_err().code, "ingest-port");
}

#[test]
fn a_server_that_never_says_a_word_is_given_up_at_once() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = mute.local_addr().unwrap();
    let failed = pull(&format!("tempo://{at}"), &options()).unwrap_err();
    assert!(failed.code == "tempo-deadline" && failed.help.contains("tracebook doctor"), "{failed}");
    // Two questions, which share a connection.
    mute.set_nonblocking(true).unwrap();
    assert!((0..3).map(|_| mute.accept().is_ok()).filter(|came| *came).count() <= 2);
}

#[test]
fn a_server_without_grpc_is_recognised() {
    let http = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    no_grpc(&format!("tempo://{http}"));
}

#[test]
fn plaintext_to_a_tls_port_and_tls_to_a_plaintext_port_are_recognised() {
    // A TLS server answers anything else with an alert record and closes.
    let tls = says(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]);
    no_grpc(&format!("tempo://{tls}"));
    let plain = says(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_eq!(code(&format!("tempo+https://{plain}")), "tempo-tls-mismatch");
}

#[test]
fn refusals_of_the_server_have_their_own_codes() {
    for (status, want) in [
        (Status::unauthenticated("token expired"), "tempo-unauthenticated"),
        (Status::permission_denied("no"), "tempo-forbidden"),
        (Status::unimplemented("unknown service tempopb.StreamingQuerier"), "tempo-unimplemented"),
        (Status::unknown("no org id"), "tempo-tenant-missing"),
        (Status::invalid_argument("tenant ID 'a b' contains unsupported character ' '"), "tempo-tenant-invalid"),
        (Status::internal("error finding partition ring replicas: empty ring"), "tempo-stores-absent"),
    ] {
        let script = Script { traces: traces(3), broken_from: Some((0, status)), ..Script::default() };
        let server = Server::start(script);
        assert_eq!(code(&server.url()), want);
    }
}

#[test]
fn a_credential_never_shows_in_a_message() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut options = options();
    options.transport.bearer = Some("s3cr3t-token".to_owned());
    options.transport.headers = vec![("x-key".to_owned(), "s3cr3t-key".to_owned())];
    let failed = pull(&format!("tempo://me:s3cr3t-word@{free}"), &options).unwrap_err();
    assert!(!failed.to_string().contains("s3cr3t") && !failed.to_string().contains("me:"));
    options.transport.headers = vec![("x-key".to_owned(), "s3cr3t\nbroken".to_owned())];
    let failed = pull(&format!("tempo://{free}"), &options).unwrap_err();
    assert_eq!(failed.code, "transport-header");
    assert!(!failed.to_string().contains("s3cr3t"));
    assert!(!format!("{options:?}").contains("s3cr3t"));
}

#[test]
fn a_missing_window_or_certificate_file_is_said() {
    let server = Server::start(Script { traces: traces(3), ..Script::default() });
    let mut without = options();
    without.window = None;
    assert_eq!(pull(&server.url(), &without).unwrap_err().code, "window-missing");
    let mut no_file = options();
    no_file.transport.ca_file = Some("no/such/ca.pem".into());
    assert_eq!(pull("tempo+https://127.0.0.1:9", &no_file).unwrap_err().code, "tls-file");
    no_file.transport.ca_file = Some("Cargo.toml".into());
    assert_eq!(pull("tempo+https://127.0.0.1:9", &no_file).unwrap_err().code, "tls-file");
}

#[test]
fn tls_with_an_own_authority_a_client_certificate_and_another_server_name() {
    let server = Server::start(Script { traces: traces(40), tls: true, ..Script::default() });
    let mut trusted = options();
    trusted.transport.ca_file = Some(tls_file("ca.pem"));
    trusted.transport.client_cert = Some((tls_file("client.pem"), tls_file("client.key")));
    trusted.transport.server_name = Some("tempo.test".to_owned());
    let (got, _) = pull(&server.tls_url(), &trusted).unwrap();
    assert_eq!(got.traces().len(), 40);

    let mut other = trusted.clone();
    other.transport.ca_file = Some(tls_file("other-ca.pem"));
    assert_eq!(pull(&server.tls_url(), &other).unwrap_err().code, "tempo-tls-certificate");
    let mut misnamed = trusted.clone();
    misnamed.transport.server_name = None;
    assert_eq!(pull(&server.tls_url(), &misnamed).unwrap_err().code, "tempo-tls-certificate");
    let mut unknown = trusted.clone();
    unknown.transport.client_cert = None;
    let refused = pull(&server.tls_url(), &unknown).unwrap_err();
    // With TLS 1.3 the server may close only after the handshake, without a word.
    let codes = ["tempo-tls-certificate", "tempo-tls-refused", "tempo-connection-lost"];
    assert!(codes.contains(&refused.code) && refused.help.contains("client certificate"), "{refused}");
    let plain = pull(&server.tls_url().replace("+https", ""), &trusted).unwrap_err();
    assert!(["tempo-not-grpc", "tempo-connection-lost"].contains(&plain.code), "{plain}");
}
