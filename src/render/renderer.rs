//! The Tera engine: embedded templates, the user's shadowing them by name, and errors that say where and what is there.
//!
//! Input: [`Runbook`]s and user templates as (name, text). Output: [`Document`]s.
//! Must not: read template files, or let templates see anything but the view model.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tera::{Context, ErrorKind, Tera};

use super::text::ViewText;
use super::view::{
    CountsView, CoverageView, DiagramView, IndexView, MissedView, PageView, RowView, ShapeView, Shelf, ToolView,
    WindowView, files,
};
use super::{Document, escape, filters, graph, tidy};
use crate::diag::{Diagnostic, Location};
use crate::runbook::{Missed, Runbook, RunbookState, filtered};
use crate::topology::{Snapshot, seen_only};

/// Name and text of every embedded template.
const EMBEDDED: &[(&str, &str)] = &[
    ("index/README.md", include_str!("../../templates/index/README.md")),
    ("runbook/diagnosis.md", include_str!("../../templates/runbook/diagnosis.md")),
    ("runbook/escalation.md", include_str!("../../templates/runbook/escalation.md")),
    ("runbook/evidence.md", include_str!("../../templates/runbook/evidence.md")),
    ("runbook/header.md", include_str!("../../templates/runbook/header.md")),
    ("runbook/impact.md", include_str!("../../templates/runbook/impact.md")),
    ("runbook/notice.md", include_str!("../../templates/runbook/notice.md")),
    ("runbook/page.md", include_str!("../../templates/runbook/page.md")),
    ("runbook/provenance.md", include_str!("../../templates/runbook/provenance.md")),
    ("runbook/remediation.md", include_str!("../../templates/runbook/remediation.md")),
    ("runbook/retired.md", include_str!("../../templates/runbook/retired.md")),
    ("runbook/step.md", include_str!("../../templates/runbook/step.md")),
    ("runbook/table.md", include_str!("../../templates/runbook/table.md")),
    ("runbook/trigger.md", include_str!("../../templates/runbook/trigger.md")),
    ("runbook/verification.md", include_str!("../../templates/runbook/verification.md")),
];

/// Renders pages with the embedded templates and the user's.
#[derive(Debug, Clone)]
pub struct Renderer {
    tera: Tera,
    shadowed: Vec<String>,
    added: Vec<String>,
}

/// What the table of contents says besides the runbooks.
#[derive(Debug, Clone, Copy)]
pub struct IndexContext<'a> {
    /// Name of the whole system; may be empty.
    pub project: &'a str,
    /// What the runbooks rest on.
    pub snapshot: &'a Snapshot,
    /// Missed objectives that no runbook is about.
    pub missed: &'a [Missed],
}

impl Renderer {
    /// Prepares the templates. A user template whose name is that of an embedded one replaces it.
    ///
    /// # Errors
    /// `template-syntax` for each user template that does not parse, with its place.
    pub fn new(user_templates: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        let mut user: BTreeMap<&str, &str> = user_templates.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
        let embedded: BTreeMap<&str, &str> = EMBEDDED.iter().copied().collect();
        let (shadowed, added): (Vec<&str>, Vec<&str>) = user.keys().copied().partition(|n| embedded.contains_key(n));
        let (shadowed, added) = (owned(&shadowed), owned(&added));

        let mut diagnostics = Vec::new();
        loop {
            let mut tera = Tera::new();
            // Whatever no filter made safe is escaped as Markdown text, in templates of any name: forgetting a filter must
            // not open a page to names from the traces.
            tera.autoescape_on([""]);
            tera.set_escape_fn(|text, out| out.write_all(escape::markdown(text).as_bytes()));
            filters::register(&mut tera);
            let mut all = embedded.clone();
            all.extend(user.iter());
            match tera.add_raw_templates(all) {
                Ok(()) if diagnostics.is_empty() => return Ok(Self { tera, shadowed, added }),
                Ok(()) => return Err(diagnostics),
                Err(error) => {
                    // Leave the culprits out and look on, so that every broken template is reported at once.
                    let problems = problems(&error, "");
                    let before = user.len();
                    user.retain(|name, _| !problems.iter().any(|p| p.template == *name));
                    diagnostics.extend(problems.iter().map(|p| p.diagnose("template-syntax", SYNTAX_HELP)));
                    if user.len() == before {
                        return Err(diagnostics);
                    }
                }
            }
        }
    }

    /// Embedded templates that a user template replaced, sorted.
    #[must_use]
    pub fn shadowed(&self) -> &[String] {
        &self.shadowed
    }

    /// User templates that replace nothing: of use only when another template includes them. Sorted.
    #[must_use]
    pub fn added(&self) -> &[String] {
        &self.added
    }

    /// One page, among the runbooks of its directory: pages link to each other.
    ///
    /// # Errors
    /// `template-render` when a template (of the user) asks for what is not there, with its place and the names there are.
    pub fn runbook(&self, runbook: &Runbook, shelf: &Shelf<'_>) -> Result<Document, Diagnostic> {
        let retired = runbook.state == RunbookState::Retired;
        let template = if retired { "runbook/retired.md" } else { "runbook/page.md" };
        let text = self.render(template, &PageView::new(runbook, shelf))?;
        Ok(Document { path: runbook.file_name(), text })
    }

