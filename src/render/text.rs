//! Typed sentences as templates see them, and how they become Markdown.
//!
//! Input: [`Text`] of the runbook, or the same again out of a template value. Output: inline Markdown.
//! Must not: let a name become markup; only [`Piece::Markdown`], which the team wrote, is kept as it is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{escape, format};
use crate::runbook::{Piece, Text};

/// A part of a sentence, with links to other runbooks resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "value", rename_all = "snake_case")]
pub(super) enum ViewPiece {
    Words(String),
    Code(String),
    Duration(f64),
    Ratio(f64),
    Count(f64),
    Rate(f64),
    Time(String),
    Runbook { id: String, file: Option<String> },
    Link { text: String, url: String },
    Markdown(String),
}

/// A sentence or paragraph.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct ViewText(pub(super) Vec<ViewPiece>);

/// Where the text lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A block: further lines of team text are indented by this many blanks.
    Block(usize),
    /// One line.
    Line,
    /// A table cell.
    Cell,
}

/// File names of the runbooks of the directory, by id.
pub(super) type Files = BTreeMap<String, String>;

impl ViewText {
    /// Resolves links to runbooks.
    pub(super) fn new(text: &Text, files: &Files) -> Self {
        Self(text.0.iter().map(|piece| ViewPiece::new(piece, files)).collect())
    }

    /// Plain words of ours.
    pub(super) fn words(words: &str) -> Self {
        Self(vec![ViewPiece::Words(words.to_owned())])
    }

    /// A way to reach someone: a link where it is an address.
    pub(super) fn contact(contact: &str) -> Self {
        if escape::url(contact).is_none() {
            return if contact.is_empty() { Self::default() } else { Self::words(contact) };
        }
        Self(vec![ViewPiece::Link { text: contact.to_owned(), url: contact.to_owned() }])
    }

    /// Whether team text that brings its own emphasis is in it.
    pub(super) fn has_markup(&self) -> bool {
        self.0.iter().any(|p| matches!(p, ViewPiece::Markdown(m) if m.contains(['*', '_', '\n'])))
    }

    /// Inline Markdown.
    pub(super) fn to_markdown(&self, place: Place) -> String {
        let cell = place == Place::Cell;
        let mut out = String::new();
        let mut words = String::new();
        for piece in &self.0 {
            let rendered = match piece {
                // Neighbouring words are escaped together, so that no markup forms across their border.
                ViewPiece::Words(w) => {
                    words.push_str(w);
                    continue;
                }
                ViewPiece::Code(name) => code(name, place),
                ViewPiece::Duration(x) => escape::markdown(&format::duration(*x)),
                ViewPiece::Ratio(x) => escape::markdown(&format::ratio(*x)),
                ViewPiece::Count(x) => escape::markdown(&format::count(*x)),
                ViewPiece::Rate(x) => escape::markdown(&format::rate(*x)),
                ViewPiece::Time(t) => escape::markdown(&format::rfc3339_to_text(t)),
                ViewPiece::Runbook { id, file: Some(file) } => link(id, &escape::percent(file)),
                ViewPiece::Runbook { id, file: None } => escape::markdown(id),
                ViewPiece::Link { text, url } => match escape::url(url) {
                    Some(url) => link(text, &url),
                    None => escape::markdown(&escape::clean(text, escape::NAME_LIMIT)),
                },
                ViewPiece::Markdown(text) => match place {
                    Place::Block(indent) => escape::team(text, indent),
                    Place::Line | Place::Cell => escape::team_line(text, cell),
                },
            };
            flush(&mut out, &mut words, place);
            append(&mut out, &rendered);
        }
        flush(&mut out, &mut words, place);
        let team_first = matches!(self.0.first(), Some(ViewPiece::Markdown(_)));
        let out = out.trim().to_owned();
        if team_first { out } else { escape::line_start(out) }
    }

