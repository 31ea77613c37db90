//! Which questions a window needs.
//!
//! Input: populations, and what is known of them so far. Output: questions. Their number grows with populations, services
//! that call others, and days, never with spans.

use super::counted::Counted;
use super::failure::{self, Failure};
use super::population::{Meaning, Population};
use super::query::Query;
use super::question::{Of, Question, What, When};
use super::series;
use crate::source::tempo::window::Window;

/// One question for each day of a window.
fn daily(population: usize, what: What, query: Query, seconds: Window) -> impl Iterator<Item = Question> {
    seconds.for_metrics().into_iter().map(move |window| {
        let (from, to) = window.nanos();
        Question::new(population, what.clone(), query.clone(), When::Between(from, to))
    })
}

/// How many there are of the populations from `first` on.
pub(super) fn totals(populations: &[Population], first: usize, seconds: Window) -> Vec<Question> {
    let of = |(at, p): (usize, &Population)| daily(at, What::Totals(Of::All), p.count(), seconds);
    populations.iter().enumerate().skip(first).flat_map(of).collect()
}

/// How spans fail at all.
pub(super) fn of_failures(kinds: &[Population], seconds: Window) -> Vec<Question> {
    let of = |(at, p): (usize, &Population)| daily(at, What::Totals(Of::All), p.count_if("true", None), seconds);
    kinds.iter().enumerate().flat_map(of).collect()
}

/// How many failed though their status says nothing.
pub(super) fn silently(populations: &[Population], silent: &str, seconds: Window) -> Vec<Question> {
    let of = |(at, p): (usize, &Population)| {
        daily(at, What::Totals(Of::Silent), p.count_if(&format!("({silent})"), None), seconds)
    };
    populations.iter().enumerate().filter(|(_, p)| p.meaning.lasts() && !p.failed).flat_map(of).collect()
}

/// How long those took that are there.
pub(super) fn further(populations: &[Population], counted: &Counted, seconds: Window) -> Vec<Question> {
    let there = |at: usize, p: &Population| {
        p.meaning.lasts() && (counted.holds(at) || p.together.is_some() && counted.holds(at.saturating_add(1)))
    };
    let of = |(at, p): (usize, &Population)| {
        let query = p.durations().filter(|_| there(at, p));
        query.into_iter().flat_map(|query| daily(at, What::Durations, query, seconds)).collect::<Vec<_>>()
    };
    populations.iter().enumerate().flat_map(of).collect()
}

/// When there were how many, and how many of them failed.
pub(super) fn over_time(
    populations: &[Population],
    counted: &Counted,
    seconds: Window,
    silent: Option<&str>,
) -> Vec<Question> {
    let split = series::Split::of(seconds);
    let mut questions = Vec::new();
    let in_time = seen(populations, counted).filter_map(|(at, p)| Some((at, p.in_time()?)));
    for (population, p) in in_time {
        let failed_silently = silent.filter(|_| !p.failed).map(|silent| p.count_if(&format!("({silent})"), None));
        let queries = [Some((Of::All, p.count())), failed_silently.map(|query| (Of::Silent, query))];
        for (of, query) in queries.into_iter().flatten() {
            for (bucket, when) in &split.parts {
                questions.push(Question::new(population, What::Part(of, *bucket), query.clone(), *when));
            }
            let query = query.bare();
            for window in &split.whole {
                questions.push(Question::new(population, What::Buckets(of), query.clone(), When::Window(*window)));
            }
        }
    }
    questions
}

/// How operations failed.
pub(super) fn classes(
    populations: &[Population],
    counted: &Counted,
    failures: &[Failure],
    seconds: Window,
) -> Vec<Question> {
    let operations = |(at, p): &(usize, &Population)| p.meaning == Meaning::Operation && counted.fails(*at);
    let of = |p: (usize, &Population)| failures.iter().flat_map(|f| class(p, f, seconds)).collect::<Vec<_>>();
    seen(populations, counted).filter(operations).flat_map(of).collect()
}

/// How calls failed that leave the services, where that is known of operations: only what callers of a population met is
/// asked for. What services answer to each other fails in the operation that answers; to ask for those edges too would cost
/// a question for each failure of each caller.
pub(super) fn classes_of_calls(
    populations: &[Population],
    counted: &Counted,
    failures: &[Failure],
    seconds: Window,
) -> Vec<Question> {
    let mut questions = Vec::new();
    let asked = |p: &Population| matches!(p.meaning, Meaning::Leaf | Meaning::Publish);
    for (at, p) in seen(populations, counted).filter(|(at, p)| asked(p) && counted.fails(*at)) {
        let kind = if p.meaning == Meaning::Leaf { "client" } else { "producer" };
        for failure in failures.iter().filter(|failure| counted.met(at, kind, &failure.class)) {
            questions.extend(class((at, p), failure, seconds));
        }
    }
    questions
}

fn class((at, p): (usize, &Population), failure: &Failure, seconds: Window) -> impl Iterator<Item = Question> {
    let query = p.count_if(&failure.condition, Some(failure::EXCEPTION));
    daily(at, What::Class(failure.class.clone()), query, seconds)
}

/// Populations that have anybody in them and become something.
fn seen<'a>(populations: &'a [Population], counted: &Counted) -> impl Iterator<Item = (usize, &'a Population)> {
    populations.iter().enumerate().filter(|(at, p)| p.meaning.lasts() && counted.holds(*at))
}
