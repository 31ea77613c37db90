//! The runbook table and the section list of any other Markdown file, refreshed in place.
//!
//! Input: the file's text and the runbooks. Output: the new text; every byte outside the two regions is as it was.
//! Must not: read files, or find a marker by string search: one inside a code fence is not a marker.

use std::ops::Range;

use super::escape;
use super::markdown::{self, Comment, Heading, Parsed};
use super::text::{Place, ViewText};
use super::view::{files, state_label};
use crate::diag::{Diagnostic, Location};
use crate::runbook::{Runbook, RunbookState};

const RUNBOOKS: &str = "runbooks";
const SECTIONS: &str = "sections";

/// Refreshes the regions `runbooks` (a table) and `sections` (links to the document's own `##` headings). Without markers,
/// the one table whose first column holds nothing but ids, and the one list of nothing but links into the document, are
/// adopted: wrapped into markers. `link_prefix` leads from the file to the runbook directory (`runbooks/`, or empty).
///
/// # Errors
/// `toc-region-damaged` when a marker has no counterpart; `toc-no-region` when there is neither a region nor anything to
/// adopt, with the lines to paste.
pub fn update(text: &str, file: &str, runbooks: &[Runbook], link_prefix: &str) -> Result<String, Diagnostic> {
    let newline = if text.lines().next().is_some_and(|_| text.contains("\r\n")) { "\r\n" } else { "\n" };
    let parsed = markdown::parse(text);
    let tables = regions(text, file, &parsed, RUNBOOKS)?;
    let lists = regions(text, file, &parsed, SECTIONS)?;
    for table in &tables {
        if let Some(list) = lists.iter().find(|l| l.overlaps(table)) {
            return Err(damaged(file, table.line.max(list.line), "the regions `runbooks` and `sections` overlap"));
        }
    }
    let tables = or_adopted(tables, &lists, || runbook_table(text, &parsed));
    let lists = or_adopted(lists, &tables, || section_list(text, &parsed));
    if tables.is_empty() && lists.is_empty() {
        return Err(no_region(file));
    }

    let slash = if link_prefix.is_empty() || link_prefix.ends_with('/') { "" } else { "/" };
    let table = table(runbooks, &format!("{link_prefix}{slash}"));
    let mut edits: Vec<(&Region, String)> = tables.iter().map(|r| (r, table.clone())).collect();
    let inside = |h: &Heading| tables.iter().chain(&lists).any(|r| r.outer.contains(&h.range.start));
    for region in &lists {
        let headings: Vec<&Heading> = parsed.headings.iter().filter(|h| !inside(h)).collect();
        edits.push((region, sections(text, &headings, region, is_ordered(&parsed, region))));
    }
    edits.sort_by_key(|(region, _)| region.outer.start);

    let mut out = String::with_capacity(text.len() + 1_024);
    let mut at = 0;
    for (region, content) in edits {
        out.push_str(text.get(at..region.inner.start).unwrap_or_default());
        out.push_str(&region.wrap(text, &content).replace('\n', newline));
        at = region.inner.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    found_again(&out, file, &tables, &lists)?;
    Ok(out)
}

/// What was written must be found on the next run: markers that stand too deep, or inside other HTML, might not be.
fn found_again(out: &str, file: &str, tables: &[Region], lists: &[Region]) -> Result<(), Diagnostic> {
    let parsed = markdown::parse(out);
    for (name, wanted) in [(RUNBOOKS, tables), (SECTIONS, lists)] {
        let found = regions(out, file, &parsed, name).map_or(0, |found| found.len());
        if found != wanted.len() {
            let line = wanted.first().map_or(1, |r| r.line.max(1));
            let what = format!("the markers of the region `{name}` would not be found again once it is filled");
            return Err(damaged(file, line, &what));
        }
    }
    Ok(())
}

/// A place to fill.
#[derive(Debug)]
struct Region {
    name: &'static str,
    /// With the markers.
    outer: Range<usize>,
    /// What is replaced.
    inner: Range<usize>,
    line: u64,
    adopted: bool,
}

impl Region {
    fn overlaps(&self, other: &Self) -> bool {
        self.outer.start < other.outer.end && other.outer.start < self.outer.end
    }

    fn wrap(&self, text: &str, content: &str) -> String {
        if self.adopted {
            let name = self.name;
            return format!("<!-- tracebook:begin {name} -->\n\n{content}\n\n<!-- tracebook:end {name} -->");
        }
        // Blanks before the end marker on its own line belong to the marker.
        let old = text.get(self.inner.clone()).unwrap_or_default();
        let tail = old.rsplit_once('\n').map_or("", |(_, tail)| tail);
        let indent = if tail.trim().is_empty() { tail } else { "" };
        format!("\n\n{content}\n\n{indent}")
    }
}

/// The regions there are, or what can be adopted outside the others.
fn or_adopted(regions: Vec<Region>, others: &[Region], adopt: impl FnOnce() -> Option<Region>) -> Vec<Region> {
    if !regions.is_empty() {
        return regions;
    }
    adopt().into_iter().filter(|candidate| !others.iter().any(|o| o.overlaps(candidate))).collect()
}

/// The pairs of markers of this name, in order.
fn regions(text: &str, file: &str, parsed: &Parsed, name: &'static str) -> Result<Vec<Region>, Diagnostic> {
    let mut found = Vec::new();
    let mut open: Option<&Comment> = None;
    for comment in &parsed.comments {
        let mut words = comment.text.split_whitespace();
        let (verb, of) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if of != name {
            continue;
        }
        match (verb, open) {
            ("tracebook:begin", None) => open = Some(comment),
            ("tracebook:end", Some(begin)) => {
                found.push(Region {
                    name,
                    outer: begin.range.start..comment.range.end,
                    inner: begin.range.end..comment.range.start,
                    line: begin.line,
                    adopted: false,
                });
                open = None;
            }
            ("tracebook:begin", Some(begin)) => {
                return Err(damaged(
                    file,
                    begin.line,
                    &format!("the region `{name}` begins twice without an end between"),
                ));
            }
            ("tracebook:end", None) => {
                return Err(damaged(file, comment.line, &format!("the region `{name}` ends without a begin")));
            }
            _ => {}
        }
    }
    if let Some(begin) = open {
        return Err(damaged(file, begin.line, &format!("the region `{name}` has no end")));
    }
    // Offsets come from the parser; a region is only touched where they are beyond doubt.
    let sound = |r: &Region| {
        text.get(..r.inner.start).is_some_and(|t| t.ends_with("-->"))
            && text.get(r.inner.end..).is_some_and(|t| t.starts_with("<!--"))
    };
    match found.iter().find(|r| !sound(r)) {
        Some(region) => {
            Err(damaged(file, region.line, &format!("the markers of the region `{name}` cannot be located")))
        }
        None => Ok(found),
    }
}

fn damaged(file: &str, line: u64, what: &str) -> Diagnostic {
    Diagnostic::error("toc-region-damaged", what.to_owned()).at(Location::file(file).at_line(line)).help(
        "each `<!-- tracebook:begin NAME -->` needs one `<!-- tracebook:end NAME -->` below it; nothing was changed",
    )
}

fn no_region(file: &str) -> Diagnostic {
    Diagnostic::error("toc-no-region", "there is no place for the runbook table in this file")
        .at(Location::file(file))
        .help(
            "paste these lines where the table belongs:\n\n<!-- tracebook:begin runbooks -->\n<!-- tracebook:end runbooks -->\n\n\
             and, for a list of links to the sections:\n\n<!-- tracebook:begin sections -->\n<!-- tracebook:end sections -->",
        )
}

/// The one table whose first column is nothing but runbook ids.
fn runbook_table(text: &str, parsed: &Parsed) -> Option<Region> {
    let is_id = |cell: &String| {
        let digits = cell.trim().strip_prefix("RB-").unwrap_or_default();
        digits.len() >= 3 && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let mut fitting =
        parsed.tables.iter().filter(|t| t.top_level && !t.first_column.is_empty() && t.first_column.iter().all(is_id));
    let only = fitting.next().filter(|_| fitting.next().is_none())?;
    Some(adopted(RUNBOOKS, text, &only.range))
}

/// The one list that is nothing but links into this document.
fn section_list(text: &str, parsed: &Parsed) -> Option<Region> {
    let mut fitting = parsed.lists.iter().filter(|l| {
        l.top_level && l.items >= 2 && l.link_items.len() == l.items && l.link_items.iter().all(|d| d.starts_with('#'))
    });
    let only = fitting.next().filter(|_| fitting.next().is_none())?;
    Some(adopted(SECTIONS, text, &only.range))
}

fn adopted(name: &'static str, text: &str, range: &Range<usize>) -> Region {
    // The parser counts blank lines below a block to it.
    let block = text.get(range.clone()).unwrap_or_default();
    let range = range.start..range.start + block.trim_end().len();
    Region { name, outer: range.clone(), inner: range.clone(), line: 0, adopted: true }
}

fn is_ordered(parsed: &Parsed, region: &Region) -> bool {
    parsed.lists.iter().find(|l| region.outer.contains(&l.range.start)).is_some_and(|l| l.ordered)
}

/// `| ID | Slug | Trigger | State | Owner |`, one row for each runbook in force.
fn table(runbooks: &[Runbook], link_prefix: &str) -> String {
    let files = files(runbooks);
    let mut out = String::from("| ID | Slug | Trigger | State | Owner |\n| --- | --- | --- | --- | --- |");
    for runbook in runbooks.iter().filter(|r| r.state != RunbookState::Retired) {
        let owner = if runbook.owner.is_empty() { "–" } else { &runbook.owner };
        out.push_str(&format!(
            "\n| [{}]({}) | {} | {} | {} | {} |",
            escape::markdown(&runbook.id),
            escape::percent(&format!("{link_prefix}{}", runbook.file_name())),
            escape::code(&runbook.slug, true),
            ViewText::new(&runbook.trigger, &files).to_markdown(Place::Cell),
            state_label(runbook.state),
            ViewText::words(owner).to_markdown(Place::Cell),
        ));
    }
    out
}

/// Links to the `##` headings, but for the one the list itself stands under.
fn sections(text: &str, headings: &[&Heading], region: &Region, ordered: bool) -> String {
    let own_title = headings
        .iter()
        .rev()
        .find(|h| h.range.end <= region.outer.start)
        .filter(|h| text.get(h.range.end..region.outer.start).is_some_and(|between| between.trim().is_empty()))
        .map(|h| h.range.start);
    let listed = headings.iter().filter(|h| h.level == 2 && Some(h.range.start) != own_title);
    let lines: Vec<String> = listed
        .enumerate()
        .map(|(i, h)| {
            let bullet = if ordered { format!("{}.", i + 1) } else { "-".to_owned() };
            let title = escape::markdown(&escape::clean(&h.text, escape::NAME_LIMIT));
            format!("{bullet} [{title}](#{})", escape::percent(&h.anchor))
        })
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests;