    /// The same without markup, on one line, for labels and reports.
    pub(super) fn to_plain(&self) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                ViewPiece::Words(t) | ViewPiece::Code(t) | ViewPiece::Markdown(t) => out.push_str(t),
                ViewPiece::Duration(x) => out.push_str(&format::duration(*x)),
                ViewPiece::Ratio(x) => out.push_str(&format::ratio(*x)),
                ViewPiece::Count(x) => out.push_str(&format::count(*x)),
                ViewPiece::Rate(x) => out.push_str(&format::rate(*x)),
                ViewPiece::Time(t) => out.push_str(&format::rfc3339_to_text(t)),
                ViewPiece::Runbook { id, .. } => out.push_str(id),
                ViewPiece::Link { text, .. } => out.push_str(text),
            }
        }
        escape::clean(&out, escape::WORDS_LIMIT)
    }
}

/// Two code spans side by side would lend each other their backticks.
fn append(out: &mut String, inline: &str) {
    if out.ends_with('`') && inline.starts_with('`') {
        out.push(' ');
    }
    out.push_str(inline);
}

/// Words so far. What they quote between two backticks is shown as code, escaped as any other name; a backtick without
/// its pair is just a backtick.
fn flush(out: &mut String, words: &mut String, place: Place) {
    let words = std::mem::take(words);
    let parts: Vec<&str> = words.split('`').collect();
    let quotes = parts.len() % 2 == 1 && parts.iter().skip(1).step_by(2).all(|name| !name.trim().is_empty());
    if !quotes || words.len() > escape::WORDS_LIMIT {
        append(out, &escape::markdown(&words));
        return;
    }
    for (i, part) in parts.iter().enumerate().filter(|(_, part)| !part.is_empty()) {
        append(out, &if i % 2 == 1 { code(part, place) } else { escape::markdown(part) });
    }
}

fn code(name: &str, place: Place) -> String {
    let limit = if matches!(place, Place::Block(_)) { escape::QUERY_LIMIT } else { escape::NAME_LIMIT };
    escape::code_up_to(name, limit, place == Place::Cell)
}

fn link(text: &str, destination: &str) -> String {
    format!("[{}]({destination})", escape::markdown(&escape::clean(text, escape::NAME_LIMIT)))
}

