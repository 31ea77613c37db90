//! One claim and what its proof can ask: the holes, where it stands, and the facts.

use super::facts::{Edge, Facts, Node, Sums};
use super::numbers::{Kind, Value};
use super::page::{Page, Place};
use super::pattern::Hole;
use super::spans::Span;

/// What a pattern found, and all around it.
pub struct Claim<'a> {
    pub facts: &'a Facts,
    /// All files of the run.
    pub pages: &'a [Page],
    pub page: &'a Page,
    pub place: &'a Place,
    /// What fills the holes.
    pub holes: &'a [Hole],
    /// Where the match ends, and the text before it.
    pub to: usize,
    pub from: usize,
}

/// The text of a name without its backticks.
fn name(text: &str) -> &str {
    text.trim_matches('`')
}

/// The first name in backticks.
fn first_name(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

impl<'a> Claim<'a> {
    /// The i-th name.
    pub fn x(&self, i: usize) -> &str {
        let names = || self.holes.iter().filter(|h| h.kind == Kind::Name);
        names().nth(i).map_or("", |h| name(&h.text))
    }

    /// The node of the i-th name.
    pub fn node_id(&self, i: usize) -> Option<&'a str> {
        self.facts.node(self.x(i))
    }

    /// The text that matched.
    pub fn text(&self) -> &'a str {
        &self.place.text[self.from..self.to]
    }

    /// The node the page is about, or of a scenario the one that is spoken of: the text or the table says which.
    pub fn focus(&self) -> Option<&'a str> {
        let said = self.place.text.strip_prefix("Who is hit: ").unwrap_or(&self.place.text);
        let prefixed = said.strip_prefix('`').and_then(|t| t.split_once("`: ")).map(|(name, _)| name);
        let titled = self.place.table.split_once(" of ").map(|(_, name)| name);
        match self.page.key.split_once(':')? {
            ("scenario", scenario) => {
                if let Some(id) = titled.or(prefixed).and_then(|said| self.facts.node(said)) {
                    return Some(id);
                }
                let all = self.facts.config.json["scenarios"].as_array()?;
                let own = all.iter().find(|s| s["name"] == scenario)?;
                self.facts.node(own["nodes"][0].as_str()?)
            }
            (_, id) => self.facts.node(id),
        }
    }

    /// The node a step names in its title.
    pub fn titled(&self) -> Option<&'a str> {
        self.facts.node(first_name(&self.place.step)?)
    }

    /// What the page's node has handled.
    pub fn handled(&self) -> Option<&'a Sums> {
        Some(&self.of(self.focus()?)?.handled)
    }

    pub fn of(&self, id: &str) -> Option<&'a Node> {
        self.facts.nodes.get(id)
    }

    /// The edge from the page's node to the one of a name.
    pub fn call_to(&self, id: &str) -> Option<&'a Edge> {
        self.facts.edge(self.focus()?, id)
    }

    /// The edge from the page's node to the one in the step's title.
    pub fn call(&self) -> Option<&'a Edge> {
        self.call_to(self.titled()?)
    }

    /// The span an id belongs to.
    pub fn span(&self, trace: &str, id: &str) -> Option<&'a Span> {
        self.facts.trace(trace).iter().find(|s| s.id == id)
    }

    /// The first cell of the row, without backticks.
    pub fn row(&self, i: usize) -> &'a str {
        name(&self.place.row[i])
    }

    /// A moment of the window.
    pub fn window(&self) -> [Value; 2] {
        [self.facts.window.0, self.facts.window.1].map(|at| Value::Said(super::numbers::time(at)))
    }
}

/// n.
pub fn count(n: u64) -> Value {
    Value::Exactly(n as f64)
}

/// `p50 …, p99 …`.
pub fn p50_p99(times: &super::times::Times) -> Option<[Value; 2]> {
    Some([times.quantile("50")?, times.quantile("99")?])
}

/// A text that has to be the same.
pub fn said(text: impl ToString) -> Value {
    Value::Said(text.to_string())
}
