//! Against a server that answers as Honeycomb's API reference documents it: there is no Honeycomb to install.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;
use crate::source::{NoProgress, Transport};

const KEY: &str = "s3cret-key";
const READY: &str = r#"{"request_id":"abc123","status":"ready","dependencies":[
    {"parent_node":{"name":"api-gateway","type":"service"},"child_node":{"name":"user-service","type":"service"},"call_count":42},
    {"parent_node":{"name":"user-service","type":"service"},"child_node":{"name":"billing","type":"service"},"call_count":7}],
    "links":{"next":null}}"#;
const CREATED: (u16, &str) = (201, r#"{"request_id":"abc123","status":"pending"}"#);
const PENDING: (u16, &str) = (200, r#"{"request_id":"abc123","status":"pending","dependencies":null}"#);

/// Answers requests in turn; gives their first lines, headers and bodies.
fn server(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("honeycomb+http://{}", listener.local_addr().unwrap());
    let (say, heard) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().unwrap();
            say.send(request(&mut stream)).unwrap();
            let length = body.len();
            write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
                .unwrap();
        }
    });
    (at, heard)
}

fn request(stream: &mut TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut text).unwrap() > 0);
    }
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

fn options() -> SourceOptions {
    SourceOptions {
        window: Some((UnixNanos(1_700_000_000 * SECOND + 5), UnixNanos(1_700_003_600 * SECOND))),
        timeout: Duration::from_secs(5),
        transport: Transport { headers: vec![(KEY_HEADER.to_owned(), KEY.to_owned())], ..Transport::default() },
        ..SourceOptions::default()
    }
}

fn read(answers: &[(u16, &str)]) -> (Result<(Aggregate, SourceReport), Diagnostic>, Vec<String>) {
    let (at, heard) = server(answers.iter().map(|(status, body)| (*status, (*body).to_owned())).collect());
    let outcome = open(&at, &options()).unwrap().read(&NoProgress);
    (outcome, heard.try_iter().collect())
}

