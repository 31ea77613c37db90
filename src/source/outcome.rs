//! The protocol status of a span, from its attributes.

use super::view::{Known, Value};
use crate::spans::semconv::{self, Slot};

/// HTTP status (0 when not given or not a status) and gRPC status name (empty when not given).
///
/// Under the current convention `rpc.response.status_code` holds the status of any RPC system; names that are not
/// gRPC's are left out.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to lie in 100..=599")]
pub(super) fn codes(known: &Known<'_>) -> (u16, &'static str) {
    let http = known.get(Slot::HttpStatus).and_then(Value::number).filter(|n| (100.0..=599.0).contains(n));
    let grpc = match known.get(Slot::GrpcStatus) {
        Some(Value::Int(n)) => usize::try_from(n).ok().and_then(|n| semconv::GRPC_STATUS.get(n).copied()),
        Some(value) => value.text().and_then(|text| semconv::grpc_status(&text)),
        None => None,
    };
    (http.map_or(0, |n| n as u16), grpc.unwrap_or(""))
}
