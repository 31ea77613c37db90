//! The questions that are put to Tempo, and what of an answer goes where.
//!
//! Input: populations. Output: their answers, counted. Must not: use part of an answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::counted::{Counted, whole};
use super::parts::parts;
use super::population::Population;
use super::query::Query;
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
/// Questions whose answers may be cut off before it is said that there is too much to ask for: some 2 million series.
const MOST_CUT_OFF: usize = 2_048;

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
    pub(super) query: Query,
    pub(super) when: When,
    /// The question of which this is a part, by its place among those whose answers were cut off.
    part_of: Option<usize>,
}

impl Question {
    pub(super) fn new(population: usize, what: What, query: Query, when: When) -> Self {
        Self { population, what, query, when, part_of: None }
    }

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

/// What Tempo says.
enum Answer {
    Instant(Vec<InstantSeries>),
    Range(Vec<TimeSeries>),
    /// Too many series for one answer.
    CutOff(Cut),
}

/// What is learnt of an answer that was cut off.
struct Cut {
    /// The conditions of the parts to ask for instead.
    parts: Arc<Vec<String>>,
    /// How much the parts come to together at least, where that has to be seen to.
    least: Option<u64>,
}

/// Parts of queries whose answers were cut off. What was too long on one day is so on the next.
type Known = BTreeMap<Query, Arc<Vec<String>>>;

/// Whom to ask.
pub(super) struct Asking<'a> {
    pub(super) client: &'a Client,
    pub(super) timeout: Duration,
    pub(super) progress: &'a dyn Progress,
}

impl Asking<'_> {
    /// Asks all questions, and counts the answers. A question whose answer is cut off is put again in parts.
    ///
    /// # Errors
    /// What kept Tempo from answering, and `tempo-series-partial` where an answer was cut off that has no parts, or where
    /// the parts come to less than the whole.
    pub(super) async fn ask(
        &self,
        questions: Vec<Question>,
        populations: &[Population],
        counted: &mut Counted,
    ) -> Result<(), Diagnostic> {
        self.progress.total(questions.len() as u64);
        let known = RefCell::new(Known::new());
        let mut wholes: Vec<Whole> = Vec::new();
        let settle = |question: Question, answer: Result<Answer, Trouble>| match answer {
            Ok(Answer::CutOff(cut)) => {
                let mut known = known.borrow_mut();
                if known.len() >= MOST_CUT_OFF {
                    return Err(self.client.cut_off(&format!("{MOST_CUT_OFF} questions were too long")));
                }
                known.insert(question.query.clone(), Arc::clone(&cut.parts));
                let part_of = question.part_of.or_else(|| {
                    self.progress.advance(1);
                    wholes.push(Whole { least: cut.least, parts: 0 });
                    wholes.len().checked_sub(1)
                });
                let part = |condition: &String| Question {
                    query: question.query.only(condition),
                    part_of,
                    ..question.clone()
                };
                Ok(Step::Instead(cut.parts.iter().map(part).collect()))
            }
            Ok(answer) => {
                if let Some(whole) = question.part_of.and_then(|at| wholes.get_mut(at)) {
                    whole.add(&answer);
                } else {
                    self.progress.advance(1);
                }
                if let Some(population) = populations.get(question.population) {
                    count(&question, population, &answer, counted);
                }
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
            let known = known.borrow().get(&question.query).map(Arc::clone);
            let keys = populations.get(question.population).map_or_else(Vec::new, |population| population.keys.clone());
            async move { answer(&client, &question, &keys, known).await }
        };
        Pool::new(AT_ONCE, self.timeout).run(questions, work, settle).await?;
        match wholes.iter().find_map(Whole::lacks) {
            Some((parts, least)) => {
                Err(self.client.cut_off(&format!("asked for in parts, these come to {parts} of {least} span(s)")))
            }
            None => Ok(()),
        }
    }
}

/// A question that was put in parts.
struct Whole {
    least: Option<u64>,
    parts: u64,
}

impl Whole {
    fn add(&mut self, answer: &Answer) {
        if let Answer::Instant(series) = answer {
            self.parts = self.parts.saturating_add(sum(series));
        }
    }

    /// What the parts come to, and what they should, where that is more. Spans only come in: less is never right.
    fn lacks(&self) -> Option<(u64, u64)> {
        self.least.filter(|least| self.parts < *least).map(|least| (self.parts, least))
    }
}

fn sum(series: &[InstantSeries]) -> u64 {
    series.iter().fold(0, |sum, one| sum.saturating_add(whole(one.value)))
}

/// Puts a question, unless it is known that its answer would be cut off.
async fn answer(
    client: &Client,
    question: &Question,
    keys: &[&'static str],
    known: Option<Arc<Vec<String>>>,
) -> Result<Answer, Trouble> {
    let parts = match (known, question.when) {
        (Some(parts), _) => Some(parts),
        (None, When::Between(from, to)) => {
            let series = client.totals(question.query.to_string(), (from, to)).await?;
            if series.whole {
                return Ok(Answer::Instant(series.all));
            }
            parts(keys, series.all.iter().map(|one| &*one.labels)).map(Arc::new)
        }
        (None, When::Window(window)) => {
            let series = client.over_time(question.query.to_string(), window, super::series::SECONDS).await?;
            if series.whole {
                return Ok(Answer::Range(series.all));
            }
            parts(keys, series.all.iter().map(|one| &*one.labels)).map(Arc::new)
        }
    };
    let parts = parts.ok_or_else(|| {
        let alike = client.cut_off("nothing tells apart what did come");
        // How calls failed may stay unknown, as where it cannot be asked for at all.
        if matches!(question.what, What::Class(_)) { Trouble::Refused(alike) } else { Trouble::Fatal(alike) }
    })?;
    let mut least = None;
    // That the parts are all is the backend's word, so it is held against another. Of times and failures nothing is taken on
    // trust anyway: they have to agree with the totals.
    if let (None, What::Totals(_) | What::Durations, When::Between(from, to)) =
        (question.part_of, &question.what, question.when)
    {
        let all = client.totals(question.query.altogether().to_string(), (from, to)).await?;
        if !all.whole {
            return Err(Trouble::Fatal(client.cut_off("not even a sum is whole")));
        }
        least = Some(sum(&all.all));
    }
    Ok(Answer::CutOff(Cut { parts, least }))
}

/// Counts an answer.
fn count(question: &Question, population: &Population, answer: &Answer, counted: &mut Counted) {
    let at = question.population;
    match (&question.what, question.when, answer) {
        (What::Totals(of), _, Answer::Instant(series)) => counted.count(at, population, *of, series),
        (What::Durations, _, Answer::Instant(series)) => counted.durations(at, population, series),
        (What::Part(of, bucket), _, Answer::Instant(series)) => counted.part(at, population, (*of, *bucket), series),
        (What::Class(class), _, Answer::Instant(series)) => counted.class(at, population, class, series),
        (What::Buckets(of), When::Window(window), Answer::Range(series)) => {
            counted.buckets(at, population, (*of, window), series);
        }
        _ => {}
    }
}
