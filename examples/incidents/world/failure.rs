//! How things fail, as spans tell it.
//!
//! Purpose: messages and codes shared by the random systems and the planted origins. Must not: decide what fails.

/// A failure.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `exception.type`; empty for none.
    pub(crate) exception: &'static str,
    pub(crate) message: &'static str,
    pub(crate) http: u16,
    pub(crate) grpc: u8,
    /// Whether the called side calls it a failure too: a "not found" is one for the caller only.
    pub(crate) server: bool,
}

pub(crate) const CRASH: Failure = Failure {
    exception: "java.lang.IllegalStateException",
    message: "unexpected state",
    http: 500,
    grpc: 13,
    server: true,
};
/// What a caller answers when something it needs has failed.
pub(crate) const PASSED_ON: Failure =
    Failure { exception: "", message: "upstream call failed", http: 500, grpc: 13, server: true };
/// The caller waited long enough.
pub(crate) const GAVE_UP: Failure =
    Failure { exception: "DeadlineExceeded", message: "deadline exceeded", http: 504, grpc: 4, server: true };
pub(crate) const REFUSED: Failure =
    Failure { exception: "ConnectException", message: "connection refused", http: 503, grpc: 14, server: true };
pub(crate) const MISSING: Failure = Failure { exception: "", message: "not found", http: 404, grpc: 5, server: false };
