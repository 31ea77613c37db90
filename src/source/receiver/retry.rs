//! "Come again later", as the OTLP specification has it: `RESOURCE_EXHAUSTED` means that only with a `RetryInfo`.

use prost::Message;
use tonic::{Code, Status};

/// After how many seconds to come again: several times what a full queue takes to be written.
pub(super) const AFTER_SECONDS: i64 = 1;

/// What the details are.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// `google.rpc.Status`, from googleapis' `google/rpc/status.proto`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`, from googleapis' `google/rpc/error_details.proto`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Seconds>,
}

/// `google.protobuf.Duration` of whole seconds.
#[derive(Clone, PartialEq, Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// The answer to a request that finds no room now.
pub(super) fn later(why: &str) -> Status {
    let info = RetryInfo { retry_delay: Some(Seconds { seconds: AFTER_SECONDS }) };
    let details = vec![Any { type_url: RETRY_INFO.to_owned(), value: info.encode_to_vec() }];
    let status = RpcStatus { code: Code::ResourceExhausted as i32, message: why.to_owned(), details };
    Status::with_details(Code::ResourceExhausted, why, status.encode_to_vec().into())
}

/// A status as the body of an HTTP answer.
pub(super) fn message(status: &Status) -> Vec<u8> {
    if !status.details().is_empty() {
        return status.details().to_vec();
    }
    let (code, message) = (status.code() as i32, status.message().to_owned());
    RpcStatus { code, message, details: Vec::new() }.encode_to_vec()
}

/// The same in JSON.
pub(super) fn json(status: &Status) -> String {
    let (code, message) = (status.code() as i32, status.message());
    let mut all = serde_json::json!({ "code": code, "message": message });
    if !status.details().is_empty() {
        // The only details there are.
        let delay = format!("{AFTER_SECONDS}s");
        all["details"] = serde_json::json!([{ "@type": RETRY_INFO, "retryDelay": delay }]);
    }
    all.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_is_in_the_details() {
        let status = later("full");
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!((details.code, details.message.as_str()), (8, "full"));
        let info = RetryInfo::decode(&details.details[0].value[..]).unwrap();
        assert_eq!(info.retry_delay.unwrap().seconds, AFTER_SECONDS);
    }
}
