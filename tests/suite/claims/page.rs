//! A rendered page as places that can hold claims: a sentence, a list item, a cell of a table, the label of an edge.
//!
//! Left out: comments, anchors, URLs, and fences of commands and queries.

use std::collections::BTreeMap;

/// Languages of fences that are commands and queries, not claims.
const COMMANDS: &[&str] = &["bash", "sql", "promql", "traceql", "javascript"];

/// One rendered file.
#[derive(Debug)]
pub struct Page {
    pub file: String,
    pub source: String,
    pub places: Vec<Place>,
    /// Key in the ledger, `latency:shop/api`; empty for the index.
    pub key: String,
}

/// One text of a page, with what is around it.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// Title of the step it belongs to.
    pub step: String,
    /// Title of the table it is in, `diagram` for the labels of edges, `waterfall` for the rows of a trace that is drawn,
    /// `number` for the number of a step.
    pub table: String,
    /// Heading of its column.
    pub column: String,
    /// All cells of its row; of an edge both ends; of a row that is drawn the heading above it.
    pub row: Vec<String>,
    /// Without emphasis, escapes and URLs; code stays in backticks.
    pub text: String,
    /// The list items before it in the same section, last first.
    pub before: Vec<String>,
}

impl Page {
    pub fn new(file: &str, source: String) -> Self {
        let places = Reader::default().read(&source);
        let key = places.iter().find_map(|p| p.text.strip_prefix("Key: `")?.strip_suffix('`'));
        Self { file: file.to_owned(), key: key.unwrap_or_default().to_owned(), places, source }
    }
}

/// Where the reader is.
#[derive(Default)]
struct Reader {
    places: Vec<Place>,
    here: Place,
    /// Of the table being read.
    columns: Vec<String>,
    steps: usize,
    comment: bool,
    /// Language of the fence being read.
    fence: Option<String>,
    indented: bool,
    /// Labels of the nodes of a diagram.
    nodes: BTreeMap<String, String>,
}

impl Reader {
    fn read(mut self, source: &str) -> Vec<Place> {
        for (at, line) in source.lines().enumerate() {
            self.here.line = at + 1;
            self.line(line);
        }
        self.places
    }

    fn line(&mut self, line: &str) {
        let text = line.trim();
        if self.comment || text.starts_with("<!--") {
            self.comment = !text.ends_with("-->");
            return;
        }
        if let Some(language) = text.strip_prefix("```") {
            self.indented = line.starts_with(' ');
            self.fence = if self.fence.is_none() { Some(language.to_owned()) } else { None };
            let drawn = ["", "mermaid", "text"].contains(&language);
            let known = drawn || COMMANDS.contains(&language);
            assert!(known, "line {}: a fence in {language}: does it hold claims?", self.here.line);
            return;
        }
        match self.fence.as_deref() {
            Some("mermaid") => return self.edge(text),
            // A command of no language is part of a step.
            Some("text") if !self.indented => return self.drawn(line),
            Some(_) => return,
            None => {}
        }
        if let Some(cells) = text.strip_prefix('|') {
            return self.row(cells);
        }
        self.columns.clear();
        if let Some(title) = text.strip_prefix("<summary>").and_then(|t| t.strip_suffix("</summary>")) {
            self.here.table = plain(title);
        } else if text.starts_with("## ") {
            self.here = Place { line: self.here.line, ..Place::default() };
            self.steps = 0;
        } else if let Some(title) = text.strip_prefix("### ") {
            self.here.table = plain(title);
        } else if text.starts_with('<') {
            return; // An anchor or a block that folds.
        }
        self.sentence(line);
    }

    fn sentence(&mut self, line: &str) {
        let mut text = plain(line.trim().trim_start_matches(['#', ' ']));
        let number = text.split_once(". ").filter(|(n, _)| line.starts_with(n) && n.parse::<u64>().is_ok());
        if let Some((number, title)) = number {
            self.steps += 1;
            let expected = vec![self.steps.to_string()];
            let place = Place { table: "number".into(), row: expected, text: number.to_owned(), ..self.here.clone() };
            self.places.push(place);
            text = title.to_owned();
            self.here.step.clone_from(&text);
        }
        let item = text.strip_prefix("- ").map(str::to_owned);
        let text = item.clone().unwrap_or(text);
        let table =
            if line.starts_with('<') || line.starts_with('#') { String::new() } else { self.here.table.clone() };
        self.places.push(Place { text, table, ..self.here.clone() });
        if line.starts_with("- ") {
            self.here.before.insert(0, item.unwrap());
        }
    }

