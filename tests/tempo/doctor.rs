//! What `doctor` says of servers that play a Tempo, of some that are none, and of a live one where it is given.

use std::net::TcpListener;

use tonic::Status;
use tracebook::source::SourceOptions;
use tracebook::source::doctor::{Access, DoorState, Examination, Service, examine};

use crate::doors::says;
use crate::play::{START, Script, Server, tls_file, traces};
use crate::support::hasty;

fn options() -> SourceOptions {
    let mut options = hasty((START, START + 60));
    options.transport.tenant = Some("team-a".to_owned());
    options
}

fn codes(found: &Examination) -> Vec<&'static str> {
    found.findings.iter().map(|f| f.code).collect()
}

fn services(found: &Examination) -> Vec<(Service, Access)> {
    found.doors[0].answers.iter().map(|a| (a.service, a.access)).collect()
}

/// `tempo://127.0.0.1:1?http=…` → `127.0.0.1:1`.
fn address(url: &str) -> &str {
    url.split_once("://").unwrap().1.split('?').next().unwrap()
}

#[test]
fn a_port_where_nobody_listens_and_an_unknown_host() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let found = examine(&free.to_string(), &options()).unwrap();
    assert_eq!((found.doors[0].state, found.doors[0].named), (DoorState::Refused, true));
    assert!(codes(&found).contains(&"doctor-refused"), "{found:?}");
    let found = examine("no-such-host.invalid:9095", &options()).unwrap();
    assert_eq!((codes(&found), found.doors.len()), (vec!["doctor-name"], 0));
    assert_eq!(examine("tempo://", &options()).unwrap_err().code, "source-url");
}

#[test]
fn a_gateway_s_words_are_told_apart() {
    for (answer, code) in [
        (
            &b"HTTP/1.1 401 Unauthorized\r\nserver: nginx\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"[..],
            "doctor-credentials",
        ),
        (
            b"HTTP/1.1 502 Bad Gateway\r\nserver: envoy\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "doctor-not-ready",
        ),
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", "doctor-unknown"),
        (b"-ERR unknown command\r\n", "doctor-unknown"),
    ] {
        let found = examine(&says(answer), &options()).unwrap();
        assert!(codes(&found).contains(&code), "{code}: {found:?}");
        assert!(found.findings.iter().all(|f| !f.help.is_empty()));
    }
}

#[test]
fn a_server_that_never_says_a_word_is_called_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let found = examine(&listener.local_addr().unwrap().to_string(), &options()).unwrap();
    assert_eq!((found.doors[0].state, &found.doors[0].answers), (DoorState::Mute, &Vec::new()));
    assert!(codes(&found).contains(&"doctor-mute") && found.sources.is_empty(), "{found:?}");
}

#[test]
fn the_query_service_over_grpc_is_found_and_so_is_a_missing_tenant() {
    let server = Server::start(Script { traces: traces(3), ..Script::default() });
    let found = examine(address(&server.url()), &options()).unwrap();
    assert_eq!(found.doors[0].state, DoorState::Http2);
    assert!(services(&found).contains(&(Service::TempoGrpc, Access::Open)), "{found:?}");
    // The played HTTP side listens on a port that nobody would guess.
    assert!(codes(&found).contains(&"doctor-tempo-http"));
    let broken = Some((0, Status::unknown("no org id")));
    let server = Server::start(Script { traces: traces(3), broken_from: broken, ..Script::default() });
    let found = examine(address(&server.url()), &options()).unwrap();
    assert_eq!(services(&found), [(Service::TempoGrpc, Access::TenantMissing)]);
    assert!(codes(&found).contains(&"doctor-tenant"));
}

#[test]
fn tls_is_noticed_without_being_told_and_certificates_are_judged() {
    let server = Server::start(Script { traces: traces(3), tls: true, ..Script::default() });
    let tls_url = server.tls_url();
    let address = address(&tls_url);
    let found = examine(address, &options()).unwrap();
    assert_eq!((found.doors[0].state, codes(&found)[0]), (DoorState::Tls, "doctor-tls"), "{found:?}");
    let mut trusted = options();
    trusted.transport.ca_file = Some(tls_file("ca.pem"));
    let found = examine(address, &trusted).unwrap();
    assert_eq!(codes(&found)[0], "doctor-tls", "{found:?}");
    assert!(found.findings[0].help.contains("--server-name"), "{found:?}");
    trusted.transport.client_cert = Some((tls_file("client.pem"), tls_file("client.key")));
    trusted.transport.server_name = Some("tempo.test".to_owned());
    let found = examine(address, &trusted).unwrap();
    assert!(services(&found).contains(&(Service::TempoGrpc, Access::Open)), "{found:?}");
}

#[test]
fn no_credential_is_shown() {
    let server = Server::start(Script { traces: traces(3), ..Script::default() });
    let found = examine(&format!("tempo://me:s3cr3t@{}", address(&server.url())), &options()).unwrap();
    assert!(!format!("{found:?}").contains("s3cr3t"));
}

/// With `TRACEBOOK_PEER_TEMPO`: the address alone leads to a source that can be read.
#[test]
fn a_live_tempo_is_recognised() {
    let Ok(url) = std::env::var("TRACEBOOK_PEER_TEMPO") else {
        println!("skipped: TRACEBOOK_PEER_TEMPO is not set");
        return;
    };
    let found = examine(address(&url), &SourceOptions::default()).unwrap();
    assert!(services(&found).contains(&(Service::TempoGrpc, Access::Open)), "{found:?}");
}
