//! Findings about the system, and diagnostics of `check`.

use serde::Serialize;

use super::table::{Cell, Table};
use super::tone;
use crate::diag::{Diagnostic, Severity};
use crate::findings::Finding;
use crate::render::{escape, format, json};

/// Aligned columns, in the order given.
#[must_use]
pub fn findings_text(findings: &[Finding], colour: bool) -> String {
    if findings.is_empty() { "No findings.\n".to_owned() } else { findings_table(findings).to_text(colour) }
}

/// The same for a page or a pull request.
#[must_use]
pub fn findings_markdown(findings: &[Finding]) -> String {
    let body = if findings.is_empty() { "None.\n".to_owned() } else { findings_table(findings).to_markdown() };
    format!("## Findings\n\n{body}")
}

/// `{findings: [...]}` with every dynamic part as a value.
#[must_use]
pub fn findings_json(findings: &[Finding]) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        findings: &'a [Finding],
    }
    json::to_text(&Answer { findings })
}

fn findings_table(findings: &[Finding]) -> Table {
    let mut table = Table::new(&["Severity", "Code", "Subject", "n", "Finding"]);
    for finding in findings {
        let subject = match &finding.target {
            Some(target) => format!("{} → {target}", finding.subject),
            None => finding.subject.0.clone(),
        };
        table.row(vec![
            Cell::new(finding.severity.name()).tone(tone(finding.severity)),
            Cell::new(finding.code),
            Cell::name(subject),
            Cell::new(format::integer(finding.n)),
            Cell::new(finding.message.clone()),
        ]);
    }
    table
}

/// One block for each problem, as compilers write them: code, message, place, help.
#[must_use]
pub fn check_text(diagnostics: &[Diagnostic], colour: bool) -> String {
    if diagnostics.is_empty() {
        return "Nothing to report.\n".to_owned();
    }
    let mut out = String::new();
    for diagnostic in diagnostics {
        let text = diagnostic.to_string();
        let head = format!("{}[{}]", diagnostic.severity, diagnostic.code);
        let ansi = match diagnostic.severity {
            Severity::Error => "\u{1b}[1;31m",
            Severity::Warning => "\u{1b}[1;33m",
            Severity::Info => "\u{1b}[1;36m",
        };
        let safe: Vec<String> = text.lines().map(escape::clean_line).collect();
        let safe = safe.join("\n");
        match safe.strip_prefix(&head).filter(|_| colour) {
            Some(rest) => out.push_str(&format!("{ansi}{head}\u{1b}[0m{rest}\n\n")),
            None => out.push_str(&format!("{safe}\n\n")),
        }
    }
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    out.push_str(&format!(
        "{} errors, {} warnings, {} notes.\n",
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Info)
    ));
    out
}

/// A table for a pull request.
#[must_use]
pub fn check_markdown(diagnostics: &[Diagnostic]) -> String {
    if diagnostics.is_empty() {
        return "## Check\n\nNothing to report.\n".to_owned();
    }
    let mut table = Table::new(&["Severity", "Code", "Place", "Message", "What to do"]);
    for diagnostic in diagnostics {
        table.row(vec![
            Cell::new(diagnostic.severity.name()).tone(tone(diagnostic.severity)),
            Cell::new(diagnostic.code),
            Cell::name(diagnostic.location.to_string()),
            Cell::new(diagnostic.message.clone()),
            Cell::new(diagnostic.help.clone()),
        ]);
    }
    format!("## Check\n\n{}", table.to_markdown())
}

/// `{findings: [{code, severity, file, line, message, help}]}` (DESIGN §6).
#[must_use]
pub fn check_json(diagnostics: &[Diagnostic]) -> String {
    #[derive(Serialize)]
    struct Answer<'a> {
        findings: &'a [Diagnostic],
    }
    json::to_text(&Answer { findings: diagnostics })
}
