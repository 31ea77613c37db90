//! What rules make of a whole trace: gateways are looked through, and calls of ignored spans vanish on both sides.
//!
//! Input: the spans of a trace with their parents and fates. Output: parents as if gateways were not there, and the spans
//! of gateways that speak for their callers. Time is linear in the spans, whatever their shape: every span is walked over
//! once, a cycle of parents ends where it meets itself.

use super::identity::Fate;
use super::layers::Role;
use super::trace::{Parent, Span};
use crate::spans::{SpanFlags, SpanKind};

/// Reused from trace to trace.
#[derive(Debug, Default)]
pub(super) struct Through {
    /// For each gateway span what it hangs below when gateways are left out; `None` for other spans.
    above: Vec<Option<Parent>>,
    chain: Vec<usize>,
    /// For each calling span, how many children keep it from being ignored, and whether one that answers it is.
    asked: Vec<(u32, bool)>,
}

impl Through {
    /// Applies both rules. Says whether the trace has gateway spans.
    pub(super) fn apply(&mut self, spans: &mut [Span<'_>], roles: &mut [Role]) -> bool {
        self.above.clear();
        if spans.iter().any(|span| span.fate == Fate::Ignored) {
            self.ignore_callers(spans);
        }
        let merged = spans.iter().any(|span| span.fate == Fate::Merged);
        if merged {
            self.find_above(spans);
            note_answers(spans, roles);
            self.hang_above(spans);
        }
        merged
    }

    /// What a gateway span hangs below when gateways are left out.
    pub(super) fn above(&self, at: usize) -> Option<Parent> {
        self.above.get(at).copied().flatten()
    }

    /// A CLIENT span whose request was answered by ignored spans only is ignored with them, and so is one that is a layer
    /// around nothing else.
    fn ignore_callers(&mut self, spans: &mut [Span<'_>]) {
        self.asked.clear();
        self.asked.resize(spans.len(), (0, false));
        self.chain.clear();
        for span in spans.iter() {
            let Some((above, parent)) = asks(spans, span) else { continue };
            let layer = span.node == parent.node && span.kept() && span.row.kind == SpanKind::Client;
            let answers = span.row.kind.is_called() || span.row.service != parent.row.service;
            let Some(asked) = self.asked.get_mut(above) else { continue };
            if span.fate == Fate::Ignored && answers {
                asked.1 = true;
            } else if layer || answers {
                asked.0 = asked.0.saturating_add(1);
            }
        }
        self.chain.extend((0..).zip(&self.asked).filter(|(_, asked)| **asked == (0, true)).map(|(at, _)| at));
        while let Some(at) = self.chain.pop() {
            let Some(span) = spans.get_mut(at).filter(|span| span.kept()) else { continue };
            span.fate = Fate::Ignored;
            let span = *span;
            let Some((above, parent)) = asks(spans, &span) else { continue };
            let layer = span.node == parent.node;
            if let Some(asked) = self.asked.get_mut(above).filter(|_| layer) {
                *asked = (asked.0.saturating_sub(1), true);
                if asked.0 == 0 {
                    self.chain.push(above);
                }
            }
        }
    }

    /// Finds what every gateway span hangs below.
    fn find_above(&mut self, spans: &[Span<'_>]) {
        self.above.resize(spans.len(), None);
        for start in 0..spans.len() {
            self.chain.clear();
            let mut at = start;
            let found = loop {
                let Some(span) = spans.get(at).filter(|span| span.fate == Fate::Merged) else { break Parent::At(at) };
                let Some(known) = self.above.get_mut(at) else { break Parent::Lost };
                if let Some(known) = known {
                    break *known;
                }
                // Until it is known; a cycle that comes back here hangs below nothing.
                *known = Some(Parent::Lost);
                self.chain.push(at);
                match span.parent {
                    Parent::At(above) => at = above,
                    end => break end,
                }
            };
            for at in &self.chain {
                if let Some(above) = self.above.get_mut(*at) {
                    *above = Some(found);
                }
            }
        }
    }

    /// Hangs the spans below gateways where the gateways hang.
    fn hang_above(&self, spans: &mut [Span<'_>]) {
        for at in 0..spans.len() {
            let Some(span) = spans.get_mut(at).filter(|span| span.fate != Fate::Merged) else { continue };
            let Parent::At(above) = span.parent else { continue };
            if let Some(found) = self.above(above) {
                span.parent = if found == Parent::At(at) { Parent::Lost } else { found };
            }
        }
    }
}

/// The CLIENT span above, if it is kept and asks for no more than an answer: with links it receives messages.
fn asks<'s, 'a>(spans: &'s [Span<'a>], span: &Span<'a>) -> Option<(usize, &'s Span<'a>)> {
    let Parent::At(above) = span.parent else { return None };
    Some((
        above,
        spans
            .get(above)
            .filter(|p| p.kept() && p.row.kind == SpanKind::Client && !p.row.flags.has(SpanFlags::LINKED))?,
    ))
}

/// Notes which gateway spans have something behind them: from each span that is not a gateway's up to the first one known
/// to be answered.
fn note_answers(spans: &[Span<'_>], roles: &mut [Role]) {
    for span in spans.iter().filter(|span| span.fate != Fate::Merged) {
        let mut above = span.parent;
        while let Parent::At(at) = above {
            let Some(gateway) = spans.get(at).filter(|span| span.fate == Fate::Merged) else { break };
            let Some(role) = roles.get_mut(at).filter(|role| !role.answered) else { break };
            role.answered = true;
            above = gateway.parent;
        }
    }
}
