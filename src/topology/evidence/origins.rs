//! Where failures begin, and how they climbed.
//!
//! Purpose: of the failed spans of a trace, name those that no failure below explains. Input: a trace with at least one
//! failed span, and its children. Output: per origin how often, what failed on the way up, who coped. The rules:
//!
//! - A failed span is explained by a failed child it waited for that ended before it did, unless that child's work was
//!   done again and succeeded (a retry): then the failure was coped with and the span failed by itself.
//! - A failed call whose callee was still at work when the caller ended is a time-out. Its origin is not the call but the
//!   deepest span still at work at that moment. Where several callers give up on the same work the first one counts.
//! - A failed call that the callee answered without a failure began at the caller ([`OriginKind::Rejected`]: a 404, an
//!   answer it could not read). One that nobody answered began at what it calls, as far as that is known.
//! - A failure climbs as long as the span above failed too; who comes next coped with it: it tried again, had a
//!   substitute, or swallowed it. Calling spans that show nothing are looked through.
//!
//! Bounded: [`MOST_ORIGINS`] origins in all, [`MOST_STEPS`] steps up or down, [`MOST_IN_TRACE`] of one trace.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::answer;
use super::children::Children;
use super::critical_path::waits;
use super::requests::Names;
use crate::spans::{ErrorClass, SpanKind, Weight};
use crate::topology::capmap::CapMap;
use crate::topology::contents::Contents;
use crate::topology::hash;
use crate::topology::picks::Picks;
use crate::topology::snapshot::{ErrorCount, Exemplar, NodeId};
use crate::topology::tally::Event;
use crate::topology::trace::{Parent, Span};
use crate::topology::unite::sort_classes;

/// Origins told apart.
const MOST_ORIGINS: usize = 1 << 14;
/// Operations told apart among those a failure of one origin climbed through, and those that coped with it.
const MOST_OPERATIONS: usize = 64;
/// Error classes of one origin.
const MOST_CLASSES: usize = 64;
/// Steps from an origin up, or down to what was still at work.
const MOST_STEPS: usize = 256;
/// Origins looked for in one trace.
const MOST_IN_TRACE: usize = 1024;
/// Origins published.
const MOST_PUBLISHED: usize = 1000;

/// What kind of beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OriginKind {
    /// The operation failed, and nothing it called explains it.
    Failed,
    /// A caller gave up while this was still at work.
    TimedOut,
    /// The call failed at the caller although the callee answered without a failure.
    Rejected,
    /// The call failed and nobody answered it with a span.
    Unanswered,
}

impl OriginKind {
    /// All, by number.
    const ALL: [Self; 4] = [Self::Failed, Self::TimedOut, Self::Rejected, Self::Unanswered];

    /// Name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Rejected => "rejected",
            Self::Unanswered => "unanswered",
        }
    }
}

/// An operation that had to do with a failure, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginStep {
    /// Whose operation.
    pub service: NodeId,
    /// Its name. Untrusted text.
    pub operation: String,
    /// Failures it had to do with.
    pub calls: Weight,
}

/// Failures that begin at one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// What kind of beginning.
    pub kind: OriginKind,
    /// Whose operation.
    pub service: NodeId,
    /// Its name. Untrusted text.
    pub operation: String,
    /// What the call went to, where the origin is a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<NodeId>,
    /// Failures seen to begin here: the n of every claim.
    pub n: u64,
    /// Failures they stand for.
    pub calls: Weight,
    /// Of which let a request from outside fail.
    pub reached_entry: Weight,
    /// How they failed, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ErrorCount>,
    /// What failed with it further up, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub climbed: Vec<OriginStep>,
    /// Who coped with it: tried again, had a substitute, swallowed it. Most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub coped: Vec<OriginStep>,
    /// Who gave up first, where it is a time-out. Most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gave_up: Vec<OriginStep>,
    /// Traces to open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exemplars: Vec<Exemplar>,
}