impl ViewPiece {
    fn new(piece: &Piece, files: &Files) -> Self {
        match piece {
            Piece::Words(t) => Self::Words(t.clone()),
            Piece::Code(t) => Self::Code(t.clone()),
            Piece::Duration(x) => Self::Duration(*x),
            Piece::Ratio(x) => Self::Ratio(*x),
            Piece::Count(x) => Self::Count(*x),
            Piece::Rate(x) => Self::Rate(*x),
            Piece::Time(t) => Self::Time(t.to_string()),
            Piece::Runbook(id) => Self::Runbook { id: id.clone(), file: files.get(id).cloned() },
            Piece::Link(text, url) => Self::Link { text: text.clone(), url: url.clone() },
            Piece::Markdown(t) => Self::Markdown(t.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::markdown;
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Tag};

    fn render(pieces: Vec<Piece>, place: Place) -> String {
        let files = Files::from([("RB-002".to_owned(), "RB-002-db.md".to_owned())]);
        ViewText::new(&Text(pieces), &files).to_markdown(place)
    }

    #[test]
    fn a_sentence_shows_names_as_code_and_numbers_with_units() {
        let text = vec![
            Piece::Words("p99 of ".into()),
            Piece::Code("GET /a|b".into()),
            Piece::Words(" is ".into()),
            Piece::Duration(0.812),
            Piece::Words("; see ".into()),
            Piece::Runbook("RB-002".into()),
            Piece::Words(" and ".into()),
            Piece::Runbook("RB-999".into()),
        ];
        assert_eq!(
            render(text.clone(), Place::Line),
            "p99 of `GET /a|b` is 812 ms; see [RB-002](RB-002-db.md) and RB-999"
        );
        assert!(render(text, Place::Cell).contains("`GET /a\\|b`"));
    }

    #[test]
    fn what_words_quote_in_backticks_is_shown_as_code() {
        let show = |words: &str| render(vec![Piece::Words(words.into())], Place::Cell);
        assert_eq!(show("add `a.b` to `x|y`"), "add `a.b` to `x\\|y`");
        assert_eq!(show("`a``b`"), "`a` `b`");
        assert_eq!(show("a ` b"), "a \\` b");
    }

    #[test]
    fn neighbouring_pieces_cannot_form_markup_together() {
        let pairs = [
            vec![Piece::Words("[a".into()), Piece::Words("](https://evil.example)".into())],
            vec![Piece::Code("a".into()), Piece::Code("b".into())],
            vec![Piece::Count(5.0), Piece::Words(". x".into())],
            vec![Piece::Words("<scr".into()), Piece::Words("ipt>".into())],
        ];
        for pieces in pairs {
            let markdown = render(pieces.clone(), Place::Line);
            assert_harmless(&markdown, &pieces);
        }
        let image = vec![Piece::Words("look!".into()), Piece::Link("here".into(), "https://a.example".into())];
        assert!(
            !markdown::events(&render(image, Place::Line)).any(|(e, _)| matches!(e, Event::Start(Tag::Image { .. })))
        );
    }

    /// Nothing but one paragraph of text and code may come out of untrusted pieces.
    fn assert_harmless(markdown: &str, pieces: &[Piece]) {
        for (event, _) in markdown::events(markdown) {
            let harmless = matches!(
                event,
                Event::Text(_)
                    | Event::Code(_)
                    | Event::Start(Tag::Paragraph)
                    | Event::End(pulldown_cmark::TagEnd::Paragraph)
            );
            assert!(harmless, "{event:?} from {pieces:?}: {markdown}");
        }
    }

    fn untrusted() -> impl Strategy<Value = Piece> {
        let hostile = prop_oneof![
            any::<String>(),
            "[-#>+*=_`~|<!\\[\\]\\(\\)\\{\\}&;:/.w@0-9a-z \n\\\\]{0,24}",
            Just("https://evil.example www.evil.example".to_owned()),
        ];
        prop_oneof![
            hostile.clone().prop_map(Piece::Words),
            hostile.prop_map(Piece::Code),
            any::<f64>().prop_map(Piece::Duration),
            any::<f64>().prop_map(Piece::Ratio),
            any::<f64>().prop_map(Piece::Count),
            any::<f64>().prop_map(Piece::Rate),
        ]
    }

    proptest! {
        #[test]
        fn no_untrusted_text_becomes_markup_in_a_paragraph(pieces in prop::collection::vec(untrusted(), 0..5)) {
            let markdown = render(pieces.clone(), Place::Line);
            prop_assert!(!markdown.contains('\n'));
            assert_harmless(&markdown, &pieces);
        }

        #[test]
        fn no_untrusted_text_breaks_out_of_its_table_cell(pieces in prop::collection::vec(untrusted(), 0..5)) {
            let markdown = format!("| a | b |\n|---|---|\n| {} | end |\n", render(pieces.clone(), Place::Cell));
            let mut cells = 0;
            let mut last = String::new();
            for (event, _) in markdown::events(&markdown) {
                match event {
                    Event::Start(Tag::TableCell) => { cells += 1; last.clear(); }
                    Event::Text(t) | Event::Code(t) => last.push_str(&t),
                    Event::Start(Tag::Table(_) | Tag::TableHead | Tag::TableRow) | Event::End(_) => {}
                    other => prop_assert!(false, "{:?} from {:?}: {}", other, pieces, markdown),
                }
            }
            prop_assert_eq!(cells, 4, "{}", markdown);
            prop_assert_eq!(last, "end", "{}", markdown);
        }

        #[test]
        fn names_survive_as_code_character_for_character(name in "[ -~äöü漢]{1,100}") {
            let markdown = render(vec![Piece::Code(name.clone())], Place::Line);
            let shown: String = markdown::events(&markdown)
                .filter_map(|(e, _)| match e { Event::Code(t) => Some(t.to_string()), _ => None })
                .collect();
            if !name.trim().is_empty() {
                prop_assert_eq!(shown, name.trim());
            }
        }
    }
}