#[test]
fn a_map_is_asked_for_waited_for_and_read() {
    let (outcome, heard) = read(&[CREATED, PENDING, (200, READY)]);
    let (aggregate, report) = outcome.unwrap();
    assert!(heard[0].starts_with("POST /1/maps/dependencies/requests?limit=64000 HTTP/1.1\r\n"), "{}", heard[0]);
    assert!(heard[0].ends_with(r#"{"end_time":1700003600,"start_time":1700000000}"#), "{}", heard[0]);
    assert!(heard.iter().all(|request| request.to_ascii_lowercase().contains("x-honeycomb-team: s3cret-key")));
    assert!(heard[1].starts_with("GET /1/maps/dependencies/requests/abc123?page%5Bsize%5D=100 HTTP/1.1\r\n"));
    let calls: Vec<_> = aggregate.edges.iter().map(|edge| (&edge.source, &edge.target, edge.totals.calls)).collect();
    let service = |name: &str| Party::Service(AggregateService { namespace: String::new(), name: name.into() });
    let (gateway, users, billing) = (service("api-gateway"), service("user-service"), service("billing"));
    assert_eq!(calls, [(&gateway, &users, Weight::whole(42)), (&users, &billing, Weight::whole(7))]);
    assert!(aggregate.calls_only && aggregate.operations.is_empty());
    assert_eq!(report.diagnostics[0].code, "aggregate-calls-only");
}

#[test]
fn pages_are_followed_by_their_cursor_alone() {
    let next = READY.replace(
        "null}",
        "\"https://elsewhere.example/1/maps/dependencies/requests/abc123?page[after]=ey%3D%26&page[size]=100\"}",
    );
    let (outcome, heard) = read(&[CREATED, (200, &next), (200, READY)]);
    assert_eq!(outcome.unwrap().0.edges.len(), 4);
    assert!(
        heard[2].starts_with("GET /1/maps/dependencies/requests/abc123?page%5Bsize%5D=100&page%5Bafter%5D=ey%3D%26 ")
    );
    let circle: Vec<_> = std::iter::once(CREATED).chain(std::iter::repeat_n((200, next.as_str()), 700)).collect();
    assert_eq!(read(&circle).0.unwrap_err().code, "honeycomb-answer-malformed");
}

#[test]
fn a_page_without_a_list_does_not_end_the_map() {
    let next = READY.replace("null}", "\"/1/maps/dependencies/requests/abc123?page[after]=ey\"}");
    for broken in [
        r#"{"request_id":"abc123","status":"error","dependencies":null}"#,
        r#"{"request_id":"abc123","status":"pending","dependencies":[]}"#,
        r#"{"request_id":"abc123","status":"ready","dependencies":null}"#,
        r#"{"request_id":"abc123","status":"ready"}"#,
    ] {
        let (outcome, heard) = read(&[CREATED, (200, &next), (200, broken)]);
        assert_eq!((outcome.unwrap_err().code, heard.len()), ("honeycomb-answer-malformed", 3), "{broken}");
    }
    assert_eq!(
        read(&[CREATED, (200, r#"{"request_id":"abc123","status":"ready","dependencies":null}"#)]).0.unwrap_err().code,
        "honeycomb-answer-malformed"
    );
    let empty = r#"{"request_id":"abc123","status":"ready","dependencies":[]}"#;
    assert!(read(&[CREATED, (200, empty)]).0.unwrap().0.edges.is_empty(), "nobody called anybody: that is an answer");
}

#[test]
fn what_honeycomb_refuses_is_told_without_the_key_and_what_passes_is_asked_again() {
    for (answers, code) in [
        (vec![(401, r#"{"error":"unknown API key - check your credentials"}"#)], "honeycomb-unauthenticated"),
        (vec![(403, r#"{"title":"Forbidden","detail":"missing permission"}"#)], "honeycomb-unauthenticated"),
        (vec![(400, r#"{"error":"invalid time range"}"#)], "honeycomb-refused"),
        (vec![(404, "<html>")], "honeycomb-refused"),
        (vec![(200, "[]")], "honeycomb-answer-malformed"),
        (vec![CREATED, (200, r#"{"request_id":"abc123","status":"error","dependencies":null}"#)], "honeycomb-refused"),
        (
            vec![CREATED, (200, r#"{"request_id":"abc123","status":"ready","dependencies":[{"call_count":1}]}"#)],
            "honeycomb-answer-malformed",
        ),
    ] {
        let refused = read(&answers).0.unwrap_err();
        assert_eq!(refused.code, code, "{answers:?}");
        assert!(!refused.to_string().contains(KEY));
    }
    let (outcome, heard) = read(&[(429, "{}"), CREATED, (503, "busy"), (200, READY)]);
    assert_eq!((outcome.unwrap().0.edges.len(), heard.len()), (2, 4));
}

#[test]
fn a_list_as_long_as_may_be_is_not_taken_for_a_whole_one() {
    let one =
        r#"{"parent_node":{"name":"a","type":"service"},"child_node":{"name":"b","type":"service"},"call_count":1}"#;
    let all = format!(r#"{{"request_id":"abc123","status":"ready","dependencies":[{}]}}"#, vec![one; MOST].join(","));
    assert_eq!(read(&[CREATED, (200, &all)]).0.unwrap_err().code, "honeycomb-too-much");
}

#[test]
fn a_key_is_needed_and_a_filter_refused() {
    let at = "honeycomb://api.honeycomb.io";
    let code = |options: &SourceOptions| open(at, options).err().unwrap().code;
    assert_eq!(code(&SourceOptions { transport: Transport::default(), ..options() }), "honeycomb-key-missing");
    assert_eq!(code(&SourceOptions { query: Some("{}".into()), ..options() }), "honeycomb-query");
}

/// A server that sends whoever asks elsewhere.
fn redirecting(elsewhere: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = format!("honeycomb+http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        request(&mut stream);
        let head = "HTTP/1.1 307 X\r\ncontent-length: 0\r\nconnection: close\r\nlocation: ";
        write!(stream, "{head}{elsewhere}\r\n\r\n").unwrap();
    });
    at
}

#[test]
fn a_key_goes_to_no_other_host_whoever_sends_it_there() {
    let thief = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = redirecting(format!("http://localhost:{}/1", thief.local_addr().unwrap().port()));
    assert_eq!(open(&at, &options()).unwrap().read(&NoProgress).unwrap_err().code, "honeycomb-refused");
    thief.set_nonblocking(true).unwrap();
    assert!(thief.accept().is_err(), "nobody comes by");
}

#[test]
fn on_the_same_host_a_redirect_is_followed() {
    let (there, heard) = server(vec![(401, "{}".to_owned())]);
    let at = redirecting(format!("http://127.0.0.1:{}/there", there.rsplit(':').next().unwrap()));
    assert_eq!(open(&at, &options()).unwrap().read(&NoProgress).unwrap_err().code, "honeycomb-unauthenticated");
    assert!(heard.recv().unwrap().starts_with("POST /there "));
}
