//! Markdown as a function: text in, headings, anchors, links, comments, tables and lists with their places out.
//!
//! Input: any Markdown. Output: [`Parsed`], byte offsets into the input. The only place that chooses parser options.
//! Must not: read files, or find anything by string search: what stands inside a code fence is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use super::anchors::explicit_id;
pub use super::anchors::{anchor, slugify};

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its text without markup.
    pub text: String,
    /// The anchor it gets: the explicit `{#id}`, or derived as GitHub does, unique in the document.
    pub anchor: String,
    /// Bytes of the whole heading.
    pub range: Range<usize>,
    /// 1-based line.
    pub line: u64,
}

/// An id given on purpose: `<a id="x">`, `<a name="x">` or `{#x}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplicitId {
    /// The id.
    pub id: String,
    /// 1-based line.
    pub line: u64,
}

/// A link or an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Destination as the parser sees it (entities and escapes resolved).
    pub destination: String,
    /// Text without markup.
    pub text: String,
    /// Bytes of the whole link.
    pub range: Range<usize>,
    /// 1-based line.
    pub line: u64,
    /// Whether it is an image.
    pub image: bool,
}

impl Link {
    /// Whether it leaves the set of documents: it has a scheme (`https:`, `mailto:`) or begins with `//`.
    #[must_use]
    pub fn is_external(&self) -> bool {
        let scheme = self.destination.split_once(':').map(|(scheme, _)| scheme);
        let has_scheme = scheme.is_some_and(|s| {
            s.len() > 1
                && s.starts_with(|c: char| c.is_ascii_alphabetic())
                && s.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        });
        has_scheme || self.destination.starts_with("//")
    }
}

/// A real HTML comment: a block or inline, never inside code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// Between `<!--` and `-->`, trimmed.
    pub text: String,
    /// Bytes from `<!--` to `-->`.
    pub range: Range<usize>,
    /// 1-based line.
    pub line: u64,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Bytes of the whole table.
    pub range: Range<usize>,
    /// Text of the head cells.
    pub head: Vec<String>,
    /// Text of the first cell of each body row.
    pub first_column: Vec<String>,
    /// Whether it stands at the top level: not in a list, quote or other container.
    pub top_level: bool,
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Bytes of the whole list.
    pub range: Range<usize>,
    /// Whether it is numbered.
    pub ordered: bool,
    /// Number of items.
    pub items: usize,
    /// Destinations of the items that are nothing but one link.
    pub link_items: Vec<String>,
    /// Whether it stands at the top level.
    pub top_level: bool,
}

/// Everything a caller may want to know of a document, in document order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parsed {
    /// Headings with their final anchors.
    pub headings: Vec<Heading>,
    /// Explicit ids.
    pub explicit: Vec<ExplicitId>,
    /// Links and images.
    pub links: Vec<Link>,
    /// HTML comments.
    pub comments: Vec<Comment>,
    /// Tables.
    pub tables: Vec<Table>,
    /// Lists, outermost and nested.
    pub lists: Vec<List>,
}

impl Parsed {
    /// Every anchor a link may point at.
    #[must_use]
    pub fn anchors(&self) -> BTreeSet<&str> {
        self.headings.iter().map(|h| h.anchor.as_str()).chain(self.explicit.iter().map(|e| e.id.as_str())).collect()
    }
}

/// The one choice of dialect: GitHub's tables, strikethrough, footnotes, task lists and alerts; `{#id}` on headings, as
/// mdBook, Hugo and Docusaurus know it.
fn options() -> Options {
    Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS
        | Options::ENABLE_GFM
        | Options::ENABLE_HEADING_ATTRIBUTES
        | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS
}

/// The events of a document with their byte ranges.
pub(super) fn events(text: &str) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
    Parser::new_ext(text, options()).into_offset_iter()
}

/// Parses a document once.
#[must_use]
pub fn parse(text: &str) -> Parsed {
    let mut walk = Walk { source: text, lines: LineIndex::new(text), ..Walk::default() };
    for (event, range) in events(text) {
        walk.step(event, range);
    }
    walk.finish()
}

/// Byte offset → 1-based line.
#[derive(Default)]
struct LineIndex(Vec<usize>);

impl LineIndex {
    fn new(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i).collect())
    }

    fn line(&self, offset: usize) -> u64 {
        self.0.partition_point(|end| *end < offset) as u64 + 1
    }
}

/// What is open while walking; depth lives in vectors, never on the stack.
#[derive(Default)]
struct Walk<'a> {
    source: &'a str,
    lines: LineIndex,
    parsed: Parsed,
    depth: usize,
    heading: Option<(u8, Option<String>, String, Range<usize>)>,
    links: Vec<Link>,
    html: Option<Range<usize>>,
    table: Option<(Table, usize)>,
    cell: Option<String>,
    in_head: bool,
    lists: Vec<List>,
    items: Vec<Item>,
}

/// What a list item holds.
#[derive(Default)]
struct Item {
    links: Vec<String>,
    other: bool,
}

