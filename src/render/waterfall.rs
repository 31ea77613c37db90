//! A request drawn as text: one row a span, its bar to scale.
//!
//! Input: a [`Waterfall`]. Output: at most [`ROWS`] rows of at most [`COLUMNS`] columns, for a code block.
//! Must not: let a name break a row or the block around it, or take more room than its column.

use super::{escape, format};
use crate::runbook::{Waterfall, WaterfallSpan};

/// Most rows.
const ROWS: usize = 32;
/// Widest row, in columns of a terminal.
#[cfg(test)]
const COLUMNS: usize = 100;
/// Columns of the name, of the bar, and of each figure.
const NAME: usize = 44;
const BAR: usize = 32;
const FIGURE: usize = 8;
/// Deepest indentation shown, in steps of two columns.
const DEEPEST: usize = 8;
/// Shorter than this share of the longer one, a request gets a scale of its own.
const OWN_SCALE: f64 = 0.2;

/// Seconds one column of the bar stands for, for each: one scale for all, where that leaves something to see.
pub(super) fn scales(all: &[Waterfall]) -> Vec<f64> {
    let length = |waterfall: &Waterfall| {
        let first = waterfall.spans.first().map_or(0.0, |span| span.duration_seconds);
        if first.is_finite() && first > 0.0 { first } else { 1e-9 }
    };
    let longest = all.iter().map(length).fold(0.0, f64::max);
    let own = |own: f64| if own < longest * OWN_SCALE { own } else { longest };
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let columns = BAR as f64;
    all.iter().map(|waterfall| own(length(waterfall)) / columns).collect()
}

/// The rows. A bar is full where the request waited for the span itself most of its time, dark where it waited for the span
/// or one below it, light where the span ran beside.
pub(super) fn draw(waterfall: &Waterfall, column_seconds: f64) -> String {
    let mut above: Vec<&str> = Vec::new();
    let mut rows = Vec::new();
    for (at, span) in waterfall.spans.iter().take(ROWS).enumerate() {
        let depth = span.depth.min(above.len());
        above.truncate(depth);
        let known = above.last().is_some_and(|service| *service == span.service);
        above.push(&span.service);
        let below = waterfall.spans.iter().skip(at + 1).take_while(|other| other.depth > span.depth);
        let waited = span.critical_seconds > 0.0 || below.into_iter().any(|other| other.critical_seconds > 0.0);
        let block = match waited {
            true if span.critical_seconds >= span.duration_seconds / 2.0 => '█',
            true => '▒',
            false => '░',
        };
        rows.push(row(span, known, &bar(span, block, column_seconds)));
    }
    rows.join("\n")
}

fn row(span: &WaterfallSpan, known: bool, bar: &str) -> String {
    let mark = if span.failed { "! " } else { "  " };
    let indent = "  ".repeat(span.depth.min(DEEPEST));
    let name = fitted(&name(span, known, NAME - width(&indent)), NAME - width(&indent));
    let held = if span.critical_seconds > 0.0 { format::duration(span.critical_seconds) } else { String::new() };
    let row =
        format!("{mark}{indent}{name} |{bar}| {} {}", figure(&format::duration(span.duration_seconds)), figure(&held));
    row.trim_end().to_owned()
}

/// Service and operation; of a long operation the end, which tells more than its package. The service is left out where the
/// row above it is of the same one.
fn name(span: &WaterfallSpan, known: bool, room: usize) -> String {
    let operation = harmless(&span.operation);
    if known {
        return ending(&operation, room);
    }
    let service = harmless(&span.service);
    let service = fitted_start(&service, room.saturating_sub(12).max(room / 2));
    let left = room.saturating_sub(width(&service) + 1);
    format!("{service} {}", ending(&operation, left))
}

/// A name on one line in which nothing is left that ends a block, wherever it stands.
fn harmless(name: &str) -> String {
    escape::clean(name, escape::NAME_LIMIT).replace('<', "‹").replace('`', "'")
}

