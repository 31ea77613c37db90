//! OTLP over HTTP: `POST /v1/traces` with a protobuf body, plain or gzip.

use std::future::poll_fn;
use std::io::Read as _;
use std::pin::pin;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use tonic::body::Body;
use tonic::codegen::Body as _;
use tonic::codegen::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tonic::{Code, Status};

use super::export::Exporter;
use super::retry;

/// Where OTLP over HTTP is sent to.
pub(super) const PATH: &str = "/v1/traces";
/// The one encoding that is read.
const PROTOBUF: &str = "application/x-protobuf";

/// Answers one request.
pub(super) async fn answer(exporter: &Exporter, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::POST {
        return refusal(StatusCode::METHOD_NOT_ALLOWED, &Status::unimplemented("only POST is answered here"));
    }
    if essence(&parts.headers, &header::CONTENT_TYPE) != PROTOBUF {
        let why = "only protobuf is read: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, or send over gRPC";
        return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, &Status::invalid_argument(why));
    }
    let packed = match essence(&parts.headers, &header::CONTENT_ENCODING) {
        "" | "identity" => false,
        "gzip" => true,
        _ => {
            let why = Status::invalid_argument("only gzip is unpacked");
            return refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, &why);
        }
    };
    match keep(exporter, body, packed).await {
        // An `ExportTraceServiceResponse` without anything in it is no bytes.
        Ok(()) => typed(Response::new(Body::empty())),
        Err(status) => refusal(code(&status), &status),
    }
}

async fn keep(exporter: &Exporter, body: Body, packed: bool) -> Result<(), Status> {
    let most = exporter.most();
    let mut bytes = collect(body, most).await?;
    if packed {
        let mut plain = Vec::new();
        // One more than allowed tells that there is more.
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        flate2::read::MultiGzDecoder::new(&bytes[..])
            .take(limit)
            .read_to_end(&mut plain)
            .map_err(|_| Status::invalid_argument("the body is not gzip, or not all of it"))?;
        bytes = plain;
    }
    if bytes.len() > most {
        return Err(large());
    }
    let request = ExportTraceServiceRequest::decode(&bytes[..])
        .map_err(|_| Status::invalid_argument("the body is no ExportTraceServiceRequest"))?;
    drop(bytes);
    exporter.keep(request).await
}

/// The body in one piece.
async fn collect(body: Body, most: usize) -> Result<Vec<u8>, Status> {
    let mut body = pin!(body);
    let mut all = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        if all.len().saturating_add(data.len()) > most {
            return Err(large());
        }
        all.extend_from_slice(&data);
    }
    Ok(all)
}

fn large() -> Status {
    Status::resource_exhausted("the request is too large: send smaller batches")
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

/// The answer to what is not taken: its body is a `google.rpc.Status`, as the specification has it.
pub(super) fn refusal(code: StatusCode, status: &Status) -> Response<Body> {
    // Short ASCII words, codes and lengths: as a message these are ASCII too, and a string is a body without a further crate.
    let body = String::from_utf8(retry::message(status)).unwrap_or_default();
    let mut response = typed(Response::new(Body::new(body)));
    *response.status_mut() = code;
    if matches!(code, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry::AFTER_SECONDS));
    }
    response
}

fn typed(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
    response
}

/// The value of a header without its parameters.
fn essence<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim()
}
