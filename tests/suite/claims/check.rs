//! Holds the places of a page against the patterns.

use std::collections::BTreeSet;

use super::captures::Capture;
use super::page::{Page, Place};
use super::pattern::{Found, Pattern};
use super::proofs::{self, FIXED};

pub struct Checker {
    pub patterns: Vec<Pattern>,
}

/// What was found on a page.
#[derive(Default)]
pub struct Findings {
    pub numbers: usize,
    /// Patterns that claimed something.
    pub used: Vec<usize>,
    /// Line, and what is wrong with it.
    pub wrong: Vec<String>,
}

/// A number, or a piece of code with digits, by position in its text.
type Number = (usize, usize);

impl Checker {
    pub fn new() -> Self {
        Self { patterns: proofs::all() }
    }

    /// Patterns that are not among these.
    pub fn unused(&self, used: &[usize]) -> Vec<String> {
        let unused = self.patterns.iter().enumerate().filter(|(i, _)| !used.contains(i));
        unused.map(|(_, p)| p.name()).collect()
    }

    pub fn page(&self, capture: &Capture, page: &Page) -> Findings {
        let mut all = Findings::default();
        page.places.iter().for_each(|place| self.place(capture, page, place, &mut all));
        all
    }

    /// Every number of one place.
    pub fn place(&self, capture: &Capture, page: &Page, place: &Place, all: &mut Findings) {
        let numbers = numbers(&place.text);
        if numbers.is_empty() {
            return;
        }
        all.numbers += numbers.len();
        let found = self.claims(capture, page, place);
        let mut wrong = |what: String| all.wrong.push(format!("{} {what}\n    in: {}", place.line, place.text));
        for (i, found) in &found {
            if let Err(why) = self.prove(capture, page, place, *i, found) {
                wrong(why);
            }
        }
        for (from, to) in numbers {
            let shown = &place.text[from..to];
            let by: BTreeSet<usize> =
                found.iter().filter(|(_, f)| f.from <= from && to <= f.to).map(|(i, _)| *i).collect();
            match by.len() {
                0 if capture.is_known(page, &place.text, from, to) => {}
                0 => wrong(format!("nothing claims `{shown}`: add a pattern with its proof")),
                1 => {}
                _ => {
                    let names: Vec<String> = by.iter().map(|i| self.patterns[*i].name()).collect();
                    wrong(format!("`{shown}` is claimed more than once: {}", names.join(", ")));
                }
            }
        }
        all.used.extend(found.into_iter().map(|(i, _)| i));
    }

    /// Patterns that fit somewhere in a place.
    pub fn claims(&self, capture: &Capture, page: &Page, place: &Place) -> Vec<(usize, Found)> {
        let claim = capture.claim(page, place, &[], 0, 0);
        self.patterns.iter().enumerate().flat_map(|(i, p)| p.find(&claim).into_iter().map(move |f| (i, f))).collect()
    }

    /// What a pattern recomputes must be what is shown.
    pub fn prove(&self, capture: &Capture, page: &Page, place: &Place, i: usize, found: &Found) -> Result<(), String> {
        let pattern = &self.patterns[i];
        let claim = capture.claim(page, place, &found.holes, found.from, found.to);
        let shown: Vec<_> = found.holes.iter().filter(|h| h.kind.is_number()).collect();
        let Some(values) = (pattern.proof)(&claim) else {
            return Err(format!("{} speaks of something the spans do not have", pattern.name()));
        };
        if values.len() != shown.len() {
            return Err(format!("{} has {} numbers and {} values", pattern.name(), shown.len(), values.len()));
        }
        let wrong = shown.iter().zip(&values).find(|(hole, value)| !value.is_said_by(hole.kind, &hole.text));
        match wrong {
            None => Ok(()),
            Some((hole, value)) => {
                let told = value.told(hole.kind);
                Err(format!("`{}` should be {told}, by {} {value:?}", hole.text, pattern.name()))
            }
        }
    }
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
