//! Operating-system errors as coded diagnostics.

use std::io;
use std::path::Path;

use crate::diag::{Diagnostic, Location};

/// What a failed file operation means for the user, and what to do next.
pub(super) fn diagnose(path: &Path, doing: &str, error: &io::Error) -> Diagnostic {
    let (code, help) = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ("output-read-only", "make the directory writable for this user, or choose another with --output")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ("output-no-space", "free some space, or choose another directory with --output")
        }
        io::ErrorKind::NotADirectory => {
            ("output-not-a-directory", "a file stands where a directory is needed: choose another with --output")
        }
        _ => ("output-failed", "check the path and its permissions; nothing was changed"),
    };
    Diagnostic::error(code, format!("cannot {doing}: {error}"))
        .at(Location::file(path.display().to_string()))
        .help(help)
}
