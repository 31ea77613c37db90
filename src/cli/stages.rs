//! The one place that knows the order of the stages and what they are called.

use crate::config::{self, Config};
use crate::diag::{Diagnostic, Location};
use crate::diff::Diff;
use crate::findings::{self, Facts, Finding};
use crate::render::{Document, IndexContext, Renderer, Shelf, graph, links, report, toc};
use crate::runbook::{self, Ledger, Runbook};
use crate::slo::{self, ObjectiveState, ObjectiveStatus, Sli};
use crate::topology::{Snapshot, codec};

use super::args::ReportFormat;
use super::input::SNAPSHOT;

/// Everything made from a snapshot.
pub(super) struct Made {
    pub(super) statuses: Vec<ObjectiveStatus>,
    pub(super) findings: Vec<Finding>,
    pub(super) runbooks: Vec<Runbook>,
    /// Missed objectives that none of the runbooks is about.
    pub(super) missed: Vec<runbook::Missed>,
    /// Configuration entries that matched nothing, and the like.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Which templates are the team's own.
    pub(super) templates: Vec<Diagnostic>,
    /// The whole directory: pages, table of contents, ledger, snapshot.
    pub(super) documents: Vec<Document>,
}

/// From a snapshot to the documents of a runbook directory. Pure.
pub(super) fn make(snapshot: &Snapshot, config: &Config, ledger: &Ledger) -> Result<Made, Vec<Diagnostic>> {
    if snapshot.provenance.calls_only {
        return Err(vec![
            Diagnostic::error(
                "aggregate-calls-only",
                "no runbooks are made of a snapshot that knows calls alone: they would show no failures where nobody looked",
            )
            .help("capture traces or metrics for runbooks; `graph`, `diff` and throughput objectives work with this one"),
        ]);
    }
    let renderer = Renderer::new(&config.templates).map_err(|problems| in_templates(problems, config))?;
    let statuses = slo::evaluate(&config.objectives, snapshot);
    let findings = findings::evaluate(&Facts { snapshot, objectives: &statuses });
    let plan = runbook::plan(snapshot, &statuses, &findings, &config.settings, ledger);
    let mut plan = plan.map_err(|mut problems| {
        config.place(&mut problems);
        problems
    })?;
    config.place(&mut plan.diagnostics);
    let shelf = Shelf::new(&plan.runbooks);
    let mut documents = Vec::with_capacity(plan.runbooks.len().saturating_add(3));
    let mut problems = Vec::new();
    for runbook in plan.runbooks.iter().chain(&plan.signposts) {
        match renderer.runbook(runbook, &shelf) {
            Ok(document) => documents.push(document),
            Err(problem) => problems.push(problem),
        }
    }
    let context = IndexContext { project: &config.settings.project, snapshot, missed: &plan.missed };
    match renderer.index(&plan.runbooks, &context) {
        Ok(document) => documents.push(document),
        Err(problem) => problems.push(problem),
    }
    // One fault in a template fails every page the same way.
    problems.dedup();
    if !problems.is_empty() {
        return Err(in_templates(problems, config));
    }
    documents.push(Document { path: config::ledger::FILE.to_owned(), text: config::ledger::to_text(&plan.ledger) });
    documents.push(Document { path: SNAPSHOT.to_owned(), text: snapshot_text(snapshot).map_err(|e| vec![e])? });
    documents.sort();
    let templates = templates(&renderer, config);
    Ok(Made {
        statuses,
        findings,
        runbooks: plan.runbooks,
        missed: plan.missed,
        diagnostics: plan.diagnostics,
        templates,
        documents,
    })
}

/// Problems of templates with the place of the team's file; the renderer knows names only.
fn in_templates(problems: Vec<Diagnostic>, config: &Config) -> Vec<Diagnostic> {
    let placed = |mut problem: Diagnostic| {
        let name = problem.location.file.as_deref().and_then(|f| f.strip_prefix("templates/"));
        if let Some((name, _)) = name.and_then(|name| config.templates.iter().find(|(n, _)| n == name)) {
            problem.location.file = Some(format!("{}/{name}", config.templates_root));
        }
        problem
    };
    problems.into_iter().map(placed).collect()
}

/// Which templates are the team's own, and which of them are never used.
fn templates(renderer: &Renderer, config: &Config) -> Vec<Diagnostic> {
    let at = |name: &String| Location::file(format!("{}/{name}", config.templates_root));
    let used = renderer.shadowed().iter().map(|name| {
        Diagnostic::info("template-shadowed", format!("the team's `{name}` is used instead of the embedded one"))
            .at(at(name))
    });
    let mentioned = |name: &String| config.templates.iter().any(|(n, text)| n != name && text.contains(name.as_str()));
    let idle = renderer.added().iter().filter(|name| !mentioned(name)).map(|name| {
        Diagnostic::warning("template-unused", format!("`{name}` replaces no embedded template and none includes it"))
            .at(at(name))
            .help("give it the name of an embedded template (docs/template-authoring.md lists them), or remove it")
    });
    used.chain(idle).collect()
}

/// Missed objectives that no runbook is about, one finding each.
pub(super) fn missed(made: &Made, config: &Config) -> Vec<Diagnostic> {
    let one = |missed: &runbook::Missed| {
        let status = made.statuses.iter().find(|s| s.id == missed.id);
        let at = status.and_then(|s| config.objectives.iter().position(|o| o.id == s.objective.id));
        let key = at.map_or_else(|| "objectives".to_owned(), |i| format!("objectives[{i}]"));
        let (id, service, target) = (&missed.id, &missed.service, &missed.target);
        let message =
            format!("the objective `{id}` of `{service}` is missed (target {target}), and no runbook is about it");
        Diagnostic::warning("objective-missed", message)
            .at(Location::default().at_key(key))
            .help("README.md has its value; declare a scenario with this `objective` to give it a page")
    };
    let mut found: Vec<Diagnostic> = made.missed.iter().map(one).collect();
    config.place(&mut found);
    found
}

/// Objectives on services or operations that are not in the snapshot.
pub(super) fn unmatched(statuses: &[ObjectiveStatus], snapshot: &Snapshot, config: &Config) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = statuses
        .iter()
        .filter(|s| s.state == ObjectiveState::NoData && s.objective.sli != Sli::External && s.objective.service != "*")
        .filter_map(|s| {
            let objective = &s.objective;
            let what = match (snapshot.node(&s.service), &objective.operation) {
                (None, _) => format!("is about `{}`, which is not in the snapshot", objective.service),
                (Some(_), Some(pattern)) if s.n == 0 => format!("is about `{pattern}`: {}", s.reason),
                _ => return None,
            };
            let at = config.objectives.iter().position(|o| o.id == objective.id);
            let key = at.map_or_else(|| "objectives".to_owned(), |i| format!("objectives[{i}]"));
            Some(
                Diagnostic::error("objective-unmatched", format!("the objective `{}` {what}", objective.id))
                    .at(Location::default().at_key(key))
                    .help("correct the name, remove the objective, or capture traces in which it takes part"),
            )
        })
        .collect();
    config.place(&mut found);
    found
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
