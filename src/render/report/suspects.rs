//! Who is to blame, in words: each suspect with the figure that speaks most against it, and traces to open.
//!
//! Input: ranked culprits. Output: blocks of wrapped lines for a terminal, a table for a pull request. Suspects that are not
//! `reported` are only named, so that nobody takes them for a finding; but where something did get worse and nobody is, the
//! first is told with the rest of what is known, as weak.

use super::table::{Cell, Table};
use crate::diff::{Culprit, CulpritPart};
use crate::render::text::{Place, ViewPiece, ViewText};
use crate::render::{escape, format};
use crate::topology::NodeId;

/// Characters of a line in a terminal.
const WIDTH: usize = 100;
/// Parts of one kind are told together from this share of the largest on.
const LIKE_IT: f64 = 0.25;
/// What stands before the weak ones.
const WEAK: &str = "Weak (may be chance, or follow from another)";

/// Those told in full, and those only named. `worse` says whether anything else that was found got worse.
fn told(culprits: &[Culprit], worse: bool) -> (Vec<&Culprit>, Vec<&Culprit>) {
    let first = worse && !culprits.iter().any(|culprit| culprit.reported);
    culprits.iter().partition(|culprit| culprit.reported || (first && culprit.rank == 1))
}

/// For a terminal; nothing without suspects.
pub(super) fn text(culprits: &[Culprit], worse: bool, colour: bool) -> String {
    if culprits.is_empty() {
        return String::new();
    }
    let (told, named) = told(culprits, worse);
    let mut out = String::from("\nSuspects\n");
    for culprit in &told {
        let rank = culprit.rank.to_string();
        let service = escape::terminal(&culprit.service.0);
        let (bold, plain) = if colour { ("\u{1b}[1m", "\u{1b}[0m") } else { ("", "") };
        out.push_str(&format!(
            "{rank:>2}  {bold}{service}{plain}  {} ({}), {}score {}\n",
            reason(culprit),
            culprit.reason,
            weakly(culprit),
            format::count(culprit.score)
        ));
        out.push_str(&wrapped(&evidence(culprit).to_plain(), 4));
        if !culprit.exemplars.is_empty() {
            out.push_str(&wrapped(&format!("traces {}", traces(culprit).join(", ")), 4));
        }
    }
    if told.is_empty() {
        out.push_str("    None stands out.\n");
    }
    if let Some(weak) = weak(&named) {
        out.push_str(&wrapped(&format!("{WEAK}: {}", weak.to_plain()), 0));
    }
    out
}

/// For a pull request; nothing without suspects.
pub(super) fn markdown(culprits: &[Culprit], worse: bool) -> String {
    if culprits.is_empty() {
        return String::new();
    }
    let (told, named) = told(culprits, worse);
    let mut table = Table::new(&["Rank", "Service", "Reason", "Evidence", "Score", "Traces"]);
    for culprit in &told {
        let ids = traces(culprit).into_iter().map(ViewPiece::Code);
        table.row(vec![
            Cell::new(culprit.rank.to_string()),
            Cell::name(culprit.service.0.clone()),
            Cell::new(format!("{} ({})", reason(culprit), culprit.reason)),
            Cell::sentence(&evidence(culprit)),
            Cell::new(format!("{}{}", weakly(culprit), format::count(culprit.score))),
            Cell::sentence(&ViewText(between(ids, ", "))),
        ]);
    }
    let strong = if told.is_empty() { "None stands out.\n".to_owned() } else { table.to_markdown() };
    let weak = weak(&named).map(|weak| format!("\n{WEAK}: {}\n", weak.to_markdown(Place::Line)));
    format!("\n### Suspects\n\n{strong}{}", weak.unwrap_or_default())
}

fn weakly(culprit: &Culprit) -> &'static str {
    if culprit.reported { "" } else { "weak, " }
}

/// What is the matter, by the largest part.
fn reason(culprit: &Culprit) -> &'static str {
    let first = culprit.parts.first();
    let called = first.and_then(|part| part.target.as_ref()) == Some(&culprit.service);
    let own = first.is_none_or(|part| part.service == culprit.service);
    match (culprit.reason, called) {
        ("self-time", _) => "works longer itself",
        ("network-gap", true) => "calls wait longer for it",
        ("network-gap", false) => "its calls wait longer",
        ("dependency-time", true) => "calls to it take longer",
        ("dependency-time", false) => "its calls take longer",
        ("call-structure", _) if own => "does something else than before",
        ("call-structure", _) => "callers go on otherwise after it",
        ("own-failures", true) => "calls to it fail",
        _ => "failures begin here",
    }
}

/// The largest part as a sentence, where it shows as well, the kinds of symptom besides, and the instances it is about.
fn evidence(culprit: &Culprit) -> ViewText {
    let Some((first, more)) = culprit.parts.split_first() else { return ViewText::default() };
    let mut text = sentence(first, &culprit.service);
    let like_it = |part: &&CulpritPart| part.reason == first.reason && part.score >= LIKE_IT * first.score;
    match more.iter().filter(like_it).count() {
        0 => {}
        1 => text.push(words("; the same at one more place")),
        places => text.push(words(format!("; the same at {places} more places"))),
    }
    let others: Vec<String> = culprit
        .evidence
        .iter()
        .filter(|(kind, _)| **kind != culprit.reason)
        .map(|(kind, score)| format!("{kind} {}", format::count(*score)))
        .collect();
    if !others.is_empty() {
        text.push(words(format!("; also {}", others.join(", "))));
    }
    if let Some(apart) = &culprit.attribute {
        text.extend([words("; "), name(&format!("{}={}", apart.key, apart.value)), words(" stands apart: ")]);
        text.extend(match apart.reason {
            "slower" => vec![words("takes "), duration(apart.this), words(" against "), duration(apart.others)],
            _ => vec![words(format!("fails {} against {}", format::ratio(apart.this), format::ratio(apart.others)))],
        });
        let n = (format::integer(apart.n_this), format::integer(apart.n_others));
        text.push(words(format!(" elsewhere, n {} against {}", n.0, n.1)));
    }
    ViewText(text)
}