/// The bar: blanks, then blocks. What lies outside of the first span is cut, what is short is still seen.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the length of the bar")]
fn bar(span: &WaterfallSpan, block: char, column_seconds: f64) -> String {
    let column = |seconds: f64| (seconds / column_seconds).clamp(0.0, BAR as f64);
    let from = (column(span.start_seconds).floor() as usize).min(BAR - 1);
    let to = (column(span.start_seconds + span.duration_seconds).round() as usize).clamp(from + 1, BAR);
    format!("{}{}{}", " ".repeat(from), String::from(block).repeat(to - from), " ".repeat(BAR - to))
}

fn figure(text: &str) -> String {
    let text: String = text.chars().take(FIGURE).collect();
    format!("{text:>FIGURE$}")
}

/// Padded to exactly so many columns.
fn fitted(text: &str, room: usize) -> String {
    let text = fitted_start(text, room);
    let pad = room.saturating_sub(width(&text));
    format!("{text}{}", " ".repeat(pad))
}

/// The beginning of a text, in at most so many columns.
fn fitted_start(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += columns(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// The end of a text, in at most so many columns.
fn ending(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let (mut out, mut used) = (Vec::new(), 1);
    for c in text.chars().rev() {
        used += columns(c);
        if used > room {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out.iter().rev().collect()
}

fn width(text: &str) -> usize {
    text.chars().map(columns).sum()
}

/// Columns of a character, rather too many than too few: East Asian wide and full-width ones, and pictures, take two.
fn columns(c: char) -> usize {
    match u32::from(c) {
        0x1100..=0x115f
        | 0x231a..=0x231b
        | 0x2329..=0x232a
        | 0x23e9..=0x23f3
        | 0x2600..=0x27bf
        | 0x2b1b..=0x2b55
        | 0x2e80..=0xa4cf
        | 0xa960..=0xa97f
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe10..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f000..=0x1faff
        | 0x2_0000..=0x3_fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    fn widest(text: &str) -> usize {
        text.lines().map(width).max().unwrap_or(0)
    }

    #[test]
    fn a_request_reads_as_approved() {
        let all = sample::runbook().evidence.waterfalls;
        let scales = scales(&all);
        let drawn: Vec<String> = all.iter().zip(&scales).map(|(w, scale)| draw(w, *scale)).collect();
        insta::assert_snapshot!(drawn.join("\n\n"));
        assert!(scales[0] > 4.0 * scales[1], "a short one has a scale of its own");
    }

    #[test]
    fn nothing_in_a_name_breaks_a_row_or_makes_it_wider() {
        let long = "あ".repeat(500);
        let names = [
            "```\n~~~\n# x",
            "a\r\nb\u{2028}c\u{202e}",
            "</details><script>",
            "\u{0}",
            "",
            &long,
            "💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥💥",
        ];
        let sample = sample::runbook().evidence.waterfalls[0].clone();
        for service in names {
            for operation in names {
                let mut waterfall = sample.clone();
                let mut span = waterfall.spans[1].clone();
                (span.service, span.operation) = (service.into(), operation.into());
                span.depth = 9_000;
                waterfall.spans.extend(vec![span; 100]);
                for span in &mut waterfall.spans {
                    span.operation = operation.into();
                }
                let drawn = draw(&waterfall, 0.01);
                assert!(drawn.lines().count() <= ROWS && widest(&drawn) <= COLUMNS, "{drawn}");
                assert!(!drawn.contains(['`', '<', '\r', '\u{2028}', '\u{202e}', '\u{0}']), "{drawn}");
            }
        }
    }

    #[test]
    fn odd_times_stay_within_the_bar() {
        let mut waterfall = sample::runbook().evidence.waterfalls[0].clone();
        let odd = [(-5.0, 1.0), (1e12, 1e12), (0.0, 0.0), (f64::NAN, 1.0), (0.5, f64::INFINITY)];
        for (start, duration) in odd {
            (waterfall.spans[0].start_seconds, waterfall.spans[0].duration_seconds) = (start, duration);
            let scale = scales(std::slice::from_ref(&waterfall))[0];
            let drawn = draw(&waterfall, scale);
            assert!(widest(&drawn) <= COLUMNS, "{drawn}");
            let first = drawn.lines().next().unwrap();
            assert!(first.contains(['█', '▒', '░']), "{first}");
        }
    }
}
