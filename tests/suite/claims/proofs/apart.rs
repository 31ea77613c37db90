//! One version, place or instance against the others.

use crate::claims::bins;
use crate::claims::claim::{Claim, count, said};
use crate::claims::numbers::Value;
use crate::claims::pattern::{Pattern, cell, says};
use crate::claims::spans::Span;

pub fn patterns() -> Vec<Pattern> {
    vec![
        says("Look at {x} {x} alone: {%} of its calls <fail|take {d} or longer>, of all others {%}", |c| {
            let split = Split::new(c, c.focus()?, c.x(0), c.x(1))?;
            Some(split.differs(c.text().contains("take")))
        }),
        says("n {c} and {c}.", |c| {
            let names: Vec<&str> = c.place.step.split('`').skip(1).step_by(2).collect();
            let split = Split::new(c, c.focus()?, names[0], names[1])?;
            Some(vec![count(split.n[0]), count(split.n[1])])
        })
        .in_step("Look at "),
        says(" None stood out in the window (n {c}).", |c| Some(vec![count(c.handled()?.n)])),
        cell(
            &["Findings"],
            "What",
            "of the calls to {x} with {k} {x} {t%} <fail|take {td} or longer> (n = {q}), of all others {t%} (n = {q})",
            |c| {
                let key = c.text().split(" with ").nth(1)?.split(' ').next()?;
                let split = Split::new(c, c.node_id(0)?, key, c.x(1))?;
                let mut out = split.differs(c.text().contains("or longer"));
                out.push(said(split.n[1]));
                let others = out.len() - 2;
                out.insert(others, said(split.n[0]));
                Some(out)
            },
        ),
    ]
}

/// Calls of one value, and all others.
pub struct Split {
    pub n: [u64; 2],
    failing: [f64; 2],
    slow: [f64; 2],
    /// From how many seconds on a call is slow.
    from: f64,
}

impl Split {
    pub fn new(c: &Claim<'_>, service: &str, key: &str, value: &str) -> Option<Self> {
        let handled: Vec<&Span> = c.facts.spans.iter().filter(|s| s.service == service && s.is_called()).collect();
        let times: Vec<(u64, f64)> = handled.iter().filter_map(|s| Some((s.duration()?, s.weight))).collect();
        let from = bins::slow_from(&times);
        let of = |with: bool| {
            handled.iter().filter(move |s| (s.resource.get(key).map(String::as_str) == Some(value)) == with)
        };
        let share = |with: bool, is: &dyn Fn(&Span) -> bool| {
            let weigh = |is: &dyn Fn(&Span) -> bool| of(with).filter(|s| is(s)).map(|s| s.weight).sum::<f64>();
            weigh(is) / weigh(&|_| true)
        };
        let slow = |s: &Span| s.duration().is_some_and(|d| d >= from);
        Some(Self {
            n: [true, false].map(|with| of(with).count() as u64),
            failing: [true, false].map(|with| share(with, &Span::failed)),
            slow: [true, false].map(|with| share(with, &slow)),
            from: from as f64 / 1e9,
        })
    }

    fn differs(&self, slow: bool) -> Vec<Value> {
        let [this, rest] = if slow { self.slow } else { self.failing };
        let mut out = vec![Value::Exactly(this)];
        out.extend(slow.then_some(Value::Exactly(self.from)));
        out.push(Value::Exactly(rest));
        out
    }
}