impl Walk<'_> {
    fn step(&mut self, event: Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag),
            Event::Text(t) | Event::Code(t) => self.text(&t),
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            // The text of the event has its line ends normalised; offsets are right only in the source.
            Event::Html(_) if self.html.is_some() => {}
            Event::Html(_) | Event::InlineHtml(_) => self.markup(range),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: Range<usize>) {
        let top_level = self.depth == 0;
        self.depth += 1;
        let line = self.lines.line(range.start);
        match tag {
            Tag::Heading { level, id, .. } => {
                self.heading = Some((number(level), id.map(|id| id.to_string()), String::new(), range));
            }
            Tag::Link { dest_url, .. } => self.open_link(dest_url.to_string(), range, line, false),
            Tag::Image { dest_url, .. } => self.open_link(dest_url.to_string(), range, line, true),
            Tag::HtmlBlock => self.html = Some(range),
            Tag::Table(_) => {
                let table = Table { range, head: Vec::new(), first_column: Vec::new(), top_level };
                self.table = Some((table, 0));
            }
            Tag::TableHead => self.in_head = true,
            Tag::TableRow => {
                if let Some((_, column)) = &mut self.table {
                    *column = 0;
                }
            }
            Tag::TableCell => self.cell = Some(String::new()),
            Tag::List(first) => {
                // A list inside an item makes that item more than a link.
                self.other();
                self.lists.push(List { range, ordered: first.is_some(), items: 0, link_items: Vec::new(), top_level });
            }
            Tag::Item => self.items.push(Item::default()),
            Tag::CodeBlock(_) | Tag::BlockQuote(_) => self.other(),
            _ => {}
        }
    }

    fn open_link(&mut self, destination: String, range: Range<usize>, line: u64, image: bool) {
        if let Some(item) = self.items.last_mut() {
            item.links.push(destination.clone());
        }
        self.links.push(Link { destination, text: String::new(), range, line, image });
    }

    fn end(&mut self, tag: TagEnd) {
        self.depth = self.depth.saturating_sub(1);
        match tag {
            TagEnd::Heading(_) => self.end_heading(),
            TagEnd::Link | TagEnd::Image => {
                if let Some(link) = self.links.pop() {
                    self.parsed.links.push(link);
                }
            }
            TagEnd::HtmlBlock => {
                if let Some(range) = self.html.take() {
                    self.markup(range);
                }
            }
            TagEnd::TableHead => self.in_head = false,
            TagEnd::TableCell => self.end_cell(),
            TagEnd::Table => {
                if let Some((table, _)) = self.table.take() {
                    self.parsed.tables.push(table);
                }
            }
            TagEnd::Item => {
                if let (Some(item), Some(list)) = (self.items.pop(), self.lists.last_mut()) {
                    list.items += 1;
                    if let ([only], false) = (item.links.as_slice(), item.other) {
                        list.link_items.push(only.clone());
                    }
                }
            }
            TagEnd::List(_) => {
                if let Some(list) = self.lists.pop() {
                    self.parsed.lists.push(list);
                }
            }
            _ => {}
        }
    }

    fn end_heading(&mut self) {
        let Some((level, id, text, range)) = self.heading.take() else { return };
        let line = self.lines.line(range.start);
        if let Some(id) = &id {
            self.parsed.explicit.push(ExplicitId { id: id.clone(), line });
        }
        // Explicit ids are known only at the end; until then an empty anchor stands for "derive it".
        self.parsed.headings.push(Heading { level, text, anchor: id.unwrap_or_default(), range, line });
    }

    fn end_cell(&mut self) {
        let (Some(text), Some((table, column))) = (self.cell.take(), &mut self.table) else { return };
        if self.in_head {
            table.head.push(text);
        } else if *column == 0 {
            table.first_column.push(text);
        }
        *column += 1;
    }

    fn other(&mut self) {
        if let Some(item) = self.items.last_mut() {
            item.other = true;
        }
    }

    fn text(&mut self, text: &str) {
        if self.links.is_empty() && !text.trim().is_empty() {
            self.other();
        }
        for link in &mut self.links {
            link.text.push_str(text);
        }
        if let Some(cell) = &mut self.cell {
            cell.push_str(text);
        }
        if let Some((_, _, heading, _)) = &mut self.heading {
            heading.push_str(text);
        }
    }

    /// Comments and ids of a piece of HTML.
    fn markup(&mut self, range: Range<usize>) {
        let start = range.start;
        let html = self.source.get(range).unwrap_or_default();
        let mut at = 0;
        while let Some(open) = html.get(at..).and_then(|rest| rest.find('<')) {
            let from = at + open;
            let rest = html.get(from..).unwrap_or_default();
            let line = self.lines.line(start + from);
            let length = if rest.starts_with("<!--") {
                let inner = rest.get(4..).unwrap_or_default();
                let Some(close) = inner.find("-->") else { break };
                let text = inner.get(..close).unwrap_or_default().trim().to_owned();
                let length = 4 + close + 3;
                self.parsed.comments.push(Comment { text, range: start + from..start + from + length, line });
                length
            } else {
                let Some(close) = rest.find('>') else { break };
                let tag = rest.get(1..close).unwrap_or_default();
                if let Some(id) = explicit_id(tag) {
                    self.parsed.explicit.push(ExplicitId { id, line });
                }
                close + 1
            };
            at = from + length;
        }
    }

    fn finish(mut self) -> Parsed {
        let reserved: BTreeSet<String> = self.parsed.explicit.iter().map(|e| e.id.clone()).collect();
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        for heading in self.parsed.headings.iter_mut().filter(|h| h.anchor.is_empty()) {
            let base = anchor(&heading.text);
            let mut candidate = base.clone();
            // As GitHub: the second "Notes" is `notes-1`. A name already taken, or given on purpose, is skipped.
            while used.contains_key(&candidate) || reserved.contains(&candidate) {
                let n = used.entry(base.clone()).or_insert(0);
                *n += 1;
                candidate = format!("{base}-{n}");
            }
            used.entry(candidate.clone()).or_insert(0);
            heading.anchor = candidate;
        }
        self.parsed.links.sort_by_key(|l| l.range.start);
        self.parsed.lists.sort_by_key(|l| l.range.start);
        self.parsed
    }
}

