//! A Honeycomb: told by its address, since a request for its service map would start work there.
//!
//! Input: the address and the key. Output: an [`Examination`]. Must not: ask anything without a key, or try another port.
//!
//! One request is made: `GET /1/auth`, which says whose a key is, as Honeycomb's API reference has it under "Auth"
//! (<https://docs.honeycomb.io/api/auth/list-authorizations>).

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::address::{Address, Endpoint};
use super::{Access, Answer, Door, DoorState, Examination, Service, handshake, knock, verdict};
use crate::diag::{Diagnostic, Location};
use crate::source::SourceOptions;
use crate::source::backend::trouble::line;
use crate::source::backend::{http, transport};
use crate::source::honeycomb::{self, KEY_HEADER, KEY_VARIABLE};

/// A longer answer is not that of Honeycomb.
const MOST: usize = 64 << 10;

/// What a key is good for. The parts of an answer that are used; both names are empty for some keys.
#[derive(Deserialize)]
struct Key {
    /// `configuration` or `ingest`. Not said by older servers.
    #[serde(default, rename = "type")]
    kind: String,
    team: Named,
    #[serde(default)]
    environment: Named,
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
    #[serde(default)]
    slug: String,
}

/// Looks at the Honeycomb that `from` names.
///
/// # Errors
/// `source-url` and what [`transport::headers`] refuses.
pub(super) async fn examine(
    from: &str,
    options: &SourceOptions,
    patience: Duration,
) -> Result<Examination, Diagnostic> {
    let place = honeycomb::endpoint::MANNER.parse(from)?;
    let host = Address::parse(from)?.host;
    let port = place.http.port_or_known_default().unwrap_or(443);
    let headers = transport::headers(&options.transport, None, "x-scope-orgid")?;
    let keyed = options.transport.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(KEY_HEADER));
    // What is known without an answer.
    let known = || {
        let key = if keyed { "is set" } else { "is not set" };
        Diagnostic::info("doctor-honeycomb", format!("this is the address of a Honeycomb; {KEY_VARIABLE} {key}"))
            .at(Location::file(place.shown.as_str()))
            .help(format!("once it can be reached, with a key: --from {}", place.shown))
    };
    let mut found = Examination { host, sources: Vec::new(), doors: Vec::new(), findings: Vec::new() };
    if let Err(unknown) = knock::resolve(&found.host, patience).await {
        found.findings.extend([unknown, known()]);
        return Ok(found);
    }
    let mut door =
        Door { port, named: true, state: knock::knock(&found.host, port, patience).await, answers: Vec::new() };
    let at = format!("{}:{port}", found.host);
    if let Some((code, what, help)) = verdict::of_state(door.state) {
        found.findings.extend([Diagnostic::error(code, what).at(Location::file(at)).help(help), known()]);
        found.doors.push(door);
        return Ok(found);
    }
    if place.http.scheme() == "https" {
        let tls = Endpoint { grpc: place.http.clone(), http: place.http.clone(), basic: None, shown: at.clone() };
        // Nobody is told the key for this.
        match handshake(&tls, &HeaderMap::new(), options, patience, DoorState::Tls).await {
            Ok(_) => door.state = DoorState::Tls,
            Err(said) => {
                found.findings.extend([said, known()]);
                found.doors.push(door);
                return Ok(found);
            }
        }
    }
    let (answer, said) = if keyed {
        let client = transport::http(&place.http, &options.transport, &headers, patience).await;
        let (client, base) = client.map_err(|failed| failed.plainly(&place.shown))?;
        let answer = ask(client.get(format!("{}/1/auth", base.as_str().trim_end_matches('/')))).await;
        let said = trouble(&answer);
        (answer, said)
    } else {
        let answer = told(Access::KeyMissing, format!("{KEY_VARIABLE} is not set"));
        let help = format!(
            "set {KEY_VARIABLE} to a configuration key of the environment, with the permission to read service maps; then: \
             --from {}",
            place.shown
        );
        (answer, Some(Diagnostic::error("honeycomb-key-missing", "no key was given to ask Honeycomb with").help(help)))
    };
    found.findings.extend(said.map(|said| said.at(Location::file(at))));
    if answer.access == Access::Open && found.findings.is_empty() {
        found.sources.push(place.shown);
    }
    door.answers.push(answer);
    found.doors.push(door);
    Ok(found)
}