fn sentence(part: &CulpritPart, of: &NodeId) -> Vec<ViewPiece> {
    let operation = || operation(part, of);
    let edge = |from: &str, to: &str| {
        let target = part.target.as_ref().map_or("", |target| target.0.as_str());
        vec![words(from), name(&part.service.0), words(to), name(target)]
    };
    let seconds = vec![words(" "), duration(part.before), words(" → "), duration(part.after_value)];
    let mut text = Vec::new();
    match (part.reason, &part.target, &part.after) {
        ("self-time", ..) if part.operation.is_none() => {
            text.push(words("self time of its operations together"));
            text.extend(seconds);
            text.push(moved(part));
        }
        ("self-time", ..) => {
            text.push(words("self time of "));
            text.extend(operation());
            text.extend(seconds);
            text.push(moved(part));
        }
        ("network-gap" | "dependency-time", ..) => {
            let gap = part.reason == "network-gap";
            text.extend(if gap { edge("time between ", " and ") } else { edge("calls from ", " to ") });
            text.extend(seconds);
            text.push(moved(part));
        }
        ("call-structure", _, Some(after)) => {
            text.extend([words("after "), name(after), words(", ")]);
            text.extend(operation());
            text.push(words(format!(" goes on otherwise in {} of cases", format::ratio(part.after_value))));
            text.push(interval(part, "95 % interval"));
        }
        ("call-structure", ..) => {
            text.extend(operation());
            text.push(words(format!(" starts otherwise in {} of cases", format::ratio(part.after_value))));
            text.push(interval(part, "95 % interval"));
        }
        (_, target, _) => {
            text.push(words("failures that begin at "));
            text.extend(operation());
            if let Some(target) = target {
                text.extend([words(" calling "), name(&target.0)]);
            }
            let shares = (format::ratio(part.before), format::ratio(part.after_value));
            text.push(words(format!(" {} → {} of calls", shares.0, shares.1)));
            text.push(interval(part, "95 % interval of the increase"));
        }
    }
    text.push(words(format!(", n {} → {}", format::integer(part.n_before), format::integer(part.n_after))));
    text
}

/// The operation of a part, with its service where that is another one.
fn operation(part: &CulpritPart, of: &NodeId) -> Vec<ViewPiece> {
    match &part.operation {
        Some(operation) if part.service == *of => vec![name(operation)],
        Some(operation) => vec![name(&format!("{} {operation}", part.service))],
        None => vec![name(&part.service.0)],
    }
}

fn moved(part: &CulpritPart) -> ViewPiece {
    let (effect, interval) = (format::ratio(part.effect), range(part.interval));
    words(format!(", {effect} of calls moved (95 % interval {interval})"))
}

/// The interval, where there is one.
fn interval(part: &CulpritPart, what: &str) -> ViewPiece {
    let known = part.interval.0 < part.interval.1;
    words(if known { format!(" ({what} {})", range(part.interval)) } else { String::new() })
}

fn range((from, to): (f64, f64)) -> String {
    format!("{}–{}", format::ratio(from), format::ratio(to))
}

/// Those that are only named, with their rank.
fn weak(culprits: &[&Culprit]) -> Option<ViewText> {
    let one = |culprit: &Culprit| {
        let score = format::count(culprit.score);
        [
            words(format!("{} ", culprit.rank)),
            name(&culprit.service.0),
            words(format!(" ({}, {score})", culprit.reason)),
        ]
    };
    let mut pieces = Vec::new();
    for culprit in culprits {
        if !pieces.is_empty() {
            pieces.push(words(", "));
        }
        pieces.extend(one(culprit));
    }
    (!pieces.is_empty()).then_some(ViewText(pieces))
}

fn traces(culprit: &Culprit) -> Vec<String> {
    culprit.exemplars.iter().map(|e| e.trace_id.to_string()).collect()
}

fn between(pieces: impl Iterator<Item = ViewPiece>, separator: &str) -> Vec<ViewPiece> {
    let mut out = Vec::new();
    for piece in pieces {
        if !out.is_empty() {
            out.push(words(separator));
        }
        out.push(piece);
    }
    out
}

fn words(text: impl Into<String>) -> ViewPiece {
    ViewPiece::Words(text.into())
}

/// A name from the traces.
fn name(text: &str) -> ViewPiece {
    ViewPiece::Code(escape::terminal(text))
}

fn duration(seconds: f64) -> ViewPiece {
    ViewPiece::Duration(seconds)
}

/// Lines of words, each behind so many blanks; further lines of a text without indentation get four. A number stays with
/// what it counts.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = " ".repeat(indent);
    let (mut width, mut empty) = (indent, true);
    let words: Vec<&str> = text.split_whitespace().collect();
    let sticks = |word: &&str| *word == "n" || word.ends_with(|c: char| c.is_ascii_digit());
    for chunk in words.split_inclusive(|word| !sticks(word)) {
        let chunk = chunk.join(" ");
        let length = chunk.chars().count();
        if !empty && width + 1 + length > WIDTH {
            (width, empty) = (indent.max(4), true);
            out.push_str(&format!("\n{}", " ".repeat(width)));
        }
        if !empty {
            out.push(' ');
            width += 1;
        }
        out.push_str(&chunk);
        (width, empty) = (width + length, false);
    }
    out.push('\n');
    out
}
