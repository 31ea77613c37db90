//! The protocol status of a span, from its attributes.

use super::view::{Known, Value};
use crate::spans::semconv::{self, Slot};

/// Makes `key` tell a failure from every other one, as it came.
pub(super) fn key(
    key: &mut Vec<u8>,
    (http, grpc): (u16, &'static str),
    kind: Option<Value<'_>>,
    exception: Option<Value<'_>>,
) {
    key.clear();
    key.extend_from_slice(&http.to_le_bytes());
    for value in [Value::Str(grpc), kind.unwrap_or(Value::Other), exception.unwrap_or(Value::Other)] {
        value.push_to(key, 0);
    }
}

/// HTTP status (0 when not given or not a status) and gRPC status name (empty when not given).
///
/// Under the current convention `rpc.response.status_code` holds the status of any RPC system; names that are not
/// gRPC's are left out.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 100..=599")]
pub(super) fn codes(known: &Known<'_>) -> (u16, &'static str) {
    let http = match known.get(Slot::HttpStatus) {
        Some(Value::Int(n)) => u16::try_from(n).ok().filter(|n| (100..=599).contains(n)),
        Some(value) => value.number().filter(|n| (100.0..=599.0).contains(n)).map(|n| n as u16),
        None => None,
    };
    let grpc = match known.get(Slot::GrpcStatus) {
        Some(Value::Int(n)) => usize::try_from(n).ok().and_then(|n| semconv::GRPC_STATUS.get(n).copied()),
        Some(value) => value.text().and_then(|text| semconv::grpc_status(&text)),
        None => None,
    };
    (http.unwrap_or(0), grpc.unwrap_or(""))
}
