//! How many real calls a sampled span stands for.

use super::view::Value;
use crate::spans::Weight;

/// The weight by the OpenTelemetry entry of a W3C tracestate: `ot=th:<1 to 14 hex digits>`, right-padded to 56 bits.
///
/// Source: <https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/>. A malformed threshold counts as none.
pub(super) fn from_trace_state(trace_state: &str) -> Option<Weight> {
    if trace_state.is_empty() {
        return None;
    }
    let entry = trace_state.split(',').find_map(|member| member.trim().strip_prefix("ot="))?;
    let digits = entry.split(';').find_map(|pair| pair.trim().strip_prefix("th:"))?;
    if digits.is_empty() || digits.len() > 14 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    Weight::from_threshold(u64::from_str_radix(&format!("{digits:0<14}"), 16).ok()?)
}

/// The weight by a configured attribute that says "one in N": N itself, at least 1.
pub(super) fn from_rate(value: Value<'_>) -> Option<Weight> {
    value.number().filter(|n| n.is_finite() && *n >= 1.0).map(Weight::from_f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_is_padded_on_the_right() {
        for (state, weight) in [
            ("ot=th:8", Some(Weight::whole(2))),
            ("vendor=x, ot=rv:6e6d1a75832a2f;th:c", Some(Weight::whole(4))),
            ("ot=th:0", Some(Weight::ONE)),
            ("ot=th:00000000000000", Some(Weight::ONE)),
            ("ot=th:000000000000000", None),
            ("ot=th:", None),
            ("ot=th:xyz", None),
            ("other=th:8", None),
            ("", None),
        ] {
            assert_eq!(from_trace_state(state), weight, "{state}");
        }
    }

    #[test]
    fn a_rate_is_one_in_n_in_any_type() {
        for (value, weight) in [
            (Value::Int(10), Some(Weight::whole(10))),
            (Value::Double(2.5), Some(Weight::from_f64(2.5))),
            (Value::Str("4"), Some(Weight::whole(4))),
            (Value::Int(0), None),
            (Value::Double(f64::INFINITY), None),
            (Value::Str("often"), None),
        ] {
            assert_eq!(from_rate(value), weight, "{value:?}");
        }
    }
}
