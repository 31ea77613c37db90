//! JSON answers: one way to write them.

use serde::Serialize;
use serde_json::{Number, Value};

use crate::spans::Weight;

/// Indented JSON with a final line break. NaN and infinities become `null`.
pub(super) fn to_text<T: Serialize>(answer: &T) -> String {
    // Values of ours have string keys only; `null` could not be mistaken for an answer.
    let mut text = serde_json::to_string_pretty(answer).unwrap_or_else(|_| "null".to_owned());
    text.push('\n');
    text
}

/// A number of calls: an integer where whole.
pub(super) fn number(calls: Weight) -> Number {
    if calls.micro().is_multiple_of(1_000_000) {
        return Number::from(calls.micro() / 1_000_000);
    }
    Number::from_f64(calls.as_f64()).unwrap_or_else(|| Number::from(0))
}

/// A float; `null` unless finite.
pub(super) fn float(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}
