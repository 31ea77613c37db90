//! A page as a list of segments: regions, keep blocks and loose text.

use super::checksum;

/// Why the markers of a page cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// 1-based line of the marker at fault.
    pub line: u64,
    /// What is wrong, in a sentence.
    pub message: String,
    /// Whether the fault is in the newly rendered text (a template), not in the page on the disk.
    pub generated: bool,
}

/// A generated block.
#[derive(Debug)]
pub(super) struct Region<'a> {
    pub(super) name: &'a str,
    pub(super) hash: Option<&'a str>,
    /// Between the marker lines.
    pub(super) inner: &'a str,
    /// With both marker lines.
    pub(super) whole: &'a str,
    /// Keep blocks somebody put inside, with their markers.
    pub(super) keeps: Vec<&'a str>,
    /// 1-based line of the begin marker.
    pub(super) line: u64,
}

impl Region<'_> {
    /// Whether the text, apart from keep blocks put inside, is what was generated.
    pub(super) fn is_pristine(&self) -> bool {
        let Some(hash) = self.hash else { return false };
        if checksum(self.inner) == hash {
            return true;
        }
        if self.keeps.is_empty() {
            return false;
        }
        // Somebody who adds a block adds a blank line before or behind it too.
        let without = |blank_before: bool, blank_after: bool| {
            let mut text = self.inner.to_owned();
            for keep in &self.keeps {
                let Some(at) = text.find(keep) else { continue };
                let (mut before, mut after) = (&text[..at], &text[at.saturating_add(keep.len())..]);
                if blank_before {
                    before = strip_blank_line_end(before);
                }
                if blank_after {
                    after = after.strip_prefix("\r\n").or_else(|| after.strip_prefix('\n')).unwrap_or(after);
                }
                text = format!("{before}{after}");
            }
            checksum(&text) == hash
        };
        without(false, false) || without(false, true) || without(true, false) || without(true, true)
    }
}

fn strip_blank_line_end(text: &str) -> &str {
    let shorter = text.strip_suffix("\r\n").or_else(|| text.strip_suffix('\n'));
    shorter.filter(|s| s.is_empty() || s.ends_with('\n')).unwrap_or(text)
}

/// A part of a page.
#[derive(Debug)]
pub(super) enum Segment<'a> {
    /// Outside every marker.
    Loose { text: &'a str },
    /// A human block with its markers.
    Keep { whole: &'a str },
    /// A generated block.
    Region(Region<'a>),
}

/// A human block on its way to the new page.
#[derive(Debug)]
pub(super) enum Human {
    /// Had markers already; with them.
    Block(String),
    /// Gets markers now; without blank lines around.
    Loose(String),
}

enum Marker<'a> {
    Begin { name: &'a str, hash: Option<&'a str> },
    End(&'a str),
    Keep,
    EndKeep,
}

fn marker(line: &str) -> Option<Marker<'_>> {
    // Four blanks make it a code block, not a marker.
    if line.len().saturating_sub(line.trim_start().len()) > 3 {
        return None;
    }
    let body = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim().strip_prefix("tracebook:")?;
    let mut words = body.split_whitespace();
    match (words.next()?, words.next(), words.next(), words.next()) {
        ("begin", Some(name), None, None) if name != "keep" => Some(Marker::Begin { name, hash: None }),
        ("begin", Some(name), Some(hash), None) if name != "keep" => {
            Some(Marker::Begin { name, hash: Some(hash.strip_prefix("sha256:")?) })
        }
        ("end", Some("keep"), None, None) => Some(Marker::EndKeep),
        ("end", Some(name), None, None) => Some(Marker::End(name)),
        ("keep", None, None, None) => Some(Marker::Keep),
        _ => None,
    }
}

/// The name in a begin marker, if the line is one.
pub(super) fn begin_name(line: &str) -> Option<&str> {
    match marker(line) {
        Some(Marker::Begin { name, .. }) => Some(name),
        _ => None,
    }
}

/// Splits off YAML front matter a person put on top: it only works as the first thing of the file, so it cannot be
/// wrapped. A template that brings its own front matter owns it, and nothing is split off.
pub(super) fn front_matter<'a>(body: &'a str, new: &str) -> (&'a str, &'a str) {
    let is_fence = |line: &str| line.trim_end() == "---";
    if !body.lines().next().is_some_and(is_fence) || new.lines().next().is_some_and(is_fence) {
        return ("", body);
    }
    let mut end: usize = 0;
    for (i, line) in body.split_inclusive('\n').enumerate() {
        end = end.saturating_add(line.len());
        if i > 0 && is_fence(line) {
            // The blank lines behind it are the person's too.
            let rest = &body[end..];
            let blank: usize = rest.split_inclusive('\n').take_while(|l| l.trim().is_empty()).map(str::len).sum();
            return body.split_at(end.saturating_add(blank));
        }
        if marker(line).is_some() {
            break;
        }
    }
    ("", body)
}

