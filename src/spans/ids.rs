//! Trace and span identifiers and instants.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why an identifier was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing there, or all zero, which the specification calls invalid.
    #[error("the id is empty or all zero")]
    Empty,
    /// Neither hex nor base64 of the right length.
    #[error("the id is neither hexadecimal nor base64 of the right length")]
    Malformed,
}

/// A 16-byte trace id (OTLP `Span.trace_id`). Shorter ids are padded on the left with zeros, as Jaeger and Zipkin do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(pub u128);

/// An 8-byte span id (OTLP `Span.span_id`). Zero stands for "none".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(pub u64);

impl SpanId {
    /// No span: the parent id of a root.
    pub const NONE: Self = Self(0);

    /// Whether this is no id at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for TraceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for SpanId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for SpanId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Nanoseconds since the Unix epoch, as OTLP counts them. Zero stands for "not given".
///
/// Serialised as RFC 3339 in UTC with nanoseconds where they are not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// Nanoseconds from `earlier` to `self`; zero when `earlier` lies later (clock skew never goes negative).
    #[must_use]
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for UnixNanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl Serialize for UnixNanos {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UnixNanos {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let timestamp: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        u64::try_from(timestamp.as_nanosecond()).map(Self).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_as_padded_lower_hex() {
        assert_eq!(TraceId(0xAB).to_string(), "000000000000000000000000000000ab");
        assert_eq!(SpanId(1).to_string(), "0000000000000001");
    }

    #[test]
    fn an_instant_keeps_every_nanosecond_through_json() {
        let instant = UnixNanos(1_544_712_660_000_000_001);
        let json = serde_json::to_string(&instant).unwrap();
        assert_eq!(json, "\"2018-12-13T14:51:00.000000001Z\"");
        assert_eq!(serde_json::from_str::<UnixNanos>(&json).unwrap(), instant);
    }

    #[test]
    fn a_clock_that_runs_backwards_yields_zero() {
        assert_eq!(UnixNanos(5).since(UnixNanos(9)), 0);
    }
}
