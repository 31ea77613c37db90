//! Traces drawn span by span: every row is a span of that trace, with its time, its bar and how long it was waited for.

use crate::claims::calls::Forest;
use crate::claims::claim::{Claim, count, said};
use crate::claims::numbers::{self, Kind, Value, say};
use crate::claims::page::Place;
use crate::claims::paths;
use crate::claims::pattern::{Pattern, cell, says};
use crate::claims::spans::Span;

/// Columns of a bar.
const BAR: usize = 32;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says(
            "<slow|failed|typical>: {x}, {t}, {d}<, [Grafana]|>. One column of the bar is {d}<; {c} more spans, the least important ones, are not shown|>.",
            |c| {
                let root = root(c, &c.place.text)?;
                let mut out = vec![said(numbers::time(root.start)), Value::Exactly(seconds(root))];
                out.push(Value::Exactly(scale(c, root)?));
                let spans = rows(c, root).len();
                out.extend((spans > 32).then(|| count(spans as u64 - 32)));
                Some(out)
            },
        ),
        cell(&["waterfall"], "", "{line}", |c| {
            let header = &c.place.row[0];
            let root = root(c, header)?;
            let column = scale(c, root)?;
            let all = rows(c, root);
            // An end of a bar that lies between two columns may fall to either.
            let columns = [column, column * (1.0 - 1e-9), column * (1.0 + 1e-9)];
            let drawn = all.iter().flat_map(|row| columns.map(|column| row.drawn(c, column, c.text())));
            let found = drawn.clone().find(|line| line == c.text());
            Some(vec![said(found.or_else(|| drawn.into_iter().next())?)])
        }),
    ]
}

fn seconds(span: &Span) -> f64 {
    span.duration().unwrap_or(0) as f64 / 1e9
}

/// The span a heading speaks of: of the page's service in that trace, the slowest, one that failed, one that did not.
fn root<'a>(c: &Claim<'a>, header: &str) -> Option<&'a Span> {
    let (class, trace) = (header.split(": `").next()?, header.split('`').nth(1)?);
    let focus = c.focus()?;
    let slowest = c.handled()?.times.max();
    let fits = |s: &&Span| match class {
        "slow" => seconds(s) == slowest,
        class => s.failed() == (class == "failed"),
    };
    let here = c.facts.trace(trace).iter().filter(|s| s.service == focus && s.is_called());
    here.filter(fits).min_by_key(|s| s.id.clone())
}

/// Seconds a column stands for: the longest request of the page, but for one that would hardly be seen beside it.
fn scale(c: &Claim<'_>, root: &Span) -> Option<f64> {
    let is_header = |p: &&Place| ["slow: `", "failed: `", "typical: `"].iter().any(|h| p.text.starts_with(h));
    let all: Vec<f64> =
        c.page.places.iter().filter(is_header).filter_map(|p| Some(seconds(self::root(c, &p.text)?))).collect();
    let longest = all.into_iter().fold(0.0, f64::max);
    let own = seconds(root);
    Some(if own < longest * 0.2 { own } else { longest } / BAR as f64)
}

/// One span below the root.
struct Row<'a> {
    span: &'a Span,
    depth: usize,
    /// Seconds after the root's start.
    start: f64,
    /// Nanoseconds it was waited for itself, and with all below it.
    critical: u64,
    waited: u64,
}

fn rows<'a>(c: &Claim<'a>, root: &'a Span) -> Vec<Row<'a>> {
    let forest = Forest::new(c.facts.trace(&root.trace));
    let path = paths::critical(&forest, forest.find(&root.trace, &root.id).unwrap());
    let held = |span: &Span| path.iter().filter(|(s, _)| s.id == span.id).map(|(_, n)| n).sum::<u64>();
    let mut out = Vec::new();
    below(&forest, root, 0, &mut out);
    let with_below = |at: usize, depth: usize, all: &[(String, usize)]| {
        let inside = all[at + 1..].iter().take_while(|(_, d)| *d > depth).map(|(id, _)| id.clone());
        std::iter::once(all[at].0.clone()).chain(inside).collect::<Vec<_>>()
    };
    let span = |id: &str| forest.find(&root.trace, id).unwrap();
    let row = |at: usize, id: &str, depth: usize| {
        let waited = with_below(at, depth, &out).iter().map(|id| held(span(id))).sum();
        let span = span(id);
        let start = (i128::from(span.start) - i128::from(root.start)) as f64 / 1e9;
        Row { span, depth, start, critical: held(span), waited }
    };
    out.iter().enumerate().map(|(at, (id, depth))| row(at, id, *depth)).collect()
}

/// Ids and depths of all a span waits for, parents first, siblings by start.
fn below(forest: &Forest<'_>, span: &Span, depth: usize, out: &mut Vec<(String, usize)>) {
    out.push((span.id.clone(), depth));
    let mut children = forest.children(span);
    children.sort_by_key(|s| (s.start, s.end, s.id.clone()));
    children.iter().filter(|child| paths::waits(span, child)).for_each(|child| below(forest, child, depth + 1, out));
}

impl Row<'_> {
    /// The row as it should be, with the name as it is shown where that is a way to write it.
    fn drawn(&self, c: &Claim<'_>, column: f64, shown: &str) -> String {
        let took = seconds(self.span);
        let (mark, indent) = (if self.span.failed() { "! " } else { "  " }, "  ".repeat(self.depth.min(8)));
        let name = shown.split(" |").next().unwrap_or_default();
        let name = if self.is_called(c, name) { name.to_owned() } else { format!("{mark}{indent}{}", self.span.name) };
        let held = if self.critical > 0 { say(Kind::Duration, self.critical as f64 / 1e9) } else { String::new() };
        let block = match self.waited > 0 {
            true if self.critical as f64 / 1e9 >= took / 2.0 => '█',
            true => '▒',
            false => '░',
        };
        let at = |seconds: f64| (seconds / column).clamp(0.0, BAR as f64);
        let from = (at(self.start).floor() as usize).min(BAR - 1);
        let to = (at(self.start + took).round() as usize).clamp(from + 1, BAR);
        let bar = format!("{}{}", " ".repeat(from), String::from(block).repeat(to - from));
        let line = format!("{name} |{bar:<BAR$}| {:>8} {held:>8}", say(Kind::Duration, took));
        line.trim_end().to_owned()
    }

    /// Whether this is its name: mark, indent, and the service and the operation, or the operation alone, perhaps cut.
    fn is_called(&self, c: &Claim<'_>, shown: &str) -> bool {
        let (mark, indent) = (if self.span.failed() { "! " } else { "  " }, "  ".repeat(self.depth.min(8)));
        let Some(name) = shown.strip_prefix(&format!("{mark}{indent}")).filter(|_| shown.chars().count() == 46) else {
            return false;
        };
        let full = format!("{} {}", c.facts.label(&self.span.service), self.span.name);
        let pieces: Vec<&str> = name.trim_end().split('…').collect();
        let starts = full.starts_with(pieces[0]) || self.span.name.starts_with(pieces[0]);
        let ends = full.ends_with(pieces[pieces.len() - 1]);
        !name.starts_with(' ') && starts && ends
    }
}