fn told(access: Access, detail: String) -> Answer {
    Answer { service: Service::Honeycomb, access, detail }
}

/// Asks whose the key is.
async fn ask(request: reqwest::RequestBuilder) -> Answer {
    let Ok(response) = request.send().await else {
        return told(Access::NotReady, "no answer in time".to_owned());
    };
    let status = response.status().as_u16();
    let body = http::body(response, MOST).await.ok().flatten().unwrap_or_default();
    match (status, serde_json::from_slice::<Key>(&body)) {
        (200..=299, Ok(key)) => {
            let name = |named: &Named| if named.name.is_empty() { line(&named.slug) } else { line(&named.name) };
            let mut detail = format!("the key is of the team {}", name(&key.team));
            let environment = name(&key.environment);
            if !environment.is_empty() {
                detail.push_str(&format!(", environment {environment}"));
            }
            // Keys of this kind send data and can ask for nothing.
            if key.kind == "ingest" {
                return told(Access::Denied, format!("{detail}, and can only send data"));
            }
            told(Access::Open, detail)
        }
        (401 | 403, _) => told(Access::Denied, format!("HTTP {status}")),
        (429 | 500.., _) => told(Access::NotReady, format!("HTTP {status}")),
        _ => Answer { service: Service::Http, access: Access::Open, detail: format!("HTTP {status}") },
    }
}

