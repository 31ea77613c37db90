//! Operating-system errors as coded diagnostics.

use std::io;
use std::path::Path;

use crate::diag::{Diagnostic, Location};

/// What a failed file operation means for the user, and what to do next.
pub(super) fn diagnose(path: &Path, doing: &str, error: &io::Error) -> Diagnostic {
    let message = format!("cannot {doing}: {error}");
    let diagnostic = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Diagnostic::error("output-read-only", message)
                .help("make the directory writable for this user, or choose another: --output, for a log --wal")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Diagnostic::error("output-no-space", message)
            .help("free some space, or choose another directory: --output, for a log --wal"),
        io::ErrorKind::NotADirectory => Diagnostic::error("output-not-a-directory", message)
            .help("a file stands where a directory is needed: choose another with --output"),
        _ => {
            Diagnostic::error("output-failed", message).help("check the path and its permissions; nothing was changed")
        }
    };
    diagnostic.at(Location::file(path.display().to_string()))
}
