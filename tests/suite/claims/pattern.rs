//! Patterns of sentences: words, holes for numbers and names, alternatives.
//!
//! `{x} waits p50 {d}, p99 {d}< (n {c})|>`: `{…}` is a hole, `<…|…>` are alternatives, of which the first that fits counts.

use super::claim::Claim;
use super::numbers::{Kind, Value};
use super::page::Place;

/// What is recomputed of a claim: a value for each hole but names. `None`: it speaks of something that is not there.
pub type Proof = fn(&Claim<'_>) -> Option<Vec<Value>>;

/// A kind of sentence or cell, and how to recompute it.
pub struct Pattern {
    pub text: &'static str,
    pub proof: Proof,
    /// Titles of tables and column it may stand in; anywhere without.
    tables: &'static [&'static str],
    column: &'static str,
    /// Start of the title of the step it must belong to.
    step: &'static str,
    /// Start of the sentence it must be in; it may be in it several times.
    lead: &'static str,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Words(String),
    Hole(Kind),
    Either(Vec<Vec<Part>>),
    /// The end of a phrase.
    End,
}

/// What fills a hole.
#[derive(Debug, Clone)]
pub struct Hole {
    pub kind: Kind,
    pub text: String,
}

/// A place where a pattern fits.
#[derive(Debug, Clone)]
pub struct Found {
    pub from: usize,
    pub to: usize,
    pub holes: Vec<Hole>,
}

/// A sentence, or a part of one, wherever it stands.
pub fn says(text: &'static str, proof: Proof) -> Pattern {
    Pattern { text, proof, tables: &[], column: "", step: "", lead: "", parts: Parser::all(text) }
}

/// All of a cell.
pub fn cell(tables: &'static [&'static str], column: &'static str, text: &'static str, proof: Proof) -> Pattern {
    Pattern { tables, column, ..says(text, proof) }
}

/// Items of a sentence that starts with `lead`.
pub fn listed(lead: &'static str, text: &'static str, proof: Proof) -> Pattern {
    Pattern { lead, ..says(text, proof) }
}

impl Pattern {
    /// The same in steps whose titles start so.
    pub fn in_step(self, step: &'static str) -> Self {
        Self { step, ..self }
    }

    /// What it is called in messages.
    pub fn name(&self) -> String {
        let of = |what: &str, text: &str| if text.is_empty() { String::new() } else { format!(" {what} `{text}`") };
        let table = self.tables.first().copied().unwrap_or_default();
        format!(
            "`{}`{}{}{}{}",
            self.text,
            of("table", table),
            of("column", self.column),
            of("step", self.step),
            of("after", self.lead)
        )
    }

    /// Everywhere it fits.
    pub fn find(&self, place: &Place) -> Vec<Found> {
        let mut whole = false;
        if !self.tables.is_empty() {
            let title = place.table.split_once(" of ").map_or(place.table.as_str(), |(title, _)| title);
            if place.column != self.column || !self.tables.contains(&title) {
                return Vec::new();
            }
            whole = true;
        }
        if !place.step.starts_with(self.step) || !self.words().all(|w| place.text.contains(w)) {
            return Vec::new();
        }
        let text = place.text.as_str();
        let Some((lead, from, to)) = self.scope(text) else { return Vec::new() };
        let mut found: Vec<Found> = Vec::new();
        for (at, _) in text[from..to].char_indices().map(|(at, c)| (at + from, c)) {
            let free = found.last().is_none_or(|f| f.to <= at);
            if free && let Some(fits) = self.fits(text, at, to) {
                found.push(fits);
            }
        }
        if whole {
            found.retain(|f| f.from == 0 && f.to == text.len());
        }
        // The words before a list belong to its first item.
        if let Some(first) = found.first_mut().filter(|f| f.from == from) {
            first.from = lead;
        }
        found
    }

    /// Where to look: start of the lead, and the rest of its sentence.
    fn scope(&self, text: &str) -> Option<(usize, usize, usize)> {
        let lead = text.find(self.lead)?;
        if self.lead.is_empty() {
            return Some((0, 0, text.len()));
        }
        let from = lead + self.lead.len();
        let mut code = false;
        let end = text[from..].char_indices().find(|(at, c)| {
            code ^= *c == '`';
            let rest = &text[from + at..];
            !code && (rest.starts_with(". ") || rest == ".")
        });
        Some((lead, from, end.map_or(text.len(), |(at, _)| from + at)))
    }

    /// Words every match has.
    fn words(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|p| if let Part::Words(w) = p { Some(w.as_str()) } else { None })
    }

    fn fits(&self, text: &str, at: usize, limit: usize) -> Option<Found> {
        // No number begins inside of another, and no word inside of a word.
        let before = text[..at].chars().next_back();
        let inside = |c: char| c.is_alphanumeric() || matches!(c, '.' | ',' | '_');
        let starts_inside = before.is_some_and(inside) && text[at..].starts_with(char::is_alphanumeric);
        if starts_inside || text[..at].matches('`').count() % 2 == 1 {
            return None;
        }
        let mut holes = Vec::new();
        let parts: Vec<&Part> = self.parts.iter().collect();
        let to = fit(&parts, &text[..limit], at, &mut holes)?;
        let ends_inside = text[..to].ends_with(char::is_alphanumeric) && text[to..].starts_with(char::is_alphanumeric);
        (!ends_inside).then_some(Found { from: at, to, holes })
    }
}

