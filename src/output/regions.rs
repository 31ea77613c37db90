//! Managed regions: what tracebook wrote, what a person wrote, and how a page is written anew without losing either.
//!
//! A generated block stands between `<!-- tracebook:begin NAME sha256:… -->` and `<!-- tracebook:end NAME -->`; the hash is
//! that of the inner text, so an edit shows. Human text stands between `<!-- tracebook:keep -->` and
//! `<!-- tracebook:end keep -->`, or loose anywhere outside a region: loose text is wrapped in place at the next generation.
//! Hashes are taken over `\n` line ends, so a checkout with `\r\n` is not an edit.

mod parse;

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

pub use parse::Damage;
use parse::{Human, Region, Segment};

const KEEP_BEGIN: &str = "<!-- tracebook:keep -->";
const KEEP_END: &str = "<!-- tracebook:end keep -->";

/// A region whose text a person changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Name of the region.
    pub region: String,
    /// 1-based line of its begin marker on the page.
    pub line: u64,
    /// Unified diff from what would be generated now to what stands on the page.
    pub diff: String,
}

/// A page after merging.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// What belongs on the disk. Equal to the existing page when that is damaged.
    pub text: String,
    /// Regions a person edited: left as they are, or overwritten when that was asked for.
    pub edits: Vec<Edit>,
    /// Loose human texts wrapped into keep blocks.
    pub adopted: usize,
    /// Human blocks moved to the end because their region is gone.
    pub moved: usize,
    /// Why the page could not be merged at all.
    pub damage: Option<Damage>,
}

/// The first 16 hex digits of the SHA-256 of a region's inner text, taken over `\n` line ends.
#[must_use]
pub fn checksum(inner: &str) -> String {
    let digest = Sha256::digest(lf(inner).as_bytes());
    digest.iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Puts the checksum into every begin marker. A text without regions becomes one region `page`; a text whose markers do
/// not match is given back as it is ([`merge`] says what is wrong with it).
#[must_use]
pub fn stamp(text: &str) -> String {
    let whole = with_region(text);
    let Ok(segments) = parse::parse(&whole) else { return text.to_owned() };
    let mut out = String::with_capacity(whole.len().saturating_add(256));
    for segment in &segments {
        match segment {
            Segment::Loose { text } => out.push_str(text),
            Segment::Keep { whole } => out.push_str(whole),
            Segment::Region(region) => push_region(&mut out, region, "\n"),
        }
    }
    out
}

/// Takes the checksums out of the begin markers again.
#[must_use]
pub fn unstamp(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        match parse::begin_name(line) {
            Some(name) => {
                let end = &line[line.trim_end().len()..];
                let _ = write!(out, "<!-- tracebook:begin {name} -->{end}");
            }
            None => out.push_str(line),
        }
    }
    out
}

/// Regions of a page that carry a checksum their text no longer matches: (name, 1-based line).
///
/// # Errors
/// [`Damage`] when the markers do not match each other.
pub fn edited(text: &str) -> Result<Vec<(String, u64)>, Damage> {
    let segments = parse::parse(text)?;
    Ok(segments
        .iter()
        .filter_map(|segment| match segment {
            Segment::Region(r) if r.hash.is_some_and(|h| h != checksum(r.inner)) => Some((r.name.to_owned(), r.line)),
            _ => None,
        })
        .collect())
}

/// The page to write: generated regions from `new`, human text from `existing`.
///
/// Human blocks stay behind the region they followed; blocks whose region is gone move behind the last one. A region that
/// was edited stays as it is unless `overwrite`. Non-blank human lines are never lost, whatever happens to the regions.
#[must_use]
pub fn merge(existing: Option<&str>, new: &str, overwrite: bool) -> Merged {
    let whole_new = with_region(new);
    let new_segments = match parse::parse(&whole_new) {
        Ok(segments) => segments,
        Err(damage) => {
            let text = existing.unwrap_or_default().to_owned();
            return Merged { text, damage: Some(Damage { generated: true, ..damage }), ..Merged::default() };
        }
    };
    let Some(existing) = existing else { return Merged { text: stamp(new), ..Merged::default() } };
    let (bom, body) = existing.strip_prefix('\u{feff}').map_or(("", existing), |rest| ("\u{feff}", rest));
    let (front, body) = parse::front_matter(body, &whole_new);
    let old_segments = match parse::parse(body) {
        Ok(segments) => segments,
        Err(damage) => {
            let line = damage.line.saturating_add(line_count(front));
            let damage = Damage { line, ..damage };
            return Merged { text: existing.to_owned(), damage: Some(damage), ..Merged::default() };
        }
    };
    let eol = if existing.split_inclusive('\n').next().is_some_and(|l| l.ends_with("\r\n")) { "\r\n" } else { "\n" };
    let mut merger = Merger {
        new: &new_segments,
        eol,
        overwrite,
        first_line: line_count(front),
        humans: Vec::new(),
        old_regions: Vec::new(),
        left: Vec::new(),
        merged: Merged::default(),
    };
    merger.read(&old_segments);
    let mut merged = merger.write();
    merged.text = format!("{bom}{front}{}", merged.text);
    merged
}

