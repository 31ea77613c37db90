//! Span kinds in files: by their lower-case names.

use crate::spans::SpanKind;
use serde::Deserialize;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(in crate::topology) fn serialize<S: serde::Serializer>(kind: &SpanKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.name())
}

pub(in crate::topology) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<SpanKind, D::Error> {
    let name = String::deserialize(deserializer)?;
    (0..=5)
        .map(SpanKind::from_otlp)
        .find(|k| k.name() == name)
        .ok_or_else(|| serde::de::Error::custom(format!("`{name}` is not a span kind")))
}
