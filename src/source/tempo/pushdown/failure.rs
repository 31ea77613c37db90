//! How spans failed: which failures there are, and the TraceQL that tells each from the others.
//!
//! Input: what was counted of failed spans by their attributes. Output: error classes with their conditions. Must not: decide
//! otherwise than the mapper of spans what is a failure and of which class. TraceQL groups by five keys, which is as many
//! as say how a span failed, so each failure is asked for by itself, with the keys of the population to group by.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::counted::Counted;
use super::population::{Meaning, Population, quoted};
use crate::source::outcome;
use crate::source::view::{Known, Value};
use crate::spans::{ErrorClass, normalize, semconv};

/// What tells failures apart, besides the exception: both spellings of either status.
const KEYS: [&str; 5] = [
    "span.http.response.status_code",
    "span.http.status_code",
    "span.rpc.grpc.status_code",
    "span.rpc.response.status_code",
    "span.error.type",
];

/// The exception, by which counts of one failure are grouped. Of a span with several it is one of them.
pub(super) const EXCEPTION: &str = "event.exception.type";

/// Failures that are told apart, the most frequent: somewhat more than a snapshot shows of one operation.
const MOST: usize = 24;

/// One way to fail, the exception aside.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// TraceQL that holds for it and for no other.
    pub(super) condition: String,
    /// Without an exception.
    pub(super) class: Arc<ErrorClass>,
}

/// Spans without a status whose HTTP or gRPC status says that they failed.
pub(super) fn silent() -> String {
    let faults = |(_, name): &(usize, &&'static str)| semconv::is_failure(0, 0, name);
    let (numbers, names): (Vec<_>, Vec<_>) = semconv::GRPC_STATUS.iter().enumerate().filter(faults).unzip();
    let [new, old, grpc, rpc, _] = KEYS;
    let http = |key: &str| format!("({key} >= 500 && {key} <= 599)");
    let one_of: Vec<String> = numbers.iter().map(|number: &usize| format!("{grpc} = {number}")).collect();
    let names = quoted(&names.into_iter().copied().collect::<Vec<&str>>().join("|"));
    format!(
        "status = unset && ({} || ({new} = nil && {}) || {} || {grpc} =~ {names} || ({grpc} = nil && {rpc} =~ {names}))",
        http(new),
        http(old),
        one_of.join(" || ")
    )
}

/// What has to be counted first: failed spans by what tells them apart, those with and those without a status.
pub(super) fn kinds() -> [Population; 2] {
    ["status = error".to_owned(), silent()].map(|condition| Population {
        selector: format!("{{ {condition} }}"),
        keys: KEYS.to_vec(),
        meaning: Meaning::Failure,
        failed: false,
        together: None,
    })
}

/// The most frequent failures among those counted as [`kinds`].
pub(super) fn known(counted: &Counted) -> Vec<Failure> {
    let mut by_condition: BTreeMap<String, (u64, ErrorClass)> = BTreeMap::new();
    let all = || counted.calls(0).chain(counted.calls(1));
    // What no failed span has need not be told to be absent.
    let used: Vec<bool> =
        (0..KEYS.len()).map(|i| all().any(|(values, _)| values.get(i).is_some_and(|v| !v.is_empty()))).collect();
    for (values, n) in all() {
        let class = class(values);
        // What its status does not say, its attributes do.
        let says_all = semconv::is_failure(0, class.http_status, &class.grpc_status);
        let status = if says_all { "status != ok" } else { "status = error" };
        let used = KEYS.iter().zip(values).zip(&used).filter(|(_, used)| **used);
        let which = used.map(|((key, value), _)| equals(key, value));
        let condition: Vec<String> = std::iter::once(status.to_owned()).chain(which).collect();
        let (calls, _) = by_condition.entry(condition.join(" && ")).or_insert((0, class));
        *calls = calls.saturating_add(n);
    }
    let mut all: Vec<_> = by_condition.into_iter().collect();
    all.sort_by_key(|(_, (calls, _))| Reverse(*calls));
    all.truncate(MOST);
    all.into_iter().map(|(condition, (_, class))| Failure { condition, class: Arc::new(class) }).collect()
}

/// TraceQL compares numbers with numbers and texts with texts, and answers do not say which an attribute is.
fn equals(key: &str, value: &str) -> String {
    if value.is_empty() {
        format!("{key} = nil")
    } else if value.len() < 10 && value.bytes().all(|b| b.is_ascii_digit()) {
        format!("({key} = {value} || {key} = {})", quoted(value))
    } else {
        format!("{key} = {}", quoted(value))
    }
}

/// The class of a span with these attributes, as it is made of a span.
fn class(values: &[String]) -> ErrorClass {
    let mut known = Known::default();
    for (key, value) in KEYS.iter().zip(values) {
        if let Some((slot, rank)) = key.strip_prefix("span.").and_then(semconv::slot) {
            known.put(slot, rank, Value::Str(value));
        }
    }
    let (http_status, grpc) = outcome::codes(&known);
    ErrorClass {
        http_status,
        grpc_status: grpc.to_owned(),
        error_type: known.text(semconv::Slot::ErrorType).map_or_else(String::new, |text| word(&text)),
        exception_type: String::new(),
    }
}

/// A word of an error class.
pub(super) fn word(text: &str) -> String {
    normalize::operation(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_condition_of_spans_without_a_status_is_that_of_the_mapper() {
        let silent = silent();
        for (number, name) in semconv::GRPC_STATUS.iter().enumerate() {
            let numbered = silent.contains(&format!("span.rpc.grpc.status_code = {number} || "));
            let named = silent.split(['"', '|']).any(|word| word == *name);
            assert_eq!([numbered, named], [semconv::is_failure(0, 0, name); 2], "{name}");
        }
        assert!(silent.starts_with("status = unset && ((span.http.response.status_code >= 500 && "), "{silent}");
        assert!(semconv::is_failure(0, 500, "") && !semconv::is_failure(0, 499, ""));
    }

    #[test]
    fn a_class_is_that_of_a_span_with_these_attributes_and_only_its_condition_holds_for_it() {
        let values = ["", "503", "14", "", "time\"out 4711"].map(str::to_owned);
        let got = class(&values);
        assert_eq!((got.http_status, got.grpc_status.as_str()), (503, "UNAVAILABLE"));
        assert_eq!(got.error_type, normalize::operation("time\"out 4711"));
        assert_eq!(equals("span.a", ""), "span.a = nil");
        assert_eq!(equals("span.a", "503"), "(span.a = 503 || span.a = \"503\")");
        assert_eq!(equals("span.a", "x\"} || {"), "span.a = \"x\\\"} || {\"");
    }

    #[test]
    fn keys_are_the_spellings_the_mapper_reads() {
        for key in KEYS {
            assert!(semconv::slot(key.strip_prefix("span.").unwrap()).is_some(), "{key}");
        }
    }
}