/// Tries the parts one after the other; where the first alternative leads nowhere, the next.
fn fit(parts: &[&Part], text: &str, at: usize, holes: &mut Vec<Hole>) -> Option<usize> {
    let Some((first, rest)) = parts.split_first() else { return Some(at) };
    match first {
        Part::End if text[at..].starts_with(|c: char| c != '.' && c != ',') && !text[at..].starts_with(" (") => None,
        Part::End => fit(rest, text, at, holes),
        Part::Words(words) => text[at..].starts_with(words).then(|| fit(rest, text, at + words.len(), holes))?,
        Part::Hole(kind) => {
            let length = length(*kind, &text[at..])?;
            holes.push(Hole { kind: *kind, text: text[at..at + length].to_owned() });
            let end = fit(rest, text, at + length, holes);
            if end.is_none() {
                holes.pop();
            }
            end
        }
        Part::Either(all) => all.iter().find_map(|one| {
            let parts: Vec<&Part> = one.iter().chain(rest.iter().copied()).collect();
            fit(&parts, text, at, holes)
        }),
    }
}

/// How much of the text fills a hole.
fn length(kind: Kind, text: &str) -> Option<usize> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    // `1,234.5`, after a sign or `< `.
    let number = |text: &str| {
        let signs = ["< -", "> -", "< ", "> ", "-"];
        let start = signs.iter().find(|sign| text.starts_with(**sign)).map_or(0, |sign| sign.len());
        let mut end = start + Some(digits(&text[start..])).filter(|n| *n > 0)?;
        while text[end..].starts_with(',') && digits(&text[end + 1..]) == 3 {
            end += 4;
        }
        let part = if text[end..].starts_with('.') { digits(&text[end + 1..]) } else { 0 };
        Some(if part > 0 { end + 1 + part } else { end })
    };
    let with = |before: &str, units: &[&str]| {
        let end = number(text)?;
        let rest = text[end..].strip_prefix(before)?;
        let unit = units
            .iter()
            .find(|u| rest.strip_prefix(**u).is_some_and(|after| !after.starts_with(char::is_alphanumeric)))?;
        Some(end + before.len() + unit.len())
    };
    match kind {
        Kind::Duration | Kind::TerminalDuration => with(" ", &["ns", "µs", "ms", "s", "min", "h", "d"]),
        Kind::Ratio | Kind::TerminalRatio => with(" ", &["%"]),
        Kind::Rate => with("/", &["s", "min", "h", "d"]),
        Kind::Length => with("", &["s", "m", "h", "d"]),
        Kind::Count => number(text),
        Kind::Digits => {
            let end = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
            Some(text[..end].trim_end_matches('.').len()).filter(|n| *n > 0)
        }
        Kind::Time => text.find(" UTC").filter(|at| *at == 19).map(|at| at + 4),
        Kind::Spelled => {
            let units: &[&str] = &["d", "h", "min", "s"];
            let first = with(" ", units)?;
            let second = text[first..].strip_prefix(' ').and_then(|rest| length(Kind::Duration, rest));
            Some(second.map_or(first, |n| first + 1 + n))
        }
        Kind::Line => Some(text.len()),
        Kind::Word => Some(text.find(' ').unwrap_or(text.len())).filter(|n| *n > 0),
        Kind::Name => text.strip_prefix('`')?.find('`').map(|at| at + 2),
    }
}

/// Reads a pattern.
struct Parser<'a>(std::iter::Peekable<std::str::Chars<'a>>);

impl Parser<'_> {
    fn all(text: &str) -> Vec<Part> {
        Parser(text.chars().peekable()).parts()
    }

    fn parts(&mut self) -> Vec<Part> {
        let (mut parts, mut words) = (Vec::new(), String::new());
        while let Some(next) = self.0.next_if(|c| !matches!(c, '|' | '>')) {
            let part = match next {
                '{' => self.hole(),
                '<' => Part::Either(self.alternatives()),
                c => {
                    words.push(c);
                    continue;
                }
            };
            if !words.is_empty() {
                parts.push(Part::Words(std::mem::take(&mut words)));
            }
            parts.push(part);
        }
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        parts
    }

    fn alternatives(&mut self) -> Vec<Vec<Part>> {
        let mut all = vec![self.parts()];
        while self.0.next() == Some('|') {
            all.push(self.parts());
        }
        all
    }

    fn hole(&mut self) -> Part {
        let name: String = std::iter::from_fn(|| self.0.next_if(|c| *c != '}')).collect();
        self.0.next();
        let one = |kind| vec![Part::Hole(kind)];
        Part::Hole(match name.as_str() {
            // The value of an objective, in the unit of what it measures.
            "v" => return Part::Either(vec![one(Kind::Duration), one(Kind::Ratio), one(Kind::Rate)]),
            "d" => Kind::Duration,
            "%" => Kind::Ratio,
            "c" => Kind::Count,
            "r" => Kind::Rate,
            "t" => Kind::Time,
            "q" => Kind::Digits,
            "w" => Kind::Length,
            "s" => Kind::Spelled,
            "td" => Kind::TerminalDuration,
            "t%" => Kind::TerminalRatio,
            "x" => Kind::Name,
            "k" => Kind::Word,
            "line" => Kind::Line,
            // Nothing that would make more of what was said.
            "!" => return Part::End,
            other => panic!("a hole called {other}"),
        })
    }
}
