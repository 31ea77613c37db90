//! Where slow requests spend their time: parts of critical paths, slow against normal.

use std::sync::Arc;

use crate::claims::claim::{Claim, count, p50_p99};
use crate::claims::facts::Sums;
use crate::claims::numbers::Value;
use crate::claims::objectives;
use crate::claims::paths::Doing;
use crate::claims::pattern::{Pattern, cell, listed, says};
use crate::claims::tails::{Suspect, Tail};

const TABLE: &[&str] = &["Where slow requests spend their time"];

/// What a part of requests is called.
macro_rules! part {
    () => {
        "<{x} itself|the way to {x}|the calls to {x}|the calls from {x} to {x}|calls of {x} that nobody answers with a span>"
    };
}
/// What a share is a share of.
macro_rules! of_what {
    () => {
        " <of what slow requests take longer|of the time of slow requests>"
    };
}

pub fn patterns() -> Vec<Pattern> {
    let mut all = steps();
    all.extend(elsewhere());
    all.extend(table());
    all
}

fn steps() -> Vec<Pattern> {
    vec![
        says(concat!("Look first at ", part!(), ": {%}", of_what!()), |c| share(c, c.text(), true)),
        says(concat!("Check ", part!(), ": {%}", of_what!()), |c| share(c, c.text(), true)),
        says(
            "The {c} slowest of {c} requests from outside spend {d} there each, the {c} at or below the median {d}<; {%} of the difference in {x}|, in {x}|>.< About {%} of the calls to it stem from here; only that part is counted.|>",
            |c| {
                let tail = tail(c)?;
                let suspect = tail.meant(c.facts, c.focus()?, &c.place.step, true)?;
                let each = |seconds: f64| Value::Exactly(seconds.max(0.0));
                let mut out = vec![Value::Exactly(tail.slow), Value::Exactly(tail.calls), each(suspect.time.0)];
                out.extend([Value::Exactly(tail.normal), each(suspect.time.1)]);
                let (name, of_it) = &suspect.operation;
                let named = if *of_it >= 0.5 { name } else { "" };
                out.extend(c.text().contains("of the difference in").then_some(Value::Exactly(*of_it)));
                out.extend((suspect.from_here < 0.95).then_some(Value::Exactly(suspect.from_here)));
                (c.x(0) == named && (c.text().contains("of the difference in") == (0.5..0.995).contains(of_it)))
                    .then_some(out)
            },
        ),
        says("As in the window: p50 {d}, p99 {d} (n {c}), calls it makes included.", |c| {
            let took = took(c, &*tail(c)?, true)?;
            let mut out: Vec<Value> = p50_p99(&took.times)?.into();
            out.push(count(took.n));
            Some(out)
        }),
        says("A p99 well below the {d} of the window (n {c}), in which the target was missed.", |c| {
            let took = took(c, &*tail(c)?, true)?;
            Some(vec![took.times.quantile("99")?, count(took.n)])
        }),
    ]
}

fn elsewhere() -> Vec<Pattern> {
    vec![
        says(concat!("See whether requests are slow for another reason: {%}", of_what!(), " lies elsewhere"), |c| {
            let tail = tail(c)?;
            (tail.by_time == c.text().contains("of the time")).then(|| vec![Value::Exactly(tail.elsewhere)])
        }),
        says("Of the {c} slowest of {c} requests from outside that enter where those to it do:", |c| {
            let tail = tail(c)?;
            Some(vec![Value::Exactly(tail.slow), Value::Exactly(tail.calls)])
        }),
        listed(" requests from outside that enter where those to it do: ", concat!(part!(), " {%}"), |c| {
            let item = c.text().rsplit(" do: ").next()?;
            share(c, item, false)
        }),
        says("Far below the p99 of the window, {d}.", |c| {
            let tail = tail(c)?;
            let most = tail.suspects.iter().find(|s| !s.here)?;
            let waited = || {
                let mut callers = c.facts.into(&most.part.service);
                callers.sort_by(|a, b| b.1.sums.calls.total_cmp(&a.1.sums.calls));
                callers.into_iter().find_map(|(_, e)| e.latency().quantile("99"))
            };
            Some(vec![match most.part.doing {
                Doing::Between => waited()?,
                _ => of_operation(c, most)?.times.quantile("99")?,
            }])
        }),
        says(
            "What makes {x} itself slow: slow requests from outside hardly wait for it, {%} of <what they take longer|their time> lies elsewhere",
            |c| {
                let tail = tail(c)?;
                (tail.by_time == c.text().contains("their time")).then(|| vec![Value::Exactly(tail.elsewhere)])
            },
        ),
        says(
            "What slow requests to {x} waited for: only {%} of the requests that enter where those to it do touch it",
            |c| Some(vec![Value::Exactly(tail(c)?.touching)]),
        ),
    ]
}