impl Origin {
    fn key(&self) -> (&NodeId, &str, OriginKind, Option<&NodeId>) {
        (&self.service, &self.operation, self.kind, self.target.as_ref())
    }

    /// The same with other services.
    pub(in crate::topology) fn renamed(&self, rename: impl Fn(&NodeId) -> NodeId) -> Self {
        let steps = |of: &[OriginStep]| {
            let mut steps = Vec::new();
            add_steps(&mut steps, of.iter().map(|s| OriginStep { service: rename(&s.service), ..s.clone() }));
            steps
        };
        Self {
            service: rename(&self.service),
            target: self.target.as_ref().map(&rename),
            climbed: steps(&self.climbed),
            coped: steps(&self.coped),
            gave_up: steps(&self.gave_up),
            ..self.clone()
        }
    }

    fn merge(&mut self, other: &Self) {
        self.n = self.n.saturating_add(other.n);
        self.calls += other.calls;
        self.reached_entry += other.reached_entry;
        let mut classes: BTreeMap<ErrorClass, Weight> = BTreeMap::new();
        for count in self.classes.iter().chain(&other.classes) {
            *classes.entry(count.class.clone()).or_default() += count.calls;
        }
        self.classes = classes.into_iter().map(|(class, calls)| ErrorCount { class, calls }).collect();
        sort_classes(&mut self.classes);
        for (mine, other) in
            [(&mut self.climbed, &other.climbed), (&mut self.coped, &other.coped), (&mut self.gave_up, &other.gave_up)]
        {
            add_steps(mine, other.iter().cloned());
        }
        let mut picks = Picks::of_failed(&self.exemplars);
        picks.merge(&Picks::of_failed(&other.exemplars));
        self.exemplars = picks.finish().failed;
    }
}

/// Adds steps of which some may be known.
fn add_steps(mine: &mut Vec<OriginStep>, more: impl Iterator<Item = OriginStep>) {
    for step in more {
        let same = |s: &&mut OriginStep| (&s.service, &s.operation) == (&step.service, &step.operation);
        match mine.iter_mut().find(same) {
            Some(known) => known.calls += step.calls,
            None => mine.push(step),
        }
    }
    sort_steps(mine);
}

fn sort_steps(steps: &mut [OriginStep]) {
    steps.sort_by(|a, b| {
        (Reverse(a.calls), &a.service, &a.operation).cmp(&(Reverse(b.calls), &b.service, &b.operation))
    });
}

/// Adds lists sorted by service, operation, kind and target.
pub(in crate::topology) fn unite(mine: &mut Vec<Origin>, other: &[Origin]) {
    for origin in other {
        match mine.binary_search_by(|m| m.key().cmp(&origin.key())) {
            Ok(at) => mine.iter_mut().skip(at).take(1).for_each(|m| m.merge(origin)),
            Err(at) => mine.insert(at, origin.clone()),
        }
    }
}

/// Leaves the most frequent.
pub(in crate::topology) fn cut(all: &mut Vec<Origin>) {
    if all.len() > MOST_PUBLISHED {
        all.sort_by(|a, b| Reverse(a.calls).cmp(&Reverse(b.calls)).then_with(|| a.key().cmp(&b.key())));
        all.truncate(MOST_PUBLISHED);
        all.sort_by(|a, b| a.key().cmp(&b.key()));
    }
}

/// What is wrong with a list that was read.
pub(in crate::topology) fn check(all: &[Origin]) -> Result<(), String> {
    if !all.is_sorted_by(|a, b| a.key() < b.key()) {
        return Err("origins are out of order".to_owned());
    }
    if all.iter().any(|origin| origin.reached_entry > origin.calls) {
        return Err("origins: more failures reached an entry than there were".to_owned());
    }
    Ok(())
}

