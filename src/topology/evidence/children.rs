//! The children of each span of a trace, in the order they started.
//!
//! Input: spans with their parents. Output: positions, by position of the parent. Spans that an ignore rule, a cap or a
//! look through a gateway leaves out are nobody's children and nobody's parents. Linear in the spans of the trace but for
//! sorting the children of one span.

use crate::topology::trace::{Parent, Span};

/// Keeps its memory from trace to trace.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// By position of the parent: where its children begin in `list`; one more at the end.
    first: Vec<u32>,
    list: Vec<u32>,
}

/// Where a kept span hangs below a kept one.
fn above(spans: &[Span<'_>], span: &Span<'_>) -> Option<usize> {
    match span.parent {
        Parent::At(at) if span.kept() && spans.get(at).is_some_and(Span::kept) => Some(at),
        _ => None,
    }
}

impl Children {
    /// Finds them.
    #[allow(clippy::cast_possible_truncation, reason = "a trace holds fewer than 2^32 spans")]
    pub(super) fn find(&mut self, spans: &[Span<'_>]) {
        self.first.clear();
        self.first.resize(spans.len() + 1, 0);
        for span in spans {
            if let Some(at) = above(spans, span)
                && let Some(count) = self.first.get_mut(at)
            {
                *count += 1;
            }
        }
        let mut end = 0;
        for first in &mut self.first {
            end += *first;
            *first = end;
        }
        self.list.clear();
        self.list.resize(end as usize, 0);
        // Filled from the back: each entry ends up where the children of its span begin.
        for (at, span) in spans.iter().enumerate() {
            if let Some(above) = above(spans, span)
                && let Some(first) = self.first.get_mut(above)
            {
                *first -= 1;
                if let Some(place) = self.list.get_mut(*first as usize) {
                    *place = at as u32;
                }
            }
        }
        let order = |at: &u32| spans.get(*at as usize).map(|s| (s.row.start, s.row.end, s.row.span, s.row.kind));
        for pair in self.first.windows(2) {
            let [from, to] = pair else { continue };
            if to - from > 1
                && let Some(group) = self.list.get_mut(*from as usize..*to as usize)
            {
                group.sort_unstable_by_key(order);
            }
        }
    }

    /// The children of a span, by start, then end, then id.
    #[inline]
    pub(super) fn of(&self, at: usize) -> &[u32] {
        let (from, to) = (self.first.get(at), self.first.get(at + 1));
        from.zip(to).and_then(|(from, to)| self.list.get(*from as usize..*to as usize)).unwrap_or_default()
    }
}
