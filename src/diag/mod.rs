//! Coded diagnostics about inputs.
//!
//! Purpose: one shape for "what, where, why and what to do next", used by every stage.
//! Input: facts about a problem. Output: a [`Diagnostic`] value.
//! Must not: print, decide an exit code, or know any other module.

use std::fmt;

use serde::Serialize;

/// How much a diagnostic or a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; never fails a run by itself.
    Info,
    /// Probably wrong; fails a run when `--fail-on warning` is asked for.
    Warning,
    /// Wrong; fails a run by default.
    Error,
}

impl Severity {
    /// The lower-case name used in answers and flags.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where in the inputs a problem lies. Every part is optional; what is known is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Location {
    /// A file path, `-` for standard input, or an endpoint URL without credentials.
    pub file: Option<String>,
    /// 1-based line.
    pub line: Option<u64>,
    /// 1-based column.
    pub column: Option<u64>,
    /// Dotted key path, e.g. `objectives[2].target`.
    pub key: Option<String>,
}

impl Location {
    /// A place that is a whole file or endpoint.
    #[must_use]
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..Self::default() }
    }

    /// The same place, at a 1-based line.
    #[must_use]
    pub fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    /// The same place, at a dotted key path.
    #[must_use]
    pub fn at_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            f.write_str(file)?;
        }
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        if let Some(key) = &self.key {
            let space = if self.file.is_some() { " " } else { "" };
            write!(f, "{space}({key})")?;
        }
        Ok(())
    }
}

/// One problem with an input: a stable kebab-case code, where, what and why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnostic {
    /// Stable kebab-case code, documented in `docs/diagnostics.md`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where it lies.
    #[serde(flatten)]
    pub location: Location,
    /// What is wrong and why, in one sentence without a final newline. Never holds credentials.
    pub message: String,
    /// What to do next; empty when nothing can be done.
    pub help: String,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    #[must_use]
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note.
    #[must_use]
    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Info, message)
    }

    /// A diagnostic of any severity, not yet placed.
    #[must_use]
    pub fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Self { code, severity, location: Location::default(), message: message.into(), help: String::new() }
    }

    /// The same, placed.
    #[must_use]
    pub fn at(mut self, location: Location) -> Self {
        self.location = location;
        self
    }

    /// The same, with what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// `error[code]: message` and, below, `  --> place` and `  help: …` when known.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity, self.code, self.message)?;
        if self.location != Location::default() {
            write!(f, "\n  --> {}", self.location)?;
        }
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostic {}