/// One origin while counting.
#[derive(Debug, Clone)]
struct OriginTally {
    n: u64,
    calls: Weight,
    reached: Weight,
    classes: CapMap<u32, Weight>,
    climbed: CapMap<u32, Weight>,
    coped: CapMap<u32, Weight>,
    gave_up: CapMap<u32, Weight>,
    picks: Picks,
}

impl Default for OriginTally {
    fn default() -> Self {
        let operations = || CapMap::new(MOST_OPERATIONS);
        Self {
            n: 0,
            calls: Weight::ZERO,
            reached: Weight::ZERO,
            classes: CapMap::new(MOST_CLASSES),
            climbed: operations(),
            coped: operations(),
            gave_up: operations(),
            picks: Picks::default(),
        }
    }
}

/// What one failure says.
struct Failure<'s, 'a> {
    kind: OriginKind,
    /// Where it begins.
    begins: &'s Span<'a>,
    /// The first failed span, from which it climbs: the same, or the call that was given up.
    first: usize,
    target: u32,
    /// The operation that gave up.
    gave_up: u32,
}

/// All origins while counting.
#[derive(Debug)]
pub(in crate::topology) struct Origins {
    all: CapMap<(u32, u32), OriginTally>,
    /// Spans whose callers gave up, with the call that was given up: scratch.
    given_up: Vec<(usize, usize)>,
    operations: Vec<u32>,
}

impl Origins {
    pub(in crate::topology) fn new() -> Self {
        Self { all: CapMap::new(MOST_ORIGINS), given_up: Vec::new(), operations: Vec::new() }
    }

