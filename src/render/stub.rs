//! Temporary stand-ins with the signatures of the render stage. Dropped when the real ones are merged.
#![allow(missing_docs, clippy::missing_errors_doc, clippy::unused_self, clippy::must_use_candidate)]

use super::Document;
use crate::diag::Diagnostic;
use crate::runbook::Runbook;
use crate::topology::Snapshot;

#[derive(Debug)]
pub struct Renderer;

#[derive(Debug, Clone, Copy)]
pub struct IndexContext<'a> {
    pub project: &'a str,
    pub snapshot: &'a Snapshot,
}

impl Renderer {
    pub fn new(_user_templates: &[(String, String)]) -> Result<Self, Vec<Diagnostic>> {
        Ok(Self)
    }
    pub fn runbook(&self, runbook: &Runbook, _all: &[Runbook]) -> Result<Document, Diagnostic> {
        Ok(Document { path: runbook.file_name(), text: "stub\n".into() })
    }
    pub fn index(&self, runbooks: &[Runbook], context: &IndexContext<'_>) -> Result<Document, Diagnostic> {
        let services: Vec<&str> = context.snapshot.services().map(|s| s.name.as_str()).collect();
        let text = format!("# {}\n\n{} runbooks, services: {}\n", context.project, runbooks.len(), services.join(", "));
        Ok(Document {
            path: "README.md".into(),
            text: format!("<!-- tracebook:begin index -->\n\n{text}\n<!-- tracebook:end index -->\n"),
        })
    }
}

pub mod graph {
    use super::Snapshot;
    pub fn mermaid(_: &Snapshot) -> String {
        "flowchart LR\n".into()
    }
    pub fn dot(_: &Snapshot) -> String {
        "digraph {}\n".into()
    }
    pub fn json(_: &Snapshot) -> String {
        "{}\n".into()
    }
}

pub mod report {
    use crate::diff::Diff;
    use crate::slo::ObjectiveStatus;
    pub fn diff_text(_: &Diff, _colour: bool) -> String {
        String::new()
    }
    pub fn diff_markdown(_: &Diff) -> String {
        String::new()
    }
    pub fn diff_json(_: &Diff) -> String {
        "{}\n".into()
    }
    pub fn slo_text(_: &[ObjectiveStatus], _colour: bool) -> String {
        String::new()
    }
    pub fn slo_markdown(_: &[ObjectiveStatus]) -> String {
        String::new()
    }
    pub fn slo_json(_: &[ObjectiveStatus]) -> String {
        "{}\n".into()
    }
}

pub mod toc {
    use super::{Diagnostic, Runbook};
    pub fn update(text: &str, _file: &str, _runbooks: &[Runbook], _prefix: &str) -> Result<String, Diagnostic> {
        Ok(text.to_owned())
    }
}

pub mod links {
    use super::{Diagnostic, Document};
    pub fn check(_: &[Document], _: &dyn Fn(&str) -> bool) -> Vec<Diagnostic> {
        Vec::new()
    }
}