    fn row(&mut self, cells: &str) {
        let cells: Vec<String> = cells_of(cells.trim_end().trim_end_matches('|'));
        if self.columns.is_empty() {
            self.columns.clone_from(&cells);
            let heading = |text| Place { text, table: "heading".into(), ..self.here.clone() };
            self.places.extend(cells.into_iter().map(heading));
        } else if !cells.iter().all(|c| c.trim_matches(['-', ':']).is_empty()) {
            for (column, text) in self.columns.clone().into_iter().zip(cells.clone()) {
                self.places.push(Place { column, text, row: cells.clone(), ..self.here.clone() });
            }
        }
    }

    /// A row of a trace that is drawn.
    fn drawn(&mut self, line: &str) {
        let is_heading = |p: &&Place| p.table != "waterfall" && !p.text.is_empty();
        let heading = self.places.iter().rev().find(is_heading).map(|p| p.text.clone());
        let row = heading.into_iter().collect();
        self.places.push(Place { table: "waterfall".into(), row, text: line.to_owned(), ..self.here.clone() });
    }

    /// `n0 -->|"7.27/s"| n5`, or a node `n0["frontend"]`.
    fn edge(&mut self, text: &str) {
        let quoted = |text: &str| Some(entities(text.split_once('"')?.1.rsplit_once('"')?.0));
        let end = |name: &str| self.nodes.get(name.trim()).cloned().unwrap_or_default();
        if text.starts_with("class") {
            return;
        }
        if let Some((from, rest)) = text.split_once("->|") {
            let (label, to) = rest.rsplit_once('|').unwrap();
            let row = vec![end(from.trim_end_matches(['-', '.'])), end(to)];
            let text = quoted(label).unwrap();
            self.places.push(Place { table: "diagram".into(), row, text, ..self.here.clone() });
        } else if let Some(at) = text.find(['[', '(', '{']).filter(|_| text.contains('"')) {
            self.nodes.insert(text[..at].trim().to_owned(), quoted(text).unwrap_or_default());
        }
    }
}

fn cells_of(row: &str) -> Vec<String> {
    let row = row.replace("\\|", "\u{1}");
    row.split('|').map(|cell| plain(&cell.replace('\u{1}', "|"))).collect()
}

/// Without emphasis, escapes, entities and URLs. Code is kept as it is, between single backticks.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.trim().split('`').enumerate() {
        if at > 0 {
            out.push('`');
        }
        if at % 2 == 1 {
            out.push_str(part);
        } else {
            out.push_str(&words(part));
        }
    }
    out.trim().to_owned()
}

fn words(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("](") {
        let (url, after) = after.split_once(')').unwrap_or((after, ""));
        let (words, link) = before.rsplit_once('[').unwrap_or((before, ""));
        // The number of a page that leads to another page is none.
        let wrong = link.starts_with("RB-") && !url.starts_with(&format!("{link}-"));
        let link = if wrong { link.replace('-', "?") } else { link.to_owned() };
        out.push_str(&format!("{words}[{link}]"));
        rest = after;
    }
    out.push_str(rest);
    let unescaped = out.replace("**", "").replace("\\\\", "\u{1}").replace('\\', "").replace('\u{1}', "\\");
    entities(&unescaped)
}

/// `&lt;`, `&#37;` and, in diagrams, `#37;`.
fn entities(text: &str) -> String {
    let mut out = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#", "#");
    for code in [35_u8, 37, 46, 58, 64, 91, 93, 36, 123, 125, 126] {
        out = out.replace(&format!("#{code};"), &char::from(code).to_string());
    }
    out.replace("&amp;", "&")
}
