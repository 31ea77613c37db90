//! One table, two looks: aligned text for terminals, Markdown for pull requests.

use crate::render::escape;
use crate::render::text::{Place, ViewText};

/// How a cell is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

impl Tone {
    fn ansi(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Good => Some("\u{1b}[32m"),
            Self::Doubtful => Some("\u{1b}[33m"),
            Self::Bad => Some("\u{1b}[31m"),
        }
    }
}

/// One cell. What it holds is untrusted and escaped for where it goes.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
    code: bool,
    /// What it is in Markdown, where that is more than its text.
    markdown: Option<String>,
}

impl Cell {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, code: false, markdown: None }
    }

    pub(super) fn tone(mut self, tone: Tone) -> Self {
        self.tone = tone;
        self
    }

    /// Words of ours with names from the traces in them.
    pub(super) fn sentence(text: &ViewText) -> Self {
        Self { markdown: Some(text.to_markdown(Place::Cell)), ..Self::new(text.to_plain()) }
    }

    /// A name from the traces: code in Markdown.
    pub(super) fn name(text: impl Into<String>) -> Self {
        Self { text: text.into(), tone: Tone::Plain, code: true, markdown: None }
    }
}

/// A head and rows of as many cells.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Columns padded to their widest cell, two blanks between, nothing at the end of a line.
    pub(super) fn to_text(&self, colour: bool) -> String {
        let shown: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(|c| escape::terminal(&c.text)).collect()).collect();
        let width = |i: usize| {
            let head = self.head.get(i).map_or(0, |h| h.chars().count());
            shown.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).fold(head, usize::max)
        };
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let mut out = String::new();
        let head: Vec<(String, Tone)> = self.head.iter().map(|h| (h.to_uppercase(), Tone::Plain)).collect();
        line(&mut out, &head, &widths, colour);
        for (row, texts) in self.rows.iter().zip(shown) {
            let cells: Vec<(String, Tone)> = texts.into_iter().zip(row).map(|(text, cell)| (text, cell.tone)).collect();
            line(&mut out, &cells, &widths, colour);
        }
        out
    }

    pub(super) fn to_markdown(&self) -> String {
        let mut out = format!("| {} |\n|{}\n", self.head.join(" | "), " --- |".repeat(self.head.len()));
        for row in &self.rows {
            out.push('|');
            for cell in row {
                let text = if let Some(text) = &cell.markdown {
                    text.clone()
                } else if cell.code && !cell.text.is_empty() {
                    escape::code(&cell.text, true)
                } else {
                    ViewText::words(&escape::clean(&cell.text, escape::QUERY_LIMIT)).to_markdown(Place::Cell)
                };
                let strong = if cell.tone == Tone::Bad && !text.is_empty() { "**" } else { "" };
                out.push_str(&format!(" {strong}{text}{strong} |"));
            }
            out.push('\n');
        }
        out
    }
}

fn line(out: &mut String, cells: &[(String, Tone)], widths: &[usize], colour: bool) {
    let mut text = String::new();
    for ((cell, tone), width) in cells.iter().zip(widths) {
        let pad = " ".repeat(width.saturating_sub(cell.chars().count()) + 2);
        match tone.ansi().filter(|_| colour) {
            Some(ansi) => text.push_str(&format!("{ansi}{cell}\u{1b}[0m{pad}")),
            None => text.push_str(&format!("{cell}{pad}")),
        }
    }
    out.push_str(text.trim_end());
    out.push('\n');
}
