//! Answers of `diff`, `slo`, `check` and the findings as text, Markdown and JSON.
//!
//! Input: typed results, already sorted. Output: text. Colour is decided by the caller.
//! Must not: group, rank or judge; print.

mod diff;
mod findings;
mod slo;
mod suspects;
mod table;

pub use diff::{diff_json, diff_markdown, diff_text};
pub use findings::{check_json, check_markdown, check_text, findings_json, findings_markdown, findings_text};
pub use slo::{slo_json, slo_markdown, slo_text};

use table::Tone;

use crate::diag::Severity;

fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Doubtful,
        Severity::Info => Tone::Plain,
    }
}

#[cfg(test)]
mod tests;