/// State of one merge.
struct Merger<'a> {
    new: &'a [Segment<'a>],
    eol: &'static str,
    overwrite: bool,
    /// Lines before the body (front matter), for line numbers.
    first_line: u64,
    /// Human blocks with the region each one follows (`None`: before the first).
    humans: Vec<(Option<String>, Human)>,
    /// Names of the regions on the existing page.
    old_regions: Vec<&'a str>,
    /// Edited regions that stay.
    left: Vec<&'a Region<'a>>,
    merged: Merged,
}

impl<'a> Merger<'a> {
    fn new_region(&self, name: &str) -> Option<&'a Region<'a>> {
        self.new.iter().find_map(|s| match s {
            Segment::Region(r) if r.name == name => Some(r),
            _ => None,
        })
    }

    /// Sorts the existing page into human blocks and edited regions.
    fn read(&mut self, old: &'a [Segment<'a>]) {
        let mut anchor: Option<String> = None;
        for segment in old {
            match segment {
                Segment::Keep { whole } => {
                    self.humans.push((anchor.clone(), Human::Block(ended(whole, self.eol).into_owned())))
                }
                Segment::Loose { text } => {
                    if let Some(human) = self.human_part(text) {
                        self.merged.adopted = self.merged.adopted.saturating_add(1);
                        self.humans.push((anchor.clone(), Human::Loose(human)));
                    }
                }
                Segment::Region(region) => {
                    anchor = Some(region.name.to_owned());
                    self.old_regions.push(region.name);
                    self.read_region(region);
                }
            }
        }
    }

    fn read_region(&mut self, region: &'a Region<'a>) {
        let new = self.new_region(region.name);
        let pristine = region.is_pristine() || new.is_some_and(|n| lf(n.inner) == lf(region.inner));
        if !pristine {
            let diff = super::unified(
                "generated",
                "on the page",
                &new.map_or(Cow::Borrowed(""), |n| lf(n.inner)),
                &lf(region.inner),
            );
            let line = region.line.saturating_add(self.first_line);
            self.merged.edits.push(Edit { region: region.name.to_owned(), line, diff });
        }
        let anchor = Some(region.name.to_owned());
        if pristine || self.overwrite {
            for keep in &region.keeps {
                self.humans.push((anchor.clone(), Human::Block(ended(keep, self.eol).into_owned())));
            }
        } else if new.is_some() {
            self.left.push(region);
        } else {
            // The region is no longer generated but holds a person's edits: all of it becomes theirs.
            self.humans.push((anchor, Human::Loose(trim_blank_lines(region.inner).to_owned())));
        }
    }

    /// The part of a loose text that no template wrote: loose lines of the new page are taken out once.
    fn human_part(&self, text: &str) -> Option<String> {
        let mut rest = trim_blank_lines(text).to_owned();
        for segment in self.new {
            let Segment::Loose { text: literal } = segment else { continue };
            let literal = trim_blank_lines(literal);
            if literal.is_empty() || rest.is_empty() {
                continue;
            }
            rest = without_lines(&rest, literal);
        }
        let rest = trim_blank_lines(&rest);
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn write(mut self) -> Merged {
        let last = self.new.iter().rposition(|s| matches!(s, Segment::Region(_)));
        let (kept, orphans): (Vec<_>, Vec<_>) = std::mem::take(&mut self.humans)
            .into_iter()
            .partition(|(anchor, _)| anchor.as_deref().is_none_or(|a| self.new_region(a).is_some()));
        self.merged.moved = orphans.len();
        let mut out = String::new();
        let mut current: Option<&str> = None;
        for (i, segment) in self.new.iter().enumerate() {
            match segment {
                Segment::Loose { text } => {
                    let next_is_dropped = matches!(self.new.get(i.saturating_add(1)), Some(Segment::Keep { .. }))
                        && !self.suggests(current);
                    if !(next_is_dropped && text.trim().is_empty()) {
                        push_eol(&mut out, text, self.eol);
                    }
                }
                Segment::Keep { whole } => {
                    if self.suggests(current) {
                        push_eol(&mut out, whole, self.eol);
                    }
                }
                Segment::Region(region) => {
                    if current.is_none() {
                        for (_, human) in kept.iter().filter(|(anchor, _)| anchor.is_none()) {
                            human.push(&mut out, self.eol);
                            out.push_str(self.eol);
                        }
                    }
                    current = Some(region.name);
                    match self.left.iter().find(|l| l.name == region.name) {
                        Some(edited) => out.push_str(&ended(edited.whole, self.eol)),
                        None => push_region(&mut out, region, self.eol),
                    }
                    let mine = kept.iter().filter(|(anchor, _)| anchor.is_some() && anchor.as_deref() == current);
                    let lost = orphans.iter().filter(|_| Some(i) == last);
                    for (_, human) in mine.chain(lost) {
                        out.push_str(self.eol);
                        human.push(&mut out, self.eol);
                    }
                }
            }
        }
        self.merged.text = out;
        self.merged
    }

    /// A keep block of the template is a suggestion, made once: when the region before it is new on the page.
    fn suggests(&self, anchor: Option<&str>) -> bool {
        anchor.is_some_and(|a| !self.old_regions.contains(&a))
    }
}