fn number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_follow_github_and_explicit_ids_are_reserved_first() {
        let text = "# RB-001: `api` is slow!\n\n## Notes\n\n## Notes\n\n## Impact\n\n<a id=\"impact\"></a>\n\n## Ünïcode & more {#own}\n";
        let parsed = parse(text);
        let anchors: Vec<&str> = parsed.headings.iter().map(|h| h.anchor.as_str()).collect();
        assert_eq!(anchors, ["rb-001-api-is-slow", "notes", "notes-1", "impact-1", "own"]);
        assert_eq!(parsed.headings[0].text, "RB-001: api is slow!");
        assert_eq!(parsed.headings[4].line, 11);
        assert_eq!(anchor("Ünïcode & more"), "ünïcode--more");
    }

    #[test]
    fn comments_inside_code_are_not_there() {
        let text = "<!-- real -->\n\n```md\n<!-- fenced -->\n```\n\n`<!-- span -->`\n\n    <!-- indented -->\n\ntext <!-- inline --> text\n";
        let parsed = parse(text);
        let comments: Vec<(&str, u64)> = parsed.comments.iter().map(|c| (c.text.as_str(), c.line)).collect();
        assert_eq!(comments, [("real", 1), ("inline", 11)]);
        assert_eq!(&text[parsed.comments[1].range.clone()], "<!-- inline -->");
    }

    #[test]
    fn links_know_their_line_and_whether_they_leave() {
        let parsed = parse("a [b](c.md#d)\n[e](https://f.example) ![g](h.png)\n\n| x |\n|---|\n| [y](z.md) |\n");
        let links: Vec<(&str, u64, bool)> =
            parsed.links.iter().map(|l| (l.destination.as_str(), l.line, l.is_external())).collect();
        assert_eq!(
            links,
            [("c.md#d", 1, false), ("https://f.example", 2, true), ("h.png", 2, false), ("z.md", 6, false)]
        );
        assert_eq!(parsed.tables[0].first_column, ["y"]);
    }

    #[test]
    fn a_list_of_links_is_told_from_a_list_with_links() {
        let parsed = parse("- [a](#a)\n- [b](#b)\n\ntext\n\n1. see [c](#c)\n");
        assert_eq!((parsed.lists[0].items, parsed.lists[0].link_items.len()), (2, 2));
        assert_eq!((parsed.lists[1].items, parsed.lists[1].link_items.len()), (1, 0));
    }

    #[test]
    fn slugs_hold_nothing_a_file_system_minds() {
        assert_eq!(slugify("../Shop API: p99 > 1s/"), "shop-api-p99-1s");
        assert_eq!(slugify("漢字"), "");
    }

    proptest::proptest! {
        #[test]
        fn every_place_lies_in_the_text_on_character_borders(
            text in proptest::prop_oneof![proptest::prelude::any::<String>(), "[-#>*`~|<!\\[\\](){}=:/.a1ü \n]{0,80}"]
        ) {
            let parsed = parse(&text);
            let ranges = parsed.headings.iter().map(|h| &h.range).chain(parsed.links.iter().map(|l| &l.range));
            let ranges = ranges.chain(parsed.comments.iter().map(|c| &c.range)).chain(parsed.tables.iter().map(|t| &t.range));
            for range in ranges.chain(parsed.lists.iter().map(|l| &l.range)) {
                proptest::prop_assert!(text.get(range.clone()).is_some());
            }
            let anchors: Vec<&str> = parsed.headings.iter().map(|h| h.anchor.as_str()).collect();
            let given: BTreeSet<&str> = parsed.explicit.iter().map(|e| e.id.as_str()).collect();
            let derived: Vec<&&str> = anchors.iter().filter(|a| !given.contains(**a)).collect();
            proptest::prop_assert_eq!(derived.iter().collect::<BTreeSet<_>>().len(), derived.len());
        }
    }
}