fn table() -> Vec<Pattern> {
    vec![
        says(
            "The {c} slowest of {c} requests from outside took {d} each, the {c} at or below the median {d}<; {%} of all touch {x}|>.",
            |c| {
                let tail = tail(c)?;
                let exactly = [tail.slow, tail.calls, tail.time.0, tail.normal, tail.time.1];
                let touching = (tail.touching < 0.995).then_some(tail.touching);
                Some(exactly.into_iter().chain(touching).map(Value::Exactly).collect())
            },
        ),
        cell(TABLE, "Slow requests", "{d}", |c| Some(vec![Value::Exactly(row(c)?.0.max(0.0))])),
        cell(TABLE, "Normal requests", "{d}", |c| Some(vec![Value::Exactly(row(c)?.1.max(0.0))])),
        cell(TABLE, "Share of what slow ones take longer", "{%}", |c| row_share(c, false)),
        cell(TABLE, "Share of the time of slow ones", "{%}", |c| row_share(c, true)),
    ]
}

/// Slow against normal requests as the page sees them: by time where half of all requests miss the target.
fn tail(c: &Claim<'_>) -> Option<Arc<Tail>> {
    let focus = c.focus()?;
    let main = objectives::of_page(c).into_iter().next();
    let median = c.handled()?.times.exact("50")?;
    c.facts.tail(focus, main.is_some_and(|main| median >= main.objective.value))
}

fn share(c: &Claim<'_>, text: &str, here: bool) -> Option<Vec<Value>> {
    let tail = tail(c)?;
    let right = !here || tail.by_time == text.contains("of the time");
    let suspect = tail.meant(c.facts, c.focus()?, text, here)?;
    right.then(|| vec![Value::Exactly(suspect.share)])
}

/// The suspect of a row, and its operation.
fn row(c: &Claim<'_>) -> Option<(f64, f64)> {
    Some(found(c, &*tail(c)?)?.time)
}

fn row_share(c: &Claim<'_>, by_time: bool) -> Option<Vec<Value>> {
    let tail = tail(c)?;
    (tail.by_time == by_time).then(|| Some(vec![Value::Exactly(found(c, &tail)?.share)]))?
}

fn found<'t>(c: &Claim<'_>, tail: &'t Tail) -> Option<&'t Suspect> {
    let what = &c.place.row[0];
    let suspect = tail.meant(c.facts, c.focus()?, what, !what.contains("(elsewhere)"))?;
    (suspect.operation.0 == c.row(1)).then_some(suspect)
}

/// What the operation behind the suspect of a step took.
fn took<'a>(c: &Claim<'a>, tail: &Tail, here: bool) -> Option<&'a Sums> {
    of_operation(c, tail.meant(c.facts, c.focus()?, &c.place.step, here)?)
}

fn of_operation<'a>(c: &Claim<'a>, suspect: &Suspect) -> Option<&'a Sums> {
    let operations = c.of(&suspect.part.service)?.operations.iter();
    operations.filter(|((_, name), _)| *name == suspect.operation.0).map(|(_, sums)| sums).max_by_key(|s| s.n)
}
