//! A Mermaid flowchart, written so that no label can end early or mean anything.

use crate::render::escape;
use crate::topology::NodeKind;

/// Outline of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Box,
    Cylinder,
    Slanted,
    Hexagon,
    Stadium,
}

impl Shape {
    pub(super) fn of(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Service => Self::Box,
            NodeKind::Database => Self::Cylinder,
            NodeKind::Messaging => Self::Slanted,
            NodeKind::External => Self::Hexagon,
            NodeKind::Entry => Self::Stadium,
        }
    }

    fn brackets(self) -> (&'static str, &'static str) {
        match self {
            Self::Box => ("[", "]"),
            Self::Cylinder => ("[(", ")]"),
            Self::Slanted => ("[/", "/]"),
            Self::Hexagon => ("{{", "}}"),
            Self::Stadium => ("([", "])"),
        }
    }
}

/// An arrow between two nodes by position; the label is plain text, empty for none.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) dotted: bool,
    pub(super) label: String,
}

#[derive(Debug)]
struct Drawn {
    shape: Shape,
    label: String,
    focus: bool,
    alarmed: bool,
}

/// Nodes are called `n0`, `n1`, … in the order they are added.
#[derive(Debug, Default)]
pub(super) struct Flowchart {
    nodes: Vec<Drawn>,
    links: Vec<Link>,
    note: String,
}

impl Flowchart {
    pub(super) fn node(&mut self, shape: Shape, label: &str, focus: bool, alarmed: bool) {
        self.nodes.push(Drawn { shape, label: label.to_owned(), focus, alarmed });
    }

    pub(super) fn link(&mut self, link: Link) {
        self.links.push(link);
    }

    /// A remark drawn as a box of its own.
    pub(super) fn note(&mut self, text: &str) {
        text.clone_into(&mut self.note);
    }

    /// The text, without a final line break; labels of nodes are cut at `limit` characters.
    pub(super) fn finish(&self, limit: usize) -> String {
        let mut lines = vec!["flowchart LR".to_owned()];
        for (i, node) in self.nodes.iter().enumerate() {
            let (open, close) = node.shape.brackets();
            lines.push(format!("  n{i}{open}\"{}\"{close}", escape::mermaid(&node.label, limit)));
        }
        for link in &self.links {
            let arrow = if link.dotted { "-.->" } else { "-->" };
            let label = if link.label.is_empty() {
                String::new()
            } else {
                format!("|\"{}\"|", escape::mermaid(&link.label, 60))
            };
            lines.push(format!("  n{} {arrow}{label} n{}", link.source, link.target));
        }
        if !self.note.is_empty() {
            lines.push(format!("  note[\"{}\"]", escape::mermaid(&self.note, 120)));
        }
        self.classes(&mut lines);
        lines.join("\n")
    }

    /// Fill, line and text colours are all given, so that light and dark pages show the same.
    fn classes(&self, lines: &mut Vec<String>) {
        let of = |wanted: fn(&Drawn) -> bool| -> Vec<String> {
            self.nodes.iter().enumerate().filter(|(_, n)| wanted(n)).map(|(i, _)| format!("n{i}")).collect()
        };
        let alarmed = of(|n| n.alarmed && !n.focus);
        let focus = of(|n| n.focus && !n.alarmed);
        let both = of(|n| n.focus && n.alarmed);
        let classes = [
            ("focus", "fill:#dbeafe,stroke:#1d4ed8,stroke-width:3px,color:#0f172a", focus),
            ("alarmed", "fill:#fee2e2,stroke:#b91c1c,stroke-width:2px,color:#450a0a", alarmed),
            ("alarmedFocus", "fill:#fecaca,stroke:#b91c1c,stroke-width:4px,color:#450a0a", both),
        ];
        for (name, style, members) in classes {
            if !members.is_empty() {
                lines.push(format!("  classDef {name} {style}"));
                lines.push(format!("  class {} {name}", members.join(",")));
            }
        }
        if !self.note.is_empty() {
            lines.push("  classDef note fill:#fef9c3,stroke:#a16207,color:#422006".to_owned());
            lines.push("  class note note".to_owned());
        }
    }
}
