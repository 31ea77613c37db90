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

use std::collections::{BTreeMap, BTreeSet};

use captures::Capture;
use check::Checker;
use page::{Page, Place};
use pattern::Found;

#[test]
fn every_number_of_every_page_traces_back() {
    let checker = Checker::new();
    let (mut wrong, mut pages, mut numbers) = (Vec::new(), 0, 0);
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    for capture in Capture::all() {
        for page in &capture.pages {
            pages += 1;
            wrong.extend(overlooked(page).into_iter().map(|w| format!("{} {}:{w}", capture.name, page.file)));
            let found = checker.page(capture, page);
            numbers += found.numbers;
            found.used.into_iter().for_each(|pattern| *used.entry(pattern).or_default() += 1);
            wrong.extend(found.wrong.into_iter().map(|w| format!("{} {}:{w}", capture.name, page.file)));
        }
    }
    println!("{numbers} numbers on {pages} pages, claimed by {} patterns", used.len());
    assert!(wrong.is_empty(), "{} of {numbers} numbers:\n{}", wrong.len(), wrong.join("\n"));
    let unused = checker.unused(&used.into_keys().collect::<Vec<_>>());
    assert!(unused.is_empty(), "no page has what these patterns claim:\n{}", unused.join("\n"));
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
    let checker = Checker::new();
    let mut tried = BTreeSet::new();
    let mut unnoticed = Vec::new();
    for capture in Capture::all() {
        for page in &capture.pages {
            for place in &page.places {
                for (pattern, found) in checker.claims(capture, page, place) {
                    if tried.insert(pattern) {
                        let name = checker.patterns[pattern].name();
                        let misses = alterations(&checker, capture, page, place, &found);
                        unnoticed.extend(misses.into_iter().map(|text| format!("{name}: {text}")));
                    }
                }
            }
        }
    }
    assert_eq!(tried.len(), checker.patterns.len());
    assert!(unnoticed.is_empty(), "not noticed:\n{}", unnoticed.join("\n"));
}

/// Altered lines that nobody notices: of each number of a claim its first digit is altered, of each number that is exact
/// every digit.
fn alterations(checker: &Checker, capture: &Capture, page: &Page, place: &Place, found: &Found) -> Vec<String> {
    let visible = &digits::visible(&page.source)[place.line - 1];
    let earlier = page.places.iter().filter(|p| p.line == place.line && !std::ptr::eq(*p, place));
    let earlier = earlier.take_while(|p| (std::ptr::from_ref(*p)) < std::ptr::from_ref(place));
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let before: usize = earlier.map(|p| digits(&p.text)).sum();
    let mut unnoticed = Vec::new();
    for (from, to) in
        check::numbers(&place.text).into_iter().filter(|(from, to)| found.from <= *from && *to <= found.to)
    {
        let first = place.text[from..to].find(|c: char| c.is_ascii_digit()).unwrap();
        let at = before + digits(&place.text[..from + first]);
        let source = digits::alter(&page.source, place.line, visible[at]);
        let altered = Page::new(&page.file, source);
        let mut all = check::Findings::default();
        let here = altered.places.iter().filter(|p| p.line == place.line);
        here.for_each(|p| checker.place(capture, &altered, p, &mut all));
        if all.wrong.is_empty() {
            unnoticed.push(altered.source.lines().nth(place.line - 1).unwrap().to_owned());
        }
    }
    unnoticed
}
