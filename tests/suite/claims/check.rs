//! Holds the places of a page against the patterns.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use super::captures::Capture;
use super::page::{Page, Place};
use super::pattern::{Found, Pattern};
use super::proofs::{self, FIXED};

/// What was found on a page.
#[derive(Default)]
pub struct Findings {
    pub numbers: usize,
    /// Patterns that claimed something.
    pub used: BTreeSet<usize>,
    /// Line, and what is wrong with it.
    pub wrong: Vec<String>,
}

/// A number, or a piece of code with digits, by position in its text.
type Number = (usize, usize);

/// A pattern by its position, and where it fits.
pub type Match = (usize, Found);

/// Every pattern there is.
pub fn patterns() -> &'static [Pattern] {
    static ALL: OnceLock<Vec<Pattern>> = OnceLock::new();
    ALL.get_or_init(proofs::all)
}

/// Patterns that fit somewhere in a place.
pub fn matches(place: &Place) -> Vec<Match> {
    if numbers(&place.text).is_empty() {
        return Vec::new();
    }
    let all = patterns().iter().enumerate();
    all.flat_map(|(i, p)| p.find(place).into_iter().map(move |f| (i, f))).collect()
}

/// Holds every number of a place against what was found in it.
pub fn place(capture: &Capture, page: &Page, place: &Place, found: &[Match], all: &mut Findings) {
    let numbers = numbers(&place.text);
    all.numbers += numbers.len();
    let mut wrong = |what: String| all.wrong.push(format!("{} {what}\n    in: {}", place.line, place.text));
    for found in found {
        prove(capture, page, place, found).unwrap_or_else(&mut wrong);
    }
    for (from, to) in numbers {
        let shown = &place.text[from..to];
        let by: BTreeSet<usize> = found.iter().filter(|(_, f)| f.from <= from && to <= f.to).map(|(i, _)| *i).collect();
        match by.len() {
            0 if capture.is_known(page, &place.text, from, to) => {}
            0 => wrong(format!("nothing claims `{shown}`: add a pattern with its proof")),
            1 => {}
            _ => {
                let names: Vec<String> = by.iter().map(|i| patterns()[*i].name()).collect();
                wrong(format!("`{shown}` is claimed more than once: {}", names.join(", ")));
            }
        }
    }
    all.used.extend(found.iter().map(|(i, _)| i));
}

/// What a pattern recomputes must be what is shown.
fn prove(capture: &Capture, page: &Page, place: &Place, (i, found): &Match) -> Result<(), String> {
    let pattern = &patterns()[*i];
    let claim = capture.claim(page, place, found);
    let shown: Vec<_> = found.holes.iter().filter(|h| h.kind.is_number()).collect();
    let Some(values) = (pattern.proof)(&claim) else {
        return Err(format!("{} speaks of something the spans do not have", pattern.name()));
    };
    if values.len() != shown.len() {
        return Err(format!("{} has {} numbers and {} values", pattern.name(), shown.len(), values.len()));
    }
    let wrong = shown.iter().zip(&values).find(|(hole, value)| !value.is_said_by(hole.kind, &hole.text));
    wrong.map_or(Ok(()), |(hole, value)| {
        Err(format!("`{}` should be {}, by {} {value:?}", hole.text, value.told(hole.kind), pattern.name()))
    })
}

/// Numbers outside of code, and code with digits.
pub fn numbers(text: &str) -> Vec<Number> {
    let mut out = Vec::new();
    let mut at = 0;
    for (i, part) in text.split('`').enumerate() {
        let end = at + part.len();
        if i % 2 == 1 {
            out.extend(part.contains(|c: char| c.is_ascii_digit()).then_some((at, end)));
        } else {
            out.extend(in_words(part).into_iter().map(|(from, to)| (from + at, to + at)));
        }
        at = end + 1;
    }
    out
}

fn in_words(text: &str) -> Vec<Number> {
    let mut out: Vec<Number> = Vec::new();
    for (at, _) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let glued = |from: usize| text[from..at].chars().all(|c| c.is_ascii_digit() || c == '.' || c == ',');
        match out.last_mut().filter(|last| glued(last.1)) {
            Some(last) => last.1 = at + 1,
            None => out.push((at, at + 1)),
        }
    }
    out
}

/// Whether the words around a number are fixed words of ours.
pub fn is_fixed(text: &str, from: usize, to: usize) -> bool {
    let around = |words: &str| text.match_indices(words).any(|(at, _)| at <= from && to <= at + words.len());
    FIXED.iter().any(|(words, _)| around(words))
}