    /// Notes the origins of a trace. `target` says what an unanswered call goes to.
    pub(super) fn trace(
        &mut self,
        spans: &[Span<'_>],
        children: &Children,
        target: impl Fn(&Span<'_>) -> u32,
        contents: &Contents,
    ) {
        self.given_up.clear();
        let begins =
            |(at, span): &(usize, &Span<'_>)| span.kept() && span.failed() && !explained(spans, children, *at, span);
        let mut begin: Vec<(usize, &Span<'_>)> = spans.iter().enumerate().filter(begins).collect();
        if begin.len() > MOST_IN_TRACE {
            begin.sort_unstable_by_key(|(_, span)| (hash::mix(14, span.row.span), span.row.kind));
            begin.truncate(MOST_IN_TRACE);
        }
        for (at, span) in begin {
            let answer = span.row.kind.calls_out().then(|| answer(spans, children, at)).flatten();
            let mut failure =
                Failure { kind: OriginKind::Failed, begins: span, first: at, target: super::NOWHERE, gave_up: 0 };
            match answer {
                Some((below, callee)) if outlives(callee, span) => {
                    self.given_up.push((deepest_at_work(spans, children, below, span.row.end), at));
                    continue;
                }
                Some((_, callee)) => (failure.kind, failure.target) = (OriginKind::Rejected, callee.node),
                None if span.row.kind.calls_out() => {
                    (failure.kind, failure.target) = (OriginKind::Unanswered, target(span));
                }
                None => {}
            }
            self.note(spans, &failure, contents);
        }
        let mut given_up = std::mem::take(&mut self.given_up);
        // Of several that give up on the same work the first one.
        given_up.sort_unstable_by_key(|(work, call)| {
            (*work, spans.get(*call).map(|call| (call.row.end, call.row.start, call.row.span)))
        });
        given_up.dedup_by_key(|(work, _)| *work);
        for (work, call) in &given_up {
            let (Some(begins), Some(caller)) = (spans.get(*work), spans.get(*call)) else { continue };
            let called = begins.row.kind.calls_out();
            let target = if called { target(begins) } else { super::NOWHERE };
            let failure =
                Failure { kind: OriginKind::TimedOut, begins, first: *call, target, gave_up: caller_of(spans, caller) };
            self.note(spans, &failure, contents);
        }
        self.given_up = given_up;
    }

    fn note(&mut self, spans: &[Span<'_>], failure: &Failure<'_, '_>, contents: &Contents) {
        let Failure { kind, begins, first, target, gave_up } = failure;
        let key = (begins.op << 2 | *kind as u32, *target);
        let content = || hash::mix(contents.operation(begins.op), contents.node(*target) ^ *kind as u64);
        let mut climbed = std::mem::take(&mut self.operations);
        climbed.clear();
        let (reached, coped) = climb(spans, *first, &mut climbed);
        climbed.sort_unstable();
        climbed.dedup();
        if let Some(tally) = self.all.at(key, content) {
            let weight = begins.weight();
            tally.n += 1;
            tally.calls += weight;
            tally.reached += if reached { weight } else { Weight::ZERO };
            let class = spans.get(*first).map_or(0, |span| span.error);
            for (map, number, hash) in [
                (&mut tally.classes, class, contents.class(class)),
                (&mut tally.coped, coped, contents.operation(coped)),
                (&mut tally.gave_up, *gave_up, contents.operation(*gave_up)),
            ] {
                if number > 0
                    && let Some(sum) = map.at(number, || hash)
                {
                    *sum += weight;
                }
            }
            for op in &climbed {
                if let Some(sum) = tally.climbed.at(*op, || contents.operation(*op)) {
                    *sum += weight;
                }
            }
            let event = Event {
                weight,
                failed: true,
                class,
                start: begins.row.start,
                duration: begins.duration(),
                trace: begins.row.trace,
                span: begins.row.span,
                luck: begins.luck,
            };
            tally.picks.add(event.luck, true, None, || event.exemplar());
        }
        self.operations = climbed;
    }

    pub(in crate::topology) fn merge(&mut self, other: Self) {
        self.all.merge(other.all, |mine, more| {
            mine.n += more.n;
            mine.calls += more.calls;
            mine.reached += more.reached;
            for (mine, more) in [
                (&mut mine.classes, more.classes),
                (&mut mine.climbed, more.climbed),
                (&mut mine.coped, more.coped),
                (&mut mine.gave_up, more.gave_up),
            ] {
                mine.merge(more, |sum, more| *sum += more);
            }
            mine.picks.merge(&more.picks);
        });
    }

    /// Sorted by service, operation, kind and target.
    pub(in crate::topology) fn finish(self, names: &impl Names, classes: &[ErrorClass]) -> Vec<Origin> {
        let steps = |map: &CapMap<u32, Weight>| {
            let named = |(op, calls): (u32, &Weight)| {
                let (service, operation) = names.operation(op)?;
                Some(OriginStep { service, operation, calls: *calls })
            };
            let mut steps: Vec<OriginStep> = map.sorted().into_iter().filter_map(named).collect();
            sort_steps(&mut steps);
            steps
        };
        let origin = |((op, target), tally): ((u32, u32), OriginTally)| {
            let (service, operation) = names.operation(op >> 2)?;
            let class = |(class, calls): (u32, &Weight)| {
                Some(ErrorCount { class: classes.get(class as usize)?.clone(), calls: *calls })
            };
            let mut counts: Vec<ErrorCount> = tally.classes.sorted().into_iter().filter_map(class).collect();
            sort_classes(&mut counts);
            Some(Origin {
                kind: *OriginKind::ALL.get((op & 3) as usize)?,
                service,
                operation,
                target: names.node(target),
                n: tally.n,
                calls: tally.calls,
                reached_entry: tally.reached,
                classes: counts,
                climbed: steps(&tally.climbed),
                coped: steps(&tally.coped),
                gave_up: steps(&tally.gave_up),
                exemplars: tally.picks.finish().failed,
            })
        };
        let mut all: Vec<Origin> = self.all.into_sorted().into_iter().filter_map(origin).collect();
        all.sort_by(|a, b| a.key().cmp(&b.key()));
        all
    }
}

/// Whether a callee went on after its caller had ended. Both ends are told by clocks of their own: where the callee took
/// no longer than its caller, a later end is a matter of clocks.
fn outlives(callee: &Span<'_>, caller: &Span<'_>) -> bool {
    callee.row.end > caller.row.end && callee.duration() > caller.duration()
}

/// Whether a failure below explains this one.
fn explained(spans: &[Span<'_>], children: &Children, at: usize, span: &Span<'_>) -> bool {
    let own = || children.of(at).iter().filter_map(|child| spans.get(*child as usize));
    let failed = |child: &&Span<'_>| child.failed() && waits(span, child) && !outlives(child, span);
    if !own().any(|child| failed(&child)) {
        return false;
    }
    // When each kind of work last began that went well.
    let mut well: Vec<(Work, u64)> = own().filter(|c| !c.failed()).map(|c| (work(c), c.row.start)).collect();
    well.sort_unstable();
    let again = |child: &Span<'_>| {
        let after = well.partition_point(|(other, _)| *other <= work(child));
        let last = after.checked_sub(1).and_then(|last| well.get(last));
        last.is_some_and(|(other, start)| *other == work(child) && *start >= child.row.end)
    };
    own().filter(failed).any(|child| !again(child))
}

/// What two children of one span have in common when they do the same thing.
type Work = (u32, SpanKind, u32);

fn work(span: &Span<'_>) -> Work {
    (span.op, span.row.kind, span.row.peer)
}

/// The deepest span below `at` (itself included) that was at work at an instant.
fn deepest_at_work(spans: &[Span<'_>], children: &Children, at: usize, instant: u64) -> usize {
    let mut deepest = at;
    for _ in 0..MOST_STEPS {
        let Some(parent) = spans.get(deepest) else { break };
        let at_work = |at: &&u32| {
            spans.get(**at as usize).is_some_and(|s| waits(parent, s) && s.row.start <= instant && s.row.end > instant)
        };
        match children.of(deepest).iter().rev().find(at_work) {
            Some(child) => deepest = *child as usize,
            None => break,
        }
    }
    deepest
}

/// The operation on whose behalf a call is made: the nearest span above that is no call.
fn caller_of(spans: &[Span<'_>], call: &Span<'_>) -> u32 {
    let mut span = call;
    for _ in 0..MOST_STEPS {
        if !span.row.kind.calls_out() {
            break;
        }
        match span.parent {
            Parent::At(above) => match spans.get(above).filter(|above| above.kept()) {
                Some(above) => span = above,
                None => break,
            },
            _ => break,
        }
    }
    span.op
}

/// Follows a failure up. Notes the operations that failed with it; says whether a request from outside failed, and the
/// operation that coped (0 when none did).
fn climb(spans: &[Span<'_>], first: usize, climbed: &mut Vec<u32>) -> (bool, u32) {
    let Some(mut span) = spans.get(first) else { return (false, 0) };
    for _ in 0..MOST_STEPS {
        let above = match span.parent {
            Parent::Root => return (span.row.kind == SpanKind::Server && span.failed(), 0),
            Parent::Lost => return (false, 0),
            Parent::At(above) => spans.get(above).filter(|above| above.kept()),
        };
        // Who sent a message is not touched by what became of it.
        let Some(above) = above.filter(|above| waits(above, span)) else { return (false, 0) };
        if above.failed() {
            climbed.push(above.op);
        } else if !(above.row.kind.calls_out() && matches!(above.parent, Parent::At(_))) {
            return (false, above.op);
        } else if !parent_failed(spans, above) {
            // A calling span that shows nothing, and nothing shows further up.
            return (false, caller_of(spans, above));
        }
        span = above;
    }
    (false, 0)
}

/// Whether the span above failed.
fn parent_failed(spans: &[Span<'_>], span: &Span<'_>) -> bool {
    matches!(span.parent, Parent::At(above) if spans.get(above).is_some_and(|s| s.kept() && s.failed()))
}
