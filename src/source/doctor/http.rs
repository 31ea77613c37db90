//! Questions over HTTP that only one kind of server answers.

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Method, Response};
use serde_json::Value;
use url::Url;

use super::{Access, Answer, Service};
use crate::source::backend::trouble::line;

/// More of an answer is not looked at.
const MOST: usize = 64 << 10;

/// A question and whose it is.
struct Question {
    service: Service,
    method: Method,
    path: &'static str,
    /// Whether the body of a good answer is this service's, and what it says of itself.
    recognise: fn(&str) -> Option<String>,
}

/// A server is asked these in turn; one that is recognised is asked nothing else for the same service.
const QUESTIONS: [Question; 8] = [
    Question { service: Service::TempoHttp, method: Method::GET, path: "api/echo", recognise: tempo },
    Question { service: Service::Prometheus, method: Method::GET, path: "api/v1/status/buildinfo", recognise: build },
    Question {
        service: Service::Prometheus,
        method: Method::GET,
        path: "prometheus/api/v1/status/buildinfo",
        recognise: build,
    },
    Question { service: Service::JaegerHttp, method: Method::GET, path: "api/v3/services", recognise: jaeger },
    Question { service: Service::JaegerHttp, method: Method::GET, path: "api/services", recognise: jaeger_old },
    Question { service: Service::OtlpHttp, method: Method::POST, path: "v1/traces", recognise: anything },
    Question { service: Service::Zipkin, method: Method::GET, path: "api/v2/services", recognise: names },
    Question { service: Service::Grafana, method: Method::GET, path: "api/health", recognise: grafana },
];

/// Asks everything; a web server that is none of these is said to be one.
pub(super) async fn ask(client: &Client, base: &Url) -> Vec<Answer> {
    let mut answers: Vec<Answer> = Vec::new();
    let mut denied = None;
    let mut other = None;
    for question in &QUESTIONS {
        if answers.iter().any(|a| a.service == question.service) {
            continue;
        }
        let url = format!("{}/{}", base.as_str().trim_end_matches('/'), question.path);
        let mut request = client.request(question.method.clone(), url);
        if question.method == Method::POST {
            // No message at all is a message without spans.
            request = request.header(CONTENT_TYPE, "application/x-protobuf").body(Vec::new());
        }
        let response = match request.send().await {
            Ok(response) => response,
            // Nor would it answer the others.
            Err(error) if error.is_timeout() => break,
            Err(_) => continue,
        };
        let status = response.status().as_u16();
        let server = server(&response);
        let web = response.headers().get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"text/html"));
        let body = body(response).await;
        match status {
            200..=299 if !web => {
                if let Some(detail) = (question.recognise)(&body) {
                    answers.push(Answer { service: question.service, access: Access::Open, detail });
                }
            }
            401 | 403 | 407 => denied = Some(line(&format!("{status} {server}"))),
            502..=504 => other = Some((Access::NotReady, line(&format!("{status} {server}")))),
            _ if other.is_none() => other = Some((Access::Open, server)),
            _ => {}
        }
    }
    if answers.iter().any(|a| a.service == Service::TempoHttp) {
        describe_tempo(client, base, &mut answers).await;
    }
    if answers.is_empty() {
        let (access, detail) = match (denied, other) {
            (Some(detail), _) => (Access::Denied, detail),
            (None, Some(found)) => found,
            (None, None) => return answers,
        };
        answers.push(Answer { service: Service::Http, access, detail });
    }
    answers
}

/// Version, readiness and tenancy of a Tempo.
async fn describe_tempo(client: &Client, base: &Url, answers: &mut [Answer]) {
    let get = async |path: &str| {
        let response = client.get(format!("{}/{path}", base.as_str().trim_end_matches('/'))).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, body(response).await))
    };
    let version = get("api/status/buildinfo").await.and_then(|(_, body)| {
        let json: Value = serde_json::from_str(&body).ok()?;
        Some(line(json.get("version")?.as_str()?))
    });
    let ready = get("ready").await;
    let tags = get("api/search/tags").await;
    let Some(tempo) = answers.iter_mut().find(|a| a.service == Service::TempoHttp) else { return };
    if let Some(version) = version.filter(|v| !v.is_empty()) {
        tempo.detail = format!("version {version}");
    }
    match (ready, tags) {
        (_, Some((401, text))) if text.contains("no org id") => tempo.access = Access::TenantMissing,
        (_, Some((401 | 403, _))) => tempo.access = Access::Denied,
        (Some((503, text)), _) => {
            tempo.access = Access::NotReady;
            tempo.detail = line(&text);
        }
        _ => {}
    }
}

fn server(response: &Response) -> String {
    response.headers().get("server").and_then(|v| v.to_str().ok()).map(line).unwrap_or_default()
}

async fn body(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST {
            break;
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

fn anything(_: &str) -> Option<String> {
    Some(String::new())
}

fn tempo(body: &str) -> Option<String> {
    (body.trim() == "echo").then(String::new)
}

fn build(body: &str) -> Option<String> {
    let json: Value = serde_json::from_str(body).ok()?;
    let data = json.get("data")?;
    let version = line(data.get("version")?.as_str()?);
    let application = data.get("application").and_then(Value::as_str).map(line).unwrap_or_default();
    Some(format!("{application} version {version}").trim().to_owned())
}

fn jaeger(body: &str) -> Option<String> {
    let json: Value = serde_json::from_str(body).ok()?;
    let n = json.get("services")?.as_array()?.len();
    Some(format!("{n} service(s)"))
}

fn jaeger_old(body: &str) -> Option<String> {
    let json: Value = serde_json::from_str(body).ok()?;
    json.get("data")?.as_array()?;
    Some(String::new())
}

fn names(body: &str) -> Option<String> {
    let json: Value = serde_json::from_str(body).ok()?;
    json.as_array()?.iter().all(Value::is_string).then(String::new)
}

fn grafana(body: &str) -> Option<String> {
    let json: Value = serde_json::from_str(body).ok()?;
    json.get("database")?;
    let version = json.get("version").and_then(Value::as_str).map(line).unwrap_or_default();
    Some(format!("version {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_knows_its_own_words_only() {
        assert_eq!(tempo("echo").as_deref(), Some(""));
        assert_eq!(tempo("<html>echo"), None);
        assert_eq!(build(r#"{"status":"success","data":{"version":"3.1"}}"#).as_deref(), Some("version 3.1"));
        assert_eq!(build(r#"{"version":"3.1.0"}"#), None);
        assert_eq!(jaeger(r#"{"services":["a","b"]}"#).as_deref(), Some("2 service(s)"));
        assert_eq!(jaeger(r#"{"error":{"httpCode":404}}"#), None);
        assert!(names(r#"["a"]"#).is_some() && names(r#"[{"a":1}]"#).is_none() && names("{}").is_none());
        assert!(grafana(r#"{"database":"ok","version":"12"}"#).is_some());
    }
}
