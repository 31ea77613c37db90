//! The questions that are put to Tempo, and what of an answer goes where.
//!
//! Input: populations. Output: their answers, counted. Must not: use part of an answer.

use std::sync::Arc;
use std::time::Duration;

use super::counted::Counted;
use super::population::Population;
use crate::diag::Diagnostic;
use crate::source::Progress;
use crate::source::backend::pool::{Pool, Step};
use crate::source::backend::trouble::Trouble;
use crate::source::tempo::client::Client;
use crate::source::tempo::window::Window;
use crate::source::tempo::wire::{InstantSeries, TimeSeries};
use crate::spans::{ErrorClass, UnixNanos};

/// Tempo spreads one query over its queriers by itself.
const AT_ONCE: usize = 2;

/// What is to be known of a population.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// How many there are, and how many of them failed.
    Totals(Of),
    /// How long they took.
    Durations,
    /// How many there are in one bucket of 5 minutes, by its number, of which only a part is asked for.
    Part(Of, u64),
    /// How many there are in each bucket of a window that holds whole ones.
    Buckets(Of),
    /// How many failed in this way.
    Class(Arc<ErrorClass>),
}

/// Which of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// All of them, by their status.
    All,
    /// Those counted already that failed though their status says nothing.
    Silent,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// From an instant on, and before another.
    Between(UnixNanos, UnixNanos),
    /// Whole buckets.
    Window(Window),
}

/// One query.
#[derive(Debug, Clone)]
pub(super) struct Question {
    /// Place of the population.
    pub(super) population: usize,
    pub(super) what: What,
    pub(super) query: String,
    pub(super) when: When,
}

/// What Tempo says.
enum Answer {
    Instant(Vec<InstantSeries>),
    Range(Vec<TimeSeries>),
}

impl Question {
    /// The same of the earlier and of the later half: totals of two halves add up to those of the whole.
    fn halves(&self) -> Option<[Self; 2]> {
        let halves = match self.when {
            When::Between(from, to) => {
                let middle = UnixNanos(from.0.midpoint(to.0));
                (middle > from).then_some([When::Between(from, middle), When::Between(middle, to)])
            }
            When::Window(window) => window.halves_by(super::series::SECONDS).map(|halves| halves.map(When::Window)),
        };
        halves.map(|halves| halves.map(|when| Self { when, ..self.clone() }))
    }
}

/// Whom to ask.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) timeout: Duration,
    pub(super) progress: &'a dyn Progress,
}

impl Asking<'_> {
    /// Asks all questions, and counts the answers.
    ///
    /// # Errors
    /// What kept Tempo from answering, and `tempo-series-partial` where an answer was cut off.
    pub(super) async fn ask(
        &self,
        questions: Vec<Question>,
        populations: &[Population],
        counted: &mut Counted,
    ) -> Result<(), Diagnostic> {
        self.progress.total(questions.len() as u64);
        let settle = |question: Question, answer: Result<Answer, Trouble>| match answer {
            Ok(answer) => {
                let (at, Some(population)) = (question.population, populations.get(question.population)) else {
                    return Ok(Step::Done);
                };
                match (question.what, question.when, answer) {
                    (What::Totals(of), _, Answer::Instant(series)) => counted.count(at, population, of, &series),
                    (What::Durations, _, Answer::Instant(series)) => counted.durations(at, population, &series),
                    (What::Part(of, bucket), _, Answer::Instant(series)) => {
                        counted.part(at, population, (of, bucket), &series);
                    }
                    (What::Class(class), _, Answer::Instant(series)) => counted.class(at, population, &class, &series),
                    (What::Buckets(of), When::Window(window), Answer::Range(series)) => {
                        counted.buckets(at, population, (of, window), &series);
                    }
                    _ => {}
                }
                self.progress.advance(1);
                Ok(Step::Done)
            }
            Err(Trouble::TooMuch(why) | Trouble::Slow(why)) => match question.halves() {
                Some(halves) => Ok(Step::Instead(halves.to_vec())),
                None => Err(why),
            },
            // Older versions know no events: how calls failed is then not known, and nothing else is missing.
            Err(Trouble::Refused(_)) if matches!(question.what, What::Class(_)) => {
                self.progress.advance(1);
                Ok(Step::Done)
            }
            Err(other) => Err(other.diagnostic()),
        };
        let work = |question: Question| {
            let client = self.client.clone();
            async move {
                match question.when {
                    When::Between(from, to) => client.totals(question.query, (from, to)).await.map(Answer::Instant),
                    When::Window(window) => {
                        client.over_time(question.query, window, super::series::SECONDS).await.map(Answer::Range)
                    }
                }
            }
        };
        Pool::new(AT_ONCE, self.timeout).run(questions, work, settle).await
    }
}
