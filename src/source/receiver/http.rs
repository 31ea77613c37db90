//! OTLP over HTTP: `POST /v1/traces` with a body in protobuf or JSON, plain or gzip. The answer is in the same form.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use tonic::{Code, Status};

use super::body::{self, collect, discard, unpack, work};
use super::budget::{Buffer, PREFIX};
use super::export::{Exporter, Refused};
use super::retry;
use crate::source::json::{self, JsonError, Trouble};

/// Where OTLP over HTTP is sent to.
pub(super) const PATH: &str = "/v1/traces";

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Protobuf,
    Json,
}

impl Form {
    /// The form that a request says it has.
    fn of(headers: &HeaderMap) -> Option<Self> {
        match essence(headers, &header::CONTENT_TYPE).as_str() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The form of the answer: that of the request, where it has one.
    pub(super) fn of_answer(headers: &HeaderMap) -> Self {
        Self::of(headers).unwrap_or(Self::Protobuf)
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        })
    }
}

/// Answers one request.
pub(super) async fn answer(exporter: &Exporter, request: Request<Body>) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    let answer = match keep(exporter, &parts, &mut body).await {
        Ok((form, response)) => success(form, &response),
        Err((code, status)) => refusal(Form::of_answer(&parts.headers), code, &status),
    };
    if answer.status() != StatusCode::OK {
        finish(exporter, &parts, &mut body).await;
    }
    answer
}

/// Answers a request that is not looked at.
pub(super) async fn refuse(exporter: &Exporter, request: Request<Body>, status: &Status) -> Response<Body> {
    refuse_as(exporter, request, code(status), status).await
}

/// The same with a status of HTTP's own.
pub(super) async fn refuse_as(
    exporter: &Exporter,
    request: Request<Body>,
    code: StatusCode,
    status: &Status,
) -> Response<Body> {
    let (parts, mut body) = request.into_parts();
    finish(exporter, &parts, &mut body).await;
    refusal(Form::of_answer(&parts.headers), code, status)
}

/// Hears a sender out who would not hear the answer before.
async fn finish(exporter: &Exporter, parts: &Parts, body: &mut Body) {
    if parts.version < Version::HTTP_2 {
        discard(body, exporter.budget().most()).await;
    }
}

/// Reads a request and keeps it.
async fn keep(
    exporter: &Exporter,
    parts: &Parts,
    body: &mut Body,
) -> Result<(Form, ExportTraceServiceResponse), (StatusCode, Status)> {
    let unread = |why: &str| (StatusCode::UNSUPPORTED_MEDIA_TYPE, Status::invalid_argument(why));
    if parts.method != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, Status::unimplemented("only POST is answered here")));
    }
    let form = Form::of(&parts.headers)
        .ok_or_else(|| unread("the Content-Type is neither application/x-protobuf nor application/json"))?;
    let packed = match essence(&parts.headers, &header::CONTENT_ENCODING).as_str() {
        "" | "identity" => false,
        "gzip" => true,
        _ => return Err(unread("only gzip is unpacked")),
    };
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let kept = read(exporter, body, form, packed, announced.unwrap_or(0)).await;
    kept.map(|response| (form, response)).map_err(|status| (code(&status), status))
}

async fn read(
    exporter: &Exporter,
    body: &mut Body,
    form: Form,
    packed: bool,
    announced: usize,
) -> Result<ExportTraceServiceResponse, Status> {
    let budget = exporter.budget();
    let mut bytes = budget.buffer();
    // A message in protobuf becomes a record of the log as it is, after its length.
    let ahead: &[u8] = if form == Form::Protobuf { &[0; PREFIX] } else { &[] };
    // Who would find no room is told so before the body has come.
    bytes.expect(announced.saturating_add(if packed { 0 } else { ahead.len() }))?;
    if !packed {
        bytes.push(ahead)?;
    }
    let [] = collect(body, &mut bytes, |[], _| Ok(())).await?;
    if packed {
        let mut plain = budget.buffer();
        work(bytes.bytes().len(), || {
            plain.push(ahead)?;
            unpack(bytes.bytes(), &mut plain)
        })?;
        bytes = plain;
    }
    match form {
        Form::Protobuf => exporter.keep(bytes, Refused::new()).await,
        Form::Json => {
            let mut message = budget.buffer();
            let (refused, others) = work(bytes.bytes().len(), || convert(&mut bytes, &mut message))?;
            drop(bytes);
            let mut response = exporter.keep(message, refused).await?;
            if others {
                // A success with a warning, as the specification has it.
                let partial = response.partial_success.get_or_insert_default();
                partial.error_message = "there is no `resourceSpans` in it: nothing was kept".to_owned();
            }
            Ok(response)
        }
    }
}

/// The message that a body in JSON stands for; spans that are not in it, and whether there is only something else.
fn convert(body: &mut Buffer, message: &mut Buffer) -> Result<(Refused, bool), Status> {
    let text = body.text();
    // Only an id may be longer in protobuf than it is written, and that by less than half of its span.
    let room = text.len().saturating_add(text.len() / 2).saturating_add(PREFIX);
    let converted = message.fill(room, |out, more| {
        out.extend_from_slice(&[0; PREFIX]);
        json::convert(text, out, more)?.map_err(|error| Status::invalid_argument(told(&error)))
    })?;
    let refused = converted.refused.into_iter().map(|(code, n)| (code.to_owned(), n)).collect();
    Ok((refused, converted.others && !converted.spans))
}

fn told(error: &JsonError) -> String {
    let JsonError { trouble, line, column, message } = error;
    match trouble {
        Trouble::Shape => format!("the body is JSON but not OTLP, at line {line}, column {column}: {message}"),
        _ => format!("the body is no JSON, at line {line}, column {column}: {message}"),
    }
}

/// What HTTP calls a status. 429 and 503 alone are tried again by OTLP's clients.
fn code(status: &Status) -> StatusCode {
    match status.code() {
        Code::ResourceExhausted if status.details().is_empty() => StatusCode::PAYLOAD_TOO_LARGE,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn success(form: Form, response: &ExportTraceServiceResponse) -> Response<Body> {
    let partial = response.partial_success.as_ref();
    let body = match form {
        Form::Protobuf => response.encode_to_vec(),
        Form::Json => {
            let said = partial.map(|partial| {
                let mut said = serde_json::json!({ "errorMessage": partial.error_message });
                // 64 bits are a string in OTLP/JSON, and nothing is left out.
                if partial.rejected_spans > 0 {
                    said["rejectedSpans"] = partial.rejected_spans.to_string().into();
                }
                said
            });
            said.map_or_else(|| serde_json::json!({}), |said| serde_json::json!({ "partialSuccess": said }))
                .to_string()
                .into_bytes()
        }
    };
    typed(form, body)
}

/// The answer to what is not taken: its body is a `google.rpc.Status`, as the specification has it.
pub(super) fn refusal(form: Form, code: StatusCode, status: &Status) -> Response<Body> {
    let body = match form {
        Form::Protobuf => retry::message(status),
        Form::Json => retry::json(status).into_bytes(),
    };
    let mut response = typed(form, body);
    *response.status_mut() = code;
    if code == StatusCode::METHOD_NOT_ALLOWED {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
    }
    if matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry::AFTER_SECONDS));
    }
    response
}

fn typed(form: Form, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(body::whole(body));
    response.headers_mut().insert(header::CONTENT_TYPE, form.name());
    response
}

/// The value of a header without its parameters, in lower case.
fn essence(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