impl Human {
    /// The block with its markers, ending in a line end.
    fn push(&self, out: &mut String, eol: &str) {
        match self {
            Self::Block(whole) => out.push_str(whole),
            Self::Loose(text) => {
                for part in [KEEP_BEGIN, eol, eol, &ended(text, eol), eol, KEEP_END, eol] {
                    out.push_str(part);
                }
            }
        }
    }
}

fn push_region(out: &mut String, region: &Region<'_>, eol: &str) {
    let _ = write!(out, "<!-- tracebook:begin {} sha256:{} -->{eol}", region.name, checksum(region.inner));
    push_eol(out, region.inner, eol);
    let _ = write!(out, "<!-- tracebook:end {} -->{eol}", region.name);
}

/// Appends a generated text with this line end.
fn push_eol(out: &mut String, text: &str, eol: &str) {
    if eol == "\n" {
        out.push_str(text);
    } else {
        out.push_str(&lf(text).replace('\n', eol));
    }
}

/// A text without markers, wrapped in one region.
fn with_region(text: &str) -> Cow<'_, str> {
    if text.lines().any(|line| parse::begin_name(line).is_some()) {
        return Cow::Borrowed(text);
    }
    let body = trim_blank_lines(text);
    Cow::Owned(format!("<!-- tracebook:begin page -->\n\n{body}\n\n<!-- tracebook:end page -->\n"))
}

/// With `\n` line ends.
pub(super) fn lf(text: &str) -> Cow<'_, str> {
    if text.contains("\r\n") { Cow::Owned(text.replace("\r\n", "\n")) } else { Cow::Borrowed(text) }
}

/// With a final line end.
fn ended<'t>(text: &'t str, eol: &str) -> Cow<'t, str> {
    if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}{eol}")) }
}

/// Without blank lines at the start and the end, and without a final line end.
fn trim_blank_lines(text: &str) -> &str {
    let start: usize = text.split_inclusive('\n').take_while(|l| l.trim().is_empty()).map(str::len).sum();
    text.get(start..).unwrap_or_default().trim_end()
}

/// `text` without the first run of lines equal to `lines`; unchanged when there is none.
fn without_lines(text: &str, lines: &str) -> String {
    let have: Vec<&str> = text.split_inclusive('\n').collect();
    let want: Vec<&str> = lines.lines().collect();
    let at =
        have.windows(want.len().max(1)).position(|w| w.iter().zip(&want).all(|(a, b)| a.trim_end() == b.trim_end()));
    match at {
        Some(at) if !want.is_empty() => {
            have.iter().take(at).chain(have.iter().skip(at.saturating_add(want.len()))).copied().collect()
        }
        _ => text.to_owned(),
    }
}

fn line_count(text: &str) -> u64 {
    u64::try_from(text.matches('\n').count()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
