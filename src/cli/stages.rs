//! The one place that knows the order of the stages and what they are called.

use crate::config::{self, Config};
use crate::diag::Diagnostic;
use crate::diff::Diff;
use crate::findings::{self, Facts, Finding};
use crate::render::{Document, IndexContext, Renderer, graph, links, report, toc};
use crate::runbook::{self, Ledger, Runbook};
use crate::slo::{self, ObjectiveStatus};
use crate::topology::{Snapshot, codec};

use super::args::ReportFormat;
use super::input::SNAPSHOT;

/// Everything made from a snapshot.
pub(super) struct Made {
    pub(super) statuses: Vec<ObjectiveStatus>,
    pub(super) findings: Vec<Finding>,
    pub(super) runbooks: Vec<Runbook>,
    /// Configuration entries that matched nothing, and the like.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The whole directory: pages, table of contents, ledger, snapshot.
    pub(super) documents: Vec<Document>,
}

/// From a snapshot to the documents of a runbook directory. Pure.
pub(super) fn make(snapshot: &Snapshot, config: &Config, ledger: &Ledger) -> Result<Made, Vec<Diagnostic>> {
    let renderer = Renderer::new(&config.templates)?;
    let statuses = slo::evaluate(&config.objectives, snapshot);
    let findings = findings::evaluate(&Facts { snapshot, objectives: &statuses });
    let plan = runbook::plan(snapshot, &statuses, &findings, &config.settings, ledger)?;
    let mut documents = Vec::with_capacity(plan.runbooks.len().saturating_add(3));
    let mut problems = Vec::new();
    for runbook in plan.runbooks.iter().chain(&plan.signposts) {
        match renderer.runbook(runbook, &plan.runbooks) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    let context = IndexContext { project: &config.settings.project, snapshot };
    match renderer.index(&plan.runbooks, &context) {
        Ok(document) => documents.push(document),
        Err(problem) => problems.push(problem),
    }
    // One fault in a template fails every page the same way.
    problems.dedup();
    if !problems.is_empty() {
        return Err(problems);
    }
    documents.push(Document { path: config::ledger::FILE.to_owned(), text: config::ledger::to_text(&plan.ledger) });
    documents.push(Document { path: SNAPSHOT.to_owned(), text: snapshot_text(snapshot).map_err(|e| vec![e])? });
    documents.sort();
    Ok(Made { statuses, findings, runbooks: plan.runbooks, diagnostics: plan.diagnostics, documents })
}

/// The canonical text of a snapshot.
pub(super) fn snapshot_text(snapshot: &Snapshot) -> Result<String, Diagnostic> {
    let bytes = codec::encode(snapshot)?;
    String::from_utf8(bytes).map_err(|e| Diagnostic::error("snapshot-encode", e.to_string()))
}

/// Objectives held against a snapshot.
pub(super) fn objectives(snapshot: &Snapshot, config: &Config) -> Vec<ObjectiveStatus> {
    slo::evaluate(&config.objectives, snapshot)
}

/// Objective statuses in a format.
pub(super) fn slo_report(statuses: &[ObjectiveStatus], format: ReportFormat, colour: bool) -> String {
    match format {
        ReportFormat::Text => report::slo_text(statuses, colour),
        ReportFormat::Markdown => report::slo_markdown(statuses),
        ReportFormat::Json => report::slo_json(statuses),
    }
}

/// A comparison in a format.
pub(super) fn diff_report(diff: &Diff, format: ReportFormat, colour: bool) -> String {
    match format {
        ReportFormat::Text => report::diff_text(diff, colour),
        ReportFormat::Markdown => report::diff_markdown(diff),
        ReportFormat::Json => report::diff_json(diff),
    }
}

/// The topology as Mermaid.
pub(super) fn mermaid(snapshot: &Snapshot) -> String {
    graph::mermaid(snapshot)
}

/// The topology as DOT.
pub(super) fn dot(snapshot: &Snapshot) -> String {
    graph::dot(snapshot)
}

/// The topology as JSON.
pub(super) fn graph_json(snapshot: &Snapshot) -> String {
    graph::json(snapshot)
}

/// A user's Markdown file with its regions refreshed.
pub(super) fn update_toc(text: &str, file: &str, runbooks: &[Runbook], prefix: &str) -> Result<String, Diagnostic> {
    toc::update(text, file, runbooks, prefix)
}

/// Links and anchors that lead nowhere.
pub(super) fn dead_links(documents: &[Document], exists: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
    links::check(documents, exists)
}