    /// The table of contents, `README.md`.
    ///
    /// # Errors
    /// `template-render`, as for [`Renderer::runbook`].
    pub fn index(&self, runbooks: &[Runbook], context: &IndexContext<'_>) -> Result<Document, Diagnostic> {
        let files = files(runbooks);
        let rows = |retired: bool| -> Vec<RowView> {
            runbooks
                .iter()
                .filter(|r| (r.state == RunbookState::Retired) == retired)
                .map(|r| RowView::new(r, &files))
                .collect()
        };
        let breached = runbooks.iter().filter(|r| r.state == RunbookState::Breached);
        let alarmed: BTreeSet<_> = breached.filter_map(|r| r.focus.clone()).collect();
        let snapshot = context.snapshot;
        let mermaid = if snapshot.edges.is_empty() { String::new() } else { graph::overview(snapshot, &alarmed) };
        let view = IndexView {
            tool: ToolView::THIS,
            project: context.project.to_owned(),
            active: rows(false),
            retired: rows(true),
            missed: context.missed.iter().map(|m| MissedView::new(m, &files)).collect(),
            counts: CountsView::new(runbooks),
            window: WindowView::new(snapshot.window),
            seen_only: seen_only(snapshot).map(WindowView::new),
            coverage: CoverageView::new(&snapshot.coverage),
            filtered: filtered(&snapshot.provenance).as_ref().map(|t| ViewText::new(t, &files)),
            overview: DiagramView { mermaid, nodes: snapshot.nodes.len(), omitted: 0 },
            shape: ShapeView::new(snapshot),
            nodes: snapshot.nodes.len(),
            edges: snapshot.edges.len(),
        };
        Ok(Document { path: "README.md".to_owned(), text: self.render("index/README.md", &view)? })
    }

    fn render<V: Serialize>(&self, template: &str, view: &V) -> Result<String, Diagnostic> {
        let context = Context::from_serialize(view).map_err(|e| render_error(&e, template, ""))?;
        let rendered = self.tera.render(template, &context);
        let text = rendered.map_err(|e| render_error(&e, template, &names_help(&context)))?;
        if text.trim().is_empty() {
            // An empty page must not take the place of a good one.
            return Err(Diagnostic::error("template-render", "the template gives an empty page")
                .at(Location::file(format!("templates/{template}")))
                .help("give it something to say, or remove it: the embedded one is used then"));
        }
        Ok(tidy::tidy(&text))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|n| (*n).to_owned()).collect()
}

const SYNTAX_HELP: &str =
    "templates are written in Tera 2; `docs/template-authoring.md` lists the filters and the names there are";

/// One thing wrong with a template.
struct Problem {
    template: String,
    line: Option<u64>,
    column: Option<u64>,
    message: String,
}

impl Problem {
    fn diagnose(&self, code: &'static str, help: &str) -> Diagnostic {
        let location = Location {
            file: Some(format!("templates/{}", self.template)),
            line: self.line,
            column: self.column,
            ..Location::default()
        };
        Diagnostic::error(code, self.message.clone()).at(location).help(help)
    }
}

fn render_error(error: &tera::Error, template: &str, help: &str) -> Diagnostic {
    let mut problems = problems(error, template);
    // A failure while rendering is always one; the list is never empty.
    let problem = problems.pop().unwrap_or(Problem {
        template: template.to_owned(),
        line: None,
        column: None,
        message: error.to_string(),
    });
    problem.diagnose("template-render", help)
}

/// What an error says, piece by piece; `template` is where it lies if it does not say.
fn problems(error: &tera::Error, template: &str) -> Vec<Problem> {
    let cause = std::error::Error::source(error).map(|s| format!(": {s}")).unwrap_or_default();
    let whole = |name: &str, message: String| {
        vec![Problem { template: name.to_owned(), line: None, column: None, message: format!("{message}{cause}") }]
    };
    match error.kind() {
        ErrorKind::SyntaxError(report) | ErrorKind::RenderingError(report) => vec![Problem {
            template: Some(report.filename()).filter(|n| !n.is_empty()).unwrap_or(template).to_owned(),
            line: Some(report.span().start_line as u64),
            column: Some(report.span().start_col as u64 + 1),
            message: format!("{}{cause}", report.message()),
        }],
        ErrorKind::CircularExtend { tpl, .. } | ErrorKind::CircularInclude { tpl, .. } => whole(tpl, error.to_string()),
        ErrorKind::MissingParent { current, .. } => whole(current, error.to_string()),
        // Unknown names come as reports put into words, one after the other.
        ErrorKind::Msg(text) => {
            let reports: Vec<Problem> = text.split("error: ").filter_map(report).collect();
            if reports.is_empty() { whole(template, text.clone()) } else { reports }
        }
        _ => whole(template, error.to_string()),
    }
}

/// `Unknown filter …`, and below it ` --> name:line:column`.
fn report(text: &str) -> Option<Problem> {
    let (message, rest) = text.split_once('\n')?;
    let place = rest.split_once("--> ")?.1.lines().next()?;
    let mut parts = place.rsplitn(3, ':');
    let (column, line) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Problem {
        template: parts.next()?.to_owned(),
        line: Some(line),
        column: Some(column),
        message: message.to_owned(),
    })
}

/// The names a template may use, two levels deep.
fn names_help(context: &Context) -> String {
    let mut parts = Vec::new();
    for root in [
        "runbook", "evidence", "tool", "project", "active", "retired", "missed", "counts", "window", "coverage",
        "overview",
    ] {
        let Some(value) = context.get(root) else { continue };
        match value.as_map() {
            Some(map) => {
                let keys: Vec<String> = map.iter().map(|(key, _)| key.to_string()).collect();
                parts.push(format!("{root}.{{{}}}", keys.join(", ")));
            }
            None => parts.push(root.to_owned()),
        }
    }
    format!("names there are: {}; optional ones need `?.` or `or`", parts.join(", "))
}

#[cfg(test)]
mod tests;
