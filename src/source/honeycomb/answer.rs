//! The answers of the service-map API, and what its errors mean.
//!
//! Input: status and body of an HTTP answer. Output: the data, or a coded diagnostic and whether to try again.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::diag::{Diagnostic, Location};
use crate::source::backend::trouble::{Trouble, line};

/// The most dependencies one request gives.
pub(super) const MOST: usize = 64_000;

/// What a request is called, and what became of it. The parts of an answer that are used.
#[derive(Debug, Deserialize)]
pub(super) struct Map {
    pub(super) request_id: String,
    pub(super) status: State,
    /// One page; `null` until it is ready.
    #[serde(default)]
    pub(super) dependencies: Option<Vec<Dependency>>,
    #[serde(default)]
    pub(super) links: Option<Links>,
}

/// Of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Pending,
    Ready,
    Error,
}

/// Where the next page is: a path with its query, or nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Links {
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// Calls from one service to another.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) parent_node: Node,
    pub(super) child_node: Node,
    pub(super) call_count: u64,
}

/// A service. Untrusted text.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) name: String,
}

/// `{"error": "…"}`, or problem details with a title and a detail.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Problem {
    error: String,
    title: String,
    detail: String,
}

/// Reads an answer. `at` is the endpoint as shown to people.
pub(super) fn read<T: DeserializeOwned>(status: u16, body: &[u8], at: &str) -> Result<T, Trouble> {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    let told = [&problem.error, &problem.detail, &problem.title].into_iter().find(|text| !text.is_empty());
    let say = |code: &'static str, what: &str, help: &str| {
        let message = told.map_or_else(|| format!("{what} (HTTP {status})"), |told| format!("{what}: {}", line(told)));
        Diagnostic::error(code, message).at(Location::file(at)).help(help)
    };
    match status {
        200..=299 => serde_json::from_slice(body).map_err(|_| {
            Trouble::Fatal(say("honeycomb-answer-malformed", "what answers is no service map", "check the address"))
        }),
        401 => Err(Trouble::Fatal(say(
            "honeycomb-unauthenticated",
            "Honeycomb does not know the key",
            "check HONEYCOMB_API_KEY, and the region: api.honeycomb.io or api.eu1.honeycomb.io",
        ))),
        403 => Err(Trouble::Fatal(say(
            "honeycomb-unauthenticated",
            "the key may not read the service map",
            "give the key the permission to read service maps; the plan must include them",
        ))),
        404 => Err(Trouble::Fatal(say(
            "honeycomb-refused",
            "what answers has no service map",
            "check the address: honeycomb://api.honeycomb.io or api.eu1.honeycomb.io, and that the plan includes service maps",
        ))),
        429 => Err(Trouble::Busy(say("honeycomb-unavailable", "Honeycomb wants fewer requests", "try again later"))),
        500.. => Err(Trouble::Busy(say("honeycomb-unavailable", "Honeycomb is not available", "try again later"))),
        _ => Err(Trouble::Fatal(say(
            "honeycomb-refused",
            "Honeycomb refuses the request",
            "check the window: service maps reach back only so far",
        ))),
    }
}
