//! Every number on a page traces back: each claim of each rendered page is recomputed from the spans.
//!
//! Pages are generated as a user would. Every number in a sentence, a list, a table or a diagram must be claimed by exactly
//! one pattern of [`proofs`], whose proof recomputes it from the spans by the definitions of docs/topology.md and
//! docs/slo.md, written here a second time in the plainest way. A number that no pattern claims fails the test: whoever adds
//! a sentence adds its proof.
//!
//! Not claims: fences of commands and queries, URLs, and names in code, which must be names of the spans or of the
//! configuration. Fixed words of ours that hold digits are listed in [`proofs::FIXED`] with the reason.

mod bins;
mod calls;
mod captures;
mod check;
mod claim;
mod config;
mod digits;
mod facts;
mod numbers;
mod objectives;
mod origins;
mod page;
mod paths;
mod pattern;
mod peers;
mod proofs;
mod spans;
mod staged;
mod tails;
mod times;

use std::collections::BTreeSet;

use captures::Capture;
use check::Findings;
use page::{Page, Place};
use pattern::Found;

#[test]
fn every_number_of_every_page_traces_back() {
    let (mut wrong, mut pages, mut all) = (Vec::new(), 0, Findings::default());
    for capture in Capture::all() {
        pages += capture.pages.len();
        let named = |page: &Page, what: Vec<String>| {
            what.into_iter().map(|w| format!("{} {}:{w}", capture.name, page.file)).collect::<Vec<_>>()
        };
        capture.pages.iter().for_each(|page| wrong.extend(named(page, overlooked(page))));
        for (page, place, found) in capture.places() {
            check::place(capture, page, place, found, &mut all);
            wrong.extend(named(page, std::mem::take(&mut all.wrong)));
        }
    }
    let Findings { numbers, used, .. } = all;
    println!("{numbers} numbers on {pages} pages, claimed by {} patterns", used.len());
    assert!(wrong.is_empty(), "{} of {numbers} numbers:\n{}", wrong.len(), wrong.join("\n"));
    let unused = check::patterns().iter().enumerate().filter(|(i, _)| !used.contains(i));
    let unused: Vec<String> = unused.map(|(_, p)| p.name()).collect();
    assert!(unused.is_empty(), "no page has what these patterns claim:\n{}", unused.join("\n"));
    let says = |words: &str| Capture::all().iter().any(|c| c.places().any(|(_, place, _)| place.text.contains(words)));
    let unsaid: Vec<&str> = proofs::FIXED.iter().map(|(words, _)| *words).filter(|words| !says(words)).collect();
    assert!(unsaid.is_empty(), "no page says these fixed words any more: {unsaid:?}");
}

/// Lines whose digits the places of the page do not have, all and in order.
fn overlooked(page: &Page) -> Vec<String> {
    let lines = page.source.lines().zip(digits::visible(&page.source)).enumerate();
    let told = |line: usize| {
        let places = page.places.iter().filter(move |p| p.line == line);
        places.flat_map(|p| p.text.chars().filter(char::is_ascii_digit)).collect::<String>()
    };
    let wrong = lines.filter_map(|(i, (text, seen))| {
        let seen: String = seen.into_iter().map(|at| char::from(text.as_bytes()[at])).collect();
        (told(i + 1) != seen).then(|| format!("{} is read as {}: {text}", i + 1, told(i + 1)))
    });
    wrong.collect()
}

#[test]
fn a_digit_that_is_altered_is_noticed_whatever_the_sentence() {
    let (mut tried, mut unnoticed) = (BTreeSet::new(), Vec::new());
    for capture in Capture::all() {
        for (page, place, found) in capture.places() {
            for (pattern, found) in found {
                if tried.insert(*pattern) {
                    let name = check::patterns()[*pattern].name();
                    let missed = alterations(capture, page, place, found);
                    unnoticed.extend(missed.into_iter().map(|text| format!("{name}: {text}")));
                }
            }
        }
    }
    assert_eq!(tried.len(), check::patterns().len());
    assert!(unnoticed.is_empty(), "not noticed:\n{}", unnoticed.join("\n"));
}

/// Altered lines that nobody notices: the first digit of each number of a claim becomes another one on the page.
fn alterations(capture: &Capture, page: &Page, place: &Place, found: &Found) -> Vec<String> {
    let visible = &digits::visible(&page.source)[place.line - 1];
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let earlier = page.places.iter().filter(|p| p.line == place.line).take_while(|p| !std::ptr::eq(*p, place));
    let before: usize = earlier.map(|p| digits(&p.text)).sum();
    let numbers = check::numbers(&place.text);
    let mut unnoticed = Vec::new();
    for (from, to) in numbers.into_iter().filter(|(from, to)| found.from <= *from && *to <= found.to) {
        let first = place.text[from..to].find(|c: char| c.is_ascii_digit()).unwrap();
        let at = visible[before + digits(&place.text[..from + first])];
        let altered = Page::new(&page.file, digits::alter(&page.source, place.line, at));
        let mut all = Findings::default();
        for place in altered.places.iter().filter(|p| p.line == place.line) {
            check::place(capture, &altered, place, &check::matches(place), &mut all);
        }
        if all.wrong.is_empty() {
            unnoticed.push(altered.source.lines().nth(place.line - 1).unwrap().to_owned());
        }
    }
    unnoticed
}
