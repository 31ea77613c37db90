//! The critical path of a request: at each moment the one span whose work the request was waiting for.
//!
//! Purpose: who holds the time. Input: a trace and the span to start from. Output: sections of time, each with the span it
//! belongs to, last section first; they cover the span without gap or overlap. The method is the usual one (Eaton and
//! others, "Distributed Latency Profiling through Critical Path Tracing", ACM Queue 2022; Jaeger's UI does the same): from
//! the end backwards, the child that ended last held the request, before it started the child that ended last before that,
//! and where no child was awaited the span itself did.
//!
//! - Children are cut to their parent: what they do after it ended holds nobody.
//! - Who sends a message does not wait for its receivers.
//! - Clocks differ: a called span that fits into its calling span but lies partly outside is moved into it, with all below.
//!   Where the call failed nothing is moved: the caller may have given up while the callee went on.
//!
//! Only spans on the path are looked at closer; a chain or a star of a million spans is nothing special.

use super::children::Children;
use crate::topology::self_time::is_awaited;
use crate::topology::trace::Span;

/// Keeps its memory from trace to trace.
#[derive(Debug, Default)]
pub(super) struct CriticalPath {
    stack: Vec<Frame>,
    /// Children of the spans on the stack, those of each by their end.
    awaited: Vec<Awaited>,
}

/// A span the walk is in.
#[derive(Debug, Clone, Copy)]
struct Frame {
    at: usize,
    from: u64,
    /// Everything later is told.
    cursor: u64,
    /// Where its children begin in the list; they end where those of the next frame begin.
    first: usize,
    /// How far its clock and those below are moved.
    shift: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Awaited {
    to: u64,
    from: u64,
    id: u64,
    at: usize,
    shift: i64,
}

impl CriticalPath {
    /// Hands each section to `take`: position of the span, from, to (nanoseconds, from < to).
    pub(super) fn walk(
        &mut self,
        spans: &[Span<'_>],
        children: &Children,
        root: usize,
        mut take: impl FnMut(usize, u64, u64),
    ) {
        let Some((from, to)) = spans.get(root).and_then(interval) else { return };
        self.stack.clear();
        self.awaited.clear();
        self.enter(spans, children, Frame { at: root, from, cursor: to, first: 0, shift: 0 });
        while let Some(frame) = self.stack.last_mut() {
            let next = loop {
                if self.awaited.len() <= frame.first {
                    break None;
                }
                // Who ends later ran beside what is told already.
                if let Some(child) = self.awaited.pop().filter(|child| child.to <= frame.cursor) {
                    break Some(child);
                }
            };
            let reached = next.map_or(frame.from, |child| child.to);
            if reached < frame.cursor {
                take(frame.at, reached, frame.cursor);
            }
            match next {
                Some(child) => {
                    frame.cursor = child.from;
                    let Awaited { at, from, to, shift, .. } = child;
                    self.enter(spans, children, Frame { at, from, cursor: to, first: self.awaited.len(), shift });
                }
                None => _ = self.stack.pop(),
            }
        }
    }

    fn enter(&mut self, spans: &[Span<'_>], children: &Children, frame: Frame) {
        let Some(parent) = spans.get(frame.at) else { return };
        let first = self.awaited.len();
        for at in children.of(frame.at) {
            let at = *at as usize;
            let Some(child) = spans.get(at).filter(|child| waits(parent, child)) else { continue };
            let Some(raw) = interval(child) else { continue };
            let differs = skew(parent, child, moved(raw, frame.shift), (frame.from, frame.cursor));
            let shift = frame.shift.saturating_add(differs);
            let (start, end) = moved(raw, shift);
            let (from, to) = (start.max(frame.from), end.min(frame.cursor));
            if from < to {
                self.awaited.push(Awaited { to, from, id: child.row.span, at, shift });
            }
        }
        if let Some(own) = self.awaited.get_mut(first..) {
            own.sort_unstable();
        }
        self.stack.push(Frame { first, ..frame });
    }
}

fn interval(span: &Span<'_>) -> Option<(u64, u64)> {
    span.end().map(|end| (span.row.start, end))
}

/// Whether a span waits for its child.
pub(super) fn waits(parent: &Span<'_>, child: &Span<'_>) -> bool {
    let same = parent.row.service == child.row.service || parent.node == child.node;
    is_awaited(parent.row.kind, child.row.kind, same)
}

fn moved((from, to): (u64, u64), shift: i64) -> (u64, u64) {
    (from.saturating_add_signed(shift), to.saturating_add_signed(shift))
}

/// How far a called span must be moved to lie within its calling span; 0 where clocks need not differ.
fn skew(parent: &Span<'_>, child: &Span<'_>, (start, end): (u64, u64), (from, to): (u64, u64)) -> i64 {
    let pair = parent.row.kind.calls_out() && child.row.kind.is_called() && parent.node != child.node;
    if !pair || parent.failed() || end.saturating_sub(start) > to.saturating_sub(from) {
        return 0;
    }
    let by = |from: u64, to: u64| i64::try_from(to.abs_diff(from)).unwrap_or(0);
    if start < from {
        by(start, from)
    } else if end > to {
        -by(to, end)
    } else {
        0
    }
}