fn trouble(answer: &Answer) -> Option<Diagnostic> {
    let (code, what, help) = match (answer.service, answer.access) {
        (Service::Honeycomb, Access::Open) => return None,
        (Service::Honeycomb, Access::Denied) => (
            "doctor-credentials",
            "Honeycomb refuses the key",
            "check HONEYCOMB_API_KEY: a configuration key of the environment, not one for sending data; keys of api.honeycomb.io \
             are unknown at api.eu1.honeycomb.io",
        ),
        (Service::Honeycomb, _) => {
            ("doctor-not-ready", "Honeycomb does not answer questions now", "try again in a minute")
        }
        _ => (
            "doctor-unknown",
            "what answers here does not answer as Honeycomb's API does",
            "check host and port: api.honeycomb.io, or api.eu1.honeycomb.io for the EU",
        ),
    };
    Some(Diagnostic::error(code, what).help(help))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::super::examine;
    use super::*;
    use crate::source::Transport;

    const KEY: &str = "s3cret-key";
    const GOOD: &str = r#"{"id":"FL_x","type":"configuration","api_key_access":{"events":true,"newer":false},
        "environment":{"name":"Production","slug":"production"},"team":{"name":"Shop","slug":"shop"}}"#;

    /// Answers `GET /1/auth` so and everything else with 404; gives what was asked.
    fn server(status: u16, body: &str) -> (String, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("honeycomb+http://{}", listener.local_addr().unwrap());
        let (say, heard) = channel();
        let body = body.to_owned();
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let mut reader = BufReader::new(stream);
                let mut text = String::new();
                while !text.ends_with("\r\n\r\n") && reader.read_line(&mut text).is_ok_and(|n| n > 0) {}
                let (status, body) = if text.starts_with("GET /1/auth ") { (status, &*body) } else { (404, "") };
                if say.send(text).is_err() {
                    return;
                }
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                reader.get_mut().write_all((head + body).as_bytes()).unwrap();
            }
        });
        (at, heard)
    }

    fn options(key: bool) -> SourceOptions {
        let headers = if key { vec![(KEY_HEADER.to_owned(), KEY.to_owned())] } else { Vec::new() };
        SourceOptions {
            timeout: Duration::from_secs(5),
            transport: Transport { headers, ..Transport::default() },
            ..SourceOptions::default()
        }
    }

    fn look(status: u16, body: &str) -> (Examination, String) {
        let (at, heard) = server(status, body);
        let found = examine(&at, &options(true)).unwrap();
        let heard: Vec<String> = heard.try_iter().collect();
        let asked = heard.iter().find(|text| text.starts_with("GET /1/auth ")).unwrap();
        assert!(asked.to_ascii_lowercase().contains("x-honeycomb-team: s3cret-key\r\n"), "{asked}");
        let without = heard.iter().filter(|text| !text.starts_with("GET /1/auth "));
        assert!(without.clone().all(|text| !text.contains(KEY)), "the key goes with the question alone");
        assert!(!format!("{found:?}").contains(KEY));
        assert_eq!(found.doors.len(), 1, "no other port is tried");
        (found, at)
    }

    #[test]
    fn a_key_that_is_known_there_gives_the_source() {
        let (found, at) = look(200, GOOD);
        assert_eq!((found.sources, found.findings), (vec![at], vec![]));
        let detail = "the key is of the team Shop, environment Production".to_owned();
        assert_eq!(found.doors[0].answers, [told(Access::Open, detail)]);
        let classic = r#"{"team":{"slug":"query-api"},"environment":{"name":"","slug":""}}"#;
        assert_eq!(look(200, classic).0.doors[0].answers[0].detail, "the key is of the team query-api");
    }

    #[test]
    fn what_keeps_from_reading_is_said_in_words_of_honeycomb() {
        for (status, body, code) in [
            (401, r#"{"error":"unknown API key - check your credentials"}"#, "doctor-credentials"),
            (200, &*GOOD.replace("configuration", "ingest"), "doctor-credentials"),
            (503, "", "doctor-not-ready"),
            (429, "{}", "doctor-not-ready"),
            (404, "<html>", "doctor-unknown"),
            (200, "<html>", "doctor-unknown"),
        ] {
            let (found, _) = look(status, body);
            let codes: Vec<_> = found.findings.iter().map(|f| f.code).collect();
            assert_eq!((codes, found.sources), (vec![code], vec![]), "{status} {body}");
            assert!(found.findings.iter().all(|f| !f.help.is_empty() && !f.help.contains("BEARER")));
        }
    }

    #[test]
    fn without_a_key_nothing_is_asked_and_the_way_is_shown() {
        let (at, heard) = server(200, GOOD);
        let found = examine(&at, &options(false)).unwrap();
        assert!(heard.try_iter().all(|text| !text.contains("/1/auth")));
        assert_eq!(found.doors[0].answers[0].access, Access::KeyMissing);
        let said = &found.findings[0];
        assert_eq!((said.code, found.sources.len()), ("honeycomb-key-missing", 0));
        assert!(said.help.ends_with(&format!("--from {at}")), "{said:?}");
    }

    #[test]
    fn nobody_there_and_a_key_in_the_address() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let found = examine(&format!("honeycomb+http://{free}"), &options(true)).unwrap();
        let codes: Vec<_> = found.findings.iter().map(|f| f.code).collect();
        assert_eq!((codes, found.doors.len()), (vec!["doctor-refused", "doctor-honeycomb"], 1));
        assert!(found.findings[1].message.ends_with("HONEYCOMB_API_KEY is set"), "{found:?}");
        assert!(found.findings[1].help.ends_with(&format!("--from honeycomb+http://{free}")), "{found:?}");
        let unknown = examine("honeycomb://no-such-host.invalid", &options(false)).unwrap();
        let codes: Vec<_> = unknown.findings.iter().map(|f| f.code).collect();
        assert_eq!(codes, ["doctor-name", "doctor-honeycomb"]);
        assert!(unknown.findings[1].message.ends_with("HONEYCOMB_API_KEY is not set"), "{unknown:?}");
        let refused = examine("honeycomb://s3cret@h", &options(true)).unwrap_err();
        assert!(refused.code == "source-url" && !refused.to_string().contains("s3cret"));
    }
}