/// What the reader is inside of.
enum Inside<'a> {
    Nothing,
    Keep {
        start: usize,
        line: u64,
        fenced: bool,
    },
    Region {
        start: usize,
        inner: usize,
        line: u64,
        name: &'a str,
        hash: Option<&'a str>,
        keeps: Vec<&'a str>,
        keep: Option<usize>,
    },
}

/// Reads a page.
pub(super) fn parse(text: &str) -> Result<Vec<Segment<'_>>, Damage> {
    let damage = |line: u64, message: String| Err(Damage { line, message, generated: false });
    let mut segments: Vec<Segment<'_>> = Vec::new();
    let mut inside = Inside::Nothing;
    let mut loose_from: usize = 0;
    let mut at: usize = 0;
    let mut number: u64 = 0;
    for line in text.split_inclusive('\n') {
        number = number.saturating_add(1);
        let (start, end) = (at, at.saturating_add(line.len()));
        at = end;
        let found = marker(line);
        match (&mut inside, found) {
            (Inside::Nothing, None) | (Inside::Region { keep: Some(_), .. }, None) | (Inside::Region { .. }, None) => {}
            (Inside::Nothing, Some(Marker::Begin { name, hash })) => {
                if segments.iter().any(|s| matches!(s, Segment::Region(r) if r.name == name)) {
                    return damage(number, format!("there are two regions `{name}`"));
                }
                push_loose(&mut segments, text, loose_from, start);
                inside = Inside::Region { start, inner: end, line: number, name, hash, keeps: Vec::new(), keep: None };
            }
            (Inside::Nothing, Some(Marker::Keep)) => {
                push_loose(&mut segments, text, loose_from, start);
                inside = Inside::Keep { start, line: number, fenced: false };
            }
            (Inside::Nothing, Some(Marker::End(name))) => {
                return damage(number, format!("the end marker of `{name}` has no begin marker"));
            }
            (Inside::Nothing, Some(Marker::EndKeep)) => {
                return damage(number, "the end marker of a keep block has no begin marker".to_owned());
            }
            (Inside::Keep { start, .. }, Some(Marker::EndKeep)) => {
                segments.push(Segment::Keep { whole: &text[*start..end] });
                loose_from = end;
                inside = Inside::Nothing;
            }
            (Inside::Keep { fenced, .. }, None) => {
                let line = line.trim_start();
                if line.starts_with("```") || line.starts_with("~~~") {
                    *fenced = !*fenced;
                }
            }
            // Inside a code fence of a keep block somebody may well quote our markers.
            (Inside::Keep { fenced: true, .. }, Some(_)) => {}
            (Inside::Keep { line, .. }, Some(_)) => {
                return damage(*line, "this keep block is not closed before the next marker".to_owned());
            }
            (Inside::Region { keep: Some(from), keeps, .. }, Some(Marker::EndKeep)) => {
                keeps.push(&text[*from..end]);
                if let Inside::Region { keep, .. } = &mut inside {
                    *keep = None;
                }
            }
            (Inside::Region { keep: Some(_), line, .. }, Some(_)) => {
                return damage(*line, "a keep block in this region is not closed before the next marker".to_owned());
            }
            (Inside::Region { keep, .. }, Some(Marker::Keep)) => *keep = Some(start),
            (Inside::Region { start: from, inner, line, name, hash, keeps, .. }, Some(Marker::End(ended)))
                if ended == *name =>
            {
                segments.push(Segment::Region(Region {
                    name,
                    hash: *hash,
                    inner: &text[*inner..start],
                    whole: &text[*from..end],
                    keeps: std::mem::take(keeps),
                    line: *line,
                }));
                loose_from = end;
                inside = Inside::Nothing;
            }
            (Inside::Region { line, name, .. }, Some(_)) => {
                return damage(*line, format!("region `{name}` is not closed before the next marker"));
            }
        }
    }
    match inside {
        Inside::Nothing => push_loose(&mut segments, text, loose_from, text.len()),
        Inside::Keep { line, .. } => return damage(line, "this keep block is never closed".to_owned()),
        Inside::Region { line, name, .. } => return damage(line, format!("region `{name}` is never closed")),
    }
    Ok(segments)
}

fn push_loose<'a>(segments: &mut Vec<Segment<'a>>, text: &'a str, from: usize, to: usize) {
    if let Some(text) = text.get(from..to).filter(|t| !t.is_empty()) {
        segments.push(Segment::Loose { text });
    }
}
