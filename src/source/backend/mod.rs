//! What sources that ask a running backend share: addresses, connections, credentials, patience, and what a failure means.
//!
//! Must not: know a backend, its codes of diagnostics, or its API.

pub(super) mod address;
pub(super) mod call;
pub(super) mod early;
pub(super) mod http;
pub(super) mod kept;
pub(super) mod place;
pub(super) mod pool;
pub(super) mod run;
pub(super) mod transport;
pub(super) mod trouble;
